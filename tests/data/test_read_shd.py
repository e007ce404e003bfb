"""SHD and SSC: h5 files in the exact layout, made here."""

import sys

import numpy as np
import pytest
from brian2.units import ms

from neurosnn.data import read_shd, read_ssc

h5py = pytest.importorskip("h5py")


def write(path, times, units, labels, *, n_classes=20, speaker=None, leave_out=()):
    with h5py.File(path, "w") as file:
        for key, rows, dtype in (
            ("spikes/times", times, np.float16),
            ("spikes/units", units, np.uint16),
        ):
            if key not in leave_out:
                data = file.create_dataset(key, (len(rows),), h5py.vlen_dtype(dtype))
                for k, row in enumerate(rows):
                    data[k] = np.asarray(row, dtype=dtype)
        if "labels" not in leave_out:
            file["labels"] = np.asarray(labels, dtype=np.uint16)
        file["extra/keys"] = [f"word {k}".encode() for k in range(n_classes)]
        if speaker is not None:
            file["extra/speaker"] = np.asarray(speaker, dtype=np.uint16)


TIMES = [[0.0, 0.25, 1.0], [0.1], [], [0.3, 0.4]]
UNITS = [[0, 699, 5], [3], [], [8, 8]]
LABELS = [0, 19, 4, 4]


@pytest.fixture
def shd(tmp_path):
    write(tmp_path / "shd_train.h5", TIMES, UNITS, LABELS, speaker=[0, 1, 1, 2])
    write(tmp_path / "shd_test.h5", TIMES[::-1], UNITS[::-1], LABELS[::-1], speaker=[4, 5, 5, 4])
    return tmp_path


def test_shd_is_read_as_stored(shd):
    train, test = read_shd(shd)
    assert train.times.dtype == np.float64
    assert train.n_channels == 700
    for k in range(4):
        expected = np.asarray(TIMES[k], dtype=np.float16).astype(float)
        np.testing.assert_array_equal(np.asarray(train[k].times), expected)
        assert train[k].units.tolist() == UNITS[k]
        assert train[k].label == LABELS[k]
    assert train.class_names[3] == "word 3"
    assert train.n_classes == 20
    assert train.speaker.tolist() == [0, 1, 1, 2]
    assert test.speaker.tolist() == [4, 5, 5, 4]
    assert train.duration == test.duration
    assert train.duration / ms == pytest.approx(1001)


def test_shd_validation_speakers(shd):
    train, valid, test = read_shd(shd, validation_speakers=[1])
    assert train.speaker.tolist() == [0, 2]
    assert valid.speaker.tolist() == [1, 1]
    assert len(test) == 4
    for speakers in ([9], [0, 1, 2]):
        with pytest.raises(ValueError, match=r"leaves one side empty.*\[0, 1, 2\]"):
            read_shd(shd, validation_speakers=speakers)
    write(shd / "shd_train.h5", TIMES, UNITS, LABELS)
    with pytest.raises(ValueError, match=r"shd_train.h5 has no extra/speaker"):
        read_shd(shd, validation_speakers=[1])


def test_duration_cuts(shd):
    train, _ = read_shd(shd, duration=300 * ms)
    assert [len(t.times) for t in train] == [2, 1, 0, 0 if np.float16(0.3) >= 0.3 else 1]
    assert train.duration == 300 * ms
    with pytest.raises(ValueError, match="duration must be a time"):
        read_shd(shd, duration=0.3)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"leave_out": ["spikes/units"]}, "shd_train.h5: has no spikes/units"),
        ({"leave_out": ["labels"]}, "shd_train.h5: has no labels"),
        ({"labels": LABELS[:3]}, "times, units and labels of different lengths"),
        ({"units": [[0, 1], [3], [], [8, 8]]}, "times, units and labels of different lengths"),
        ({"labels": [0, 20, 4, 4]}, "holds the label 20.*0 to 19"),
        ({"units": [[0, 700, 5], [3], [], [8, 8]]}, "has unit 700 in trial 0"),
        ({"times": [[0, 0, 0], [-1], [], [1, 2]]}, "negative or infinite time in trial 1"),
        ({"times": [[0, 0, 0], [np.inf], [], [1, 2]]}, "negative or infinite time in trial 1"),
        ({"times": [[0, 0, 0], [1], [], [2, 1]]}, "decreasing times in trial 3.*sort=True"),
        ({"n_classes": 35}, "names 35 classes.*This data set has 20"),
    ],
)
def test_damaged_shd(shd, changes, match):
    write(shd / "shd_train.h5", **{**{"times": TIMES, "units": UNITS, "labels": LABELS}, **changes})
    with pytest.raises(ValueError, match=match):
        read_shd(shd)


def test_sort_on_demand(shd):
    write(shd / "shd_train.h5", [[2, 1]], [[5, 6]], [0])
    assert read_shd(shd, sort=True)[0].units.tolist() == [6, 5]


def test_missing_and_no_h5(shd, monkeypatch):
    (shd / "shd_test.h5").write_bytes(b"PK not h5")
    with pytest.raises(ValueError, match=r"shd_test.h5: cannot be opened"):
        read_shd(shd)
    (shd / "shd_test.h5").unlink()
    with pytest.raises(FileNotFoundError, match=r"shd_test.h5 is not in.*zenkelab"):
        read_shd(shd)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ImportError, match=r"the package h5py is not installed.*neurosnn\[data\]"):
        read_shd(shd)


def test_ssc(tmp_path):
    for part in ("train", "valid", "test"):
        write(tmp_path / f"ssc_{part}.h5", TIMES, UNITS, [0, 34, 4, 4], n_classes=35)
    parts = read_ssc(tmp_path)
    assert [p.n_classes for p in parts] == [35, 35, 35]
    assert parts[0].speaker is None
    assert len(read_ssc(tmp_path, parts=("valid",))) == 1
