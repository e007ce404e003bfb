"""What the results of all fits share: lines of text, a table, a file, a warning."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Self

import numpy as np
from brian2.units.fundamentalunits import Quantity

from neurosnn.core import html
from neurosnn.core.files import UNREADABLE, read_arrays
from neurosnn.core.messages import message, warn
from neurosnn.core.optional import import_optional

__all__ = ["FittedParameters", "label_of", "labels_of", "warn_undetermined"]


class FittedParameters:
    """What the results of all fits show: `parameters`, their `intervals`, and which are `undetermined`."""

    parameters: Mapping[str, Any]
    intervals: Mapping[str, Any]
    undetermined: tuple[str, ...]
    #: What a file of this kind of result says that it is.
    _format: ClassVar[str]

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read what `save` has written.

        Parameters
        ----------
        path : str or path
            The file.

        Returns
        -------
        object
            The same result.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If it is damaged, or holds something else.
        """
        arrays, information = read_arrays(path)
        if information.get("format") != cls._format:
            raise ValueError(
                message(
                    f"this file holds no {cls.__name__}.",
                    str(path),
                    f"{cls.__name__}.save writes them.",
                    "Name another file.",
                )
            )
        try:
            return cls._from_file(arrays, information)
        except UNREADABLE as error:
            raise ValueError(
                message(
                    f"this file cannot be read ({error}).",
                    str(path),
                    "It is damaged, or was altered.",
                    "Fit again, or name another file.",
                )
            ) from error

    @classmethod
    def _from_file(cls, arrays: dict[str, np.ndarray], information: dict[str, Any]) -> Self:
        raise NotImplementedError

    def _lines(self) -> list[str]:
        """A line of text for each parameter."""
        rows = self._rows()
        width = max(len(name) for name, _, _ in rows)
        return [f"  {name:{width}} = {value}   {interval}" for name, value, interval in rows]

    def _html(self, title: str, text: str) -> str:
        """A title, the table of the parameters, and a line of text."""
        return html.block(
            title,
            html.table(("parameter", "value", "95 % interval"), self._rows()),
            html.paragraph(text),
        )

    def _rows(self) -> list[tuple[str, str, str]]:
        """Name, value and interval as text, all in the unit of the value."""
        rows = []
        for name, (value, low, high, unit) in self._numbers().items():
            mark = " not determined" if name in self.undetermined else ""
            shown = f"{value:.4g} {unit}" if unit else f"{value:.4g}"
            rows.append((name, shown, f"[{low:.4g}, {high:.4g}]{mark}"))
        return rows

    def _numbers(self) -> dict[str, tuple[float, float, float, str]]:
        """Value, ends of the interval, and the unit that suits the value; of several values each."""
        numbers = {}
        for name, value in self.parameters.items():
            unit = value.get_best_unit() if isinstance(value, Quantity) else 1.0
            text = str(unit) if isinstance(unit, Quantity) else ""
            rows = np.array([np.asarray(x) / float(unit) for x in (value, *self.intervals[name])])
            for label, row in zip(labels_of(name, value), rows.reshape(3, -1).T, strict=True):
                numbers[label] = (float(row[0]), float(row[1]), float(row[2]), text)
        return numbers

    def to_dataframe(self) -> Any:
        """Parameters as a ``pandas.DataFrame``: value, ends of the interval, unit, whether determined.

        A parameter with a value for each cell has a row for each, "g_L[0]", "g_L[1]" and so on.

        Returns
        -------
        pandas.DataFrame

        Raises
        ------
        ImportError
            pandas is not installed.
        """
        pandas = import_optional(
            "pandas",
            where=f"{type(self).__name__}.to_dataframe",
            instead="use parameters and intervals",
        )
        rows = {
            name: {
                "value": value,
                "low": low,
                "high": high,
                "unit": unit,
                "determined": name not in self.undetermined,
            }
            for name, (value, low, high, unit) in self._numbers().items()
        }
        return pandas.DataFrame.from_dict(rows, orient="index")


def label_of(name: str, cell: int) -> str:
    """What a parameter of one of several cells is called."""
    return f"{name}[{cell}]"


def labels_of(name: str, value: Any) -> list[str]:
    """What the values of a parameter are called: one by its name, several by their numbers too."""
    return [label_of(name, k) for k in range(len(value))] if np.ndim(value) else [name]


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
