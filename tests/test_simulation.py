"""Simulations of networks: what a step means, many trials in one run, and stock Brian2 objects."""

from __future__ import annotations

import numpy as np
import pytest
from brian2 import Network, NeuronGroup, SpikeMonitor, Synapses, defaultclock, ms, nA, nS, prefs
from reference import network_numpy as oracle
from reference.networks import (
    CONDUCTANCE,
    CURRENT,
    N_IN,
    N_STEPS,
    N,
    network,
    raster,
    real_valued_network,
    simulate,
    spike_trials,
    spikes,
)

from neurosnn import NeuronModel, equations
from neurosnn.data import FrameTrials, SpikeTrials
from neurosnn.engine import Engine
from neurosnn.network import Input, Layer, Readout, SpikingNetwork

LIF = equations.LIF()


# -- what a step means ------------------------------------------------------------------------


def test_time_of_arrival_of_input_recurrent_spikes_and_readout():
    """An input spike of step 3 makes neuron 0 fire in step 4; its own delayed spike arrives in step 6."""
    net = SpikingNetwork(
        Input(1), Layer(LIF, 2, recurrent=True, delay=[2, 0] * ms), Readout(1, tau=10 * ms), seed=0
    )
    net.set_parameters({
        "input.w": [[1.5, 0.0]], "recurrent.w": [[0.0, 0.7], [0.0, 0.0]],
        "readout.w": [[2.0], [0.0]], "readout.b": [0.5],
    })  # fmt: skip
    trial = SpikeTrials(times=[3.4] * ms, units=[0], offsets=[0, 1], labels=[0], n_channels=1)[0]
    simulation = net.brian2(trial, record=["spikes", "I", "v", "output"])
    simulation.run(9 * ms, namespace={})
    states = simulation["hidden_states"]
    assert spikes(simulation["hidden_spikes"]) == [(4, 0)]
    np.testing.assert_array_equal(states.I[0], [0, 0, 0, 1.5, -1, 0, 0, 0, 0])
    np.testing.assert_array_equal(states.I[1], [0, 0, 0, 0, 0, 0, 0.7, 0, 0])
    np.testing.assert_allclose(states.v[1, 7:], 0.7 * np.exp(-np.arange(2) / 20), rtol=1e-14)
    expected = 0.5 + np.r_[np.zeros(4), 2 * np.exp(-np.arange(5) / 10)]
    np.testing.assert_allclose(simulation["readout_states"].output[0], expected, rtol=1e-14)


@pytest.mark.parametrize(
    ("name", "scale"), [("lif", 1.5), ("alif", 1.5), ("stdp_lif", 3), ("stdp_alif", 3)]
)
def test_equals_an_independent_simulation(name, scale):
    model = getattr(equations, name.upper())()
    net = network(model, layers=2, weight_scale=scale, delay=2 * ms, connectivity=0.6)
    net.parameters["readout.b"][:] = [0.1, 0.2, 0.3]
    decay = np.exp(-1 / 20)
    layer = oracle.Layer(N, name, alpha=decay, rho=np.exp(-1 / 200), beta=0.184, n_ref=2, gamma=0.3)
    index = {"input": oracle.INPUT, "hidden1": 0, "hidden2": 1}
    projections = [
        oracle.Projection(
            index[c.source], index[c.target], c.matrix().T, delay=int(c.delay[0]),
            mask=(c.matrix().T != 0).astype(float),
        )
        for c in net.connections.values() if c.target != "readout"
    ]  # fmt: skip
    weights = [net.parameters["readout1.w"].T, net.parameters["readout2.w"].T]
    reference = oracle.Network(
        [layer, layer],
        projections,
        weights,
        decay,
        b=net.parameters["readout.b"],
        bias_inside=False,
    )
    trials = spike_trials(1)
    expected = oracle.forward(reference, raster(trials, 0))
    simulation = simulate(net, trials[0])
    for k in range(2):
        step, neuron = np.nonzero(expected.z[k])
        assert len(set(neuron)) >= 0.2 * N
        assert spikes(simulation[f"hidden{k + 1}_spikes"]) == list(
            zip(step.tolist(), neuron.tolist(), strict=True)
        )
    output = simulation["readout_states"].output.T
    np.testing.assert_allclose(output, expected.y[: len(output)], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("model", "settings"),
    [
        (equations.LIF(), {}),
        (equations.LIF(), {"delay": 3 * ms}),
        (equations.ALIF(), {"delay": np.arange(N) % 4 * ms, "excitatory": 0.8}),
        (equations.STDP_ALIF(beta=np.linspace(0, 0.2, N)), {"connectivity": 0.5, "delay": 1 * ms}),
        (equations.Izhikevich(), {"weight_scale": 40.0, "delay": 2 * ms}),
        (CURRENT, {"weight_scale": 3 * nA, "delay": 2 * ms}),
        (CONDUCTANCE, {"weight_scale": 20 * nS, "delay": 2 * ms, "excitatory": 0.7}),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_many_trials_in_one_simulation_equal_one_simulation_each(model, settings):
    net, trials = network(model, layers=2, **settings), spike_trials()
    schedule = net.trial_times(trials)
    assert schedule.period == N_STEPS + net.max_delay
    together = simulate(net, trials)
    for k in range(len(trials)):
        alone = simulate(net, trials[k : k + 1])
        for layer in ("hidden1", "hidden2"):
            monitor = together[f"{layer}_spikes"]
            place = schedule.locate(monitor.t[:])
            assert not np.any(place.trial < 0)
            mine = place.trial == k
            found = list(zip(place.step[mine].tolist(), monitor.i[mine].tolist(), strict=True))
            assert found == spikes(alone[f"{layer}_spikes"])
            assert layer == "hidden2" or len({i for _, i in found}) >= 0.2 * N
        start = k * schedule.period
        length = alone["readout_states"].output.shape[1]
        np.testing.assert_array_equal(
            together["readout_states"].output[:, start : start + length],
            alone["readout_states"].output[:],
        )


def test_a_model_that_knows_the_time_runs_one_trial_only():
    model = NeuronModel(
        equations="dv/dt = (sin(2*pi*f*t) - v)/tau : 1",
        threshold="v > 1",
        reset="v = 0",
        method="euler",
        parameters={"f": 10 / (100 * ms), "tau": 10 * ms},
    )
    net, trials = network(model), spike_trials()
    simulate(net, trials[0])
    with pytest.raises(ValueError, match=r"depends on the time t.*Run one trial at a time"):
        net.brian2(trials)


def test_states_that_are_no_numbers_start_anew():
    model = NeuronModel(
        equations="dv/dt = -v/tau : 1\nfired : boolean\ncount : integer",
        threshold="v > 0.2 and count < 3",
        reset="fired = True\ncount += 1",
        parameters={"tau": 10 * ms},
    )
    net, trials = network(model), spike_trials(2)
    together = simulate(net, trials)
    place = net.trial_times(trials).locate(together["hidden_spikes"].t)  # the view as well as t[:]
    alone = spikes(simulate(net, trials[1:])["hidden_spikes"])
    assert N < len(alone) <= 3 * N
    assert np.sum(place.trial == 1) == len(alone)


def test_real_valued_input_arrives_when_a_spike_would():
    rng = np.random.default_rng(3)
    trials = FrameTrials(features=rng.normal(0, 2, (90, 4)), offsets=[0, 40, 60, 90], frame=1 * ms)
    net = real_valued_network(delay=1 * ms)
    schedule = net.trial_times(trials)
    np.testing.assert_array_equal(schedule.n_steps, [40, 20, 30])
    simulation = simulate(net, trials)
    place = schedule.locate(simulation["hidden_spikes"].t[:])
    assert len(set(simulation["hidden_spikes"].i[place.trial >= 0])) >= 0.2 * N
    for k in range(3):
        alone = net.brian2(trials[k], record=("spikes", "I", "x"))
        alone.run(net.trial_times(trials[k]).duration, namespace={})
        first = trials[k].features[0].astype(float)
        np.testing.assert_allclose(
            alone["hidden_states"].I[:, 0], first @ net.parameters["input.w"], rtol=1e-12
        )
        np.testing.assert_array_equal(alone["input_states"].x.T, trials[k].features)
        mine = place.trial == k
        found = list(
            zip(
                place.step[mine].tolist(), simulation["hidden_spikes"].i[mine].tolist(), strict=True
            )
        )
        assert found == spikes(alone["hidden_spikes"])


def test_neurons_of_two_populations_in_one_layer():
    """beta = 0 makes LIF neurons among ALIF ones."""
    beta = np.repeat([0.0, 0.5], N // 2)
    mixed = network(equations.ALIF(beta=beta), recurrent=False, weight_scale=3.0)
    plain = network(equations.LIF(), recurrent=False, weight_scale=3.0)
    trial = spike_trials(1)[0]
    found, lif = (spikes(simulate(net, trial)["hidden_spikes"]) for net in (mixed, plain))
    first = [event for event in lif if event[1] < N // 2]
    assert len(first) > N
    assert [event for event in found if event[1] < N // 2] == first
    assert 0 < len(found) < len(lif)


def test_schedule_of_one_trial_of_several_and_of_events_after_the_end():
    net = network(delay=2 * ms)
    assert net.trial_times(spike_trials(1)[0]).period in (N_STEPS - 1, N_STEPS)
    schedule = net.trial_times(spike_trials(3))
    assert (schedule.period, schedule.duration) == (N_STEPS + 2, 3 * (N_STEPS + 2) * ms)
    place = schedule.locate(np.array([0, 59, 60, 61, 62, 200]))
    np.testing.assert_array_equal(place.trial, [0, 0, -1, -1, 1, -1])
    np.testing.assert_array_equal(place.step[:5], [0, 59, 60, 61, 0])
    np.testing.assert_array_equal(schedule.locate([62] * ms).trial, [1])
    assert net.steps(2.0004 * ms) == 2
    assert net.steps(2.1 * ms) == 3


# -- stock Brian2 objects ---------------------------------------------------------------------


def test_the_objects_are_brian2s_and_keep_the_time_step_of_the_network():
    net = SpikingNetwork(Input(N_IN), Layer(LIF, N, recurrent=True), Readout(3), dt=0.5 * ms)
    simulation = net.brian2(spike_trials(2), record=["spikes", "v"])
    assert isinstance(simulation["hidden"], NeuronGroup)
    assert isinstance(simulation["recurrent"], Synapses)
    assert isinstance(simulation["hidden_spikes"], SpikeMonitor)
    assert {"input", "readout", "input_synapses", "readout_synapses"} <= {
        o.name for o in simulation.objects
    }
    restart = {"hidden_restart", "readout_restart"}
    dts = {float(o.clock.dt) for o in simulation.sorted_objects if o.name not in restart}
    assert dts == {0.5e-3}
    assert float(defaultclock.dt) == pytest.approx(1e-4)
    assert simulation.schedule == ["start", "groups", "thresholds", "synapses", "resets", "end"]
    with pytest.raises(KeyError):
        net.brian2()["hidden_spikes"]


def test_a_user_can_add_objects_of_their_own():
    net, trial = network(), spike_trials(1)[0]
    simulation = net.brian2(trial)
    monitor = SpikeMonitor(simulation["hidden"])
    simulation.add(monitor)
    simulation.run(N_STEPS * ms, namespace={})
    assert spikes(monitor) == spikes(simulate(net, trial)["hidden_spikes"])
    assert monitor.num_spikes > N


def test_single_precision():
    simulation = network().brian2(dtype=np.float32)
    assert simulation["hidden"].v[:].dtype == np.float32
    assert simulation["recurrent"].w[:].dtype == np.float32


@pytest.mark.cython
def test_cython_gives_the_same_spikes():
    """Of a network with few objects, since Cython compiles each of them for one or two seconds."""
    net = SpikingNetwork(Input(N_IN), Layer(LIF, N, weight_scale=3), Readout(2), seed=2)
    trials = spike_trials(2)
    prefs["codegen.target"] = "numpy"
    simulation = net.brian2(trials, record=("spikes",))
    hidden = Network([one for one in simulation.objects if "readout" not in one.name])
    prefs["codegen.target"] = "cython"
    hidden.run(net.trial_times(trials).duration, namespace={})
    found = spikes(simulation["hidden_spikes"])
    prefs["codegen.target"] = "numpy"
    assert found == spikes(simulate(net, trials)["hidden_spikes"])
    assert len(found) > N


def test_a_model_may_have_a_variable_called_w():
    adex = NeuronModel(
        equations="dv/dt = (-v - w)/tau_m : 1\ndw/dt = (0.1*v - w)/(5*tau_m) : 1",
        threshold="v > 1",
        reset="v = 0\nw += 0.1",
        method="euler",
        parameters={"tau_m": 20 * ms},
    )
    net = SpikingNetwork(Input(2), Layer(adex, 3, recurrent=True), Readout(2))
    simulation = net.brian2()
    np.testing.assert_array_equal(
        simulation["recurrent"].neurosnn_w[:], net.parameters["recurrent.w"][~np.eye(3, dtype=bool)]
    )
    simulation.run(3 * ms, namespace={})


def test_given_connections_that_act_on_two_variables():
    model = NeuronModel(
        equations="dv/dt = (g - v)/(10*ms) : 1\ndg/dt = -g/(5*ms) : 1",
        threshold="v > 1",
        reset="v = 0",
        inputs=("v", "g"),
        method="euler",
    )
    parts = (Input(4), Layer(model, 3), Readout(2))
    drawn = SpikingNetwork(*parts)
    drawn.connections["input"].channel[:] = [0, 1, 0, 1]
    drawn.connections["input"].w[:] = 1.3
    net = SpikingNetwork(*parts, connections=drawn.connections)
    trial = SpikeTrials(
        times=np.arange(1, 21) * 1e-3,
        units=np.arange(20) % 4,
        offsets=[0, 20],
        labels=[0],
        n_channels=4,
        duration=30 * ms,
    )
    simulation = net.brian2(trial, record=("spikes",))
    simulation.run(30 * ms, namespace={})
    counts = Engine(net, dtype="float64").simulate(trial).counts["hidden"]
    assert counts.sum() == simulation["hidden_spikes"].num_spikes > 10
