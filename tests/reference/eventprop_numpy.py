"""Table 1 of Wunderlich & Pehle (2021) on the grid of a simulation, for one recurrent layer.

With their adjoints (`lam_V`, `lam_I`), in reverse time between spikes::

    tau_m lam_V' = -lam_V,   tau_s lam_I' = -lam_I + lam_V
    own spike:  lam_V <- I/(I - V) lam_V + sum_post w_post (lam_V - lam_I)_post / (I - V)
    dE/dw = -tau_s sum over arrivals of lam_I

solved exactly over a step. V is the potential at which the grid noticed the spike; it takes the
place of the threshold. I - V is at least tau_m times the secant slope of V over the step. The error
of a readout is an impulse at the end of each step.
"""

import numpy as np

__all__ = ["table_1"]


def table_1(v, before, current, spikes, arrivals, weights, error, *, dt, tau_m, tau_s, readout):
    """Gradients of the weights.

    Parameters
    ----------
    v, current : ndarray (steps, n)
        V and I of the layer after the update of each step, before arrivals and resets.
    before : ndarray (steps, n)
        V at the start of each step.
    spikes : ndarray of bool (steps, n)
        Spikes of the layer.
    arrivals : dict of str to ndarray (steps, n_pre)
        Presynaptic spikes that arrive in a step; "recurrent" and "readout" are the layer's own.
    weights : dict of str to ndarray (n_pre, n_post)
        For "input", "recurrent" and "readout".
    error : ndarray (steps, n_out)
        dE/dy at the end of each step.
    dt, tau_m, tau_s : float
        Step and time constants of the layer, in seconds.
    readout : tuple of float
        tau_m and tau_s of the readout.
    """
    gradient = {name: np.zeros_like(w) for name, w in weights.items()}
    hidden = np.zeros((2, v.shape[1]))
    output = np.zeros((2, error.shape[1]))
    for t in range(len(v) - 1, -1, -1):
        hidden = back(hidden, dt, tau_m, tau_s)
        output = back(output, dt, *readout)
        output[0] -= error[t] / readout[0]
        for name, post, tau in (
            ("input", hidden, tau_s),
            ("recurrent", hidden, tau_s),
            ("readout", output, readout[1]),
        ):
            gradient[name] -= tau * np.outer(arrivals[name][t], post[1])
        pending = weights["recurrent"] @ (hidden[0] - hidden[1])
        pending += weights["readout"] @ (output[0] - output[1])
        jump = current[t] * hidden[0] + pending
        slope = np.maximum(current[t] - v[t], (v[t] - before[t]) * tau_m / dt)
        slope = np.where(spikes[t], slope, 1.0)
        hidden[0] = np.where(spikes[t], jump / slope, hidden[0])
    return gradient


def back(adjoint, h, tau_m, tau_s):
    """The adjoints one step earlier."""
    lam_v, lam_i = adjoint
    slow, fast = np.exp(-h / tau_m), np.exp(-h / tau_s)
    c = tau_m / (tau_m - tau_s)
    return np.array([lam_v * slow, c * lam_v * (slow - fast) + lam_i * fast])
