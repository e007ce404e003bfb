"""Brian2 expressions as functions of tensors; the tree is walked once, no source is executed."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import torch
from brian2.core.namespace import DEFAULT_CONSTANTS, DEFAULT_UNITS

from neurosnn.core.messages import did_you_mean, message
from neurosnn.core.symbolic import SinceSpike, statements

__all__ = ["TYPE", "Translator"]

#: Entry of an environment: the type of the states.
TYPE = "#type"
Environment = Mapping[str, Any]
Function = Callable[[Environment], Any]


def _tensor(value: Any) -> bool:
    return isinstance(value, torch.Tensor)


def _either(of_tensor: Callable, of_number: Callable) -> Callable:
    """A function that keeps plain numbers plain: they have float64 precision at no cost."""

    def function(x):
        return of_tensor(x) if _tensor(x) else float(of_number(x))

    return function


def _clip(x, low, high):
    if not (_tensor(x) or _tensor(low) or _tensor(high)):
        return float(np.clip(x, low, high))
    if not (_tensor(low) or _tensor(high)):
        return torch.clamp(x, low, high)
    reference = next(value for value in (x, low, high) if _tensor(value))
    x, low, high = (torch.as_tensor(v, dtype=reference.dtype) for v in (x, low, high))
    return torch.minimum(torch.maximum(x, low), high)


def _number(x, environment):
    """A truth value as 0 or 1 in the type of the states; torch would calculate in its default."""
    if _tensor(x) and x.dtype == torch.bool:
        return x.to(environment[TYPE])
    return x


def _int(x):
    return torch.trunc(x) if _tensor(x) else int(x)


def _timestep(time, dt):
    return _int((time + 1e-3 * dt) / dt)


def _exprel(x):
    if not _tensor(x):
        return float(np.expm1(x) / x) if x else 1.0
    small = x.abs() < 0.1  # there the slope of the closed form is a difference of equal terms
    safe, near = torch.where(small, 1.0, x), torch.where(small, x, 0.0)
    series = torch.ones_like(x)
    for n in range(10, 1, -1):
        series = 1 + near * series / n
    return torch.where(small, series, torch.expm1(safe) / safe)


def _power(x, p):
    """x**p; the slope is zero where x is, if torch would make it infinite there or 0/0."""
    if not _tensor(x) or isinstance(p, int):
        return x**p
    there = x == 0
    return torch.where(there, x.detach() ** p, torch.where(there, 1.0, x) ** p)


def _sqrt(x):
    return _power(x, 0.5) if _tensor(x) else float(np.sqrt(x))


FUNCTIONS: dict[str, Callable] = {
    "abs": abs,
    "clip": _clip,
    "exprel": _exprel,
    "int": _int,
    "sqrt": _sqrt,
    "timestep": _timestep,
    "arccos": _either(torch.acos, np.arccos),
    "arcsin": _either(torch.asin, np.arcsin),
    "arctan": _either(torch.atan, np.arctan),
}
FUNCTIONS |= {
    name: _either(getattr(torch, name), getattr(np, name))
    for name in "ceil cos cosh exp expm1 floor log log10 log1p sign sin sinh tan tanh".split()
}


_floor = FUNCTIONS["floor"]

OPERATORS: dict[type, Callable] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
    ast.FloorDiv: lambda a, b: _floor(a / b),
    ast.Mod: lambda a, b: a - b * _floor(a / b),
    ast.Pow: _power,
    ast.Gt: lambda a, b: a > b,
    ast.GtE: lambda a, b: a >= b,
    ast.Lt: lambda a, b: a < b,
    ast.LtE: lambda a, b: a <= b,
    ast.Eq: lambda a, b: a == b,
    ast.NotEq: lambda a, b: a != b,
}


def _truth(a):
    """A condition, or a state that is true or false, as a truth value."""
    return a != 0 if _tensor(a) and a.dtype != torch.bool else a


def _and(a, b):
    return _truth(a) & _truth(b) if _tensor(a) or _tensor(b) else a and b


def _or(a, b):
    return _truth(a) | _truth(b) if _tensor(a) or _tensor(b) else a or b


def _not(a):
    return ~_truth(a) if _tensor(a) else not a


class Translator:
    """Turns the strings of one model into functions of tensors.

    Parts of an expression that contain only constants and parameters are taken out: `constants`
    computes them once for a sequence of steps, as differentiable functions of the parameters.

    Parameters
    ----------
    fixed : iterable of str
        Names that do not change during a sequence.
    where : str
        The model, for messages.
    """

    def __init__(self, fixed: Iterable[str], where: str):
        self.fixed = {*fixed, "dt"}
        self.where = where
        self.parts: dict[str, tuple[str, Function]] = {}

    def constants(self, environment: Environment) -> dict[str, Any]:
        """Values of the parts that were taken out of the expressions."""
        return {key: function(environment) for key, function in self.parts.values()}

    def expression(self, text: str) -> Function:
        """A Brian2 expression as a function of an environment (name -> tensor or number)."""
        tree = SinceSpike().visit(ast.parse(text.strip(), mode="eval").body)
        return self._function(tree)

    def lines(self, code: str) -> list[tuple[str, Function]]:
        """Brian2 statements as (variable, function) pairs."""
        return [(variable, self.expression(text)) for variable, text in statements(code)]

    def _is_fixed(self, node: ast.AST) -> bool:
        names = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
        known = self.fixed | FUNCTIONS.keys() | DEFAULT_UNITS.keys() | DEFAULT_CONSTANTS.keys()
        return names <= known

    def _function(self, node: ast.AST, outer: bool = True) -> Function:
        if outer and not isinstance(node, ast.Constant | ast.Name) and self._is_fixed(node):
            text = ast.unparse(node)
            if text not in self.parts:
                self.parts[text] = (f"#{len(self.parts)}", self._function(node, outer=False))
            key = self.parts[text][0]
            return lambda environment: environment[key]

        def inner(child):
            return self._function(child, outer)

        if isinstance(node, ast.Constant):
            value = node.value
            return lambda environment: value
        if isinstance(node, ast.Name):
            return self._name(node.id)
        if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
            return _arithmetic(OPERATORS[type(node.op)], inner(node.left), inner(node.right))
        if isinstance(node, ast.Compare) and len(node.ops) == 1:
            operator = OPERATORS[type(node.ops[0])]
            return _binary(operator, inner(node.left), inner(node.comparators[0]))
        if isinstance(node, ast.BoolOp):
            operator = _and if isinstance(node.op, ast.And) else _or
            function, *others = (inner(value) for value in node.values)
            for other in others:
                function = _binary(operator, function, other)
            return function
        if isinstance(node, ast.UnaryOp):
            operand = inner(node.operand)
            if isinstance(node.op, ast.Not):
                return lambda environment: _not(operand(environment))
            if isinstance(node.op, ast.USub):
                return lambda environment: -_number(operand(environment), environment)
            return operand
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in FUNCTIONS:
            called = FUNCTIONS[node.func.id]
            arguments = [inner(argument) for argument in node.args]
            return lambda environment: called(
                *(_number(argument(environment), environment) for argument in arguments)
            )
        name = getattr(getattr(node, "func", None), "id", ast.unparse(node))
        raise ValueError(
            message(
                f"{name!r} in {ast.unparse(node)!r} is not available.",
                self.where,
                "neurosnn.torch knows a fixed set of functions and operators.",
                did_you_mean(name, FUNCTIONS),
            )
        )

    def _name(self, name: str) -> Function:
        if name not in self.fixed:
            if name in DEFAULT_CONSTANTS:
                constant = float(DEFAULT_CONSTANTS[name].value)
                return lambda environment: environment.get(name, constant)
            if name in DEFAULT_UNITS:
                unit = float(DEFAULT_UNITS[name])
                return lambda environment: environment.get(name, unit)
            if name in ("True", "False"):
                return lambda environment: name == "True"
        return lambda environment: environment[name]


def _arithmetic(operator: Callable, left: Function, right: Function) -> Function:
    return lambda environment: operator(
        _number(left(environment), environment), _number(right(environment), environment)
    )


def _binary(operator: Callable, left: Function, right: Function) -> Function:
    return lambda environment: operator(left(environment), right(environment))
