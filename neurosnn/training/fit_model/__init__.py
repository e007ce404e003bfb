"""Fit a neuron to recordings: losses, the generated program, the search, the result."""

from neurosnn.training.fit_model.fit import fit_model
from neurosnn.training.fit_model.losses import VanRossumLoss, VoltageLoss
from neurosnn.training.fit_model.result import ModelFit

__all__ = ["ModelFit", "VanRossumLoss", "VoltageLoss", "fit_model"]
