"""Layers of spiking neurons with a leaky readout, simulated one step after the other in numpy.

Notation of the papers: ``v`` membrane potential, ``a`` adaptation, ``A`` adaptive threshold,
``z`` spike, ``psi`` pseudo-derivative of the spike with respect to ``v``, ``y`` readout.

Timing: row ``t`` of a raster holds the spikes of step ``t``.  A spike of step ``t`` (input,
other layer or same layer) enters the postsynaptic state at step ``t + 1 + delay``; the readout of
step ``t`` contains the spikes of step ``t``.  Every step 0 .. T-1 updates the state, so at step 0
a neuron sees no spike yet.

References: Bellec et al. 2020 (LIF, ALIF), Traub et al. 2020 (STDP-LIF, Izhikevich),
van der Veen 2022 (STDP-ALIF).
"""

from dataclasses import dataclass, field

import numpy as np

INPUT = -1
LONG_AGO = 10**6


@dataclass
class Layer:
    """One population of identical (up to array-valued parameters) neurons.

    Parameters
    ----------
    n : int
        Number of neurons.
    model : {"lif", "alif", "stdp_lif", "stdp_alif", "izhikevich"}
        Equations of the neuron.
    alpha, rho : float or (n,) array
        Decay per step of the potential and of the adaptation.
    beta : float or (n,) array
        Threshold increase per unit of adaptation; ignored unless the model adapts.
    v_th, gamma : float
        Threshold and height of the pseudo-derivative.
    n_ref : int
        Refractory steps: a spike at t0 forbids spikes at t0+1 .. t0+n_ref-1.
    psi_ref : float, optional
        Pseudo-derivative in the refractory period; 0 for LIF and ALIF, -gamma for the STDP models
        unless given.
    psi_at_spike : bool
        True (Traub): the refractory value holds on t0 .. t0+n_ref-1.  False (Bellec's code, NEST):
        on t0+1 .. t0+n_ref-1, so the spike itself has the ordinary psi.
    psi_prefactor : float, optional
        Factor of the triangle; 1/v_th is Bellec's, 1 van der Veen's (default).
    dt : float
        Euler step in ms, Izhikevich only.
    clip_v, clip_u : float
        Bounds of the eligibility vector, Izhikevich only.
    """

    n: int
    model: str = "lif"
    alpha: float | np.ndarray = 0.95
    rho: float | np.ndarray = 0.99
    beta: float | np.ndarray = 0.0
    v_th: float = 1.0
    gamma: float = 0.3
    n_ref: int = 0
    psi_ref: float | None = None
    psi_at_spike: bool = True
    psi_prefactor: float = 1.0
    dt: float = 1.0
    clip_v: float = np.inf
    clip_u: float = np.inf

    def __post_init__(self):
        if self.model not in ("lif", "alif", "stdp_lif", "stdp_alif", "izhikevich"):
            raise ValueError(f"unknown model {self.model!r}")
        if self.model in ("lif", "stdp_lif"):
            self.beta = 0.0
        if self.stdp and self.n_ref < 1:
            raise ValueError("the STDP models need n_ref >= 1")
        if self.psi_ref is None:
            self.psi_ref = -self.gamma if self.stdp else 0.0

    @property
    def stdp(self):
        """Whether the hard resets of the STDP models apply."""
        return self.model.startswith("stdp")


@dataclass
class Projection:
    """Plastic weights ``W`` (post, pre) from layer `source` (or INPUT) to layer `target`.

    `mask` marks the synapses that exist (all but self connections unless given); `delay` is an
    int or an int array (post, pre) of steps on top of the one-step delay of every synapse.
    """

    source: int
    target: int
    W: np.ndarray
    mask: np.ndarray | None = None
    delay: int | np.ndarray = 0

    def __post_init__(self):
        if self.mask is None:
            self.mask = np.ones(self.W.shape)
            if self.source == self.target:
                np.fill_diagonal(self.mask, 0.0)
        self.W = self.W * self.mask

    def pre(self, rasters, t):
        """Presynaptic activity (post, pre), or (1, pre), that arrives at step `t`."""
        raster = rasters[self.source]
        if np.ndim(self.delay) == 0:
            sent = t - 1 - self.delay
            return raster[[sent]] if sent >= 0 else np.zeros((1, raster.shape[1]))
        sent = np.broadcast_to(t - 1 - np.asarray(self.delay), self.W.shape)
        columns = np.arange(self.W.shape[1])
        return np.where(sent >= 0, raster[np.maximum(sent, 0), columns], 0.0)


@dataclass
class Network:
    """Layers, projections and a readout that sees every layer.

    ``y^t = kappa y^{t-1} + sum_r W_out[r] z_r^t + b`` with the bias inside the recursion, or, with
    ``bias_inside=False``, added to the filtered sum.
    """

    layers: list
    projections: list
    W_out: list
    kappa: float
    b: np.ndarray | float = 0.0
    bias_inside: bool = True

    @property
    def n_out(self):
        """Number of readout units."""
        return self.W_out[0].shape[0]


@dataclass
class Record:
    """What a forward run leaves behind; per-layer lists of (T, n) arrays, and `y` (T, n_out).

    `second` is the adaptation ``a`` or, for Izhikevich neurons, the recovery ``u``; `keep` is the
    factor of alpha in dv/dv (0 where the STDP models reset, 1 otherwise); `z_reset` the spikes
    that reset the state.
    """

    inputs: np.ndarray
    z: list
    v: list
    second: list
    psi: list
    keep: list
    z_reset: list
    y: np.ndarray = field(default=None)

    def rasters(self):
        """Spikes by source index, with INPUT for the input."""
        return {INPUT: self.inputs, **dict(enumerate(self.z))}


def triangle(layer, distance):
    """Pseudo-derivative outside the refractory period, from ``distance = v - A``."""
    height = layer.psi_prefactor * layer.gamma
    return height * np.maximum(0.0, 1.0 - np.abs(distance) / layer.v_th)


def triangle_integral(layer, distance):
    """Antiderivative of `triangle`: the differentiable stand-in for the spike."""
    s = np.clip(distance / layer.v_th, -1.0, 1.0)
    area = np.where(s < 0, 0.5 * (1 + s) ** 2, 1 - 0.5 * (1 - s) ** 2)
    return layer.psi_prefactor * layer.gamma * layer.v_th * area


def start(layer):
    """State before step 0; `n_since` counts the steps since the last spike."""
    zeros = np.zeros(layer.n)
    v = zeros - 65.0 if layer.model == "izhikevich" else zeros.copy()
    since = np.full(layer.n, LONG_AGO)
    return {
        "v": v,
        "second": zeros.copy(),
        "z": zeros.copy(),
        "z_reset": zeros.copy(),
        "n_since": since,
        "psi": zeros.copy(),
        "keep": np.ones(layer.n),
    }


def threshold_step(layer, s, current, frozen):
    """One step of LIF, ALIF, STDP-LIF or STDP-ALIF; updates the state `s` in place."""
    # Counting from the last spike, a spike at the first permitted step cancels the second reset,
    # where 1 - z^t - z^{t-n_ref} read literally would flip the sign of v.
    second_reset = layer.stdp & (s["n_since"] == layer.n_ref)
    s["keep"] = 1.0 - np.maximum(layer.stdp * s["z_reset"], second_reset)
    s["v"] = layer.alpha * s["keep"] * s["v"] + current
    if not layer.stdp:
        s["v"] = s["v"] - s["z_reset"] * layer.v_th
    s["second"] = layer.rho * s["second"] + s["z"]
    distance = s["v"] - (layer.v_th + layer.beta * s["second"])
    n = s["n_since"] + 1
    spike = (distance >= 0) & (n >= layer.n_ref) if frozen is None else frozen > 0
    n = np.where(spike, 0, n)
    first = 0 if layer.psi_at_spike else 1
    refractory = (n >= first) & (n < layer.n_ref)
    s["psi"] = np.where(refractory, layer.psi_ref, triangle(layer, distance))
    s["n_since"], s["z_reset"] = n, spike.astype(float)
    smooth = np.where(refractory, layer.psi_ref * distance, triangle_integral(layer, distance))
    s["z"] = s["z_reset"] if frozen is None else smooth


def izhikevich_step(layer, s, current, frozen):
    """One Euler step of Traub's Izhikevich neuron, the reset built into the state."""
    v, u, z, dt = s["v"], s["second"], s["z_reset"], layer.dt
    v, u = v - (v + 65.0) * z, u + 2.0 * z
    s["v"] = v + dt * (0.04 * v**2 + 5.0 * v + 140.0 - u + current)
    s["second"] = u + dt * (0.004 * v - 0.02 * u)
    above = np.maximum(s["v"] - 30.0, 0.0)
    s["psi"] = layer.gamma * np.exp((np.minimum(s["v"], 30.0) - 30.0) / 30.0)
    spike = s["v"] >= 30.0 if frozen is None else frozen > 0
    s["z_reset"] = spike.astype(float)
    s["z"] = s["z_reset"] if frozen is None else 30.0 * s["psi"] + layer.gamma * above


def forward(net, inputs, currents=None, frozen=None):
    """Simulate the network on one trial.

    Parameters
    ----------
    net : Network
    inputs : (T, n_in) array
        Spike raster or real-valued input.
    currents : list of (T, n) arrays, optional
        Drive added to the neurons of each layer at the step of its row, without weight or delay.
    frozen : list of (T, n) arrays, optional
        Spikes that decide resets and refractory periods; the neurons then send the integral of
        psi instead of spikes, which makes the network differentiable for finite differences.

    Returns
    -------
    Record
    """
    inputs = np.asarray(inputs, dtype=float)
    n_steps, layers = len(inputs), net.layers
    names = ("z", "v", "second", "psi", "keep", "z_reset")
    rec = Record(inputs, *([np.zeros((n_steps, layer.n)) for layer in layers] for _ in names))
    rec.y = np.zeros((n_steps, net.n_out))
    rasters, states = rec.rasters(), [start(layer) for layer in layers]
    ysub = np.zeros(net.n_out)
    for t in range(n_steps):
        for r, (layer, s) in enumerate(zip(layers, states, strict=True)):
            current = np.zeros(layer.n) if currents is None else currents[r][t].astype(float)
            for p in net.projections:
                if p.target == r:
                    current = current + np.sum(p.W * p.pre(rasters, t), axis=1)
            step = izhikevich_step if layer.model == "izhikevich" else threshold_step
            step(layer, s, current, None if frozen is None else frozen[r][t])
            for name in names:
                getattr(rec, name)[r][t] = s[name]
        drive = sum(W @ z[t] for W, z in zip(net.W_out, rec.z, strict=True))
        ysub = net.kappa * ysub + drive + (net.b if net.bias_inside else 0.0)
        rec.y[t] = ysub + (0.0 if net.bias_inside else net.b)
    return rec


def loss_and_error(y, target, kind, weight=None):
    """Loss of a trial and its derivative with respect to each ``y^t``.

    Parameters
    ----------
    y, target : (T, n_out) arrays
    kind : {"mse", "cross_entropy"}
        ``1/2 sum_t w_t sum_k (y - y*)^2`` or ``-sum_t w_t sum_k pi* log softmax(y)``.
    weight : (T,) array, optional
        Weight ``w_t`` of every step, 0 to leave a step out; ones unless given.

    Returns
    -------
    loss : float
    error : (T, n_out) array
    """
    w = np.ones(len(y)) if weight is None else np.asarray(weight, dtype=float)
    if kind == "mse":
        error = y - target
        return 0.5 * np.sum(w[:, None] * error**2), w[:, None] * error
    if kind != "cross_entropy":
        raise ValueError(f"unknown loss {kind!r}")
    shifted = y - y.max(axis=1, keepdims=True)
    log_pi = shifted - np.log(np.sum(np.exp(shifted), axis=1, keepdims=True))
    return -np.sum(w[:, None] * target * log_pi), w[:, None] * (np.exp(log_pi) - target)
