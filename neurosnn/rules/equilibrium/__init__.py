"""Equilibrium propagation with spikes."""

from neurosnn.rules.equilibrium.engine import EquilibriumEngine
from neurosnn.rules.equilibrium.network import EquilibriumNetwork

__all__ = ["EquilibriumEngine", "EquilibriumNetwork"]
