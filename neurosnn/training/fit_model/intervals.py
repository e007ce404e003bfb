r"""How well a recording determines the parameters of a fit.

Near the best parameters the residuals r are linear in u, with derivatives J. If an error of a residual is
correlated with its neighbours over c samples, the estimate has the covariance

.. math::
    A^{-1} \left(\sum_k s_k^2 c_k A_k\right) A^{-1}, \qquad A = \sum_k A_k, \qquad
    A_k = \sum J J^T, \qquad s_k^2 = \frac{\sum r^2}{n_k - P}

summed over the losses k. For one loss and independent errors that is the Gauss-Newton covariance
:math:`s^2 A^{-1}`.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import t as student

__all__ = ["correlated_samples", "half_widths"]

#: Eigenvalues of the scaled matrix below this belong to a direction in which nothing changes.
FLAT = 1e-12


def half_widths(
    matrices: np.ndarray, variances: np.ndarray, samples: float, *, level: float = 0.95
) -> np.ndarray:
    """Half of the width of each parameter's interval, on the scale of the matrices.

    Parameters
    ----------
    matrices : ndarray (n_losses, P, P)
        Sum of J*J' of each loss.
    variances : ndarray (n_losses,)
        Variance of a residual times the number of samples over which its errors are correlated.
    samples : float
        How many independent samples there are, for Student's distribution.
    level : float, optional
        How often the interval should hold the parameter.

    Returns
    -------
    ndarray (P,)
        Infinite for a parameter that nothing depends on.
    """
    whole = matrices.sum(axis=0)
    scale = np.sqrt(np.diag(whole))
    known = scale > 0
    width = np.full(len(scale), np.inf)
    if not known.any():
        return width
    scale, whole = scale[known], whole[np.ix_(known, known)]
    matrices = matrices[:, known][:, :, known]
    values, vectors = np.linalg.eigh(whole / np.outer(scale, scale))
    inverse = (vectors / np.maximum(values, FLAT)) @ vectors.T / np.outer(scale, scale)
    middle = np.einsum("k,kpq->pq", variances, matrices)
    covariance = inverse @ middle @ inverse
    freedom = max(samples - len(scale), 1.0)
    width[known] = student.ppf(0.5 + level / 2, freedom) * np.sqrt(np.diag(covariance))
    return width


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
    covariance = np.fft.irfft(power.sum(axis=0))[:n]
    if not covariance[0] > 0:
        return 1.0
    sums = 2 * np.cumsum(covariance / covariance[0]) - 1
    enough = np.arange(n) >= 5 * sums
    return float(max(sums[np.argmax(enough)] if enough.any() else sums.max(), 1.0))
