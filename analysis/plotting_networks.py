"""Pictures of learning networks, from windows to locality; conventions as in ``plotting``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from brian2.units.allunits import hertz
from brian2.units.fundamentalunits import DIMENSIONLESS, Quantity, get_dimensions

from neurosnn.analysis.locality import COLUMNS, locality
from neurosnn.core.drawing import COLORS, GREY, current_axes, in_ms, line, plain, zero_lines
from neurosnn.core.messages import did_you_mean, message

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "plot_alignment",
    "plot_credit",
    "plot_distribution",
    "plot_locality",
    "plot_measured_window",
]


def plot_measured_window(
    window, *, ax: Axes | None = None, label: str | None = None, **line_kwargs: Any
) -> Axes:
    """Draw a window measured in a network, with the range of its shuffled controls.

    Parameters
    ----------
    window : MeasuredWindow
        From :func:`measured_window`.
    ax : Axes, optional
        Where to draw; the current Axes if None.
    label : str, optional
        Name of the curve in a legend.
    **line_kwargs
        Passed to ``Axes.plot``.

    Returns
    -------
    Axes
        The Axes drawn in; the band covers the middle 95 % of the controls.

    Examples
    --------
    >>> import numpy as np
    >>> from brian2 import ms
    >>> from neurosnn import analysis
    >>> window = analysis.MeasuredWindow([-5, 0, 5]*ms, np.ones(3), np.ones(3), np.zeros((4, 3)))
    >>> analysis.plot_measured_window(window).get_xlabel()
    't_post - t_pre (ms)'
    """
    ax = current_axes(ax)
    zero_lines(ax)
    lag = in_ms(window.lag, "plot_measured_window")
    if len(window.control):
        both, unit = plain(np.vstack([window.dw, window.control]) * _unit_of(window.dw))
        some = ~np.isnan(both[1:]).all(axis=0)
        low, high = np.nanpercentile(both[1:, some], [2.5, 97.5], axis=0)
        ax.fill_between(lag[some], low, high, color=GREY, alpha=0.6, lw=0, label="shuffled, 95 %")
        dw = both[0]
    else:
        dw, unit = plain(window.dw)
    line(ax, lag, dw, label, {"marker": "."} | line_kwargs)
    ax.set(xlabel="t_post - t_pre (ms)", ylabel=f"Δw per pair{unit}")
    return ax


def plot_alignment(
    recorder,
    *,
    ax: Axes | None = None,
    block: str = "all",
    **line_kwargs: Any,
) -> Axes:
    """Draw how well the gradient of a training agrees with that of other rules.

    Parameters
    ----------
    recorder : AlignmentRecorder
        After the training.
    ax : Axes, optional
        Where to draw; the current Axes if None.
    block : str, default "all"
        The block of parameters.
    **line_kwargs
        Passed to ``Axes.plot``.

    Returns
    -------
    Axes
        The Axes drawn in, one line a reference, and a legend.

    Raises
    ------
    ValueError
        If nothing has been recorded, or there is no such block.

    Examples
    --------
    >>> from neurosnn import EProp, analysis
    >>> recorder = analysis.AlignmentRecorder({"symmetric": EProp()}, batch=None)
    >>> recorder.epochs, recorder.cosines["symmetric"] = [0, 1], [{"all": 0.2}, {"all": 0.5}]
    >>> analysis.plot_alignment(recorder).get_ylabel()
    'cosine of the gradients, all'
    """
    known = {name for rows in recorder.cosines.values() for row in rows for name in row}
    if block not in known:
        raise ValueError(
            message(
                f"there is no block '{block}'.",
                "plot_alignment",
                "" if known else "Nothing has been recorded yet.",
                did_you_mean(block, known),
            )
        )
    ax = current_axes(ax)
    zero_lines(ax, vertical=False)
    for name, rows in recorder.cosines.items():
        values = [row.get(block, np.nan) for row in rows]
        line(ax, recorder.epochs, values, f"with {name}", {"marker": "."} | line_kwargs)
    ax.set(xlabel="epoch", ylabel=f"cosine of the gradients, {block}")
    lowest = min(np.nanmin(line.get_ydata(), initial=0) for line in ax.lines)
    ax.set_ylim(lowest - 0.05, 1.05)
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.legend()
    return ax


def plot_credit(
    curve, *, ax: Axes | None = None, label: str | None = None, **line_kwargs: Any
) -> Axes:
    """Draw how much credit an input spike gets, against its age, on a logarithmic axis.

    Parameters
    ----------
    curve : CreditCurve
        From :func:`credit_curve`.
    ax : Axes, optional
        Where to draw; the current Axes if None.
    label : str, optional
        Name of the curve in a legend.
    **line_kwargs
        Passed to ``Axes.plot``.

    Returns
    -------
    Axes
        The Axes drawn in.

    Examples
    --------
    >>> from brian2 import ms
    >>> from neurosnn import analysis
    >>> analysis.plot_credit(analysis.CreditCurve([1, 10]*ms, [1.0, 0.1])).get_yscale()
    'log'
    """
    ax = current_axes(ax)
    lag, credit = in_ms(curve.lag, "plot_credit"), np.asarray(curve.credit, dtype=float)
    line(ax, lag, np.where(credit > 0, credit, np.nan), label, {"marker": "."} | line_kwargs)
    ax.set(xlabel="age of the input spike (ms)", ylabel="norm of its gradient", yscale="log")
    return ax


def plot_distribution(
    distribution,
    *,
    ax: Axes | None = None,
    name: str = "",
    label: str | None = None,
    **stairs_kwargs: Any,
) -> Axes:
    """Draw a histogram.

    Parameters
    ----------
    distribution : Histogram
        From :func:`weight_distribution` or :func:`rate_distribution`.
    ax : Axes, optional
        Where to draw; the current Axes if None.
    name : str, optional
        What was counted, for the axis; its unit is added.
    label : str, optional
        Name of the histogram in a legend.
    **stairs_kwargs
        Passed to ``Axes.stairs``.

    Returns
    -------
    Axes
        The Axes drawn in.

    Examples
    --------
    >>> from neurosnn import analysis
    >>> ax = analysis.plot_distribution(analysis.Histogram([0, 1, 2], [3, 4]), name="weight")
    >>> ax.get_xlabel()
    'weight'
    """
    ax = current_axes(ax)
    if get_dimensions(distribution.edges) is hertz.dim:
        edges, unit = np.asarray(distribution.edges, dtype=float), " (Hz)"
    else:
        edges, unit = plain(distribution.edges)
    drawn = sum(patch.get_gid() == "neurosnn" for patch in ax.patches)
    style = {"fill": True, "alpha": 0.6, "color": COLORS[drawn % len(COLORS)]} | stairs_kwargs
    ax.stairs(distribution.count, edges, label=label, gid="neurosnn", **style)
    ax.set(xlabel=(name + unit).strip(), ylabel="count")
    return ax


def plot_locality(rules: Mapping[str, Any], *, ax: Axes | None = None) -> Axes:
    """Draw the table of locality: a filled square for each thing that a rule needs.

    Parameters
    ----------
    rules : mapping of str to rule
        Rules by name, the first on top.
    ax : Axes, optional
        Where to draw; the current Axes if None.

    Returns
    -------
    Axes
        The Axes drawn in; needs beyond the synapse and its neurons are in another colour.

    Examples
    --------
    >>> from neurosnn import EProp, analysis
    >>> [text.get_text() for text in analysis.plot_locality({"e-prop": EProp()}).get_yticklabels()]
    ['e-prop']
    """
    ax = current_axes(ax)
    for row, rule in enumerate(rules.values()):
        for column, flag in enumerate(locality(rule)):
            color = COLORS[1] if column >= 2 else COLORS[0]
            face = color if flag else "none"
            ax.plot([column], [row], "s", ms=11, mfc=face, mec=color if flag else GREY)
    ax.set_xticks(range(len(COLUMNS)), list(COLUMNS.values()), rotation=40, ha="right")
    ax.set_yticks(range(len(rules)), list(rules))
    ax.set(xlim=(-0.6, len(COLUMNS) - 0.4), ylim=(len(rules) - 0.4, -0.6))
    ax.tick_params(length=0)
    for spine in ax.spines.values():
        spine.set_visible(False)
    return ax


def _unit_of(values) -> Any:
    """One of the SI unit of the values."""
    dimensions = get_dimensions(values)
    return 1 if dimensions is DIMENSIONLESS else Quantity(1, dim=dimensions)
