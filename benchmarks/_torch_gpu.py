"""The CurrentLIF network of `gpu.py` in PyTorch on a GPU: surrogate BPTT, as fast as PyTorch makes it.

What an expert would write: all trials stay on the GPU; the input currents of all steps are one product
before the loop; the loop over time has two kernels a step, forward (one fused by torch.compile, one
product with the recurrent weights) and backward, which is written out by hand instead of recorded by
autograd; the gradients of the weights are one product each after the loop; and everything from the
choice of the trials to Adam is one CUDA graph, so that Python is not in the way.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch.nn.functional import cross_entropy


def forward_step(v, rest, fed, arriving, spikes, slopes, slow, fast, drive, gamma):
    """A step: voltage, and current without feedback; writes spikes and the surrogate derivative."""
    current = rest + fed.to(rest.dtype)
    v = v * slow + current * drive
    margin = v - 1.0
    z = (margin >= 0).to(v.dtype)
    spikes.copy_(z)
    slopes.copy_((1.0 - margin.abs()).clamp(min=0.0) * gamma)
    return v * (1.0 - z), arriving.to(v.dtype) + current * fast


def backward_step(
    g_v, g_current, fed_back, spikes, slopes, share, score, rate, before, slow, fast, drive
):
    """Adjoints of voltage and current of the step before; writes that of the current."""
    free = 1.0 - spikes.to(g_v.dtype)
    g_v = g_v * slow * free + slopes * (score * share + rate + fed_back.to(g_v.dtype))
    g_current = g_current * fast + g_v * drive
    before.copy_(g_current)
    return g_v, g_current


class TorchOnGPU:
    """Updates of a network with the weights of a SpikingNetwork, one batch after another.

    Parameters
    ----------
    net : SpikingNetwork
        One recurrent layer of CurrentLIF, CurrentReadout.
    raster : Tensor of uint8 (n, n_steps, n_channels)
        Input spikes of all trials, on the device.
    labels : Tensor of int64 (n,)
    batch : int
        Trials of an update.
    dtype : torch.dtype
        Of states and weights.
    products : torch.dtype, optional
        Of the factors of matrix products, `dtype` if None.
    rate : tuple of float
        Strength and target [Hz] of the firing-rate regularization.
    learning_rate : float
    """

    def __init__(
        self,
        net,
        raster,
        labels,
        batch,
        *,
        dtype=torch.float32,
        products=None,
        rate=(0.0, 10.0),
        learning_rate=1e-6,
    ):
        def decays(model):
            p = model.parameters
            slow, fast = math.exp(-net.dt / p["tau_m"]), math.exp(-net.dt / p["tau_s"])
            return slow, fast, float(p["tau_s"] / (p["tau_s"] - p["tau_m"])) * (fast - slow)

        self.raster, self.labels, self.batch = raster, labels, batch
        self.device, self.dtype, self.rate = raster.device, dtype, rate
        self.products = products or dtype
        self.constants = decays(net.layers[0].model)
        self.gamma = float(net.layers[0].model.parameters["gamma"])
        self.n, self.n_steps = net.layers[0].n, raster.shape[1]
        self.seconds = self.n_steps * float(net.dt)
        self.weights = {
            key: torch.tensor(value, dtype=dtype, device=self.device)
            for key, value in net.parameters.items()
        }
        for weight in self.weights.values():
            weight.grad = torch.zeros_like(weight)
        slow, fast, _ = decays(net.readout.model)
        p = net.readout.model.parameters
        n = np.arange(1, self.n_steps + 1)
        response = float(p["tau_s"] / (p["tau_s"] - p["tau_m"])) * (fast**n - slow**n)
        # what a spike of step t adds to the mean of the output, from the next step on
        later = np.concatenate([[0.0], np.cumsum(response)[:-1]])[::-1]
        self.share = torch.tensor(later.copy() / self.n_steps, dtype=dtype, device=self.device)
        self.mask = (1 - torch.eye(self.n, device=self.device)).to(dtype)
        cuda = self.device.type == "cuda"
        self.optimizer = torch.optim.Adam(
            list(self.weights.values()), lr=learning_rate, fused=cuda, capturable=cuda
        )
        self.forward_step, self.backward_step = forward_step, backward_step
        if cuda:
            self.forward_step = torch.compile(forward_step, dynamic=False)
            self.backward_step = torch.compile(backward_step, dynamic=False)
        #: Trials of the next update, and what the last one gave.
        self.chosen = torch.zeros(batch, dtype=torch.int64, device=self.device)
        self.loss = self.spikes = None
        self.graph = None

    @torch.no_grad()
    def gradient(self):
        """Put the gradient of the mean loss of the chosen trials into the weights' ``grad``."""
        shape, kind = (self.batch, self.n_steps, self.n), self.products
        slow, fast, drive = self.constants
        x = self.raster[self.chosen].to(kind).flatten(0, 1)
        arriving = (x @ self.weights["input.w"].to(kind)).view(shape)
        recurrent = (self.weights["recurrent.w"] * self.mask).to(kind)
        spikes = torch.empty(shape, dtype=kind, device=self.device)
        slopes = torch.empty(shape, dtype=self.dtype, device=self.device)
        v = rest = torch.zeros(self.batch, self.n, dtype=self.dtype, device=self.device)
        fed = rest.to(kind)
        for t in range(self.n_steps):
            now = spikes[:, t]
            v, rest = self.forward_step(
                v, rest, fed, arriving[:, t], now, slopes[:, t], slow, fast, drive, self.gamma
            )
            fed = now @ recurrent
        counted = torch.tensordot(spikes.to(self.dtype), self.share, dims=([1], [0]))
        scores = counted @ self.weights["readout.w"] + self.weights["readout.b"]
        labels = self.labels[self.chosen]
        self.loss = cross_entropy(scores, labels)
        counts = spikes.sum(1, dtype=torch.float32)
        self.spikes = counts.sum()
        error = scores.softmax(1)
        error[torch.arange(self.batch, device=self.device), labels] -= 1.0
        error = error / self.batch
        by_score = error @ self.weights["readout.w"].T
        strength, target = self.rate
        by_rate = (counts.to(self.dtype) / self.seconds - target) * (
            strength / self.seconds / self.batch
        )
        # entry t: adjoint of the current after step t; the last current has no effect
        back = torch.zeros(shape, dtype=kind, device=self.device)
        g_v = g_current = torch.zeros_like(v)
        transposed = recurrent.T
        for t in range(self.n_steps - 1, 0, -1):
            g_v, g_current = self.backward_step(
                g_v,
                g_current,
                back[:, t] @ transposed,
                spikes[:, t],
                slopes[:, t],
                self.share[t],
                by_score,
                by_rate,
                back[:, t - 1],
                slow,
                fast,
                drive,
            )
        flat = back.flatten(0, 1)
        self.weights["input.w"].grad.copy_(x.T @ flat)
        found = spikes.flatten(0, 1).T @ flat
        self.weights["recurrent.w"].grad.copy_(found).mul_(self.mask)
        self.weights["readout.w"].grad.copy_(counted.T @ error)
        self.weights["readout.b"].grad.copy_(error.sum(0))

    def _update(self):
        self.gradient()
        self.optimizer.step()

    def capture(self):
        """Make a CUDA graph of an update."""
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(2):
                self._update()
        torch.cuda.current_stream().wait_stream(side)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self._update()

    def update(self, chosen):
        """One update with these trials; `loss` and `spikes` are tensors of the last one."""
        self.chosen.copy_(chosen)
        if self.graph is None:
            self._update()
        else:
            self.graph.replay()


def dense_raster(trials, dt, device):
    """The spikes of all trials as a tensor of uint8 (n, n_steps, n_channels)."""
    offsets, step, channel = trials.steps(dt)
    shape = (len(trials), int(np.max(trials.n_steps(dt))), trials.n_channels)
    raster = torch.zeros(shape, dtype=torch.uint8, device=device)
    trial = np.repeat(np.arange(len(trials)), np.diff(offsets))
    for part in np.array_split(np.arange(len(step)), 1 + len(step) // 4_000_000):
        index = [torch.from_numpy(a[part].astype(np.int64)) for a in (trial, step, channel)]
        raster[tuple(i.to(device) for i in index)] = 1
    return raster
