"""The engine's gradient against plain numpy, for every named model."""

import dataclasses

import numpy as np
import pytest
from brian2 import ms
from engine_cases import NAMED, raster, spike_trials
from reference.adjoint_numpy import bptt
from reference.eprop_numpy import INPUT, Layer, Network, Projection, eprop

from neurosnn import BPTT, SGD, NeuronModel, Trainer, equations
from neurosnn.engine import Engine
from neurosnn.losses import CrossEntropyPerStep, MeanSquareError
from neurosnn.network import Input, Readout, SpikingNetwork
from neurosnn.network import Layer as NetworkLayer
from neurosnn.rules.eprop import EProp
from neurosnn.rules.eprop.backend import OnlineBackend
from neurosnn.rules.eventprop import EventProp

N_STEPS, N_IN, N_OUT = 200, 12, 3
WEIGHT = {"Izhikevich": 30.0}
SMALL = {
    "LIF": equations.LIF(tau_m=10 * ms),
    "ALIF": equations.ALIF(tau_a=50 * ms, beta=0.3),
    "STDP_LIF": equations.STDP_LIF(t_ref=3 * ms),
    "STDP_ALIF": equations.STDP_ALIF(t_ref=3 * ms, tau_a=50 * ms, beta=0.3),
    # the published recursion starts at u = 0
    "Izhikevich": dataclasses.replace(
        equations.Izhikevich(clip_eligibility=False), initial={"v": "c"}
    ),
}


BUFFERED = NeuronModel(
    equations="dy/dt = -y/tau : 1\nI : 1",
    step="y += I\nI = 0",
    inputs=("I",),
    parameters={"tau": 15 * ms},
)


def network(model, *, recurrent=True, layers=1, delay=0, name="", n=8):
    parts = [
        NetworkLayer(
            model, n, recurrent=recurrent, delay=delay * ms, weight_scale=WEIGHT.get(name, 2.0)
        )
        for _ in range(layers)
    ]
    return SpikingNetwork(Input(N_IN), *parts, Readout(N_OUT, tau=15 * ms), dt=1 * ms, seed=3)


def reference(net, name):
    """The same network in the papers' recursions."""
    values = net.layers[0].model.parameters
    decay = {
        key: float(np.exp(-1 * ms / values[tau]))
        for key, tau in (("alpha", "tau_m"), ("rho", "tau_a"))
        if tau in values
    }
    layers = [
        Layer(
            n=layer.n,
            model=name.lower(),
            beta=values.get("beta", 0.0),
            n_ref=round(float(values.get("t_ref", 0 * ms) / ms)),
            **decay,
        )
        for layer in net.layers
    ]
    index = {"input": INPUT} | {layer.name: k for k, layer in enumerate(net.layers)}
    names = [key for key, c in net.connections.items() if c.target != "readout"]
    projections = [
        Projection(index[c.source], index[c.target], c.w.T.copy(), delay=int(c.delay[0]))
        for c in (net.connections[key] for key in names)
    ]
    readouts = [key for key, c in net.connections.items() if c.target == "readout"]
    return (
        names,
        readouts,
        Network(
            layers,
            projections,
            [net.connections[key].w.T for key in readouts],
            kappa=float(np.exp(-1 * ms / net.readout.tau)),
            b=net.parameters["readout.b"],
            bias_inside=False,
        ),
    )


def compared(net, name, feedback="symmetric", rate=0.0, oracle=eprop, loss="mse", rule=None):
    """Engine and oracle gradients of one trial, and the spikes of each layer."""
    trials = spike_trials(1, N_IN, N_STEPS, rate=60.0, seed=5)
    rng = np.random.default_rng(0)
    net.parameters["readout.b"][:] = rng.normal(size=N_OUT)
    names, readouts, plain = reference(net, name)
    eprop_rule = EProp(feedback=feedback, rate_strength=rate, seed=2)
    rule = eprop_rule if rule is None else rule
    inputs = raster(trials, 0, N_STEPS)
    sizes = {layer.name: layer.n for layer in net.layers}
    given = eprop_rule.feedback_weights(sizes, N_OUT)
    B = [given.get(layer.name, w.T) for layer, w in zip(net.layers, plain.W_out, strict=True)]
    if loss == "mse":
        target = rng.normal(size=(N_STEPS, N_OUT))
        engine = Engine(net, rule, MeanSquareError(), dtype="float64")
        result = engine.run(trials, target, gradient=True)
        weight = MeanSquareError().step_weights(np.array([N_STEPS]), net.dt)
    else:
        weight = CrossEntropyPerStep().step_weights(np.array([N_STEPS]), net.dt)
        target = np.zeros((N_STEPS, N_OUT))
        target[:, int(trials.labels[0])] = 1
        result = Engine(net, rule, CrossEntropyPerStep(), dtype="float64").run(
            trials, gradient=True
        )
    options = (
        {}
        if oracle is bptt
        else {
            "feedback": B,
            "c_reg": rate * 1e6,
            "f_target": 0.01,
        }
    )
    expected, record = oracle(plain, inputs, target, loss=loss, weight=weight, **options)[:2]
    theirs = {f"{key}.w": w.T for key, w in zip(names, expected.W, strict=True)}
    if oracle is eprop:
        for key, w in zip(names, expected.W_reg, strict=True):
            theirs[f"{key}.w"] = theirs[f"{key}.w"] + w.T
    theirs |= {f"{key}.w": w.T for key, w in zip(readouts, expected.W_out, strict=True)}
    theirs["readout.b"] = expected.b
    for layer, z in zip(net.layers, record.z, strict=True):
        assert (z.sum(axis=0) > 0).mean() >= 0.2, f"{layer.name} is silent"
        assert result.spikes[layer.name] == z.sum()
    assert result.loss == pytest.approx(expected.loss, rel=1e-10)
    return result.gradient, theirs


def difference(ours, theirs):
    assert ours.keys() == theirs.keys()
    for key, value in theirs.items():
        assert np.abs(value).max() > 0, f"{key} has no gradient"
    return max(
        np.abs(ours[key] - value).max() / np.abs(value).max() for key, value in theirs.items()
    )


@pytest.mark.parametrize("name", SMALL)
def test_two_layers_with_delays_equal_online_eprop_in_numpy(name):
    net = network(SMALL[name], layers=2, delay=3, name=name)
    assert difference(*compared(net, name)) < 1e-10


@pytest.mark.parametrize("feedback", ["random", "global"])
def test_feedback_and_rate_regularization(feedback):
    net = network(SMALL["ALIF"], layers=2)
    assert difference(*compared(net, "ALIF", feedback=feedback, rate=1e-4)) < 1e-10


def test_global_feedback_is_one_over_the_root_of_the_neurons():
    weights = EProp(feedback="global").feedback_weights({"four": 4, "nine": 9}, 2)
    np.testing.assert_allclose(weights["four"], np.full((4, 2), 1 / 2), rtol=1e-15)
    np.testing.assert_allclose(weights["nine"], np.full((9, 2), 1 / 3), rtol=1e-15)


def test_cross_entropy_per_step():
    net = network(SMALL["STDP_ALIF"])
    assert difference(*compared(net, "STDP_ALIF", loss="cross_entropy")) < 1e-10


@pytest.mark.parametrize(("name", "delay"), [("ALIF", 0), ("STDP_ALIF", 3), ("Izhikevich", 0)])
def test_bptt_equals_numpy_and_not_eprop(name, delay):
    """Recurrent layers, two of them: each spike reaches its own layer and the next."""
    net = network(SMALL[name], layers=2, delay=delay, name=name)
    assert difference(*compared(net, name, oracle=bptt, rule=BPTT())) < 1e-10
    assert difference(*compared(net, name, rule=BPTT())) > 1e-3


def test_bptt_of_one_feed_forward_layer_is_eprop_with_its_rate_term():
    net = network(SMALL["ALIF"], recurrent=False)
    rule = BPTT(rate_strength=1e-4)
    assert difference(*compared(net, "ALIF", rate=1e-4, rule=rule)) < 1e-10


def test_bptt_goes_through_sparse_synapses():
    """A sparse connection has the gradient of the full one with zeros in place of missing synapses."""

    def made(connectivity):
        layers = [
            NetworkLayer(
                SMALL["ALIF"], 40, recurrent=True, connectivity=connectivity, weight_scale=4.0
            )
            for _ in range(2)
        ]
        return SpikingNetwork(Input(N_IN), *layers, Readout(N_OUT, tau=15 * ms), seed=3)

    sparse, full = made(0.2), made(1.0)
    for name, connection in full.connections.items():
        connection.w[...] = sparse.connections[name].matrix()
    trials = spike_trials(2, N_IN, N_STEPS, rate=60.0, seed=5)
    found = [
        Engine(net, BPTT(), CrossEntropyPerStep(), dtype="float64").run(trials, gradient=True)
        for net in (sparse, full)
    ]
    assert found[0].spikes == found[1].spikes
    assert min(found[0].spikes.values()) > 100
    for name, connection in sparse.connections.items():
        theirs = found[1].gradient[f"{name}.w"]
        if connection.sparse:
            theirs = theirs[connection.pre, connection.post]
        assert np.abs(theirs).max() > 0
        np.testing.assert_allclose(found[0].gradient[f"{name}.w"], theirs, rtol=0, atol=1e-12)


def test_bptt_has_no_online_form_and_learns_no_delays():
    with pytest.raises(ValueError, match="BPTT has no online form"):
        OnlineBackend(network(SMALL["LIF"]), BPTT(), MeanSquareError())
    part = NetworkLayer(SMALL["LIF"], 4, recurrent=True, learn=("delay",))
    net = SpikingNetwork(Input(N_IN), part, Readout(N_OUT))
    with pytest.raises(ValueError, match="BPTT cannot learn"):
        Engine(net, BPTT(), MeanSquareError())
    with pytest.raises(ValueError, match="rate_strength"):
        BPTT(rate_strength=-1.0)


def test_named_models_are_all_covered():
    assert set(SMALL) == set(NAMED)


def test_adaptive_feedback_gets_the_updates_of_the_readout():
    net = network(SMALL["ALIF"], layers=2)
    trainer = Trainer(net, EProp(feedback="adaptive", seed=4), optimizer=SGD(0.1), dtype="float64")
    weights = {
        layer: (net.parameters[name], trainer.backend.parameters[f"feedback.{layer}"])
        for layer, name in (("hidden1", "readout1.w"), ("hidden2", "readout2.w"))
    }
    before = {layer: (w.copy(), B.copy()) for layer, (w, B) in weights.items()}
    trainer.step(spike_trials(2, N_IN, N_STEPS, rate=60.0, seed=5))
    for layer, (w, B) in weights.items():
        w_before, B_before = before[layer]
        assert np.abs(w - w_before).max() > 0
        np.testing.assert_allclose(B - B_before, w - w_before, rtol=0, atol=1e-15)
        assert np.abs(B - w).max() > 0.1


@pytest.mark.parametrize("readout", [equations.CurrentReadout(tau_s=8 * ms), BUFFERED])
def test_readouts_whose_input_is_not_their_output(readout):
    net = SpikingNetwork(
        Input(N_IN),
        NetworkLayer(SMALL["ALIF"], 6, recurrent=True, weight_scale=2.0),
        Readout(N_OUT, model=readout),
        seed=3,
    )
    trials = spike_trials(1, N_IN, 80, rate=60.0, seed=5)
    target = np.random.default_rng(1).normal(size=(80, N_OUT))
    ours = Engine(net, EProp(), MeanSquareError(), dtype="float64").run(
        trials, target, gradient=True
    )
    online = OnlineBackend(net, EProp(), MeanSquareError()).run(trials, target, gradient=True)
    assert ours.total == online.total == 0
    assert ours.spikes["hidden"] > 6
    assert difference(ours.gradient, online.gradient) < 1e-10


@pytest.mark.parametrize("rule", [EProp(), EventProp()], ids=lambda rule: rule.name)
def test_coefficients_of_a_nonlinear_readout_are_those_of_their_step(rule):
    """No spike depends on the weights of the readout, so differences of the loss are exact."""
    squares = NeuronModel(
        equations="dy/dt = (g - 3*y - y**2)/tau : 1\ndg/dt = -g/tau : 1",
        method="euler",
        inputs=("g",),
        parameters={"tau": 8 * ms},
    )
    hidden = NetworkLayer(equations.CurrentLIF(), 4, weight_scale=4.0, weight_mean=2.0)
    net = SpikingNetwork(Input(N_IN), hidden, Readout(2, model=squares), seed=3)
    trials = spike_trials(1, N_IN, 60, rate=60.0, seed=5)
    target = np.random.default_rng(1).normal(size=(60, 2))
    engine = Engine(net, rule, MeanSquareError(), dtype="float64", threads=1)
    w = net.parameters["readout.w"]
    w[...] = np.linspace(0.5, 2.0, w.size).reshape(w.shape)
    found = engine.run(trials, target, gradient=True)
    assert found.spikes["hidden"] > 10
    differences = np.zeros_like(w)
    for index in np.ndindex(w.shape):
        before, sides = w[index], []
        for step in (1e-5, -1e-5):
            w[index] = before + step
            sides.append(engine.run(trials, target).loss)
        w[index] = before
        differences[index] = (sides[0] - sides[1]) / 2e-5
    assert np.abs(differences).max() > 1e-3
    np.testing.assert_allclose(found.gradient["readout.w"], differences, rtol=1e-6, atol=1e-9)
