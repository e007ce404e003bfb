"""Readers of public data sets and of the formats they come in."""
