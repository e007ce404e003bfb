"""The loop over epochs and batches, the same for everything that learns."""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from neurosnn.core.messages import message
from neurosnn.core.values import check_whole
from neurosnn.training.callbacks import EarlyStopping, as_callbacks
from neurosnn.training.checkpoint import (
    TrainingState,
    as_checkpoint,
    check_same_training,
    load_checkpoint,
    refuse_damaged,
    save_checkpoint,
    setting_text,
)
from neurosnn.training.history import History
from neurosnn.training.learner import Learner
from neurosnn.training.progress import Progress, uninterrupted

__all__ = ["Fit"]


class Fit:
    """One call of ``fit``: the loop, its position, and what a checkpoint must hold of it.

    The position, the weights and the random state change together and only between batches, so that
    whatever interrupts a batch leaves the whole as it was before that batch. Callbacks belong to the
    batch or the epoch at whose end they are called.

    Parameters
    ----------
    learner : Learner
        What learns, with its trials.
    epochs : int
        How many; with a checkpoint those it has done are counted.
    callbacks : sequence of Callback or callable
        Called between the batches and at the end of each epoch.
    checkpoint : path or Checkpoint or None
        File that keeps the training.
    resume : bool
        Whether to go on where the checkpoint ends, if there is one.
    early_stopping : int or EarlyStopping or None
        When to end before all epochs are done, and which weights to keep.
    """

    def __init__(
        self,
        learner: Learner,
        *,
        epochs: int,
        callbacks: Any,
        checkpoint: Any,
        resume: bool,
        early_stopping: int | EarlyStopping | None,
    ):
        check_whole("epochs", epochs, 1, where=learner.where)
        self.learner, self.trainer, self.epochs = learner, learner.trainer, int(epochs)
        self.callbacks = as_callbacks(callbacks, where=learner.where)
        self.checkpoint = as_checkpoint(checkpoint, where=learner.where)
        self.early_stopping = _as_early_stopping(early_stopping, learner)
        self.first, self.stopped = self.trainer.epoch, False
        self.batches: list[np.ndarray] | None = None
        self.batch, self.totals = 0, dict[str, Any]()
        self.best: dict[str, np.ndarray] = {}
        self.best_value: float | None = None
        self.stale = 0
        self._saved_at = time.monotonic()
        if self.checkpoint and resume and os.path.exists(self.checkpoint.path):
            self._resume(self.checkpoint.path)
        self.random_state, self.whole = learner.random_state, True

    # -- the loop ---------------------------------------------------------------------------

    def run(self, shown: bool) -> History:
        """Train to the end, with the progress ``shown`` or not."""
        bars = Progress(bool(shown), self.trainer.epoch, self.first + self.epochs)
        try:
            while self.batches is not None or not self.finished:
                if self.batches is None:
                    self._begin_epoch()
                self._epoch(bars)
        except BaseException as error:
            if self.whole:
                self.learner.random_state = self.random_state
                if self.checkpoint and isinstance(error, KeyboardInterrupt):
                    self._save()
            raise
        finally:
            bars.close()
        if self.best:
            self.learner.use(self.best)
        return self.trainer.history

    @property
    def finished(self) -> bool:
        """Whether all epochs are done, or the training has been stopped early."""
        patience = self.early_stopping.patience if self.early_stopping else None
        done = self.trainer.epoch - self.first
        stale = patience is not None and self.stale >= patience
        return self.stopped or done >= self.epochs or stale

    def _begin_epoch(self) -> None:
        with self._together():
            self.batches, self.batch, self.totals = self.learner.batches(), 0, {}
            for callback in self.callbacks:
                callback.epoch_begin(self.trainer, self.trainer.epoch + 1)

    def _epoch(self, bars: Progress) -> None:
        assert self.batches is not None
        learner, trainer, batches = self.learner, self.trainer, self.batches
        sizes = [len(index) for index in batches]
        bars.begin(trainer.epoch + 1, sum(sizes[: self.batch]), sum(sizes))
        for k in range(self.batch, len(batches)):
            if self.stopped:
                break
            moment = trainer.epoch + k / len(batches)
            place = f"epoch {trainer.epoch + 1}, batch {k + 1}"
            gradient = learner.gradient(batches[k], place)
            with self._together():
                with uninterrupted():
                    batch = learner.update(gradient, moment)
                    _add(self.totals, batch.totals)
                    self.batch = k + 1
                shown = learner.row(self.totals) if bars.bars else {}
                bars.batch(sizes[k], batch.spikes, shown)
                for callback in self.callbacks:
                    self.stopped = bool(callback.batch_end(trainer, batch.values)) or self.stopped
            if self.batch < len(batches) and self._due():
                self._save()
        # Of the last batch, which a training that goes on may have done before.
        self._end_epoch(trainer.epoch + (self.batch - 1) / len(batches), bars)

    def _end_epoch(self, moment: float, bars: Progress) -> None:
        learner, trainer = self.learner, self.trainer
        row = {"epoch": trainer.epoch + 1, **learner.row(self.totals)}
        speed = bars.trials_per_second
        if learner.validates:
            row |= {f"validation_{name}": value for name, value in learner.validate().items()}
        row |= {"trials_per_second": speed, "learning_rate": learner.learning_rate(moment)}
        row["seconds"] = bars.seconds
        with self._together():
            with uninterrupted():
                trainer.history.append(row)
                trainer.epoch += 1
                self.batches, self.batch = None, 0
                learner.end_epoch(self.totals, row)
                self._watch(row)
            bars.end(trainer.history)
            for callback in self.callbacks:
                self.stopped = bool(callback.epoch_end(trainer, row)) or self.stopped
        if self.checkpoint:
            self._save()

    @contextlib.contextmanager
    def _together(self) -> Iterator[None]:
        """What happens in the block happens as a whole: Ctrl-C waits for its end.

        An error in it, of a callback for instance, leaves what no checkpoint must keep.
        """
        with uninterrupted(until_twice=True):
            self.whole = False
            yield
            self.random_state = self.learner.random_state
            self.whole = True

    def _watch(self, row: Mapping[str, float]) -> None:
        """Keep the weights if the validation is the best so far."""
        if self.early_stopping is None:
            return
        monitor = self.early_stopping.monitor
        if monitor not in row:
            raise ValueError(
                message(
                    f"early_stopping watches {monitor!r}, which this training does not have.",
                    self.learner.where,
                    f"Its validation gives {[n for n in row if n.startswith('validation_')]}.",
                    "Pass EarlyStopping(..., monitor=...) with one of these.",
                )
            )
        value = row[monitor]
        if not math.isnan(value) and self.early_stopping.improved(value, self.best_value):
            self.best, self.best_value, self.stale = self.learner.weights, value, 0
        else:
            self.stale += 1

    # -- the checkpoint ---------------------------------------------------------------------

    def _due(self) -> bool:
        if self.checkpoint is None:
            return False
        every, seconds = self.checkpoint.every_batches, self.checkpoint.every_seconds
        late = seconds is not None and time.monotonic() - self._saved_at >= seconds
        return late or (every is not None and self.batch % every == 0)

    def _save(self) -> None:
        assert self.checkpoint is not None
        state = self.learner.state()
        state.best, state.settings = self.best, self._settings()
        batches = self.batches or []
        state.order = np.concatenate([np.zeros(0, dtype=np.int64), *batches])
        state.progress["fit"] = {
            "first": self.first,
            "epochs": self.epochs,
            "stopped": self.stopped,
            "batch": self.batch,
            "sizes": [len(index) for index in batches],
            "totals": _plain(self.totals),
            "best_value": self.best_value,
            "stale": self.stale,
        }
        save_checkpoint(self.checkpoint.path, state)
        self._saved_at = time.monotonic()

    def _resume(self, path: Any) -> None:
        state = load_checkpoint(path)
        if "fit" not in state.progress:
            raise ValueError(
                message(
                    "this checkpoint was written by save_checkpoint, not by fit.",
                    str(path),
                    "It does not say where in which epoch to go on.",
                    "Call trainer.load_checkpoint(path) and fit with another file.",
                )
            )
        check_same_training(path, state, self._settings(), self.learner.state().versions)
        with refuse_damaged(path):
            fit = dict(state.progress["fit"])
            for name in ("first", "batch", "stale", "epochs"):
                if type(fit[name]) is not int or fit[name] < 0:
                    raise ValueError(f"{name} is not a whole number from 0")
            best_value, stopped = fit["best_value"], bool(fit["stopped"])
            best_value = None if best_value is None else float(best_value)
            batches, totals = self._read_batches(state, fit), _arrays(fit["totals"])
            if fit["batch"]:
                self.learner.row(totals)
        self.learner.restore(state, path)
        self.first, self.batch = fit["first"], fit["batch"]
        self.batches, self.totals = batches, totals
        self.best, self.best_value, self.stale = state.best, best_value, fit["stale"]
        # More epochs than before are a wish to go on.
        self.stopped = stopped and fit["epochs"] == self.epochs

    def _read_batches(
        self, state: TrainingState, fit: Mapping[str, Any]
    ) -> list[np.ndarray] | None:
        """The order of a running epoch, checked against the number of trials."""
        order, size = state.order, int(state.settings["batch_size"])
        if not len(order):
            return None
        # Files of earlier versions have no sizes: their batches are of one size.
        sizes = fit.get("sizes") or [len(order[k : k + size]) for k in range(0, len(order), size)]
        if any(type(n) is not int or n < 1 for n in sizes) or sum(sizes) != len(order):
            raise ValueError("the sizes of the batches do not fit")
        n_trials = self.learner.n_trials(int(state.progress["epoch"]))
        if len(np.unique(order)) < len(order) or order.min() < 0 or order.max() >= n_trials:
            raise ValueError("the order is not one of these trials")
        if fit["batch"] > len(sizes):
            raise ValueError("more batches are done than there are")
        return np.split(order, np.cumsum(sizes)[:-1])

    def _settings(self) -> dict[str, str]:
        return {**self.learner.settings(), "early_stopping": setting_text(self.early_stopping)}


def _as_early_stopping(
    early_stopping: int | EarlyStopping | None, learner: Learner
) -> EarlyStopping | None:
    if early_stopping is None:
        return None
    if not learner.validates:
        raise ValueError(
            message(
                "early_stopping without a validation.",
                learner.where,
                "Trials that are not trained on tell when the network stops getting better.",
                "Pass validation=0.1 or trials.",
            )
        )
    if isinstance(early_stopping, EarlyStopping):
        return early_stopping
    return EarlyStopping(early_stopping)


def _add(totals: dict[str, Any], values: Mapping[str, Any]) -> None:
    """Add the totals of a batch to those of its epoch."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            _add(totals.setdefault(name, {}), value)
        else:
            totals[name] = totals[name] + value if name in totals else value


def _plain(totals: Any) -> Any:
    """Totals as JSON can hold them, exactly."""
    if isinstance(totals, Mapping):
        return {name: _plain(value) for name, value in totals.items()}
    return totals.tolist() if isinstance(totals, np.ndarray | np.generic) else totals


def _arrays(totals: Any) -> Any:
    """Totals from what :func:`_plain` made of them; refused if they are not numbers."""
    if isinstance(totals, Mapping):
        return {str(name): _arrays(value) for name, value in totals.items()}
    array = np.asarray(totals)
    if array.dtype.kind not in "iuf":
        raise ValueError("the totals are not numbers")
    return array if isinstance(totals, list) else totals
