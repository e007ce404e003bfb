"""Cross-entropy of one label a step."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import numpy as np
from brian2.units.fundamentalunits import Quantity

from neurosnn.core.arguments import explained
from neurosnn.core.messages import message
from neurosnn.losses.base import Loss, StepError, log_softmax
from neurosnn.losses.time_windows import check_time, steps_inside, window_repr

__all__ = ["CrossEntropyPerStep"]


@explained
@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class CrossEntropyPerStep(Loss):
    r"""Cross-entropy of one label a step; steps with label -1 do not count.

    .. math::
        E = -\sum_t c_t \log \pi_{label^t}^t, \qquad
        \frac{\partial E}{\partial y_k^t} = c_t\, (\pi_k^t - \delta_{k, label^t})

    with pi^t the softmax of y^t and c_t = 1 / (steps that count), so that every trial has the same
    weight however long it is. A trial in which no step counts has loss 0.

    Parameters
    ----------
    start, stop : Quantity, optional
        Only steps with ``start <= t < stop`` count [s]; a negative time counts from the end.

    Raises
    ------
    ValueError
        Not a time, or no step inside the window.

    Examples
    --------
    >>> from brian2 import ms
    >>> from neurosnn.losses import CrossEntropyPerStep
    >>> CrossEntropyPerStep().step_weights([2, 3], 1*ms, labels=[4, -1, 0, 1, -1])
    array([1. , 0. , 0.5, 0.5, 0. ])
    """

    start: Quantity | None = None
    stop: Quantity | None = None

    name: ClassVar[str] = "cross_entropy_per_step"
    decides_steps: ClassVar[bool] = True
    cpp: ClassVar[str] = """
        double loss = 0;
        vector<double> probability(K);
        for (int64_t step = 0; step < steps; step++) {
            double* y = output.data() + step*K;
            for (int64_t k = 0; k < K; k++) scores[k] += weight[step]*y[k];
            const int64_t label = b.labels[b.frame_offset[trial] + step];
            if (label < 0 || weight[step] == 0) { fill(y, y + K, 0.0); continue; }
            correct += best(y, K) == label;
            total++;
            loss -= weight[step]*log_softmax(y, K, label, probability.data());
            probability[label] -= 1;
            for (int64_t k = 0; k < K; k++) y[k] = weight[step]*probability[k];
        }
        return loss;
    """
    brian2: ClassVar[StepError] = StepError(
        """
        err = step_weight(t)*(1/denominator - target(t, i))
        loss += step_weight(t)*target(t, i)*log(clip(denominator, 1, 1e300))
        correct += int(step_weight(t) > 0)*target(t, i)*int(n_larger == 0)
        """,
        compares_outputs=True,
    )

    def __post_init__(self) -> None:
        check_time("start", self.start, type(self).__name__, negative=True)
        check_time("stop", self.stop, type(self).__name__, negative=True)

    def __repr__(self) -> str:
        return window_repr(self)

    def _weights(self, lengths, trial, step, dt, labels) -> np.ndarray:
        counted = steps_inside(self, lengths, trial, step, dt)
        if labels is not None:
            labels = np.asarray(labels)
            if labels.shape != counted.shape:
                raise ValueError(
                    message(
                        f"labels has shape {labels.shape} for {len(counted)} steps.",
                        type(self).__name__,
                        "There is one label a step, one trial after the other.",
                        "Repeat the label of a frame for each of its steps.",
                    )
                )
            counted = counted & (labels >= 0)
        numbers = np.bincount(trial, counted, minlength=len(lengths))
        return counted / np.maximum(numbers, 1)[trial]

    def _value_and_error(self, outputs, targets, weights) -> tuple[float, np.ndarray]:
        weights = np.where(targets >= 0, weights, 0.0)
        log_pi = log_softmax(outputs)
        steps = np.arange(len(log_pi))
        error = np.exp(log_pi)
        error[steps, targets] -= 1  # label -1 changes the last class of a row whose weight is 0
        return -weights @ log_pi[steps, targets], weights[:, None] * error
