"""Epochs over images, for networks that settle while they see one."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from neurosnn.training.checkpoint import (
    Checkpoint,
    TrainingState,
    as_checkpoint,
    check_same_training,
    describe,
    fingerprint,
    load_checkpoint,
    overwrite,
    refuse_damaged,
    save_checkpoint,
)
from neurosnn.training.optimizers import Optimizer
from neurosnn.training.progress import uninterrupted

__all__ = ["ImageTraining", "pixels"]


class ImageTraining:
    """What trainers of equilibrium propagation have in common: order, augmentation, schedule, history.

    A trainer has `_learn`, which learns from one batch, `_weights`, `_settings` and `evaluate`.

    Attributes
    ----------
    epoch : int
        Epochs done.
    history : list of dict
        One row an epoch.
    """

    batch_size: int
    optimizer: Optimizer
    schedule: Callable[[float], float] | None
    augment: Callable[[np.ndarray, np.random.Generator], np.ndarray] | None
    random: np.random.Generator
    state: dict[str, np.ndarray]
    epoch: int
    history: list[dict]

    @property
    def _weights(self) -> dict[str, np.ndarray]:
        """What is learned."""
        raise NotImplementedError

    def _settings(self) -> dict[str, str]:
        """What must stay the same in a training that goes on."""
        names = ("batch_size", "optimizer", "schedule", "augment")
        return {name: describe(getattr(self, name)) for name in names}

    def _learn(self, x: np.ndarray, labels: np.ndarray, rate: float | None) -> dict[str, Any]:
        """Learn from a batch; returns sums over its trials, with "correct" among them."""
        raise NotImplementedError

    def evaluate(self, images: Any) -> dict[str, Any]:
        """Accuracy, and what else a trainer measures, without learning."""
        raise NotImplementedError

    def fit(
        self,
        train: Any,
        *,
        epochs: int,
        validation: Any = None,
        report: Callable[[dict], None] | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        resume: bool = True,
    ) -> list[dict]:
        """Train for some epochs.

        Ctrl-C leaves the weights of the last whole batch. With a checkpoint the same call, made again
        after an interruption of any kind, goes on at the end of the last whole epoch and ends
        bit-equal to a training that was never interrupted.

        Parameters
        ----------
        train : Images
            Training images.
        epochs : int
            Number of passes; with a checkpoint those it has done are counted.
        validation : Images, optional
            Evaluated after each epoch.
        report : callable, optional
            Called with each row of the history.
        checkpoint : path, optional
            File that keeps the training, written at the end of each epoch.
        resume : bool, optional
            False: an existing checkpoint is not read but replaced.

        Returns
        -------
        list of dict
            The history.

        Raises
        ------
        ValueError
            The checkpoint is damaged or belongs to another training.
        OSError
            The checkpoint cannot be written; the one of before is kept.
        """
        x, labels = pixels(train), np.asarray(train.labels)
        file, first = as_checkpoint(checkpoint), self.epoch
        settings = {**self._settings(), "images": fingerprint(x, labels)}
        if file and resume and os.path.exists(file.path):
            first = self._resume(file, settings)
        while self.epoch < first + epochs:
            begin, sums = time.perf_counter(), {}
            order = self.random.permutation(len(x))
            n_batches = -(-len(x) // self.batch_size)
            for k in range(n_batches):
                index = order[k * self.batch_size : (k + 1) * self.batch_size]
                part = x[index] if self.augment is None else self.augment(x[index], self.random)
                rate = None
                if self.schedule is not None:
                    moment = self.epoch + k / n_batches
                    rate = self.optimizer.learning_rate * self.schedule(moment)
                with uninterrupted():
                    found = self._learn(part, labels[index], rate)
                for name, value in found.items():
                    sums[name] = sums.get(name, 0) + value
            self.epoch += 1
            row = {"epoch": self.epoch, "accuracy": sums.pop("correct") / len(x)}
            row |= {name: (value / len(x)).tolist() for name, value in sums.items()}
            row["seconds"] = time.perf_counter() - begin
            if validation is not None:
                row["validation"] = self.evaluate(validation)["accuracy"]
            self.history.append(row)
            if file:
                self._save(file, settings, first)
            if report is not None:
                report(row)
        return self.history

    def _save(self, file: Checkpoint, settings: dict[str, str], first: int) -> None:
        progress = {
            "first": first,
            "epoch": self.epoch,
            "history": self.history,
            "random": self.random.bit_generator.state,
        }
        nothing = np.zeros(0, dtype=np.int64)
        state = TrainingState(self._weights, self.state, {}, nothing, progress, settings)
        save_checkpoint(file.path, state)

    def _resume(self, file: Checkpoint, settings: dict[str, str]) -> int:
        """Take over what a file holds; returns the epoch at which that training began."""
        saved = load_checkpoint(file.path)
        check_same_training(file.path, saved, settings)
        overwrite(self._weights, saved.weights, file.path, "the parameter")
        overwrite(self.state, saved.optimizer, file.path, "the optimizer's")
        progress = saved.progress
        with refuse_damaged(file.path):
            first, epoch = int(progress["first"]), int(progress["epoch"])
            history = [dict(row) for row in progress["history"]]
            self.random.bit_generator.state = progress["random"]
        self.epoch, self.history = epoch, history
        return first


def pixels(images: Any) -> np.ndarray:
    """Images as rows of numbers from 0 (black) to 1 (white).

    Parameters
    ----------
    images : Images
        The images.

    Returns
    -------
    ndarray of float32 (n, n_inputs)
        One row an image.
    """
    flat = np.asarray(images.images).reshape(len(images), -1)
    return flat.astype(np.float32) / np.float32(images.maximum)
