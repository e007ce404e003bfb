"""Brian2 code split into statements: as Brian2 does it, and the same wherever code is read."""

import dataclasses

import numpy as np
import pytest
from brian2 import Network, StateMonitor, ms
from brian2.codegen.translation import make_statements
from brian2.core.variables import Variable

from neurosnn import EProp, NeuronModel, PlasticityRule, equations
from neurosnn.analysis import locality
from neurosnn.calculus.step import step_map
from neurosnn.core.statements import assigned, plain_code, split_statements, without_comments
from neurosnn.rules.equilibrium.code import spike_code

VARIABLES = {name: Variable(name, dtype=np.float64, array=True) for name in "va"}


@pytest.mark.parametrize(
    "code",
    [
        "v = 0; a += 0.3",
        "v = 0;a = v;",
        "  v = 0  # the old v = 1\n      a *= 2\n\n",
        "\tv = a == 0\n  a **= 2",
        "v = 0 # first; a = 3\na //= 2",
        "",
    ],
)
def test_as_brian2_splits_it(code):
    theirs, ours = make_statements(code, VARIABLES, np.float64, optimise=False)[1], {}
    ours = split_statements(code)
    # Brian2 writes a = a*2 and the like in the shorter form
    assert [tuple(s) for s in ours] == [(s.var, s.op, s.expr) for s in theirs]
    assert assigned(code) == {s.var for s in theirs}


def test_what_is_no_statement():
    for code in ("v", "# a comment alone", "v = 0; 3"):
        with pytest.raises(ValueError, match="Parsing the statement failed"):
            split_statements(code)


def test_values_and_plain_code():
    statements = split_statements("v = 0; a -= v - 1  # jump")
    assert [s.value for s in statements] == ["0", "a - (v - 1)"]
    assert plain_code("   v = 0; a -= v - 1  # jump") == "v = 0\na -= v - 1"
    assert without_comments("v > 1  # and so on") == "v > 1"


# -- one line or two: the same model ------------------------------------------------------------

TWO = "v = 0\na += 0.3"
ONE = "v = 0;   a += 0.3  # the adaptation of the neuron"
MODEL = NeuronModel(
    equations="dv/dt = (1.5 - a - v)/tau : 1\nda/dt = -a/tau_a : 1\nx : 1",
    threshold="v > 1",
    reset=TWO,
    step="x = v\na = 0.9*a",
    surrogate="0.3*clip(1 - abs(v - 1), 0, 1)",
    spike_gradient=("v", "a"),
    parameters={"tau": 10 * ms, "tau_a": 50 * ms},
)
SAME = dataclasses.replace(
    MODEL,
    threshold="v > 1  # the threshold",
    reset=ONE,
    step="   x = v # x follows it\n a = 0.9*a;",
)


def test_the_same_trajectory_in_brian2():
    groups = [model.group(1, dt=1 * ms) for model in (MODEL, SAME)]
    states = [StateMonitor(group, ["v", "a", "x"], record=True) for group in groups]
    Network(groups, states).run(100 * ms, namespace={})
    assert states[0].a.max() > 0.3
    for name in "vax":
        np.testing.assert_array_equal(getattr(states[0], name), getattr(states[1], name))


def test_the_same_derivatives():
    first, second = step_map(MODEL), step_map(SAME)
    assert first.jump["a"]
    assert first.jump["v"]
    for part in ("transition", "jump", "margin", "drive", "psi", "at_reset"):
        assert getattr(first, part) == getattr(second, part)


def test_the_same_online_rule():
    assert str(EProp().equations(MODEL)) == str(EProp().equations(SAME))


@pytest.mark.parametrize("field", ["reset", "step"])
def test_every_statement_is_checked(field):
    """A second statement of a line that writes to a parameter."""
    values = {**MODEL.parameters, "tau": [10, 20] * ms}
    changed = {field: "v = 0; tau = 2*tau", "parameters": values}
    with pytest.raises(ValueError, match=rf"{field} writes to 'tau': 'tau = 2\*tau'"):
        dataclasses.replace(MODEL, **changed)


def test_words_of_a_comment_are_no_names():
    dataclasses.replace(MODEL, reset="v = 0  # back to rest\na += 0.3", threshold="v > 1 # high")
    with pytest.raises(ValueError, match="the parameter 'tau_b' is not used"):
        dataclasses.replace(
            MODEL,
            reset="v = 0  # not tau_b\na += 0.3",
            parameters={**MODEL.parameters, "tau_b": 1 * ms},
        )


# -- plasticity -----------------------------------------------------------------------------------

RULE = PlasticityRule(
    equations="w : 1\ndx/dt = -x/tau : 1 (event-driven)\ndy/dt = -y/tau : 1 (event-driven)",
    on_pre="x += 1\nw -= A*y",
    on_post="y += 1\nw += A*x",
    parameters={"tau": 20 * ms, "A": 0.01},
)


def test_a_rule_with_several_statements_a_line_and_uneven_indentation():
    same = dataclasses.replace(
        RULE,
        on_pre="\n      x += 1  # the trace\n   w -= A*y\n",
        on_post="w += A*x; y += 1;",
    )
    assert locality(same) == locality(RULE)
    assert locality(same).pre_trace
    with pytest.raises(ValueError, match="on_post assigns to the parameter 'A'"):
        dataclasses.replace(RULE, on_post="A += 1;y += 1")
    # a trace that only the second statement of a line makes
    late = dataclasses.replace(RULE, on_pre="w -= A*y; x += 1")
    assert locality(late).pre_trace


def test_the_equilibrium_engine_reads_several_statements_a_line():
    rule = equations.EqSpike(trial=100 * ms)
    two = dataclasses.replace(rule, on_pre=f"{rule.on_pre}\n{rule.on_pre}")
    one = dataclasses.replace(rule, on_pre=f"   {rule.on_pre};{rule.on_pre}  # twice")
    neuron = equations.EqSpikeLIF()
    codes = [spike_code("c", each, neuron, neuron, (0, 1), True) for each in (two, one)]
    assert len(codes[0].sides[0].statements) == 2
    assert codes[0] == codes[1]
