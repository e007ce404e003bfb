"""How fitted parameters and their intervals are shown: lines of text, rows, a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from brian2.units.fundamentalunits import Quantity

from neurosnn.core.messages import message, warn

__all__ = ["parameter_lines", "parameter_rows", "parameter_table", "warn_undetermined"]


def parameter_rows(
    parameters: Mapping[str, Any], intervals: Mapping[str, Any], undetermined: tuple[str, ...]
) -> list[tuple[str, str, str]]:
    """Name, value and interval as text, all in the unit of the value."""
    rows = []
    for name, value in parameters.items():
        unit = value.get_best_unit() if isinstance(value, Quantity) else 1.0
        numbers = [float(x) / float(unit) for x in (value, *intervals[name])]
        shown, low, high = (f"{number:.4g}" for number in numbers)
        shown += f" {unit}" if isinstance(value, Quantity) else ""
        mark = " not determined" if name in undetermined else ""
        rows.append((name, shown, f"[{low}, {high}]{mark}"))
    return rows


def parameter_lines(rows: list[tuple[str, str, str]]) -> list[str]:
    """The rows as lines of text."""
    width = max(len(name) for name, _, _ in rows)
    return [f"  {name:{width}} = {value}   {interval}" for name, value, interval in rows]


def parameter_table(
    parameters: Mapping[str, Any],
    intervals: Mapping[str, Any],
    undetermined: tuple[str, ...],
    *,
    where: str,
) -> Any:
    """A pandas.DataFrame: value, ends of the interval, unit, whether determined."""
    try:
        import pandas
    except ImportError as error:
        raise ImportError(
            message(
                "pandas is not installed.",
                where,
                "It is optional.",
                "pip install pandas, or use parameters and intervals.",
            )
        ) from error
    rows = {}
    for name, value in parameters.items():
        unit = value.get_best_unit() if isinstance(value, Quantity) else 1.0
        low, high = intervals[name]
        rows[name] = {
            "value": float(value) / float(unit),
            "low": float(low) / float(unit),
            "high": float(high) / float(unit),
            "unit": str(unit) if isinstance(value, Quantity) else "",
            "determined": name not in undetermined,
        }
    return pandas.DataFrame.from_dict(rows, orient="index")


def warn_undetermined(
    vague: Iterable[str], at_bound: Iterable[str], *, where: str, data: str
) -> None:
    """Say which parameters the data do not determine, and which lie at a bound of the search."""
    vague, at_bound = list(vague), list(at_bound)
    if vague:
        warn(
            message(
                f"{data} does not determine {', '.join(vague)}.",
                where,
                "Values over more than half of the range fit about as well.",
                "Fix them, free fewer, or record a response that depends on them.",
            )
        )
    if at_bound:
        warn(
            message(
                f"{', '.join(at_bound)} lies at a bound.",
                where,
                "The loss may be smaller outside, and the interval ends at the bound.",
                "Widen the bounds, or fix it.",
            )
        )
