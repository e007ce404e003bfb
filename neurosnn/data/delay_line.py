"""Delayed copies of the input, and jitter across channels."""

import numpy as np
from brian2.units import Quantity

from neurosnn.data.checks import generator, positive_int, seconds
from neurosnn.data.spike_trials import SpikeTrials
from neurosnn.data.trial_set import row_of, sort_spikes


def delay_line(trials: SpikeTrials, copies: int, spacing: Quantity) -> SpikeTrials:
    """Add delayed copies of all channels: a short memory in front of the network.

    Copy k of channel c is channel ``c + k n_channels`` and spikes ``k spacing`` later. Trials that are
    shorter than the longest one last as much longer as the copies need, up to its length; what would
    spike after that is lost. Nowotny et al. 2025 add 10 copies 30 ms apart and divide
    the initial input weights by 10.

    Parameters
    ----------
    trials : SpikeTrials
        What to copy; it is not changed itself.
    copies : int
        Number of copies besides the original.
    spacing : Quantity [s]
        Delay from one copy to the next.

    Returns
    -------
    SpikeTrials
        With ``(copies + 1) n_channels`` channels.

    Raises
    ------
    TypeError
        ``trials`` is no SpikeTrials.
    ValueError
        ``copies`` below one, or ``spacing`` is not a positive time.

    Examples
    --------
    >>> from brian2.units import ms
    >>> from neurosnn.data import SpikeTrials, delay_line
    >>> trials = SpikeTrials(times=[0.001, 0.002], units=[0, 1], offsets=[0, 2], labels=[0],
    ...                      n_channels=2, duration=5*ms)
    >>> copied = delay_line(trials, 1, 2*ms)
    >>> copied.n_channels, copied.units.tolist(), (copied.times * 1000).tolist()
    (4, [0, 1, 2, 3], [1.0, 2.0, 3.0, 4.0])
    """
    where = "delay_line"
    _need_trials(trials, where)
    copies = positive_int(copies, "copies", where=where)
    width = seconds(spacing, "spacing", where=where)
    n, row = trials.n_channels, row_of(trials.offsets)
    end = float(trials.duration)
    times, units, rows = [], [], []
    for k in range(copies + 1):
        moved = trials.times.astype(np.float64) + k * width
        keep = moved < end
        times.append(moved[keep])
        units.append(trials.units[keep] + np.int32(k * n))
        rows.append(row[keep])
    total = (copies + 1) * n
    rows, when, channel = sort_spikes(
        np.concatenate(rows), np.concatenate(times), np.concatenate(units), total
    )
    return SpikeTrials(
        times=when,
        units=channel,
        offsets=np.searchsorted(rows, np.arange(len(trials) + 1)),
        labels=trials.labels,
        n_channels=total,
        duration=trials.duration,
        durations=np.minimum(trials.durations + copies * width, end),
        class_names=trials.class_names,
        speaker=trials.speaker,
        speaker_names=trials.speaker_names,
        name=trials.name,
    )


def jitter_channels(
    trials: SpikeTrials, sigma: float, *, seed: int | np.random.Generator
) -> SpikeTrials:
    """Move each spike by an independent normal number of channels; those that leave are lost.

    Parameters
    ----------
    trials : SpikeTrials
        What to change; it is not changed itself.
    sigma : float
        Standard deviation in channels; the moves are rounded.
    seed : int or numpy.random.Generator
        The same seed gives the same result.

    Returns
    -------
    SpikeTrials

    Raises
    ------
    TypeError
        ``trials`` is no SpikeTrials.
    ValueError
        ``sigma`` is negative or not finite, or no seed.

    Examples
    --------
    >>> from neurosnn.data import jitter_channels, spoken_digits
    >>> trials = spoken_digits(n_bands=16, n_thresholds=1)[1]
    >>> len(jitter_channels(trials, 2.0, seed=0)) == len(trials)
    True
    """
    where = "jitter_channels"
    _need_trials(trials, where)
    if not np.isscalar(sigma) or not np.isfinite(sigma) or sigma < 0:
        raise ValueError(
            f"{where}: sigma must be a number of channels, zero or more, got {sigma!r}. It is the "
            f"standard deviation of the moves. Write for example sigma=2.0."
        )
    rng = generator(seed, where=where)
    move = np.rint(sigma * rng.standard_normal(len(trials.units))).astype(np.int32)
    units = trials.units + move
    keep = (units >= 0) & (units < trials.n_channels)
    row, times, units = sort_spikes(
        row_of(trials.offsets)[keep], trials.times[keep], units[keep], trials.n_channels
    )
    return trials.with_spikes(times, units, np.searchsorted(row, np.arange(len(trials) + 1)))


def _need_trials(trials, where: str) -> None:
    if not isinstance(trials, SpikeTrials):
        raise TypeError(
            f"{where}: trials is a {type(trials).__name__}. The function changes spikes of trials. "
            f"Pass a SpikeTrials."
        )
