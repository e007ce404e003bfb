"""How well outputs follow values or signals: mean squared error and R squared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from neurosnn.losses import MeanSquareError
from neurosnn.training.batches import TrialSource, steps_of

__all__ = ["regression"]


def regression(
    source: TrialSource, results: Sequence[tuple[Any, int]], loss: Any, dt: Any
) -> dict[str, float]:
    r"""Mean squared error and R2 of results of batches of the ``source``; {} if the loss is another one.

    .. math::
        \mathrm{mse} = \frac{\sum c\,(y_k - y^*_k)^2}{K \sum c}, \qquad
        R^2 = 1 - \frac{\sum c\,(y_k - y^*_k)^2}{\sum c\,(y^*_k - \bar y^*_k)^2}

    The sums run over the K outputs and, for a signal, over all steps of all trials with the weights c of
    the loss; for one value a trial, y is the mean of the output with these weights, and the sums run over
    the trials.

    Parameters
    ----------
    source : TrialSource
        Trials and targets.
    results : sequence of (BatchResult, int)
        In the order of the trials.
    loss : Loss
        What was computed.
    dt : Quantity
        Step [s].

    Returns
    -------
    dict of str to float
        "mse" and "r2", which is nan for targets that do not vary.
    """
    if not isinstance(loss, MeanSquareError) or source.targets is None:
        return {}
    n_steps = steps_of(source.trials, dt)
    weights = loss.step_weights(n_steps, dt)
    if source.values is not None:
        trial = np.repeat(np.arange(len(n_steps)), n_steps)
        sums = np.bincount(trial, weights=weights, minlength=len(n_steps))
        outputs = np.concatenate([result.scores for result, _ in results]) / sums[:, None]
        squares = float(np.sum((outputs - source.values) ** 2))
        spread = float(np.sum((source.values - source.values.mean(axis=0)) ** 2))
        total = source.values.size
    else:
        squares = 2 * float(sum(result.loss * n for result, n in results))
        c = weights.reshape(len(source), -1)[:, :, None]
        mean = (c * source.targets).sum(axis=(0, 1)) / c.sum()
        spread = float(np.sum(c * (source.targets - mean) ** 2))
        total = float(c.sum()) * source.targets.shape[2]
    r2 = 1 - squares / spread if spread > 0 else float("nan")
    return {"mse": squares / total, "r2": r2}
