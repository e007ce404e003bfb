"""Pictures of data and of how well it is classified."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from neurosnn.analysis.plotting import plot_raster
from neurosnn.core.drawing import GREY, current_axes
from neurosnn.core.messages import drawable, message, shortened
from neurosnn.core.values import check_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_confusion", "plot_trials"]

#: More classes than this are drawn without numbers and names.
_READABLE = 25


def plot_trials(trials, *, n: int = 4, ax: Axes | None = None, **marker_kwargs: Any) -> Axes:
    """Draw the first trials of a set side by side, each with the name of its class.

    Parameters
    ----------
    trials : SpikeTrials or FrameTrials
        What to look at; choose others with ``trials[[3, 8]]``.
    n : int, optional
        How many of them.
    ax : Axes, optional
        Where to draw; the current Axes if None.
    **marker_kwargs
        Passed to ``Axes.plot`` (spikes) or ``Axes.pcolormesh`` (frames).

    Returns
    -------
    Axes
        The Axes drawn in; time runs on from one trial to the next.

    Raises
    ------
    TypeError
        For what holds neither spikes nor frames.
    ValueError
        If there are no trials.

    Examples
    --------
    >>> from neurosnn import analysis, data
    >>> train, _ = data.spoken_digits(n_bands=8, n_thresholds=1)
    >>> analysis.plot_trials(train, n=3).get_ylabel()
    'channel'
    """
    spikes = hasattr(trials, "times")
    if not spikes and not hasattr(trials, "features"):
        raise TypeError(
            message(
                f"trials is a {type(trials).__name__}.",
                "plot_trials",
                "Spikes or frames are drawn.",
                "Pass SpikeTrials or FrameTrials; plot_raster draws the spikes of a monitor.",
            )
        )
    check_whole("n", n, 1, where="plot_trials")
    if not len(trials):
        raise ValueError(
            message("there are no trials.", "plot_trials", "", "Check how they were selected.")
        )
    ax, shown = current_axes(ax), trials[: min(n, len(trials))]
    lengths = 1e3 * np.asarray(
        shown.durations if spikes else shown.lengths * float(shown.frame), dtype=float
    )
    starts = np.concatenate([[0.0], np.cumsum(lengths)])
    if spikes:
        shift = np.repeat(starts[:-1], np.diff(shown.offsets))
        times = 1e3 * np.asarray(shown.times, dtype=float) + shift
        plot_raster(times, shown.units, ax=ax, **marker_kwargs)
    else:
        edges = np.arange(len(shown.features) + 1) * float(shown.frame) * 1e3
        rows = np.arange(shown.n_channels + 1) - 0.5
        ax.pcolormesh(edges, rows, shown.features.T, **marker_kwargs)
    for start in starts[1:-1]:
        ax.axvline(start, color=GREY, linewidth=0.8, gid="neurosnn-zero")
    for k, start in enumerate(starts[:-1]):
        title = drawable(shortened(_class_of(shown, k), 20))
        middle = start + lengths[k] / 2
        ax.text(middle, 1.02, title, ha="center", transform=ax.get_xaxis_transform())
    limits = {"xlim": (0, starts[-1]), "ylim": (-0.5, shown.n_channels - 0.5)}
    ax.set(xlabel="time (ms)", ylabel="channel", **limits)
    return ax


def _class_of(trials, k: int) -> str:
    """Name of the class of a trial; of frames that of the first that is scored."""
    if trials.labels is None:
        return f"trial {k}"
    labels = np.atleast_1d(trials[k].labels if hasattr(trials, "features") else trials.labels[k])
    scored = labels[labels >= 0]
    if not len(scored):
        return f"trial {k}"
    return trials.class_names[scored[0]] if trials.class_names else str(scored[0])


def plot_confusion(confusion, *, ax: Axes | None = None, **image_kwargs: Any) -> Axes:
    """Draw which class was taken for which, as shares of the true class.

    Parameters
    ----------
    confusion : Confusion
        From ``trainer.confusion(trials)`` or :func:`neurosnn.training.confusion.confusion_matrix`.
    ax : Axes, optional
        Where to draw; the current Axes if None.
    **image_kwargs
        Passed to ``Axes.imshow``.

    Returns
    -------
    Axes
        The Axes drawn in; a row is the true class, its numbers are trials. A class without trials has
        an empty row.

    Examples
    --------
    >>> from neurosnn import analysis
    >>> from neurosnn.training.confusion import confusion_matrix
    >>> table = confusion_matrix([0, 0, 1], [0, 1, 1], ("left", "right"))
    >>> analysis.plot_confusion(table).get_xlabel()
    'predicted class'
    """
    ax = current_axes(ax)
    counts = np.asarray(confusion.counts)
    n = len(counts)
    total = counts.sum(axis=1, keepdims=True)
    shares = np.where(total > 0, counts / np.maximum(total, 1), np.nan)
    style = {"cmap": "Blues", "vmin": 0, "vmax": 1, **image_kwargs}
    ax.imshow(shares, **style)
    if n <= _READABLE:
        for row, column in np.argwhere(counts > 0):
            dark = shares[row, column] > 0.5
            ax.text(column, row, str(counts[row, column]), ha="center", va="center",
                    color="white" if dark else "black")  # fmt: skip
        names = [drawable(shortened(name, 20)) for name in confusion.class_names]
        ax.set_xticks(range(n), names, rotation=90 if max(map(len, names)) > 3 else 0)
        ax.set_yticks(range(n), names)
    ax.set(xlabel="predicted class", ylabel="true class")
    return ax
