"""Checks of texts that may come from a stranger's file, before anything reads them.

Three kinds: names, which become names in generated code and of files; plain text, which people read;
and the strings of Brian2, which become code. Whatever else a string holds is refused here.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from brian2.equations.equations import EQUATIONS, ParseException
from brian2.parsing.statements import parse_statement

from neurosnn.core.messages import is_seen, message, shortened

__all__ = [
    "check_code",
    "check_equations_text",
    "check_expression_text",
    "check_identifier",
    "check_plain_text",
    "check_statements_text",
    "check_texts",
]

#: Longest texts, in characters.
NAME, LINES, CODE = 100, 5_000, 50_000
#: Largest exponent, and levels of an expression: beyond them Brian2 and sympy would never come to an end.
EXPONENT, DEPTH = 999, 150
IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

OPERATORS = (
    *(ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow),
    *(ast.UAdd, ast.USub, ast.Not, ast.And, ast.Or),
    *(ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Eq, ast.NotEq),
)
NODES = (ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.Call, ast.Name, ast.Constant)


# -- names and plain text ---------------------------------------------------------------------


def _check_type(text: Any, field: str, where: str) -> None:
    if not isinstance(text, str):
        raise TypeError(
            message(
                f"{field} must be text, got {type(text).__name__}.",
                where,
                "It is read as a string.",
                "Write its formula as a string, for example "
                "'clip(1 - abs(v - v_th)/v_th, 0, 1)/v_th'."
                if callable(text)
                else f"Put it in quotes, or pass its strings as one: str({field}).",
            )
        )


def _check_length(text: str, longest: int, field: str, where: str) -> None:
    if len(text) > longest:
        raise ValueError(
            message(
                f"{field} has {len(text)} characters.",
                where,
                f"At most {longest} are read.",
                "Shorten it.",
            )
        )


def check_plain_text(
    text: Any, *, field: str, where: str, lines: bool = False, longest: int | None = None
) -> None:
    """Refuse a text for people that holds characters that are not seen.

    Parameters
    ----------
    text : str
        A name, a reference, the source of a number.
    field, where : str
        What it is and what it belongs to, for the message.
    lines : bool
        Whether it may have several lines.
    longest : int, optional
        Largest number of characters.

    Raises
    ------
    ValueError
        For control characters, characters that turn the direction of reading, separators of lines,
        and texts that are too long.
    TypeError
        If it is no text.
    """
    _check_type(text, field, where)
    _check_length(text, longest or (LINES if lines else NAME), field, where)
    strange = [c for c in text if not (is_seen(c) or (lines and c in "\n\t"))]
    if strange:
        character = (
            "a line break" if strange[0] in "\n\r" else f"the character U+{ord(strange[0]):04X}"
        )
        raise ValueError(
            message(
                f"{field} holds {character}.",
                where,
                "It is printed, plotted and written to files, where it could pass for something else.",
                "Use letters, digits, punctuation and spaces"
                + (" on as many lines as needed." if lines else " on one line."),
            )
        )


def check_identifier(name: Any, *, field: str, where: str, longest: int = NAME) -> None:
    """Refuse a name that could not be the name of a Brian2 object, in C++ or of a file.

    Parameters
    ----------
    name : str
        The name.
    field, where : str
        What it is and what it belongs to, for the message.
    longest : int, optional
        Largest number of characters.

    Raises
    ------
    ValueError
        If it is not made of ASCII letters, digits and underscores, or too long.
    """
    if not isinstance(name, str) or not IDENTIFIER.fullmatch(name) or len(name) > longest:
        raise ValueError(
            message(
                f"{field} must be an identifier, got {shortened(repr(name), 80)}.",
                where,
                "It becomes the name of a Brian2 group, of C++ variables and of files.",
                f"Use up to {longest} ASCII letters, digits and underscores, for example name='layer_4'.",
            )
        )


def check_texts(
    owner: Any, *, code: Iterable[str] = (), where: str, mappings: Iterable[str] = ()
) -> None:
    """The texts that models and rules have alike: name, reference, sources, and Brian2 strings.

    Parameters
    ----------
    owner : NeuronModel or PlasticityRule
        What has them.
    code : iterable of str
        Fields that are Brian2 strings.
    where : str
        The kind of thing, for messages about its name.
    mappings : iterable of str
        Fields whose keys are names of variables.
    """
    check_plain_text(owner.name, field="name", where=where)
    where = owner.name
    check_plain_text(owner.method, field="method", where=where)
    check_plain_text(owner.reference, field="reference", where=where, lines=True)
    for key, text in owner.sources.items():
        check_plain_text(key, field="a key of sources", where=where)
        check_plain_text(text, field=f"the source of {key}", where=where, lines=True)
    for field in code:
        text = getattr(owner, field)
        if isinstance(text, str) and "\r\n" in text:  # lines as Windows writes them
            object.__setattr__(owner, field, text.replace("\r\n", "\n"))
        check_code(getattr(owner, field), field=field, where=where)
    for field in mappings:
        for key in getattr(owner, field):
            check_identifier(key, field=f"a name in {field}", where=where)


# -- Brian2 strings ---------------------------------------------------------------------------


def check_code(text: Any, *, field: str, where: str) -> None:
    """Refuse a Brian2 string with characters that its grammar has no use for.

    Only comments may hold other characters than ASCII: Python reads some of those as other names.
    """
    _check_type(text, field, where)
    check_plain_text(text, field=field, where=where, lines=True, longest=CODE)
    for line in text.split("\n"):
        if line.rstrip().endswith(("\\", "??/")):
            raise ValueError(
                message(
                    f"a line of {field} ends in a backslash.",
                    where,
                    "Brian2 writes comments into C++, where it would hide the next line.",
                    "Leave it out; lines of equations go on without it.",
                )
            )
        outside = line.partition("#")[0]
        if not outside.isascii():
            strange = next(c for c in outside if not c.isascii())
            raise ValueError(
                message(
                    f"{field} holds the character '{strange}' (U+{ord(strange):04X}).",
                    where,
                    "Names and operators are ASCII; only comments may hold other characters.",
                    "Write for example mu for a Greek letter.",
                )
            )


def check_equations_text(text: Any, *, where: str) -> None:
    """Refuse equations that hold more than names, numbers, operators and function calls.

    Brian2 evaluates units as Python, so this comes before it reads them.
    """
    check_code(text, field="the equations", where=where)
    for field, part in _parts(text):
        check_expression_text(part, field=field, where=where)


@lru_cache(maxsize=256)
def _parts(text: str) -> tuple[tuple[str, str], ...]:
    """Units and right sides of equations, each with what it is; nothing of what Brian2 cannot read."""
    try:
        parsed = EQUATIONS.parse_string(text, parse_all=True)
    except (ParseException, RecursionError):
        return ()  # Brian2 says where
    parts = []
    for equation in parsed:
        content = dict(equation.items())
        name = content["identifier"]
        parts.append((f"the unit of {name}", content["unit"].strip()))
        if "expression" in content:
            parts.append((f"equation of {name}", content["expression"]))
    return tuple(parts)


def check_statements_text(text: Any, *, field: str, where: str) -> None:
    """Refuse statements that are more than assignments of expressions to names."""
    check_code(text, field=field, where=where)
    for line in re.split(r"[;\n]", text):
        if not line.strip() or line.strip().startswith("#"):
            continue
        try:
            _, _, expression, _ = parse_statement(line.strip())
        except ValueError:
            return  # Brian2 says where
        check_expression_text(expression, field=field, where=where)


def check_expression_text(text: Any, *, field: str, where: str) -> None:
    """Refuse an expression that is more than names, numbers, operators and function calls.

    Parameters
    ----------
    text : str
        A Brian2 expression.
    field, where : str
        What it is and what it belongs to, for the message.

    Raises
    ------
    ValueError
        For text in quotes, attributes, indices and other Python, and powers that cannot be computed.
    TypeError
        If it is no text.

    Notes
    -----
    Nothing is run. Brian2 passes what it does not know to sympy, which evaluates text in quotes.
    """
    check_code(text, field=field, where=where)
    try:
        tree = ast.parse(text.partition("#")[0].strip(), mode="eval").body
    except SyntaxError:
        return  # Brian2 says where
    except (ValueError, MemoryError, RecursionError) as error:
        raise _refuse_code("a part that cannot be read", text, field, where) from error
    level = [tree]
    for _ in range(DEPTH):
        for node in level:
            strange = _strange(node)
            if strange:
                raise _refuse_code(strange, text, field, where)
        level = [child for node in level for child in _children(node)]
    if level:
        raise _refuse_code(f"more than {DEPTH} levels", "", field, where)


def _children(node: ast.AST) -> list[ast.AST]:
    children = [child for child in ast.iter_child_nodes(node) if not isinstance(child, ast.Load)]
    return [child for child in children if not isinstance(child, OPERATORS)]


def _strange(node: ast.AST) -> str:
    """What is not an expression of Brian2 in a node, or nothing."""
    if not isinstance(node, NODES):
        return f"Python's {type(node).__name__}"
    for child in ast.iter_child_nodes(node):
        operator = isinstance(child, ast.operator | ast.unaryop | ast.boolop | ast.cmpop)
        if operator and not isinstance(child, OPERATORS):
            return f"the operator {type(child).__name__}"
    if isinstance(node, ast.Call) and (node.keywords or not isinstance(node.func, ast.Name)):
        return "a call that is not name(value, ...)"
    if isinstance(node, ast.Constant):
        if type(node.value) not in (bool, int, float):
            return f"a {type(node.value).__name__}"
        if not math.isfinite(node.value):
            return "a number that is not finite"
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
        return _strange_power(node)
    return ""


def _strange_power(node: ast.BinOp) -> str:
    """9**9**9**9 would never come to an end."""
    numbers = [n for n in ast.walk(node.right) if isinstance(n, ast.Constant)]
    if any(abs(n.value) > EXPONENT for n in numbers if type(n.value) in (int, float)):
        return f"an exponent above {EXPONENT}"
    towers = [
        n for n in ast.walk(node.right) if isinstance(n, ast.BinOp) and isinstance(n.op, ast.Pow)
    ]
    if any(all(not isinstance(n, ast.Name) for n in ast.walk(tower)) for tower in towers):
        return "a power of a power of numbers"
    return ""


def _refuse_code(what: str, text: str, field: str, where: str) -> ValueError:
    shown = f": {shortened(repr(text.strip()), 120)}" if text.strip() else ""
    return ValueError(
        message(
            f"{field} holds {what}{shown}.",
            where,
            "A Brian2 string consists of names, numbers, operators and function calls; nothing else is "
            "read, so that a file cannot run a program.",
            "Rewrite it with these.",
        )
    )
