"""STDP windows of e-prop for the published neurons: how each is held, and whether it answers."""

from __future__ import annotations

import warnings

import numpy as np
from brian2 import ms

from neurosnn import EProp, analysis
from zoo.published import DT, PublishedNeuron

__all__ = ["window"]


def window(neuron: PublishedNeuron) -> str:
    """The protocol of the window at lags -2, 0 and 2 ms, or the error, or what is wrong with the values."""
    lags = {"max_lag": 2 * ms, "step": 2 * ms, "dt": DT * ms, "duration": 10 * ms}
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            dw = np.asarray(
                analysis.stdp_window(EProp(), post=neuron.single, background=0, **lags).dw
            )
        except ValueError as error:
            return str(error)
    if not (np.isfinite(dw).all() and dw[2] != 0):
        return f"dw = {dw}"
    clamped = any("is clamped" in str(warning.message) for warning in said)
    return "clamped" if clamped else "at rest"
