"""Training and scoring of sequence networks on trials of labelled frames."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch

from neurosnn.core.messages import message
from neurosnn.data import FrameTrials
from neurosnn.data.speech.decoding import Bigram, collapse, phone_error_rate
from neurosnn.torch.training import descend

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
    found, labels = log_posteriors(net, trials), _labels(trials)
    right = sum(int((p.argmax(1) == y)[y >= 0].sum()) for p, y in zip(found, labels, strict=True))
    references = [collapse(y, silence=silence) for y in labels]

    def rate(decode: Callable) -> float:
        # frames that are not scored in the reference are not in the hypothesis either
        paths = [np.where(y < 0, -1, decode(p)) for p, y in zip(found, labels, strict=True)]
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
    validation: FrameTrials,
    *,
    epochs: int = 24,
    batch: int = 64,
    learning_rate: float = 1e-3,
    curriculum: Sequence[int] = CURRICULUM,
    clip: float | None = None,
    goal: float | None = None,
    seed: int = 0,
    report: Callable[[dict], None] | None = None,
) -> list[dict]:
    """Train with Adam and cross-entropy of each scored frame; ends with the best validation weights.

    Trials are cut to the length that `curriculum` has for the epoch. After an epoch whose
    validation error is less than 0.5 % (relative) below the last, the second time in a row, the
    learning rate is halved, down to an eighth (Ponghiran & Roy 2022, released code).

    Parameters
    ----------
    net : Module
        Frames (n_steps, n, channels) to scores (n_steps, n, classes).
    train, validation : FrameTrials
        Labelled frames; frames with label -1 are not scored.
    epochs, batch : int
        Passes, and pieces of a step.
    learning_rate : float
        At the start.
    curriculum : sequence of int
        Longest piece (frames) of each epoch; the last one holds on.
    clip : float, optional
        Largest norm of the gradient; gradients through hundreds of frames can explode.
    goal : float, optional
        Ends after the epoch that reaches this validation accuracy.
    seed : int
        Order of the pieces and dropout; weights are as the net comes.
    report : callable, optional
        Called with the row of each epoch.

    Returns
    -------
    list of dict
        For each epoch: epoch, loss, validation accuracy, learning_rate, seconds.

    Raises
    ------
    ValueError
        If frames have no labels.
    FloatingPointError
        If the loss or its gradient is not finite.

    Notes
    -----
    Pieces are padded at their end and masked; the released code pads with zeros in front.
    """
    for part in (train, validation):
        if part.labels is None:
            raise ValueError(
                message(
                    f"{part!r} has no labels.",
                    "fit_sequences",
                    "The loss compares every frame with its class.",
                    "Pass labels= to FrameTrials.",
                )
            )
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    optimizer = torch.optim.Adam(net.parameters(), lr=learning_rate)
    history: list[dict] = []
    best, weights, last, slow = -1.0, copy.deepcopy(net.state_dict()), 1.0, 0
    for epoch in range(1, epochs + 1):
        begin, total, frames = time.perf_counter(), 0.0, 0
        pieces = cut(train, curriculum[min(epoch, len(curriculum)) - 1])
        # pieces of similar length share a batch, whose order is random
        order = np.argsort(pieces.lengths + rng.random(len(pieces)), kind="stable")
        groups = [order[k : k + batch] for k in range(0, len(order), batch)]
        net.train()
        for k in rng.permutation(len(groups)):
            ((_, features, labels, _),) = _batches(pieces, groups[k], batch)
            optimizer.zero_grad()
            value = torch.nn.functional.cross_entropy(
                net(features).flatten(0, 1), labels.flatten(), ignore_index=-1
            )
            descend(optimizer, value, epoch, where="fit_sequences", clip=clip)
            scored = int((labels >= 0).sum())
            total, frames = total + value.item() * scored, frames + scored
        error = 1 - score(net, validation)["frame_accuracy"]
        row = {
            "epoch": epoch,
            "loss": total / frames,
            "validation_accuracy": 1 - error,
            "learning_rate": optimizer.param_groups[0]["lr"],
            "seconds": time.perf_counter() - begin,
        }
        history.append(row)
        if 1 - error > best:
            best, weights = 1 - error, copy.deepcopy(net.state_dict())
        slow = slow + 1 if last - error < 0.005 * last else 0
        if slow > 1:
            for group in optimizer.param_groups:
                group["lr"] = max(group["lr"] / 2, learning_rate / 8)
            slow = 0
        last = error
        if report is not None:
            report(row)
        if goal is not None and 1 - error >= goal:
            break
    net.load_state_dict(weights)
    return history
