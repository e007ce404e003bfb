"""Two deterministic one-synapse experiments that show the STDP of the e-prop traces.

Conventions shared by both (they decide the last digits):

* Within step t: ``eps_a``, ``eps_v``, ``v``, ``a``, ``z``, ``psi``, ``e``, in that order, each from
  the values of step t-1; a presynaptic spike of step t is in ``eps_v`` from step t+1 on.
* A neuron may spike again ``n_ref`` steps after its last spike; threshold comparison ``v >= A``.
* ``psi = psi_ref`` on t0 .. t0+n_ref-1 after a spike at t0, *including t0* (Traub's rule), and
  ``gamma max(0, 1 - |v - A| / v_th)`` elsewhere, without a factor 1/v_th, with
  ``A = v_th + beta a``.
* STDP models: ``alpha v`` and ``alpha eps_v`` are multiplied by 0 in the steps t0+1 and
  t0+1+n_ref.  LIF and ALIF: ``v_th`` (not ``A``) is subtracted in step t0+1.
"""

from dataclasses import dataclass

import numpy as np

LAGS = (30, 10, 5, 2, 1, 0, -1, -2, -3, -4, -5, -10, -20)
MODELS = ("lif", "stdp_lif", "alif", "stdp_alif")


def isolated_pairing(
    lag,
    model="stdp_lif",
    *,
    v0=0.6,
    alpha=0.95,
    v_th=1.0,
    gamma=0.3,
    n_ref=5,
    rho=0.99,
    beta=0.2,
    psi_ref=None,
    n_after=1500,
):
    """Summed eligibility trace of one presynaptic and one postsynaptic spike.

    A constant current ``(1 - alpha) v0`` holds the potential at `v0`; in the step ``t_p`` a kick of
    ``v_th`` is added to it, which makes the neuron spike once.  The presynaptic spike of step
    ``t_p - lag`` reaches the eligibility vector only, not the potential.

    Parameters
    ----------
    lag : int
        ``t_post - t_pre`` in steps; positive means the presynaptic spike comes first.
    model : {"lif", "stdp_lif", "alif", "stdp_alif"}
    v0 : float
        Potential before the pairing, in units of `v_th`; 0 is "from rest".
    alpha, v_th, gamma, n_ref, rho, beta : float
        Constants of the neuron; `beta` is used by the adaptive models only.
    psi_ref : float, optional
        Refractory pseudo-derivative; -gamma for the STDP models, else 0.
    n_after : int
        Steps summed after the later of the two spikes; 300 already settle the fourth digit.

    Returns
    -------
    float
        ``sum_t e^t``.
    """
    stdp = model.startswith("stdp")
    beta = beta if model.endswith("alif") else 0.0
    if psi_ref is None:
        psi_ref = -gamma if stdp else 0.0
    t_post = max(lag, 0) + 1
    t_pre = t_post - lag
    v, a, z, eps_v, eps_a, total = v0 * v_th, 0.0, 0, 0.0, 0.0, 0.0
    n = 10 * n_ref  # steps since the last spike
    psi = gamma * max(0.0, 1.0 - abs(v - v_th) / v_th)
    for t in range(1, max(t_post, t_pre) + n_after):
        reset = stdp and (z or n == n_ref)
        keep = 0.0 if reset else 1.0
        eps_a = psi * eps_v + (rho - psi * beta) * eps_a
        eps_v = alpha * keep * eps_v + (t - 1 == t_pre)
        current = (1.0 - alpha) * v0 * v_th + v_th * (t == t_post)
        v = alpha * keep * v + current - (0.0 if stdp else z * v_th)
        a = rho * a + z
        n += 1
        A = v_th + beta * a
        z = int(v >= A and n >= n_ref)
        if z:
            n = 0
        psi = psi_ref if n < n_ref else gamma * max(0.0, 1.0 - abs(v - A) / v_th)
        total += psi * (eps_v - beta * eps_a)
    return total


def window(lags=LAGS, model="stdp_lif", **constants):
    """`isolated_pairing` of every lag, as an array."""
    return np.array([isolated_pairing(lag, model, **constants) for lag in lags])


def stdp_lif_from_rest(lag, alpha=0.95, gamma=0.3, n_ref=5):
    """Closed form of `isolated_pairing` for STDP-LIF with ``v0 = 0``.

    At rest psi is 0, so only the refractory period counts.  A presynaptic spike ``lag >= 1`` steps
    before the postsynaptic one is seen once, at the spike, before the trace is reset; one at
    ``lag <= 0`` is seen on the remaining ``n_ref - 1 + lag`` refractory steps.
    """
    if lag >= 1:
        return -gamma * alpha ** (lag - 1)
    n = max(n_ref - 1 + lag, 0)
    return -gamma * (1.0 - alpha**n) / (1.0 - alpha)


@dataclass
class SynapseRun:
    """Spike times of both neurons and the accumulated weight change (T,), L = 1."""

    post: list
    pre: list
    dW: np.ndarray


def single_synapse(
    stdp,
    psi_ref,
    *,
    n_steps=300,
    n_ref=8,
    v_th=1.6,
    alpha=0.8,
    kappa=0.8,
    rho=0.975,
    beta=0.184,
    gamma=0.3,
):
    """Two uncoupled ALIF or STDP-ALIF neurons whose roles as leader and follower swap.

    Conventions beyond those of the module: the current of step s, ``I^s``, enters ``v^{s+1}`` and
    is chosen from what happened up to step s-1.  While ``s < 0.45 n_steps`` the presynaptic neuron
    gets 0.35 and the postsynaptic one 0.25, raised to 0.45 as long as its last spike is older than
    the presynaptic one's; afterwards the roles are exchanged.  Both neurons count as having spiked
    at step 0 for the refractory period, psi and the second reset of the STDP models, but neither
    ``a`` nor the first reset see that spike.  State updates start at step 1.

    Parameters
    ----------
    stdp : bool
        STDP-ALIF instead of ALIF.
    psi_ref : float
        Refractory pseudo-derivative: 0, -gamma or +gamma.
    n_steps, n_ref, v_th, alpha, kappa, rho, beta, gamma
        Constants of run and neurons.

    Returns
    -------
    SynapseRun
    """
    pre, post = 0, 1
    v, a, z, t_z = np.zeros(2), np.zeros(2), np.zeros(2), np.zeros(2)
    t_z_before = t_z  # last spikes as known one step earlier
    eps_v = eps_a = ebar = 0.0
    psi, dW, spikes = psi_ref, np.zeros(n_steps), ([], [])
    for t in range(1, n_steps):
        follower, leader = (post, pre) if t - 1 < 0.45 * n_steps else (pre, post)
        current = np.zeros(2)
        current[leader] = 0.35
        current[follower] = 0.45 if t_z_before[follower] < t_z_before[leader] else 0.25
        t_z_before = t_z

        second_reset = t - 1 - t_z == n_ref
        keep = 1.0 - stdp * np.maximum(z, second_reset)
        eps_a = psi * eps_v + (rho - psi * beta) * eps_a
        eps_v = alpha * keep[post] * eps_v + z[pre]
        v = alpha * keep * v + current - (1 - stdp) * z * v_th
        a = rho * a + z
        A = v_th + beta * a
        z = ((v >= A) & (t - t_z >= n_ref)).astype(float)
        t_z = np.where(z > 0, t, t_z)
        for neuron in np.flatnonzero(z):
            spikes[neuron].append(t)
        if t - t_z[post] < n_ref:
            psi = psi_ref
        else:
            psi = gamma * max(0.0, 1.0 - abs(v[post] - A[post]) / v_th)
        ebar = kappa * ebar + psi * (eps_v - beta * eps_a)
        dW[t] = dW[t - 1] + ebar
    return SynapseRun(spikes[post], spikes[pre], dW)
