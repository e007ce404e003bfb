"""Pictures of windows, traces, spikes, states and learning.

Every function draws in the given Axes, or in the current ones, and returns them; none shows a
figure or changes its input. Plain numbers are taken in the unit that the axis shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from neurosnn.core.drawing import change_curve, current_axes, in_ms, line, plain, zero_lines
from neurosnn.core.messages import described, did_you_mean, drawable, message
from neurosnn.model import PlasticityRule
from neurosnn.rules.base import Rule

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "plot_eligibility",
    "plot_learning_curve",
    "plot_raster",
    "plot_state",
    "plot_stdp_window",
]


def plot_stdp_window(
    window, *, ax: Axes | None = None, label: str | None = None, **line_kwargs: Any
) -> Axes:
    """Draw the change of a weight against the lag of a pair of spikes.

    No line is drawn across a jump between negative and positive lags.

    Parameters
    ----------
    window : StdpWindow
        From :func:`stdp_window`, or any pair (lag, dw); plain lags are in ms.
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

    Raises
    ------
    ValueError
        If the lags are not times.
    TypeError
        If it is a rule, whose window has yet to be measured.

    Examples
    --------
    >>> from neurosnn import analysis
    >>> analysis.plot_stdp_window(([-10, 0, 10], [-0.1, 0.2, 0.1])).get_xlabel()
    't_post - t_pre (ms)'
    """
    if isinstance(window, PlasticityRule | Rule):
        raise TypeError(
            message(
                f"a rule is no window, got {described(window)}.",
                "plot_stdp_window",
                "It draws what has been measured.",
                "Write plot_stdp_window(stdp_window(rule)).",
            )
        )
    lag, dw = window
    quantity = getattr(window, "quantity", "Δw")
    lag = in_ms(lag, "plot_stdp_window")
    xlabel = "t_post - t_pre (ms)"
    return change_curve(ax, lag, dw, label, line_kwargs, xlabel, quantity, jumps=True)


def plot_eligibility(
    trace,
    *,
    ax: Axes | None = None,
    label: str | None = None,
    components: bool = False,
    **line_kwargs: Any,
) -> Axes:
    """Draw the time course of an eligibility trace.

    Parameters
    ----------
    trace : EligibilityTrace
        From :func:`eligibility_trace`.
    ax : Axes, optional
        Where to draw; the current Axes if None.
    label : str, optional
        Name of the curve in a legend.
    components : bool, default False
        Also draw the variables from which the trace is made, dashed and with a legend.
    **line_kwargs
        Passed to ``Axes.plot`` for the trace.

    Returns
    -------
    Axes
        The Axes drawn in.

    Examples
    --------
    >>> from neurosnn import analysis, equations
    >>> trace = analysis.eligibility_trace(equations.RewardSTDP())
    >>> analysis.plot_eligibility(trace).get_xlabel()
    't - t_post (ms)'
    """
    ax = current_axes(ax)
    zero_lines(ax)
    e, unit = plain(trace.e)
    t = in_ms(trace.t, "plot_eligibility")
    line(ax, t, e, label or ("e" if components else None), line_kwargs)
    for name, values in trace.components.items() if components else ():
        line(ax, t, np.asarray(values), name, {"linestyle": "--", "linewidth": 1})
    if components:
        ax.legend()
    ax.set(xlabel="t - t_post (ms)", ylabel="eligibility trace" + unit)
    return ax


def plot_raster(times, units, *, ax: Axes | None = None, **marker_kwargs: Any) -> Axes:
    """Draw spikes as marks, one row a neuron.

    Parameters
    ----------
    times : Quantity (second), shape (n_spikes,)
        When each spike occurred; plain numbers are in ms.
    units : array of int, shape (n_spikes,)
        Which neuron it was.
    ax : Axes, optional
        Where to draw; the current Axes if None.
    **marker_kwargs
        Passed to ``Axes.plot``.

    Returns
    -------
    Axes
        The Axes drawn in.

    Raises
    ------
    ValueError
        If there are not as many times as units, or the times are not times.

    Examples
    --------
    >>> from neurosnn import analysis
    >>> analysis.plot_raster([1.0, 2.5], [0, 1]).get_ylabel()
    'neuron'
    """
    times, units = in_ms(times, "plot_raster"), np.asarray(units)
    if times.shape != units.shape:
        raise ValueError(
            message(
                f"{times.size} times for {units.size} units.",
                "plot_raster",
                "Each spike has a time and a neuron.",
                "Pass monitor.t and monitor.i of the same SpikeMonitor.",
            )
        )
    ax = current_axes(ax)
    style = {"linestyle": "none", "marker": "|", "color": "black", "markersize": 4, **marker_kwargs}
    ax.plot(times, units, **style)
    ax.set(xlabel="time (ms)", ylabel="neuron")
    ax.yaxis.get_major_locator().set_params(integer=True)
    return ax


def plot_state(
    times,
    values,
    *,
    ax: Axes | None = None,
    name: str = "",
    label: str | None = None,
    **line_kwargs: Any,
) -> Axes:
    """Draw how a variable changes in time.

    Parameters
    ----------
    times : Quantity (second), shape (n_times,)
        Times; plain numbers are in ms.
    values : Quantity or array, shape (n_times,) or (n_neurons, n_times)
        Values as a StateMonitor gives them; one line a neuron.
    ax : Axes, optional
        Where to draw; the current Axes if None.
    name : str, optional
        Name of the variable, for the axis; its unit is added.
    label : str, optional
        Name of the lines in a legend.
    **line_kwargs
        Passed to ``Axes.plot``.

    Returns
    -------
    Axes
        The Axes drawn in.

    Raises
    ------
    ValueError
        If there are not as many values as times.

    Examples
    --------
    >>> from brian2 import ms, mV
    >>> from neurosnn import analysis
    >>> analysis.plot_state([1, 2]*ms, [-70, -65]*mV, name="v").get_ylabel()
    'v (mV)'
    """
    t = in_ms(times, "plot_state")
    rows, unit = plain(values)
    rows = np.atleast_2d(rows)
    if rows.shape[1:] != t.shape:
        raise ValueError(
            message(
                f"{rows.shape[-1]} values for {t.size} times.",
                "plot_state",
                "Each value belongs to a time.",
                "Pass monitor.t and a variable of the same StateMonitor.",
            )
        )
    ax = current_axes(ax)
    for k, row in enumerate(rows):
        line(ax, t, row, label if k == 0 else None, line_kwargs)
    ax.set(xlabel="time (ms)", ylabel=(name + unit).strip())
    return ax


def plot_learning_curve(
    history,
    *,
    ax: Axes | None = None,
    quantity: str | None = None,
    label: str | None = None,
    **line_kwargs: Any,
) -> Axes:
    """Draw how training went: a quantity against the epoch, for training and validation.

    Parameters
    ----------
    history : History or mapping of str to array
        Columns such as "loss", "accuracy", "validation_accuracy", and "epoch" if not 1, 2, ...
    ax : Axes, optional
        Where to draw; the current Axes if None.
    quantity : str, optional
        The column; "accuracy" if there is one, else "loss".
    label : str, optional
        Name of the curve in the legend, for several trainings in one picture.
    **line_kwargs
        Passed to ``Axes.plot``.

    Returns
    -------
    Axes
        The Axes drawn in.

    Raises
    ------
    ValueError
        If there is no such column.
    TypeError
        If it is a trainer or anything else without columns.

    Examples
    --------
    >>> from neurosnn import analysis
    >>> analysis.plot_learning_curve({"loss": [2.3, 1.1]}).get_ylabel()
    'loss'
    """
    if not (isinstance(history, Mapping) or hasattr(history, "columns")):
        raise TypeError(
            message(
                f"history must be a History, got {described(history)}.",
                "plot_learning_curve",
                "It draws columns against the epoch.",
                "Pass what fit returned, or trainer.history.",
            )
        )
    columns = set(getattr(history, "columns", None) or history)
    if quantity is None:
        quantity = "accuracy" if "accuracy" in columns else "loss"
    if quantity not in columns:
        raise ValueError(
            message(
                f"there is no column '{quantity}'.",
                "plot_learning_curve",
                "Nothing to draw." if columns else "No epoch has ended yet.",
                did_you_mean(quantity, columns),
            )
        )
    values = np.asarray(history[quantity], dtype=float)
    epoch = np.asarray(history["epoch"]) if "epoch" in columns else np.arange(1, len(values) + 1)
    ax = current_axes(ax)
    percent = quantity.endswith("accuracy")
    scale = 100 if percent else 1
    held_out = f"validation_{quantity}"
    line(ax, epoch, scale * values, label or "training", {"marker": ".", **line_kwargs})
    if held_out in columns:
        held = scale * np.asarray(history[held_out], dtype=float)
        name = f"{label}, validation" if label else "validation"
        line(ax, epoch, held, name, {"marker": ".", "linestyle": "--", **line_kwargs})
        ax.legend()
    rate = quantity.removeprefix("rate.")
    name = f"firing rate of {rate} (Hz)" if rate != quantity else quantity.replace("_", " ")
    ax.set(xlabel="epoch", ylabel=drawable(f"{name} (%)" if percent else name))
    ax.xaxis.get_major_locator().set_params(integer=True)
    return ax
