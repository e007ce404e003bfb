"""The fields of a NeuronModel written to plain data, and read from them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from brian2.input.timedarray import TimedArray

from neurosnn.core.messages import did_you_mean, message
from neurosnn.core.units import from_plain, to_plain
from neurosnn.core.values import Range
from neurosnn.model.timed import plain_array, read_plain_array

if TYPE_CHECKING:
    from neurosnn.model.neuron import NeuronModel

__all__ = ["plain_fields", "read_plain_fields"]

QUANTITIES = ("parameters", "initial", "eligibility_bounds")


def plain_fields(
    model: NeuronModel, array: Callable[[TimedArray], dict[str, Any]] = plain_array
) -> dict[str, Any]:
    """All fields as strings, numbers, lists and dictionaries; `array` writes a TimedArray."""
    fields = {}
    for field in dataclasses.fields(model):
        value = getattr(model, field.name)
        if field.name in QUANTITIES:
            value = {key: to_plain(entry) for key, entry in value.items()}
        elif field.name == "timed_arrays":
            if not value:
                continue
            value = {key: array(entry) for key, entry in value.items()}
        elif field.name == "ranges":
            value = {key: [to_plain(entry) for entry in limits] for key, limits in value.items()}
        elif field.name in ("refractory", "dt"):
            value = to_plain(value)
        elif isinstance(value, Mapping):
            value = dict(value)
        elif isinstance(value, tuple):
            value = list(value)
        fields[field.name] = value
    return fields


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
    fields["timed_arrays"] = {
        key: read_plain_array(key, array) for key, array in fields.get("timed_arrays", {}).items()
    }
    for name in ("refractory", "dt"):
        if name in fields:
            fields[name] = from_plain(fields[name])
    for name in ("inputs", "spike_gradient"):
        if name in fields:
            fields[name] = tuple(fields[name])
    return fields
