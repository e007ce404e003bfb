"""Plain-numpy plasticity rules: event loops and Euler loops, and closed forms for regular trains.

Nothing here uses Brian2 or neurosnn. Times are in ms, step numbers are whole. Of two spikes of the
same time the presynaptic one is handled first.
"""

from __future__ import annotations

import numpy as np


def events(pre, post):
    """All spikes in order, as (time, "pre" or "post")."""
    return sorted(
        [(t, "pre") for t in pre] + [(t, "post") for t in post],
        key=lambda e: (e[0], e[1] == "post"),
    )


class Trace:
    """A trace that decays exponentially, and adds up or is set to 1 at a spike."""

    def __init__(self, tau, nearest=False):
        self.tau, self.nearest, self.value, self.time = tau, nearest, 0.0, 0.0

    def at(self, time):
        return self.value * np.exp(-(time - self.time) / self.tau)

    def spike(self, time):
        self.value = 1.0 if self.nearest else self.at(time) + 1.0
        self.time = time


def pair(
    pre, post, *, A_plus, A_minus, tau_plus, tau_minus, w, low=0.0, high=1.0, nearest=False, mu=0.0
):
    """Weight after all spikes of pair STDP; mu > 0 for soft bounds."""
    x, y = Trace(tau_plus, nearest), Trace(tau_minus, nearest)
    for time, side in events(pre, post):
        if side == "pre":
            w += A_minus * y.at(time) * ((w - low) / (high - low)) ** mu
            x.spike(time)
        else:
            w += A_plus * x.at(time) * ((high - w) / (high - low)) ** mu
            y.spike(time)
        w = min(max(w, low), high)
    return w


def triplet(
    pre,
    post,
    *,
    A2_plus,
    A3_plus,
    A2_minus,
    A3_minus,
    tau_plus,
    tau_minus,
    tau_x,
    tau_y,
    w,
    nearest,
):
    """Weight after all spikes of triplet STDP, without bounds."""
    r1, r2 = Trace(tau_plus, nearest), Trace(tau_x, nearest)
    o1, o2 = Trace(tau_minus, nearest), Trace(tau_y, nearest)
    for time, side in events(pre, post):
        if side == "pre":
            w -= o1.at(time) * (A2_minus + A3_minus * r2.at(time))
            r1.spike(time)
            r2.spike(time)
        else:
            w += r1.at(time) * (A2_plus + A3_plus * o2.at(time))
            o1.spike(time)
            o2.spike(time)
    return w


def periodic_triplet(
    interval, lag, n, *, A2_plus, A3_plus, A2_minus, A3_minus, tau_plus, tau_minus, tau_x, tau_y
):
    """Change by n pairs, all-to-all, by geometric sums; interval and lag in ms, 0 < |lag| < interval."""
    k = np.arange(n)

    def past(tau, shift, n_spikes):
        """Sum of exp(-(shift + m*interval)/tau) for m = 0 ... n_spikes - 1."""
        q = np.exp(-interval / tau)
        return np.exp(-shift / tau) * (1 - q**n_spikes) / (1 - q)

    after_own = {tau: past(tau, interval, k) for tau in (tau_x, tau_y)}
    if lag > 0:
        r1, o1 = past(tau_plus, lag, k + 1), past(tau_minus, interval - lag, k)
    else:
        r1, o1 = past(tau_plus, interval + lag, k), past(tau_minus, -lag, k + 1)
    plus = r1 * (A2_plus + A3_plus * after_own[tau_y])
    minus = o1 * (A2_minus + A3_minus * after_own[tau_x])
    return plus.sum() - minus.sum()


def inhibitory(pre, post, *, eta, alpha, tau, w):
    """Weight after all spikes of the rule of Vogels et al. 2011, without bounds."""
    x, y = Trace(tau), Trace(tau)
    for time, side in events(pre, post):
        if side == "pre":
            w += eta * (y.at(time) - alpha)
            x.spike(time)
        else:
            w += eta * x.at(time)
            y.spike(time)
    return w


def reward(pre, post, m, *, A_plus, A_minus, tau_plus, tau_minus, tau_c, dt, w, substeps=2000):
    """Weight under dw/dt = m(t) c/tau_c with the reward m(t), a function of ms; trapezoidal rule.

    Returns the weight at the end of ``m.shape[0]`` steps of length dt.
    """
    c, kicks = 0.0, {}
    x, y = Trace(tau_plus), Trace(tau_minus)
    for time, side in events(pre, post):
        change = A_minus * y.at(time) if side == "pre" else A_plus * x.at(time)
        kicks[round(time / dt)] = kicks.get(round(time / dt), 0.0) + change
        (x if side == "pre" else y).spike(time)
    for step, values in enumerate(m):
        # values: reward at the start of the step and its factor per ms inside of it
        start, rate = values
        s = np.linspace(0, dt, substeps + 1)
        f = start * np.exp(-rate * s) * c * np.exp(-s / tau_c) / tau_c
        w += np.sum((f[1:] + f[:-1]) / 2) * dt / substeps
        c = c * np.exp(-dt / tau_c) + kicks.get(step, 0.0)
    return w


def voltage(
    u, pre_steps, *, theta_minus, theta_plus, A_LTD, A_LTP, tau_x, tau_minus, tau_plus, dt, w, u0
):
    """Weights (n_steps,) of the rule of Clopath et al. 2010 by Euler steps, in mV and ms.

    u: voltage of each step, after the update of the neuron. pre_steps: steps with a presynaptic spike.
    """
    x, u_minus, u_plus, course = 0.0, u0, u0, []
    for step, v in enumerate(u):
        change = A_LTP * x / tau_x * max(v - theta_plus, 0.0) * max(u_plus - theta_minus, 0.0) * dt
        x += -x / tau_x * dt
        u_minus, u_plus = (
            u_minus + (v - u_minus) / tau_minus * dt,
            u_plus + (v - u_plus) / tau_plus * dt,
        )
        w = min(max(w + change, 0.0), 1.0)
        if step in pre_steps:
            w = min(max(w - A_LTD * max(u_minus - theta_minus, 0.0), 0.0), 1.0)
            x += 1
        course.append(w)
    return np.array(course)
