"""Networks as data: parts, connections, weights; as stock Brian2 objects and in files."""

from neurosnn.network.network import (
    Connection,
    Input,
    Layer,
    PoissonDrive,
    Population,
    Projection,
    Readout,
    SpikingNetwork,
)

__all__ = [
    "Connection",
    "Input",
    "Layer",
    "PoissonDrive",
    "Population",
    "Projection",
    "Readout",
    "SpikingNetwork",
]
