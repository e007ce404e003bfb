"""Event cameras: files in the exact format, made here."""

import io
import os
import sys
import types
import warnings
import zipfile

import numpy as np
import pytest
from brian2.units import ms

from neurosnn.data import read_cifar10_dvs, read_dvs_gesture, read_nmnist

RNG = np.random.default_rng(0)


def nmnist_bytes(t, x, y, p):
    t = np.asarray(t)
    columns = [x, y, np.asarray(p) << 7 | t >> 16 & 0x7F, t >> 8 & 0xFF, t & 0xFF]
    return np.column_stack(columns).astype(np.uint8).tobytes()


@pytest.fixture
def nmnist(tmp_path):
    for part in ("Train", "Test"):
        for digit in range(10):
            folder = tmp_path / part / str(digit)
            folder.mkdir(parents=True)
            t = [100, 2000, 70000, 300000 + digit]
            data = nmnist_bytes(t, [0, 33, 5, digit], [0, 33, 7, 2], [0, 1, 1, 0])
            (folder / "00001.bin").write_bytes(data)
    (tmp_path / "Train" / "4" / "00002.bin").write_bytes(nmnist_bytes([5], [1], [2], [1]))
    return tmp_path


def test_nmnist_events(nmnist):
    train, test = read_nmnist(nmnist)
    assert (len(train), len(test), train.n_channels) == (11, 10, 2312)
    assert train.labels.tolist() == [0, 1, 2, 3, 4, 4, 5, 6, 7, 8, 9]
    np.testing.assert_allclose(train[9].times / ms, [0.1, 2, 70, 300.008], rtol=1e-6)
    assert train[9].units.tolist() == [0, 1156 + 33 * 34 + 33, 1156 + 7 * 34 + 5, 2 * 34 + 8]
    assert train.duration == test.duration
    assert train.duration / ms == pytest.approx(301)
    assert len(read_nmnist(nmnist, max_per_class=1)[0]) == 10


def test_nmnist_pooling_and_cutting(nmnist):
    train, _ = read_nmnist(nmnist, pool=2, duration=100 * ms)
    assert train.n_channels == 2 * 17 * 17
    assert train[9].units.tolist() == [0, 289 + 16 * 17 + 16, 289 + 3 * 17 + 2]
    assert train.duration == 100 * ms


def test_nmnist_overflow_adds_to_all_later_times(nmnist):
    data = nmnist_bytes([10, 8000, 5, 20], [1, 0, 2, 3], [1, 240, 2, 3], [0, 0, 0, 1])
    (nmnist / "Train" / "0" / "00001.bin").write_bytes(data)
    trial = read_nmnist(nmnist)[0][0]
    np.testing.assert_allclose(trial.times / ms, [0.010, 8.197, 8.212], rtol=1e-6)


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"", "00001.bin: holds no events"),
        (b"1234567", "00001.bin: has 7 bytes, no multiple of 5"),
        (nmnist_bytes([1], [34], [0], [0]), "has an event at x=34, y=0.*34 x 34 pixels"),
        (
            nmnist_bytes([9, 3], [1, 1], [1, 1], [0, 0]),
            "decreasing times, 9 us and then 3 us.*sort",
        ),
    ],
)
def test_damaged_nmnist(nmnist, data, match):
    (nmnist / "Train" / "3" / "00001.bin").write_bytes(data)
    with pytest.raises(ValueError, match=match):
        read_nmnist(nmnist)


def test_nmnist_sorts_on_demand(nmnist):
    data = nmnist_bytes([9, 3], [1, 2], [1, 1], [0, 0])
    (nmnist / "Train" / "0" / "00001.bin").write_bytes(data)
    trial = read_nmnist(nmnist, sort=True)[0][0]
    assert trial.units.tolist() == [36, 35]


def test_missing_nmnist(nmnist, tmp_path):
    with pytest.raises(ValueError, match="max_per_class must be a whole number"):
        read_nmnist(nmnist, max_per_class=0)
    with pytest.raises(ValueError, match="pool must be"):
        read_nmnist(nmnist, pool=0)
    (nmnist / "Test" / "3" / "00001.bin").unlink()
    with pytest.raises(FileNotFoundError, match=r"Test.3 holds no .bin file"):
        read_nmnist(nmnist)
    with pytest.raises(FileNotFoundError, match=r"neither Train and Test nor nmnist_small.npz"):
        read_nmnist(nmnist / "Train")


NPZ = {
    "x": np.array([1, 2, 3], np.uint8),
    "y": np.array([4, 5, 6], np.uint8),
    "p": np.array([0, 1, 1], np.uint8),
    "t": np.array([1, 9, 4], np.uint32),
    "offsets": np.array([0, 2, 3]),
    "labels": np.array([7, 2], np.uint8),
    "mnist_index": np.array([0, 0], np.int32),
    "is_test": np.array([False, True]),
}


def test_nmnist_npz(tmp_path):
    np.savez(tmp_path / "nmnist_small.npz", **NPZ)
    for root in (tmp_path, tmp_path / "nmnist_small.npz"):
        train, test = read_nmnist(root)
        assert train.labels.tolist() == [7]
        assert test.labels.tolist() == [2]
        assert train.units.tolist() == [4 * 34 + 1, 1156 + 5 * 34 + 2]


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"labels": NPZ["labels"][:1]}, "arrays of lengths that do not match"),
        ({"offsets": np.array([0, 2, 9])}, "offsets that do not cover"),
        ({"labels": np.array([7, 12])}, "holds the label 12"),
        ({"labels": np.array([-7, 1])}, "holds the label -7"),
        ({"is_test": np.array([0, 2])}, "holds the is_test 2"),
        ({"p": np.array([0, 1, 3])}, "holds the p 3"),
        ({"x": np.array(3)}, r"holds 'x' as int64 of shape \(\)"),
        ({"t": np.array([1.0, 9.0, 4.0])}, "holds 't' as float64"),
        ({"labels": np.array([7, None])}, "cannot be read .*'labels.npy' as object"),
        ({"x": NPZ["x"] + 40}, r"nmnist_small.npz\[0\]: has an event at x=42"),
    ],
)
def test_damaged_npz(tmp_path, changes, match):
    np.savez(tmp_path / "nmnist_small.npz", **{**NPZ, **changes})
    with pytest.raises(ValueError, match=match):
        read_nmnist(tmp_path)


def packed(array):
    """The bytes of an npy file."""
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def test_an_npz_is_read_without_trust(tmp_path):
    """Deflated members are read; what a member claims is compared with what it can hold."""
    path = tmp_path / "nmnist_small.npz"
    np.savez_compressed(path, **NPZ)
    assert read_nmnist(tmp_path)[0].labels.tolist() == [7]
    content = path.read_bytes()
    claimed = bytearray(content)
    size = content.rindex(b"offsets.npy") - 22  # in the table at the end of the zip
    claimed[size : size + 4] = (2**31).to_bytes(4, "little")
    path.write_bytes(claimed)
    with pytest.raises(ValueError, match=r"cannot be read \(it claims 2147483648 bytes"):
        read_nmnist(tmp_path)
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"nmnist_small.npz: cannot be read .*Get the file again"):
        read_nmnist(tmp_path)
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w") as archive:
        warnings.simplefilter("ignore")
        for name in ("x.npy", "x.npy"):
            archive.writestr(name, packed(NPZ["x"]))
    with pytest.raises(ValueError, match="two arrays named 'x.npy'"):
        read_nmnist(tmp_path)


def test_npz_of_something_else(tmp_path):
    np.savez(tmp_path / "nmnist_small.npz", x=NPZ["x"])
    with pytest.raises(ValueError, match="lacks the arrays y, p, t"):
        read_nmnist(tmp_path)


def packet(t, x, y, p, *, kind=1, overflow=0, valid=None, spare=0):
    """An AEDAT 3.1 packet, with room for ``spare`` more events."""
    n = len(t)
    valid = np.ones(n, dtype=int) if valid is None else np.asarray(valid)
    word = np.asarray(x) << 17 | np.asarray(y) << 2 | np.asarray(p) << 1 | valid
    head = np.array([kind, 1], "<u2").tobytes()
    head += np.array([8, 4, overflow, n + spare, n, int(valid.sum())], "<u4").tobytes()
    return head + np.column_stack([word, t]).astype("<u4").tobytes() + bytes(8 * max(spare, 0))


HEAD3 = b"#!AER-DAT3.1\r\n#Format: RAW\r\n#Source 1: DVS128\r\n#!END-HEADER\r\n"
LABELS = "class,startTime_usec,endTime_usec\n3,1000,2000\n11,1500,4000\n"


@pytest.fixture
def gesture(tmp_path):
    body = packet([900, 1000, 1600], [1, 2, 3], [4, 5, 6], [0, 1, 0], spare=2)
    body += packet([1700], [9], [9], [1], kind=2)
    body += packet([1999, 2000, 3999], [7, 8, 127], [1, 2, 127], [1, 1, 1], valid=[1, 0, 1])
    for user in ("user02_led", "user24_lab"):
        (tmp_path / f"{user}.aedat").write_bytes(HEAD3 + body)
        (tmp_path / f"{user}_labels.csv").write_text(LABELS)
    return tmp_path


def test_gesture_windows_and_split(gesture):
    train, test = read_dvs_gesture(gesture)
    assert train.labels.tolist() == [2, 10]
    assert train.subject.tolist() == [2, 2]
    assert test.subject.tolist() == [24, 24]
    assert train.n_channels == 32768
    np.testing.assert_allclose(train[0].times / ms, [0, 0.6, 0.999], rtol=1e-5)
    expected = [128 * 128 + 5 * 128 + 2, 6 * 128 + 3, 128 * 128 + 128 + 7]
    assert train[0].units.tolist() == expected
    # Windows overlap; the second holds the last event, the invalid one is in neither.
    np.testing.assert_allclose(train[1].times / ms, [0.1, 0.499, 2.499], rtol=1e-5)
    assert read_dvs_gesture(gesture, pool=4)[0].n_channels == 2048


def test_aedat3_time_overflow(gesture):
    body = packet([2**31 - 5], [1], [1], [1]) + packet([5], [1], [1], [1], overflow=1)
    (gesture / "user02_led.aedat").write_bytes(HEAD3 + body)
    (gesture / "user02_led_labels.csv").write_text(f"c,s,e\n1,{2**31 - 5},{2**31 + 100}\n")
    np.testing.assert_allclose(read_dvs_gesture(gesture)[0][0].times / ms, [0, 0.010], rtol=1e-5)


def events3(*args, **kwargs):
    return HEAD3 + packet(*args, **kwargs)


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"#!AER-DAT2.0\r\n", "user02_led.aedat: starts with b'#!AER-DAT2.0'.*AER-DAT3.1"),
        (b"#!AER-DAT3.1", "ends inside its header"),
        (events3([1], [1], [1], [1])[:-3], "ends inside a packet, 3 bytes early"),
        (events3([1], [1], [1], [1]) + b"123", "ends inside a packet header"),
        (events3([1], [1], [1], [1], spare=-1), "packet of 1 events of 8 bytes in a space of 0"),
        (events3([1500], [200], [1], [1]), "has an event at x=200"),
        (events3([1500, 1400], [1, 1], [1, 1], [1, 1]), "has decreasing times, 500 us"),
        (events3([5], [1], [1], [1]), "holds no events"),
    ],
)
def test_damaged_gesture(gesture, data, match):
    (gesture / "user02_led.aedat").write_bytes(data)
    with pytest.raises(ValueError, match=match):
        read_dvs_gesture(gesture)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("class,start,end\n12,1000,2000\n", "other columns or classes"),
        ("class,start\n1,1000\n", "other columns or classes"),
        ("class,start,end\none,1000,2000\n", "cannot be read"),
    ],
)
def test_damaged_gesture_labels(gesture, text, match):
    (gesture / "user02_led_labels.csv").write_text(text)
    with pytest.raises(ValueError, match=f"user02_led_labels.csv: .*{match}"):
        read_dvs_gesture(gesture)


def test_missing_gesture(gesture, tmp_path):
    (gesture / "user24_lab_labels.csv").unlink()
    with pytest.raises(FileNotFoundError, match=r"user24_lab_labels.csv is missing"):
        read_dvs_gesture(gesture)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(FileNotFoundError, match=r"neither userNN_LIGHT.aedat nor"):
        read_dvs_gesture(empty)


def test_cut_gestures(tmp_path):
    for user in ("user01_lab", "user29_led"):
        folder = tmp_path / user
        folder.mkdir()
        events = np.array([[5, 6, 1, 100.0], [7, 8, 0, 100.25]])
        np.save(folder / "4.npy", events)
    train, test = read_dvs_gesture(tmp_path)
    assert train.labels.tolist() == [4]
    assert test.subject.tolist() == [29]
    np.testing.assert_allclose(train[0].times / ms, [0, 0.25], rtol=1e-5)
    assert train[0].units.tolist() == [128 * 128 + 6 * 128 + 5, 8 * 128 + 7]
    file = tmp_path / "user01_lab" / "4.npy"
    np.save(file, events[:, :3])
    with pytest.raises(ValueError, match=r"4.npy: has shape \(2, 3\)"):
        read_dvs_gesture(tmp_path)
    for content in (b"junk", packed(np.array([{}])), packed(events) + b"more"):
        file.write_bytes(content)
        with pytest.raises(ValueError, match=r"4.npy: cannot be read"):
            read_dvs_gesture(tmp_path)
    np.save(tmp_path / "user01_lab" / "11.npy", events)
    with pytest.raises(ValueError, match=r"11.npy: is named '11'"):
        read_dvs_gesture(tmp_path)


def aedat2(t, x, y, p):
    """Upright pixels x, y as the turned camera stores them, in AEDAT 2.0."""
    address = (127 - np.asarray(x)) << 8 | (127 - np.asarray(y)) << 1 | (1 - np.asarray(p))
    head = b"#!AER-DAT2.0\r\n# This is a raw AE data file\r\n"
    return head + np.column_stack([address, t]).astype(">u4").tobytes()


CLASSES = "airplane automobile bird cat deer dog frog horse ship truck".split()


@pytest.fixture
def cifar_dvs(tmp_path):
    for label, name in enumerate(CLASSES):
        folder = tmp_path / name
        folder.mkdir()
        for n in range(11):
            data = aedat2([1000, 1500 + n], [label, 127], [3, 0], [1, 0])
            (folder / f"cifar10_{name}_{n}.aedat").write_bytes(data)
    return tmp_path


def test_cifar10_dvs(cifar_dvs):
    train, test = read_cifar10_dvs(cifar_dvs)
    assert (len(train), len(test)) == (100, 10)
    # The tenth by number, not by name ("10" sorts before "2"), is the test recording.
    np.testing.assert_allclose(test[4].times / ms, [0, 0.510], rtol=1e-5)
    assert test[4].units.tolist() == [128 * 128 + 3 * 128 + 4, 127]
    assert test.labels.tolist() == list(range(10))
    assert len(read_cifar10_dvs(cifar_dvs, max_per_class=2)[0]) == 10


def test_damaged_cifar10_dvs(cifar_dvs):
    file = cifar_dvs / "bird" / "cifar10_bird_0.aedat"
    good = file.read_bytes()
    file.write_bytes(good[:-2])
    with pytest.raises(ValueError, match=r"bird_0.aedat: ends inside an event, 6 bytes"):
        read_cifar10_dvs(cifar_dvs)
    file.write_bytes(aedat2([7, 3], [1, 1], [1, 1], [1, 1]))
    with pytest.raises(ValueError, match=r"bird_0.aedat: has decreasing times"):
        read_cifar10_dvs(cifar_dvs)
    with pytest.raises(ValueError, match="starts at -4 us"):
        read_cifar10_dvs(cifar_dvs, sort=True)
    with pytest.raises(ValueError, match="max_per_class must be a whole number from 2"):
        read_cifar10_dvs(cifar_dvs, max_per_class=1)
    for old in (cifar_dvs / "truck").iterdir():
        old.unlink()
    file.write_bytes(good)
    with pytest.raises(FileNotFoundError, match=r"truck holds 0 .aedat or .aedat4 files"):
        read_cifar10_dvs(cifar_dvs)


def test_aedat4_goes_through_the_package(cifar_dvs, monkeypatch):
    file = cifar_dvs / "cat" / "cifar10_cat_0.aedat"
    file.rename(file.with_suffix(".aedat4"))
    monkeypatch.setitem(sys.modules, "aedat", None)
    with pytest.raises(ImportError, match=r"the package aedat is not installed.*pip install aedat"):
        read_cifar10_dvs(cifar_dvs)
    events = np.array(
        [(50, 3, 4, True), (60, 5, 6, False)],
        dtype=[("t", "<u8"), ("x", "<u2"), ("y", "<u2"), ("on", "?")],
    )
    fake = types.SimpleNamespace(Decoder=lambda path: iter([{"frame": 0}, {"events": events}]))
    monkeypatch.setitem(sys.modules, "aedat", fake)
    train, _ = read_cifar10_dvs(cifar_dvs)
    trial = train[np.flatnonzero(train.labels == 3)][0]
    assert trial.units.tolist() == [128 * 128 + 4 * 128 + 3, 6 * 128 + 5]
    fake.Decoder = lambda path: iter([{"frame": 0}])
    with pytest.raises(ValueError, match=r"cat_0.aedat4: holds no events"):
        read_cifar10_dvs(cifar_dvs)

    def refuse(path):
        raise RuntimeError("bad magic")

    fake.Decoder = refuse
    with pytest.raises(ValueError, match=r"cannot be read .bad magic"):
        read_cifar10_dvs(cifar_dvs)


@pytest.mark.needs_data
def test_real_nmnist():
    train, test = read_nmnist(os.environ["NEUROSNN_DATA"])
    assert np.bincount(train.labels).tolist() == [97, 116, 99, 93, 105, 92, 94, 117, 87, 100]
    assert len(train.times) + len(test.times) == 4518827
