"""Trials for and from other packages: HDF5 as of the Heidelberg digits, event arrays, Neo."""

from __future__ import annotations

import io
import numbers
from collections.abc import Sequence
from os import PathLike
from typing import Any

import numpy as np
from brian2.units import Quantity, second

from neurosnn.core.files import atomic_file
from neurosnn.core.messages import message
from neurosnn.core.optional import import_optional
from neurosnn.data.checks import seconds
from neurosnn.data.labels import as_classes
from neurosnn.data.spike_trials import SpikeTrials

__all__ = ["from_events", "from_neo", "spike_trains", "to_neo", "write_shd"]


def write_shd(path: str | PathLike[str], trials: SpikeTrials) -> None:
    """Write trials as HDF5 in the layout of the Spiking Heidelberg Digits.

    ``spikes/times`` (seconds) and ``spikes/units`` hold one array a trial, ``labels`` the classes,
    ``extra/keys`` their names and ``extra/speaker`` who spoke, if known.

    Parameters
    ----------
    path : path
        The file; written whole or not at all.
    trials : SpikeTrials
        What to write.

    Raises
    ------
    ImportError
        h5py is not installed.
    OSError
        The file cannot be written; an earlier one stays intact.

    Notes
    -----
    Deviations from the original files: times are float64 and not float16, which would move spikes by
    up to 0.5 ms, and the attributes of the file give the number of channels and the duration.

    Examples
    --------
    >>> from neurosnn import data
    >>> _, test = data.spoken_digits()
    >>> data.write_shd("shd_test.h5", test)  # doctest: +SKIP
    """
    h5py = import_optional("h5py", where="write_shd")
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for name, values, dtype in (("times", trials.times, "f8"), ("units", trials.units, "u2")):
            parts = np.split(np.asarray(values), trials.offsets[1:-1])
            stored = file.create_dataset(
                f"spikes/{name}", (len(trials),), dtype=h5py.vlen_dtype(np.dtype(dtype))
            )
            for k, part in enumerate(parts):
                stored[k] = part.astype(dtype)
        file["labels"] = np.asarray(trials.labels, dtype=np.int64)
        names = trials.class_names or tuple(map(str, range(trials.n_classes)))
        file["extra/keys"] = np.array([name.encode() for name in names])
        if trials.speaker is not None:
            file["extra/speaker"] = np.asarray(trials.speaker, dtype=np.int64)
        file.attrs["n_channels"] = trials.n_channels
        file.attrs["duration"] = float(trials.duration)
    with atomic_file(path) as target:
        target.write(buffer.getvalue())


def from_events(
    recordings: Sequence[np.ndarray],
    labels: Sequence[Any],
    *,
    sensor_size: tuple[int, int, int],
    duration: Quantity | None = None,
    time_unit: Quantity = 1e-6 * second,
    class_names: Sequence[str] = (),
    name: str = "",
) -> SpikeTrials:
    """Trials from structured arrays of events, as the package tonic gives them.

    Parameters
    ----------
    recordings : sequence of structured array
        One a trial, with the field "t" and any of "x", "y" and "p"; in any order of time.
    labels : sequence of int or str
        Class of each, as for :meth:`SpikeTrials.from_lists`.
    sensor_size : tuple of int (width, height, polarities)
        As in tonic; 1 for what the events do not have. Channel ``(p*height + y)*width + x``.
    duration : Quantity (second), optional
        Length of a trial; later events are left out. None: up to the last event.
    time_unit : Quantity (second), default 1 us
        What "t" counts.
    class_names : sequence of str, optional
        Names of the classes.
    name : str, optional
        Name of the data, used in messages.

    Returns
    -------
    SpikeTrials
        Times in float64, sorted inside a trial.

    Raises
    ------
    ValueError
        For an array without "t", an event outside of the sensor or before zero, or labels that do not
        fit.

    Examples
    --------
    >>> import numpy as np
    >>> from neurosnn import data
    >>> events = np.array([(1000, 3, 1), (2000, 0, 0)], dtype=[("t", int), ("x", int), ("p", int)])
    >>> data.from_events([events], [0], sensor_size=(4, 1, 2)).units
    array([7, 0], dtype=int32)
    """
    where = name or "from_events"
    unit = seconds(time_unit, "time_unit", where=where)
    limit = np.inf if duration is None else seconds(duration, "duration", where=where)
    sizes = dict(zip(("x", "y", "p"), sensor_size, strict=True))
    if len(recordings) != len(labels):
        raise ValueError(
            message(
                f"{len(recordings)} recordings and {len(labels)} labels.",
                where,
                "Each recording has a class.",
                "Pass one label a recording.",
            )
        )
    times, units = [np.empty(0)], [np.empty(0, dtype=np.int32)]
    for k, events in enumerate(recordings):
        fields = getattr(getattr(events, "dtype", None), "names", None) or ()
        if "t" not in fields:
            raise ValueError(
                message(
                    f"recording {k} is not an array of events.",
                    where,
                    "It has no field 't'.",
                    "Pass structured arrays with the fields t, x, y, p as tonic's data sets do.",
                )
            )
        t = np.asarray(events["t"], dtype=float) * unit
        index = {name: np.asarray(events[name], dtype=np.int64) for name in sizes if name in fields}
        for axis, values in index.items():
            if values.size and (values.min() < 0 or values.max() >= sizes[axis]):
                raise ValueError(
                    message(
                        f"recording {k} has an event at {axis} = {values.max()}.",
                        where,
                        f"The sensor has {sizes[axis]} of them.",
                        "Check sensor_size = (width, height, polarities).",
                    )
                )
        if t.size and t.min() < 0:
            raise ValueError(
                message(
                    f"recording {k} starts at {t.min():g} s.",
                    where,
                    "Times count from the start of the trial.",
                    "Subtract the first one.",
                )
            )
        order = np.argsort(t, kind="stable")
        order = order[t[order] < limit]
        zero = np.zeros(len(t), dtype=np.int64)
        x, y, p = (index.get(axis, zero) for axis in ("x", "y", "p"))
        times.append(t[order])
        units.append(((p * sizes["y"] + y) * sizes["x"] + x)[order].astype(np.int32))
    classes, names = as_classes(labels, class_names, where=where, n=len(recordings))
    return SpikeTrials(
        times=np.concatenate(times) * second,
        units=np.concatenate(units),
        offsets=np.cumsum([len(t) for t in times]),
        labels=classes,
        n_channels=int(np.prod(sensor_size)),
        duration=duration,
        class_names=names,
        name=name,
    )


def to_neo(trials: SpikeTrials) -> Any:
    """Trials as a Neo block: one segment a trial, one spike train a channel.

    Parameters
    ----------
    trials : SpikeTrials
        What to convert.

    Returns
    -------
    neo.Block
        Segments carry the annotations ``label`` and ``class_name``; channels without spikes are there
        with an empty train.

    Raises
    ------
    ImportError
        Neo is not installed.

    Examples
    --------
    >>> from neurosnn import data
    >>> train, _ = data.spoken_digits(n_bands=8, n_thresholds=1)
    >>> len(data.to_neo(train[:3]).segments)  # doctest: +SKIP
    3
    """
    neo = import_optional("neo", where="to_neo")
    block = neo.Block(name=trials.name, n_channels=trials.n_channels)
    for k in range(len(trials)):
        trial = trials[k]
        label = int(trial.label)
        segment = neo.Segment(
            index=k,
            label=label,
            class_name=trials.class_names[label] if trials.class_names else str(label),
        )
        length = trials.duration if trials.durations is None else trials.durations[k] * second
        segment.spiketrains.extend(
            spike_trains(trial.times, trial.units, trials.n_channels, t_stop=length)
        )
        block.segments.append(segment)
    return block


def spike_trains(times: Quantity, units: np.ndarray, n: int, *, t_stop: Quantity) -> list:
    """Spikes as Neo spike trains, for example those of a SpikeMonitor.

    Parameters
    ----------
    times : Quantity (second), shape (n_spikes,)
        ``monitor.t``.
    units : ndarray of int, shape (n_spikes,)
        ``monitor.i``.
    n : int
        Number of neurons.
    t_stop : Quantity (second)
        End of the recording.

    Returns
    -------
    list of neo.SpikeTrain
        One a neuron, in seconds, annotated with its number as ``unit``.

    Raises
    ------
    ImportError
        Neo is not installed.

    Examples
    --------
    >>> from brian2 import ms
    >>> from neurosnn import data
    >>> trains = data.spike_trains([1, 2]*ms, [0, 0], 2, t_stop=5*ms)  # doctest: +SKIP
    """
    neo = import_optional("neo", where="spike_trains")
    stop = seconds(t_stop, "t_stop", where="spike_trains")
    t, units = np.asarray(times, dtype=float), np.asarray(units)
    return [
        neo.SpikeTrain(np.sort(t[units == unit]), units="s", t_stop=stop, unit=unit)
        for unit in range(n)
    ]


def from_neo(
    block: Any, *, labels: Sequence[Any] | None = None, class_names: Sequence[str] = ()
) -> SpikeTrials:
    """Trials from Neo: one trial a segment, one channel a spike train.

    Parameters
    ----------
    block : neo.Block, list of neo.Segment, or list of lists of neo.SpikeTrain
        Trials, all of the same number of spike trains. A plain list of spike trains is one trial.
    labels : sequence of str or int, optional
        Class of each trial, as for :meth:`SpikeTrials.from_lists`; None: the annotation ``label`` of the
        segments.
    class_names : sequence of str, optional
        All classes in order; those that the annotations ``class_name`` of the segments name if empty.

    Returns
    -------
    SpikeTrials
        Times from the start of each trial; trials last as long as its spike trains.

    Raises
    ------
    ValueError
        If trials have different numbers of trains, or no labels are known.
    TypeError
        For what holds no spike trains.

    Examples
    --------
    >>> from neurosnn import data
    >>> train, _ = data.spoken_digits(n_bands=8, n_thresholds=1)
    >>> data.from_neo(data.to_neo(train[:3])).labels.shape  # doctest: +SKIP
    (3,)
    """
    segments = _trials_of_neo(block)
    sizes = {len(trains) for trains, _ in segments}
    if len(sizes) != 1 or 0 in sizes:
        raise ValueError(
            message(
                f"the segments have {sorted(sizes)} spike trains.",
                "from_neo",
                "The spike trains of a segment are its channels.",
                "Give every segment one spike train a channel, empty where there is no spike.",
            )
        )
    said: dict[int, str] = {}
    if labels is None:
        labels = [notes.get("label") for _, notes in segments]
        if any(label is None for label in labels):
            raise ValueError(
                message(
                    "a segment has no annotation 'label'.",
                    "from_neo",
                    "Each trial has a class.",
                    "Pass labels=[...], for example zeros.",
                )
            )
        if all(isinstance(label, numbers.Integral) for label in labels):
            said = {
                int(notes["label"]): str(notes["class_name"])
                for _, notes in segments
                if "class_name" in notes
            }
    if said and not class_names:
        class_names = [said.get(k, str(k)) for k in range(max(*labels, *said) + 1)]
        labels = np.array(class_names)[np.asarray(labels)]
    times, units, durations = [np.empty(0)], [np.empty(0, dtype=np.int32)], []
    for trains, _ in segments:
        start = min(float(train.t_start.rescale("s")) for train in trains)
        durations.append(max(float(train.t_stop.rescale("s")) for train in trains) - start)
        t = np.concatenate([np.asarray(train.rescale("s").magnitude) for train in trains]) - start
        unit = np.repeat(np.arange(len(trains)), [len(train) for train in trains])
        order = np.argsort(t, kind="stable")
        times.append(t[order])
        units.append(unit[order].astype(np.int32))
    classes, names = as_classes(labels, class_names, where="from_neo", n=len(segments))
    same = len(set(durations)) == 1
    return SpikeTrials(
        times=np.concatenate(times) * second,
        units=np.concatenate(units),
        offsets=np.cumsum([len(t) for t in times]),
        labels=classes,
        n_channels=sizes.pop(),
        duration=max(durations) * second,
        durations=None if same else np.array(durations),
        class_names=names,
        name=getattr(block, "name", "") or "",
    )


def _trials_of_neo(block: Any) -> list[tuple[Any, dict[str, Any]]]:
    """The spike trains and annotations of each trial."""
    if hasattr(block, "segments"):
        block = block.segments
    elif hasattr(block, "spiketrains"):
        block = [block]
    block = list(block)
    if block and all(hasattr(item, "rescale") for item in block):
        block = [block]
    trials = []
    for k, item in enumerate(block):
        trains = getattr(item, "spiketrains", item if isinstance(item, list | tuple) else None)
        if trains is None or not all(hasattr(train, "rescale") for train in trains):
            raise TypeError(
                message(
                    f"trial {k} is a {type(item).__name__} without spike trains.",
                    "from_neo",
                    "A trial is a segment or a list of neo.SpikeTrain.",
                    "For arrays of times use SpikeTrials.from_lists.",
                )
            )
        trials.append((trains, dict(getattr(item, "annotations", {}))))
    return trials
