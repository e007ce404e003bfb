"""Equilibrium propagation with spikes."""

from neurosnn.rules.equilibrium.network import EquilibriumNetwork

__all__ = ["EquilibriumNetwork"]
