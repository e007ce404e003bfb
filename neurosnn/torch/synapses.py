"""Layers of weights as lists of synapses."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from torch import nn

from neurosnn.core.messages import message

__all__ = ["Pieces", "Synapses", "average", "convolution", "dense", "norm_of"]


@dataclasses.dataclass(frozen=True, eq=False)
class Synapses:
    """Neurons before and after each synapse, and its weight; arrays (n_synapses,)."""

    pre: np.ndarray
    post: np.ndarray
    w: np.ndarray
    n_post: int

    def scaled(self, factor: np.ndarray) -> Synapses:
        """Each weight times the factor of its target, (n_post,)."""
        return dataclasses.replace(self, w=self.w * factor[self.post])


class Pieces:
    """The synapses of a network, counted while they are collected.

    Parameters
    ----------
    limit : int
        Largest number in all.
    """

    def __init__(self, limit: int):
        self.limit = limit
        self.made: list[tuple[str, str, Synapses]] = []

    def check(self, n: int) -> None:
        """Refuse `n` synapses more if they are too many."""
        total = n + sum(len(synapses.w) for *_, synapses in self.made)
        if total > self.limit:
            raise ValueError(
                message(
                    f"the network has {total:,} synapses or more, {self.limit:,} are allowed.",
                    "to_brian2",
                    "Brian2 keeps each synapse of a convolution by itself.",
                    "Convert a smaller network, or pass max_synapses=.",
                )
            )

    def add(self, source: str, target: str, synapses: Synapses) -> None:
        """Add the synapses of one connection."""
        self.check(len(synapses.w))
        self.made.append((source, target, synapses))


def _plain(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().cpu().double().numpy()


def norm_of(norm: nn.Module) -> tuple[np.ndarray, np.ndarray]:
    """Scale and shift of a batch normalization in evaluation."""
    scale = _plain(norm.weight) / np.sqrt(_plain(norm.running_var) + norm.eps)
    return scale, _plain(norm.bias) - scale * _plain(norm.running_mean)


def dense(weight: torch.Tensor, *, keep_zeros: bool = True) -> Synapses:
    """A matrix (n_post, n_pre)."""
    matrix = _plain(weight)
    post, pre = np.indices(matrix.shape).reshape(2, -1) if keep_zeros else np.nonzero(matrix)
    return Synapses(pre, post, matrix[post, pre], len(matrix))


def convolution(layer: nn.Conv2d, side: int, pieces: Pieces) -> Synapses:
    """A convolution with odd kernel, stride 1 and same size, of (channels, side, side)."""
    weight = _plain(layer.weight)
    n_out, n_in, height, width = weight.shape
    pieces.check(n_out * n_in * height * width * (side - 2) ** 2)
    k, c, dy, dx, y, x = np.ogrid[:n_out, :n_in, :height, :width, :side, :side]
    row, column = y + dy - height // 2, x + dx - width // 2
    shape = (n_out, n_in, height, width, side, side)
    inside = (row >= 0) & (row < side) & (column >= 0) & (column < side)
    inside = np.broadcast_to(inside, shape)
    pre = np.broadcast_to((c * side + row) * side + column, shape)[inside]
    post = np.broadcast_to((k * side + y) * side + x, shape)[inside]
    w = np.broadcast_to(weight[..., None, None], shape)[inside]
    return Synapses(pre, post, w, n_out * side * side)


def average(synapses: Synapses, factor: int, shape: tuple[int, int], pieces: Pieces) -> Synapses:
    """The same from the neurons below a pool: each weight is divided among `factor`**2 of them."""
    _, side = shape
    small = side // factor
    channel, place = np.divmod(synapses.pre, small * small)
    row, column = np.divmod(place, small)
    pieces.check(len(synapses.w) * factor**2)
    parts = [
        (channel * side + factor * row + dy) * side + factor * column + dx
        for dy in range(factor)
        for dx in range(factor)
    ]
    n = factor**2
    return Synapses(
        np.concatenate(parts),
        np.tile(synapses.post, n),
        np.tile(synapses.w / n, n),
        synapses.n_post,
    )
