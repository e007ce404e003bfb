"""EventProp where spikes add to the membrane itself: spikes that an arrival causes have its time."""

import dataclasses

import numpy as np
import pytest
from brian2 import ms, mV, second, volt
from eventprop_cases import LABEL, N, engine, grid_run, lif_case, trials
from reference.event_driven import DeltaLIF, differences, simulate

from neurosnn import EventProp, Input, Layer, NeuronModel, Readout, SpikingNetwork, equations
from neurosnn.calculus.hybrid import hybrid_map
from neurosnn.data import SpikeTrials
from neurosnn.engine import Engine
from neurosnn.losses import CrossEntropy

DT = 10e-6
#: Part of the weights of `lif_case`, which go into a current there.
SCALE = 0.3


def model(layer, unit=1.0):
    """The neuron of a reference layer, in a unit of the membrane."""
    quantity = 1.0 if unit == 1.0 else unit * volt
    rest = {"refractory": layer.t_ref * second} if layer.t_ref else {}
    return NeuronModel(
        name="delta",
        equations=f"dv/dt = (b - v)/tau_m : {'1' if unit == 1.0 else 'volt'}",
        threshold="v > v_th",
        reset="v -= v_th" if layer.subtracts else "v = 0*v_th",
        parameters={
            "tau_m": layer.tau_m * second,
            "b": layer.b * quantity,
            "v_th": layer.v_th * quantity,
        },
        **rest,
    )


def delta_case(seed, *, layers=1, subtracts=False, t_ref=0.0):
    """lif_case with such neurons; some of them fire without input, some never do."""
    case = lif_case(seed, layers=layers, delays=True)
    rng = np.random.default_rng(seed)
    # multiples of the time step, of which hardly two are the same: coincidences have no derivative
    times = rng.choice(3600, len(case.times), replace=False) * DT + 1e-3
    populations = tuple(
        DeltaLIF(tau_m=layer.tau_m, b=rng.uniform(0.5, 2.0, N), subtracts=subtracts, t_ref=t_ref)
        for layer in case.reference.layers
    )
    links = {}
    for name, link in case.reference.links.items():
        delay = rng.integers(10, 500, len(link.delay)) * DT * (link.delay > 0)
        if link.source >= 0:  # some spikes reach the next neurons at once: cascades
            delay *= np.arange(N) % 3 > 0
        w = link.w * (1 if name.startswith("readout") else SCALE)
        links[name] = dataclasses.replace(link, w=w, delay=delay)
    reference = dataclasses.replace(case.reference, layers=populations, links=links)
    return case._replace(reference=reference, model=model, times=times)


def caused(case, run):
    """Spikes right after an arrival."""
    return sum(
        any(0 < time - arrival[0] < 1e-12 and arrival[1] == layer for arrival in run.arrivals)
        for time, layer, _ in run.spikes
    )


#: A network and the time step of the engine.
CASES = {
    "reset to zero": ({"seed": 3}, DT),
    # one arrival misses the threshold by less than the drive of a longer step
    "two layers": ({"seed": 20, "layers": 2, "subtracts": True}, DT / 2),
    "subtracts, rests": ({"seed": 0, "subtracts": True, "t_ref": 2e-3}, DT),
}


@pytest.mark.parametrize("name", CASES)
def test_gradient_equals_differences_of_exact_events(name):
    options, dt = CASES[name]
    case = delta_case(**options)
    exact = simulate(case.reference, case.times, case.channels)
    found = caused(case, exact)
    assert found >= 30
    assert len(exact.spikes) - found >= 2
    machine = engine(case, dt, learn=("tau_m", "b"))
    assert grid_run(case, machine, dt).meetings() == exact.meetings()
    gradient = machine.run(trials(case, dt), gradient=True).gradient
    for key, ours in gradient.items():
        name, _, kind = key.partition(".")
        if name.startswith("readout"):
            continue
        reference = (int(name[6:] or 1) - 1, kind) if name.startswith("hidden") else key
        # without a delay both sides of it differ
        known = case.reference.links[name].delay > 0 if kind == "delay" else ours == ours
        largest = np.argsort(-np.abs(np.where(known, ours, 0)), axis=None)
        # the largest, and two of those that are zero: spikes that an arrival causes, and a reset to zero
        some = [*largest[:6], *largest[-2:]] if kind == "w" else largest[:6]
        at = np.unravel_index(some, ours.shape)
        theirs = differences(case.reference, case.times, case.channels, LABEL, reference, at=at)
        ok = np.isfinite(theirs)
        assert np.abs(theirs[ok]).max() > 0, key
        error = np.linalg.norm(ours[at][ok] - theirs[ok])
        assert error < 0.02 * np.linalg.norm(theirs[ok]), key


def chain(w, *, delay=5e-3, subtracts=False):
    """An input spike at 2 ms, a hidden neuron, and a current in the readout."""
    layer = DeltaLIF(tau_m=np.array([20e-3]), b=np.array([0.0]), subtracts=subtracts)
    hidden = Layer(model(layer), 1, recurrent=False)
    net = SpikingNetwork(
        Input(1), hidden, Readout(2, model=equations.CurrentReadout(), bias=False), dt=DT * second
    )
    net.parameters["input.w"][:] = w
    net.connections["input"].fixed_delay[:] = round(delay / DT)
    net.parameters["readout.w"][:] = [[1.0, -0.5]]
    trial = SpikeTrials(
        times=[2e-3 - DT / 2],
        units=[0],
        offsets=[0, 1],
        labels=[0],
        n_channels=1,
        duration=40 * ms,
        class_names=tuple("ab"),
    )
    machine = Engine(net, EventProp(), CrossEntropy(), dtype="float64", threads=1)
    return machine.run(trial, gradient=True)


def test_delay_of_an_input_that_causes_a_spike():
    def loss(delay):
        left = 40e-3 - 2e-3 - delay
        c = 5 / (5 - 20)
        area = c * (5e-3 * -np.expm1(-left / 5e-3) - 20e-3 * -np.expm1(-left / 20e-3)) / 40e-3
        return np.log1p(np.exp(-1.5 * area))

    result = chain(1.2)
    assert result.spikes == {"hidden": 1}
    expected = (loss(5e-3 + 1e-7) - loss(5e-3 - 1e-7)) / 2e-7
    assert result.gradient["input.delay"][0] == pytest.approx(expected, rel=6e-3)  # of order dt
    assert result.gradient["input.w"][0, 0] == 0  # a little more makes it fire no earlier
    silent = chain(0.9)
    assert silent.spikes == {"hidden": 0}
    assert silent.gradient["input.delay"][0] == 0


def test_a_threshold_that_is_not_linear_in_the_input_is_refused():
    bent = NeuronModel(equations="dv/dt = -v/(20*ms) : 1", threshold="v**2 > 1", reset="v = 0")
    with pytest.raises(ValueError, match="the threshold is not linear in 'v'"):
        hybrid_map(bent)


def test_printed_equations_say_what_an_arrival_causes():
    layer = DeltaLIF(tau_m=np.array(20e-3), b=np.array(0.75))
    strings = EventProp().equations(model(layer, float(20 * mV)))
    assert strings.caused == "cause = b*lam_v/tau_m + feedback\nlam_v = 0"
    assert "feedback_pre += cause_post" in str(strings)
    assert EventProp().equations(equations.CurrentLIF()).caused == ""


def test_volts_only_change_the_unit():
    case = delta_case(3)
    volts = case._replace(
        model=lambda layer: model(layer, 0.02),
        reference=dataclasses.replace(
            case.reference,
            links={
                name: dataclasses.replace(link, w=link.w * (1 if name == "readout" else 0.02))
                for name, link in case.reference.links.items()
            },
        ),
    )
    plain, same = (
        engine(one, 20 * DT, learn=()).run(trials(one, 20 * DT), gradient=True)
        for one in (case, volts)
    )
    assert plain.spikes == same.spikes
    for key, value in plain.gradient.items():
        factor = 0.02 if key in ("input.w", "recurrent.w") else 1
        np.testing.assert_allclose(same.gradient[key] * factor, value, rtol=1e-9, atol=1e-12)
