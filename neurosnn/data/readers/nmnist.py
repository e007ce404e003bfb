"""N-MNIST: event-camera recordings of the MNIST digits."""

from os import PathLike

import numpy as np
from brian2.units import Quantity

from neurosnn.data.checks import positive_int
from neurosnn.data.locations import bad_file, find_root, read_npz
from neurosnn.data.readers.events import EventTrials, build_all
from neurosnn.data.spike_trials import SpikeTrials

_SIZE = 34
_KEYS = ("x", "y", "p", "t", "offsets", "labels", "is_test")
_HOW = (
    "Unpack Train.zip and Test.zip of the N-MNIST data set (Orchard et al. 2015, Mendeley Data "
    "10.17632/468j46mzdv.1) into one folder."
)


def read_nmnist(
    root: str | PathLike[str] | None = None,
    *,
    max_per_class: int | None = None,
    duration: Quantity | None = None,
    pool: int = 1,
    sort: bool = False,
) -> tuple[SpikeTrials, SpikeTrials]:
    """N-MNIST from Train/0..9/*.bin and Test/0..9/*.bin, or from a file nmnist_small.npz.

    An event has five bytes: x, y, then polarity (1 bit) and time in microseconds (23 bits, big
    endian). y = 240 is no event but the mark of an overflow: all later times gain 2^13 us.

    Parameters
    ----------
    root : str, path-like or None
        Folder with Train and Test (or with ``nmnist`` or ``nmnist_small`` in it), or the npz file;
        None: the environment variable NEUROSNN_DATA.
    max_per_class : int or None
        Read the first recordings of each class and part only; the full set is 250 million events.
    duration : Quantity [s] or None
        Cut all recordings to this length. None: as long as the longest, about 0.3 s.
    pool : int
        Side of the square of pixels that share a channel.
    sort : bool
        Sort events by time instead of refusing recordings with decreasing times.

    Returns
    -------
    train, test : SpikeTrials
        2312 channels for ``pool=1``: ``p * 34 * 34 + y * 34 + x``, with p = 1 for ON.

    Raises
    ------
    FileNotFoundError
        The folder has no Train and Test and no npz file.
    ValueError
        A recording is empty or truncated, an event lies outside the camera, or times decrease.
    """
    where = "read_nmnist"
    if max_per_class is not None:
        max_per_class = positive_int(max_per_class, "max_per_class", where=where)
    folders = ("nmnist", "NMNIST", "N-MNIST", "nmnist_small")
    path = find_root(root, folders, where=where, how=_HOW)
    sets = [
        EventTrials(_SIZE, _SIZE, where=where, duration=duration, pool=pool, sort=sort)
        for _ in range(2)
    ]
    npz = path if path.suffix == ".npz" else path / "nmnist_small.npz"
    if npz.exists():
        _add_npz(npz, sets, max_per_class)
        name = "nmnist_small"
    elif (path / "Train").is_dir() and (path / "Test").is_dir():
        for part, trials in zip(("Train", "Test"), sets, strict=True):
            _add_folder(path / part, trials, max_per_class)
        name = "nmnist"
    else:
        raise FileNotFoundError(
            f"{where}: neither Train and Test nor nmnist_small.npz is in {path}. The reader looks "
            f"for the names the data is distributed under. {_HOW}"
        )
    return build_all(sets, tuple("0123456789"), name)


def decode_nmnist(data, path):
    """Times [us], x, y and polarity of the bytes of one .bin file.

    Parameters
    ----------
    data : bytes
    path : path
        For messages.

    Returns
    -------
    t, x, y, p : numpy.ndarray

    Raises
    ------
    ValueError
        The number of bytes is no multiple of five.
    """
    if len(data) % 5:
        raise bad_file(
            path,
            f"has {len(data)} bytes, no multiple of 5",
            "An event has five bytes, so the file is truncated.",
            "Get the file again.",
        )
    raw = np.frombuffer(data, dtype=np.uint8).reshape(-1, 5).astype(np.int64)
    t = (raw[:, 2] & 0x7F) << 16 | raw[:, 3] << 8 | raw[:, 4]
    overflow = raw[:, 1] == 240
    t = t + (np.cumsum(overflow) << 13)
    keep = ~overflow
    return t[keep], raw[keep, 0], raw[keep, 1], raw[keep, 2] >> 7


def _add_folder(folder, trials, max_per_class):
    for label in range(10):
        files = sorted((folder / str(label)).glob("*.bin"))
        if not files:
            raise FileNotFoundError(
                f"read_nmnist: {folder / str(label)} holds no .bin file. Each digit has a folder "
                f"of recordings. {_HOW}"
            )
        for file in files[:max_per_class]:
            trials.add(file, *decode_nmnist(file.read_bytes(), file), label)


def _add_npz(path, sets, max_per_class):
    arrays = read_npz(path, _KEYS)
    for key, array in arrays.items():
        if array.ndim != 1 or array.dtype.kind not in ("biu" if key == "is_test" else "iu"):
            raise bad_file(
                path,
                f"holds {key!r} as {array.dtype} of shape {array.shape}",
                "All arrays have one dimension and whole numbers.",
                "Get the file again.",
            )
    x, y, p, t, offsets, labels, is_test = arrays.values()
    n = len(labels)
    if len(offsets) != n + 1 or len(is_test) != n or len({len(x), len(y), len(p), len(t)}) > 1:
        raise bad_file(
            path,
            "has arrays of lengths that do not match",
            "Each recording has one label, each event one x, y, p and t.",
            "Get the file again.",
        )
    if offsets[0] != 0 or offsets[-1] != len(t) or np.any(np.diff(offsets) < 0):
        raise bad_file(
            path,
            "has offsets that do not cover its events",
            "Recording k is offsets[k] to offsets[k + 1].",
            "Get the file again.",
        )
    for key, values, most in (("label", labels, 9), ("is_test", is_test, 1), ("p", p, 1)):
        if values.min(initial=0) < 0 or values.max(initial=0) > most:
            value = values.max() if values.min() >= 0 else values.min()
            raise bad_file(
                path, f"holds the {key} {value}", f"It is 0 to {most}.", "Get the file again."
            )
    seen = np.zeros((2, 10), dtype=int)
    for k in range(n):
        part, label = int(is_test[k]), int(labels[k])
        seen[part, label] += 1
        if max_per_class is not None and seen[part, label] > max_per_class:
            continue
        a, b = offsets[k], offsets[k + 1]
        sets[part].add(f"{path}[{k}]", t[a:b], x[a:b], y[a:b], p[a:b], label)
