"""From the number that an optimizer moves freely to a parameter that stays in its range."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from neurosnn.core.messages import did_you_mean, message
from neurosnn.core.values import Range

__all__ = ["TRANSFORMS", "Identity", "Interval", "LeakRate", "Positive", "Transform", "default_for"]


class Transform(Protocol):
    """A parameter as an increasing function of a free number."""

    def value(self, free: torch.Tensor) -> torch.Tensor:
        """The parameter in SI units."""
        ...

    def free(self, value: np.ndarray) -> np.ndarray:
        """The free number of a value."""
        ...


@dataclass(frozen=True)
class Identity:
    """The parameter itself, in SI units."""

    def value(self, free: torch.Tensor) -> torch.Tensor:
        return free

    def free(self, value: np.ndarray) -> np.ndarray:
        return value


@dataclass(frozen=True)
class Positive:
    r""":math:`\theta = \theta_{low} + e^a`, for parameters with a lower limit."""

    low: float = 0.0

    def value(self, free: torch.Tensor) -> torch.Tensor:
        return self.low + torch.exp(free)

    def free(self, value: np.ndarray) -> np.ndarray:
        return np.log(value - self.low)


@dataclass(frozen=True)
class Interval:
    r""":math:`\theta = \theta_{low} + (\theta_{high} - \theta_{low})\,\sigma(a)`."""

    low: float
    high: float

    def value(self, free: torch.Tensor) -> torch.Tensor:
        return self.low + (self.high - self.low) * torch.sigmoid(free)

    def free(self, value: np.ndarray) -> np.ndarray:
        share = (value - self.low) / (self.high - self.low)
        return np.log(share / (1 - share))


@dataclass(frozen=True)
class LeakRate:
    r""":math:`dt/\tau = \sigma(a)`, thus :math:`\tau = dt\,(1 + e^{-a}) > dt` (Fang et al. 2021)."""

    dt: float

    def value(self, free: torch.Tensor) -> torch.Tensor:
        return self.dt / torch.sigmoid(free)

    def free(self, value: np.ndarray) -> np.ndarray:
        return -np.log(value / self.dt - 1)


#: Names that `to_torch` accepts for a transform.
TRANSFORMS = ("identity", "positive", "leak_rate")


def named(name: str, *, dt: float, where: str) -> Transform:
    """A transform by its name."""
    if name not in TRANSFORMS:
        raise ValueError(
            message(f"unknown transform {name!r}.", where, "", did_you_mean(str(name), TRANSFORMS))
        )
    return {"identity": Identity(), "positive": Positive(), "leak_rate": LeakRate(dt)}[name]


def default_for(allowed: Range | None) -> Transform:
    """The transform that keeps a parameter inside the range that its model declares."""
    if allowed is None or math.isinf(float(allowed.low)):
        return Identity()
    low = float(allowed.low)
    return Positive(low) if allowed.high is None else Interval(low, float(allowed.high))


def free_value(transform: Transform, value: Any, name: str, where: str) -> np.ndarray:
    """The free number of a start value, or an error if the value is at the edge of the range."""
    with np.errstate(all="ignore"):
        free = np.asarray(transform.free(np.asarray(value, dtype=float)))
    if not np.all(np.isfinite(free)):
        raise ValueError(
            message(
                f"{name}={value} is not inside the range of {type(transform).__name__}.",
                where,
                "The free number of the transform would be infinite.",
                "Start from another value, or choose the transform: "
                f"learn={{'{name}': 'identity'}}.",
            )
        )
    return free
