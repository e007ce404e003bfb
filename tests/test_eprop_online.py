"""Online e-prop in Brian2: against plain numpy, the engine, the papers' strings, and term by term."""

import ast
import dataclasses
import functools

import numpy as np
import pytest
from brian2 import (
    Network,
    SpikeGeneratorGroup,
    StateMonitor,
    Synapses,
    TimedArray,
    defaultclock,
    ms,
    mV,
    nS,
    pF,
    second,
)
from engine_cases import TWO_ADAPTATIONS, raster, spike_trials
from reference.adjoint_numpy import bptt
from reference.eprop_numpy import INPUT, eprop
from reference.eprop_numpy import Layer as PlainLayer
from reference.eprop_numpy import Network as PlainNetwork
from reference.eprop_numpy import Projection as PlainProjection

from neurosnn import NeuronModel, equations
from neurosnn.data import FrameTrials
from neurosnn.engine import Engine
from neurosnn.equations.eprop_published import EPROP_PUBLISHED
from neurosnn.losses import (
    CrossEntropy,
    CrossEntropyPerStep,
    FirstSpike,
    MaxCrossEntropy,
    MeanSquareError,
)
from neurosnn.network import Input, Layer, Readout, SpikingNetwork
from neurosnn.rules.eprop import EProp
from neurosnn.rules.eprop import synapses as online_synapses
from neurosnn.rules.eprop.backend import OnlineBackend
from neurosnn.rules.eprop.synapses import add_variables

N_STEPS, N_IN, N_OUT = 150, 10, 3
MODELS = {
    "LIF": equations.LIF(tau_m=10 * ms),
    "ALIF": equations.ALIF(tau_a=50 * ms, beta=0.3),
    "STDP_LIF": equations.STDP_LIF(t_ref=3 * ms),
    "STDP_ALIF": equations.STDP_ALIF(t_ref=3 * ms, tau_a=50 * ms, beta=0.3),
    # The published recursion starts at u = 0.
    "Izhikevich": dataclasses.replace(
        equations.Izhikevich(clip_eligibility=False), initial={"v": "c"}
    ),
    "clipped Izhikevich": dataclasses.replace(equations.Izhikevich(), initial={"v": "c"}),
}
SCALE = {"Izhikevich": 30.0, "clipped Izhikevich": 30.0}


def network(name, *, recurrent=True, layers=1, delay=0, n=7):
    parts = [
        Layer(
            MODELS[name],
            n,
            recurrent=recurrent,
            delay=(delay if recurrent or k < layers - 1 else 0) * ms,
            weight_scale=SCALE.get(name, 2.0),
        )
        for k in range(layers)
    ]
    net = SpikingNetwork(Input(N_IN), *parts, Readout(N_OUT, tau=15 * ms), dt=1 * ms, seed=3)
    net.parameters["readout.b"][:] = np.linspace(-1, 1, N_OUT)
    return net


def plain(net, name):
    """The same network in the papers' recursions; their parameters follow one to one."""
    values = net.layers[0].model.parameters
    decays = {
        key: float(np.exp(-1 * ms / values[tau]))
        for key, tau in (("alpha", "tau_m"), ("rho", "tau_a"))
        if tau in values
    }
    clip = {} if name != "clipped Izhikevich" else {"clip_v": 3.0, "clip_u": 0.005}
    layers = [
        PlainLayer(
            n=layer.n,
            model=name.rpartition(" ")[2].lower(),
            beta=values.get("beta", 0.0),
            n_ref=round(float(values.get("t_ref", 0 * ms) / ms)),
            **decays,
            **clip,
        )
        for layer in net.layers
    ]
    index = {"input": INPUT} | {layer.name: k for k, layer in enumerate(net.layers)}
    hidden = [c for c in net.connections.values() if c.target != "readout"]
    outputs = [c for c in net.connections.values() if c.target == "readout"]
    projections = [
        PlainProjection(index[c.source], index[c.target], c.w.T.copy(), delay=int(c.delay[0]))
        for c in hidden
    ]
    return [c.name for c in (*hidden, *outputs)], PlainNetwork(
        layers,
        projections,
        [c.w.T for c in outputs],
        kappa=float(np.exp(-1 * ms / net.readout.tau)),
        b=net.parameters["readout.b"],
        bias_inside=False,
    )


def from_numpy(net, name, trials, rule, loss, target, oracle=eprop):
    """Loss and gradient of one trial by the oracle; every layer must be alive."""
    names, same = plain(net, name)
    given = rule.feedback_weights({layer.name: layer.n for layer in net.layers}, N_OUT)
    feedback = [given.get(layer.name, w.T) for layer, w in zip(net.layers, same.W_out, strict=True)]
    options = {}
    if oracle is eprop:
        # Rates in spikes per step, and the sum over steps instead of seconds.
        options = {"feedback": feedback, "c_reg": rule.rate_strength * 1e6, "f_target": 0.01}
    kind = "mse" if loss.follows_signal else "cross_entropy"
    weight = loss.step_weights([N_STEPS], net.dt)
    result, record = oracle(
        same, raster(trials, 0, N_STEPS), target, loss=kind, weight=weight, **options
    )[:2]
    for layer, z in zip(net.layers, record.z, strict=True):
        assert (z.sum(axis=0) > 0).mean() >= 0.2, f"{layer.name} is silent"
    blocks = [w + reg for w, reg in zip(result.W, result.W_reg, strict=True)] + result.W_out
    gradient = {f"{key}.w": block.T for key, block in zip(names, blocks, strict=True)}
    return result.loss, gradient | {"readout.b": result.b}, record


def difference(ours, theirs):
    """Largest relative difference of any block, each of which must have a gradient."""
    assert ours.keys() == theirs.keys()
    for key, value in theirs.items():
        assert np.abs(value).max() > 0, f"{key} has no gradient"
    return max(
        np.abs(ours[key] - value).max() / np.abs(value).max() for key, value in theirs.items()
    )


TRIAL = spike_trials(1, N_IN, N_STEPS, rate=70.0, seed=5)
ONE_HOT = np.tile(np.eye(N_OUT)[int(TRIAL.labels[0])], (N_STEPS, 1))


# -- against plain numpy ------------------------------------------------------------------------


@pytest.mark.smoke
@pytest.mark.parametrize("name", MODELS)
def test_recurrent_network_equals_numpy(name):
    net, rule, loss = network(name), EProp(), CrossEntropyPerStep()
    value, expected, record = from_numpy(net, name, TRIAL, rule, loss, ONE_HOT)
    result = OnlineBackend(net, rule, loss).run(TRIAL, gradient=True)
    assert difference(result.gradient, expected) < 1e-10
    assert result.loss == pytest.approx(value, rel=1e-12)
    assert result.spikes == {"hidden": record.z[0].sum()}


@pytest.mark.parametrize("name", MODELS)
def test_two_layers_with_delays_equal_numpy(name):
    net, loss = network(name, layers=2, delay=2), MeanSquareError()
    rule = EProp(feedback="random", rate_strength=1e-5, seed=2)
    target = np.random.default_rng(0).normal(size=(N_STEPS, N_OUT))
    value, expected, record = from_numpy(net, name, TRIAL, rule, loss, target)
    result = OnlineBackend(net, rule, loss).run(TRIAL, target, gradient=True)
    assert difference(result.gradient, expected) < 1e-10
    assert result.loss == pytest.approx(value, rel=1e-12)
    assert list(result.spikes.values()) == [z.sum() for z in record.z]


@pytest.mark.parametrize("name", ["ALIF", "STDP_ALIF", "Izhikevich"])
def test_it_is_bptt_without_recurrence_and_differs_with_it(name):
    def compared(**options):
        net, rule, loss = network(name, **options), EProp(), CrossEntropyPerStep()
        _, exact, _ = from_numpy(net, name, TRIAL, rule, loss, ONE_HOT, oracle=bptt)
        return difference(OnlineBackend(net, rule, loss).run(TRIAL, gradient=True).gradient, exact)

    assert compared(recurrent=False) < 1e-10
    assert compared(recurrent=True) > 1e-3
    assert compared(recurrent=False, layers=2) > 1e-3


# -- against the engine -------------------------------------------------------------------------

TWO_CONDUCTANCES = NeuronModel(
    name="two conductances",
    equations="""
    dv/dt = (E_L - v)/tau_m + (g_e*(E_e - v) + g_i*(E_i - v))/C : volt (unless refractory)
    dg_e/dt = -g_e/tau_s : siemens
    dg_i/dt = -g_i/tau_i : siemens
    """,
    threshold="v > v_th",
    reset="v = E_L",
    refractory="t_ref",
    method="exponential_euler",
    inputs=("g_e", "g_i"),
    surrogate="clip(1 - abs(v - v_th)/(10*mV), 0, 1)/(10*mV)",
    parameters={
        "E_L": -70 * mV,
        "E_e": 0 * mV,
        "E_i": -80 * mV,
        "v_th": -50 * mV,
        "tau_m": 20 * ms,
        "tau_s": 5 * ms,
        "tau_i": np.linspace(5, 15, 7) * ms,
        "C": 200 * pF,
        "t_ref": 2 * ms,
    },
    initial={"v": "E_L + i*mV"},
)
# A reset whose slope and jump are not constants: both are remembered from the moment of the reset.
SOFT_RESET = NeuronModel(
    name="soft reset",
    equations="dv/dt = (v_rest - v)/tau_m : volt\nda/dt = -a/tau_a : volt",
    threshold="v > v_th + a",
    reset="v = v_rest + D*(1 - exp((v_rest - v)/D))\na += 0.1*(v_th - v_rest) + 0.3*a",
    refractory=2 * ms,
    spike_gradient=("v", "a"),
    surrogate="clip(1 - abs(v - v_th - a)/(10*mV), 0, 1)/(10*mV)",
    parameters={
        "v_rest": -70 * mV,
        "v_th": -50 * mV,
        "D": 15 * mV,
        "tau_m": 20 * ms,
        "tau_a": 50 * ms,
    },
    initial={"v": "v_rest"},
)
USER_WRITTEN = {
    "two adaptations": (TWO_ADAPTATIONS, {"weight_scale": 2.0}),
    "soft reset": (SOFT_RESET, {"weight_scale": 30 * mV}),
    "two conductances": (
        TWO_CONDUCTANCES,
        {
            "weight_scale": 20 * nS,
            "excitatory": 0.7,
            "connectivity": 0.7,
            "delay": np.arange(7) % 3 * ms,
        },
    ),
}


def compared_with_engine(net, trials, loss, rule, targets=None):
    online = OnlineBackend(net, rule, loss).run(trials, targets, gradient=True)
    engine = Engine(net, rule, loss, dtype="float64").run(trials, targets, gradient=True)
    assert min(engine.spikes.values()) > 10
    assert online.spikes == engine.spikes
    assert online.loss == pytest.approx(engine.loss, rel=1e-10)
    np.testing.assert_allclose(online.scores, engine.scores, rtol=1e-9, atol=1e-12)
    if not loss.follows_signal:
        assert (online.correct, online.total) == (engine.correct, engine.total)
    assert difference(online.gradient, engine.gradient) < 1e-9


@pytest.mark.parametrize("name", USER_WRITTEN)
def test_neurons_of_the_users_own_equal_the_engine(name):
    model, options = USER_WRITTEN[name]
    net = SpikingNetwork(Input(N_IN), Layer(model, 7, recurrent=True, **options), Readout(N_OUT))
    trials = spike_trials(2, N_IN, N_STEPS, rate=60.0, seed=5)
    compared_with_engine(net, trials, CrossEntropyPerStep(), EProp(rate_strength=1e-5))


@pytest.mark.parametrize("readout", ["mean", "last", "exponential", "window"])
def test_cross_entropy_of_a_trial_equals_the_engine(readout):
    times = {"exponential": {"tau": 50 * ms}, "window": {"start": -40 * ms}}
    loss = CrossEntropy(readout=readout, **times.get(readout, {}))
    trials = spike_trials(3, N_IN, N_STEPS, rate=60.0, seed=6)
    compared_with_engine(network("ALIF"), trials, loss, EProp(feedback="adaptive"))


@pytest.mark.parametrize("loss", [MaxCrossEntropy(), FirstSpike(v_th=0.05)])
def test_losses_of_single_moments_equal_the_engine(loss):
    hidden = Layer(MODELS["ALIF"], 7, recurrent=True, weight_scale=2.0)
    readout = Readout(N_OUT, model=equations.CurrentReadout(), bias=False, weight_scale=2.0)
    net = SpikingNetwork(Input(N_IN), hidden, readout, seed=3)
    trials = spike_trials(3, N_IN, N_STEPS, rate=60.0, seed=6)
    compared_with_engine(net, trials, loss, EProp())


def test_real_valued_trials_of_different_lengths_equal_the_engine():
    rng = np.random.default_rng(1)
    trials = FrameTrials(
        features=rng.normal(size=(230, N_IN)).astype(np.float32),
        offsets=[0, 60, 150, 230],
        labels=rng.integers(-1, N_OUT, 230),
        frame=1 * ms,
    )
    model = equations.STDP_ALIF(beta=np.r_[np.zeros(4), np.full(3, 0.3)])
    net = SpikingNetwork(
        Input(N_IN, real_valued=True),
        Layer(model, 7, recurrent=True, weight_scale=0.7),
        Readout(N_OUT),
        seed=2,
    )
    compared_with_engine(net, trials, CrossEntropyPerStep(), EProp(rate_strength=1e-4))


@pytest.mark.parametrize("name", ["CurrentReadout", "delivered one step later"])
def test_other_linear_readouts_have_exact_gradients(name):
    later = NeuronModel(
        name=name,
        equations="dy/dt = -y/tau : 1\nI : 1",
        step="y += I\nI = 0",
        inputs=("I",),
        parameters={"tau": 20 * ms},
    )
    model = equations.CurrentReadout() if name == "CurrentReadout" else later
    hidden = Layer(MODELS["ALIF"], 7, weight_scale=2.0)
    net = SpikingNetwork(Input(N_IN), hidden, Readout(N_OUT, model=model), seed=3)
    backend = OnlineBackend(net, EProp(), CrossEntropyPerStep())
    result = backend.run(TRIAL, gradient=True)
    w, step = net.parameters["readout.w"], 1e-5
    for place in ((0, 0), (4, 2)):
        before, losses = w[place], []
        for sign in (1, -1):
            w[place] = before + sign * step
            losses.append(backend.run(TRIAL).loss)
        w[place] = before
        slope = (losses[0] - losses[1]) / (2 * step)
        assert result.gradient["readout.w"][place] == pytest.approx(slope, rel=1e-5)
    # Hidden weights: sum_t e^t sum_{s >= t} h^{s - t} L^s, with the closed form of the response h.
    k = np.arange(N_STEPS)
    response = np.append(0, np.exp(-k[:-1] / 20))
    if name == "CurrentReadout":
        response = 5 / 15 * (np.exp(-k / 20) - np.exp(-k / 5))
    defaultclock.dt = 1 * ms
    simulation = net.brian2(TRIAL, record=("output",))
    plastic = EProp().synapses(simulation["input"], simulation["hidden"])
    traces = StateMonitor(plastic, "etrace", record=True, when="end")
    simulation.add(plastic, traces)
    simulation.run(N_STEPS * ms, namespace={})
    weights = CrossEntropyPerStep().step_weights([N_STEPS], net.dt)
    labels = np.full(N_STEPS, TRIAL.labels[0])
    outputs = np.array(simulation["readout_states"].output).T
    _, error = CrossEntropyPerStep().value_and_error(outputs, labels, weights)
    signal = error @ w.T
    worth = np.array([response[: N_STEPS - t] @ signal[t:] for t in k])
    expected = np.einsum("ijt,tj->ij", traces.etrace.reshape(N_IN, -1, N_STEPS), worth)
    assert difference({"w": result.gradient["input.w"]}, {"w": expected}) < 1e-10


# -- against the papers' strings, and term by term ------------------------------------------------


def driven(name, n=6, steps=120):
    """A spike source, driven neurons and their learning signal; dt is 1 ms."""
    defaultclock.dt = 1 * ms
    trial = spike_trials(1, N_IN, steps, rate=80.0, seed=9)
    _, step, channel = trial.steps(1 * ms)
    source = SpikeGeneratorGroup(N_IN, channel, step * ms)
    neurons = MODELS[name].group(n)
    weights = SCALE.get(name, 2.0) * np.random.default_rng(0).normal(size=N_IN * n) / np.sqrt(N_IN)
    return source, neurons, weights, steps


def run_online(name, rule, **options):
    source, neurons, weights, steps = driven(name)
    synapses = rule.synapses(source, neurons, **options)
    synapses.w = weights
    signal = np.random.default_rng(1).normal(size=(steps + 1, len(neurons)))
    neurons.namespace["signal"] = TimedArray(signal, dt=1 * ms)
    neurons.run_regularly("L = signal(t, i)", when="end")
    return source, neurons, synapses, steps


@pytest.mark.parametrize("name", EPROP_PUBLISHED)
def test_derived_traces_equal_the_published_strings(name):
    source, neurons, synapses, steps = run_online(name, EProp())
    published = EPROP_PUBLISHED[name]
    weights = np.array(synapses.w[:])
    _, others, *_ = driven(name)
    own = [line.split(":")[0].strip() for line in published.neuron.splitlines()]
    add_variables(others, dict.fromkeys(own, second.dim / second.dim))
    for slot, code in (("before_groups", published.before), ("after_thresholds", published.after)):
        if code.strip():
            others.run_regularly(code, when=slot)
    by_hand = Synapses(
        source,
        others,
        f"w : 1\nx : 1\n{published.synapse}",
        on_pre="I_post += w\nx += 1",
        namespace={},
    )
    by_hand.connect()
    by_hand.w = weights
    by_hand.run_regularly(f"{published.trace}\nx = 0", when="after_thresholds", order=2)
    monitors = [
        StateMonitor(synapses, "etrace", record=True, when="end"),
        StateMonitor(by_hand, "e_ij", record=True, when="end"),
        StateMonitor(neurons, "v", record=True),
    ]
    Network(source, neurons, synapses, others, by_hand, *monitors).run(steps * ms, namespace={})
    derived, printed = monitors[0].etrace, monitors[1].e_ij
    assert (np.abs(printed).max(axis=1) > 0).mean() > 0.8
    assert np.abs(derived - printed).max() <= 1e-12 * np.abs(printed).max()
    assert published.reference


class _Zero(ast.NodeTransformer):
    """Replaces term number `which` of all sums by zero."""

    def __init__(self, which):
        self.which, self.count = which, -1

    def visit_Call(self, node):
        # Numbers of steps are conditions, not terms.
        return node if node.func.id == "timestep" else self.generic_visit(node)

    def visit_BinOp(self, node):
        self.generic_visit(node)
        if isinstance(node.op, ast.Add | ast.Sub):
            for side in ("left", "right"):
                self.count += 1
                if self.count == self.which:
                    setattr(node, side, ast.Constant(0.0))
        return node


def without_each_term(code):
    """The code without one term of a sum or without one statement, and what was left out."""
    lines = code.splitlines()
    for k, line in enumerate(lines):
        if " += " in line or line.endswith("= 0"):
            yield "\n".join(lines[:k] + lines[k + 1 :]), line
            continue
        target, expression = line.split(" = ", 1)
        counter = _Zero(-1)
        counter.visit(ast.parse(expression, mode="eval"))
        for which in range(counter.count + 1):
            tree = _Zero(which).visit(ast.parse(expression, mode="eval"))
            changed = f"{target} = {ast.unparse(tree)}"
            yield "\n".join([*lines[:k], changed, *lines[k + 1 :]]), f"{line} -> {changed}"


def changed_rules(name):
    """Every rule of which one term is left out."""
    code = EProp().equations(MODELS[name])
    for field in ("step", "before_groups", "after_thresholds"):
        for text, what in without_each_term(getattr(code, field)):
            yield pytest.param(name, field, text, id=f"{name}: {what}")


@functools.cache
def gradient_of(name, field="", text=""):
    """The gradient by a rule of which one block of strings is replaced."""
    derive = online_synapses.online_equations
    change = {field: text} if field else {}

    def changed(*args, **options):
        return dataclasses.replace(derive(*args, **options), **change)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(online_synapses, "online_equations", changed)
        source, neurons, synapses, steps = run_online(name, EProp(), readout_filter=20 * ms)
        Network(source, neurons, synapses).run((steps + 1) * ms, namespace={})
    return np.array(synapses.G[:])


@pytest.mark.parametrize(
    ("name", "field", "text"), [*changed_rules("STDP_ALIF"), *changed_rules("Izhikevich")]
)
def test_every_term_counts(name, field, text):
    complete = gradient_of(name)
    assert np.abs(complete).max() > 0
    change = np.abs(gradient_of(name, field, text) - complete).max()
    assert not change <= 1e-4 * np.abs(complete).max()  # nan counts as a difference
