r"""A neuron as a hybrid system: a smooth flow between spikes, a jump at each of them.

Between events the state follows dh/dt = f(h); at a spike, where the margin g(h) of the threshold
reaches zero, it jumps to R(h). The time of the spike depends on the state, so a small change of h
before the spike changes h after it by the saltation matrix

.. math::  S = R_h + \frac{(f^+ - R_h f^- - R_t)\, g_h^T}{g_h \cdot f^- + g_t}

with f- before and f+ after the jump, and the derivatives R_t and g_t by a time that stands in the
reset or the threshold. EventProp (Wunderlich & Pehle 2021) is the transpose of this map, run backwards
in time. The same holds for the whole network, where f+ - R_h f- also counts the change of the flow of
every neuron that the spike reaches.

Where presynaptic spikes add to a variable c of the margin, an arrival at time a with weight w may itself
make the neuron fire: the state jumps from h to R(h + w e_c), and

.. math::  dh^+ = R_h\,(dh^- + e_c\,dw) + (R_h f(h) + R_t - f^+)\,da

The time of this spike is that of the arrival, whatever the weight: it has no derivative by the weight, which
acts through R_h only, and one of 1 by the time of the presynaptic spike and by the delay. An arrival that
leaves the margin below zero is one as any other. Brian2 tests the threshold before the arrivals of a step,
so on its grid the neuron fires one step after the arrival; the grid's limit for small dt is the system above.
What arrives at one moment is added first, then the threshold is tested, and the spikes of this test reach
their targets without delay before the resets: one round of a cascade, which repeats until nothing fires.
Of several arrivals of one moment the cause is the one, in the order in which they are added, by which
the margin rises above zero for good.

The time of the last spike is one more variable: no flow, and a jump to t. It carries what depends on
it: strings that read ``lastspike``, the end of the refractory period, where the flow jumps, and the
time of a spike that has waited for that end with the margin above zero. Such a spike crosses nothing;
its time is that of the end.

A TimedArray in the flow is a constant that changes at given times. The state is continuous there, and the
times do not depend on it, so that these changes add nothing to the derivatives; the flow before and after a
spike reads the value of the spike's step.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import sympy
from brian2.equations.refractory import add_refractoriness
from brian2.units.allunits import second
from brian2.utils.stringtools import get_identifiers

from neurosnn.calculus.chain import Chain, Statements
from neurosnn.calculus.jumps import first_jump, settled
from neurosnn.calculus.step import OPEN, model_code, refuse_gsl, refuse_noise
from neurosnn.core.messages import message, shortened
from neurosnn.core.symbolic import (
    differentiate,
    expand,
    int_,
    run_symbolically,
    substitute,
    symbol,
    to_string,
    to_symbolic,
)
from neurosnn.model import NeuronModel
from neurosnn.model.margin import margin_of
from neurosnn.model.timed import name_lookups

__all__ = ["HybridMap", "Release", "hybrid_map"]

#: How a flow says that it stands still while refractory.
MOVES = "int(not_refractory)"


@dataclass(frozen=True, eq=False)
class Release:
    """The end of a refractory period, where a margin r rises through zero.

    Attributes
    ----------
    crossing : str
        r: the time since the last spike minus the period, or how far the condition is from holding.
    margin : dict of str to str
        r_h, by state; empty if the period is fixed once the neuron has fired.
    last_spike : str
        Derivative of r by the time of the last spike.
    slope : str
        How fast r rises before the end.
    jump : dict of str to str
        What the flow of a state changes by.
    """

    crossing: str
    margin: dict[str, str]
    last_spike: str
    slope: str
    jump: dict[str, str]


@dataclass(frozen=True, eq=False)
class HybridMap:
    """Flow, jump and their derivatives, as Brian2 expressions of the state.

    Attributes
    ----------
    states : tuple of str
        Variables with dynamics, and those that the reset changes.
    intermediate : tuple of (str, str)
        Values that transition, last_spike and parameters read, in the order of their computation.
    transition : dict of (str, str) to str
        Derivative of a time step without spikes, by (row, column), at the start of the step.
    flow : dict of str to str
        f, by state.
    input_slope : dict of (str, str) to str
        Change of f per unit of an input variable, by (state, input variable); none while the input
        is dropped.
    gated : tuple of str
        Input variables that take no input while refractory.
    direct : tuple of str
        Input variables in the margin: an arrival may make the neuron fire at once.
    reset_inputs : tuple of str
        Input variables that the reset changes: it matters that Brian2 resets after the arrivals.
    last_spike : dict of str to str
        Derivative of a time step without spikes by the time of the last spike, by row.
    crossing : str
        g, which reaches zero at a spike; empty without a threshold.
    margin : dict of str to str
        g_h.
    margin_rate : str
        g_t, for a threshold that depends on the time.
    margin_last_spike : str
        Derivative of g by the time of the last spike.
    reset : dict of str to str
        R(h), by state.
    reset_slope : dict of (str, str) to str
        R_h.
    reset_rate : dict of str to str
        R_t, for a reset that reads the time.
    release : Release, optional
        The end of the refractory period.
    parameters : dict of str to dict of str to str
        Direct effect of a parameter on the state after a step.
    """

    model: NeuronModel
    states: tuple[str, ...]
    intermediate: Statements
    transition: dict[tuple[str, str], str]
    last_spike: dict[str, str]
    flow: dict[str, str]
    input_slope: dict[tuple[str, str], str]
    gated: tuple[str, ...]
    direct: tuple[str, ...]
    reset_inputs: tuple[str, ...]
    crossing: str
    margin: dict[str, str]
    margin_rate: str
    margin_last_spike: str
    reset: dict[str, str]
    reset_slope: dict[tuple[str, str], str]
    reset_rate: dict[str, str]
    release: Release | None = None
    parameters: dict[str, dict[str, str]] = field(default_factory=dict)


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
        If the model has `step` code (a recursion has no flow), noise, a threshold or a refractory
        condition that is not one comparison or reads a TimedArray, a flow or a threshold that is not
        linear in an input, one that jumps where a state crosses a value, or an input that ends a
        refractory period at once.

    Examples
    --------
    >>> from neurosnn import equations
    >>> from neurosnn.calculus.hybrid import hybrid_map
    >>> hybrid_map(equations.CurrentLIF()).flow["v"]
    '(I - v)/tau_m'
    """
    return _hybrid_map(model, tuple(learn))


@lru_cache(maxsize=64)
def _hybrid_map(model: NeuronModel, learn: tuple[str, ...]) -> HybridMap:
    refuse_noise(
        model,
        why="EventProp differentiates a smooth flow between spikes, and noise has no derivative in time.",
    )
    refuse_gsl(model)

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
    lookups = list(code.lookups)
    if any(lookup.name in f"{code.threshold} {code.refractory}" for lookup in lookups):
        refuse(
            "the threshold or the refractory period reads a TimedArray.",
            "A spike may then come from a jump of the array, at a time that depends on nothing.",
            "Let the flow read the array, or use EProp or BPTT.",
        )
    symbols = {name: symbol(name) for name in model.states}
    # Brian2 sets the time of the last spike before the reset
    after_reset = {
        name: substitute(value, {"lastspike": symbol("t")})
        for name, value in run_symbolically(code.reset, symbols).items()
    }
    states = tuple(
        name
        for name in model.states
        if name in equations.diff_eq_names
        or (after_reset[name] != symbols[name] and equations[name].var_type == "float")
    )
    still = [name for name in model.inputs if name not in equations.diff_eq_names]
    if still:
        refuse(
            f"the input variable '{still[0]}' has no differential equation.",
            "EventProp needs the flow that a spike changes.",
            "Let presynaptic spikes add to a synaptic current or conductance.",
        )

    def in_names(text: str) -> str:
        return name_lookups(expand(text, subexpressions), model.timed_arrays, lookups)

    flow = {
        name: _by_flag(to_symbolic(in_names(equations[name].expr.code)))
        if name in equations.diff_eq_names
        else sympy.S.Zero
        for name in states
    }
    free = to_symbolic(MOVES)
    chain = Chain(symbols, code.conditional)
    chain.run(code.update)
    after_update = chain.values
    margin, crossing, g = {}, "", sympy.S.Zero
    if model.threshold:
        crossing = margin_of(code.threshold, model.name)
        g = to_symbolic(crossing)
        margin = {name: differentiate(g, name) for name in states}
        for name in model.inputs:
            if not _constant(margin[name], name):
                refuse(
                    f"the threshold is not linear in '{name}', to which spikes add.",
                    "Which of several arrivals makes the neuron fire is found by taking them away again.",
                    f"Write it as '{name} > threshold', or let spikes add to a synaptic current.",
                )

    release = _release(model, subexpressions, flow)

    def crossed(names: set[str]) -> bool:
        """Whether a surface is crossed between spikes, at a time that depends on the weights."""
        moves = names & set(equations.diff_eq_names)
        return bool(moves or ("t" in names and names & {*states, "lastspike", *learn}))

    quantities = {f"the flow of '{name}'": value for name, value in flow.items()}
    quantities["the threshold"] = g
    if release is not None:
        quantities["the end of the refractory period"] = to_symbolic(release.crossing)
    for quantity, value in quantities.items():
        jump = first_jump(value, crossed)
        if jump:
            refuse(
                f"{quantity} jumps, by {shortened(jump, 100)}, where a state crosses a value.",
                "EventProp takes the jumps at spikes and at the ends of refractory periods, not this one: "
                "its gradient would be wrong.",
                "Write a smooth function, such as 1/(1 + exp((V_h - V)/(1*mV))) for int(V > V_h), or use "
                "EProp or BPTT.",
            )
    for row in states:
        for channel in model.inputs:
            if not _constant(differentiate(flow[row], channel), channel):
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

    gated = tuple(name for name in model.inputs if name in code.conditional)
    slopes = {(row, c): differentiate(flow[row], c) for row in states for c in model.inputs}
    pairs = [(row, column) for row in states for column in states]
    reset_slope = {(r, c): differentiate(after_reset[r], c) for r, c in pairs}

    def commutes(channel: str) -> bool:
        """Whether it makes no difference if the reset comes before or after an arrival."""
        return all(reset_slope[row, channel] == int(row == channel) for row in states)

    transition = _strings({(r, c): chain.derivative(after_update[r], c) for r, c in pairs})
    last_spike = _strings({r: chain.derivative(after_update[r], "lastspike") for r in states})
    effects = {
        name: _strings({row: chain.derivative(after_update[row], name) for row in states})
        for name in learn
    }
    return HybridMap(
        model=model,
        states=states,
        intermediate=chain.statements_for(transition, last_spike, *effects.values()),
        transition=transition,
        last_spike=last_spike,
        flow={name: to_string(value) for name, value in flow.items()},
        input_slope=_strings(
            {
                (r, c): free * slope.xreplace({free: sympy.S.One}) if c in gated else slope
                for (r, c), slope in slopes.items()
            }
        ),
        gated=gated,
        direct=tuple(name for name in model.inputs if margin.get(name, 0) != 0),
        reset_inputs=tuple(name for name in model.inputs if not commutes(name)),
        crossing=crossing,
        margin=_strings(margin),
        margin_rate=to_string(differentiate(g, "t")),
        margin_last_spike=to_string(differentiate(g, "lastspike")),
        reset={name: to_string(after_reset[name]) for name in states},
        reset_slope=_strings(reset_slope),
        reset_rate=_strings({name: differentiate(after_reset[name], "t") for name in states}),
        release=release,
        parameters=effects,
    )


def _release(model: NeuronModel, subexpressions: dict, flow: dict) -> Release | None:
    """The end of the refractory period of a model that has one."""
    if model.refractory is False:
        return None
    now, last = symbol("t"), symbol("lastspike")
    period = model.refractory
    if not isinstance(period, str):
        r = now - last - to_symbolic(f"{float(period)!r}*second")
    else:
        period = expand(period, subexpressions)
        if model.namespace.dimensions_of(period, field="refractory") is second.dim:
            r = now - last - to_symbolic(period)
        else:
            r = -to_symbolic(_condition_margin(period, model.name))
    moves = to_symbolic(MOVES)
    margin = {name: differentiate(r, name) for name in flow}
    for name in model.inputs:
        if margin[name] != 0:
            raise ValueError(
                message(
                    f"spikes add to '{name}', which the refractory period reads.",
                    model.name,
                    "The period then ends at the arrival of a spike, whose time does not depend on "
                    "the weight.",
                    "Let the period depend on the membrane or on a variable of the reset.",
                )
            )
    # the flow just before: refractory at an end, not so where a longer period begins anew
    before = {name: value.xreplace({moves: symbol(OPEN)}) for name, value in flow.items()}
    return Release(
        crossing=to_string(r),
        margin=_strings(margin),
        last_spike=to_string(differentiate(r, "lastspike")),
        slope=to_string(differentiate(r, "t") + sum(margin[name] * before[name] for name in flow)),
        jump=_strings(
            {
                name: value.xreplace({moves: sympy.S.One}) - value.xreplace({moves: sympy.S.Zero})
                for name, value in flow.items()
            }
        ),
    )


def _constant(slope: sympy.Expr, name: str) -> bool:
    """Whether a slope is the same for all values of a variable; that of clip is not."""
    return symbol(name) not in sympy.expand(slope).free_symbols


def _by_flag(flow: sympy.Expr) -> sympy.Expr:
    """A flow in which the flag of the refractory period stands as `MOVES` only."""
    flag, free = symbol("not_refractory"), to_symbolic(MOVES)

    def split(node: sympy.Expr) -> sympy.Expr:
        with_flag, without_flag = (
            settled(node.xreplace({flag: value})) for value in (sympy.true, sympy.false)
        )
        return free * with_flag + (1 - free) * without_flag

    return flow.replace(
        lambda node: isinstance(node, int_) and node != free and node.has(flag), split
    )


def _condition_margin(condition: str, where: str) -> str:
    try:
        return margin_of(condition, where)
    except ValueError as error:
        raise ValueError(
            message(
                f"the refractory condition {condition!r} is not one comparison.",
                where,
                "EventProp needs the time at which it stops holding, and how that time depends on the "
                "state.",
                "Write it as 'v > -40*mV', or give a time.",
            )
        ) from error


def _strings(entries: dict) -> dict:
    return {key: to_string(value) for key, value in entries.items() if value != 0}
