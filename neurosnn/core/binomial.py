r"""Binomial numbers from the draws of ``core/draws.py``: how many of n independent events happen.

The number is that of the probabilities :math:`F_0 \le F_1 \le \dots` of at most 0, 1, ... events that do not
exceed a uniform draw u, which inverts the distribution. As Brian2 does, a normal number of the same mean and
variance takes its place where both n p and n (1 - p) exceed five.
"""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np

from neurosnn.core.draws import normal, uniform

__all__ = ["Binomial"]

#: Expected events from which on Brian2 takes normal numbers (brian2/input/binomial.py).
NORMAL_ABOVE = 5


class Binomial:
    """How many of `n` events of probability `p` happen.

    Parameters
    ----------
    n : int
        Events.
    p : float
        Probability of each, from 0 to 1.

    Examples
    --------
    >>> from neurosnn.core.binomial import Binomial
    >>> Binomial(2, 0.5).table.tolist()
    [0.25, 0.75, 1.0]
    """

    def __init__(self, n: int, p: float):
        self.n, self.p = n, p

    @property
    def is_normal(self) -> bool:
        """Whether a normal number takes its place."""
        return self.n * self.p > NORMAL_ABOVE and self.n * (1 - self.p) > NORMAL_ABOVE

    @property
    def mean(self) -> float:
        """Mean."""
        return self.n * self.p

    @property
    def deviation(self) -> float:
        """Standard deviation."""
        return math.sqrt(self.n * self.p * (1 - self.p))

    @cached_property
    def table(self) -> np.ndarray:
        """Probabilities of at most 0, 1, ... events, up to the last that a draw can exceed, and 1.

        Sums and products in a stated order: every machine with IEEE numbers has the same bits.
        """
        few = min(self.p, 1 - self.p)  # rare events: the first probability is no zero
        chance, square = 1.0, 1 - few
        for bit in reversed(f"{self.n:b}"):
            chance *= square if bit == "1" else 1.0
            square *= square
        mass = [chance]
        for k in range(self.n):
            chance *= (self.n - k) / (k + 1) * (few / (1 - few))
            mass.append(chance)
            if k > self.n * few and chance < 2.0**-70:  # nothing that a sum notices
                break
        mass += [0.0] * (self.n + 1 - len(mass))
        sums = []
        total = 0.0
        for part in mass if few == self.p else mass[::-1]:
            total = min(total + part, 1.0)
            sums.append(total)
        sums[-1] = 1.0
        # a draw is below 1 by 2**-52 at least
        needed = int(np.searchsorted(sums, 1 - 2.0**-53)) + 1
        return np.array([*sums[: needed - 1], 1.0])

    def drawn(
        self, key: np.ndarray, trial: int, step: np.ndarray, number: int, neuron: np.ndarray
    ) -> np.ndarray:
        """The numbers of the draws at a place, as :func:`neurosnn.core.draws.uniform` takes it.

        Parameters
        ----------
        key, trial, step, number, neuron
            As there.

        Returns
        -------
        ndarray of float
            The bits that the generated C++ computes in float64.
        """
        if self.is_normal:
            return self.mean + self.deviation * normal(key, trial, step, number, neuron)
        u = uniform(key, trial, step, number, neuron)
        return np.searchsorted(self.table, u, side="right").astype(float)
