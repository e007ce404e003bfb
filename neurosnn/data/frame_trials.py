"""Trials of real-valued frames with one label a frame, for speech and other sequences."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from brian2.units import Quantity, ms, second

from neurosnn.core.arguments import explained
from neurosnn.core.texts import check_plain_text
from neurosnn.data.checks import frozen, integers, plain_names, seconds
from neurosnn.data.own_frames import OwnFrames
from neurosnn.data.trial_set import TrialSet, gather_rows, row_of


class FrameTrial(NamedTuple):
    """One trial.

    Attributes
    ----------
    features : numpy.ndarray of float32 (n_frames, n_channels)
        One row a frame.
    labels : numpy.ndarray of int64 (n_frames,) or None
        Class of each frame, -1 where it is not scored.
    """

    features: np.ndarray
    labels: np.ndarray | None


class Padded(NamedTuple):
    """Trials padded to one length.

    Attributes
    ----------
    features : numpy.ndarray of float32 (n_trials, longest, n_channels)
        Zero beyond the end.
    labels : numpy.ndarray of int64 (n_trials, longest) or None
        -1 beyond the end.
    mask : numpy.ndarray of bool (n_trials, longest)
        True where a frame exists.
    """

    features: np.ndarray
    labels: np.ndarray | None
    mask: np.ndarray


@explained(positional="Write FrameTrials.from_dense(array, 10*ms, labels), or the name of each.")
@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class FrameTrials(OwnFrames, TrialSet):
    """An immutable set of trials of different lengths, each a sequence of feature frames.

    Frame j of trial k is ``features[offsets[k] + j]`` and stands for the time ``j * frame``. From data of
    another shape they are made with :meth:`from_dense` and :meth:`from_pairs`.

    Parameters
    ----------
    features : array_like of float (n_frames, n_channels)
        Frames of all trials, one trial after the other. Stored as float32.
    offsets : array_like of int (n_trials + 1,)
        Where each trial starts, and the end of the last.
    frame : Quantity
        Time from one frame to the next [s].
    labels : array_like of int (n_frames,) or None
        Class of each frame, 0 to n_classes - 1, or -1 for frames that are not scored.
    class_names : sequence of str
        One name a class. Empty: the classes are numbered, up to the largest label.
    speaker : array_like of int (n_trials,) or None
        Who spoke.
    speaker_names : sequence of str
        Name of each speaker number.
    trial_names : sequence of str
        For example the file each trial came from.
    name : str
        Name of the data, used in messages.

    Attributes
    ----------
    n_channels, n_classes : int
        Features a frame, and number of classes.
    lengths : numpy.ndarray of int64 (n_trials,)
        Frames of each trial.

    Raises
    ------
    ValueError
        Features that are not finite or not two-dimensional, offsets that do not run from 0 to
        n_frames, labels out of range, lengths that do not match.

    Examples
    --------
    >>> import numpy as np
    >>> from brian2.units import ms
    >>> from neurosnn.data import FrameTrials
    >>> trials = FrameTrials(features=np.ones((5, 2)), offsets=[0, 2, 5], frame=10*ms,
    ...                      labels=[0, 0, 1, 1, 0])
    >>> trials
    FrameTrials: 2 trials, 2 classes, 2 channels, 2 to 3 frames of 10 ms
    >>> trials.padded().mask
    array([[ True,  True, False],
           [ True,  True,  True]])
    """

    features: np.ndarray
    offsets: np.ndarray
    frame: Quantity
    labels: np.ndarray | None = None
    class_names: tuple[str, ...] = ()
    speaker: np.ndarray | None = None
    speaker_names: tuple[str, ...] = ()
    trial_names: tuple[str, ...] = ()
    name: str = ""

    def __post_init__(self):
        where = self._label()
        features = np.array(self.features, dtype=np.float32)
        if features.ndim != 2 or features.shape[1] == 0:
            raise ValueError(
                f"{where}: features must have shape (n_frames, n_channels), got {features.shape}. "
                f"Trials lie one after the other. Concatenate them along the first axis."
            )
        offsets = integers(self.offsets, "offsets", where=where)
        wrong_ends = len(offsets) == 0 or offsets[0] != 0 or offsets[-1] != len(features)
        if wrong_ends or np.any(np.diff(offsets) < 0):
            raise ValueError(
                f"{where}: offsets must rise from 0 to the number of frames {len(features)}, got "
                f"{offsets}. Otherwise frames belong to no trial. Use "
                f"np.append(0, np.cumsum(frames_per_trial))."
            )
        bad = ~np.isfinite(features).all(axis=1)
        if bad.any():
            k = int(np.searchsorted(offsets, np.argmax(bad), side="right")) - 1
            raise ValueError(
                f"{where}: features of trial {k} hold a value that is not finite. It would spread "
                f"through the network. Check how the features were made (log of zero?)."
            )
        n_trials = len(offsets) - 1
        class_names = plain_names(self.class_names, "class_names", where=where)
        check_plain_text(self.name, field="name", where=type(self).__name__, longest=1000)
        labels = self.labels
        if labels is not None:
            labels = integers(labels, "labels", where=where, length=len(features))
            n = len(class_names)
            if labels.size and (labels.min() < -1 or (n and labels.max() >= n)):
                bad = int(labels.min()) if labels.min() < -1 else int(labels.max())
                raise ValueError(
                    f"{where}: label {bad} is out of range. Labels number the classes from 0 to "
                    f"{n - 1 if n else 'n_classes - 1'}, -1 marks frames that are not scored. "
                    f"Renumber them."
                )
            labels = frozen(labels)
        speaker = self.speaker
        if speaker is not None:
            speaker = frozen(integers(speaker, "speaker", where=where, length=n_trials))
        trial_names = plain_names(self.trial_names, "trial_names", where=where)
        if trial_names and len(trial_names) != n_trials:
            raise ValueError(
                f"{where}: trial_names has {len(trial_names)} items where {n_trials} are needed. "
                f"There must be one for each trial. Pass {n_trials} names or none."
            )
        values = {
            "features": frozen(features),
            "offsets": frozen(offsets),
            "frame": seconds(self.frame, "frame", where=where) * second,
            "labels": labels,
            "class_names": class_names,
            "speaker": speaker,
            "speaker_names": plain_names(self.speaker_names, "speaker_names", where=where),
            "trial_names": trial_names,
        }
        for key, value in values.items():
            object.__setattr__(self, key, value)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __repr__(self):
        title = f"FrameTrials {self.name!r}" if self.name else "FrameTrials"
        lengths = self.lengths
        span = f"{lengths.min()} to {lengths.max()}" if len(lengths) else "0"
        classes = "no labels" if self.labels is None else f"{self.n_classes} classes"
        return (
            f"{title}: {len(self)} trials, {classes}, {self.n_channels} channels, {span} frames "
            f"of {float(self.frame / ms):g} ms"
        )

    @property
    def n_channels(self) -> int:
        """Number of features a frame."""
        return self.features.shape[1]

    @property
    def n_classes(self) -> int:
        """Number of classes: of the names, or the largest label plus one."""
        if self.labels is None:
            return len(self.class_names)
        return len(self.class_names) or int(self.labels.max(initial=-1)) + 1

    @property
    def lengths(self) -> np.ndarray:
        """Number of frames of each trial."""
        return np.diff(self.offsets)

    @property
    def duration(self) -> Quantity:
        """Length of the longest trial [s]: its frames times ``frame``."""
        return int(self.lengths.max(initial=0)) * self.frame

    def _strata(self):
        return np.zeros(len(self), dtype=np.int64)

    def _trial(self, k):
        part = slice(self.offsets[k], self.offsets[k + 1])
        return FrameTrial(self.features[part], None if self.labels is None else self.labels[part])

    def _take(self, index):
        offsets, flat = gather_rows(self.offsets, index)
        values = {"features": frozen(self.features[flat]), "offsets": frozen(offsets)}
        if self.labels is not None:
            values["labels"] = frozen(self.labels[flat])
            values["class_names"] = self.class_names or tuple(map(str, range(self.n_classes)))
        if self.speaker is not None:
            values["speaker"] = frozen(self.speaker[index])
        if self.trial_names:
            values["trial_names"] = tuple(self.trial_names[i] for i in index)
        return self._replaced(values)

    def _replaced(self, values):
        new = object.__new__(type(self))
        for key, value in {**self.__dict__, **values}.items():
            object.__setattr__(new, key, value)
        return new

    def padded(self) -> Padded:
        """All trials as one dense array, filled up with zeros.

        Returns
        -------
        Padded
            NamedTuple of features float32 (n_trials, longest, n_channels), labels int64
            (n_trials, longest) with -1 beyond the end (None without labels), and mask bool
            (n_trials, longest), true where a frame exists.
        """
        lengths = self.lengths
        row = row_of(self.offsets)
        column = np.arange(len(self.features)) - self.offsets[:-1][row]
        shape = (len(self), int(lengths.max(initial=0)))
        features = np.zeros((*shape, self.n_channels), dtype=np.float32)
        features[row, column] = self.features
        mask = np.zeros(shape, dtype=bool)
        mask[row, column] = True
        labels = None
        if self.labels is not None:
            labels = np.full(shape, -1, dtype=np.int64)
            labels[row, column] = self.labels
        return Padded(features, labels, mask)


def standardize(train: FrameTrials, *others: FrameTrials) -> tuple[FrameTrials, ...]:
    """Z-score every feature with the mean and standard deviation of the training frames.

    ``x' = (x - mean_train) / std_train``, per channel over all training frames; a channel that
    never changes is only centred.

    Parameters
    ----------
    train : FrameTrials
        The set whose statistics are used.
    *others : FrameTrials
        Sets scaled with the training statistics, so that nothing is learned from them.

    Returns
    -------
    tuple of FrameTrials
        The scaled training set and the scaled others.

    Raises
    ------
    ValueError
        The training set has no frame, or a set has another number of channels.

    Examples
    --------
    >>> from brian2.units import ms
    >>> from neurosnn.data import FrameTrials, standardize
    >>> train = FrameTrials(features=[[1.0], [3.0]], offsets=[0, 2], frame=10*ms)
    >>> standardize(train)[0].features.ravel()
    array([-1.,  1.], dtype=float32)
    """
    if len(train.features) == 0:
        raise ValueError(
            "standardize: the training set has no frames. Its mean is what the others are scaled "
            "by. Pass a set with frames first."
        )
    mean = train.features.mean(axis=0, dtype=np.float64)
    std = train.features.std(axis=0, dtype=np.float64)
    std[std == 0] = 1.0
    scaled = []
    for trials in (train, *others):
        if trials.n_channels != train.n_channels:
            raise ValueError(
                f"standardize: a set has {trials.n_channels} channels, the training set "
                f"{train.n_channels}. They are scaled channel by channel. Make both with the same "
                f"settings."
            )
        features = ((trials.features - mean) / std).astype(np.float32)
        scaled.append(trials._replaced({"features": frozen(features)}))
    return tuple(scaled)
