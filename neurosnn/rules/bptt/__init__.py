"""Backpropagation through time."""

from neurosnn.rules.bptt.rule import BPTT

__all__ = ["BPTT"]
