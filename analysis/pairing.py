"""Pairing protocols as data: which spikes, how often, at which rate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from brian2.units.allunits import hertz, second
from brian2.units.allunits import msecond as ms
from brian2.units.fundamentalunits import Quantity

from neurosnn.core.messages import message
from neurosnn.core.values import Range, check_value, check_whole, whole_steps

__all__ = ["PairingProtocol", "spike_steps"]

POSITIVE_TIME = Range(0 * second)
ORDERS = ("pre-post-pre", "post-pre-post")


class PairingProtocol(NamedTuple):
    """Patterns of presynaptic and postsynaptic spikes, each of which is repeated.

    Attributes
    ----------
    pre : sequence of Quantity (second)
        Presynaptic spike times of each pattern.
    post : sequence of Quantity (second)
        Postsynaptic ones, from the same origin; may be negative.
    n_repeats : int
        How often each pattern is repeated.
    rate : Quantity (hertz), shape (n,)
        How often a second.

    Examples
    --------
    >>> from brian2 import Hz, ms
    >>> from neurosnn import analysis
    >>> protocol = analysis.PairingProtocol.pairs([10, -10]*ms, n_repeats=75, rate=5*Hz)
    >>> protocol.post[1]
    array([-10.]) * msecond
    """

    pre: Sequence[Quantity]
    post: Sequence[Quantity]
    n_repeats: int
    rate: Quantity

    @classmethod
    def pairs(cls, lag, *, n_repeats: int = 60, rate=1 * hertz) -> PairingProtocol:
        """Pairs of spikes, one lag or one rate or both for each measurement.

        Parameters
        ----------
        lag : Quantity (second), scalar or shape (n,)
            ``t_post - t_pre``.
        n_repeats : int, default 60
            Number of pairs.
        rate : Quantity (hertz), scalar or shape (n,), default 1 Hz
            How often a second.

        Returns
        -------
        PairingProtocol
            One pattern for each measurement.

        Raises
        ------
        ValueError
            If the lag is no time, the rate no positive frequency, or their numbers differ.
        """
        where = "PairingProtocol.pairs"
        check_value("lag", lag, Range(-np.inf * second), where=where)
        lags, rates = np.atleast_1d(np.asarray(lag, float)), np.atleast_1d(np.asarray(rate, float))
        if len(lags) != len(rates) and 1 not in (len(lags), len(rates)):
            raise ValueError(
                message(
                    f"there are {len(lags)} lags and {len(rates)} rates.",
                    where,
                    "Each measurement has one of both.",
                    "Pass as many of them, or one for all.",
                )
            )
        lags = np.broadcast_to(lags, max(len(lags), len(rates)))
        pre, post = [[0.0] * second for _ in lags], [Quantity([x], second.dim) for x in lags]
        return cls._repeated(pre, post, n_repeats, rate, where)

    @classmethod
    def triplets(
        cls, intervals, *, order: str = ORDERS[0], n_repeats: int = 60, rate=1 * hertz
    ) -> PairingProtocol:
        """Triplets of spikes.

        Parameters
        ----------
        intervals : Quantity (second), shape (n, 2)
            Time from the first to the second spike, and from there to the third; both positive.
        order : {"pre-post-pre", "post-pre-post"}, optional
            Which neuron spikes when.
        n_repeats : int, default 60
            How often each triplet is repeated.
        rate : Quantity (hertz), scalar or shape (n,), default 1 Hz
            How often a second.

        Returns
        -------
        PairingProtocol
            One pattern for each triplet.

        Raises
        ------
        ValueError
            If an interval is not positive, or the order is unknown.
        """
        where = "PairingProtocol.triplets"
        return cls._repeated(*triplet_spikes(intervals, order, where), n_repeats, rate, where)

    @classmethod
    def quadruplets(
        cls, separations, *, lag=5 * ms, n_repeats: int = 60, rate=1 * hertz
    ) -> PairingProtocol:
        """A post-pre pair and a pre-post pair of spikes.

        Parameters
        ----------
        separations : Quantity (second), shape (n,)
            Time from the middle of the post-pre pair to the middle of the pre-post pair; negative if the
            pre-post pair comes first.
        lag : Quantity (second), default 5 ms
            Time between the two spikes of a pair.
        n_repeats : int, default 60
            How often each quadruplet is repeated.
        rate : Quantity (hertz), scalar or shape (n,), default 1 Hz
            How often a second.

        Returns
        -------
        PairingProtocol
            One pattern for each separation.

        Raises
        ------
        ValueError
            If the two pairs would overlap.
        """
        where = "PairingProtocol.quadruplets"
        return cls._repeated(*quadruplet_spikes(separations, lag, where), n_repeats, rate, where)

    @classmethod
    def _repeated(cls, pre, post, n_repeats, rate, where: str) -> PairingProtocol:
        check_value("rate", rate, Range(0 * hertz), where=where)
        check_whole("n_repeats", n_repeats, 1, where=where)
        rates = np.broadcast_to(np.asarray(rate, dtype=float), len(pre))
        return cls(pre, post, n_repeats, Quantity(rates.copy(), hertz.dim))


def triplet_spikes(intervals, order: str, where: str) -> tuple[list[Quantity], list[Quantity]]:
    """Presynaptic and postsynaptic times of triplets."""
    check_value("intervals", intervals, POSITIVE_TIME, where=where)
    values = np.atleast_2d(np.asarray(intervals, dtype=float))
    if values.shape[1:] != (2,):
        raise ValueError(
            message(
                f"intervals must have the shape (n, 2), got {np.shape(intervals)}.",
                where,
                "Each triplet has two intervals.",
                "Write for example [[5, 5], [10, 10]]*ms.",
            )
        )
    if order not in ORDERS:
        raise ValueError(
            message(
                f"order={order!r} is not known.",
                where,
                "",
                "Choose 'pre-post-pre' or 'post-pre-post'.",
            )
        )
    outer = [np.array([-a, b]) * second for a, b in values]
    inner = [np.array([0.0]) * second for _ in values]
    return (outer, inner) if order == ORDERS[0] else (inner, outer)


def quadruplet_spikes(separations, lag, where: str) -> tuple[list[Quantity], list[Quantity]]:
    """Presynaptic and postsynaptic times of quadruplets."""
    check_value("lag", lag, POSITIVE_TIME, where=where)
    times = np.atleast_1d(separations)
    if np.min(np.abs(np.asarray(times))) <= float(lag):
        raise ValueError(
            message(
                f"the pairs are {np.min(np.abs(np.asarray(times))) * 1000:g} ms apart at a lag of "
                f"{lag}.",
                where,
                "The two pairs would overlap.",
                "Choose separations longer than the lag.",
            )
        )
    pre = [Quantity([0 * ms, time - lag]) for time in times]
    post = [Quantity([-lag, time]) for time in times]
    return pre, post


def spike_steps(times, dt, where: str) -> np.ndarray:
    """Times of one neuron in a pattern as different whole steps."""
    steps = np.array(
        [whole_steps("a spike time", time, dt, where=where) for time in np.atleast_1d(times)],
        dtype=int,
    )
    if len(np.unique(steps)) != len(steps):
        raise ValueError(
            message(
                "a neuron has two spikes in one time step.",
                where,
                "It can emit one.",
                "Move one of them or choose a shorter dt.",
            )
        )
    return np.sort(steps)
