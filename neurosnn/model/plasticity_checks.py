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
from neurosnn.core.statements import assigned, split_statements, without_comments
from neurosnn.core.texts import check_code, check_identifier, check_statements_text, check_texts
from neurosnn.core.values import Range, check_ranges, check_value, unit_name
from neurosnn.model.namespace import check_names, parse_equations
from neurosnn.model.pathways import names_sent

PAIRINGS = ("all", "nearest")
DELAY_PLACEMENTS = ("axonal", "dendritic")
SLOTS = tuple(
    f"{prefix}{slot}"
    for slot in ("start", "groups", "thresholds", "synapses", "resets", "end")
    for prefix in ("", "before_", "after_")
)
#: Parts of the synapses that are no pathways but have an order.
PARTS = ("equations", "step")
# Brian2 gives every synapse these; a variable of that name would hide or break them.
RESERVED = ("i", "j", "N", "N_incoming", "N_outgoing", "delay", "lastupdate")
FLAGS = {
    DIFFERENTIAL_EQUATION: ["event-driven", "clock-driven"],
    SUBEXPRESSION: ["shared", "constant over dt", "summed"],
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
        code=("equations", "step"),
        mappings=(
            "parameters",
            "ranges",
            "requires",
            "requires_pre",
            "initial",
            "orders",
            "delays",
        ),
        where=type(rule).__name__,
    )
    if rule.transmission is not None:
        check_code(rule.transmission, field="transmission", where=rule.name)
    check_identifier(rule.weight, field="weight", where=rule.name)
    check_ranges(rule.ranges, where=rule.name)
    _check_choices(rule)
    _check_equations(rule)
    _check_pathways(rule)
    _check_values(rule)
    _check_initial(rule)
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
    equations = parse_equations(rule.equations, where=rule.name)
    check_names(rule.own_names, where=rule.name)
    for name in (*equations.names, *rule.constants):
        if name in RESERVED:
            raise refuse(
                rule,
                f"the name '{name}' is reserved.",
                "Brian2 defines it for every synapse.",
                "Choose another name.",
            )
    for name in rule.constants:
        if name in equations.names:
            raise refuse(
                rule,
                f"'{name}' is declared in the equations and given as a parameter.",
                "Parameters are declared from their values.",
                f"Remove the line of '{name}' from the equations.",
            )
    weight = equations.get(rule.weight)
    if weight is None:
        raise refuse(
            rule,
            f"the equations do not declare the weight '{rule.weight}'.",
            "A plasticity rule changes it.",
            f"Add '{rule.weight} : 1' (or another unit) to the equations, or name another weight.",
        )
    if weight.type == SUBEXPRESSION or weight.var_type != "float" or "shared" in weight.flags:
        raise refuse(
            rule,
            f"'{rule.weight}' cannot be the weight.",
            "The weight is a number that each synapse has and changes.",
            "Name another variable of the equations.",
        )
    try:
        equations.check_flags(FLAGS)
    except (EquationError, ValueError) as error:
        raise refuse(
            rule,
            f"the equations cannot be used: {error}",
            "Synapses have their own flags.",
            "Use (event-driven), (clock-driven), (shared) or (constant).",
        ) from error


def _check_pathways(rule):
    names = []
    for field in ("on_pre", "on_post"):
        codes = getattr(rule, field)
        side = field.removeprefix("on_")
        for name, code in ({side: codes} if isinstance(codes, str) else codes).items():
            check_identifier(name, field=f"a pathway in {field}", where=rule.name)
            check_code(code, field=f"{field}['{name}']", where=rule.name)
            check_statements_text(code, field=field, where=rule.name)
            try:
                split_statements(code)
            except ValueError as error:
                raise refuse(
                    rule,
                    f"{field} cannot be used: {error}",
                    "Each line, or part between ';', is a statement; a comment follows one.",
                    "Write for example 'w += A*x  # potentiation'.",
                ) from error
            names.append(name)
    for name in names:
        if names.count(name) > 1 or name in (*RESERVED, *PARTS, *rule.own_names):
            raise refuse(
                rule,
                f"a pathway cannot be called '{name}'.",
                "Another pathway, a variable or a part of the synapses has this name.",
                "Choose another name.",
            )
    for field, more in (("orders", PARTS), ("delays", ())):
        for name, value in getattr(rule, field).items():
            if name not in (*names, *more):
                raise refuse(
                    rule,
                    f"{field} has '{name}', which is no pathway.",
                    "",
                    did_you_mean(name, (*names, *more)),
                )
            if field == "delays":
                check_value(name, value, Range(0 * second, includes_low=True), where=rule.name)
            elif type(value) not in (int, float) or not np.isfinite(value):
                raise refuse(
                    rule,
                    f"the order of '{name}' is {value!r}.",
                    "Parts of a step run in the order of numbers.",
                    "Give a number, for example -1.",
                )


def _check_initial(rule):
    equations = rule.brian_equations
    for name, value in rule.initial.items():
        if name not in rule.own_names or equations[name].type == SUBEXPRESSION:
            raise refuse(
                rule,
                f"initial has '{name}', which is no variable of the equations.",
                "Parameters and subexpressions have no initial value.",
                did_you_mean(name, rule.own_names),
            )
        check_value(name, value, rule.ranges.get(name), where=rule.name)
        if get_dimensions(value) is not equations[name].dim:
            raise refuse(
                rule,
                f"the initial value of {name} is in {unit_name(get_dimensions(value))}, but {name} is "
                f"in {unit_name(equations[name].dim)}.",
                "",
                "Give it the unit of the variable.",
            )
        if np.ndim(value) and "shared" in equations[name].flags:
            raise refuse(
                rule,
                f"{name} has {np.size(value)} initial values.",
                "All synapses share it.",
                "Give one value.",
            )


def _check_values(rule):
    for name, value in rule.constants.items():
        if np.ndim(value):
            raise refuse(
                rule,
                f"{name} has {np.size(value)} values.",
                "A parameter of a rule has one value for all synapses.",
                "For a value per synapse declare it in the equations and put the values into initial.",
            )
        check_value(name, value, rule.ranges.get(name), where=rule.name)
    for name in ("step_dt", "dt"):
        if getattr(rule, name) is not None:
            check_value(name, getattr(rule, name), Range(0 * second), where=rule.name)
    for name in ("w_min", "w_max"):
        value = rule.constants.get(name)
        if value is not None and get_dimensions(value) is not rule.weight_dimensions:
            raise refuse(
                rule,
                f"{name} is {value}, but {rule.weight} is in {unit_name(rule.weight_dimensions)}.",
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
    strings = [rule.equations, rule.transmission or "", rule.step]
    strings += [pathway.code for pathway in rule.pathways]
    names_read = get_identifiers(" ".join(map(without_comments, strings)))
    for name in rule.constants:
        if name not in names_read:
            raise refuse(
                rule,
                f"the parameter '{name}' is not used in any string.",
                "A value without effect is usually a misspelt name.",
                did_you_mean(name, names_read),
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
    if rule.transmitted and "transmit" in {pathway.name for pathway in rule.pathways}:
        raise refuse(
            rule,
            "a pathway is called 'transmit' and transmits nothing.",
            "The pathway that sends the weight to the target has this name.",
            "Choose another name, write in it what is sent, or give the rule transmission=None.",
        )
    if rule.transmitted:
        names.dimensions_of(rule.transmitted, field="transmission")
    elif rule.transmission:
        raise refuse(
            rule,
            f"transmission={rule.transmission!r} together with strings that act on "
            f"{', '.join(rule.targets)}.",
            "They say themselves what a spike adds to what.",
            "Leave out transmission, or the statements.",
        )
    codes = {pathway.name: pathway.code for pathway in rule.pathways} | {"step": rule.step}
    for field, code in codes.items():
        names.check_statements(code, field=field if field == "step" else f"on_{field}")
        for name in assigned(code) & set(rule.constants):
            raise refuse(
                rule,
                f"{field if field == 'step' else f'on_{field}'} assigns to the parameter '{name}'.",
                "Parameters are constant.",
                "Declare it in the equations if it is to change.",
            )
    by_name = not (isinstance(rule.on_pre, str) and isinstance(rule.on_post, str))
    if rule.delay_placement != "axonal" and (by_name or rule.delays or rule.targets):
        raise refuse(
            rule,
            f"delay_placement={rule.delay_placement!r} together with pathways that have names or "
            "delays, or act on the neuron.",
            "Each pathway has a delay of its own.",
            "Leave out delay_placement; what acts late is a pathway of on_pre with a delay in delays.",
        )
    pathways = [(pathway.side, pathway.code) for pathway in rule.pathways]
    targets = {f"{name}_post" for name in rule.targets}
    sent = names_sent(pathways, rule.brian_equations, targets) | get_identifiers(rule.transmitted)
    lasting = any("summed" in equation.flags for equation in rule.brian_equations.values())
    if rule.weight not in rule.changed and not (lasting or sent & rule.changed):
        raise refuse(
            rule,
            f"no string changes the weight '{rule.weight}'.",
            "The rule would learn nothing.",
            f"Assign to {rule.weight} in on_pre, on_post or step.",
        )
    event_driven = {name for name, eq in rule.brian_equations.items() if "event-driven" in eq.flags}
    clocked = {rule.step: "step"} | {
        eq.expr.code: f"the equation of {name}"
        for name, eq in rule.brian_equations.items()
        if "summed" in eq.flags or (eq.type == DIFFERENTIAL_EQUATION and name not in event_driven)
    }
    for code, field in clocked.items():
        for name in sorted(get_identifiers(code) & event_driven):
            raise refuse(
                rule,
                f"{field} reads '{name}', which is event-driven.",
                "Its value is up to date only when a spike arrives.",
                f"Flag the equation of '{name}' as (clock-driven).",
            )
