"""The strings of symmetric synapses as pieces of C++ for the equilibrium engine."""

from __future__ import annotations

import ast
import dataclasses
from typing import Any

import sympy
from brian2.equations.equations import SUBEXPRESSION
from brian2.utils.stringtools import get_identifiers, word_substitute

from neurosnn.core.messages import message
from neurosnn.core.statements import Statement, split_statements
from neurosnn.core.symbolic import symbol, to_string, to_symbolic
from neurosnn.engine.cpp import rendered
from neurosnn.engine.translate import Translator

__all__ = ["ConstantCode", "LayerTranslator", "Side", "SpikeCode", "constant_code", "spike_code"]

#: The variable that collects the changes of the weight.
SUM = "G"


@dataclasses.dataclass(frozen=True)
class Side:
    """What happens at the spikes of one side of a synapse."""

    name: str
    transmits: str
    statements: list[tuple[str, str]]
    here_states: list[str]
    there_states: list[str]
    reads_weight: bool

    @property
    def uniform(self) -> bool:
        """Whether a spike changes all synapses of a neuron by what only the other side knows."""
        return not self.here_states and not self.reads_weight


@dataclasses.dataclass(frozen=True)
class SpikeCode:
    """A connection whose source spikes; `memory` are variables of the synapse.

    `shared`: synapses share weights, and the rows of a spike come in pieces (wiring.Rows).
    """

    name: str
    source: int
    target: int
    sides: list[Side]
    memory: list[str]
    parameters: dict[str, float]
    signal: str
    shared: bool
    sum: str = SUM

    @property
    def learns_back(self) -> bool:
        """Whether postsynaptic spikes change the weight."""
        return any(side.name == "post" and side.statements for side in self.sides)

    @property
    def side_names(self) -> list[str]:
        """The sides whose spikes do something."""
        return [side.name for side in self.sides]


@dataclasses.dataclass(frozen=True)
class ConstantCode:
    """A connection whose source is constant in a trial: what one unit of it adds to G in a step."""

    name: str
    target: int
    input: str
    expression: str
    post_states: list[str]
    parameters: dict[str, float]
    signal: str
    shared: bool


class _Reciprocals(ast.NodeTransformer):
    """Division by a constant becomes a multiplication by its reciprocal, which is computed once."""

    def __init__(self, constants: set[str]):
        self.constants = constants

    def visit_BinOp(self, node):
        self.generic_visit(node)
        names = {n.id for n in ast.walk(node.right) if isinstance(n, ast.Name)}
        if isinstance(node.op, ast.Div) and names <= self.constants:
            inverse = ast.BinOp(ast.Constant(1.0), ast.Div(), node.right)
            return ast.BinOp(node.left, ast.Mult(), inverse)
        return node


def multiplied(text: str, constants: set[str]) -> str:
    """An expression that multiplies by the reciprocals of constants in place of dividing by them.

    Parameters
    ----------
    text : str
        Brian2 expression.
    constants : set of str
        Names of what does not change in a trial.

    Returns
    -------
    str
        The same up to rounding.
    """
    tree = ast.parse(text.strip(), mode="eval").body
    return ast.unparse(ast.fix_missing_locations(_Reciprocals(constants).visit(tree)))


class LayerTranslator(Translator):
    """The translator of a layer; in single precision it multiplies where it can, as a trial is short.

    Parameters
    ----------
    index : int
        Number of the layer.
    name : str
        Its name.
    model : NeuronModel
        Its model.
    real : str
        "float" or "double"; double rounds as Brian2.
    """

    def __init__(self, index: int, name: str, model: Any, real: str):
        self.multiply = real == "float"
        super().__init__(index, name, model, ())

    def expression(self, text: str) -> str:
        """A Brian2 expression as C++."""
        if self.multiply:
            text = multiplied(text, self.hoister.shared | self.hoister.per_neuron)
        return super().expression(text)


def spike_code(
    name: str,
    rule: Any,
    source: Any,
    target: Any,
    index: tuple[int, int],
    back: bool,
    shared: bool = False,
    multiply: bool = False,
) -> SpikeCode:
    """Translate the rule of a connection between spiking layers.

    Parameters
    ----------
    name : str
        Name of the connection.
    rule : PlasticityRule
        Its changes are collected in ``G``.
    source, target : NeuronModel
        Models of the neurons on both sides.
    index : tuple of int
        Numbers of both layers.
    back : bool
        Whether postsynaptic spikes act on the presynaptic neuron.
    shared : bool, optional
        Whether synapses share weights.
    multiply : bool, optional
        Whether to multiply by reciprocals of constants: faster, and rounded otherwise than Brian2.

    Returns
    -------
    SpikeCode
        C++ for both sides.

    Raises
    ------
    ValueError
        If the rule does what the engine cannot: writes to the weight within a trial, traces of its
        own, or reads a parameter that differs between neurons.
    """
    _check(rule)
    models, parameters = {"pre": source, "post": target}, _parameters(rule)
    sides, memory = [], []
    for here, there, code in (("pre", "post", rule.on_pre), ("post", "pre", rule.on_post)):
        transmits = models[there].inputs[0] if here == "pre" or back else ""
        statements, names = [], set()
        for statement in split_statements(code):
            variable, operation, expression = statement._replace(
                expression=_expanded(statement.expression, models)
            )
            _collect(parameters, expression, models)
            if multiply:
                expression = multiplied(expression, set(parameters))
            names |= get_identifiers(expression)
            if variable == SUM and operation == "+=":
                statements.append((SUM, rendered(expression)))
            elif variable in rule.brian_equations.names and variable not in ("w", SUM):
                memory.append(variable)
                value = Statement(variable, operation, expression).value
                statements.append((variable, rendered(value)))
            else:
                raise _cannot(rule, f"{variable} {operation} {expression}")
        for state in names:
            if state in (f"{model.inputs[0]}_{side}" for side, model in models.items()):
                raise _cannot(rule, f"reading {state} while it receives input")
        if transmits or statements:
            sides.append(
                Side(
                    name=here,
                    transmits=transmits,
                    statements=statements,
                    here_states=_states(names, models, here),
                    there_states=_states(names, models, there),
                    reads_weight="w" in names,
                )
            )
    return SpikeCode(
        name=name,
        source=index[0],
        target=index[1],
        sides=sides,
        memory=sorted(set(memory)),
        parameters=parameters,
        signal=rule.third_factor,
        shared=shared,
    )


def constant_code(
    name: str,
    rule: Any,
    source: Any,
    target: Any,
    index: int,
    shared: bool = False,
    multiply: bool = False,
) -> ConstantCode:
    """Translate the rule of a constant input: its value is taken out of the sum over the steps.

    Parameters
    ----------
    name : str
        Name of the connection.
    rule : PlasticityRule
        Both what it transmits and its change must be proportional to a subexpression of the source.
    source, target : NeuronModel
        Models of both sides.
    index : int
        Number of the target layer.
    shared : bool, optional
        Whether synapses share weights.
    multiply : bool, optional
        Whether to multiply by reciprocals of constants: faster, and rounded otherwise than Brian2.

    Returns
    -------
    ConstantCode
        C++ for the part that belongs to the target.

    Raises
    ------
    ValueError
        If they are not proportional to one variable of the source.
    """
    _check(rule)
    parameters = _parameters(rule)
    statements = split_statements(rule.on_pre)
    if len(statements) != 1 or statements[0][:2] != (SUM, "+=") or rule.on_post.strip():
        raise _cannot(rule, rule.on_pre)
    change = statements[0].expression
    inputs = [key for key in rule.requires_pre if f"{key}_pre" in get_identifiers(change)]
    if len(inputs) != 1:
        raise _cannot(rule, rule.on_pre)
    value = symbol(f"{inputs[0]}_pre")
    parts = [sympy.simplify(to_symbolic(text) / value) for text in (change, rule.transmitted)]
    if parts[1] != symbol("w") or any(part.has(value) for part in parts):
        raise _cannot(rule, f"{rule.on_pre}; {rule.transmitted}")
    models = {"pre": source, "post": target}
    expression = _expanded(to_string(parts[0]), models)
    _collect(parameters, expression, models)
    if multiply:
        expression = multiplied(expression, set(parameters))
    return ConstantCode(
        name=name,
        target=index,
        input=inputs[0],
        expression=rendered(expression),
        post_states=_states(get_identifiers(expression), models, "post"),
        parameters=parameters,
        signal=rule.third_factor,
        shared=shared,
    )


def _expanded(expression: str, models: dict) -> str:
    """With the subexpressions of both neurons written out, for example a_post."""
    for side, model in models.items():
        equations = model.brian_equations
        definitions = {
            eq.varname: eq.expr.code
            for eq in equations.ordered
            if eq.type == SUBEXPRESSION and eq.varname not in model.held
        }
        renamed = {name: f"{name}_{side}" for name in equations.names}
        for name, text in definitions.items():
            text = word_substitute(text, renamed)
            expression = word_substitute(expression, {f"{name}_{side}": f"({text})"})
    return expression


def _parameters(rule: Any) -> dict[str, float]:
    return {name: float(value) for name, value in rule.constants.items()}


def _collect(parameters: dict[str, float], expression: str, models: dict) -> None:
    """Add the parameters of the neurons that an expression reads."""
    for side, model in models.items():
        for name, value in model.parameters.items():
            if f"{name}_{side}" in get_identifiers(expression):
                if model.per_neuron(name):
                    raise ValueError(
                        message(
                            f"'{name}' differs between the neurons of {model.name}.",
                            "engine",
                            "The synapses read it as one number.",
                            "Give it one value, or simulate in Brian2.",
                        )
                    )
                parameters[f"{name}_{side}"] = float(value)


def _states(names: set[str], models: dict, side: str) -> list[str]:
    return sorted(name for name in models[side].states if f"{name}_{side}" in names)


def _check(rule: Any) -> None:
    equations = rule.brian_equations
    plain = isinstance(rule.on_pre, str) and isinstance(rule.on_post, str)
    if rule.weight != "w" or rule.targets or not plain:
        raise _cannot(rule, rule.equations)
    if SUM not in equations.names or equations.diff_eq_names or rule.spike_slot != "after_resets":
        raise _cannot(rule, rule.equations)


def _cannot(rule: Any, what: str) -> ValueError:
    return ValueError(
        message(
            f"the engine cannot run {what.strip()!r}.",
            rule.name,
            "It keeps the weights of a trial fixed and adds to G at spikes, after the resets.",
            "Use equations.EqSpike(trial=...), or simulate in Brian2.",
        )
    )
