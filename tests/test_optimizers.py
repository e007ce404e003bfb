"""Optimizers against the formulas by hand, schedules, and the constraints of weights."""

import math

import numpy as np
import pytest
from brian2 import ms, mV, nS

from neurosnn import NeuronModel, equations
from neurosnn.network import Input, Layer, Readout, SpikingNetwork
from neurosnn.training.constraints import Constraints
from neurosnn.training.optimizers import SGD, Adam, clip_by_global_norm
from neurosnn.training.schedules import Constant, Cosine, Exponential, Steps, WarmUp

GRADIENTS = [0.3, -1.2, 0.05, 2.0, -0.7]


def follow(optimizer, gradients, start=1.0, name="a.w", dtype=float):
    parameters = {name: np.full((), start, dtype=dtype)}
    state = optimizer.start(parameters)
    path = []
    for gradient in gradients:
        optimizer.update(parameters, {name: np.full((), gradient, dtype=dtype)}, state)
        path.append(float(parameters[name]))
    return path


def adam_by_hand(
    gradients, *, rate, beta_1, beta_2, epsilon, start=1.0, coupled=0.0, decoupled=0.0
):
    """torch.optim.Adam and AdamW, from their documentation."""
    w, m, v, path = start, 0.0, 0.0, []
    for n, g in enumerate(gradients, start=1):
        g = g + coupled * w
        w = w - rate * decoupled * w
        m = beta_1 * m + (1 - beta_1) * g
        v = beta_2 * v + (1 - beta_2) * g * g
        m_hat, v_hat = m / (1 - beta_1**n), v / (1 - beta_2**n)
        w = w - rate * m_hat / (math.sqrt(v_hat) + epsilon)
        path.append(w)
    return path


def test_adam_is_the_published_one():
    expected = adam_by_hand(GRADIENTS, rate=0.02, beta_1=0.8, beta_2=0.95, epsilon=1e-3)
    assert follow(Adam(0.02, beta_1=0.8, beta_2=0.95, epsilon=1e-3), GRADIENTS) == pytest.approx(
        expected, rel=1e-14
    )
    # By default epsilon is far too small to be seen: five equal gradients are five equal steps.
    assert follow(Adam(0.1), [3.0] * 5) == pytest.approx([0.9, 0.8, 0.7, 0.6, 0.5], rel=1e-7)


def test_adam_of_tensorflow_has_another_epsilon():
    """The conversion that the docstring gives, in the first step."""
    rate, beta_2, epsilon, gradient = 0.1, 0.999, 1e-2, 0.5
    mean, square = 0.1 * gradient, (1 - beta_2) * gradient**2
    rate_1 = rate * math.sqrt(1 - beta_2) / (1 - 0.9)
    tensorflow = 1 - rate_1 * mean / (math.sqrt(square) + epsilon)
    assert follow(Adam(rate, epsilon=epsilon), [gradient])[0] != pytest.approx(tensorflow, rel=1e-3)
    same = Adam(rate, epsilon=epsilon / math.sqrt(1 - beta_2))
    assert follow(same, [gradient])[0] == pytest.approx(tensorflow, rel=1e-12)


def test_weight_decay():
    settings = {"rate": 0.02, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8}
    decoupled = adam_by_hand(GRADIENTS, **settings, decoupled=0.3)
    coupled = adam_by_hand(GRADIENTS, **settings, coupled=0.3)
    assert follow(Adam(0.02, weight_decay=0.3), GRADIENTS) == pytest.approx(decoupled, rel=1e-13)
    optimizer = Adam(0.02, weight_decay=0.3, decoupled=False)
    assert follow(optimizer, GRADIENTS) == pytest.approx(coupled, rel=1e-13)
    assert decoupled != pytest.approx(coupled, rel=1e-3)
    assert follow(SGD(0.1, weight_decay=0.5), [0.0]) == [0.95]
    # Only weights decay.
    assert follow(SGD(0.1, weight_decay=0.5), [0.0], name="readout.b") == [1.0]


def test_sgd_with_momentum():
    w, u, expected = 1.0, 0.0, []
    for gradient in GRADIENTS:
        u = 0.9 * u + gradient
        w -= 0.1 * u
        expected.append(w)
    assert follow(SGD(0.1, momentum=0.9), GRADIENTS) == pytest.approx(expected, rel=1e-14)
    plain = 1 - 0.1 * np.cumsum(GRADIENTS)
    assert follow(SGD(0.1), GRADIENTS) == pytest.approx(plain, rel=1e-14)


@pytest.mark.parametrize("optimizer", [SGD(0.1, momentum=0.9), Adam(0.1)])
def test_in_place_and_in_the_dtype_of_the_parameters(optimizer):
    w = np.ones(3, dtype=np.float32)
    parameters = {"w": w}
    state = optimizer.start(parameters)
    gradient = {"w": np.arange(3, dtype=np.float32)}
    optimizer.update(parameters, gradient, state)
    assert parameters["w"] is w
    assert w.dtype == np.float32
    assert {array.dtype for name, array in state.items() if name != "steps"} == {
        np.dtype("float32")
    }
    assert w[0] == 1 > w[1]
    assert gradient["w"].tolist() == [0, 1, 2]


def test_factors_by_name_and_pattern():
    optimizer = SGD(1.0, factors={"recurrent2.w": 0.5, "recurrent*": 0.25, "readout.b": 0})
    names = ["input.w", "recurrent1.w", "recurrent2.w", "readout.b"]
    parameters = {name: np.zeros(1) for name in names}
    state = optimizer.start(parameters)
    optimizer.update(parameters, {name: np.ones(1) for name in names}, state)
    assert [float(parameters[name][0]) for name in names] == [-1, -0.25, -0.5, 0]
    with pytest.raises(
        ValueError, match=r"factors names 'recurent.w'.*Did you mean 'recurrent2.w'"
    ):
        SGD(factors={"recurent.w": 1.0}).start(parameters)


def test_schedule_replaces_the_learning_rate():
    parameters = {"w": np.zeros(1)}
    optimizer = SGD(1.0)
    optimizer.update(parameters, {"w": np.ones(1)}, optimizer.start(parameters), 0.125)
    assert parameters["w"] == -0.125


def test_clipping_keeps_the_direction():
    gradient = {"a": np.array([[3.0, 0.0]]), "b": np.array([4.0])}
    assert clip_by_global_norm(gradient, 10) == 5
    assert gradient["b"] == 4
    assert clip_by_global_norm(gradient, 0.5) == 5
    assert clip_by_global_norm(gradient, None) == pytest.approx(0.5)
    assert gradient["a"][0, 0] / gradient["b"][0] == pytest.approx(0.75)


def test_schedules():
    assert [Constant(0.5)(epoch) for epoch in (0, 9)] == [0.5, 0.5]
    assert [Exponential(0.9)(epoch) for epoch in (0, 0.99, 1, 2)] == pytest.approx(
        [1, 1, 0.9, 0.81]
    )
    assert [Steps(every=100, factor=0.7)(e) for e in (99, 100, 250)] == pytest.approx(
        [1, 0.7, 0.49]
    )
    assert [WarmUp(2)(epoch) for epoch in (0, 1, 2, 5)] == [0, 0.5, 1, 1]
    assert WarmUp(1, lambda epoch: 0.5**epoch)(2) == 0.25
    assert [Cosine(4, last=0.2)(e) for e in (0, 2, 4, 9)] == pytest.approx([1, 0.6, 0.2, 0.2])


def test_refusals():
    with pytest.raises(ValueError, match="learning_rate must be > 0"):
        Adam(0)
    with pytest.raises(ValueError, match="learning_rate must be one number"):
        Adam(np.ones(2))
    with pytest.raises(ValueError, match="learning_rate must be dimensionless"):
        SGD(1 * mV)
    with pytest.raises(ValueError, match="momentum must be below 1"):
        SGD(momentum=1)
    with pytest.raises(ValueError, match="beta_2 must be below 1"):
        Adam(beta_2=1.0)
    with pytest.raises(ValueError, match="weight_decay must be >= 0"):
        SGD(weight_decay=-1)
    with pytest.raises(ValueError, match=r"factors\['a'\] must be >= 0"):
        SGD(factors={"a": -1})
    with pytest.raises(ValueError, match="decay must be > 0"):
        Exponential(0)
    with pytest.raises(ValueError, match="factor must be >= 0"):
        Constant(-1)
    with pytest.raises(ValueError, match="every must be > 0"):
        Steps(every=0)
    with pytest.raises(ValueError, match="epochs must be > 0"):
        Cosine(0)
    with pytest.raises(ValueError, match="epochs must be > 0"):
        WarmUp(0)
    with pytest.raises(TypeError, match="after must be a schedule, got 0.95"):
        WarmUp(1, 0.95)


# -- constraints ------------------------------------------------------------------------------


@pytest.fixture
def sparse_net():
    layer = Layer(equations.LIF(), 10, recurrent=True, connectivity=0.5, excitatory=0.8)
    return SpikingNetwork(Input(4), layer, Readout(3), seed=3)


def test_absent_synapses_stay_absent_and_signs_stay(sparse_net):
    constraints = Constraints(sparse_net, (-0.5, 0.25))
    recurrent = sparse_net.connections["recurrent"]
    assert 0 < recurrent.n_synapses < 90
    assert set(recurrent.sign) == {1, -1}
    rng = np.random.default_rng(1)
    for w in sparse_net.parameters.values():
        w[...] = rng.normal(size=w.shape)
    wanted = recurrent.w.copy()
    constraints.apply()
    assert np.all(recurrent.w * recurrent.sign[recurrent.pre] >= 0)
    for name in ("input.w", "readout.w", "recurrent.w"):
        w = sparse_net.parameters[name]
        assert w.max() == 0.25
        assert w.min() == -0.5
    inner = (wanted * recurrent.sign[recurrent.pre] > 0) & (np.abs(wanted) < 0.25)
    assert inner.sum() > 3
    assert np.array_equal(recurrent.w[inner], wanted[inner])


def test_no_synapse_from_a_neuron_to_itself():
    layer = Layer(equations.LIF(), 10, recurrent=True, excitatory=0.8)
    net = SpikingNetwork(Input(4), layer, Readout(3), seed=3)
    constraints, recurrent = Constraints(net, (-0.5, 0.25)), net.connections["recurrent"]
    itself = np.eye(10, dtype=bool)
    recurrent.w[:] = np.random.default_rng(0).normal(size=(10, 10))
    constraints.apply()
    assert not recurrent.w[itself].any()
    assert np.all(recurrent.w * recurrent.sign[:, None] >= 0)
    gradient = {"recurrent.w": np.where(itself, np.nan, 1.0)}
    constraints.mask_gradient(gradient)
    assert np.array_equal(gradient["recurrent.w"], 1.0 - itself)


def test_bounds_by_name_pattern_and_unit():
    model = NeuronModel(
        equations="dv/dt = -v/tau_m : volt",
        threshold="v > v_th",
        reset="v = 0*mV",
        surrogate="clip(1 - abs(v - v_th)/v_th, 0, 1)/v_th",
        parameters={"tau_m": 20 * ms, "v_th": 10 * mV},
    )
    net = SpikingNetwork(Input(4), Layer(model, 5, recurrent=True), Readout(3))
    constraints = Constraints(net, {"recurrent.w": (-1 * mV, None), "*": (None, 0.002)})
    assert constraints.bounds["recurrent.w"] == (-0.001, None)
    assert constraints.bounds["input.w"] == (None, 0.002)
    assert constraints.scale_of("input.w") == 1e-3
    assert constraints.scale_of("readout.b") == 1
    with pytest.raises(ValueError, match=r"the bound 2. nS of 'input.w' is not V"):
        Constraints(net, {"input.w": (0, 2 * nS)})


def test_bounds_that_make_no_sense(sparse_net):
    with pytest.raises(
        ValueError, match=r"weight_bounds names 'reccurent.w'.*Did you mean 'recurrent.w'"
    ):
        Constraints(sparse_net, {"reccurent.w": (0, 1)})
    with pytest.raises(ValueError, match="the bounds of 'input.w' must be two numbers, got 1"):
        Constraints(sparse_net, 1)
    with pytest.raises(ValueError, match=r"the bounds of 'input.w' are \(1, -1\)"):
        Constraints(sparse_net, (1, -1))
    with pytest.raises(ValueError, match="leave no weight for inhibitory neurons"):
        Constraints(sparse_net, {"recurrent.w": (0.1, 1)})
    with pytest.raises(ValueError, match="leave no weight for excitatory neurons"):
        Constraints(sparse_net, {"recurrent.w": (-1, -0.1)})
    own = SpikingNetwork(Input(4), Layer(equations.LIF(), 10, recurrent=True), Readout(3))
    with pytest.raises(ValueError, match="the bound 0.1 of 'recurrent.w' excludes zero"):
        Constraints(own, {"recurrent.w": (0.1, 1)})
    given = Constraints(sparse_net, {"input.w": (0.1, 1)})  # absent synapses have no weight at all
    given.apply()
    assert sparse_net.parameters["input.w"].min() == 0.1
