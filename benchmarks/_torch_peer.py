"""The ALIF network of `_networks` in PyTorch, written to be fast: what an expert would use.

The time axis is unbound once, all input currents are one product before the loop, the outputs one
after it, the surrogate is a `torch.autograd.Function` that keeps one array, the reset sits on the
diagonal of the recurrent weights, and denormal numbers are flushed.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch.nn.functional import cross_entropy, embedding_bag


class Spike(torch.autograd.Function):
    """The threshold, and the pseudo-derivative in its place."""

    @staticmethod
    def forward(ctx, v, a, free, v_th, beta, gamma):
        margin = torch.sub(v, a, alpha=beta).sub_(v_th)
        z = (margin >= 0).to(v.dtype).mul_(free)
        psi = margin.abs_().mul_(-1.0 / v_th).add_(1.0).clamp_(min=0.0)
        psi.mul_(gamma / v_th).mul_(free).mul_(1.0 - z)
        ctx.save_for_backward(psi)
        ctx.beta = beta
        return z

    @staticmethod
    def backward(ctx, grad_z):
        (psi,) = ctx.saved_tensors
        grad_v = grad_z * psi
        return grad_v, grad_v * -ctx.beta, None, None, None, None


def alif_step(v, a, z, free, current, w, alpha, rho, v_th, beta, gamma):
    """One step: v and a decay, the input and the spikes of the step before arrive, neurons fire."""
    sent = z.detach()
    v = torch.add(torch.addmm(current, sent, w), v, alpha=alpha)
    a = torch.add(z, a, alpha=rho)
    z = Spike.apply(v, a, free, v_th, beta, gamma)
    return v, a, z


def bptt_step(v, a, z, free, current, w, alpha, rho, v_th, beta, gamma):
    """The same, but the gradient also flows through the spikes of other neurons."""
    current = torch.sub(current, z.detach(), alpha=v_th)
    v = torch.add(torch.addmm(current, z, w), v, alpha=alpha)
    a = torch.add(z, a, alpha=rho)
    z = Spike.apply(v, a, free, v_th, beta, gamma)
    return v, a, z


class TorchNetwork:
    """Loss and gradient of a batch with the weights of a SpikingNetwork of `alif_network`.

    Parameters
    ----------
    net : SpikingNetwork
    raster : ndarray (n_steps, n_trials, n_channels)
        Input spikes.
    labels : ndarray (n_trials,)
    dtype : torch.dtype
    bptt : bool
        Full backpropagation through time instead of e-prop.
    events : bool
        Input as lists of spikes (`embedding_bag`) instead of dense matrices.
    compiled : bool
        Whether the step goes through `torch.compile`.
    """

    def __init__(
        self, net, raster, labels, *, dtype=torch.float32, bptt=False, events=False, compiled=False
    ):
        model = net.layers[0].model.parameters
        self.alpha = math.exp(-net.dt / model["tau_m"])
        self.rho = math.exp(-net.dt / model["tau_a"])
        self.kappa = math.exp(-net.dt / net.readout.tau)
        self.neuron = (self.alpha, self.rho, model["v_th"], model["beta"], model["gamma"])
        assert round(float(model["t_ref"] / net.dt)) == 2, "one step of silence after a spike"
        self.weights = {
            key: torch.tensor(value, dtype=dtype, requires_grad=True)
            for key, value in net.parameters.items()
        }
        n_steps, self.n_trials, _ = raster.shape
        self.n, self.n_steps, self.dtype = net.layers[0].n, n_steps, dtype
        self.bptt, self.events = bptt, events
        # what arrives in a step enters v in the next one
        shifted = np.zeros_like(raster)
        shifted[1:] = raster[:-1]
        flat = torch.tensor(shifted, dtype=dtype).reshape(n_steps * self.n_trials, -1)
        if events:
            row, self.channels = torch.nonzero(flat, as_tuple=True)
            rows = torch.arange(n_steps * self.n_trials)
            self.bags = torch.searchsorted(row, rows)
        else:
            self.inputs = flat
        self.labels = torch.tensor(labels)
        # what a spike of step t adds to the mean of the output
        remaining = torch.arange(n_steps, 0, -1, dtype=torch.float64)
        self.share = ((1 - self.kappa**remaining) / (1 - self.kappa) / n_steps).to(dtype)
        self.mask = (1 - torch.eye(self.n)).to(dtype)
        self.step = bptt_step if bptt else alif_step
        if compiled:
            self.step = torch.compile(self.step, dynamic=False)

    def currents(self):
        """Input currents of all steps (n_steps, n_trials, n)."""
        w = self.weights["input.w"]
        if self.events:
            flat = embedding_bag(self.channels, w, self.bags, mode="sum")
        else:
            flat = self.inputs @ w
        return flat.view(self.n_steps, self.n_trials, self.n)

    def run(self) -> dict:
        """The gradient of the mean loss, as arrays; `loss` and `spikes` are kept as attributes."""
        torch.set_flush_denormal(True)
        try:
            return self._run()
        finally:
            torch.set_flush_denormal(False)

    def _run(self) -> dict:
        for weight in self.weights.values():
            weight.grad = None
        recurrent = self.weights["recurrent.w"]
        currents = self.currents()
        v = a = z = torch.zeros(self.n_trials, self.n, dtype=self.dtype)
        free, ones = torch.ones_like(v), torch.ones_like(v)
        if self.bptt:
            w, leaf = recurrent * self.mask, currents
        else:
            # the loop needs only the gradient of the currents: those of the weights are two products
            w = recurrent.detach() * self.mask
            w.fill_diagonal_(-self.neuron[2])
            leaf = currents.detach().requires_grad_()
        spikes = []
        for current in leaf.unbind(0):
            v, a, z = self.step(v, a, z, free, current, w, *self.neuron)
            free = ones - z.detach()
            spikes.append(z)
        z = torch.stack(spikes)
        counted = torch.tensordot(self.share, z, dims=([0], [0]))
        scores = counted @ self.weights["readout.w"] + self.weights["readout.b"]
        loss = cross_entropy(scores, self.labels)
        loss.backward()
        if not self.bptt:
            currents.backward(leaf.grad)
            sent = z.detach()[:-1].reshape(-1, self.n)
            recurrent.grad = (sent.T @ leaf.grad[1:].reshape(-1, self.n)) * self.mask
        self.loss, self.spikes = float(loss.detach()), int(z.detach().sum())
        return {key: weight.grad for key, weight in self.weights.items()}
