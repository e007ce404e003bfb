"""Phone sequences and their errors against brute force."""

import itertools

import numpy as np
import pytest

from neurosnn.data.speech.decoding import Bigram, collapse, edit_distance, fold, phone_error_rate
from neurosnn.data.speech.phones import PHONES_39, PHONES_61


def slow_distance(a, b):
    if not a or not b:
        return len(a) + len(b)
    return min(
        slow_distance(a[1:], b[1:]) + (a[0] != b[0]),
        slow_distance(a[1:], b) + 1,
        slow_distance(a, b[1:]) + 1,
    )


def test_edit_distance():
    rng = np.random.default_rng(0)
    for _ in range(60):
        a, b = (rng.integers(0, 3, rng.integers(0, 6)).tolist() for _ in range(2))
        assert edit_distance(a, b) == slow_distance(a, b)


def test_phones_of_frames():
    assert collapse([4, 4, -1, 4, 2, 2, 0, 4]) == [4, 2, 0, 4]
    assert collapse([4, 0, 4], silence=0) == [4, 4]
    assert collapse([]) == []


def test_error_rate_counts_all_utterances_together():
    assert phone_error_rate([[1, 2, 3], [1]], [[1, 2, 3], [2, 1, 2]]) == pytest.approx(2 / 4)
    with pytest.raises(ValueError, match="no phone in the references"):
        phone_error_rate([[]], [[1]])


def test_viterbi_finds_the_best_of_all_paths():
    rng = np.random.default_rng(1)
    training = [rng.integers(0, 3, 40), np.array([-1, 0, 0, 1, -1]), np.array([-1])]
    bigram = Bigram(training, 3, acoustic_scale=0.7)
    move, start, prior = np.ones((3, 3)), np.ones(3), np.ones(3)
    for labels in training:
        kept = [label for label in labels if label >= 0]
        for k, label in enumerate(kept):
            prior[label] += 1
            if k:
                move[kept[k - 1], label] += 1
            else:
                start[label] += 1
    for _ in range(5):
        p = np.log(rng.dirichlet(np.ones(3), 6))

        def value(path, p=p):
            total = np.log(start[path[0]] / start.sum())
            for t, c in enumerate(path):
                total += 0.7 * (p[t, c] - np.log(prior[c] / prior.sum()))
                if t:
                    total += np.log(move[path[t - 1], c] / move[path[t - 1]].sum())
            return total

        best = max(itertools.product(range(3), repeat=6), key=value)
        assert bigram.decode(p).tolist() == list(best)
    with pytest.raises(ValueError, match="no labelled frame"):
        Bigram([[-1]], 3)


def test_a_bigram_smooths_single_frames():
    training = [np.repeat([0, 1, 0, 2], 20)]
    p = np.log(np.full((30, 3), 0.1))
    p[:, 0] = np.log(0.8)
    p[15] = np.log([0.3, 0.4, 0.3])
    assert collapse(p.argmax(1)) == [0, 1, 0]
    assert collapse(Bigram(training, 3).decode(p)) == [0]


def test_folding_to_39_classes():
    labels = [PHONES_61.index(name) for name in ("ix", "pcl", "q", "zh", "aa")]
    found = fold([*labels, -1], PHONES_61, PHONES_39)
    assert [PHONES_39[k] if k >= 0 else None for k in found] == [
        "ih",
        "sil",
        None,
        "sh",
        "aa",
        None,
    ]
    with pytest.raises(ValueError, match="'xx' is not one of TIMIT's 61 phones"):
        fold([0], ["xx"], PHONES_39)
