"""How a plasticity rule answers to many pairs of spikes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from brian2.units.allunits import hertz, second
from brian2.units.allunits import msecond as ms
from brian2.units.fundamentalunits import Quantity

from neurosnn.analysis.learners import learner
from neurosnn.analysis.protocols import Pairs, Train, private_brian, with_unit
from neurosnn.core.messages import message
from neurosnn.core.values import Range, check_value, whole_steps
from neurosnn.model import NeuronModel

__all__ = ["FrequencyCurve", "pairing_frequency_curve"]


class FrequencyCurve(NamedTuple):
    """Change of a weight by repeated pairs of spikes, for many frequencies.

    Attributes
    ----------
    frequency : Quantity (hertz), shape (n,)
        How often the pair is repeated, as simulated: one over a whole number of time steps.
    dw : ndarray or Quantity, shape (n,)
        Change of the weight by all pairs together.
    """

    frequency: Quantity
    dw: np.ndarray


def pairing_frequency_curve(
    rule,
    frequencies,
    *,
    lag=10 * ms,
    n_pairs: int = 60,
    post: NeuronModel | None = None,
    background: float = 0.6,
    weight=None,
    delay=None,
    dt=1 * ms,
) -> FrequencyCurve:
    """Change of a weight by pairs of spikes that are repeated at different frequencies.

    The protocol of Sjoestroem et al. 2001: `n_pairs` pairs with a fixed lag. All frequencies are
    independent pairs of neurons in one Brian2 simulation; the lowest one sets the time it takes.

    Parameters
    ----------
    rule : PlasticityRule
        The rule.
    frequencies : Quantity (hertz), shape (n,)
        Frequencies of the pairs.
    lag : Quantity (second), default 10 ms
        ``t_post - t_pre``.
    n_pairs : int, default 60
        Number of pairs (Pfister & Gerstner 2006: 60).
    post : NeuronModel, optional
        Postsynaptic neuron; needed by rules that read its state.
    background : float, default 0.6
        Where v of `post` is held, see :func:`stdp_window`.
    weight : float or Quantity, optional
        Weight before the first pair; the middle between the bounds if None.
    delay : Quantity (second), optional
        Delay of the synapse.
    dt : Quantity (second), default 1 ms
        Time step.

    Returns
    -------
    FrequencyCurve
        Frequencies and weight changes.

    Raises
    ------
    ValueError
        If an interval between pairs is not longer than the lag, or as :func:`stdp_window`.

    References
    ----------
    Sjoestroem, Turrigiano & Nelson, Neuron 32:1149-1164 (2001).

    Examples
    --------
    >>> from brian2 import Hz, ms
    >>> from neurosnn import analysis, equations
    >>> curve = analysis.pairing_frequency_curve(
    ...     equations.TripletSTDP(), [10, 50]*Hz, lag=-10*ms, n_pairs=20
    ... )
    >>> curve.dw.round(4)
    array([-0.1109,  0.137 ])
    """
    where = "pairing_frequency_curve"
    check_value("frequencies", frequencies, Range(0 * hertz), where=where)
    lag_steps = whole_steps("lag", lag, dt, where=where)
    delay_steps = 0 if delay is None else whole_steps("delay", delay, dt, where=where)
    if n_pairs < 1:
        raise ValueError(
            message(f"n_pairs must be >= 1, got {n_pairs}.", where, "", "Choose for example 60.")
        )
    intervals = np.round(
        1 / (np.atleast_1d(np.asarray(frequencies, dtype=float)) * float(dt))
    ).astype(int)
    if intervals.min() <= abs(lag_steps):
        raise ValueError(
            message(
                f"the pairs come every {intervals.min()} steps at a lag of {lag_steps}.",
                where,
                "The pairs would overlap and the lag would be another one.",
                "Choose lower frequencies or a shorter lag.",
            )
        )
    learn = learner(rule, post, 1.0)
    neuron = np.repeat(np.arange(len(intervals)), n_pairs)
    first = learn.lead(dt) + abs(lag_steps)
    pre_step = first + (intervals[:, None] * np.arange(n_pairs)).ravel()
    with private_brian(dt):
        trains = Train(neuron, pre_step), Train(neuron, pre_step + lag_steps)
        pairs = Pairs(learn, *trains, post, background, dt, weight=weight, delay=delay)
        pairs.run(pre_step.max() + abs(lag_steps) + delay_steps + 2)
        pairs.check_spikes()
        dw = learn.change()
    return FrequencyCurve(1 / (intervals * float(dt) * second), with_unit(dw, learn.dimensions))
