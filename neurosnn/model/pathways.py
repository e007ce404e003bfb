"""What the strings of a plasticity rule do at spikes: which learn, and which act on the neurons."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from brian2.equations.equations import DIFFERENTIAL_EQUATION, SUBEXPRESSION, SingleEquation
from brian2.units.fundamentalunits import Dimension
from brian2.utils.stringtools import get_identifiers, word_substitute

from neurosnn.core.messages import message
from neurosnn.core.statements import Statement, assigned, split_statements
from neurosnn.core.units import si_unit

__all__ = [
    "GROUP_NAMES",
    "ORDERS",
    "at_neuron",
    "changed_names",
    "equation_text",
    "locals_of",
    "names_sent",
    "pathways_of",
    "with_parts",
    "without_transmission",
    "written_to_neurons",
]

#: Brian2's order of the pathways of each side.
ORDERS = {"pre": -1, "post": 1}
SIDES = ("pre", "post")
#: What Brian2 defines in every group: to read it no neuron model is needed.
GROUP_NAMES = frozenset({"i", "N", "t", "dt", "t_in_timesteps"})


class Pathway(NamedTuple):
    """The code of one kind of spike.

    Attributes
    ----------
    name : str
        Name of the pathway in Brian2.
    side : str
        "pre" or "post": whose spikes run it.
    code : str
        Statements, one a line, with variables of the neurons as ``name_pre`` and ``name_post``.
    order : float
        Place among the pathways that run in the same step.
    delay : Quantity or ndarray or None
        Delay of all synapses or of each; None: zero.
    """

    name: str
    side: str
    code: str
    order: float
    delay: Any


def pathways_of(rule: Any) -> tuple[Pathway, ...]:
    """The pathways of a rule in the order in which they run in a step without delays."""
    names = {*rule.own_names, *rule.constants}
    pathways = []
    for side, codes in zip(SIDES, (rule.on_pre, rule.on_post), strict=True):
        named = {side: codes} if isinstance(codes, str) else codes
        for name, code in named.items():
            if code.strip():
                order = rule.orders.get(name, ORDERS[side])
                text = _with_suffixes(code, names, rule.requires)
                pathways.append(Pathway(name, side, text, order, rule.delays.get(name)))
    return tuple(sorted(pathways, key=lambda pathway: (pathway.order, pathway.name)))


def _with_suffixes(code: str, rule_names: set[str], required: Iterable[str]) -> str:
    """Brian2 reads a plain name that the synapses do not have as one of the postsynaptic neuron."""
    statements = split_statements(code)
    plain, of_synapses = set(required) - rule_names, set(rule_names)
    for statement in statements:
        name = statement.variable
        if statement.operation == "=" or at_neuron(name):
            of_synapses.add(name)
        elif name not in of_synapses:  # nothing can be added to a variable that does not exist yet
            plain.add(name)
    names = {name: f"{name}_post" for name in plain}
    return "\n".join(
        str(
            Statement(
                names.get(statement.variable, statement.variable),
                statement.operation,
                word_substitute(statement.expression, names),
            )
        )
        for statement in statements
    )


def at_neuron(name: str) -> str:
    """The side of a name such as ``v_post``, or nothing."""
    side = name.rpartition("_")[2]
    return side if side in SIDES and name != side else ""


def written_to_neurons(rule: Any) -> dict[str, Dimension]:
    """Variables of the neurons that the strings write, ``name_pre`` or ``name_post``, and their units.

    The unit of a variable that something is added to is that of what is added; any other has to be
    among the rule's ``requires``.
    """
    dimensions: dict[str, Dimension] = {}
    rule_names = {*rule.own_names, *rule.constants}
    for pathway in rule.pathways:
        local: dict[str, Dimension] = {}
        for variable, operation, expression in split_statements(pathway.code):
            if variable in rule_names or variable in dimensions:
                continue
            side = at_neuron(variable)
            required = rule.requires if side == "post" else rule.requires_pre
            base = variable.removesuffix(f"_{side}")
            if side and base in required:
                dimensions[variable] = rule.names({}).variables[variable].dim
            elif side and operation not in ("+=", "-="):
                raise ValueError(
                    message(
                        f"'{pathway.name}' writes to {variable}, whose unit is not known.",
                        rule.name,
                        "Only what is added to a variable shows its unit.",
                        f"Give requires{'' if side == 'post' else '_pre'}={{'{base}': 1*mV}}, or in "
                        "whatever unit it has.",
                    )
                )
            else:
                names = rule.names({**dimensions, **local})
                unit = names.dimensions_of(expression, field=pathway.name)
                (dimensions if side else local).setdefault(variable, unit)
    for equation in rule.brian_equations.values():
        if "summed" in equation.flags:
            dimensions[equation.varname] = equation.dim
    return dimensions


def locals_of(rule: Any) -> set[str]:
    """Names that the strings of a rule assign to and that belong to nothing."""
    taken = {*rule.own_names, *rule.constants, *rule.written}
    codes = [*(pathway.code for pathway in rule.pathways), rule.step]
    return set().union(*map(assigned, codes)) - taken


def changed_names(rule: Any) -> set[str]:
    """Variables of the synapse that the strings change."""
    codes = [*(pathway.code for pathway in rule.pathways), rule.step]
    written = set().union(*map(assigned, codes))
    return (written & set(rule.own_names)) | set(rule.brian_equations.diff_eq_names)


# -- what is sent to the postsynaptic neuron -------------------------------------------------------


def _sends(rule: Any, pathway: Pathway, statement: Statement) -> bool:
    """Whether a statement is the effect of a presynaptic spike on the postsynaptic neuron."""
    name = statement.variable
    return pathway.side == "pre" and name in rule.written and at_neuron(name) == "post"


def names_sent(
    codes: Iterable[tuple[str, str]],
    equations: Mapping[str, SingleEquation],
    targets: Iterable[str],
) -> set[str]:
    """Names that the effect of presynaptic activity on the postsynaptic neuron depends on.

    Parameters
    ----------
    codes : iterable of (str, str)
        Side, "pre" or "post", and statements of each pathway.
    equations : mapping of str to SingleEquation
        Equations of the synapses; those that are summed act on the neurons, too.
    targets : iterable of str
        Variables of the postsynaptic neuron as they are written, ``v_post``.

    Returns
    -------
    set of str
        Names of variables and parameters, subexpressions and local variables followed.
    """
    targets = set(targets)
    names: set[str] = set()
    for side, code in codes:
        local: dict[str, set[str]] = {}
        for statement in split_statements(code):
            names_read = get_identifiers(statement.expression)
            names_read |= set().union(*(local.get(name, set()) for name in names_read))
            if statement.variable in targets:
                names |= names_read if side == "pre" else set()
            elif statement.variable not in equations:
                local[statement.variable] = local.get(statement.variable, set()) | names_read
    for equation in equations.values():
        if "summed" in equation.flags:
            names |= set(equation.identifiers)
    return with_parts(names, equations)


def with_parts(names: set[str], equations: Mapping[str, SingleEquation]) -> set[str]:
    """The names with those that the subexpressions among them are made of."""
    all_names, new = set(names), set(names)
    while new:
        parts = [equations[name] for name in new if name in equations]
        new = (
            set().union(*(set(eq.identifiers) for eq in parts if eq.type == SUBEXPRESSION))
            - all_names
        )
        all_names |= new
    return all_names


def without_transmission(rule: Any) -> dict[str, Any]:
    """Fields of the rule that learns in the same way and acts on no postsynaptic neuron.

    Returns
    -------
    dict
        Those fields that differ; parameters that only the transmission uses are left out.
    """
    fields: dict[str, Any] = {}
    for side, name in zip(SIDES, ("on_pre", "on_post"), strict=True):
        code_by_name = {p.name: _learning(rule, p) for p in rule.pathways if p.side == side}
        fields[name] = code_by_name.get(side, "") if set(code_by_name) <= {side} else code_by_name
    for field, names in (("orders", {"equations", "step"}), ("delays", set())):
        remaining = names | {pathway.name for pathway in rule.pathways}
        fields[field] = {
            name: value for name, value in getattr(rule, field).items() if name in remaining
        }
    text = " ".join([*(_learning(rule, pathway) for pathway in rule.pathways), rule.step])
    equations = [eq for eq in rule.brian_equations.values() if eq.varname not in rule.constants]
    equations = [eq for eq in equations if "summed" not in eq.flags]
    names = get_identifiers(text) | {rule.weight, rule.third_factor, rule.eligibility}
    for equation in equations:
        if equation.type == DIFFERENTIAL_EQUATION:
            names |= set(equation.identifiers)
    names = with_parts(names, rule.brian_equations)
    equations = [eq for eq in equations if eq.type != SUBEXPRESSION or eq.varname in names]
    fields["equations"] = "\n".join(map(equation_text, equations))
    for field, side in (("requires", "post"), ("requires_pre", "pre")):
        fields[field] = {
            name: value
            for name, value in getattr(rule, field).items()
            if f"{name}_{side}" in names or (side == "post" and name in names)
        }
    fields["parameters"] = {name: value for name, value in rule.parameters.items() if name in names}
    for bound in ("w_min", "w_max"):
        fields[bound] = getattr(rule, bound) if bound in names else None
    fields["ranges"] = {
        name: value for name, value in rule.ranges.items() if name in fields["parameters"]
    }
    declared = {equation.varname for equation in equations}
    fields["initial"] = {name: value for name, value in rule.initial.items() if name in declared}
    return fields | {"transmission": None}


def _learning(rule: Any, pathway: Pathway) -> str:
    """The code of a pathway without what it sends, and without what only that needs."""
    learning: list[Statement] = []
    needed: set[str] = set()
    lasting = {*rule.own_names, *rule.written}
    for statement in reversed(split_statements(pathway.code)):
        if _sends(rule, pathway, statement):
            continue
        if statement.variable in lasting or statement.variable in needed:
            learning.append(statement)
            needed |= get_identifiers(statement.expression)
    return "\n".join(map(str, reversed(learning)))


def equation_text(equation: SingleEquation) -> str:
    """One line of Brian2 equations that parses to the given equation."""
    unit = si_unit(equation.dim) if equation.var_type == "float" else equation.var_type
    flags = f" ({', '.join(equation.flags)})" if equation.flags else ""
    if equation.type == DIFFERENTIAL_EQUATION:
        return f"d{equation.varname}/dt = {equation.expr.code} : {unit}{flags}"
    if equation.expr is None:
        return f"{equation.varname} : {unit}{flags}"
    return f"{equation.varname} = {equation.expr.code} : {unit}{flags}"
