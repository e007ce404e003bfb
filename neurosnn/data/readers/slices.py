"""Event recordings as a few frames, each of equally many events."""

import numpy as np

from neurosnn.data.checks import positive_int
from neurosnn.data.spike_trials import SpikeTrials


def slice_by_number(trials: SpikeTrials, n_slices: int) -> np.ndarray:
    """Count the events of each channel in slices of equally many events.

    Slice j of a trial with N events holds events ``j*(N//n)`` to ``(j + 1)*(N//n)``, the last one
    the rest as well (Fang et al. 2021, supplement F).

    Parameters
    ----------
    trials : SpikeTrials
        For example of an event camera.
    n_slices : int
        Frames a trial.

    Returns
    -------
    numpy.ndarray of float32 (n_trials, n_slices, n_channels)
        Events; not normalized.

    Raises
    ------
    ValueError
        If n_slices is not a whole number of at least 1.

    Examples
    --------
    >>> from neurosnn.data import SpikeTrials, slice_by_number
    >>> from brian2.units import ms
    >>> trials = SpikeTrials(times=[0, .1, .2, .3, .4], units=[0, 1, 1, 0, 1], offsets=[0, 5],
    ...                      labels=[0], n_channels=2, duration=500*ms)
    >>> slice_by_number(trials, 2)
    array([[[1., 1.],
            [1., 2.]]], dtype=float32)
    """
    n_slices = positive_int(n_slices, "n_slices", where="slice_by_number")
    frames = np.zeros((len(trials), n_slices, trials.n_channels), dtype=np.float32)
    for k, (begin, end) in enumerate(zip(trials.offsets[:-1], trials.offsets[1:], strict=True)):
        per_slice = max((end - begin) // n_slices, 1)
        at = np.minimum(np.arange(end - begin) // per_slice, n_slices - 1)
        np.add.at(frames[k], (at, trials.units[begin:end]), 1.0)
    return frames
