"""Spike trials of a user's lists, arrays, monitors and pairs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Self, cast

import numpy as np
from brian2.units.allunits import second
from brian2.units.fundamentalunits import Quantity

from neurosnn.core.arguments import explained
from neurosnn.core.messages import message
from neurosnn.data.checks import integers, seconds
from neurosnn.data.labels import as_array, as_classes
from neurosnn.data.own_arrays import (
    dense_trials,
    in_seconds,
    looks_like_milliseconds,
    milliseconds_error,
    samples,
)

__all__ = ["OwnSpikes"]


class OwnSpikes:
    """How SpikeTrials are made of a user's lists, arrays, monitors and pairs."""

    __slots__ = ()

    @classmethod
    @explained(units="SpikeTrials.from_lists(times, units, labels)", labels="labels=labels")
    def from_lists(
        cls,
        times: Sequence[Any],
        units: Sequence[Any] | None = None,
        labels: Sequence[Any] | None = None,
        *,
        n_channels: int | None = None,
        duration: Quantity | None = None,
        class_names: Sequence[str] = (),
        sort: bool = False,
        name: str = "",
    ) -> Self:
        """Trials from one array of spike times and one of channels a trial.

        Parameters
        ----------
        times : sequence of Quantity (second) or array_like of float
            Spike times of each trial from its start; plain numbers are seconds. Without `units`: of each
            trial a list of spike trains, one a channel.
        units : sequence of array_like of int, optional
            Channel of each spike, trial by trial.
        labels : sequence of str or int, optional
            Class of each trial: texts or numbers. Whole numbers from 0 are the numbers of classes; of
            others the distinct values, sorted, become the classes. None: all 0.
        n_channels : int, optional
            Number of channels; None: the largest unit plus one, or the number of spike trains.
        duration : Quantity (second), optional
            Length of a trial; None: up to the last spike of all, in whole milliseconds.
        class_names : sequence of str, optional
            All classes in order. Pass ``train.class_names`` for test data.
        sort : bool, optional
            Put the spikes of each trial in order of time, which must otherwise hold.
        name : str, optional
            Name of the data, used in messages.

        Returns
        -------
        SpikeTrials

        Raises
        ------
        ValueError
            Times that look like milliseconds without a unit, decreasing times without ``sort``, lengths
            that do not match, or a label that is none of ``class_names``.

        Examples
        --------
        >>> from brian2 import ms
        >>> from neurosnn.data import SpikeTrials
        >>> trials = SpikeTrials.from_lists([[1, 4]*ms, [2]*ms], [[0, 2], [1]], ["left", "right"])
        >>> trials
        SpikeTrials: 2 trials, 2 classes, 3 channels, 1.5 spikes a trial, 5 ms
        >>> trials.class_names
        ('left', 'right')
        """
        where = name or "from_lists"
        parts, channels, channels_used, with_unit = _spikes_of_lists(times, units, sort, where)
        return cls._from_parts(
            parts,
            channels,
            labels,
            n_channels or channels_used,
            duration,
            class_names,
            name,
            where,
            with_unit,
        )

    @classmethod
    @explained(dt="SpikeTrials.from_dense(array, 1*ms, labels)")
    def from_dense(
        cls,
        array: Any,
        dt: Quantity,
        labels: Sequence[Any] | None = None,
        *,
        class_names: Sequence[str] = (),
        name: str = "",
    ) -> Self:
        """Trials from an array of zeros and ones, (trials, steps, channels).

        Parameters
        ----------
        array : array_like (n_trials, n_steps, n_channels), or sequence of (n_steps, n_channels)
            1 or True where a channel spikes; also a tensor of PyTorch. For arrays (steps, trials,
            channels) write ``array.swapaxes(0, 1)``.
        dt : Quantity (second)
            Width of a step; the spike of step k is at k dt.
        labels : sequence of str or int, optional
            As for :meth:`from_lists`.
        class_names : sequence of str, optional
            All classes in order.
        name : str, optional
            Name of the data, used in messages.

        Returns
        -------
        SpikeTrials
            Each lasts for its steps, also if it ends in silence.

        Raises
        ------
        ValueError
            Another shape, or values other than 0 and 1, such as counts or real values.

        Examples
        --------
        >>> from brian2 import ms
        >>> from neurosnn.data import SpikeTrials
        >>> trials = SpikeTrials.from_dense([[[0, 1], [0, 0], [1, 1]]], 1*ms, ["left"])
        >>> trials[0].times / ms, trials[0].units
        (array([0., 2., 2.]), array([1, 0, 1], dtype=int32))
        """
        where = name or "from_dense"
        width = seconds(dt, "dt", where=where)
        trials = dense_trials(array, where)
        times, units = [], []
        for k, trial in enumerate(trials):
            if trial.dtype.kind not in "biuf" or not np.all((trial == 0) | (trial == 1)):
                raise ValueError(
                    message(
                        f"trial {k} has values other than 0 and 1.",
                        where,
                        "A channel spikes or does not in a step; nothing is rounded.",
                        "Encode real values (encode_current, encode_poisson) or use FrameTrials; for "
                        "counts take a smaller dt.",
                    )
                )
            step, unit = np.nonzero(trial)
            times.append(step * width)
            units.append(unit)
        lengths = np.array([len(trial) for trial in trials]) * width
        return cls._from_parts(
            times, units, labels, trials[0].shape[1], lengths.max() * second, class_names, name, where,
            True, durations=lengths,
        )  # fmt: skip

    @classmethod
    def from_pairs(
        cls, pairs: Iterable[Any], dt: Quantity, *, class_names: Sequence[str] = (), name: str = ""
    ) -> Self:
        """Trials from pairs (x, y): a Dataset or DataLoader of PyTorch, or ``zip(arrays, labels)``.

        Parameters
        ----------
        pairs : iterable of (array, label)
            x is one trial (steps, channels) of zeros and ones, or a batch (trials, steps, channels).
        dt : Quantity (second)
            Width of a step.
        class_names : sequence of str, optional
            All classes in order.
        name : str, optional
            Name of the data, used in messages.

        Returns
        -------
        SpikeTrials

        Raises
        ------
        ValueError
            Items that are not pairs, or as :meth:`from_dense`.

        Examples
        --------
        >>> from brian2 import ms
        >>> from neurosnn.data import SpikeTrials
        >>> pairs = [([[0, 1], [1, 0]], "a"), ([[1, 1]], "b")]
        >>> SpikeTrials.from_pairs(pairs, 1*ms)
        SpikeTrials: 2 trials, 2 classes, 2 channels, 2 spikes a trial, 2 ms
        """
        arrays, labels = samples(pairs, name or "from_pairs")
        return cls.from_dense(arrays, dt, labels, class_names=class_names, name=name)

    @classmethod
    def from_monitors(
        cls,
        monitors: Sequence[Any],
        labels: Sequence[Any] | None = None,
        *,
        n_channels: int | None = None,
        duration: Quantity | None = None,
        class_names: Sequence[str] = (),
        name: str = "",
    ) -> Self:
        """Trials from the spike monitors of Brian2, one a trial, or from pairs ``(i, t)``.

        Parameters
        ----------
        monitors : sequence of SpikeMonitor or of (i, t)
            What was recorded in each trial: neurons, and times from its start.
        labels : sequence of str or int, optional
            As for :meth:`from_lists`.
        n_channels : int, optional
            None: the size of the monitored group, or the largest neuron of the pairs plus one.
        duration : Quantity (second), optional
            Length of a trial; None: up to the last spike of all, in whole milliseconds.
        class_names : sequence of str, optional
            All classes in order.
        name : str, optional
            Name of the data, used in messages.

        Returns
        -------
        SpikeTrials

        Raises
        ------
        TypeError
            An item that is neither a monitor nor a pair.
        ValueError
            As :meth:`from_lists`.

        Examples
        --------
        >>> from brian2 import ms
        >>> from neurosnn.data import SpikeTrials
        >>> SpikeTrials.from_monitors([([0, 1], [2, 3]*ms)], ["a"], duration=5*ms)
        SpikeTrials: 1 trials, 1 classes, 2 channels, 2 spikes a trial, 5 ms
        """
        where = name or "from_monitors"
        if hasattr(monitors, "i") and hasattr(monitors, "t"):
            monitors = [monitors]
        units, times, sizes = [], [], set()
        for k, monitor in enumerate(monitors):
            if hasattr(monitor, "i") and hasattr(monitor, "t"):
                units.append(np.asarray(monitor.i[:]))
                times.append(Quantity(np.array(monitor.t[:], dtype=float), dim=second.dim))
                if hasattr(monitor, "source"):
                    sizes.add(len(monitor.source))
            elif isinstance(monitor, tuple | list) and len(monitor) == 2:
                units.append(monitor[0])
                times.append(monitor[1])
            else:
                raise TypeError(
                    message(
                        f"item {k} is a {type(monitor).__name__}.",
                        where,
                        "Each trial is a SpikeMonitor or a pair (i, t).",
                        "Pass for example [(monitor.i[:], monitor.t[:])].",
                    )
                )
        if n_channels is None and sizes:
            n_channels = max(sizes)
        return cls.from_lists(
            times, units, labels, n_channels=n_channels, duration=duration, class_names=class_names,
            sort=True, name=name,
        )  # fmt: skip

    @classmethod
    def _from_parts(
        cls,
        times: list[np.ndarray],
        units: list[np.ndarray],
        labels: Any,
        n_channels: int,
        duration: Any,
        class_names: Sequence[str],
        name: str,
        where: str,
        with_unit: bool,
        durations: np.ndarray | None = None,
    ) -> Self:
        flat = np.concatenate([np.empty(0), *times])
        if not with_unit and duration is None and looks_like_milliseconds(flat):
            raise milliseconds_error(flat, where)
        labels = np.zeros(len(times), dtype=np.int64) if labels is None else labels
        numbers, names = as_classes(labels, class_names, where=where, n=len(times))
        made: Self = cast(Any, cls)(
            times=Quantity(flat, dim=second.dim) if with_unit else flat,
            units=np.concatenate([np.empty(0, dtype=np.int64), *units]).astype(np.int64),
            offsets=np.cumsum([0, *map(len, times)]),
            labels=numbers,
            n_channels=n_channels,
            duration=duration,
            durations=durations,
            class_names=names,
            name=name,
        )
        return made


def _spikes_of_lists(
    times: Any, units: Any, sort: bool, where: str
) -> tuple[list[np.ndarray], list[np.ndarray], int, bool]:
    """Times [s] and units of each trial, the number of channels, and whether the times had a unit."""
    if isinstance(times, str) or not hasattr(times, "__len__"):
        raise TypeError(
            message(
                f"times is of type {type(times).__name__}.",
                where,
                "It holds one array of spike times a trial.",
                "Pass a list of arrays, for example [[1, 3]*ms, [2]*ms].",
            )
        )
    if units is not None and len(units) != len(times):
        raise ValueError(
            message(
                f"{len(times)} trials in times and {len(units)} in units.",
                where,
                "Each trial has both.",
                "Pass one array of units a trial.",
            )
        )
    all_times, all_units, n, with_unit = [], [], 0, True
    for k in range(len(times)):
        here = f"{where}, trial {k}"
        if units is None:
            trains = [in_seconds(train, where=here) for train in _rows(times[k], here)]
            n = max(n, len(trains))
            t = np.concatenate([np.empty(0), *(train for train, _ in trains)])
            unit = np.repeat(np.arange(len(trains)), [len(train) for train, _ in trains])
            with_unit &= all(has for train, has in trains if len(train))
            order = np.argsort(
                t, kind="stable"
            )  # trains are merged, so that there is an order to find
            if not sort and any(np.any(np.diff(train) < 0) for train, _ in trains):
                raise _unsorted(here)
        else:
            t, has = in_seconds(times[k], where=here)
            with_unit &= has or not len(t)
            unit = integers(as_array(units[k]), "units", where=here, length=len(t))
            n = max(n, int(unit.max(initial=-1)) + 1)
            order = np.argsort(t, kind="stable") if sort else np.arange(len(t))
            if not sort and np.any(np.diff(t) < 0):
                raise _unsorted(here)
        all_times.append(t[order])
        all_units.append(unit[order])
    return all_times, all_units, max(n, 1), with_unit


def _rows(trial: Any, where: str) -> Iterable[Any]:
    """The spike trains of one trial."""
    if hasattr(trial, "rescale") or isinstance(trial, Quantity) or not hasattr(trial, "__len__"):
        raise ValueError(
            message(
                "without units a trial is a list of spike trains, one a channel.",
                where,
                "A single array of times does not say which channel spiked.",
                "Pass units, or one array of times a channel.",
            )
        )
    if len(trial) and not any(hasattr(item, "__len__") for item in trial):
        raise ValueError(
            message(
                "the trial is one row of times without units.",
                where,
                "It does not say which channel spiked.",
                "Pass units, or one array of times a channel.",
            )
        )
    return list(trial)


def _unsorted(where: str) -> ValueError:
    return ValueError(
        message(
            "times decrease.",
            where,
            "Simulators walk through a trial in time order.",
            "Pass sort=True, or sort each trial by time.",
        )
    )
