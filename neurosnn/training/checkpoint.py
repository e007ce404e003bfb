"""Checkpoints: all that a training needs to go on as if it had never stopped, in one npz file.

Weights, the optimizer's state, the state of the random generator, the position (epoch and batch, the
order of the trials), sums of the running epoch, the history, the best weights so far, versions and
settings. Numbers are stored exactly, so the resumed training ends bit-equal to one that never stopped.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import platform
import re
import zlib
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from neurosnn.core.files import UNREADABLE, read_arrays, write_arrays
from neurosnn.core.messages import message, printable, warn
from neurosnn.core.texts import check_plain_text

__all__ = ["Checkpoint", "TrainingState", "load_checkpoint", "save_checkpoint"]

_FORMAT = "neurosnn training 1"
#: Longest description of a setting, in characters.
LONGEST = 1_000_000
#: Fields that models did not have at first: with these values they are what they were.
_LATER = {"dt": None}
#: Another value of these changes rounding at most.
_MAY_DIFFER = ("backend", "device", "threads")


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """Where and how often a training is saved; always at the end of an epoch.

    Parameters
    ----------
    path : str or path
        The npz file.
    every_batches : int, optional
        Also each time after this number of batches of an epoch.
    every_seconds : float or None, optional
        Also when this number of seconds has passed since the last checkpoint.

    Raises
    ------
    ValueError
        Numbers that are not positive.

    Examples
    --------
    >>> Checkpoint("digits_training.npz", every_batches=100).every_seconds
    30.0
    """

    path: str | os.PathLike[str]
    _: dataclasses.KW_ONLY
    every_batches: int | None = None
    every_seconds: float | None = 30.0

    def __post_init__(self) -> None:
        for name in ("every_batches", "every_seconds"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(
                    message(
                        f"{name} must be greater than zero, got {value!r}.",
                        "Checkpoint",
                        "It says how often a training is saved.",
                        f"Write for example {name}=100, or None for never within an epoch.",
                    )
                )


@dataclasses.dataclass
class TrainingState:
    """What a checkpoint holds.

    Parameters
    ----------
    weights, optimizer, best : dict of str to array
        Parameters, the optimizer's state, and the best parameters so far (empty: none).
    order : array of int
        Trials of the running epoch, batch after batch; empty between epochs.
    progress : dict
        Position, sums, history, random state: what JSON can hold.
    settings : dict of str to str
        What must be the same when the training goes on.
    versions : dict of str to str
        Of the packages that wrote it.
    """

    weights: dict[str, np.ndarray]
    optimizer: dict[str, np.ndarray]
    best: dict[str, np.ndarray]
    order: np.ndarray
    progress: dict[str, Any]
    settings: dict[str, str]
    versions: dict[str, str] = dataclasses.field(default_factory=lambda: package_versions())


_BLOCKS = ("weights", "optimizer", "best")


def package_versions() -> dict[str, str]:
    """Versions of what decides about the numbers."""
    versions = {name: metadata.version(name) for name in ("neurosnn", "brian2", "numpy")}
    return {**versions, "python": platform.python_version(), "machine": platform.machine()}


def save_checkpoint(path: str | os.PathLike[str], state: TrainingState) -> None:
    """Write a checkpoint; a process killed meanwhile leaves the old one.

    Parameters
    ----------
    path : str or path
        The npz file.
    state : TrainingState
        What to keep.

    Raises
    ------
    OSError
        The file cannot be written; the old one is intact.
    """
    arrays = {
        f"{block}/{name}": value
        for block in _BLOCKS
        for name, value in getattr(state, block).items()
    }
    information = {
        "format": _FORMAT,
        "versions": state.versions,
        "settings": state.settings,
        "progress": state.progress,
    }
    write_arrays(path, {**arrays, "order": state.order}, information)


def load_checkpoint(path: str | os.PathLike[str]) -> TrainingState:
    """Read a checkpoint.

    Parameters
    ----------
    path : str or path
        The npz file.

    Returns
    -------
    TrainingState
        As it was saved.

    Raises
    ------
    ValueError
        The file is damaged or no checkpoint.
    FileNotFoundError
        There is no such file.
    """
    arrays, information = read_arrays(path)
    if information.get("format") != _FORMAT:
        raise ValueError(
            message(
                f"this is no checkpoint of a training, but {information.get('format')!r}.",
                str(path),
                f"This version reads {_FORMAT!r}.",
                "Name another file, or pass resume=False to replace it.",
            )
        )
    blocks: dict[str, dict[str, np.ndarray]] = {block: {} for block in _BLOCKS}
    with refuse_damaged(path):
        for key, value in arrays.items():
            block, _, name = key.partition("/")
            if name:
                blocks[block][name] = value
        described = {name: dict(information[name]) for name in ("progress", "settings", "versions")}
        for name, text in (*described["settings"].items(), *described["versions"].items()):
            check_plain_text(text, field=name, where=str(path), lines=True, longest=LONGEST)
        order = arrays["order"]
        if order.ndim != 1 or order.dtype.kind not in "iu":
            raise ValueError("the order of the trials is no list of numbers")
    return TrainingState(**blocks, order=order, **described)


def check_random_state(random: np.random.Generator, state: Any) -> None:
    """Refuse a random state that the generator cannot take; the generator does not change."""
    type(random.bit_generator)().state = state


@contextlib.contextmanager
def refuse_damaged(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn the errors of reading a damaged file into one error with the file's name."""
    try:
        yield
    except UNREADABLE as error:
        raise ValueError(
            message(
                f"this checkpoint cannot be read ({type(error).__name__}: {error}).",
                str(path),
                "It is damaged, or was changed.",
                "Name another file, or pass resume=False to replace it.",
            )
        ) from error


def check_same_training(
    path: str | os.PathLike[str],
    saved: TrainingState,
    now: Mapping[str, str],
    versions: Mapping[str, str],
) -> None:
    """Refuse to go on with another training's checkpoint; warn if rounding may differ."""
    for name in sorted(set(now) | set(saved.settings)):
        was, is_now = saved.settings.get(name), now.get(name)
        if was == is_now:
            continue
        if name in _MAY_DIFFER:
            warn(
                printable(f"{path}: this training ran with {name} {was}, now it is {is_now}. ")
                + "Its results agree with an uninterrupted one up to rounding.",
            )
            continue
        raise ValueError(
            message(
                f"this training had another {name}: {was}, now it is {is_now}.",
                str(path),
                "The result would belong to neither training.",
                "Go on with the same settings, name another file, or pass resume=False to start anew.",
            )
        )
    changed = [
        f"{name} {old} -> {versions.get(name)}"
        for name, old in saved.versions.items()
        if versions.get(name) != old
    ]
    if changed:
        warn(
            printable(f"{path}: written with other versions ({', '.join(changed)}). ")
            + "Results agree with an uninterrupted training up to rounding.",
        )


def overwrite(target: Mapping[str, np.ndarray], values: Mapping[str, np.ndarray], path, role: str):
    """Copy arrays into those in use, if all names and shapes agree."""
    shapes = {name: array.shape for name, array in target.items()}
    saved = {name: array.shape for name, array in values.items()}
    if shapes != saved:
        name = sorted(n for n in set(shapes) | set(saved) if shapes.get(n) != saved.get(n))[0]
        raise ValueError(
            message(
                f"{role} '{name}' has shape {saved.get(name)} in the file and {shapes.get(name)} here.",
                str(path),
                "The file belongs to another network or optimizer.",
                "Build the same, name another file, or pass resume=False to start anew.",
            )
        )
    for name, array in values.items():
        fits = np.can_cast(array.dtype, target[name].dtype, "same_kind")
        if not fits or not np.all(np.isfinite(array) | (array == target[name])):
            raise ValueError(
                message(
                    f"{role} '{name}' holds values of another kind, or that are not finite.",
                    str(path),
                    "The file is damaged, or the training had failed.",
                    "Name another file, or pass resume=False to start anew.",
                )
            )
    for name, array in values.items():
        np.copyto(target[name], array)


def setting_text(setting: Any) -> str:
    """A text that is the same in every process for equal settings."""
    if isinstance(setting, list | tuple):
        return "[" + ", ".join(setting_text(item) for item in setting) + "]"
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(setting))


def fingerprint(*values: Any) -> str:
    """A short text that differs, practically always, if an array or a JSON value differs."""
    checksum = 0
    for value in values:
        if isinstance(value, np.ndarray):
            data = value.tobytes()
        else:
            data = json.dumps(value, sort_keys=True, default=str).encode()
        checksum = zlib.crc32(data, checksum)
    return f"{checksum:08x}"


def network_fingerprint(net: Any) -> str:
    """Of all that is not learned: models, sizes, time step, synapses, delays."""
    models = [
        {
            name: value
            for name, value in part.model.to_dict().items()
            if name not in _LATER or value != _LATER[name]
        }
        for part in (*net.layers, net.readout)
        if hasattr(part, "model")
    ]
    wiring = [
        np.asarray(array)
        for connection in net.connections.values()
        for array in (
            *(connection.mask, connection.pre, connection.post),
            *(connection.fixed_delay, connection.channel, connection.sign),
            None if connection.plastic else connection.w,
        )
        if array is not None
    ]
    if not net.is_stack:
        models.append([(c.name, c.source, c.target, c.synaptic) for c in net.connections.values()])
    models += [c.synapse.to_dict() for c in net.connections.values() if c.synapse is not None]
    shapes = {name: list(array.shape) for name, array in net.parameters.items()}
    return fingerprint(models, shapes, float(net.dt), *wiring)


def as_checkpoint(checkpoint: Any, *, where: str) -> Checkpoint | None:
    """A Checkpoint from a path."""
    if checkpoint is None or isinstance(checkpoint, Checkpoint):
        return checkpoint
    if not isinstance(checkpoint, str | os.PathLike):
        raise TypeError(
            message(
                f"checkpoint must be a path, got {checkpoint!r}.",
                where,
                "It names the file that keeps the training.",
                "Write for example checkpoint='training.npz'.",
            )
        )
    return Checkpoint(Path(checkpoint))
