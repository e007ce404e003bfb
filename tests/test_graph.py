"""Graphs of populations: equal to a stack, to one merged layer, and to hand-written Brian2."""

import dataclasses

import numpy as np
import pytest
from brian2 import Network, NeuronGroup, SpikeGeneratorGroup, SpikeMonitor, Synapses, mm, ms, mV

from neurosnn import (
    BPTT,
    SGD,
    Adam,
    CrossEntropy,
    EProp,
    EventProp,
    Input,
    Layer,
    NeuronModel,
    Population,
    Projection,
    Readout,
    SpikingNetwork,
    Trainer,
    equations,
)
from neurosnn.data import SpikeTrials
from neurosnn.engine.backend import Engine
from neurosnn.study import Uniform
from neurosnn.training.checkpoint import network_fingerprint
from neurosnn.training.online import OnlineTraining

N_IN, N_E, N_I = 15, 9, 4
N = N_E + N_I
TAU = np.r_[np.full(N_E, 20.0), np.full(N_I, 10.0)]


def trials(n_trials=3, n_steps=60, rate=0.15, n=N_IN):
    raster = np.random.default_rng(0).random((n_trials, n_steps, n)) < rate
    trial, step, channel = np.nonzero(raster)
    return SpikeTrials(
        times=step * ms,
        units=channel,
        offsets=np.searchsorted(trial, range(n_trials + 1)),
        labels=np.arange(n_trials) % 2,
        n_channels=n,
        duration=n_steps * ms,
    )


def excitatory_inhibitory(learn=("w",), delays=(2, 1)):
    """Two populations that feed back on each other; delays in steps, one for each source."""
    to_others = {"E": delays[0] * ms, "I": delays[1] * ms}
    return SpikingNetwork.from_graph(
        {
            "E": Population(equations.CurrentLIF(tau_m=20 * ms), N_E),
            "I": Population(equations.CurrentLIF(tau_m=10 * ms), N_I),
        },
        [
            Projection("input", "E", weight_scale=3, weight_mean=0.5),
            Projection("input", "I", name="fast", connectivity=0.4, weight_scale=4),
            Projection("E", "E", in_degree=3, delay=to_others["E"]),
            Projection("E", "I", connectivity=0.6, delay=to_others["E"], sign=1, weight_scale=5),
            Projection("I", "E", delay=to_others["I"], sign=-1, weight_scale=2, learn=learn),
        ],
        Readout(2),
        input=Input(N_IN),
        seed=3,
    )


def merged(net, delays=(2, 1)):
    """The same neurons as one recurrent layer, its weights put together from the projections."""
    layer = Layer(
        equations.CurrentLIF(tau_m=TAU * ms),
        N,
        recurrent=True,
        delay=np.repeat(delays, [N_E, N_I]) * ms,
    )
    one = SpikingNetwork(Input(N_IN), layer, Readout(2))
    c = {name: connection.matrix() for name, connection in net.connections.items()}
    recurrent = np.zeros((N, N))
    recurrent[:N_E, :N_E], recurrent[:N_E, N_E:] = c["E_to_E"], c["E_to_I"]
    recurrent[N_E:, :N_E] = c["I_to_E"]
    one.set_parameters(
        {
            "input.w": np.hstack([c["input_to_E"], c["fast"]]),
            "recurrent.w": recurrent,
            "readout.w": np.vstack([c["E_to_readout"], c["I_to_readout"]]),
            "readout.b": net.parameters["readout.b"],
        }
    )
    return one


def of_merged(net, gradient):
    """The gradient of the merged layer, by the names of the graph."""
    w, r, out = gradient["input.w"], gradient["recurrent.w"], gradient["readout.w"]
    full = {
        "input_to_E": w[:, :N_E],
        "fast": w[:, N_E:],
        "E_to_E": r[:N_E, :N_E],
        "E_to_I": r[:N_E, N_E:],
        "I_to_E": r[N_E:, :N_E],
        "E_to_readout": out[:N_E],
        "I_to_readout": out[N_E:],
    }
    return {
        f"{name}.w": matrix if not c.sparse else matrix[c.pre, c.post]
        for (name, matrix), c in ((item, net.connections[item[0]]) for item in full.items())
    }


@pytest.mark.parametrize("rule", [EProp(), BPTT(rate_strength=0.01), EventProp()], ids=repr)
def test_a_graph_has_the_spikes_and_gradients_of_the_same_neurons_in_one_layer(rule):
    net = excitatory_inhibitory()
    data = trials()
    settings = {"dtype": "float64", "threads": 1}
    graph = Engine(net, rule, CrossEntropy(), **settings).run(data, gradient=True)
    one = Engine(merged(net), rule, CrossEntropy(), **settings).run(data, gradient=True)
    assert min(graph.spikes.values()) > 30
    np.testing.assert_array_equal(
        np.concatenate([graph.counts["E"], graph.counts["I"]]), one.counts["hidden"]
    )
    assert graph.loss == pytest.approx(one.loss, rel=1e-12)
    for name, expected in of_merged(net, one.gradient).items():
        assert np.abs(expected).max() > 0, name
        np.testing.assert_allclose(
            graph.gradient[name], expected, rtol=1e-9, atol=1e-12 * np.abs(expected).max()
        )
    if isinstance(rule, EventProp):  # what the spikes of a neuron are worth if they come later
        late = graph.gradient["E_to_E.delay"] + graph.gradient["E_to_I.delay"]
        np.testing.assert_allclose(late, one.gradient["recurrent.delay"][:N_E], rtol=1e-9)


def test_a_stack_is_the_graph_of_its_layers():
    delays = np.arange(6) % 3 * ms
    stack = SpikingNetwork(
        Input(N_IN),
        Layer(equations.ALIF(), 6, recurrent=True, delay=delays, connectivity=0.7),
        Layer(equations.LIF(), 5, weight_mean=0.3),
        Readout(2),
        seed=4,
    )
    graph = SpikingNetwork.from_graph(
        {"hidden1": Population(equations.ALIF(), 6), "hidden2": Population(equations.LIF(), 5)},
        [
            Projection("input", "hidden1", connectivity=0.7),
            Projection("hidden1", "hidden1", connectivity=0.7, delay=delays),
            Projection("hidden1", "hidden2", delay=delays, weight_mean=0.3),
        ],
        Readout(2),
        input=Input(N_IN),
        seed=4,
    )
    pairs = list(zip(stack.connections.values(), graph.connections.values(), strict=True))
    assert len(pairs) == 5
    for one, other in pairs:
        np.testing.assert_array_equal(one.w, other.w)
        np.testing.assert_array_equal(one.delay, other.delay)
    data = trials()
    results = [
        Engine(net, BPTT(), CrossEntropy(), dtype="float64", threads=1).run(data, gradient=True)
        for net in (stack, graph)
    ]
    assert results[0].spikes["hidden2"] > 20
    assert results[0].spikes == results[1].spikes
    for one, other in pairs:
        np.testing.assert_array_equal(
            results[0].gradient[f"{one.name}.w"], results[1].gradient[f"{other.name}.w"]
        )


@pytest.mark.parametrize("feedback", ["symmetric", "random"])
def test_online_e_prop_of_a_graph_gives_the_gradient_of_the_engine(feedback):
    net = excitatory_inhibitory(learn=())
    net = SpikingNetwork.from_graph(
        {layer.name: layer for layer in net.layers},
        [p for p in net.projections if p.target != "readout"],
        Readout(2, of="E"),
        input=Input(N_IN),
        seed=3,
    )
    data, rule = trials(n_trials=2, n_steps=40), EProp(feedback=feedback)
    engine = Engine(net, rule, CrossEntropy(), dtype="float64", threads=1).run(data, gradient=True)
    online = rule.online(net, CrossEntropy()).run(data, gradient=True)
    assert engine.spikes == online.spikes
    assert min(engine.spikes.values()) > 20
    assert engine.gradient.keys() == online.gradient.keys() == net.parameters.keys()
    for name, expected in online.gradient.items():
        # what the readout does not read learns from feedback of its own, or not at all
        assert expected.any() == (feedback == "random" or name not in ("E_to_I.w", "fast.w"))
        np.testing.assert_allclose(engine.gradient[name], expected, rtol=1e-9, atol=1e-13)


def test_the_spikes_of_a_graph_are_those_of_a_brian2_script():
    net = excitatory_inhibitory()
    data = trials(n_trials=1)
    equation = """dv/dt = (I - v)/tau_m : 1
                  dI/dt = -I/tau_s : 1"""
    _, step, channel = data.steps(net.dt)
    objects = {"input": SpikeGeneratorGroup(N_IN, channel, step * ms, dt=1 * ms)}
    for layer in net.layers:
        constants = {name: layer.model.parameters[name] for name in ("tau_m", "tau_s")}
        v_th = layer.model.parameters["v_th"]
        assert not layer.model.refractory
        objects[layer.name] = NeuronGroup(
            layer.n,
            equation,
            threshold="v >= v_th",
            reset="v = 0",
            method="exact",
            dt=1 * ms,
            namespace={**constants, "v_th": v_th},
        )
    made = list(objects.values())
    for order, c in enumerate(net.connections.values()):
        if c.target == "readout":
            continue
        synapses = Synapses(
            objects[c.source],
            objects[c.target],
            "w : 1",
            on_pre="I_post += w",
            dt=1 * ms,
            order=order,
            delay=int(c.delay[0]) * ms,
        )
        i, j = np.nonzero(c.matrix())
        synapses.connect(i=i, j=j)
        synapses.w = c.matrix()[i, j]
        made.append(synapses)
    monitors = {name: SpikeMonitor(objects[name]) for name in ("E", "I")}
    Network(*made, *monitors.values()).run(60 * ms)
    result = Engine(net, dtype="float64", threads=1).simulate(data)
    simulation = net.brian2(data, record=["spikes"])
    simulation.run(net.trial_times(data).duration, namespace={})
    for name, monitor in monitors.items():
        assert monitor.num_spikes > 20
        steps, neurons = result.spikes[name][0]
        np.testing.assert_array_equal(np.rint(monitor.t / ms), steps)
        np.testing.assert_array_equal(monitor.i, neurons)
        np.testing.assert_array_equal(simulation[f"{name}_spikes"].i, neurons)


# -- which synapses exist -----------------------------------------------------------------------


def drawn(n_pre=6, n_post=8, *, same=False, **settings):
    """One projection between two populations with positions."""
    place = equations.LIF()
    model = NeuronModel(
        equations=f"{place.equations}\nx : meter (constant)",
        **{
            name: getattr(place, name)
            for name in (
                "threshold",
                "reset",
                "refractory",
                "step",
                "method",
                "inputs",
                "surrogate",
            )
        },
        parameters={**place.parameters, "x": np.arange(n_pre) * mm},
    )
    other = NeuronModel(
        equations=model.equations,
        **{
            name: getattr(place, name)
            for name in (
                "threshold",
                "reset",
                "refractory",
                "step",
                "method",
                "inputs",
                "surrogate",
            )
        },
        parameters={**place.parameters, "x": np.arange(n_post) * 0.7 * mm},
    )
    net = SpikingNetwork.from_graph(
        {"A": Population(model, n_pre), "B": Population(other, n_post)},
        [
            Projection("input", "A"),
            Projection("A", "A" if same else "B", name="drawn", **settings),
        ],
        Readout(2),
        input=Input(3),
    )
    return net, net.connections["drawn"]


@pytest.mark.parametrize(
    "condition",
    [
        "abs(x_pre - x_post) < 1.5*mm",
        "i != j and not (i % 2 == 0 or j // 3 == 1)",
        "i + 1 == j or N_pre - i == N_post - j",
        "int(exp(-((x_pre - x_post)/(2*mm))**2) > 0.6) == 1",
    ],
)
@pytest.mark.parametrize("same", [False, True])
def test_a_condition_makes_the_synapses_that_brian2_makes(condition, same):
    net, connection = drawn(same=same, connectivity=condition, autapses=True)
    namespace = {"N_pre": 6, "N_post": 6 if same else 8}
    groups = {}
    for name, layer in (("A", net.layers[0]), ("B", net.layers[1])):
        groups[name] = NeuronGroup(layer.n, "x : meter")
        groups[name].x = layer.model.parameters["x"]
    synapses = Synapses(groups["A"], groups["A" if same else "B"], namespace=namespace)
    synapses.connect(condition=condition)
    assert 0 < len(synapses.i) < 40
    np.testing.assert_array_equal(connection.pre, synapses.i)
    np.testing.assert_array_equal(connection.post, synapses.j)


def test_random_conditions_and_in_degrees_follow_the_seed():
    _, likely = drawn(60, 80, connectivity="rand() < 0.3")
    _, again = drawn(60, 80, connectivity="rand() < 0.3")
    assert abs(likely.n_synapses / 4800 - 0.3) < 0.03  # four standard deviations are 0.026
    np.testing.assert_array_equal(likely.post, again.post)
    _, chosen = drawn(60, same=True, in_degree=7)
    assert not np.any(chosen.pre == chosen.post)
    np.testing.assert_array_equal(np.bincount(chosen.post), 7)
    assert len(set(zip(chosen.pre, chosen.post, strict=True))) == 7 * 60
    assert set(np.unique(chosen.pre)) == set(range(60))


def test_weights_can_be_given_in_the_unit_of_the_target():
    leak = NeuronModel(
        equations="dv/dt = -v/(10*ms) : volt", threshold="v > 5*mV", reset="v = 0*mV", inputs="v"
    )
    make = {"A": Population(leak, 3), "B": Population(leak, 2)}
    net = SpikingNetwork.from_graph(
        make,
        [
            Projection("input", "A", weight=4 * mV),
            Projection("A", "B", connectivity=([2, 0, 1], [1, 1, 0]), weight=[1, 2, 3] * mV),
            Projection("B", "A", weight=np.arange(6).reshape(2, 3) * mV, learn=()),
        ],
        Readout(2),
        input=Input(2),
    )
    np.testing.assert_allclose(net.parameters["input_to_A.w"], 4e-3)
    matrix = [[0, 2e-3], [3e-3, 0], [0, 1e-3]]
    np.testing.assert_allclose(net.connections["A_to_B"].matrix(), matrix)
    np.testing.assert_allclose(net.connections["B_to_A"].w[1, 2], 5e-3)
    assert "B_to_A.w" not in net.parameters


# -- learning, files ----------------------------------------------------------------------------


def test_fixed_projections_stay_and_the_rest_learns(tmp_path):
    net = excitatory_inhibitory(learn=(), delays=(np.arange(N_E) % 4, 1))
    before = {name: c.w.copy() for name, c in net.connections.items()}
    trainer = Trainer(net, EventProp(), optimizer=Adam(0.01), weight_bounds=(-0.1, 0.1), threads=1)
    trainer.fit(trials(8), epochs=2, batch_size=4, checkpoint=tmp_path / "c.npz")
    assert "I_to_E.w" not in net.parameters
    for name, connection in net.connections.items():
        same = np.array_equal(connection.w, before[name])
        assert same == (name == "I_to_E"), name
    net.save(tmp_path / "net.npz")
    loaded = SpikingNetwork.load(tmp_path / "net.npz")
    assert repr(loaded) == repr(net)
    for name, connection in net.connections.items():
        other = loaded.connections[name]
        for field in ("w", "mask", "pre", "post", "delay", "channel", "sign"):
            np.testing.assert_array_equal(getattr(connection, field), getattr(other, field))
        assert (connection.plastic, connection.dimensions) == (other.plastic, other.dimensions)
    data = trials()
    one, two = (Engine(n, dtype="float64", threads=1).simulate(data) for n in (net, loaded))
    np.testing.assert_array_equal(one.output, two.output)


def with_fixed(net, names):
    """The same network, in which some projections do not learn."""
    projections = [
        dataclasses.replace(p, learn=()) if p.name in names else p for p in net.projections
    ]
    populations = {layer.name: layer for layer in net.layers}
    return SpikingNetwork.from_graph(
        populations, projections, net.readout, input=net.input, dt=net.dt, seed=net.seed
    )


@pytest.mark.parametrize("rule", [EProp(), BPTT(rate_strength=0.01), EventProp()], ids=repr)
def test_fixed_projections_have_no_sums_of_gradients_and_change_no_bit_of_the_others(rule):
    all_learn, names = excitatory_inhibitory(), ("input_to_E", "fast", "E_to_I", "I_to_E")
    some = with_fixed(all_learn, names)
    engines = [
        Engine(net, rule, CrossEntropy(), dtype="float64", threads=1) for net in (all_learn, some)
    ]
    one, two = (engine.run(trials(), gradient=True) for engine in engines)
    assert one.spikes == two.spikes
    assert min(one.spikes.values()) > 30
    assert one.gradient.keys() - two.gradient.keys() == {f"{name}.w" for name in names}
    for name, gradient in two.gradient.items():
        assert np.any(gradient), name
        np.testing.assert_array_equal(gradient, one.gradient[name], err_msg=name)
    for engine, there in zip(engines, (True, False), strict=True):
        source = engine._source()
        assert all((f"g.d_{name}" in source) == there for name in names)
        assert "g.d_E_to_E" in source
    if isinstance(rule, EventProp):
        return
    # nothing that is learned acts through neurons whose synapses all stay
    hidden = [name for name in all_learn.connections if "readout" not in name]
    engine = Engine(with_fixed(all_learn, hidden), rule, CrossEntropy(), dtype="float64", threads=1)
    result = engine.run(trials(), gradient=True)
    assert result.gradient.keys() == {"E_to_readout.w", "I_to_readout.w", "readout.b"}
    for name, gradient in result.gradient.items():
        np.testing.assert_array_equal(gradient, one.gradient[name], err_msg=name)
    assert "layer0.backward(step" in engines[0]._source()
    assert "layer0.backward(step" not in engine._source()


def test_a_checkpoint_belongs_to_the_fixed_weights_and_the_projections():
    base = network_fingerprint(excitatory_inhibitory(learn=()))
    assert base == network_fingerprint(excitatory_inhibitory(learn=()))
    other = excitatory_inhibitory(learn=())
    other.connections["I_to_E"].w[0, 0] *= 2
    turned = excitatory_inhibitory(learn=())
    turned.connections["fast"].target = "E"
    assert len({base, network_fingerprint(other), network_fingerprint(turned)}) == 3


def test_fixed_projections_stay_in_a_program_that_learns():
    net = excitatory_inhibitory(learn=())
    before = net.connections["I_to_E"].w.copy()
    training = OnlineTraining(
        net,
        EProp(),
        trials(n_trials=1, n_steps=20),
        loss="cross_entropy_per_step",
        optimizer=SGD(0.1),
    )
    training.run()
    assert training.parameters.keys() == net.parameters.keys()
    assert not np.array_equal(training.parameters["E_to_E.w"], net.parameters["E_to_E.w"])
    (synapses,) = training.synapses["I_to_E"]
    np.testing.assert_array_equal(synapses.w[:], before.ravel())
    assert set(synapses.equations.names) == {"w"}  # no traces
    assert set(training.synapses["E_to_E"][0].equations.names) > {"w"}


def test_a_projection_learns_its_delays(tmp_path):
    projections = list(excitatory_inhibitory().projections)
    learned = Projection("E", "I", sign=1, weight_scale=5, delay=2.3 * ms, learn=("w", "delay"))
    net = SpikingNetwork.from_graph(
        {layer.name: layer for layer in excitatory_inhibitory().layers},
        [learned if p.name == "E_to_I" else p for p in projections],
        Readout(2),
        input=Input(N_IN),
    )
    assert net.parameters["E_to_I.delay"].shape == (N_E,)
    trainer = Trainer(net, EventProp(), optimizer=Adam(0.01, factors={"*.delay": 20}), threads=1)
    trainer.fit(trials(8), epochs=1, batch_size=4)
    assert np.ptp(net.parameters["E_to_I.delay"]) > 1e-5
    assert np.ptp(net.connections["E_to_E"].delay) == 0
    net.save(tmp_path / "net.npz")
    np.testing.assert_array_equal(
        SpikingNetwork.load(tmp_path / "net.npz").parameters["E_to_I.delay"],
        net.parameters["E_to_I.delay"],
    )


# -- refusals ---------------------------------------------------------------------------------


def graph(*projections, readout=None, populations=None, source=None):
    if populations is None:
        populations = {"A": Population(equations.LIF(), 3)}
    return SpikingNetwork.from_graph(
        populations, projections, readout or Readout(2), input=source or Input(4)
    )


TWO_INPUTS = NeuronModel(
    equations="dy/dt = (I - y)/(10*ms) : 1\ndI/dt = -I/(5*ms) : 1",
    inputs=("y", "I"),
    method="exact",
)
CONDUCTANCE = NeuronModel(
    equations="dv/dt = (-v + g*10*mV/nS)/(10*ms) : volt\ndg/dt = -g/(5*ms) : siemens",
    threshold="v > 5*mV",
    reset="v = 0*mV",
    inputs="g",
    method="exponential_euler",
)


@pytest.mark.parametrize(
    ("make", "error", "what"),
    [
        (lambda: graph(Projection("inputs", "A")), ValueError, "Did you mean 'input'"),
        (lambda: graph(Projection("input", "a")), ValueError, "no target 'a'"),
        (lambda: graph(Projection("input", "A"), Projection("input", "A")), ValueError, "two proj"),
        (lambda: graph(Projection("input", "A"), readout=Readout(2, of="B")), ValueError, "'B'"),
        (lambda: graph(Projection("input", "readout")), ValueError, "'input' goes to the readout"),
        (lambda: graph("input to A"), TypeError, "no Projection"),
        (lambda: graph(populations={"A": Layer(equations.LIF(), 3)}), TypeError, "is a Layer"),
        (lambda: graph(populations=[]), TypeError, "mapping of names"),
        (lambda: graph(populations={"input": Population(equations.LIF(), 3)}), ValueError, "input"),
        (lambda: graph(source=Input(4, delay=1 * ms)), ValueError, "belongs to a projection"),
        (lambda: graph(Projection("A", "readout", delay=1 * ms)), ValueError, "at once"),
        (
            lambda: graph(Projection("A", "readout"), Projection("A", "readout", name="twice")),
            ValueError,
            "two projections to the readout",
        ),
        (
            lambda: graph(
                Projection("input", "A", delay=1 * ms), source=Input(4, real_valued=True)
            ),
            ValueError,
            "real-valued",
        ),
        (lambda: graph(Projection("input", "A", input="v")), ValueError, "no input of LIF"),
        (
            lambda: graph(
                Projection("A", "readout", input="I"), readout=Readout(2, model=TWO_INPUTS)
            ),
            ValueError,
            "not the first input",
        ),
        (lambda: graph(Projection("input", "A", delay=0.3 * ms)), ValueError, "multiple of dt"),
        (lambda: graph(Projection("input", "A", delay=[1, 2] * ms)), ValueError, "shape"),
        (lambda: graph(Projection("input", "A", sign=[1, -1])), ValueError, "sign has shape"),
        (lambda: graph(Projection("input", "A", sign=1, weight=-2)), ValueError, "wrong sign"),
        (lambda: graph(Projection("input", "A", weight=[1, 2])), ValueError, "weight has shape"),
        (lambda: graph(Projection("input", "A", weight=1 * mV)), ValueError, "weight"),
        (lambda: graph(Projection("input", "A", in_degree=5)), ValueError, "in_degree is 5"),
        (lambda: graph(Projection("A", "A", connectivity=([0], [0]))), ValueError, "to itself"),
        (lambda: graph(Projection("A", "A", connectivity=([0], [3]))), ValueError, "neuron 3"),
        (lambda: graph(Projection("A", "A", connectivity=([0.5], [1]))), ValueError, "two lists"),
        (
            lambda: graph(Projection("A", "A", connectivity=([0, 0], [1, 1]))),
            ValueError,
            "two synapses",
        ),
        (lambda: graph(Projection("A", "A", connectivity="i + j")), ValueError, "not a condition"),
        (lambda: graph(Projection("A", "A", connectivity="k != j")), ValueError, "unknown name"),
        (
            lambda: graph(Projection("A", "A", connectivity="tau_m_pre > 1")),
            ValueError,
            "connectivity cannot be used",
        ),
        (
            lambda: graph(
                Projection("input", "A", sign=-1), populations={"A": Population(CONDUCTANCE, 3)}
            ),
            ValueError,
            "one conductance only",
        ),
        (lambda: Projection("A", "B", learn="weights"), ValueError, "learn names"),
        (lambda: Projection("A", "B", connectivity=0.5, in_degree=2), ValueError, "both given"),
        (lambda: Projection("A", "B", connectivity=1.5), ValueError, "connectivity"),
        (lambda: Projection("A", "B", connectivity=np.eye(2)), ValueError, "connectivity is not"),
        (lambda: Projection("A", "B", connectivity=None), ValueError, "connectivity is not"),
        (lambda: Projection("A", "B", weight=1, weight_mean=2), ValueError, "has no effect"),
        (
            lambda: SpikingNetwork(Input(2), Layer(equations.LIF(), 3), Readout(2, of="hidden")),
            ValueError,
            "of has no effect",
        ),
        (lambda: Projection("A", "B", sign=0.5), ValueError, "sign is neither"),
        (lambda: Projection("A b", "B"), ValueError, "source"),
    ],
)
def test_what_a_graph_cannot_be_is_refused(make, error, what):
    with pytest.raises(error) as refused:
        make()
    assert what in str(refused.value)
    assert len(str(refused.value)) <= 600
    assert "\n" not in str(refused.value)


def test_adaptive_feedback_needs_learned_weights_of_the_readout():
    net = SpikingNetwork.from_graph(
        {"A": Population(equations.LIF(), 3), "B": Population(equations.LIF(), 3)},
        [Projection("input", "A"), Projection("A", "B")],
        Readout(2, of="B"),
        input=Input(4),
    )
    with pytest.raises(ValueError, match="no learned weights from 'A'"):
        Trainer(net, EProp(feedback="adaptive"))


# -- delays of synapses -------------------------------------------------------------------------


def late(n_steps_of_delay, learn=("w",), **settings):
    """An input whose synapses have delays (n_in, n) in steps, and a recurrent population."""
    return SpikingNetwork.from_graph(
        {"A": Population(equations.CurrentLIF(), 3)},
        [
            Projection("input", "A", delay=n_steps_of_delay * ms, learn=learn, weight=weights()),
            Projection(
                "A", "A", name="back", delay=Uniform(1 * ms, 4 * ms), learn=learn, weight_scale=3
            ),
        ],
        Readout(2),
        input=Input(6),
        seed=5,
        **settings,
    )


def weights():
    return np.random.default_rng(2).normal(0.6, 1.0, (6, 3))


def split(net):
    """The same network with a population for each neuron, whose axonal delays are those of synapses."""
    c, back = net.connections["input_to_A"], net.connections["back"]
    w, matrix = c.matrix(), back.matrix()
    delay = np.zeros((6, 3))
    delay[c.pre, c.post] = c.delay
    projections = [
        Projection("input", f"A{j}", delay=delay[:, j] * ms, weight=w[:, j : j + 1])
        for j in range(3)
    ]
    for i, j, steps in zip(back.pre, back.post, back.delay, strict=True):
        projections.append(
            Projection(f"A{i}", f"A{j}", delay=int(steps) * ms, weight=float(matrix[i, j]))
        )
    out = net.connections["A_to_readout"].w
    projections += [Projection(f"A{j}", "readout", weight=out[j : j + 1]) for j in range(3)]
    populations = {f"A{j}": Population(equations.CurrentLIF(), 1) for j in range(3)}
    return SpikingNetwork.from_graph(populations, projections, Readout(2), input=Input(6))


DELAYS = np.random.default_rng(1).integers(0, 6, (6, 3))


@pytest.mark.parametrize("rule", [EProp(), BPTT(), EventProp()], ids=repr)
def test_delays_of_synapses_are_those_of_axons_to_single_neurons(rule):
    kinds = ("w", "delay") if isinstance(rule, EventProp) else ("w",)
    net, data = late(DELAYS, learn=kinds), trials(n=6, rate=0.2)
    settings = {"dtype": "float64", "threads": 1}
    one = Engine(net, rule, CrossEntropy(), **settings).run(data, gradient=True)
    two = Engine(split(net), rule, CrossEntropy(), **settings).run(data, gradient=True)
    assert one.spikes["A"] > 40
    np.testing.assert_array_equal(one.counts["A"], [two.counts[f"A{j}"][0] for j in range(3)])
    for kind in kinds:
        expected = np.hstack(
            [two.gradient[f"input_to_A{j}.{kind}"].reshape(6, 1) for j in range(3)]
        )
        assert np.abs(expected).max() > 0
        np.testing.assert_allclose(one.gradient[f"input_to_A.{kind}"], expected.ravel(), rtol=1e-9)
        back = net.connections["back"]
        expected = [
            float(np.squeeze(two.gradient[f"A{i}_to_A{j}.{kind}"]))
            for i, j in zip(back.pre, back.post, strict=True)
        ]
        np.testing.assert_allclose(one.gradient[f"back.{kind}"], expected, rtol=1e-9)


@pytest.mark.parametrize("rule", [EProp(), BPTT(), EventProp()], ids=repr)
def test_single_precision_adds_up_what_is_on_its_way(rule):
    """It goes back by the spikes that were sent; float64 adds in the order of arrival."""
    learn = ("w", "delay") if isinstance(rule, EventProp) else ("w",)
    few = {"delay": Uniform(0 * ms, 5 * ms), "connectivity": 0.2, "weight_scale": 2}
    net = SpikingNetwork.from_graph(
        {name: Population(equations.CurrentLIF(), 40) for name in "AB"},
        [
            Projection("input", "A", delay=Uniform(0 * ms, 9 * ms), weight_scale=4),
            Projection("A", "A", delay=Uniform(0 * ms, 20 * ms), learn=learn, weight_scale=2),
            Projection("A", "B", **few, weight_mean=2),
            Projection("B", "A", **few, learn=()),
        ],
        Readout(2),
        input=Input(20),
        seed=5,
    )
    data = trials(2, n=20)
    double, single = (
        Engine(net, rule, CrossEntropy(), dtype=dtype, threads=1).run(data, gradient=True)
        for dtype in ("float64", "float32")
    )
    assert min(double.spikes.values()) > 40
    for name in "AB":
        np.testing.assert_array_equal(single.counts[name], double.counts[name])
    for name, expected in double.gradient.items():
        assert np.abs(expected).max() > 0, name
        np.testing.assert_allclose(
            single.gradient[name], expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max()
        )


def test_delays_that_no_memory_holds_are_refused():
    net = late(np.full((6, 3), 1e9))
    with pytest.raises(ValueError, match=r"a delay of 'input_to_A' has 1000000000 steps"):
        Engine(net, threads=1).simulate(trials(n=6))


def test_delays_of_synapses_arrive_as_in_brian2():
    """Heterogeneous delays: the order in which weights are added is that of Brian2, bit by bit."""
    net = SpikingNetwork.from_graph(
        {"A": Population(equations.CurrentLIF(), 30)},
        [
            Projection(
                "input",
                "A",
                connectivity=0.5,
                delay=Uniform(0 * ms, 9 * ms),
                weight_scale=9,
                weight_mean=0.4,
            ),
            Projection("A", "A", in_degree=9, delay=Uniform(1 * ms, 20 * ms), weight_scale=4),
        ],
        Readout(2),
        input=Input(20),
        dt=0.5 * ms,
        seed=5,
    )
    delays = net.connections["A_to_A"].delay
    assert set(range(2, 41)) - set(delays) == set() or len(set(delays)) > 30
    data = trials(1, n_steps=120, rate=0.1, n=20)
    result = Engine(net, dtype="float64", threads=1).simulate(data, record=(("A", "v"),))
    simulation = net.brian2(data, record=["spikes", "v"])
    simulation.run(net.trial_times(data).duration, namespace={})
    assert simulation["A_spikes"].num_spikes > 100
    np.testing.assert_array_equal(simulation["A_spikes"].i, result.spikes["A"][0][1])
    np.testing.assert_allclose(
        simulation["A_states"].v[:, :-1], result.states["A", "v"][0][1:].T, atol=1e-12
    )


def test_weights_with_delays_of_synapses_are_added_in_the_order_of_brian2():
    """Nothing but sums, whose last digit tells the order; with delays that are all zero, and none."""
    adder = NeuronModel(equations="v : 1", threshold="v > 1e9", reset="", inputs="v")
    net = SpikingNetwork.from_graph(
        {"A": Population(adder, 30)},
        [
            Projection("input", "A", connectivity=0.5, delay=Uniform(0 * ms, 9 * ms)),
            Projection(
                "input", "A", name="at_once", connectivity=([3, 7], [1, 2]), delay=[0, 0] * ms
            ),
            Projection(
                "input", "A", name="none", connectivity="j < 0", delay=Uniform(0 * ms, 9 * ms)
            ),
        ],
        Readout(2),
        input=Input(20),
        seed=5,
    )
    assert "0 synapses" in repr(net)
    data = trials(1, rate=0.4, n=20)
    result = Engine(net, dtype="float64", threads=1).simulate(data, record=(("A", "v"),))
    simulation = net.brian2(data, record=["v"])
    simulation.run(net.trial_times(data).duration, namespace={})
    expected = simulation["A_states"].v[:, :-1]
    assert np.unique(expected).size > 1000
    np.testing.assert_array_equal(result.states["A", "v"][0][1:].T, expected)


def test_delays_of_synapses_are_learned_kept_and_saved(tmp_path):
    net = late(DELAYS + 0.3, learn=("w", "delay"))
    assert net.parameters["input_to_A.delay"].shape == (18,)
    np.testing.assert_allclose(net.parameters["input_to_A.delay"], (DELAYS + 0.3).ravel() * 1e-3)
    before = net.parameters["input_to_A.delay"].copy()
    trainer = Trainer(net, EventProp(), optimizer=Adam(0.02, factors={"*.delay": 40}), threads=1)
    trainer.fit(trials(8, n=6, rate=0.2), epochs=3, batch_size=4)
    moved = net.parameters["input_to_A.delay"] - before
    assert np.ptp(moved) > 1e-3
    assert net.parameters["input_to_A.delay"].min() >= 0
    net.save(tmp_path / "net.npz")
    loaded = SpikingNetwork.load(tmp_path / "net.npz")
    data = trials(n=6, rate=0.2)
    one, two = (Engine(n, dtype="float64", threads=1).simulate(data) for n in (net, loaded))
    assert one.counts["A"].sum() > 20
    np.testing.assert_array_equal(one.output, two.output)


def test_connections_with_delays_of_synapses_have_any_name():
    """Names of the generated code begin with words and end with the name of a connection or an input."""
    net = graph(
        Projection("input", "A", name="input", delay=np.ones((4, 3)) * ms, weight=0.6),
        Projection("A", "A", name="trial", delay=2 * np.ones((3, 3)) * ms, weight=0.1),
        populations={"A": Population(equations.CurrentLIF(), 3)},
    )
    result = Engine(net, EventProp(), CrossEntropy()).run(trials(n=4, rate=0.3), gradient=True)
    assert sum(result.spikes.values()) > 0
    assert np.abs(result.gradient["input.w"]).max() > 0


def test_listed_synapses_have_listed_delays():
    net, connection = drawn(connectivity=([2, 0, 1], [1, 1, 0]), delay=[1, 2, 3] * ms)
    order = list(zip(connection.pre, connection.post, connection.delay, strict=True))
    assert order == [(0, 1, 2), (1, 0, 3), (2, 1, 1)]
    assert net.max_delay == 3
    axons = np.array([[1], [2], [3], [0], [0], [0]])
    of_axons = drawn(connectivity=([2, 0, 1], [1, 1, 0]), delay=axons * ms)[1]
    np.testing.assert_array_equal(of_axons.delay, axons[:, 0])
    with pytest.raises(ValueError, match=r"delay has shape \(2,\).* \(6, 1\) are delays of axons"):
        drawn(connectivity=([2, 0, 1], [1, 1, 0]), delay=[1, 2] * ms)
    with pytest.raises(ValueError, match="multiple of dt"):
        drawn(delay=np.full((6, 8), 0.4) * ms)


def test_what_has_no_place_for_delays_of_synapses_says_so():
    pytest.importorskip("nir")
    from neurosnn.network.nir import to_nir

    with pytest.raises(ValueError, match="a delay of its own"):
        to_nir(late(DELAYS))
