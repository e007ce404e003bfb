"""Half the squared distance of the outputs to a signal."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import numpy as np
from brian2.units.fundamentalunits import Quantity

from neurosnn.core.arguments import explained
from neurosnn.core.messages import did_you_mean, message
from neurosnn.losses.base import Loss, StepError
from neurosnn.losses.time_windows import check_time, steps_inside, window_repr

__all__ = ["MeanSquareError"]


@explained
@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class MeanSquareError(Loss):
    r"""Half the squared distance to a target signal.

    .. math::
        E = \frac12 \sum_t c_t \sum_k (y_k^t - y_k^{*t})^2, \qquad
        \frac{\partial E}{\partial y_k^t} = c_t\, (y_k^t - y_k^{*t})

    Parameters
    ----------
    start, stop : Quantity, optional
        Only steps with ``start <= t < stop`` count [s]; a negative time counts from the end.
    reduction : {"mean", "sum"}, optional
        Over the steps that count: c_t = 1 / (their number), or c_t = 1 as in Bellec et al. 2020
        and in NEST's regression task.

    Raises
    ------
    ValueError
        Not a time, an unknown reduction, or no step inside the window.

    Examples
    --------
    >>> from neurosnn.losses import MeanSquareError
    >>> loss, error = MeanSquareError().value_and_error([[1.0], [3.0]], [[0.0], [1.0]], [0.5, 0.5])
    >>> loss, error.tolist()
    (1.25, [[0.5], [1.0]])
    """

    start: Quantity | None = None
    stop: Quantity | None = None
    reduction: str = "mean"

    name: ClassVar[str] = "mean_square"
    follows_signal: ClassVar[bool] = True
    cpp: ClassVar[str] = """
        double loss = 0;
        const double* target = b.targets + b.frame_offset[trial]*K;
        for (int64_t step = 0; step < steps; step++)
            for (int64_t k = 0; k < K; k++) {
                scores[k] += weight[step]*output[step*K + k];
                const double error = output[step*K + k] - target[step*K + k];
                loss += 0.5*weight[step]*error*error;
                output[step*K + k] = weight[step]*error;
            }
        return loss;
    """
    brian2: ClassVar[StepError] = StepError(
        """
        err = step_weight(t)*({output} - target(t, i))
        loss += 0.5*step_weight(t)*({output} - target(t, i))**2
        """
    )

    def __post_init__(self) -> None:
        check_time("start", self.start, type(self).__name__, negative=True)
        check_time("stop", self.stop, type(self).__name__, negative=True)
        if self.reduction not in ("mean", "sum"):
            raise ValueError(
                message(
                    f"reduction={self.reduction!r} is not known.",
                    type(self).__name__,
                    "The squares of the steps are averaged or added.",
                    did_you_mean(str(self.reduction), ("mean", "sum")),
                )
            )

    def __repr__(self) -> str:
        return window_repr(self, reduction=self.reduction)

    def _weights(self, lengths, trial, step, dt, labels) -> np.ndarray:
        weights = steps_inside(self, lengths, trial, step, dt).astype(float)
        return weights if self.reduction == "sum" else weights / np.bincount(trial, weights)[trial]

    def _value_and_error(self, outputs, targets, weights) -> tuple[float, np.ndarray]:
        difference = outputs - targets
        error = weights[:, None] * difference
        return 0.5 * np.sum(error * difference), error
