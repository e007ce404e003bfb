"""What the engine returns."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

__all__ = ["BatchResult", "Simulation"]


class BatchResult(NamedTuple):
    """Result of a batch of trials.

    Attributes
    ----------
    gradient : dict of str to ndarray
        Mean over the trials, by the names of the network's parameters; empty if not asked for.
    loss : float
        Mean over the trials.
    scores : ndarray (n_trials, n_outputs)
        Weighted sums of the output; their largest entry is the prediction.
    correct, total : int
        Correct and all decisions (trials, or unmasked steps).
    spikes : dict of str to int
        Spikes of each layer.
    counts : dict of str to ndarray (n,)
        Spikes of each neuron, by layer; empty if the backend does not count them.
    """

    gradient: dict[str, np.ndarray]
    loss: float
    scores: np.ndarray
    correct: int
    total: int
    spikes: dict[str, int]
    counts: dict[str, np.ndarray] = {}  # noqa: RUF012 - a NamedTuple has no factories


class Simulation(NamedTuple):
    """What :meth:`Engine.simulate` recorded.

    Attributes
    ----------
    output : ndarray (n_trials, max_steps, n_outputs)
        Readout after each step; not defined after the end of a shorter trial.
    n_steps : ndarray (n_trials,)
        Length of each trial.
    counts : dict of str to ndarray (n_trials, n)
        Spikes of each neuron.
    spikes : dict of str to list of (step, neuron)
        Two int32 arrays a trial and layer.
    states : dict of (str, str) to ndarray (n_trials, max_steps, n)
        Recorded states by (layer, variable), at the start of each step.
    weights : dict of str to ndarray (n_trials, n_synapses)
        Weights at the end of each trial, in SI values, of connections whose synapses change them.
    """

    output: np.ndarray
    n_steps: np.ndarray
    counts: dict[str, np.ndarray]
    spikes: dict[str, list[tuple[np.ndarray, np.ndarray]]]
    states: dict[tuple[str, str], np.ndarray]
    weights: dict[str, np.ndarray] = {}  # noqa: RUF012 - a NamedTuple has no factories
