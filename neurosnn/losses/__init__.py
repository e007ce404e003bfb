"""What a network is trained for: a weight for each step, a value, and the error fed back.

``y_k^t`` is output k of the readout at the end of step t, ``c_t`` the weight of the step.
"""

from neurosnn.losses.base import Loss, StepError
from neurosnn.losses.built_in import BUILT_IN, as_loss
from neurosnn.losses.cross_entropy import CrossEntropy
from neurosnn.losses.cross_entropy_per_step import CrossEntropyPerStep
from neurosnn.losses.first_spike import FirstSpike
from neurosnn.losses.max_cross_entropy import MaxCrossEntropy
from neurosnn.losses.mean_square import MeanSquareError

__all__ = [
    "BUILT_IN",
    "CrossEntropy",
    "CrossEntropyPerStep",
    "FirstSpike",
    "Loss",
    "MaxCrossEntropy",
    "MeanSquareError",
    "StepError",
    "as_loss",
]
