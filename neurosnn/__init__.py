"""Learning rules for spiking networks, derived from Brian2 equation strings.

``equations`` holds neurons and plasticity rules, ``data`` recordings and readers, ``analysis``
plasticity curves and plots; the names below build, train and export networks.
"""

from neurosnn.core.citation import citation
from neurosnn.core.draws import Draws
from neurosnn.losses import (
    CrossEntropy,
    CrossEntropyPerStep,
    FirstSpike,
    MaxCrossEntropy,
    MeanSquareError,
)
from neurosnn.model import NeuronModel, PlasticityRule, Range
from neurosnn.model.heterogeneity import gamma_distributed
from neurosnn.network import (
    Connection,
    Input,
    Layer,
    PoissonDrive,
    Population,
    Projection,
    Readout,
    SpikingNetwork,
)
from neurosnn.rules.bptt import BPTT
from neurosnn.rules.eprop import EProp
from neurosnn.rules.eventprop import EventProp
from neurosnn.standalone.export import export, read_results, write_inputs
from neurosnn.training import Trainer
from neurosnn.training.fit_model import (
    ModelFit,
    Simulations,
    VanRossumLoss,
    VoltageLoss,
    fit_model,
    simulate_many,
    spike_features,
)
from neurosnn.training.optimizers import SGD, Adam

__all__ = [
    "BPTT",
    "SGD",
    "Adam",
    "Connection",
    "CrossEntropy",
    "CrossEntropyPerStep",
    "Draws",
    "EProp",
    "EventProp",
    "FirstSpike",
    "Input",
    "Layer",
    "MaxCrossEntropy",
    "MeanSquareError",
    "ModelFit",
    "NeuronModel",
    "PlasticityRule",
    "PoissonDrive",
    "Population",
    "Projection",
    "Range",
    "Readout",
    "Simulations",
    "SpikingNetwork",
    "Trainer",
    "VanRossumLoss",
    "VoltageLoss",
    "citation",
    "export",
    "fit_model",
    "gamma_distributed",
    "read_results",
    "simulate_many",
    "spike_features",
    "write_inputs",
]
