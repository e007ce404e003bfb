r"""Random numbers that are a function of their place: the counter-based generator Philox4x32-10.

A draw of a neuron in a step is computed from what it belongs to and from no state, so that it is the same
whatever thread, batch or machine computes it, and in whatever order. The generated C++ has the same text
(``engine/draws.jinja``) with the constants of this module.

The counter of four 32-bit words is (pair of neurons, step, trial, draw), the key of two words comes from
the network's seed and the presentation. The two halves x of the four words that Philox makes of them belong
to the even and the odd neuron of the pair; 52 bits of each give

.. math::  u = \lfloor x/2^{12} \rfloor/2^{52} \in [0, 1)

which is ``rand()``, and Box and Muller's

.. math::  \sqrt{-2\ln(1 - u_0)}\,\cos 2\pi u_1, \qquad \sqrt{-2\ln(1 - u_0)}\,\sin 2\pi u_1

are ``randn()`` of the even and of the odd one. Logarithm, sine and cosine are series of additions,
multiplications and divisions in a stated order: every machine with IEEE numbers gives the same bits, which
the functions of a library do not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neurosnn.core.messages import message
from neurosnn.core.values import check_whole

__all__ = ["FIRST_DRAWS", "Draws", "normal", "philox4x32", "uniform"]

#: Multipliers and increments of the key of Philox4x32 (Salmon et al. 2011), and its rounds.
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
INCREMENTS = (0x9E3779B9, 0xBB67AE85)
ROUNDS = 10
#: ln x = k ln 2 + 2 (s + s^3/3 + s^5/5 + ...) with s = (m - 1)/(m + 1): what follows s, by powers of s^2.
LOG_SERIES = tuple(1.0 / (2 * n + 1) for n in range(1, 11))
#: sin x = x + x^3 (...) and cos x = 1 + x^2 (...) up to pi/4, by powers of x^2.
SINE_SERIES = (-1 / 6, 1 / 120, -1 / 5040, 1 / 362880, -1 / 39916800, 1 / 6227020800)
SINE_SERIES += (-1 / 1307674368000, 1 / 355687428096000)
COSINE_SERIES = (-1 / 2, 1 / 24, -1 / 720, 1 / 40320, -1 / 3628800, 1 / 479001600)
COSINE_SERIES += (-1 / 87178291200, 1 / 20922789888000)
LN_2, HALF_PI = 0.6931471805599453, 1.5707963267948966
#: Bits of sqrt(1/2) and of 1, as IEEE keeps them.
ROOT_BITS, ONE_BITS = 0x3FE6A09E667F3BCD, 0x3FF0000000000000
#: Draws of a layer; its number is the upper half of the fourth word.
DRAWS_OF_A_LAYER = 2**16


@dataclass(frozen=True)
class Draws:
    """Which random numbers the trials of a call get, besides the network's seed.

    Parameters
    ----------
    presentation : int, optional
        Another number, other draws. A trainer evaluates with 0 and learns with the number of the update,
        from 1 on.
    first_trial : int, optional
        Number of the first trial of the call; the others follow. Trial 7 of a hundred has the same draws as a
        call with it alone and ``first_trial=7``.

    Raises
    ------
    ValueError
        If a number is negative or not whole, or there are more than 2**32 trials.

    Examples
    --------
    >>> from neurosnn import Draws
    >>> Draws(first_trial=7)
    Draws(presentation=0, first_trial=7)
    """

    presentation: int = 0
    first_trial: int = 0

    def __post_init__(self) -> None:
        check_whole("presentation", self.presentation, 0, where="Draws")
        check_whole("first_trial", self.first_trial, 0, where="Draws")
        if self.first_trial >= 2**32:
            raise ValueError(
                message(
                    f"first_trial is {self.first_trial}.",
                    "Draws",
                    "A trial has a number of 32 bits.",
                    "Give later trials another presentation.",
                )
            )

    def key(self, seed: int) -> np.ndarray:
        """The two words of the key, which numpy's SeedSequence mixes of seed and presentation."""
        words = np.random.SeedSequence([seed, self.presentation]).generate_state(2, np.uint32)
        return words.astype(np.uint64)


#: What a call gets that says nothing else.
FIRST_DRAWS = Draws()


def philox4x32(counter: np.ndarray, key: np.ndarray) -> np.ndarray:
    """Ten rounds of Philox4x32.

    Parameters
    ----------
    counter : ndarray (4, ...) of unsigned integers
        Words below 2**32.
    key : ndarray (2, ...) of unsigned integers
        Words below 2**32.

    Returns
    -------
    ndarray (4, ...) of uint64
        Words below 2**32.

    References
    ----------
    Salmon, Moraes, Dror & Shaw, SC'11, doi:10.1145/2063384.2063405, section 4.3.

    Examples
    --------
    >>> import numpy as np
    >>> from neurosnn.core.draws import philox4x32
    >>> [hex(word) for word in philox4x32(np.zeros(4, np.uint64), np.zeros(2, np.uint64)).tolist()]
    ['0x6627e8d5', '0xe169c58d', '0xbc57ac4c', '0x9b00dbd8']
    """
    low, half = np.uint64(0xFFFFFFFF), np.uint64(32)
    a, b, c, d = (np.asarray(word, np.uint64) for word in counter)
    k, l = (np.asarray(word, np.uint64) for word in key)
    for _ in range(ROUNDS):
        left, right = a * np.uint64(MULTIPLIERS[0]), c * np.uint64(MULTIPLIERS[1])
        a, b, c, d = (right >> half) ^ b ^ k, right & low, (left >> half) ^ d ^ l, left & low
        k, l = (k + np.uint64(INCREMENTS[0])) & low, (l + np.uint64(INCREMENTS[1])) & low
    return np.stack(np.broadcast_arrays(a, b, c, d))


def uniform(
    key: np.ndarray, trial: np.ndarray, step: np.ndarray, number: int, neuron: np.ndarray
) -> np.ndarray:
    """What ``rand()`` gives.

    Parameters
    ----------
    key : ndarray (2,)
        From :meth:`Draws.key`.
    trial, step, neuron : ndarray of int
        What the draws belong to, of shapes that fit.
    number : int
        Number of the layer times ``DRAWS_OF_A_LAYER`` plus that of the call in the model's strings.

    Returns
    -------
    ndarray
        From 0 to below 1, multiples of 2**-52.
    """
    even, odd = _halves(key, trial, step, number, neuron)
    return np.where(np.asarray(neuron) % 2, odd, even)


def normal(
    key: np.ndarray, trial: np.ndarray, step: np.ndarray, number: int, neuron: np.ndarray
) -> np.ndarray:
    """What ``randn()`` gives: mean 0, standard deviation 1, magnitude at most 8.5.

    Parameters
    ----------
    key, trial, step, number, neuron
        As for :func:`uniform`.

    Returns
    -------
    ndarray
        The bits that the generated C++ computes in float64.
    """
    first, second = _halves(key, trial, step, number, neuron)
    radius = np.sqrt(-2.0 * _log(1.0 - first))
    sine, cosine = _turn(second)
    return radius * np.where(np.asarray(neuron) % 2, sine, cosine)


def _halves(key, trial, step, number, neuron):
    """The two uniform numbers of each pair of neurons."""
    words = np.broadcast_arrays(np.asarray(neuron) // 2, step, trial, number)
    a, b, c, d = philox4x32(np.stack(words).astype(np.uint64), key)
    return _fraction(a, b), _fraction(c, d)


def _fraction(high: np.ndarray, low: np.ndarray) -> np.ndarray:
    bits = (high << np.uint64(32) | low) >> np.uint64(12) | np.uint64(ONE_BITS)
    return bits.view(np.float64) - 1.0


def _series(coefficients: tuple[float, ...], x: np.ndarray) -> np.ndarray:
    """c0 + x (c1 + x (c2 + ...))."""
    total = np.full_like(x, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        total = coefficient + x * total
    return total


def _log(x: np.ndarray) -> np.ndarray:
    """The natural logarithm of numbers from 2**-52 to 1."""
    bits = np.ascontiguousarray(x).view(np.uint64)
    exponent = ((bits - np.uint64(ROOT_BITS)) + np.uint64(64 << 52)) >> np.uint64(52)
    m = (bits - (exponent << np.uint64(52)) + np.uint64(64 << 52)).view(np.float64)
    s = (m - 1.0) / (m + 1.0)
    z = s * s
    return (exponent.astype(np.float64) - 64.0) * LN_2 + 2.0 * (
        s + s * (z * _series(LOG_SERIES, z))
    )


def _turn(part: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sine and cosine of a part of a full turn."""
    quarter = np.floor(part * 4.0 + 0.5)
    x = (part * 4.0 - quarter) * HALF_PI
    z = x * x
    sine = x + x * (z * _series(SINE_SERIES, z))
    cosine = 1.0 + z * _series(COSINE_SERIES, z)
    crossed = (quarter == 1.0) | (quarter == 3.0)
    s, c = np.where(crossed, cosine, sine), np.where(crossed, sine, cosine)
    s = np.where((quarter == 2.0) | (quarter == 3.0), -s, s)
    return s, np.where((quarter == 1.0) | (quarter == 2.0), -c, c)
