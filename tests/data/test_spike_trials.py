import dataclasses

import numpy as np
import pytest
from brian2.units import have_same_dimensions, ms, mV, second

from neurosnn.data import (
    FrameTrials,
    SpikeTrials,
    equalize_bands,
    slice_by_number,
    standardize,
    trim_quiet,
    validation_split,
)

GOOD = {
    "times": [0.001, 0.002, 0.002, 0.004],
    "units": [0, 1, 2, 0],
    "offsets": [0, 2, 4],
    "labels": [0, 1],
    "n_channels": 3,
    "duration": 10 * ms,
}


def make(**changes):
    return SpikeTrials(**{**GOOD, **changes})


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"times": [0.001, 0.0005, 0.002, 0.004]}, "times decrease in trial 0, from 0.001 s"),
        ({"times": [0.001, 0.002, 0.004, 0.003]}, "times decrease in trial 1"),
        ({"times": [0.001, np.nan, 0.002, 0.004]}, "holds nan in trial 0.*finite"),
        ({"times": [0.001, 0.002, -0.002, 0.004]}, "-0.002 s in trial 1.*starts at 0 s"),
        ({"times": [0.001, 0.002, 0.002, 0.01]}, "0.01 s in trial 1 is not before duration"),
        ({"times": [1, 2, 3, 4] * mV}, "times must be times"),
        ({"times": [[0.001] * 4]}, "times must be a one-dimensional"),
        ({"units": [0, 1, 3, 0]}, "unit 3 in trial 1 is out of range.*n_channels=4"),
        ({"units": [0, -1, 2, 0]}, "unit -1 in trial 0"),
        ({"units": [0, 1, 2]}, "units has 3 items where 4"),
        ({"units": [0.0, 1, 2, 0]}, "units must be a one-dimensional array of integers"),
        ({"units": [0, 2**31, 2, 0]}, "units holds 2147483648, more than int32"),
        ({"offsets": [0, 3, 2, 4], "labels": [0, 1, 0]}, "offsets decrease from 3 to 2 at trial 1"),
        ({"offsets": [0, 2, 3]}, "offsets must run from 0 to the number of spikes 4"),
        ({"offsets": []}, "offsets must run"),
        ({"labels": [0, -1]}, "label -1 of trial 1 is out of range"),
        ({"labels": [0, 2], "class_names": "ab"}, "label 2 of trial 1.*from 0 to 1"),
        ({"labels": [0]}, "labels has 1 items where 2"),
        ({"speaker": [0]}, "speaker has 1 items"),
        ({"n_channels": 0}, "n_channels must be a whole number from 1, got 0"),
        ({"duration": 10.0}, r"duration must be a time, got 10.0 \(dimensionless\).*20\*ms"),
        ({"duration": 3 * mV}, "duration must be a time"),
        ({"duration": [1, 2] * ms}, "duration must be one time"),
        ({"duration": 0 * ms}, "duration must be finite and greater than zero, got 0 ms"),
    ],
)
def test_refuses_wrong_input(changes, match):
    with pytest.raises(ValueError, match=match):
        make(**changes)


def test_falling_time_between_trials_is_fine():
    # Last spike of trial 0 is later than the first of trial 1, also around an empty trial.
    data = make(times=[0.004, 0.005, 0.001, 0.002], offsets=[0, 2, 2, 4], labels=[0, 1, 1])
    assert len(data) == 3
    assert len(data[1].times) == 0


def test_one_trial_has_units():
    trial = make()[-1]
    assert have_same_dimensions(trial.times, second)
    np.testing.assert_allclose(trial.times / ms, [2, 4])
    assert trial.units.tolist() == [2, 0]
    assert trial.label == 1
    times = make(times=[1, 2, 2, 4] * ms)
    np.testing.assert_array_equal(times.times, make().times)


def test_is_immutable_and_owns_its_arrays():
    times = np.array(GOOD["times"])
    data = make(times=times)
    times[0] = 9.0
    assert data.times[0] == 0.001
    with pytest.raises(ValueError, match="read-only"):
        data.times[0] = 0.0
    with pytest.raises(AttributeError):
        data.labels = None


@pytest.mark.parametrize(
    "index", [slice(2, 9, 3), [5, 3, 3, -1], np.arange(12) % 3 == 1, slice(0, 0), []]
)
def test_slicing_agrees_with_one_by_one(trials, index):
    part = trials[index]
    expected = (
        np.arange(12)[np.asarray(index, dtype=int) if index == [] else index]
        if not isinstance(index, np.ndarray)
        else np.flatnonzero(index)
    )
    assert len(part) == len(expected)
    for k, j in enumerate(expected):
        np.testing.assert_array_equal(part[k].times, trials[j].times)
        np.testing.assert_array_equal(part[k].units, trials[j].units)
        assert part[k].label == trials[j].label
    np.testing.assert_array_equal(part.speaker, trials.speaker[expected])
    assert part.n_classes == 3
    assert part.subject is part.speaker


@pytest.mark.parametrize(
    ("index", "match"),
    [
        (12, "index 12 is out of range"),
        ([0, -13], "index -13"),
        ([True], "1 entries for 12"),
        ("a", "cannot index with 'a'"),
        ([0.5], "cannot index"),
    ],
)
def test_wrong_index(trials, index, match):
    with pytest.raises(IndexError, match=match):
        trials[index]


def test_subset_remembers_its_classes():
    assert make()[:1].n_classes == 2


def test_default_duration_is_the_next_millisecond():
    assert make(duration=None).duration / ms == pytest.approx(5)
    assert make(duration=None, times=[0, 0, 0, 0.00431]).duration / ms == pytest.approx(5)


def test_split_is_stratified_and_seeded(trials):
    rest, held = trials.split(0.25, seed=3)
    assert np.bincount(held.labels).tolist() == [1, 1, 1]
    assert len(rest) + len(held) == 12
    again = trials.split(0.25, seed=np.random.default_rng(3))[1]
    np.testing.assert_array_equal(held.times, again.times)
    other = validation_split(trials, 0.25, seed=4)[1]
    assert not np.array_equal(held.times, other.times)


def test_split_by_speaker_keeps_speakers_apart(trials):
    rest, held = trials.split(0.5, seed=0, groups=trials.speaker)
    assert set(rest.speaker) | set(held.speaker) == {0, 1}
    assert not set(rest.speaker) & set(held.speaker)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"fraction": 1.0, "seed": 0}, "fraction must be a number between 0 and 1, ends excluded"),
        ({"fraction": 0.5, "seed": None}, "seed must be a whole number or a numpy Generator"),
        ({"fraction": 0.01, "seed": 0}, "leaves one side empty"),
        ({"fraction": 0.5, "seed": 0, "groups": [0]}, r"groups has shape \(1,\) for 12 items"),
        (
            {"fraction": 0.5, "seed": 0, "groups": [0] * 12},
            "holds 1 group, which cannot be divided",
        ),
    ],
)
def test_wrong_split(trials, arguments, match):
    with pytest.raises(ValueError, match=match):
        trials.split(**arguments)


def test_validation_split_wants_a_container():
    with pytest.raises(TypeError, match="trials is a list"):
        validation_split([1, 2])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("dt_ms", [0.1, 0.5, 1.0])
def test_times_on_the_grid_keep_their_step(dtype, dt_ms):
    # Every multiple of dt up to 8 s, stored in either precision.
    n = round(8000 / dt_ms)
    data = SpikeTrials(
        times=(np.arange(n) * (dt_ms * 1e-3)).astype(dtype),
        units=np.zeros(n, dtype=int),
        offsets=[0, n],
        labels=[0],
        n_channels=1,
        duration=8 * second,
    )
    assert data.n_steps(dt_ms * ms).tolist() == [n] * len(data)
    np.testing.assert_array_equal(data.steps(dt_ms * ms).step, np.arange(n))


def test_steps_equal_brian2(trials):
    from brian2 import Network, SpikeGeneratorGroup, SpikeMonitor, prefs

    prefs.codegen.target = "numpy"
    dt = 0.5 * ms
    steps = trials[:1].steps(dt)
    # Brian2 refuses two spikes of a channel in a step, so it gets the merged ones as times.
    group = SpikeGeneratorGroup(20, steps.channel, steps.step * dt, dt=dt)
    monitor = SpikeMonitor(group)
    Network(group, monitor).run(50 * ms)
    np.testing.assert_array_equal(monitor.i, steps.channel)
    np.testing.assert_array_equal(np.round(monitor.t / dt).astype(int), steps.step)
    one = trials[0]
    reference = np.floor(one.times / dt + 1e-3).astype(int)
    assert set(zip(reference, one.units, strict=True)) == set(
        zip(steps.step, steps.channel, strict=True)
    )


def test_steps_are_sorted_and_count_duplicates():
    data = make(times=[0.0013, 0.0016, 0.0012, 0.0019], units=[2, 0, 1, 1])
    steps = data.steps(1 * ms)
    assert steps.offsets.tolist() == [0, 2, 3]
    assert steps.channel.tolist() == [0, 2, 1]
    assert steps.step.tolist() == [1, 1, 1]
    assert data.steps(1 * ms, duplicates="keep").channel.tolist() == [0, 2, 1, 1]
    with pytest.raises(ValueError, match=r"trial 1 has two spikes of channel 1 in step 1.*merge"):
        data.steps(1 * ms, duplicates="error")
    with pytest.raises(ValueError, match="duplicates='x' is not known"):
        data.steps(1 * ms, duplicates="x")
    with pytest.raises(ValueError, match="dt must be a time"):
        data.steps(0.001)
    with pytest.raises(ValueError, match="dt must be finite and greater than zero"):
        data.n_steps(0 * ms)


def test_last_spike_stays_in_the_last_step():
    data = make(times=[0, 0, 0, np.nextafter(0.01, 0)])
    assert data.n_steps(1 * ms).tolist() == [10] * len(data)
    assert data.steps(1 * ms).step[-1] == 9


def test_repr_names_what_matters(trials):
    assert repr(trials).startswith("SpikeTrials 'random': 12 trials, 3 classes, 20 channels")


FRAMES = {
    "features": np.arange(10.0).reshape(5, 2),
    "offsets": [0, 2, 5],
    "frame": 10 * ms,
    "labels": [0, -1, 1, 1, 0],
    "class_names": ("x", "y"),
    "trial_names": ("one", "two"),
    "speaker": [0, 1],
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_trials_on_the_grid_have_the_same_steps(dtype):
    rng = np.random.default_rng(0)
    counts = np.array([400, 0, 300])
    times = [
        np.sort(rng.random(n)) * limit for n, limit in zip(counts, (0.09, 1, 0.05), strict=True)
    ]
    trials = SpikeTrials(
        times=np.concatenate(times).astype(dtype),
        units=rng.integers(0, 5, counts.sum()),
        offsets=np.append(0, np.cumsum(counts)),
        labels=[0, 1, 2],
        n_channels=5,
        duration=100 * ms,
        durations=[0.1, 0.02, 0.06],
    )
    grid = trials.on_grid(1 * ms)
    expected = trials.steps(1 * ms)
    assert 0 < len(grid.times) == len(expected.step) < counts.sum()
    assert grid.times.dtype == dtype
    assert grid.on_grid(1 * ms) is grid
    again = dataclasses.replace(grid)  # knows the times only
    for found in (grid.steps(1 * ms), again.steps(1 * ms)):
        for ours, theirs in zip(found, expected, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    for found in (grid[[2, 0]].steps(1 * ms), again[[2, 0]].steps(1 * ms)):
        for ours, theirs in zip(found, trials[[2, 0]].steps(1 * ms), strict=True):
            np.testing.assert_array_equal(ours, theirs)
    finer = grid.steps(0.5 * ms)
    np.testing.assert_array_equal(finer.step, 2 * expected.step)
    later = grid.with_spikes(grid.times + dtype(0.001), grid.units, grid.offsets)
    np.testing.assert_array_equal(later.steps(1 * ms).step[:5], expected.step[:5] + 1)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"features": np.ones(5)}, r"features must have shape \(n_frames, n_channels\)"),
        ({"features": np.full((5, 2), np.inf)}, "features of trial 0 hold a value that is not"),
        ({"offsets": [0, 6, 5]}, "offsets must rise from 0 to the number of frames 5"),
        ({"labels": [0, -2, 1, 1, 0]}, "label -2 is out of range"),
        ({"labels": [0, 2, 1, 1, 0]}, "label 2 is out of range"),
        ({"labels": [0]}, "labels has 1 items where 5"),
        ({"trial_names": ["one"]}, "trial_names has 1 items where 2"),
        ({"frame": 10}, "frame must be a time"),
    ],
)
def test_frames_refuse_wrong_input(changes, match):
    with pytest.raises(ValueError, match=match):
        FrameTrials(**{**FRAMES, **changes})


def test_frames_slice_and_pad():
    data = FrameTrials(**FRAMES)
    assert data.lengths.tolist() == [2, 3]
    assert data.duration == 30 * ms
    padded = data.padded()
    np.testing.assert_array_equal(padded.features[0, :2], data[0].features)
    np.testing.assert_array_equal(padded.features[padded.mask], data.features)
    assert padded.labels.tolist() == [[0, -1, -1], [1, 1, 0]]
    back = data[[1, 0]]
    np.testing.assert_array_equal(back[0].features, data[1].features)
    assert back.trial_names == ("two", "one")
    assert back.speaker.tolist() == [1, 0]
    assert len(data.split(0.5, seed=0)[1]) == 1
    plain = FrameTrials(features=FRAMES["features"], offsets=[0, 5], frame=1 * ms)
    assert plain.n_classes == 0
    assert plain[0].labels is None
    assert plain.padded().labels is None
    assert "no labels" in repr(plain)


def test_equalized_recordings_have_the_mean_spectrum_of_the_training_recordings():
    rng = np.random.default_rng(3)
    features = rng.uniform(0.3, 0.7, (50, 4))
    frames = FrameTrials(features=features, offsets=[0, 10, 25, 50], frame=5 * ms)
    train, test = equalize_bands(frames[:2], frames[2:], strength=1)
    aim = (features[:10].mean(axis=0) + features[10:25].mean(axis=0)) / 2
    for recording in (train[0], train[1], test[0]):
        np.testing.assert_allclose(recording.features.mean(axis=0), aim, atol=1e-6)
    half = equalize_bands(frames[:2], frames[2:], strength=0.5)[1]
    np.testing.assert_allclose(
        half[0].features, (test[0].features + frames[2].features) / 2, atol=1e-6
    )
    # A filter, a constant in every frame of one recording, is taken off.
    filtered = FrameTrials(features=features[25:] + 0.1, offsets=[0, 25], frame=5 * ms)
    again = equalize_bands(frames[:2], filtered, strength=1)[1]
    np.testing.assert_allclose(again[0].features, test[0].features, atol=1e-6)


def test_errors_of_equalization():
    frames = FrameTrials(features=np.ones((4, 2)), offsets=[0, 4], frame=5 * ms)
    other = FrameTrials(features=np.ones((4, 3)), offsets=[0, 4], frame=5 * ms)
    with pytest.raises(ValueError, match="strength must be a number between 0 and 1, got 2"):
        equalize_bands(frames, strength=2)
    with pytest.raises(ValueError, match="a set has 3 bands, the training set 2"):
        equalize_bands(frames, other)
    with pytest.raises(ValueError, match="the training set has no frames"):
        equalize_bands(frames[:0])


def test_quiet_frames_before_and_after_a_word_are_cut():
    """Each recording by its own loudest band; gaps in a word stay, and so do silent recordings."""
    loudness = [0.1, 0.5, 0.0, 0.4, 0.2, 0.02, 0.2, 0.1, 0.0, 0.0, 1.0]
    other_band = np.array(loudness) * 0.3
    frames = FrameTrials(
        features=np.stack([other_band, loudness], axis=1),
        offsets=[0, 5, 8, 8, 10, 11],
        frame=5 * ms,
        labels=np.arange(11) % 2,
        speaker=[0, 1, 0, 1, 0],
    )
    word = trim_quiet(frames, 0.7)
    assert word.lengths.tolist() == [3, 1, 0, 2, 1]
    kept = [1, 2, 3, 6, 8, 9, 10]
    np.testing.assert_array_equal(word.features, frames.features[kept])
    assert word.labels.tolist() == [k % 2 for k in kept]
    assert word.speaker.tolist() == frames.speaker.tolist()
    assert trim_quiet(frames, 1).lengths.tolist() == [1, 1, 0, 2, 1]
    np.testing.assert_array_equal(trim_quiet(frames, 0).features, frames.features)
    # A recording is cut the same way whatever others are there, and a second time not at all.
    np.testing.assert_array_equal(trim_quiet(frames[1:2], 0.7).features, word[1].features)
    assert trim_quiet(word, 0.7).lengths.tolist() == word.lengths.tolist()


def test_errors_of_trimming():
    frames = FrameTrials(features=np.array([[0.5], [-0.1]]), offsets=[0, 2], frame=5 * ms)
    with pytest.raises(ValueError, match="threshold must be a number between 0 and 1, got 2"):
        trim_quiet(frames, 2)
    with pytest.raises(ValueError, match="some frames are negative"):
        trim_quiet(frames, 0.5)


def test_standardize_uses_the_training_statistics_only():
    data = FrameTrials(**FRAMES)
    train, test = standardize(data[:1], data[1:])
    np.testing.assert_allclose(train.features, [[-1, -1], [1, 1]])
    np.testing.assert_allclose(test.features[0], [3, 3])
    flat = FrameTrials(features=np.ones((3, 1)), offsets=[0, 3], frame=1 * ms)
    assert standardize(flat)[0].features.tolist() == [[0.0]] * 3
    with pytest.raises(ValueError, match="a set has 1 channels, the training set 2"):
        standardize(data, flat)
    with pytest.raises(ValueError, match="training set has no frames"):
        standardize(data[:0])


def test_slices_of_equally_many_events():
    """Trial 0 has 7 events in 3 slices of 2, 2 and 3; trial 1 has none; trial 2 fewer than slices."""
    trials = SpikeTrials(
        times=[0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.1, 0.2],
        units=[0, 1, 1, 1, 0, 0, 1, 2, 0],
        offsets=[0, 7, 7, 9],
        labels=[0, 1, 0],
        n_channels=3,
        duration=1000 * ms,
    )
    frames = slice_by_number(trials, 3)
    assert frames.tolist() == [
        [[1, 1, 0], [0, 2, 0], [2, 1, 0]],
        [[0, 0, 0], [0, 0, 0], [0, 0, 0]],
        [[0, 0, 1], [1, 0, 0], [0, 0, 0]],
    ]
    with pytest.raises(ValueError, match="n_slices"):
        slice_by_number(trials, 0)
