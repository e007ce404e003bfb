"""Surrogates that name the margin of the threshold, or how far a spike moves it, without writing them out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sympy
from brian2.equations.equations import SUBEXPRESSION
from brian2.utils.stringtools import get_identifiers, word_substitute

from neurosnn.core.messages import message
from neurosnn.core.symbolic import (
    MARK,
    expand,
    run_symbolically,
    substitute,
    symbol,
    to_string,
    to_symbolic,
)
from neurosnn.model.margin import margin_and_gate

if TYPE_CHECKING:
    from neurosnn.model.neuron import NeuronModel

__all__ = ["MARGIN", "WIDTH", "jump_of_margin", "margin_of_model", "written_surrogate"]

#: What stands in a surrogate for the margin of the threshold, and for how far a spike moves it.
MARGIN, WIDTH = f"{MARK}margin", f"{MARK}width"


def margin_of_model(model: NeuronModel) -> str:
    """The margin of the one condition of the threshold that involves states of the model."""
    always = () if model.refractory is False else ("not_refractory",)
    return margin_and_gate(model.threshold, model.states, model.name, always)[0]


def jump_of_margin(model: NeuronModel, margin: str) -> str:
    """How far a spike moves the margin, which has the unit and the scale of the model.

    From the threshold (margin 0) if that is the same for all states, else from where the neuron is; empty if
    both depend on the state.
    """
    definitions = {
        equation.varname: equation.expr.code
        for equation in model.brian_equations.values()
        if equation.type == SUBEXPRESSION and equation.varname not in model.held
    }
    before = {name: symbol(name) for name in model.states}
    g = to_symbolic(expand(margin, definitions))
    after = substitute(g, run_symbolically(expand(model.reset, definitions), before))
    states = set(before.values())
    for width in (-after, g - after):
        if width != 0 and not width.free_symbols & states:
            return to_string(sympy.expand(width))
    return ""


def written_surrogate(model: NeuronModel) -> str:
    """The surrogate of a model with the margin, and the default width, written out.

    Raises
    ------
    ValueError
        If the threshold has no margin, or the width is asked for and depends on the state.
    """
    names = get_identifiers(model.surrogate)
    if not model.threshold or not names & {MARGIN, WIDTH}:
        return model.surrogate
    margin = margin_of_model(model)
    replacements = {MARGIN: margin}
    if WIDTH in names:
        width = jump_of_margin(model, margin)
        if not width:
            raise ValueError(
                message(
                    "the surrogate has no width.",
                    model.name,
                    "By default it is as wide as a spike moves the margin of the threshold, and here that "
                    "depends on the state.",
                    "Give it, for example surrogates.triangle(width=10*mV), in the unit of "
                    f"{margin}.",
                )
            )
        replacements[WIDTH] = width
    return word_substitute(model.surrogate, replacements)
