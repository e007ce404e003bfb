"""Sets of trials joined to one, class by class name."""

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
    kinds = {type(one) for one in sets}
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
        values = {float(getattr(one, field, 0)) for one in sets}
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
        "offsets": np.cumsum(np.concatenate([[0], *(np.diff(one.offsets) for one in sets)])),
        "labels": labels,
        "class_names": class_names,
        "speaker": speaker,
        "speaker_names": speaker_names,
        "name": name or sets[0].name,
    }
    if isinstance(sets[0], FrameTrials):
        named = [one.trial_names or ("",) * len(one) for one in sets]
        return FrameTrials(
            features=np.concatenate([one.features for one in sets]),
            frame=sets[0].frame,
            trial_names=sum(named, ()) if any(one.trial_names for one in sets) else (),
            **common,
        )
    return SpikeTrials(
        times=np.concatenate([one.times for one in sets]) * second,
        units=np.concatenate([one.units for one in sets]),
        n_channels=sets[0].n_channels,
        duration=max(float(one.duration) for one in sets) * second,
        durations=np.concatenate([one.durations for one in sets]),
        **common,
    )


def _merged(sets: Any, field: str, names_of: str) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Numbers of all sets after the names that all have together, in the order of first sight."""
    given = [getattr(one, field) for one in sets]
    if all(numbers is None for numbers in given):
        return None, ()
    if any(numbers is None for numbers in given):
        raise ValueError(
            message(
                f"only some of the sets have {field}.",
                "join_trials",
                "The others would be given some.",
                f"Take it from all: dataclasses.replace(trials, {field}=None).",
            )
        )
    all_names = [getattr(one, names_of) for one in sets]
    if not any(all_names):
        return np.concatenate(given), ()
    names: dict[str, int] = {}
    merged = []
    for numbers, own in zip(given, all_names, strict=True):
        own = own or tuple(map(str, range(int(numbers.max(initial=-1)) + 1)))
        place = np.array([names.setdefault(text, len(names)) for text in own] + [-1])
        merged.append(place[numbers])
    return np.concatenate(merged), tuple(names)
