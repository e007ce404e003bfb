"""The Yin-Yang set: points of a small plane figure in three classes, as spike times."""

import numpy as np
from brian2.units import Quantity, ms, second

from neurosnn.data.checks import generator, positive_int, seconds
from neurosnn.data.spike_trials import SpikeTrials

#: Radii of the figure and of its two dots; the figure fills the unit square.
RADIUS, DOT = 0.5, 0.1
CLASSES = ("yin", "yang", "dot")
#: Points drawn at a time.
BLOCK = 4096


def yin_yang_classes(x, y) -> np.ndarray:
    """The class of points of the figure.

    The dots are the discs of radius 0.1 about (0.25, 0.5) and (0.75, 0.5). Of the rest, yang is the
    disc of radius 0.25 about (0.25, 0.5) and the upper half without that about (0.75, 0.5), and yin
    is what remains.

    Parameters
    ----------
    x, y : array_like of float
        Points within 0.5 of (0.5, 0.5).

    Returns
    -------
    ndarray of int
        0 yin, 1 yang, 2 dot.

    Examples
    --------
    >>> from neurosnn.data.yin_yang import yin_yang_classes
    >>> yin_yang_classes([0.5, 0.5, 0.75], [0.1, 0.9, 0.5])
    array([0, 1, 2])
    """
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    left = np.hypot(x - 0.5 * RADIUS, y - RADIUS)
    right = np.hypot(x - 1.5 * RADIUS, y - RADIUS)
    yang = (left <= 0.5 * RADIUS) | ((y > RADIUS) & (right > 0.5 * RADIUS))
    dot = (left < DOT) | (right < DOT)
    return np.where(dot, 2, yang.astype(int))


def yin_yang(
    n: int,
    *,
    seed: int | np.random.Generator,
    earliest: Quantity = 0 * ms,
    latest: Quantity = 30 * ms,
    bias: Quantity | None = 0 * ms,
    duration: Quantity = 40 * ms,
) -> SpikeTrials:
    """Points of the Yin-Yang figure, one spike for each of x, y, 1 - x, 1 - y.

    The class of each point is drawn first, all three alike, then a point of that class evenly from
    its area. A coordinate c becomes a spike at ``earliest + c (latest - earliest)``. A linear
    classifier reaches about 64 % (Kriener et al. 2021).

    Parameters
    ----------
    n : int
        Number of points.
    seed : int or numpy.random.Generator
        The same seed gives the same points.
    earliest, latest : Quantity [s]
        Times of the coordinates 0 and 1 (Wunderlich & Pehle 2021: 0 and 30 ms).
    bias : Quantity [s] or None
        Time of one more spike, in every trial, in channel 4; None: four channels.
    duration : Quantity [s]
        Length of a trial.

    Returns
    -------
    SpikeTrials
        With the class names yin, yang and dot.

    Raises
    ------
    ValueError
        Times in other units or in the wrong order, fewer than one point, no seed.

    References
    ----------
    Kriener, Goeltz & Petrovici, The Yin-Yang dataset, arXiv:2102.08211 (2021).

    Examples
    --------
    >>> from neurosnn.data import yin_yang
    >>> trials = yin_yang(1000, seed=0)
    >>> trials.n_channels, trials.class_names
    (5, ('yin', 'yang', 'dot'))
    >>> trials[0].times[0], trials[0].units[0]
    (np.float64(0.0), np.int32(4))
    """
    where = "yin_yang"
    n = positive_int(n, "n", where=where)
    rng = generator(seed, where=where)
    first = seconds(earliest, "earliest", where=where, zero_ok=True)
    last = seconds(latest, "latest", where=where)
    if last <= first:
        raise ValueError(
            f"{where}: latest={latest} is not after earliest={earliest}. A coordinate is a time "
            f"between them. Write for example earliest=0*ms, latest=30*ms."
        )
    labels = rng.integers(0, len(CLASSES), n)
    points = np.empty((n, 2))
    for label in range(len(CLASSES)):
        members = np.flatnonzero(labels == label)
        points[members] = _points(label, len(members), rng)
    values = np.concatenate([points, 1 - points], axis=1)
    times = first + values * (last - first)
    if bias is not None:
        at = seconds(bias, "bias", where=where, zero_ok=True)
        times = np.concatenate([times, np.full((n, 1), at)], axis=1)
    order = np.argsort(times, axis=1, kind="stable")
    n_channels = times.shape[1]
    return SpikeTrials(
        times=np.take_along_axis(times, order, axis=1).ravel(),
        units=order.ravel(),
        offsets=np.arange(n + 1) * n_channels,
        labels=labels,
        n_channels=n_channels,
        duration=seconds(duration, "duration", where=where) * second,
        class_names=CLASSES,
        name="yin_yang",
    )


def _points(label: int, n: int, rng: np.random.Generator) -> np.ndarray:
    """Points of one class, evenly from its area: those of the square that belong to it."""
    kept, n_kept = [np.zeros((0, 2))], 0
    while n_kept < n:
        drawn = rng.random((BLOCK, 2))
        inside = np.hypot(*(drawn - RADIUS).T) <= RADIUS
        kept.append(drawn[inside & (yin_yang_classes(*drawn.T) == label)])
        n_kept += len(kept[-1])
    return np.concatenate(kept)[:n]
