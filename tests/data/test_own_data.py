"""A user's own arrays: what they become, what is kept on the way, and what is refused."""

from __future__ import annotations

import dataclasses
import types

import numpy as np
import pytest
from brian2 import ms, mV, second

from neurosnn import analysis
from neurosnn.data import (
    FrameTrials,
    SpikeTrials,
    from_neo,
    join_trials,
    read_trials,
    write_shd,
    write_trials,
)
from neurosnn.data.labels import as_classes

TIMES = [[1.0, 4.0], [2.0], []]
UNITS = [[0, 2], [1], []]


def lists(labels=("b", "a", "b"), **settings):
    return SpikeTrials.from_lists([t * ms for t in TIMES], UNITS, labels, **settings)


def same(a, b):
    for field in dataclasses.fields(a):
        x, y = getattr(a, field.name), getattr(b, field.name)
        if isinstance(x, np.ndarray):
            np.testing.assert_array_equal(x, y, err_msg=field.name)
        else:
            assert x == y, field.name


# -- what they become -------------------------------------------------------------------------------


def test_lists_lists_of_trains_pairs_and_arrays_are_the_same_trials():
    trials = lists(duration=5 * ms)
    np.testing.assert_allclose(trials.times, [0.001, 0.004, 0.002], rtol=1e-15)
    assert trials.offsets.tolist() == [0, 2, 3, 3]
    assert (trials.labels.tolist(), trials.class_names) == ([1, 0, 1], ("a", "b"))
    trains = [[[1.0] * ms, [] * ms, [4.0] * ms], [[] * ms, [2.0] * ms, []], [[], [], []]]
    same(SpikeTrials.from_lists(trains, labels=["b", "a", "b"], duration=5 * ms), trials)
    same(
        SpikeTrials.from_monitors(
            [(u, t * ms) for u, t in zip(UNITS, TIMES, strict=True)],
            ["b", "a", "b"],
            duration=5 * ms,
        ),
        trials,
    )
    dense = np.zeros((3, 5, 3), dtype=bool)
    dense[0, 1, 0] = dense[0, 4, 2] = dense[1, 2, 1] = True
    same(SpikeTrials.from_dense(dense, 1 * ms, ["b", "a", "b"]), trials)
    pairs = list(zip(dense.astype(np.float32), ["b", "a", "b"], strict=True))
    same(SpikeTrials.from_pairs(pairs, 1 * ms), trials)
    batches = [[dense[:2], ["b", "a"]], [dense[2:], ["b"]]]
    same(SpikeTrials.from_pairs(batches, 1 * ms), trials)


def test_a_monitor_of_brian2_gives_its_channels():
    source = types.SimpleNamespace(__len__=lambda: 7)
    monitor = types.SimpleNamespace(i=np.array([1, 0]), t=np.array([0.003, 0.001]) * second)
    assert SpikeTrials.from_monitors(monitor, ["x"]).units.tolist() == [0, 1]  # in order of time
    monitor.source = range(7)
    assert SpikeTrials.from_monitors([monitor]).n_channels == 7
    assert source is not None


def test_tensors_are_read_without_their_package():
    class Tensor:
        def __init__(self, values):
            self.values = np.asarray(values)

        def detach(self):
            return self

        cpu = detach

        def numpy(self):
            return self.values

        def __array__(self, *_, **__):
            raise RuntimeError("needs gradient")

    trials = SpikeTrials.from_dense(Tensor([[[0, 1], [1, 1]]]), 1 * ms, Tensor([4]))
    assert (trials.units.tolist(), trials.class_names) == ([1, 0, 1], ("4",))


def test_spikes_are_sorted_on_request_only():
    with pytest.raises(ValueError, match="trial 1: times decrease.*sort=True"):
        SpikeTrials.from_lists([[1] * ms, [4, 2] * ms], [[0], [0, 1]])
    trials = SpikeTrials.from_lists([[1] * ms, [4, 2] * ms], [[0], [0, 1]], sort=True)
    assert trials.units.tolist() == [0, 1, 0]


def test_trials_of_an_array_may_differ_in_length_and_frames_too():
    trials = SpikeTrials.from_dense([np.zeros((3, 2)), np.ones((5, 2))], 2 * ms, [0, 1])
    assert trials.n_steps(2 * ms).tolist() == [3, 5]
    frames = FrameTrials.from_dense([np.zeros((3, 2)), np.ones((5, 2))], 2 * ms, ["x", "w"])
    assert frames.labels.tolist() == [1] * 3 + [0] * 5
    assert frames.class_names == ("w", "x")
    scored = FrameTrials.from_dense(np.zeros((1, 3, 2)), 2 * ms, [[-1, 1, 2]])
    assert (scored.labels.tolist(), scored.class_names) == ([-1, 0, 1], ("1", "2"))
    same(FrameTrials.from_pairs([(np.zeros((3, 2)), "x"), (np.ones((5, 2)), "w")], 2 * ms), frames)


def test_neo_with_names_and_as_plain_lists():
    neo = pytest.importorskip("neo")

    def train(times):
        return neo.SpikeTrain(times, units="ms", t_stop=9.0)

    plain = [[train([1, 4]), train([2])], [train([]), train([3])]]
    trials = from_neo(plain, labels=["up", "down"])
    assert (trials.labels.tolist(), trials.class_names) == ([1, 0], ("down", "up"))
    assert trials.units.tolist() == [0, 1, 0, 1]
    assert len(from_neo(plain[0], labels=["up"])) == 1
    same(SpikeTrials.from_lists(plain, labels=["up", "down"], duration=9 * ms), trials)
    with pytest.raises(TypeError, match="trial 0 is a ndarray without spike trains.*from_lists"):
        from_neo([np.zeros(3)], labels=[0])


# -- labels -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "names", "numbers", "found"),
    [
        ([0, 2, 1], (), [0, 2, 1], ()),
        ([1, 3, 2], (), [0, 2, 1], ("1", "2", "3")),
        ([-1, 1], (), [0, 1], ("-1", "1")),
        ([1.0, 2.0], (), [0, 1], ("1", "2")),
        ([True, False], (), [1, 0], ("False", "True")),
        ([b"x", b"a"], (), [1, 0], ("a", "x")),
        (np.array(["x", "a"], dtype=object), (), [1, 0], ("a", "x")),
        ([3, 1], ("1", "2", "3"), [2, 0], ("1", "2", "3")),
        ([1, 0], ("no", "yes"), [1, 0], ("no", "yes")),
        (["yes"], ("no", "yes"), [1], ("no", "yes")),
        ([], (), [], ()),
    ],
)
def test_labels_of_any_kind_become_classes(labels, names, numbers, found):
    got, got_names = as_classes(labels, names, where="test")
    assert (got.tolist(), got_names) == (numbers, found)


@pytest.mark.parametrize(
    ("labels", "names", "match"),
    [
        (["maybe"], ("no", "yes"), "label 'maybe' is none of the 2 classes.*no, yes"),
        ([2], ("no", "yes"), "label '2' is none"),
        ([0.5, 1.0], (), "labels are not whole numbers.*targets"),
        ([[0, 1], [1, 0]], (), "shape.*argmax"),
    ],
)
def test_labels_that_are_no_classes(labels, names, match):
    with pytest.raises(ValueError, match=match):
        as_classes(labels, names, where="test")


def test_names_of_classes_stay_with_their_trials(tmp_path):
    trials = dataclasses.replace(lists(duration=5 * ms), speaker=[4, 4, 1], name="mine")
    assert trials[[1]].class_names == trials[:2].class_names == ("a", "b")
    rest, held = lists(["b", "a", "a"]).split(0.5, seed=0)
    assert rest.class_names == held.class_names == ("a", "b")
    write_trials(tmp_path / "mine.npz", trials)
    same(read_trials(tmp_path / "mine.npz"), trials)
    assert (
        SpikeTrials(times=[], units=[], offsets=[0, 0], labels=["z"], n_channels=1).n_classes == 1
    )


def test_joined_sets_go_by_the_names_of_their_classes():
    a, b = lists(["left", "right", "left"]), lists(["up", "right", "up"])
    both = join_trials(a, b)
    assert both.class_names == ("left", "right", "up")
    assert both.labels.tolist() == [0, 1, 0, 2, 1, 2]
    np.testing.assert_array_equal(both.times, np.concatenate([a.times, b.times]))
    same(both[:3], dataclasses.replace(a, class_names=both.class_names))
    with pytest.raises(ValueError, match="only some of the sets have speaker"):
        join_trials(dataclasses.replace(a, speaker=[0, 0, 0]), b)
    with pytest.raises(ValueError, match="differ in n_channels: 3, 4"):
        join_trials(a, lists(n_channels=4))
    with pytest.raises(TypeError, match="ndarray cannot be joined"):
        join_trials(np.zeros(3))
    frames = FrameTrials.from_dense(np.ones((2, 3, 4)), 10 * ms, ["x", "y"])
    assert join_trials(frames, frames).labels.tolist() == [0] * 3 + [1] * 3 + [0] * 3 + [1] * 3


# -- files ------------------------------------------------------------------------------------------


def test_files_of_three_kinds_hold_the_same_trials(tmp_path):
    trials = lists(duration=5 * ms)
    np.savez(
        tmp_path / "plain.npz",
        **{name: getattr(trials, name) for name in ("times", "units", "offsets", "labels")},
        n_channels=3,
        duration=0.005,
    )
    plain = read_trials(tmp_path / "plain.npz")
    np.testing.assert_array_equal(plain.times, trials.times)
    assert plain.labels.tolist() == [1, 0, 1]
    frames = FrameTrials.from_dense(np.ones((2, 3, 4)), 10 * ms, ["x", "y"])
    write_trials(tmp_path / "frames.npz", frames)
    same(read_trials(tmp_path / "frames.npz"), frames)
    pytest.importorskip("h5py")
    write_shd(tmp_path / "shd.h5", trials)
    same(read_trials(tmp_path / "shd.h5"), dataclasses.replace(trials, name="shd"))


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ({"times": [0.1]}, "no array 'units'"),
        ({"tims": [0.1]}, "'tims'.*Did you mean 'times'"),
        ({"times": np.array(["a"])}, "cannot be read.*write_trials"),
    ],
)
def test_files_that_hold_no_trials(tmp_path, content, match):
    path = tmp_path / "x.npz"
    np.savez(path, **content)
    with pytest.raises(ValueError, match=match) as caught:
        read_trials(path)
    assert str(caught.value).startswith(str(path))
    path.write_bytes(b"PK nothing")
    with pytest.raises(ValueError, match="no npz file"):
        read_trials(path)
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_trials(tmp_path / "y.npz")


# -- what is refused --------------------------------------------------------------------------------

ONE = np.zeros((1, 2, 2))


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: SpikeTrials.from_lists([[5, 150]], [[0, 1]]), "no unit: are they milliseconds"),
        (lambda: SpikeTrials.from_lists([[0.5, 150.25]], [[0, 1]]), "are they milliseconds"),
        (lambda: SpikeTrials.from_lists([[1, 2]], [[0, 1]]), "are they milliseconds"),
        (
            lambda: SpikeTrials(times=[5.0, 150.0], units=[0, 0], offsets=[0, 2], labels=[0],
                                n_channels=1, duration=200*ms),
            "are they milliseconds",
        ),
        (
            lambda: SpikeTrials(times=[5.0, 150.0], units=[0, 0], offsets=[0, 2], labels=[0],
                                n_channels=1),
            "are they milliseconds",
        ),
        (lambda: SpikeTrials.from_lists([[1] * mV], [[0]]), "must be times, got"),
        (lambda: SpikeTrials.from_lists([[0.1]], [[0], [1]]), "1 trials in times and 2 in units"),
        (lambda: SpikeTrials.from_lists([[0.1]], [[0, 1]]), "units has 2 items where 1"),
        (lambda: SpikeTrials.from_lists([[0.1, 0.2]]), "without units"),
        (lambda: SpikeTrials.from_lists([[0.1]], [[0]], [1, 2]), "2 labels for 1 trials"),
        (lambda: SpikeTrials.from_lists("abc", [[0]]), "times is of type str"),
        (lambda: SpikeTrials.from_dense(ONE[0], 1 * ms), r"axes are \(trials.*array\[None\]"),
        (lambda: SpikeTrials.from_dense(ONE + 0.5, 1 * ms), "other than 0 and 1"),
        (lambda: SpikeTrials.from_dense(ONE + 2, 1 * ms), "counts take a smaller dt"),
        (lambda: SpikeTrials.from_dense(ONE, 0.001), "dt must be a time"),
        (lambda: SpikeTrials.from_dense([ONE[0], ONE[0, :, :1]], 1 * ms), "have the shapes"),
        (lambda: SpikeTrials.from_pairs([ONE[0]], 1 * ms), "item 0 is a ndarray, not a pair"),
        (lambda: SpikeTrials.from_pairs([], 1 * ms), "no pairs"),
        (lambda: SpikeTrials.from_pairs([(np.zeros(3), 1)], 1 * ms), r"x of item 0 has shape \(3,"),
        (lambda: SpikeTrials.from_monitors([3]), "item 0 is a int"),
        (lambda: FrameTrials.from_dense(ONE, 1 * ms, [0, 1]), "2 labels for 1 trials"),
        (lambda: FrameTrials.from_dense(ONE, 1 * ms, [[0, 1, 1]]), "2 frames and labels of shape"),
        (lambda: write_trials("x.npz", ONE), "trials is a ndarray"),
    ],
)  # fmt: skip
def test_what_is_refused(call, match):
    with pytest.raises((ValueError, TypeError), match=match) as caught:
        call()
    assert len(str(caught.value)) <= 600


def test_long_recordings_in_seconds_are_taken_when_they_say_so():
    for settings in (
        {"times": [5.0, 150.0] * second},
        {"times": [5.0, 150.0], "duration": 200 * second},
    ):
        trials = SpikeTrials(units=[0, 0], offsets=[0, 2], labels=[0], n_channels=1, **settings)
        assert trials.times[1] == 150


# -- looking at them --------------------------------------------------------------------------------


def test_a_summary_says_what_is_silent():
    lines = lists(n_channels=5).summary().splitlines()
    assert lines[2].split() == ["a", "1", "1"]
    assert lines[3].split() == ["b", "2", "1"]
    assert "trials without a spike: 1 of 3" in lines
    assert "channels without a spike: 2 of 5" in lines
    frames = FrameTrials.from_dense(np.zeros((1, 3, 2)), 10 * ms)
    assert "channels that never change: 2 of 2" in frames.summary()


def test_a_picture_of_trials_shows_each_spike_once():
    from matplotlib import pyplot

    _, ax = pyplot.subplots()
    analysis.plot_trials(lists(duration=5 * ms), n=2, ax=ax)
    marks = ax.lines[0]
    np.testing.assert_allclose(marks.get_xdata(), [1, 4, 5 + 2])
    assert marks.get_ydata().tolist() == [0, 2, 1]
    assert [text.get_text() for text in ax.texts] == ["b", "a"]
    _, ax = pyplot.subplots()
    frames = FrameTrials.from_dense(np.arange(12.0).reshape(2, 3, 2), 10 * ms, ["$x$", "y"])
    analysis.plot_trials(frames, ax=ax)
    assert ax.collections[0].get_array().size == 12
    assert ax.texts[0].get_text() == r"\$x\$"
    with pytest.raises(TypeError, match="trials is a ndarray"):
        analysis.plot_trials(np.zeros(3))
    pyplot.close("all")
