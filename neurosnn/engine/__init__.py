"""The event-driven engine: C++ generated from the equation strings, compiled once."""

from neurosnn.engine.backend import BatchResult, Engine, Simulation
from neurosnn.engine.build import cache_folder, compiler

__all__ = ["BatchResult", "Engine", "Simulation", "cache_folder", "compiler"]
