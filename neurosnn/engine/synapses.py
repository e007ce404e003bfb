"""Synapses with states as C++: one set of states for all synapses of a presynaptic neuron."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field

from brian2.core.namespace import DEFAULT_CONSTANTS, DEFAULT_UNITS
from brian2.utils.stringtools import get_identifiers

from neurosnn.calculus.presynaptic import presynaptic_code, presynaptic_slopes
from neurosnn.core.symbolic import statements
from neurosnn.engine.cpp import FUNCTIONS, OWN, c_type, render
from neurosnn.model import PlasticityRule

__all__ = ["SynapseCode", "synapse_code", "synapse_values"]


@dataclass
class SynapseCode:
    """The pieces of C++ of the synapses of one connection.

    ``constants`` and ``states`` are fields of the Batch as ``synapse_<index>_<name>``; ``units`` and the
    derivatives are pairs of a name and an expression.
    """

    index: int
    states: tuple[str, ...]
    constants: tuple[str, ...]
    weight: str
    units: list = field(default_factory=list)
    advance: list = field(default_factory=list)
    catch_up: list = field(default_factory=list)
    before: list = field(default_factory=list)
    sent: str = ""
    after: list = field(default_factory=list)
    # backward pass
    amplitude: str = ""
    amplitude_by: dict = field(default_factory=dict)
    jump: dict = field(default_factory=dict)
    arrival: dict = field(default_factory=dict)
    flow: dict = field(default_factory=dict)


def synapse_code(index: int, rule: PlasticityRule, *, gradient: bool) -> SynapseCode:
    """Translate the strings of a synapse.

    Parameters
    ----------
    index : int
        Number of the connection in the generated file.
    rule : PlasticityRule
        The synapse.
    gradient : bool
        Whether derivatives are wanted.

    Returns
    -------
    SynapseCode
        Its pieces.

    Raises
    ------
    ValueError
        If a function has no C++ form or no derivative.
    """
    code = presynaptic_code(rule)
    # Brian2 brings event-driven states up to date in this way
    catch_up = re.sub(r"\bdt\b", "(t - lastupdate)", code.catch_up)
    text = " ".join([code.catch_up, code.advance, code.before, code.sent, code.after])
    known = {*code.states, *code.fixed, *rule.constants, *FUNCTIONS}
    names = sorted(get_identifiers(text) - known)
    units = [(name, float(DEFAULT_UNITS[name])) for name in names if name in DEFAULT_UNITS]
    units += [
        (name, float(DEFAULT_CONSTANTS[name].value)) for name in names if name in DEFAULT_CONSTANTS
    ]
    made = SynapseCode(
        index=index,
        states=code.states,
        constants=(*rule.constants, *code.fixed),
        weight=code.weight,
        units=[(name, repr(value).replace("inf", "INFINITY")) for name, value in units],
        advance=_lines(code.advance, code.states),
        catch_up=_lines(catch_up, code.states),
        before=_lines(code.before, code.states),
        sent=_expression(code.sent),
        after=_lines(code.after, code.states, code.before),
    )
    if gradient:
        slopes = presynaptic_slopes(rule)
        made.amplitude = _expression(slopes.amplitude)
        made.amplitude_by = _expressions(slopes.amplitude_by)
        made.jump = _expressions(slopes.jump)
        # JSON and templates know strings only: "row column"
        made.arrival = _expressions({" ".join(pair): x for pair, x in slopes.arrival.items()})
        made.flow = _expressions({" ".join(pair): x for pair, x in slopes.flow.items()})
    return made


def synapse_values(code: SynapseCode, rule: PlasticityRule) -> dict[str, float]:
    """Values of the fields that belong to the synapses of one connection, in SI units."""
    values = dict.fromkeys((*code.constants, *code.states), 0.0)
    values |= {name: float(value) for name, value in {**rule.constants, **rule.initial}.items()}
    return {f"synapse_{code.index}_{name}": value for name, value in values.items()}


def _expression(text: str) -> str:
    return render(ast.parse(text.strip(), mode="eval").body, "real")


def _expressions(texts: dict[str, str]) -> dict[str, str]:
    return {key: _expression(text) for key, text in texts.items()}


def _lines(code: str, states: tuple[str, ...], earlier: str = "") -> list[str]:
    """Statements as C++; what is no state is a variable of the block, declared where it is new."""
    declared = {name for name, _ in statements(earlier)}
    lines = []
    for name, text in statements(code):
        kind = ""
        if name not in states and name not in declared:
            kind = f"{c_type(ast.parse(text.strip(), mode='eval').body)} "
            declared.add(name)
        lines.append(f"{kind}{OWN}{name} = {_expression(text)};")
    return lines
