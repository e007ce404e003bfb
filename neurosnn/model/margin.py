"""The margin of a threshold: what a pseudo-derivative is taken by, and what else must hold for a spike."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from brian2.utils.stringtools import get_identifiers

from neurosnn.core.messages import message

__all__ = ["margin_and_gate", "margin_of"]


def margin_of(threshold: str, where: str) -> str:
    """The margin g of a threshold ``left > right``: left - right."""
    tree = ast.parse(threshold.strip(), mode="eval").body
    if isinstance(tree, ast.Compare) and len(tree.ops) == 1:
        left, right = ast.unparse(tree.left), ast.unparse(tree.comparators[0])
        if isinstance(tree.ops[0], ast.Gt | ast.GtE):
            return f"({left}) - ({right})"
        if isinstance(tree.ops[0], ast.Lt | ast.LtE):
            return f"({right}) - ({left})"
    raise ValueError(
        message(
            f"the threshold {threshold!r} is not one comparison.",
            where,
            "The pseudo-derivative is taken with respect to its margin, left side minus right side.",
            "Write it as 'v > v_th'; a refractory period belongs in refractory=.",
        )
    )


def margin_and_gate(
    threshold: str, variables: Iterable[str], where: str, always: tuple[str, ...] = ()
) -> tuple[str, str]:
    """The margin of the one comparison that involves the given variables, and the other conditions.

    Parameters
    ----------
    threshold : str
        Conditions that are joined by ``and``.
    variables : iterable of str
        Variables whose comparison has the margin.
    where : str
        The model, for messages.
    always : tuple of str
        Conditions that are no part of the gate.

    Returns
    -------
    margin : str
        Left side minus right side of the comparison.
    gate : str
        What else must hold for a spike; empty if nothing else.

    Raises
    ------
    ValueError
        If no or more than one of the conditions involves the variables.
    """
    conditions = _joined_by_and(ast.parse(threshold.strip(), mode="eval").body)
    conditions = [text for text in conditions if text not in always]
    if len(conditions) == 1:
        return margin_of(conditions[0], where), ""
    wanted = set(variables)
    concerned = [text for text in conditions if get_identifiers(text) & wanted]
    if len(concerned) != 1:
        raise ValueError(
            message(
                f"{len(concerned)} conditions of the threshold {threshold!r} involve "
                f"{', '.join(sorted(wanted))}.",
                where,
                "The pseudo-derivative is taken with respect to the margin of one comparison.",
                "Write a surrogate of the variables that stand in one of them only.",
            )
        )
    others = [text for text in conditions if text != concerned[0]]
    return margin_of(concerned[0], where), " and ".join(f"({text})" for text in others)


def _joined_by_and(tree: ast.expr) -> list[str]:
    """The conditions that must all hold."""
    if isinstance(tree, ast.BoolOp) and isinstance(tree.op, ast.And):
        return [text for value in tree.values for text in _joined_by_and(value)]
    return [ast.unparse(tree)]
