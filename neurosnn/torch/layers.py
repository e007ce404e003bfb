"""Layers for sequences (n_steps, n_trials, ...) that torch does not have."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from neurosnn.torch.compiling import compiled as compiled_by_torch

__all__ = ["EveryStep", "FixedDropout", "StepBatchNorm", "Voting"]


class EveryStep(nn.Module):
    """A layer without memory, for all steps of a sequence at once.

    Parameters
    ----------
    layer : Module
        Takes (n, ...).
    mixed : bool
        In training, multiply in bfloat16 and add in float32 (torch's autocast), which some processors
        do several times as fast. Spikes are exact in it; weights and sums are rounded to 8 bits.
    """

    def __init__(self, layer: nn.Module, *, mixed: bool = False):
        super().__init__()
        self.layer, self.mixed = layer, mixed

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not (self.mixed and self.training):
            return self.layer(x.flatten(0, 1)).unflatten(0, x.shape[:2])
        with torch.autocast(x.device.type, torch.bfloat16):
            out = self.layer(x.flatten(0, 1))
        return out.to(x.dtype).unflatten(0, x.shape[:2])


class StepBatchNorm(nn.Module):
    """Batch normalization with the statistics of each time step, and parameters shared by all.

    As in code that goes through a network step by step (Fang et al. 2021); with ``merge=True`` over
    all steps together, as in code that goes through it layer by layer.

    Parameters
    ----------
    norm : BatchNorm1d or BatchNorm2d
        Its momentum counts steps.
    merge : bool
        One normalization for all steps.
    """

    def __init__(self, norm: nn.Module, *, merge: bool = False):
        super().__init__()
        self.norm, self.merge = norm, merge

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.merge or not self.training:
            return self.norm(x.flatten(0, 1)).unflatten(0, x.shape[:2])
        return torch.stack([self.norm(part) for part in x.unbind(0)])


class FixedDropout(nn.Module):
    """Dropout with one mask for each trial, the same in all steps; scale 1/(1 - p).

    Parameters
    ----------
    p : float
        Share of the neurons that are silenced.
    """

    def __init__(self, p: float = 0.5):
        super().__init__()
        self.p = p

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training or self.p == 0:
            return x
        mask = torch.empty_like(x[0]).bernoulli_(1 - self.p) / (1 - self.p)
        return x * mask

    def extra_repr(self) -> str:
        return f"p={self.p}"


class Voting(nn.Module):
    """Mean over the `voters` neurons of each class, (..., classes*voters) to (..., classes).

    Parameters
    ----------
    voters : int
        Neurons of each class.
    """

    def __init__(self, voters: int = 10):
        super().__init__()
        self.voters = voters

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.unflatten(-1, (-1, self.voters)).mean(-1)

    def extra_repr(self) -> str:
        return f"voters={self.voters}"


def _ahead(neuron: nn.Module, x: torch.Tensor) -> torch.Tensor:
    return neuron(x, ahead=True)


class Ahead(nn.Module):
    """Neurons in a stack of layers: entry t is the answer to the input of step t.

    Parameters
    ----------
    neuron : TorchNeuron
        The neurons.
    compiled : bool
        In training, let torch.compile make one function of all steps: the same to rounding. It
        needs a C++ compiler and some seconds for each shape of the input, which pay off in runs of
        more than a few minutes: an update of the small network takes half the time.
    """

    def __init__(self, neuron: nn.Module, *, compiled: bool = False):
        super().__init__()
        self.neuron, self.compiled = neuron, compiled
        #: Called with the spikes of a sequence, for example to count them.
        self.watch: Callable[[torch.Tensor], None] | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        fast = self.compiled and self.training
        spikes = (compiled_by_torch(_ahead) if fast else _ahead)(self.neuron, x)
        if self.watch is not None:
            self.watch(spikes)
        return spikes
