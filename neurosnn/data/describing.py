"""A summary of a set of trials in a few lines, to be read before training."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["summarize"]

_LONGEST = 20


def summarize(trials: Any) -> str:
    """Classes, numbers of spikes or frames, and what is silent; see ``SpikeTrials.summary``."""
    lines = [repr(trials)]
    if not hasattr(trials, "offsets"):
        return "\n".join([*lines, *_classes(trials, trials.labels, None, ("class", "images"))])
    lengths = np.diff(trials.offsets)
    if hasattr(trials, "features"):
        weights, unit = None, "frames"
        heading: tuple[str, ...] = ("class", "frames")
    else:
        weights, unit = lengths, "spikes"
        heading = ("class", "trials", "spikes a trial")
    if trials.labels is not None:
        lines += _classes(trials, trials.labels, weights, heading)
    if len(trials):
        lines.append(
            f"{unit} a trial: {lengths.min()} to {lengths.max()}, mean {lengths.mean():.4g}"
        )
    if hasattr(trials, "features"):
        if trials.features.size:
            low, high = float(trials.features.min()), float(trials.features.max())
            still = int(np.sum(np.ptp(trials.features, axis=0) == 0))
            lines.append(f"values: {low:.4g} to {high:.4g}")
            lines.append(f"channels that never change: {still} of {trials.n_channels}")
        return "\n".join(lines)
    counts = np.bincount(trials.units, minlength=trials.n_channels)
    total = float(trials.durations.sum())
    shortest, longest = (
        1e3 * trials.durations.min(initial=np.inf),
        1e3 * trials.durations.max(initial=0),
    )
    if len(trials):
        lines.append(f"length of a trial: {shortest:.4g} to {longest:.4g} ms")
        lines.append(f"rate of a channel: {counts.mean() / total:.4g} Hz")
    if len(trials.times):
        first, last = 1e3 * float(trials.times.min()), 1e3 * float(trials.times.max())
        lines.append(f"spikes from {first:.4g} to {last:.4g} ms")
    lines.append(f"trials without a spike: {int(np.sum(lengths == 0))} of {len(trials)}")
    lines.append(f"channels without a spike: {int(np.sum(counts == 0))} of {trials.n_channels}")
    return "\n".join(lines)


def _classes(
    trials: Any, labels: np.ndarray, weights: np.ndarray | None, heading: Any
) -> list[str]:
    """A line a class; of many only the first."""
    scored = labels >= 0
    n = trials.n_classes
    numbers = np.bincount(labels[scored], minlength=n)
    names = trials.class_names or tuple(map(str, range(n)))
    width = max([len(heading[0]), *(len(name) for name in names[:_LONGEST])])
    lines = ["  ".join([heading[0].ljust(width), *heading[1:]])]
    for k in range(min(n, _LONGEST)):
        cells = [names[k].ljust(width), f"{numbers[k]:>{len(heading[1])}d}"]
        if weights is not None and len(heading) > 2:
            mean = weights[labels == k].sum() / max(numbers[k], 1)
            cells.append(f"{mean:>{len(heading[2])}.4g}")
        lines.append("  ".join(cells))
    if n > _LONGEST:
        lines.append(f"... and {n - _LONGEST} classes more")
    return lines
