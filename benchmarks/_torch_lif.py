"""The CurrentLIF network of `eventprop.py` in PyTorch: surrogate BPTT, written to be fast.

The time axis is unbound once, all input currents are one product before the loop, the outputs one
after it, the surrogate is a `torch.autograd.Function` that keeps one array, and denormals are flushed.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch.nn.functional import cross_entropy, embedding_bag


class Spike(torch.autograd.Function):
    """The threshold at 1, and a triangle in its place in the gradient."""

    @staticmethod
    def forward(ctx, v, gamma):
        margin = v - 1.0
        z = (margin >= 0).to(v.dtype)
        ctx.save_for_backward(margin.abs_().neg_().add_(1.0).clamp_(min=0.0).mul_(gamma))
        return z

    @staticmethod
    def backward(ctx, grad_z):
        (psi,) = ctx.saved_tensors
        return grad_z * psi, None


class TorchLIF:
    """Loss, gradient and an Adam step of a batch with the weights of a SpikingNetwork.

    Parameters
    ----------
    net : SpikingNetwork
        One recurrent layer of CurrentLIF, CurrentReadout.
    raster : ndarray (n_steps, n_trials, n_channels)
        Input spikes.
    labels : ndarray (n_trials,)
    dtype : torch.dtype
    rate : tuple of float
        Strength and target [Hz] of the firing-rate regularization.
    events : bool
        Input as lists of spikes (`embedding_bag`) instead of dense matrices.
    """

    def __init__(self, net, raster, labels, *, dtype=torch.float32, rate=(0.0, 10.0), events=False):
        def decays(model):
            p = model.parameters
            slow, fast = math.exp(-net.dt / p["tau_m"]), math.exp(-net.dt / p["tau_s"])
            return slow, fast, float(p["tau_s"] / (p["tau_s"] - p["tau_m"])) * (fast - slow)

        self.slow, self.fast, self.drive = decays(net.layers[0].model)
        self.gamma = float(net.layers[0].model.parameters["gamma"])
        self.weights = {
            key: torch.tensor(value, dtype=dtype, requires_grad=True)
            for key, value in net.parameters.items()
        }
        self.n_steps, self.n_trials, _ = raster.shape
        self.n, self.dtype, self.rate = net.layers[0].n, dtype, rate
        self.seconds = self.n_steps * float(net.dt)
        flat = torch.tensor(raster, dtype=dtype).reshape(self.n_steps * self.n_trials, -1)
        self.events = events
        if events:
            row, self.channels = torch.nonzero(flat, as_tuple=True)
            self.bags = torch.searchsorted(row, torch.arange(self.n_steps * self.n_trials))
        else:
            self.inputs = flat
        self.labels = torch.tensor(labels)
        slow, fast, _ = decays(net.readout.model)
        p = net.readout.model.parameters
        n = np.arange(1, self.n_steps + 1)
        response = float(p["tau_s"] / (p["tau_s"] - p["tau_m"])) * (fast**n - slow**n)
        # what a spike of step t adds to the mean of the output, from the next step on
        later = np.concatenate([[0.0], np.cumsum(response)[:-1]])[::-1]
        self.share = torch.tensor(later.copy() / self.n_steps, dtype=dtype)
        self.mask = (1 - torch.eye(self.n)).to(dtype)
        self.optimizer = torch.optim.Adam(list(self.weights.values()), lr=1e-3, foreach=True)

    def run(self, *, update: bool = True) -> None:
        """One update; `loss` and `spikes` are kept as attributes."""
        torch.set_flush_denormal(True)
        self.optimizer.zero_grad(set_to_none=True)
        w = self.weights["input.w"]
        if self.events:
            currents = embedding_bag(self.channels, w, self.bags, mode="sum")
        else:
            currents = self.inputs @ w
        currents = currents.view(self.n_steps, self.n_trials, self.n)
        w = self.weights["recurrent.w"] * self.mask
        v = current = torch.zeros(self.n_trials, self.n, dtype=self.dtype)
        spikes = []
        for arriving in currents.unbind(0):
            v = torch.add(v * self.slow, current, alpha=self.drive)
            z = Spike.apply(v, self.gamma)
            current = torch.addmm(torch.add(arriving, current, alpha=self.fast), z, w)
            v = v * (1 - z.detach())
            spikes.append(z)
        z = torch.stack(spikes)
        counted = torch.tensordot(self.share, z, dims=([0], [0]))
        scores = counted @ self.weights["readout.w"] + self.weights["readout.b"]
        loss = cross_entropy(scores, self.labels)
        strength, target = self.rate
        total = loss
        if strength:
            rates = z.sum(0) / self.seconds
            total = loss + 0.5 * strength * ((rates - target) ** 2).sum(1).mean()
        total.backward()
        if update:
            self.optimizer.step()
        self.loss, self.spikes = float(loss.detach()), int(z.detach().sum())
        torch.set_flush_denormal(False)
