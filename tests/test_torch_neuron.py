"""Torch modules of neuron models: stock Brian2 step by step, numpy BPTT, and their parameters."""

import dataclasses
import doctest
import importlib

import numpy as np
import pytest
from brian2 import Network, NeuronGroup, SpikeMonitor, StateMonitor, Synapses, TimedArray, ms
from engine_cases import USER_WRITTEN, raster, spike_trials
from reference import adjoint_numpy

from neurosnn import NeuronModel, equations
from neurosnn.core.units import si_unit
from neurosnn.equations import surrogates

pytest.importorskip("torch", reason="PyTorch is not installed (extra neurosnn[torch])")
import torch
from test_engine_gradient import N_OUT, N_STEPS, SMALL, network, reference
from torch_oracle import gradient

from neurosnn.torch import to_torch

NAMED = {
    name: model
    for name in equations.__all__
    if isinstance(model := getattr(equations, name)(), NeuronModel)
}
#: Equilibrium propagation follows no gradient through a spike, so its neurons have no surrogate.
NO_GRADIENT = {name for name, model in NAMED.items() if model.spikes and not model.surrogate}
#: Their membranes are unstable with steps of 1 ms; test_zoo.py takes such neurons with shorter ones.
FINE = {"TraubMiles", "WangBuzsaki"}
MODELS = {
    name: model for name, model in NAMED.items() if name not in NO_GRADIENT | FINE
} | USER_WRITTEN
#: Size of the input in SI units at which most neurons spike.
DRIVE = {
    "Izhikevich": 8.0,
    "exponential": 9e-3,
    "conductance": 6e-9,
    "two_conductances": 6e-9,
    "CurrentLIF": 1.5,
    "AdaptiveCurrentLIF": 4.0,
    "SE_adLIF": 12.0,
    "BalancedResonateAndFire": 90.0,
    "constant_over_dt": 4e-3,
}
N, STEPS = 8, 150
TORCH_MODULES = (
    "neurosnn.torch.augment",
    "neurosnn.torch.from_model",
    "neurosnn.torch.plif",
    "neurosnn.torch.recurrent",
    "neurosnn.equations.surrogates",
)


def arriving(model, name, seed=0):
    """Input of every step, channel and neuron: sparse, of both signs unless a conductance."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0.4, 1.0, (len(model.inputs), STEPS, N)) * (rng.random((STEPS, N)) < 0.5)
    x = np.abs(x) if "conductance" in name else x
    return x * DRIVE.get(name, 0.8)


def driven(model, x):
    """A group of the model and what sends it the input, after the threshold like spikes."""
    group = model.group(N, dt=1 * ms)
    objects = [group]
    for variable, values in zip(model.inputs, x, strict=True):
        table = TimedArray(np.vstack([values, np.zeros(N)]), dt=1 * ms)
        source = NeuronGroup(
            N, "x : 1", threshold="x != 0", reset="", dt=1 * ms, namespace={"table": table}
        )
        source.run_regularly("x = table(t, i)", when="start")
        unit = si_unit(model.dimensions[variable])
        synapses = Synapses(
            source, group, on_pre=f"{variable}_post += x_pre*{unit}", namespace={}, dt=1 * ms
        )
        synapses.connect(j="i")
        objects += [source, synapses]
    return objects


def in_brian2(model, x):
    """Sent values and states at the end of each step of stock Brian2."""
    group, *others = driven(model, x)
    states = StateMonitor(group, list(model.states), record=True, when="end", dt=1 * ms)
    net, sent = Network(group, *others, states), np.zeros((STEPS, N))
    if model.spikes:
        carried = [model.transmits] if model.transmits else []
        spikes = SpikeMonitor(group, variables=carried)
        net.add(spikes)
    net.run(STEPS * ms, namespace={})
    if model.spikes:
        values = getattr(spikes, model.transmits)[:] if model.transmits else 1.0
        sent[np.rint(spikes.t / ms).astype(int), spikes.i] = values
    else:
        sent = np.array(getattr(states, model.states[0])).T
    return sent, {name: np.array(getattr(states, name)).T for name in model.states}


def in_torch(neuron, x):
    state, sent, states = None, [], []
    for t in range(STEPS):
        out, state = neuron.step(tuple(torch.tensor(part[t]) for part in x), state)
        sent.append(out.detach().numpy())
        states.append({name: value.detach().numpy() for name, value in state.values.items()})
    return np.array(sent), {k: np.array([s[k] for s in states]) for k in neuron.model.states}


@pytest.mark.parametrize("name", sorted(NO_GRADIENT))
def test_a_model_without_a_surrogate_is_refused(name):
    with pytest.raises(ValueError, match=f"{name}: the model has no surrogate"):
        to_torch(NAMED[name])


@pytest.mark.parametrize("name", MODELS)
def test_every_step_equals_stock_brian2(name):
    model = MODELS[name]
    x = arriving(model, name)
    sent, states = in_brian2(model, x)
    neuron = to_torch(model, dtype=torch.float64)
    ours, our_states = in_torch(neuron, x)
    if model.spikes:
        assert ((sent != 0).sum(0) > 1).mean() > 0.5, "the neurons are silent"
        np.testing.assert_array_equal(ours != 0, sent != 0)
    np.testing.assert_allclose(ours, sent, rtol=1e-11, atol=1e-13)
    for key, values in states.items():
        scale = np.abs(values).max()
        np.testing.assert_allclose(our_states[key], values, rtol=1e-11, atol=1e-12 * scale)
    sequence = tuple(torch.tensor(part) for part in x)
    np.testing.assert_array_equal(neuron(sequence).detach(), ours)
    if model.spikes:
        np.testing.assert_array_equal(neuron(sequence, ahead=True)[:-1].detach(), ours[1:])


def test_initial_values_as_arrays_from_subexpressions_and_from_other_states():
    model = NeuronModel(
        equations="""
        dv/dt = (1.2 - v)/tau : 1
        dn/dt = (n_inf - n)/tau : 1
        n_inf = 1/(1 + exp(-v)) : 1
        """,
        threshold="v - 0.1*n > 1",
        reset="v = 0",
        method="euler",
        initial={"v": np.linspace(0, 0.9, N), "n": "3*n_inf + 0.1*i - v"},
        parameters={"tau": 20 * ms},
        surrogate="0.3*clip(1 - abs(v - 1), 0, 1)",
    )
    x = np.zeros((1, STEPS, N))
    sent, states = in_brian2(model, x)
    ours, our_states = in_torch(to_torch(model, dtype=torch.float64), x)
    assert (sent.sum(0) > 1).all()
    np.testing.assert_array_equal(ours, sent)
    np.testing.assert_allclose(our_states["n"], states["n"], rtol=1e-11)


@pytest.mark.parametrize("name", [name for name in MODELS if MODELS[name].spikes])
def test_derivative_of_a_spike_is_the_surrogate_as_brian2_computes_it(name):
    model = MODELS[name]
    x = arriving(model, name)
    unit = si_unit(model.namespace.dimensions_of(model.surrogate, field="surrogate"))
    watched = dataclasses.replace(model, equations=f"{model.equations}\npsi_seen : {unit}")
    group, *others = driven(watched, x)
    group.run_regularly(f"psi_seen = {model.surrogate}", when="after_thresholds", dt=1 * ms)
    seen = StateMonitor(group, "psi_seen", record=True, when="end", dt=1 * ms)
    Network(group, *others, seen).run(STEPS * ms, namespace={})
    expected = np.array(seen.psi_seen).T

    neuron = to_torch(model, dtype=torch.float64)
    found = np.zeros((STEPS, N))
    constants = neuron.constants()
    state = neuron.initial_state(torch.zeros(N, dtype=torch.float64))
    of_state = neuron._margin
    for t in range(STEPS):
        margins = []

        def leaf(environment, margins=margins):
            margins.append(of_state(environment).detach().requires_grad_())
            return margins[-1]

        neuron._margin = leaf
        sent, pending = neuron.fire(state, constants)
        sent.sum().backward()
        found[t] = margins[0].grad.numpy()
        state = neuron.receive(
            tuple(torch.tensor(part[t]) for part in x), sent.detach(), pending, constants
        )
    assert np.abs(expected).max() > 0
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12 * np.abs(expected).max())


@pytest.mark.parametrize("name", ["LIF", "ALIF", "STDP_LIF", "STDP_ALIF"])
def test_uncut_gradient_is_backpropagation_through_time(name, monkeypatch):
    """Through other neurons too; the published recursions, in plain numpy."""
    net = network(SMALL[name], layers=2, delay=1, name=name)
    trials = spike_trials(1, 12, N_STEPS, rate=60.0, seed=5)
    rng = np.random.default_rng(0)
    net.parameters["readout.b"][:] = rng.normal(size=N_OUT)
    names, readouts, plain = reference(net, name)
    inputs, label = raster(trials, 0, N_STEPS), int(trials.labels[0])
    weight = rng.random(N_STEPS) * 0.1

    def loss_of_scores(y, *_):
        share = np.exp((weight[:, None] * y).sum(0))
        share /= share.sum()
        return -np.log(share[label]), weight[:, None] * (share - np.eye(N_OUT)[label])

    monkeypatch.setattr(adjoint_numpy, "loss_and_error", loss_of_scores)
    expected, record = adjoint_numpy.bptt(plain, inputs, None)
    loss, found, counts = gradient(net, (), inputs, label, step_weight=weight, cut=False)
    for layer, z in zip(net.layers, record.z, strict=True):
        assert (z.sum(axis=0) > 0).mean() >= 0.2
        np.testing.assert_array_equal(counts[layer.name], z.sum(0))
    assert loss == pytest.approx(expected.loss, rel=1e-10)
    theirs = {f"{key}.w": w.T for key, w in zip(names, expected.W, strict=True)}
    theirs |= {f"{key}.w": w.T for key, w in zip(readouts, expected.W_out, strict=True)}
    for key, block in theirs.items():
        assert np.abs(block).max() > 0
        np.testing.assert_allclose(found[key], block, rtol=0, atol=1e-10 * np.abs(block).max())


def slope(name, **options):
    """Derivative of the spike count by tau_m, which the reset of a LIF neuron makes differ."""
    neuron = to_torch(equations.LIF(t_ref=0 * ms), {"tau_m": "identity"}, dtype=torch.float64)
    if name != "model":
        neuron = to_torch(
            equations.LIF(t_ref=0 * ms),
            {"tau_m": "identity"},
            dtype=torch.float64,
            detach_reset=name == "detached",
            **options,
        )
    x = torch.full((30, 1), 0.3, dtype=torch.float64)
    z = neuron(x)
    assert 1 < z.sum() < 20
    (torch.linspace(0, 1, 30, dtype=torch.float64)[:, None] * z).sum().backward()
    return float(neuron.free_tau_m.grad)


def test_detached_and_attached_reset():
    assert slope("model") == slope("detached")
    attached, detached = slope("attached"), slope("detached")
    assert attached != pytest.approx(detached, rel=0.01)
    # by hand: v' = alpha v + I, I' = x - z, psi the triangle, dz = psi dv
    tau, total = 20e-3, {"attached": 0.0, "detached": 0.0}
    for kind in total:
        v = current = dv = dcurrent = 0.0
        for t in range(30):
            alpha = np.exp(-1e-3 / tau)
            dv = alpha * dv + alpha * 1e-3 / tau**2 * v + dcurrent
            v = alpha * v + current
            z = float(v >= 1)
            psi = 0.0 if z else 0.3 * max(0.0, 1 - abs(v - 1))
            total[kind] += t / 29 * psi * dv
            current, dcurrent = 0.3 - z, (-psi * dv if kind == "attached" else 0.0)
    assert attached == pytest.approx(total["attached"], rel=1e-9)
    assert detached == pytest.approx(total["detached"], rel=1e-9)


@pytest.mark.parametrize(
    ("string", "shape"),
    [
        (surrogates.triangle("v - v_th", "v_th"), lambda x: np.maximum(0, 1 - np.abs(x))),
        (surrogates.arctan("v - v_th", 1), lambda x: 1 / (1 + (np.pi * x) ** 2)),
        (surrogates.fast_sigmoid("v - v_th", 0.1), lambda x: 10 / (1 + 10 * np.abs(x)) ** 2),
        (surrogates.straight_through("v - v_th", 0.5), lambda x: 2.0 * (np.abs(x) < 0.5)),
    ],
    ids=["triangle", "arctan", "fast sigmoid", "straight through"],
)
def test_surrogates(string, shape):
    neuron = to_torch(equations.LIF(), surrogate=string, dtype=torch.float64)
    v = torch.linspace(-1.3, 3, 40, dtype=torch.float64, requires_grad=True)
    state = neuron.initial_state(torch.zeros(40, dtype=torch.float64))
    state.values["I"] = v  # the step adds it to v, undecayed
    sent, _ = neuron.fire(state, neuron.constants())
    (slopes,) = torch.autograd.grad(sent.sum(), v)
    np.testing.assert_allclose(slopes, shape(v.detach().numpy() - 1), rtol=1e-12)


def test_parameters_stay_in_their_range_and_carry_their_unit():
    model = equations.ALIF(tau_m=np.linspace(10, 30, N) * ms)
    neuron = to_torch(model, ("tau_m", "tau_a", "beta", "v_th"), dtype=torch.float64)
    np.testing.assert_allclose(neuron.learned()["tau_m"] / ms, np.linspace(10, 30, N), rtol=1e-12)
    assert float(neuron.learned()["tau_a"] / ms) == pytest.approx(200)
    with torch.no_grad():
        for free in neuron.parameters():
            free -= 20
    assert np.all(neuron.learned()["tau_m"] > 0 * ms)
    assert 0 < neuron.learned()["beta"] < 1e-8
    trained = neuron.trained_model()
    assert trained.parameters["tau_a"] == neuron.learned()["tau_a"]
    assert trained.group(N).N == N


def test_leak_rate_is_the_sigmoid_of_a_free_number():
    neuron = to_torch(equations.LIF(tau_m=16 * ms), {"tau_m": "leak_rate"}, dtype=torch.float64)
    assert neuron.free_tau_m.item() == pytest.approx(-np.log(15))
    assert float(neuron.learned()["tau_m"] / ms) == pytest.approx(16)
    with torch.no_grad():
        neuron.free_tau_m.fill_(0.0)
    assert float(neuron.learned()["tau_m"] / ms) == pytest.approx(2)


def test_what_is_refused():
    with pytest.raises(ValueError, match="'tau' is not a parameter.*Did you mean 'tau_m'"):
        to_torch(equations.LIF(), ("tau",))
    with pytest.raises(ValueError, match="unknown transform 'logg'.*identity"):
        to_torch(equations.LIF(), {"tau_m": "logg"})
    with pytest.raises(ValueError, match="tau_m=.* is not inside the range of LeakRate"):
        to_torch(equations.LIF(tau_m=0.5 * ms), {"tau_m": "leak_rate"})
    with pytest.raises(ValueError, match="dt must be a time"):
        to_torch(equations.LIF(), dt=1.0)
    with pytest.raises(ValueError, match="no surrogate"):
        to_torch(dataclasses.replace(USER_WRITTEN["exponential"], surrogate=""))
    noisy = NeuronModel(
        equations="dv/dt = -v/tau + xi*tau**-0.5 : 1",
        threshold="v > 1",
        reset="v = 0",
        method="euler",
        surrogate="1.0/(1 + abs(v - 1))",
        parameters={"tau": 10 * ms},
    )
    with pytest.raises(ValueError, match="noise"):
        to_torch(noisy)
    unknown = dataclasses.replace(USER_WRITTEN["exponential"], surrogate="rand()/mV")
    with pytest.raises(ValueError, match="random"):
        to_torch(unknown)


def test_timed_arrays_are_refused():
    """A module is called with what changes in time."""
    model = NeuronModel(
        equations="dv/dt = (pulse(t) - v)/(10*ms) : 1",
        threshold="v > 1",
        reset="v = 0",
        method="euler",
        surrogate="1.0/(1 + abs(v - 1))",
        timed_arrays={"pulse": TimedArray([0.0, 1.0], dt=5 * ms)},
    )
    with pytest.raises(ValueError, match="TimedArray 'pulse'"):
        to_torch(model)


@pytest.mark.parametrize("module", TORCH_MODULES)
def test_docstring_examples(module):
    tested = doctest.testmod(importlib.import_module(module))
    assert tested.attempted > 0
    assert tested.failed == 0


@pytest.mark.parametrize("reset", ["v = 0; a += 0.3", "a += 0.3;v = 0  # both"])
def test_an_attached_reset_follows_every_statement_of_a_line(reset):
    """What stands behind ``;`` is as much part of the reset as a line of its own."""
    model = NeuronModel(
        equations="dv/dt = (1.8 - a - v)/tau : 1\nda/dt = -a/tau_a : 1",
        threshold="v > 1",
        reset="v = 0\na += 0.3",
        surrogate=surrogates.triangle("v - 1", "1"),
        parameters={"tau": 20 * ms, "tau_a": 60 * ms},
        method="euler",
    )

    def gradient_of(model):
        neuron = to_torch(model, {"tau": "identity"}, detach_reset=False, dtype=torch.float64)
        assert set(neuron.model.spike_gradient) == {"v", "a"}
        z = neuron(torch.zeros((200, 1), dtype=torch.float64))
        assert 3 < z.sum() < 50
        (torch.linspace(0, 1, 200, dtype=torch.float64)[:, None] * z).sum().backward()
        return float(neuron.free_tau.grad)

    assert gradient_of(dataclasses.replace(model, reset=reset)) == gradient_of(model) != 0


def test_an_initial_value_for_each_neuron():
    model = dataclasses.replace(MODELS["LIF"], initial={"v": [0.0, 0.5, 0.9]})
    neuron = to_torch(model, dtype=torch.float64)
    state = neuron.initial_state(torch.zeros((4, 3), dtype=torch.float64))
    np.testing.assert_array_equal(state.values["v"], np.tile([0.0, 0.5, 0.9], (4, 1)))
