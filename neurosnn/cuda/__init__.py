"""Training on a graphics processor: the engine's own text, run by the threads of a CUDA block."""

from neurosnn.cuda.backend import CudaEngine, KeptGradient

__all__ = ["CudaEngine", "KeptGradient"]
