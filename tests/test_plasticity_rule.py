"""What every plasticity rule must satisfy, and every error of PlasticityRule."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from brian2 import Network, NeuronGroup, SpikeGeneratorGroup, ms, nS, pA

from neurosnn import equations
from neurosnn.model import PlasticityRule

RULES = {
    "pair": equations.PairSTDP(),
    "pair nearest soft": equations.PairSTDP(pairing="nearest", bounds="soft", mu=0.3),
    "pair in nS": equations.PairSTDP(
        A_plus=0.01 * nS,
        A_minus=-0.01 * nS,
        w_min=0 * nS,
        w_max=2 * nS,
        delay_placement="dendritic",
    ),
    "triplet": equations.TripletSTDP(),
    "voltage": equations.VoltageSTDP(),
    "inhibitory": equations.InhibitorySTDP(),
    "reward": equations.RewardSTDP(),
    "dopamine": equations.RewardSTDP(tau_d=200 * ms),
    "reward of neurons": equations.RewardSTDP(reward="m"),
}


def source(times_ms):
    """A neuron that spikes at given times."""
    times = np.asarray(times_ms)
    return SpikeGeneratorGroup(1, np.zeros(len(times), dtype=int), times * ms, dt=1 * ms)


# -- all rules --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RULES)
def test_rule_survives_a_file(name):
    rule = RULES[name]
    again = PlasticityRule.from_dict(json.loads(json.dumps(rule.to_dict())))
    assert again.to_dict() == rule.to_dict()
    assert str(again.brian_equations) == str(rule.brian_equations)


@pytest.mark.parametrize("name", RULES)
def test_every_number_has_a_source_and_a_range(name):
    rule = RULES[name]
    for parameter in rule.parameters:
        assert rule.sources[parameter]
        assert parameter in rule.ranges
    assert "doi:" in rule.reference


@pytest.mark.parametrize("name", RULES)
def test_parameters_live_in_the_synapses(name):
    """Shared and constant, so that standalone programs can change them."""
    rule = RULES[name]
    post = NeuronGroup(1, "v : volt\nm : 1", threshold="False", reset="", namespace={})
    synapses = rule.synapses(source([1]), post)
    for parameter, value in rule.constants.items():
        variable = synapses.variables[parameter]
        assert variable.scalar
        assert variable.constant
        assert np.ravel(variable.get_value()).tolist() == [float(value)]
        assert not parameter.endswith(("_pre", "_post"))


@pytest.mark.parametrize("name", RULES)
def test_a_rule_is_read_from_its_own_synapses(name):
    """What it makes says all of it; the weight is found."""
    rule = RULES[name]
    post = NeuronGroup(
        1, "v : volt\nm : 1\ng : 1\nG : siemens", threshold="False", reset="", namespace={}
    )
    target = "G" if rule.weight_dimensions is nS.dim else "g"
    synapses = rule.synapses(source([1]), post, target=target, delay=2 * ms)
    again = PlasticityRule.from_synapses(synapses)
    assert again.weight == "w"
    assert again.targets == (target,)
    assert dict(again.constants) == dict(rule.constants)
    assert again.requires == rule.requires
    assert again.method == rule.method or not rule.brian_equations.diff_eq_names
    assert again.step == rule.step.strip()
    same = again.synapses(source([1]), post, name="same")
    assert set(same.variables) == set(synapses.variables)
    for pathway in synapses._synaptic_updaters:
        ours, theirs = getattr(same, pathway), getattr(synapses, pathway)
        assert (ours.code, ours.order, ours.when) == (theirs.code, theirs.order, theirs.when)
        assert ours.variables["delay"].get_value() == theirs.variables["delay"].get_value()


def test_rules_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        equations.PairSTDP().on_pre = ""
    with pytest.raises(TypeError):
        equations.PairSTDP().parameters["A_plus"] = 1


# -- errors -----------------------------------------------------------------------------------------

GOOD = {
    "equations": "w : 1\ndx/dt = -x/tau : 1 (event-driven)",
    "on_pre": "x += 1",
    "on_post": "w += A*x",
    "parameters": {"tau": 20 * ms, "A": 0.1},
}


def test_the_good_rule_is_good():
    pre, post = source([10]), source([10])
    synapses = PlasticityRule(**GOOD).synapses(pre, post)
    synapses.w = 0.5
    Network(pre, post, synapses).run(20 * ms, namespace={})
    assert synapses.w[0] == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"pairing": "neares"}, r"pairing must be one of.*Did you mean 'nearest'"),
        ({"delay_placement": "somatic"}, "delay_placement must be one of"),
        ({"step_slot": "group"}, "step_slot must be one of.*Did you mean 'groups'"),
        ({"equations": "w = 1"}, "the equations cannot be read"),
        ({"equations": "dx/dt = -x/tau : 1 (event-driven)"}, "do not declare the weight 'w'"),
        ({"equations": GOOD["equations"] + "\nx_post : 1"}, "ends in '_post'"),
        ({"equations": GOOD["equations"] + "\ndelay : second"}, "the name 'delay' is reserved"),
        (
            {"equations": GOOD["equations"] + "\nA : 1"},
            "'A' is declared in the equations and given",
        ),
        ({"equations": GOOD["equations"] + "\nq : 1 (linked)"}, "cannot be used"),
        ({"on_post": "w += A*B*x"}, "unknown name 'B'"),
        ({"on_post": "w += tau*x*A"}, "on_post cannot be used"),
        ({"equations": "w : 1\ndx/dt = -x*tau : 1 (event-driven)"}, "equation of x has unit"),
        ({"parameters": {"tau": 20 * ms}}, "unknown name 'A'"),
        ({"parameters": GOOD["parameters"] | {"B": 1.0}}, "parameter 'B' is not used"),
        ({"parameters": {"tau": 20 * ms, "A": [0.1, 0.2]}}, "A has 2 values"),
        ({"parameters": {"tau": 20 * ms, "A": np.nan}}, "A must be finite"),
        ({"on_post": "tau = 3*ms\nw += x*A"}, "on_post assigns to the parameter 'tau'"),
        ({"on_post": "x += A"}, "no string changes the weight"),
        ({"w_max": 1.0}, "parameter 'w_max' is not used"),
        (
            {"on_post": "w = clip(w + A*x, w_min, w_max)", "w_min": 1.0, "w_max": 0.5},
            "is not below",
        ),
        ({"on_post": "w = clip(w + A*x, 0, w_max)", "w_max": 1 * nS}, "w_max is 1. nS"),
        ({"third_factor": "m"}, "third_factor 'm' is not a variable"),
        ({"third_factor": "x"}, "third factor 'x' cannot be set"),
        ({"eligibility": "xx"}, "eligibility 'xx' is not a variable.*Did you mean 'x'"),
        ({"step": "w += x*A"}, "step reads 'x', which is event-driven"),
        (
            {"equations": GOOD["equations"] + "\ndq/dt = (x - q)/tau : 1 (clock-driven)"},
            "equation of q reads 'x', which is event-driven",
        ),
        ({"on_post": "w += A*x*v_post"}, "unknown name 'v_post'"),
    ],
)
def test_bad_rule_is_refused(changes, match):
    with pytest.raises(ValueError, match=match):
        PlasticityRule(**{"name": "mine", **GOOD, **changes})


def test_parameter_that_is_no_number():
    with pytest.raises(TypeError, match="A must be a number"):
        PlasticityRule(**{**GOOD, "parameters": {"tau": 20 * ms, "A": "large"}})


def test_dictionary_of_another_program():
    with pytest.raises(ValueError, match="'on_prev' is not a field.*Did you mean 'on_pre'"):
        PlasticityRule.from_dict({"equations": "w : 1", "on_prev": ""})


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (
            lambda: equations.PairSTDP(tau_plus=20.0),
            r"tau_plus must be a time, got 20.0 \(dimension",
        ),
        (lambda: equations.PairSTDP(tau_minus=-1 * ms), "tau_minus must be >"),
        (lambda: equations.PairSTDP(A_plus=1 * nS), "A_plus must be dimensionless"),
        (lambda: equations.PairSTDP(bounds="smooth"), "bounds must be 'hard'"),
        (lambda: equations.PairSTDP(mu=0.5), "mu = 0.5 has no effect"),
        (lambda: equations.PairSTDP(bounds="soft", mu=-1), "mu must be >="),
        (lambda: equations.PairSTDP(bounds="soft", A_minus=0.1), "A_minus must be"),
        (lambda: equations.PairSTDP(pairing="some"), "pairing must be one of"),
        (lambda: equations.TripletSTDP(data_set="retina"), "no fit for data_set='retina'"),
        (lambda: equations.TripletSTDP(A2_minus=-0.1), "A2_minus must be >= 0"),
        (lambda: equations.VoltageSTDP(data_set="hippocampus"), "no fit for data_set"),
        (lambda: equations.VoltageSTDP(A_LTD=1e-4), "A_LTD must be in"),
        (lambda: equations.VoltageSTDP(theta_minus=-70.0), "theta_plus must be dimensionless"),
        (lambda: equations.InhibitorySTDP(rho0=5.0), "rho0 must be a rate"),
        (lambda: equations.RewardSTDP(reward="m", tau_d=1 * ms), "tau_d = 1. ms together with"),
        (lambda: equations.RewardSTDP(tau_c=0 * ms), "tau_c must be >"),
    ],
)
def test_bad_parameter_is_refused(make, match):
    with pytest.raises(ValueError, match=match):
        make()


def test_synapses_refuse_what_does_not_fit():
    pre = source([1])
    post = NeuronGroup(1, "v : volt\nI : amp", threshold="False", reset="", namespace={})
    with pytest.raises(ValueError, match="has no variable 'II'.*Did you mean 'I'"):
        equations.PairSTDP().synapses(pre, post, target="II")
    with pytest.raises(
        ValueError, match="'I' of the group .* is in A, but must be in dimensionless"
    ):
        equations.PairSTDP().synapses(pre, post, target="I")
    with pytest.raises(ValueError, match="sign must be 1 or -1, got 0"):
        equations.PairSTDP(A_plus=1 * pA, A_minus=-1 * pA, w_min=0 * pA, w_max=9 * pA).synapses(
            pre, post, target="I", sign=0
        )
    with pytest.raises(ValueError, match="has no variable 'v'"):
        equations.VoltageSTDP().synapses(pre, source([1]))
    with pytest.raises(
        ValueError, match="'v' of the group .* is in V, but must be in dimensionless"
    ):
        equations.VoltageSTDP(theta_minus=0.0, theta_plus=1.0, A_LTD=1.0, A_LTP=1.0).synapses(
            pre, post
        )
    with pytest.raises(ValueError, match="delay must be a time"):
        equations.PairSTDP().synapses(pre, post, delay=2.0)
    with pytest.raises(ValueError, match="delay must be >= 0"):
        equations.PairSTDP().synapses(pre, post, delay=-1 * ms)
