"""How a plasticity rule answers to firing rates: the curve whose zero is the BCM threshold."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from brian2.units.allunits import hertz, second
from brian2.units.allunits import msecond as ms
from brian2.units.fundamentalunits import Quantity

from neurosnn.analysis.learners import learner
from neurosnn.analysis.protocols import POSITIVE_TIME, Pairs, Train, private_brian
from neurosnn.core.messages import message
from neurosnn.core.values import Range, check_value, check_whole, whole_steps
from neurosnn.model import NeuronModel

__all__ = ["RateCurve", "rate_curve"]


class RateCurve(NamedTuple):
    """Drift of a weight between two neurons that fire independently, by the postsynaptic rate.

    Attributes
    ----------
    rate : Quantity (hertz), shape (n,)
        Rate of the postsynaptic neuron.
    drift : Quantity, shape (n,)
        Mean change of the weight per second (its unit times Hz).
    error : Quantity, shape (n,)
        Standard error of the drift over the repetitions.
    threshold : Quantity (hertz)
        Where the drift first changes from depression to potentiation, by linear interpolation; nan
        if it does not. It is the threshold of Bienenstock, Cooper & Munro if it is positive.
    """

    rate: Quantity
    drift: Quantity
    error: Quantity
    threshold: Quantity


def rate_curve(
    rule,
    rates,
    *,
    pre_rate=10 * hertz,
    duration=5 * second,
    settle=0.5 * second,
    n_repeats: int = 40,
    seed: int = 0,
    post: NeuronModel | None = None,
    background: float = 0.6,
    weight=None,
    delay=None,
    dt=1 * ms,
) -> RateCurve:
    r"""Drift of a weight between independent Poisson neurons, as a function of the postsynaptic rate.

    .. math:: \Big\langle \frac{dw}{dt} \Big\rangle(\rho_{post}) \quad\text{at fixed } \rho_{pre}

    All rates and repetitions are independent pairs of neurons in one Brian2 simulation. In each time
    step a neuron spikes with the probability rate times dt.

    Parameters
    ----------
    rule : PlasticityRule
        The rule. Its bounds must be so far apart that no weight reaches one.
    rates : Quantity (hertz), shape (n,)
        Postsynaptic rates; at most 1/dt.
    pre_rate : Quantity (hertz), default 10 Hz
        Presynaptic rate.
    duration : Quantity (second), default 5 s
        Time over which the drift is measured.
    settle : Quantity (second), default 0.5 s
        Time before, in which the traces become stationary.
    n_repeats : int, default 40
        Repetitions of each rate.
    seed : int, optional
        Seed of the spikes.
    post : NeuronModel, optional
        Postsynaptic neuron; needed by rules that read its state. It must be able to spike at any
        two steps.
    background : float, default 0.6
        Where v of `post` is held, see :func:`stdp_window`.
    weight : float or Quantity, optional
        Weight at the beginning; the middle between the bounds if None.
    delay : Quantity (second), optional
        Delay of the synapse.
    dt : Quantity (second), default 1 ms
        Time step.

    Returns
    -------
    RateCurve
        Drift, its standard error and the threshold.

    Raises
    ------
    ValueError
        If a weight reaches a bound, a rate cannot be had with this dt, or as :func:`stdp_window`.

    References
    ----------
    Bienenstock, Cooper & Munro, J. Neurosci. 2:32-48 (1982); for the triplet rule Pfister &
    Gerstner, J. Neurosci. 26:9673-9682 (2006), eq. 8.

    Examples
    --------
    >>> from brian2 import Hz, ms, second
    >>> from neurosnn import analysis, equations
    >>> rule = equations.TripletSTDP(minimal=True, w_min=-100, w_max=100)
    >>> curve = analysis.rate_curve(rule, [5, 40]*Hz, duration=1*second, n_repeats=20)
    >>> bool(curve.drift[0] < 0 < curve.drift[1])
    True
    """
    where = "rate_curve"
    check_value("rates", rates, Range(0 * hertz, includes_low=True), where=where)
    check_value("pre_rate", pre_rate, Range(0 * hertz), where=where)
    check_value("duration", duration, POSITIVE_TIME, where=where)
    check_whole("n_repeats", n_repeats, 2, where=where, why="The standard error needs repetitions.")
    values = np.atleast_1d(np.asarray(rates, dtype=float))
    fastest = max(values.max(), float(pre_rate))
    if fastest * float(dt) > 1:
        raise ValueError(
            message(
                f"a rate of {fastest:g} Hz is more than one spike in each time step of {dt}.",
                where,
                "A neuron spikes at most once a step.",
                "Choose lower rates or a shorter dt.",
            )
        )
    before, during = (
        whole_steps(name, time, dt, where=where)
        for name, time in (("settle", settle), ("duration", duration))
    )
    learn = learner(rule, post, 1.0)
    lead = learn.lead(dt)
    trains = poisson_trains(values, float(pre_rate), n_repeats, before + during, float(dt), seed)
    with private_brian(dt):
        shifted = (Train(train.neuron, train.step + lead) for train in trains)
        n = len(values) * n_repeats
        pairs = Pairs(learn, *shifted, post, background, dt, n, weight=weight, delay=delay)
        pairs.run_steps(lead + before)
        start = learn.change()
        pairs.run_steps(during)
        end = learn.change()
        pairs.check_spikes()
    _check_bounds(rule, learn, end)
    drift = (end - start).reshape(len(values), n_repeats) / float(duration)
    unit = Quantity(1, dim=learn.dimensions) * hertz
    mean = drift.mean(axis=1)
    error = drift.std(axis=1, ddof=1) / np.sqrt(n_repeats)
    return RateCurve(values * hertz, mean * unit, error * unit, _threshold(values, mean) * hertz)


def poisson_trains(
    rates: np.ndarray, pre_rate: float, n_repeats: int, n_steps: int, dt: float, seed: int
) -> tuple[Train, Train]:
    """Independent spikes before and after the synapse; `n_repeats` pairs of neurons a rate.

    Rates in hertz, dt in seconds.
    """
    generator = np.random.default_rng(seed)
    per_pair = np.repeat(rates, n_repeats)

    def train(rate: np.ndarray) -> Train:
        return Train(*np.nonzero(generator.random((len(rate), n_steps)) < rate[:, None] * dt))

    return train(np.full(len(per_pair), pre_rate)), train(per_pair)


def _check_bounds(rule, learn, change: np.ndarray) -> None:
    """Refuse a measurement in which a weight has been clipped."""
    low, high = getattr(rule, "w_min", None), getattr(rule, "w_max", None)
    if low is None or high is None:
        return
    end = learn.weight + change
    if end.min() <= float(low) or end.max() >= float(high):
        raise ValueError(
            message(
                "a weight has reached a bound.",
                rule.name,
                "The drift would be that of a clipped weight.",
                "Give the rule bounds further apart (w_min=-100, w_max=100), or shorten duration.",
            )
        )


def _threshold(rates: np.ndarray, drift: np.ndarray) -> float:
    """The first zero at which the drift goes up, in hertz; nan if there is none."""
    for k in range(len(rates) - 1):
        if drift[k] < 0 <= drift[k + 1]:
            share = drift[k] / (drift[k] - drift[k + 1])
            return float(rates[k] + share * (rates[k + 1] - rates[k]))
    return float("nan")
