r"""Synapses whose states follow the presynaptic spikes alone, as statements and as derivatives.

Short-term plasticity, a gate that opens at a spike and a receptor that saturates have states of their own,
but nothing in them depends on the postsynaptic side: all synapses of a neuron with one delay are in the
same state, which is kept once for all of them. With the state h, the weight w and the spike z, a step is

.. math::  h = F(h^{t-1}_+), \qquad x_j \mathrel{+}= z\,w_{ij}\,a(h_i), \qquad h_+ = h + z\,(R(h) - h)

where F is the exact flow of event-driven equations over dt and Brian2's step of clock-driven ones, a what
a spike sends for each unit of weight, and R what it leaves. A graded synapse sends in every step, whether a
spike arrives or not: its target is the sum over the synapses at the beginning of the step,

.. math::  x_j^t = \sum_i w_{ij}\,a(h_{i,+}^{t-1})
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import sympy
from brian2.equations.equations import DIFFERENTIAL_EQUATION, SUBEXPRESSION, Equations
from brian2.stateupdaters.base import StateUpdateMethod, UnsupportedEquationsException
from brian2.utils.stringtools import get_identifiers

from neurosnn.calculus.chain import nonzero_strings, simplify
from neurosnn.core.messages import message
from neurosnn.core.statements import Statement, split_statements
from neurosnn.core.symbolic import (
    differentiate,
    expand,
    run_symbolically,
    substitute,
    symbol,
    to_string,
    to_symbolic,
)
from neurosnn.model import PlasticityRule
from neurosnn.model.pathways import at_neuron, with_parts

__all__ = [
    "PresynapticCode",
    "PresynapticSlopes",
    "expanded_statements",
    "presynaptic_code",
    "presynaptic_slopes",
    "refusal",
    "since_last_update",
    "state_update",
]

RANDOM = ("rand", "randn", "poisson")
#: What a synapse knows of its place among others.
PLACES = ("i", "j", "N", "N_incoming", "N_outgoing", "N_pre", "N_post", "lastupdate")


@dataclass(frozen=True, eq=False)
class PresynapticCode:
    """The strings of a synapse as every backend executes them, subexpressions written out.

    Attributes
    ----------
    target : str
        The postsynaptic variable that the strings name, "" if they leave it open.
    weight : str
        Name of the weight, which nothing but `sent` reads.
    states : tuple of str
        Variables that change.
    fixed : tuple of str
        Variables that keep their initial value.
    catch_up : str
        At an arrival: event-driven states over the time ``dt`` since the last one.
    advance : str
        In each step: clock-driven states.
    before, sent, after : str
        At an arrival: statements, what is added to the target, statements.
    summed : bool
        Whether `sent` is summed over the synapses in each step, and not sent at an arrival.
    read : tuple of str
        Variables of the presynaptic neuron that such a sum reads as ``<name>_pre``.
    """

    target: str
    weight: str
    states: tuple[str, ...]
    fixed: tuple[str, ...]
    catch_up: str
    advance: str
    before: str
    sent: str
    after: str
    summed: bool
    read: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class PresynapticSlopes:
    """Derivatives of a step, as Brian2 expressions.

    Attributes
    ----------
    amplitude : str
        a, of the states before the arrival; of a sum, of those after it.
    amplitude_by : dict of str to str
        Its derivative by each state.
    jump : dict of str to str
        R - h, of the states before the arrival.
    arrival : dict of (str, str) to str
        dR/dh by (row, column), of the states before the arrival.
    flow : dict of (str, str) to str
        dF/dh by (row, column), of the states after the arrivals of the step before.
    sent_by : dict of str to str
        da/dp by each parameter p that is asked for, of the states as for `amplitude`.
    arrival_by, flow_by : dict of (str, str) to str
        dR/dp and dF/dp by (row, parameter), of the states as for `arrival` and `flow`.
    caught_up_by : dict of (str, str) to str
        The same of event-driven states from one arrival to the next, of the states after the first one.
    """

    amplitude: str
    amplitude_by: dict[str, str]
    jump: dict[str, str]
    arrival: dict[tuple[str, str], str]
    flow: dict[tuple[str, str], str]
    sent_by: dict[str, str]
    arrival_by: dict[tuple[str, str], str]
    flow_by: dict[tuple[str, str], str]
    caught_up_by: dict[tuple[str, str], str]


@lru_cache(maxsize=64)
def presynaptic_code(rule: PlasticityRule) -> PresynapticCode:
    """The code of synapses that depend on the presynaptic side only.

    Parameters
    ----------
    rule : PlasticityRule
        The synapse.

    Returns
    -------
    PresynapticCode
        Abstract code in Brian2 syntax.

    Raises
    ------
    ValueError
        For gap junctions, and if the strings depend on the postsynaptic side or on something else that
        differs between the synapses of a neuron, change the weight, do not send something in proportion
        to it, or need a schedule of their own.
    """
    _check_parts(rule)
    equations = {
        name: eq
        for name, eq in rule.brian_equations.items()
        if name not in rule.constants and "summed" not in eq.flags
    }
    subexpressions = {
        name: eq.expr.code for name, eq in equations.items() if eq.type == SUBEXPRESSION
    }
    statements = [
        statement
        for pathway in rule.pathways
        for statement in expanded_statements(pathway.code, subexpressions)
    ]
    sums = [eq for eq in rule.brian_equations.values() if "summed" in eq.flags]
    if sums:
        target, sent = rule.targets[0], expand(sums[0].expr.code, subexpressions)
        before, after = [], statements
    elif rule.targets:
        (target,) = rule.targets
        places = [
            k for k, statement in enumerate(statements) if statement.variable == f"{target}_post"
        ]
        if len(places) > 1 or statements[places[0]].operation not in ("+=", "-="):
            raise refusal(
                rule,
                f"a spike changes {target}_post in {len(places)} statements, or does not add to it.",
                "A projection adds one term to one variable of its target.",
                f"Write one statement '{target}_post += ...'.",
            )
        (at,) = places
        sent = statements[at].expression
        sent = f"-({sent})" if statements[at].operation == "-=" else sent
        before, after = statements[:at], statements[at + 1 :]
    else:
        target, sent = "", expand(rule.transmitted, subexpressions)
        before, after = [], statements
    names_read = tuple(
        name for name in rule.requires_pre if sums and f"{name}_pre" in get_identifiers(sent)
    )
    _check_names(rule, equations, [*before, *after], sent, {f"{name}_pre" for name in names_read})
    changed = rule.changed & set(equations)
    variables = [name for name in equations if name not in (rule.weight, *subexpressions)]
    return PresynapticCode(
        target=target,
        weight=rule.weight,
        states=tuple(name for name in variables if name in changed),
        fixed=tuple(name for name in variables if name not in changed),
        catch_up=state_update(rule, equations, "event-driven", "exact", subexpressions),
        advance=state_update(rule, equations, "clock-driven", rule.method, subexpressions),
        before="\n".join(map(str, before)),
        sent=sent,
        after="\n".join(map(str, after)),
        summed=bool(sums),
        read=names_read,
    )


def expanded_statements(code: str, subexpressions: dict[str, str]) -> list[Statement]:
    """The statements of a pathway with the subexpressions written out."""
    return [
        Statement(variable, operation, expand(expression, subexpressions))
        for variable, operation, expression in split_statements(code)
    ]


def refusal(rule: PlasticityRule, what: str, why: str, fix: str) -> ValueError:
    """The error of strings that a projection's synapses cannot have."""
    return ValueError(message(what, f"synapse {rule.name}", why, fix))


def _check_parts(rule: PlasticityRule) -> None:
    """One pathway of presynaptic spikes, which sends something to one variable."""
    if rule.step.strip():
        raise refusal(
            rule,
            "'step' runs in a projection.",
            "Its weights are learned from trials, and its other states follow presynaptic spikes.",
            "Use the rule in Synapses of your own: rule.synapses(pre, post).",
        )
    sums = [eq for eq in rule.brian_equations.values() if "summed" in eq.flags]
    for eq in sums:
        read = eq.identifiers
        if any(f"{name.removesuffix('_post')}_pre" in read for name in read if at_neuron(name)):
            raise refusal(
                rule,
                f"{eq.varname} is the current of a gap junction.",
                "It depends on both neurons in each step; a projection sends what the presynaptic side "
                "does.",
                "Use the strings in Synapses of your own.",
            )
    few = len(rule.pathways) == 1 or (sums and not rule.pathways)
    if not few or len(rule.targets) > 1 or not (rule.targets or rule.transmitted):
        raise refusal(
            rule,
            f"it has {len(rule.pathways)} pathways and acts on {len(rule.targets)} variables.",
            "A projection adds to one variable of its target when a spike arrives.",
            "Write one on_pre with one statement such as 'g_post += w*u*x', and a projection for each "
            "variable.",
        )
    elsewhere = {
        "delays": (rule.delays, "Give the projection the delay."),
        "orders": (rule.orders, "The order of the projections is that of their spikes."),
        "dt": (rule.dt, "The network has one time step."),
        "delay_placement": (rule.delay_placement != "axonal", "Delays of a projection are axonal."),
        "spike_slot": (rule.spike_slot != "synapses", "Spikes arrive between threshold and reset."),
        "initial": (rule.weight in rule.initial, "Give the projection the weight."),
    }
    for field, (is_there, fix) in elsewhere.items():
        if is_there:
            raise refusal(
                rule, f"{field} has no effect.", "The projection or the network sets it.", fix
            )


def _check_names(
    rule: PlasticityRule,
    equations: Mapping[str, Any],
    statements: list[Statement],
    sent: str,
    readable: set[str],
) -> None:
    """Nothing depends on what differs between the synapses of a presynaptic neuron."""
    parts = {name: eq for name, eq in equations.items() if eq.type == DIFFERENTIAL_EQUATION}
    names_read = set().union(*(eq.identifiers for eq in parts.values()), get_identifiers(sent))
    for statement in statements:
        names_read |= get_identifiers(statement.expression) | {statement.variable}
    names_read = with_parts(names_read, equations)
    inside = with_parts(names_read - get_identifiers(sent), equations)
    # a variable of the synapse hides one of a neuron that has its name
    of_neurons = {*PLACES, *rule.requires, *rule.requires_pre} - set(equations)
    for name in sorted(names_read - set(rule.constants) - (readable - inside)):
        if at_neuron(name) or name in of_neurons:
            raise refusal(
                rule,
                f"it reads '{name}'.",
                "The states of a projection's synapses follow presynaptic spikes alone: they are kept "
                "once for all synapses of a neuron.",
                "Put what depends on the neurons into their equations.",
            )
        if name in RANDOM or name.startswith("xi"):
            raise refusal(
                rule,
                f"it contains '{name}'.",
                "All synapses of a neuron are in one state, which random numbers would take apart.",
                "Leave it out, or use the strings in Synapses of your own.",
            )
    for name, eq in equations.items():
        if eq.var_type != "float":
            raise refusal(
                rule,
                f"'{name}' is {eq.var_type}.",
                "The states of a projection are real numbers.",
                f"Declare '{name} : 1'.",
            )
        if "constant over dt" in eq.flags:
            raise refusal(
                rule,
                f"'{name}' is constant over dt.",
                "Its value would be that of the beginning of the step, and what reads it would see another.",
                f"Leave the flag of '{name}' out.",
            )
        if np.ndim(rule.initial.get(name, 0.0)):
            raise refusal(
                rule,
                f"'{name}' has {np.size(rule.initial[name])} initial values.",
                "All synapses of a neuron are in one state.",
                "Give one value.",
            )
    elsewhere = set().union(*(eq.identifiers for eq in parts.values()))
    elsewhere |= set().union(*(get_identifiers(statement.expression) for statement in statements))
    weight = symbol(rule.weight)
    amount = to_symbolic(sent)
    slope = differentiate(amount, rule.weight)
    if (
        rule.weight in with_parts(elsewhere, equations)
        or weight in slope.free_symbols
        or sympy.expand(amount.xreplace({weight: sympy.S.Zero})) != 0
        or slope == 0
    ):
        raise refusal(
            rule,
            f"what it sends is not in proportion to the weight '{rule.weight}': {sent!r}.",
            "A weight without a synapse is zero and must send nothing, and one that is learned is read "
            "where it is sent.",
            f"Write for example '{rule.weight}*u*x', with '{rule.weight}' nowhere else.",
        )


def state_update(
    rule: PlasticityRule,
    equations: Mapping[str, Any],
    kind: str,
    method: str,
    subexpressions: Mapping[str, str],
) -> str:
    """Brian2's step of the event-driven or of the clock-driven equations."""
    event_driven = kind == "event-driven"
    chosen = [
        eq
        for eq in equations.values()
        if eq.type == DIFFERENTIAL_EQUATION and ("event-driven" in eq.flags) == event_driven
    ]
    if not chosen:
        return ""
    variables = dict(rule.namespace.variables)
    del variables["dt"]  # its value is not known yet
    for eq in equations.values():
        if eq.expr is not None:
            names = rule.namespace.resolve(eq.expr.code, field="equations")
            variables |= {name: value for name, value in names.items() if name != "dt"}
    computed = [eq for eq in equations.values() if eq.type == SUBEXPRESSION]
    try:
        code = StateUpdateMethod.apply_stateupdater(
            Equations([*chosen, *computed]), variables, method
        )
    except UnsupportedEquationsException as error:
        raise refusal(
            rule,
            f"the method '{method}' cannot integrate the {kind} equations: {error}",
            "'exact' needs linear equations.",
            "Flag them as (clock-driven), and use method='euler'.",
        ) from error
    if not isinstance(code, str):
        raise refusal(
            rule,
            f"the steps of the method '{method}' are taken by the GSL library.",
            "The engine executes the statements of a step, and there are none.",
            "Use method='rk4', 'exponential_euler' or another of Brian2's own.",
        )
    return expand(code, dict(subexpressions))


def since_last_update(catch_up: str) -> str:
    """The statements of event-driven states over the time since the last update, as Brian2 writes them."""
    return re.sub(r"\bdt\b", "(t - lastupdate)", catch_up)


@lru_cache(maxsize=64)
def presynaptic_slopes(rule: PlasticityRule, learn: tuple[str, ...] = ()) -> PresynapticSlopes:
    """The derivatives of a step.

    Parameters
    ----------
    rule : PlasticityRule
        The synapse.
    learn : tuple of str, optional
        Parameters of it by which derivatives are wanted.

    Returns
    -------
    PresynapticSlopes
        Brian2 expressions; those that are zero are left out.

    Raises
    ------
    ValueError
        As :func:`presynaptic_code`, and for functions without a known derivative.
    """
    code = presynaptic_code(rule)
    if code.read:
        raise refusal(
            rule,
            f"what it sends reads '{code.read[0]}' of the presynaptic neurons.",
            "A gradient follows spikes and the states of synapses, not what lies between spikes.",
            "Simulate it without a rule, or let spikes open a gate in the synapses.",
        )
    symbols = {name: symbol(name) for name in code.states}
    before = run_symbolically(code.before, symbols)
    # of a sum nothing comes before it: its states are those after the arrivals
    amplitude = differentiate(substitute(to_symbolic(code.sent), before), code.weight)
    after = run_symbolically(code.after, before)
    flow = run_symbolically(code.catch_up, run_symbolically(code.advance, symbols))
    between = run_symbolically(since_last_update(code.catch_up), symbols)
    pairs = [(row, column) for row in code.states for column in code.states]
    by = [(row, parameter) for row in code.states for parameter in learn]
    return PresynapticSlopes(
        amplitude=to_string(simplify(amplitude)),
        amplitude_by=nonzero_strings(
            {name: differentiate(amplitude, name) for name in code.states}
        ),
        jump=nonzero_strings({name: after[name] - symbols[name] for name in code.states}),
        arrival=nonzero_strings({pair: differentiate(after[pair[0]], pair[1]) for pair in pairs}),
        flow=nonzero_strings({pair: differentiate(flow[pair[0]], pair[1]) for pair in pairs}),
        sent_by=nonzero_strings(
            {parameter: differentiate(amplitude, parameter) for parameter in learn}
        ),
        arrival_by=nonzero_strings({pair: differentiate(after[pair[0]], pair[1]) for pair in by}),
        flow_by=nonzero_strings({pair: differentiate(flow[pair[0]], pair[1]) for pair in by}),
        caught_up_by=nonzero_strings(
            {pair: differentiate(between[pair[0]], pair[1]) for pair in by}
        ),
    )
