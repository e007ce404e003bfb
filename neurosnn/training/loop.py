"""The loop over epochs and batches: what :meth:`neurosnn.training.Trainer.fit` runs."""

from __future__ import annotations

import dataclasses
import math
import numbers
import os
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from neurosnn.core.messages import message
from neurosnn.training.batches import TrialSource, steps_of
from neurosnn.training.callbacks import EarlyStopping, as_callbacks
from neurosnn.training.checkpoint import (
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
from neurosnn.training.history import History
from neurosnn.training.progress import Progress, uninterrupted

if TYPE_CHECKING:
    from neurosnn.training.trainer import Trainer

_WHERE = "Trainer.fit"
_EVALUATION_BATCH = 256


class Fit:
    """One call of ``fit``: its trials, its position, and what a checkpoint must hold of it.

    The position changes together with the weights and the random state, and only between batches, so
    that whatever interrupts a batch leaves the whole as it was before that batch.
    """

    def __init__(
        self,
        trainer: Trainer,
        train: Any,
        *,
        targets: Any,
        epochs: int,
        batch_size: int,
        validation: Any,
        callbacks: Any,
        checkpoint: Any,
        resume: bool,
        early_stopping: int | EarlyStopping | None,
    ):
        self.trainer, self.epochs, self.batch_size = trainer, epochs, batch_size
        self.callbacks = as_callbacks(callbacks)
        self.checkpoint = as_checkpoint(checkpoint)
        self.source, self.validation = self._divide(train, targets, validation)
        self.early_stopping = _as_early_stopping(early_stopping, self.validation)
        self.first, self.stopped = trainer.epoch, False
        self.order: np.ndarray | None = None
        self.batch, self.totals = 0, _new_totals()
        self.best: dict[str, np.ndarray] = {}
        self.best_value: float | None = None
        self.stale = 0
        self.random_state = trainer.random.bit_generator.state
        self._saved_at = time.monotonic()
        if self.checkpoint and resume and os.path.exists(self.checkpoint.path):
            self._resume(self.checkpoint.path)

    # -- the loop ---------------------------------------------------------------------------

    def run(self, shown: bool) -> History:
        """Train to the end, with the progress ``shown`` or not."""
        trainer = self.trainer
        bars = Progress(bool(shown), trainer.epoch, self.first + self.epochs, len(self.source))
        self._prepare()
        try:
            while not self.finished:
                self._epoch(bars)
        except KeyboardInterrupt:
            trainer.random.bit_generator.state = self.random_state
            if self.checkpoint:
                self._save()
            raise
        except BaseException:
            trainer.random.bit_generator.state = self.random_state
            raise
        finally:
            bars.close()
        if self.best:
            overwrite(
                trainer.net.parameters, self._of_the_network(self.best), _WHERE, "the parameter"
            )
        return trainer.history

    @property
    def finished(self) -> bool:
        """Whether all epochs are done, or there is no point in going on."""
        patience = self.early_stopping.patience if self.early_stopping else math.inf
        done = self.trainer.epoch - self.first
        return self.stopped or done >= self.epochs or self.stale >= patience

    def _epoch(self, bars: Progress) -> None:
        trainer, updates = self.trainer, self.trainer._updates
        if self.order is None:
            with uninterrupted():
                self.order = trainer.random.permutation(len(self.source))
                self.batch, self.totals = 0, _new_totals()
                self.random_state = trainer.random.bit_generator.state
        number, n_batches = trainer.epoch + 1, -(-len(self.source) // self.batch_size)
        bars.begin(number, min(self.batch * self.batch_size, len(self.source)))
        for callback in self.callbacks:
            callback.epoch_begin(trainer, number)
        moment = float(trainer.epoch)
        for k in range(self.batch, n_batches):
            index = self.order[k * self.batch_size : (k + 1) * self.batch_size]
            part = self._train.take(index).augmented(trainer.augment, trainer.random)
            moment = trainer.epoch + k / n_batches
            result = trainer.backend.run(part.trials, targets=part.targets, gradient=True)
            gradient = updates.check(result, f"epoch {number}, batch {k + 1}")
            with uninterrupted():
                norm = updates.apply(gradient, moment)
                _add(self.totals, result, part, trainer.net.dt)
                self.batch = k + 1
                self.random_state = trainer.random.bit_generator.state
            self._after_batch(result, part, norm, bars)
            if self.batch < n_batches and self._due():
                self._save()
        self._end_epoch(moment, bars)

    def _after_batch(self, result: Any, part: TrialSource, norm: float, bars: Progress) -> None:
        values = {"loss": float(result.loss), "gradient_norm": norm}
        if result.total:
            values["accuracy"] = result.correct / result.total
        shown = {"loss": f"{self.totals['loss'] / self.totals['trials']:.4g}"}
        if self.totals["total"]:
            shown["accuracy"] = f"{self.totals['correct'] / self.totals['total']:.1%}"
        bars.batch(len(part), float(sum(result.spikes.values())), shown)
        for callback in self.callbacks:
            callback.batch_end(self.trainer, values)

    def _end_epoch(self, moment: float, bars: Progress) -> None:
        trainer, totals = self.trainer, self.totals
        row: dict[str, float] = {
            "epoch": trainer.epoch + 1,
            "loss": totals["loss"] / totals["trials"],
        }
        if totals["total"]:
            row["accuracy"] = totals["correct"] / totals["total"]
        speed = bars.trials_per_second
        if self.validation is not None:
            held = trainer._evaluate(self._held_out, _EVALUATION_BATCH)
            row |= {
                f"validation_{name}": held[name] for name in ("loss", "accuracy") if name in held
            }
        row |= trainer._rates(totals["spikes"], totals["seconds"])
        row |= {
            "trials_per_second": speed,
            "learning_rate": trainer._updates.learning_rate(moment),
            "seconds": bars.seconds,
        }
        with uninterrupted():
            trainer.history.append(row)
            trainer.epoch += 1
            trainer.counts = {name: np.array(n) for name, n in totals["counts"].items()}
            self.order, self.batch = None, 0
            self._watch(row)
        bars.end(trainer.history)
        for callback in self.callbacks:
            self.stopped = bool(callback.epoch_end(trainer, row)) or self.stopped
        if self.checkpoint:
            self._save()

    def _watch(self, row: dict[str, float]) -> None:
        """Keep the weights if the validation is better than ever."""
        if self.early_stopping is None:
            return
        value = row[self.early_stopping.monitor]
        if not math.isnan(value) and self.early_stopping.improved(value, self.best_value):
            parameters = self.trainer._updates.parameters
            self.best = {name: array.copy() for name, array in parameters.items()}
            self.best_value, self.stale = value, 0
        else:
            self.stale += 1

    def _of_the_network(self, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {name: arrays[name] for name in self.trainer.net.parameters}

    # -- the checkpoint ---------------------------------------------------------------------

    def _due(self) -> bool:
        if self.checkpoint is None:
            return False
        every, seconds = self.checkpoint.every_batches, self.checkpoint.every_seconds
        late = seconds is not None and time.monotonic() - self._saved_at >= seconds
        return late or (every is not None and self.batch % every == 0)

    def _save(self) -> None:
        state = self.trainer._state()
        state.best = self.best
        state.settings = self._settings()
        if self.order is not None:
            state.order = self.order
        state.progress["random"] = self.random_state
        state.progress["fit"] = {
            "first": self.first,
            "epochs": self.epochs,
            "stopped": self.stopped,
            "batch": self.batch,
            "totals": self.totals,
            "best_value": self.best_value,
            "stale": self.stale,
        }
        assert self.checkpoint is not None
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
        check_same_training(path, state, self._settings())
        self._take_over(state, path)

    def _take_over(self, state: TrainingState, path: Any) -> None:
        with refuse_damaged(path):
            fit = dict(state.progress["fit"])
            for name in ("first", "batch", "stale", "epochs"):
                if type(fit[name]) is not int or fit[name] < 0:
                    raise ValueError(f"{name} is no whole number from 0")
            best_value, stopped = fit["best_value"], bool(fit["stopped"])
            if best_value is not None:
                best_value = float(best_value)
            totals = _read_totals(fit["totals"])
            if len(state.order) and not np.array_equal(
                np.sort(state.order), np.arange(len(self.source))
            ):
                raise ValueError("the order of the trials is none")
        self.trainer._restore(state, path)
        self.first, self.batch, self.totals = fit["first"], fit["batch"], totals
        self.best, self.best_value, self.stale = state.best, best_value, fit["stale"]
        # More epochs than before are a wish to go on.
        self.stopped = stopped and fit["epochs"] == self.epochs
        self.order = state.order if len(state.order) else None
        self.random_state = self.trainer.random.bit_generator.state

    def _settings(self) -> dict[str, str]:
        held = (
            None if self.validation is None else _trials_fingerprint(self.validation, self.trainer)
        )
        return {
            **self.trainer._settings(),
            "batch_size": str(self.batch_size),
            "trials": _trials_fingerprint(self.source, self.trainer),
            "validation": str(held),
            "early_stopping": describe(self.early_stopping),
        }

    # -- trials -----------------------------------------------------------------------------

    def _prepare(self) -> None:
        """The trials as the backend reads them most quickly; an augmentation gets the original ones."""
        prepare = getattr(self.trainer.backend, "prepare", None)
        self._train, self._held_out = self.source, self.validation
        if prepare is not None and not self.trainer.augment:
            self._train = dataclasses.replace(self.source, trials=prepare(self.source.trials))
        if prepare is not None and self.validation is not None:
            self._held_out = dataclasses.replace(
                self.validation, trials=prepare(self.validation.trials)
            )

    def _divide(
        self, train: Any, targets: Any, validation: Any
    ) -> tuple[TrialSource, TrialSource | None]:
        """The trials to train on and those to validate with."""
        trainer = self.trainer
        source = trainer._check(train, targets, _WHERE)
        if validation is None:
            return source, None
        if isinstance(validation, numbers.Real):
            from neurosnn.data.trial_set import split_indices

            rest, held = split_indices(
                train._strata(), validation, trainer.seed, None, where=f"{_WHERE} validation"
            )
            return source.take(rest), source.take(held)
        if isinstance(validation, tuple) and len(validation) == 2:
            return source, trainer._check(*validation, where=f"{_WHERE} validation")
        # One signal for all trials holds for these as well.
        if source.targets is not None and np.ndim(targets) == source.targets.ndim:
            raise ValueError(
                message(
                    "the validation trials have no targets of their own.",
                    _WHERE,
                    "Those of the training differ from trial to trial.",
                    "Write validation=(trials, targets).",
                )
            )
        return source, trainer._check(validation, targets, where=f"{_WHERE} validation")


def _as_early_stopping(
    early_stopping: int | EarlyStopping | None, validation: TrialSource | None
) -> EarlyStopping | None:
    if early_stopping is None:
        return None
    if validation is None:
        raise ValueError(
            message(
                "early_stopping without a validation.",
                _WHERE,
                "Trials that are not trained on tell when the network stops getting better.",
                "Pass validation=0.1 or trials.",
            )
        )
    if isinstance(early_stopping, EarlyStopping):
        return early_stopping
    return EarlyStopping(early_stopping)


def _new_totals() -> dict[str, Any]:
    return {
        "loss": 0.0,
        "correct": 0,
        "total": 0,
        "trials": 0,
        "seconds": 0.0,
        "spikes": {},
        "counts": {},
    }


def _read_totals(totals: dict[str, Any]) -> dict[str, Any]:
    """The sums of a file; what is missing or no number is an error."""
    new = _new_totals()
    for name, value in new.items():
        if isinstance(value, dict):
            values = {str(key): np.asarray(x) for key, x in totals[name].items()}
            if any(array.dtype.kind not in "iuf" for array in values.values()):
                raise ValueError(f"the sums of {name} are no numbers")
            new[name] = {key: array.tolist() for key, array in values.items()}
        else:
            new[name] = type(value)(totals[name])
    return new


def _add(totals: dict[str, Any], result: Any, part: TrialSource, dt: Any) -> None:
    """Add a batch to the sums of its epoch; plain numbers, for JSON."""
    totals["loss"] += float(result.loss) * len(part)
    totals["correct"] += int(result.correct)
    totals["total"] += int(result.total)
    totals["trials"] += len(part)
    totals["seconds"] += float(steps_of(part.trials, dt).sum()) * float(dt)
    for name, count in result.spikes.items():
        totals["spikes"][name] = totals["spikes"].get(name, 0.0) + float(count)
    for name, counts in getattr(result, "counts", {}).items():
        totals["counts"][name] = (counts + totals["counts"].get(name, 0)).tolist()


def _trials_fingerprint(source: TrialSource, trainer: Trainer) -> str:
    trials, targets = source.trials, source.targets
    arrays = [
        np.asarray(getattr(trials, name))
        for name in ("times", "units", "features", "offsets", "labels")
        if getattr(trials, name, None) is not None
    ]
    if targets is not None:
        # A signal shared by all trials is stored once, with stride zero.
        arrays.append(targets[:1] if targets.strides[0] == 0 else targets)
    lengths = steps_of(trials, trainer.net.dt)
    return f"{len(source)} trials {fingerprint(*arrays, np.asarray(lengths))}"
