"""Checks of a graph of populations before anything is drawn."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from neurosnn.calculus.changing import changes_itself
from neurosnn.calculus.presynaptic import presynaptic_code
from neurosnn.core.messages import did_you_mean, message, shortened
from neurosnn.core.texts import check_identifier
from neurosnn.network.parts import Input, Layer, Population
from neurosnn.network.poisson_drive import PoissonDrive
from neurosnn.network.projection import Projection
from neurosnn.network.wiring import to_readout

if TYPE_CHECKING:
    from neurosnn.network.network import SpikingNetwork

WHERE = "SpikingNetwork.from_graph"
Part = TypeVar("Part")


def check_part(part: Any, kind: type[Part]) -> Part:
    """The part, if it is of that kind."""
    if not isinstance(part, kind):
        raise TypeError(
            message(
                f"{shortened(repr(part), 100)} is no {kind.__name__}.",
                WHERE,
                "A graph has populations, projections, one input and one readout.",
                f"Pass {kind.__name__}(...).",
            )
        )
    return part


def named_populations(populations: Any) -> tuple[Population, ...]:
    """The populations, each with its name."""
    if not isinstance(populations, Mapping) or not populations:
        raise TypeError(
            message(
                "populations must be a mapping of names to populations, with one or more.",
                WHERE,
                "Projections find them by name.",
                "Write {'E': Population(equations.LIF(), 80), ...}.",
            )
        )
    named = []
    for name, population in populations.items():
        check_identifier(name, field="the name of a population", where=WHERE)
        check_part(population, Population)
        if isinstance(population, Layer):
            raise TypeError(
                message(
                    f"'{name}' is a Layer.",
                    WHERE,
                    "Its settings of synapses would have no effect in a graph.",
                    "Use Population(model, n), and say the rest in a Projection.",
                )
            )
        named.append(dataclasses.replace(population, name=name))
    return tuple(named)


def named_inputs(inputs: Any) -> dict[str, Input]:
    """The inputs by name: one is called "input"."""
    if not isinstance(inputs, Mapping):
        return {"input": check_part(inputs, Input)}
    if not inputs:
        raise TypeError(
            message(
                "input is an empty mapping.",
                WHERE,
                "The trials enter somewhere.",
                "Write input=Input(40), or {'ears': Input(40), 'eyes': Input(20)}.",
            )
        )
    for name, entry in inputs.items():
        check_identifier(name, field="the name of an input", where=WHERE)
        check_part(entry, Input)
    if len({bool(entry.real_valued) for entry in inputs.values()}) > 1:
        raise ValueError(
            message(
                "some inputs are real-valued, and some have spikes.",
                WHERE,
                "A set of trials holds one or the other.",
                "Encode the real values as spikes, or the other way round.",
            )
        )
    return dict(inputs)


def all_channels(inputs: Mapping[str, Input]) -> Input:
    """The channels of the trials, which are those of the inputs one after the other."""
    if len(inputs) == 1:
        return next(iter(inputs.values()))
    real_valued = any(entry.real_valued for entry in inputs.values())
    return Input(sum(entry.n for entry in inputs.values()), real_valued=real_valued)


def checked_projections(
    net: SpikingNetwork, projections: Iterable[Projection | PoissonDrive]
) -> tuple[tuple[Projection, ...], list[tuple[PoissonDrive, int]]]:
    """The projections and those to the readout that the readout asks for, and drives with their places."""
    checked: list[Projection] = []
    drives: list[tuple[PoissonDrive, int]] = []
    for entry in projections:
        if isinstance(entry, PoissonDrive):
            drives.append((entry, len(checked)))
        else:
            checked.append(check_part(entry, Projection))
    names = [str(population.name) for population in net.layers]
    for projection in checked:
        for field, known in (("source", [*net.inputs, *names]), ("target", [*names, "readout"])):
            name = getattr(projection, field)
            if name not in known:
                raise ValueError(
                    message(
                        f"there is no {field} '{name}'.",
                        projection.where,
                        "",
                        did_you_mean(name, known),
                    )
                )
        _check_readout(net, projection)
    _check_input(net, checked)
    _check_sums(checked, [drive for drive, _ in drives])
    read_by_readout = net.readout.of or tuple(names)
    for name in read_by_readout:
        if name not in names:
            raise ValueError(
                message(
                    f"there is no population '{name}'.", "Readout", "", did_you_mean(name, names)
                )
            )
    sources = [projection.source for projection in checked if projection.target == "readout"]
    for name in sources:
        if sources.count(name) > 1:
            raise ValueError(
                message(
                    f"'{name}' has two projections to the readout.",
                    WHERE,
                    "Its feedback would not know which of the two weights to use.",
                    "Make one of them.",
                )
            )
    if not (sources and not net.readout.of):
        checked += [
            to_readout(name, net.readout) for name in read_by_readout if name not in sources
        ]
    return tuple(checked), drives


def _check_readout(net: SpikingNetwork, projection: Projection) -> None:
    """The readout gets the spikes of populations, at once."""
    if projection.target != "readout":
        return
    if projection.source in net.inputs:
        raise ValueError(
            message(
                f"'{projection.source}' goes to the readout.",
                projection.where,
                "A learning rule gives the error of the readout to neurons that spike.",
                "Put a population between them.",
            )
        )
    settings = (projection.sign, projection.synapse)
    if projection.delayed or not projection.full or settings != (None, None):
        raise ValueError(
            message(
                "delay, connectivity, sign or synapse of a projection to the readout.",
                projection.where,
                "The readout reads the spikes of all neurons of a population at once, with weights of "
                "either sign.",
                "Leave it out.",
            )
        )


def _check_sums(projections: list[Projection], drives: list[PoissonDrive]) -> None:
    """A sum over the synapses replaces the variable: nothing else may write to it."""
    for projection in projections:
        if projection.synapse is None or changes_itself(projection.synapse):
            continue
        if not presynaptic_code(projection.synapse).summed:
            continue
        for other in (*projections, *drives):
            shared = other.input in (projection.input, None) and other.target == projection.target
            if other is not projection and shared:
                raise ValueError(
                    message(
                        f"'{other.name}' also acts on {projection.input}"
                        + (" perhaps." if other.input is None else "."),
                        projection.where,
                        "The sum over its synapses replaces that variable in each step.",
                        "Name another input in the other projection, and add the two in the neuron.",
                    )
                )


def _check_input(net: SpikingNetwork, projections: list[Projection]) -> None:
    """Delays are a matter of projections here, and real values have none."""
    for name, entry in net.inputs.items():
        if entry.learn or np.any(np.asarray(entry.delay) > 0):
            raise ValueError(
                message(
                    f"'{name}' has delays.",
                    WHERE,
                    "In a graph a delay belongs to a projection.",
                    f"Write Projection('{name}', ..., delay=...).",
                )
            )
    for projection in projections:
        if projection.source not in net.inputs or not net.input.real_valued:
            continue
        if projection.delayed:
            raise ValueError(
                message(
                    "delays of real-valued input.",
                    projection.where,
                    "They delay spikes.",
                    "Shift the frames of the trials instead.",
                )
            )
        if projection.synapse is not None:
            raise ValueError(
                message(
                    "synapse of real-valued input.",
                    projection.where,
                    "Its states follow spikes.",
                    "Leave it out, or use an input of spikes.",
                )
            )
