"""How active and how sparse a network is: firing rates, weights, and their distributions."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from brian2.units.allunits import hertz
from brian2.units.fundamentalunits import Quantity, get_dimensions

from neurosnn.analysis.protocols import with_unit
from neurosnn.core.messages import did_you_mean, message

__all__ = [
    "Activity",
    "Histogram",
    "network_activity",
    "rate_distribution",
    "weight_distribution",
]


class Histogram(NamedTuple):
    """A histogram.

    Attributes
    ----------
    edges : ndarray or Quantity, shape (n + 1,)
        Borders of the bins.
    count : ndarray of int, shape (n,)
        How many values fall into each bin; the last bin includes its upper border.
    """

    edges: np.ndarray
    count: np.ndarray


class Activity(NamedTuple):
    """Activity of a layer over some trials.

    Attributes
    ----------
    rates : Quantity (hertz), shape (n_neurons,)
        Mean firing rate of each neuron.
    spikes_per_trial : float
        Spikes of the whole layer, mean over the trials.
    silent : float
        Share of neurons without any spike.
    sparseness : float
        Lifetime sparseness of Vinje & Gallant 2000, from 0 (all trials alike) to 1 (one trial only):
        mean over the neurons that spike; nan for a single trial.
    population_sparseness : float
        The same over the neurons of a trial, mean over the trials with spikes.
    """

    rates: Quantity
    spikes_per_trial: float
    silent: float
    sparseness: float
    population_sparseness: float


def network_activity(net: Any, trials: Any, *, dtype: str = "float32") -> dict[str, Activity]:
    r"""Firing rates and sparseness of each layer of a network.

    .. math:: S = \frac{1 - \langle r \rangle^2 / \langle r^2 \rangle}{1 - 1/n}

    over the n trials of a neuron, or the n neurons of a trial.

    Parameters
    ----------
    net : SpikingNetwork
        The network; it runs on the engine.
    trials : SpikeTrials or FrameTrials
        The input.
    dtype : {"float32", "float64"}, optional
        Numbers of the engine.

    Returns
    -------
    dict of str to Activity
        One for each layer.

    References
    ----------
    Vinje & Gallant, Science 287:1273-1276 (2000); Rolls & Tovee, J. Neurophysiol. 73:713-726 (1995).

    Examples
    --------
    >>> from neurosnn import Input, Layer, Readout, SpikingNetwork, analysis, data, equations
    >>> train, _ = data.spoken_digits(n_bands=8, n_thresholds=1)
    >>> net = SpikingNetwork(Input(8), Layer(equations.LIF(), 10, weight_scale=4.), Readout(10))
    >>> analysis.network_activity(net, train[:5])["hidden"].rates.shape
    (10,)
    """
    from neurosnn.engine.backend import Engine

    simulation = Engine(net, dtype=dtype).simulate(trials)
    seconds = simulation.n_steps * float(net.dt)
    return {name: activity(count, seconds) for name, count in simulation.counts.items()}


def activity(counts: np.ndarray, seconds: np.ndarray) -> Activity:
    """Activity from spike counts (n_trials, n_neurons) and the length of each trial (n_trials,)."""
    counts = np.asarray(counts, dtype=float)
    rates = counts / np.asarray(seconds)[:, None]
    return Activity(
        rates=counts.sum(axis=0) / np.sum(seconds) * hertz,
        spikes_per_trial=float(counts.sum(axis=1).mean()),
        silent=float(np.mean(counts.sum(axis=0) == 0)),
        sparseness=_sparseness(rates.T),
        population_sparseness=_sparseness(counts),
    )


def _sparseness(rows: np.ndarray) -> float:
    """Mean sparseness of the rows that are not all zero."""
    rows = rows[rows.any(axis=1)]
    n = rows.shape[1]
    if n < 2 or not len(rows):
        return float("nan")
    share = rows.mean(axis=1) ** 2 / (rows**2).mean(axis=1)
    return float(np.mean((1 - share) / (1 - 1 / n)))


def rate_distribution(rates: Quantity, bins: int = 20) -> Histogram:
    """Histogram of firing rates.

    Parameters
    ----------
    rates : Quantity (hertz), shape (n,)
        For example ``network_activity(net, trials)["hidden"].rates``.
    bins : int, default 20
        Number of bins, from zero to the largest rate.

    Returns
    -------
    Histogram
        Borders in hertz and counts.

    Raises
    ------
    ValueError
        If they are no rates.

    Examples
    --------
    >>> from brian2 import Hz
    >>> from neurosnn import analysis
    >>> analysis.rate_distribution([0, 4, 10]*Hz, bins=2).count
    array([2, 1])
    """
    if get_dimensions(rates) is not hertz.dim:
        raise ValueError(
            message(
                f"rates must be in hertz, got {rates!r}.",
                "rate_distribution",
                "",
                "Multiply them by Hz.",
            )
        )
    values = np.asarray(rates, dtype=float)
    count, edges = np.histogram(values, bins, range=(0, max(float(values.max(initial=0)), 1e-12)))
    return Histogram(edges * hertz, count)


def weight_distribution(net: Any, connection: str, bins: int = 40) -> Histogram:
    """Histogram of the weights of a connection.

    Parameters
    ----------
    net : SpikingNetwork
        The network.
    connection : str
        Name of the connection in ``net.connections``.
    bins : int, default 40
        Number of bins, between the smallest and the largest weight.

    Returns
    -------
    Histogram
        Borders, in the unit of the weight, and counts of existing synapses.

    Raises
    ------
    ValueError
        If there is no such connection.

    Examples
    --------
    >>> from neurosnn import Input, Layer, Readout, SpikingNetwork, analysis, equations
    >>> net = SpikingNetwork(Input(8), Layer(equations.LIF(), 10), Readout(2))
    >>> int(analysis.weight_distribution(net, "readout").count.sum())
    20
    """
    if connection not in net.connections:
        raise ValueError(
            message(
                f"there is no connection '{connection}'.",
                "weight_distribution",
                "",
                did_you_mean(connection, net.connections),
            )
        )
    part = net.connections[connection]
    w = np.asarray(part.w, dtype=float)
    count, edges = np.histogram(w if part.mask is None else w[part.mask], bins)
    return Histogram(with_unit(edges, part.dimensions), count)
