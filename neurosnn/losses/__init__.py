"""What a network is trained for."""

from neurosnn.losses.event_losses import FirstSpike, MaxCrossEntropy
from neurosnn.losses.readout_losses import (
    CrossEntropy,
    CrossEntropyPerStep,
    Loss,
    MeanSquareError,
    as_loss,
)

__all__ = [
    "CrossEntropy",
    "CrossEntropyPerStep",
    "FirstSpike",
    "Loss",
    "MaxCrossEntropy",
    "MeanSquareError",
    "as_loss",
]
