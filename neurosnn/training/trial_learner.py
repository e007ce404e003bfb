"""A network on its backend, as the loop sees it."""

from __future__ import annotations

import dataclasses
import functools
import numbers
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from neurosnn.core.messages import message
from neurosnn.training.base import ArrayLearner, hold_out
from neurosnn.training.batches import TrialSource, steps_of
from neurosnn.training.checkpoint import fingerprint
from neurosnn.training.health import Health
from neurosnn.training.learner import Batch
from neurosnn.training.updates import Gradient

if TYPE_CHECKING:
    from neurosnn.training.trainer import Trainer

__all__ = ["TrialLearner"]

_WHERE = "Trainer.fit"
_EVALUATION_BATCH = 256


class TrialLearner(ArrayLearner):
    """The network of a :class:`Trainer` with the trials of one ``fit``.

    Parameters
    ----------
    trainer : Trainer
        Who trains.
    train, targets, validation : trials, array, trials or float
        As in :meth:`Trainer.fit`.
    batch_size : int
        Trials of an update.
    """

    trainer: Trainer

    def __init__(
        self, trainer: Trainer, train: Any, *, targets: Any, validation: Any, batch_size: int
    ):
        self.trainer = trainer
        self.source, self.held_out = self._divide(train, targets, validation)
        self.validates = self.held_out is not None
        super().__init__(trainer, where=_WHERE, n_trials=len(self.source), batch_size=batch_size)
        self._train, self._held = self._prepare()
        self._health = Health(_WHERE)

    # -- an epoch ---------------------------------------------------------------------------

    def gradient(self, index: np.ndarray, place: str) -> tuple[Gradient, Any, TrialSource]:
        """That of the rule, on the trials of the ``index`` as the augmentations change them."""
        trainer = self.trainer
        part = self._train.take(index).augmented(trainer.augment, trainer.random)
        result = trainer._run(part)
        return trainer._updates.check(result.gradient, result.loss, place), result, part

    def update(self, gradient: tuple[Gradient, Any, TrialSource], moment: float) -> Batch:
        """One step of the optimizer."""
        descent, result, part = gradient
        self._health.batch(float(result.loss), self.learning_rate(moment))
        norm = self.trainer._updates.apply(descent, moment)
        values = {"loss": float(result.loss), "gradient_norm": norm}
        if result.total:
            values["accuracy"] = result.correct / result.total
        dt = self.trainer.net.dt
        totals = {
            "loss": float(result.loss) * len(part),
            "correct": int(result.correct),
            "total": int(result.total),
            "trials": len(part),
            "seconds": float(steps_of(part.trials, dt).sum()) * float(dt),
            "spikes": {name: float(count) for name, count in result.spikes.items()},
            "counts": {name: np.array(n) for name, n in getattr(result, "counts", {}).items()},
        }
        return Batch(values, totals, float(sum(result.spikes.values())))

    def row(self, totals: Mapping[str, Any]) -> dict[str, float]:
        """Mean loss, accuracy and firing rates."""
        row = {"loss": totals["loss"] / totals["trials"]}
        if totals["total"]:
            row["accuracy"] = totals["correct"] / totals["total"]
        return row | self.trainer._rates(totals["spikes"], totals["seconds"])

    def validate(self) -> dict[str, float]:
        """Loss and accuracy of the trials held out."""
        assert self._held is not None
        values = self.trainer._evaluate(self._held, _EVALUATION_BATCH)
        shown = ("loss", "accuracy", "mse", "r2")
        return {name: values[name] for name in shown if name in values}

    def end_epoch(self, totals: Mapping[str, Any], row: Mapping[str, float]) -> None:
        """Keep how often each neuron spiked."""
        self.trainer.counts = {name: np.array(n) for name, n in totals["counts"].items()}
        self._health.epoch(row, self.trainer.net)

    # -- what a checkpoint keeps ------------------------------------------------------------

    def use(self, weights: Mapping[str, np.ndarray]) -> None:
        """The best ``weights`` of the network; what its backend learns besides stays."""
        super().use({name: weights[name] for name in self.trainer.net.parameters})

    def settings(self) -> dict[str, str]:
        """Those of the trainer, and which trials there are."""
        trained, held = self._fingerprints
        return {**super().settings(), "trials": trained, "validation": held}

    @functools.cached_property
    def _fingerprints(self) -> tuple[str, str]:
        held = None if self.held_out is None else self._fingerprint(self.held_out)
        return self._fingerprint(self.source), str(held)

    def _fingerprint(self, source: TrialSource) -> str:
        trials, targets = source.trials, source.targets
        arrays = [
            np.asarray(getattr(trials, name))
            for name in ("times", "units", "features", "offsets", "labels")
            if getattr(trials, name, None) is not None
        ]
        if source.values is not None:
            arrays.append(source.values)
        elif targets is not None:
            # A signal shared by all trials is stored once, with stride zero.
            arrays.append(targets[:1] if targets.strides[0] == 0 else targets)
        lengths = steps_of(trials, self.trainer.net.dt)
        return f"{len(source)} trials {fingerprint(*arrays, np.asarray(lengths))}"

    # -- trials -----------------------------------------------------------------------------

    def _prepare(self) -> tuple[TrialSource, TrialSource | None]:
        """The trials as the backend reads them most quickly; an augmentation gets the original ones."""
        prepare = getattr(self.trainer.backend, "prepare", None)
        train, held = self.source, self.held_out
        if prepare is not None and not self.trainer.augment:
            train = dataclasses.replace(train, trials=prepare(train.trials))
        if prepare is not None and held is not None:
            held = dataclasses.replace(held, trials=prepare(held.trials))
        return train, held

    def _divide(
        self, train: Any, targets: Any, validation: Any
    ) -> tuple[TrialSource, TrialSource | None]:
        """The trials to train on and those to validate with."""
        trainer = self.trainer
        source = trainer._check(train, targets, _WHERE)
        trainer._learns_from(source)
        if validation is None:
            return source, None
        if isinstance(validation, numbers.Real):
            rest, held = hold_out(train._strata(), float(validation), trainer.seed, where=_WHERE)
            return source.take(rest), source.take(held)
        if isinstance(validation, tuple) and len(validation) == 2:
            return source, trainer._check(*validation, where=f"{_WHERE} validation")
        # One signal for all trials holds for these as well.
        of_each = source.values is not None or (
            source.targets is not None and np.ndim(targets) == source.targets.ndim
        )
        if of_each:
            raise ValueError(
                message(
                    "the validation trials have no targets of their own.",
                    _WHERE,
                    "Those of the training differ from trial to trial.",
                    "Write validation=(trials, targets).",
                )
            )
        return source, trainer._check(validation, targets, where=f"{_WHERE} validation")
