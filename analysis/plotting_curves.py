"""Pictures of curves of spike patterns and rates; conventions as in ``plotting``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
from brian2.units.allunits import hertz
from brian2.units.allunits import msecond as ms
from brian2.units.fundamentalunits import get_dimensions

from neurosnn.core.drawing import (
    COLORS,
    change_curve,
    current_axes,
    in_hz,
    in_ms,
    line,
    plain,
    zero_lines,
)
from neurosnn.core.messages import message

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from neurosnn.analysis.published import PublishedPoints

__all__ = [
    "plot_frequency_curve",
    "plot_quadruplets",
    "plot_rate_curve",
    "plot_triplets",
]


def plot_frequency_curve(
    curve,
    *,
    ax: Axes | None = None,
    label: str | None = None,
    published: PublishedPoints | None = None,
    **line_kwargs: Any,
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
    published : PublishedPoints, optional
        Measurements, such as :func:`sjostrom_2001`, drawn as points with their standard errors.
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
    frequency = in_hz(frequency, "plot_frequency_curve")
    ax = change_curve(ax, frequency, dw, label, line_kwargs, "frequency of the pair (Hz)")
    if published is not None:
        _measured(ax, in_hz(published.x, "published"), published, ax.lines[-1].get_color())
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
    ax = current_axes(ax)
    zero_lines(ax)
    rate = in_hz(curve.rate, "plot_rate_curve")
    unit = "1/s" if get_dimensions(curve.drift) is hertz.dim else "SI units/s"
    drift, error = (np.asarray(values, dtype=float) for values in (curve.drift, curve.error))
    line(ax, rate, drift, label, {"marker": "."} | line_kwargs)
    color = ax.lines[-1].get_color()
    ax.fill_between(rate, drift - 2 * error, drift + 2 * error, color=color, alpha=0.2, lw=0)
    threshold = float(np.asarray(curve.threshold))
    if np.isfinite(threshold):
        ax.plot([threshold], [0], "^", color=color, gid="neurosnn-threshold")
    ax.set(xlabel="postsynaptic rate (Hz)", ylabel=f"mean dw/dt ({unit})")
    return ax


def plot_triplets(
    changes,
    *,
    ax: Axes | None = None,
    label: str | None = None,
    published: PublishedPoints | None = None,
    **bar_kwargs: Any,
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
    published : PublishedPoints, optional
        Measurements, such as :func:`wang_2005`, drawn as points with their standard errors.
    **bar_kwargs
        Passed to ``Axes.bar``.

    Returns
    -------
    Axes
        The Axes drawn in.

    Raises
    ------
    ValueError
        If measurements are of none of the triplets.

    Examples
    --------
    >>> from brian2 import ms
    >>> from neurosnn import analysis
    >>> changes = analysis.TripletChanges([5]*ms, [-5]*ms, [0.1], "pre-post-pre")
    >>> analysis.plot_triplets(changes).get_ylabel()
    'Δw'
    """
    ax = current_axes(ax)
    zero_lines(ax, vertical=False)
    dw, unit = plain(changes.dw)
    first, second = (in_ms(t, "plot_triplets") for t in (changes.first, changes.second))
    bars = sum(hasattr(container, "patches") for container in ax.containers)
    style = {"color": COLORS[bars % len(COLORS)], "width": 0.6} | bar_kwargs
    ax.bar(np.arange(1, len(dw) + 1), dw, label=label, **style)
    names = [f"({a:+g}, {b:+g})" for a, b in zip(first, second, strict=True)]
    ax.set_xticks(np.arange(1, len(dw) + 1), names)
    if published is not None:
        place = {pair: k + 1 for k, pair in enumerate(zip(first, second, strict=True))}
        pairs = [tuple(pair) for pair in np.round(np.asarray(published.x / ms), 9)]
        there = np.array([pair in place for pair in pairs], dtype=bool)
        if not there.any():
            raise ValueError(
                message(
                    f"no measured triplet is among those drawn: {names}.",
                    "plot_triplets",
                    "Bars and measurements have the same two lags.",
                    f"Pass the measurements for {changes.order}.",
                )
            )
        some = published._replace(dw=published.dw[there], error=published.error[there])
        x = np.array([place[pair] for pair in pairs if pair in place])
        _measured(ax, x, some, "black")
    ax.set(xlabel=f"t_post - t_pre (ms), {changes.order}", ylabel="Δw" + unit)
    return ax


def plot_quadruplets(
    curve,
    *,
    ax: Axes | None = None,
    label: str | None = None,
    published: PublishedPoints | None = None,
    **line_kwargs: Any,
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
    published : PublishedPoints, optional
        Measurements, such as :func:`wang_2005`, drawn as points with their standard errors.
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
    ax = current_axes(ax)
    zero_lines(ax)
    dw, unit = plain(curve.dw)
    times = in_ms(curve.separation, "plot_quadruplets")
    # No line across the separations at which the pairs would overlap.
    split = np.searchsorted(times, 0)
    x, y = (np.insert(np.asarray(a, dtype=float), split, np.nan) for a in (times, dw))
    line(ax, x, y, label, {"marker": "."} | line_kwargs)
    ax.set(xlabel="pre-post pair after post-pre pair (ms)", ylabel="Δw" + unit)
    if published is not None:
        x = in_ms(published.x, "published")
        _measured(ax, x, published, ax.lines[-1].get_color())
    return ax


def _measured(ax: Axes, x: np.ndarray, points: PublishedPoints, color: str) -> None:
    """Measured points with standard errors; the legend names who measured them."""
    style = {"linestyle": "none", "marker": "o", "markerfacecolor": "white", "capsize": 3}
    match = re.match(r"(\w+).*?\((\d{4})\)", points.source)
    name = f"{match.group(1)} et al. ({match.group(2)})" if match else points.source
    if name in ax.get_legend_handles_labels()[1]:  # of another curve in these Axes
        name = ""
    drawn = ax.errorbar(x, points.dw, points.error, color=color, label=name, zorder=3, **style)
    drawn.lines[0].set_gid("neurosnn-published")
