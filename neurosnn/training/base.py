"""What trainers of networks kept in numpy arrays have in common, and how the loop sees them."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np

from neurosnn.core.values import check_whole
from neurosnn.training.checkpoint import (
    TrainingState,
    check_random_state,
    load_checkpoint,
    refuse_damaged,
    save_checkpoint,
)
from neurosnn.training.history import History
from neurosnn.training.learner import Learner
from neurosnn.training.updates import Updates

__all__ = ["ArrayLearner", "BaseTrainer", "hold_out"]


def hold_out(
    strata: np.ndarray, share: float, seed: int, *, where: str
) -> tuple[np.ndarray, np.ndarray]:
    """Which trials to train on, and which to validate with, a ``share`` of each class."""
    from neurosnn.data.trial_set import split_indices

    return split_indices(strata, share, seed, None, where=f"{where} validation")


class BaseTrainer(ABC):
    """Weights, an optimizer, one random generator, and the epochs done."""

    def __init__(self, updates: Updates, random: np.random.Generator):
        self._updates, self.optimizer, self.random = updates, updates.optimizer, random
        self.epoch, self.history = 0, History()
        self.counts: dict[str, np.ndarray] = {}

    @property
    def updates(self) -> int:
        """Updates done."""
        return self._updates.count

    def save_checkpoint(self, path: str | os.PathLike[str]) -> None:
        """Write weights, optimizer, random state and history to a file, for a loop of your own.

        Parameters
        ----------
        path : str or path
            The npz file.
        """
        save_checkpoint(path, self._state())

    def load_checkpoint(self, path: str | os.PathLike[str]) -> None:
        """Take over all that :meth:`save_checkpoint` or ``fit`` has written.

        Parameters
        ----------
        path : str or path
            The npz file.

        Raises
        ------
        ValueError
            The file is damaged, or belongs to another network or optimizer.
        FileNotFoundError
            There is no such file.
        """
        self._restore(load_checkpoint(path), path)

    @abstractmethod
    def _settings(self) -> dict[str, str]:
        """What must stay the same in a training that goes on."""

    def _state(self) -> TrainingState:
        """All that changes in a training, as copies."""
        updates, guard = self._updates, self._updates.guard
        return TrainingState(
            weights={name: array.copy() for name, array in updates.parameters.items()},
            optimizer={name: np.array(array) for name, array in updates.state.items()},
            best={},
            order=np.zeros(0, dtype=np.int64),
            progress={
                "epoch": self.epoch,
                "updates": guard.count,
                "largest": dict(guard.largest),
                "counts": {name: counts.tolist() for name, counts in self.counts.items()},
                "random": self.random.bit_generator.state,
                "history": [dict(row) for row in self.history.rows],
            },
            settings=self._settings(),
        )

    def _restore(self, state: TrainingState, path: Any) -> None:
        """Take over a ``state``; ``path`` is for messages."""
        progress, guard = state.progress, self._updates.guard
        with refuse_damaged(path):
            updates, largest = int(progress["updates"]), dict(progress["largest"])
            epoch, history = int(progress["epoch"]), History(progress["history"])
            counts = {
                name: np.asarray(values, dtype=np.int64)
                for name, values in progress.get("counts", {}).items()
            }
            check_random_state(self.random, progress["random"])
        self._updates.overwrite(state.weights, state.optimizer, path)
        guard.count, guard.largest = updates, largest
        self.epoch, self.history, self.counts = epoch, history, counts
        self.random.bit_generator.state = progress["random"]


class ArrayLearner(Learner):
    """A trainer with the trials of one ``fit``.

    Parameters
    ----------
    trainer : BaseTrainer
        Who trains.
    where : str
        What was called, for messages.
    n_trials, batch_size : int
        Trials of an epoch, and of an update; the last batch may be smaller.
    """

    def __init__(self, trainer: Any, *, where: str, n_trials: int, batch_size: int):
        check_whole("batch_size", batch_size, 1, where=where)
        self.trainer, self.where = trainer, where
        self._n_trials, self.batch_size = n_trials, int(batch_size)

    def n_trials(self, epoch: int) -> int:
        """The same in every epoch."""
        return self._n_trials

    def batches(self) -> list[np.ndarray]:
        """All trials in a new order."""
        order = self.trainer.random.permutation(self._n_trials)
        return np.split(order, np.arange(self.batch_size, self._n_trials, self.batch_size))

    def learning_rate(self, moment: float) -> float:
        """As the schedule has it."""
        return self.trainer._updates.learning_rate(moment)

    @property
    def weights(self) -> dict[str, np.ndarray]:
        """Copies of the parameters."""
        return {name: array.copy() for name, array in self.trainer._updates.parameters.items()}

    def use(self, weights: Mapping[str, np.ndarray]) -> None:
        """Copy ``weights`` into the arrays in use."""
        for name, array in weights.items():
            np.copyto(self.trainer._updates.parameters[name], array)

    @property
    def random_state(self) -> Any:
        """State of the trainer's generator."""
        return self.trainer.random.bit_generator.state

    @random_state.setter
    def random_state(self, state: Any) -> None:
        self.trainer.random.bit_generator.state = state

    def state(self) -> TrainingState:
        """As the trainer has it."""
        return self.trainer._state()

    def restore(self, state: TrainingState, path: Any) -> None:
        """Give it to the trainer."""
        self.trainer._restore(state, path)

    def settings(self) -> dict[str, str]:
        """Those of the trainer, and the size of a batch."""
        return {**self.trainer._settings(), "batch_size": str(self.batch_size)}
