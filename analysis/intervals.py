"""Confidence intervals of a share that was counted on a test set."""

from __future__ import annotations

import numpy as np
from scipy.stats import binomtest

from neurosnn.core.values import Range, check_value

__all__ = ["wilson_interval"]


def wilson_interval(share: float, total: int, *, level: float = 0.95) -> np.ndarray:
    r"""Wilson's interval of a share, for example of an accuracy.

    .. math::
        \frac{p + \frac{z^2}{2n} \pm z \sqrt{\frac{p(1-p)}{n} + \frac{z^2}{4n^2}}}{1 + z^2/n}

    Parameters
    ----------
    share : float
        Share p that was found, 0 to 1: a whole number of the trials, to which it is rounded.
    total : int
        Number n of independent trials. Several seeds on the same test set are not independent.
    level : float, default 0.95
        Level of confidence; z is the quantile of the normal distribution that belongs to it.

    Returns
    -------
    ndarray (2,)
        Lower and upper end.

    Raises
    ------
    ValueError
        If a number is out of range.

    References
    ----------
    Wilson, J. Am. Stat. Assoc. 22:209-212 (1927).

    Examples
    --------
    >>> from neurosnn import analysis
    >>> analysis.wilson_interval(0.99, 300).round(3)
    array([0.971, 0.997])
    """
    where = "wilson_interval"
    check_value("share", share, Range(0, 1, includes_low=True), where=where)
    check_value("total", total, Range(0), where=where)
    check_value("level", level, Range(0, 1), where=where)
    test = binomtest(round(share * total), int(total))
    return np.array(test.proportion_ci(level, method="wilson"))
