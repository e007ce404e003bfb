"""Several named inputs: equal to one input with all channels, and to hand-written Brian2."""

import dataclasses

import numpy as np
import pytest
from brian2 import (
    Network,
    NeuronGroup,
    SpikeGeneratorGroup,
    SpikeMonitor,
    Synapses,
    ms,
)
from export_cases import make, run

from neurosnn import (
    BPTT,
    CrossEntropy,
    CrossEntropyPerStep,
    EProp,
    EventProp,
    Input,
    NeuronModel,
    Population,
    Projection,
    Readout,
    SpikingNetwork,
    Trainer,
    equations,
    export,
    read_results,
    write_inputs,
)
from neurosnn.data import FrameTrials, SpikeTrials, join_channels
from neurosnn.engine.backend import Engine
from neurosnn.network.simulation import read_inputs
from neurosnn.rules.base import Rule
from neurosnn.rules.eprop.network import GIVEN, Errors, LearningNetwork

EARS, EYES, N = 7, 5, 8
EXACT = {"dtype": "float64", "threads": 1}


def trials(n, seed, n_trials=3, n_steps=60, rate=0.2):
    raster = np.random.default_rng(seed).random((n_trials, n_steps, n)) < rate
    trial, step, channel = np.nonzero(raster)
    return SpikeTrials(
        times=step * ms,
        units=channel,
        offsets=np.searchsorted(trial, range(n_trials + 1)),
        labels=np.arange(n_trials) % 2,
        n_channels=n,
        duration=n_steps * ms,
    )


def both(**settings):
    return join_channels(trials(EARS, 0, **settings), trials(EYES, 1, **settings))


def connected(source, n_pre, k, **settings):
    """A projection with listed synapses: half of all, from the channels of one of two inputs."""
    rng = np.random.default_rng(k)
    pre, post = np.nonzero(rng.random((n_pre, N)) < 0.6)
    first = EARS if source == "input" and n_pre == EYES else 0
    return Projection(
        source,
        "E",
        name=f"c{k}",
        connectivity=(pre + first, post),
        weight=rng.normal(0.9, 1.2, len(pre)),
        delay=rng.integers(0, 5, len(pre)) * ms if k == 1 else 0 * ms,
        **settings,
    )


def network(named, synapse=None):
    """Ears and eyes that act on one population, as two inputs or as parts of one."""
    sources = ("ears", "eyes") if named else ("input", "input")
    inputs = {"ears": Input(EARS), "eyes": Input(EYES)} if named else Input(EARS + EYES)
    return SpikingNetwork.from_graph(
        {"E": Population(equations.CurrentLIF(), N)},
        [
            connected(sources[0], EARS, 0),
            connected(sources[1], EYES, 1),
            connected(sources[1], EYES, 2, synapse=synapse),
            Projection("E", "E", delay=2 * ms),
        ],
        Readout(2),
        input=inputs,
        seed=3,
    )


RULES = [EProp(), BPTT(), EventProp()]


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_two_inputs_are_the_channels_of_one(rule: Rule):
    data = both()
    states = None if isinstance(rule, EventProp) else equations.TsodyksMarkram()
    one, two = (
        Engine(network(named, states), rule, CrossEntropy(), **EXACT).run(data, gradient=True)
        for named in (False, True)
    )
    assert one.spikes["E"] > 60
    assert one.loss == two.loss
    np.testing.assert_array_equal(one.counts["E"], two.counts["E"])
    assert one.gradient.keys() == two.gradient.keys()
    for name, expected in one.gradient.items():
        assert np.any(expected), name
        np.testing.assert_array_equal(two.gradient[name], expected, err_msg=name)


def test_brian2_and_online_e_prop_have_a_group_for_each_input():
    net, data = network(True), both(n_trials=2, n_steps=40)
    rule = EProp()
    engine = Engine(net, rule, CrossEntropy(), **EXACT)
    online = rule.online(net, CrossEntropy()).run(data, gradient=True)
    result = engine.run(data, gradient=True)
    assert result.spikes == online.spikes
    for name, expected in online.gradient.items():
        assert np.any(expected), name
        np.testing.assert_allclose(result.gradient[name], expected, rtol=1e-9, atol=1e-13)
    simulation = net.brian2(data, record=["spikes"])
    assert (simulation["ears"].N, simulation["eyes"].N) == (EARS, EYES)
    times = net.trial_times(data)
    simulation.run(times.duration, namespace={})
    place = times.locate(simulation["E_spikes"].t[:])
    spikes = engine.simulate(data).spikes["E"]
    for k, (step, neuron) in enumerate(spikes):
        np.testing.assert_array_equal(place.step[place.trial == k], step)
        np.testing.assert_array_equal(simulation["E_spikes"].i[:][place.trial == k], neuron)


def test_online_arrivals_are_in_the_order_of_the_projections():
    """Sums whose last digit tells the order, and names whose order is the other one."""
    adder = NeuronModel(
        equations="v : 1", threshold="v > 1e9", reset="", inputs="v", surrogate="0.1*v"
    )
    net = SpikingNetwork.from_graph(
        {"E": Population(adder, N)},
        [
            Projection("ears", "E", name="z", weight_scale=3),
            Projection("eyes", "E", name="y", learn=(), weight_scale=7),
            Projection("ears", "E", name="x", weight_scale=11, delay=1 * ms),
        ],
        Readout(2),
        input={"ears": Input(EARS), "eyes": Input(EYES)},
    )
    data, rule = both(n_trials=1), EProp()
    inputs = read_inputs(net, data, idle=1)
    errors = Errors(GIVEN, np.zeros(100), np.zeros((100, 2)))
    learning = LearningNetwork(net, rule, inputs, errors, feedback={})
    learning.network.run(60 * ms, namespace={})
    result = Engine(net, **EXACT).simulate(data, record=(("E", "v"),))
    last = result.states["E", "v"][0][-1]
    simulation = net.brian2(data, record=["v"])
    simulation.run(59 * ms, namespace={})
    np.testing.assert_array_equal(simulation["E_states"].v[:, -1], last)
    monitor = learning.groups["E"].v[:]
    last_step = net.brian2(data, record=["v"])
    last_step.run(60 * ms, namespace={})
    np.testing.assert_array_equal(monitor, last_step["E_states"].v[:, -1])


def test_the_sources_of_a_script_are_inputs_of_their_names():
    ears, eyes = trials(EARS, 0, n_trials=1), trials(EYES, 1, n_trials=1)
    tau = 10 * ms  # noqa: F841  # the equations read it
    objects = {
        name: SpikeGeneratorGroup(t.n_channels, t.units, t.times * 1e3 * ms, dt=1 * ms, name=name)
        for name, t in (("ears", ears), ("eyes", eyes))
    }
    cells = NeuronGroup(
        N,
        "dv/dt = -v/tau : 1",
        threshold="v > 1",
        reset="v = 0",
        method="exact",
        name="cells",
        dt=1 * ms,
    )
    made = []
    for k, (name, delay) in enumerate((("ears", 1), ("eyes", 3))):
        synapses = Synapses(
            objects[name],
            cells,
            "w : 1",
            on_pre="v_post += w",
            delay=delay * ms,
            dt=1 * ms,
            name=f"from_{name}",
        )
        synapses.connect("(i + j) % 3 != 0")
        synapses.w = np.random.default_rng(k).uniform(0, 0.8, len(synapses.i))
        made.append(synapses)
    monitor = SpikeMonitor(cells)
    script = Network(*objects.values(), cells, *made, monitor)
    net = SpikingNetwork.from_brian2(
        script, readout=Readout(2), inputs=["eyes", "ears"], learn="from_ears.w"
    )
    assert {name: one.n for name, one in net.inputs.items()} == {"eyes": EYES, "ears": EARS}
    assert net.channels("ears") == slice(EYES, EYES + EARS)
    assert net.connections["from_ears"].source == "ears"
    script.run(60 * ms)
    assert monitor.num_spikes > 30
    step, neuron = Engine(net, **EXACT).simulate(join_channels(eyes, ears)).spikes["cells"][0]
    np.testing.assert_array_equal(step, np.rint(monitor.t / ms))
    np.testing.assert_array_equal(neuron, monitor.i)


def test_several_inputs_are_shown_saved_and_trained(tmp_path):
    net, data = network(True, equations.TsodyksMarkram()), both()
    for shown in (repr(net), net._repr_html_()):
        assert shown.index("ears") < shown.index("eyes")
    trainer = Trainer(net, BPTT(), threads=1)
    trainer.fit(data, epochs=1)
    net.save(tmp_path / "net.npz")
    loaded = SpikingNetwork.load(tmp_path / "net.npz")
    assert repr(loaded) == repr(net)
    assert loaded.channels("eyes") == slice(EARS, EARS + EYES)
    first, second = (Engine(one, **EXACT).simulate(data) for one in (net, loaded))
    assert first.counts["E"].sum() > 60
    np.testing.assert_array_equal(first.output, second.output)


@pytest.mark.standalone
@pytest.mark.slow
def test_an_exported_program_reads_the_spikes_of_each_input(tmp_path):
    net, data, other = network(True), both(n_trials=2), both(n_trials=2, rate=0.3)
    program = make(export(net, tmp_path / "net", inputs=data))
    files = write_inputs(program, tmp_path / "other", other)
    assert {path.name for path in files.iterdir()} == {
        *(f"{name}.{part}.npy" for name in ("ears", "eyes") for part in "it"),
        "trials.npy",
    }
    for trials_, arguments in ((data, ()), (other, ("--input", files, "--out", "results_2"))):
        run(program, *arguments)
        folder = program / arguments[-1] if arguments else program
        spikes = read_results(folder).spikes["E"]
        for k, (step, neuron) in enumerate(Engine(net, **EXACT).simulate(trials_).spikes["E"]):
            assert len(step) > 20
            np.testing.assert_array_equal(np.rint(spikes[k].t / ms), step)
            np.testing.assert_array_equal(spikes[k].i, neuron)


@pytest.mark.parametrize("rule", RULES[1:], ids=repr)
def test_real_values_enter_through_several_inputs(rule: Rule):
    rng = np.random.default_rng(5)
    features = rng.normal(size=(60, EARS + EYES))
    frames = FrameTrials(
        features=features, offsets=[0, 38, 60], labels=np.arange(60) % 2, frame=1 * ms
    )
    w = rng.normal(2.0, 6.0, (EARS + EYES, N))

    def made(inputs, *projections):
        return SpikingNetwork.from_graph(
            {"E": Population(equations.CurrentLIF(), N)}, projections, Readout(2), input=inputs
        )

    one = made(Input(EARS + EYES, real_valued=True), Projection("input", "E", weight=w))
    two = made(
        {"ears": Input(EARS, real_valued=True), "eyes": Input(EYES, real_valued=True)},
        Projection("ears", "E", name="a", weight=w[:EARS]),
        Projection("eyes", "E", name="b", weight=w[EARS:]),
    )
    two.set_parameters({"E_to_readout.w": one.parameters["E_to_readout.w"]})
    expected, result = (
        Engine(net, rule, CrossEntropyPerStep(), **EXACT).run(frames, gradient=True)
        for net in (one, two)
    )
    assert expected.spikes["E"] > 20
    assert expected.spikes == result.spikes
    both_rows = np.vstack([result.gradient["a.w"], result.gradient["b.w"]])
    assert np.any(both_rows)
    np.testing.assert_allclose(both_rows, expected.gradient["input_to_E.w"], rtol=1e-9, atol=1e-15)
    simulation = two.brian2(frames, record=["spikes"])
    times = two.trial_times(frames)
    simulation.run(times.duration, namespace={})
    place = times.locate(simulation["E_spikes"].t[:])
    assert (place.trial >= 0).sum() == result.spikes["E"]


def test_sets_with_other_trials_are_not_put_side_by_side():
    one = trials(3, 0)
    frames = FrameTrials(
        features=np.arange(8.0).reshape(4, 2), offsets=[0, 4], labels=[0] * 4, frame=ms
    )
    np.testing.assert_array_equal(
        join_channels(frames, frames).features, np.hstack([frames.features, frames.features])
    )
    with pytest.raises(ValueError, match="differ in n_trials"):
        join_channels(one, one[:2])
    with pytest.raises(ValueError, match="differ in labels"):
        join_channels(one, dataclasses.replace(one, labels=[1, 1, 1]))
    with pytest.raises(TypeError, match="join_channels"):
        join_channels(one, frames)


@pytest.mark.parametrize(
    ("inputs", "projection", "what"),
    [
        ({}, ("ears", "E"), "empty mapping"),
        ({"ears": 3}, ("ears", "E"), "no Input"),
        ({"my ears": Input(3)}, ("ears", "E"), "name of an input"),
        ({"ears": Input(3)}, ("input", "E"), "no source 'input'"),
        ({"ears": Input(3), "eyes": Input(2)}, ("eras", "E"), "Did you mean 'ears'"),
        ({"ears": Input(3), "eyes": Input(2, real_valued=True)}, ("ears", "E"), "real-valued"),
        ({"ears": Input(3), "eyes": Input(2, delay=1 * ms)}, ("ears", "E"), "'eyes' has delays"),
        ({"E": Input(3)}, ("E", "E"), "name 'E' is that of the input"),
        ({"E_to_readout": Input(3)}, ("E", "E"), "'E_to_readout' of an input"),
        ({"readout": Input(3)}, ("E", "E"), "the readout"),
        ({"ears": Input(3)}, ("ears", "readout"), "'ears' goes to the readout"),
    ],
)
def test_inputs_that_cannot_be_are_refused(inputs, projection, what):
    with pytest.raises((ValueError, TypeError)) as refused:
        SpikingNetwork.from_graph(
            {"E": Population(equations.LIF(), 3)},
            [Projection(*projection)],
            Readout(2),
            input=inputs,
        )
    assert what in str(refused.value)
    with pytest.raises(KeyError, match="ears"):
        network(True).channels("ear")


def test_two_projections_of_one_name_are_refused_whatever_it_is():
    with pytest.raises(ValueError, match="two projections are called 'input'"):
        SpikingNetwork.from_graph(
            {"E": Population(equations.LIF(), 3)},
            [Projection("input", "E", name="input"), Projection("E", "E", name="input")],
            Readout(2),
            input=Input(2),
        )
