"""Derivatives through the statements of every integration method that Brian2 writes down."""

import dataclasses
import functools

import numpy as np
import pytest
import sympy
from brian2 import Network, ms, mV, nS, pA, pF, usiemens
from engine_cases import raster, spike_trials

from neurosnn import BPTT, EProp, Input, Layer, NeuronModel, Readout, SpikingNetwork
from neurosnn.analysis.protocols import private_brian
from neurosnn.calculus.hybrid import hybrid_map
from neurosnn.calculus.step import step_map
from neurosnn.core.symbolic import to_symbolic
from neurosnn.engine import Engine
from neurosnn.losses import CrossEntropy
from neurosnn.rules.eprop.backend import OnlineBackend

DT = 0.04 * ms
#: Parameters with a gradient, in the models that have them.
LEARNED = ("tau_s", "E_L", "E")
#: A spiking cell of Traub and Miles, with exprel where their rates are 0/0.
HODGKIN_HUXLEY = {
    "equations": """
    dv/dt = (g_L*(E_L - v) - g_Na*m**3*h*(v - E_Na) - g_K*n**4*(v - E_K) + I)/C : volt
    dm/dt = alpha_m*(1 - m) - beta_m*m : 1
    dn/dt = alpha_n*(1 - n) - beta_n*n : 1
    dh/dt = alpha_h*(1 - h) - beta_h*h : 1
    dI/dt = -I/tau_s : amp
    alpha_m = 1.28/exprel((13*mV - v + V_T)/(4*mV))/ms : Hz
    beta_m = 1.4/exprel((v - V_T - 40*mV)/(5*mV))/ms : Hz
    alpha_h = 0.128*exp((17*mV - v + V_T)/(18*mV))/ms : Hz
    beta_h = 4/(1 + exp((40*mV - v + V_T)/(5*mV)))/ms : Hz
    alpha_n = 0.16/exprel((15*mV - v + V_T)/(5*mV))/ms : Hz
    beta_n = 0.5*exp((10*mV - v + V_T)/(40*mV))/ms : Hz
    """,
    "threshold": "v > -40*mV",
    "refractory": "v > -40*mV",
    "inputs": ("I",),
    "surrogate": "clip(1 - abs(v + 40*mV)/(40*mV), 0, 1)/(40*mV)",
    "parameters": {
        "C": 200 * pF,
        "g_L": 10 * nS,
        "g_Na": 20 * usiemens,
        "g_K": 6 * usiemens,
        "E_L": -65 * mV,
        "E_Na": 50 * mV,
        "E_K": -90 * mV,
        "V_T": -63 * mV,
        "tau_s": 5 * ms,
    },
    "initial": {"v": "E_L"},
}
#: Membrane flow that stands still while refractory, a flow with a kink, and linear variables around it.
ADAPTIVE = {
    "equations": """
    dv/dt = (E - v + D*exp((v - V_T)/D) + R*I - u)/tau_m : volt (unless refractory)
    du/dt = (0.3*clip(v - E, 0*mV, 30*mV) - u)/tau_u : volt
    dI/dt = (x - I)/tau_s : amp
    dx/dt = -x/tau_s : amp
    """,
    "threshold": "v > V_T + 3*D",
    "reset": "v = E\nu += 2*mV",
    "refractory": 1 * ms,
    "inputs": ("x",),
    "spike_gradient": ("u",),
    "surrogate": "clip(1 - abs(v - V_T - 3*D)/(20*mV), 0, 1)/(20*mV)",
    "parameters": {
        "E": -70 * mV,
        "tau_m": 15 * ms,
        "tau_u": 60 * ms,
        "tau_s": 4 * ms,
        "V_T": -52 * mV,
        "D": 2 * mV,
        "R": 100 * mV / (1000 * pA),
    },
    "initial": {"v": "E"},
}
CELLS = {"Hodgkin-Huxley": HODGKIN_HUXLEY, "adaptive": ADAPTIVE}
#: A state in the middle of things, in SI units.
STATES = {
    "Hodgkin-Huxley": {"v": -0.0523, "m": 0.21, "n": 0.35, "h": 0.62, "I": 0.7e-9},
    "adaptive": {"v": -0.0561, "u": 0.004, "I": 0.2e-9, "x": 0.1e-9},
}
STEPS = [
    ("Hodgkin-Huxley", "rk4"),
    *(("adaptive", method) for method in ("rk4", "rk2", "heun", "exponential_euler")),
]


@functools.cache
def cell(name, method):
    return NeuronModel(**CELLS[name], method=method, name=f"{name} {method}")


def after_one_step(model, states):
    """The states after a step of Brian2 from each of several states, (n_states, n)."""
    n = len(next(iter(states.values())))
    with private_brian(DT):
        group = model.group(n, dt=DT)
        for key, value in states.items():
            group.variables[key].set_value(value)
        Network(group).run(DT, namespace={})
        return {key: np.array(group.variables[key].get_value()) for key in model.states}


def exprel_slope(x):
    return ((x - 1) * np.exp(x) + 1) / x**2


def values_of(slopes, states, **flags):
    """Numbers for the names in a derivative, its intermediate values among them."""
    known = {key: float(value) for key, value in slopes.model.parameters.items()}
    known |= {"mV": 1e-3, "ms": 1e-3, "dt": float(DT), "t": 0.0, "not_refractory": True}
    known |= states | flags
    for name, text in slopes.intermediate:
        known[name] = number(text, known)
    return known


def number(text, known):
    expression = to_symbolic(text)
    names = sorted(map(str, expression.free_symbols))
    own = {"exprel": lambda x: np.expm1(x) / x, "int_": int, "___exprel_slope": exprel_slope}
    function = sympy.lambdify(sorted(expression.free_symbols, key=str), expression, [own, "numpy"])
    return float(function(*(known[name] for name in names)))


@pytest.mark.parametrize(("name", "method"), STEPS)
def test_derivative_of_a_step_is_its_central_difference(name, method):
    model, states = cell(name, method), STATES[name]
    slopes = step_map(model, tuple(key for key in LEARNED if key in model.parameters))
    known = values_of(slopes, states, ___spiked=0, ___accepted_input=1)
    names = list(slopes.states)
    changes = {key: 1e-6 * abs(value) for key, value in states.items()}
    several = {
        key: np.array(
            [value + sign * changes[key] * (key == column) for column in names for sign in (1, -1)]
        )
        for key, value in states.items()
    }
    after = after_one_step(model, several)
    for row in names:
        for k, column in enumerate(names):
            difference = (after[row][2 * k] - after[row][2 * k + 1]) / (2 * changes[column])
            ours = number(slopes.transition.get((row, column), "0"), known)
            scale = abs(states[row] / states[column])
            assert ours == pytest.approx(difference, rel=1e-6, abs=1e-8 * scale), (row, column)
    assert number(slopes.transition["v", "v"], known) != 1


def test_flow_of_eventprop_has_the_same_step():
    model, states = cell("adaptive", "rk4"), STATES["adaptive"]
    flow, step = hybrid_map(model, ("tau_s",)), step_map(model, ("tau_s",))
    of_flow = values_of(flow, states)
    of_step = values_of(step, states, ___spiked=0, ___accepted_input=1)
    for key, text in flow.transition.items():
        assert number(text, of_flow) == pytest.approx(number(step.transition[key], of_step), 1e-12)
    for row, text in flow.parameters["tau_s"].items():
        expected = number(step.parameters["tau_s"].state[row], of_step)
        assert number(text, of_flow) == pytest.approx(expected, 1e-12)
    assert "v" in flow.parameters["tau_s"]


def test_intermediate_values_keep_the_code_short():
    found = step_map(cell("Hodgkin-Huxley", "rk4"), LEARNED[:2])
    texts = [*found.transition.values(), *(text for _, text in found.intermediate)]
    assert sum(map(len, texts)) < 40_000  # written out, some ten million


def test_linear_steps_have_constant_derivatives():
    model = NeuronModel(
        equations="dv/dt = (I - v)/tau_m : 1\ndI/dt = (x - I)/tau_s : 1\ndx/dt = -x/tau_s : 1",
        threshold="v > 1",
        reset="v = 0",
        method="rk4",
        inputs=("x",),
        surrogate="clip(1 - abs(v - 1), 0, 1)",
        parameters={"tau_m": 20 * ms, "tau_s": 5 * ms},
    )
    found = step_map(model)
    varying = {"v", "I", "x"}
    for text in (*dict(found.intermediate).values(), *found.drive.values()):
        assert not varying & set(map(str, to_symbolic(text).free_symbols))
    known = values_of(found, {}, ___spiked=0)
    z = -float(DT / (20 * ms))
    expected = 1 + z + z**2 / 2 + z**3 / 6 + z**4 / 24
    assert number(found.transition["v", "v"], known) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize(
    ("reset", "width"), [("v = E", "-E + v_th"), ("v -= 2*mV", "2*mV"), ("v = 0.5*v", "width")]
)
def test_a_missing_surrogate_is_proposed_in_the_unit_of_the_model(reset, width):
    used = {"E": -70 * mV} if "E" in reset else {}
    model = NeuronModel(
        equations="dv/dt = -v/(20*ms) : volt",
        threshold="v > v_th",
        reset=reset,
        parameters={"v_th": -50 * mV, **used},
    )
    with pytest.raises(ValueError, match="the model has no surrogate") as refused:
        step_map(model)
    proposed = f"0.3/({width})*clip(1 - abs(((v) - (v_th))/({width})), 0, 1)"
    assert proposed in str(refused.value)
    if width != "width":
        psi = step_map(dataclasses.replace(model, surrogate=proposed)).psi
        assert psi == proposed


# -- whole networks ---------------------------------------------------------------------------------

N_IN, N, N_OUT, N_STEPS = 12, 4, 3, 500


@functools.cache
def network():
    """A layer of each cell, recurrent and with delays."""
    parts = [
        Layer(cell(name, method), N, recurrent=True, delay=np.arange(N) % 3 * DT)
        for name, method in (("Hodgkin-Huxley", "rk4"), ("adaptive", "rk2"))
    ]
    net = SpikingNetwork(Input(N_IN), *parts, Readout(N_OUT, tau=15 * ms), dt=DT, seed=3)
    rng = np.random.default_rng(0)
    for connection in net.connections.values():
        if connection.target != "readout":
            size = 2.5e-10 if connection.target == "hidden1" else 6e-10
            w = rng.normal(0.7, 0.7, connection.w.shape) * size
            connection.w[:] = w if connection.mask is None else w * connection.mask
    trials = spike_trials(1, N_IN, N_STEPS // 25, rate=60.0, seed=5)
    return net, trials


def learned(net):
    return {
        layer.name: tuple(name for name in LEARNED if name in layer.model.parameters)
        for layer in net.layers
    }


def engine_gradient(rule, loss):
    net, trials = network()
    machine = Engine(net, rule, loss, dtype="float64", threads=1, learn=learned(net))
    result = machine.run(trials, gradient=True)
    for layer in net.layers:
        assert result.spikes[layer.name] > N, f"{layer.name} is silent"
    for key, block in result.gradient.items():
        assert np.abs(block).max() > 0, key
    return result


def relative(ours, theirs):
    return np.abs(ours - theirs).max() / np.abs(theirs).max()


def test_factored_equals_online_eprop():
    net, trials = network()
    rule, loss = EProp(feedback="random", seed=2), CrossEntropy(readout="exponential", tau=10 * ms)
    factored = engine_gradient(rule, loss)
    online = OnlineBackend(net, rule, loss).run(trials, gradient=True)
    assert online.spikes == factored.spikes
    assert online.loss == pytest.approx(factored.loss, rel=1e-12)
    for key, block in online.gradient.items():
        assert relative(factored.gradient[key], block) < 1e-11, key


def test_bptt_equals_autograd():
    pytest.importorskip("torch", reason="the oracle is torch, which is not installed")
    from torch_oracle import gradient

    net, trials = network()
    rule, loss = BPTT(), CrossEntropy(readout="exponential", tau=10 * ms)
    result = engine_gradient(rule, loss)
    value, theirs, counts = gradient(
        net,
        LEARNED,
        raster(trials, 0, N_STEPS, DT),
        int(trials.labels[0]),
        step_weight=loss.step_weights(np.array([N_STEPS]), net.dt),
        cut=False,
    )
    assert result.loss == pytest.approx(value, rel=1e-12)
    assert {name: count.sum() for name, count in counts.items()} == result.spikes
    for key, block in theirs.items():
        assert relative(result.gradient[key], block) < 1e-10, key
