"""Models that the fuzzer of models (tools/fuzz_models.py) found wrong, unclear or lost, shrunk."""

import dataclasses

import numpy as np
import pytest
import sympy
from brian2 import Network, NeuronGroup, Synapses, hertz, ms, mV, volt
from brian2.units.fundamentalunits import DIMENSIONLESS
from brian2.utils.stringtools import word_substitute
from scipy.special import exprel
from test_silent_results import driven, input_spikes, network, no_spikes, same_spikes

from neurosnn import EProp, EventProp, NeuronModel, equations
from neurosnn.calculus.filters import in_place
from neurosnn.calculus.step import step_map
from neurosnn.core.names import FreeNames
from neurosnn.core.symbolic import (
    differentiate,
    evaluate,
    int_,
    statements,
    to_string,
    to_symbolic,
)
from neurosnn.core.written_out import written_out
from neurosnn.engine import Engine
from neurosnn.losses import CrossEntropy
from neurosnn.network import Input, Layer, Readout, SpikingNetwork
from neurosnn.rules.eprop.backend import OnlineBackend


def neuron(flow="-v", more="", **fields):
    """One membrane with this flow."""
    fields = {
        "threshold": "v > 1",
        "reset": "v = 0",
        "method": "euler",
        "surrogate": "0.4*clip(1 - abs(v - 1), 0, 1)",
        **fields,
    }
    return NeuronModel(equations=f"dv/dt = ({flow})/(10*ms) : 1\n{more}", **fields)


def gradients(model, **settings):
    """E-prop's gradient backwards in time, if it is finite and that of online e-prop in Brian2."""
    net, trials = driven(model, **settings), input_spikes()
    engine = Engine(net, EProp(), CrossEntropy(), dtype="float64").run(trials, gradient=True)
    online = OnlineBackend(net, EProp(), CrossEntropy()).run(trials, gradient=True)
    assert online.spikes["hidden"] == engine.spikes["hidden"] > 20
    for name, gradient in engine.gradient.items():
        assert np.isfinite(gradient).all()
        assert np.any(gradient != 0)
        np.testing.assert_allclose(online.gradient[name], gradient, rtol=1e-9, atol=1e-13)
    return engine.gradient


IN_VOLTS = {
    "equations": "dv/dt = -v/(10*ms) : volt",
    "threshold": "v > 1*mV",
    "surrogate": "0.4*clip(1 - abs(v - 1*mV)/mV, 0, 1)/mV",
    "method": "euler",
}


@pytest.mark.parametrize(
    "model",
    [
        neuron(more="b : boolean", reset="v = 0; b = True"),
        neuron("0.2*int(b) - v", "b : boolean", reset="v = 0; b = not b", step="b = v > 0.5 or b"),
        neuron("0.1*k - v", "k : integer", reset="k = 1 - 2.6*v; v = 0"),
        neuron(more="L : integer"),
        neuron(more="L : 1 (shared)"),
        neuron(
            "1.2 - v",
            refractory=2 * ms,
            threshold="v > 1 + exp(-(t - lastspike)/(3*ms))",
            surrogate="0.4*clip(1 - abs(v - 1 - exp(-(t - lastspike)/(3*ms))), 0, 1)",
        ),
        NeuronModel(
            equations="""
            dv/dt = (1.2 + a - v)/(10*ms) : 1
            dy/dt = (clip(a, -1, 0.7) - y)/(7*ms) : 1 (unless refractory)
            da/dt = (clip(y, -1, 0.7) - a)/(7*ms) : 1 (unless refractory)
            """,
            threshold="v > 1 + 0.1*y",
            reset="v = 0",
            refractory=2 * ms,
            inputs=("a",),
            method="exponential_euler",
            surrogate="0.4*clip(1 - abs(v - 1 - 0.1*y), 0, 1)",
        ),
        neuron("0.1*sqrt(abs(v)) - v"),
        neuron("0.1*abs(v)**p - v", parameters={"p": 0.4}),
        neuron("0.1*exprel(clip(v, -1, 1)) - v"),
        NeuronModel(**IN_VOLTS, reset="v = clip(v, -0.5*mV, 0.8*mV)"),
        NeuronModel(**IN_VOLTS, reset="v = 0.5*clip(v, 0*mV, 1.5*mV)"),
        NeuronModel(
            **{
                **IN_VOLTS,
                "equations": "dv/dt = (0.1*sqrt(abs(v*u)) - v)/(10*ms) : volt\nu : volt",
            },
            reset="v = 0*mV; u = 0.3*mV - u",
        ),
        neuron("0.3*int(v > 0.4) + clip(v, -1, 0.7) + 0.3 - v", method="rk4"),
        neuron("int(t > 16.6*ms) + sqrt(abs(v)) - v", step="v = clip(v, -0.5, 1.2)"),
        neuron("0.2*int(b) + 0.3*sin(v) - v", "b : boolean", step="b = v > 0.5", method="rk4"),
        neuron(
            more="x : 1\ns = exp(-abs(x)) : 1 (constant over dt)",
            reset="v = 0; x += 0.1*s",
            step="v += 0.1*clip(x, -1, 0.7)",
            spike_gradient=("x",),
        ),
    ],
    ids=[
        "True",
        "boolean",
        "integer",
        "an integer called L",
        "a shared L",
        "last spike",
        "clip while refractory",
        "root",
        "power",
        "exprel",
        "clip",
        "clip at 0",
        "root in volts",
        "stages that hold conditions",
        "clip of conditions",
        "boolean of a long step",
        "traces that read each other",
    ],
)
def test_gradient_is_finite_and_that_of_online_eprop(model):
    gradients(model, scale=2.0 if model.dimensions["v"].is_dimensionless else 8.0)


def test_an_input_that_cannot_reach_the_threshold_online():
    """Its steps have no slope, so its gradient is zero."""
    model = NeuronModel(
        equations="""
        dv/dt = (x/nS + 0.3*(g/nS//0.7) - v)/(10*ms) : 1
        dx/dt = -x/(5*ms) : siemens
        dg/dt = -g/(5*ms) : siemens
        """,
        threshold="v > 1",
        reset="v = 0",
        inputs=("x", "g"),
        method="euler",
        surrogate="0.4*clip(1 - abs(v - 1), 0, 1)",
    )
    net = SpikingNetwork(
        Input(3),
        Layer(model, 6, excitatory=0.5, recurrent=True, weight_scale=3.0),
        Readout(2),
        dt=1 * ms,
        seed=1,
    )
    trials = input_spikes()
    online = OnlineBackend(net, EProp(), CrossEntropy()).run(trials, gradient=True)
    engine = Engine(net, EProp(), CrossEntropy(), dtype="float64").run(trials, gradient=True)
    assert online.spikes["hidden"] == engine.spikes["hidden"] > 20
    recurrent = online.gradient["recurrent.w"]
    np.testing.assert_allclose(recurrent, engine.gradient["recurrent.w"], rtol=1e-9, atol=1e-20)
    assert not recurrent[3:].any()
    assert recurrent[:3].any()


def test_statements_as_if_at_once():
    """In Brian2's numpy code ``old = x; x = x + y`` changes old as well, for it names the same array."""
    values = {"a": 1.0, "b": 10.0, "c": 100.0}
    new = {"a": "a + c", "b": "b + 2*a", "c": "c + b + a"}
    depends = {"a": {"a", "c"}, "b": {"b", "a"}, "c": {"c", "b", "a"}}
    group = NeuronGroup(2, "a : 1\nb : 1\nc : 1", namespace={})
    for name, value in values.items():
        setattr(group, name, value)
    group.run_regularly(in_place(new, depends, FreeNames()), dt=1 * ms)
    Network(group).run(1 * ms, namespace={})
    assert [getattr(group, name)[0] for name in "abc"] == [101, 12, 111]


def test_a_slope_divides_by_no_exponential():
    """sign(x) - exp(abs(x)), times exp(-abs(x)), is 0*inf for an x beyond 709."""
    model = neuron(
        "exp(-abs(x)) + x - v",
        "dx/dt = -x/(20*ms) : 1",
        inputs=("x",),
        method="exponential_euler",
    )
    text = step_map(model).transition["v", "x"]
    values = {"x": np.array([-2.0, 2.0, 1000.0]), "dt": 1e-3}
    expected = -np.expm1(-0.1) * np.array([1 + np.exp(-2), 1 - np.exp(-2), 1])
    np.testing.assert_allclose(evaluate(text, values), expected, rtol=1e-12)


#: A subexpression s = v % 1.5, and r = 2*s.
@pytest.mark.parametrize(
    ("code", "old"),
    [
        ("v += 0.1*s; w += s", True),
        ("w = r; v += 1; w = r", True),
        ("v += 0.1*s; w += 1; v += s", False),
        ("w = s; v += 1; w = s", False),
        ("v += 1; w = r", False),
        ("w = s; w += s; v += s", False),
    ],
)
@pytest.mark.parametrize("field", ["step", "reset"])
def test_subexpressions_that_brian2_does_not_compute_again(code, old, field):
    more = "w : 1\ns = v % 1.5 : 1\nr = 2*s : 1"
    group = NeuronGroup(1, f"v : 1\n{more}", namespace={})
    group.v = expected_v = 1.0
    group.run_regularly(code, dt=1 * ms)
    Network(group).run(1 * ms, namespace={})
    values = {"v": expected_v, "w": 0.0}
    for name, text in statements(code):
        s = values["v"] % 1.5
        values[name] = float(evaluate(text, values | {"s": s, "r": 2 * s}))
    assert (group.w[0] != values["w"]) == old
    if old:
        with pytest.raises(ValueError, match="Brian2 computes . once, before the change.*Write"):
            neuron(more=more, **{field: code})
    else:
        neuron(more=more, **{field: code})


@pytest.mark.parametrize("rests", [True, False])
def test_step_code_sees_what_a_refractory_neuron_keeps(rests):
    """The slope of the second statement by v, of which the first keeps the value while refractory."""
    model = neuron("-v", "h : 1", refractory=5 * ms, step="v = 0.5*v; h = 3*v", initial={"v": 1.0})
    model = dataclasses.replace(
        model, equations=model.equations.replace(": 1\nh", ": 1 (unless refractory)\nh")
    )
    group = model.group(1, dt=1 * ms)
    if rests:
        group.lastspike = 0 * ms
    Network(group).run(1 * ms, namespace={})
    text = step_map(model).transition["h", "v"]
    values = {"not_refractory": not rests, "___spiked": 0, "dt": 1.0, "ms": 1.0}
    slope = to_symbolic(word_substitute(text, {name: str(v) for name, v in values.items()}))
    assert group.h[0] == (3 if rests else 1.35)
    np.testing.assert_allclose(
        float(slope.replace(int_, lambda x: sympy.Integer(bool(x)))), group.h[0]
    )


@pytest.mark.torch
def test_a_jump_that_depends_on_the_time_alone():
    """The gradient goes through the jump of the moment of the spike, as in torch."""
    from torch_oracle import gradient

    model = neuron(
        "1.2 - x - v",
        "dx/dt = -x/(20*ms) : 1",
        reset="v = 0; x += 0.5 + 0.4*cos(t/(3*ms))",
        spike_gradient=("x",),
    )
    net, trials = driven(model), input_spikes(60)
    _, step, channel = trials.steps(1 * ms)
    raster = np.zeros((60, 3))
    np.add.at(raster, (step, channel), 1.0)
    loss = CrossEntropy()
    weight = loss.step_weights(np.array([60]), 1 * ms)
    found = Engine(net, EProp(), loss, dtype="float64").run(trials, gradient=True)
    _, expected, counts = gradient(net, (), raster, 0, step_weight=weight)
    assert found.spikes["hidden"] == counts["hidden"].sum() > 15
    w = expected["input.w"]
    np.testing.assert_allclose(found.gradient["input.w"], w, rtol=1e-7, atol=1e-12)
    assert np.linalg.norm(w) > 0


class TestSlopes:
    """Derivatives at the points where their usual form is 0/0 or a difference of equal numbers."""

    def slope(self, text, v):
        derivative = to_string(differentiate(to_symbolic(text), "v"))
        # what online e-prop writes down, by Brian2's own rules of numbers
        plain = written_out(derivative, lambda part: DIMENSIONLESS)
        return evaluate_in_brian2(plain, v)

    def test_root_at_zero(self):
        v = np.array([-4.0, 0.0, 4.0])
        assert self.slope("sqrt(abs(v))", v).tolist() == [-0.25, 0, 0.25]
        assert self.slope("abs(v)**0.5", v).tolist() == [-0.25, 0, 0.25]
        assert self.slope("sqrt(1 + v**2)", v)[1] == 0
        assert to_string(differentiate(to_symbolic("sqrt(1 + v**2)"), "v")) == "v/sqrt(v**2 + 1)"

    def test_what_is_not_known_to_be_real(self):
        """Sympy's slope of abs() has real and imaginary parts, its abs(exp(x)) the real part of x, and a
        number times int(condition) is complex to it."""
        v, h = np.linspace(-1.73, 1.91, 24), 1e-6
        for text in (
            "abs(log1p(abs(v)) - 0.3)",
            "abs(v*log(v + 3))",
            "abs(clip(v, -1, 1) - 0.2)",
            "abs(exp(clip(v, -1, 1)))",
            "abs(3**clip(v, -1, 1))",
            "clip(0.3*int(v > 0.4) + v, -1, 1)",
            "clip(v + 0.3*abs(int(v > 0.4)), -1, 1)",
            "exprel(clip(0.3*int(v > 0.4) + v, -1, 1))",
            "exprel(0.3*int(v > 0.4) + v)",
        ):
            slope = self.slope(text, v)
            change = evaluate_in_brian2(text, v + h) - evaluate_in_brian2(text, v - h)
            np.testing.assert_allclose(slope, change / (2 * h), atol=1e-8)
            assert np.abs(slope).max() > 0.5

    def test_exprel(self):
        v = np.array([-30, -1, -0.11, -0.09, -1e-5, -1e-12, 0, 1e-12, 1e-5, 0.09, 0.11, 1, 30.0])
        # the average of t*exp(v*t) over t from 0 to 1, by a Gauss rule
        x, weight = np.polynomial.legendre.leggauss(60)
        t = (x + 1) / 2
        expected = np.sum(weight / 2 * t * np.exp(v[:, None] * t), axis=1)
        np.testing.assert_allclose(self.slope("exprel(v)", v), expected, rtol=1e-13)

    @pytest.mark.torch
    def test_torch(self):
        import torch

        from neurosnn.torch.expressions import TYPE, Translator

        translator = Translator((), "test")
        v = torch.tensor([-4.0, 0.0, 1e-9, 0.05, 4.0], dtype=torch.float64, requires_grad=True)
        for text in ("sqrt(abs(v))", "abs(v)**0.5", "exprel(v)"):
            value = translator.expression(text)({"v": v, TYPE: v.dtype})
            (found,) = torch.autograd.grad(value.sum(), v)
            np.testing.assert_allclose(found, self.slope(text, v.detach().numpy()), rtol=1e-13)
        np.testing.assert_allclose(value.detach(), exprel(v.detach().numpy()), rtol=1e-15)


def evaluate_in_brian2(expression, v):
    """An expression of v as Brian2 computes it in a group."""
    group = NeuronGroup(len(v), "v : 1\ny : 1", namespace={})
    group.v = v
    group.y = expression
    return np.array(group.y[:])


@pytest.mark.torch
def test_torch_knows_the_number_of_a_neuron():
    import torch

    from neurosnn.torch import to_torch

    model = neuron("4*i/N - v", reset="v = -0.1*i")
    spikes = to_torch(model, dt=1 * ms, dtype=torch.float64).run(torch.zeros(200, 4))[0]
    expected = Engine(network(model), dtype="float64").simulate(no_spikes(200)).counts["hidden"][0]
    assert spikes.sum(0).tolist() == expected.tolist()
    assert expected[3] > 10


@pytest.mark.torch
def test_torch_cuts_integers_and_leaves_truth_values_out_of_the_gradient():
    import torch

    from neurosnn.torch import to_torch

    model = neuron(
        "1.5 - v", "k : integer\nb : boolean", reset="b = not b; k = 1 - 2.6*v; v = 0.1*k"
    )
    module = to_torch(model, dt=1 * ms, dtype=torch.float64, detach_reset=False)
    spikes, state = module.run(torch.full((90, 2), 0.01, dtype=torch.float64, requires_grad=True))
    assert state.values["k"][0] in (-1, -2)
    assert state.values["b"][0] == spikes[:, 0].sum() % 2
    assert spikes.sum() > 8
    spikes.sum().backward()


def test_a_truth_value_in_spike_gradient_is_refused():
    with pytest.raises(ValueError, match="'b' in spike_gradient is boolean.*no gradient"):
        neuron(more="b : boolean", reset="v = 0; b = True", spike_gradient=("b",))


@pytest.mark.parametrize("name", ["delay", "order", "variables", "lastspike"])
def test_names_that_brian2_uses_itself_are_refused(name):
    """Brian2 ignores delays of synapses to a state `delay`, and the initial value of a state `order`."""
    with pytest.raises(ValueError, match=f"a variable is called '{name}'.*Choose another name"):
        neuron(more=f"{name} : 1")


def test_a_state_named_like_an_initial_value():
    """The trials begin anew in Brian2 too."""
    model = neuron(
        "0.5*v_initial - v",
        "dv_initial/dt = (v - v_initial)/(30*ms) : 1",
        initial={"v": 0.4, "v_initial": 0.8},
    )
    assert same_spikes(driven(model), input_spikes(n_trials=2)) > 50


def test_second_input_of_a_readout_is_refused():
    model = NeuronModel(
        equations="dy/dt = (x - y)/(20*ms) : 1\ndx/dt = -x/(5*ms) : 1", inputs=("y", "x")
    )
    with pytest.raises(ValueError, match="has 2 inputs, and 'readout' has no synapses for x"):
        SpikingNetwork(Input(1), Layer(neuron(), 1), Readout(2, model=model), dt=1 * ms)


def test_eventprop_with_states_whose_names_are_joined_to_the_same():
    """The derivative of a by b_c in the reset is not that of a_b by c."""
    found = []
    for a, a_b, b_c, c in (("a", "a_b", "b_c", "c"), ("p", "q", "r", "s")):
        model = NeuronModel(
            equations=f"""
            d{a}/dt = ({c} + 0.2*{b_c} - {a})/(20*ms) : 1
            d{a_b}/dt = (0.5*{c} - {a_b})/(30*ms) : 1
            d{b_c}/dt = ({a_b} - {b_c})/(9*ms) : 1
            d{c}/dt = -{c}/(5*ms) : 1
            """,
            threshold=f"{a} > 0.3",
            reset=f"{a} = -0.3*tanh({b_c}); {a_b} += 0.5*tanh({c})",
            inputs=(c,),
            method="euler",
        )
        readout = Readout(2, model=equations.CurrentReadout())
        net = driven(model, scale=6.0, readout=readout)
        machine = Engine(net, EventProp(), CrossEntropy(), dtype="float64")
        found.append(machine.run(input_spikes(), gradient=True))
    assert found[0].spikes == found[1].spikes
    assert found[0].spikes["hidden"] > 20
    for name, gradient in found[1].gradient.items():
        assert np.linalg.norm(gradient) > 0
        np.testing.assert_array_equal(found[0].gradient[name], gradient)


def test_strings_of_eventprop_are_brian2s():
    model = NeuronModel(
        equations="dv/dt = (I + 0.1*sqrt(abs(v*mV)) - v)/(20*ms) : volt\ndI/dt = -I/(5*ms) : volt",
        threshold="v > 20*mV",
        reset="v = 0*mV",
        inputs=("I",),
        method="euler",
    )
    text = EventProp().equations(model)
    dynamics = f"{text.dynamics}\nv : volt\nI : volt"
    backwards = NeuronGroup(3, dynamics, method="euler", dt=1 * ms, namespace={})
    backwards.v, backwards.lam_v = [-1, 0, 1] * mV, 1 / mV
    Network(backwards).run(1 * ms, namespace={})
    # 0.1*sqrt(abs(v*mV)) rises by 0.05 for 1 mV at 1 mV
    expected = 1 + (np.array([-0.05, 0, 0.05]) - 1) / 20
    np.testing.assert_allclose(backwards.lam_v * mV, expected, rtol=1e-12)
    group = model.group(3)
    group.variables.add_arrays(["lam_v", "lam_I"], size=3, dimensions=(1 / volt).dim)
    group.variables.add_array("feedback", size=3, dimensions=hertz.dim)
    group.lam_v = 1 / mV
    synapses = Synapses(group, group, "dE_dw : 1/volt\nw : volt", on_pre=text.on_pre, namespace={})
    synapses.connect(i=0, j=1)
    synapses.w, group.v = 2 * mV, [30, 0, 0] * mV
    Network(group, synapses).run(0.1 * ms, namespace={})
    np.testing.assert_allclose(group.variables["feedback"].get_value(), [100, 0, 0], rtol=1e-9)
