"""Windows of time in which the steps of a trial count."""

from __future__ import annotations

import numpy as np
from brian2.units import ms, second
from brian2.units.fundamentalunits import get_dimensions

from neurosnn.core.messages import message
from neurosnn.core.values import Range, check_value

__all__ = ["check_time", "steps_inside", "window_repr"]

#: Shifts the edge of a window by this part of a step, so that 100*ms / (0.1*ms) is step 1000.
_ROUNDING = 1e-3


def check_time(name: str, value, where: str, *, negative: bool = False) -> None:
    """Refuse anything but a single time; a negative time counts from the end of the trial."""
    if value is None:
        return
    if get_dimensions(value) is second.dim and np.ndim(value) == 0 and negative:
        check_value(name, abs(value), Range(0 * second, includes_low=True), where=where)
    else:
        allowed = Range(0 * second, includes_low=name != "tau")
        check_value(name, value, allowed, where=where)
    if np.ndim(value):
        raise ValueError(
            message(
                f"{name} must be one time, got {value}.",
                where,
                "It holds for all trials.",
                f"Write for example {name}=20*ms.",
            )
        )


def steps_inside(loss, lengths, trial, step, dt) -> np.ndarray:
    """Which steps lie in the window: ``start <= t < stop``, with t = step * dt."""
    where = type(loss).__name__
    width = float(dt / second)
    first, last = np.zeros(len(lengths)), lengths.astype(float)
    for edges, value in ((first, loss.start), (last, loss.stop)):
        if value is not None:
            edges[:] = np.ceil(float(value / second) / width - _ROUNDING)
            edges += lengths * (float(value / second) < 0)
    inside = (step >= first[trial]) & (step < last[trial])
    counts = np.bincount(trial[inside], minlength=len(lengths))
    if not np.all(counts):
        k = int(np.argmin(counts))
        raise ValueError(
            message(
                f"no step of trial {k} lies between start={loss.start} and stop={loss.stop}.",
                where,
                f"The trial lasts {lengths[k] * width / float(ms / second):g} ms: it would not count.",
                "Choose a window inside the trials; a negative time counts from their end.",
            )
        )
    return inside


def window_repr(loss, **others) -> str:
    values = {**others, "start": loss.start, "stop": loss.stop}
    settings = ", ".join(f"{name}={value!r}" for name, value in values.items() if value is not None)
    return f"{type(loss).__name__}({settings})"
