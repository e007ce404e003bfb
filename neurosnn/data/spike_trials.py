"""Spike trials in the layout of the Heidelberg digits: times, units, offsets, labels."""

from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from brian2.units import Quantity, ms, second

from neurosnn.core.arguments import explained
from neurosnn.core.texts import check_plain_text
from neurosnn.data.checks import (
    choice,
    frozen,
    integers,
    plain_names,
    positive_int,
    seconds,
)
from neurosnn.data.labels import as_classes
from neurosnn.data.own_arrays import looks_like_milliseconds, milliseconds_error
from neurosnn.data.own_spikes import OwnSpikes
from neurosnn.data.trial_set import TrialSet, gather_rows, row_of


class Trial(NamedTuple):
    """One trial.

    Attributes
    ----------
    times : Quantity (n_spikes,)
        Since the start of the trial [s].
    units : numpy.ndarray of int32 (n_spikes,)
        Channel of each spike.
    label : int
        Class of the trial.
    """

    times: Quantity
    units: np.ndarray
    label: int


class Steps(NamedTuple):
    """Spikes on a time grid: trial k is ``[offsets[k]:offsets[k + 1]]``.

    Attributes
    ----------
    offsets : numpy.ndarray of int64 (n_trials + 1,)
        Where each trial starts, and the end of the last.
    step : numpy.ndarray of int32 (n_spikes,)
        Step of each spike, sorted inside a trial.
    channel : numpy.ndarray of int32 (n_spikes,)
        Channel of each spike, sorted inside a step.
    """

    offsets: np.ndarray
    step: np.ndarray
    channel: np.ndarray


@explained(positional="Write SpikeTrials.from_lists(times, units, labels), or the name of each.")
@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class SpikeTrials(OwnSpikes, TrialSet):
    """An immutable set of labelled spike trials.

    Spikes of all trials lie one after the other; trial k is ``[offsets[k]:offsets[k + 1]]``. From data
    of another shape they are made with :meth:`from_lists`, :meth:`from_dense`, :meth:`from_monitors` and
    :meth:`from_pairs`.

    Parameters
    ----------
    times : array_like of float (n_spikes,)
        Spike times since the start of their trial, in seconds (or a Quantity); never decreasing
        inside a trial. float32 and float64 are kept, anything else becomes float64. Plain numbers
        that look like milliseconds (10 and more, or all whole) need a ``duration`` or a unit.
    units : array_like of int (n_spikes,)
        Input channel of each spike, 0 to n_channels - 1. Stored as int32.
    offsets : array_like of int (n_trials + 1,)
        Where each trial starts, and the end of the last.
    labels : array_like of int or str (n_trials,)
        Class of each trial, 0 to n_classes - 1; texts become the numbers of their names, in the order
        of ``class_names`` or, without them, of the alphabet.
    n_channels : int
        Number of input channels.
    duration : Quantity or None
        Length of a trial [s]; all spikes come before it. None: the last spike, rounded up to the
        next whole millisecond.
    durations : array_like of float (n_trials,) or None
        Length of each trial, in seconds (or a Quantity), if they differ: simulators stop at the
        end of each trial. None: all last ``duration``.
    class_names : sequence of str
        One name a class. Empty: the classes are numbered, up to the largest label.
    speaker : array_like of int (n_trials,) or None
        Who spoke (or gestured, see `subject`).
    speaker_names : sequence of str
        Name of each speaker number.
    name : str
        Name of the data, used in messages.

    Attributes
    ----------
    n_classes : int
        Number of class names, or the largest label plus one.

    Raises
    ------
    ValueError
        Times that decrease inside a trial, are negative, not finite or not before ``duration``;
        units or labels out of range; offsets that do not run from 0 to n_spikes; lengths that do
        not match.

    Notes
    -----
    Arrays are copied and then read-only. Memory: 8 or 12 bytes a spike.

    Examples
    --------
    >>> from brian2.units import ms
    >>> from neurosnn.data import SpikeTrials
    >>> trials = SpikeTrials(times=[0.001, 0.004, 0.002], units=[0, 2, 1], offsets=[0, 2, 3],
    ...                      labels=[1, 0], n_channels=3, duration=10*ms)
    >>> trials
    SpikeTrials: 2 trials, 2 classes, 3 channels, 1.5 spikes a trial, 10 ms
    >>> trials[0].units
    array([0, 2], dtype=int32)
    >>> trials[trials.labels == 0].labels
    array([0])
    """

    times: np.ndarray
    units: np.ndarray
    offsets: np.ndarray
    labels: np.ndarray
    n_channels: int
    duration: Quantity | None = None
    durations: np.ndarray | None = None
    class_names: tuple[str, ...] = ()
    speaker: np.ndarray | None = None
    speaker_names: tuple[str, ...] = ()
    name: str = ""
    # Width in seconds and step of each spike, where `on_grid` has found them; no field.
    _grid = None

    def __post_init__(self):
        where = self._label()
        times = np.asarray(self.times)
        if isinstance(self.times, Quantity) and self.times.dim is not second.dim:
            raise ValueError(
                f"{where}: times must be times, got {self.times.get_best_unit()}. Spike times are "
                f"seconds since the start of the trial. Pass seconds or a Quantity such as t*ms."
            )
        if times.ndim != 1 or times.dtype.kind not in "fiu":
            raise ValueError(
                f"{where}: times must be a one-dimensional array of numbers, got shape "
                f"{times.shape} of {times.dtype}. All trials lie one after the other. Concatenate "
                f"them and say in offsets where each begins."
            )
        times = times.astype(times.dtype if times.dtype in (np.float32, np.float64) else float)
        units = integers(self.units, "units", where=where, length=len(times), dtype=np.int32)
        offsets = integers(self.offsets, "offsets", where=where)
        if len(offsets) == 0 or offsets[0] != 0 or offsets[-1] != len(times):
            raise ValueError(
                f"{where}: offsets must run from 0 to the number of spikes {len(times)}, got "
                f"{offsets[:1]} to {offsets[-1:]}. Otherwise spikes belong to no trial. Use "
                f"np.append(0, np.cumsum(spikes_per_trial))."
            )
        if np.any(np.diff(offsets) < 0):
            k = int(np.argmax(np.diff(offsets) < 0))
            raise ValueError(
                f"{where}: offsets decrease from {offsets[k]} to {offsets[k + 1]} at trial {k}. A "
                f"trial cannot end before it starts. Use np.append(0, np.cumsum(spikes_per_trial))."
            )
        n_trials = len(offsets) - 1
        labels, class_names = self.labels, self.class_names
        if np.asarray(labels).dtype.kind in "USO" and len(labels):
            labels, class_names = as_classes(labels, class_names, where=where, n=n_trials)
        labels = integers(labels, "labels", where=where, length=n_trials)
        n_channels = positive_int(self.n_channels, "n_channels", where=where)
        class_names = plain_names(class_names, "class_names", where=where)
        check_plain_text(self.name, field="name", where=type(self).__name__, longest=1000)
        _check_labels(labels, class_names, where)
        _check_units(units, n_channels, offsets, where)
        longest = self.duration
        if longest is None and self.durations is not None:
            longest = np.max(np.asarray(self.durations, dtype=float), initial=1e-9) * second
        plain = not isinstance(self.times, Quantity)
        duration = _check_times(times, offsets, longest, where, plain)
        durations = _check_durations(self.durations, times, offsets, duration, where)
        speaker = self.speaker
        if speaker is not None:
            speaker = frozen(integers(speaker, "speaker", where=where, length=n_trials))
        values = {
            "times": frozen(times),
            "units": frozen(units),
            "offsets": frozen(offsets),
            "labels": frozen(labels),
            "n_channels": n_channels,
            "duration": duration * second,
            "durations": durations,
            "class_names": class_names,
            "speaker": speaker,
            "speaker_names": plain_names(self.speaker_names, "speaker_names", where=where),
        }
        for key, value in values.items():
            object.__setattr__(self, key, value)

    def with_spikes(self, times: np.ndarray, units: np.ndarray, offsets: np.ndarray) -> Self:
        """The same trials with other spikes, unchecked: for functions that change many at once.

        Parameters
        ----------
        times : numpy.ndarray of float (n_spikes,)
            In seconds, sorted inside each trial and before the duration.
        units : numpy.ndarray of int32 (n_spikes,)
            Below ``n_channels``.
        offsets : numpy.ndarray of int64 (n_trials + 1,)
            As many trials as before.

        Returns
        -------
        SpikeTrials
        """
        new = object.__new__(type(self))
        for key, value in self.__dict__.items():
            if key != "_grid":
                object.__setattr__(new, key, value)
        for key, value in (("times", times), ("units", units), ("offsets", offsets)):
            object.__setattr__(new, key, frozen(value))
        return new

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __repr__(self):
        rate = len(self.times) / max(len(self), 1)
        title = f"SpikeTrials {self.name!r}" if self.name else "SpikeTrials"
        return (
            f"{title}: {len(self)} trials, {self.n_classes} classes, {self.n_channels} channels, "
            f"{rate:.5g} spikes a trial, {float(self.duration / ms):g} ms"
        )

    @property
    def n_classes(self) -> int:
        """Number of classes: of the names, or the largest label plus one."""
        return len(self.class_names) or int(self.labels.max(initial=-1)) + 1

    @property
    def subject(self) -> np.ndarray | None:
        """The same as `speaker`, for data where subjects do not speak."""
        return self.speaker

    def _strata(self):
        return self.labels

    def _trial(self, k):
        a, b = self.offsets[k], self.offsets[k + 1]
        times = Quantity(self.times[a:b], dim=second.dim)
        return Trial(times, self.units[a:b], int(self.labels[k]))

    def _take(self, index):
        offsets, flat = gather_rows(self.offsets, index)
        new = self.with_spikes(self.times[flat], self.units[flat], offsets)
        if self._grid is not None:
            width, step = self._grid
            object.__setattr__(new, "_grid", (width, frozen(step[flat])))
        # A subset must not forget a class that happens to have no trial in it.
        names = self.class_names or tuple(str(c) for c in range(self.n_classes))
        object.__setattr__(new, "class_names", names)
        object.__setattr__(new, "labels", frozen(self.labels[index]))
        object.__setattr__(new, "durations", frozen(self.durations[index]))
        if self.speaker is not None:
            object.__setattr__(new, "speaker", frozen(self.speaker[index]))
        return new

    def n_steps(self, dt: Quantity) -> np.ndarray:
        """Number of steps of ``dt`` in each trial: ``ceil(durations / dt)``, at least one.

        Parameters
        ----------
        dt : Quantity [s]
            Width of a step.

        Returns
        -------
        numpy.ndarray of int64 (n_trials,)

        Raises
        ------
        ValueError
            ``dt`` is not a time greater than zero.
        """
        dt = seconds(dt, "dt", where=f"{self._label()}.n_steps")
        return np.maximum(1, np.ceil(self.durations / dt - 1e-3)).astype(np.int64)

    def steps(self, dt: Quantity, *, duplicates: str = "merge") -> Steps:
        """The spikes on a grid of ``dt``: both simulators read this and nothing else.

        The step of a spike at time t is ``floor((t + tol) / dt)`` with ``tol = 1e-3 dt`` (Brian2's
        SpikeGeneratorGroup uses the same) plus the rounding error of the stored time, so that
        0.3 ms on a 0.1 ms grid is step 3 although the quotient may be 2.9999. A spike in the last
        fraction of a step goes to the last step.

        Parameters
        ----------
        dt : Quantity [s]
            Width of a step.
        duplicates : {"merge", "keep", "error"}
            Spikes of one channel in one step: counted once (a SpikeGeneratorGroup cannot emit
            two), kept as several, or refused.

        Returns
        -------
        Steps
            NamedTuple of offsets int64 (n_trials + 1,), step int32 (n,), channel int32 (n,),
            sorted by step and then channel inside each trial.

        Raises
        ------
        ValueError
            ``dt`` is not a time, ``duplicates`` is unknown, or "error" and there are some.

        Examples
        --------
        >>> from brian2.units import ms
        >>> from neurosnn.data import SpikeTrials
        >>> trials = SpikeTrials(times=[0.0003, 0.0007], units=[1, 0], offsets=[0, 2], labels=[0],
        ...                      n_channels=2, duration=1*ms)
        >>> trials.steps(0.1*ms).step
        array([3, 7], dtype=int32)
        """
        where = f"{self._label()}.steps"
        choice(duplicates, "duplicates", ("merge", "keep", "error"), where=where)
        width = seconds(dt, "dt", where=where)
        if self._grid is not None and self._grid[0] == width:
            return Steps(self.offsets, self._grid[1], self.units)
        limits = self.n_steps(dt)
        n_steps = int(limits.max(initial=1))
        times = self.times.astype(np.float64)
        # Rounding error of a stored time is at most half an ulp, a relative eps / 2.
        times *= 1 + float(np.finfo(self.times.dtype).eps) / 2
        times += 1e-3 * width
        times /= width
        if n_steps * self.n_channels <= np.iinfo(np.int32).max:
            step = times.astype(np.int32)
            last = limits.astype(np.int32) - 1
            same = len(limits) and np.all(limits == n_steps)
            np.minimum(step, last[0] if same else np.repeat(last, np.diff(self.offsets)), out=step)
            # Spikes in order and none twice, as on the grid of an earlier call: nothing to sort.
            place = step * np.int32(self.n_channels)
            place += self.units
            ascending = place[1:] > place[:-1]
            starts = self.offsets[1:-1]
            ascending[starts[(starts > 0) & (starts < len(step))] - 1] = True
            if ascending.all():
                return Steps(self.offsets, frozen(step), self.units)
        trial = row_of(self.offsets)
        step = np.minimum(times.astype(np.int64), limits[trial] - 1)
        key = (trial * n_steps + step) * self.n_channels + self.units
        if np.any(key[1:] < key[:-1]):
            key.sort()
        repeated = np.flatnonzero(key[1:] == key[:-1])
        if len(repeated) and duplicates == "error":
            k, rest = divmod(int(key[repeated[0]]), n_steps * self.n_channels)
            raise ValueError(
                f"{where}: trial {k} has two spikes of channel {rest % self.n_channels} in step "
                f"{rest // self.n_channels}. At dt={float(dt / ms):g} ms a channel can spike once "
                f"a step. Use a smaller dt or duplicates='merge'."
            )
        if len(repeated) and duplicates == "merge":
            key = np.delete(key, repeated + 1)
        rest = key // self.n_channels
        channel = (key - rest * self.n_channels).astype(np.int32)
        edges = np.arange(len(self) + 1, dtype=np.int64) * n_steps
        offsets = np.searchsorted(rest, edges)
        rest -= np.repeat(edges[:-1], np.diff(offsets))
        return Steps(frozen(offsets), frozen(rest.astype(np.int32)), frozen(channel))

    def on_grid(self, dt: Quantity) -> Self:
        """The same trials with spikes at steps of ``dt``, for many calls of :meth:`steps`.

        Parameters
        ----------
        dt : Quantity [s]
            Width of a step.

        Returns
        -------
        SpikeTrials
            Spikes of one channel in one step are merged; its steps, and those of its subsets, are
            known and not computed again.

        Raises
        ------
        ValueError
            ``dt`` is not a time.

        Examples
        --------
        >>> from brian2.units import ms
        >>> from neurosnn.data import SpikeTrials
        >>> trials = SpikeTrials(times=[0.0003, 0.0007, 0.0012], units=[1, 1, 0], offsets=[0, 3],
        ...                      labels=[0], n_channels=2, duration=2*ms)
        >>> trials.on_grid(1*ms).times
        array([0.   , 0.001])
        """
        width = seconds(dt, "dt", where=f"{self._label()}.on_grid")
        if self._grid is not None and self._grid[0] == width:
            return self
        offsets, step, channel = self.steps(dt)
        new = self.with_spikes((step * width).astype(self.times.dtype), channel, offsets)
        object.__setattr__(new, "_grid", (width, step))
        return new


def _check_labels(labels, class_names, where):
    n = len(class_names)
    if labels.size and (labels.min() < 0 or (n and labels.max() >= n)):
        bad = int(labels.min()) if labels.min() < 0 else int(labels.max())
        k = int(np.argmax(labels == bad))
        raise ValueError(
            f"{where}: label {bad} of trial {k} is out of range. Labels number the classes from 0 "
            f"to {f'{n - 1} (there are {n} class_names)' if n else 'n_classes - 1'}. Renumber them."
        )


def _check_units(units, n_channels, offsets, where):
    if units.size and (units.min() < 0 or units.max() >= n_channels):
        bad = int(units.min()) if units.min() < 0 else int(units.max())
        k = int(np.searchsorted(offsets, np.argmax(units == bad), side="right")) - 1
        raise ValueError(
            f"{where}: unit {bad} in trial {k} is out of range. Channels are numbered from 0 to "
            f"{n_channels - 1}. Correct the units or pass n_channels={max(bad, 0) + 1}."
        )


def _check_times(times, offsets, duration, where, plain):
    """Check order and range; return the duration in seconds. ``plain`` times came without a unit."""
    bad = ~np.isfinite(times)
    if bad.any():
        k = int(np.searchsorted(offsets, np.argmax(bad), side="right")) - 1
        raise ValueError(
            f"{where}: times holds {times[np.argmax(bad)]} in trial {k}. A spike happens at a "
            f"finite time. Remove padding (NaN or inf) before building the trials."
        )
    falls = times[1:] < times[:-1]
    starts = offsets[1:-1]
    falls[starts[(starts > 0) & (starts < len(times))] - 1] = False
    if falls.any():
        at = int(np.argmax(falls))
        k = int(np.searchsorted(offsets, at, side="right")) - 1
        raise ValueError(
            f"{where}: times decrease in trial {k}, from {times[at]:g} s to {times[at + 1]:g} s. "
            f"Simulators walk through a trial in time order. Sort each trial by time, or use "
            f"SpikeTrials.from_lists(..., sort=True)."
        )
    if times.size and times.min() < 0:
        k = int(np.searchsorted(offsets, np.argmax(times < 0), side="right")) - 1
        raise ValueError(
            f"{where}: times holds {times.min():g} s in trial {k}. A trial starts at 0 s. Subtract "
            f"the start of the trial from its times."
        )
    last = float(times.max(initial=0.0))
    if plain and looks_like_milliseconds(times) and duration is None:
        raise milliseconds_error(times, where)
    if duration is None:
        return (np.floor(last / 1e-3 + 1e-3) + 1) * 1e-3
    duration = seconds(duration, "duration", where=where)
    if last >= duration:
        if plain and looks_like_milliseconds(times) and last * 1e-3 < duration:
            raise milliseconds_error(times, where)
        k = int(np.searchsorted(offsets, np.argmax(times), side="right")) - 1
        raise ValueError(
            f"{where}: the spike at {last:g} s in trial {k} is not before duration="
            f"{duration:g} s. Every spike lies inside its trial. Cut the trials or pass a longer "
            f"duration (None takes the last spike)."
        )
    return duration


def _check_durations(durations, times, offsets, duration, where):
    """Length of each trial in seconds; every spike of a trial lies before its end."""
    n_trials = len(offsets) - 1
    if durations is None:
        return frozen(np.full(n_trials, duration))
    values = np.asarray(durations, dtype=float)
    if values.shape != (n_trials,) or not np.all((values > 0) & (values <= duration * (1 + 1e-12))):
        raise ValueError(
            f"{where}: durations must be {n_trials} times greater than 0 and at most duration="
            f"{duration:g} s, got {values}. Each trial has a length. Leave durations out if all "
            f"trials last equally long."
        )
    filled = np.flatnonzero(np.diff(offsets))
    late = filled[times[offsets[filled + 1] - 1] >= values[filled]]
    if len(late):
        k = int(late[0])
        raise ValueError(
            f"{where}: trial {k} has a spike at {times[offsets[k + 1] - 1]:g} s but lasts "
            f"{values[k]:g} s. Every spike lies inside its trial. Cut the trial or make it longer."
        )
    return frozen(values)
