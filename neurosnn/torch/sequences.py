"""Training and scoring of sequence networks on trials of labelled frames."""

from __future__ import annotations

import functools
import numbers
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from neurosnn.core.messages import message
from neurosnn.data import FrameTrials
from neurosnn.data.speech.decoding import Bigram, collapse, phone_error_rate
from neurosnn.torch.learner import Judged, TorchLearner
from neurosnn.torch.training import BEST_ACCURACY
from neurosnn.training.base import hold_out
from neurosnn.training.callbacks import EarlyStopping
from neurosnn.training.checkpoint import TrainingState, fingerprint, refuse_damaged
from neurosnn.training.history import History
from neurosnn.training.loop import Fit

__all__ = ["CURRICULUM", "cut", "fit_sequences", "log_posteriors", "score"]

#: Longest sequence (frames) of each epoch: what the released schedule 100*4|200*4|400*4|800*4|1000*8
#: comes to, because a length grows after the epoch that ends it.
CURRICULUM = (100,) * 5 + (200,) * 4 + (400,) * 4 + (800,) * 4 + (1000,) * 7


def cut(trials: FrameTrials, longest: int) -> FrameTrials:
    """Trials cut into pieces of at most `longest` frames.

    Parameters
    ----------
    trials : FrameTrials
        Labelled frames.
    longest : int
        Frames of a piece; the last piece of a trial is shorter.

    Returns
    -------
    FrameTrials
        The same frames with more offsets.
    """
    offsets = [
        np.arange(begin, end, longest)
        for begin, end in zip(trials.offsets[:-1], trials.offsets[1:], strict=True)
    ]
    return FrameTrials(
        features=trials.features,
        offsets=np.append(np.concatenate(offsets), trials.offsets[-1]),
        frame=trials.frame,
        labels=trials.labels,
        class_names=trials.class_names,
        name=trials.name,
    )


def _batches(trials: FrameTrials, order: np.ndarray, batch: int) -> Iterator[tuple]:
    """Padded frames (n_steps, n, channels) and labels (n_steps, n), -1 where not scored."""
    for k in range(0, len(order), batch):
        padded = trials[order[k : k + batch]].padded()
        features = torch.from_numpy(np.ascontiguousarray(padded.features.swapaxes(0, 1)))
        yield order[k : k + batch], features, torch.from_numpy(padded.labels.T.copy()), padded.mask


@torch.no_grad()
def log_posteriors(net: torch.nn.Module, trials: FrameTrials, *, batch: int = 32) -> list:
    """Log probabilities of the classes of each frame.

    Parameters
    ----------
    net : Module
        Frames (n_steps, n, channels) to scores (n_steps, n, classes).
    trials : FrameTrials
        Labelled frames.
    batch : int
        Trials at a time.

    Returns
    -------
    list of numpy.ndarray (n_frames, n_classes)
        One for each trial.
    """
    net.eval()
    result: list[Any] = [None] * len(trials)
    for chosen, features, _, mask in _batches(trials, np.argsort(trials.lengths), batch):
        scores = torch.log_softmax(net(features), -1).numpy()
        for column, (k, kept) in enumerate(zip(chosen, mask, strict=True)):
            result[k] = scores[: kept.sum(), column]
    return result


def _labels(trials: FrameTrials) -> list[np.ndarray]:
    return [
        trials.labels[begin:end]
        for begin, end in zip(trials.offsets[:-1], trials.offsets[1:], strict=True)
    ]


def score(
    net: torch.nn.Module,
    trials: FrameTrials,
    *,
    bigram: Bigram | None = None,
    silence: int | None = None,
) -> dict[str, float]:
    """Frame accuracy and phone error rates.

    Parameters
    ----------
    net : Module
        As for `log_posteriors`.
    trials : FrameTrials
        Labelled frames.
    bigram : Bigram, optional
        Decodes with Viterbi; without it only the greedy rate is given.
    silence : int, optional
        A class that does not count as a phone.

    Returns
    -------
    dict of str to float
        "frame_accuracy", "greedy_per" and "bigram_per", as shares.
    """
    posteriors, labels = log_posteriors(net, trials), _labels(trials)
    right = sum(
        int((p.argmax(1) == y)[y >= 0].sum()) for p, y in zip(posteriors, labels, strict=True)
    )
    references = [collapse(y, silence=silence) for y in labels]

    def rate(decode: Callable) -> float:
        # frames that are not scored in the reference are not in the hypothesis either
        paths = [np.where(y < 0, -1, decode(p)) for p, y in zip(posteriors, labels, strict=True)]
        return phone_error_rate(references, [collapse(path, silence=silence) for path in paths])

    result = {
        "frame_accuracy": right / max(sum(int((y >= 0).sum()) for y in labels), 1),
        "greedy_per": rate(lambda p: p.argmax(1)),
    }
    if bigram is not None:
        result["bigram_per"] = rate(bigram.decode)
    return result


def fit_sequences(
    net: torch.nn.Module,
    train: FrameTrials,
    *,
    epochs: int = 24,
    batch_size: int = 64,
    validation: FrameTrials | float | None = None,
    learning_rate: float = 1e-3,
    curriculum: Sequence[int] = CURRICULUM,
    clip: float | None = None,
    seed: int = 0,
    callbacks: Any = (),
    checkpoint: Any = None,
    resume: bool = True,
    progress: bool = True,
    early_stopping: int | EarlyStopping | None = None,
) -> History:
    """Train with Adam and cross-entropy of each scored frame; ends with the best validation weights.

    Trials are cut to the length that `curriculum` has for the epoch. After an epoch whose
    validation error is less than 0.5 % (relative) below the last, the second time in a row, the
    learning rate is halved, down to an eighth (Ponghiran & Roy 2022, released code); without a
    validation it stays. All else is as in :func:`fit`.

    Parameters
    ----------
    net : Module
        Frames (n_steps, n, channels) to scores (n_steps, n, classes).
    train : FrameTrials
        Labelled frames; frames with label -1 are not scored.
    epochs : int
        Passes; with a checkpoint those it has done are counted.
    batch_size : int
        Pieces of an update.
    validation : FrameTrials or float, optional
        Trials that are not trained on; a number is the share of `train` held out by class.
    learning_rate : float
        At the start.
    curriculum : sequence of int
        Longest piece (frames) of each epoch; the last one holds on.
    clip : float, optional
        Largest norm of the gradient; gradients through hundreds of frames can explode.
    seed : int
        Order of the pieces and dropout; weights are as the net comes.
    callbacks, checkpoint, resume, progress, early_stopping
        As in :func:`fit`.

    Returns
    -------
    History
        One row an epoch; loss and accuracies are those of the scored frames.

    Raises
    ------
    ValueError
        If frames have no labels; for a checkpoint of another training.
    FloatingPointError
        If the loss or its gradient is not finite; weights are those before the batch.
    OSError
        The checkpoint cannot be written; the one before it is kept.

    Notes
    -----
    Pieces are padded at their end and masked; the released code pads with zeros in front.
    """
    learner = _Sequences(
        net,
        train,
        validation=validation,
        batch_size=batch_size,
        learning_rate=learning_rate,
        curriculum=curriculum,
        clip=clip,
        seed=seed,
    )
    best = BEST_ACCURACY if learner.validates else None
    return Fit(
        learner,
        epochs=epochs,
        callbacks=callbacks,
        checkpoint=checkpoint,
        resume=resume,
        early_stopping=best if early_stopping is None else early_stopping,
    ).run(progress)


class _Sequences(TorchLearner):
    """A module that gives each frame an answer, with the trials of one :func:`fit_sequences`."""

    def __init__(
        self,
        net: torch.nn.Module,
        train: FrameTrials,
        *,
        validation: FrameTrials | float | None,
        batch_size: int,
        learning_rate: float,
        curriculum: Sequence[int],
        clip: float | None,
        seed: int,
    ):
        where = "fit_sequences"
        self.held_out: Any = validation
        for part in (train, validation):
            if isinstance(part, FrameTrials) and part.labels is None:
                raise ValueError(
                    message(
                        f"{part!r} has no labels.",
                        where,
                        "The loss compares every frame with its class.",
                        "Pass labels= to FrameTrials.",
                    )
                )
        super().__init__(
            net,
            where=where,
            batch_size=batch_size,
            learning_rate=learning_rate,
            seed=seed,
            clip=clip,
        )
        if isinstance(validation, numbers.Real):
            rest, held = hold_out(train._strata(), float(validation), seed, where=where)
            train, self.held_out = train[rest], train[held]
        self.train, self.validates = train, validation is not None
        self.curriculum = tuple(curriculum)
        self._cut: tuple[int, FrameTrials] = (0, train)
        self.last_error, self.slow = 1.0, 0

    # -- an epoch ---------------------------------------------------------------------------

    def pieces(self, epoch: int) -> FrameTrials:
        """The trials as they are cut after ``epoch`` epochs."""
        longest = self.curriculum[min(epoch + 1, len(self.curriculum)) - 1]
        if self._cut[0] != longest:
            self._cut = longest, cut(self.train, longest)
        return self._cut[1]

    def n_trials(self, epoch: int) -> int:
        """Pieces."""
        return len(self.pieces(epoch))

    def batches(self) -> list[np.ndarray]:
        """Pieces of similar length share a batch, whose order is random."""
        lengths = self.pieces(self.epoch).lengths
        order = np.argsort(lengths + self.random.random(len(lengths)), kind="stable")
        size = self.batch_size
        groups = [order[k : k + size] for k in range(0, len(order), size)]
        return [groups[k] for k in self.random.permutation(len(groups))]

    def judge(self, index: np.ndarray) -> Judged:
        """Loss and right answers of the scored frames of these pieces."""
        ((_, features, labels, _),) = _batches(self.pieces(self.epoch), index, len(index))
        scores = self.net(features)
        loss = torch.nn.functional.cross_entropy(
            scores.flatten(0, 1), labels.flatten(), ignore_index=-1
        )
        right = int((scores.argmax(-1) == labels)[labels >= 0].sum())
        return Judged(loss, int((labels >= 0).sum()), right)

    def validate(self) -> dict[str, float]:
        """Loss and accuracy of the scored frames of the trials held out."""
        loss, right, scored = 0.0, 0, 0
        all_posteriors = log_posteriors(self.net, self.held_out)
        for posteriors, labels in zip(all_posteriors, _labels(self.held_out), strict=True):
            kept = np.flatnonzero(labels >= 0)
            loss -= float(posteriors[kept, labels[kept]].sum(dtype=np.float64))
            right += int((posteriors.argmax(1)[kept] == labels[kept]).sum())
            scored += len(kept)
        return {"loss": loss / max(scored, 1), "accuracy": right / max(scored, 1)}

    def end_epoch(self, totals: Mapping[str, Any], row: Mapping[str, float]) -> None:
        """Halve the learning rate when the validation no longer improves."""
        if not self.validates:
            return
        error = 1 - row["validation_accuracy"]
        self.slow = self.slow + 1 if self.last_error - error < 0.005 * self.last_error else 0
        if self.slow > 1:
            for group in self.optimizer.param_groups:
                group["lr"] = max(group["lr"] / 2, self.start_rate / 8)
            self.slow = 0
        self.last_error = error

    # -- what a checkpoint keeps ------------------------------------------------------------

    def state(self) -> TrainingState:
        """With what decides about the learning rate."""
        state = super().state()
        state.progress |= {"last_error": self.last_error, "slow": self.slow}
        return state

    def restore(self, state: TrainingState, path: Any) -> None:
        """With what decides about the learning rate."""
        with refuse_damaged(path):
            last_error, slow = float(state.progress["last_error"]), int(state.progress["slow"])
        super().restore(state, path)
        self.last_error, self.slow = last_error, slow

    def settings(self) -> dict[str, str]:
        """With the curriculum, and which trials there are."""
        trained, held = self._fingerprints
        return {
            **super().settings(),
            "curriculum": str(self.curriculum),
            "trials": trained,
            "validation": held,
        }

    @functools.cached_property
    def _fingerprints(self) -> tuple[str, str]:
        def of(trials: FrameTrials) -> str:
            return f"{len(trials)} trials " + fingerprint(
                trials.features, trials.offsets, np.asarray(trials.labels)
            )

        return of(self.train), of(self.held_out) if self.validates else "None"
