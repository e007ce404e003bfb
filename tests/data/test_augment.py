import dataclasses

import numpy as np
import pytest
from brian2.units import ms

from neurosnn.data import (
    SpikeTrials,
    blend_trials,
    drop_spikes,
    jitter_times,
    shift_channels,
    shift_times,
)


def check(trials, like):
    """Still what the constructor would accept, with the same trials."""
    SpikeTrials(
        times=trials.times,
        units=trials.units,
        offsets=trials.offsets,
        labels=trials.labels,
        n_channels=trials.n_channels,
        duration=trials.duration,
    )
    assert len(trials) == len(like)
    assert trials.times.dtype == like.times.dtype
    np.testing.assert_array_equal(trials.labels, like.labels)


@pytest.mark.parametrize(
    "change",
    [
        lambda t, seed: drop_spikes(t, 0.3, seed=seed),
        lambda t, seed: shift_channels(t, 4, seed=seed),
        lambda t, seed: jitter_times(t, 3 * ms, seed=seed),
        lambda t, seed: shift_times(t, 20 * ms, seed=seed),
        lambda t, seed: blend_trials(t, seed=seed),
    ],
)
def test_valid_pure_and_seeded(trials, change):
    before = trials.times.copy(), trials.units.copy()
    one, same, other = change(trials, 1), change(trials, 1), change(trials, 2)
    check(one, trials)
    np.testing.assert_array_equal(one.times, same.times)
    np.testing.assert_array_equal(one.units, same.units)
    different = not np.array_equal(one.times, other.times)
    assert different or not np.array_equal(one.units, other.units)
    np.testing.assert_array_equal(before[0], trials.times)
    np.testing.assert_array_equal(before[1], trials.units)
    check(change(trials[:0], 1), trials[:0])


def test_drop_at_its_ends(trials):
    np.testing.assert_array_equal(drop_spikes(trials, 0, seed=0).times, trials.times)
    assert len(drop_spikes(trials, 1, seed=0).times) == 0
    kept = drop_spikes(trials, 0.5, seed=0)
    pairs = set(zip(trials.times, trials.units, strict=True))
    assert set(zip(kept.times, kept.units, strict=True)) < pairs


def test_shift_moves_all_spikes_of_a_trial_alike(trials):
    shifted = shift_channels(trials, 5, seed=0)
    amounts = set()
    for k in range(len(trials)):
        before, after = trials[k], shifted[k]
        if len(before.units) == 0:
            continue
        # Some shift in -5..5 explains the trial, up to the spikes that fell off the edge.
        matches = [
            s
            for s in range(-5, 6)
            if np.array_equal(
                (before.units + s)[(before.units + s >= 0) & (before.units + s < 20)], after.units
            )
        ]
        assert matches
        amounts.update(matches[:1])
    assert len(amounts) > 2
    np.testing.assert_array_equal(shift_channels(trials, 0, seed=0).units, trials.units)


def test_shift_by_whole_bands(trials):
    inner = trials.select(np.arange(3))
    inner = inner.with_spikes(np.full(3, 0.001), np.arange(9, 12), np.arange(4))
    moves = {
        int(move)
        for seed in range(30)
        for move in shift_channels(inner, 9, seed=seed, step=4).units - [9, 10, 11]
    }
    assert moves == {-8, -4, 0, 4, 8}


def test_jitter_has_the_wanted_width():
    n = 20000
    data = SpikeTrials(
        times=np.full(n, 0.5),
        units=np.arange(n),
        offsets=[0, n],
        labels=[0],
        n_channels=n,
        duration=1000 * ms,
    )
    assert jitter_times(data, 3 * ms, seed=0).times.std() == pytest.approx(0.003, rel=0.03)
    steps = jitter_times(data.steps(1 * ms), 4.0, seed=0, n_steps=1000)
    # Rounding to whole steps adds a variance of 1/12.
    assert steps.step.std() == pytest.approx(np.sqrt(16 + 1 / 12), rel=0.03)
    assert np.all(np.diff(steps.step) >= 0)


def test_a_trial_begins_earlier_or_later(trials):
    """All spikes of a trial by one time of its own; those that leave it are lost."""
    trials = trials.with_spikes(trials.times.astype(np.float64), trials.units, trials.offsets)
    shifted, shifts = shift_times(trials, 20 * ms, seed=0), []
    lost = 0
    for before, after in zip(trials, shifted, strict=True):
        if not len(after.times):
            continue
        # what comes first or last may be lost: some run of the spikes is the whole of what is left
        n, m = len(before.times), len(after.times)
        runs = [
            np.asarray(after.times - before.times[k : k + m])
            for k in range(n - m + 1)
            if np.array_equal(before.units[k : k + m], after.units)
        ]
        moves = [run.mean() for run in runs if np.ptp(run) < 1e-12]
        assert len(moves) == 1
        inside = (before.times / ms + 1e3 * moves[0] >= 0) & (
            before.times / ms + 1e3 * moves[0] < 50
        )
        assert inside.sum() == m
        shifts += moves
        lost += n - m
    assert lost > 20
    assert len(shifts) >= 9
    assert np.all(np.abs(shifts) <= 0.02)
    assert min(shifts) < -0.005
    assert max(shifts) > 0.005
    np.testing.assert_array_equal(shift_times(trials, 0 * ms, seed=0).times, trials.times)


def test_steps_give_steps(trials):
    steps = trials.steps(1 * ms)
    dropped = drop_spikes(steps, 0.5, seed=0)
    assert dropped.offsets[-1] == len(dropped.step) == len(dropped.channel) < len(steps.step)
    moved = shift_channels(steps, 3, seed=0, n_channels=20)
    by_trials = shift_channels(trials, 3, seed=0).steps(1 * ms)
    np.testing.assert_array_equal(moved.step, by_trials.step)
    np.testing.assert_array_equal(moved.channel, by_trials.channel)


def test_blend_takes_half_of_each_and_aligns_them():
    # Two trials of one class: the second is the first, later and higher.
    t = np.linspace(0.01, 0.03, 400)
    u = np.tile(np.arange(10, 20), 40)
    data = SpikeTrials(
        times=np.concatenate([t, t + 0.02]),
        units=np.concatenate([u, u + 7]),
        offsets=[0, 400, 800],
        labels=[0, 0],
        n_channels=40,
        duration=100 * ms,
    )
    blended = blend_trials(data, seed=0)
    assert 300 < len(blended[0].times) < 500
    original = set(zip(np.round(t, 6), u, strict=True))
    assert (
        set(zip(np.round(blended.times[: len(blended[0].units)], 6), blended[0].units, strict=True))
        <= original
    )
    only = blend_trials(data, seed=0, probability=1.0)
    np.testing.assert_array_equal(only.times, data.times)


def trials_of_two_lengths():
    """A trial that is busy to its end at 20 ms, and one of the same class that is busy for 90 ms."""
    rng = np.random.default_rng(0)
    counts = np.array([500, 500])
    times = [np.sort(rng.uniform(0, limit, 500)) for limit in (0.02, 0.09)]
    return SpikeTrials(
        times=np.concatenate(times),
        units=rng.integers(0, 5, 1000),
        offsets=np.append(0, np.cumsum(counts)),
        labels=[0, 0],
        n_channels=5,
        duration=100 * ms,
        durations=[0.02, 0.1],
    )


@pytest.mark.parametrize(
    "change",
    [lambda data: jitter_times(data, 5 * ms, seed=0), lambda data: blend_trials(data, seed=0)],
)
def test_no_spike_leaves_a_trial_that_is_shorter_than_others(change):
    data = trials_of_two_lengths()
    found = change(data)
    ends = np.maximum.reduceat(found.times, found.offsets[:-1])
    assert 0.015 < ends[0] < 0.02
    assert 0.06 < ends[1] < 0.1
    assert 200 < found.offsets[1] < 500  # what went past the end is lost, not moved to it
    checked = dataclasses.replace(found)  # refuses a spike after the end of its trial
    np.testing.assert_array_equal(checked.durations, data.durations)


def test_steps_of_trials_of_different_lengths():
    data = trials_of_two_lengths()
    n_steps = data.n_steps(1 * ms)
    found = jitter_times(data.steps(1 * ms), 5.0, seed=0, n_steps=n_steps)
    last = np.maximum.reduceat(found.step, found.offsets[:-1])
    assert 15 <= last[0] < n_steps[0] == 20
    assert 85 < last[1] < n_steps[1] == 100


def test_blend_stays_in_its_class(trials):
    # Class 0 uses channel 0 only, class 1 channel 1: any mix-up would show.
    units = np.repeat(trials.labels % 2, np.diff(trials.offsets)).astype(np.int32)
    marked = trials.with_spikes(trials.times, units, trials.offsets)
    blended = blend_trials(marked, seed=0)
    expected = np.repeat(blended.labels % 2, np.diff(blended.offsets))
    np.testing.assert_array_equal(blended.units, expected)


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda t: drop_spikes(t, 1.5, seed=0), ValueError, "probability must be a number between"),
        (lambda t: drop_spikes(t, 0.5, seed=None), ValueError, "seed must be"),
        (lambda t: drop_spikes([1], 0.5, seed=0), TypeError, "spikes is a list"),
        (lambda t: shift_channels(t, -1, seed=0), ValueError, "max_shift must be a whole number"),
        (lambda t: shift_channels(t, 4, seed=0, step=0), ValueError, "step must be a whole number"),
        (lambda t: shift_channels(t.steps(1 * ms), 1, seed=0), ValueError, "n_channels must be"),
        (lambda t: jitter_times(t, 0.001, seed=0), ValueError, "sigma must be a time"),
        (lambda t: jitter_times(t.steps(1 * ms), 1 * ms, seed=0, n_steps=9), ValueError, "steps"),
        (lambda t: jitter_times(t.steps(1 * ms), -1, seed=0, n_steps=9), ValueError, "sigma must"),
        (lambda t: jitter_times(t.steps(1 * ms), 1.0, seed=0), ValueError, "n_steps must be"),
        (lambda t: shift_times(t, 0.1, seed=0), ValueError, "max_shift must be a time"),
        (lambda t: shift_times(t.steps(1 * ms), 9 * ms, seed=0), TypeError, "trials is a Steps"),
        (lambda t: blend_trials(t.steps(1 * ms), seed=0), TypeError, "trials is a Steps"),
        (lambda t: blend_trials(t, seed=0, probability=2), ValueError, "probability must be"),
    ],
)
def test_wrong_input(trials, call, error, match):
    with pytest.raises(error, match=match):
        call(trials)
