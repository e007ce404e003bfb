"""What all pictures share: colours, axes, lines, and units as an axis shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from brian2.units.allunits import hertz, second
from brian2.units.allunits import msecond as ms
from brian2.units.fundamentalunits import DIMENSIONLESS, Quantity, get_dimensions

from neurosnn.core.messages import message
from neurosnn.core.values import unit_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "COLORS",
    "GREY",
    "change_curve",
    "current_axes",
    "in_hz",
    "in_ms",
    "line",
    "mark_quick_run",
    "mark_quick_runs",
    "plain",
    "zero_lines",
]

# Okabe & Ito 2008: can be told apart with any kind of colour vision.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
GREY = "0.75"


def current_axes(ax: Axes | None) -> Axes:
    """The given Axes, or the current ones."""
    if ax is not None:
        return ax
    from matplotlib import pyplot

    return pyplot.gca()


def line(ax: Axes, x, y, label, style) -> None:
    """A line in the next colour of our own cycle."""
    count = sum(drawn.get_gid() == "neurosnn" for drawn in ax.lines)
    named = {} if {"color", "c"} & set(style) else {"color": COLORS[count % len(COLORS)]}
    ax.plot(x, y, label=label, gid="neurosnn", **named, **style)


def zero_lines(ax: Axes, *, vertical: bool = True) -> None:
    """Thin lines through the origin, once for each Axes."""
    if any(drawn.get_gid() == "neurosnn-zero" for drawn in ax.lines):
        return
    ax.axhline(0, color=GREY, linewidth=0.8, zorder=0, gid="neurosnn-zero")
    if vertical:
        ax.axvline(0, color=GREY, linewidth=0.8, zorder=0, gid="neurosnn-zero")


def change_curve(
    ax: Axes | None, x, dw, label, style, xlabel: str, quantity: str = "Δw", *, jumps: bool = False
) -> Axes:
    """Changes of a weight, with their unit, against plain numbers.

    With `jumps` no line is drawn across a jump next to x = 0.
    """
    ax = current_axes(ax)
    zero_lines(ax)
    dw, unit = plain(dw)
    if jumps:
        x, dw = _broken_at_zero(np.asarray(x, dtype=float), dw)
    line(ax, x, dw, label, {"marker": ".", **style})
    ax.set(xlabel=xlabel, ylabel=quantity + unit)
    return ax


def _broken_at_zero(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The curve with a gap beside x = 0, where it changes far more than on either side of that."""
    order = np.argsort(x, kind="stable")
    zero = int(np.searchsorted(x[order], 0.0))
    if y.ndim != 1 or not 3 <= zero <= len(x) - 4:
        return x, y
    x, y = x[order], y[order]
    steps = np.abs(np.diff(y))
    # from the last negative lag to 0, and from 0 to the first positive one
    beside = steps[zero - 1 : zero + 1]
    k = zero - 1 + int(np.argmax(beside))
    usual = max(steps[zero - 3 : zero - 1].max(), steps[zero + 1 : zero + 3].max(), beside.min())
    if steps[k] <= max(4 * usual, 0.05 * np.ptp(y)):
        return x, y
    return np.insert(x, k + 1, x[k]), np.insert(y, k + 1, np.nan)


def mark_quick_runs() -> None:
    """From now on each new figure says that it shows a quick run."""
    from matplotlib import rcParams

    rcParams["figure.hooks"] = ["neurosnn.core.drawing:mark_quick_run"]


def mark_quick_run(figure: Figure) -> None:
    """Say in a corner that what a figure shows is too short to mean anything."""
    figure.text(
        0.997, 0.003, "quick run: only a test", ha="right", va="bottom", fontsize=7, color="0.5"
    ).set_in_layout(False)


def in_ms(times, where: str) -> np.ndarray:
    """Times as plain numbers of milliseconds."""
    dimensions = get_dimensions(times)
    if dimensions is DIMENSIONLESS:
        return np.asarray(times, dtype=float)
    if dimensions is not second.dim:
        raise ValueError(
            message(
                f"the times are in {unit_name(dimensions)}.",
                where,
                "The axis shows milliseconds.",
                "Pass times, for example monitor.t, or plain numbers in ms.",
            )
        )
    return np.asarray(times, dtype=float) / float(ms)


def plain(values) -> tuple[np.ndarray, str]:
    """Values as plain numbers, and their unit for the axis."""
    if get_dimensions(values) is DIMENSIONLESS:
        return np.asarray(values, dtype=float), ""
    unit = Quantity(values).get_best_unit()
    return np.asarray(values, dtype=float) / float(unit), f" ({unit})"


def in_hz(rates, where: str) -> np.ndarray:
    """Rates as plain numbers of hertz."""
    dimensions = get_dimensions(rates)
    if dimensions not in (DIMENSIONLESS, hertz.dim):
        raise ValueError(
            message(
                f"the rates are in {dimensions}.",
                where,
                "The axis shows hertz.",
                "Pass rates in Hz, or plain numbers.",
            )
        )
    return np.asarray(rates, dtype=float)
