"""Values with units: ranges, and checks of what a user gives."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from brian2.units.allunits import amp, farad, hertz, second, siemens, volt
from brian2.units.fundamentalunits import (
    DIMENSIONLESS,
    Dimension,
    Quantity,
    get_dimensions,
    get_unit_for_display,
)

from neurosnn.core.messages import described, did_you_mean, message


def unit_name(dimensions: Dimension) -> str:
    """A unit as a neuroscientist writes it."""
    if dimensions is DIMENSIONLESS:
        return "dimensionless"
    return str(get_unit_for_display(dimensions))


_KINDS = {
    second.dim: ("a time", "ms"),
    volt.dim: ("a voltage", "mV"),
    amp.dim: ("a current", "nA"),
    siemens.dim: ("a conductance", "nS"),
    farad.dim: ("a capacitance", "pF"),
    hertz.dim: ("a rate", "Hz"),
    DIMENSIONLESS: ("dimensionless", "1"),
}

_BASE = {second.dim: "second", volt.dim: "volt"}


class Range(NamedTuple):
    """Allowed values of a parameter; its limits carry the unit that the parameter must have.

    Attributes
    ----------
    low : Quantity or float
        Smallest value.
    high : Quantity or float or None
        Largest value, itself allowed; None for no limit.
    includes_low : bool
        Whether `low` itself is allowed.
    """

    low: Quantity | float
    high: Quantity | float = None
    includes_low: bool = False


def check_value(name: str, value, allowed: Range | None = None, *, where: str) -> None:
    """Refuse a parameter of the wrong unit, a value that is not finite, or one out of range.

    Parameters
    ----------
    name : str
        Name of the parameter, for the message.
    value : Quantity or float or array
        The value to check.
    allowed : Range, optional
        Limits, whose unit the parameter must have.
    where : str
        The model or rule the parameter belongs to.

    Raises
    ------
    ValueError
        With the name, the value, the reason and a suggestion.
    TypeError
        If the value is not a number.
    """
    try:
        if isinstance(value, str | bytes):  # numpy reads "1" as a number, Brian2 as an expression
            raise TypeError("text")
        magnitude, dimensions = np.asarray(value, dtype=float), get_dimensions(value)
    except (TypeError, ValueError) as error:
        raise TypeError(
            message(
                f"{name} must be a number or an array of numbers, got {described(value)}.",
                where,
                "A parameter is a value with a unit.",
                f"Pass a number, for example {name}=1.0 or {name}=20*ms.",
            )
        ) from error
    if allowed is not None and dimensions is not get_dimensions(allowed.low):
        wanted = get_dimensions(allowed.low)
        kind, example = _KINDS.get(wanted, (f"in {unit_name(wanted)}", unit_name(wanted)))
        if dimensions is DIMENSIONLESS:
            shown = value if magnitude.ndim == 0 else described(value)
            if magnitude.ndim == 0 and wanted in _BASE and 0 < abs(float(magnitude)) < 0.1:
                example = _BASE[wanted]  # numbers as they are in SI units
            got = f"{shown} (dimensionless)"
            number = name if magnitude.ndim else value
            fix = f"Did you mean {name}={number}*{example}?"
        else:
            got, fix = str(value), f"Give a value that is {kind}."
        raise ValueError(message(f"{name} must be {kind}, got {got}.", where, "", fix))
    if not np.all(np.isfinite(magnitude)):
        raise ValueError(
            message(
                f"{name} must be finite, got {value}.",
                where,
                "A state that is not finite spreads through the whole network.",
                "Check where the value comes from.",
            )
        )
    if allowed is None:
        return
    low, high = float(allowed.low), np.inf if allowed.high is None else float(allowed.high)
    too_low = magnitude < low if allowed.includes_low else magnitude <= low
    if np.any(too_low) or np.any(magnitude > high):
        limits = f"{'>=' if allowed.includes_low else '>'} {allowed.low}"
        limits += f" and <= {allowed.high}" if allowed.high is not None else ""
        raise ValueError(
            message(
                f"{name} must be {limits}, got {value}.",
                where,
                "The equations have no meaning outside this range.",
                f"Choose {name} inside it.",
            )
        )


def check_ranges(ranges: Mapping[str, Range], *, where: str) -> None:
    """Refuse a range whose limits are not numbers."""
    for name, allowed in ranges.items():
        limits = [x for x in (allowed.low, allowed.high) if x is not None]
        plain = [x for x in limits if not isinstance(x, str | bytes) and np.ndim(x) == 0]
        if len(plain) < len(limits) or any(np.isnan(float(x)) for x in plain):
            raise ValueError(
                message(
                    f"a limit of the range of {name} is not a number.",
                    where,
                    "Values are compared with it.",
                    "Write for example Range(0*ms, 100*ms).",
                )
            )


def check_rate_term(target, *strengths: float, where: str) -> None:
    """Refuse a firing-rate term whose target or strengths are negative."""
    not_negative = Range(0, includes_low=True)
    check_value("rate_target", target, Range(0 * hertz, includes_low=True), where=where)
    for strength in strengths:
        check_value("rate_strength", strength, not_negative, where=where)


def check_whole(name: str, value: Any, minimum: int, *, where: str, why: str = "") -> int:
    """A whole number from a `minimum` on, or an error; `why` is the reason for it."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < minimum:
        raise ValueError(
            message(
                f"{name} must be a whole number from {minimum}, got {described(value)}.",
                where,
                why,
                f"Write for example {name}={_meant(value, max(minimum, 1))}.",
            )
        )
    return int(value)


def _meant(value: Any, minimum: int) -> int:
    """The whole number that was probably meant."""
    if isinstance(value, tuple | list) and value and all(isinstance(n, int) for n in value):
        value = math.prod(value)
    elif isinstance(value, tuple | list):  # names of classes, say
        value = len(value)
    try:
        number = float(value)
    except (TypeError, ValueError):
        return minimum
    return int(number) if minimum <= number < 2**53 and number == int(number) else minimum


def dtype_name(dtype: Any, *, where: str) -> str:
    """The name of a floating-point type in which networks are computed: float32 or float64."""
    known = ("float32", "float64")
    try:
        name = np.dtype(dtype).name
    except TypeError:
        name = str(dtype)
    if name not in known:
        raise ValueError(
            message(
                f"dtype must be float32 or float64, got {dtype!r}.",
                where,
                "Networks are computed in one of them.",
                did_you_mean(name, known),
            )
        )
    return name


def whole_steps(name: str, time, dt, *, where: str) -> int:
    """A time as a whole number of time steps, or an error."""
    check_value(name, time, Range(-np.inf * second), where=where)
    steps = float(time) / float(dt)
    if abs(steps - round(steps)) > 1e-6:
        raise ValueError(
            message(
                f"{name} = {time} is not a multiple of the time step {dt}.",
                where,
                "Spikes fall on time steps.",
                "Choose another dt.",
            )
        )
    return round(steps)
