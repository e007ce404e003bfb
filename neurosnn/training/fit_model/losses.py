"""What a fit makes small: the distance from a recorded voltage, and from recorded spikes."""

from __future__ import annotations

import numbers
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from brian2.units.allunits import second
from brian2.units.fundamentalunits import Quantity
from brian2.units.stdunits import ms

from neurosnn.core.messages import described, message
from neurosnn.core.values import Range, check_value

__all__ = ["FitLoss", "VanRossumLoss", "VoltageLoss", "WeightedLosses"]


class FitLoss:
    """A loss of a fit; losses can be weighted and added."""

    def __add__(self, other: FitLoss | WeightedLosses) -> WeightedLosses:
        return WeightedLosses(((1.0, self),)) + other

    def __mul__(self, factor: float) -> WeightedLosses:
        return WeightedLosses(((1.0, self),)) * factor

    __rmul__ = __mul__


@dataclass(frozen=True, eq=False)
class VoltageLoss(FitLoss):
    r"""The mean square distance of the voltage, as a fraction of the recording's variance.

    .. math:: E = \frac{\sum_{k,t} w_{k,t}\,(v_{k,t} - \hat v_{k,t})^2}{s^2 \sum_{k,t} w_{k,t}}

    over trials k and samples t, where sample t is the voltage at the start of step t, as a StateMonitor
    records it.

    Parameters
    ----------
    weights : array (n_steps,) or (n_trials, n_steps), optional
        Weight w of each sample, 1 if None; samples of weight 0 are left out and may be NaN.
    scale : Quantity or float, optional
        The distance s that counts as 1; the standard deviation of the recording if None.
    spike_window : Quantity (second), default 2 ms
        Samples that are as near as this to a recorded spike have weight 0. There a voltage that is right
        but for one step is wrong by the height of a spike.

    Raises
    ------
    ValueError
        If a weight is negative or not finite, or the window is no time.

    Examples
    --------
    >>> from neurosnn import VanRossumLoss, VoltageLoss
    >>> VoltageLoss() + 0.1*VanRossumLoss()
    VoltageLoss() + 0.1*VanRossumLoss(tau=4. * msecond)
    """

    weights: Any = None
    scale: Quantity | float | None = None
    spike_window: Quantity = field(default_factory=lambda: 2 * ms)

    def __post_init__(self) -> None:
        check_value(
            "spike_window",
            self.spike_window,
            Range(0 * second, includes_low=True),
            where="VoltageLoss",
        )
        if self.weights is not None:
            weights = np.asarray(self.weights, dtype=float)
            if weights.ndim not in (1, 2) or not np.all(np.isfinite(weights) & (weights >= 0)):
                raise ValueError(
                    message(
                        f"weights are {described(self.weights)}, or a weight is negative or not finite.",
                        "VoltageLoss",
                        "A weight says how much the error of a sample counts.",
                        "Pass numbers from 0, (n_steps,) or (n_trials, n_steps).",
                    )
                )

    def __repr__(self) -> str:
        parts = [] if self.weights is None else ["weights=..."]
        parts += [] if self.scale is None else [f"scale={self.scale!r}"]
        parts += [] if self.spike_window == 2 * ms else [f"spike_window={self.spike_window!r}"]
        return f"VoltageLoss({', '.join(parts)})"


@dataclass(frozen=True, eq=False)
class VanRossumLoss(FitLoss):
    r"""The distance of spike trains after filtering, as a fraction of the recorded train.

    .. math::
        E = \frac{\sum_{k,t} (y_{k,t} - \hat y_{k,t})^2}{\sum_{k,t} \hat y_{k,t}^2}, \qquad
        y(t) = \sum_i \frac{t - t_i}{\tau} e^{-(t - t_i)/\tau}\,\Theta(t - t_i)

    1 for a neuron without spikes. Where nothing was recorded, the denominator is that of one spike.

    Parameters
    ----------
    tau : Quantity (second), default 4 ms
        Time constant of the filter: about how far apart two spikes may be and still count as one.

    Raises
    ------
    ValueError
        If `tau` is no positive time.

    Notes
    -----
    Deviation: van Rossum filters with one exponential. The distance of two spikes then grows as
    the amount of their lag, with a kink where they agree: it has no curvature, so that neither a
    Gauss-Newton step nor an interval exists. With two exponentials it grows as the lag's square.

    References
    ----------
    van Rossum, Neural Computation 13:751 (2001).

    Examples
    --------
    >>> from brian2 import ms
    >>> from neurosnn import VanRossumLoss
    >>> VanRossumLoss(tau=10*ms)
    VanRossumLoss(tau=10. * msecond)
    """

    tau: Quantity = field(default_factory=lambda: 4 * ms)

    def __post_init__(self) -> None:
        check_value("tau", self.tau, Range(0 * second), where="VanRossumLoss")

    def __repr__(self) -> str:
        return f"VanRossumLoss(tau={self.tau!r})"


@dataclass(frozen=True, eq=False)
class WeightedLosses:
    """A sum of losses, each with a factor.

    Parameters
    ----------
    terms : tuple of (float, FitLoss)
        At most one of each class.

    Raises
    ------
    ValueError
        If a factor is not positive, or a loss is there twice.
    TypeError
        If something else is added.
    """

    terms: tuple[tuple[float, FitLoss], ...]

    def __post_init__(self) -> None:
        kinds = [type(loss) for _, loss in self.terms]
        if len(set(kinds)) < len(kinds):
            raise ValueError(
                message(
                    f"{kinds[-1].__name__} is there twice.",
                    "a sum of losses",
                    "There is one recorded voltage and one spike train a trial.",
                    "Keep one, and weight samples with VoltageLoss(weights=...).",
                )
            )

    def __add__(self, other: FitLoss | WeightedLosses) -> WeightedLosses:
        terms = as_terms(other)
        return WeightedLosses((*self.terms, *terms))

    def __mul__(self, factor: float) -> WeightedLosses:
        real = isinstance(factor, numbers.Real) and not isinstance(factor, bool)
        if not real or not 0 < float(factor) < np.inf:
            raise ValueError(
                message(
                    f"the factor is {described(factor)}.",
                    "a sum of losses",
                    "It says how much a loss counts beside the others.",
                    "Multiply with a positive number, for example 0.1*VanRossumLoss().",
                )
            )
        return WeightedLosses(tuple((float(factor) * own, loss) for own, loss in self.terms))

    __rmul__ = __mul__

    def __repr__(self) -> str:
        return " + ".join(
            f"{loss!r}" if factor == 1 else f"{factor:g}*{loss!r}" for factor, loss in self.terms
        )


def as_terms(loss: Any) -> tuple[tuple[float, FitLoss], ...]:
    """The weighted losses of a loss or of a sum."""
    if isinstance(loss, WeightedLosses):
        return loss.terms
    if isinstance(loss, FitLoss):
        return ((1.0, loss),)
    raise TypeError(
        message(
            f"{described(loss)} is no loss of a fit.",
            "a sum of losses",
            "A neuron is compared with a recorded voltage and recorded spikes.",
            "Use VoltageLoss() and VanRossumLoss(), an object and not the class.",
        )
    )
