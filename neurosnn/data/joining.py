"""Sets of trials joined into one, class by class name."""

from __future__ import annotations

from typing import Any

import numpy as np
from brian2.units.allunits import second

from neurosnn.core.messages import message
from neurosnn.data.frame_trials import FrameTrials
from neurosnn.data.spike_trials import SpikeTrials

__all__ = ["join_trials"]


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
    kinds = {type(trials) for trials in sets}
    if len(kinds) != 1 or not kinds <= {SpikeTrials, FrameTrials}:
        raise TypeError(
            message(
                f"{', '.join(sorted(kind.__name__ for kind in kinds)) or 'nothing'} cannot be joined.",
                "join_trials",
                "All sets hold spikes, or all hold frames.",
                "Pass SpikeTrials only, or FrameTrials only.",
            )
        )
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
