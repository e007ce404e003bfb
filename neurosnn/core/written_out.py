"""Derivatives in functions and with units that stock Brian2 knows."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable

from brian2.units.fundamentalunits import DIMENSIONLESS, Dimension
from brian2.utils.stringtools import word_substitute

from neurosnn.core.symbolic import MARK, exprel_slope, nonzero
from neurosnn.core.units import unit_text

__all__ = ["written_out"]

#: Below this argument the slope of exprel is its power series, above it is the closed form exact.
SERIES_BELOW = 0.1


def written_out(text: str, dimensions_of: Callable[[str], Dimension]) -> str:
    """What `to_string` makes of a derivative, as Brian2 reads it.

    Parameters
    ----------
    text : str
        An expression; it may contain functions of the program's own, and zeros without the unit of what
        they are compared with, which sympy drops.
    dimensions_of : callable
        Dimensions of an expression in which only names of the model stand.

    Returns
    -------
    str
        The same in Brian2's functions, with units.
    """
    writer = _Writer(dimensions_of)
    tree = writer.visit(ast.parse(text, mode="eval"))
    return ast.unparse(tree) if writer.changed else text


class _Writer(ast.NodeTransformer):
    def __init__(self, dimensions_of: Callable[[str], Dimension]):
        self.dimensions_of = dimensions_of
        self.changed = False

    def dimensions(self, node: ast.expr) -> Dimension | None:
        """Dimensions of a part; None for a plain zero, which fits all."""
        if isinstance(node, ast.Constant) and node.value == 0:
            return None
        marks = {n.id: "1" for n in ast.walk(node) if isinstance(n, ast.Name) and MARK in n.id}
        return self.dimensions_of(word_substitute(ast.unparse(node), marks))

    def with_units(self, sides: list[ast.expr]) -> list[ast.expr]:
        """Zeros with the unit of what they are compared with."""
        found = [self.dimensions(side) for side in sides]
        wanted = next((dim for dim in found if dim not in (None, DIMENSIONLESS)), None)
        if wanted is None or None not in found:
            return sides
        self.changed = True
        zero = _parsed(f"0*{unit_text(wanted)}")
        return [zero if dim is None else side for dim, side in zip(found, sides, strict=True)]

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        self.generic_visit(node)
        node.left, *node.comparators = self.with_units([node.left, *node.comparators])
        return self.readable(node)

    def readable(self, node: ast.Compare) -> ast.expr:
        """Without sums that hold a condition on a side: Brian2's sympy takes them for complex."""
        unequal = isinstance(node.ops[0], ast.Gt | ast.Lt | ast.GtE | ast.LtE)
        if not unequal or not any(isinstance(n, ast.Compare) for n in list(ast.walk(node))[1:]):
            return node
        self.changed = True
        left, right = ast.unparse(node.left), ast.unparse(node.comparators[0])
        compared = _parsed(f"sign(({left}) - ({right})) > 0")
        compared.ops = node.ops
        return compared

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        name = getattr(node.func, "id", "")
        if name == "clip":
            node.args = self.with_units(node.args)
        if name not in (nonzero.__name__, exprel_slope.__name__):
            return node
        self.changed = True
        x = f"({ast.unparse(node.args[0])})"
        if name == exprel_slope.__name__:
            near = self.readable(_parsed(f"abs({x}) < {SERIES_BELOW}"))
            return _slope_of_exprel(x, f"int({ast.unparse(near)})")
        dim = self.dimensions(node.args[0])
        unit = "" if dim in (None, DIMENSIONLESS) else f"*{unit_text(dim)}"
        return _parsed(f"{x} + int({x} == 0{unit}){unit}")


def _slope_of_exprel(x: str, near: str) -> ast.expr:
    small, series = f"clip({x}, -{SERIES_BELOW}, {SERIES_BELOW})", "0"
    for n in reversed(range(9)):
        series = f"1/{math.factorial(n) * (n + 2)}.0 + {small}*({series})"
    far = f"(({x} - 1)*expm1({x}) + {x})/({x} + {near})**2"
    return _parsed(f"{near}*({series}) + (1 - {near})*{far}")


def _parsed(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body
