"""Brian2 strings as sympy expressions that can be differentiated, and back."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from functools import lru_cache, reduce

import numpy as np
import sympy
from brian2.core.namespace import DEFAULT_CONSTANTS, DEFAULT_UNITS
from brian2.parsing.rendering import SympyNodeRenderer
from brian2.parsing.sympytools import sympy_to_str
from brian2.units.unitsafefunctions import exprel as brian2_exprel
from brian2.utils.stringtools import get_identifiers, word_substitute

from neurosnn.core.messages import shortened
from neurosnn.core.statements import split_statements

__all__ = [
    "MARK",
    "SINCE_SPIKE",
    "SinceSpike",
    "differentiate",
    "evaluate",
    "expand",
    "statements",
    "substitute",
    "to_string",
    "to_symbolic",
]


#: How names begin that the program adds to a model's strings. No variable of a user's may begin with
#: an underscore, and what Brian2 adds itself begins with one or two: these can never be mistaken.
MARK = "___"
#: Number of steps since the last spike.
SINCE_SPIKE = f"{MARK}since_spike"


class _Number(sympy.Function):
    """A function of numbers; sympy would take that of a condition for one without a commutative product."""

    is_commutative = True


class _StepFunction(_Number):
    """A function that is constant between its jumps; its derivative is zero."""

    def _eval_derivative(self, symbol):
        return sympy.S.Zero


class int_(_StepFunction):
    """Brian2's int(), whose sympy name carries an underscore."""


class timestep(_StepFunction):
    """Number of steps in a time."""


class ceil(_StepFunction):
    """Smallest integer above."""


class floor(_StepFunction):
    """Largest integer below."""


class sign(_StepFunction):
    """-1, 0 or 1."""


class clip(_Number):
    """clip(x, low, high); its slope is 1 inside the limits and 0 outside."""

    def fdiff(self, argindex=1):
        x, low, high = self.args
        if (
            argindex == 1
        ):  # a product: Brian2's numpy code cannot calculate with "and" in each place
            return int_(x > low) * int_(x < high)
        return int_(x <= low if argindex == 2 else x >= high)


class nonzero(_Number):
    """Its argument, or 1 where that is zero: what a slope divides by. `written_out` says it in Brian2."""

    def fdiff(self, argindex=1):
        return sympy.S.One


class exprel(_Number):
    """exprel(x) = (exp(x) - 1)/x, whose slope sympy would write as 0/0 at zero."""

    def fdiff(self, argindex=1):
        return exprel_slope(self.args[0])


class exprel_slope(_Number):
    """The derivative of exprel. `written_out` says it in Brian2."""

    def fdiff(self, argindex=1):
        (x,) = self.args
        return (sympy.exp(x) - 2 * exprel_slope(x)) / nonzero(x)


class magnitude(_Number):
    """abs(x) of what sympy does not know to be real: the slope is sign(x), without re(x) and im(x)."""

    is_extended_real = True
    is_extended_nonnegative = True

    def fdiff(self, argindex=1):
        return sign(self.args[0])


class power(_Number):
    """x**p with a slope of zero, not infinity, where x is zero: times the slope 0 of abs it is zero."""

    def fdiff(self, argindex=1):
        x, p = self.args
        away = int_(sympy.Ne(x, 0))
        if argindex == 1:
            return p * away * nonzero(x) ** (p - 1)
        return away * nonzero(x) ** p * sympy.log(nonzero(x))


for _function in (nonzero, exprel_slope):  # a variable of the user's may have that name
    _function.__name__ = f"{MARK}{_function.__name__}"
_FUNCTIONS = {
    cls.__name__: cls
    for cls in (int_, timestep, ceil, floor, sign, clip, nonzero, exprel, exprel_slope)
}


class _Reader(SympyNodeRenderer):
    """Brian2's reader with functions that sympy knows to be numbers.

    To Brian2's own, ``0.3*int(t > 1*ms) + v > 0.2`` compares complex numbers, which sympy refuses.
    """

    def render_func(self, node: ast.Name) -> Callable[..., sympy.Expr]:
        function = super().render_func(node)
        undefined = isinstance(function, sympy.core.function.UndefinedFunction)
        return _FUNCTIONS.get(function.__name__, function) if undefined else function


@lru_cache(maxsize=4096)
def to_symbolic(expression: str) -> sympy.Expr:
    """Read a Brian2 expression; all of its names become real symbols."""
    try:
        read = _Reader().render_expr(expression)
    except (TypeError, ValueError, NameError) as error:
        raise SyntaxError(f"'{shortened(expression, 200)}' is no expression: {error}") from error
    return normalize(sympy.sympify(read))  # a plain True is no expression


def normalize(expression: sympy.Expr) -> sympy.Expr:
    """Give every symbol the same assumptions, and every step function a derivative of zero."""
    expression = expression.xreplace(
        {s: sympy.Symbol(s.name, real=True) for s in expression.atoms(sympy.Symbol)}
    )
    # all of a model is real, whatever sympy makes of abs(exp(clip(x, 0, 1)))
    expression = expression.replace(sympy.re, lambda x: x)
    # sympy has no derivative of a remainder, and Brian2 leaves it without that of the square root
    expression = expression.replace(sympy.Mod, lambda x, y: x - y * floor(x / y))
    expression = expression.replace(
        lambda node: isinstance(node, sympy.Function) and _name(node) == "sqrt",
        lambda node: sympy.sqrt(*node.args),
    )
    return expression.replace(
        lambda node: (
            isinstance(node, sympy.Function | sympy.ceiling | sympy.floor | sympy.sign)
            and _name(node) in _FUNCTIONS
            and not isinstance(node, tuple(_FUNCTIONS.values()))
        ),
        lambda node: _FUNCTIONS[_name(node)](*node.args),
    )


def _name(node: sympy.Function) -> str:
    return {"ceiling": "ceil"}.get(node.func.__name__, node.func.__name__)


def to_string(expression: sympy.Expr) -> str:
    """Write an expression as Brian2 reads it."""
    return sympy_to_str(sympy.sympify(expression))


def symbol(name: str) -> sympy.Symbol:
    """The symbol of a variable."""
    return sympy.Symbol(name, real=True)


def substitute(expression: sympy.Expr, values: dict[str, sympy.Expr]) -> sympy.Expr:
    """Replace variables by expressions, all at once."""
    return expression.xreplace({symbol(name): value for name, value in values.items()})


def differentiate(expression: sympy.Expr, name: str) -> sympy.Expr:
    """Partial derivative, simplified where that is cheap.

    A root has the slope zero at zero, where it has none, so that sqrt(abs(v)) has one everywhere.
    """

    def steep(node):
        if not isinstance(node, sympy.Pow) or not node.has(symbol(name)) or node.base.is_positive:
            return False
        p = node.exp
        return node.base.free_symbols and (not p.is_number or (p > 0) & (p < 1))

    guarded = expression.replace(steep, lambda node: power(*node.args)).replace(
        lambda node: isinstance(node, sympy.Abs) and not node.args[0].is_extended_real,
        lambda node: magnitude(*node.args),
    )
    derivative = sympy.diff(guarded, symbol(name))
    derivative = derivative.replace(power, sympy.Pow).replace(magnitude, sympy.Abs)
    if derivative.has(sympy.Derivative) or derivative.has(sympy.Subs):
        unknown = sorted(str(node.args[0]) for node in derivative.atoms(sympy.Derivative))
        raise ValueError(
            f"no derivative is known for {', '.join(unknown) or expression}: a gradient needs "
            "functions that can be differentiated. Write the equation with exp, log, sqrt, sin, "
            "cos, tanh, abs, clip, int or powers."
        )
    # d|x|/dx = sign(x); the delta at the kink of a sign has no effect on a sampled trajectory
    derivative = derivative.replace(
        lambda node: isinstance(node, sympy.DiracDelta), lambda node: sympy.S.Zero
    )
    return normalize(derivative)


def statements(code: str) -> list[tuple[str, str]]:
    """Abstract code as (variable, expression) pairs; ``a += b`` is read as ``a = a + (b)``."""
    return [(statement.variable, statement.value) for statement in split_statements(code)]


def run_symbolically(code: str, values: dict[str, sympy.Expr]) -> dict[str, sympy.Expr]:
    """Execute statements on expressions; returns the new value of every variable."""
    values = dict(values)
    for variable, expression in statements(code):
        values[variable] = substitute(to_symbolic(expression), values)
    return values


class SinceSpike(ast.NodeTransformer):
    """``timestep(t - lastspike, dt)`` is an integer that is counted exactly: SINCE_SPIKE."""

    def visit_Call(self, node):
        self.generic_visit(node)
        if isinstance(node.func, ast.Name) and node.func.id == "timestep":
            elapsed = ast.unparse(node.args[0]).replace(" ", "")
            if elapsed in ("t-lastspike", "-lastspike+t") and ast.unparse(node.args[1]) == "dt":
                return ast.Name(id=SINCE_SPIKE, ctx=ast.Load())
        return node


def expand(code: str, subexpressions: dict[str, str]) -> str:
    """Replace the names of subexpressions by their definitions."""
    while set(get_identifiers(code)) & set(subexpressions):
        code = word_substitute(code, {name: f"({text})" for name, text in subexpressions.items()})
    return code


_NUMPY = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.true_divide,
    ast.Mod: np.mod,
    ast.FloorDiv: np.floor_divide,
    ast.Pow: np.power,
    ast.USub: np.negative,
    ast.Not: np.logical_not,
    ast.And: np.logical_and,
    ast.Or: np.logical_or,
    ast.Lt: np.less,
    ast.LtE: np.less_equal,
    ast.Gt: np.greater,
    ast.GtE: np.greater_equal,
    ast.Eq: np.equal,
    ast.NotEq: np.not_equal,
}
_NUMPY_FUNCTIONS = {
    name: getattr(np, name)
    for name in (
        "abs",
        "arctan",
        "ceil",
        "clip",
        "cos",
        "cosh",
        "exp",
        "expm1",
        "floor",
        "log",
        "log10",
        "log1p",
        "sign",
        "sin",
        "sinh",
        "sqrt",
        "tan",
        "tanh",
    )
} | {"exprel": brian2_exprel, "int": lambda x: np.asarray(x).astype(np.int64)}


def evaluate(
    expression: str,
    values: Mapping[str, np.ndarray],
    draw: Callable[[], np.ndarray] | None = None,
) -> np.ndarray:
    """Value of an expression in SI units; the tree is walked, nothing is executed.

    `draw` gives the numbers of ``rand()``, which otherwise is not available.
    """

    def value(node):
        if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
            return node.value
        if isinstance(node, ast.Name) and node.id in values:
            return values[node.id]
        if isinstance(node, ast.Name) and node.id in DEFAULT_UNITS:
            return float(DEFAULT_UNITS[node.id])
        if isinstance(node, ast.Name) and node.id in DEFAULT_CONSTANTS:
            return DEFAULT_CONSTANTS[node.id].value
        if isinstance(node, ast.BinOp) and type(node.op) in _NUMPY:
            return _NUMPY[type(node.op)](value(node.left), value(node.right))
        if isinstance(node, ast.UnaryOp) and type(node.op) in _NUMPY:
            return _NUMPY[type(node.op)](value(node.operand))
        if isinstance(node, ast.BoolOp):
            return reduce(_NUMPY[type(node.op)], map(value, node.values))
        if isinstance(node, ast.Compare) and len(node.ops) == 1:
            return _NUMPY[type(node.ops[0])](value(node.left), value(node.comparators[0]))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in _NUMPY_FUNCTIONS:
            return _NUMPY_FUNCTIONS[node.func.id](*(value(argument) for argument in node.args))
        if draw is not None and ast.unparse(node) == "rand()":
            return draw()
        raise ValueError(
            f"the expression {shortened(repr(expression), 200)} contains "
            f"{shortened(repr(ast.unparse(node)), 100)}, which cannot be "
            "evaluated without a running simulation. Give values as numbers or as "
            "expressions of the parameters."
        )

    return value(ast.parse(expression.strip(), mode="eval").body)
