"""Training: the trainer, its loop, updates, callbacks, history and checkpoints."""

from neurosnn.training.trainer import Trainer

__all__ = ["Trainer"]
