"""The base of the losses: what a trainer, the engine and a Brian2 simulation need from a loss."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import numpy as np
from brian2.units.fundamentalunits import Quantity

from neurosnn.core.messages import message

__all__ = ["Loss", "StepError", "log_softmax"]


class StepError(NamedTuple):
    """How a readout neuron of a Brian2 simulation computes its error in a step.

    Attributes
    ----------
    code : str
        Statements that set ``err = dE/dy`` and add to ``loss`` and ``correct``; ``{output}`` is the output
        as a number, ``step_weight(t)`` is c_t, ``target(t, i)`` the target or the probability of a class.
    compares_outputs : bool
        Whether they read ``denominator``, which is ``sum_l exp(y_l - y_k)``, and ``n_larger``, the number
        of outputs that are larger.
    """

    code: str
    compares_outputs: bool = False


class Loss:
    """Base of the losses: what the trainer and its backends need from a loss."""

    #: Short name: ``Trainer(loss=...)`` takes it, and it is an identifier of the generated code.
    name: ClassVar[str]
    #: Whether one label belongs to a trial, so that the error is known when it is over.
    decides_trials: ClassVar[bool] = False
    #: Whether a label belongs to each step.
    decides_steps: ClassVar[bool] = False
    #: Whether the outputs are compared with a signal.
    follows_signal: ClassVar[bool] = False
    #: Whether it depends on the moment at which an output has some value, which a jump would fix.
    needs_smooth_output: ClassVar[bool] = False
    #: Names of :attr:`constants`, ``b.loss_<name>`` in :attr:`cpp`.
    constant_names: ClassVar[tuple[str, ...]] = ()
    #: The same formula for the engine: C++ statements that return the loss of a trial (a double). They
    #: read ``output`` (steps times K numbers), ``weight[step]``, ``b.labels``, ``b.targets`` and
    #: ``b.frame_offset[trial]``; they put dE/dy in the place of ``output`` and fill ``scores``,
    #: ``correct`` and ``total``. ``log_softmax(y, K, label, probability)``, ``best(y, K)`` and
    #: ``add_outputs(steps, K, weight)``, which sets ``scores`` to weighted sums, are at hand.
    cpp: ClassVar[str]
    #: Whether all threads of a block may run :attr:`cpp` at once: loops that write to ``output`` are
    #: ``FOR_STEPS(step, steps)``, all else is the same in every thread. Else one thread runs it. It
    #: holds for the class that has ``cpp``.
    threaded: ClassVar[bool] = False
    #: The same formula in each step of a Brian2 simulation; None if it is known only at the end.
    brian2: ClassVar[StepError | None] = None

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
        lengths, trial, step = trial_of_step(n_steps, type(self).__name__)
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


def trial_of_step(n_steps, where: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
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


def log_softmax(scores: np.ndarray) -> np.ndarray:
    """Logarithm of the softmax over the last axis."""
    shifted = scores - scores.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
