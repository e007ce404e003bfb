"""Brian2 expressions as C++: constants are taken out of the loops, the rest becomes loop bodies."""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Collection

from brian2.parsing.rendering import CPPNodeRenderer

from neurosnn.core.messages import did_you_mean, message
from neurosnn.core.symbolic import MARK, SinceSpike, exprel_slope, nonzero

__all__ = ["OWN", "Hoister", "c_type", "render", "rendered"]

#: Prefix of all names of a model in the generated file, where no other name begins so.
OWN = "u_"
#: Brian2 functions and their C++ names in the generated file.
FUNCTIONS = {
    "abs": "fabs",
    "arccos": "acos",
    "arcsin": "asin",
    "arctan": "atan",
    "ceil": "ceil",
    "clip": "clip_",
    "cos": "cos",
    "cosh": "cosh",
    "exp": "exp_",
    "expm1": "expm1_",
    "exprel": "exprel_",
    "floor": "floor",
    "int": "int_",
    "log": "log",
    "log10": "log10",
    "log1p": "log1p",
    "sign": "sign_",
    "sin": "sin",
    "sinh": "sinh",
    "sqrt": "sqrt",
    "tan": "tan",
    "tanh": "tanh_",
    "timestep": "timestep_",
    exprel_slope.__name__: "exprel_slope_",
    nonzero.__name__: "nonzero_",
}
#: Operators that round down as Brian2's C++ does.
FLOORED = {ast.Mod: "mod_", ast.FloorDiv: "floordiv_"}
INTEGER_FUNCTIONS = ("int", "timestep")
LONGEST_PRODUCT = 4


class _Renderer(CPPNodeRenderer):
    """Brian2's printer, with literals and function arguments in one floating-point type."""

    def __init__(self, scalar: str):
        super().__init__()
        self.scalar = scalar

    def render_Constant(self, node):
        if isinstance(node.value, float):
            return f"{self.scalar}({node.value!r})"
        return super().render_Constant(node)

    def render_BinOp(self, node):
        if isinstance(node.op, ast.Div):
            left, right = self.render_node(node.left), self.render_node(node.right)
            return f"({self.scalar}({left})/{self.scalar}({right}))"
        if isinstance(node.op, ast.Pow):
            base, power = self.render_node(node.left), node.right
            if isinstance(power, ast.Constant) and power.value in range(2, LONGEST_PRODUCT + 1):
                return f"power_<{power.value}>({self.scalar}({base}))"
            if isinstance(node.left, ast.Call) and node.left.func.id == "exp":
                exponent = self.render_node(node.left.args[0])
                return f"power_of_exp_({self.scalar}({exponent}), {self.scalar}({self.render_node(power)}))"
            return f"std::pow({self.scalar}({base}), {self.scalar}({self.render_node(power)}))"
        if type(node.op) in FLOORED:
            left, right = self.render_node(node.left), self.render_node(node.right)
            return f"{FLOORED[type(node.op)]}({left}, {right})"
        return super().render_BinOp(node)

    def render_Name(self, node):
        if node.id.startswith(MARK):
            return node.id.removeprefix(MARK)
        return OWN + node.id

    def render_Call(self, node):
        name = node.func.id
        if name not in FUNCTIONS:
            raise ValueError(
                message(
                    f"the function {name}() is not available.",
                    "engine",
                    "The engine compiles a fixed set of functions.",
                    did_you_mean(name, [known for known in FUNCTIONS if MARK not in known])
                    + " Or use backend='brian2'.",
                )
            )
        arguments = [self.render_node(argument) for argument in node.args]
        if name not in INTEGER_FUNCTIONS:
            arguments = [f"{self.scalar}({argument})" for argument in arguments]
        return f"{FUNCTIONS[name]}({', '.join(arguments)})"


def render(node: ast.expr, scalar: str) -> str:
    """Print an expression as C++ with the given floating-point type."""
    return _Renderer(scalar).render_node(node)


def rendered(expression: str) -> str:
    """An expression of the strings as C++."""
    return render(ast.parse(expression.strip(), mode="eval").body, "real")


def c_type(node: ast.expr, integers: set[str] = frozenset()) -> str:
    """C++ type of an expression: "int", "bool" or "real"."""
    if isinstance(node, ast.Compare | ast.BoolOp):
        return "bool"
    if isinstance(node, ast.UnaryOp):
        return "bool" if isinstance(node.op, ast.Not) else c_type(node.operand, integers)
    if isinstance(node, ast.Constant):
        return "int" if type(node.value) is int else "real"
    if isinstance(node, ast.Name):
        return "int" if node.id in integers else "real"
    if isinstance(node, ast.Call):
        return "int" if node.func.id in INTEGER_FUNCTIONS else "real"
    if isinstance(node, ast.BinOp) and isinstance(
        node.op, ast.Add | ast.Sub | ast.Mult | ast.Mod | ast.FloorDiv
    ):
        types = {c_type(node.left, integers), c_type(node.right, integers)}
        return "real" if "real" in types else "int"
    return "real"


class Hoister:
    """Translates expressions of one layer and collects the constants in them.

    A part of an expression that contains parameters and dt only is computed once per trial: as a
    scalar if all its parameters are shared, as an array if one of them differs between neurons.

    Parameters
    ----------
    shared : set of str
        Names with one value for the layer.
    per_neuron : set of str
        Constants with one value for each neuron.
    varying : callable
        Whether a name may stand in a loop body; called with the name.
    flag : str, optional
        A name that is zero or one in the loop body: what depends on it and on constants has two values, which
        are computed once per trial.
    listed : set of str, optional
        Varying names that have a value for each neuron in a list of that name.
    """

    def __init__(
        self,
        shared: set[str],
        per_neuron: set[str],
        varying: Callable[[str], bool],
        flag: str = "",
        listed: Collection[str] = (),
    ):
        self.shared, self.per_neuron, self.varying = shared, per_neuron, varying
        self.flag, self.listed = flag, listed
        self.scalars: dict[str, str] = {}
        self.arrays: dict[str, str] = {}

    def expression(self, text: str) -> str:
        """A Brian2 expression as C++ for a loop body over the neurons j."""
        return render(self.tree(text), "real")

    def tree(self, text: str) -> ast.expr:
        """The same as a syntax tree, which belongs to the caller."""
        tree = SinceSpike().visit(ast.parse(text.strip(), mode="eval").body)
        return self._hoist(tree)

    def is_fixed(self, text: str) -> bool:
        """Whether an expression is the same in all steps of a trial."""
        return self._kind(ast.parse(text.strip(), mode="eval").body) != "varying"

    def is_scalar(self, text: str) -> bool:
        """Whether an expression is the same in all steps and for all neurons."""
        return self._kind(ast.parse(text.strip(), mode="eval").body) == "scalar"

    def scalar(self, text: str) -> str:
        """Name of the constant that an expression is; others may read it."""
        tree = ast.parse(text.strip(), mode="eval").body
        name = self.scalars.setdefault(ast.unparse(tree), f"scalar_{len(self.scalars)}")
        self.shared.add(MARK + name)
        return name

    def _kind(self, node: ast.AST) -> str:
        names = {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and n.id not in FUNCTIONS}
        for name in names - self.shared - self.per_neuron:
            if not self.varying(name):
                raise ValueError(
                    message(
                        f"the name '{name}' is not available in {ast.unparse(node)!r}.",
                        "engine",
                        "The engine knows the states, parameters, t, dt and lastspike.",
                        "Use backend='brian2'.",
                    )
                )
        if names <= self.shared:
            return "scalar"
        return "array" if names <= self.shared | self.per_neuron else "varying"

    def _follows_flag(self, node: ast.expr) -> bool:
        """Whether an expression computes something from the flag and constants alone."""
        names = {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and n.id not in FUNCTIONS}
        return names - self.shared == {self.flag} and any(
            isinstance(n, ast.BinOp)
            or (isinstance(n, ast.Call) and _name_of(n) not in INTEGER_FUNCTIONS)
            for n in ast.walk(node)
        )

    def _of_flag(self, node: ast.expr) -> ast.Name:
        """One of two constants."""
        one, zero = (
            self.scalars.setdefault(
                ast.unparse(_Replaced(self.flag, value).visit(copy.deepcopy(node))),
                f"scalar_{len(self.scalars)}",
            )
            for value in (1, 0)
        )
        flag = self.flag.removeprefix(MARK)
        return ast.Name(id=f"{MARK}chosen_({flag}, {one}, {zero})", ctx=ast.Load())

    def _hoist(self, node: ast.AST) -> ast.AST:
        if isinstance(node, ast.Constant | ast.operator | ast.boolop | ast.unaryop | ast.cmpop):
            return node
        if isinstance(node, ast.Name) and node.id in self.listed:
            return ast.Name(id=f"{node.id}[j]", ctx=ast.Load())
        condition = isinstance(node, ast.BoolOp | ast.Compare) or (
            isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)
        )
        if isinstance(node, ast.expr) and not condition:
            kind = self._kind(node)
            store = {"scalar": self.scalars, "array": self.arrays}.get(kind)
            if store is not None:
                name = store.setdefault(ast.unparse(node), f"{kind}_{len(store)}")
                name = name if kind == "scalar" else f"{name}[j]"
                return ast.Name(id=MARK + name, ctx=ast.Load())
            if self.flag and self._follows_flag(node):
                return self._of_flag(node)
        node = copy.copy(node)
        for field, value in ast.iter_fields(node):
            if isinstance(node, ast.Call) and field == "func":
                continue
            if isinstance(value, list):
                setattr(node, field, [self._hoist(item) for item in value])
            elif isinstance(value, ast.AST) and not isinstance(value, ast.expr_context):
                setattr(node, field, self._hoist(value))
        return node

    def definitions(self) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
        """(name, C++ expression) of the scalars and of the arrays, in double precision."""

        def rendered(store):
            return [
                (name, render(ast.parse(text, mode="eval").body, "double"))
                for text, name in store.items()
            ]

        return rendered(self.scalars), rendered(self.arrays)


def _name_of(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else ""


class _Replaced(ast.NodeTransformer):
    """A number in place of a name."""

    def __init__(self, name: str, value: int):
        self.name, self.value = name, value

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return ast.Constant(value=self.value) if node.id == self.name else node
