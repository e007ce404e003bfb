"""Times of a network that its time step cannot resolve, and TimedArrays: said when it is made."""

from __future__ import annotations

from typing import Any

import numpy as np
from brian2.units.allunits import second
from brian2.units.fundamentalunits import Quantity, get_dimensions
from brian2.utils.stringtools import get_identifiers

from neurosnn.calculus.step import model_code
from neurosnn.core.messages import message, warn
from neurosnn.model.timed import check_columns

__all__ = ["check_lookups", "warn_of_short_times"]


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


def check_lookups(part: Any, dt: Quantity, *, where: str) -> None:
    """Refuse TimedArrays that the neurons of a part cannot read with this time step.

    Parameters
    ----------
    part : Population or Readout
        A model and a number of neurons.
    dt : Quantity (second)
        The time step.
    where : str
        For the message.

    Raises
    ------
    ValueError
        If an array changes within a step of the method "exact", as Brian2 would say when it runs the
        equations, or has no column for a neuron.
    """
    model = part.model
    if not model.timed_arrays:
        return
    check_columns(model, part.n)
    code = model_code(model)
    integrated = get_identifiers(code.update) if model.method in ("exact", "linear") else set()
    for lookup in code.lookups:
        array = model.timed_arrays[lookup.array]
        if lookup.name in integrated and not array.is_locally_constant(float(dt)):
            raise ValueError(
                message(
                    f"the TimedArray '{lookup.array}' of {model.name} has a time step of "
                    f"{array.dt * 1e3:g} ms, and dt is {dt}.",
                    where,
                    f"The method {model.method!r} needs values that are held during a step: the array's time "
                    "step is a multiple of dt.",
                    "Pass such a dt, or method='exponential_euler' or 'euler'.",
                )
            )
