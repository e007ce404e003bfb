"""Parameters that differ from neuron to neuron from the start."""

from __future__ import annotations

import numpy as np
from brian2.units.fundamentalunits import Quantity

from neurosnn.core.values import Range, check_value, check_whole

__all__ = ["gamma_distributed"]


def gamma_distributed(
    mean: Quantity | float,
    n: int,
    *,
    shape: float = 3.0,
    smallest: Quantity | float | None = None,
    seed: int,
) -> Quantity | np.ndarray:
    r"""Values of n neurons from a gamma distribution, the usual start of learned time constants.

    .. math:: p(x) \propto x^{k - 1} e^{-k x/\bar x}

    with shape k and mean :math:`\bar x`, clipped to `smallest` and three times the mean.

    Parameters
    ----------
    mean : Quantity or float
        Mean before clipping.
    n : int
        Number of neurons.
    shape : float, optional
        k (Nowotny et al. 2025: 3).
    smallest : Quantity or float, optional
        Lower limit, a tenth of the mean if None (Nowotny et al. 2025: 3 ms for tau_m, 1 ms for
        tau_s).
    seed : int
        The same seed gives the same values.

    Returns
    -------
    Quantity or ndarray (n,)
        In the unit of `mean`: pass it to a model, as in ``CurrentLIF(tau_m=...)``.

    Raises
    ------
    ValueError
        If a number is not positive, or `smallest` is in another unit or above three times the mean.

    References
    ----------
    Nowotny, Turner & Knight, Neuromorph. Comput. Eng. 5:014001 (2025).

    Examples
    --------
    >>> from brian2 import ms
    >>> from neurosnn import gamma_distributed
    >>> tau_m = gamma_distributed(20*ms, 1000, smallest=3*ms, seed=0)
    >>> tau_m.min() >= 3*ms, tau_m.max() <= 60*ms
    (True, True)
    """
    where = "gamma_distributed"
    zero = 0 * mean if isinstance(mean, Quantity) else 0.0
    check_value("mean", mean, Range(zero), where=where)
    check_value("shape", shape, Range(0.0), where=where)
    check_whole("n", n, 1, where=where, why="It counts neurons.")
    smallest = 0.1 * mean if smallest is None else smallest
    check_value("smallest", smallest, Range(zero, 3 * mean), where=where)
    drawn = np.random.default_rng(seed).gamma(shape, 1 / shape, n)
    low = float(np.asarray(smallest, dtype=float) / np.asarray(mean, dtype=float))
    return np.clip(drawn, low, 3.0) * mean
