"""Backward (adjoint) references: e-prop factored per neuron, and backpropagation through time.

Both use the Jacobian of the neuron's own state ``h = (v, a)`` or ``(v, u)``, in which the reset of
``v`` is not differentiated while the dependence of the adaptation on the own spike is::

    J^t = dh^t/dh^{t-1} = [[alpha keep^t, 0], [psi^{t-1}, rho - psi^{t-1} beta]]     all but
    J^t = [[(1-z)(1 + (0.08 v + 5) dt), -dt], [0.004 dt (1-z), 1 - 0.02 dt]]^{t-1}   Izhikevich
    o^t = dz^t/dh^t     = psi^t (1, -beta)   or   (psi^t, 0)

With ``lambda^t = o^t s^t + (J^{t+1})' lambda^{t+1}`` the gradient is
``G_ji = sum_t lambda_{j,v}^t gain pre_ji^t``.  The two methods differ only in what a spike counts
for, ``s^t``: e-prop takes the learning signal filtered backwards with kappa, and BPTT adds the
effect of the spike on other neurons through their weights.
"""

import numpy as np

from .eprop_numpy import (
    INPUT,
    Gradients,
    forward,
    learning_signals,
    loss_and_error,
    lowpass,
    rate_error,
    readout_gradients,
)


def local_jacobians(layer, rec, r):
    """``J`` (T, n, 2, 2), ``o`` (T, n, 2) and the gain of a presynaptic spike on ``v``."""
    psi, n_steps = rec.psi[r], len(rec.psi[r])
    J, o = np.zeros((n_steps, layer.n, 2, 2)), np.zeros((n_steps, layer.n, 2))
    o[..., 0] = psi
    if layer.model == "izhikevich":
        if np.isfinite([layer.clip_v, layer.clip_u]).any():
            raise ValueError("clipped eligibility vectors have no adjoint")
        v, z, dt = rec.v[r][:-1], rec.z_reset[r][:-1], layer.dt
        J[1:, :, 0, 0] = (1 - z) * (1 + (0.08 * v + 5) * dt)
        J[1:, :, 0, 1] = -dt
        J[1:, :, 1, 0] = 0.004 * dt * (1 - z)
        J[1:, :, 1, 1] = 1 - 0.02 * dt
        return J, o, dt
    o[..., 1] = -layer.beta * psi
    J[..., 0, 0] = layer.alpha * rec.keep[r]
    J[1:, :, 1, 0] = psi[:-1]
    J[1:, :, 1, 1] = layer.rho - psi[:-1] * layer.beta
    return J, o, 1.0


def backwards_lowpass(x, kappa):
    """``f^t = x^t + kappa f^{t+1}``: what an event at t is worth through a kappa filter."""
    return lowpass(x[::-1], kappa)[::-1]


def eprop_factored(
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
):
    """E-prop gradients from one backward pass per neuron instead of traces per synapse.

    Same parameters as `eprop_numpy.eprop`, same numbers up to rounding; the "postsynaptic"
    regularization has no trace and is left to the online form.

    Returns
    -------
    Gradients, Record
    """
    if reg == "postsynaptic":
        raise ValueError("the postsynaptic regularization does not use eligibility traces")
    rec = forward(net, inputs, currents)
    value, error = loss_and_error(rec.y, target, loss, weight)
    signals = learning_signals(error, feedback)
    task = [backwards_lowpass(L, net.kappa) for L in signals]
    rates = [rate_error(z, f_target, c_reg, reg) for z in rec.z]
    W_out, b, unfiltered = readout_gradients(net, rec, error)
    W, W_reg = (
        _contract(net, rec, [_adjoint(net.layers[r], rec, r, s) for r, s in enumerate(worth)])
        for worth in (task, rates)
    )
    return Gradients(value, W, W_reg, W_out, b, unfiltered), rec


def _adjoint(layer, rec, r, s):
    """``gain * lambda_v`` (T, n) of one layer when a spike at t is worth ``s[t]``."""
    J, o, gain = local_jacobians(layer, rec, r)
    lam, out = np.zeros((layer.n, 2)), np.zeros(s.shape)
    for t in range(len(s) - 1, -1, -1):
        lam = o[t] * s[t][:, None] + lam
        out[t] = gain * lam[:, 0]
        lam = np.einsum("nij,ni->nj", J[t], lam)
    return out


def _contract(net, rec, lam_v):
    """Gradients of all projections, ``sum_t lambda_j^t pre_ji^t``."""
    rasters, gradients = rec.rasters(), []
    for p in net.projections:
        G = np.zeros(p.W.shape)
        for t in range(len(rec.y)):
            G += lam_v[p.target][t][:, None] * p.pre(rasters, t)
        gradients.append(G * p.mask)
    return gradients


def bptt(net, inputs, target, *, loss="mse", weight=None, currents=None, frozen=None):
    """Backpropagation through time with psi as the derivative of a spike.

    Parameters
    ----------
    net, inputs, target, loss, weight, currents
        As in `eprop_numpy.eprop`.
    frozen : list of (T, n) arrays, optional
        See `network_numpy.forward`; the returned gradient is then that of the differentiable
        network.

    Returns
    -------
    Gradients, Record
    """
    rec = forward(net, inputs, currents, frozen)
    value, error = loss_and_error(rec.y, target, loss, weight)
    direct = [backwards_lowpass(error @ W, net.kappa) for W in net.W_out]
    jacobians = [local_jacobians(layer, rec, r) for r, layer in enumerate(net.layers)]
    n_steps = len(rec.y)
    lam = [np.zeros((layer.n, 2)) for layer in net.layers]
    lam_v = [np.zeros(z.shape) for z in rec.z]
    worth = [s.copy() for s in direct]
    for t in range(n_steps - 1, -1, -1):
        for r, (J, o, gain) in enumerate(jacobians):
            lam[r] = o[t] * worth[r][t][:, None] + lam[r]
            lam_v[r][t] = gain * lam[r][:, 0]
            lam[r] = np.einsum("nij,ni->nj", J[t], lam[r])
        for p in net.projections:
            if p.source == INPUT:
                continue
            # The synapse passes on at step t what was sent at t - 1 - delay.
            sent = np.broadcast_to(t - 1 - np.asarray(p.delay), p.W.shape)
            part = np.where(sent >= 0, lam_v[p.target][t][:, None] * p.W, 0.0)
            columns = np.broadcast_to(np.arange(p.W.shape[1]), p.W.shape)
            np.add.at(worth[p.source], (np.maximum(sent, 0), columns), part)
    W = _contract(net, rec, lam_v)
    W_out, b, unfiltered = readout_gradients(net, rec, error)
    return Gradients(value, W, [np.zeros_like(G) for G in W], W_out, b, unfiltered), rec
