"""One neuron without a time grid, for any flow, threshold, reset and refractory period.

The state is an array in SI units. It is integrated by RK4 from event to event; spikes and ends of rest
are roots, found to rounding. Differences of what comes out are therefore exact to about 1e-6.
"""

from dataclasses import dataclass

import numpy as np

__all__ = ["HybridNeuron", "area", "cross_entropy", "spike_times"]


@dataclass(frozen=True)
class HybridNeuron:
    """Functions of the time t (s), the state h and the time `last` of the last spike.

    `flow(t, h, last, free)` is dh/dt, the neuron spikes where `margin(t, h, last)` rises above zero and
    jumps to `jump(t, h)`; then it rests until `rest(t, h, last)` is above zero (None: not at all). Input
    adds to the last element of h, or is dropped at rest if `gated`.
    """

    flow: object
    margin: object
    jump: object
    rest: object = None
    initial: tuple = (0.0, 0.0)
    gated: bool = False
    step: float = 20e-6


def spike_times(neuron, times, weights, duration):
    """Times of the spikes when input spikes of these weights arrive at these times, in their order."""
    h, t, last, free = np.array(neuron.initial, float), 0.0, -1e4, True
    spikes = []
    arrivals = [*zip(times, weights, strict=True), (duration, None)]
    for arrival, w in arrivals:
        while t < arrival:
            t, h, event = _to_event(neuron, t, h, last, free, arrival)
            if event == "release":
                free = True
                event = "spike" if neuron.margin(t, h, last) > 0 else ""  # it has waited
            if event == "spike":
                spikes.append(t)
                last, h = t, np.array(neuron.jump(t, h), float)
                free = neuron.rest is None or neuron.rest(t, h, last) > 0
                assert not free or neuron.margin(t, h, last) <= 0, "the reset ends in a spike"
        if w is not None and (free or not neuron.gated):
            h[-1] += w
    return np.array(spikes)


def _to_event(neuron, t, h, last, free, end):
    """Integrate to the next spike or end of rest, or to `end`."""
    while t < end:
        part = min(neuron.step, end - t)
        after = _rk4(neuron, t, h, last, free, part)

        def distance(at, state):
            return neuron.margin(at, state, last) if free else neuron.rest(at, state, last)

        if (free or neuron.rest is not None) and distance(t + part, after) > 0:
            low, high = 0.0, part
            for _ in range(60):
                middle = (low + high) / 2
                state = _rk4(neuron, t, h, last, free, middle)
                low, high = (low, middle) if distance(t + middle, state) > 0 else (middle, high)
            return t + high, _rk4(neuron, t, h, last, free, high), "spike" if free else "release"
        t, h = (end if part == end - t else t + part), after
    return t, h, ""


def _rk4(neuron, t, h, last, free, step):
    def f(at, state):
        return np.array(neuron.flow(at, state, last, free))

    k1 = f(t, h)
    k2 = f(t + step / 2, h + step / 2 * k1)
    k3 = f(t + step / 2, h + step / 2 * k2)
    k4 = f(t + step, h + step * k3)
    return h + step / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


def area(times, duration, tau_m=20e-3, tau_s=5e-3):
    """Time average of ``tau_m dy/dt = I - y, tau_s dI/dt = -I`` after unit jumps of I at `times`."""
    left = duration - np.asarray(times)
    c = tau_s / (tau_s - tau_m)
    slow, fast = (tau * -np.expm1(-left / tau) for tau in (tau_m, tau_s))
    return c * (fast - slow).sum() / duration


def cross_entropy(scores, label):
    """-log softmax(scores)[label]."""
    return np.log(np.exp(scores - scores[label]).sum())
