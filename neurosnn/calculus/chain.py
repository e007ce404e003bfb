r"""Statements executed on expressions, and total derivatives through their intermediate values.

An integration method such as rk4 computes a step in stages, each a function of the one before it. Written
out as one expression of the state, the step and its derivatives grow with a power of the number of
variables. Here an intermediate value k that is long keeps its name, and the chain rule goes through it,

.. math::  \frac{dE}{dx} = \frac{\partial E}{\partial x}
   + \sum_k \frac{\partial E}{\partial k}\,\frac{dk}{dx}

with the derivatives of k as values of their own (forward mode). What is short is written out: the
derivatives of a linear step stay constants.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import sympy
from sympy.core.relational import Relational
from sympy.logic.boolalg import BooleanFunction

from neurosnn.core.symbolic import (
    MARK,
    differentiate,
    statements,
    substitute,
    symbol,
    to_string,
    to_symbolic,
)

__all__ = ["ONLY_FOR_ITSELF", "Chain", "Statements", "nonzero_strings", "simplify"]

#: Operations above which an intermediate value, one that is linear in the state, or a derivative of one is a
#: value of its own.
LONG_VALUE, LONG_LINEAR, LONG_SLOPE = 12, 100, 12
#: Operations above which an expression is not multiplied out.
LONG_SUM = 60
#: How the names of intermediate values and of the derivatives by them begin.
VALUE, BY_VALUE = f"{MARK}value_", f"{MARK}by_value_"
#: How the names of what Brian2 computes for a variable begin, apart from the stages of a method.
ONLY_FOR_ITSELF = ("_", "_BA_")

Statements = tuple[tuple[str, str], ...]


class Chain:
    """The values that statements leave, as expressions of the values before them.

    Parameters
    ----------
    values : dict of str to sympy.Expr
        Every variable before the first statement.
    conditional : iterable of str
        Variables that keep their value while refractory.
    """

    def __init__(self, values: dict[str, sympy.Expr], conditional: Iterable[str] = ()):
        self.values = dict(values)
        self.conditional = set(conditional)
        self._only = {prefix + name for name in self.conditional for prefix in ONLY_FOR_ITSELF}
        self._free = to_symbolic("int(not_refractory)")
        self._named: dict[str, sympy.Expr] = {}
        self._defined: set[str] = set()  # intermediate values, but no derivatives of them
        self._slopes: dict[tuple[str, str], sympy.Expr] = {}
        self._partials: dict[tuple[sympy.Expr, str], sympy.Expr] = {}

    def run(self, code: str) -> None:
        """Execute statements."""
        lines = statements(code)
        for at, (variable, text) in enumerate(lines):
            new = substitute(to_symbolic(text), self.values)
            if variable in self.conditional and new != self.values[variable]:
                # Brian2 writes the new value only if not refractory, when the flag in it is 1
                new = self._where_free(new)
                new = self._free * new + (1 - self._free) * self.values[variable]
            elif variable in self._only:  # with the flag 0 the unused value may be 0/0
                new = self._where_free(new)
            if self._is_long(new) and _calculates_with(variable, lines[at + 1 :]):
                new = self._keep(f"{VALUE}{variable.strip('_')}", new)
                self._defined.add(str(new))
            self.values[variable] = new

    def derivative(self, expression: sympy.Expr, name: str) -> sympy.Expr:
        """Total derivative of an expression by a variable, with its value before the statements."""
        slope = differentiate(expression, name)
        for inner in sorted({str(s) for s in expression.free_symbols} & self._defined):
            through = self._slope_of(inner, name)
            if through != 0:
                slope += self._partial(expression, inner) * through
        return slope

    def _slope_of(self, inner: str, name: str) -> sympy.Expr:
        """Total derivative of a named value."""
        if (inner, name) not in self._slopes:
            slope = self.derivative(self._named[inner], name)
            self._slopes[inner, name] = self._short(f"{inner}_{name}", slope)
        return self._slopes[inner, name]

    def _partial(self, expression: sympy.Expr, inner: str) -> sympy.Expr:
        """Partial derivative by a named value, which all total derivatives share."""
        if (expression, inner) not in self._partials:
            slope = differentiate(expression, inner)
            self._partials[expression, inner] = self._short(
                BY_VALUE + inner.removeprefix(VALUE), slope
            )
        return self._partials[expression, inner]

    def statements_for(self, *groups: Mapping[Any, str]) -> Statements:
        """The named values that Brian2 expressions need, in the order of their computation."""
        needed = {
            str(s)
            for group in groups
            for text in group.values()
            for s in to_symbolic(text).free_symbols
        }
        for name in reversed(self._named):
            if name in needed:
                needed |= {str(s) for s in self._named[name].free_symbols}
        return tuple(
            (name, to_string(value)) for name, value in self._named.items() if name in needed
        )

    def _is_long(self, value: sympy.Expr) -> bool:
        """Whether a value keeps its name. What is linear in the state has constant derivatives."""
        if isinstance(value, Relational | BooleanFunction):  # no derivative goes through it
            return False
        length = value.count_ops()
        if length <= LONG_VALUE or length > LONG_LINEAR:
            return bool(length > LONG_VALUE)
        moving = {symbol(name) for name in (*self.values, "t")}
        slopes = (differentiate(value, str(s)) for s in value.free_symbols & moving)
        return any(slope.free_symbols & moving for slope in slopes)

    def _where_free(self, expression: sympy.Expr) -> sympy.Expr:
        return expression.xreplace({self._free: sympy.S.One})

    def _short(self, name: str, slope: sympy.Expr) -> sympy.Expr:
        """A derivative if it is short, else the name of its value."""
        return slope if slope.count_ops() <= LONG_SLOPE else self._keep(name, slope)

    def _keep(self, name: str, value: sympy.Expr) -> sympy.Expr:
        while name in self._named:
            name += "_"
        self._named[name] = value
        return symbol(name)


def _calculates_with(variable: str, lines: list[tuple[str, str]]) -> bool:
    """Whether statements calculate with a variable; copying it does not count."""
    for _, text in lines:
        expression = to_symbolic(text)
        if expression != symbol(variable) and symbol(variable) in expression.free_symbols:
            return True
    return False


@lru_cache(maxsize=1024)
def simplify(expression: sympy.Expr) -> sympy.Expr:
    """The shortest of a few equivalent forms; products of exponentials are combined.

    A long expression stays as it is, since it may grow beyond all bounds if multiplied out, and so does one
    that reads intermediate values, whose terms have no more in common.
    """
    expression = sympy.sympify(expression)
    if expression.is_Atom:
        return expression
    named = any(str(s).startswith((VALUE, BY_VALUE)) for s in expression.free_symbols)
    if named or expression.count_ops() > LONG_SUM:
        return expression
    multiplied = sympy.powsimp(sympy.expand_mul(expression))
    forms = [multiplied, sympy.powsimp(expression), sympy.powsimp(sympy.factor(multiplied))]
    return min((form for form in forms if not _grows(form, multiplied)), key=sympy.count_ops)


def nonzero_strings(expressions: dict[Any, sympy.Expr]) -> dict[Any, str]:
    """Simplified expressions as strings; those that are zero are left out."""
    simplified = {key: simplify(value) for key, value in expressions.items()}
    return {key: to_string(value) for key, value in simplified.items() if value != 0}


def _grows(form: sympy.Expr, multiplied: sympy.Expr) -> bool:
    """Whether a form divides by an exponential, whose inverse may be infinite where it is zero."""
    exponents = {exponential.exp for exponential in multiplied.atoms(sympy.exp)}
    return any(
        -exponential.exp in exponents and exponential.exp not in exponents
        for exponential in form.atoms(sympy.exp)
    )
