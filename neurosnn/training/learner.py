"""What the loop needs from whatever learns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from neurosnn.training.checkpoint import TrainingState

__all__ = ["Batch", "Learner"]


class Batch(NamedTuple):
    """What an update tells the loop.

    Attributes
    ----------
    values : dict of str to float
        For callbacks: "loss" and, where they are known, "accuracy" and "gradient_norm".
    totals : dict
        What is added up over the epoch: numbers, arrays, or dicts of them.
    spikes : float
        Spikes of the batch, for the progress bar.
    """

    values: dict[str, float]
    totals: dict[str, Any]
    spikes: float = 0.0


class Learner(ABC):
    """Whatever learns, with the trials of one ``fit``: all that the loop knows of it.

    In each epoch the loop draws :meth:`batches`. For each of them it asks for the :meth:`gradient`,
    in which an interruption or an error leaves everything as it was, and then for the :meth:`update`,
    which cannot be interrupted. Between two batches :meth:`state`, the random state and the position
    of the loop are all that a training needs to go on.

    Attributes
    ----------
    where : str
        Who trains, for messages: "Trainer.fit".
    trainer : object
        What callbacks are called with; its ``epoch`` and ``history`` are those of the training.
    validates : bool
        Whether there are trials for :meth:`validate`.
    """

    where: str
    trainer: Any
    validates: bool

    # -- an epoch ---------------------------------------------------------------------------

    @abstractmethod
    def n_trials(self, epoch: int) -> int:
        """How many trials :meth:`batches` would draw after ``epoch`` epochs."""

    @abstractmethod
    def batches(self) -> list[np.ndarray]:
        """Draw the order of an epoch: the numbers of the trials of each batch."""

    @abstractmethod
    def gradient(self, index: np.ndarray, place: str) -> Any:
        """What :meth:`update` needs, from the trials of that ``index``; weights stay as they are.

        Random numbers may be drawn. Raises FloatingPointError, which names the ``place``, for a loss
        or gradient that is not finite.
        """

    @abstractmethod
    def update(self, gradient: Any, moment: float) -> Batch:
        """Change the weights with a ``gradient``; ``moment`` is the time in epochs, of the schedule."""

    @abstractmethod
    def learning_rate(self, moment: float) -> float:
        """That of an update at this ``moment``."""

    @abstractmethod
    def row(self, totals: Mapping[str, Any]) -> dict[str, float]:
        """Loss, accuracy and whatever else the history tells, from the ``totals`` of some batches."""

    @abstractmethod
    def validate(self) -> dict[str, float]:
        """Loss, accuracy or both of the trials that are not trained on; nothing is learned."""

    @abstractmethod
    def end_epoch(self, totals: Mapping[str, Any], row: Mapping[str, float]) -> None:
        """What follows from a whole epoch; its ``row`` is in the history, callbacks come later."""

    # -- what a checkpoint keeps ------------------------------------------------------------

    @property
    @abstractmethod
    def weights(self) -> dict[str, np.ndarray]:
        """Copies of all that is learned."""

    @abstractmethod
    def use(self, weights: Mapping[str, np.ndarray]) -> None:
        """Take ``weights`` that :attr:`weights` gave earlier: the best ones."""

    @property
    @abstractmethod
    def random_state(self) -> Any:
        """Of all generators that are drawn from; what JSON can hold."""

    @random_state.setter
    @abstractmethod
    def random_state(self, state: Any) -> None: ...

    @abstractmethod
    def state(self) -> TrainingState:
        """Copies of all that changes in a training, but for the position of the loop."""

    @abstractmethod
    def restore(self, state: TrainingState, path: Any) -> None:
        """Take over a ``state``; a ValueError that names the ``path`` if it does not fit."""

    @abstractmethod
    def settings(self) -> dict[str, str]:
        """What must stay the same in a training that goes on."""
