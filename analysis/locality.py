"""What each learning rule needs to know at a synapse: the table of locality."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from brian2.utils.stringtools import get_identifiers

from neurosnn.core.messages import message
from neurosnn.core.statements import assigned, split_statements
from neurosnn.model import PlasticityRule
from neurosnn.model.pathways import GROUP_NAMES
from neurosnn.rules.base import as_rule

__all__ = ["COLUMNS", "Locality", "locality", "locality_table", "register_locality"]


class Locality(NamedTuple):
    """What the update of one synapse depends on.

    Attributes
    ----------
    pre_trace : bool
        A memory of the synapse's own presynaptic spikes.
    post_state : bool
        The state of the postsynaptic neuron beyond its spikes, such as its voltage.
    third_factor : bool
        One signal that is the same for all synapses, such as a reward.
    neuron_error : bool
        A signal of its own for each postsynaptic neuron: where does it come from?
    weight_transport : bool
        That signal uses the very weights of other synapses (backwards).
    second_phase : bool
        The network runs twice, free and nudged.
    backward_in_time : bool
        Something is computed from the end of the trial back to its beginning.
    other_synapses : bool
        Signals travel backwards through the synapses between hidden neurons.
    """

    pre_trace: bool
    post_state: bool
    third_factor: bool
    neuron_error: bool
    weight_transport: bool
    second_phase: bool
    backward_in_time: bool
    other_synapses: bool

    @property
    def n_non_local(self) -> int:
        """How many of its needs are neither at the synapse nor in its two neurons."""
        return sum(self[2:])


#: Headings of the columns, in the order of :class:`Locality`.
COLUMNS = {
    "pre_trace": "presynaptic trace",
    "post_state": "postsynaptic state",
    "third_factor": "global third factor",
    "neuron_error": "error of the neuron",
    "weight_transport": "weight transport",
    "second_phase": "second phase",
    "backward_in_time": "backward in time",
    "other_synapses": "through other synapses",
}

#: What the strings of a PlasticityRule do not say, by its name. One synapse of equilibrium propagation
#: acts in both directions with one weight: two one-way synapses would have to know each other's.
_BEYOND_STRINGS = {"EqSpike": frozenset({"second_phase", "weight_transport"})}
#: Registered for rules that do not say it themselves, by the name of the rule.
_NEEDS: dict[str, frozenset[str]] = {}


def register_locality(name: str, needs: set[str]) -> None:
    """Register what your rule needs, if it has no property ``needs``.

    Parameters
    ----------
    name : str
        The attribute ``name`` of the rule.
    needs : set of str
        Names of fields of :class:`Locality` that are true.

    Raises
    ------
    ValueError
        For a name that is no such field.

    Examples
    --------
    >>> from neurosnn import analysis
    >>> analysis.register_locality("my_rule", {"pre_trace", "third_factor"})
    """
    unknown = set(needs) - set(Locality._fields)
    if unknown:
        raise ValueError(
            message(
                f"'{sorted(unknown)[0]}' is not a column of the table of locality.",
                "register_locality",
                "",
                f"Choose from {', '.join(Locality._fields)}.",
            )
        )
    _NEEDS[name] = frozenset(needs)


def locality(rule: Any) -> Locality:
    """What the update of a synapse by a rule depends on.

    For a PlasticityRule it is read from its strings; a rule of a trainer says it (``rule.needs``).

    Parameters
    ----------
    rule : PlasticityRule, EProp, EventProp, BPTT or another rule
        The rule.

    Returns
    -------
    Locality
        One flag a need.

    Raises
    ------
    TypeError
        If nothing is known about the rule.

    Notes
    -----
    EventProp and e-prop with symmetric feedback have the same columns only up to ``neuron_error``:
    e-prop needs weight transport from the readout alone, and nothing backward in time.

    Examples
    --------
    >>> from neurosnn import EProp, analysis, equations
    >>> analysis.locality(EProp(feedback="random")).weight_transport
    False
    >>> analysis.locality(equations.RewardSTDP()).third_factor
    True
    """
    if isinstance(rule, PlasticityRule):
        rule = rule.silent if rule.weight in rule.changed else rule
        flags = {
            "pre_trace": _has_pre_trace(rule) or bool(set(rule.requires_pre) - GROUP_NAMES),
            "post_state": bool(set(rule.requires) - GROUP_NAMES),
            "third_factor": bool(rule.third_factor),
        }
        beyond = dict.fromkeys(_BEYOND_STRINGS.get(rule.name, ()), True)
        return Locality(**dict.fromkeys(Locality._fields, False) | flags | beyond)
    needs = _NEEDS.get(getattr(rule, "name", ""))
    if needs is None:
        needs = as_rule(rule, where="locality").needs
    return Locality(**{name: name in needs for name in Locality._fields})


def locality_table(rules: Mapping[str, Any], *, style: str = "text") -> str:
    """The table of locality of some rules.

    Parameters
    ----------
    rules : mapping of str to rule
        Rules by the name that they have in the table.
    style : {"text", "markdown"}, optional
        Aligned columns, or a Markdown table.

    Returns
    -------
    str
        One row a rule, one column a need.

    Raises
    ------
    ValueError
        For another style.

    Examples
    --------
    >>> from neurosnn import EProp, analysis
    >>> print(analysis.locality_table({"e-prop": EProp()}, style="markdown").splitlines()[2])
    | e-prop | yes | yes |  | yes | yes |  |  |  |
    """
    if style not in ("text", "markdown"):
        raise ValueError(
            message(f"style={style!r} is not known.", "locality_table", "", "Use 'text'.")
        )
    rows = [["rule", *COLUMNS.values()]]
    for name, rule in rules.items():
        rows.append([name, *("yes" if flag else "" for flag in locality(rule))])
    if style == "markdown":
        lines = ["| " + " | ".join(row) + " |" for row in rows]
        return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:]])
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _has_pre_trace(rule: PlasticityRule) -> bool:
    """Whether a variable that presynaptic spikes change is read when a postsynaptic one arrives."""
    codes = {side: [p.code for p in rule.pathways if p.side == side] for side in ("pre", "post")}
    changed = set().union(*map(assigned, codes["pre"])) - {rule.weight}
    equations = [e.expr.code for e in rule.brian_equations.values() if e.expr is not None]
    statements = [s.value for code in (*codes["post"], rule.step) for s in split_statements(code)]
    return bool(changed & get_identifiers(" ".join([*equations, *statements])))
