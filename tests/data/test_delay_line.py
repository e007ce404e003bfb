"""Delayed copies of channels, and jitter across channels."""

import numpy as np
import pytest
from brian2 import ms

from neurosnn.data import SpikeTrials, delay_line, jitter_channels

RNG = np.random.default_rng(3)
TRIALS = SpikeTrials(
    times=np.sort(RNG.uniform(0, 0.05, (4, 100)), axis=1).ravel(),
    units=RNG.integers(0, 20, 400),
    offsets=np.arange(5) * 100,
    labels=[0, 1, 0, 1],
    n_channels=20,
    duration=60 * ms,
)


def test_copies_are_the_spikes_later():
    copied = delay_line(TRIALS, 3, 4 * ms)
    assert copied.n_channels == 80
    for trial in range(4):
        original, late = TRIALS[trial], copied[trial]
        assert np.all(np.diff(late.times) >= 0)
        for k in range(4):
            mine = late.units // 20 == k
            expected = np.asarray(original.times) + k * 4e-3
            inside = expected < 0.06
            np.testing.assert_allclose(np.asarray(late.times)[mine], expected[inside])
            np.testing.assert_array_equal(late.units[mine] % 20, original.units[inside])
    assert len(copied.times) < 4 * len(TRIALS.times), "the last copies run past the end"
    np.testing.assert_array_equal(copied.labels, TRIALS.labels)


def test_copies_keep_lengths_and_speakers():
    """A short trial is longer by the last delay, but not longer than the longest trial."""
    trials = SpikeTrials(
        times=[0.001, 0.009, 0.002, 0.003],
        units=[0, 0, 0, 0],
        offsets=[0, 1, 2, 4],
        labels=[0, 1, 0],
        n_channels=1,
        duration=20 * ms,
        durations=[0.004, 0.018, 0.020],
        speaker=[1, 0, 1],
        speaker_names=("a", "b"),
    )
    copied = delay_line(trials, 2, 3 * ms)
    np.testing.assert_allclose(copied.durations, [0.010, 0.020, 0.020])
    assert copied.n_steps(1 * ms).tolist() == [10, 20, 20]
    np.testing.assert_array_equal(copied.speaker, trials.speaker)
    assert copied.speaker_names == ("a", "b")
    assert len(copied.times) == 3 * len(trials.times)


def test_jitter_moves_channels_and_nothing_else():
    moved = jitter_channels(TRIALS, 1.5, seed=0)
    assert 0.8 < len(moved.times) / len(TRIALS.times) < 1
    assert np.isin(moved.times, TRIALS.times).all()
    same = jitter_channels(TRIALS, 0.0, seed=0)
    np.testing.assert_array_equal(same.units, TRIALS.units)
    big = SpikeTrials(
        times=np.arange(5000) * 1e-5, units=np.full(5000, 50), offsets=[0, 5000], labels=[0],
        n_channels=100, duration=60 * ms,
    )  # fmt: skip
    spread = jitter_channels(big, 4.0, seed=1).units.std()
    assert spread == pytest.approx(np.sqrt(16 + 1 / 12), rel=0.05)


@pytest.mark.parametrize(
    ("call", "error", "reason"),
    [
        (lambda: delay_line([1], 2, 3 * ms), TypeError, "trials is a list"),
        (lambda: delay_line(TRIALS, 0, 3 * ms), ValueError, "copies"),
        (lambda: delay_line(TRIALS, 2, -3 * ms), ValueError, "spacing"),
        (lambda: jitter_channels(None, 1.0, seed=0), TypeError, "NoneType"),
        (lambda: jitter_channels(TRIALS, -1.0, seed=0), ValueError, "sigma must be"),
        (lambda: jitter_channels(TRIALS, 1.0, seed=None), ValueError, "seed"),
    ],
)
def test_refused(call, error, reason):
    with pytest.raises(error, match=reason):
        call()
