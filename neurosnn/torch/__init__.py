"""Dense learning in PyTorch from the same equation strings; needs the extra ``neurosnn[torch]``."""

try:
    import torch as _torch  # noqa: F401
except ImportError as error:
    raise ImportError(
        "neurosnn.torch: PyTorch is not installed. Dense learning runs in it; everything else does "
        "without. Install it with pip install 'neurosnn[torch]'."
    ) from error

from neurosnn.torch.neuron import State, TorchNeuron, to_torch

__all__ = ["State", "TorchNeuron", "to_torch"]
