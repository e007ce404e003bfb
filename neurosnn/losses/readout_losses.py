"""What a network is trained for: a weight for each step, a value, and the error fed back.

``y_k^t`` is output k of the readout at the end of step t, ``c_t`` the weight of the step.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import numpy as np
from brian2.units import ms, second
from brian2.units.fundamentalunits import Quantity, get_dimensions

from neurosnn.core.messages import did_you_mean, message
from neurosnn.core.values import Range, check_value

__all__ = ["CrossEntropy", "CrossEntropyPerStep", "Loss", "MeanSquareError", "as_loss"]

#: Middle and width of the sigmoid readout, as parts of the trial (Nowotny et al. 2025).
_SIGMOID = (0.5, 0.2)

#: Shifts the edge of a window by this part of a step, so that 100*ms / (0.1*ms) is step 1000.
_ROUNDING = 1e-3


class Loss:
    """Base of the losses: what the trainer and its backends need to know of one."""

    #: Which formula a backend has to use.
    kind: ClassVar[str]
    #: Whether one label belongs to a trial, so that the error is known when it is over.
    decides_trials: ClassVar[bool] = False

    @property
    def constants(self) -> dict[str, float]:
        """Numbers of the formula besides the weights, in SI values."""
        return {}

    def scores(self, outputs: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """One number for each output of a trial; the largest is the answer.

        Parameters
        ----------
        outputs : ndarray (n_steps, n_out)
            Output of the readout at the end of each step.
        weights : ndarray (n_steps,)
            c_t.

        Returns
        -------
        ndarray (n_out,)
        """
        return weights @ outputs

    def step_weights(
        self, n_steps: np.ndarray, dt: Quantity, labels: np.ndarray | None = None
    ) -> np.ndarray:
        """Weights of all steps of all trials.

        Parameters
        ----------
        n_steps : array_like of int (trials,)
            Length of each trial.
        dt : Quantity
            Step [s].
        labels : array_like of int (sum of n_steps,), optional
            Label of each step, for losses with labels per step; without them every step in the
            window counts.

        Returns
        -------
        array of float64 (sum of n_steps,)
            c_t, one trial after the other.

        Raises
        ------
        ValueError
            A trial without a step, or without one in the window; labels of another length.
        """
        lengths, trial, step = _layout(n_steps, type(self).__name__)
        return self._weights(lengths, trial, step, dt, labels)

    def value_and_error(
        self, outputs: np.ndarray, targets: np.ndarray | int, weights: np.ndarray
    ) -> tuple[float, np.ndarray]:
        """The loss of one trial and its derivative by the outputs: the definition, in numpy.

        Parameters
        ----------
        outputs : array_like (n_steps, n_out)
            Output of the readout at the end of each step.
        targets : int or array_like (n_steps,) or array_like (n_steps, n_out)
            Label of the trial, labels of the steps, or a signal.
        weights : array_like (n_steps,)
            c_t.

        Returns
        -------
        loss : float
            E.
        error : array (n_steps, n_out)
            dE/dy.
        """
        outputs, weights = np.asarray(outputs, dtype=float), np.asarray(weights, dtype=float)
        value, error = self._value_and_error(outputs, np.asarray(targets), weights)
        return float(value), error

    def _weights(self, lengths, trial, step, dt, labels) -> np.ndarray:
        raise NotImplementedError

    def _value_and_error(self, outputs, targets, weights) -> tuple[float, np.ndarray]:
        raise NotImplementedError


def _layout(n_steps, where: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lengths of the trials, the trial of each step, and the step's number in its trial."""
    lengths = np.atleast_1d(np.asarray(n_steps, dtype=np.int64))
    if lengths.ndim != 1 or np.any(lengths < 1):
        raise ValueError(
            message(
                f"n_steps must be the lengths of the trials, at least 1, got {n_steps}.",
                where,
                "A trial without a step has no output.",
                "Pass one whole number a trial.",
            )
        )
    trial = np.repeat(np.arange(len(lengths)), lengths)
    starts = np.cumsum(lengths) - lengths
    return lengths, trial, np.arange(len(trial)) - starts[trial]


def check_time(name: str, value, where: str, *, negative: bool = False) -> None:
    """Refuse what is not one time; a negative one counts from the end of the trial."""
    if value is None:
        return
    if get_dimensions(value) is second.dim and np.ndim(value) == 0 and negative:
        check_value(name, abs(value), Range(0 * second, includes_low=True), where=where)
    else:
        allowed = Range(0 * second, includes_low=name != "tau")
        check_value(name, value, allowed, where=where)
    if np.ndim(value):
        raise ValueError(
            message(
                f"{name} must be one time, got {value}.",
                where,
                "It holds for all trials.",
                f"Write for example {name}=20*ms.",
            )
        )


def _inside(loss, lengths, trial, step, dt) -> np.ndarray:
    """Which steps lie in the window: ``start <= t < stop``, with t = step * dt."""
    where = type(loss).__name__
    width = float(dt / second)
    first, last = np.zeros(len(lengths)), lengths.astype(float)
    for edges, value in ((first, loss.start), (last, loss.stop)):
        if value is not None:
            edges[:] = np.ceil(float(value / second) / width - _ROUNDING)
            edges += lengths * (float(value / second) < 0)
    inside = (step >= first[trial]) & (step < last[trial])
    counts = np.bincount(trial[inside], minlength=len(lengths))
    if not np.all(counts):
        k = int(np.argmin(counts))
        raise ValueError(
            message(
                f"no step of trial {k} lies between start={loss.start} and stop={loss.stop}.",
                where,
                f"The trial lasts {lengths[k] * width / float(ms / second):g} ms: it would not count.",
                "Choose a window inside the trials; a negative time counts from their end.",
            )
        )
    return inside


def _window_repr(loss, **others) -> str:
    values = {**others, "start": loss.start, "stop": loss.stop}
    given = ", ".join(f"{name}={value!r}" for name, value in values.items() if value is not None)
    return f"{type(loss).__name__}({given})"


def log_softmax(scores: np.ndarray) -> np.ndarray:
    """Logarithm of the softmax over the last axis."""
    shifted = scores - scores.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


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

    kind: ClassVar[str] = "cross_entropy"
    decides_trials: ClassVar[bool] = True

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
        return _window_repr(self, readout=self.readout, tau=self.tau)

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
            weights = _inside(self, lengths, trial, step, dt).astype(float)
        else:
            weights = np.ones(len(trial))
        return weights / np.bincount(trial, weights)[trial]

    def _value_and_error(self, outputs, targets, weights) -> tuple[float, np.ndarray]:
        log_pi = log_softmax(weights @ outputs)
        label = int(targets)
        error = np.exp(log_pi)
        error[label] -= 1
        return -log_pi[label], np.outer(weights, error)


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

    kind: ClassVar[str] = "cross_entropy_per_step"

    def __post_init__(self) -> None:
        check_time("start", self.start, type(self).__name__, negative=True)
        check_time("stop", self.stop, type(self).__name__, negative=True)

    def __repr__(self) -> str:
        return _window_repr(self)

    def _weights(self, lengths, trial, step, dt, labels) -> np.ndarray:
        counted = _inside(self, lengths, trial, step, dt)
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

    kind: ClassVar[str] = "mean_square"

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
        return _window_repr(self, reduction=self.reduction)

    def _weights(self, lengths, trial, step, dt, labels) -> np.ndarray:
        weights = _inside(self, lengths, trial, step, dt).astype(float)
        return weights if self.reduction == "sum" else weights / np.bincount(trial, weights)[trial]

    def _value_and_error(self, outputs, targets, weights) -> tuple[float, np.ndarray]:
        difference = outputs - targets
        error = weights[:, None] * difference
        return 0.5 * np.sum(error * difference), error


def as_loss(loss: Loss | str) -> Loss:
    """The loss of a short name, or the loss itself.

    Parameters
    ----------
    loss : Loss or {"cross_entropy", "cross_entropy_per_step", "mean_square", "max_cross_entropy", \
"first_spike"}
        A name stands for the loss with its defaults.

    Returns
    -------
    Loss

    Raises
    ------
    ValueError
        An unknown name.
    TypeError
        Neither a name nor a loss.

    Examples
    --------
    >>> from neurosnn.losses import as_loss
    >>> as_loss("mean_square")
    MeanSquareError(reduction='mean')
    """
    from neurosnn.losses.event_losses import FirstSpike, MaxCrossEntropy

    kinds = (CrossEntropy, CrossEntropyPerStep, MeanSquareError, MaxCrossEntropy, FirstSpike)
    known = {one.kind: one for one in kinds}
    if isinstance(loss, str):
        if loss not in known:
            raise ValueError(
                message(
                    f"loss={loss!r} is not known.",
                    "Trainer",
                    "A name stands for a loss with its defaults.",
                    did_you_mean(loss, known),
                )
            )
        return known[loss]()
    if not isinstance(loss, Loss):
        raise TypeError(
            message(
                f"loss must be a loss or its name, got {loss!r}.",
                "Trainer",
                "Backends know those of neurosnn.losses.",
                "Write for example loss='cross_entropy' or loss=CrossEntropy(readout='last').",
            )
        )
    return loss
