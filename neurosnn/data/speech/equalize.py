"""Equalization: removes what a voice or a microphone adds to every frame of a recording."""

import numpy as np

from neurosnn.data.checks import fraction, frozen
from neurosnn.data.frame_trials import FrameTrials
from neurosnn.data.trial_set import row_of


def equalize_bands(
    train: FrameTrials, *others: FrameTrials, strength: float = 0.5
) -> tuple[FrameTrials, ...]:
    """Move the mean spectrum of every recording towards that of the training recordings.

    ``x' = clip(x + strength (m_train - m), 0, 1)``, where m is the mean of a recording over its
    frames, band by band, and m_train the mean of m over the training recordings. On logarithmic
    bands a constant filter (a vocal tract, a microphone, a room) is a constant added to every
    frame, which this takes off: the mean normalization of speech recognition.

    Parameters
    ----------
    train : FrameTrials
        The set whose mean spectrum is the aim; frames of `log_mel`, from 0 to 1.
    *others : FrameTrials
        Sets equalized towards the same spectrum; each recording uses its own mean only, so that
        nothing is learned from them.
    strength : float
        0: unchanged. 1: all recordings have the same mean, which also takes off what a short word
        itself says by its mean.

    Returns
    -------
    tuple of FrameTrials
        The equalized training set and the equalized others.

    Raises
    ------
    ValueError
        A strength outside 0..1, no training recording, or a set with other bands.

    Examples
    --------
    >>> from brian2.units import ms
    >>> from neurosnn.data import FrameTrials, equalize_bands
    >>> low = FrameTrials(features=[[0.8, 0.0], [0.6, 0.2]], offsets=[0, 2], frame=5*ms)
    >>> high = FrameTrials(features=[[0.1, 0.6], [0.1, 0.8]], offsets=[0, 2], frame=5*ms)
    >>> equalize_bands(low, high, strength=1)[1].features.round(1).tolist()
    [[0.699..., 0.0], [0.699..., 0.2...]]
    """
    where = "equalize_bands"
    strength = fraction(strength, "strength", where=where)
    if not np.any(train.lengths > 0):
        raise ValueError(
            f"{where}: the training set has no frames. Its mean spectrum is the aim for all. Pass "
            f"a set with frames first."
        )
    aim = _means(train)[train.lengths > 0].mean(axis=0)
    equalized = []
    for trials in (train, *others):
        if trials.n_channels != train.n_channels:
            raise ValueError(
                f"{where}: a set has {trials.n_channels} bands, the training set "
                f"{train.n_channels}. They are equalized band by band. Make both with the same "
                f"settings."
            )
        change = strength * (aim - _means(trials))
        features = trials.features + change[row_of(trials.offsets)]
        features = np.clip(features, 0, 1).astype(np.float32)
        equalized.append(trials._replaced({"features": frozen(features)}))
    return tuple(equalized)


def _means(trials):
    """Mean of each recording over its frames, float64 (n_trials, n_channels)."""
    means = np.zeros((len(trials), trials.n_channels))
    (some,) = np.nonzero(trials.lengths)
    sums = np.add.reduceat(trials.features, trials.offsets[some], axis=0, dtype=np.float64)
    means[some] = sums / trials.lengths[some, None]
    return means
