"""Equilibrium propagation with spikes."""

from neurosnn.rules.equilibrium.engine import EquilibriumEngine
from neurosnn.rules.equilibrium.network import EquilibriumNetwork
from neurosnn.rules.equilibrium.wiring import Convolution

__all__ = ["Convolution", "EquilibriumEngine", "EquilibriumNetwork"]
