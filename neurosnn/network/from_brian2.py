"""The graph of a Brian2 network: groups are populations, synapses projections, or an error says why not."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from brian2.core.base import BrianObject
from brian2.core.functions import DEFAULT_FUNCTIONS
from brian2.core.namespace import DEFAULT_UNITS
from brian2.core.network import Network
from brian2.core.spikesource import SpikeSource
from brian2.equations.equations import SUBEXPRESSION
from brian2.groups.neurongroup import NeuronGroup
from brian2.input.poissongroup import PoissonGroup
from brian2.input.poissoninput import PoissonInput
from brian2.monitors.ratemonitor import PopulationRateMonitor
from brian2.monitors.spikemonitor import EventMonitor
from brian2.monitors.statemonitor import StateMonitor
from brian2.synapses.synapses import (
    StateUpdater,
    SummedVariableUpdater,
    Synapses,
    SynapticPathway,
)
from brian2.units.allunits import hertz, second
from brian2.units.fundamentalunits import Quantity
from brian2.utils.stringtools import get_identifiers

from neurosnn.core.messages import did_you_mean, message
from neurosnn.core.statements import Statement, split_statements
from neurosnn.core.symbolic import evaluate
from neurosnn.model import NeuronModel, PlasticityRule
from neurosnn.model.from_group import constants_of_script, timed_arrays_of_script
from neurosnn.model.from_synapses import check_as_it_stands
from neurosnn.model.registry import owner_of
from neurosnn.network.parts import Input, Population, Readout
from neurosnn.network.poisson_drive import PoissonDrive
from neurosnn.network.projection import Projection, constants_of_synapse
from neurosnn.network.synapse_states import (
    changes,
    has_states,
    own_names,
    reads_states,
    sends,
    sent_by_states,
    sums,
)
from neurosnn.network.wiring import of_synapses

__all__ = ["Graph", "read_graph"]

WATCHERS = (EventMonitor, StateMonitor, PopulationRateMonitor)


class Graph(NamedTuple):
    """What :meth:`SpikingNetwork.from_graph` makes a network of.

    Attributes
    ----------
    populations : dict of str to Population
        By the names of the groups.
    projections : list of Projection or PoissonDrive
        In Brian2's order.
    inputs : dict of str to Input
        The sources of spikes by name, whose channels come one after the other; one is called "input".
    readout : Readout
        The given one, or the group of that name.
    dt : Quantity
        The time step of all objects.
    """

    populations: dict[str, Population]
    projections: list[Projection | PoissonDrive]
    inputs: dict[str, Input]
    readout: Readout
    dt: Quantity


def read_graph(
    network: Network | Iterable[Any],
    namespace: Mapping[str, Any],
    *,
    inputs: Sequence[str] | None,
    readout: Readout | str,
    learn: Sequence[str],
    surrogate: str | Mapping[str, str] = "",
) -> Graph:
    """Read the objects of a network.

    Parameters
    ----------
    network : Network or iterable of Brian2 objects
        The network.
    namespace : mapping
        Where constants are looked up after the objects' own namespaces.
    inputs, readout, learn, surrogate
        As for :meth:`SpikingNetwork.from_brian2`.

    Returns
    -------
    Graph
        Its parts.

    Raises
    ------
    ValueError
        If the network has something that a graph cannot have.
    """
    if isinstance(network, BrianObject):
        raise _cannot(
            f"'{network.name}' is a {type(network).__name__}, not a network.",
            "A network has populations, synapses and sources of spikes.",
            "Pass Network(...) or the list of all objects; collect() finds those of a script.",
        )
    objects = list(network.objects if isinstance(network, Network) else network)
    groups = sorted((entry for entry in objects if isinstance(entry, NeuronGroup)), key=_name)
    synapses = [entry for entry in objects if isinstance(entry, Synapses)]
    drives = [entry for entry in objects if isinstance(entry, PoissonInput)]
    sources, drawing = _sources(objects, inputs)
    for entry in objects:
        if not isinstance(entry, (NeuronGroup, SpikeSource, Synapses, PoissonInput, *WATCHERS)):
            raise _cannot(
                f"it contains '{entry.name}', a {type(entry).__name__}.",
                "A graph has populations, projections and spikes from outside; monitors are left out.",
                "Leave it out of the network that is read.",
            )
    dt = _time_step([*groups, *drawing, *synapses, *drives])
    for connection in synapses:  # before the groups, which contain what changes in their synapses
        _check_synapses(connection)
    output = _readout(groups, readout)
    slopes = {group.name: surrogate for group in groups if group is not output}
    if not isinstance(surrogate, str):
        _check_keys(surrogate, slopes)
        slopes = dict(surrogate)
    models = {
        group.name: NeuronModel.from_group(
            group,
            namespace=namespace,
            synapses=[*synapses, *drives],
            surrogate=slopes.get(group.name, ""),
        )
        for group in groups
    }
    for connection in synapses:
        for summed in sums(connection):
            name, variable = owner_of(connection.target).name, summed.variable.removesuffix("_post")
            if name in models:
                inputs = (*models[name].inputs, variable)
                models[name] = dataclasses.replace(models[name], inputs=inputs)
    for name, model in models.items():
        if not model.inputs:  # no spike reaches it, whatever variable it would add to
            real = tuple(filter(model.is_real, model.states))
            models[name] = dataclasses.replace(model, inputs=real[:1])
    populations = {
        group.name: Population(dataclasses.replace(models[group.name], dt=None), group.N)
        for group in groups
        if group is not output
    }
    populations |= {group.name: _poisson_neurons(group, namespace) for group in drawing}
    ends = {group.name: group.name for group in (*groups, *drawing)}
    if output is not None:
        ends[output.name] = "readout"
        model = dataclasses.replace(models[output.name], dt=None)
        readout = Readout(output.N, model=model, bias=False)
    assert isinstance(readout, Readout)
    entries = {source.name: Input(source.N) for source in sources}
    ends |= {name: name for name in entries}
    if len(sources) < 2:  # as in a stack
        ends |= dict.fromkeys(entries, "input")
        entries = {"input": next(iter(entries.values()), Input(1))}
    learned = _learned(learn, synapses)
    unused = {(name, key) for name, keys in learned.items() for key in keys}
    # a sum without a pathway may come anywhere: it is at the beginning of a step
    arriving: list[tuple[tuple[float, str], Any, Any]] = [
        (
            (0, connection.name) if pathway is None else (pathway.order, pathway.name),
            connection,
            pathway,
        )
        for connection in synapses
        for pathway in [path for path in connection._pathways if path.prepost == "pre"] or (None,)
    ]
    _check_moment_of_posts(synapses, [key for key, _, _ in arriving], drives)
    arriving += [((drive.order, drive.name), drive, None) for drive in drives]
    projections: list[Projection | PoissonDrive] = []
    for _, sender, pathway in sorted(arriving, key=lambda entry: entry[0]):
        if isinstance(sender, PoissonInput):
            projections.append(_drive(sender, namespace, ends))
        else:
            projections += _projections(sender, pathway, namespace, ends, learned, unused, dt)
    for name, key in sorted(unused):
        raise _cannot(
            f"'{key}' of '{name}' changes in time, or no synapse has it.",
            "What is learned of synapses is constant: a weight, a constant of their strings, the delay.",
            "Leave it out of learn.",
        )
    return Graph(populations, projections, entries, readout, dt)


def _cannot(what: str, why: str, fix: str, where: str = "") -> ValueError:
    place = "SpikingNetwork.from_brian2" + (f"({where})" if where else "")
    return ValueError(message(what, place, why, fix))


def _name(brian2_object: Any) -> str:
    return str(brian2_object.name)


def _check_keys(surrogate: Mapping[str, str], groups: Iterable[str]) -> None:
    for name in surrogate:
        if name not in groups:
            raise _cannot(
                f"there is no group '{name}' for a surrogate.",
                "It is the pseudo-derivative of a group that spikes.",
                did_you_mean(name, groups),
            )


# -- groups ---------------------------------------------------------------------------------------


def _sources(
    objects: list[Any], inputs: Sequence[str] | None
) -> tuple[list[Any], list[PoissonGroup]]:
    """The sources of spikes that are inputs, as they are named, and those that draw their own spikes."""
    sources = {
        source.name: source
        for source in sorted((o for o in objects if isinstance(o, SpikeSource)), key=_name)
        if not isinstance(source, NeuronGroup) and owner_of(source) is source
    }
    if inputs is None:
        return list(sources.values()), []
    names = [inputs] if isinstance(inputs, str) else list(inputs)
    for name in names:
        if name not in sources:
            raise _cannot(
                f"there is no source of spikes '{name}'.",
                "Its spikes become those of the trials.",
                did_you_mean(name, sources) or "It must be in the network.",
            )
    drawing = {name: source for name, source in sources.items() if name not in names}
    lost = [name for name, source in drawing.items() if not isinstance(source, PoissonGroup)]
    if lost:
        raise _cannot(
            f"'{lost[0]}' is not among the inputs.",
            "Its spikes would be lost.",
            f"Add '{lost[0]}' to inputs, or leave it out of the network that is read.",
        )
    return [sources[name] for name in names], list(drawing.values())


def _poisson_neurons(group: PoissonGroup, namespace: Mapping[str, Any]) -> Population:
    """A PoissonGroup as neurons with Brian2's own threshold, which draws anew in each step.

    Rates that are a string are computed in each step, before the threshold.
    """
    if not group.active or group.when != "thresholds":
        raise _cannot(
            f"the PoissonGroup '{group.name}' is switched off, or runs in slot '{group.when}'.",
            "As a population it fires in slot 'thresholds'.",
            f"Add '{group.name}' to inputs, and let trials have its spikes.",
        )
    rates: dict[str, Any] = {}
    if isinstance(group._rates, str):
        names = get_identifiers(group._rates) - {"t", "dt", "i", "N"}
        timed = timed_arrays_of_script(group, names, namespace)
        rates["timed_arrays"] = timed
        rates["parameters"] = constants_of_script(group, names - set(timed), namespace)
        rates["step"] = f"rates = {' '.join(group._rates.split())}"
    else:
        values = np.array(group.variables["rates"].get_value())
        rates["initial"] = {"rates": Quantity(values, dim=hertz.dim)}
    model = NeuronModel(
        name="Poisson neuron",
        equations="rates : Hz",
        threshold="rand() < rates*dt",
        inputs=("rates",),
        surrogate="0*rates*second",  # nothing is learned through spikes that depend on nothing
        **rates,
    )
    return Population(model, group.N)


def _drive(
    drive: PoissonInput, namespace: Mapping[str, Any], ends: Mapping[str, str]
) -> PoissonDrive:
    """A PoissonInput of a group, or of a part of it: the weights of the other neurons are zero."""
    part, variable = drive._group, drive.target_var
    group = owner_of(part)
    target = ends.get(group.name, "")
    if target in ("", "readout") or not isinstance(group, NeuronGroup):
        raise _cannot(
            f"the PoissonInput '{drive.name}' reaches '{group.name}', which is not a population.",
            "Its spikes would be lost.",
            f"Add '{group.name}' to the network, or leave '{drive.name}' out.",
        )
    if drive.when != "synapses" or not drive.active:
        raise _cannot(
            f"the PoissonInput '{drive.name}' is switched off, or runs in slot '{drive.when}'.",
            "Spikes arrive in the slot 'synapses', between thresholds and resets.",
            "Leave when out.",
        )
    weight: Any = drive.weight
    if isinstance(weight, str):
        weight = _weight_of_drive(drive, group, namespace)
    values = np.zeros(group.N)
    values[part.start if part is not group else 0 :][: part.N] = np.asarray(weight, dtype=float)
    uniform = (values == values[0]).all()
    return PoissonDrive(
        target,
        int(drive.N),
        Quantity(float(drive.rate), dim=hertz.dim),
        weight=Quantity(values[0] if uniform else values, dim=group.variables[variable].dim),
        name=drive.name,
        input=variable,
    )


def _weight_of_drive(
    drive: PoissonInput, group: NeuronGroup, namespace: Mapping[str, Any]
) -> np.ndarray:
    """The values of an expression of constants, in the neurons of the target."""
    part, names = drive._group, get_identifiers(drive.weight)
    of_neurons = {name for name in names if name in group.user_equations}
    for name in [*of_neurons, *(names & {"t", "dt", "i", "N"})]:
        if name not in of_neurons or "constant" not in group.user_equations[name].flags:
            raise _cannot(
                f"the weight of '{drive.name}', a PoissonInput, reads '{name}', which may change.",
                "What its spikes add is constant.",
                f"Declare '{name}' (constant), or let an equation of the neurons read what arrives.",
            )
    values = {
        name: np.asarray(group.variables[name].get_value(), dtype=float)[
            slice(None) if group.variables[name].scalar else slice(part.start, part.stop)
        ]
        for name in of_neurons
    }
    for name, value in constants_of_script(group, names - of_neurons, namespace).items():
        values[name] = np.asarray(value, dtype=float)
    try:
        return np.asarray(evaluate(drive.weight, values), dtype=float)
    except ValueError as error:
        raise _cannot(
            f"the weight of the PoissonInput '{drive.name}' is not a constant: {drive.weight}.",
            "It contains a function whose value differs at each call.",
            "Put it into the equations of the neurons.",
        ) from error


def _readout(groups: list[NeuronGroup], readout: Readout | str) -> NeuronGroup | None:
    """The group that is the readout, if it is one of the network."""
    if isinstance(readout, Readout):
        return None
    names = {group.name: group for group in groups}
    if readout not in names:
        raise _cannot(
            f"there is no group '{readout}' to be the readout.",
            "It is a Readout, or the name of a group without threshold.",
            did_you_mean(str(readout), names),
        )
    return names[readout]


def _time_step(objects: list[Any]) -> Quantity:
    """The one time step."""
    if not any(isinstance(entry, NeuronGroup) for entry in objects):
        raise _cannot(
            "it contains no NeuronGroup.",
            "There is nothing to simulate.",
            "Pass Network(...) or the list of all objects; collect() finds those of a script.",
        )
    steps = {float(entry.clock.dt): entry for entry in objects}
    if len(steps) > 1:
        (name, dt), (other_name, longer) = ((o.name, s) for s, o in sorted(steps.items())[:2])
        raise _cannot(
            f"'{name}' has a time step of {dt * 1e3:g} ms and '{other_name}' one of {longer * 1e3:g} ms.",
            "A network has one time step.",
            "Give all objects the same dt.",
        )
    return next(iter(steps)) * second


# -- synapses -------------------------------------------------------------------------------------


def _learned(learn: Sequence[str], synapses: list[Synapses]) -> dict[str, set[str]]:
    """What is learned of each Synapses: variables that a spike adds, and "delay"."""
    learned: dict[str, set[str]] = {}
    names = {connection.name: connection for connection in synapses}
    for entry in [learn] if isinstance(learn, str) else learn:
        name, _, variable = entry.partition(".")
        if name not in names:
            raise _cannot(
                f"learn names '{entry}', and there are no synapses '{name}'.",
                "It names weights and delays as synapses.w and synapses.delay.",
                did_you_mean(name, names),
            )
        variables, codes = (
            names[name].equations.names,
            [path.code for path in names[name]._pathways],
        )
        codes += [statement.expression for statement in sums(names[name])]
        sent = [key for key in variables if any(key in get_identifiers(code) for code in codes)]
        constants = _constants_of_states(names[name])
        if variable not in (*sent, *constants, "delay"):
            raise _cannot(
                f"'{name}' has no variable '{variable}' that a spike adds.",
                "Such a variable can be learned, constants of synapses that have states, and the delay.",
                did_you_mean(variable, [*sent, *constants, "delay"]),
            )
        learned.setdefault(name, set()).add(variable)
    return learned


def _constants_of_states(synapses: Synapses) -> set[str]:
    """What the strings of synapses with states read besides what moves; also names of the script."""
    if not has_states(synapses):
        return set()
    equations = [*synapses.equations.values(), *(synapses.event_driven or {}).values()]
    names = {name for eq in equations if eq.expr is not None for name in eq.identifiers}
    names |= {name for path in synapses._pathways for name in get_identifiers(path.code)}
    of_neurons = set(synapses.variables) - own_names(synapses)
    moving = {eq.varname for eq in equations if eq.expr is not None}
    return names - moving - of_neurons - set(DEFAULT_UNITS) - set(DEFAULT_FUNCTIONS) - {"t", "dt"}


def _projections(
    synapses: Synapses,
    pathway: SynapticPathway | None,
    namespace: Mapping[str, Any],
    ends: Mapping[str, str],
    learned: Mapping[str, set[str]],
    unused: set[tuple[str, str]],
    dt: Quantity,
) -> Iterator[Projection]:
    """The projections of one pathway: one for each variable that its spikes or the synapses add to."""
    source, target = owner_of(synapses.source), owner_of(synapses.target)
    for end in (source, target):
        if end.name not in ends:
            raise _cannot(
                f"'{synapses.name}' reaches '{end.name}', which is not part of the network.",
                "Its neurons would be missing.",
                f"Add '{end.name}' to the network.",
                synapses.name,
            )
    # absolute numbers of the neurons: the ends may be parts of groups
    pre = np.asarray(synapses.variables["_synaptic_pre"].get_value())
    post = np.asarray(synapses.variables["_synaptic_post"].get_value())
    if not len(pre):
        return
    if changes(synapses):
        yield from _changing(synapses, namespace, ends, learned, dt)
        return
    code = "" if pathway is None else pathway.code
    steps = _steps_late(pathway, len(pre), dt)
    states = has_states(synapses)
    statements = split_statements(code)
    if states:
        statements = _of_neurons_only(synapses, statements)
    for statement in statements:
        variable, synapse, weight = _target_of(synapses, statement), None, statement
        if states and reads_states(synapses, code, statement):
            synapse, weight = sent_by_states(synapses, code, statement, namespace)
        amount = _amount(synapses, weight, namespace)
        chosen = learned.get(synapses.name, set())
        learn = ("w",) if chosen & get_identifiers(weight.expression) else ()
        learn += ("delay",) if "delay" in chosen else ()
        if synapse is not None:
            constants = constants_of_synapse(synapse)
            learn += tuple(key for key in constants if key in chosen and key not in learn)
        unused -= {(synapses.name, key) for key in (*learn, *get_identifiers(weight.expression))}
        base = synapses.name if len(statements) == 1 else f"{synapses.name}_{variable}"
        if pathway is not None and pathway.name != f"{synapses.name}_pre":
            base += f"_{pathway.objname}"
        if ends[target.name] == "readout":
            if synapse is not None:
                raise _cannot(
                    f"'{synapses.name}' reaches the readout and has states.",
                    "The readout reads the spikes themselves.",
                    "Put a group between them, or let the readout have the dynamics.",
                    synapses.name,
                )
            matrix = _full(synapses, pre, post, amount, steps)
            yield Projection(
                ends[source.name],
                "readout",
                name=base,
                input=variable,
                weight=Quantity(matrix, dim=target.variables[variable].dim),
                learn=learn,
            )
            continue
        unit = target.variables[variable].dim if synapse is None else synapse.weight_dimensions
        for occurrence, k in enumerate(_without_twins(pre, post)):
            yield Projection(
                ends[source.name],
                ends[target.name],
                name=base if not occurrence else f"{base}_{occurrence + 1}",
                input=variable,
                connectivity=(pre[k], post[k]),
                weight=Quantity(amount[k], dim=unit),
                synapse=synapse,
                delay=_delay(steps[k], dt),
                autapses=True,
                learn=learn,
            )


def _steps_late(pathway: SynapticPathway | None, n: int, dt: Quantity) -> np.ndarray:
    """The delay of each of n synapses in steps; Brian2 rounds half a step up."""
    delay: Any = 0.0
    if pathway is not None:
        delay = np.asarray(pathway.variables["delay"].get_value(), dtype=float)
    return np.floor(np.broadcast_to(delay, (n,)) / float(dt) + 0.5)


def _delay(steps: np.ndarray, dt: Quantity) -> Quantity:
    """One delay if it is that of all synapses."""
    return steps[0] * dt if np.ptp(steps) == 0 else steps * dt


def _changing(
    synapses: Synapses,
    namespace: Mapping[str, Any],
    ends: Mapping[str, str],
    learned: Mapping[str, set[str]],
    dt: Quantity,
) -> Iterator[Projection]:
    """The projections of synapses that change their own weights."""
    source, target = owner_of(synapses.source), owner_of(synapses.target)
    if ends[target.name] == "readout" or synapses.name in learned:
        raise _cannot(
            f"'{synapses.name}' changes its own weights.",
            "No other rule can learn them, and the readout reads constant weights.",
            "Leave it out of learn, or let it reach a group.",
            synapses.name,
        )
    rule = PlasticityRule.from_synapses(synapses, namespace=namespace)
    initial = dict(rule.initial)
    start = Quantity(initial.pop(rule.weight, 0.0), dim=rule.weight_dimensions)
    late = {path.objname: path for path in synapses._pathways if path.prepost == "post"}
    delays = {name: value for name, value in rule.delays.items() if name in late}
    rule = dataclasses.replace(rule, delays=delays, orders={}, dt=None, initial=initial)
    pre = np.asarray(synapses.variables["_synaptic_pre"].get_value())
    post = np.asarray(synapses.variables["_synaptic_post"].get_value())
    (pathway,) = (path for path in synapses._pathways if path.prepost == "pre")
    steps = _steps_late(pathway, len(pre), dt)
    weight = np.broadcast_to(np.asarray(start, dtype=float), pre.shape)
    for occurrence, k in enumerate(_without_twins(pre, post)):
        yield Projection(
            ends[source.name],
            ends[target.name],
            name=synapses.name if not occurrence else f"{synapses.name}_{occurrence + 1}",
            connectivity=(pre[k], post[k]),
            weight=Quantity(weight[k], dim=rule.weight_dimensions),
            synapse=of_synapses(rule, k),
            delay=_delay(steps[k], dt),
            autapses=True,
            learn=(),
        )


def _check_changing(synapses: Synapses) -> None:
    """At most one pathway of each side."""
    sides = [pathway.prepost for pathway in synapses._pathways]
    if sides.count("pre") != 1:
        raise _cannot(
            f"'{synapses.name}' has {sides.count('pre')} presynaptic pathways and a postsynaptic one.",
            "Synapses of a projection that change themselves have at most one pathway of each side.",
            "Write all of it in one on_pre.",
            synapses.name,
        )


def _check_moment_of_posts(
    synapses: list[Synapses], arriving: list[tuple[float, str]], drives: list[PoissonInput]
) -> None:
    """Postsynaptic spikes come after all that arrives, as they do by default."""
    last = max([*arriving, *((drive.order, drive.name) for drive in drives)], default=(-np.inf, ""))
    for connection in synapses:
        for pathway in connection._pathways:
            if pathway.prepost == "post" and (pathway.order, pathway.name) < last:
                raise _cannot(
                    f"the pathway '{pathway.objname}' of '{connection.name}' runs before '{last[1]}'.",
                    "In a graph postsynaptic spikes come after all that arrives in a step.",
                    "Leave order out.",
                    connection.name,
                )


def _full(
    synapses: Synapses, pre: np.ndarray, post: np.ndarray, amount: np.ndarray, steps: np.ndarray
) -> np.ndarray:
    """The weights to a group that is the readout, which reads all neurons at once."""
    shape = owner_of(synapses.source).N, owner_of(synapses.target).N
    pairs = np.unique(pre.astype(np.int64) * shape[1] + post)
    if steps.any() or not len(pairs) == len(pre) == shape[0] * shape[1]:
        raise _cannot(
            f"'{synapses.name}' has delays, or not one synapse between each neuron and each output.",
            "The readout reads the spikes of all neurons of a population at once.",
            "Connect all of them without delay; a weight may be zero.",
            synapses.name,
        )
    weight = np.empty(shape)
    weight[pre, post] = amount
    return weight


def _check_synapses(synapses: Synapses) -> None:
    check_as_it_stands(synapses, partial(_cannot, where=synapses.name))
    kinds = (SynapticPathway, StateUpdater, SummedVariableUpdater)
    for part in synapses.contained_objects:
        if not isinstance(part, kinds):
            raise _cannot(
                f"'{part.name}' of '{synapses.name}' changes in time.",
                "The states of a projection's synapses move by equations and at presynaptic spikes.",
                "Read what the synapses learn with PlasticityRule.from_synapses, and put other dynamics "
                "into the neurons.",
                synapses.name,
            )
    source, target = owner_of(synapses.source), owner_of(synapses.target)
    if sums(synapses) and min(synapses.order, source.order) < target.order:
        raise _cannot(
            f"'{synapses.name}' or '{source.name}' has a lower order than '{target.name}'.",
            "The sum over the synapses would be taken at another moment: Brian2 takes it just before the "
            "target is updated, and here before everything else.",
            "Leave order out.",
            synapses.name,
        )
    for summed in sums(synapses):
        name = summed.variable.removesuffix("_post")
        part = synapses.target is not target and name in target.variables
        if part and np.any(np.asarray(target.variables[name].get_value())):
            raise _cannot(
                f"'{summed.variable}' of '{synapses.name}' is a sum for a part of '{target.name}'.",
                f"A projection replaces '{name}' of all its neurons, and some have other values.",
                "Let the values begin at zero, or make the synapses for the whole group.",
                synapses.name,
            )
    for pathway in synapses._pathways:
        _check_pathway(synapses, pathway)
    if changes(synapses):
        _check_changing(synapses)
    elif has_states(synapses) and len(synapses._pathways) > 1:
        raise _cannot(
            f"'{synapses.name}' has {len(synapses._pathways)} pathways and states.",
            "The states of a projection follow the spikes of one pathway.",
            "Write all of it in one on_pre.",
            synapses.name,
        )


def _check_pathway(synapses: Synapses, pathway: Any) -> None:
    if pathway.event != "spike":
        raise _cannot(
            f"the pathway '{pathway.objname}' of '{synapses.name}' runs at '{pathway.event}'.",
            "A projection follows spikes.",
            "Let a spike run it, with a condition in the code if need be.",
            synapses.name,
        )
    if pathway.when != "synapses":
        raise _cannot(
            f"the pathway '{pathway.objname}' of '{synapses.name}' runs in slot '{pathway.when}'.",
            "Spikes arrive in the slot 'synapses', between thresholds and resets.",
            "Leave when out.",
            synapses.name,
        )


def _of_neurons_only(synapses: Synapses, statements: list[Statement]) -> list[Statement]:
    """The statements that write to the neurons, and the sums over the synapses in each step."""
    sent = [statement for statement in statements if sends(synapses, statement)] + sums(synapses)
    if not sent:
        raise _cannot(
            f"a spike of '{synapses.name}' changes '{statements[0].variable}' and sends nothing.",
            "A projection adds something to a variable of its target.",
            "Add what is sent to the code, or leave the synapses out.",
            synapses.name,
        )
    return sent


def _target_of(synapses: Synapses, statement: Statement) -> str:
    """The variable of the target that a statement adds to."""
    variable = statement.variable.removesuffix("_post")
    of_synapses = statement.variable in own_names(synapses)
    of_target = variable in owner_of(synapses.target).variables
    if of_synapses or not of_target or statement.operation not in ("+=", "-="):
        raise _cannot(
            f"a spike runs '{statement.variable} {statement.operation} {statement.expression}' in "
            f"'{synapses.name}'.",
            "A projection adds constant weights to variables of its target.",
            "Read what the synapses learn with PlasticityRule.from_synapses.",
            synapses.name,
        )
    return variable


def _amount(synapses: Synapses, statement: Statement, namespace: Mapping[str, Any]) -> np.ndarray:
    """What one spike adds at each synapse, in SI values."""
    n = len(synapses.variables["_synaptic_pre"].get_value())
    names = get_identifiers(statement.expression)
    outside = names - set(synapses.equations.names) - set(synapses.variables)
    values: dict[str, np.ndarray] = {
        name: np.asarray(value, dtype=float)
        for name, value in constants_of_script(synapses, outside, namespace).items()
    }
    for name in names:
        if name in synapses.equations.names:
            if synapses.equations[name].type == SUBEXPRESSION:
                raise _cannot(
                    f"what a spike of '{synapses.name}' adds reads '{name}', an expression.",
                    "A projection adds constant weights.",
                    f"Write out '{name}' in the code, with variables that are constant.",
                    synapses.name,
                )
            values[name] = np.asarray(synapses.variables[name].get_value(), dtype=float)
        elif name in synapses.variables:
            values[name] = _of_neurons(synapses, name)
    try:
        amount = evaluate(statement.expression, values)
    except ValueError as error:
        raise _cannot(
            f"what a spike of '{synapses.name}' adds is not a constant: {statement.expression}.",
            "It contains a function whose value differs at each call.",
            "Put it into the equations of the neurons.",
            synapses.name,
        ) from error
    amount = np.broadcast_to(np.asarray(amount, dtype=float), (n,))
    return -amount if statement.operation == "-=" else amount


def _of_neurons(synapses: Synapses, name: str) -> np.ndarray:
    """A constant of the neurons, for each synapse."""
    side = "pre" if name.endswith("_pre") else "post"
    base = name.removesuffix(f"_{side}")
    group = owner_of(synapses.source if side == "pre" else synapses.target)
    equations = getattr(group, "user_equations", {})
    if base not in equations or "constant" not in equations[base].flags:
        raise _cannot(
            f"what a spike of '{synapses.name}' adds depends on '{name}', which may change in time.",
            "A projection adds constant weights.",
            f"Put '{base}' into the equations of the neurons, or declare it (constant).",
            synapses.name,
        )
    values = np.atleast_1d(np.asarray(group.variables[base].get_value(), dtype=float))
    if group.variables[base].scalar:
        return values
    return values[synapses.variables[f"_synaptic_{side}"].get_value()]


def _without_twins(pre: np.ndarray, post: np.ndarray) -> list[np.ndarray]:
    """Indices of the first synapses between two neurons, of the second ones between the same, ..."""
    order = np.lexsort((np.arange(len(pre)), post, pre))
    new = np.r_[True, (np.diff(pre[order]) != 0) | (np.diff(post[order]) != 0)]
    begins = np.flatnonzero(new)
    occurrence = np.arange(len(order)) - begins[np.cumsum(new) - 1]
    return [np.sort(order[occurrence == k]) for k in range(int(occurrence.max()) + 1)]
