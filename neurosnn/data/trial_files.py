"""Trials in files: written and read whole, whatever program made them."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any, cast

import numpy as np
from brian2.units.allunits import second

from neurosnn.core.files import (
    INFORMATION,
    UNREADABLE,
    Damaged,
    members,
    read_arrays,
    read_member,
    write_arrays,
)
from neurosnn.core.messages import did_you_mean, message
from neurosnn.core.optional import import_optional
from neurosnn.data.exchange import from_neo
from neurosnn.data.frame_trials import FrameTrials
from neurosnn.data.spike_trials import SpikeTrials

__all__ = ["read_trials", "write_trials"]

_KINDS = {"SpikeTrials": SpikeTrials, "FrameTrials": FrameTrials}
_ARRAYS = {
    "SpikeTrials": ("times", "units", "offsets", "labels", "durations", "speaker"),
    "FrameTrials": ("features", "offsets", "labels", "speaker"),
}
_NAMES = ("class_names", "speaker_names", "trial_names")
_PLAIN = ("times", "units", "offsets", "labels", "n_channels", "duration", "durations", "speaker")
_VERSION = 1


def write_trials(path: str | os.PathLike[str], trials: SpikeTrials | FrameTrials) -> None:
    """Write trials to an npz file, with everything they have.

    Parameters
    ----------
    path : str or path
        The file; written whole or not at all.
    trials : SpikeTrials or FrameTrials
        What to write.

    Raises
    ------
    TypeError
        For anything else.
    OSError
        The file cannot be written; an earlier one stays intact.

    Examples
    --------
    >>> from neurosnn import data
    >>> _, test = data.spoken_digits(n_bands=8, n_thresholds=1)
    >>> data.write_trials("test.npz", test)  # doctest: +SKIP
    """
    kind = type(trials).__name__
    if kind not in _KINDS:
        raise TypeError(
            message(
                f"trials is a {kind}.",
                "write_trials",
                "SpikeTrials and FrameTrials are written.",
                "Make them first, for example SpikeTrials.from_lists(times, units, labels).",
            )
        )
    values = {name: getattr(trials, name) for name in _ARRAYS[kind]}
    information: dict[str, Any] = {"kind": kind, "version": _VERSION, "name": trials.name}
    information |= {name: list(getattr(trials, name, ())) for name in _NAMES}
    if isinstance(trials, SpikeTrials):
        information |= {
            "n_channels": trials.n_channels,
            "duration": float(cast(Any, trials.duration)),
        }
    else:
        information["frame"] = float(trials.frame)
    arrays = {name: np.asarray(value) for name, value in values.items() if value is not None}
    write_arrays(path, arrays, information)


def read_trials(path: str | os.PathLike[str], *, labels: Any = None) -> SpikeTrials | FrameTrials:
    """Trials from a file: npz, HDF5 in the layout of the Heidelberg digits, or what Neo reads.

    Parameters
    ----------
    path : str or path
        ``.npz``: what :func:`write_trials` wrote, or ``np.savez`` with the arrays "times" (seconds),
        "units", "offsets" and "labels" and perhaps "n_channels", "duration" (seconds), "durations",
        "speaker". ``.h5``, ``.hdf5``: what :func:`write_shd` writes. Anything else (``.nwb``, ...) is
        read by Neo, one trial a segment.
    labels : sequence of str or int, optional
        Class of each trial of a file of Neo; None: the annotation ``label`` of its segments.

    Returns
    -------
    SpikeTrials or FrameTrials

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        The file is damaged, or lacks something.
    ImportError
        h5py or Neo is needed and not installed.

    Notes
    -----
    Of an npz only numbers and text are read; nothing in it is run.

    Examples
    --------
    >>> from neurosnn import data
    >>> data.read_trials("recordings.npz")  # doctest: +SKIP
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            message("there is no such file.", str(path), "", "Check its name and folder.")
        )
    suffix = path.suffix.lower()
    try:
        if suffix == ".npz":
            return _read_npz(path)
        if suffix in (".h5", ".hdf5"):
            return _read_h5(path)
        return _read_neo(path, labels)
    except (TypeError, ValueError, KeyError) as error:
        if str(error.args[-1] if error.args else "").startswith(str(path)):
            raise
        text = str(error.args[0]) if error.args else type(error).__name__
        raise ValueError(message(text, str(path), "", "")) from error


def _read_npz(path: Path) -> SpikeTrials | FrameTrials:
    try:
        with zipfile.ZipFile(path) as archive:
            entries = members(archive)
            if INFORMATION not in entries:
                return _plain_npz({
                    name.removesuffix(".npy"): read_member(archive, entry)
                    for name, entry in entries.items()
                })  # fmt: skip
    except Damaged as error:
        raise ValueError(
            message(
                f"this file cannot be read: {error}.",
                str(path),
                "Only stored arrays of numbers are read.",
                "Write it with data.write_trials, or np.savez (not savez_compressed) of numbers.",
            )
        ) from error
    except zipfile.BadZipFile as error:
        raise ValueError(
            message("this is no npz file.", str(path), "", "Write it with data.write_trials.")
        ) from error
    arrays, information = read_arrays(path)
    kind = information.get("kind")
    if kind not in _KINDS or information.get("version") != _VERSION:
        raise ValueError(
            message(
                "this file holds no trials.",
                str(path),
                "It has another kind or a later version.",
                "Write it with data.write_trials.",
            )
        )
    values: dict[str, Any] = {name: arrays[name] for name in _ARRAYS[kind] if name in arrays}
    try:
        for name in _NAMES:
            if information.get(name):
                values[name] = tuple(information[name])
        if kind == "SpikeTrials":
            values |= {
                "n_channels": information["n_channels"],
                "duration": float(information["duration"]) * second,
            }
        else:
            values["frame"] = float(information["frame"]) * second
        made: SpikeTrials | FrameTrials = cast(Any, _KINDS[kind])(
            name=information.get("name", ""), **values
        )
        return made
    except UNREADABLE as error:
        raise ValueError(
            message(f"the trials cannot be read: {error}", str(path), "It is damaged.", "")
        ) from error


def _plain_npz(arrays: dict[str, np.ndarray]) -> SpikeTrials:
    """Arrays of numpy's own savez, by the names of the fields of SpikeTrials."""
    for name in arrays:
        if name not in _PLAIN:
            raise ValueError(
                f"it has the array {name!r}, which trials do not have. {did_you_mean(name, _PLAIN)}"
            )
    for name in _PLAIN[:4]:
        if name not in arrays:
            raise ValueError(f"it has no array {name!r}. Write {', '.join(_PLAIN[:4])}.")
    values: dict[str, Any] = dict(arrays)
    n_channels = values.pop("n_channels", values["units"].max(initial=0) + 1)
    duration = values.pop("duration", None)
    if np.ndim(n_channels) or np.ndim(0 if duration is None else duration):
        raise ValueError("its n_channels or duration is not one number. Write one of each.")
    return SpikeTrials(
        n_channels=int(n_channels),
        duration=None if duration is None else float(duration) * second,
        **values,
    )


def _read_h5(path: Path) -> SpikeTrials:
    h5py = import_optional("h5py", where="read_trials")
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise ValueError(
            message("this is no HDF5 file.", str(path), "", "Get it or write it again.")
        ) from error
    with file:
        for name in ("spikes/times", "spikes/units", "labels"):
            if name not in file:
                raise ValueError(f"it has no {name}. Write it with data.write_shd.")
        times = [np.asarray(t, dtype=np.float64) for t in file["spikes/times"][:]]
        units = [np.asarray(u, dtype=np.int64) for u in file["spikes/units"][:]]
        labels = np.asarray(file["labels"][:])
        names = [
            name.decode() if isinstance(name, bytes) else str(name)
            for name in (file["extra/keys"][:] if "extra/keys" in file else ())
        ]
        speaker = np.asarray(file["extra/speaker"][:]) if "extra/speaker" in file else None
        n_channels, duration = file.attrs.get("n_channels"), file.attrs.get("duration")
    if len(times) != len(units):
        raise ValueError("it has times and units of different numbers of trials.")
    flat = np.concatenate([np.empty(0), *times])
    numbers = np.concatenate([np.empty(0, dtype=np.int64), *units])
    return SpikeTrials(
        times=flat,
        units=numbers,
        offsets=np.cumsum([0, *map(len, times)]),
        labels=labels,
        n_channels=int(numbers.max(initial=0)) + 1 if n_channels is None else int(n_channels),
        duration=None if duration is None else float(duration) * second,
        class_names=tuple(names),
        speaker=speaker,
        name=path.stem,
    )


def _read_neo(path: Path, labels: Any) -> SpikeTrials:
    neo = import_optional("neo", where=f"read_trials('{path}')")
    try:
        block = neo.get_io(str(path)).read_block()
    except Exception as error:  # each format of Neo fails in its own way
        raise ValueError(
            message(
                f"Neo cannot read this file ({type(error).__name__}: {error}).",
                str(path),
                "Its format is not known, or a package for it is missing (pynwb for .nwb).",
                "Read it yourself, then data.write_trials(path, data.from_neo(...)).",
            )
        ) from error
    return from_neo(block, labels=labels)
