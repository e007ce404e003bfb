"""Learning-rate schedules: a factor of the learning rate for each moment of the training.

A schedule is any function of the epoch. It is called for every batch with the time that has passed
in epochs (2.5: in the middle of the third), so ``lambda epoch: 0.95**epoch`` is one as well.
"""

from __future__ import annotations

import dataclasses
import math

from neurosnn.core.messages import message
from neurosnn.core.values import Range, check_value

__all__ = ["Constant", "Cosine", "Exponential", "Steps", "WarmUp"]

_POSITIVE = Range(0.0)
_NOT_NEGATIVE = Range(0.0, includes_low=True)


@dataclasses.dataclass(frozen=True)
class Constant:
    """The same learning rate all the time.

    Parameters
    ----------
    factor : float, optional
        Factor of the learning rate.

    Examples
    --------
    >>> Constant()(3.5)
    1.0
    """

    factor: float = 1.0

    def __post_init__(self) -> None:
        check_value("factor", self.factor, _NOT_NEGATIVE, where="Constant")

    def __call__(self, epoch: float) -> float:
        """The factor at an epoch."""
        return self.factor


@dataclasses.dataclass(frozen=True)
class Exponential:
    """Multiplied by a decay at the end of each epoch: ``decay ** floor(epoch)``.

    Parameters
    ----------
    decay : float
        Factor from one epoch to the next, for example 0.95.

    Examples
    --------
    >>> Exponential(0.5)(2.9)
    0.25
    """

    decay: float

    def __post_init__(self) -> None:
        check_value("decay", self.decay, _POSITIVE, where="Exponential")

    def __call__(self, epoch: float) -> float:
        """The factor at an epoch."""
        return self.decay ** math.floor(epoch)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Steps:
    """Multiplied by a factor every ``every`` epochs: ``factor ** floor(epoch / every)``.

    Parameters
    ----------
    every : float
        Epochs from one step to the next.
    factor : float, optional
        Factor of each step (0.7 every 100 epochs: Traub et al. 2020).

    Examples
    --------
    >>> Steps(every=10, factor=0.5)(25)
    0.25
    """

    every: float
    factor: float = 0.7

    def __post_init__(self) -> None:
        check_value("every", self.every, _POSITIVE, where="Steps")
        check_value("factor", self.factor, _POSITIVE, where="Steps")

    def __call__(self, epoch: float) -> float:
        """The factor at an epoch."""
        return self.factor ** math.floor(epoch / self.every)


@dataclasses.dataclass(frozen=True)
class WarmUp:
    """Rising linearly from zero to one, then another schedule.

    Parameters
    ----------
    epochs : float
        Length of the rise in epochs; 1 as in Bellec et al. 2020.
    after : callable, optional
        What the factor is multiplied with, as a function of the same epoch; None: one.

    Examples
    --------
    >>> WarmUp(2)(0.5), WarmUp(2, Exponential(0.5))(3)
    (0.25, 0.125)
    """

    epochs: float
    after: object = None

    def __post_init__(self) -> None:
        check_value("epochs", self.epochs, _POSITIVE, where="WarmUp")
        if self.after is not None and not callable(self.after):
            raise TypeError(
                message(
                    f"after must be a schedule, got {self.after!r}.",
                    "WarmUp",
                    "It is called with the epoch.",
                    "Write for example WarmUp(1, Exponential(0.95)).",
                )
            )

    def __call__(self, epoch: float) -> float:
        """The factor at an epoch."""
        later = float(self.after(epoch)) if callable(self.after) else 1.0
        return min(1.0, epoch / self.epochs) * later


@dataclasses.dataclass(frozen=True)
class Cosine:
    """Falling along half a cosine: ``last + (1 - last) (1 + cos(pi epoch / epochs)) / 2``.

    Parameters
    ----------
    epochs : float
        Where the fall ends.
    last : float, optional
        Factor at the end and after it.

    Examples
    --------
    >>> Cosine(10)(0), Cosine(10)(5), Cosine(10)(10)
    (1.0, 0.5, 0.0)
    """

    epochs: float
    last: float = 0.0

    def __post_init__(self) -> None:
        check_value("epochs", self.epochs, _POSITIVE, where="Cosine")
        check_value("last", self.last, _NOT_NEGATIVE, where="Cosine")

    def __call__(self, epoch: float) -> float:
        """The factor at an epoch."""
        share = min(1.0, epoch / self.epochs)
        return self.last + (1 - self.last) * (1 + math.cos(math.pi * share)) / 2
