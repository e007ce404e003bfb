"""Which synapses a network has, their initial weights, and checks of new ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from brian2.equations.equations import PARAMETER
from brian2.units.allunits import amp, meter2, msecond, second, siemens, volt
from brian2.units.fundamentalunits import DIMENSIONLESS, Quantity, get_dimensions

from neurosnn.calculus.changing import changes_itself
from neurosnn.calculus.presynaptic import presynaptic_code
from neurosnn.core import html
from neurosnn.core.distributions import Distribution
from neurosnn.core.messages import did_you_mean, message, shortened
from neurosnn.core.units import si_unit
from neurosnn.core.values import Range, check_value, unit_name
from neurosnn.model import NeuronModel, PlasticityRule
from neurosnn.network.connection import Connection
from neurosnn.network.parts import Input, Layer, Population, Readout, check_weight_scale
from neurosnn.network.projection import Projection, synapses_of

if TYPE_CHECKING:
    from neurosnn.network.network import SpikingNetwork

# The scale of a weight where no threshold in the same unit gives one.
# 1 mV, 1 nA, 1 nS; of a membrane per area 1 uA/cm2 and 1 mS/cm2.
USUAL = {
    volt.dim: 1e-3,
    amp.dim: 1e-9,
    siemens.dim: 1e-9,
    (amp / meter2).dim: 1e-2,
    (siemens / meter2).dim: 10.0,
}

#: They cannot be negative.
CONDUCTANCES = (siemens.dim, (siemens / meter2).dim)


def connect(net: SpikingNetwork) -> dict[str, Connection]:
    """All connections of a network by name, each drawn with its own generator from the seed."""
    _check_names(net)
    generators = np.random.SeedSequence(net.seed).spawn(len(net.projections))
    return {
        projection.name: _draw(net, projection, np.random.default_rng(generator))
        for projection, generator in zip(net.projections, generators, strict=True)
    }


def stack(source: Input, layers: Sequence[Layer], readout: Readout) -> Iterator[Projection]:
    """The projections of a stack: the input, to the next layer, recurrent, and all to the readout."""
    several = len(layers) > 1
    before: Any = source
    for k, layer in enumerate(layers, start=1):
        name = str(layer.name)
        settings: dict[str, Any] = {
            "connectivity": layer.connectivity,
            "weight_scale": layer.weight_scale,
        }
        yield Projection(
            "input" if k == 1 else str(before.name),
            name,
            name="input" if k == 1 else f"forward{k}",
            delay=before.delay,
            sign=None if k == 1 else before.sign,
            weight_mean=layer.weight_mean,
            **settings,
        )
        if layer.recurrent:
            yield Projection(
                name,
                name,
                name=f"recurrent{k}" if several else "recurrent",
                delay=layer.delay,
                sign=layer.sign,
                **settings,
            )
        before = layer
    for k, layer in enumerate(layers, start=1):
        yield to_readout(str(layer.name), readout, name=f"readout{k}" if several else "readout")


def to_readout(source: str, readout: Readout, name: str | None = None) -> Projection:
    """The projection from a population to the readout with the readout's own settings."""
    return Projection(
        source,
        "readout",
        name=name,  # type: ignore[arg-type]
        weight_scale=readout.weight_scale,
        weight_mean=readout.weight_mean,
    )


def _draw(net: SpikingNetwork, projection: Projection, rng: np.random.Generator) -> Connection:
    source, target = (
        None if name in net.inputs or name == "readout" else net.layer(name)
        for name in (projection.source, projection.target)
    )
    n_pre = net.inputs[projection.source].n if source is None else source.n
    receiver = net.readout if target is None else target
    n_post = receiver.n
    channel, sign, dimensions = _polarity(projection, receiver.model, n_pre)
    if projection.synapse is not None:
        dimensions = _unit_of_weight(projection, receiver.model, channel)
        if not changes_itself(projection.synapse):
            _check_sum(projection, source, receiver.model)
    mask = pre = post = order = None
    has_states = projection.synapse is not None and changes_itself(projection.synapse)
    if projection.full and not projection.synaptic and not has_states:
        itself = source is not None and source is target and not projection.autapses
        mask = ~np.eye(n_pre, dtype=bool) if itself else None
    else:
        pre, post, order = synapses_of(projection, source, target, n_pre, n_post, rng)
    w = _weights(projection, receiver.model, dimensions, (n_pre, n_post), pre, post, rng)
    if order is not None and np.ndim(projection.weight) == 1:
        w = w[order]
    synapses = None if pre is None else (pre, post, order)
    learned = None if target is None else net.learned.get(f"{projection.source}.delay")
    real_valued = learned is not None or "delay" in projection.learn
    delay = _delays(net, projection, (n_pre, n_post), synapses, rng, real_valued=real_valued)
    if "delay" in projection.learn:
        learned = delay * float(net.dt)
    connection = Connection(
        name=projection.name,
        source=projection.source,
        target=projection.target,
        n_post=n_post,
        w=w,
        mask=mask,
        pre=pre,
        post=post,
        fixed_delay=np.rint(delay).astype(np.int32),
        channel=channel,
        sign=sign,
        dimensions=dimensions,
        learned_delay=learned,
        dt=float(net.dt),
        plastic="w" in projection.learn,
        synaptic=projection.synaptic,
        synapse=projection.synapse if order is None else of_synapses(projection.synapse, order),
        learned_synapse={
            key: net.learned[f"{projection.name}.{key}"] for key in projection.learned_of_synapse
        },
    )
    if sign is not None:
        if projection.weight is None:
            np.abs(w, out=w)
            w *= connection.sign_of_weights
        elif np.any(w * connection.sign_of_weights < 0):
            raise ValueError(
                message(
                    "a weight has the wrong sign.",
                    projection.where,
                    "Weights have the sign that was given (Dale's law); those of a conductance, or of "
                    "one of two input variables, are positive.",
                    "Change the weight, the sign or the input variable.",
                )
            )
    if mask is not None:
        w *= mask
    return connection


def of_synapses(rule: PlasticityRule | None, which: np.ndarray) -> PlasticityRule | None:
    """The rule with the initial values and delays of some of its synapses, in the order of `which`."""
    if rule is None or not any(map(np.ndim, (*rule.initial.values(), *rule.delays.values()))):
        return rule
    values: dict[str, Any] = {
        field: {name: value[which] if np.ndim(value) else value for name, value in named.items()}
        for field, named in (("initial", rule.initial), ("delays", rule.delays))
    }
    return dataclasses.replace(rule, **values)


def _weights(projection, model, dimensions, shape, pre, post, rng) -> np.ndarray:
    """Initial weights, given or drawn: a matrix, or one for each synapse of a sparse projection."""
    n_pre, n_post = shape
    size = shape if pre is None else (len(pre),)
    if projection.weight is None:
        w = rng.standard_normal(size)
        if projection.weight_mean:
            w += projection.weight_mean
        per_target = n_pre if pre is None else len(pre) / n_post
        if isinstance(projection.connectivity, float) and projection.in_degree is None:
            per_target = n_pre * projection.connectivity
        w *= _scale(projection, model, dimensions) / np.sqrt(max(per_target, 1e-9))
        return w
    check_value(
        "weight",
        projection.weight,
        Range(Quantity(-np.inf, dim=dimensions)),
        where=projection.where,
    )
    weight = np.asarray(projection.weight, dtype=float)
    if pre is not None and weight.shape == shape and shape != size:
        weight = weight[pre, post]
    if weight.ndim and weight.shape != size:
        raise ValueError(
            message(
                f"weight has shape {weight.shape}.",
                projection.where,
                f"There are {n_pre} presynaptic and {n_post} postsynaptic neurons"
                + ("." if pre is None else f", and {len(pre)} synapses."),
                f"Pass one value or an array {size}.",
            )
        )
    return np.array(np.broadcast_to(weight, size))


def learned_values(net: SpikingNetwork) -> dict[str, np.ndarray]:
    """What is learned besides weights and biases, in SI values; shared parameters have no axis."""
    values = {}
    for name, part in parts_by_name(net).items():
        for key in part.learn:
            if key == "delay":
                value = np.broadcast_to(np.asarray(part.delay, dtype=float), (part.n,))
            else:
                value = np.asarray(part.model.parameters[key], dtype=float)
            values[f"{name}.{key}"] = np.array(value)
    for projection in net.projections:
        for key, value in projection.learned_of_synapse.items():
            values[f"{projection.name}.{key}"] = np.array(value, dtype=float)
    return values


def parts_by_name(net: SpikingNetwork) -> dict[str, Any]:
    """The inputs and the populations."""
    return {**net.inputs, **{str(layer.name): layer for layer in net.layers}}


def range_of(net: SpikingNetwork, name: str) -> Range:
    """Allowed values of a learned parameter."""
    part, key = name.rsplit(".", 1)
    if key == "delay":
        return Range(0 * second, includes_low=True)
    rules = {projection.name: projection.synapse for projection in net.projections}
    rule = rules.get(part)
    if rule is not None:
        unit = rule.brian_equations[key].dim
        return rule.ranges.get(key) or Range(Quantity(-np.inf, dim=unit))
    model = parts_by_name(net)[part].model
    return model.ranges.get(key) or Range(Quantity(-np.inf, dim=model.dimensions[key]))


def _polarity(projection: Projection, model: NeuronModel, n_pre: int):
    """Channel and sign of each presynaptic neuron, and the unit of the weights."""
    where, name = projection.where, projection.name
    sign = None
    if projection.sign is not None:
        sign = np.asarray(projection.sign, dtype=np.int8)
        if sign.ndim and sign.shape != (n_pre,):
            raise ValueError(
                message(
                    f"sign has shape {sign.shape} for {n_pre} presynaptic neurons.",
                    where,
                    "There is one value, or one for each neuron.",
                    f"Pass +1, -1 or an array of {n_pre}.",
                )
            )
        sign = np.array(np.broadcast_to(sign, (n_pre,)))
    if projection.input is not None:
        if projection.input not in model.inputs:
            raise ValueError(
                message(
                    f"'{projection.input}' is no input of {model.name}.",
                    where,
                    "A spike adds to one of the input variables of its target.",
                    did_you_mean(projection.input, model.inputs),
                )
            )
        if projection.target == "readout" and projection.input != model.inputs[0]:
            raise ValueError(
                message(
                    f"'{projection.input}' is not the first input of {model.name}.",
                    where,
                    "The error of a readout is that of its first input.",
                    f"Let the spikes add to {model.inputs[0]}, or name the other one first in inputs.",
                )
            )
        channel = np.full(n_pre, model.inputs.index(projection.input), dtype=np.int32)
        dimensions = model.dimensions[projection.input]
        if sign is None and dimensions in CONDUCTANCES:
            sign = np.ones(n_pre, dtype=np.int8)
        return channel, sign, dimensions
    channel = np.zeros(n_pre, dtype=np.int32)
    if projection.target == "readout":
        if len(model.inputs) > 1:
            raise ValueError(
                message(
                    f"{model.name} has {len(model.inputs)} inputs, and '{name}' has no synapses for "
                    f"{model.inputs[1]}.",
                    "Readout",
                    "All neurons act on the first input of a readout; their weights have either sign.",
                    "Name one input, or make a graph whose projections name theirs.",
                )
            )
        return channel, sign, model.dimensions[model.inputs[0]]
    if len(model.inputs) > 2:
        raise ValueError(
            message(
                f"{model.name} has {len(model.inputs)} inputs, and '{name}' has no synapses for "
                f"{model.inputs[2]}.",
                where,
                "Excitatory neurons act on the first input, inhibitory ones on the second.",
                "Name one or two inputs, or make a graph whose projections name theirs.",
            )
        )
    units = [model.dimensions[variable] for variable in model.inputs]
    inhibits = sign is not None and bool(np.any(sign < 0))
    if len(units) == 1:
        if units[0] not in CONDUCTANCES:
            return channel, sign, units[0]
        if inhibits:
            raise ValueError(
                message(
                    f"'{name}' has inhibitory neurons, but {model.name} has one conductance only.",
                    where,
                    "A conductance cannot be negative; inhibition needs one of its own.",
                    "Give the model a second input, for example inputs=('g_e', 'g_i').",
                )
            )
    elif inhibits:
        if units[0] is not units[1]:
            raise ValueError(
                message(
                    f"the inputs {model.inputs[0]} and {model.inputs[1]} of {model.name} have "
                    f"different units.",
                    where,
                    f"The weights of '{name}' are one array and must have one unit.",
                    "Rewrite one of the two inputs in the unit of the other.",
                )
            )
        channel = (sign < 0).astype(np.int32)
    # With one variable for each polarity, or a conductance, the variable says what a spike does.
    return channel, np.ones(n_pre, dtype=np.int8), units[0]


def _unit_of_weight(projection: Projection, model: NeuronModel, channel: np.ndarray) -> Any:
    """The unit that the strings of the synapses give the weight, if what they send fits the target."""
    rule = projection.synapse
    assert rule is not None
    if rule.targets:
        sent = rule.written[f"{rule.targets[0]}_post"]
    else:
        sent = rule.namespace.dimensions_of(rule.transmitted, field="transmission")
    for variable in {model.inputs[k] for k in np.unique(channel)}:
        if model.dimensions[variable] is not sent:
            raise ValueError(
                message(
                    f"a spike sends {unit_name(sent)} to {variable}, which is in "
                    f"{unit_name(model.dimensions[variable])}.",
                    projection.where,
                    f"The strings of {rule.name} give the weight its unit.",
                    f"Give it another, as in equations.TsodyksMarkram(unit="
                    f"'{si_unit(model.dimensions[variable])}').",
                )
            )
    return rule.weight_dimensions


def _check_sum(projection: Projection, source: Population | None, model: NeuronModel) -> None:
    """A sum over the synapses is what nothing else moves, of what the sources have."""
    assert projection.synapse is not None
    code = presynaptic_code(projection.synapse)
    if code.summed and model.brian_equations[code.target].type != PARAMETER:
        raise ValueError(
            message(
                f"{code.target}_post is a sum over the synapses, and {model.name} moves {code.target}.",
                projection.where,
                "The sum replaces it in each step.",
                f"Declare it in the neuron as '{code.target} : 1', or in its unit.",
            )
        )
    for name in code.read:
        unit = get_dimensions(projection.synapse.requires_pre[name])
        states = () if source is None else source.model.states
        if name not in states or source is None or source.model.dimensions[name] is not unit:
            raise ValueError(
                message(
                    f"it reads {name}_pre in {unit_name(unit)}, which '{projection.source}' does not have.",
                    projection.where,
                    "Synapses read the states of the neurons before them.",
                    did_you_mean(name, states),
                )
            )


def _scale(projection: Projection, model: NeuronModel, dimensions) -> float:
    """What a weight of one means in SI values."""
    check_weight_scale(projection.weight_scale, dimensions, where=projection.where)
    scale = float(projection.weight_scale)
    if get_dimensions(projection.weight_scale) is not DIMENSIONLESS:
        return scale
    v_th = model.parameters.get("v_th")
    if v_th is not None and get_dimensions(v_th) is dimensions:
        typical = float(np.mean(np.abs(np.asarray(v_th, dtype=float))))
        if typical > 0:
            return scale * typical
    return scale * USUAL.get(dimensions, 1.0)


def _delays(
    net: SpikingNetwork,
    projection: Projection,
    shape: tuple[int, int],
    synapses: tuple[np.ndarray, ...] | None,
    rng: np.random.Generator,
    *,
    real_valued: bool,
) -> np.ndarray:
    """Delays in steps, (n_pre,), or (n_synapses,) of those of synapses; whole unless `real_valued`."""
    delay, size = projection.delay, shape[:1]
    if synapses is not None and projection.synaptic:
        pre, post, order = synapses
        size = pre.shape
        if isinstance(delay, Distribution):
            delay = delay.sample(rng, len(pre))
            delay = delay if real_valued else np.rint(delay / net.dt) * net.dt
        elif np.shape(delay) == shape:
            delay = delay[pre, post]
        elif np.shape(delay) == size:
            delay = delay[order]
    steps = np.asarray(delay / net.dt, dtype=float)
    if not projection.synaptic and steps.ndim == 2:
        steps = steps[:, 0]
    if steps.ndim and steps.shape != size:
        raise ValueError(
            message(
                f"delay has shape {steps.shape}.",
                projection.where,
                f"There are {shape[0]} presynaptic and {shape[1]} postsynaptic neurons"
                + (f", and {size[0]} synapses." if projection.synaptic else "."),
                f"Pass one time, or an array {size} or {shape}"
                + (f"; {(shape[0], 1)} are delays of axons." if projection.synaptic else "."),
            )
        )
    if not real_valued:
        rounded = np.rint(steps)
        if np.any(np.abs(steps - rounded) > 1e-6 * np.maximum(1, rounded)):
            raise ValueError(
                message(
                    f"delay must be a multiple of dt = {net.dt}, got {shortened(str(delay), 80)}.",
                    projection.where,
                    "Spikes arrive in a step of the simulation.",
                    "Round the delay, or choose a smaller dt.",
                )
            )
        steps = rounded
    return np.broadcast_to(steps, size).copy()


def _check_names(net: SpikingNetwork) -> None:
    owners: dict[str, str] = {}
    for projection in net.projections:
        if projection.name in owners:
            raise ValueError(
                message(
                    f"two projections are called '{projection.name}'.",
                    "SpikingNetwork",
                    "Every part must be found by its name.",
                    "Pass name= to one of them.",
                )
            )
        owners[projection.name] = f"the connection '{projection.name}'"
    owners["readout"] = "the readout"
    for name in net.inputs:
        # Brian2's Synapses of connections "input" have another name than the connection
        if name in owners and name != "input":
            raise ValueError(
                message(
                    f"the name '{name}' of an input is that of {owners[name]}.",
                    "SpikingNetwork",
                    "Every part must be found by its name.",
                    "Choose another name.",
                )
            )
        owners[name] = "an input" if len(net.inputs) > 1 else "the input"
    for placed in net.drives:
        if placed.drive.name in owners:
            raise ValueError(
                message(
                    f"the name '{placed.drive.name}' is that of {owners[placed.drive.name]}.",
                    placed.drive.where,
                    "Every part must be found by its name.",
                    "Pass another name=.",
                )
            )
        owners[placed.drive.name] = f"the drive '{placed.drive.name}'"
    for layer in net.layers:
        if layer.name in owners:
            raise ValueError(
                message(
                    f"the name '{layer.name}' is that of {owners[layer.name]}.",
                    "SpikingNetwork",
                    "Every part must be found by its name.",
                    "Choose another name=, or leave it out.",
                )
            )
        owners[layer.name] = "another layer"


def check_settings(layers: Sequence[Layer], readout: Readout) -> None:
    """Refuse settings of a stack that would have no effect."""
    if readout.of:
        raise ValueError(
            message(
                "of has no effect.",
                "Readout",
                "The readout of a stack reads all layers.",
                "Leave it out, or make a graph: SpikingNetwork.from_graph.",
            )
        )
    last = layers[-1]
    if last.recurrent:
        return
    for setting, is_set in (
        ("delay", np.any(np.asarray(last.delay) > 0) or "delay" in last.learn),
        ("excitatory", last.excitatory is not None),
    ):
        if is_set:
            raise ValueError(
                message(
                    f"{setting} has no effect.",
                    f"Layer {last.name}",
                    "It holds for recurrent synapses and those to the next layer, and there are "
                    "none; the readout reads spikes at once, with weights of either sign.",
                    f"Pass recurrent=True or leave {setting} out.",
                )
            )


def checked_parameters(net: SpikingNetwork, values: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """New parameters as float64 arrays in SI values, or an error."""
    where = "set_parameters"
    checked = {}
    for name, value in values.items():
        if name not in net.parameters:
            raise ValueError(
                message(
                    f"unknown parameter '{name}'.", where, "", did_you_mean(name, net.parameters)
                )
            )
        connection = net.connections.get(name.removesuffix(".w"))
        model = net.readout.model
        unit = connection.dimensions if connection else model.dimensions[model.states[0]]
        if name in net.learned:
            unit = get_dimensions(range_of(net, name).low)
        if isinstance(value, Quantity) and value.dim is not unit:
            raise ValueError(
                message(
                    f"{name} must be in {unit_name(unit)}, got {unit_name(value.dim)}.",
                    where,
                    "A weight has the unit of the variable it adds to.",
                    "Pass a Quantity with that unit, or plain SI values.",
                )
            )
        try:
            array = np.array(value, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise ValueError(
                message(f"{name} is not an array of numbers: {error}.", where, "", "Pass an array.")
            ) from error
        check_array(name, array, net.parameters[name].shape, connection, where)
        if name in net.learned:
            check_value(name, Quantity(array, dim=unit), range_of(net, name), where=where)
        checked[name] = array
    return checked


def check_array(
    name: str,
    array: np.ndarray,
    shape: tuple[int, ...],
    connection: Connection | None,
    where: str,
) -> None:
    """Refuse new values of a parameter that are not finite or do not fit the synapses."""
    if array.shape != shape:
        raise ValueError(
            message(
                f"{name} must have shape {shape}, got {array.shape}.",
                where,
                *(
                    (
                        "It is sparse: there is one value for each synapse that exists.",
                        f"Choose them from a full matrix: matrix[c.pre, c.post] with "
                        f"c = net.connections['{connection.name}'].",
                    )
                    if connection is not None and connection.sparse
                    else (
                        "Rows are presynaptic, columns postsynaptic neurons.",
                        "Transpose it if it was stored the other way round.",
                    )
                ),
            )
        )
    if not np.all(np.isfinite(array)):
        raise ValueError(
            message(
                f"{name} holds a value that is not finite.",
                where,
                "It would spread through the whole network.",
                "Check where it comes from, for example a learning rate that is too large.",
            )
        )
    if connection is None:
        return
    if connection.mask is not None and np.any(array[~connection.mask]):
        i, j = np.argwhere((array != 0) & ~connection.mask)[0]
        raise ValueError(
            message(
                f"{name}[{i}, {j}] is {array[i, j]:g}, but there is no such synapse.",
                where,
                "Which synapses exist is fixed (a neuron has no synapse to itself).",
                f"Multiply by net.connections['{connection.name}'].mask.",
            )
        )
    if connection.sign is not None and np.any(array * connection.sign_of_weights < 0):
        place = tuple(np.argwhere(array * connection.sign_of_weights < 0)[0].tolist())
        i = place[0] if connection.pre is None else connection.pre[place[0]]
        raise ValueError(
            message(
                f"{name}[{', '.join(map(str, place))}] is {array[place]:g}, but neuron {i} has sign "
                f"{connection.sign[i]:+d}.",
                where,
                "All synapses of a neuron have the same sign (Dale's law, or conductances).",
                "Clip the weights at zero.",
            )
        )


def table(net: SpikingNetwork) -> str:
    """The network for people."""
    dt = float(net.dt / msecond)
    kind = "real-valued channels" if net.input.real_valued else "channels of spikes"
    rows = [
        f"SpikingNetwork: {net.n_parameters:,} parameters, dt = {dt:g} ms, seed = {net.seed}",
        *(f"  {name:<12} {entry.n:>6}  {kind}" for name, entry in net.inputs.items()),
        *(f"  {layer.name:<12} {layer.n:>6}  {layer.model.name}" for layer in net.layers),
        f"  {'readout':<12} {net.readout.n:>6}  {net.readout.model.name}"
        + (" + bias" if net.readout.bias else ""),
    ]
    for c in net.connections.values():
        delays = sorted({float(d) * dt for d in _shortest_and_longest(c)})
        rows.append(
            f"  {c.name + '.w':<12} {c.n_synapses:>9,} synapses  {c.source} -> {c.target}"
            + (f", {' to '.join(f'{d:g}' for d in delays)} ms" if delays[-1] else "")
            + ("" if c.sign is None else ", signs fixed")
            + ("" if c.synapse is None else f", {c.synapse.name}")
            + ("" if c.dimensions is DIMENSIONLESS else f", in {unit_name(c.dimensions)}")
        )
    for placed in net.drives:
        drive = placed.drive
        rows.append(
            f"  {drive.name:<12} {drive.n:>9,} sources of {drive.rate} -> each of {drive.target}"
        )
    return "\n".join(rows)


def _shortest_and_longest(connection: Connection) -> tuple[int, int]:
    """Delays in steps; zero of a connection without synapses."""
    delay = connection.delay
    return (int(delay.min()), int(delay.max())) if delay.size else (0, 0)


def network_html(net: SpikingNetwork) -> str:
    """A small diagram of the network, and a table of its connections."""
    channels = "real values" if net.input.real_valued else "spikes"
    back = {c.target for c in net.connections.values() if c.source == c.target}
    boxes = [(name, f"{entry.n} channels, {channels}", False) for name, entry in net.inputs.items()]
    boxes += [
        (str(layer.name), f"{layer.n} x {layer.model.name}", layer.name in back)
        for layer in net.layers
    ]
    boxes.append(("readout", f"{net.readout.n} x {net.readout.model.name}", False))
    dt = float(net.dt / msecond)
    rows = []
    for c in net.connections.values():
        low, high = (float(d) * dt for d in _shortest_and_longest(c))
        delay = f"{low:g} ms" if low == high else f"{low:g} to {high:g} ms"
        kind = "" if c.synapse is None else c.synapse.name
        rows.append((f"{c.name}.w", f"{c.source} to {c.target}", f"{c.n_synapses:,}", delay, kind))
    for placed in net.drives:
        drive = placed.drive
        rows.append(
            (drive.name, f"outside to {drive.target}", f"{drive.n:,} each", "", str(drive.rate))
        )
    title = f"SpikingNetwork: {net.n_parameters:,} parameters, dt = {dt:g} ms, seed = {net.seed}"
    return html.block(
        title,
        f"<div>{html.diagram(boxes, range(1, len(net.layers)))}</div>" if net.is_stack else "",
        html.table(("weights", "from and to", "synapses", "delay", "states"), rows),
    )
