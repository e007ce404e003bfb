"""Distributions that values are drawn from: parameters of a random search, delays of synapses."""

from __future__ import annotations

from typing import Any

import numpy as np
from brian2.units.fundamentalunits import get_dimensions

from neurosnn.core.messages import message

__all__ = ["Distribution", "LogUniform", "Uniform"]


class Distribution:
    """Base of the distributions with two limits."""

    positive = False

    def __init__(self, low: Any, high: Any):
        name = type(self).__name__
        if get_dimensions(low) is not get_dimensions(high):
            raise ValueError(
                message(f"{low} and {high} have different units.", name, "", "Give both the same.")
            )
        first, last = float(np.asarray(low)), float(np.asarray(high))
        if not first < last or (self.positive and first <= 0):
            raise ValueError(
                message(
                    f"the limits are {low} and {high}.",
                    name,
                    "Both must be positive, and the lower one comes first."
                    if self.positive
                    else "The lower one comes first.",
                    f"Write for example {name}(1e-4, 1e-1).",
                )
            )
        self.low, self.high = low, high

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.low!r}, {self.high!r})"

    def _draw(self, share: Any) -> Any:
        raise NotImplementedError

    def sample(self, rng: np.random.Generator, n: int | None = None) -> Any:
        """One value, or an array of n.

        Parameters
        ----------
        rng : numpy.random.Generator
            Where chance comes from.
        n : int, optional
            Number of values.

        Returns
        -------
        float, array or Quantity
            The values.
        """
        return self._draw(rng.random(n))


class Uniform(Distribution):
    """Values between two limits, all equally likely.

    Parameters
    ----------
    low, high : float or Quantity
        The limits.

    Raises
    ------
    ValueError
        If they are in the wrong order or have different units.

    Examples
    --------
    >>> from neurosnn.study import Uniform
    >>> Uniform(0.0, 1.0)
    Uniform(0.0, 1.0)
    """

    def _draw(self, share: Any) -> Any:
        return self.low + share * (self.high - self.low)


class LogUniform(Distribution):
    """Values between two limits whose logarithms are equally likely, such as learning rates.

    Parameters
    ----------
    low, high : float or Quantity
        The limits, both positive.

    Raises
    ------
    ValueError
        If they are not positive, in the wrong order or have different units.

    Examples
    --------
    >>> from neurosnn.study import LogUniform
    >>> LogUniform(1e-4, 1e-1)
    LogUniform(0.0001, 0.1)
    """

    positive = True

    def _draw(self, share: Any) -> Any:
        return self.low * float(np.asarray(self.high / self.low)) ** share
