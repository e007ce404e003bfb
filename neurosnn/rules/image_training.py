"""Epochs over images, for networks that settle while they see one."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from neurosnn.optimizers import Optimizer

__all__ = ["ImageTraining", "pixels"]


class ImageTraining:
    """What trainers of equilibrium propagation have in common: order, augmentation, schedule, history.

    A trainer has `_learn`, which learns from one batch, and `evaluate`.

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
    epoch: int
    history: list[dict]

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
    ) -> list[dict]:
        """Train for some epochs.

        Parameters
        ----------
        train : Images
            Training images.
        epochs : int
            Number of passes.
        validation : Images, optional
            Evaluated after each epoch.
        report : callable, optional
            Called with each row of the history.

        Returns
        -------
        list of dict
            The history.
        """
        x, labels = pixels(train), np.asarray(train.labels)
        for _ in range(epochs):
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
                for name, value in self._learn(part, labels[index], rate).items():
                    sums[name] = sums.get(name, 0) + value
            self.epoch += 1
            row = {"epoch": self.epoch, "accuracy": sums.pop("correct") / len(x)}
            row |= {name: (value / len(x)).tolist() for name, value in sums.items()}
            row["seconds"] = time.perf_counter() - begin
            if validation is not None:
                row["validation"] = self.evaluate(validation)["accuracy"]
            self.history.append(row)
            if report is not None:
                report(row)
        return self.history


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
