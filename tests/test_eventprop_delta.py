"""EventProp where spikes add to the membrane itself: spikes that an arrival causes have its time."""

import dataclasses

import numpy as np
import pytest
from brian2 import ms, mV, second
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
    rest = {"refractory": layer.t_ref * second} if layer.t_ref else {}
    return NeuronModel(
        name="delta",
        equations=f"dv/dt = (b - v)/tau_m : {'1' if unit == 1.0 else 'volt'}",
        threshold="v > v_th",
        reset="v -= v_th" if layer.subtracts else "v = 0*v_th",
        parameters={"tau_m": layer.tau_m * second, "b": layer.b * unit, "v_th": layer.v_th * unit},
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
    """Spikes at the time of an arrival, or of a spike without delay."""
    return sum(
        any(0 <= time - arrival[0] < 1e-12 and arrival[1] == layer for arrival in run.arrivals)
        for time, layer, _ in run.spikes
    )


CASES = {
    "reset to zero": {"seed": 3},
    "two layers": {"seed": 10, "layers": 2, "subtracts": True},
    "subtracts, rests": {"seed": 0, "subtracts": True, "t_ref": 2e-3},
}


@pytest.mark.parametrize("name", CASES)
def test_gradient_equals_differences_of_exact_events(name):
    case = delta_case(**CASES[name])
    exact = simulate(case.reference, case.times, case.channels)
    found = caused(case, exact)
    assert found >= 30
    assert len(exact.spikes) - found >= (0 if CASES[name].get("layers") else 3)
    machine = engine(case, DT, learn=("tau_m", "b"))
    assert grid_run(case, machine, DT).meetings() == exact.meetings()
    gradient = machine.run(trials(case, DT), gradient=True).gradient
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
