"""Cross-entropy of one label a trial, on outputs weighted over time."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import numpy as np
from brian2.units.fundamentalunits import Quantity

from neurosnn.core.arguments import explained
from neurosnn.core.messages import did_you_mean, message
from neurosnn.losses.base import Loss, log_softmax
from neurosnn.losses.time_windows import check_time, steps_inside, window_repr

__all__ = ["CrossEntropy"]

#: Middle and width of the sigmoid readout, as parts of the trial (Nowotny et al. 2025).
_SIGMOID = (0.5, 0.2)


@explained
@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class CrossEntropy(Loss):
    r"""Cross-entropy of one label a trial, on the outputs weighted over time.

    .. math::
        s_k = \sum_t c_t\, y_k^t, \qquad E = -\log \frac{e^{s_{label}}}{\sum_k e^{s_k}}, \qquad
        \frac{\partial E}{\partial y_k^t} = c_t\, (\pi_k - \delta_{k, label})

    with pi the softmax of s. The weights sum to one.

    Parameters
    ----------
    readout : {"mean", "last", "exponential", "linear", "sigmoid", "window"}, optional
        c_t = 1/T; the last step only; proportional to ``exp(-t/tau)``, to ``1 - t/T`` or to
        ``1/(1 + exp((t/T - 0.5)/0.2))``; equal for ``start <= t < stop`` and zero elsewhere. The
        shaped ones favour early steps, so that more of the error reaches the hidden layers (Nowotny
        et al. 2025).
    tau : Quantity, optional
        Time constant of "exponential" [s].
    start, stop : Quantity, optional
        Window [s]. A negative time counts from the end of the trial: ``start=-150*ms`` alone is
        its last 150 ms.

    Raises
    ------
    ValueError
        An unknown readout, a time that does not belong to it, or no step inside the window.

    Examples
    --------
    >>> from brian2 import ms
    >>> from neurosnn.losses import CrossEntropy
    >>> CrossEntropy(readout="window", start=-2*ms).step_weights([3, 4], 1*ms)
    array([0. , 0.5, 0.5, 0. , 0. , 0.5, 0.5])
    >>> loss, error = CrossEntropy().value_and_error([[0.0, 0.0]], 1, [1.0])
    >>> round(loss, 4), error.tolist()
    (0.6931, [[0.5, -0.5]])
    """

    readout: str = "mean"
    tau: Quantity | None = None
    start: Quantity | None = None
    stop: Quantity | None = None

    name: ClassVar[str] = "cross_entropy"
    decides_trials: ClassVar[bool] = True
    threaded: ClassVar[bool] = True
    cpp: ClassVar[str] = """
        add_outputs(steps, K, weight);
        const int64_t label = b.labels[trial];
        vector<double> probability(K);
        const double loss = -log_softmax(scores.data(), K, label, probability.data());
        correct = best(scores.data(), K) == label;
        total = 1;
        probability[label] -= 1;
        FOR_STEPS(step, steps)
            for (int64_t k = 0; k < K; k++) output[step*K + k] = weight[step]*probability[k];
        return loss;
    """

    def __post_init__(self) -> None:
        where = type(self).__name__
        known = ("mean", "last", "exponential", "linear", "sigmoid", "window")
        if self.readout not in known:
            raise ValueError(
                message(
                    f"readout={self.readout!r} is not known.",
                    where,
                    "It says how the outputs are weighted over time.",
                    did_you_mean(str(self.readout), known),
                )
            )
        check_time("tau", self.tau, where)
        check_time("start", self.start, where, negative=True)
        check_time("stop", self.stop, where, negative=True)
        if (self.tau is None) == (self.readout == "exponential"):
            raise ValueError(
                message(
                    f"readout={self.readout!r} with tau={self.tau}.",
                    where,
                    "The time constant belongs to the exponential readout, and only to it.",
                    "Write readout='exponential', tau=200*ms, or leave tau out.",
                )
            )
        if (self.start is None and self.stop is None) == (self.readout == "window"):
            raise ValueError(
                message(
                    f"readout={self.readout!r} with start={self.start}, stop={self.stop}.",
                    where,
                    "A window has a start or a stop, and no other readout has.",
                    "Write readout='window', start=100*ms, or leave them out.",
                )
            )

    def __repr__(self) -> str:
        return window_repr(self, readout=self.readout, tau=self.tau)

    def _weights(self, lengths, trial, step, dt, labels) -> np.ndarray:
        if self.readout == "last":
            return (step == lengths[trial] - 1).astype(float)
        if self.readout == "exponential":
            weights = np.exp(-step * float(dt / self.tau))
        elif self.readout == "linear":
            weights = 1 - step / lengths[trial]
        elif self.readout == "sigmoid":
            middle, width = _SIGMOID
            weights = 1 / (1 + np.exp((step / lengths[trial] - middle) / width))
        elif self.readout == "window":
            weights = steps_inside(self, lengths, trial, step, dt).astype(float)
        else:
            weights = np.ones(len(trial))
        return weights / np.bincount(trial, weights)[trial]

    def _value_and_error(self, outputs, targets, weights) -> tuple[float, np.ndarray]:
        log_pi = log_softmax(weights @ outputs)
        label = int(targets)
        error = np.exp(log_pi)
        error[label] -= 1
        return -log_pi[label], np.outer(weights, error)
