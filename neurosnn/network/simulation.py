"""A network as stock Brian2 objects, for one trial or for many trials one after the other."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from brian2.core.network import Network
from brian2.devices.device import get_device, runtime_device
from brian2.equations.equations import Equations
from brian2.groups.neurongroup import NeuronGroup
from brian2.input.poissoninput import PoissonInput
from brian2.input.spikegeneratorgroup import SpikeGeneratorGroup
from brian2.input.timedarray import TimedArray
from brian2.monitors.spikemonitor import SpikeMonitor
from brian2.monitors.statemonitor import StateMonitor
from brian2.synapses.synapses import Synapses
from brian2.units.allunits import second
from brian2.units.fundamentalunits import Quantity, get_dimensions
from brian2.utils.stringtools import get_identifiers, word_substitute

from neurosnn.calculus.changing import changes_itself
from neurosnn.calculus.presynaptic import presynaptic_code
from neurosnn.calculus.step import model_code
from neurosnn.core.draws import Draws
from neurosnn.core.messages import did_you_mean, message
from neurosnn.core.names import FreeNames
from neurosnn.core.statements import without_comments
from neurosnn.core.units import si_unit
from neurosnn.model import NeuronModel, PlasticityRule
from neurosnn.model.neuron_group import GroupStrings, make_group
from neurosnn.model.pathways import equation_text, locals_of
from neurosnn.model.plasticity import set_values
from neurosnn.model.registry import remember
from neurosnn.model.timed import Lookup, name_lookups
from neurosnn.network.compiling import ToldNetwork, telling_of_compilation
from neurosnn.network.replay import Replay, drive_table

if TYPE_CHECKING:
    from neurosnn.network.connection import Connection
    from neurosnn.network.network import SpikingNetwork
    from neurosnn.network.poisson_drive import PoissonDrive

WHERE = "SpikingNetwork.brian2"
#: Order of postsynaptic spikes: after those of all connections, which are numbered.
LAST = 2**20


class Place(NamedTuple):
    """Trial, and step within it, of each event; trial -1: after the end of a trial."""

    trial: np.ndarray
    step: np.ndarray


class TrialTimes(NamedTuple):
    """When trials run within one simulation.

    Trial k starts at step ``k * period``. After the longest trial come as many idle steps as the
    longest delay, so that no spike arrives in the next trial.
    """

    n_steps: np.ndarray
    period: int
    dt: Quantity

    @property
    def duration(self) -> Quantity:
        """Time to simulate."""
        return len(self.n_steps) * self.period * self.dt

    def locate(self, t: Quantity | np.ndarray) -> Place:
        """Trial and step of spike times (Quantity) or of steps of the simulation (integers)."""
        steps = np.asarray(t)
        if get_dimensions(t) is second.dim:  # also of a monitor's t, which is no Quantity
            steps = np.rint(steps / float(self.dt))
        trial, step = np.divmod(steps.astype(np.int64), self.period)
        inside = step < np.append(self.n_steps, 0)[np.minimum(trial, len(self.n_steps))]
        return Place(np.where(inside, trial, -1), step)


class Inputs(NamedTuple):
    """Trials on the time grid of a simulation: events, or values for each step and channel."""

    trial_times: TrialTimes
    step: np.ndarray
    channel: np.ndarray
    values: np.ndarray | None


def read_inputs(net: SpikingNetwork, inputs: Any, *, idle: int = 0) -> Inputs:
    """What `SpikingNetwork.brian2` accepts, on the time grid with `idle` steps or more between trials."""
    n = net.input.n
    none = np.zeros(0, dtype=np.int64)
    if inputs is None:
        trial_times = _trial_times(net, np.ones(1, dtype=np.int64), idle)
        return Inputs(trial_times, none, none, np.zeros((1, n)) if net.input.real_valued else None)
    if net.input.real_valued:
        return _read_values(net, inputs, idle)
    trials = inputs
    if hasattr(inputs, "times") and hasattr(inputs, "units") and not hasattr(inputs, "steps"):
        from neurosnn.data import SpikeTrials

        channels = max(n, int(np.max(inputs.units, initial=-1)) + 1)
        trials = SpikeTrials(
            times=inputs.times,
            units=inputs.units,
            offsets=[0, len(inputs.units)],
            labels=[0],
            n_channels=channels,
        )
    if not hasattr(trials, "steps"):
        raise TypeError(
            message(
                f"inputs must be a trial or trials of spikes, got {type(inputs).__name__}.",
                WHERE,
                "The network's input has spikes.",
                "Pass for example train[0], train[:10] or None; real values need "
                "Input(n, real_valued=True).",
            )
        )
    _check_channels(trials.n_channels, n)
    offsets, step, channel = trials.steps(net.dt)
    n_trials = len(offsets) - 1
    _check_number(n_trials)
    n_steps = np.broadcast_to(np.asarray(trials.n_steps(net.dt), dtype=np.int64), (n_trials,))
    trial_times = _trial_times(net, n_steps, idle)
    start = np.repeat(np.arange(n_trials) * trial_times.period, np.diff(offsets))
    return Inputs(trial_times, step + start, np.asarray(channel), None)


def _read_values(net: SpikingNetwork, inputs: Any, idle: int) -> Inputs:
    try:
        features = np.asarray(getattr(inputs, "features", inputs), dtype=float)
    except (TypeError, ValueError):
        features = np.zeros(0)
    if features.ndim != 2 or not np.all(np.isfinite(features)):
        raise TypeError(
            message(
                f"inputs must be finite numbers for each step and channel, got {type(inputs).__name__}.",
                WHERE,
                "The network's input is real-valued.",
                "Pass an array (n_steps, n_channels), a trial or trials of frames.",
            )
        )
    _check_channels(features.shape[1], net.input.n)
    offsets = np.asarray(getattr(inputs, "offsets", [0, len(features)]))
    _check_number(len(offsets) - 1)
    trial_times = _trial_times(net, np.diff(offsets), idle)
    # The last row is zero because a TimedArray keeps its last row for ever.
    values = np.zeros((len(trial_times.n_steps) * trial_times.period + 1, features.shape[1]))
    for k, (begin, end) in enumerate(zip(offsets[:-1], offsets[1:], strict=True)):
        values[k * trial_times.period :][: end - begin] = features[begin:end]
    none = np.zeros(0, dtype=np.int64)
    return Inputs(trial_times, none, none, values)


def _trial_times(net: SpikingNetwork, n_steps: np.ndarray, idle: int) -> TrialTimes:
    gap = max(idle, net.max_delay if len(n_steps) > 1 else 0)
    return TrialTimes(np.array(n_steps, dtype=np.int64), int(np.max(n_steps)) + gap, net.dt)


def _check_channels(trial_channels: int, network_channels: int) -> None:
    if trial_channels != network_channels:
        raise ValueError(
            message(
                f"the trials have {trial_channels} channels, the network's input has {network_channels}.",
                WHERE,
                "Each channel has its own weights.",
                f"Build the network with Input({trial_channels}), or take other trials.",
            )
        )


def _check_number(n_trials: int) -> None:
    if n_trials < 1:
        raise ValueError(
            message(
                "there is no trial in inputs.",
                WHERE,
                "",
                "Pass at least one trial, or inputs=None.",
            )
        )


# -- Brian2 objects ---------------------------------------------------------------------------


def build(
    net: SpikingNetwork,
    inputs: Any,
    *,
    record: Iterable[str] = (),
    dtype: Any = None,
    draws: Draws | None = None,
) -> Network:
    """The objects of a network; see `SpikingNetwork.brian2`."""
    with telling_of_compilation():
        return _build(net, inputs, record, dtype, draws)


def _build(
    net: SpikingNetwork, inputs: Any, record: Iterable[str], dtype: Any, draws: Draws | None
) -> Network:
    record = (record,) if isinstance(record, str) else tuple(record)
    trials = read_inputs(net, inputs)
    trial_times = trials.trial_times
    models = {layer.name: (net.model(layer.name), layer.n) for layer in net.layers}
    models["readout"] = (with_output(net), net.readout.n)
    recordable = {
        name: set(model.dimensions) - set(model.parameters) for name, (model, _) in models.items()
    }
    if net.input.real_valued:
        recordable |= {name: {"x"} for name in net.inputs}
    _check_record(record, recordable)
    dt = own_dt(net)
    groups = input_groups(net, trials, dt, dtype)
    for index, (name, (model, n)) in enumerate(models.items()):
        several = len(trial_times.n_steps) > 1
        driven = _with_weights_of_drives(net, name, model)
        started, code = restarting(driven, trial_times) if several else (driven, "")
        strings = GroupStrings.of(started)
        if draws is not None and model.noise:
            replay = Replay(net, draws, trial_times, index, n)
            strings, code = replay.strings(started, code)
        groups[name] = make_group(started, strings, n, name=name, dtype=dtype, dt=dt)
        remember(groups[name], model)
        if several:
            groups[name].run_regularly(
                code, dt=trial_times.period * net.dt, when="start", order=-1, name=f"{name}_restart"
            )
    objects = list(groups.values())
    for order, connection in enumerate(net.connections.values()):
        objects += _synapses(net, connection, groups, order, trial_times, dt, dtype)
    objects += _drives(net, groups, trial_times, draws)
    objects += _monitors(net, groups, record, recordable)
    return ToldNetwork(*objects)


def own_dt(net: SpikingNetwork) -> Quantity | None:
    """The dt of a new object: none in a standalone program whose default clock has it already.

    It is quicker with one clock, and brian2cuda's synapses assume the default clock.
    """
    device = get_device()
    shared = device is not runtime_device and float(device.defaultclock.dt) == float(net.dt)
    return None if shared else net.dt


def input_groups(
    net: SpikingNetwork, inputs: Inputs, dt: Quantity | None, dtype: Any
) -> dict[str, Any]:
    """What sends the trials, by the names of the inputs."""
    groups = {}
    for name in net.inputs:
        places = net.channels(name)
        if inputs.values is None:
            of_input = (inputs.channel >= places.start) & (inputs.channel < places.stop)
            part = inputs._replace(
                step=inputs.step[of_input], channel=inputs.channel[of_input] - places.start
            )
        else:
            part = inputs._replace(values=inputs.values[:, places])
        groups[name] = _input_group(net, name, part, dt, dtype)
    return groups


def _input_group(
    net: SpikingNetwork, name: str, inputs: Inputs, dt: Quantity | None, dtype: Any
) -> SpikeGeneratorGroup | NeuronGroup:
    n = net.inputs[name].n
    if inputs.values is None:
        return SpikeGeneratorGroup(n, inputs.channel, inputs.step * net.dt, dt=dt, name=name)
    # A value that is not zero is sent like a spike, so that it arrives in the same slot.
    group = NeuronGroup(
        n,
        "x : 1",
        threshold="x != 0",
        reset="",
        dt=dt,
        dtype=dtype,
        name=name,
        namespace={f"{name}_values": TimedArray(inputs.values, dt=net.dt, name=f"{name}_values")},
    )
    group.run_regularly(f"x = {name}_values(t, i)", when="start", name=f"{name}_step")
    return group


def with_output(net: SpikingNetwork) -> NeuronModel:
    """The readout's model with its bias: `output` is what is trained."""
    model = net.readout.model
    state = model.states[0]
    unit = si_unit(model.dimensions[state])
    equations = f"{model.equations}\noutput = {state} + b : {unit}"
    bias = net.parameters.get("readout.b", np.zeros(net.readout.n))
    bias = Quantity(bias.copy(), dim=model.dimensions[state])
    return dataclasses.replace(
        model, equations=equations, parameters={**model.parameters, "b": bias}
    )


def restarting(model: NeuronModel, trial_times: TrialTimes) -> tuple[NeuronModel, str]:
    """The model without spikes between trials, and the code that sets its initial state."""
    strings = [model.equations, model.threshold, model.reset, model.step, str(model.refractory)]
    text = "\n".join(map(without_comments, strings)).replace("t - lastspike", "lastspike")
    lookups = model_code(model).lookups if model.timed_arrays else ()
    late = any(lookup.time != "t" for lookup in lookups)
    if late or "t" in get_identifiers(name_lookups(text, model.timed_arrays, [])):
        raise ValueError(
            message(
                f"the model {model.name} depends on the time t.",
                WHERE,
                "Time does not start anew with each of several trials.",
                "Run one trial at a time.",
            )
        )
    code, declared, values = [], [], {}
    names = FreeNames(model.brian_equations.names)
    if model.refractory is not False:
        # First: it may forbid writing the states.
        code += ["not_refractory = True", "lastspike = -1e4*second"]
    for name in (*(name for name in model.states if name not in model.initial), *model.initial):
        value = model.initial.get(name, 0.0)
        kind = model.brian_equations[name].var_type
        if isinstance(value, str):
            code.append(f"{name} = {value}")
        elif kind != "float" and not np.ndim(value):
            code.append(f"{name} = {bool(value) if kind == 'boolean' else int(value)}")
        else:
            flags = "constant" if np.ndim(value) else "constant, shared"
            unit = model.dimensions[name]
            start = names(f"{name}_initial")
            declared.append(f"{start} : {si_unit(unit) if kind == 'float' else kind} ({flags})")
            values[start] = value if name in model.initial else Quantity(0.0, dim=unit)
            code.append(f"{name} = {start}")
    # Brian2 has computed these for the step already, from what the last trial has left
    code += [f"{name} = {model.brian_equations[name].expr.code}" for name in model.held]
    threshold = model.threshold
    longest = int(trial_times.n_steps.max())
    if threshold and trial_times.period > longest:
        threshold = f"({threshold}) and timestep(t, dt) % {trial_times.period} < {longest}"
    changed = dataclasses.replace(
        model,
        equations="\n".join([model.equations, *declared]),
        threshold=threshold,
        parameters={**model.parameters, **values},
        timed_arrays=_of_each_trial(model.timed_arrays, trial_times),
    )
    return changed, "\n".join(code)


def _of_each_trial(
    arrays: Mapping[str, TimedArray], trial_times: TrialTimes
) -> dict[str, TimedArray]:
    """TimedArrays that begin anew with each trial: what is read at t, in all steps of the simulation."""
    n_trials, dt = len(trial_times.n_steps), trial_times.dt
    tiled = {}
    for name, array in arrays.items():
        rows = Lookup("", name, "t", "").rows(array, trial_times.period, float(dt))
        rows = np.append(np.tile(rows, n_trials), rows[0])
        tiled[name] = TimedArray(Quantity(array.values[rows], dim=array.dim), dt=dt)
    return tiled


def renamed(rule: PlasticityRule, weight: str, taken: Iterable[str]) -> PlasticityRule:
    """The rule with names that the neurons do not have, and with that of the weight."""
    names = FreeNames({*taken, weight})
    new = {name: names(name) for name in (*rule.own_names, *rule.constants, *locals_of(rule))}
    new[rule.weight] = weight
    new = {old: name for old, name in new.items() if old != name}
    if not new:
        return rule
    changed: dict[str, Any] = {
        field: word_substitute(getattr(rule, field) or "", new)
        for field in ("transmission", "weight")
    }
    equations = Equations(rule.equations).substitute(**new)
    changed["equations"] = "\n".join(map(equation_text, equations.values()))
    changed["on_pre"] = word_substitute("\n".join(pathway.code for pathway in rule.pathways), new)
    values = {"parameters": rule.constants, "initial": rule.initial}
    values |= {"ranges": rule.ranges, "sources": rule.sources}
    for field, named in values.items():
        changed[field] = {new.get(name, name): value for name, value in named.items()}
    changed |= {"w_min": None, "w_max": None}  # they are among the parameters now
    return dataclasses.replace(rule, **changed)


def rested(rule: PlasticityRule) -> str:
    """Code that gives synapses the states in which a trial begins."""
    code = presynaptic_code(rule)
    lines = ["lastupdate = t"] if code.catch_up else []
    for name in code.states:
        value = float(rule.initial.get(name, 0.0))
        lines.append(f"{name} = {value!r}*{si_unit(rule.brian_equations[name].dim)}")
    return "\n".join(lines)


def weight_name(synapses: Synapses) -> str:
    """What the weight of synapses of a network that does not learn is called."""
    return FreeNames({*synapses.source.variables, *synapses.target.variables})("w")


def _synapses(
    net: SpikingNetwork,
    connection: Connection,
    groups: dict,
    order: int,
    trial_times: TrialTimes,
    dt: Any,
    dtype: Any,
) -> list[Synapses]:
    """One Synapses for each channel that is used."""
    source, target = groups[connection.source], groups[connection.target]
    model = (
        net.readout.model if connection.target == "readout" else net.layer(connection.target).model
    )
    # a model may have a variable called w itself, as the AdEx neuron does
    taken = {*source.variables, *target.variables}
    weight = FreeNames(taken)("w")
    real_valued = connection.source in net.inputs and net.input.real_valued
    sent = f"{weight}*x_pre" if real_valued else weight
    if connection.source not in net.inputs:
        graded = net.layer(connection.source).model.transmits
        sent = f"{weight}*{graded}_pre" if graded else weight
    if connection.synapse is not None and changes_itself(connection.synapse):
        variable = model.inputs[int(connection.channel.max())]
        return [_changing(connection, source, target, variable, order, trial_times, dt)]
    objects = []
    for channel, i, j, where in connection.by_channel():
        # given connections may act on the second variable alone
        on_second_input = channel and (net.drawn or objects)
        name = connection.synapses_name + ("_inhibitory" if on_second_input else "")
        one_delay = np.ptp(connection.delay) == 0
        rule = connection.synapse_now
        rule = rule and renamed(rule, weight, taken)
        equations, code = f"{weight} : {si_unit(connection.dimensions)}", ""
        if rule is not None:
            equations, sent = rule.brian_equations, rule.transmitted
            code = "\n".join(pathway.code for pathway in rule.pathways)
        if rule is None or rule.transmitted:
            code = f"{model.inputs[channel]}_post += {sent}\n{code}"
        synapses = Synapses(
            source,
            target,
            equations,
            on_pre=code,
            # a sum over the synapses alone has no pathway that could have a delay
            delay=int(connection.delay[0]) * net.dt if one_delay and code else None,
            order=order,
            namespace={} if rule is None else {key: rule.constants[key] for key in rule.external},
            method="euler" if rule is None else rule.method,
            name=name,
            dt=dt,
            dtype=dtype,
        )
        if code:
            synapses.pre.order = order  # that of Synapses is not that of its pathway
        synapses.connect(i=i, j=j)
        if rule is not None:
            set_values(rule, synapses, {"i": i})
            if len(trial_times.n_steps) > 1:
                period = trial_times.period * net.dt
                synapses.run_regularly(
                    rested(rule), dt=period, when="start", order=-1, name=f"{name}_restart"
                )
        setattr(synapses, weight, Quantity(connection.w[where], dim=connection.dimensions))
        if not one_delay:
            synapses.delay = connection.delay_of(where, i) * net.dt
        objects.append(synapses)
    return objects


def _with_weights_of_drives(net: SpikingNetwork, name: str, model: NeuronModel) -> NeuronModel:
    """The model with a parameter for each drive whose weight is another in each neuron."""
    drives = {
        weight_of_drive(placed.drive, model): placed
        for placed in net.drives
        if placed.drive.target == name and np.ndim(placed.drive.weight)
    }
    if not drives:
        return model
    lines = [
        f"{key} : {si_unit(model.dimensions[placed.input_of(net)])} (constant)"
        for key, placed in drives.items()
    ]
    return dataclasses.replace(
        model,
        equations="\n".join([model.equations, *lines]),
        parameters={
            **model.parameters,
            **{key: placed.drive.weight for key, placed in drives.items()},
        },
    )


def weight_of_drive(drive: PoissonDrive, model: NeuronModel) -> str:
    """Name of the parameter that holds the weights of a drive."""
    return FreeNames(model.namespace.variables)(f"{drive.name}_weight")


def _drives(
    net: SpikingNetwork, groups: dict, trial_times: TrialTimes, draws: Draws | None
) -> list[PoissonInput]:
    """Poisson spikes from outside: Brian2's own, or the engine's draws as a table."""
    objects = []
    for k, placed in enumerate(net.drives):
        drive, variable = placed.drive, placed.input_of(net)
        group = groups[drive.target]
        # after the connections before it, and after the drives at the same place
        order = placed.place - 1 + (k + 1) / (len(net.drives) + 1)
        if draws is None:
            weight = drive.weight
            if np.ndim(weight):
                weight = weight_of_drive(drive, net.model(drive.target))
            objects.append(PoissonInput(group, variable, drive.n, drive.rate, weight, order=order))
            continue
        table = drive_table(net, placed, draws, trial_times)
        name = FreeNames({*group.variables, *group.namespace})(f"{drive.name}_table")
        values = Quantity(table, dim=group.variables[variable].dim)
        group.namespace[name] = TimedArray(values, dt=net.dt)
        code = f"{variable} += {name}(t, i)"
        group.run_regularly(code, when="synapses", order=order, name=drive.name)
    return objects


def _changing(
    connection: Connection,
    source: Any,
    target: Any,
    variable: str,
    order: int,
    trial_times: TrialTimes,
    dt: Any,
) -> Synapses:
    """Synapses that change themselves, with the strings as they are."""
    rule = connection.synapse
    assert rule is not None
    if len(trial_times.n_steps) > 1:
        raise ValueError(
            message(
                f"the synapses of '{connection.name}' change their own weights.",
                WHERE,
                "In one simulation of several trials, each would begin with the weights of the last one.",
                "Pass one trial.",
            )
        )
    pairs = {"i": connection.pre, "j": connection.post}
    synapses = rule.synapses(
        source,
        target,
        connect=pairs,
        target=variable if rule.transmitted else None,
        name=connection.synapses_name,
        dt=dt,
    )
    setattr(synapses, rule.weight, Quantity(connection.w, dim=connection.dimensions))
    arrives = synapses.pre
    arrives.order = order
    for pathway in synapses._pathways:
        if pathway.prepost == "post":  # after all that arrives
            pathway.order = LAST
    delay = connection.delay if connection.synaptic else connection.delay[connection.pre]
    arrives.delay = delay * float(connection.dt) * second
    return synapses


def _check_record(record: tuple[str, ...], recordable: dict[str, set[str]]) -> None:
    known = {"spikes"}.union(*recordable.values())
    for name in record:
        if name not in known:
            raise ValueError(
                message(
                    f"'{name}' cannot be recorded.",
                    WHERE,
                    "No group has it.",
                    did_you_mean(name, known),
                )
            )


def _monitors(net: SpikingNetwork, groups: dict, record: tuple[str, ...], recordable: dict) -> list:
    monitors: list = []
    if "spikes" in record:
        monitors += [
            SpikeMonitor(groups[layer.name], name=f"{layer.name}_spikes") for layer in net.layers
        ]
    for name, group in groups.items():
        variables = [state for state in record if state in recordable.get(name, ())]
        if variables:
            monitors.append(
                StateMonitor(group, variables, record=True, when="end", name=f"{name}_states")
            )
    return monitors
