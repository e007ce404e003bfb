"""From scores of single frames to phone sequences, and how wrong those are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from neurosnn.core.messages import message

__all__ = ["Bigram", "collapse", "edit_distance", "fold", "phone_error_rate"]


def collapse(labels: ArrayLike, *, silence: int | None = None) -> list[int]:
    """The sequence of phones of a sequence of frames: repetitions count once.

    Parameters
    ----------
    labels : array_like of int (n_frames,)
        Class of each frame; frames with -1 are left out.
    silence : int, optional
        A class that is left out afterwards.

    Returns
    -------
    list of int
        Phones.

    Examples
    --------
    >>> from neurosnn.data.speech.decoding import collapse
    >>> collapse([3, 3, 0, -1, 0, 3, 3])
    [3, 0, 3]
    """
    kept = [int(label) for label in np.asarray(labels) if label >= 0]
    phones = [phone for k, phone in enumerate(kept) if k == 0 or phone != kept[k - 1]]
    return [phone for phone in phones if phone != silence]


def fold(labels: ArrayLike, names: Sequence[str], folded: Sequence[str]) -> np.ndarray:
    """Labels of TIMIT's 61 phones as labels of the 39 classes that are scored.

    Parameters
    ----------
    labels : array_like of int
        Labels that number `names`; -1 stays.
    names : sequence of str
        The 61 phones, or some of them.
    folded : sequence of str
        The 39 classes, ``neurosnn.data.speech.phones.PHONES_39``.

    Returns
    -------
    numpy.ndarray of int64
        Labels that number `folded`, -1 for the glottal stop.

    Raises
    ------
    ValueError
        If a name is not one of the 61 phones.
    """
    from neurosnn.data.speech.phones import FOLD_61_TO_39

    unknown = sorted(set(names) - set(FOLD_61_TO_39))
    if unknown:
        raise ValueError(
            message(
                f"'{unknown[0]}' is not one of TIMIT's 61 phones.",
                "fold",
                "The folding to 39 classes is defined for those only.",
                "Fold with your own table.",
            )
        )
    place = {name: k for k, name in enumerate(folded)}
    table = [-1 if FOLD_61_TO_39[name] is None else place[FOLD_61_TO_39[name]] for name in names]
    return np.array([*table, -1])[np.asarray(labels, dtype=np.int64)]


def edit_distance(reference: Sequence[int], hypothesis: Sequence[int]) -> int:
    """Fewest substitutions, insertions and deletions that turn one sequence into the other.

    Parameters
    ----------
    reference, hypothesis : sequence of int
        Phones.

    Returns
    -------
    int
        Levenshtein distance.
    """
    row = np.arange(len(hypothesis) + 1)
    wanted = np.asarray(hypothesis)
    for k, phone in enumerate(reference, 1):
        new = np.empty_like(row)
        new[0] = k
        new[1:] = np.minimum(row[:-1] + (wanted != phone), row[1:] + 1)
        # an insertion costs 1 a place: the running minimum of new - place
        place = np.arange(len(row))
        row = np.minimum.accumulate(new - place) + place
    return int(row[-1])


def phone_error_rate(
    references: Iterable[Sequence[int]], hypotheses: Iterable[Sequence[int]]
) -> float:
    """Edit distances of all utterances over the number of phones in the references.

    Parameters
    ----------
    references, hypotheses : iterable of sequences of int
        Phones of each utterance.

    Returns
    -------
    float
        0 if all are right; above 1 is possible.

    Raises
    ------
    ValueError
        If there is no phone in the references.

    Examples
    --------
    >>> from neurosnn.data.speech.decoding import phone_error_rate
    >>> phone_error_rate([[1, 2, 3, 4]], [[1, 3, 3, 4, 5]])
    0.5
    """
    pairs = list(zip(references, hypotheses, strict=True))
    total = sum(len(reference) for reference, _ in pairs)
    if not total:
        raise ValueError(
            message(
                "no phone in the references.",
                "phone_error_rate",
                "The rate is a share of them.",
                "Pass utterances with labels.",
            )
        )
    return sum(edit_distance(*pair) for pair in pairs) / total


class Bigram:
    r"""Viterbi decoding with a phone bigram: a hybrid system with one state a phone.

    .. math::
        \arg\max_{c^1 \ldots c^T} \sum_t a \left(\log p(c^t | x^t) - \log p(c^t)\right)
        + \log P(c^t | c^{t-1})

    The transition probabilities count frames, so that staying in a phone is one of them; a new
    phone follows with its bigram probability.

    Parameters
    ----------
    utterances : iterable of array_like of int (n_frames,)
        Labels of the training frames; -1 is skipped.
    n_classes : int
        Number of phones.
    acoustic_scale : float
        The factor a.

    Raises
    ------
    ValueError
        If there is no labelled frame.
    """

    def __init__(
        self, utterances: Iterable[ArrayLike], n_classes: int, *, acoustic_scale: float = 1.0
    ):
        # one count more than seen: nothing is impossible
        start, move = np.ones(n_classes), np.ones((n_classes, n_classes))
        prior = np.ones(n_classes)
        seen = 0
        for labels in utterances:
            kept = np.asarray(labels)[np.asarray(labels) >= 0]
            if len(kept) == 0:
                continue
            seen += len(kept)
            start[kept[0]] += 1
            np.add.at(prior, kept, 1)
            np.add.at(move, (kept[:-1], kept[1:]), 1)
        if not seen:
            raise ValueError(
                message(
                    "no labelled frame.",
                    "Bigram",
                    "The probabilities are counted on the training set.",
                    "Pass utterances with labels.",
                )
            )
        self.start = np.log(start / start.sum())
        self.move = np.log(move / move.sum(1, keepdims=True))
        self.prior = np.log(prior / prior.sum())
        self.acoustic_scale = acoustic_scale

    def decode(self, log_posterior: ArrayLike) -> np.ndarray:
        """The most probable class of each frame, (n_frames,), of log posteriors (n_frames, n)."""
        log_posterior = np.asarray(log_posterior, dtype=float)
        score = self.acoustic_scale * (log_posterior - self.prior)
        best, back = self.start + score[0], np.zeros(score.shape, dtype=np.int64)
        for t in range(1, len(score)):
            ways = best[:, None] + self.move
            back[t] = ways.argmax(0)
            best = ways[back[t], np.arange(len(best))] + score[t]
        path = np.empty(len(score), dtype=np.int64)
        path[-1] = best.argmax()
        for t in range(len(score) - 1, 0, -1):
            path[t - 1] = back[t, path[t]]
        return path
