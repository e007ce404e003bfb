"""A user's own lists, arrays, monitors and pairs, as the flat arrays of spike and frame trials."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Self, cast

import numpy as np
from brian2.units.allunits import second
from brian2.units.fundamentalunits import Quantity, get_dimensions

from neurosnn.core.messages import message
from neurosnn.data.checks import integers, seconds
from neurosnn.data.labels import as_array, as_classes

__all__ = ["OwnFrames", "OwnSpikes", "in_seconds", "looks_like_milliseconds", "milliseconds_error"]

#: Spikes without a unit from this moment on are hardly seconds [s].
LONG = 10.0


def looks_like_milliseconds(times: np.ndarray) -> bool:
    """Whether plain numbers that should be seconds are rather milliseconds: large, or all whole."""
    if not times.size or not np.all(np.isfinite(times)):
        return False
    last = float(times.max())
    return last >= LONG or (last >= 1 and bool(np.all(times == np.floor(times))))


def milliseconds_error(times: np.ndarray, where: str) -> ValueError:
    """The error for such numbers."""
    return ValueError(
        message(
            f"times reach {float(times.max()):g} and have no unit: are they milliseconds?",
            where,
            "Plain numbers are read as seconds.",
            "Write times*ms, or times*second if they are seconds (from brian2 import ms, second).",
        )
    )


def in_seconds(times: Any, *, where: str) -> tuple[np.ndarray, bool]:
    """Times as float seconds, and whether they came with a unit (Brian2's, or as Neo's arrays)."""
    if hasattr(times, "rescale"):
        return np.asarray(times.rescale("s").magnitude, dtype=float).ravel(), True
    if isinstance(times, list | tuple) and any(isinstance(t, Quantity) for t in times):
        try:
            times = Quantity([Quantity(t) for t in times])
        except Exception as error:  # of whichever dimensions Brian2 complains
            raise ValueError(
                message("the times have different units.", where, "", "Write all of them in ms.")
            ) from error
    dim = get_dimensions(times) if isinstance(times, Quantity) else None
    if dim is not None and dim is not second.dim:
        raise ValueError(
            message(
                f"times must be times, got {times.get_best_unit()}.",
                where,
                "They say when each spike occurs.",
                "Pass times with a unit such as t*ms.",
            )
        )
    values = as_array(times)
    if values.ndim != 1 or (values.size and values.dtype.kind not in "fiu"):
        raise ValueError(
            message(
                f"times of a trial have shape {values.shape} of {values.dtype}.",
                where,
                "Each trial is one row of numbers.",
                "Pass one array of times a trial.",
            )
        )
    return values.astype(float), dim is not None


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


def _samples(pairs: Any, where: str) -> tuple[list[np.ndarray], list[Any]]:
    """Arrays (steps, channels) and labels of pairs, each of one trial or of a batch of them."""
    arrays, labels = [], []
    for k, pair in enumerate(pairs):
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise ValueError(
                message(
                    f"item {k} is a {type(pair).__name__}, not a pair (x, y).",
                    where,
                    "Each item holds the values of a trial, or a batch, and its label.",
                    "Pass a Dataset or DataLoader of pairs, or zip(arrays, labels).",
                )
            )
        x, y = as_array(pair[0]), pair[1]
        if x.ndim == 2:
            arrays.append(x)
            labels.append(as_array(y).item() if np.ndim(y) == 0 else y)
        elif x.ndim == 3:
            arrays.extend(x)
            values = as_array(y)
            labels.extend(values.tolist() if values.ndim == 1 else list(values))
        else:
            raise ValueError(
                message(
                    f"x of item {k} has shape {x.shape}.",
                    where,
                    "A trial has shape (steps, channels), a batch (trials, steps, channels).",
                    "Reorder the axes or flatten images: x.reshape(len(x), steps, -1).",
                )
            )
    if len(labels) != len(arrays):
        raise ValueError(
            message(
                f"{len(arrays)} trials and {len(labels)} labels.",
                where,
                "",
                "Pass one label a trial.",
            )
        )
    if not arrays:
        raise ValueError(message("there are no pairs.", where, "", "Check the data set."))
    return arrays, labels


def _dense(array: Any, where: str) -> list[np.ndarray]:
    """One array (steps, channels) a trial."""
    if not isinstance(array, list | tuple):
        array = as_array(array)
        if array.ndim != 3:
            fix = "Write array[None] for a single trial." if array.ndim == 2 else "Reshape it."
            raise ValueError(
                message(
                    f"the array has shape {array.shape}.",
                    where,
                    "Its axes are (trials, steps, channels).",
                    fix,
                )
            )
    trials = [as_array(trial) for trial in array]
    shapes = {trial.shape[1:] for trial in trials}
    if (
        not trials
        or any(trial.ndim != 2 or 0 in trial.shape for trial in trials)
        or len(shapes) > 1
    ):
        found = sorted({trial.shape for trial in trials})
        raise ValueError(
            message(
                f"the trials have the shapes {', '.join(map(str, found[:4])) or '(none)'}.",
                where,
                "A trial is an array (steps, channels); all have the same channels.",
                "Reorder its axes, and give every trial a step.",
            )
        )
    return trials


class OwnSpikes:
    """How SpikeTrials are made of what people have."""

    __slots__ = ()

    @classmethod
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
        parts, channels, found, with_unit = _spikes_of_lists(times, units, sort, where)
        return cls._from_parts(
            parts,
            channels,
            labels,
            n_channels or found,
            duration,
            class_names,
            name,
            where,
            with_unit,
        )

    @classmethod
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
        trials = _dense(array, where)
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
        arrays, labels = _samples(pairs, name or "from_pairs")
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


class OwnFrames:
    """How FrameTrials are made of what people have."""

    __slots__ = ()

    @classmethod
    def from_dense(
        cls,
        array: Any,
        frame: Quantity,
        labels: Sequence[Any] | None = None,
        *,
        class_names: Sequence[str] = (),
        name: str = "",
    ) -> Self:
        """Trials from real values, (trials, frames, channels).

        Parameters
        ----------
        array : array_like (n_trials, n_frames, n_channels), or sequence of (n_frames, n_channels)
            Values of each frame; trials of a sequence may differ in length. Also a tensor of PyTorch.
        frame : Quantity (second)
            Time from one frame to the next.
        labels : sequence of str or int, or of arrays (n_frames,), optional
            Class of each trial, which all its frames get, or classes of the frames of each trial (-1:
            not scored). As for :meth:`SpikeTrials.from_lists`.
        class_names : sequence of str, optional
            All classes in order.
        name : str, optional
            Name of the data, used in messages.

        Returns
        -------
        FrameTrials

        Raises
        ------
        ValueError
            Another shape, or labels that do not fit.

        Examples
        --------
        >>> import numpy as np
        >>> from brian2 import ms
        >>> from neurosnn.data import FrameTrials
        >>> FrameTrials.from_dense(np.ones((2, 3, 4)), 10*ms, ["a", "b"]).labels
        array([0, 0, 0, 1, 1, 1])
        """
        where = name or "from_dense"
        trials = _dense(array, where)
        lengths = np.array([len(trial) for trial in trials])
        numbers, names = None, tuple(map(str, class_names))
        if labels is not None:
            if len(labels) != len(trials):
                raise ValueError(
                    message(
                        f"there are {len(labels)} labels for {len(trials)} trials.",
                        where,
                        "Each trial has a class, or one a frame.",
                        "Pass one label, or one array of labels, a trial.",
                    )
                )
            if any(np.ndim(label) for label in labels):
                rows = [as_array(row) for row in labels]
                wrong = [k for k, row in enumerate(rows) if row.shape != (lengths[k],)]
                if wrong:
                    raise ValueError(
                        message(
                            f"trial {wrong[0]} has {lengths[wrong[0]]} frames and labels of shape "
                            f"{rows[wrong[0]].shape}.",
                            where,
                            "There is one label a frame.",
                            "Pass one label, or one array of labels, a trial.",
                        )
                    )
                flat = np.concatenate(rows)
                numbers = np.full(len(flat), -1, dtype=np.int64)
                counts = flat != -1 if flat.dtype.kind in "iuf" else np.ones(len(flat), dtype=bool)
                numbers[counts], names = as_classes(flat[counts], class_names, where=where)
            else:
                numbers, names = as_classes(labels, class_names, where=where)
                numbers = np.repeat(numbers, lengths)
        made: Self = cast(Any, cls)(
            features=np.concatenate(trials),
            offsets=np.cumsum([0, *lengths]),
            frame=frame,
            labels=numbers,
            class_names=names,
            name=name,
        )
        return made

    @classmethod
    def from_pairs(
        cls,
        pairs: Iterable[Any],
        frame: Quantity,
        *,
        class_names: Sequence[str] = (),
        name: str = "",
    ) -> Self:
        """Trials from pairs (x, y): a Dataset or DataLoader of PyTorch, or ``zip(arrays, labels)``.

        Parameters
        ----------
        pairs : iterable of (array, label)
            x is one trial (frames, channels), or a batch (trials, frames, channels); y the class of a
            trial or those of its frames.
        frame : Quantity (second)
            Time from one frame to the next.
        class_names : sequence of str, optional
            All classes in order.
        name : str, optional
            Name of the data, used in messages.

        Returns
        -------
        FrameTrials

        Raises
        ------
        ValueError
            Items that are not pairs, or as :meth:`from_dense`.

        Examples
        --------
        >>> from brian2 import ms
        >>> from neurosnn.data import FrameTrials
        >>> FrameTrials.from_pairs([([[0.5], [0.25]], 1), ([[1.0]], 0)], 10*ms).labels
        array([1, 1, 0])
        """
        arrays, labels = _samples(pairs, name or "from_pairs")
        return cls.from_dense(arrays, frame, labels, class_names=class_names, name=name)
