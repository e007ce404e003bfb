"""E-prop: online in Brian2, factored on the engine."""

from neurosnn.rules.eprop.rule import EProp

__all__ = ["EProp"]
