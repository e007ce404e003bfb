"""Fixtures of the tests of neurosnn.data."""

import numpy as np
import pytest
from brian2.units import ms

from neurosnn.data import SpikeTrials


@pytest.fixture
def trials():
    """Twelve random trials of three classes and two speakers; the fourth is empty."""
    rng = np.random.default_rng(1)
    counts = rng.integers(5, 40, 12)
    counts[3] = 0
    return SpikeTrials(
        times=np.concatenate([np.sort(rng.random(c) * 0.05) for c in counts]),
        units=rng.integers(0, 20, counts.sum()),
        offsets=np.append(0, np.cumsum(counts)),
        labels=np.arange(12) % 3,
        n_channels=20,
        duration=50 * ms,
        class_names=("a", "b", "c"),
        speaker=np.arange(12) // 6,
        speaker_names=("ann", "ben"),
        name="random",
    )
