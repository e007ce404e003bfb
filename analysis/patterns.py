"""How a plasticity rule answers to triplets, quadruplets and any other pattern of spikes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from brian2.units.allunits import hertz
from brian2.units.allunits import msecond as ms
from brian2.units.fundamentalunits import Quantity

from neurosnn.analysis.learners import learner
from neurosnn.analysis.pairing import quadruplet_spikes, spike_steps, triplet_spikes
from neurosnn.analysis.protocols import Pairs, Train, private_brian, with_unit
from neurosnn.core.messages import message
from neurosnn.core.values import Range, check_value, check_whole, whole_steps
from neurosnn.model import NeuronModel

__all__ = [
    "QuadrupletCurve",
    "TripletChanges",
    "pattern_change",
    "quadruplet_curve",
    "triplet_changes",
]


class TripletChanges(NamedTuple):
    """Change of a weight by triplets of spikes.

    Attributes
    ----------
    first : Quantity (second), shape (n,)
        ``t_post - t_pre`` of the first two spikes.
    second : Quantity (second), shape (n,)
        ``t_post - t_pre`` of the last two spikes.
    dw : ndarray or Quantity, shape (n,)
        Change of the weight by all repetitions together.
    order : str
        "pre-post-pre" or "post-pre-post".
    """

    first: Quantity
    second: Quantity
    dw: np.ndarray
    order: str


class QuadrupletCurve(NamedTuple):
    """Change of a weight by quadruplets of spikes.

    Attributes
    ----------
    separation : Quantity (second), shape (n,)
        Time from the middle of the post-pre pair to the middle of the pre-post pair.
    dw : ndarray or Quantity, shape (n,)
        Change of the weight by all repetitions together.
    """

    separation: Quantity
    dw: np.ndarray


def pattern_change(
    rule,
    pre_spikes: Sequence[Quantity],
    post_spikes: Sequence[Quantity],
    *,
    n_repeats: int = 60,
    rate=1 * hertz,
    post: NeuronModel | None = None,
    background: float = 0.6,
    weight=None,
    delay=None,
    dt=1 * ms,
) -> np.ndarray:
    """Change of a weight by patterns of spikes that are repeated.

    All patterns are independent pairs of neurons in one Brian2 simulation.

    Parameters
    ----------
    rule : PlasticityRule or EProp
        The rule.
    pre_spikes, post_spikes : sequence of Quantity (second)
        Presynaptic and postsynaptic times of each pattern, from a common origin; may be negative.
    n_repeats : int, default 60
        How often each pattern is repeated (Wang et al. 2005: 60).
    rate : Quantity (hertz), default 1 Hz
        How often a second.
    post : NeuronModel, optional
        Postsynaptic neuron; needed by rules that read its state.
    background : float, default 0.6
        Where v of `post` is held, see :func:`stdp_window`.
    weight : float or Quantity, optional
        Weight before the first spike; the middle between the bounds if None.
    delay : Quantity (second), optional
        Delay of the synapse.
    dt : Quantity (second), default 1 ms
        Time step.

    Returns
    -------
    ndarray or Quantity, shape (n_patterns,)
        Changes of the weight by all repetitions together.

    Raises
    ------
    ValueError
        If patterns would overlap, a pattern has two spikes of a neuron at a time, or as
        :func:`stdp_window`.

    Examples
    --------
    >>> from brian2 import Hz, ms
    >>> from neurosnn import analysis, equations
    >>> rule = equations.PairSTDP(A_plus=0.01)
    >>> analysis.pattern_change(rule, [[0]*ms], [[10, 12]*ms], n_repeats=1).round(5)
    array([0.01155])
    """
    where = "pattern_change"
    check_value("rate", rate, Range(0 * hertz), where=where)
    delay_steps = 0 if delay is None else whole_steps("delay", delay, dt, where=where)
    check_whole("n_repeats", n_repeats, 1, where=where)
    if len(pre_spikes) != len(post_spikes) or not len(pre_spikes):
        raise ValueError(
            message(
                f"{len(pre_spikes)} patterns of presynaptic and {len(post_spikes)} of "
                "postsynaptic spikes.",
                where,
                "Each pattern has both.",
                "Pass two lists of the same length, at least one.",
            )
        )
    steps = [
        [spike_steps(times, dt, where) for times in side] for side in (pre_spikes, post_spikes)
    ]
    used = np.concatenate([train for side in steps for train in side])
    period = round(1 / (float(np.asarray(rate)) * float(dt)))
    if np.ptp(used) >= period:
        raise ValueError(
            message(
                f"a pattern takes {np.ptp(used)} steps and comes every {period}.",
                where,
                "Patterns would overlap and change.",
                "Choose a lower rate or shorter patterns.",
            )
        )
    learn = learner(rule, post, 1.0)
    first = learn.lead(dt) - used.min()
    with private_brian(dt):
        trains = (_train(side, first, period, n_repeats) for side in steps)
        pairs = Pairs(learn, *trains, post, background, dt, weight=weight, delay=delay)
        pairs.run(first + used.max() + period * (n_repeats - 1) + delay_steps + 2)
        pairs.check_spikes()
        return with_unit(learn.change(), learn.dimensions)


def triplet_changes(
    rule, intervals, *, order: str = "pre-post-pre", n_repeats: int = 60, rate=1 * hertz, **options
) -> TripletChanges:
    """Change of a weight by triplets of spikes (Wang et al. 2005).

    Parameters
    ----------
    rule : PlasticityRule or EProp
        The rule.
    intervals : Quantity (second), shape (n, 2)
        For each triplet the time from its first to its second spike, and from there to the third;
        both positive.
    order : {"pre-post-pre", "post-pre-post"}, optional
        Which neuron spikes when.
    n_repeats : int, default 60
        How often each triplet is repeated.
    rate : Quantity (hertz), default 1 Hz
        How often a second.
    **options
        post, background, weight, delay and dt, as for :func:`pattern_change`.

    Returns
    -------
    TripletChanges
        With intervals as ``t_post - t_pre``: for pre-post-pre the first is positive and the second
        negative, for post-pre-post the other way round.

    Raises
    ------
    ValueError
        If an interval is not positive, the order is unknown, or as :func:`pattern_change`.

    References
    ----------
    Wang, Gerkin, Nauen & Bi, Nat. Neurosci. 8:187-193 (2005); as simulated by Pfister & Gerstner,
    J. Neurosci. 26:9673-9682 (2006).

    Examples
    --------
    >>> from brian2 import Hz, ms
    >>> from neurosnn import analysis, equations
    >>> rule = equations.TripletSTDP(data_set="hippocampus", minimal=True)
    >>> both = [
    ...     analysis.triplet_changes(rule, [[10, 10]]*ms, order=order, n_repeats=10, rate=5*Hz)
    ...     for order in ("pre-post-pre", "post-pre-post")
    ... ]
    >>> bool(both[1].dw[0] > both[0].dw[0])
    True
    """
    where = "triplet_changes"
    sides = triplet_spikes(intervals, order, where)
    dw = pattern_change(rule, *sides, n_repeats=n_repeats, rate=rate, **options)
    sign = 1 if order == "pre-post-pre" else -1
    first, second = (Quantity(x, ms.dim) for x in np.atleast_2d(np.asarray(intervals, float)).T)
    return TripletChanges(sign * first, -sign * second, dw, order)


def quadruplet_curve(
    rule, separations, *, lag=5 * ms, n_repeats: int = 60, rate=1 * hertz, **options
) -> QuadrupletCurve:
    """Change of a weight by a post-pre pair and a pre-post pair, by the time between them.

    Parameters
    ----------
    rule : PlasticityRule or EProp
        The rule.
    separations : Quantity (second), shape (n,)
        Time from the middle of the post-pre pair to the middle of the pre-post pair; negative if the
        pre-post pair comes first.
    lag : Quantity (second), default 5 ms
        Time between the two spikes of a pair (Wang et al. 2005: 5 ms).
    n_repeats : int, default 60
        How often each quadruplet is repeated.
    rate : Quantity (hertz), default 1 Hz
        How often a second.
    **options
        post, background, weight, delay and dt, as for :func:`pattern_change`.

    Returns
    -------
    QuadrupletCurve
        Separations and weight changes.

    Raises
    ------
    ValueError
        If the two pairs would overlap, or as :func:`pattern_change`.

    References
    ----------
    Wang, Gerkin, Nauen & Bi, Nat. Neurosci. 8:187-193 (2005); as simulated by Pfister & Gerstner,
    J. Neurosci. 26:9673-9682 (2006).

    Examples
    --------
    >>> from brian2 import Hz, ms
    >>> from neurosnn import analysis, equations
    >>> rule = equations.PairSTDP()
    >>> curve = analysis.quadruplet_curve(rule, [-20, 20]*ms, n_repeats=5, rate=5*Hz)
    >>> curve.dw.shape
    (2,)
    """
    where = "quadruplet_curve"
    pre, post = quadruplet_spikes(separations, lag, where)
    dw = pattern_change(rule, pre, post, n_repeats=n_repeats, rate=rate, **options)
    return QuadrupletCurve(np.atleast_1d(separations), dw)


def _train(patterns: list[np.ndarray], first: int, period: int, n_repeats: int) -> Train:
    """All repetitions of all patterns, one neuron a pattern."""
    starts = first + period * np.arange(n_repeats)
    neuron = np.concatenate([np.full(len(p) * n_repeats, k) for k, p in enumerate(patterns)])
    step = np.concatenate([(starts[:, None] + p).ravel() for p in patterns])
    return Train(neuron, step)
