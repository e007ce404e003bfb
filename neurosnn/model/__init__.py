"""Neuron models and plasticity rules as data, and their checks."""

from neurosnn.core.arguments import explained
from neurosnn.core.units import si_unit, unit_text
from neurosnn.core.values import Range
from neurosnn.model.neuron import NeuronModel
from neurosnn.model.plasticity import PlasticityRule

__all__ = ["NeuronModel", "PlasticityRule", "Range", "explained", "si_unit", "unit_text"]
