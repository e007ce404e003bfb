"""The checks that a PlasticityRule makes when it is constructed."""

from __future__ import annotations

import numpy as np
from brian2.equations.equations import (
    DIFFERENTIAL_EQUATION,
    PARAMETER,
    SUBEXPRESSION,
    EquationError,
)
from brian2.stateupdaters.base import StateUpdateMethod
from brian2.units.allunits import second
from brian2.units.fundamentalunits import get_dimensions
from brian2.utils.stringtools import get_identifiers

from neurosnn.core.messages import did_you_mean, message
from neurosnn.core.statements import assigned, without_comments
from neurosnn.core.texts import check_texts
from neurosnn.core.values import Range, check_ranges, check_value, unit_name
from neurosnn.model.namespace import check_names, parse_equations

PAIRINGS = ("all", "nearest")
DELAY_PLACEMENTS = ("axonal", "dendritic")
SLOTS = tuple(
    f"{prefix}{slot}"
    for slot in ("start", "groups", "thresholds", "synapses", "resets", "end")
    for prefix in ("", "before_", "after_")
)
# Brian2 gives every synapse these; a variable of that name would hide or break them.
RESERVED = ("i", "j", "N", "N_incoming", "N_outgoing", "delay", "lastupdate")
FLAGS = {
    DIFFERENTIAL_EQUATION: ["event-driven", "clock-driven"],
    SUBEXPRESSION: ["shared", "constant over dt"],
    PARAMETER: ["constant", "shared"],
}


def refuse(rule, what: str, why: str, fix: str) -> ValueError:
    """An error with its four parts: what, where, why, and what to do."""
    return ValueError(message(what, rule.name, why, fix))


def check_rule(rule) -> None:
    """Refuse a rule with an unknown name, a wrong unit or a part that cannot work.

    Parameters
    ----------
    rule : PlasticityRule
        The rule, with its fields set.

    Raises
    ------
    ValueError
        With what is wrong, where, why, and what to do.
    TypeError
        If a parameter is not a number.
    """
    check_texts(
        rule,
        code=("equations", "on_pre", "on_post", "step", "transmission"),
        mappings=("parameters", "ranges", "requires", "requires_pre"),
        where=type(rule).__name__,
    )
    check_ranges(rule.ranges, where=rule.name)
    _check_choices(rule)
    _check_equations(rule)
    _check_values(rule)
    _check_strings(rule)


def _check_choices(rule):
    for field, allowed in (
        ("pairing", PAIRINGS),
        ("delay_placement", DELAY_PLACEMENTS),
        ("step_slot", SLOTS),
        ("spike_slot", SLOTS),
        ("method", tuple(StateUpdateMethod.stateupdaters)),
    ):
        value = getattr(rule, field)
        if value not in allowed:
            raise refuse(
                rule,
                f"{field} must be one of {', '.join(map(repr, allowed))}, got {value!r}.",
                "",
                did_you_mean(str(value), allowed),
            )


def _check_equations(rule):
    own = parse_equations(rule.equations, where=rule.name)
    check_names(own, where=rule.name)
    for name in (*own.names, *rule.constants):
        if name in RESERVED:
            raise refuse(
                rule,
                f"the name '{name}' is reserved.",
                "Brian2 defines it for every synapse.",
                "Choose another name.",
            )
    for name in rule.constants:
        if name in own.names:
            raise refuse(
                rule,
                f"'{name}' is declared in the equations and given as a parameter.",
                "Parameters are declared from their values.",
                f"Remove the line of '{name}' from the equations.",
            )
    if "w" not in own.names:
        raise refuse(
            rule,
            "the equations do not declare the weight 'w'.",
            "A plasticity rule changes the variable w.",
            "Add 'w : 1' (or another unit) to the equations.",
        )
    try:
        own.check_flags(FLAGS)
    except (EquationError, ValueError) as error:
        raise refuse(
            rule,
            f"the equations cannot be used: {error}",
            "Synapses have their own flags.",
            "Use (event-driven), (clock-driven), (shared) or (constant).",
        ) from error


def _check_values(rule):
    for name, value in rule.constants.items():
        if np.ndim(value):
            raise refuse(
                rule,
                f"{name} has {np.size(value)} values.",
                "A parameter of a rule has one value for all synapses.",
                "For a value per synapse declare it in the equations and set it on the Synapses.",
            )
        check_value(name, value, rule.ranges.get(name), where=rule.name)
    if rule.step_dt is not None:
        check_value("step_dt", rule.step_dt, Range(0 * second), where=rule.name)
    for name in ("w_min", "w_max"):
        value = rule.constants.get(name)
        if value is not None and get_dimensions(value) is not rule.weight_dimensions:
            raise refuse(
                rule,
                f"{name} is {value}, but w is in {unit_name(rule.weight_dimensions)}.",
                "",
                "Give the bounds the unit of the weight.",
            )
    if None not in (rule.w_min, rule.w_max) and not float(rule.w_min) < float(rule.w_max):
        raise refuse(
            rule,
            f"w_min = {rule.w_min} is not below w_max = {rule.w_max}.",
            "The weight would be fixed.",
            "Swap or move the bounds.",
        )
    strings = [rule.equations, rule.transmission, rule.on_pre, rule.on_post, rule.step]
    used = get_identifiers(" ".join(map(without_comments, strings)))
    for name in rule.constants:
        if name not in used:
            raise refuse(
                rule,
                f"the parameter '{name}' is not used in any string.",
                "A value without effect is usually a misspelt name.",
                did_you_mean(name, used),
            )
    for field in ("third_factor", "eligibility"):
        name = getattr(rule, field)
        if name and name not in rule.brian_equations.names:
            raise refuse(
                rule,
                f"{field} '{name}' is not a variable of the equations.",
                "",
                did_you_mean(name, rule.brian_equations.names),
            )
    if rule.third_factor and (
        rule.brian_equations[rule.third_factor].type != PARAMETER
        or set(rule.brian_equations[rule.third_factor].flags) != {"shared"}
    ):
        raise refuse(
            rule,
            f"the third factor '{rule.third_factor}' cannot be set by the user.",
            "It must be one number for all synapses that may change during a run.",
            f"Declare it as '{rule.third_factor} : 1 (shared)'.",
        )


def _check_strings(rule):
    names = rule.namespace
    for equation in rule.brian_equations.ordered:
        if equation.expr is None:
            continue
        field = f"equation of {equation.varname}"
        if equation.type == DIFFERENTIAL_EQUATION:
            names.check_expression(equation.expr.code, equation.dim / second.dim, field=field)
        elif equation.var_type == "boolean":
            names.check_condition(equation.expr.code, field=field)
        else:
            names.check_expression(equation.expr.code, equation.dim, field=field)
    names.check_expression(rule.transmission, rule.weight_dimensions, field="transmission")
    changed = set(rule.brian_equations.diff_eq_names)
    for field in ("on_pre", "on_post", "step"):
        code = getattr(rule, field)
        names.check_statements(code, field=field)
        written = assigned(code)
        for name in written & set(rule.constants):
            raise refuse(
                rule,
                f"{field} assigns to the parameter '{name}'.",
                "Parameters are constant.",
                "Declare it in the equations if it is to change.",
            )
        changed |= written
    if "w" not in changed:
        raise refuse(
            rule,
            "no string changes the weight 'w'.",
            "The rule would learn nothing.",
            "Assign to w in on_pre, on_post or step.",
        )
    event_driven = {name for name, eq in rule.brian_equations.items() if "event-driven" in eq.flags}
    clocked = {rule.step: "step"} | {
        eq.expr.code: f"the equation of {name}"
        for name, eq in rule.brian_equations.items()
        if eq.type == DIFFERENTIAL_EQUATION and name not in event_driven
    }
    for code, field in clocked.items():
        for name in sorted(get_identifiers(code) & event_driven):
            raise refuse(
                rule,
                f"{field} reads '{name}', which is event-driven.",
                "Its value is up to date only when a spike arrives.",
                f"Flag the equation of '{name}' as (clock-driven).",
            )
