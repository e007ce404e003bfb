"""Code of a reset, a step or a synaptic event as Brian2 splits it into statements."""

from __future__ import annotations

import re
from collections.abc import Container
from keyword import iskeyword
from typing import NamedTuple

from brian2.parsing.statements import parse_statement

__all__ = [
    "Statement",
    "assigned",
    "copying_code",
    "plain_code",
    "split_statements",
    "without_comments",
]


class Statement(NamedTuple):
    """One assignment.

    Attributes
    ----------
    variable : str
        What is written.
    operation : str
        "=", "+=" or another of Brian2's.
    expression : str
        The right side.
    """

    variable: str
    operation: str
    expression: str

    @property
    def value(self) -> str:
        """The new value: ``a += b`` is read as ``a = a + (b)``."""
        if self.operation == "=":
            return self.expression
        return f"{self.variable} {self.operation[:-1]} ({self.expression})"

    def __str__(self) -> str:
        return f"{self.variable} {self.operation} {self.expression}"


def split_statements(code: str) -> list[Statement]:
    """The statements of abstract code: one a line or several between ``;``, without comments.

    Parameters
    ----------
    code : str
        Brian2 code, indented in any way.

    Returns
    -------
    list of Statement
        In their order.

    Raises
    ------
    ValueError
        For a line that is not an assignment.
    """
    # Brian2 splits at each ";", also at one in a comment
    lines = re.split(r"[;\n]", code)
    return [Statement(*parse_statement(line.strip())[:3]) for line in lines if line.strip()]


def assigned(code: str) -> set[str]:
    """The variables that code writes."""
    return {statement.variable for statement in split_statements(code)}


def plain_code(code: str) -> str:
    """The same statements, one a line, without indentation and comments."""
    return "\n".join(map(str, split_statements(code)))


def copying_code(code: str, truths: Container[str] = ()) -> str:
    """As `plain_code`; ``a = b`` stays a copy for Brian2's numpy target, too, as it is in C++.

    There it binds both names to one array, and what changes one of them later changes the other. Two minus
    signs make another array of the same bits. `truths` are names of truth values: they and True have no sign.
    """
    parts = split_statements(code)
    for k, part in enumerate(parts):
        name = part.expression.strip("() ")
        names = name.isidentifier() and not iskeyword(name) and name not in truths
        copies = part.operation == "=" and names
        if copies and {other.variable for other in parts[k + 1 :]} & {name, part.variable}:
            parts[k] = part._replace(expression=f"-(-{name})")
    return "\n".join(map(str, parts))


def without_comments(expression: str) -> str:
    """An expression without what follows ``#``."""
    return "\n".join(line.partition("#")[0].rstrip() for line in expression.split("\n")).strip()
