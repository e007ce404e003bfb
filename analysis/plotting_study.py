"""Pictures of studies: means with confidence intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from brian2.units.fundamentalunits import Quantity

from neurosnn.core.drawing import COLORS, current_axes, plain
from neurosnn.core.messages import drawable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from neurosnn.study import StudyTable

__all__ = ["plot_study"]


def plot_study(
    table: StudyTable,
    quantity: str,
    by: str,
    *,
    groups: str | None = None,
    level: float = 0.95,
    points: bool = True,
    ax: Axes | None = None,
    **errorbar_kwargs: Any,
) -> Axes:
    """Draw the mean of a result against a parameter, with confidence intervals over the seeds.

    Parameters
    ----------
    table : StudyTable
        The results.
    quantity : str
        The result on the vertical axis.
    by : str
        The parameter on the horizontal axis; text gives an axis of names.
    groups : str, optional
        Another parameter: one line for each of its values, with a legend.
    level : float, optional
        Level of confidence (Student's t).
    points : bool, optional
        Also draw each point of the study.
    ax : Axes, optional
        Where to draw; the current Axes if None.
    **errorbar_kwargs
        Passed to ``Axes.errorbar``.

    Returns
    -------
    Axes
        The Axes drawn in.

    Raises
    ------
    ValueError
        If there is no such column.

    Examples
    --------
    >>> from neurosnn import analysis
    >>> from neurosnn.study import StudyTable
    >>> table = StudyTable([{"n": n, "seed": s, "y": n + s} for n in (8, 16) for s in (0, 1)])
    >>> analysis.plot_study(table, "y", by="n").get_xlabel()
    'n'
    """
    ax = current_axes(ax)
    group_values = (
        [None] if groups is None else list(dict.fromkeys(row[groups] for row in table.rows))
    )
    names = [row[by] for row in table.rows]
    categories = (
        list(dict.fromkeys(names)) if any(isinstance(name, str | bool) for name in names) else None
    )
    unit = ""
    for k, value in enumerate(group_values):
        part = table if value is None else table.select(**{groups: value})
        means = part.mean(quantity, by=by, level=level)
        x, unit = _positions(means.value, categories)
        order = np.argsort(x)
        x = x[order] + (0 if categories is None else 0.08 * (k - (len(group_values) - 1) / 2))
        mean, low, high = (column[order] for column in means[1:4])
        color = COLORS[k % len(COLORS)]
        style = {"color": color, "marker": "o", "ms": 4, "capsize": 3, "lw": 1.5}
        style["linestyle"] = "none" if categories is not None else "-"
        ax.errorbar(
            x,
            mean,
            np.nan_to_num([mean - low, high - mean]),
            label=None if value is None else drawable(str(value)),
            **{**style, **errorbar_kwargs},
        )
        if points:
            rows = [row for row in part.rows if row.get("status", "done") == "done"]
            rows = [row for row in rows if row.get(quantity) is not None]
            where, _ = _positions([row[by] for row in rows], categories)
            where = where + (
                0 if categories is None else 0.08 * (k - (len(group_values) - 1) / 2) + 0.12
            )
            y = [float(np.asarray(row[quantity])) for row in rows]
            ax.plot(where, y, ".", color=color, alpha=0.4, ms=4, gid="neurosnn-points")
    if categories is not None:
        ax.set_xticks(range(len(categories)), [drawable(str(name)) for name in categories])
        ax.set_xlim(-0.5, len(categories) - 0.5)
    if groups is not None:
        # beside the axes: the best place inside knows nothing of error bars
        ax.legend(title=drawable(groups), loc="upper left", bbox_to_anchor=(1, 1))
    ax.set(xlabel=f"{drawable(by)}{unit}", ylabel=drawable(quantity))
    return ax


def _positions(values: Any, categories: list | None) -> tuple[np.ndarray, str]:
    """Where values are on the horizontal axis, and its unit."""
    if categories is not None:
        return np.array([categories.index(value) for value in values], dtype=float), ""
    if len(values) and isinstance(values[0], Quantity):
        return plain(Quantity(values))
    return np.asarray(values, dtype=float), ""
