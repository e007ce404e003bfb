"""Which learning rate: the loss while the rate rises from batch to batch."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from neurosnn.core.drawing import current_axes
from neurosnn.core.messages import message
from neurosnn.core.values import Range, check_value, check_whole
from neurosnn.training.progress import uninterrupted

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from neurosnn.training.trainer import Trainer

__all__ = ["LearningRates", "find_learning_rate"]

#: Weight of the past in the smoothed loss.
_MEMORY = 0.8
#: A smoothed loss this many times the best one ends the search.
_DIVERGED = 4.0


class LearningRates(NamedTuple):
    """The loss at each learning rate.

    Attributes
    ----------
    rate : ndarray (n,)
        Learning rates, rising; the search ends where the loss explodes.
    loss : ndarray (n,)
        Loss of the batch before the update at that rate.
    smoothed : ndarray (n,)
        Its running mean.
    suggestion : float
        A tenth of the rate at which the smoothed loss is lowest.
    """

    rate: np.ndarray
    loss: np.ndarray
    smoothed: np.ndarray
    suggestion: float

    def __repr__(self) -> str:
        return (
            f"LearningRates: {len(self.rate)} from {self.rate[0]:.2g} to {self.rate[-1]:.2g}, "
            f"suggestion {self.suggestion:.2g}"
        )

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the loss against the learning rate.

        Parameters
        ----------
        ax : Axes, optional
            Where to draw; the current Axes if None.

        Returns
        -------
        Axes
            The Axes drawn in.
        """
        ax = current_axes(ax)
        ax.plot(self.rate, self.loss, ".", color="0.75", label="batch")
        ax.plot(self.rate, self.smoothed, label="smoothed")
        ax.axvline(self.suggestion, color="black", linewidth=0.8, label="suggestion")
        ax.set(xscale="log", xlabel="learning rate", ylabel="loss")
        ax.legend()
        return ax


def find_learning_rate(
    trainer: Trainer,
    train: Any,
    *,
    targets: Any = None,
    lowest: float = 1e-5,
    highest: float = 1.0,
    n_updates: int = 60,
    batch_size: int = 32,
) -> LearningRates:
    """The range test of Smith (2017): one update at each of many learning rates, from low to high.

    Everything that learns is put back at the end, so that the training starts as if nothing had been.

    Parameters
    ----------
    trainer : Trainer
        Who trains; schedules play no part.
    train : SpikeTrials or FrameTrials
        The trials; drawn in a random order, again and again.
    targets : array, optional
        As for ``fit``.
    lowest, highest : float, optional
        First and last learning rate; in between they are equally far apart on a logarithmic axis.
    n_updates : int, optional
        How many rates.
    batch_size : int, optional
        Trials of an update; use that of the training.

    Returns
    -------
    LearningRates

    Raises
    ------
    ValueError
        Trials that do not fit, or rates in the wrong order.

    Notes
    -----
    A tenth of the best rate is a rule of thumb: look at the curve. Cost: `n_updates` updates.

    References
    ----------
    Smith, Cyclical learning rates for training neural networks, WACV (2017), section 3.3.

    Examples
    --------
    >>> rates = find_learning_rate(trainer, train)  # doctest: +SKIP
    >>> rates.suggestion  # doctest: +SKIP
    0.003
    """
    where = "find_learning_rate"
    check_whole("n_updates", n_updates, 5, where=where)
    check_whole("batch_size", batch_size, 1, where=where)
    for name, value in (("lowest", lowest), ("highest", highest)):
        check_value(name, value, Range(0.0), where=where)
    if lowest >= highest:
        raise ValueError(
            message(
                f"lowest is {lowest:g} and highest {highest:g}.",
                where,
                "The rate rises from one to the other.",
                "Write for example lowest=1e-5, highest=1.",
            )
        )
    source = trainer._check(train, targets, where)
    updates, state = trainer._updates, copy.deepcopy(trainer._state())
    schedule, base = updates.schedule, float(trainer.optimizer.learning_rate)
    rng = np.random.default_rng(trainer.seed)
    rates = np.geomspace(lowest, highest, n_updates)
    losses: list[float] = []
    smoothed: list[float] = []
    mean = 0.0
    queue = np.empty(0, dtype=np.int64)
    try:
        for k, rate in enumerate(rates):
            while len(queue) < min(batch_size, len(source)):
                queue = np.concatenate([queue, rng.permutation(len(source))])
            part, queue = source.take(queue[:batch_size]), queue[batch_size:]
            result = trainer._run(part)
            loss = float(result.loss)
            mean = _MEMORY * mean + (1 - _MEMORY) * loss
            now = mean / (1 - _MEMORY ** (k + 1))
            if not np.isfinite(loss) or (smoothed and now > _DIVERGED * min(smoothed)):
                break
            losses.append(loss)
            smoothed.append(now)
            updates.schedule = _constant(rate / base)
            try:
                gradient = updates.check(result.gradient, loss, f"learning rate {rate:.2g}")
            except FloatingPointError:
                break
            with uninterrupted():
                updates.apply(gradient, 0.0)
    finally:
        updates.schedule = schedule
        trainer._restore(state, where)
    if not losses:
        raise FloatingPointError(
            message(
                "the loss of the first batch is not finite.",
                where,
                "No learning rate can mend that.",
                "Check the trials and the scale of the weights.",
            )
        )
    best = float(rates[int(np.argmin(smoothed))])
    return LearningRates(rates[: len(losses)], np.array(losses), np.array(smoothed), best / 10)


def _constant(factor: float) -> Any:
    return lambda epoch: factor
