r"""How well a recording determines the parameters of a fit.

Near the best parameters the residuals r are linear in u, with derivatives J. If the error of a residual is
correlated over c samples, the estimate has the covariance

.. math::
    A^{-1} \left(\sum_k s_k^2 c_k A_k\right) A^{-1}, \qquad A = \sum_k A_k, \qquad
    A_k = \sum J J^T, \qquad s_k^2 = \frac{\sum r^2}{n_k - P}

summed over the losses k. For one loss and independent errors that is the Gauss-Newton covariance
:math:`s^2 A^{-1}`.

Spikes fall on steps. Parameters that move no spike by a step leave it where it is, so that the loss has
stairs, on which the derivatives J, those of continuous time, promise too much. What lies within a stair has
the covariance

.. math::
    \left(\frac{12}{N\,dt^2} \sum_i \sigma_i \sigma_i^T
    + \frac{A^{(0)}}{s^2}\right)^{-1}

with the N spikes that move by :math:`\sigma_i`, and the matrix :math:`A^{(0)}` of derivatives that leave each
spike in its step. It is added. The sum is right where one of the two is much larger. Where they are
alike and the fitted spikes fall on the recorded steps, the estimate lies within the stair of the truth, and
intervals are up to :math:`\sqrt 2` too wide.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["AT_BOUND", "VAGUE", "correlated_samples", "covariance", "half_widths", "within_a_stair"]

#: Eigenvalues of the scaled matrix below this belong to a direction in which nothing changes.
FLAT = 1e-12
#: An interval as wide as this part of the searched range tells nothing.
VAGUE = 0.5
#: A value as near to a bound as this part of the range lies at it.
AT_BOUND = 1e-3
#: Part of such a direction from which on a parameter belongs to it.
MIXED = 1e-3


def half_widths(variance: np.ndarray, freedom: Any, *, level: float = 0.95) -> np.ndarray:
    """Half of the width of each parameter's interval.

    Parameters
    ----------
    variance : ndarray (P,)
        Of the estimates.
    freedom : float or ndarray (P,)
        Degrees of freedom of Student's distribution: independent samples less parameters; at least 1 is used.
    level : float, optional
        How often the interval should hold the parameter.

    Returns
    -------
    ndarray (P,)
        On the scale of the estimates.
    """
    from scipy.stats import t as student

    quantile = student.ppf(0.5 + level / 2, np.maximum(freedom, 1.0))
    return np.asarray(quantile * np.sqrt(variance))


def covariance(matrices: np.ndarray, variances: np.ndarray) -> np.ndarray:
    """Covariance of the estimates, from curvature and residuals.

    Parameters
    ----------
    matrices : ndarray (n_losses, P, P)
        Sum of J*J' of each loss.
    variances : ndarray (n_losses,)
        Variance of a residual times the number of samples over which its errors are correlated.

    Returns
    -------
    ndarray (P, P)
        Infinite on the diagonal for a parameter that nothing depends on, or that others can replace.
    """
    inverse = _inverse(matrices.sum(axis=0))
    known = np.isfinite(np.diag(inverse))
    middle = np.einsum("k,kpq->pq", variances, matrices)
    result = np.diag(np.where(known, 0.0, np.inf))
    kept = np.ix_(known, known)
    result[kept] = inverse[kept] @ middle[kept] @ inverse[kept]
    return result


def within_a_stair(timing: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Variance of what leaves all spikes in their steps.

    Parameters
    ----------
    timing : ndarray (P, P)
        12/(N dt^2) times the sum of sigma*sigma' over all N spikes; of several cells the sum.
    matrix : ndarray (P, P)
        Sum of J*J', with derivatives that leave spikes where they are, over the variance of a residual; of
        several cells the sum.

    Returns
    -------
    ndarray (P,)
        Zero if no spike moves.
    """
    if not timing.any():
        return np.zeros(len(timing))
    inside = np.diag(_inverse(timing + matrix))
    return np.where(np.diag(timing) > 0, inside, 0.0)


def _inverse(matrix: np.ndarray) -> np.ndarray:
    """The inverse; infinite on the diagonal for what changes along a direction in which it is flat."""
    scale = np.sqrt(np.diag(matrix))
    known = scale > 0
    result = np.diag(np.where(known, 0.0, np.inf))
    if known.any():
        kept = np.ix_(known, known)
        outer = np.outer(scale[known], scale[known])
        values, vectors = np.linalg.eigh(matrix[kept] / outer)
        steep = values > FLAT
        flat = (np.abs(vectors[:, ~steep]) > MIXED).any(axis=1)
        part = (vectors[:, steep] / values[steep]) @ vectors[:, steep].T / outer
        result[kept] = part + np.diag(np.where(flat, np.inf, 0.0))
    return result


def correlated_samples(residuals: np.ndarray) -> float:
    """Over how many samples the errors of a residual are correlated: the sum of its autocorrelation.

    Parameters
    ----------
    residuals : ndarray (n_trials, n_steps)
        Residuals; zero where there is none.

    Returns
    -------
    float
        1 for independent errors. Lags are summed up to five times the result (Sokal's window).
    """
    n = residuals.shape[1]
    power = np.abs(np.fft.rfft(residuals, 2 * n, axis=1)) ** 2
    products = np.fft.irfft(power.sum(axis=0))[:n]
    if not products[0] > 0:
        return 1.0
    sums = 2 * np.cumsum(products / products[0]) - 1
    enough = np.arange(n) >= 5 * sums
    return float(max(sums[np.argmax(enough)] if enough.any() else sums.max(), 1.0))
