"""Fit a neuron to recordings, and simulate many sets of parameters, in one generated program."""

from neurosnn.training.fit_model.fit import fit_model
from neurosnn.training.fit_model.losses import VanRossumLoss, VoltageLoss
from neurosnn.training.fit_model.result import ModelFit
from neurosnn.training.fit_model.simulate_many import Simulations, simulate_many, spike_features

__all__ = [
    "ModelFit",
    "Simulations",
    "VanRossumLoss",
    "VoltageLoss",
    "fit_model",
    "simulate_many",
    "spike_features",
]
