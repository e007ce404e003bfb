"""The results of a study as a tidy table, and means with confidence intervals."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from brian2.units.fundamentalunits import Quantity
from scipy.special import stdtrit

from neurosnn.core import html
from neurosnn.core.files import atomic_file
from neurosnn.core.messages import did_you_mean, message, printable
from neurosnn.core.optional import import_optional
from neurosnn.core.units import si_unit
from neurosnn.study.points import decode

if TYPE_CHECKING:
    from neurosnn.study.points import Point, PointFiles

__all__ = ["StudyMeans", "StudyTable", "interval"]


class StudyMeans(NamedTuple):
    """Means of a result for each value of a parameter.

    Attributes
    ----------
    value : ndarray or Quantity, shape (n_values,)
        The values, in the order in which they appear in the table.
    mean : ndarray, shape (n_values,)
        Mean over the points with this value.
    low : ndarray, shape (n_values,)
        Lower limit of the confidence interval; nan for a single point.
    high : ndarray, shape (n_values,)
        Upper limit.
    n : ndarray of int, shape (n_values,)
        Number of points.
    """

    value: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    n: np.ndarray


class StudyTable:
    """One row a point: its parameters, its seed, its results, and how it went.

    Parameters
    ----------
    rows : iterable of mapping
        The rows; besides parameters and results each has "status" ("done" or "failed"), "seconds" and
        "error" (the traceback).

    Examples
    --------
    >>> from neurosnn.study import StudyTable
    >>> table = StudyTable([{"n": 8, "seed": 0, "accuracy": 0.5}, {"n": 8, "seed": 1, "accuracy": 1}])
    >>> table["accuracy"]
    array([0.5, 1. ])
    >>> table.mean("accuracy", by="n").mean
    array([0.75])
    """

    def __init__(self, rows: Iterable[Mapping[str, Any]] = ()):
        self.rows = [dict(row) for row in rows]

    @classmethod
    def of(cls, points: list[Point], files: PointFiles) -> StudyTable:
        """The table of all points that have a file."""
        rows, known = [], files.known()
        for point in points:
            if point.key not in known:
                continue
            record = files.read(point.key)
            row = {name: decode(value) for name, value in record["parameters"].items()}
            row |= {name: decode(value) for name, value in record["result"].items()}
            row |= {name: record[name] for name in ("status", "seconds", "error")}
            rows.append(row)
        return cls(rows)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns, in the order in which they first appear."""
        return tuple(dict.fromkeys(name for row in self.rows for name in row))

    @property
    def failed(self) -> StudyTable:
        """The rows of the points that have raised."""
        return StudyTable(row for row in self.rows if row.get("status") == "failed")

    def __getitem__(self, name: str) -> np.ndarray:
        """A column; nan where a row has no such value. Quantities stay quantities."""
        self._check(name)
        values = [row.get(name, math.nan) for row in self.rows]
        quantities = [value for value in values if isinstance(value, Quantity)]
        if quantities:
            unit = Quantity(1, dim=quantities[0].dim)
            return np.array([float(np.asarray(value)) for value in values]) * unit
        return np.array(values)

    def select(self, **values: Any) -> StudyTable:
        """The rows with these values.

        Parameters
        ----------
        **values
            Columns and the value that each must have.

        Returns
        -------
        StudyTable
            Those rows.
        """
        for name in values:
            self._check(name)
        return StudyTable(
            row
            for row in self.rows
            if all(name in row and row[name] == value for name, value in values.items())
        )

    def mean(self, quantity: str, *, by: str, level: float = 0.95) -> StudyMeans:
        r"""Mean and confidence interval of a result for each value of a parameter.

        .. math:: \bar x \pm t_{(1 + level)/2,\, n - 1}\, s / \sqrt n

        Parameters
        ----------
        quantity : str
            The result; points that failed do not count.
        by : str
            The parameter.
        level : float, optional
            Level of confidence.

        Returns
        -------
        StudyMeans
            Values of `by`, means and limits.

        Raises
        ------
        ValueError
            If there is no such column, or no point is done.
        """
        for name in (quantity, by):
            self._check(name)
        groups: dict[Any, list[float]] = {}
        labels: dict[Any, Any] = {}
        for row in self.rows:
            value = row.get(quantity)
            if row.get("status", "done") == "done" and value is not None and value == value:
                key = json.dumps(row[by]) if isinstance(row[by], list) else _hashable(row[by])
                labels.setdefault(key, row[by])
                groups.setdefault(key, []).append(float(np.asarray(value)))
        if not groups:
            raise ValueError(
                message(
                    f"no point has a '{quantity}'.",
                    "StudyTable.mean",
                    "All have failed, or none has been computed.",
                    "Look at table.failed['error'].",
                )
            )
        statistics = [interval(values, level) for values in groups.values()]
        mean, low, high = (np.array(column) for column in zip(*statistics, strict=True))
        return StudyMeans(
            StudyTable([{by: label} for label in labels.values()])[by],
            mean,
            low,
            high,
            np.array([len(values) for values in groups.values()]),
        )

    def to_dict(self) -> dict[str, list[Any]]:
        """The columns as lists, for example for ``pandas.DataFrame(table.to_dict())``."""
        return {name: [row.get(name) for row in self.rows] for name in self.columns}

    def to_csv(self, path: Any) -> None:
        """Write the table as CSV; quantities as SI numbers, with the unit in the heading.

        Parameters
        ----------
        path : path
            The file; replaced if it exists.
        """
        units = {
            name: f" ({si_unit(value.dim)})"
            for name in self.columns
            for value in [next((r[name] for r in self.rows if name in r), None)]
            if isinstance(value, Quantity)
        }
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow([name + units.get(name, "") for name in self.columns])
        for row in self.rows:
            writer.writerow([_cell(row.get(name, "")) for name in self.columns])
        with atomic_file(path) as file:
            file.write(text.getvalue().encode())

    def to_parquet(self, path: Any) -> None:
        """Write the table as parquet; needs the package pyarrow.

        Parameters
        ----------
        path : path
            The file; replaced if it exists.

        Raises
        ------
        ImportError
            If pyarrow is not installed.
        """
        where, instead = "StudyTable.to_parquet", "use to_csv"
        arrow = import_optional("pyarrow", where=where, instead=instead)
        parquet = import_optional("pyarrow.parquet", where=where, instead=instead)
        columns = {
            name: [None if row.get(name) is None else _plain(row[name]) for row in self.rows]
            for name in self.columns
        }
        with atomic_file(path) as file:
            parquet.write_table(arrow.table(columns), file)

    def __repr__(self) -> str:
        shown = [name for name in self.columns if name not in ("error", "seconds", "status")]
        cells = [
            shown,
            *([printable(_short(row.get(name))) for name in shown] for row in self.rows[:20]),
        ]
        widths = [max(len(row[k]) for row in cells) for k in range(len(shown))]
        lines = [
            "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
            for row in cells
        ]
        if len(self.rows) > 20:
            lines.append(f"... {len(self.rows)} rows")
        if len(self.failed):
            lines.append(f"{len(self.failed)} points failed: see table.failed['error']")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        shown = [name for name in self.columns if name not in ("error", "seconds", "status")]
        rows = [[_short(row.get(name)) for name in shown] for row in self.rows]
        title = f"{len(self.rows)} points, {len(self.failed)} failed"
        return html.block(title, html.table(shown, rows))

    def _check(self, name: str) -> None:
        if name not in self.columns:
            raise ValueError(
                message(
                    f"there is no column '{name}'.",
                    "StudyTable",
                    "" if self.rows else "No point has been computed.",
                    did_you_mean(name, self.columns),
                )
            )


def interval(values: Any, level: float = 0.95) -> tuple[float, float, float]:
    """Mean of some numbers and the limits of its confidence interval (Student's t)."""
    values = np.asarray(values, dtype=float)
    mean = float(values.mean())
    if len(values) < 2:
        return mean, math.nan, math.nan
    half = float(stdtrit(len(values) - 1, (1 + level) / 2))
    half *= float(values.std(ddof=1)) / math.sqrt(len(values))
    return mean, mean - half, mean + half


def _hashable(value: Any) -> Any:
    return (float(np.asarray(value)), str(value.dim)) if isinstance(value, Quantity) else value


def _plain(value: Any) -> Any:
    return float(np.asarray(value)) if isinstance(value, Quantity) else value


def _cell(value: Any) -> Any:
    value = _plain(value)
    return json.dumps(value) if isinstance(value, list) else value


def _short(value: Any) -> str:
    if isinstance(value, float) and not isinstance(value, Quantity):
        return f"{value:.4g}"
    return "-" if value is None else str(value)
