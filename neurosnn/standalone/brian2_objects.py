"""The user's Brian2 objects as the source of an exported program."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from brian2.core.network import Network
from brian2.equations.equations import DIFFERENTIAL_EQUATION, PARAMETER
from brian2.groups.neurongroup import NeuronGroup
from brian2.groups.subgroup import Subgroup
from brian2.input.spikegeneratorgroup import SpikeGeneratorGroup
from brian2.monitors.ratemonitor import PopulationRateMonitor
from brian2.monitors.spikemonitor import EventMonitor
from brian2.monitors.statemonitor import StateMonitor
from brian2.synapses.synapses import Synapses
from brian2.units.allunits import second
from brian2.units.fundamentalunits import Quantity

from neurosnn.core.messages import message
from neurosnn.model.registry import _MODELS
from neurosnn.standalone.sources import Source
from neurosnn.standalone.tables import Output, Value, limits_of

__all__ = ["plain_arrays", "plain_source"]

#: Variables whose values Brian2 itself sets.
OWN = ("lastspike", "not_refractory", "delay")


def _output(obj: Any, variable: str, meaning: str, columns: int = 0) -> Output:
    return Output(obj, variable, f"{obj.name}.{variable}", meaning, columns)


def plain_source(make: Callable[[], Any], duration: Quantity) -> Source:
    """The Brian2 objects that a function makes."""
    network = make()
    if not isinstance(network, Network):
        raise TypeError(
            message(
                f"the function must return a brian2.Network, got {type(network).__name__}.",
                "export",
                "All of its objects are written into the program.",
                "End it with: return Network(neurons, synapses, monitor).",
            )
        )
    objects = sorted(network.sorted_objects, key=lambda obj: obj.name)
    values: list[Value] = []
    outputs: list[Output] = []
    for obj in objects:
        if isinstance(obj, NeuronGroup | Synapses) and not isinstance(obj, Subgroup):
            values += _plain_values(obj)
        if isinstance(obj, Synapses):
            outputs += _final_values(obj)
        elif isinstance(obj, EventMonitor):
            for variable in ("i", "t", *sorted(set(obj.record_variables) - {"i", "t"})):
                outputs.append(_output(obj, variable, f"{variable} of each event"))
        elif isinstance(obj, StateMonitor):
            for variable in obj.record_variables:
                columns = len(obj.record)
                outputs.append(_output(obj, variable, f"{variable}, a row for each time", columns))
            outputs.append(_output(obj, "t", "times of the rows"))
        elif isinstance(obj, PopulationRateMonitor):
            outputs += [_output(obj, name, f"{name} of each step") for name in ("rate", "t")]
    clocks = [obj.clock for obj in objects]
    return Source(
        network=network,
        duration=duration,
        dt=min(clock.dt for clock in clocks),
        values=values,
        outputs=outputs,
        generators=[obj for obj in objects if isinstance(obj, SpikeGeneratorGroup)],
    )


def _plain_values(group: Any) -> Iterator[Value]:
    ranges = _MODELS[group].ranges if group in _MODELS else {}
    for name, equation in group.equations.items():
        if equation.type not in (PARAMETER, DIFFERENTIAL_EQUATION) or name in OWN:
            continue
        variable = group.variables[name]
        limits = limits_of(ranges.get(name))
        if name not in ranges and "constant" in equation.flags and variable.dim is second.dim:
            limits = (0.0, math.inf, not name.startswith("tau"))  # one divides by time constants
        settable = isinstance(group, NeuronGroup) or variable.scalar
        yield Value(group, name, f"{group.name}.{name}", settable=settable, limits=limits)


def _final_values(synapses: Synapses) -> Iterator[Output]:
    sides = (("_synaptic_pre", "i"), ("_synaptic_post", "j"))
    for variable, name in sides:
        yield Output(synapses, variable, f"{synapses.name}.{name}", f"{name} of each synapse")
    for name, equation in synapses.equations.items():
        if equation.type not in (PARAMETER, DIFFERENTIAL_EQUATION) or "constant" in equation.flags:
            continue
        yield _output(synapses, name, f"{name} at the end, of each synapse")


def plain_arrays(source: Source) -> dict[str, np.ndarray]:
    """Spikes and TimedArrays that the user's objects were made with."""
    arrays = {file: array.values for file, array in source.timed.items()}
    for group in source.generators:
        arrays[f"{group.name}.i"] = np.asarray(group._neuron_index, dtype="<i4")
        arrays[f"{group.name}.t"] = np.asarray(group._spike_time, dtype="<f8")
    return arrays
