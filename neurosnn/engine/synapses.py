"""Synapses with states as C++: one set of states for all synapses of a presynaptic neuron."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from brian2.core.namespace import DEFAULT_CONSTANTS, DEFAULT_UNITS
from brian2.utils.stringtools import get_identifiers

from neurosnn.calculus.presynaptic import (
    presynaptic_code,
    presynaptic_slopes,
    since_last_update,
)
from neurosnn.calculus.step import model_code
from neurosnn.core.messages import message
from neurosnn.core.symbolic import evaluate, statements
from neurosnn.engine.cpp import FUNCTIONS, OWN, Hoister, c_type, rendered
from neurosnn.model import NeuronModel, PlasticityRule

__all__ = [
    "SynapseCode",
    "statement_lines",
    "synapse_code",
    "synapse_values",
    "units_and_constants",
]


@dataclass
class SynapseCode:
    """The pieces of C++ of the synapses of one connection.

    ``constants`` and ``states`` are fields of the Batch as ``synapse_<index>_<name>``; ``units`` are pairs of
    a name and a number, and derivatives are expressions by names. Entries of `flow` that never change are
    computed once, as ``fixed_flow``. `through_states` says that the states are kept for the way back: of
    all steps, or of all arrivals alone if nothing but an arrival changes them otherwise than exactly. For
    these `recall` brings the states of the last arrival to a step, with what depends on the number of steps
    between them from the tables `gaps`. `learned` are constants that get a gradient, `through_spikes` says
    that spikes are worth something by what they leave in the states.
    """

    index: int
    states: tuple[str, ...]
    constants: tuple[str, ...]
    weight: str
    summed: bool = False
    read: tuple[str, ...] = ()
    units: list = field(default_factory=list)
    advance: list = field(default_factory=list)
    catch_up: list = field(default_factory=list)
    before: list = field(default_factory=list)
    sent: str = ""
    after: list = field(default_factory=list)
    # backward pass
    through_states: bool = False
    fixed_flow: list = field(default_factory=list)
    amplitude: str = ""
    amplitude_by: dict = field(default_factory=dict)
    jump: dict = field(default_factory=dict)
    arrival: dict = field(default_factory=dict)
    flow: dict = field(default_factory=dict)
    through_spikes: bool = False
    gaps: list = field(default_factory=list)
    recall: list = field(default_factory=list)
    learned: tuple[str, ...] = ()
    sent_by: dict = field(default_factory=dict)
    arrival_by: dict = field(default_factory=dict)
    flow_by: dict = field(default_factory=dict)
    caught_up_by: dict = field(default_factory=dict)

    @property
    def kept_at_arrivals(self) -> bool:
        """Whether the way back finds the states of a step from those after the last arrival."""
        return self.through_states and not (self.advance or self.summed)

    @property
    def steady(self) -> bool:
        """Whether the adjoint between arrivals takes the same linear step for all neurons."""
        is_fixed = set(self.flow.values()) <= {name for name, _ in self.fixed_flow}
        return is_fixed and not self.summed and (self.kept_at_arrivals or not self.learned)


def synapse_code(
    index: int,
    rule: PlasticityRule,
    *,
    gradient: bool,
    through_states: bool,
    learn: tuple[str, ...] = (),
) -> SynapseCode:
    """Translate the strings of a synapse.

    Parameters
    ----------
    index : int
        Number of the connection in the generated file.
    rule : PlasticityRule
        The synapse.
    gradient : bool
        Whether derivatives are wanted.
    through_states : bool
        Whether they go backwards in time through the states to the spikes.
    learn : tuple of str, optional
        Parameters of the synapse that get a gradient.

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
    text = " ".join([code.catch_up, code.advance, code.before, code.sent, code.after])
    names = {*code.states, *code.fixed, *rule.constants, *FUNCTIONS}
    names |= {f"{name}_pre" for name in code.read}
    synapse = SynapseCode(
        index=index,
        states=code.states,
        constants=(*rule.constants, *code.fixed),
        weight=code.weight,
        summed=code.summed,
        read=code.read,
        units=units_and_constants(get_identifiers(text) - names),
        advance=statement_lines(code.advance, code.states),
        catch_up=statement_lines(since_last_update(code.catch_up), code.states),
        before=statement_lines(code.before, code.states),
        sent=rendered(code.sent),
        after=statement_lines(code.after, code.states, code.before),
    )
    if gradient:
        slopes = presynaptic_slopes(rule, learn)
        synapse.amplitude = rendered(slopes.amplitude)
        synapse.through_spikes, synapse.learned = through_states, learn
        synapse.through_states = through_states or bool(learn)
        if synapse.kept_at_arrivals:
            hoister = Hoister({*synapse.constants, "dt"}, set(), lambda name: True)
            synapse.recall = statement_lines(
                code.catch_up, code.states, expression=hoister.expression
            )
            synapse.gaps = hoister.definitions()[0]
        synapse.sent_by = _expressions(slopes.sent_by)
        for by in ("arrival_by", "flow_by", "caught_up_by"):
            setattr(
                synapse,
                by,
                _expressions({" ".join(pair): x for pair, x in getattr(slopes, by).items()}),
            )
        synapse.amplitude_by = _expressions(slopes.amplitude_by)
        synapse.jump = _expressions(slopes.jump)
        # JSON and templates know strings only: "row column"
        synapse.arrival = _expressions({" ".join(pair): x for pair, x in slopes.arrival.items()})
        for pair, text in slopes.flow.items():
            key, value = " ".join(pair), rendered(text)
            if get_identifiers(text) & {"t", *code.states}:
                synapse.flow[key] = value
            else:
                synapse.flow[key] = f"flow_{len(synapse.fixed_flow)}"
                synapse.fixed_flow.append((synapse.flow[key], value))
    return synapse


def check_sum(rule: PlasticityRule, target: NeuronModel, learn: tuple[str, ...] = ()) -> None:
    """Refuse a sum over the synapses whose gradient the backward pass would miss a part of.

    Parameters
    ----------
    rule : PlasticityRule
        The synapse.
    target : NeuronModel
        The postsynaptic neuron.
    learn : tuple of str, optional
        Parameters of the synapse that get a gradient.

    Raises
    ------
    ValueError
        If its threshold or reset reads the sum, or the first step begins with something in it.
    """
    code = presynaptic_code(rule)
    if not code.summed:
        return
    strings = model_code(target)
    if code.target in get_identifiers(f"{strings.threshold} {strings.reset}"):
        raise ValueError(
            message(
                f"the threshold or the reset of {target.name} reads the sum '{code.target}'.",
                f"synapse {rule.name}",
                "Its gradient goes through the equations of the neuron alone.",
                "Let an equation read it, or simulate the network without a rule.",
            )
        )
    values = dict.fromkeys((*code.states, *code.fixed), 0.0) | {"t": 0.0}
    values |= {name: float(value) for name, value in {**rule.constants, **rule.initial}.items()}
    slopes = presynaptic_slopes(rule, learn)
    start = {k: np.asarray(x) for k, x in values.items()}
    if any(evaluate(text, start) for text in (slopes.amplitude, *slopes.sent_by.values())):
        raise ValueError(
            message(
                f"the sum '{code.target}' is not zero when a trial begins.",
                f"synapse {rule.name}",
                "Its gradient begins with the first step.",
                "Let the gates be closed initially, or simulate the network without a rule.",
            )
        )


def synapse_values(
    code: SynapseCode, rule: PlasticityRule, learned: Mapping[str, np.ndarray]
) -> dict[str, float]:
    """Values of the fields that belong to the synapses of one connection, in SI units."""
    values = dict.fromkeys((*code.constants, *code.states), 0.0)
    starts = {**rule.constants, **rule.initial, **learned}
    values |= {name: float(value) for name, value in starts.items()}
    return {f"synapse_{code.index}_{name}": value for name, value in values.items()}


def _expressions(texts: dict[str, str]) -> dict[str, str]:
    return {key: rendered(text) for key, text in texts.items()}


def units_and_constants(names: Iterable[str]) -> list[tuple[str, str]]:
    """Those of some names that are units or constants of Brian2, and their values as C++."""
    names = sorted(names)
    numbers = [(name, float(DEFAULT_UNITS[name])) for name in names if name in DEFAULT_UNITS]
    numbers += [
        (name, float(DEFAULT_CONSTANTS[name].value)) for name in names if name in DEFAULT_CONSTANTS
    ]
    return [(name, repr(value).replace("inf", "INFINITY")) for name, value in numbers]


def statement_lines(
    code: str,
    states: tuple[str, ...],
    earlier: str = "",
    *,
    expression: Callable[[str], str] | None = None,
) -> list[str]:
    """Statements as C++; what is no state is a variable of the block, declared where it is new."""
    expression = expression or rendered
    declared = {name for name, _ in statements(earlier)}
    lines = []
    for name, text in statements(code):
        kind = ""
        if name not in states and name not in declared:
            kind = f"{c_type(ast.parse(text.strip(), mode='eval').body)} "
            declared.add(name)
        lines.append(f"{kind}{OWN}{name} = {expression(text)};")
    return lines
