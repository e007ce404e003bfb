"""Derivatives of the strings of a model: one step, the hybrid flow, filters."""
