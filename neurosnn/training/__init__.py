"""Training: trainers, the one loop, updates, callbacks, history and checkpoints."""

from neurosnn.training.equilibrium import EquilibriumTrainer
from neurosnn.training.rate_equilibrium import RateEquilibrium
from neurosnn.training.trainer import Trainer

__all__ = ["EquilibriumTrainer", "RateEquilibrium", "Trainer"]
