"""Times of a network that its time step cannot resolve: said when it is made."""

from __future__ import annotations

from typing import Any

import numpy as np
from brian2.units.allunits import second
from brian2.units.fundamentalunits import Quantity, get_dimensions

from neurosnn.core.messages import message, warn

__all__ = ["warn_of_short_times"]


def warn_of_short_times(parts: Any, dt: Quantity, *, where: str) -> None:
    """Warn of time constants (``tau...``) and refractory periods of the ``parts`` shorter than ``dt``."""
    for part in parts:
        model, times = part.model, []
        for name, value in model.parameters.items():
            if get_dimensions(value) is second.dim and name.startswith("tau"):
                times.append(
                    (name, value, "is shorter than a step: the state has forgotten its past")
                )
        period = model.refractory
        period = model.parameters.get(period) if isinstance(period, str) else period
        if isinstance(period, Quantity) and period.dim is second.dim:
            times.append(
                ("the refractory period", period, "is shorter than a step and has no effect")
            )
        for name, value, why in times:
            shortest = float(np.min(np.asarray(value)))
            if 0 < shortest < float(dt) * (1 - 1e-9):
                warn(
                    message(
                        f"{name} of {getattr(part, 'name', None) or model.name} is "
                        f"{1e3 * shortest:.4g} ms with dt = {1e3 * float(dt):.4g} ms.",
                        where,
                        f"It {why}.",
                        "Pass a smaller dt, or a longer time.",
                    ),
                    RuntimeWarning,
                )
