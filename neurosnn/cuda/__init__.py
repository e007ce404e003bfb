"""Training on a graphics processor: the engine's own text, run by the threads of a CUDA block."""

from neurosnn.cuda.backend import CudaEngine, why_not

__all__ = ["CudaEngine", "why_not"]
