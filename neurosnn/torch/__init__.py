"""Dense learning in PyTorch from the same equation strings; needs the extra ``neurosnn[torch]``."""

from neurosnn.core.optional import import_optional

try:
    import torch as _torch  # noqa: F401
except ImportError:
    import_optional("torch", where="neurosnn.torch")  # says how to get it

from neurosnn.torch.augment import moved
from neurosnn.torch.conversion import Converted, to_brian2
from neurosnn.torch.from_model import to_torch
from neurosnn.torch.layers import Ahead, EveryStep, FixedDropout, StepBatchNorm, Voting
from neurosnn.torch.multiplications import count_multiplications
from neurosnn.torch.neuron import State, TorchNeuron
from neurosnn.torch.operations import count_operations
from neurosnn.torch.plif import Architecture, PLIFNetwork, plif_network, rate_loss
from neurosnn.torch.recurrent import SequenceNetwork, SpikingRecurrent
from neurosnn.torch.sequences import cut, fit_sequences, log_posteriors, score
from neurosnn.torch.training import accuracy, fit, image_tensors

__all__ = [
    "Ahead",
    "Architecture",
    "Converted",
    "EveryStep",
    "FixedDropout",
    "PLIFNetwork",
    "SequenceNetwork",
    "SpikingRecurrent",
    "State",
    "StepBatchNorm",
    "TorchNeuron",
    "Voting",
    "accuracy",
    "count_multiplications",
    "count_operations",
    "cut",
    "fit",
    "fit_sequences",
    "image_tensors",
    "log_posteriors",
    "moved",
    "plif_network",
    "rate_loss",
    "score",
    "to_brian2",
    "to_torch",
]
