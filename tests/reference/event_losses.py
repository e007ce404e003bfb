"""Losses of an exact event-driven run, from the closed form of its outputs.

A spike that arrives at a with weight w adds ``w c (exp(-(t-a)/tau_s) - exp(-(t-a)/tau_m))`` to an
output, with ``c = tau_s/(tau_s - tau_m)``.
"""

import numpy as np

from .event_driven import OUTPUT, root

__all__ = ["first_spike", "first_times", "maximum", "outputs", "weighted"]

#: Points in which a crossing or a maximum is looked for, before it is found to rounding.
SEARCH = 4000
NODES, WEIGHTS = np.polynomial.legendre.leggauss(20)


def _received(net, run):
    """Times and weights (n_spikes, n_out) of what arrives at the outputs."""
    events = [(time, name, neuron) for time, to, name, neuron in run.arrivals if to == OUTPUT]
    return (
        np.array([time for time, *_ in events]),
        np.array([net.links[name].w[neuron] for _, name, neuron in events]),
    )


def outputs(net, run, t):
    """Outputs (n_times, n_out) at times t, and their slopes."""
    arrival, w = _received(net, run)
    since = np.asarray(t)[:, None] - arrival
    past = since > 0
    since = np.where(past, since, 0.0)
    c = net.tau_s / (net.tau_s - net.tau_m)
    fast, slow = np.exp(-since / net.tau_s), np.exp(-since / net.tau_m)
    slope = past * c * (slow / net.tau_m - fast / net.tau_s)
    return (past * c * (fast - slow)) @ w, slope @ w


def first_times(net, run, v_th):
    """When each output first reaches `v_th`, the end of the trial if never, and its slope there."""
    grid = np.linspace(0, net.duration, SEARCH + 1)
    y, _ = outputs(net, run, grid)
    times, slopes = np.full(y.shape[1], net.duration), np.zeros(y.shape[1])
    for k in np.flatnonzero((y >= v_th).any(axis=0)):
        at = int(np.argmax(y[:, k] >= v_th))
        times[k] = root(
            lambda t, k=k, low=grid[at - 1]: outputs(net, run, [low + t])[0][0, k] - v_th,
            0.0,
            grid[at] - grid[at - 1],
        )
        times[k] += grid[at - 1]
        slopes[k] = outputs(net, run, [times[k]])[1][0, k]
    return times, slopes


def _cross_entropy(scores, label):
    return np.log(np.exp(scores - scores[label]).sum())


def first_spike(tau_0, tau_1, alpha, v_th):
    """Cross-entropy of first spike times; all in seconds."""

    def measure(net, run, label):
        times, _ = first_times(net, run, v_th)
        late = alpha * np.expm1(times[label] / tau_1)
        return _cross_entropy(-times / tau_0, label) + late

    return measure


def maximum(net, run, label):
    """Cross-entropy of the largest outputs."""
    grid = np.linspace(0, net.duration, SEARCH + 1)
    y, _ = outputs(net, run, grid)
    scores = y.max(axis=0)
    for k, at in enumerate(np.clip(y.argmax(axis=0), 1, SEARCH - 1)):
        # the maximum is a root of the slope between the neighbours of the best point
        low, high = grid[at - 1], grid[at + 1]
        if outputs(net, run, [low])[1][0, k] > 0 > outputs(net, run, [high])[1][0, k]:
            time = low + root(
                lambda t, k=k, low=low: -outputs(net, run, [low + t])[1][0, k], 0.0, high - low
            )
            scores[k] = max(scores[k], outputs(net, run, [time])[0][0, k])
    return _cross_entropy(scores, label)


def weighted(shape):
    """Cross-entropy of outputs weighted by ``shape(t/T)``, with weights of mean one."""

    def measure(net, run, label):
        arrival, _ = _received(net, run)
        edges = np.unique(np.concatenate([[0.0], arrival, [net.duration]]))
        middle, half = (edges[1:] + edges[:-1]) / 2, np.diff(edges) / 2
        t = (middle[:, None] + half[:, None] * NODES).ravel()
        weight = (half[:, None] * WEIGHTS).ravel() * shape(t / net.duration)
        return _cross_entropy(weight @ outputs(net, run, t)[0] / weight.sum(), label)

    return measure
