"""One neuron without a time grid, for any flow, threshold, reset and refractory period.

The state is an array in SI units. The flow between events is integrated by DOP853 with its own error
control; spikes and ends of rest are roots, found to rounding: spike times have ten digits, and differences of
what comes out six. The neuron is given as functions (`HybridNeuron`) or as Brian2 strings (`of_strings`,
read by Brian2's own parser): nothing of neurosnn's derivatives takes part.
"""

import functools
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import sympy
from brian2.core.namespace import DEFAULT_UNITS
from brian2.equations.equations import DIFFERENTIAL_EQUATION, Equations
from brian2.parsing.sympytools import str_to_sympy
from scipy.integrate import solve_ivp
from scipy.special import exprel

__all__ = [
    "HybridNeuron",
    "Run",
    "area",
    "cross_entropy",
    "of_strings",
    "run",
    "spike_time_slopes",
    "spike_times",
]

TOLERANCE = 1e-10
#: A neuron with more spikes is of no use in a test.
MOST = 50


@dataclass(frozen=True)
class HybridNeuron:
    """Functions of the time t (s), the state h and the time `last` of the last spike.

    `flow(t, h, last, free)` is dh/dt, the neuron spikes where `margin(t, h, last)` rises above zero and
    jumps to `jump(t, h)`; then it rests until `rest(t, h, last)` is above zero (None: not at all). Input
    adds to the element `arrives` of h, or is dropped at rest if `gated`.
    """

    flow: object
    margin: object
    jump: object
    rest: object = None
    initial: tuple = (0.0, 0.0)
    gated: bool = False
    arrives: int = -1
    #: Longest step of the integration (s), in which the margin must not rise and fall again.
    step: float = 2e-3


class Run(NamedTuple):
    """Times of spikes, and for each how the neuron came to it: by crossing, or by the end of its rest."""

    spikes: list[float]
    released: list[bool]
    #: d margin/dt at each crossing, NaN for a spike that has waited.
    slopes: list[float]
    #: All moments at which something happens, for a look at how close they are.
    events: list[float]
    #: The margin at each spike.
    heights: list[float]


def run(neuron, times, weights, duration):
    """A trial in which input spikes of these weights arrive at these times, in their order."""
    h, t, last, free = np.array(neuron.initial, float), 0.0, -1e4, True
    found = Run([], [], [], [], [])
    for arrival, w in [*zip(times, weights, strict=True), (duration, None)]:
        while t < arrival and len(found.spikes) <= MOST:
            t, h, event = _to_event(neuron, t, h, last, free, arrival)
            if not event:
                continue
            found.events.append(t)
            waited = event == "release" and neuron.margin(t, h, last) > 0
            if event == "spike" or waited:
                found.spikes.append(t)
                found.released.append(waited)
                found.heights.append(float(neuron.margin(t, h, last)))
                found.slopes.append(np.nan if waited else _slope(neuron, t, h, last))
                last, h = t, np.array(neuron.jump(t, h), float)
                free = neuron.rest is None or neuron.rest(t, h, last) > 0
                assert not free or neuron.margin(t, h, last) <= 0, "the reset ends in a spike"
            else:
                free = True
        if w is not None:
            found.events.append(t)
            if free or not neuron.gated:
                h[neuron.arrives] += w
    return found


def spike_times(neuron, times, weights, duration):
    """Only the times of the spikes."""
    return np.array(run(neuron, times, weights, duration).spikes)


def spike_time_slopes(neuron, times, weights, duration, *, relative=1e-5, directions=None):
    """A run and d(spike times)/d(weights); NaN where a spike appears or vanishes.

    Along each row of `directions`, in the unit of the weights; None: along each weight. The result has
    the shape (directions, spikes).
    """
    weights = np.array(weights, float)
    if directions is None:
        directions = np.eye(len(weights))
    base = run(neuron, times, weights, duration)
    slopes = np.full((len(directions), len(base.spikes)), np.nan)
    for k, direction in enumerate(directions):
        step = relative * np.abs(weights[direction != 0]).max()
        step /= np.abs(direction).max()
        two = [run(neuron, times, weights + sign * step * direction, duration) for sign in (1, -1)]
        if all(one.released == base.released for one in two):
            slopes[k] = (np.array(two[0].spikes) - np.array(two[1].spikes)) / (2 * step)
    return base, slopes


def _to_event(neuron, t, h, last, free, end):
    """Integrate to the next spike or end of rest, or to `end`."""
    kind = "spike" if free else "release"

    def distance(at, state):
        return float(neuron.margin(at, state, last) if free else neuron.rest(at, state, last))

    distance.terminal, distance.direction = True, 1
    watched = free or neuron.rest is not None
    if watched and distance(t, h) > 0:
        return t, h, kind
    done = solve_ivp(
        lambda at, state: np.array(neuron.flow(at, state, last, free), float),
        (t, end),
        h,
        method="DOP853",
        rtol=TOLERANCE,
        atol=TOLERANCE * np.maximum(np.abs(h), 1e-14),
        events=distance if watched else None,
        max_step=neuron.step,
    )
    assert done.success, done.message
    if done.status == 0:
        return end, done.y[:, -1], ""
    t, h, beyond = float(done.t[-1]), done.y[:, -1], 0.0
    slope = np.array(neuron.flow(t, h, last, free), float)
    while distance(t + beyond, h + beyond * slope) <= 0:  # the root may lie just before
        beyond = max(2 * beyond, np.spacing(t))
    return t + beyond, h + beyond * slope, kind


def _slope(neuron, t, h, last):
    """d margin/dt along the flow."""
    f, step = np.array(neuron.flow(t, h, last, True), float), 1e-9
    after = neuron.margin(t + step, h + step * f, last)
    return float(after - neuron.margin(t - step, h - step * f, last)) / (2 * step)


# -- from strings -------------------------------------------------------------------------------------


def of_strings(equations, threshold, reset, *, values, initial, t_ref, inputs):
    """A neuron by its Brian2 strings; all values in SI units.

    Parameters
    ----------
    equations, threshold, reset : str
        Brian2 strings; the threshold is one comparison.
    values : dict of str to float
        Parameters.
    initial : dict of str to float
    t_ref : float
        Refractory period in seconds.
    inputs : str
        Variable that arrivals add to.
    """
    own = Equations(equations)
    states = [name for name in own.names if own[name].type == DIFFERENTIAL_EQUATION]
    held = [own[name].flags == ["unless refractory"] for name in states]
    expressions = dict(own.get_substituted_expressions(include_subexpressions=False))
    units = {name: float(unit) for name, unit in DEFAULT_UNITS.items()}
    names = ["t", "lastspike", "not_refractory", *states]

    def compiled(*texts):
        expressions = [str_to_sympy(text) for text in texts]
        used = set().union(*(expression.free_symbols for expression in expressions))
        fixed = {s: (values | units)[s.name] for s in used if s.name not in names}
        symbols = {s.name: s for s in used}
        order = [symbols.get(name, sympy.Symbol(f"unused_{name}")) for name in names]
        expressions = [expression.subs(fixed) for expression in expressions]

        @functools.cache
        def function(*modules):
            return sympy.lambdify(order, expressions, [{"exprel": exprel}, *modules], cse=True)

        def value(t, last, free, h):
            try:  # a tenth of the time
                return function("math", "numpy")(float(t), float(last), free, *h.tolist())
            except (ArithmeticError, ValueError):  # numpy has infinities where Python has errors
                return function("numpy")(np.float64(t), np.float64(last), free, *h)

        return value

    derivatives = compiled(*(expressions[name].code for name in states))
    sign = next(sign for sign in (">=", "<=", ">", "<") if sign in threshold)
    left, _, right = threshold.partition(sign)
    margin = compiled(f"({left}) - ({right})" if ">" in sign else f"({right}) - ({left})")
    statements = []
    for line in filter(str.strip, reset.replace(";", "\n").splitlines()):
        name, _, text = line.partition("=")
        name = name.strip()
        if name[-1] in "+-*/":
            text = f"{name[:-1]} {name[-1]} ({text})"
            name = name[:-1].strip()
        statements.append((states.index(name), compiled(text)))

    def flow(t, h, last, free):
        slopes = derivatives(t, last, free, h)
        if free:
            return slopes
        return [0.0 if stays else f for f, stays in zip(slopes, held, strict=True)]

    def jump(t, h):
        h = h.copy()
        for index, g in statements:
            h[index] = g(t, t, not t_ref, h)[0]
        return h

    where = states.index(inputs)
    return HybridNeuron(
        flow=flow,
        margin=lambda t, h, last: margin(t, last, True, h)[0],
        jump=jump,
        rest=(lambda t, h, last: t - last - t_ref) if t_ref else None,
        initial=tuple(initial.get(name, 0.0) for name in states),
        gated=held[where],
        arrives=where,
    )


# -- a loss -------------------------------------------------------------------------------------------


def area(times, duration, tau_m=20e-3, tau_s=5e-3):
    """Time average of ``tau_m dy/dt = I - y, tau_s dI/dt = -I`` after unit jumps of I at `times`."""
    left = duration - np.asarray(times)
    c = tau_s / (tau_s - tau_m)
    slow, fast = (tau * -np.expm1(-left / tau) for tau in (tau_m, tau_s))
    return c * (fast - slow).sum() / duration


def cross_entropy(scores, label):
    """-log softmax(scores)[label]."""
    return np.log(np.exp(scores - scores[label]).sum())
