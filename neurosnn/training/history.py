"""What happened in each epoch of a training, as a small table."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from neurosnn.core import html
from neurosnn.core.drawing import current_axes
from neurosnn.core.files import atomic_file
from neurosnn.core.messages import did_you_mean, drawable, message
from neurosnn.core.optional import import_optional
from neurosnn.core.texts import check_plain_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["History"]

#: Heading and format of a column; the rates of the layers are columns "rate.<layer>" in Hz.
_COLUMNS = {
    "epoch": ("epoch", "{:d}"),
    "loss": ("loss", "{:.4f}"),
    "accuracy": ("accuracy", "{:.1%}"),
    "validation_loss": ("val. loss", "{:.4f}"),
    "validation_accuracy": ("val. accuracy", "{:.1%}"),
    "trials_per_second": ("trials/s", "{:.0f}"),
    "learning_rate": ("learning rate", "{:.3g}"),
    "seconds": ("seconds", "{:.1f}"),
}


class History:
    """One row an epoch: losses, accuracies, firing rates, speed and learning rate.

    Parameters
    ----------
    rows : iterable of mapping, optional
        The rows, oldest first.

    Raises
    ------
    TypeError
        If a value is not a number.

    Examples
    --------
    >>> history = History([{"epoch": 1, "loss": 2.31, "accuracy": 0.125, "rate.hidden": 12.5}])
    >>> history.append({"epoch": 2, "loss": 1.5, "accuracy": 0.5, "rate.hidden": 11.25})
    >>> history
    epoch    loss  accuracy  hidden [Hz]
        1  2.3100     12.5%         12.5
        2  1.5000     50.0%         11.2
    >>> history["loss"]
    array([2.31, 1.5 ])
    >>> "validation_loss" in history
    False
    """

    def __init__(self, rows: Iterable[Mapping[str, float]] = ()):
        self.rows: list[dict[str, float]] = [dict(row) for row in rows]
        for row in self.rows:
            for name, value in row.items():
                check_plain_text(name, field="the name of a column", where="History")
                if not isinstance(value, int | float | np.number):
                    raise TypeError(
                        message(
                            f"{name} is {value!r}.",
                            "History",
                            "A row holds one number a column.",
                            "Pass numbers.",
                        )
                    )

    def append(self, row: Mapping[str, float]) -> None:
        """Add the ``row`` of one more epoch."""
        self.rows.append(dict(row))

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __contains__(self, name: object) -> bool:
        return name in self.columns

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns that hold something."""
        present = {name for row in self.rows for name in row}
        rates = sorted(name for name in present if name.startswith("rate."))
        ordered = [*list(_COLUMNS)[:5], *rates, *list(_COLUMNS)[5:]]
        return tuple(name for name in ordered if name in present) + tuple(
            sorted(present - set(ordered))
        )

    def __getitem__(self, name: str) -> np.ndarray:
        """A column as an array; nan where a row has no such value."""
        if name not in self.columns:
            raise KeyError(
                message(
                    f"there is no column '{name}'.",
                    "History",
                    "" if self.rows else "No epoch has ended yet.",
                    did_you_mean(name, self.columns),
                )
            )
        return np.array([row.get(name, math.nan) for row in self.rows])

    def to_dict(self) -> dict[str, list[Any]]:
        """The table as a dict of lists, one a column, for example for ``pandas.DataFrame``."""
        return {name: [row.get(name) for row in self.rows] for name in self.columns}

    def to_dataframe(self) -> Any:
        """The table as a ``pandas.DataFrame``, one row an epoch; nan where a row has no such value.

        Returns
        -------
        pandas.DataFrame

        Raises
        ------
        ImportError
            pandas is not installed.
        """
        pandas = import_optional(
            "pandas", where="History.to_dataframe", instead="use to_csv or to_dict"
        )
        return pandas.DataFrame({name: self[name] for name in self.columns})

    def to_csv(self, path: Any) -> None:
        """Write the table as CSV, numbers in full precision; an empty cell where there is no value.

        Parameters
        ----------
        path : str or path
            The file; replaced at once if it exists.

        Raises
        ------
        OSError
            The file cannot be written; an earlier one stays intact.
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.columns)
        for row in self.rows:
            writer.writerow(
                ["" if row.get(name) is None else repr(_plain(row[name])) for name in self.columns]
            )
        with atomic_file(path) as file:
            file.write(text.getvalue().encode())

    def __repr__(self) -> str:
        if not self.rows:
            return "History: no epoch has ended yet"
        return "\n".join([self.line(None), *(self.line(k) for k in range(len(self)))])

    def _repr_html_(self) -> str:
        if not self.rows:
            return html.paragraph(repr(self))
        last = range(max(len(self) - 50, 0), len(self))
        title = f"History of {len(self)} epochs" + (", the last 50" if last.start else "")
        return html.block(title, html.table(self._cells(None), [self._cells(k) for k in last]))

    def line(self, k: int | None) -> str:
        """Row ``k`` as a line of text, or the headings for None."""
        cells = [
            text.rjust(max(len(heading), 6 if "loss" in name else 0))
            for name, heading, text in zip(
                self.columns, self._cells(None), self._cells(k), strict=True
            )
        ]
        return "  ".join(cells).rstrip()

    def _cells(self, k: int | None) -> list[str]:
        """Row ``k`` as texts, or the headings for None."""
        cells = []
        for name in self.columns:
            heading, style = _COLUMNS.get(name, (name, "{:.4g}"))
            if name.startswith("rate."):
                heading, style = f"{name[5:]} [Hz]", "{:.1f}"
            value = None if k is None else self.rows[k].get(name, math.nan)
            cells.append(
                heading if value is None else "-" if value != value else style.format(value)
            )
        return cells

    def plot(self, ax: Axes | None = None, *, quantity: str | None = None) -> Axes:
        """Draw a quantity of the training and of the validation against the epoch.

        Parameters
        ----------
        ax : Axes, optional
            Where to draw; the current Axes if None.
        quantity : {"accuracy", "loss"} or the name of a column, optional
            The accuracy if there is one, else the loss.

        Returns
        -------
        Axes
            The Axes drawn in.

        Raises
        ------
        KeyError
            There is no such column.
        """
        if quantity is None:
            quantity = "accuracy" if "accuracy" in self.columns else "loss"
        values = self[quantity]
        ax = current_axes(ax)
        scale = 100 if quantity == "accuracy" else 1
        ax.plot(self["epoch"], scale * values, marker=".", label="training")
        if f"validation_{quantity}" in self.columns:
            held = scale * self[f"validation_{quantity}"]
            ax.plot(self["epoch"], held, marker=".", label="validation")
            ax.legend()
        labels = {"accuracy": "accuracy [%]", "learning_rate": "learning rate"}
        rate = f"firing rate of {quantity[5:]} [Hz]" if quantity.startswith("rate.") else quantity
        ax.set(xlabel="epoch", ylabel=labels.get(quantity, drawable(rate)))
        return ax


def _plain(value: Any) -> Any:
    """A number of numpy as one of Python, whose repr is the number alone."""
    return value.item() if isinstance(value, np.generic) else value
