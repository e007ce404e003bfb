"""The Yin-Yang set: its figure, its areas, and its spikes."""

import numpy as np
import pytest
from brian2 import ms

from neurosnn.data import yin_yang
from neurosnn.data.yin_yang import yin_yang_classes


def coordinates(trials, latest=30e-3):
    """x, y, 1 - x, 1 - y of each trial, shape (n, 4)."""
    n_channels = trials.n_channels
    found = np.empty((len(trials), n_channels))
    row = np.repeat(np.arange(len(trials)), n_channels)
    found[row, trials.units] = trials.times / latest
    return found


def test_spikes_are_the_coordinates_and_labels_their_classes():
    trials = yin_yang(2000, seed=3)
    found = coordinates(trials)
    assert np.all(np.diff(trials.times.reshape(2000, 5), axis=1) >= 0)
    np.testing.assert_allclose(found[:, :2] + found[:, 2:4], 1, atol=1e-12)
    np.testing.assert_array_equal(found[:, 4], 0)
    assert np.all(np.hypot(*(found[:, :2] - 0.5).T) <= 0.5)
    np.testing.assert_array_equal(yin_yang_classes(*found[:, :2].T), trials.labels)
    assert np.bincount(trials.labels).min() > 600


def test_classes_are_those_of_the_figure():
    """A half turn about the middle swaps yin and yang, the dots stay."""
    x, y = np.random.default_rng(0).uniform(-0.35, 0.35, (2, 4000)) + 0.5
    here, turned = yin_yang_classes(x, y), yin_yang_classes(1 - x, 1 - y)
    np.testing.assert_array_equal(turned, np.array([1, 0, 2])[here])
    assert set(here) == {0, 1, 2}
    assert yin_yang_classes([0.25, 0.25, 0.75, 0.75], [0.52, 0.65, 0.52, 0.65]).tolist() == [
        2,
        1,
        2,
        0,
    ]


def test_points_of_a_class_are_even():
    """Of the dots' points half lie in each dot; yin's area is half of what the dots leave."""
    found = coordinates(yin_yang(6000, seed=0, bias=None), 30e-3)
    labels = yin_yang(6000, seed=0, bias=None).labels
    assert np.mean(found[labels == 2, 0] < 0.5) == pytest.approx(0.5, abs=0.04)
    upper = np.mean(found[labels == 1, 1] > 0.5)
    half, small, dot = np.pi / 8, np.pi / 32, np.pi / 100
    assert upper == pytest.approx((half - small - dot / 2) / (half - dot), abs=0.04)


def test_seeds_and_settings():
    first, again, other = (yin_yang(50, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.times, again.times)
    assert not np.array_equal(first.times, other.times)
    trials = yin_yang(20, seed=0, earliest=2 * ms, latest=12 * ms, bias=None, duration=20 * ms)
    assert trials.n_channels == 4
    assert trials.times.min() >= 2e-3
    assert trials.times.max() <= 12e-3


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"latest": 0 * ms}, "latest"),
        ({"earliest": 40 * ms}, "not after"),
        ({"n": 0}, "n must be"),
        ({"seed": None}, "seed"),
    ],
)
def test_refused(changed, reason):
    with pytest.raises(ValueError, match=reason):
        yin_yang(**{"n": 3, "seed": 0, **changed})
