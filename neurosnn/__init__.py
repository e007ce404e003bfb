"""Learning rules for spiking networks, derived from Brian2 equation strings.

``equations`` holds neurons and plasticity rules, ``data`` recordings and readers, ``analysis``
plasticity curves and plots; the names below build, train and export networks.
"""

from neurosnn.citation import citation
from neurosnn.event_losses import FirstSpike, MaxCrossEntropy
from neurosnn.export import export, read_results, write_inputs
from neurosnn.heterogeneity import gamma_distributed
from neurosnn.losses import CrossEntropy, CrossEntropyPerStep, MeanSquareError
from neurosnn.model import NeuronModel, Range
from neurosnn.network import Connection, Input, Layer, Readout, SpikingNetwork
from neurosnn.optimizers import SGD, Adam
from neurosnn.plasticity import PlasticityRule
from neurosnn.rules.bptt import BPTT
from neurosnn.rules.eprop import EProp
from neurosnn.rules.eventprop import EventProp
from neurosnn.training import Trainer

__all__ = [
    "BPTT",
    "SGD",
    "Adam",
    "Connection",
    "CrossEntropy",
    "CrossEntropyPerStep",
    "EProp",
    "EventProp",
    "FirstSpike",
    "Input",
    "Layer",
    "MaxCrossEntropy",
    "MeanSquareError",
    "NeuronModel",
    "PlasticityRule",
    "Range",
    "Readout",
    "SpikingNetwork",
    "Trainer",
    "citation",
    "export",
    "gamma_distributed",
    "read_results",
    "write_inputs",
]
