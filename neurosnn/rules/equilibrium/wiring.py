"""Which neurons of two neighbouring layers are connected, and which of their synapses share a weight."""

from __future__ import annotations

import dataclasses
import functools
from typing import NamedTuple

import numpy as np

from neurosnn.core.messages import message
from neurosnn.core.values import check_whole

__all__ = ["Convolution", "DenseWiring", "Rows", "SharedWiring"]


@dataclasses.dataclass(frozen=True)
class Convolution:
    r"""A layer whose neurons see a part of the layer before, all with the same weights.

    .. math::
        I_{YXd} \leftarrow \frac{1}{p^2} \sum_{a,b=0}^{p-1} \sum_{i,j,c}
        w_{ijcd}\; s_{pY + a + i - m,\; pX + b + j - m,\; c}

    A convolution of stride 1 with k x k weights and m rows of zeros around, then the average over
    blocks of p x p positions, which are one neuron. Its own spikes go back by the transposed map:
    the same weights, equally to all of a block (Lin et al. 2024).

    Parameters
    ----------
    channels : int
        Neurons at each position.
    kernel : int
        Side k of the weights.
    pool : int, optional
        Side p of the blocks that are averaged; 1: none.
    padding : int, optional
        Rows and columns m of zeros around the layer before.

    Raises
    ------
    ValueError
        For what is not a whole number, or too small.

    Notes
    -----
    Average and convolution are one linear map, so a neuron has one synapse with each neuron of
    the (k + p - 1) x (k + p - 1) positions that it sees. Its weight is the mean of up to p x p
    weights of the kernel, each of which gets that part of the synapse's change.

    References
    ----------
    Lin, Bal & Sengupta, arXiv:2405.02546 (2024): maxima in place of means spoil the gradient.

    Examples
    --------
    >>> from neurosnn.rules.equilibrium import Convolution, EquilibriumNetwork
    >>> net = EquilibriumNetwork([(8, 8), Convolution(4, kernel=3, pool=2), 10])
    >>> net.shapes["hidden"], net.parameters["input_hidden.w"].shape
    ((3, 3, 4), (3, 3, 1, 4))
    """

    channels: int
    kernel: int
    pool: int = 1
    padding: int = 0

    def __post_init__(self) -> None:
        for name, least in (("channels", 1), ("kernel", 1), ("pool", 1), ("padding", 0)):
            check_whole(name, getattr(self, name), least, where="Convolution")

    def shape(self, before: tuple[int, ...], where: str) -> tuple[int, int, int]:
        """Height, width and channels of the layer, from those of the layer before.

        Parameters
        ----------
        before : tuple of int
            Shape of the layer before.
        where : str
            Who asks, for messages.

        Returns
        -------
        tuple of int
            Height, width, channels.

        Raises
        ------
        ValueError
            If the layer before has no positions, or the blocks do not cover the convolution.
        """
        if len(before) != 3:
            raise ValueError(
                message(
                    "a convolution follows a layer that has no height and width.",
                    where,
                    f"The layer before it is {before[0]} neurons without positions.",
                    "Give the shape of the input, for example (28, 28), and put dense layers last.",
                )
            )
        seen = [n + 2 * self.padding - self.kernel + 1 for n in before[:2]]
        if min(seen) < 1 or any(n % self.pool for n in seen):
            raise ValueError(
                message(
                    f"{self} does not fit a layer of {before[0]} x {before[1]} positions.",
                    where,
                    f"The convolution has {seen[0]} x {seen[1]} positions, of which blocks of "
                    f"{self.pool} x {self.pool} are to be averaged.",
                    "Change kernel, padding or pool.",
                )
            )
        return seen[0] // self.pool, seen[1] // self.pool, self.channels


class Rows(NamedTuple):
    """Where the spikes of one side go: pieces of rows, for the engine.

    A spike of channel c at a position adds, for each piece of its position, `length` weights from
    ``c*stride + weight`` on to the neurons from `neuron` on.

    Attributes
    ----------
    channels : int
        Neurons at a position.
    first : ndarray of int32 (n_positions + 1,)
        First piece of each position.
    neuron, weight, length : ndarray of int32 (n_pieces,)
        The pieces.
    reach : ndarray of int32 (n_positions,)
        Synapses of a neuron.
    layout : ndarray of int (channels, stride)
        Index of the synaptic weight at each place of a row; -1 where there is none.
    """

    channels: int
    first: np.ndarray
    neuron: np.ndarray
    weight: np.ndarray
    length: np.ndarray
    reach: np.ndarray
    layout: np.ndarray


@dataclasses.dataclass(frozen=True)
class DenseWiring:
    """Every neuron with every neuron, each pair with a weight of its own.

    Parameters
    ----------
    n_pre, n_post : int
        Sizes of both layers.
    """

    n_pre: int
    n_post: int

    #: Whether synapses share weights.
    shared = False

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the weights."""
        return self.n_pre, self.n_post

    @property
    def fans(self) -> tuple[float, float]:
        """Weights that a postsynaptic and a presynaptic neuron see."""
        return self.n_pre, self.n_post

    @property
    def products(self) -> int:
        """Products of a pass without spikes, on a processor."""
        return self.n_pre * self.n_post

    def reach(self) -> np.ndarray:
        """Synapses of each presynaptic neuron."""
        return np.full(self.n_pre, self.n_post)

    def forward(self, pre: np.ndarray, w: np.ndarray) -> np.ndarray:
        """Input (n, n_post) of the targets, from values (n, n_pre)."""
        return pre @ w

    def backward(self, post: np.ndarray, w: np.ndarray) -> np.ndarray:
        """Input (n, n_pre) of the sources, from values (n, n_post)."""
        return post @ w.T

    def product(self, pre: np.ndarray, post: np.ndarray) -> np.ndarray:
        """For each weight the products of its neurons, summed over trials and synapses."""
        return pre.T @ post

    def synapses(self) -> tuple[np.ndarray, np.ndarray]:
        """Pre- and postsynaptic neuron of each synapse."""
        pre, post = np.indices(self.shape).reshape(2, -1)
        return pre, post

    def synaptic(self, w: np.ndarray) -> np.ndarray:
        """The weight of each synapse, in the order of :meth:`synapses`."""
        return w.reshape(-1)

    def gathered(self, change: np.ndarray) -> np.ndarray:
        """Changes of the weights from those of the synapses."""
        return np.reshape(change, self.shape)


@dataclasses.dataclass(frozen=True)
class SharedWiring:
    """The synapses of a :class:`Convolution`: of its kernel with the average of blocks.

    Parameters
    ----------
    before, after : tuple of int
        Height, width and channels of both layers.
    convolution : Convolution
        Kernel, blocks and padding.
    """

    before: tuple[int, ...]
    after: tuple[int, ...]
    convolution: Convolution

    #: Whether synapses share weights.
    shared = True

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the weights: height, width, channels before, channels after."""
        k = self.convolution.kernel
        return k, k, self.before[2], self.after[2]

    @property
    def side(self) -> int:
        """Side of the square of positions that a neuron sees."""
        return self.convolution.kernel + self.convolution.pool - 1

    @property
    def fans(self) -> tuple[float, float]:
        """Weights that a postsynaptic and a presynaptic neuron see."""
        c = self.convolution
        return c.kernel**2 * self.before[2], c.kernel**2 * self.after[2] / c.pool**2

    @property
    def products(self) -> int:
        """Products of a pass without spikes, on a processor."""
        height, width, _ = self.after
        return height * width * self.convolution.pool**2 * int(np.prod(self.shape))

    def reach(self) -> np.ndarray:
        """Synapses of each presynaptic neuron."""
        return np.repeat(self.rows["pre"].reach, self.before[2])

    def forward(self, pre: np.ndarray, w: np.ndarray) -> np.ndarray:
        """Input (n, n_post) of the targets, from values (n, n_pre)."""
        seen = np.tensordot(self._seen(pre), self._square(w), axes=((3, 4, 5), (2, 0, 1)))
        return seen.reshape(len(pre), -1)

    def backward(self, post: np.ndarray, w: np.ndarray) -> np.ndarray:
        """Input (n, n_pre) of the sources, from values (n, n_post)."""
        m, pool, square = self.convolution.padding, self.convolution.pool, self._square(w)
        height, width, channels = self.after
        post = post.reshape(-1, height, width, channels)
        total = np.zeros((len(post), *(n + 2 * m for n in self.before[:2]), self.before[2]))
        for i in range(self.side):
            for j in range(self.side):
                rows = slice(i, i + pool * height, pool), slice(j, j + pool * width, pool)
                total[:, rows[0], rows[1]] += post @ square[i, j].T
        inside = total[:, m : m + self.before[0], m : m + self.before[1]]
        return inside.reshape(len(post), -1)

    def product(self, pre: np.ndarray, post: np.ndarray) -> np.ndarray:
        """For each weight the products of its neurons, summed over trials and synapses."""
        post = post.reshape(-1, *self.after)
        square = np.tensordot(self._seen(pre), post, axes=((0, 1, 2), (0, 1, 2)))
        return self._kernel(square.transpose(1, 2, 0, 3))

    def synapses(self) -> tuple[np.ndarray, np.ndarray]:
        """Pre- and postsynaptic neuron of each synapse, one for each pair that is connected."""
        pre, post, _ = self._pairs
        return pre, post

    def synaptic(self, w: np.ndarray) -> np.ndarray:
        """The weight of each synapse, in the order of :meth:`synapses`."""
        return self._square(w).reshape(-1)[self._pairs[2]]

    def gathered(self, change: np.ndarray) -> np.ndarray:
        """Changes of the weights from those of the synapses, in the order of :meth:`synapses`."""
        square = np.zeros((self.side, self.side, *self.shape[2:]))
        np.add.at(square.reshape(-1), self._pairs[2], change)
        return self._kernel(square)

    def packed(self, w: np.ndarray, side: str) -> np.ndarray:
        """The weights in rows for the spikes of one side, see :class:`Rows`."""
        layout = self.rows[side].layout
        return np.where(layout >= 0, self._square(w).reshape(-1)[layout], 0)

    def unpacked(self, change: np.ndarray, side: str) -> np.ndarray:
        """Changes of the weights from the rows that the spikes of one side summed up."""
        layout = self.rows[side].layout
        square = np.zeros((self.side, self.side, *self.shape[2:]), change.dtype)
        square.reshape(-1)[layout[layout >= 0]] = change[layout >= 0]
        return self._kernel(square)

    @functools.cached_property
    def rows(self) -> dict[str, Rows]:
        """For the engine: pieces of rows that a spike of either side adds."""
        return {"pre": self._rows_of_pre(), "post": self._rows_of_post()}

    # A position y of the layer before and one Y of the layer after have the place y + m - pY in the
    # square of the weights: 0 to side - 1, else they are not connected.

    def _square(self, w: np.ndarray) -> np.ndarray:
        """The weights of the synapses: for each shift within a block the kernel, and their mean."""
        pool, k = self.convolution.pool, self.convolution.kernel
        square = np.zeros((self.side, self.side, *self.shape[2:]), w.dtype)
        for a in range(pool):
            for b in range(pool):
                square[a : a + k, b : b + k] += w
        return square / w.dtype.type(pool**2)

    def _kernel(self, square: np.ndarray) -> np.ndarray:
        """The transposed map: what each weight of the kernel gets from the changes of synapses."""
        pool, k = self.convolution.pool, self.convolution.kernel
        shifts = [(a, b) for a in range(pool) for b in range(pool)]
        total = sum(square[a : a + k, b : b + k] for a, b in shifts)
        return total / square.dtype.type(pool**2)

    def _seen(self, pre: np.ndarray) -> np.ndarray:
        """What each position sees (n, height, width, channels before, side, side)."""
        m, pool = self.convolution.padding, self.convolution.pool
        padded = np.pad(pre.reshape(-1, *self.before), ((0, 0), (m, m), (m, m), (0, 0)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (self.side,) * 2, axis=(1, 2))
        return windows[:, ::pool, ::pool]

    def _line(self, axis: int) -> list[list[tuple[int, int]]]:
        """For each position before along an axis: positions after that it reaches, and places."""
        m, pool = self.convolution.padding, self.convolution.pool
        return [
            [
                (after, here + m - pool * after)
                for after in range(self.after[axis])
                if 0 <= here + m - pool * after < self.side
            ]
            for here in range(self.before[axis])
        ]

    @functools.cached_property
    def _pairs(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Both neurons of each synapse, and its place in the square of the weights."""
        channels = np.indices(self.shape[2:]).reshape(2, -1)
        found = []
        for y, rows in enumerate(self._line(0)):
            for x, columns in enumerate(self._line(1)):
                for after_y, i in rows:
                    for after_x, j in columns:
                        pre = (y * self.before[1] + x) * self.shape[2] + channels[0]
                        post = (after_y * self.after[1] + after_x) * self.shape[3] + channels[1]
                        place = np.ravel_multi_index(
                            (i, j, *channels), (self.side, self.side, *self.shape[2:])
                        )
                        found.append((pre, post, place))
        pre, post, place = np.concatenate(found, axis=1)
        return pre, post, place

    def _rows_of_pre(self) -> Rows:
        """Neighbours along x lie side by side in memory, and so do their weights: every pool-th."""
        pool, (_, _, before, after) = self.convolution.pool, self.shape
        m, steps = self.convolution.padding, -(-self.side // pool)
        pieces = []
        for rows in self._line(0):
            for x, columns in enumerate(self._line(1)):
                here = []
                for after_y, i in rows if columns else ():
                    (start, place), n = columns[0], len(columns)
                    turn = steps - 1 - place // pool
                    offset = (i * pool + (x + m) % pool) * steps + turn
                    here.append(
                        ((after_y * self.after[1] + start) * after, offset * after, n * after)
                    )
                pieces.append(here)
        i, phase, turn = np.indices((self.side, pool, steps))
        j = phase + pool * (steps - 1 - turn)
        layout = self._layout(i.ravel(), j.ravel(), np.arange(before), np.arange(after))
        return _rows(before, pieces, layout.reshape(before, -1))

    def _rows_of_post(self) -> Rows:
        m, pool, (_, _, before, after) = self.convolution.padding, self.convolution.pool, self.shape
        pieces = []
        for after_y in range(self.after[0]):
            for after_x in range(self.after[1]):
                here = []
                low = max(pool * after_x - m, 0)
                high = min(pool * after_x - m + self.side, self.before[1])
                for y in range(pool * after_y - m, pool * after_y - m + self.side):
                    if 0 <= y < self.before[0] and low < high:
                        i, j = y + m - pool * after_y, low + m - pool * after_x
                        start = (y * self.before[1] + low) * before
                        offset = (i * self.side + j) * before
                        here.append((start, offset, (high - low) * before))
                pieces.append(here)
        i, j = np.indices((self.side, self.side)).reshape(2, -1)
        layout = self._layout(i, j, np.arange(before), np.arange(after)).transpose(2, 1, 0)
        return _rows(after, pieces, layout.reshape(after, -1))

    def _layout(self, i, j, before, after) -> np.ndarray:
        """Places (channels before, n, channels after) in the square of weights; -1 outside it."""
        inside = j < self.side
        index = (i * self.side + np.where(inside, j, 0))[None, :, None] * len(before)
        index = (index + before[:, None, None]) * len(after) + after
        return np.where(inside[None, :, None], index, -1)


def _rows(channels: int, pieces: list, layout: np.ndarray) -> Rows:
    counts = [len(here) for here in pieces]
    flat = np.array([piece for here in pieces for piece in here], np.int32).reshape(-1, 3)
    reach = np.array([sum(piece[2] for piece in here) for here in pieces], np.int32)
    first = np.cumsum([0, *counts]).astype(np.int32)
    neuron, weight, length = (np.ascontiguousarray(flat[:, k]) for k in range(3))
    return Rows(channels, first, neuron, weight, length, reach, layout)
