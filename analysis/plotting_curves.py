"""Pictures of curves, gradients, credit and distributions; conventions as in ``plotting``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from brian2.units.allunits import hertz
from brian2.units.fundamentalunits import DIMENSIONLESS, Quantity, get_dimensions

from neurosnn.analysis.locality import COLUMNS, locality
from neurosnn.analysis.plotting import COLORS, GREY, _axes, _in_ms, _line, _plain, _zero_lines
from neurosnn.checks import did_you_mean, message

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "plot_alignment",
    "plot_credit",
    "plot_distribution",
    "plot_frequency_curve",
    "plot_locality",
    "plot_measured_window",
    "plot_quadruplets",
    "plot_rate_curve",
    "plot_triplets",
]


def plot_frequency_curve(
    curve, *, ax: Axes | None = None, label: str | None = None, **line_kwargs: Any
) -> Axes:
    """Draw the change of a weight against the frequency of pairings.

    Parameters
    ----------
    curve : FrequencyCurve
        From :func:`pairing_frequency_curve`, or any pair (frequency, dw); plain numbers are in Hz.
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
    >>> from neurosnn import analysis
    >>> analysis.plot_frequency_curve(([10, 20], [-0.1, 0.2])).get_xlabel()
    'frequency of the pair (Hz)'
    """
    frequency, dw = curve
    ax = _axes(ax)
    _zero_lines(ax)
    dw, unit = _plain(dw)
    _line(ax, _in_hz(frequency, "plot_frequency_curve"), dw, label, {"marker": "."} | line_kwargs)
    ax.set(xlabel="frequency of the pair (Hz)", ylabel="Δw" + unit)
    return ax


def plot_rate_curve(
    curve, *, ax: Axes | None = None, label: str | None = None, **line_kwargs: Any
) -> Axes:
    """Draw the drift of a weight against the postsynaptic rate, and the threshold.

    Parameters
    ----------
    curve : RateCurve
        From :func:`rate_curve`.
    ax : Axes, optional
        Where to draw; the current Axes if None.
    label : str, optional
        Name of the curve in a legend.
    **line_kwargs
        Passed to ``Axes.plot``.

    Returns
    -------
    Axes
        The Axes drawn in: the curve, a band of two standard errors and a triangle at the threshold.

    Examples
    --------
    >>> from brian2 import Hz
    >>> from neurosnn import analysis
    >>> curve = analysis.RateCurve([5, 10]*Hz, [-1, 1]*Hz, [.1, .1]*Hz, 7.5*Hz)
    >>> analysis.plot_rate_curve(curve).get_xlabel()
    'postsynaptic rate (Hz)'
    """
    ax = _axes(ax)
    _zero_lines(ax)
    rate = _in_hz(curve.rate, "plot_rate_curve")
    unit = "1/s" if get_dimensions(curve.drift) is hertz.dim else "SI units/s"
    drift, error = (np.asarray(values, dtype=float) for values in (curve.drift, curve.error))
    _line(ax, rate, drift, label, {"marker": "."} | line_kwargs)
    color = ax.lines[-1].get_color()
    ax.fill_between(rate, drift - 2 * error, drift + 2 * error, color=color, alpha=0.2, lw=0)
    threshold = float(np.asarray(curve.threshold))
    if np.isfinite(threshold):
        ax.plot([threshold], [0], "^", color=color, gid="neurosnn-threshold")
    ax.set(xlabel="postsynaptic rate (Hz)", ylabel=f"mean dw/dt ({unit})")
    return ax


def plot_triplets(
    changes, *, ax: Axes | None = None, label: str | None = None, **bar_kwargs: Any
) -> Axes:
    """Draw the changes of a weight by triplets of spikes, as bars.

    Parameters
    ----------
    changes : TripletChanges
        From :func:`triplet_changes`.
    ax : Axes, optional
        Where to draw; the current Axes if None.
    label : str, optional
        Name of the bars in a legend.
    **bar_kwargs
        Passed to ``Axes.bar``.

    Returns
    -------
    Axes
        The Axes drawn in.

    Examples
    --------
    >>> from brian2 import ms
    >>> from neurosnn import analysis
    >>> changes = analysis.TripletChanges([5]*ms, [-5]*ms, [0.1], "pre-post-pre")
    >>> analysis.plot_triplets(changes).get_ylabel()
    'Δw'
    """
    ax = _axes(ax)
    ax.axhline(0, color=GREY, linewidth=0.8, zorder=0, gid="neurosnn-zero")
    dw, unit = _plain(changes.dw)
    first, second = (_in_ms(t, "plot_triplets") for t in (changes.first, changes.second))
    style = {"color": COLORS[len(ax.containers) % len(COLORS)], "width": 0.6} | bar_kwargs
    ax.bar(np.arange(1, len(dw) + 1), dw, label=label, **style)
    names = [f"({a:+g}, {b:+g})" for a, b in zip(first, second, strict=True)]
    ax.set_xticks(np.arange(1, len(dw) + 1), names)
    ax.set(xlabel=f"t_post - t_pre (ms), {changes.order}", ylabel="Δw" + unit)
    return ax


def plot_quadruplets(
    curve, *, ax: Axes | None = None, label: str | None = None, **line_kwargs: Any
) -> Axes:
    """Draw the change of a weight by quadruplets against the time between their two pairs.

    Parameters
    ----------
    curve : QuadrupletCurve
        From :func:`quadruplet_curve`.
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
    >>> curve = analysis.QuadrupletCurve([-10, 10]*ms, [0.1, 0.2])
    >>> analysis.plot_quadruplets(curve).get_ylabel()
    'Δw'
    """
    ax = _axes(ax)
    _zero_lines(ax)
    dw, unit = _plain(curve.dw)
    times = _in_ms(curve.separation, "plot_quadruplets")
    # No line across the separations at which the pairs would overlap.
    split = np.searchsorted(times, 0)
    x, y = (np.insert(np.asarray(a, dtype=float), split, np.nan) for a in (times, dw))
    _line(ax, x, y, label, {"marker": "."} | line_kwargs)
    ax.set(xlabel="pre-post pair after post-pre pair (ms)", ylabel="Δw" + unit)
    return ax


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
    ax = _axes(ax)
    _zero_lines(ax)
    lag = _in_ms(window.lag, "plot_measured_window")
    if len(window.control):
        both, unit = _plain(np.vstack([window.dw, window.control]) * _unit_of(window.dw))
        some = ~np.isnan(both[1:]).all(axis=0)
        low, high = np.nanpercentile(both[1:, some], [2.5, 97.5], axis=0)
        ax.fill_between(lag[some], low, high, color=GREY, alpha=0.6, lw=0, label="shuffled, 95 %")
        dw = both[0]
    else:
        dw, unit = _plain(window.dw)
    _line(ax, lag, dw, label, {"marker": "."} | line_kwargs)
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
    ax = _axes(ax)
    ax.axhline(0, color=GREY, linewidth=0.8, zorder=0, gid="neurosnn-zero")
    for name, rows in recorder.cosines.items():
        values = [row.get(block, np.nan) for row in rows]
        _line(ax, recorder.epochs, values, f"with {name}", {"marker": "."} | line_kwargs)
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
    ax = _axes(ax)
    lag, credit = _in_ms(curve.lag, "plot_credit"), np.asarray(curve.credit, dtype=float)
    _line(ax, lag, np.where(credit > 0, credit, np.nan), label, {"marker": "."} | line_kwargs)
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
    distribution : Distribution
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
    >>> ax = analysis.plot_distribution(analysis.Distribution([0, 1, 2], [3, 4]), name="weight")
    >>> ax.get_xlabel()
    'weight'
    """
    ax = _axes(ax)
    if get_dimensions(distribution.edges) is hertz.dim:
        edges, unit = np.asarray(distribution.edges, dtype=float), " (Hz)"
    else:
        edges, unit = _plain(distribution.edges)
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
        The Axes drawn in; what is not at the synapse or in its neurons is in another colour.

    Examples
    --------
    >>> from neurosnn import EProp, analysis
    >>> [text.get_text() for text in analysis.plot_locality({"e-prop": EProp()}).get_yticklabels()]
    ['e-prop']
    """
    ax = _axes(ax)
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


def _in_hz(rates, where: str) -> np.ndarray:
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


def _unit_of(values) -> Any:
    """One of the SI unit of the values."""
    dimensions = get_dimensions(values)
    return 1 if dimensions is DIMENSIONLESS else Quantity(1, dim=dimensions)
