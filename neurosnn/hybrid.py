r"""A neuron as a hybrid system: a smooth flow between spikes, a jump at each of them.

Between events the state follows dh/dt = f(h); at a spike, where the margin g(h) of the threshold
reaches zero, it jumps to R(h). The time of the spike depends on the state, so a small change of h
before the spike changes h after it by the saltation matrix

.. math::  S = R_h + \frac{(f^+ - R_h f^-)\, g_h^T}{g_h \cdot f^-}

with f- before and f+ after the jump. EventProp (Wunderlich & Pehle 2021) is the transpose of this
map, run backwards in time. The same holds for the whole network, where f+ - R_h f- also counts the
change of the flow of every neuron that the spike reaches.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import sympy
from brian2.equations.refractory import add_refractoriness
from brian2.utils.stringtools import get_identifiers

from neurosnn.calculus import margin_of, model_code, refuse_noise
from neurosnn.checks import message
from neurosnn.model import NeuronModel
from neurosnn.symbolic import (
    differentiate,
    expand,
    run_symbolically,
    symbol,
    to_string,
    to_symbolic,
)

__all__ = ["HybridMap", "hybrid_map"]


@dataclass(frozen=True, eq=False)
class HybridMap:
    """Flow, jump and their derivatives, as Brian2 expressions of the state.

    Attributes
    ----------
    states : tuple of str
        Variables with dynamics.
    transition : dict of (str, str) to str
        Derivative of a time step without spikes, by (row, column), at the start of the step.
    flow : dict of str to str
        f, by state.
    input_slope : dict of (str, str) to str
        Change of f per unit of an input variable, by (state, input variable).
    crossing : str
        g, which reaches zero at a spike; empty without a threshold.
    margin : dict of str to str
        g_h.
    reset : dict of str to str
        R(h), by state.
    reset_slope : dict of (str, str) to str
        R_h.
    held : tuple of str
        States that stand still while refractory; their flow jumps when the period ends.
    parameters : dict of str to dict of str to str
        Direct effect of a parameter on the state after a step.
    """

    model: NeuronModel
    states: tuple[str, ...]
    transition: dict[tuple[str, str], str]
    flow: dict[str, str]
    input_slope: dict[tuple[str, str], str]
    crossing: str
    margin: dict[str, str]
    reset: dict[str, str]
    reset_slope: dict[tuple[str, str], str]
    held: tuple[str, ...] = ()
    parameters: dict[str, dict[str, str]] = field(default_factory=dict)


@lru_cache(maxsize=64)
def hybrid_map(model: NeuronModel, learn: tuple[str, ...] = ()) -> HybridMap:
    """Derive flow, jump and derivatives of a model.

    Parameters
    ----------
    model : NeuronModel
        A spiking model or a readout with differential equations.
    learn : tuple of str, optional
        Parameters whose sensitivities are wanted.

    Returns
    -------
    HybridMap
        Brian2 expressions.

    Raises
    ------
    ValueError
        If the model has `step` code (a recursion has no flow), noise, a threshold that is not one
        comparison, or an input that moves the threshold margin at once (then a spike time is the
        time of an arrival and has no gradient).

    Examples
    --------
    >>> from neurosnn import equations
    >>> from neurosnn.hybrid import hybrid_map
    >>> hybrid_map(equations.CurrentLIF()).flow["v"]
    '(I - v)/tau_m'
    """
    refuse_noise(model)

    def refuse(what: str, why: str, fix: str):
        raise ValueError(message(what, model.name, why, fix))

    if model.step.strip():
        refuse(
            "the model has step code.",
            "EventProp differentiates the flow between spikes, and a recursion has none.",
            "Write the model with differential equations, for example equations.CurrentLIF().",
        )
    code = model_code(model, held=False)
    equations = model.brian_equations
    if model.refractory is not False:
        equations = add_refractoriness(equations)
    subexpressions = {name: equations[name].expr.code for name in equations.subexpr_names}
    states = tuple(name for name in model.states if name in equations.diff_eq_names)
    still = [name for name in model.inputs if name not in states]
    if still:
        refuse(
            f"the input variable '{still[0]}' has no differential equation.",
            "EventProp needs the flow that a spike changes.",
            "Let presynaptic spikes add to a synaptic current or conductance.",
        )
    flow = {name: to_symbolic(expand(equations[name].expr.code, subexpressions)) for name in states}
    here = {name: symbol(name) for name in model.states}
    free = to_symbolic("int(not_refractory)")
    after_update = run_symbolically(code.update, here)
    for name in code.conditional:
        moving = after_update[name].xreplace({free: sympy.S.One})
        after_update[name] = free * moving + (1 - free) * here[name]
    after_reset = run_symbolically(code.reset, here)
    margin, crossing = {}, ""
    if model.threshold:
        crossing = margin_of(code.threshold, model.name)
        g = to_symbolic(crossing)
        margin = {name: differentiate(g, name) for name in states}
        for name in model.inputs:
            if margin[name] != 0:
                refuse(
                    f"spikes add to '{name}', which stands in the threshold.",
                    "The neuron then fires at the arrival of a spike, whose time does not depend "
                    "on the weight.",
                    "Let presynaptic spikes add to a synaptic current, for example "
                    "equations.CurrentLIF().",
                )

    for row in states:
        for channel in model.inputs:
            if differentiate(differentiate(flow[row], channel), channel) != 0:
                refuse(
                    f"the flow of '{row}' is not linear in the input '{channel}'.",
                    "The change of the flow at an arrival is then not proportional to the weight.",
                    "Let the flow depend on the input linearly, as on a current or a conductance.",
                )
    for name in learn:
        if name in get_identifiers(f"{code.threshold} {code.reset} {code.refractory}"):
            refuse(
                f"'{name}' stands in the threshold, the reset or the refractory period.",
                "EventProp derives gradients of parameters of the flow.",
                "Learn a time constant, or use EProp for this parameter.",
            )

    def strings(entries):
        return {key: to_string(value) for key, value in entries.items() if value != 0}

    pairs = [(row, column) for row in states for column in states]
    return HybridMap(
        model=model,
        states=states,
        transition=strings({(r, c): differentiate(after_update[r], c) for r, c in pairs}),
        flow={name: to_string(value) for name, value in flow.items()},
        input_slope=strings(
            {(r, c): differentiate(flow[r], c) for r in states for c in model.inputs}
        ),
        crossing=crossing,
        margin=strings(margin),
        reset={name: to_string(after_reset[name]) for name in states},
        reset_slope=strings({(r, c): differentiate(after_reset[r], c) for r, c in pairs}),
        held=code.conditional,
        parameters={
            name: strings({row: differentiate(after_update[row], name) for row in states})
            for name in learn
        },
    )
