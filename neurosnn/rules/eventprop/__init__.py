"""EventProp: exact gradients by the adjoint of a hybrid system."""

from neurosnn.rules.eventprop.rule import EventProp

__all__ = ["EventProp"]
