"""The engine's gradients of weights and of neuron parameters against torch's autograd."""

import dataclasses
import functools

import numpy as np
import pytest
from brian2 import ms
from engine_cases import MODELS, raster, spike_trials

from neurosnn import equations
from neurosnn.calculus.step import step_map
from neurosnn.engine import Engine
from neurosnn.losses import CrossEntropy
from neurosnn.network import (
    Input,
    Layer,
    Population,
    Projection,
    Readout,
    SpikingNetwork,
)
from neurosnn.rules.bptt import BPTT
from neurosnn.rules.eprop import EProp
from neurosnn.rules.surrogate import adjoint as surrogate_adjoint

pytest.importorskip("torch", reason="the oracle is torch, which is not installed")
from torch_oracle import gradient

N_IN, N_OUT, N, N_STEPS = 12, 3, 10, 200
#: Everything but what only psi contains, which is no part of the graph.
WITHOUT_GRADIENT = ("t_ref", "gamma", "psi_refractory")
#: Scale of the weights, see SCALE in engine_cases.
DRIVE = {
    "PLIF": 8.0,
    "Izhikevich": 30.0,
    "exponential": 40.0,
    "conductance": 5.0,
    "two_conductances": 8.0,
}


def learnable(model):
    return tuple(name for name in model.parameters if name not in WITHOUT_GRADIENT)


def network(name, *, layers=2, per_neuron=False, factors=()):
    """Recurrent layers with delays in which most neurons spike; `factors` are parameters that are one."""
    model = MODELS[name]
    if per_neuron:
        drawn = np.random.default_rng(1).uniform(0.97, 1.03, (len(model.parameters), N))
        values = {
            key: value * factor
            for (key, value), factor in zip(model.parameters.items(), drawn, strict=True)
            if key not in WITHOUT_GRADIENT
        }
        model = dataclasses.replace(model, parameters={**model.parameters, **values})
    if factors:  # in a string that nothing reads
        model = dataclasses.replace(
            model,
            equations=f"{model.equations}\nkept = {' + '.join(factors)} : 1",
            parameters={**model.parameters, **dict.fromkeys(factors, 1.0)},
        )
    channels = len(model.inputs) > 1
    parts = [
        Layer(
            model,
            N,
            recurrent=True,
            delay=np.arange(N) % 3 * ms,
            weight_scale=DRIVE.get(name, 2.0),
            excitatory=0.7 if channels else None,
            learn=factors,
        )
        for _ in range(layers)
    ]
    net = SpikingNetwork(Input(N_IN), *parts, Readout(N_OUT, tau=15 * ms), seed=3)
    if "conductance" in name:
        for connection in net.connections.values():
            if connection.target != "readout":
                np.abs(connection.w, out=connection.w)
    rng = np.random.default_rng(0)
    net.parameters["readout.b"][:] = rng.normal(size=N_OUT)
    return net


@functools.lru_cache
def oracle(name, *, layers=2, feedback="symmetric", per_neuron=False, cut=True):
    """Network, rule, loss and trial, and what torch finds for them."""
    net = network(name, layers=layers, per_neuron=per_neuron)
    trials = spike_trials(1, N_IN, N_STEPS, rate=60.0, seed=5)
    loss = CrossEntropy(readout="exponential", tau=100 * ms)
    rule = EProp(feedback=feedback, seed=2) if cut else BPTT()
    sizes = {layer.name: layer.n for layer in net.layers}
    given = rule.feedback_weights(sizes, N_OUT) if cut else {}
    found = gradient(
        net,
        learnable(MODELS[name]),
        raster(trials, 0, N_STEPS),
        int(trials.labels[0]),
        step_weight=loss.step_weights(np.array([N_STEPS]), net.dt),
        feedback=given or None,
        cut=cut,
    )
    return net, trials, loss, rule, found


def engine_of(name, net, **options):
    """An engine that follows all that torch follows."""
    _, _, loss, rule, _ = oracle(name, **options)
    learn = {layer.name: learnable(MODELS[name]) for layer in net.layers}
    return Engine(net, rule, loss, dtype="float64", learn=learn, threads=1)


def wrong(name, engine=None, **options):
    """Relative difference of the blocks of the gradient that are not equal to torch's."""
    net, trials, _, _, (value, theirs, counts) = oracle(name, **options)
    result = (engine or engine_of(name, net, **options)).run(trials, gradient=True)
    assert result.loss == pytest.approx(value, rel=1e-10)
    for layer, count in counts.items():
        assert (count > 0).mean() >= 0.2, f"{layer} is silent"
        assert result.spikes[layer] == count.sum()
    assert result.gradient.keys() == theirs.keys()
    for key, block in theirs.items():
        assert np.abs(block).max() > 0, f"{key} has no gradient"
    differences = {
        key: np.abs(result.gradient[key] - block).max() / np.abs(block).max()
        for key, block in theirs.items()
    }
    return {key: float(value) for key, value in differences.items() if not value < 1e-9}


@pytest.mark.parametrize("name", MODELS)
def test_gradient_equals_autograd(name):
    assert wrong(name) == {}


@pytest.mark.parametrize("name", MODELS)
def test_gradient_of_the_parameters_of_each_neuron(name):
    assert wrong(name, per_neuron=True) == {}


#: What plain numpy does not have: two kinds of input, units, several slopes of a reset.
@pytest.mark.parametrize("name", ["two_conductances", "exponential", "two_adaptations", "gated"])
def test_bptt_equals_autograd_through_all_neurons(name):
    assert wrong(name, cut=False) == {}


@pytest.mark.parametrize("rule", [BPTT(), EProp()], ids=["bptt", "eprop"])
def test_parameters_of_synapses_have_the_gradient_of_autograd(rule):
    """From the input and between neurons, with and without a delay; one value for a projection."""
    synapse = equations.TsodyksMarkram(U=0.4, tau_d=60 * ms, tau_f=40 * ms)
    learn = ("w", "U", "tau_d", "tau_f")
    net = SpikingNetwork.from_graph(
        {"E": Population(MODELS["ALIF"], N), "I": Population(MODELS["ALIF"], N)},
        [
            Projection("input", "E", synapse=synapse, learn=learn, weight_scale=8),
            Projection("input", "I", weight_scale=3),
            Projection("E", "I", synapse=synapse, learn=learn, delay=2 * ms, weight_scale=6),
            Projection("I", "E", synapse=synapse, learn=("w",), weight_scale=6),
        ],
        Readout(N_OUT, tau=15 * ms),
        input=Input(N_IN),
        seed=3,
    )
    trials = spike_trials(1, N_IN, N_STEPS, rate=60.0, seed=5)
    loss = CrossEntropy(readout="exponential", tau=100 * ms)
    value, theirs, counts = gradient(
        net,
        (),
        raster(trials, 0, N_STEPS),
        int(trials.labels[0]),
        step_weight=loss.step_weights(np.array([N_STEPS]), net.dt),
        cut=isinstance(rule, EProp),
    )
    result = Engine(net, rule, loss, dtype="float64", threads=1).run(trials, gradient=True)
    assert result.loss == pytest.approx(value, rel=1e-10)
    assert min(count.sum() for count in counts.values()) > 50
    assert result.gradient.keys() == theirs.keys() > {"input_to_E.U", "E_to_I.tau_d"}
    for key, block in theirs.items():
        assert np.abs(block).max() > 0, key
        np.testing.assert_allclose(
            result.gradient[key], block, rtol=1e-9, atol=1e-10 * np.abs(block).max(), err_msg=key
        )


def test_random_feedback_reaches_weights_and_parameters():
    assert wrong("ALIF", feedback="random") == {}


def terms(name):
    """Every entry of the derivatives, as (name, key)."""
    found = step_map(MODELS[name], learnable(MODELS[name]))
    for field in ("transition", "jump", "margin", "drive"):
        yield from ((field, key) for key in getattr(found, field))
    for parameter, effect in found.parameters.items():
        yield from (((parameter, "state"), key) for key in effect.state)
        if effect.margin != "0":
            yield (parameter, "margin"), None


def times(found, factors):
    """The derivatives with each entry multiplied by a parameter of the model."""
    changed = {
        field: dict(getattr(found, field)) for field in ("transition", "jump", "margin", "drive")
    }
    parameters = dict(found.parameters)
    for (field, key), factor in factors.items():
        if isinstance(field, str):
            changed[field][key] = f"({changed[field][key]})*{factor}"
        elif field[0] in parameters:
            parameter, part = field
            effect = parameters[parameter]
            if part == "state":
                state = {**effect.state, key: f"({effect.state[key]})*{factor}"}
                parameters[parameter] = dataclasses.replace(effect, state=state)
            else:
                margin = f"({effect.margin})*{factor}"
                parameters[parameter] = dataclasses.replace(effect, margin=margin)
    return dataclasses.replace(found, **changed, parameters=parameters)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.usefixtures("derived_anew")
def test_no_term_can_be_left_out(name, monkeypatch):
    """In one layer. Each term has a factor: one program is compiled, and a factor becomes zero."""
    factors = {term: f"kept_{k}" for k, term in enumerate(terms(name))}

    def multiplied(model, learn=()):
        found = step_map(model, learn)
        return times(found, factors) if model.spikes else found

    monkeypatch.setattr(surrogate_adjoint, "step_map", multiplied)
    net = network(name, layers=1, factors=tuple(factors.values()))
    engine = engine_of(name, net, layers=1)
    assert wrong(name, engine, layers=1) == {}
    unnoticed = []
    for term, factor in factors.items():
        net.parameters[f"hidden.{factor}"][...] = 0
        if not wrong(name, engine, layers=1):
            unnoticed.append(term)
        net.parameters[f"hidden.{factor}"][...] = 1
    assert wrong(name, engine, layers=1) == {}
    assert factors
    assert unnoticed == []


@pytest.mark.parametrize("name", ["exponential", "Izhikevich"])
@pytest.mark.usefixtures("derived_anew")
def test_initial_values_cannot_be_left_out(name, monkeypatch):
    monkeypatch.setattr(surrogate_adjoint, "_through_initial_values", lambda *_: [])
    used = {"exponential": "E", "Izhikevich": "bc"}[name]
    assert wrong(name).keys() == {f"{layer}.{p}" for layer in ("hidden1", "hidden2") for p in used}
