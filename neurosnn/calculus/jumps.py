r"""Where a function of the state jumps: conditions and steps whose sides differ.

An expression with ``int(v > v_h)``, ``sign(v)`` or ``floor(v)`` is made of smooth pieces. A surface s = 0
between two of them does no harm if both have the same value there, as for ``int(v > v_h)*(v - v_h)``. To find
out, all that is written with the surface is replaced by what holds on either side of it, the surface is put
in, and the difference must vanish. What cannot be shown to vanish counts as a jump.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import sympy
from sympy.core.relational import Relational
from sympy.logic.boolalg import Boolean

from neurosnn.core.symbolic import ceil, clip, floor, int_, sign, timestep, to_string

__all__ = ["first_jump", "settled"]


class _Step(NamedTuple):
    """What jumps where a function of the state is zero, or a whole number, and its values above and below."""

    where: sympy.Expr
    whole: bool
    node: sympy.Basic
    above: sympy.Basic
    below: sympy.Basic


def first_jump(expression: sympy.Expr, crossed: Callable[[set[str]], bool]) -> str:
    """The condition or step by which an expression jumps.

    Parameters
    ----------
    expression : sympy.Expr
        A function of the state.
    crossed : callable
        Whether a trajectory may cross a surface that is a function of the named variables.

    Returns
    -------
    str
        As Brian2 writes it; empty if the expression is continuous.
    """
    surfaces: dict[tuple[sympy.Expr, bool], list[_Step]] = {}
    for step in _steps(expression):
        if crossed({str(s) for s in step.where.free_symbols}):
            surfaces.setdefault((step.where, step.whole), []).append(step)
    for (where, whole), steps in surfaces.items():
        above = expression.xreplace({step.node: step.above for step in steps})
        below = expression.xreplace({step.node: step.below for step in steps})
        difference = sympy.expand(settled(above) - settled(below))
        if difference != 0 and (whole or not _vanishes(difference, where)):
            return to_string(steps[0].node)
    return ""


def settled(expression: sympy.Expr) -> sympy.Expr:
    """Conditions that are known to hold, or not to, as numbers.

    Parameters
    ----------
    expression : sympy.Expr
        An expression with ``int(True)`` or ``int(False)``.

    Returns
    -------
    sympy.Expr
        With 1 and 0.
    """
    return expression.replace(
        lambda node: isinstance(node, int_) and node.args[0] in (sympy.true, sympy.false),
        lambda node: sympy.Integer(bool(node.args[0])),
    )


def _steps(expression: sympy.Expr) -> Iterator[_Step]:
    for node in sorted(expression.atoms(Relational, sympy.Function), key=str):
        x = node.args[0]
        if isinstance(node, sympy.Gt | sympy.Ge):
            yield _oriented(node.lhs - node.rhs, node, sympy.true, sympy.false)
        elif isinstance(node, sympy.Lt | sympy.Le):
            yield _oriented(node.rhs - node.lhs, node, sympy.true, sympy.false)
        elif isinstance(node, sign):
            yield _oriented(x, node, sympy.S.One, sympy.S.NegativeOne)
        elif isinstance(node, floor):
            yield _Step(x, True, node, x, x - 1)
        elif isinstance(node, ceil):
            yield _Step(x, True, node, x + 1, x)
        elif isinstance(node, timestep):
            yield _Step(x / node.args[1], True, node, sympy.S.One, sympy.S.Zero)
        elif isinstance(node, int_) and (x.is_Symbol or not isinstance(x, Boolean)):
            yield _Step(x, True, node, sympy.S.One, sympy.S.Zero)  # a number, cut off


def _oriented(
    where: sympy.Expr, node: sympy.Basic, above: sympy.Basic, below: sympy.Basic
) -> _Step:
    """The same surface for v > a and for a > v."""
    where = sympy.expand(where)
    if where.could_extract_minus_sign():
        return _Step(-where, False, node, below, above)
    return _Step(where, False, node, above, below)


def _vanishes(difference: sympy.Expr, where: sympy.Expr) -> bool:
    """Whether a difference is zero on a surface."""
    for name in sorted(where.free_symbols, key=str):
        slope = sympy.diff(where, name)
        if slope == 0 or name in slope.free_symbols:
            continue
        root = sympy.expand(-where.xreplace({name: sympy.S.Zero}) / slope)
        rest = sympy.expand(_clipped(difference.xreplace({name: root})))
        if rest == 0 or rest.equals(0):
            return True
    return False


def _clipped(expression: sympy.Expr) -> sympy.Expr:
    """Without the clips of a value that is one of their limits."""

    def at_limit(node: sympy.Basic) -> sympy.Basic:
        x, low, high = node.args
        return next((limit for limit in (low, high) if sympy.expand(x - limit) == 0), node)

    return expression.replace(lambda node: isinstance(node, clip), at_limit)
