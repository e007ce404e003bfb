"""Synapses that change their own weights in a network: spikes and weights of stock Brian2."""

import dataclasses

import numpy as np
import pytest
from brian2 import (
    Network,
    NeuronGroup,
    SpikeGeneratorGroup,
    SpikeMonitor,
    Synapses,
    defaultclock,
    ms,
    mV,
    prefs,
)

from neurosnn import (
    BPTT,
    Input,
    PlasticityRule,
    Population,
    Projection,
    Readout,
    SpikingNetwork,
    equations,
)
from neurosnn.calculus.changing import changing_code
from neurosnn.cuda import CudaEngine
from neurosnn.data import SpikeTrials
from neurosnn.engine import Engine
from neurosnn.losses import CrossEntropy

prefs.codegen.target = "numpy"
N_IN, N = 12, 6
STEPS = 600


def source_spikes():
    random = np.random.default_rng(4)
    steps, neurons = np.nonzero(random.random((STEPS, N_IN)) < 0.02)
    return steps, neurons


def given():
    steps, neurons = source_spikes()
    return SpikeTrials(
        times=steps * 0.1 * ms,
        units=neurons,
        offsets=[0, len(steps)],
        labels=[0],
        n_channels=N_IN,
        duration=STEPS * 0.1 * ms,
    )


def diehl_cook(delays=False):
    """Diehl & Cook 2015, smaller: learning on the way in, adaptive thresholds, lateral inhibition."""
    steps, neurons = source_spikes()
    source = SpikeGeneratorGroup(N_IN, neurons, steps * 0.1 * ms, name="source")
    excitatory = NeuronGroup(
        N,
        """dv/dt = (-65*mV - v + ge*(0*mV - v) + gi*(-100*mV - v))/(20*ms) : volt (unless refractory)
           dge/dt = -ge/(1*ms) : 1
           dgi/dt = -gi/(2*ms) : 1
           dtheta/dt = -theta/(500*ms) : volt""",
        threshold="v > theta - 52*mV",
        reset="v = -65*mV; theta += 0.5*mV",
        refractory=5 * ms,
        method="euler",
        name="excitatory",
    )
    inhibitory = NeuronGroup(
        N,
        """dv/dt = (-60*mV - v + ge*(0*mV - v))/(10*ms) : volt (unless refractory)
           dge/dt = -ge/(1*ms) : 1""",
        threshold="v > -40*mV",
        reset="v = -45*mV",
        refractory=2 * ms,
        method="euler",
        name="inhibitory",
    )
    excitatory.v, inhibitory.v = -65 * mV, -60 * mV
    learning = Synapses(
        source,
        excitatory,
        """w : 1
           upper : 1 (constant)
           dnear/dt = -near/(20*ms) : 1 (event-driven)
           dlate/dt = -late/(20*ms) : 1 (event-driven)
           dlater/dt = -later/(40*ms) : 1 (event-driven)""",
        on_pre="ge_post += w; near = 1.0; w = clip(w - 0.02*late, 0, upper)",
        on_post="before = later; w = clip(w + 0.2*near*before, 0, upper); late = 1.0; later = 1.0",
        name="learning",
    )
    learning.connect()
    random = np.random.default_rng(1)
    learning.w = random.uniform(2, 5, N_IN * N)
    learning.upper = random.uniform(4, 6, N_IN * N)
    if delays:
        learning.pre.delay = random.integers(0, 30, N_IN * N) * 0.1 * ms
    if delays == "both":
        learning.post.delay = random.integers(0, 20, N_IN * N) * 0.1 * ms
    if delays == "post":
        learning.post.delay = 1.25 * ms
    forward = Synapses(excitatory, inhibitory, on_pre="ge += 10.4", name="forward")
    forward.connect(j="i")
    back = Synapses(inhibitory, excitatory, on_pre="gi += 1.5", name="back")
    back.connect("i != j")
    return source, excitatory, inhibitory, learning, forward, back


@pytest.mark.parametrize("delays", [False, True, "post", "both"])
def test_a_script_that_learns_runs_as_it_stands(delays):
    made = diehl_cook(delays)
    net = SpikingNetwork.from_brian2(made, readout=Readout(2))
    assert "learning.w" not in net.parameters
    monitors = [SpikeMonitor(group) for group in made[1:3]]
    before = made[3].w[:].copy()
    Network(*made, *monitors).run(STEPS * 0.1 * ms, namespace={})
    result = Engine(net, dtype="float64", threads=1).simulate(given())
    for monitor in monitors:
        steps, neurons = result.spikes[monitor.source.name][0]
        expected = np.rint(monitor.t / defaultclock.dt).astype(int)
        assert len(expected) > 10
        assert sorted(zip(steps, neurons, strict=True)) == sorted(
            zip(expected, monitor.i[:], strict=True)
        )
    after = made[3].w[:]
    assert np.mean(after != before) > 0.5
    assert np.any(after > before)
    assert np.any(after < before)
    np.testing.assert_allclose(result.weights["learning"][0], after, rtol=1e-12)


def test_its_brian2_objects_do_the_same():
    net = SpikingNetwork.from_brian2(diehl_cook("both"), readout=Readout(2))
    simulation = net.brian2(given(), record="spikes")
    simulation.run(STEPS * 0.1 * ms, namespace={})
    result = Engine(net, dtype="float64", threads=1).simulate(given())
    monitor = simulation["excitatory_spikes"]
    steps, neurons = result.spikes["excitatory"][0]
    expected = np.rint(monitor.t / defaultclock.dt).astype(int)
    assert sorted(zip(steps, neurons, strict=True)) == sorted(
        zip(expected, monitor.i[:], strict=True)
    )
    np.testing.assert_allclose(result.weights["learning"][0], simulation["learning"].w, rtol=1e-12)


def test_a_file_keeps_values_of_synapses_in_any_order(tmp_path):
    """The arrays of a projection need not be sorted; a file has them in the order of the connection."""
    random = np.random.default_rng(3)
    order = random.permutation(20)
    pre, post = order // 4, order % 4
    rule = dataclasses.replace(
        RULE,
        on_pre="I_post += w\na += 1",
        initial={"a": np.arange(20.0) / 20},
        delays={"post": np.arange(20) * 0.1 * ms},
    )
    net = SpikingNetwork.from_graph(
        {"F": Population(equations.CurrentLIF(), 4)},
        [
            Projection(
                "input", "F", synapse=rule, connectivity=(pre, post), weight=np.ones(20), learn=()
            )
        ],
        Readout(2),
        input=Input(5),
        dt=0.1 * ms,
    )
    synapse = net.connections["input_to_F"].synapse
    np.testing.assert_array_equal(synapse.initial["a"][pre * 4 + post], np.arange(20.0) / 20)
    np.testing.assert_allclose(synapse.delays["post"][pre * 4 + post] / ms, np.arange(20) * 0.1)
    net.save(tmp_path / "net.npz")
    again = SpikingNetwork.load(tmp_path / "net.npz").connections["input_to_F"].synapse
    assert again.to_dict() == synapse.to_dict()


def test_neurons_of_both_sides_are_read():
    """A rule that follows the membrane of both neurons at its spikes."""
    steps, neurons = source_spikes()
    source = SpikeGeneratorGroup(N_IN, neurons, steps * 0.1 * ms, name="source")
    text = "dv/dt = -v/(10*ms) : 1\ndx/dt = -x/(15*ms) : 1"
    group = {"threshold": "v > 1", "reset": "v = 0; x += 1", "method": "exact"}
    first, second = (
        NeuronGroup(5, text, name="first", **group),
        NeuronGroup(4, text, name="second", **group),
    )
    arrive = Synapses(source, first, on_pre="v += 0.6", name="arrive")
    arrive.connect("(i + j) % 2 == 0")
    moving = Synapses(
        first,
        second,
        "w : 1",
        on_pre="v_post += w; w += 0.05*(x_post - 0.3)",
        on_post="w += 0.02*x_pre*v_post",
        delay=0.5 * ms,
        name="moving",
    )
    moving.connect("i != j")
    moving.w = "0.5 + 0.02*i"
    made = source, first, second, arrive, moving
    net = SpikingNetwork.from_brian2(made, readout=Readout(2))
    monitor = SpikeMonitor(second)
    Network(*made, monitor).run(STEPS * 0.1 * ms, namespace={})
    result = Engine(net, dtype="float64", threads=1).simulate(given())
    expected = np.rint(monitor.t / defaultclock.dt).astype(int)
    assert len(expected) > 10
    steps, neurons = result.spikes["second"][0]
    assert sorted(zip(steps, neurons, strict=True)) == sorted(
        zip(expected, monitor.i[:], strict=True)
    )
    order = np.lexsort((moving.j[:], moving.i[:]))
    np.testing.assert_allclose(result.weights["moving"][0], moving.w[:][order], rtol=1e-12)


def test_each_trial_begins_with_the_weights_of_the_network(tmp_path):
    net = SpikingNetwork.from_brian2(diehl_cook(), readout=Readout(2))
    trials = SpikeTrials(
        times=np.concatenate([given().times] * 2),
        units=np.concatenate([given().units] * 2),
        offsets=[0, len(given().units), 2 * len(given().units)],
        labels=[0, 1],
        n_channels=N_IN,
        duration=STEPS * 0.1 * ms,
    )
    result = Engine(net, dtype="float64", threads=1).simulate(trials)
    np.testing.assert_array_equal(result.weights["learning"][0], result.weights["learning"][1])
    net.save(tmp_path / "net.npz")
    again = Engine(SpikingNetwork.load(tmp_path / "net.npz"), dtype="float64").simulate(given())
    np.testing.assert_array_equal(again.weights["learning"][0], result.weights["learning"][0])


RULE = PlasticityRule(
    equations="w : 1\nda/dt = -a/(20*ms) : 1 (event-driven)",
    on_pre="g_post += w\na += 1",
    on_post="w += a",
)


def changed(**fields):
    return Projection("E", "F", synapse=dataclasses.replace(RULE, **fields), learn=())


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda: Projection("E", "F", synapse=RULE), "Two rules would move one weight"),
        (lambda: changed(equations="w : 1\nda/dt = -a/(20*ms) : 1 (clock-driven)"), "clock-driven"),
        (lambda: changed(step="w *= 0.9"), "code in each step"),
        (lambda: changed(initial={"w": 1.0}), "an initial weight"),
        (lambda: changed(delays={"pre": 1 * ms}), "delayed presynaptic pathways"),
        (lambda: changed(orders={"post": -3}), "another order"),
        (lambda: changed(on_post="w += a*rand()"), "it reads 'rand'"),
        (lambda: changed(on_post="w += a; g_post += w"), "writes to|write to g_post"),
        (lambda: changed(on_pre="a += 1", transmission=None), "write to no neuron"),
        (lambda: changed(equations="w : 1\na : integer"), "'a' is integer"),
        (lambda: engine(BPTT(), CrossEntropy()), "change their own weights"),
        (lambda: network().brian2(two_trials()), "Pass one trial"),
        (lambda: CudaEngine(network(), device="processor"), "states of their own"),
    ],
)
def test_what_such_synapses_cannot_have_is_refused(make, what):
    with pytest.raises(ValueError, match=what):
        make()


def network():
    return SpikingNetwork.from_brian2(
        diehl_cook(),
        readout=Readout(2),
        surrogate="0*v/(1*mV)/mV",
    )


def engine(*settings):
    return Engine(network(), *settings)


def two_trials():
    return SpikeTrials(
        times=[0.001, 0.002],
        units=[0, 1],
        offsets=[0, 1, 2],
        labels=[0, 1],
        n_channels=N_IN,
        duration=3 * ms,
    )


def test_the_strings_are_those_of_the_rule():
    code = changing_code(RULE)
    assert code.variables == ("w", "a")
    assert code.target == "g"
    assert code.read == ()


@pytest.mark.parametrize(
    "inputs", [{"input": Input(N_IN)}, {"ears": Input(4), "eyes": Input(N_IN - 4)}]
)
def test_a_named_rule_learns_between_populations(inputs):
    """It leaves open what a spike adds to: the first input, or that of the projection."""
    rule = equations.PairSTDP()
    *others, source = inputs
    net = SpikingNetwork.from_graph(
        {"E": Population(equations.LIF(), 5)},
        [Projection(name, "E", weight=0.7, learn=()) for name in others]
        + [Projection(source, "E", name="input_to_E", synapse=rule, weight=0.7, learn=())],
        Readout(2),
        input=inputs,
        dt=0.1 * ms,
    )
    simulation = net.brian2(given(), record="spikes")
    simulation.run(STEPS * 0.1 * ms, namespace={})
    result = Engine(net, dtype="float64", threads=1).simulate(given())
    monitor = simulation["E_spikes"]
    steps, neurons = result.spikes["E"][0]
    expected = np.rint(monitor.t / defaultclock.dt).astype(int)
    assert len(expected) > 10
    assert sorted(zip(steps, neurons, strict=True)) == sorted(
        zip(expected, monitor.i[:], strict=True)
    )
    synapses = simulation["input_to_E_synapses"]
    assert np.ptp(synapses.w) > 0
    np.testing.assert_allclose(result.weights["input_to_E"][0], synapses.w, rtol=1e-12)
