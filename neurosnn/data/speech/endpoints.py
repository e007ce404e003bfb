"""End points: where a word begins and ends in its recording."""

import numpy as np

from neurosnn.data.checks import fraction, frozen
from neurosnn.data.frame_trials import FrameTrials
from neurosnn.data.trial_set import row_of


def trim_quiet(trials: FrameTrials, threshold: float) -> FrameTrials:
    """Cut what is quiet before and after the word in every recording.

    With the loudness ``l_j = max_b x_jb`` of frame j in its loudest band b, the frames from the
    first to the last one with ``l_j >= threshold max_j l_j`` are kept; quiet frames between them
    stay. Each recording is cut by itself, so nothing is learned from others. How much silence,
    breath and fading sound surrounds a word differs from speaker to speaker and says nothing of
    the word. The end-point detection by energy of Rabiner & Sambur (1975), with one threshold
    and without their zero crossings.

    Parameters
    ----------
    trials : FrameTrials
        Frames that are not negative, such as those of `log_mel`.
    threshold : float
        0 to 1: 0 keeps everything, 1 only what lies between the loudest frames. On the loudest 45 dB
        of `log_mel` a threshold of 0.7 cuts what is more than 13.5 dB below the loudest frame.

    Returns
    -------
    FrameTrials
        As many trials; frame labels, if there are any, are cut with the frames. A recording of
        zeros, or one without frames, stays as it is.

    Raises
    ------
    ValueError
        A threshold outside 0..1, or frames that are negative.

    References
    ----------
    Rabiner & Sambur, Bell Syst. Tech. J. 54:297-315 (1975).

    Examples
    --------
    >>> from brian2.units import ms
    >>> from neurosnn.data import FrameTrials, trim_quiet
    >>> word = FrameTrials(features=[[0.1], [1.0], [0.2], [0.8], [0.3]], offsets=[0, 5], frame=5*ms)
    >>> trim_quiet(word, 0.7).features.ravel().round(1).tolist()
    [1.0, 0.2..., 0.8...]
    """
    where = "trim_quiet"
    threshold = fraction(threshold, "threshold", where=where)
    if np.any(trials.features < 0):
        raise ValueError(
            f"{where}: some frames are negative. Their size tells how loud they are. Cut the frames "
            f"of log_mel, before they are standardized."
        )
    loudness = trials.features.max(axis=1)
    n = len(trials)
    row = row_of(trials.offsets)
    loudest = np.zeros(n, dtype=np.float32)
    np.maximum.at(loudest, row, loudness)
    (loud,) = np.nonzero(loudness >= np.float32(threshold) * loudest[row])
    first, last = trials.offsets[:-1].copy(), trials.offsets[1:] - 1
    heard, begin = np.unique(row[loud], return_index=True)
    first[heard] = loud[begin]
    last[heard] = loud[np.append(begin[1:], len(loud)) - 1]
    frame = np.arange(len(loudness))
    keep = (frame >= first[row]) & (frame <= last[row])
    offsets = np.append(0, np.cumsum(np.bincount(row[keep], minlength=n)))
    values = {"features": frozen(trials.features[keep]), "offsets": frozen(offsets)}
    if trials.labels is not None:
        values["labels"] = frozen(trials.labels[keep])
        values["class_names"] = trials.class_names or tuple(map(str, range(trials.n_classes)))
    return trials._replaced(values)
