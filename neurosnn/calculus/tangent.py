r"""Derivatives of a neuron's trajectory by its parameters, carried forward in time.

Let h be the state at the start of a step and :math:`d = dh/d\theta` its derivative by a parameter. A step
is a state update U, and a reset R where the neuron spikes:

.. math::
    d \leftarrow \frac{\partial U}{\partial h}\,d + \frac{\partial U}{\partial\theta}, \qquad
    d \leftarrow \frac{\partial R}{\partial h}\,d + \frac{\partial R}{\partial\theta}

The time of a spike moves as well. Where the margin g of the threshold rises at the rate :math:`\dot g`, by

.. math::
    \sigma = -\frac{1}{\dot g}
    \left(\frac{\partial g}{\partial h}\,d + \frac{\partial g}{\partial\theta}\right)

and a spike that is :math:`\sigma` later leaves the state
:math:`\partial R/\partial h\,f^- \sigma - f^+ \sigma` further, with the velocities :math:`f^-, f^+`
before and after it (saltation). No surrogate is needed: these are the derivatives of the trajectory itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import sympy
from brian2.units.allunits import second
from brian2.units.fundamentalunits import Quantity
from brian2.utils.stringtools import word_substitute

from neurosnn.calculus.chain import Chain, Statements, nonzero_strings
from neurosnn.calculus.step import OPEN, model_code, refuse_gsl, refuse_noise, refuse_unknown
from neurosnn.core.symbolic import (
    differentiate,
    run_symbolically,
    substitute,
    symbol,
    to_symbolic,
)
from neurosnn.model import NeuronModel
from neurosnn.model.margin import margin_and_gate
from neurosnn.model.timed import refuse_timed_arrays

__all__ = ["TangentMap", "tangent_map"]


@dataclass(frozen=True, eq=False)
class TangentMap:
    """Derivatives of one step by states and parameters, as Brian2 expressions. Zeros are left out.

    Attributes
    ----------
    states : tuple of str
        Variables with a derivative.
    intermediate : tuple of (str, str)
        Values that transition and effect read, in the order of their computation.
    transition : dict of (str, str) to str
        dU/dh by (row, column), at the start of a step, when ``not_refractory`` is already updated.
    effect : dict of (str, str) to str
        dU/dtheta by (row, parameter), at the same moment.
    margin : str
        The margin g of the threshold; empty without one.
    margin_slope, margin_effect : dict of str to str
        Its derivatives by state and by parameter, right after the state update.
    reset_slope, reset_effect : dict of (str, str) to str
        dR/dh and dR/dtheta, right before the reset.
    period_effect : dict of str to str
        Derivative of the refractory period by a parameter.
    initial_effect : dict of (str, str) to str
        Derivative of the initial values by a parameter.
    """

    states: tuple[str, ...]
    intermediate: Statements
    transition: dict[tuple[str, str], str]
    effect: dict[tuple[str, str], str]
    margin: str
    margin_slope: dict[str, str]
    margin_effect: dict[str, str]
    reset_slope: dict[tuple[str, str], str]
    reset_effect: dict[tuple[str, str], str]
    period_effect: dict[str, str]
    initial_effect: dict[tuple[str, str], str]


def tangent_map(
    model: NeuronModel, names: tuple[str, ...], clamped: tuple[str, ...] = ()
) -> TangentMap:
    """Derive how a step carries derivatives by parameters.

    Parameters
    ----------
    model : NeuronModel
        A model with or without spikes. No surrogate is needed.
    names : tuple of str
        Parameters.
    clamped : tuple of str, optional
        States that are set from outside at the start of each step.

    Returns
    -------
    TangentMap
        The derivatives as Brian2 expressions.

    Raises
    ------
    ValueError
        For noise, a method of the GSL library, a function without a known derivative, a threshold that
        is not one comparison, a name that is no parameter.

    Examples
    --------
    >>> from neurosnn import equations
    >>> from neurosnn.calculus.tangent import tangent_map
    >>> tangent_map(equations.AdEx(), ("b",)).reset_effect
    {('w', 'b'): '1'}
    """
    refuse_noise(
        model, why="The trace of a fit is one trajectory, and its noise would be another one."
    )
    refuse_gsl(model)
    refuse_timed_arrays(
        model,
        why="A fit drives the neuron with the current of each recorded trial.",
        fix="Pass the values as current=, and let an equation declare the variable.",
    )
    refuse_unknown(model, names)
    code = model_code(model)
    real = tuple(filter(model.is_real, model.states))
    symbols = {name: symbol(name) for name in model.states}
    at_start = run_symbolically(word_substitute(code.start, {"not_refractory": OPEN}), symbols)
    chain = Chain(at_start, code.conditional)
    chain.run(code.update)
    chain.run(code.step)
    after = chain.values
    transition = {
        (row, column): chain.derivative(after[row], column) for row in real for column in real
    }
    effect = {(row, name): chain.derivative(after[row], name) for row in real for name in names}
    constant = {
        name
        for name in clamped
        if not any(transition.get((name, column), 0) != 0 for column in real if column != name)
        and not any(effect[name, parameter] != 0 for parameter in names if name in real)
    }
    initial_effect = _initial_effect(model, names)
    reset = run_symbolically(code.reset, symbols)
    # what neither a parameter nor the time of a spike can move has no derivative
    moved = {
        row for part in (effect, initial_effect) for (row, _), value in part.items() if value != 0
    }
    moved |= {name for name in real if reset[name] != symbols[name] or name in code.conditional}
    before = None
    while moved != before:
        before = set(moved)
        moved |= {
            row for (row, column), value in transition.items() if value != 0 and column in before
        }
    states = tuple(name for name in real if name in moved - constant)
    entries = [
        nonzero_strings(
            {(row, by): value for (row, by), value in part.items() if {row, by} <= allowed}
        )
        for part, allowed in ((transition, set(states)), (effect, {*states, *names}))
    ]
    margin = margin_and_gate(code.threshold, states, model.name)[0] if model.threshold else ""
    height = to_symbolic(margin) if margin else sympy.S.Zero
    return TangentMap(
        states=states,
        intermediate=chain.statements_for(*entries),
        transition=entries[0],
        effect=entries[1],
        margin=margin,
        margin_slope=nonzero_strings({name: differentiate(height, name) for name in states}),
        margin_effect=nonzero_strings({name: differentiate(height, name) for name in names}),
        reset_slope=nonzero_strings(
            {
                (row, column): differentiate(reset[row], column)
                for row in states
                for column in states
            }
        ),
        reset_effect=nonzero_strings(
            {(row, name): differentiate(reset[row], name) for row in states for name in names}
        ),
        period_effect=_period_effect(model, names),
        initial_effect=nonzero_strings(
            {key: value for key, value in initial_effect.items() if key[0] in states}
        ),
    )


def _period_effect(model: NeuronModel, names: tuple[str, ...]) -> dict[str, str]:
    """How a refractory period that is a time depends on parameters; a condition has no length."""
    if isinstance(model.refractory, Quantity | bool):
        return {}
    period = to_symbolic(model.refractory)
    if model.namespace.dimensions_of(model.refractory, field="refractory") is not second.dim:
        return {}
    return nonzero_strings({name: differentiate(period, name) for name in names})


def _initial_effect(
    model: NeuronModel, names: tuple[str, ...]
) -> dict[tuple[str, str], sympy.Expr]:
    """Derivatives of the initial values, which are assigned one after the other."""
    values: dict[str, sympy.Expr] = dict.fromkeys(model.states, sympy.S.Zero)
    for name, value in model.initial_code.items():
        expression = to_symbolic(value) if isinstance(value, str) else sympy.Float(float(value))
        values[name] = substitute(expression, values)
    real = filter(model.is_real, model.states)
    return {(row, name): differentiate(values[row], name) for row in real for name in names}
