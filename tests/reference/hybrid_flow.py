"""One neuron of any Brian2 strings without a time grid: spike times to ten digits, and their derivatives.

The flow between events is integrated by DOP853 with its own error control, a spike is the root of the margin
of the threshold, a refractory period ends at lastspike + t_ref. Nothing of neurosnn's derivatives takes part:
the strings are read by Brian2's own parser.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import sympy
from brian2.core.namespace import DEFAULT_UNITS
from brian2.equations.equations import DIFFERENTIAL_EQUATION, Equations
from brian2.parsing.sympytools import str_to_sympy
from scipy.integrate import solve_ivp
from scipy.special import exprel

__all__ = ["Neuron", "Run", "spike_time_slopes"]

TOLERANCE = 1e-11


class Run(NamedTuple):
    """Times of spikes, and for each how the neuron came to it: by crossing, or by the end of its rest."""

    spikes: list[float]
    released: list[bool]
    #: d margin/dt at each crossing.
    slopes: list[float]
    #: All moments at which something happens, for a look at how close they are.
    events: list[float]


class Neuron:
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

    def __init__(self, equations, threshold, reset, *, values, initial, t_ref, inputs):
        own = Equations(equations)
        self.states = [name for name in own.names if own[name].type == DIFFERENTIAL_EQUATION]
        self.held = [own[name].flags == ["unless refractory"] for name in self.states]
        self.start = np.array([initial.get(name, 0.0) for name in self.states])
        self.t_ref, self.where = t_ref, self.states.index(inputs)
        expressions = dict(own.get_substituted_expressions(include_subexpressions=False))
        units = {name: float(unit) for name, unit in DEFAULT_UNITS.items()}
        names = ["t", "lastspike", "not_refractory", *self.states]

        def compiled(text):
            expression = str_to_sympy(text)
            fixed = {
                s: (values | units)[s.name] for s in expression.free_symbols if s.name not in names
            }
            symbols = {s.name: s for s in expression.free_symbols}
            order = [symbols.get(name, sympy.Symbol(f"unused_{name}")) for name in names]
            return sympy.lambdify(order, expression.subs(fixed), [{"exprel": exprel}, "numpy"])

        self.flow = [compiled(expressions[name].code) for name in self.states]
        for sign in (">=", "<=", ">", "<"):
            left, found, right = threshold.partition(sign)
            if found:
                break
        self.margin = compiled(f"({left}) - ({right})" if ">" in sign else f"({right}) - ({left})")
        self.reset = []
        for line in reset.replace(";", "\n").splitlines():
            if line.strip():
                name, found, text = line.partition("=")
                operator = name.strip()[-1]
                if operator in "+-*/":
                    name = name.strip()[:-1].strip()
                    text = f"{name} {operator} ({text})"
                self.reset.append((self.states.index(name.strip()), compiled(text)))

    def run(self, times, weights, duration) -> Run:
        """A trial with arrivals at `times`, sorted, of `weights`."""
        found = Run([], [], [], [])
        state, now, last, free = self.start.copy(), 0.0, -1e4, True
        arrivals = list(zip(times, weights, strict=True))
        release = np.inf
        scale = np.maximum(np.abs(self.start), 1e-12)
        while now < duration:
            until = min(arrivals[0][0] if arrivals else np.inf, release, duration)
            if until > now:
                state, now, crossed = self._integrate(state, now, until, last, free, scale)
                if crossed:
                    slope = self._slope(state, now, last)
                    state, last, free, release = self._spike(found, state, now, False, slope)
                    if len(found.spikes) > 50:
                        return found
                    continue
            if now >= duration:
                break
            found.events.append(now)
            if release <= now:
                free, release = True, np.inf
                if self.margin(now, last, True, *state) > 0:
                    state, last, free, release = self._spike(found, state, now, True, np.nan)
                    continue
            else:
                _, weight = arrivals.pop(0)
                if free or not self.held[self.where]:
                    state = state.copy()
                    state[self.where] += weight
        return found

    def _f(self, last, free):
        def f(t, h):
            return np.array(
                [
                    0.0 if held and not free else float(g(t, last, free, *h))
                    for g, held in zip(self.flow, self.held, strict=True)
                ]
            )

        return f

    def _slope(self, state, now, last):
        f = self._f(last, True)(now, state)
        h = 1e-9
        return (
            self.margin(now + h, last, True, *(state + h * f))
            - self.margin(now - h, last, True, *(state - h * f))
        ) / (2 * h)

    def _integrate(self, state, now, until, last, free, scale):
        events = None
        if free:

            def events(t, h):
                return float(self.margin(t, last, True, *h))

            events.terminal, events.direction = True, 1
        done = solve_ivp(
            self._f(last, free),
            (now, until),
            state,
            method="DOP853",
            rtol=TOLERANCE,
            atol=TOLERANCE * np.maximum(scale, np.abs(state).max() * 1e-3),
            events=events,
            max_step=2e-3,
        )
        crossed = done.status == 1
        return done.y[:, -1], float(done.t[-1]) if crossed else until, crossed

    def _spike(self, found, state, now, released, slope):
        found.spikes.append(now)
        if not released:
            found.events.append(now)
        found.released.append(released)
        found.slopes.append(float(slope))
        state = state.copy()
        for index, g in self.reset:
            state[index] = float(g(now, now, not self.t_ref, *state))
        return state, now, not self.t_ref, now + self.t_ref if self.t_ref else np.inf


def spike_time_slopes(neuron: Neuron, times, weights, duration, *, relative=1e-5):
    """d(spike times)/d(each weight), (arrivals, spikes); NaN where a spike appears or vanishes."""
    base = neuron.run(times, weights, duration)
    slopes = np.full((len(weights), len(base.spikes)), np.nan)
    for k in range(len(weights)):
        step = relative * abs(weights[k])
        two = []
        for sign in (1, -1):
            changed = np.array(weights, float)
            changed[k] += sign * step
            two.append(neuron.run(times, changed, duration))
        if all(run.released == base.released for run in two):
            slopes[k] = (np.array(two[0].spikes) - np.array(two[1].spikes)) / (2 * step)
    return base, slopes
