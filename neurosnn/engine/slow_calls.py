"""Slow functions called apart, so that all else of a loop over the neurons becomes vector instructions.

In float64 the engine calls the library's exponential, whose bits Brian2 has as well. A loop with such a call
handles one neuron at a time. Split in phases it first computes the arguments of some neurons, then calls the
function for each, then goes on with the values: the same operations in the same order for each neuron, and
the same bits. Beside such calls divisions by what is the same for all neurons are treated likewise, since a
division takes a processor as long as eight multiplications.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field

from neurosnn.core.symbolic import MARK
from neurosnn.engine.cpp import FUNCTIONS, render

__all__ = ["SLOW", "Phases"]

#: Functions of one argument that compilers do not turn into vector instructions.
SLOW = (
    "arccos",
    "arcsin",
    "arctan",
    "cos",
    "cosh",
    "exp",
    "expm1",
    "exprel",
    "log",
    "log10",
    "log1p",
    "sin",
    "sinh",
    "tan",
    "tanh",
)
#: How the names of constants of a trial begin (cpp.py).
SCALAR = f"{MARK}scalar_"
#: How the C++ of a division by such a constant begins.
QUOTIENT = "{}/"


@dataclass
class Phases:
    """Statements in order, each with the first phase in which it can be computed.

    Attributes
    ----------
    lines : list of (str, int)
        C++ statements, which read ``call_0[k]`` and so on of neuron k of a strip in place of calls.
    calls : list of (str, str, str, int, int)
        Name, C++ of the call with ``{}`` for its argument, the argument, number of the line before which it
        is known, and phase.
    """

    lines: list[tuple[str, int]] = field(default_factory=list)
    calls: list[tuple[str, str, str, int, int]] = field(default_factory=list)
    _phase: dict[str, int] = field(default_factory=dict)
    _assigned: dict[str, int] = field(default_factory=dict)
    _known: dict[tuple, str] = field(default_factory=dict)

    def add(self, before: str, tree: ast.expr, after: str, variable: str, *, keeps: bool) -> None:
        """Add a statement.

        Parameters
        ----------
        before, after : str
            C++ around its value.
        tree : ast.expr
            Its value, which is changed.
        variable : str
            What is assigned.
        keeps : bool
            Whether the variable may keep its value instead.
        """
        tree = _TakenOut(self).visit(tree)
        phase = self._phase_of(tree)
        if keeps:
            phase = max(phase, self._phase.get(variable, 0))
        self._phase[variable] = phase
        self._assigned[variable] = self._assigned.get(variable, 0) + 1
        self.lines.append((f"{before}{render(tree, 'real')}{after}", phase))

    @property
    def calls_slow_functions(self) -> bool:
        """Whether there is anything but divisions, which alone are not worth the phases."""
        return any(not call[1].startswith(QUOTIENT) for call in self.calls)

    def taken_out(self, call: str, argument: ast.expr) -> ast.Name:
        """The name of the value of a call; the same call twice is one."""
        text = render(argument, "real")
        versions = sorted((name, self._assigned.get(name, 0)) for name in _names(argument))
        key = (call, text, *versions)
        if key not in self._known:
            name, phase = f"call_{len(self.calls)}", self._phase_of(argument)
            self.calls.append((name, call, text, len(self.lines), phase))
            self._known[key] = f"{MARK}{name}[k]"
            self._phase[self._known[key]] = phase + 1
        return ast.Name(id=self._known[key], ctx=ast.Load())

    def _phase_of(self, tree: ast.expr) -> int:
        """The first phase in which all that an expression reads is known."""
        return max((self._phase.get(name, 0) for name in _names(tree)), default=0)


def _is_scalar(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id.startswith(SCALAR)


def _names(tree: ast.expr) -> set[str]:
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


class _TakenOut(ast.NodeTransformer):
    def __init__(self, phases: Phases):
        self.phases = phases

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        name = node.func.id  # type: ignore[attr-defined]
        if name not in SLOW:
            return node
        return self.phases.taken_out(f"{FUNCTIONS[name]}({{}})", node.args[0])

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        """A quotient by a constant of the trial, or a power that is no product of a few factors."""
        self.generic_visit(node)
        if isinstance(node.op, ast.Div) and _is_scalar(node.right):
            return self.phases.taken_out(f"{QUOTIENT}{render(node.right, 'real')}", node.left)
        constant = all(name.startswith(SCALAR) for name in _names(node.right))
        if not isinstance(node.op, ast.Pow) or not constant or "pow(" not in render(node, "real"):
            return node
        return self.phases.taken_out(
            f"std::pow({{}}, real({render(node.right, 'real')}))", node.left
        )
