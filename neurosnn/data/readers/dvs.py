"""DVS128 Gesture (AEDAT 3.1 or cut npy files) and CIFAR10-DVS (AEDAT 2.0 or 4)."""

import re
from os import PathLike

import numpy as np
from brian2.units import Quantity

from neurosnn.data.checks import positive_int
from neurosnn.data.locations import bad_file, find_root, read_npy
from neurosnn.data.readers.aedat import decode_aedat2, decode_aedat3, decode_aedat4
from neurosnn.data.readers.cifar10 import CIFAR10_CLASSES
from neurosnn.data.readers.events import EventTrials, build_all
from neurosnn.data.spike_trials import SpikeTrials

_SIZE = 128
_GESTURES = (
    "hand clapping",
    "right hand wave",
    "left hand wave",
    "right arm clockwise",
    "right arm counter clockwise",
    "left arm clockwise",
    "left arm counter clockwise",
    "arm roll",
    "air drums",
    "air guitar",
    "other gestures",
)
_FIRST_TEST_USER = 24
_USER = re.compile(r"user(\d+)_")
_HOW_GESTURE = (
    "Unpack DvsGesture.tar.gz (Amir et al. 2017, research.ibm.com), which holds userNN_LIGHT.aedat "
    "and userNN_LIGHT_labels.csv, or the cut version with userNN_LIGHT/CLASS.npy."
)
_HOW_CIFAR = (
    "Unpack the ten archives airplane.zip to truck.zip of CIFAR10-DVS (Li et al. 2017, figshare "
    "4724671) into one folder."
)


def read_dvs_gesture(
    root: str | PathLike[str] | None = None,
    *,
    duration: Quantity | None = None,
    pool: int = 1,
    sort: bool = False,
) -> tuple[SpikeTrials, SpikeTrials]:
    """DVS128 Gesture: eleven gestures of 29 people under three lights.

    Parameters
    ----------
    root : str, path-like or None
        Folder with, at any depth, userNN_LIGHT.aedat and userNN_LIGHT_labels.csv (columns class
        1 to 11, startTime_usec, endTime_usec), or userNN_LIGHT/CLASS.npy (columns x, y, p, t in
        ms); None: ``dvs_gesture`` in the folder of the environment variable NEUROSNN_DATA.
    duration : Quantity [s] or None
        Cut all gestures to this length; they last 6 s and have 400 million events together.
    pool : int
        Side of the square of pixels that share a channel.
    sort : bool
        Sort events by time instead of refusing recordings with decreasing times.

    Returns
    -------
    train, test : SpikeTrials
        Users 1 to 23 and 24 to 29, as published. ``subject`` is the user's number; channels
        ``p * h * w + y * w + x``, 32768 for ``pool=1``; a trial starts at its start time.

    Raises
    ------
    FileNotFoundError
        The folder has neither kind of file, or a labels file is missing.
    ValueError
        A file is truncated or of another format, a class is not 1 to 11, or times decrease.
    """
    where = "read_dvs_gesture"
    folders = ("dvs_gesture", "DvsGesture", "DVSGesture")
    path = find_root(root, folders, where=where, how=_HOW_GESTURE)
    sets = [
        EventTrials(_SIZE, _SIZE, where=where, duration=duration, pool=pool, sort=sort)
        for _ in range(2)
    ]
    recordings = [p for p in sorted(path.rglob("user*.aedat")) if _USER.match(p.name)]
    cut = [p for p in sorted(path.rglob("*.npy")) if _USER.match(p.parent.name)]
    if not recordings and not cut:
        raise FileNotFoundError(
            f"{where}: neither userNN_LIGHT.aedat nor userNN_LIGHT/CLASS.npy is in {path}. The "
            f"user and so the split are read from these names. {_HOW_GESTURE}"
        )
    for file in recordings:
        user = int(_USER.match(file.name)[1])
        _add_recording(file, sets[user >= _FIRST_TEST_USER], user, where)
    for file in cut if not recordings else []:
        user = int(_USER.match(file.parent.name)[1])
        _add_cut(file, sets[user >= _FIRST_TEST_USER], user)
    return build_all(sets, _GESTURES, "dvs_gesture", subjects=True)


def _add_recording(file, trials, user, where):
    table = file.with_name(f"{file.stem}_labels.csv")
    if not table.exists():
        raise FileNotFoundError(
            f"{where}: {table} is missing. It says when each gesture begins. {_HOW_GESTURE}"
        )
    t, x, y, p = decode_aedat3(file.read_bytes(), file)
    try:
        rows = np.loadtxt(table, delimiter=",", skiprows=1, dtype=np.int64, ndmin=2)
    except ValueError as error:
        raise bad_file(
            table,
            f"cannot be read ({error})",
            "It has the integer columns class, startTime_usec, endTime_usec.",
            "Get the file again.",
        ) from error
    if rows.shape[1] != 3 or rows[:, 0].min() < 1 or rows[:, 0].max() > len(_GESTURES):
        raise bad_file(
            table,
            "has other columns or classes than expected",
            "It has the columns class (1 to 11), startTime_usec, endTime_usec.",
            "Get the file again.",
        )
    for label, start, end in rows:
        # Windows of some files overlap, so each is cut out on its own.
        at = np.flatnonzero((t >= start) & (t < end))
        trials.add(f"{file}[{start}:{end} us]", t[at] - start, x[at], y[at], p[at], label - 1, user)


def _add_cut(file, trials, user):
    events = read_npy(file)
    if not file.stem.isdigit() or not 0 <= int(file.stem) < len(_GESTURES):
        raise bad_file(
            file,
            f"is named {file.stem!r}",
            "The name of a cut gesture is its class, 0 to 10.",
            "Take the file out of the folder.",
        )
    if events.ndim != 2 or events.shape[1] != 4:
        raise bad_file(
            file,
            f"has shape {events.shape}",
            "A cut gesture has the columns x, y, p, t.",
            "Get the file again.",
        )
    x, y, p, t = events.T
    t_us = np.rint(t * 1000.0).astype(np.int64)
    x, y, p = (c.astype(np.int64) for c in (x, y, p))
    trials.add(file, t_us - t_us[:1], x, y, p, int(file.stem), user)


def read_cifar10_dvs(
    root: str | PathLike[str] | None = None,
    *,
    max_per_class: int | None = None,
    duration: Quantity | None = None,
    pool: int = 1,
    sort: bool = False,
) -> tuple[SpikeTrials, SpikeTrials]:
    """CIFAR10-DVS: 1000 recordings of each of the ten CIFAR-10 classes.

    Parameters
    ----------
    root : str, path-like or None
        Folder with airplane to truck, each holding cifar10_CLASS_N.aedat (or .aedat4); None:
        ``cifar10_dvs`` in the folder of the environment variable NEUROSNN_DATA.
    max_per_class : int or None
        Read the first recordings of each class only.
    duration : Quantity [s] or None
        Cut all recordings to this length. None: as long as the longest, about 1.3 s.
    pool : int
        Side of the square of pixels that share a channel.
    sort : bool
        Sort events by time instead of refusing recordings with decreasing times.

    Returns
    -------
    train, test : SpikeTrials
        There is no official split: the last tenth of each class, by number, is the test part, as
        in most papers. Channels ``p * h * w + y * w + x``; the first event is at 0 s.

    Raises
    ------
    FileNotFoundError
        A class folder is missing or empty.
    ImportError
        A file is .aedat4 and the package aedat is not installed.
    ValueError
        A file is truncated or of another format, or times decrease.

    Notes
    -----
    The address of the AEDAT 2.0 files is that of a DVS128: x in bits 1 to 7, y in bits 8 to 14,
    polarity in bit 0 (0 is ON). The camera was mounted turned, so that the upright image has
    ``x' = 127 - y, y' = 127 - x``.
    """
    where = "read_cifar10_dvs"
    if max_per_class is not None:
        max_per_class = positive_int(max_per_class, "max_per_class", where=where, minimum=2)
    folders = ("cifar10_dvs", "CIFAR10DVS", "cifar10-dvs")
    path = find_root(root, folders, where=where, how=_HOW_CIFAR)
    sets = [
        EventTrials(_SIZE, _SIZE, where=where, duration=duration, pool=pool, sort=sort)
        for _ in range(2)
    ]
    for label, name in enumerate(CIFAR10_CLASSES):
        files = [*(path / name).glob("*.aedat"), *(path / name).glob("*.aedat4")]
        files = sorted(files, key=lambda f: [int(n) for n in re.findall(r"\d+", f.stem)])
        files = files[:max_per_class]
        if len(files) < 2:
            raise FileNotFoundError(
                f"{where}: {path / name} holds {len(files)} .aedat or .aedat4 files. Each class "
                f"has a folder with 1000. {_HOW_CIFAR}"
            )
        first_test = len(files) - max(1, len(files) // 10)
        for k, file in enumerate(files):
            if file.suffix == ".aedat4":
                t, x, y, p = decode_aedat4(file, where=where)
            else:
                t, address = decode_aedat2(file.read_bytes(), file)
                x = 127 - (address >> 8 & 0x7F)
                y = 127 - (address >> 1 & 0x7F)
                p = 1 - (address & 1)
            sets[k >= first_test].add(file, t - t[:1], x, y, p, label)
    return build_all(sets, CIFAR10_CLASSES, "cifar10_dvs")
