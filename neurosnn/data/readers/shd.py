"""Spiking Heidelberg Digits and Spiking Speech Commands (Cramer et al. 2020)."""

from collections.abc import Sequence
from os import PathLike

import numpy as np
from brian2.units import Quantity, second

from neurosnn.core.optional import import_optional
from neurosnn.data.checks import seconds
from neurosnn.data.locations import bad_file, find_root
from neurosnn.data.spike_trials import SpikeTrials

_CHANNELS = 700
_HOW = (
    "Get {files} (as .h5.zip or .h5.gz) from zenkelab.org/datasets and unpack them into one folder."
)


def read_shd(
    root: str | PathLike[str] | None = None,
    *,
    validation_speakers: Sequence[int] | None = None,
    duration: Quantity | None = None,
    sort: bool = False,
) -> tuple[SpikeTrials, ...]:
    """The Spiking Heidelberg Digits from shd_train.h5 and shd_test.h5.

    Parameters
    ----------
    root : str, path-like or None
        Folder with the files (or with ``shd`` or ``SHD`` in it); None: the environment variable
        NEUROSNN_DATA.
    validation_speakers : sequence of int or None
        SHD has no validation part. With speakers named, all their training recordings become one
        (speakers 4 and 5 are heard in the test part only).
    duration : Quantity [s] or None
        Length of a trial; later spikes are cut off. None: as long as the longest recording.
    sort : bool
        Sort spikes by time instead of refusing trials with decreasing times.

    Returns
    -------
    train, test : SpikeTrials
        8156 and 2264 trials of 700 channels and 20 classes, with ``speaker``; times float64.
    train, valid, test : SpikeTrials
        With ``validation_speakers``.

    Raises
    ------
    FileNotFoundError
        The folder or a file is missing.
    ImportError
        h5py is not installed.
    ValueError
        A file lacks a part, or holds units, labels or times out of range; a validation speaker
        has no trials, or all of them.
    """
    train, test = _read(root, "shd", ("train", "test"), 20, duration, sort)
    if validation_speakers is None:
        return train, test
    if train.speaker is None:
        raise ValueError(
            "read_shd: validation_speakers was given but shd_train.h5 has no extra/speaker. The "
            "split needs to know who spoke. Get the file again."
        )
    valid = np.isin(train.speaker, list(np.atleast_1d(validation_speakers)))
    if not valid.any() or valid.all():
        raise ValueError(
            f"read_shd: validation_speakers={validation_speakers!r} leaves one side empty. The "
            f"training part has the speakers {np.unique(train.speaker).tolist()}. Name some, but "
            f"not all."
        )
    return train.select(~valid), train.select(valid), test


def read_ssc(
    root: str | PathLike[str] | None = None,
    *,
    parts: Sequence[str] = ("train", "valid", "test"),
    duration: Quantity | None = None,
    sort: bool = False,
) -> tuple[SpikeTrials, ...]:
    """The Spiking Speech Commands from ssc_train.h5, ssc_valid.h5 and ssc_test.h5.

    Parameters
    ----------
    root : str, path-like or None
        Folder with the files (or with ``ssc`` or ``SSC`` in it); None: the environment variable
        NEUROSNN_DATA.
    parts : sequence of {"train", "valid", "test"}
        What to read; the training part alone takes several gigabytes.
    duration : Quantity [s] or None
        Length of a trial; later spikes are cut off. None: as long as the longest recording.
    sort : bool
        Sort spikes by time instead of refusing trials with decreasing times.

    Returns
    -------
    tuple of SpikeTrials
        One for each part: 75466, 9981 and 20382 trials of 700 channels and 35 classes.

    Raises
    ------
    FileNotFoundError, ImportError, ValueError
        As `read_shd`.
    """
    return _read(root, "ssc", tuple(parts), 35, duration, sort)


def _read(root, name, parts, n_classes, duration, sort):
    where = f"read_{name}"
    files = [f"{name}_{part}.h5" for part in parts]
    how = _HOW.format(files=", ".join(files))
    path = find_root(root, (name, name.upper()), where=where, how=how)
    limit = None if duration is None else seconds(duration, "duration", where=where)
    h5py = import_optional("h5py", where=where)
    for file in files:
        if not (path / file).exists():
            raise FileNotFoundError(
                f"{where}: {file} is not in {path}. The reader looks for the names the data is "
                f"distributed under. {how}"
            )
    stored = [_read_file(h5py, path / file, n_classes, limit, sort) for file in files]
    if limit is None:
        # All parts get one length, so that a network trained on one runs on the other.
        last = max((float(s["times"].max(initial=0)) for s in stored), default=0)
        limit = (np.floor(last / 1e-3 + 1e-3) + 1) * 1e-3
    return tuple(
        SpikeTrials(n_channels=_CHANNELS, duration=limit * second, name=name, **s) for s in stored
    )


def _read_file(h5py, path, n_classes, limit, sort):
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise bad_file(
            path,
            f"cannot be opened ({error})",
            "It is not an HDF5 file, or the download is incomplete.",
            "Unpack the .h5 from its archive, or get it again.",
        ) from error
    with file:
        for key in ("spikes/times", "spikes/units", "labels"):
            if key not in file:
                raise bad_file(
                    path,
                    f"has no {key}",
                    "SHD and SSC files have spikes/times, spikes/units and labels.",
                    "Check that it is one of those files.",
                )
        # float16 holds a time to about 0.5 ms; scaling in float16 would lose more.
        times = [np.asarray(t, dtype=np.float64) for t in file["spikes/times"][:]]
        units = [np.asarray(u) for u in file["spikes/units"][:]]
        labels = np.asarray(file["labels"][:], dtype=np.int64)
        speaker = names = None
        if "extra/speaker" in file:
            speaker = np.asarray(file["extra/speaker"][:], dtype=np.int64)
        if "extra/keys" in file:
            names = tuple(_name(k, path) for k in file["extra/keys"][:])
    lengths = [len(t) for t in times]
    if len(times) != len(labels) or lengths != [len(u) for u in units]:
        raise bad_file(
            path,
            "has times, units and labels of different lengths",
            "Each spike has a time and a unit, each trial a label.",
            "Get the file again.",
        )
    if names is not None and len(names) != n_classes:
        raise bad_file(
            path,
            f"names {len(names)} classes",
            f"This data set has {n_classes}.",
            "Check that the file has its own name.",
        )
    if labels.size and (labels.min() < 0 or labels.max() >= n_classes):
        raise bad_file(
            path,
            f"holds the label {labels.max()}",
            f"This data set has the classes 0 to {n_classes - 1}.",
            "Check that the file has its own name.",
        )
    for k, (t, u) in enumerate(zip(times, units, strict=True)):
        if len(u) and (u.min() < 0 or u.max() >= _CHANNELS):
            raise bad_file(
                path,
                f"has unit {u.max()} in trial {k}",
                f"The cochlea model has {_CHANNELS} channels.",
                "Get the file again.",
            )
        if not np.isfinite(t).all() or (len(t) and t.min() < 0):
            raise bad_file(
                path,
                f"has a negative or infinite time in trial {k}",
                "Spikes come after the start of their trial.",
                "Get the file again.",
            )
        if np.any(t[1:] < t[:-1]):
            if not sort:
                raise bad_file(
                    path,
                    f"has decreasing times in trial {k}",
                    "Trials are stored in time order, so the file may be damaged.",
                    "If the spikes are merely out of order, pass sort=True.",
                )
            order = np.argsort(t, kind="stable")
            times[k], units[k] = t[order], u[order]
        if limit is not None:
            n = int(np.searchsorted(times[k], limit))
            times[k], units[k] = times[k][:n], units[k][:n]
    none = [np.empty(0)]
    return {
        "times": np.concatenate(times or none),
        "units": np.concatenate(units or none).astype(np.int32),
        "offsets": np.append(0, np.cumsum([len(t) for t in times], dtype=np.int64)),
        "labels": labels,
        "speaker": speaker,
        "class_names": names or tuple(map(str, range(n_classes))),
    }


def _name(key, path) -> str:
    """The name of a class as text."""
    try:
        return key.decode() if isinstance(key, bytes) else str(key)
    except UnicodeDecodeError as error:
        raise bad_file(
            path,
            f"names a class {key!r:.80}",
            "Names are text in UTF-8.",
            "Get the file again.",
        ) from error
