"""Training: trainers, the one loop, updates, callbacks, history and checkpoints."""

from neurosnn.training.equilibrium import EquilibriumTrainer
from neurosnn.training.rate_equilibrium import RateEquilibrium
from neurosnn.training.rate_finder import find_learning_rate
from neurosnn.training.report import reproducibility_report
from neurosnn.training.trainer import Trainer

__all__ = [
    "EquilibriumTrainer",
    "RateEquilibrium",
    "Trainer",
    "find_learning_rate",
    "reproducibility_report",
]
