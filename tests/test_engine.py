"""The engine against stock Brian2, and its promises about threads, sparsity and parameters."""

import dataclasses
import os

import numpy as np
import pytest
from brian2 import ms
from engine_cases import SCALE, USER_WRITTEN, spike_trials

from neurosnn import NeuronModel, equations
from neurosnn.data import FrameTrials, SpikeTrials
from neurosnn.engine import Engine
from neurosnn.losses import CrossEntropy, CrossEntropyPerStep
from neurosnn.network import Input, Layer, Readout, SpikingNetwork
from neurosnn.rules.eprop import EProp
from neurosnn.rules.eventprop import EventProp


def network(model, name="", *, n=20, layers=2, delays=True, connectivity=1.0, dt=1 * ms):
    delay = np.arange(n) % 4 * dt if delays else 0 * dt
    parts = [
        Layer(
            model,
            n,
            recurrent=True,
            delay=delay,
            connectivity=connectivity,
            weight_scale=float(SCALE.get(name, 1.5)),
        )
        for _ in range(layers)
    ]
    net = SpikingNetwork(Input(30), *parts, Readout(3), dt=dt, seed=1)
    if name == "conductance":
        for key, w in net.parameters.items():
            if not key.startswith("readout"):
                np.abs(w, out=w)
    return net


def brian_spikes(net, trials, draws=None):
    """(trial, step, neuron) of every spike, and the output, of the stock Brian2 network."""
    simulation = net.brian2(trials, record=("spikes", "output"), draws=draws)
    schedule = net.trial_times(trials)
    simulation.run(schedule.duration, namespace={})
    spikes = {}
    for layer in net.layers:
        monitor = simulation[f"{layer.name}_spikes"]
        place = schedule.locate(monitor.t[:])
        events = zip(place.trial, place.step, monitor.i[:], strict=True)
        spikes[layer.name] = sorted(event for event in events if event[0] >= 0)
    return spikes, np.asarray(simulation["readout_states"].output).T, schedule.period


@pytest.mark.parametrize("name", USER_WRITTEN)
def test_spikes_of_two_layers_equal_stock_brian2(name):
    """Named neurons: test_contract.py."""
    net, trials = network(USER_WRITTEN[name], name), spike_trials(1)
    expected, output, period = brian_spikes(net, trials)
    result = Engine(net, dtype="float64").simulate(trials)
    for layer in net.layers:
        counts = result.counts[layer.name].sum(axis=0)
        assert (counts > 0).mean() >= 0.2, f"{layer.name} is silent"
        ours = sorted(
            (k, step, neuron)
            for k, (steps, neurons) in enumerate(result.spikes[layer.name])
            for step, neuron in zip(steps, neurons, strict=True)
        )
        assert ours == expected[layer.name]
    for k in range(len(trials)):
        part = output[k * period : k * period + result.n_steps[k]]
        np.testing.assert_allclose(result.output[k, : len(part)], part, rtol=1e-12, atol=1e-12)


def test_spikes_of_more_than_64_neurons_equal_stock_brian2():
    """The engine looks for the spikes of 64 neurons at once."""
    net = network(equations.LIF(), n=150, layers=1)
    trials = spike_trials(1, n_steps=60, rate=60)
    (expected,) = brian_spikes(net, trials)[0].values()
    (trial,) = Engine(net, dtype="float64").simulate(trials).spikes[net.layers[0].name]
    ours = sorted((0, step, neuron) for step, neuron in zip(*trial, strict=True))
    assert ours == expected
    fired = {neuron // 32 for _, _, neuron in ours}
    assert fired == set(range(5)), "some of the neurons are silent"


def test_a_rest_of_three_steps_lasts_three_steps():
    """0.3 ms / 0.1 ms is 2.9999999999999996."""
    net = network(equations.STDP_LIF(t_ref=0.3 * ms), n=4, layers=1, dt=0.1 * ms)
    net.parameters["input.w"][...] = 2.0
    rng = np.random.default_rng(3)
    trials = SpikeTrials(
        times=np.sort(rng.uniform(0, 0.02, 400)),
        units=rng.integers(0, 30, 400),
        offsets=[0, 400],
        labels=[0],
        n_channels=30,
        duration=20 * ms,
    )
    expected, _, _ = brian_spikes(net, trials)
    steps, neurons = Engine(net, dtype="float64").simulate(trials).spikes["hidden"][0]
    assert sorted(zip([0] * len(steps), steps, neurons, strict=True)) == expected["hidden"]
    for neuron in range(4):
        assert np.diff(steps[neurons == neuron]).min() == 3


def test_states_are_those_of_a_state_monitor():
    net, trials = network(equations.ALIF(), layers=1), spike_trials(1, n_steps=100)
    result = Engine(net, dtype="float64").simulate(
        trials, record=(("hidden", "v"), ("hidden", "a"))
    )
    simulation = net.brian2(trials, record=("v", "a"))
    simulation.run(net.trial_times(trials).duration, namespace={})
    monitor = simulation["hidden_states"]
    # the monitor reads at the end of a step, the engine at the start of the next
    for variable in ("v", "a"):
        ours = result.states["hidden", variable][0, 1:]
        np.testing.assert_allclose(ours, getattr(monitor, variable).T[:99], rtol=1e-12, atol=1e-14)
        assert np.abs(ours).max() > 0.5


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_number_of_threads_changes_no_bit(dtype):
    net, trials = network(equations.STDP_ALIF()), spike_trials(37, n_steps=120, rate=40)
    results = [
        Engine(net, EProp(), CrossEntropy(), dtype=dtype, threads=threads).run(
            trials, gradient=True
        )
        for threads in (1, 2, 3, 8)
    ]
    for other in results[1:]:
        assert other.loss == results[0].loss
        for key, value in results[0].gradient.items():
            assert np.abs(value).max() > 0
            np.testing.assert_array_equal(other.gradient[key], value)


def test_gradient_is_the_mean_over_the_trials():
    net, trials = network(equations.ALIF()), spike_trials(5, n_steps=150, rate=40)
    engine = Engine(net, EProp(), CrossEntropy(), dtype="float64")
    together = engine.run(trials, gradient=True).gradient
    alone = [engine.run(trials[k : k + 1], gradient=True).gradient for k in range(5)]
    for key, value in together.items():
        np.testing.assert_allclose(
            value, np.mean([g[key] for g in alone], axis=0), rtol=1e-12, atol=1e-16
        )


@pytest.mark.parametrize(
    ("model", "rule", "larger", "steps"),
    # EventProp adds up full matrices in pieces of 1024 steps
    [(equations.ALIF(), EProp(), 1.0, 150), (equations.CurrentLIF(), EventProp(), 4.0, 1100)],
)
def test_sparse_connections_give_the_same_gradient(monkeypatch, model, rule, larger, steps):
    net, trials = network(model, connectivity=0.25), spike_trials(3, n_steps=steps, rate=60)
    for w in net.parameters.values():
        w *= larger
    sparse = Engine(net, rule, CrossEntropy(), dtype="float64").run(trials, gradient=True)
    monkeypatch.setattr("neurosnn.engine.backend.SPARSE_BELOW", 0.0)
    dense = Engine(net, rule, CrossEntropy(), dtype="float64").run(trials, gradient=True)
    assert sparse.spikes == dense.spikes
    for key, value in dense.gradient.items():
        assert np.abs(value).max() > 0
        if key.endswith(".w"):
            assert value.shape == net.parameters[key].shape
        np.testing.assert_allclose(sparse.gradient[key], value, rtol=1e-12, atol=1e-16)


@pytest.mark.parametrize("connectivity", [1.0, 0.25])
def test_real_valued_input(connectivity):
    rng = np.random.default_rng(0)
    lengths = np.array([40, 60])
    trials = FrameTrials(
        features=rng.normal(size=(100, 5)).astype(np.float32),
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        labels=rng.integers(0, 3, 100),
        frame=1 * ms,
    )
    net = SpikingNetwork(
        Input(5, real_valued=True),
        Layer(equations.ALIF(), 12, recurrent=True, connectivity=connectivity, weight_scale=2.0),
        Readout(3),
        seed=2,
    )
    engine = Engine(net, EProp(), CrossEntropyPerStep(), dtype="float64")
    result = engine.run(trials, gradient=True)
    assert result.spikes["hidden"] > 20
    assert result.total == 100
    assert all(np.abs(value).max() > 0 for value in result.gradient.values())
    expected, _, _ = brian_spikes(net, trials)
    simulated = engine.simulate(trials)
    ours = [
        (k, step, neuron)
        for k, (steps, neurons) in enumerate(simulated.spikes["hidden"])
        for step, neuron in zip(steps, neurons, strict=True)
    ]
    assert sorted(ours) == expected["hidden"]


def test_parameters_per_trial_and_per_neuron():
    trials = spike_trials(3, n_steps=200, rate=40)
    tau = np.array([0.005, 0.02, 0.08])
    net = network(equations.LIF(), layers=1)
    swept = Engine(net, dtype="float64").simulate(trials, parameters={("hidden", "tau_m"): tau})
    for k in range(3):
        alone = network(equations.LIF(tau_m=float(tau[k]) * 1000 * ms), layers=1)
        expected = Engine(alone, dtype="float64").simulate(trials[k : k + 1])
        np.testing.assert_array_equal(swept.counts["hidden"][k], expected.counts["hidden"][0])
    assert len(set(swept.counts["hidden"].sum(axis=1))) == 3
    per_neuron = network(equations.LIF(tau_m=np.linspace(5, 50, 20) * ms), layers=1)
    expected, _, _ = brian_spikes(per_neuron, trials)
    counts = Engine(per_neuron, dtype="float64").simulate(trials).counts["hidden"]
    assert counts.sum() == len(expected["hidden"]) > 50


def test_initial_values_per_trial():
    trials = spike_trials(2, n_steps=20, rate=1)
    net = network(equations.LIF(), layers=1)
    initial = np.zeros((2, 20))
    initial[1] = 5.0
    counts = (
        Engine(net, dtype="float64").simulate(trials, initial={("hidden", "v"): initial}).counts
    )
    assert counts["hidden"][0].sum() < counts["hidden"][1].sum()


def test_names_of_the_model_do_not_clash_with_those_of_the_engine():
    awkward = NeuronModel(
        equations="dstep/dt = -step/b : 1\nn = 2*step : 1",
        threshold="n > real",
        reset="step = 0",
        inputs=("step",),
        surrogate="clip(1 - abs(n - real), 0, 1)",
        parameters={"b": 20 * ms, "real": 1.0},
    )
    net, trials = network(awkward, layers=1), spike_trials(1, n_steps=100)
    expected, _, _ = brian_spikes(net, trials)
    engine = Engine(net, EProp(), CrossEntropy(), dtype="float64")
    assert engine.run(trials, gradient=True).spikes["hidden"] == len(expected["hidden"]) > 5


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"surrogate": ""}, "no surrogate"),
        ({"threshold": "v > 1 and v < 2"}, "margin of one comparison"),
        ({"method": "gsl"}, "taken by the GSL library"),
        ({"equations": "dv/dt = -v/tau_m + poisson(1)/tau_m : 1", "method": "euler"}, "random"),
    ],
)
def test_what_has_no_gradient_is_refused(change, reason):
    fields = {
        "equations": "dv/dt = -v/tau_m : 1",
        "threshold": "v > 1",
        "reset": "v = 0",
        "surrogate": "clip(1 - abs(v - 1), 0, 1)",
        "parameters": {"tau_m": 20 * ms},
    }
    net = network(NeuronModel(**{**fields, **change}), layers=1)
    with pytest.raises(ValueError, match=reason):
        Engine(net, EProp(), CrossEntropy())


def test_wrong_trials_are_refused():
    net = network(equations.LIF(), layers=1)
    engine = Engine(net, EProp(), CrossEntropy())
    with pytest.raises(ValueError, match="31 channels"):
        engine.run(spike_trials(1, n_channels=31))
    with pytest.raises(ValueError, match="no trials"):
        engine.run(spike_trials(1)[:0])
    with pytest.raises(ValueError, match="labels reach"):
        engine.run(dataclasses.replace(spike_trials(1), labels=np.array([3])))
    with pytest.raises(ValueError, match="dtype must be"):
        Engine(net, dtype="float16")
    with pytest.raises(ValueError, match="no layer 'hiden'"):
        Engine(net, learn={"hiden": ("tau_m",)})
    with pytest.raises(ValueError, match="not a parameter"):
        Engine(net, learn={"hidden": ("tau",)})
    with pytest.raises(ValueError, match="no rule was given"):
        Engine(net, None, CrossEntropy()).run(spike_trials(1), gradient=True)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_history_too_long_for_any_memory_is_refused(threads):
    n, n_steps = 4_000_000, 5_000_000  # more bytes than a process can address
    net = SpikingNetwork(Input(1), Layer(equations.LIF(), n), Readout(1))
    trials = SpikeTrials(
        times=[0.1],
        units=[0],
        offsets=[0, 1, 1],
        labels=[0, 0],
        n_channels=1,
        duration=n_steps * ms,
    )
    engine = Engine(net, EProp(), CrossEntropy(), dtype="float64", threads=threads)
    with pytest.raises(MemoryError, match="not enough memory for one trial per thread"):
        engine.run(trials, gradient=True)


def test_without_a_compiler(monkeypatch):
    monkeypatch.setattr("neurosnn.engine.build.compiler", lambda: None)
    with pytest.raises(RuntimeError, match=r"no C\+\+ compiler was found"):
        Engine(network(equations.LIF(), layers=1))


def test_two_processes_may_build_at_once(tmp_path, monkeypatch):
    monkeypatch.setenv("NEUROSNN_CACHE", str(tmp_path))
    children = []
    for _ in range(2):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                Engine(network(equations.LIF(), layers=1))
                status = 0
            finally:
                os._exit(status)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]
    assert sorted(path.suffix for path in (tmp_path / "engine").iterdir()) == [".json", ".so"]


def test_optimization_changes_no_bit_in_float64(monkeypatch):
    """The tests compile without any, users with all of it."""
    found = []
    for flags in ("-O0", ""):
        monkeypatch.setenv("NEUROSNN_CXXFLAGS", flags)
        net = network(equations.ALIF(), layers=1)
        engine = Engine(net, EProp(), CrossEntropy(), dtype="float64")
        found.append(engine.run(spike_trials(2, n_steps=200, rate=40), gradient=True))
    assert found[0].spikes == found[1].spikes
    assert found[0].spikes["hidden"] > 100
    assert found[0].loss == found[1].loss
    for name, array in found[0].gradient.items():
        assert np.abs(array).max() > 0
        np.testing.assert_array_equal(found[1].gradient[name], array)
