"""The fields of a NeuronModel read from a Brian2 group or from plain data, and written to plain data."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from brian2.equations.equations import DIFFERENTIAL_EQUATION, PARAMETER
from brian2.units.fundamentalunits import Quantity
from brian2.utils.stringtools import get_identifiers

from neurosnn.core.messages import did_you_mean, message
from neurosnn.core.units import from_plain, si_unit, to_plain
from neurosnn.core.values import Range

if TYPE_CHECKING:
    from brian2.groups.neurongroup import NeuronGroup

    from neurosnn.model.neuron import NeuronModel

__all__ = ["fields_of_group", "plain_fields", "read_plain_fields"]

QUANTITIES = ("parameters", "initial", "eligibility_bounds")


def _equation_text(equation: Any) -> str:
    """One line of Brian2 equations that parses to the given equation."""
    unit = si_unit(equation.dim) if equation.var_type == "float" else equation.var_type
    flags = f" ({', '.join(equation.flags)})" if equation.flags else ""
    if equation.type == DIFFERENTIAL_EQUATION:
        return f"d{equation.varname}/dt = {equation.expr.code} : {unit}{flags}"
    if equation.expr is None:
        return f"{equation.varname} : {unit}{flags}"
    return f"{equation.varname} = {equation.expr.code} : {unit}{flags}"


def fields_of_group(group: NeuronGroup) -> dict[str, Any]:
    """What a NeuronGroup knows of its model."""
    others = set(group.events) - {"spike"}
    if others:
        raise ValueError(
            message(
                f"the event '{sorted(others)[0]}' cannot be part of a NeuronModel.",
                group.name,
                "Learning rules are derived for spikes only.",
                "Remove the event or express it with 'step'.",
            )
        )
    if not isinstance(group.method_choice, str):
        raise ValueError(
            message(
                "the integration method is not fixed.",
                group.name,
                "Gradients depend on it.",
                "Create the group with method='exact', 'exponential_euler' or 'euler'.",
            )
        )
    threshold = group.events.get("spike", "")
    reset = group.event_codes.get("spike", "")
    refractory = group._refractory
    own = group.user_equations
    text = "\n".join(_equation_text(equation) for equation in own.values())
    used = get_identifiers(" ".join([text, threshold, reset, str(refractory)]))
    parameters = {
        name: group.namespace[name]
        for name in used
        if name not in own.names
        and name in group.namespace
        and isinstance(group.namespace[name], (int, float, Quantity))
    }
    for equation in own.values():
        if equation.type == PARAMETER and "constant" in equation.flags:
            value = getattr(group, equation.varname)
            parameters[equation.varname] = value[:] if np.ndim(value) else value
    return {
        "equations": text,
        "threshold": threshold,
        "reset": reset,
        "refractory": refractory,
        "method": group.method_choice,
        "parameters": parameters,
        "name": group.name,
    }


def plain_fields(model: NeuronModel) -> dict[str, Any]:
    """All fields as strings, numbers, lists and dictionaries."""
    result = {}
    for field in dataclasses.fields(model):
        value = getattr(model, field.name)
        if field.name in QUANTITIES:
            value = {key: to_plain(entry) for key, entry in value.items()}
        elif field.name == "ranges":
            value = {key: [to_plain(entry) for entry in limits] for key, limits in value.items()}
        elif field.name == "refractory":
            value = to_plain(value)
        elif isinstance(value, Mapping):
            value = dict(value)
        elif isinstance(value, tuple):
            value = list(value)
        result[field.name] = value
    return result


def read_plain_fields(cls: type[NeuronModel], data: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that `plain_fields` wrote; unknown ones are refused."""
    known = {field.name for field in dataclasses.fields(cls)}
    unknown = sorted(set(data) - known)
    if unknown:
        raise ValueError(
            message(
                f"'{unknown[0]}' is not a field of a NeuronModel.",
                cls.__name__,
                "The data were written by another program or version.",
                did_you_mean(unknown[0], known),
            )
        )
    fields = dict(data)
    for name in QUANTITIES:
        fields[name] = {key: from_plain(value) for key, value in fields.get(name, {}).items()}
    fields["ranges"] = {
        key: Range(*(from_plain(entry) for entry in limits))
        for key, limits in fields.get("ranges", {}).items()
    }
    if "refractory" in fields:
        fields["refractory"] = from_plain(fields["refractory"])
    for name in ("inputs", "spike_gradient"):
        if name in fields:
            fields[name] = tuple(fields[name])
    return fields
