"""Published measurements of plasticity in slices and cultures, for comparison."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from brian2.units.allunits import hertz
from brian2.units.allunits import msecond as ms
from brian2.units.fundamentalunits import Quantity

from neurosnn.analysis.pairing import PairingProtocol
from neurosnn.core.messages import did_you_mean, message

__all__ = ["PublishedPoints", "fit_error", "sjostrom_2001", "wang_2005"]

SJOSTROM = "Sjostrom, Turrigiano & Nelson, Neuron 32:1149-1164 (2001)"
WANG = "Wang, Gerkin, Nauen & Bi, Nat. Neurosci. 8:187-193 (2005)"
#: Who made tables of them, which models are fitted to.
TABLES = "as tabulated by Pfister & Gerstner, J. Neurosci. 26:9673-9682 (2006)"

# lag in ms -> frequencies in Hz, mean changes and their standard errors
FREQUENCIES = (0.1, 10.0, 20.0, 40.0, 50.0)
PAIRS_BY_FREQUENCY = {
    10: ((-0.04, 0.14, 0.29, 0.53, 0.56), (0.05, 0.10, 0.14, 0.11, 0.26)),
    -10: ((-0.29, -0.41, -0.34, 0.56, 0.75), (0.08, 0.11, 0.10, 0.32, 0.19)),
}
# protocol -> times in ms, mean changes and their standard errors
PATTERNS = {
    "pairs": ((10, -10), (0.25, -0.17), (0.05, 0.05)),
    "pre-post-pre": (
        ((5, -5), (10, -10), (15, -5), (5, -15)),
        (-0.01, 0.03, 0.01, 0.24),
        (0.04, 0.04, 0.03, 0.06),
    ),
    "post-pre-post": (
        ((-5, 5), (-10, 10), (-5, 15), (-15, 5)),
        (0.33, 0.34, 0.22, 0.29),
        (0.04, 0.04, 0.08, 0.05),
    ),
    "quadruplets": ((-89, 20, 84), (-0.003, 0.21, 0.06), (0.03, 0.04, 0.04)),
}


class PublishedPoints(NamedTuple):
    """Measured changes of synapses, relative to their strength before.

    Attributes
    ----------
    x : Quantity, shape (n,) or (n, 2)
        What was varied: frequencies, lags or separations, or for triplets the two lags
        ``t_post - t_pre``.
    dw : ndarray, shape (n,)
        Mean relative change.
    error : ndarray, shape (n,)
        Standard error of the mean.
    source : str
        Publication.
    protocol : PairingProtocol
        The spikes by which each change was caused.

    Examples
    --------
    Measurements of one's own:

    >>> import numpy as np
    >>> from brian2 import Hz, ms
    >>> from neurosnn import analysis
    >>> lags = [10, -10]*ms
    >>> points = analysis.PublishedPoints(
    ...     lags, np.array([0.4, -0.2]), np.array([0.1, 0.05]), "my slices",
    ...     analysis.PairingProtocol.pairs(lags, n_repeats=75, rate=5*Hz),
    ... )
    """

    x: Quantity
    dw: np.ndarray
    error: np.ndarray
    source: str
    protocol: PairingProtocol


def sjostrom_2001(lag=10 * ms) -> PublishedPoints:
    """Pairs of spikes at several frequencies, layer 5 of rat visual cortex.

    To be compared with :func:`pairing_frequency_curve` of 60 pairs and a weight of 1.

    Parameters
    ----------
    lag : Quantity (second), default 10 ms
        ``t_post - t_pre`` of the pairs, 10 ms or -10 ms.

    Returns
    -------
    PublishedPoints
        Frequencies and changes.

    Raises
    ------
    ValueError
        For another lag.

    References
    ----------
    Sjostrom, Turrigiano & Nelson, Neuron 32:1149-1164 (2001); numbers as tabulated by Pfister &
    Gerstner, J. Neurosci. 26:9673-9682 (2006).

    Examples
    --------
    >>> from brian2 import ms
    >>> from neurosnn import analysis
    >>> analysis.sjostrom_2001(-10*ms).dw
    array([-0.29, -0.41, -0.34,  0.56,  0.75])
    """
    key = round(float(lag / ms), 9)
    if key not in PAIRS_BY_FREQUENCY:
        raise ValueError(
            message(
                f"there are no measurements for a lag of {lag}.",
                "sjostrom_2001",
                "The frequency was varied at two lags.",
                "Choose 10*ms or -10*ms.",
            )
        )
    dw, error = (np.array(values) for values in PAIRS_BY_FREQUENCY[key])
    frequencies = np.array(FREQUENCIES) * hertz
    protocol = PairingProtocol.pairs(key * ms, rate=frequencies)
    return PublishedPoints(frequencies, dw, error, f"{SJOSTROM}, {TABLES}", protocol)


def wang_2005(protocol: str) -> PublishedPoints:
    """Pairs, triplets and quadruplets of spikes, 60 times at 1 Hz, hippocampal culture of the rat.

    To be compared with :func:`pattern_change`, :func:`triplet_changes` and :func:`quadruplet_curve`
    and a weight of 1.

    Parameters
    ----------
    protocol : {"pairs", "pre-post-pre", "post-pre-post", "quadruplets"}
        Which spikes. Quadruplets are a post-pre and a pre-post pair of 5 ms; their separations, means
        over cells, are rounded to 1 ms.

    Returns
    -------
    PublishedPoints
        Lags, pairs of lags or separations, and changes.

    Raises
    ------
    ValueError
        For another protocol.

    References
    ----------
    Wang, Gerkin, Nauen & Bi, Nat. Neurosci. 8:187-193 (2005); numbers as tabulated by Pfister &
    Gerstner, J. Neurosci. 26:9673-9682 (2006).

    Examples
    --------
    >>> from neurosnn import analysis
    >>> analysis.wang_2005("post-pre-post").dw
    array([0.33, 0.34, 0.22, 0.29])
    """
    if protocol not in PATTERNS:
        raise ValueError(
            message(
                f"protocol={protocol!r} is not known.",
                "wang_2005",
                "",
                did_you_mean(str(protocol), PATTERNS),
            )
        )
    times, dw, error = (np.array(values, dtype=float) for values in PATTERNS[protocol])
    if protocol == "pairs":
        spikes = PairingProtocol.pairs(times * ms)
    elif protocol == "quadruplets":
        spikes = PairingProtocol.quadruplets(times * ms)
    else:
        spikes = PairingProtocol.triplets(np.abs(times) * ms, order=protocol)
    return PublishedPoints(times * ms, dw, error, f"{WANG}, {TABLES}", spikes)


def fit_error(dw, *points: PublishedPoints) -> float:
    r"""How far a rule is from measurements, in units of their standard errors.

    .. math:: E = \frac{1}{P} \sum_{i=1}^{P} \left(\frac{\Delta w_i - \Delta w_i^{exp}}{\sigma_i}\right)^2

    Parameters
    ----------
    dw : array_like, shape (P,)
        Changes by the rule, for all measurements one after the other.
    *points : PublishedPoints
        The measurements.

    Returns
    -------
    float
        1 if the rule is off by a standard error on average.

    Raises
    ------
    ValueError
        If there are not as many changes as measurements.

    References
    ----------
    Pfister & Gerstner, J. Neurosci. 26:9673-9682 (2006), their error E.

    Examples
    --------
    >>> from neurosnn import analysis
    >>> points = analysis.wang_2005("pairs")
    >>> round(analysis.fit_error(points.dw + points.error, points), 6)
    1.0
    """
    wanted, error = (np.concatenate([getattr(p, name) for p in points]) for name in ("dw", "error"))
    if np.shape(dw) != wanted.shape:
        raise ValueError(
            message(
                f"dw has the shape {np.shape(dw)}, and there are {len(wanted)} measurements.",
                "fit_error",
                "Each measurement is compared with one change.",
                "Simulate the protocol of each point, in their order.",
            )
        )
    return float(np.mean(((np.asarray(dw) - wanted) / error) ** 2))
