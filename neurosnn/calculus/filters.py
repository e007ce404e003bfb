"""The filter of a readout, and statements that change several variables at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from brian2.units.allunits import second
from brian2.units.fundamentalunits import DIMENSIONLESS, Quantity, get_dimensions
from brian2.utils.stringtools import get_identifiers

from neurosnn.calculus.step import refuse_noise, step_map
from neurosnn.core.messages import message
from neurosnn.core.names import FreeNames
from neurosnn.core.symbolic import evaluate
from neurosnn.model import NeuronModel

__all__ = ["ReadoutFilter", "in_place", "model_filter", "read_filter"]


def in_place(
    expressions: Mapping[str, str], depends: Mapping[str, set[str]], names: FreeNames
) -> str:
    """Statements that give all variables their new values as if at once.

    No statement keeps an old value as ``old = x``: in Brian2's numpy code that is another name of the
    array that ``x = x + y`` then changes in its place.
    """
    lines, last, remaining = [], [], dict(expressions)
    while remaining:
        free = [
            row
            for row in remaining
            if not any(row in depends[other] for other in remaining if other != row)
        ]
        row = free[0] if free else next(iter(remaining))
        new = row if free else names(f"new_{row}")
        lines.append(f"{new} = {remaining.pop(row)}")
        if not free:
            last.append(f"{row} = {new}")
    return "\n".join(lines + last)


@dataclass(frozen=True)
class ReadoutFilter:
    """The linear filter through which the readout sees a spike.

    Attributes
    ----------
    states : tuple of str
        Ends of the names of the filtered variables; the first, "", is what reaches the output.
    transition : mapping of (str, str) to float
        Factors from step to step.
    entry : str
        The one to which a spike adds.
    """

    states: tuple[str, ...]
    transition: Mapping[tuple[str, str], float]
    entry: str

    @property
    def factors(self) -> dict[tuple[str, str], str]:
        """Names of the factors as constants in Brian2."""
        return {(row, col): f"kappa{row}{col}" for row, col in self.transition}

    def variables(self, base: str, names: FreeNames) -> dict[str, str]:
        """Names of the filtered variables, by state: ``<base><state>`` where that is free."""
        return {state: names(base + state) for state in self.states}

    def update(self, base: str, source: str, names: FreeNames) -> str:
        """Statements of one step of the variables of `base`, in which `source` enters."""
        factors = {key: names(name) for key, name in self.factors.items()}
        variables = self.variables(base, names)
        expressions, depends = {}, {}
        for row in self.states:
            terms = [col for col in self.states if (row, col) in factors]
            parts = [f"{factors[row, col]}*{variables[col]}" for col in terms]
            parts += [source] if row == self.entry else []
            expressions[variables[row]] = " + ".join(parts) or "0"
            depends[variables[row]] = {variables[col] for col in terms}
        return in_place(expressions, depends, names)


def read_filter(
    readout_filter: float | Quantity | NeuronModel | None, dt: Quantity
) -> ReadoutFilter | None:
    """The filter that a user names by a factor, a time constant or the model of a readout.

    Parameters
    ----------
    readout_filter : float or Quantity or NeuronModel or None
        kappa between 0 and 1, the time constant of a leaky readout, a readout, or no filter.
    dt : Quantity (second)
        Time step.

    Returns
    -------
    ReadoutFilter or None
        The filter.

    Raises
    ------
    ValueError
        If it is none of these, or the readout is not the same linear filter for all its neurons.
    """
    if readout_filter is None:
        return None
    if isinstance(readout_filter, NeuronModel):
        return model_filter(readout_filter, dt)
    value = float(readout_filter) if np.ndim(readout_filter) == 0 else np.nan
    if get_dimensions(readout_filter) is second.dim and value > 0:
        value = float(np.exp(-float(dt) / value))
    elif get_dimensions(readout_filter) is not DIMENSIONLESS or not 0 <= value < 1:
        raise ValueError(
            message(
                f"readout_filter must be a time or a factor from 0 to below 1, got {readout_filter}.",
                "EProp",
                "The trace is filtered as the readout filters spikes.",
                "Pass the time constant of the readout, for example readout_filter=20*ms.",
            )
        )
    return ReadoutFilter(("",), MappingProxyType({("", ""): value}), "")


def model_filter(model: NeuronModel, dt: Quantity) -> ReadoutFilter:
    """The filter of a readout's model, see :func:`read_filter`."""
    refuse_noise(model, why="Traces are filtered as it filters spikes, and its noise is no filter.")
    slopes = step_map(model)
    if len(model.inputs) != 1:
        raise _no_filter(model, f"has the inputs {', '.join(model.inputs)}")
    output, entry = model.states[0], model.inputs[0]
    names = {state: "" if state == output else f"_{state}" for state in slopes.states}
    values = {"dt": np.asarray(float(dt))}
    for key, value in model.parameters.items():
        numbers = np.unique(np.asarray(value, dtype=float))
        if len(numbers) > 1 and any(
            key in get_identifiers(text)
            for text in (*slopes.transition.values(), *slopes.drive.values())
        ):
            raise _no_filter(model, f"has a different {key} for each output")
        values[key] = numbers[:1]
    steps = dict(slopes.transition)
    if entry not in names:
        # An input that is delivered in the next step: it is a state that lasts one step.
        names[entry] = f"_{entry}"
        steps |= slopes.drive
    transition = {}
    for (row, column), text in steps.items():
        if get_identifiers(text) & {*model.states, "t"}:
            raise _no_filter(model, "is not linear, or changes with time")
        transition[names[row], names[column]] = float(np.ravel(evaluate(text, values))[0])
    order = (names[output], *(name for state, name in names.items() if state != output))
    return ReadoutFilter(order, MappingProxyType(transition), names[entry])


def _no_filter(model: NeuronModel, why: str) -> ValueError:
    return ValueError(
        message(
            f"the readout {model.name} {why}.",
            "online e-prop",
            "A synapse keeps one filtered trace for all outputs, so all must filter spikes in the "
            "same, linear way.",
            "Use LeakyReadout(tau=20*ms), or the engine.",
        )
    )
