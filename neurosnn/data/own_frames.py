"""Frame trials of a user's arrays and pairs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Self, cast

import numpy as np
from brian2.units.fundamentalunits import Quantity

from neurosnn.core.arguments import explained
from neurosnn.core.messages import message
from neurosnn.data.labels import as_array, as_classes
from neurosnn.data.own_arrays import (
    dense_trials,
    samples,
)

__all__ = ["OwnFrames"]


class OwnFrames:
    """How FrameTrials are made of a user's arrays and pairs."""

    __slots__ = ()

    @classmethod
    @explained(dt="FrameTrials.from_dense(array, 10*ms, labels)")
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
        trials = dense_trials(array, where)
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
        arrays, labels = samples(pairs, name or "from_pairs")
        return cls.from_dense(arrays, frame, labels, class_names=class_names, name=name)
