"""Brian2 Synapses with states as the strings of a projection, one for each variable that a spike adds to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from brian2.equations.equations import PARAMETER, SUBEXPRESSION, Equations
from brian2.synapses.synapses import Synapses
from brian2.units.fundamentalunits import DIMENSIONLESS, get_dimensions
from brian2.utils.stringtools import get_identifiers

from neurosnn.core.names import FreeNames
from neurosnn.core.statements import Statement, assigned, split_statements
from neurosnn.core.symbolic import expand, symbol, to_string, to_symbolic
from neurosnn.core.units import si_unit
from neurosnn.model import PlasticityRule
from neurosnn.model.from_group import constants_of_script
from neurosnn.model.from_synapses import fields_of_synapses
from neurosnn.model.namespace import Namespace
from neurosnn.model.pathways import equation_text, with_parts
from neurosnn.model.registry import owner_of

__all__ = [
    "SentByStates",
    "changes",
    "has_states",
    "own_names",
    "reads_states",
    "sends",
    "sent_by_states",
    "sums",
]


class SentByStates(NamedTuple):
    """What one statement sends.

    Attributes
    ----------
    rule : PlasticityRule
        Synapses that send it in proportion to their weight.
    weight : Statement
        A statement that adds the weight alone; nothing in it changes in time.
    """

    rule: PlasticityRule
    weight: Statement


def own_names(synapses: Synapses) -> set[str]:
    """Variables of the synapses: Brian2 keeps the event-driven ones apart."""
    return {*synapses.equations.names, *_event_driven(synapses)}


def _event_driven(synapses: Synapses) -> set[str]:
    return set() if synapses.event_driven is None else set(synapses.event_driven.names)


def has_states(synapses: Synapses) -> bool:
    """Whether a spike does more than to add constants: variables move or are assigned."""
    changed = set().union(*(assigned(pathway.code) for pathway in synapses._pathways))
    of_synapses = own_names(synapses) | (changed - set(synapses.variables))
    moves = synapses.equations.diff_eq_names or synapses.event_driven or synapses.summed_updaters
    return bool(moves or changed & of_synapses)


def changes(synapses: Synapses) -> bool:
    """Whether they follow postsynaptic spikes: each synapse then has states of its own."""
    return any(pathway.prepost == "post" for pathway in synapses._pathways)


def sums(synapses: Synapses) -> list[Statement]:
    """What is summed over the synapses in each step, as statements."""
    return [
        Statement(name, "+=", str(updater.expression.code))
        for name, updater in synapses.summed_updaters.items()
    ]


def sends(synapses: Synapses, statement: Statement) -> bool:
    """Whether a statement writes to the neurons."""
    return statement.variable in set(synapses.variables) - own_names(synapses)


def reads_states(synapses: Synapses, code: str, statement: Statement) -> bool:
    """Whether what a statement sends depends on more than constants."""
    if statement in sums(synapses):
        return True
    moving = (assigned(code) | _event_driven(synapses) | set(synapses.equations.diff_eq_names)) - {
        entry.variable for entry in split_statements(code) if sends(synapses, entry)
    }
    names = with_parts(get_identifiers(statement.expression), synapses.equations)
    return bool(names & (moving | {"t"}))


def sent_by_states(
    synapses: Synapses, code: str, statement: Statement, namespace: Mapping[str, Any]
) -> SentByStates:
    """The synapses that send what one statement adds, and nothing else.

    Parameters
    ----------
    synapses : Synapses
        The synapses.
    code : str
        That of their pathway.
    statement : Statement
        One that adds to a variable of the target, or a sum over the synapses.
    namespace : mapping
        Where constants of the script are looked up.

    Returns
    -------
    SentByStates
        A rule, and its weight.

    Raises
    ------
    ValueError
        If the synapses have something that no PlasticityRule can have.
    """
    fields = fields_of_synapses(synapses, namespace, {"weight": "w"})
    equations = Equations(fields["equations"])
    subexpressions = {
        eq.varname: eq.expr.code
        for eq in equations.values()
        if eq.type == SUBEXPRESSION and "summed" not in eq.flags
    }
    moving = assigned(code) | set(equations.diff_eq_names) | {"t", "dt"}
    if statement in sums(synapses):  # it follows the presynaptic neurons in each step
        moving |= {f"{name}_pre" for name in fields["requires_pre"] if _moves(synapses, name)}
    expression = expand(statement.expression, subexpressions)
    weights = [
        name
        for name, eq in equations.items()
        if eq.type == PARAMETER and "shared" not in eq.flags and name not in moving
    ]
    names_read = get_identifiers(expression)
    weights = [name for name in weights if name in names_read]
    of_neurons = names_read & set(synapses.variables) - own_names(synapses)
    more = ""
    if len(weights) == 1 and of_neurons <= moving:
        name, amount = weights[0], weights[0]
    else:  # all that is constant becomes the weight
        taken = {*synapses.variables, *equations.names, *fields["parameters"]}
        name = FreeNames(taken)("w")
        constant, rest = to_symbolic(expression).as_independent(
            *map(symbol, sorted(moving)), as_Add=False
        )
        amount, expression = to_string(constant), f"{name}*({to_string(rest)})"
        more = f"\n{name} : {si_unit(_unit(synapses, equations, amount, namespace))}"
    target = f"{statement.variable.removesuffix('_post')}_post"
    sent = Statement(target, statement.operation, expression)
    on_pre = "\n".join(
        str(sent if entry == statement else entry)
        for entry in split_statements(code)
        if entry == statement or (entry.variable in moving and not sends(synapses, entry))
    )
    names_read = get_identifiers(on_pre) | set(subexpressions)
    names_read |= set().union(
        *(
            eq.identifiers
            for eq in equations.values()
            if eq.expr is not None and "summed" not in eq.flags
        )
    )
    if statement in sums(synapses):
        unit = si_unit(equations[statement.variable].dim)
        more += f"\n{statement.variable} = {expression} : {unit} (summed)"
        names_read |= get_identifiers(expression)
    remaining = [
        eq
        for eq in equations.values()
        if (eq.type != PARAMETER or eq.varname in names_read) and "summed" not in eq.flags
    ]
    names = {eq.varname for eq in remaining} - {name}
    fields |= {
        "equations": "\n".join(map(equation_text, remaining)) + more,
        "on_pre": on_pre,
        "weight": name,
        "initial": {key: value for key, value in fields["initial"].items() if key in names},
        "parameters": {k: value for k, value in fields["parameters"].items() if k in names_read},
        **{
            field: {
                k: value
                for k, value in fields[field].items()
                if {k, f"{k}_{side}"} & (names_read - {name})
            }
            for field, side in (("requires", "post"), ("requires_pre", "pre"))
        },
        "orders": {},
        "delays": {},
        "dt": None,
    }
    fields.pop("transmission", None)
    return SentByStates(PlasticityRule(**fields), Statement(target, "+=", amount))


def _moves(synapses: Synapses, name: str) -> bool:
    """Whether a variable of the presynaptic neurons is no constant."""
    equation = owner_of(synapses.source).user_equations.get(name)
    return equation is None or "constant" not in equation.flags


def _unit(
    synapses: Synapses, equations: Equations, expression: str, namespace: Mapping[str, Any]
) -> Any:
    """Dimensions of a constant of the synapses."""
    names = get_identifiers(expression)
    dimensions = {name: equations[name].dim for name in names if name in equations}
    outside = constants_of_script(synapses, names - set(synapses.variables), namespace)
    dimensions |= {name: get_dimensions(value) for name, value in outside.items()}
    dimensions |= {
        name: synapses.variables[name].dim
        for name in names
        if name in synapses.variables and name not in dimensions
    }
    if not names:
        return DIMENSIONLESS
    return Namespace(dimensions, where=synapses.name).dimensions_of(
        expression, field="what is sent"
    )
