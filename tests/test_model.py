"""NeuronModel: contracts of all named models, what is refused, and the ways to make one."""

from __future__ import annotations

import dataclasses
import inspect
import json
import re

import numpy as np
import pytest
from brian2 import (
    Network,
    NeuronGroup,
    Quantity,
    SpikeMonitor,
    StateMonitor,
    amp,
    defaultclock,
    get_dimensions,
    ms,
    mV,
    nA,
    volt,
)
from reference.networks import CONDUCTANCE, CURRENT, N

from neurosnn import (
    EProp,
    Input,
    Layer,
    NeuronModel,
    Readout,
    SpikingNetwork,
    equations,
)
from neurosnn.analysis import stdp_window
from neurosnn.core.messages import did_you_mean, message
from neurosnn.core.units import si_unit
from neurosnn.core.values import Range, check_value, unit_name
from neurosnn.model.namespace import Namespace
from neurosnn.network.wiring import USUAL

MODELS = {
    name: made
    for name in equations.__all__
    if isinstance(made := getattr(equations, name)(), NeuronModel)
}
NAMED = tuple(MODELS)
MODELS |= {"Current": CURRENT, "Conductance": CONDUCTANCE}
each_model = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)


def simulate(group, model, n_steps=100):
    """Spikes and states of neurons that get input of very different sizes, in every step."""
    variable = model.inputs[0]
    dimensions = model.dimensions[variable]
    size = f"{USUAL.get(dimensions, 1.0) * float(defaultclock.dt / ms)}*{si_unit(dimensions)}"
    group.run_regularly(f"{variable} += 10.0**(-3 + 6.0*i/{N - 1})*{size}", when="synapses")
    states = StateMonitor(group, list(model.states), record=True, when="end")
    net, times = Network(group, states), []
    if model.spikes:
        spikes = SpikeMonitor(group)
        net.add(spikes)
    net.run(n_steps * defaultclock.dt, namespace={})
    if model.spikes:
        steps = np.rint(spikes.t / defaultclock.dt)
        times = list(zip(steps.tolist(), spikes.i[:].tolist(), strict=True))
    return times, {name: np.array(getattr(states, name)) for name in model.states}


# -- named models -----------------------------------------------------------------------------

#: Inputs as neurons: one sends its value in every step.
SOURCES = {"ConstantInput"}
#: Equilibrium propagation follows no gradient through a spike, so these have no surrogate.
NO_GRADIENT = {"ConstantInput", "EqSpikeLIF", "RegularInput"}
#: Time step in ms of neurons whose spike has an upstroke, 1 ms for all others.
STEP = {
    "AdEx": 0.1,
    "ExponentialIF": 0.1,
    "QuadraticIF": 0.1,
    "HodgkinHuxley": 0.05,
    "TraubMiles": 0.1,
    "WangBuzsaki": 0.02,
    "MorrisLecar": 0.1,
}


def test_all_named_neurons_are_in_the_table():
    assert set(NAMED) >= {"LIF", "ALIF", "STDP_LIF", "STDP_ALIF", "Izhikevich", "LeakyReadout"}
    for name in NAMED:
        assert MODELS[name].name == name


@pytest.mark.smoke
@each_model
def test_a_group_runs_and_spikes(model):
    defaultclock.dt = STEP.get(model.name, 1.0) * ms
    times, states = simulate(model.group(N), model)
    assert all(np.all(np.isfinite(values)) for values in states.values())
    if model.spikes:
        spiking = len({i for _, i in times})
        assert spiking >= 0.2 * N
        assert spiking < N or model.name in SOURCES


@pytest.mark.parametrize("name", NAMED)
def test_every_number_has_a_source_and_every_model_a_reference(name):
    model = getattr(equations, name)()
    assert set(model.sources) == set(model.parameters)
    assert re.search(r"\(\d{4}\)", model.reference)
    assert set(model.inputs) <= set(model.states)
    if model.spikes:
        assert bool(model.surrogate) != (name in NO_GRADIENT)


@pytest.mark.parametrize("name", NAMED)
def test_parameters_are_keywords_with_checks(name):
    make = getattr(equations, name)
    for parameter, limits in make().ranges.items():
        if parameter not in inspect.signature(make).parameters:
            continue  # of a receptor
        below = np.nan if np.isinf(float(limits.low)) else -1.0
        with pytest.raises(ValueError, match=rf"{name}: .*{parameter}.* must be"):
            make(**{parameter: Quantity(below, dim=get_dimensions(limits.low))})
        with pytest.raises(ValueError, match=rf"{parameter} must be"):
            make(**{parameter: 1 * (ms if get_dimensions(limits.low) is volt.dim else mV)})


@pytest.mark.parametrize("make", [equations.CurrentLIF, equations.CurrentReadout])
def test_time_constants_that_the_exact_step_cannot_have(make):
    with pytest.raises(ValueError, match="divides by their difference"):
        make(tau_m=[5, 20] * ms, tau_s=20 * ms)


@each_model
def test_plain_data_and_back(model):
    data = json.loads(json.dumps(model.to_dict()))
    again = NeuronModel.from_dict(data)
    assert again.to_dict() == model.to_dict()
    defaultclock.dt = STEP.get(model.name, 1.0) * ms
    first, second = (simulate(each.group(N), model) for each in (model, again))
    assert first[0] == second[0]
    for name in model.states:
        np.testing.assert_array_equal(first[1][name], second[1][name])


def test_fields_with_a_default_may_be_missing_from_plain_data():
    model = NeuronModel.from_dict(
        {"equations": "dv/dt = -v/(20*ms) : 1", "threshold": "v > 1", "reset": "v = 0"}
    )
    assert model.inputs == ("v",)
    assert model.refractory is False


@each_model
def test_a_model_read_from_its_group_behaves_alike(model):
    defaultclock.dt = STEP.get(model.name, 1.0) * ms
    group = model.group(N)
    initial = dict(model.initial)
    fields = ("step", "inputs", "surrogate", "spike_gradient")
    again = NeuronModel.from_group(
        group, initial=initial, **{field: getattr(model, field) for field in fields}
    )
    assert again.name == group.name
    assert again.states == model.states
    first, second = (simulate(each, model) for each in (group, again.group(N)))
    assert first[0] == second[0]
    for name in model.states:
        np.testing.assert_array_equal(first[1][name], second[1][name])


# -- a user's own neuron ----------------------------------------------------------------------


def test_a_neuron_in_five_lines():
    model = NeuronModel(
        equations="dv/dt = (v_rest - v)/tau_m : volt",
        threshold="v > v_th",
        reset="v = v_rest",
        parameters={"tau_m": 10 * ms, "v_rest": -70 * mV, "v_th": -50 * mV},
        initial={"v": "v_rest"},
    )
    assert model.states == ("v",)
    assert model.dimensions["v"] is volt.dim
    assert model.spikes
    defaultclock.dt = 1 * ms
    group = model.group(2)
    assert isinstance(group, NeuronGroup)
    group.v = [-70, -49] * mV
    monitor = SpikeMonitor(group)
    Network(group, monitor).run(3 * ms, namespace={})
    # -70 + 21*exp(-0.1) = -51: the neuron has decayed below its threshold before it is compared.
    assert monitor.num_spikes == 0
    assert float(group.v[1] / mV) == pytest.approx(-70 + 21 * np.exp(-0.3))


def test_a_group_that_reads_constants_from_its_namespace():
    group = NeuronGroup(
        3,
        "dv/dt = (k*I0 - v)/tau : 1\nI0 : 1 (constant)\nleak = v/tau : Hz",
        threshold="v > 1",
        reset="v = 0",
        refractory=2 * ms,
        method="exact",
        namespace={"k": 2.0, "tau": 10 * ms, "unused": [1]},
        name="mine",
    )
    group.I0 = [0.4, 0.8, 1.6]
    model = NeuronModel.from_group(group, surrogate="clip(1 - abs(v - 1), 0, 1)")
    assert set(model.parameters) == {"k", "tau", "I0"}
    assert model.per_neuron("I0")
    assert not model.per_neuron("tau")
    assert model.refractory == 2 * ms
    assert model.states == ("v",)
    again = model.group(3)
    first, second = SpikeMonitor(group), SpikeMonitor(again)
    Network(group, again, first, second).run(100 * ms, namespace={})
    np.testing.assert_array_equal(first.i[:], second.i[:])
    assert set(first.i[:]) == {1, 2}


def test_values_for_each_neuron():
    model = equations.ALIF(beta=[0.0, 0.5], tau_m=[10, 20] * ms)
    group = model.group(2)
    np.testing.assert_array_equal(group.beta[:], [0.0, 0.5])
    np.testing.assert_allclose(group.tau_m[:] / ms, [10, 20])
    with pytest.raises(ValueError, match=r"ALIF: (beta|tau_m) has \(2,\) values for 3 neurons"):
        model.group(3)


def test_another_value_and_a_name_that_is_none():
    model = equations.LIF().with_parameters(tau_m=5 * ms)
    assert model.parameters["tau_m"] == 5 * ms
    assert equations.LIF().parameters["tau_m"] == 20 * ms
    with pytest.raises(ValueError, match=r"LIF: 'tau' is not a parameter. Did you mean 'tau_m'"):
        model.with_parameters(tau=5 * ms)
    with pytest.raises(ValueError, match=r"tau_m must be > 0"):
        model.with_parameters(tau_m=-5 * ms)


def test_a_model_cannot_be_changed():
    model = equations.LIF()
    with pytest.raises(AttributeError):
        model.threshold = "v > 2"
    with pytest.raises(TypeError):
        model.parameters["tau_m"] = 5 * ms


def test_time_step_precision_and_name_of_a_group():
    group = equations.LIF().group(4, name="cells", dtype=np.float32, dt=0.5 * ms)
    assert (group.name, group.v[:].dtype, float(group.clock.dt)) == ("cells", np.float32, 0.5e-3)
    assert group.contained_objects[-1].clock is group.clock
    with pytest.raises(KeyError):
        group.namespace["tau_m"]


# -- what is refused --------------------------------------------------------------------------

DECAY = "dv/dt = (v_rest - v)/tau_m : volt"
BASE = {
    "equations": f"{DECAY}\nI : amp\ncount : integer",
    "threshold": "v > v_th",
    "reset": "v = v_rest",
    "surrogate": "clip(1 - abs(v - v_th)/(10*mV), 0, 1)/(10*mV)",
    "parameters": {"tau_m": 20 * ms, "v_rest": -70 * mV, "v_th": -50 * mV},
    "name": "Mine",
}


def with_parameter(name, value, **changes):
    return {"parameters": {**BASE["parameters"], name: value}, **changes}


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"equations": "dv/dt = -v/tau_m"}, r"the equations cannot be read"),
        ({"equations": "dv/dt = -v/tau_m : 1 volt"}, r"the equations cannot be read"),
        ({"equations": "dt/dt = -t/tau_m : 1"}, r"'t' has a special meaning"),
        ({"equations": "dexp/dt = -exp/tau_m : 1"}, r"'exp' is the name of a function"),
        ({"equations": "dv_post/dt = -v_post/tau_m : volt"}, r"the name 'v_post' ends in '_post'.*'_plus'"),
        (with_parameter("tau_pre", 2 * ms, reset="v = v_rest*(tau_pre/tau_m)"), r"'tau_pre' ends in '_pre'"),
        ({"equations": "dv/dt = (v_rest - w)/tau_m : volt"}, r"unknown name 'w' in equation of v"),
        ({"threshold": "vv > v_th"}, r"unknown name 'vv' in threshold.*Did you mean 'v"),
        ({"threshold": "v - v_th"}, r"threshold is not a condition: 'v - v_th'.*'v > v_th'"),
        ({"threshold": "v = v_th"}, r"threshold cannot be used: 'v = v_th'"),
        ({"threshold": "v > tau_m + v_th"}, r"threshold cannot be used.*tau_m"),
        ({"reset": "v = tau_m + v_rest"}, r"reset cannot be used"),
        ({"reset": "v = tau_m + v_rest +"}, r"reset cannot be used"),
        ({"reset": "v = u"}, r"unknown name 'u' in reset"),
        ({"reset": "v_th = 2*v_th"}, r"reset writes to 'v_th'.*declared in the equations"),
        ({"reset": "v_th += 1*mV"}, r"reset writes to 'v_th'"),
        ({"step": "dt = 1*ms"}, r"step writes to 'dt'"),
        ({"step": "v *= exp(-tau_m)"}, r"step cannot be used"),
        ({"equations": "dv/dt = v_rest - v + 0*v/tau_m*second : volt"}, r"equation of v has unit V, but mu"),
        ({"equations": f"{DECAY}\nb = v : boolean"}, r"equation of b is not a condition"),
        ({"equations": f"{DECAY}\nb = v/tau_m : amp"}, r"equation of b has unit .* A"),
        ({"threshold": "", "surrogate": "", "reset": "v = v_th"}, r"a reset without a threshold"),
        ({"threshold": "", "reset": ""}, r"a surrogate without a threshold"),
        ({"surrogate": "clip(v - 3, 0, 1)"}, r"surrogate cannot be used"),
        ({"surrogate": "gamma*v"}, r"unknown name 'gamma' in surrogate"),
        ({"method": "exakt"}, r"unknown integration method 'exakt'.*Did you mean 'exact'"),
        ({"equations": "dv/dt = v*(v - v_th)/(tau_m*mV) : volt"}, r"v is not linear in v.*'exact'.*'euler'"),
        ({"equations": f"{DECAY}\ndx/dt = -exp(x)/tau_m : 1"}, r"equation of x is not linear in x"),
        ({"equations": f"{DECAY}\nh = x*int(v > v_th) : 1\ndx/dt = -h/tau_m : 1"}, r"is not linear in v, x"),
        ({"refractory": 2}, r"refractory must be a time, got 2"),
        ({"refractory": -2 * ms}, r"refractory must be >= 0"),
        ({"refractory": "2*mV"}, r"refractory is not a condition"),
        ({"refractory": "t_ref"}, r"unknown name 't_ref' in refractory"),
        ({"step": "v += (t - lastspike)/second*mV"}, r"unknown name 'lastspike' in step"),
        ({"inputs": ("ge",)}, r"'ge' in inputs is not a state.*Only a variable that changes"),
        ({"inputs": "v_th"}, r"'v_th' in inputs is not a state"),
        ({"inputs": ("count",)}, r"the input 'count' is integer"),
        ({"spike_gradient": "a"}, r"'a' in spike_gradient is not a state"),
        ({"initial": {"u": 1 * mV}}, r"'u' in initial is not a state"),
        ({"initial": {"v": 1.0}}, r"the initial value of v is 1.0, but v is in V"),
        ({"initial": {"v": "tau_m"}}, r"initial value of v has unit s, but must have V"),
        ({"initial": {"v": np.nan * mV}}, r"the initial value of v must be finite"),
        ({"eligibility_bounds": {"x": 1.0}}, r"'x' in eligibility_bounds is not a state"),
        ({"eligibility_bounds": {"v": -1.0}}, r"the eligibility bound of v must be > 0"),
        ({"parameters": {"tau_m": 20 * ms, "v_rest": -70 * mV}}, r"unknown name 'v_th'"),
        (with_parameter("tau", 20 * ms), r"the parameter 'tau' is not used.*Did you mean 'tau_m'"),
        (with_parameter("v", 20 * mV), r"'v' is given as a parameter but has an equation.*initial={'v'"),
        (with_parameter("I", 2 * mV), r"I is declared in A but its value 2. mV is not"),
        ({"equations": BASE["equations"] + "\nC : farad (constant)"}, r"the constant 'C' has no value"),
        (with_parameter("v_th", np.inf * mV), r"v_th must be finite, got inf"),
        (with_parameter("v_th", np.ones((2, 2)) * mV), r"v_th has shape \(2, 2\)"),
        ({"ranges": {"v_th": Range(0 * mV)}}, r"v_th must be > 0. V, got -50. mV.*Choose v_th"),
        ({"ranges": {"tau_m": Range(1 * ms, 10 * ms)}}, r"tau_m must be > 1. ms and <= 10. ms, got 20. ms"),
    ],
)  # fmt: skip
def test_refused_at_construction(changes, match):
    with pytest.raises(ValueError, match=match) as caught:
        NeuronModel(**{**BASE, **changes})
    assert str(caught.value).startswith("Mine: ")


def test_the_base_of_these_cases_is_accepted():
    assert NeuronModel(**BASE).states == ("v", "I", "count")
    assert NeuronModel(**{**BASE, "inputs": "I"}).inputs == ("I",)


def test_a_model_for_one_time_step():
    model = dataclasses.replace(equations.LIF(), dt=0.5 * ms)
    assert float(model.group(1).clock.dt) == 0.5e-3
    assert NeuronModel.from_dict(model.to_dict()).dt == 0.5 * ms
    for use in (
        lambda: model.group(1, dt=1 * ms),
        lambda: SpikingNetwork(Input(2), Layer(model, 2), Readout(2), dt=1 * ms),
        lambda: stdp_window(EProp(), post=model, dt=1 * ms, max_lag=5 * ms),
    ):
        with pytest.raises(
            ValueError, match=r"the time step is 1. ms, that of the model LIF 0.5 ms"
        ):
            use()
    assert SpikingNetwork(Input(2), Layer(model, 2), Readout(2), dt=0.5 * ms).dt == 0.5 * ms
    with pytest.raises(ValueError, match="dt must be > 0"):
        dataclasses.replace(model, dt=0 * ms)


def test_a_model_that_spikes_cannot_reach():
    model = dataclasses.replace(equations.LIF(), inputs=())
    for use in (
        lambda: Layer(model, 2),
        lambda: EProp().equations(model),
        lambda: stdp_window(equations.PairSTDP(), post=model, background=0.5),
    ):
        with pytest.raises(ValueError, match=r"LIF has no inputs.*from_group.*inputs=\('v',\)"):
            use()


def test_an_initial_value_for_each_neuron():
    model = dataclasses.replace(equations.LIF(), initial={"v": [0.1, 0.2]})
    np.testing.assert_array_equal(model.group(2).v[:], [0.1, 0.2])
    with pytest.raises(ValueError, match=r"v has \(2,\) values for 3 neurons"):
        model.group(3)


def test_data_of_another_program():
    with pytest.raises(ValueError, match=r"'colour' is not a field of a NeuronModel"):
        NeuronModel.from_dict({**MODELS["LIF"].to_dict(), "colour": "red"})


# -- helpers of the messages ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "allowed", "match"),
    [
        (
            20.0,
            Range(0 * ms),
            r"X: tau must be a time, got 20.0 \(dimensionless\). Did you mean tau=20",
        ),
        (20 * mV, Range(0 * ms), r"tau must be a time, got 20. mV. Give a value that is a time"),
        (3 * ms, Range(0), r"tau must be dimensionless, got 3. ms"),
        (
            3.0,
            Range(0 * nA),
            r"tau must be a current, got 3.0 \(dimensionless\). Did you mean tau=3.0\*nA",
        ),
        (3.0, Range(0 * nA * ms), r"tau must be in .*, got 3.0"),
        (
            0 * ms,
            Range(0 * ms),
            r"tau must be > 0. s, got 0. s. The equations have no meaning.*Choose tau",
        ),
        (-1.0, Range(0, includes_low=True), r"tau must be >= 0, got -1.0"),
        (2.0, Range(0, 1), r"tau must be > 0 and <= 1, got 2.0"),
        (np.array([0.5, 2.0]), Range(0, 1), r"tau must be > 0 and <= 1"),
        (np.nan, Range(0), r"tau must be finite, got nan"),
        (np.nan, None, r"tau must be finite, got nan"),
    ],
)
def test_check_value(value, allowed, match):
    with pytest.raises(ValueError, match=match):
        check_value("tau", value, allowed, where="X")


@pytest.mark.parametrize("value", ["20*ms", None, {}, [1, "a"]])
def test_a_value_that_is_no_number(value):
    with pytest.raises(
        TypeError, match=r"X: tau must be a number or an array of numbers.*tau=20\*ms"
    ):
        check_value("tau", value, Range(0 * ms), where="X")


def test_values_at_the_limits_are_accepted():
    check_value("p", 1.0, Range(0, 1), where="X")
    check_value("p", 0.0, Range(0, 1, includes_low=True), where="X")
    check_value("p", [1, 2] * ms, Range(0 * ms), where="X")


def test_parts_of_messages():
    assert message("What.", "Where", "", "Fix.") == "Where: What. Fix."
    assert did_you_mean("tau", ["tau_m", "beta"]) == "Did you mean 'tau_m'?"
    assert did_you_mean("zzz", ["b", "a"]) == "Known names: a, b."
    assert did_you_mean("zzz", []) == ""
    assert unit_name(amp.dim) == "A"


def test_namespace_knows_units_constants_and_functions():
    names = Namespace({"v": volt.dim}, where="X")
    assert names.dimensions_of("exp(-dt/(10*ms))*v + 2*pi*mV", field="f") is volt.dim
    with pytest.raises(ValueError, match=r"X: unknown name 'q' in f.*Known names|Did you mean"):
        names.dimensions_of("q", field="f")
    with pytest.raises(ValueError, match=r"X: f cannot be used: 'v \+ dt'"):
        names.dimensions_of("v + dt", field="f")
