"""Units and values with units as text and plain numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from brian2.units.allunits import amp, farad, hertz, ohm, second, siemens, volt
from brian2.units.fundamentalunits import (
    DIMENSIONLESS,
    Dimension,
    Quantity,
    get_dimensions,
    get_or_create_dimension,
)

__all__ = ["from_plain", "si_unit", "to_plain", "unit_text"]

#: Largest power of a base unit that is read from a file.
LARGEST_POWER = 50


def si_unit(dimensions: Dimension) -> str:
    """A unit as Brian2's equation parser reads it."""
    if dimensions is DIMENSIONLESS:
        return "1"
    names = ("metre", "kilogram", "second", "amp", "kelvin", "mole", "candle")
    powers = zip(names, dimensions._dims, strict=True)
    return "*".join(f"{name}**{power:g}" for name, power in powers if power)


def unit_text(dimensions: Dimension) -> str:
    """A unit as Brian2 reads it, by the name of a common unit if it has one."""
    for unit in (volt, amp, siemens, farad, ohm, second, hertz):
        if dimensions is unit.dim:
            return str(unit.name)
        if dimensions is (1 / unit).dim:
            return f"1/{unit.name}"
    return si_unit(dimensions)


def to_plain(value: Any) -> Any:
    """A value as JSON can hold it: text, a flag, None, or SI numbers with their dimensions."""
    if value is None or isinstance(value, str | bool):
        return value
    return {
        "value": np.asarray(value, dtype=float).tolist(),
        "dimensions": [float(power) for power in get_dimensions(value)._dims],
    }


def from_plain(entry: Any) -> Any:
    """The value that `to_plain` was given."""
    if entry is None or isinstance(entry, str | bool):
        return entry
    value, powers = entry["value"], entry["dimensions"]
    several = isinstance(value, list | np.ndarray)
    value = np.asarray(value, dtype=float) if several else float(value)
    if len(powers) != 7 or not all(abs(float(power)) <= LARGEST_POWER for power in powers):
        raise ValueError("a value has no dimensions: seven powers of the base units")
    dimensions = get_or_create_dimension([float(power) for power in powers])
    return value if dimensions is DIMENSIONLESS else Quantity(value, dim=dimensions)
