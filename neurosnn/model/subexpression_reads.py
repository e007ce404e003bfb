"""Subexpressions that Brian2 computes once although statements change what they read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brian2.utils.stringtools import get_identifiers

from neurosnn.core.messages import message, shortened
from neurosnn.core.statements import split_statements

if TYPE_CHECKING:
    from neurosnn.model.neuron import NeuronModel

__all__ = ["check_subexpression_reads"]


def check_subexpression_reads(model: NeuronModel, field: str) -> None:
    """Refuse statements that read a subexpression after a change that Brian2 does not see.

    Where a statement reads a subexpression for the first time, Brian2 (``make_statements``) computes it
    again for later ones only if a statement after it writes a variable in the subexpression's own text:
    not for what this statement writes itself, nor for what stands in another subexpression in the text.
    """
    equations = model.brian_equations
    texts = {
        name: equations[name].expr.code
        for name in equations.subexpr_names
        if "constant over dt" not in equations[name].flags
    }
    statements = split_statements(getattr(model, field))
    writes = [statement.variable for statement in statements]
    reads = [_all_names(statement.expression, texts) for statement in statements]
    for name, text in texts.items():
        at = [k for k, names in enumerate(reads) if name in names]
        if not at or get_identifiers(text) & set(writes[at[0] + 1 :]):
            continue
        inside = _all_names(text, texts)
        for later in at[1:]:
            changed = next((k for k in range(at[0], later) if writes[k] in inside), None)
            if changed is not None:
                raise ValueError(
                    message(
                        f"{field} changes {writes[changed]} in '{_short(statements[changed])}', and "
                        f"'{_short(statements[later])}' reads {name} = {shortened(text, 60)} after it.",
                        model.name,
                        f"Brian2 computes {name} once, before the change, so the second statement "
                        "would see the old value.",
                        f"Write '{name}_now = {shortened(text, 60)}' as a statement where the value "
                        f"is meant, and read {name}_now.",
                    )
                )


def _all_names(text: str, subexpressions: dict[str, str]) -> set[str]:
    """Names in an expression and in the subexpressions that it reads."""
    all_names: set[str] = set()
    new = get_identifiers(text)
    while new:
        all_names |= new
        inner = (get_identifiers(subexpressions[name]) for name in new if name in subexpressions)
        new = set().union(*inner) - all_names
    return all_names


def _short(statement: object) -> str:
    return shortened(str(statement), 60)
