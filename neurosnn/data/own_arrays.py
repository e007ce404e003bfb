"""Lists, arrays and pairs of a user as times in seconds, and as one array a trial."""

from __future__ import annotations

from typing import Any

import numpy as np
from brian2.units.allunits import second
from brian2.units.fundamentalunits import Quantity, get_dimensions

from neurosnn.core.messages import message
from neurosnn.data.labels import as_array

__all__ = [
    "dense_trials",
    "in_seconds",
    "looks_like_milliseconds",
    "milliseconds_error",
    "samples",
]

#: Spikes without a unit from this moment on are hardly seconds [s].
LONG = 10.0


def looks_like_milliseconds(times: np.ndarray) -> bool:
    """Whether plain numbers that should be seconds are rather milliseconds: large, or all whole."""
    if not times.size or not np.all(np.isfinite(times)):
        return False
    last = float(times.max())
    return last >= LONG or (last >= 1 and bool(np.all(times == np.floor(times))))


def milliseconds_error(times: np.ndarray, where: str) -> ValueError:
    """The error for such numbers."""
    return ValueError(
        message(
            f"times reach {float(times.max()):g} and have no unit: are they milliseconds?",
            where,
            "Plain numbers are read as seconds.",
            "Write times*ms, or times*second if they are seconds (from brian2 import ms, second).",
        )
    )


def in_seconds(times: Any, *, where: str) -> tuple[np.ndarray, bool]:
    """Times as float seconds, and whether they came with a unit (Brian2's, or as Neo's arrays)."""
    if hasattr(times, "rescale"):
        return np.asarray(times.rescale("s").magnitude, dtype=float).ravel(), True
    if isinstance(times, list | tuple) and any(isinstance(t, Quantity) for t in times):
        try:
            times = Quantity([Quantity(t) for t in times])
        except Exception as error:  # of whichever dimensions Brian2 complains
            raise ValueError(
                message("the times have different units.", where, "", "Write all of them in ms.")
            ) from error
    dim = get_dimensions(times) if isinstance(times, Quantity) else None
    if dim is not None and dim is not second.dim:
        raise ValueError(
            message(
                f"times must be times, got {times.get_best_unit()}.",
                where,
                "They say when each spike occurs.",
                "Pass times with a unit such as t*ms.",
            )
        )
    values = as_array(times)
    if values.ndim != 1 or (values.size and values.dtype.kind not in "fiu"):
        raise ValueError(
            message(
                f"times of a trial have shape {values.shape} of {values.dtype}.",
                where,
                "Each trial is one row of numbers.",
                "Pass one array of times a trial.",
            )
        )
    return values.astype(float), dim is not None


def samples(pairs: Any, where: str) -> tuple[list[np.ndarray], list[Any]]:
    """Arrays (steps, channels) and labels of pairs, each of one trial or of a batch of them."""
    arrays, labels = [], []
    for k, pair in enumerate(pairs):
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise ValueError(
                message(
                    f"item {k} is a {type(pair).__name__}, not a pair (x, y).",
                    where,
                    "Each item holds the values of a trial, or a batch, and its label.",
                    "Pass a Dataset or DataLoader of pairs, or zip(arrays, labels).",
                )
            )
        x, y = as_array(pair[0]), pair[1]
        if x.ndim == 2:
            arrays.append(x)
            labels.append(as_array(y).item() if np.ndim(y) == 0 else y)
        elif x.ndim == 3:
            arrays.extend(x)
            values = as_array(y)
            labels.extend(values.tolist() if values.ndim == 1 else list(values))
        else:
            raise ValueError(
                message(
                    f"x of item {k} has shape {x.shape}.",
                    where,
                    "A trial has shape (steps, channels), a batch (trials, steps, channels).",
                    "Reorder the axes or flatten images: x.reshape(len(x), steps, -1).",
                )
            )
    if len(labels) != len(arrays):
        raise ValueError(
            message(
                f"{len(arrays)} trials and {len(labels)} labels.",
                where,
                "",
                "Pass one label a trial.",
            )
        )
    if not arrays:
        raise ValueError(message("there are no pairs.", where, "", "Check the data set."))
    return arrays, labels


def dense_trials(array: Any, where: str) -> list[np.ndarray]:
    """One array (steps, channels) a trial."""
    if not isinstance(array, list | tuple):
        array = as_array(array)
        if array.ndim != 3:
            fix = "Write array[None] for a single trial." if array.ndim == 2 else "Reshape it."
            raise ValueError(
                message(
                    f"the array has shape {array.shape}.",
                    where,
                    "Its axes are (trials, steps, channels).",
                    fix,
                )
            )
    trials = [as_array(trial) for trial in array]
    shapes = {trial.shape[1:] for trial in trials}
    if (
        not trials
        or any(trial.ndim != 2 or 0 in trial.shape for trial in trials)
        or len(shapes) > 1
    ):
        trial_shapes = sorted({trial.shape for trial in trials})
        raise ValueError(
            message(
                f"the trials have the shapes {', '.join(map(str, trial_shapes[:4])) or '(none)'}.",
                where,
                "A trial is an array (steps, channels); all have the same channels.",
                "Reorder its axes, and give every trial a step.",
            )
        )
    return trials
