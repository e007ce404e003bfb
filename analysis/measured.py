"""The STDP window that is in a learning network's own updates, whatever the rule was."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from brian2.units.allunits import msecond as ms
from brian2.units.allunits import second
from brian2.units.fundamentalunits import Quantity, get_dimensions

from neurosnn.analysis.protocols import POSITIVE_TIME, with_unit
from neurosnn.core.messages import did_you_mean, message
from neurosnn.core.values import check_value

__all__ = ["LearningTrial", "MeasuredWindow", "learning_trials", "measured_window"]


class LearningTrial(NamedTuple):
    """Spikes of one trial, and how the weights between two layers changed in it.

    Attributes
    ----------
    pre_t : Quantity (second), shape (n_pre_spikes,)
        When presynaptic neurons spiked.
    pre_i : ndarray of int, shape (n_pre_spikes,)
        Which of them did.
    post_t : Quantity (second), shape (n_post_spikes,)
        When postsynaptic neurons spiked.
    post_i : ndarray of int, shape (n_post_spikes,)
        Which of them did.
    dw : ndarray or Quantity, shape (n_pre, n_post)
        Change of each weight; nan where there is no synapse.
    """

    pre_t: Quantity
    pre_i: np.ndarray
    post_t: Quantity
    post_i: np.ndarray
    dw: np.ndarray


class MeasuredWindow(NamedTuple):
    """Window estimated from the updates of a network.

    Attributes
    ----------
    lag : Quantity (second), shape (n,)
        ``t_post - t_pre``, the middle of each bin.
    dw : ndarray or Quantity, shape (n,)
        Change of a weight per pair of spikes with this lag.
    pairs : ndarray of int, shape (n,)
        How many pairs there were.
    control : ndarray or Quantity, shape (n_shuffles, n)
        The same from updates that were dealt out to the synapses at random.
    """

    lag: Quantity
    dw: np.ndarray
    pairs: np.ndarray
    control: np.ndarray


def measured_window(
    trials: Iterable[LearningTrial],
    *,
    max_lag=50 * ms,
    step=5 * ms,
    estimate: str = "kernel",
    n_shuffles: int = 20,
    seed: int = 0,
) -> MeasuredWindow:
    r"""The window that explains the weight changes of a network by its pairs of spikes.

    .. math:: \Delta w_{ij} \approx c + \sum_b n_{ij}(b)\, K(b)

    where :math:`n_{ij}(b)` is the number of pairs of the synapse whose lag is in bin b. "kernel" gives
    the least-squares K: pairs that occur together are told apart, and all-to-all pair STDP gives its
    own window back. "mean" gives the mean of ``dw`` over all pairs of a bin, as it is often plotted: a
    synapse's whole change is counted for each of its pairs.

    Parameters
    ----------
    trials : iterable of LearningTrial
        Spikes and weight changes; a rule that updates after each trial, or with each trial on its own.
    max_lag : Quantity (second), default 50 ms
        Pairs that are further apart do not count.
    step : Quantity (second), default 5 ms
        Width of a bin; lags at the border of two belong to the later one, and lag 0 is in the
        middle of a bin.
    estimate : {"kernel", "mean"}, optional
        Least squares, or the mean over pairs.
    n_shuffles : int, default 20
        Controls: in each, the changes of a trial are dealt out to its synapses at random.
    seed : int, optional
        Seed of the shuffles.

    Returns
    -------
    MeasuredWindow
        Window, number of pairs, and controls. A bin without pairs is nan.

    Raises
    ------
    ValueError
        If there are no pairs, shapes do not fit, or a setting is unknown.

    Notes
    -----
    A window found in this way need not be how the rule works: spikes and errors are correlated. The
    control shows what remains of it when the change of a synapse has nothing to do with its pairs.

    Examples
    --------
    >>> import numpy as np
    >>> from brian2 import ms
    >>> from neurosnn import analysis
    >>> trial = analysis.LearningTrial([0, 0]*ms, np.array([0, 1]), [10, 30]*ms, np.array([0, 1]),
    ...                                np.array([[0.2, 0.0], [0.2, 0.0]]))
    >>> window = analysis.measured_window([trial], max_lag=30*ms, step=10*ms)
    >>> window.pairs
    array([0, 0, 0, 0, 2, 0, 2])
    """
    where = "measured_window"
    for name, value in (("max_lag", max_lag), ("step", step)):
        check_value(name, value, POSITIVE_TIME, where=where)
    if estimate not in ("kernel", "mean"):
        raise ValueError(
            message(
                f"estimate={estimate!r} is not known.",
                where,
                "",
                did_you_mean(str(estimate), ("kernel", "mean")),
            )
        )
    n_side = round(float(max_lag) / float(step))
    if n_side < 1:
        raise ValueError(
            message(
                f"max_lag = {max_lag} is shorter than a bin of {step}.",
                where,
                "There would be one bin.",
                "Choose a shorter step.",
            )
        )
    width = 2 * n_side + 1
    generator = np.random.default_rng(seed)
    counts, changes, shuffled, dimensions = [], [], [], None
    for trial in trials:
        _check(trial, where)
        dimensions = get_dimensions(trial.dw)
        dw = np.asarray(trial.dw, dtype=float).ravel()
        spike_pairs = _count(trial, float(step), n_side)
        there = np.isfinite(dw)
        counts.append(spike_pairs[there])
        changes.append(dw[there])
        shuffled.append([generator.permutation(dw[there]) for _ in range(n_shuffles)])
    n = np.concatenate(counts) if counts else np.zeros((0, width))
    pairs = n.sum(axis=0).astype(int)
    if not pairs.any():
        raise ValueError(
            message(
                "there is no pair of spikes.",
                where,
                "Without pairs there is no window.",
                "Pass trials in which both layers spike, or a longer max_lag.",
            )
        )
    columns = np.column_stack(
        [np.concatenate(changes)]
        + [np.concatenate([shuffles[k] for shuffles in shuffled]) for k in range(n_shuffles)]
    )
    dw = (_kernel if estimate == "kernel" else _mean)(n, columns)
    dw[pairs == 0] = np.nan
    lag = np.arange(-n_side, n_side + 1) * float(step) * second
    return MeasuredWindow(
        lag, with_unit(dw[:, 0], dimensions), pairs, with_unit(dw[:, 1:].T, dimensions)
    )


def learning_trials(trainer, trials, connection: str) -> list[LearningTrial]:
    """Spikes of each trial and the update ``-gradient`` that a trainer's rule makes of it.

    Parameters
    ----------
    trainer : Trainer
        Its network and rule; nothing is learned. The spikes come from the engine.
    trials : SpikeTrials
        The trials.
    connection : str
        Which connection between layers, by its name in ``trainer.net.connections``.

    Returns
    -------
    list of LearningTrial
        One a trial, for :func:`measured_window`; changes for a learning rate of 1.

    Raises
    ------
    ValueError
        If there is no such connection, or it ends at the readout, which has no spikes.

    Examples
    --------
    >>> from brian2 import ms
    >>> from neurosnn import EProp, Input, Layer, Readout, SpikingNetwork, Trainer, data, equations
    >>> from neurosnn import analysis
    >>> trials = data.SpikeTrials(times=[0.001, 0.002], units=[0, 1], offsets=[0, 1, 2],
    ...                           labels=[0, 1], n_channels=2, duration=10*ms)
    >>> net = SpikingNetwork(Input(2), Layer(equations.LIF(), 4, weight_scale=9.), Readout(2))
    >>> trainer = Trainer(net, EProp())
    >>> analysis.learning_trials(trainer, trials, "input")[0].dw.shape
    (2, 4)
    """
    from neurosnn.engine.backend import Engine

    net = trainer.net
    known = [name for name, synapses in net.connections.items() if synapses.target != "readout"]
    if connection not in known:
        raise ValueError(
            message(
                f"there is no connection '{connection}' between neurons that spike.",
                "learning_trials",
                "",
                did_you_mean(connection, known),
            )
        )
    part = net.connections[connection]
    spikes = Engine(net, dtype=trainer.dtype).simulate(trials).spikes
    result = []
    for k in range(len(trials)):
        gradient = trainer.gradient(trials[k : k + 1])[f"{connection}.w"]
        dw = np.full(part.shape, np.nan)
        for synapses in part.by_channel():
            dw[synapses.pre, synapses.post] = -gradient[synapses.where]
        if part.source in net.inputs:
            channels = net.channels(part.source)
            own = (trials[k].units >= channels.start) & (trials[k].units < channels.stop)
            pre_t, pre_i = trials[k].times[own], trials[k].units[own] - channels.start
        else:
            step, pre_i = spikes[part.source][k]
            pre_t = step * float(net.dt) * second
        step, post_i = spikes[part.target][k]
        result.append(LearningTrial(pre_t, pre_i, step * float(net.dt) * second, post_i, dw))
    return result


def _check(trial: LearningTrial, where: str) -> None:
    shape = np.shape(trial.dw)
    fits = len(shape) == 2 and all(
        np.shape(t) == np.shape(i) and (not len(i) or (np.min(i) >= 0 and np.max(i) < n))
        for t, i, n in zip(trial[0:4:2], trial[1:4:2], shape, strict=True)
    )
    if not fits:
        raise ValueError(
            message(
                f"the spikes do not fit changes of the shape {shape}.",
                where,
                "dw has a row for each presynaptic and a column for each postsynaptic neuron, and "
                "each spike a time and a neuron.",
                "Check pre_i, post_i and dw.",
            )
        )


def _count(trial: LearningTrial, step: float, n_side: int) -> np.ndarray:
    """Pairs of each synapse in each bin, shape (n_pre*n_post, 2*n_side + 1)."""
    n_pre, n_post = np.shape(trial.dw)
    pre_t, post_t = (np.asarray(t, dtype=float) for t in (trial.pre_t, trial.post_t))
    # A thousandth of a bin makes times that rounding has moved fall where they belong.
    bins = np.floor((post_t[None, :] - pre_t[:, None]) / step + 0.501).astype(int) + n_side
    pre, post = np.nonzero((bins >= 0) & (bins <= 2 * n_side))
    width = 2 * n_side + 1
    synapse = np.asarray(trial.pre_i)[pre].astype(int) * n_post + np.asarray(trial.post_i)[post]
    flat = np.bincount(synapse * width + bins[pre, post], minlength=n_pre * n_post * width)
    return flat.reshape(n_pre * n_post, width).astype(float)


def _kernel(n: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Least squares with a constant; shape (bins, columns)."""
    design = np.column_stack([n, np.ones(len(n))])
    return np.linalg.lstsq(design, columns, rcond=None)[0][:-1]


def _mean(n: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Mean over the pairs of each bin; shape (bins, columns)."""
    return (n.T @ columns) / np.maximum(n.sum(axis=0), 1)[:, None]
