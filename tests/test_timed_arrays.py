"""TimedArrays in the strings of a model: Brian2's rows, spikes, trials, files, gradients, refusals."""

import dataclasses
import json
import zipfile

import numpy as np
import pytest
from brian2 import (
    Hz,
    Network,
    NeuronGroup,
    PoissonGroup,
    SpikeMonitor,
    StateMonitor,
    Synapses,
    TimedArray,
    ms,
    mV,
    prefs,
    second,
    start_scope,
)
from eventprop_cases import GRID, LABEL, N, engine, grid_run, lif_case, lif_model, trials
from export_cases import make, run
from reference.event_driven import CurrentLIF, differences, root, simulate

from neurosnn import (
    BPTT,
    Draws,
    EProp,
    EventProp,
    Input,
    NeuronModel,
    Population,
    Projection,
    Readout,
    SpikingNetwork,
    export,
    read_results,
)
from neurosnn.calculus.step import model_code, step_map
from neurosnn.core.draws import DRAWS_OF_A_LAYER, uniform
from neurosnn.cuda import CudaEngine
from neurosnn.data import SpikeTrials
from neurosnn.engine import Engine
from neurosnn.losses import CrossEntropy, MeanSquareError
from neurosnn.model.timed import Lookup
from neurosnn.rules.eprop.backend import OnlineBackend

DT = 0.1 * ms
random = np.random.default_rng(4)
CURRENT = random.uniform(0, 6, 12)
COLUMNS, OWN = random.uniform(0, 40, (30, 3)), random.uniform(0, 40, (9, 4))


@pytest.fixture(autouse=True)
def scope():
    start_scope()


def given(n_channels=1, n_trials=1, steps=300, spikes=6, dt=DT):
    """Trials with a few spikes each."""
    draw = np.random.default_rng(1)
    n = n_trials * spikes
    return SpikeTrials(
        times=np.sort(draw.choice(steps, (n_trials, spikes)), axis=1).ravel() * dt,
        units=draw.integers(0, n_channels, n),
        offsets=np.arange(n_trials + 1) * spikes,
        labels=np.arange(n_trials) % 2,
        n_channels=n_channels,
        duration=steps * dt,
    )


# -- rows ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("array_dt", "dt"),
    [
        (1.0, 0.1),
        (0.3, 0.1),
        (0.7, 0.1),
        (0.1, 0.1),
        (0.25, 0.1),
        (0.03, 0.1),
        (0.5, 0.3),
        (1.1, 1.1),
    ],
)
@pytest.mark.parametrize("time", ["t", "t - 2*ms", "t + 0.5*dt"])
def test_the_row_is_that_of_brian2(array_dt, dt, time):
    array = TimedArray(np.arange(50.0), dt=array_dt * ms)
    group = NeuronGroup(1, f"x = array({time}) : 1", dt=dt * ms, namespace={"array": array})
    monitor = StateMonitor(group, "x", record=True)
    Network(group, monitor).run(20 * ms)
    rows = Lookup("", "array", time, "").rows(array, len(monitor.t), group.clock.dt_)
    assert len(set(rows)) > 10
    np.testing.assert_array_equal(rows, monitor.x[0])


def test_the_first_and_the_last_row_are_held_for_ever():
    array = TimedArray([7.0, 8.0, 9.0], dt=1 * ms)
    rows = Lookup("", "array", "t - 3*ms", "").rows(array, 100, 1e-3)
    assert rows[:4].tolist() == [0, 0, 0, 0]
    assert rows[4:].tolist() == [1] + [2] * 95


# -- scripts ---------------------------------------------------------------------------------------


def script():
    """All methods, and arrays in equations, threshold, reset, step code and held subexpressions."""
    names = {
        "current": TimedArray(CURRENT * mV, dt=2.5 * ms),
        "columns": TimedArray(COLUMNS * mV, dt=0.7 * ms),
        "own": TimedArray(OWN * mV, dt=4 * ms),
        "limit": TimedArray([8.0, 12.0, 10.0], dt=8 * ms),
        "tau": 10 * ms,
    }
    flow = "dv/dt = (current(t) + columns(t, i % 3) - v)/tau : volt"
    groups = [
        NeuronGroup(
            4,
            flow,
            threshold="v > 12*mV",
            reset="v = 0*mV",
            method=method,
            namespace=names,
            name=method,
        )
        for method in ("euler", "rk4", "exponential_euler")
    ]
    exact = NeuronGroup(
        4,
        """dv/dt = (now + own(t, i) - v)/tau : volt (unless refractory)
        now = current(t - 1*ms) : volt (constant over dt)
        x : 1""",
        threshold="v > (limit(t) - x)*mV",
        reset="v = 0.1*own(t, i); x = limit(t)/20",
        refractory="(1 + limit(t)/10)*ms",
        method="exact",
        namespace=names,
        name="exact",
    )
    exact.run_regularly("x *= 1 - limit(t)/1000", when="groups", order=1)
    synapses = Synapses(groups[0], groups[1], on_pre="v += 2*mV", delay=1 * ms, name="synapses")
    onto_exact = Synapses(groups[1], exact, on_pre="v += 3*mV", name="onto_exact")
    for connection in (synapses, onto_exact):
        connection.connect()
    return [*groups, exact, synapses, onto_exact]


def test_a_script_spikes_and_moves_as_in_brian2():
    # otherwise Brian2 sums first what is equal for all neurons, and rounds differently in the last bit
    prefs.codegen.loop_invariant_optimisations = False
    objects = script()
    net = SpikingNetwork.from_brian2(objects, readout=Readout(2))
    groups = objects[:4]
    spikes = [SpikeMonitor(group) for group in groups]
    states = [StateMonitor(group, "v", record=True) for group in groups]
    Network(objects, spikes, states).run(40 * ms)
    record = tuple((group.name, "v") for group in groups)
    found = Engine(net, dtype="float64", threads=1).simulate(given(steps=400), record=record)
    for group, monitor, state in zip(groups, spikes, states, strict=True):
        assert monitor.num_spikes > 10
        expected = zip(np.rint(monitor.t / DT).astype(int), monitor.i[:], strict=True)
        assert sorted(zip(*found.spikes[group.name][0], strict=True)) == sorted(expected)
        # numpy's exponential function is not always the library's to the last bit
        tolerance = 1e-13 if group.name.startswith("ex") else 0
        ours, theirs = found.states[group.name, "v"][0], np.asarray(state.v).T
        np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance * 1e-3)


def test_a_group_of_the_model_runs_as_the_group():
    group = script()[3]
    model = NeuronModel.from_group(group)
    assert set(model.timed_arrays) == {"current", "own", "limit"}
    again = NeuronModel.from_dict(json.loads(json.dumps(model.to_dict())))
    assert again.to_dict() == model.to_dict()
    copy = again.group(4)
    monitors = [SpikeMonitor(group), SpikeMonitor(copy)]
    Network(group, copy, monitors).run(40 * ms)
    assert monitors[0].num_spikes > 10
    for name in ("i", "t"):
        np.testing.assert_array_equal(getattr(monitors[0], name), getattr(monitors[1], name))


def test_rates_of_a_poisson_group_change():
    values = np.random.default_rng(5).uniform(0, 2000, (10, 3))
    scale, f = 0.5, 50 * Hz
    names = {"stimulus": TimedArray(values * Hz, dt=3 * ms), "scale": scale, "f": f}
    rates = "scale*stimulus(t, i) + 300*Hz*(1 + sin(2*pi*f*t))"
    source = PoissonGroup(3, rates=rates, name="source", namespace=names)
    cells = NeuronGroup(
        2, "dv/dt = -v/(10*ms) : 1", threshold="v > 1", reset="v = 0", method="exact"
    )
    synapses = Synapses(source, cells, on_pre="v += 0.4")
    synapses.connect()
    net = SpikingNetwork.from_brian2([source, cells, synapses], readout=Readout(2), inputs=())
    steps = np.arange(400)
    spikes = Engine(net, dtype="float64").simulate(given(steps=400)).spikes
    assert len(spikes[cells.name][0][0]) > 5
    draws = uniform(Draws().key(net.seed), 0, steps[:, None], DRAWS_OF_A_LAYER, np.arange(3))
    rate = scale * values[np.minimum(steps // 30, 9)]
    rate = rate + 300 * (1 + np.sin(2 * np.pi * float(f) * steps * 1e-4))[:, None]
    expected = np.argwhere(draws < rate * 1e-4)
    assert len(expected) > 50
    assert sorted(zip(*spikes["source"][0], strict=True)) == sorted(map(tuple, expected.tolist()))


def test_a_group_that_nothing_reaches_may_have_several_states():
    names = {"stim": TimedArray([0.0, 3.0], dt=5 * ms)}
    equations = "dv/dt = (stim(t) - v - u)/(10*ms) : 1\ndu/dt = (0.1*v - u)/(30*ms) : 1"
    cells = NeuronGroup(
        2, equations, threshold="v > 1", reset="v = 0; u += 0.1", method="euler", namespace=names
    )
    net = SpikingNetwork.from_brian2([cells], readout=Readout(2))
    monitor = SpikeMonitor(cells)
    Network(cells, monitor).run(40 * ms)
    steps, neurons = Engine(net, dtype="float64").simulate(given(steps=400)).spikes[cells.name][0]
    assert monitor.num_spikes > 4
    expected = np.rint(monitor.t / DT).astype(int)
    assert sorted(zip(steps, neurons, strict=True)) == sorted(zip(expected, monitor.i, strict=True))


# -- trials, machines, files -----------------------------------------------------------------------

CELL = NeuronModel(
    name="cell",
    equations="""dv/dt = (g + current(t) - gain(t, i)*v)/(10*ms) : volt
    dg/dt = -g/(3*ms) : volt""",
    threshold="v > 5*mV*limit(t)",
    reset="v -= 5*mV*limit(t)",
    method="exponential_euler",
    inputs=("g",),
    surrogate="0.3*clip(1 - abs(v - 5*mV*limit(t))/(10*mV), 0, 1)/(10*mV)",
    timed_arrays={
        "current": TimedArray(2 * CURRENT * mV, dt=2.5 * ms),
        "gain": TimedArray(random.uniform(0.5, 2, (20, 5)), dt=1.3 * ms),
        "limit": TimedArray([1.0, 0.8, 1.2], dt=10 * ms),
    },
)


def network(model=CELL, *, n=5, readout=None, noise="", **settings):
    equations = model.equations.replace("*v)/(10*ms)", f"*v)/(10*ms){noise}")
    model = dataclasses.replace(
        model, equations=equations, method="euler" if noise else model.method
    )
    return SpikingNetwork.from_graph(
        {"cells": Population(model, n)},
        [
            Projection("input", "cells", weight=12 * mV, delay=1 * ms),
            Projection("cells", "cells", weight=1 * mV, delay=0.5 * ms, learn=()),
        ],
        readout or Readout(2),
        input=Input(2),
        dt=DT,
        **settings,
    )


def test_each_trial_begins_at_zero_also_among_others_in_brian2():
    """With noise, whose draws are tables as well."""
    net, batch = network(noise=" + 2*mV*xi/(10*ms)**0.5"), given(2, 3)
    found = Engine(net, dtype="float64", threads=1).simulate(batch, draws=Draws(2))
    simulation = net.brian2(batch, record=("spikes",), draws=Draws(2))
    times = net.trial_times(batch)
    simulation.run(times.duration, namespace={})
    monitor = simulation["cells_spikes"]
    place = times.locate(monitor.t[:])
    for trial in range(3):
        here = place.trial == trial
        expected = sorted(zip(place.step[here], monitor.i[here], strict=True))
        assert len(expected) > 20
        assert sorted(zip(*found.spikes["cells"][trial], strict=True)) == expected


def test_the_kernels_and_single_precision_read_the_same():
    net, batch = network(), given(2, 2)
    plain, kernels = (
        kind(net, EProp(), CrossEntropy(), dtype="float64", **settings).run(batch, gradient=True)
        for kind, settings in ((Engine, {"threads": 1}), (CudaEngine, {"device": "processor"}))
    )
    assert plain.spikes["cells"] > 20
    np.testing.assert_array_equal(kernels.scores, plain.scores)
    for name, gradient in plain.gradient.items():
        np.testing.assert_allclose(kernels.gradient[name], gradient, rtol=1e-10)
    single = Engine(net, None, CrossEntropy(), dtype="float32").run(batch)
    np.testing.assert_allclose(single.scores, plain.scores, rtol=0.05, atol=1e-3)


def test_a_file_keeps_plain_arrays(tmp_path):
    net, batch = network(), given(2)
    net.save(tmp_path / "net.npz")
    with zipfile.ZipFile(tmp_path / "net.npz") as archive:
        assert "cells.timed.gain.npy" in archive.namelist()
        data = json.loads(archive.read("information.json"))
        assert "values" not in data["layers"][0]["model"]["timed_arrays"]["gain"]
    again = SpikingNetwork.load(tmp_path / "net.npz")
    for name, array in CELL.timed_arrays.items():
        np.testing.assert_array_equal(again.model("cells").timed_arrays[name].values, array.values)
    outputs = [Engine(one, dtype="float64").simulate(batch).output for one in (net, again)]
    assert outputs[0].any()
    np.testing.assert_array_equal(*outputs)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"shape": [2**40, 2**40]}, "claims arrays"),
        ({"shape": [20, -5]}, "in place of rows and columns"),
        ({"shape": [20, 5, 1]}, "in place of rows and columns"),
        ({"shape": [20, 6]}, "gain"),
        ({"dt": -1.0}, "dt of the TimedArray"),
        ({"dimensions": [1] * 7}, "cannot be read"),
        (None, "disagrees with itself about whether its models read TimedArrays"),
    ],
)
def test_a_file_that_was_changed_is_refused(tmp_path, change, what):
    network().save(tmp_path / "net.npz")
    with zipfile.ZipFile(tmp_path / "net.npz") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    data = json.loads(members["information.json"])
    arrays = data["layers"][0]["model"]["timed_arrays"]
    if change is None:
        arrays.clear()
    else:
        arrays["gain"] |= change
    members["information.json"] = json.dumps(data).encode()
    with zipfile.ZipFile(tmp_path / "bad.npz", "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(ValueError, match=what):
        SpikingNetwork.load(tmp_path / "bad.npz")


# -- gradients -------------------------------------------------------------------------------------


def test_eprop_in_brian2_has_the_gradient_of_the_engine():
    """Coefficients, threshold and pseudo-derivative that an array changes; two trials in one simulation."""
    net, batch = network(), given(2, 2)
    found = Engine(net, EProp(), CrossEntropy(), dtype="float64").run(batch, gradient=True)
    expected = OnlineBackend(net, EProp(), CrossEntropy()).run(batch, gradient=True)
    assert found.spikes["cells"] > 20
    for name, gradient in expected.gradient.items():
        assert np.any(gradient)
        np.testing.assert_allclose(found.gradient[name], gradient, rtol=1e-9, atol=1e-15)


def test_what_an_array_gives_at_a_reset_is_kept_for_the_next_step():
    slopes = step_map(dataclasses.replace(CELL, spike_gradient=("v",)))
    (lookup,) = (entry.name for entry in model_code(CELL).lookups if entry.array == "limit")
    (text,) = slopes.at_reset.values()
    assert lookup in text
    assert lookup not in slopes.jump["v"]


def test_backpropagation_goes_through_what_an_array_multiplies():
    """Differences, which are exact for a readout, and numpy's way back through a neuron."""
    leak = TimedArray(np.linspace(0.2, 3, 8), dt=3 * ms)
    readout = NeuronModel(
        name="readout",
        equations="dy/dt = -leak(t)*y/(10*ms) : 1",
        method="euler",
        inputs=("y",),
        timed_arrays={"leak": leak},
    )
    net = network(readout=Readout(2, model=readout, bias=False))
    batch, target = given(2), np.ones((300, 2))
    machine = Engine(net, BPTT(), MeanSquareError(), dtype="float64", threads=1)
    gradient = machine.run(batch, target, gradient=True).gradient["cells_to_readout.w"]
    weight = net.parameters["cells_to_readout.w"]
    for at in ((0, 0), (3, 1)):
        losses = []
        for sign in (1, -1):
            weight[at] += sign * 1e-4
            losses.append(machine.run(batch, target).loss)
            weight[at] -= sign * 1e-4
        assert gradient[at] == pytest.approx((losses[0] - losses[1]) / 2e-4, rel=1e-6)
        assert gradient[at] != 0


@dataclasses.dataclass(frozen=True)
class Driven(CurrentLIF):
    """``tau_m dv/dt = I + J(t) - v``, reset to 0.2 J(t), with a J that is held; a state is the time."""

    values: np.ndarray = None
    every: float = 0.0

    def start(self):
        return np.zeros((3, len(self.tau_m)))

    def _held(self, state):
        """J now, and for how long."""
        row = int(state[1, 0] / self.every + 1e-9)
        return self.values[min(row, len(self.values) - 1)], (row + 1) * self.every - state[1, 0]

    def _within(self, state, free, h, held):
        v, current = super().advance(np.array([state[0] - held, state[2]]), free, h)
        return np.array([v + held, state[1] + h, current])

    def _margin(self, state, free, begin, held, j):
        return lambda h: self._within(state, free, begin + h, held)[0, j] - self.v_th

    def advance(self, state, free, h):
        while h > 0:
            held, left = self._held(state)
            state = self._within(state, free, min(h, left), held)
            h -= left
        return state

    def crossing(self, state, free, horizon):
        passed = 0.0
        while passed < horizon:
            held, left = self._held(state)
            part = min(left, horizon - passed)
            times = np.linspace(0, part, 15)
            margin = np.array([self._within(state, free, h, held)[0] for h in times]) - self.v_th
            first = [
                (times[k] + root(self._margin(state, free, times[k], held, j), 0, times[1]), int(j))
                for k, j in np.argwhere((margin[1:] > 0) & (margin[:-1] <= 0))
            ]
            if first:
                time, who = min(first)
                return passed + time, who
            passed += part
            state = self._within(state, free, part, held)
        return np.inf, -1

    def slope(self, state, j):
        return state[2, j] + self._held(state)[0][j] - self.v_th

    def reset(self, state, j):
        state[0, j] = 0.2 * self._held(state)[0][j]


def test_eventprop_equals_differences_of_exact_events():
    case = lif_case(5, delays=True)
    values = np.random.default_rng(2).uniform(0, 1.0, (20, N))
    every = 15 * GRID
    plain = case.reference.layers[0]
    layer = Driven(plain.tau_m, plain.tau_s, values=values, every=every)
    reference = dataclasses.replace(case.reference, layers=(layer,))

    def model(layer):
        own = lif_model(layer)
        text = own.equations.replace("(I - v)", "(I + J(t, i) - v)")
        return dataclasses.replace(
            own,
            equations=text,
            reset="v = 0.2*J(t, i)",
            timed_arrays={"J": TimedArray(values, dt=every * second)},
        )

    case = case._replace(reference=reference, model=model)
    exact = simulate(case.reference, case.times, case.channels)
    machine = engine(case, GRID / 16, learn=("tau_m",))
    assert len(exact.spikes) >= 8
    assert grid_run(case, machine, GRID / 16).meetings() == exact.meetings()
    gradient = machine.run(trials(case, GRID / 16), gradient=True).gradient
    gradient["tau_m"] = gradient["hidden.tau_m"]
    for key in ("recurrent.w", "recurrent.delay", (0, "tau_m")):
        ours = gradient[key if isinstance(key, str) else "tau_m"]
        at = np.unravel_index(np.argsort(-np.abs(ours), axis=None)[:2], ours.shape)
        theirs = differences(case.reference, case.times, case.channels, LABEL, key, at=at)
        assert np.linalg.norm(theirs) > 0
        assert np.linalg.norm(ours[at] - theirs) < 0.03 * np.linalg.norm(theirs), key


# -- exports and refusals --------------------------------------------------------------------------


@pytest.mark.standalone
@pytest.mark.slow
def test_an_exported_program_spikes_the_same(tmp_path):
    net, batch = network(), given(2)
    project = make(export(net, tmp_path / "net", inputs=batch))
    run(project)
    found = Engine(net, dtype="float64", threads=1).simulate(batch).spikes["cells"][0]
    (program,) = read_results(project).spikes["cells"]
    steps = np.rint(program.t / DT).astype(int)
    assert len(steps) > 20
    assert sorted(zip(steps, program.i, strict=True)) == sorted(zip(*found, strict=True))


def strings(
    equations="dv/dt = (J(t) - v)/(10*ms) : 1", array=(1.0, 2.0), name="J", dt=1 * ms, **fields
):
    """A model with a TimedArray."""
    fields = {"threshold": "v > 1", "reset": "v = 0", "surrogate": "exp(-abs(v - 1))", **fields}
    arrays = {name: TimedArray(array, dt=dt)} if isinstance(array, tuple | list) else {name: array}
    return NeuronModel(equations=equations, timed_arrays=arrays, **fields)


def of(model, n=2, dt=DT):
    return SpikingNetwork.from_graph(
        {"cells": Population(model, n)},
        [Projection("input", "cells")],
        Readout(2),
        input=Input(1),
        dt=dt,
    )


def loaded(name):
    data = strings().to_dict()
    return NeuronModel.from_dict({**data, "timed_arrays": {name: data["timed_arrays"]["J"]}})


def in_synapses():
    cells = NeuronGroup(
        2, "dv/dt = -v/(10*ms) : 1", threshold="v > 1", reset="v = 0", method="exact"
    )
    names = {"J": TimedArray([1.0, 2.0], dt=1 * ms)}
    synapses = Synapses(cells, cells, on_pre="v += J(t)", namespace=names)
    synapses.connect()
    return SpikingNetwork.from_brian2([cells, synapses], readout=Readout(2))


def several(time):
    net = of(strings(f"dv/dt = (J({time}) - v)/(10*ms) : 1", method="euler"))
    return net.brian2(given(1, 2))


TWO = [[1.0, 2.0], [3.0, 4.0]]
FLOW = "dv/dt = (J(t, i) - v)/(10*ms) : 1"


@pytest.mark.parametrize(
    ("build", "what"),
    [
        (lambda: strings(array=np.ones(3)), "is a ndarray, no TimedArray"),
        (lambda: strings("dv/dt = -v/(10*ms) : 1"), "is not used in any string"),
        (lambda: strings("dv/dt = (J - v)/(10*ms) : 1"), "J"),
        (lambda: strings("dv/dt = (J(t, i) - v)/(10*ms) : 1"), "J"),
        (lambda: strings("dv/dt = (J(t) - v)/(10*ms) : 1", TWO), "J"),
        (lambda: strings("dv/dt = (J(t + v*ms) - v)/(10*ms) : 1", method="euler"), "reads 'v'"),
        (lambda: strings("dv/dt = (J(t, k) - v)/(10*ms) : 1\nk : 1", TWO), "reads 'k'"),
        (lambda: strings("dv/dt = (J(t, rand()) - v)/(10*ms) : 1", TWO), "reads 'rand'"),
        (lambda: strings("dv/dt = (exp(t) - v)/(10*ms) : 1", name="exp"), "another meaning"),
        (lambda: strings("dv/dt = (J_pre(t) - v)/(10*ms) : 1", name="J_pre"), "ends in '_pre'"),
        (lambda: strings("dv/dt = (_J(t) - v)/(10*ms) : 1", name="_J"), "another meaning"),
        (lambda: strings(array=[1.0, np.nan]), "not finite"),
        (lambda: loaded("J; x"), "must be an identifier"),
        (lambda: loaded("sin"), "another meaning"),
        (lambda: strings(dt=0 * ms), "dt of the TimedArray 'J'"),
        (lambda: strings(initial={"v": "J(t)"}), "reads a TimedArray"),
        (lambda: strings(name="J", array=TimedArray([1, 2] * mV, dt=1 * ms)), "unit"),
        (lambda: of(strings(FLOW, TWO), 3), r"reads column 2 for 3 neurons"),
        (lambda: strings(FLOW, TWO).group(3), r"reads column 2 for 3 neurons"),
        (lambda: of(strings("dv/dt = (J(t, i/2) - v)/(10*ms) : 1", TWO)), r"reads column 0.5"),
        (lambda: of(strings(dt=0.25 * ms)), "a time step of 0.25 ms, and dt is"),
        (lambda: of(strings(dt=0.05 * ms)), "a time step of 0.05 ms, and dt is"),
        (lambda: several("t - 1*ms"), "depends on the time t"),
        (in_synapses, "'J' is a TimedArray"),
        (lambda: EventProp().equations(strings()), "reads the TimedArray 'J'"),
        (lambda: BPTT().equations(strings()), "reads the TimedArray 'J'"),
        (
            lambda: Engine(of(strings(threshold="v > J(t)")), EventProp(), CrossEntropy()),
            "the threshold or the refractory period reads a TimedArray",
        ),
        (lambda: export(of(strings()), "x", inputs=given(1, 2)), "reads the TimedArray 'J'"),
        (
            lambda: export(of(strings()), "x", inputs=given(1, 1), rule=EProp()),
            "reads the TimedArray 'J'",
        ),
    ],
)
def test_what_cannot_be_is_refused(build, what):
    with pytest.raises((ValueError, TypeError), match=what):
        build()
