"""Online e-prop: one eligibility vector and one eligibility trace per synapse, step by step.

For a synapse i -> j with presynaptic activity ``z_i`` arriving one step later (van der Veen 2022,
eqs. of LIF / ALIF by Bellec et al. 2020, of STDP-LIF and Izhikevich by Traub et al. 2020)::

    LIF, ALIF, STDP  eps_a^t = psi_j^{t-1} eps_v^{t-1} + (rho - psi_j^{t-1} beta) eps_a^{t-1}
                     eps_v^t = alpha keep_j^t eps_v^{t-1} + z_i^{t-1}
                     e^t     = psi_j^t (eps_v^t - beta eps_a^t)
    Izhikevich       eps_v^t = (1-z_j)(1 + (0.08 v_j + 5) dt) eps_v - dt eps_u + dt z_i   (all t-1)
                     eps_u^t = 0.004 dt (1-z_j) eps_v + (1 - 0.02 dt) eps_u
                     e^t     = psi_j^t eps_v^t
    all              ebar^t  = kappa ebar^{t-1} + e^t
                     G_ji    = sum_t L_j^t ebar_ji^t,   L_r^t = B_r err^t

``keep`` is 1, or 0 in the steps where an STDP neuron is reset.
"""

from dataclasses import dataclass

import numpy as np

from .network_numpy import INPUT, Layer, Network, Projection, Record, forward, loss_and_error

__all__ = [
    "INPUT",
    "Gradients",
    "Layer",
    "Network",
    "Projection",
    "Record",
    "Traces",
    "eprop",
    "feedback_of",
    "forward",
    "learning_signals",
    "loss_and_error",
    "lowpass",
    "rate_error",
    "readout_gradients",
]


@dataclass
class Gradients:
    """Gradients of one trial; lists follow ``net.projections`` and ``net.layers``.

    Attributes
    ----------
    loss : float
    W : list of (post, pre) arrays
        Task gradient of every projection, 0 where there is no synapse.
    W_reg : list of (post, pre) arrays
        Firing-rate regularization gradient of every projection.
    W_out : list of (n_out, n) arrays
    b : (n_out,) array
        Derivative of the loss with respect to the readout bias.
    b_unfiltered : (n_out,) array
        The papers' ``sum_t err^t``; equals `b` when the bias stands outside the recursion.
    """

    loss: float
    W: list
    W_reg: list
    W_out: list
    b: np.ndarray
    b_unfiltered: np.ndarray


@dataclass
class Traces:
    """Per-synapse histories (T, post, pre) of one projection: eligibility vector and traces."""

    eps_v: np.ndarray
    eps_2: np.ndarray
    e: np.ndarray
    ebar: np.ndarray


def lowpass(x, kappa):
    """Filtered copy of `x` along the first axis, ``f^t = kappa f^{t-1} + x^t``."""
    f, out = np.zeros(np.shape(x)[1:]), np.zeros(np.shape(x))
    for t in range(len(x)):
        f = kappa * f + x[t]
        out[t] = f
    return out


def feedback_of(net, kind="symmetric", rng=None):
    """Feedback matrices ``B_r`` (n, n_out): transposed readout, or standard normal numbers."""
    if kind == "symmetric":
        return [W.T.copy() for W in net.W_out]
    if kind == "random":
        return [rng.standard_normal(W.T.shape) for W in net.W_out]
    raise ValueError(f"unknown feedback {kind!r}")


def learning_signals(error, feedback):
    """Learning signal (T, n) of every layer, ``L_j^t = sum_k B_jk err_k^t``."""
    return [error @ B.T for B in feedback]


def readout_gradients(net, rec, error):
    """Gradients of readout weights and bias, exact because the readout is linear."""
    W_out = [error.T @ lowpass(z, net.kappa) for z in rec.z]
    unfiltered = error.sum(axis=0)
    ones = lowpass(np.ones(len(error)), net.kappa) if net.bias_inside else np.ones(len(error))
    return W_out, ones @ error, unfiltered


def rate_error(z, f_target, c_reg, kind):
    """Factor of the rate regularization at every step, (T, n).

    Parameters
    ----------
    z : (T, n) array
        Spikes of the layer.
    f_target : float
        Target rate in spikes per step.
    c_reg : float
    kind : {"trial", "running", "postsynaptic"}
        "trial": ``c_reg (f_av - f_target) / T`` with the mean rate of the whole trial (NEST,
        Bellec's code); "running" and "postsynaptic": ``c_reg (f_av^t - f_target)`` with
        ``f_av^t = 1/t sum_{s<=t} z^s``, t from 1 (van der Veen's code).
    """
    n_steps = len(z)
    if kind == "trial":
        return np.tile(c_reg * (z.mean(axis=0) - f_target) / n_steps, (n_steps, 1))
    if kind not in ("running", "postsynaptic"):
        raise ValueError(f"unknown regularization {kind!r}")
    f_av = np.cumsum(z, axis=0) / np.arange(1, n_steps + 1)[:, None]
    return c_reg * (f_av - f_target)


def next_eligibility(layer, rec, r, t, pre, eps_v, eps_2):
    """Eligibility vector of step `t` from that of step ``t - 1``, and the trace ``e^t``."""

    def column(values):
        return np.broadcast_to(values, (layer.n,))[:, None]

    before = max(t - 1, 0)  # at t = 0 both eps are 0, so these factors do not matter
    psi = rec.psi[r][t][:, None]
    if layer.model == "izhikevich":
        v, z, dt = rec.v[r][before][:, None], rec.z_reset[r][before][:, None], layer.dt
        old_v = eps_v
        eps_v = (1 - z) * (1 + (0.08 * v + 5) * dt) * old_v - dt * eps_2 + dt * pre
        eps_2 = 0.004 * dt * (1 - z) * old_v + (1 - 0.02 * dt) * eps_2
        eps_v = np.clip(eps_v, -layer.clip_v, layer.clip_v)
        eps_2 = np.clip(eps_2, -layer.clip_u, layer.clip_u)
        return eps_v, eps_2, psi * eps_v
    psi_before = rec.psi[r][before][:, None]
    alpha, rho, beta = column(layer.alpha), column(layer.rho), column(layer.beta)
    eps_2 = psi_before * eps_v + (rho - psi_before * beta) * eps_2
    eps_v = alpha * rec.keep[r][t][:, None] * eps_v + pre
    return eps_v, eps_2, psi * (eps_v - beta * eps_2)


def eprop(
    net,
    inputs,
    target,
    *,
    feedback,
    loss="mse",
    weight=None,
    f_target=0.0,
    c_reg=0.0,
    reg="trial",
    currents=None,
    with_traces=False,
):
    """Simulate one trial and accumulate the e-prop gradients online.

    Parameters
    ----------
    net : Network
    inputs : (T, n_in) array
    target : (T, n_out) array
    feedback : list of (n, n_out) arrays
        Broadcast weights of every layer, see `feedback_of`.
    loss, weight
        See `loss_and_error`.
    f_target, c_reg, reg
        Rate regularization, see `rate_error`; with "trial" and "running" the factor multiplies
        ``e^t``, with "postsynaptic" it is the same for all afferent synapses of a neuron.
    currents : list of (T, n) arrays, optional
        Drive of every layer.
    with_traces : bool
        Also return the histories of the eligibility vectors.

    Returns
    -------
    Gradients, Record, list of Traces (empty unless `with_traces`)
    """
    rec = forward(net, inputs, currents)
    value, error = loss_and_error(rec.y, target, loss, weight)
    signals = learning_signals(error, feedback)
    rates = [rate_error(z, f_target, c_reg, reg) for z in rec.z]
    rasters, n_steps = rec.rasters(), len(rec.y)
    task, regular, traces = [], [], []
    for p in net.projections:
        r, layer = p.target, net.layers[p.target]
        eps_v, eps_2, ebar = (np.zeros(p.W.shape) for _ in range(3))
        G, G_reg = np.zeros(p.W.shape), np.zeros(p.W.shape)
        steps = n_steps if with_traces else 0
        history = Traces(*(np.zeros((steps, *p.W.shape)) for _ in range(4)))
        for t in range(n_steps):
            pre = p.pre(rasters, t)
            eps_v, eps_2, e = next_eligibility(layer, rec, r, t, pre, eps_v, eps_2)
            ebar = net.kappa * ebar + e
            G += signals[r][t][:, None] * ebar
            G_reg += rates[r][t][:, None] * (1.0 if reg == "postsynaptic" else e)
            if with_traces:
                for name, now in zip(
                    ("eps_v", "eps_2", "e", "ebar"), (eps_v, eps_2, e, ebar), strict=True
                ):
                    getattr(history, name)[t] = now
        task.append(G * p.mask)
        regular.append(G_reg * p.mask)
        if with_traces:
            traces.append(history)
    W_out, b, unfiltered = readout_gradients(net, rec, error)
    return Gradients(value, task, regular, W_out, b, unfiltered), rec, traces
