"""Augmentation of spike input: pure functions of the spikes and a seed.

The first three take SpikeTrials, or the Steps that ``trials.steps(dt)`` returns, so that a
trainer can change a batch without leaving the time grid; they return what they were given.
"""

import numbers
from typing import TypeVar

import numpy as np
from brian2.units import Quantity, ms
from numpy.typing import ArrayLike

from neurosnn.data.checks import fraction, generator, integers, positive_int, seconds
from neurosnn.data.spike_trials import SpikeTrials, Steps
from neurosnn.data.trial_set import gather_rows, row_of, sort_spikes

Seed = int | np.random.Generator
Spikes = TypeVar("Spikes", SpikeTrials, Steps)


def drop_spikes(spikes: Spikes, probability: float, *, seed: Seed) -> Spikes:
    """Leave out each spike with a given probability.

    Parameters
    ----------
    spikes : SpikeTrials or Steps
        What to change; it is not changed itself.
    probability : float in [0, 1]
        Chance that a spike is left out.
    seed : int or numpy.random.Generator
        The same seed gives the same result.

    Returns
    -------
    SpikeTrials or Steps

    Raises
    ------
    TypeError
        ``spikes`` is neither.
    ValueError
        ``probability`` outside [0, 1], or no seed.

    Examples
    --------
    >>> from neurosnn.data import drop_spikes, spoken_digits
    >>> trials = spoken_digits(n_bands=16, n_thresholds=1)[1]
    >>> kept = drop_spikes(trials, 0.2, seed=0)
    >>> round(len(kept.times) / len(trials.times), 2)
    0.8
    """
    where = "drop_spikes"
    probability = fraction(probability, "probability", where=where)
    rng = generator(seed, where=where)
    offsets, when, channel = _arrays(spikes, where)
    keep = rng.random(len(when), dtype=np.float32) >= probability
    return _like(spikes, *_keep(offsets, when, channel, keep))


def shift_channels(
    spikes: Spikes, max_shift: int, *, seed: Seed, n_channels: int | None = None, step: int = 1
) -> Spikes:
    """Move all spikes of a trial by one random number of channels.

    The shift of each trial is drawn evenly from ``-max_shift`` to ``max_shift``; spikes moved past
    the first or last channel are lost. For sound this is another pitch (Nowotny et al. 2025 use 40
    of 700 channels).

    Parameters
    ----------
    spikes : SpikeTrials or Steps
        What to change; it is not changed itself.
    max_shift : int
        Largest shift up or down.
    seed : int or numpy.random.Generator
        The same seed gives the same result.
    n_channels : int or None
        Needed for Steps, known for SpikeTrials.
    step : int
        Shifts are multiples of it: the number of cells a band of `encode_cochlea`, so that each stays
        among those with its threshold.

    Returns
    -------
    SpikeTrials or Steps

    Raises
    ------
    TypeError
        ``spikes`` is neither.
    ValueError
        ``max_shift`` is negative or not whole, ``step`` is not a positive whole number, ``n_channels``
        is missing, or no seed.

    Examples
    --------
    >>> from brian2.units import Quantity, ms
    >>> from neurosnn.data import SpikeTrials, shift_channels
    >>> trials = SpikeTrials(times=[0.001] * 3, units=[0, 1, 2], offsets=[0, 3], labels=[0],
    ...                      n_channels=3, duration=5*ms)
    >>> shift_channels(trials, 1, seed=0).units
    array([1, 2], dtype=int32)
    """
    where = "shift_channels"
    max_shift = positive_int(max_shift, "max_shift", where=where, minimum=0)
    rng = generator(seed, where=where)
    offsets, when, channel = _arrays(spikes, where)
    if isinstance(spikes, SpikeTrials):
        n_channels = spikes.n_channels
    n_channels = positive_int(n_channels, "n_channels", where=where)
    largest = max_shift // positive_int(step, "step", where=where)
    shift = step * rng.integers(-largest, largest + 1, len(offsets) - 1, dtype=np.int32)
    channel = channel + np.repeat(shift, np.diff(offsets))
    keep = (channel >= 0) & (channel < n_channels)
    return _like(spikes, *_keep(offsets, when, channel, keep))


def jitter_times(
    spikes: Spikes,
    sigma: Quantity | float,
    *,
    seed: Seed,
    n_steps: int | ArrayLike | None = None,
) -> Spikes:
    """Move each spike by an independent normal time; those that leave the trial are lost.

    Parameters
    ----------
    spikes : SpikeTrials or Steps
        What to change; it is not changed itself.
    sigma : Quantity [s], or float in steps for Steps
        Standard deviation.
    seed : int or numpy.random.Generator
        The same seed gives the same result.
    n_steps : int, array_like of int (n_trials,), or None
        Steps of all trials, or of each; needed for Steps.

    Returns
    -------
    SpikeTrials or Steps
        Sorted in time again. In a Steps, spikes of a channel that land in one step stay several.

    Raises
    ------
    TypeError
        ``spikes`` is neither.
    ValueError
        ``sigma`` in other units or negative, ``n_steps`` is missing, or no seed.

    Examples
    --------
    >>> from brian2.units import Quantity, ms
    >>> from neurosnn.data import jitter_times, spoken_digits
    >>> trials = spoken_digits(n_bands=16, n_thresholds=1)[1]
    >>> jittered = jitter_times(trials, 2*ms, seed=0)
    >>> len(jittered) == len(trials)
    True
    """
    where = "jitter_times"
    rng = generator(seed, where=where)
    offsets, when, channel = _arrays(spikes, where)
    if isinstance(spikes, SpikeTrials):
        width = seconds(sigma, "sigma", where=where, zero_ok=True)
        end = spikes.durations
        moved = when + width * rng.standard_normal(len(when))
    else:
        if not isinstance(sigma, numbers.Real) or not np.isfinite(sigma) or sigma < 0:
            raise ValueError(
                f"{where}: sigma must be a number of steps, zero or more, got {sigma!r}. Steps "
                f"have no unit. Write for example sigma={2.0}."
            )
        if np.ndim(n_steps):
            end = integers(n_steps, "n_steps", where=where, length=len(offsets) - 1)
        else:
            end = np.full(len(offsets) - 1, positive_int(n_steps, "n_steps", where=where))
        moved = np.rint(when + sigma * rng.standard_normal(len(when)))
    moved = moved.astype(when.dtype)
    keep = (moved >= 0) & (moved < np.repeat(end.astype(when.dtype), np.diff(offsets)))
    offsets, moved, channel = _keep(offsets, moved, channel, keep)
    n_channels = int(channel.max(initial=0)) + 1
    _, moved, channel = sort_spikes(row_of(offsets), moved, channel, n_channels)
    return _like(spikes, offsets, moved, channel)


def shift_times(trials: SpikeTrials, max_shift: Quantity, *, seed: Seed) -> SpikeTrials:
    """Move all spikes of a trial by one random time: the word begins earlier or later.

    The shift of each trial is drawn evenly from ``-max_shift`` to ``max_shift``; spikes moved before the
    beginning or past the end of the trial are lost.

    Parameters
    ----------
    trials : SpikeTrials
        What to change; it is not changed itself.
    max_shift : Quantity [s]
        Largest shift (100 ms in Warden 2018, for recordings of 1 s).
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
        ``max_shift`` in other units or negative, or no seed.

    References
    ----------
    Warden, arXiv:1804.03209 (2018): the training of its example model.

    Examples
    --------
    >>> from brian2.units import ms
    >>> from neurosnn.data import shift_times, spoken_digits
    >>> trials = spoken_digits(n_bands=16, n_thresholds=1)[1]
    >>> shifted = shift_times(trials, 50*ms, seed=0)
    >>> len(shifted) == len(trials)
    True
    """
    where = "shift_times"
    if not isinstance(trials, SpikeTrials):
        raise TypeError(
            f"{where}: trials is a {type(trials).__name__}. Shifts are times. Pass a SpikeTrials."
        )
    width = seconds(max_shift, "max_shift", where=where, zero_ok=True)
    rng = generator(seed, where=where)
    counts = np.diff(trials.offsets)
    times = trials.times + np.repeat(rng.uniform(-width, width, len(trials)), counts)
    times = times.astype(trials.times.dtype)
    end = np.repeat(trials.durations.astype(times.dtype), counts)
    keep = (times >= 0) & (times < end)
    return _like(trials, *_keep(trials.offsets, times, trials.units, keep))


def blend_trials(trials: SpikeTrials, *, seed: Seed, probability: float = 0.5) -> SpikeTrials:
    """Mix each trial with another of its class.

    The partner, drawn at random, is moved so that its mean time and mean channel equal those of
    the trial (by whole channels); then each spike of the trial is kept with ``probability`` and
    each of the partner with ``1 - probability``. Spikes moved out of range, or past the end of the
    trial, are lost. (Nowotny et al. 2025; they add the blends to the trials.)

    Parameters
    ----------
    trials : SpikeTrials
        Partners are drawn among them.
    seed : int or numpy.random.Generator
        The same seed gives the same result.
    probability : float in [0, 1]
        Chance that a spike of the trial itself is kept.

    Returns
    -------
    SpikeTrials
        As many trials as before, with the labels and speakers of the first of each pair.

    Raises
    ------
    TypeError
        ``trials`` is no SpikeTrials.
    ValueError
        ``probability`` outside [0, 1], or no seed.

    Notes
    -----
    A class with one trial blends with itself.

    Examples
    --------
    >>> from neurosnn.data import blend_trials, spoken_digits
    >>> trials = spoken_digits(n_bands=16, n_thresholds=1)[1]
    >>> blended = blend_trials(trials, seed=0)
    >>> bool((blended.labels == trials.labels).all())
    True
    """
    where = "blend_trials"
    if not isinstance(trials, SpikeTrials):
        raise TypeError(
            f"{where}: trials is a {type(trials).__name__}. Blending needs the classes. Pass a "
            f"SpikeTrials."
        )
    probability = fraction(probability, "probability", where=where)
    rng = generator(seed, where=where)
    partner = np.arange(len(trials))
    for label in np.unique(trials.labels):
        members = np.flatnonzero(trials.labels == label)
        if len(members) > 1:
            # Drawing among the others: a step of 1 to m - 1 around the circle of members.
            step = rng.integers(1, len(members), len(members))
            partner[members] = members[(np.arange(len(members)) + step) % len(members)]
    offsets, flat = gather_rows(trials.offsets, partner)
    row, other = row_of(trials.offsets), row_of(offsets)
    times, units = trials.times[flat].astype(np.float64), trials.units[flat].astype(np.int64)
    n = len(trials)
    times += (_means(trials.times, row, n) - _means(times, other, n))[other]
    move = np.rint(_means(trials.units, row, n) - _means(units, other, n)).astype(np.int64)
    units += move[other]
    times = times.astype(trials.times.dtype)
    end = trials.durations.astype(trials.times.dtype)[other]
    keep = (times >= 0) & (times < end) & (units >= 0) & (units < trials.n_channels)
    keep &= rng.random(len(times)) >= probability
    mine = rng.random(len(trials.times)) < probability
    row = np.concatenate([row[mine], other[keep]])
    times = np.concatenate([trials.times[mine], times[keep]])
    units = np.concatenate([trials.units[mine], units[keep].astype(np.int32)])
    row, times, units = sort_spikes(row, times, units, trials.n_channels)
    edges = np.searchsorted(row, np.arange(n + 1))
    return trials.with_spikes(times, units, edges)


def _arrays(spikes, where):
    if isinstance(spikes, SpikeTrials):
        return spikes.offsets, spikes.times, spikes.units
    if isinstance(spikes, Steps):
        return spikes.offsets, spikes.step, spikes.channel
    raise TypeError(
        f"{where}: spikes is a {type(spikes).__name__}. The function changes spikes in CSR layout. "
        f"Pass a SpikeTrials or the Steps of trials.steps(dt={1 * ms})."
    )


def _like(spikes, offsets, when, channel):
    if isinstance(spikes, SpikeTrials):
        return spikes.with_spikes(when, channel, offsets)
    return Steps(offsets, when, channel)


def _keep(offsets, when, channel, keep):
    before = np.append(0, np.cumsum(keep, dtype=np.int64))
    return before[offsets], when[keep], channel[keep]


def _means(values, row, n):
    count = np.bincount(row, minlength=n)
    return np.bincount(row, weights=values, minlength=n) / np.maximum(count, 1)
