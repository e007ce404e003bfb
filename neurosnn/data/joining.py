"""Sets of trials joined into one: one after the other, or side by side."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from brian2.units.allunits import second

from neurosnn.core.messages import message
from neurosnn.data.frame_trials import FrameTrials
from neurosnn.data.spike_trials import SpikeTrials

__all__ = ["join_channels", "join_trials"]


def join_trials(*sets: Any, name: str = "") -> Any:
    """One set of the trials of several, in their order.

    Classes are those of all sets, by their names: label 0 of two sets becomes two classes if they name
    it differently. Speakers likewise.

    Parameters
    ----------
    *sets : SpikeTrials, or FrameTrials
        All of one kind, with the same channels (and the same frame).
    name : str, optional
        Name of the whole; that of the first set if empty.

    Returns
    -------
    SpikeTrials or FrameTrials

    Raises
    ------
    TypeError
        Things of different kinds, or none.
    ValueError
        Different numbers of channels or frames, or speakers or labels that only some sets have.

    Examples
    --------
    >>> from brian2 import ms
    >>> from neurosnn.data import SpikeTrials, join_trials
    >>> a = SpikeTrials.from_lists([[1]*ms], [[0]], ["left"], n_channels=2)
    >>> b = SpikeTrials.from_lists([[2]*ms, [1]*ms], [[1], [0]], ["right", "left"], n_channels=2)
    >>> both = join_trials(a, b)
    >>> both.labels, both.class_names
    (array([0, 1, 0]), ('left', 'right'))
    """
    _check_kind(sets, "join_trials")
    for field in ("n_channels", "frame"):
        values = {float(getattr(trials, field, 0)) for trials in sets}
        if len(values) > 1:
            raise ValueError(
                message(
                    f"the sets differ in {field}: {', '.join(f'{v:g}' for v in sorted(values))}.",
                    "join_trials",
                    "A channel means the same in all trials.",
                    "Make them alike first.",
                )
            )
    labels, class_names = _merged(sets, "labels", "class_names")
    speaker, speaker_names = _merged(sets, "speaker", "speaker_names")
    common: dict[str, Any] = {
        "offsets": np.cumsum(np.concatenate([[0], *(np.diff(trials.offsets) for trials in sets)])),
        "labels": labels,
        "class_names": class_names,
        "speaker": speaker,
        "speaker_names": speaker_names,
        "name": name or sets[0].name,
    }
    if isinstance(sets[0], FrameTrials):
        named = [trials.trial_names or ("",) * len(trials) for trials in sets]
        return FrameTrials(
            features=np.concatenate([trials.features for trials in sets]),
            frame=sets[0].frame,
            trial_names=sum(named, ()) if any(trials.trial_names for trials in sets) else (),
            **common,
        )
    return SpikeTrials(
        times=np.concatenate([trials.times for trials in sets]) * second,
        units=np.concatenate([trials.units for trials in sets]),
        n_channels=sets[0].n_channels,
        duration=max(float(trials.duration) for trials in sets) * second,
        durations=np.concatenate([trials.durations for trials in sets]),
        **common,
    )


def _check_kind(sets: tuple[Any, ...], where: str) -> None:
    kinds = {type(trials) for trials in sets}
    if len(kinds) != 1 or not kinds <= {SpikeTrials, FrameTrials}:
        raise TypeError(
            message(
                f"{', '.join(sorted(kind.__name__ for kind in kinds)) or 'nothing'} cannot be joined.",
                where,
                "All sets hold spikes, or all hold frames.",
                "Pass SpikeTrials only, or FrameTrials only.",
            )
        )


def join_channels(*sets: Any, name: str = "") -> Any:
    """One set whose trials have the channels of several sets side by side.

    Trial k has the channels of trial k of the first set, then those of the second: what the inputs of a
    graph read, ``input={"ears": Input(40), "eyes": Input(20)}``, in their order.

    Parameters
    ----------
    *sets : SpikeTrials, or FrameTrials
        All of one kind, with as many trials; frames of the same lengths. Labels, names and all else are those
        of the first set.
    name : str, optional
        Name of the whole; that of the first set if empty.

    Returns
    -------
    SpikeTrials or FrameTrials

    Raises
    ------
    TypeError
        Things of different kinds, or none.
    ValueError
        Different numbers of trials, lengths, or labels.

    Examples
    --------
    >>> from brian2 import ms
    >>> from neurosnn.data import SpikeTrials, join_channels
    >>> ears = SpikeTrials.from_lists([[1, 3]*ms], [[0, 1]], ["left"], n_channels=2)
    >>> eyes = SpikeTrials.from_lists([[2]*ms], [[4]], ["left"], n_channels=5)
    >>> both = join_channels(ears, eyes)
    >>> both.n_channels, both[0].units
    (7, array([0, 6, 1], dtype=int32))
    """
    _check_kind(sets, "join_channels")
    first = sets[0]
    for field in ("n_trials", "labels", "class_names", "frame", "lengths"):
        values = [
            len(trials) if field == "n_trials" else getattr(trials, field, None) for trials in sets
        ]
        if not all(np.array_equal(value, values[0]) for value in values):
            raise ValueError(
                message(
                    f"the sets differ in {field}.",
                    "join_channels",
                    "Trial k of the whole is made of the trials k of all sets.",
                    "Select the same trials in the same order, with the same classes.",
                )
            )
    if isinstance(first, FrameTrials):
        features = np.concatenate([trials.features for trials in sets], axis=1)
        return dataclasses.replace(first, features=features, name=name or first.name)
    starts = np.cumsum([0, *(trials.n_channels for trials in sets)])
    trial = np.concatenate([np.repeat(np.arange(len(t)), np.diff(t.offsets)) for t in sets])
    times = np.concatenate([np.asarray(trials.times, float) for trials in sets])
    units = np.concatenate([t.units + start for t, start in zip(sets, starts, strict=False)])
    order = np.lexsort((times, trial))
    return dataclasses.replace(
        first,
        times=times[order],
        units=units[order],
        offsets=np.searchsorted(trial[order], np.arange(len(first) + 1)),
        n_channels=int(starts[-1]),
        duration=max(float(trials.duration) for trials in sets) * second,
        durations=np.max([trials.durations for trials in sets], axis=0),
        name=name or first.name,
    )


def _merged(sets: Any, field: str, names_of: str) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Numbers of all sets by the names of all, in the order in which they first appear."""
    numbers_of_sets = [getattr(trials, field) for trials in sets]
    if all(numbers is None for numbers in numbers_of_sets):
        return None, ()
    if any(numbers is None for numbers in numbers_of_sets):
        raise ValueError(
            message(
                f"only some of the sets have {field}.",
                "join_trials",
                "The others have none.",
                f"Take it from all: dataclasses.replace(trials, {field}=None).",
            )
        )
    all_names = [getattr(trials, names_of) for trials in sets]
    if not any(all_names):
        return np.concatenate(numbers_of_sets), ()
    names: dict[str, int] = {}
    merged = []
    for numbers, set_names in zip(numbers_of_sets, all_names, strict=True):
        set_names = set_names or tuple(map(str, range(int(numbers.max(initial=-1)) + 1)))
        place = np.array([names.setdefault(text, len(names)) for text in set_names] + [-1])
        merged.append(place[numbers])
    return np.concatenate(merged), tuple(names)
