"""Which synapses a network has, their initial weights, and checks of new ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from brian2.units.allunits import amp, meter2, msecond, second, siemens, volt
from brian2.units.fundamentalunits import DIMENSIONLESS, Quantity, get_dimensions

from neurosnn.core.messages import did_you_mean, message
from neurosnn.core.values import Range, check_value, unit_name
from neurosnn.model import NeuronModel
from neurosnn.network.connection import Connection
from neurosnn.network.parts import Layer

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


def connect(net: SpikingNetwork) -> dict[str, Connection]:
    """All connections of a network by name, each drawn with its own generator from the seed."""
    _check_names(net)
    plans = list(_plans(net))
    generators = np.random.SeedSequence(net.seed).spawn(len(plans))
    return {
        name: _draw(net, name, source, target, np.random.default_rng(generator))
        for (name, source, target), generator in zip(plans, generators, strict=True)
    }


def _plans(net: SpikingNetwork) -> Iterator[tuple[str, Layer | None, Layer | None]]:
    """Name, source layer (None: the input) and target layer (None: the readout)."""
    several = len(net.layers) > 1
    for k, layer in enumerate(net.layers, start=1):
        if k == 1:
            yield "input", None, layer
        else:
            yield f"forward{k}", net.layers[k - 2], layer
        if layer.recurrent:
            yield f"recurrent{k}" if several else "recurrent", layer, layer
    for k, layer in enumerate(net.layers, start=1):
        yield f"readout{k}" if several else "readout", layer, None


def _draw(net, name, source, target, rng) -> Connection:
    n_pre = net.input.n if source is None else source.n
    n_post = net.readout.n if target is None else target.n
    mask = pre = post = sign = None
    delay: Any = 0
    if target is None:
        w = rng.standard_normal((n_pre, n_post))
        w += net.readout.weight_mean
        w *= net.readout.weight_scale / np.sqrt(n_pre)
        model = net.readout.model
        _refuse_second_input(model, name)
        channel = np.zeros(n_pre, dtype=np.int32)
        dimensions = model.dimensions[model.inputs[0]]
        w *= USUAL.get(dimensions, 1.0)
    else:
        recurrent = source is target
        channel, sign, dimensions = _polarity(name, source, target, n_pre)
        if target.connectivity < 1:
            pre, post = _draw_synapses(n_pre, target, recurrent=recurrent, rng=rng)
            w = rng.standard_normal(len(pre))
        else:
            mask = ~np.eye(n_pre, dtype=bool) if recurrent else None
            w = rng.standard_normal((n_pre, n_post))
        if not recurrent:
            w += target.weight_mean
        w *= _scale(target, dimensions) / np.sqrt(n_pre * target.connectivity)
        delay = _delay_steps(net.input if source is None else source, net.dt)
    origin = "input" if source is None else source.name
    connection = Connection(
        name=name,
        source=origin,
        target="readout" if target is None else target.name,
        n_post=n_post,
        w=w,
        mask=mask,
        pre=pre,
        post=post,
        fixed_delay=np.broadcast_to(np.asarray(delay, dtype=np.int32), (n_pre,)).copy(),
        channel=channel,
        sign=sign,
        dimensions=dimensions,
        learned_delay=None if target is None else net.learned.get(f"{origin}.delay"),
        dt=float(net.dt),
    )
    if sign is not None:
        np.abs(w, out=w)
        w *= connection.sign_of_weights
    if mask is not None:
        w *= mask
    return connection


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
    return values


def parts_by_name(net: SpikingNetwork) -> dict[str, Any]:
    """The input and the layers."""
    return {"input": net.input, **{str(layer.name): layer for layer in net.layers}}


def range_of(net: SpikingNetwork, name: str) -> Range:
    """Allowed values of a learned parameter."""
    part, key = name.rsplit(".", 1)
    if key == "delay":
        return Range(0 * second, includes_low=True)
    model = parts_by_name(net)[part].model
    return model.ranges.get(key) or Range(Quantity(-np.inf, dim=model.dimensions[key]))


def _refuse_second_input(model: NeuronModel, name: str) -> None:
    """Drawn synapses to a readout act on its first input; another one would get none in silence."""
    if len(model.inputs) > 1:
        raise ValueError(
            message(
                f"{model.name} has {len(model.inputs)} inputs, and '{name}' has no synapses for "
                f"{model.inputs[1]}.",
                "Readout",
                "All neurons act on the first input of a readout; their weights have either sign.",
                "Name one input, or pass connections= with those of your own.",
            )
        )


def _draw_synapses(n_pre: int, target: Layer, *, recurrent: bool, rng):
    """Neurons before and after each synapse of a sparse connection."""
    rows = []
    for i in range(n_pre):  # one row at a time: a large network must not need memory for all
        there = rng.random(target.n) < target.connectivity
        if recurrent:
            there[i] = False
        rows.append(np.flatnonzero(there).astype(np.int32))
    pre = np.repeat(np.arange(n_pre, dtype=np.int32), [len(row) for row in rows])
    return pre, np.concatenate(rows)


def _polarity(name: str, source: Layer | None, target: Layer, n_pre: int):
    """Channel and sign of each presynaptic neuron, and the unit of the weights."""
    model = target.model
    if len(model.inputs) > 2:
        raise ValueError(
            message(
                f"{model.name} has {len(model.inputs)} inputs, and '{name}' has no synapses for "
                f"{model.inputs[2]}.",
                f"Layer {target.name}",
                "Excitatory neurons act on the first input, inhibitory ones on the second.",
                "Name one or two inputs, or pass connections= with those of your own.",
            )
        )
    sign = None if source is None else source.sign
    units = [model.dimensions[variable] for variable in model.inputs[:2]]
    channel = np.zeros(n_pre, dtype=np.int32)
    inhibits = sign is not None and bool(np.any(sign < 0))
    if len(units) == 1:
        if units[0] is not siemens.dim:
            return channel, sign, units[0]
        if inhibits:
            raise ValueError(
                message(
                    f"'{name}' has inhibitory neurons, but {model.name} has one conductance only.",
                    f"Layer {target.name}",
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
                    f"Layer {target.name}",
                    f"The weights of '{name}' are one array and must have one unit.",
                    "Rewrite one of the two inputs in the unit of the other.",
                )
            )
        channel = (sign < 0).astype(np.int32)
    # With one variable for each polarity, or a conductance, the variable says what a spike does.
    return channel, np.ones(n_pre, dtype=np.int8), units[0]


def _scale(layer: Layer, dimensions) -> float:
    """What a weight of one means in SI values."""
    if get_dimensions(layer.weight_scale) is not DIMENSIONLESS:
        return float(layer.weight_scale)
    v_th = layer.model.parameters.get("v_th")
    if v_th is not None and get_dimensions(v_th) is dimensions:
        typical = float(np.mean(np.abs(np.asarray(v_th, dtype=float))))
        if typical > 0:
            return float(layer.weight_scale) * typical
    return float(layer.weight_scale) * USUAL.get(dimensions, 1.0)


def _delay_steps(layer: Any, dt: Quantity) -> np.ndarray:
    steps = np.asarray(layer.delay / dt, dtype=float)
    whole = np.rint(steps)
    if "delay" not in layer.learn and np.any(np.abs(steps - whole) > 1e-6 * np.maximum(1, whole)):
        raise ValueError(
            message(
                f"delay must be a multiple of dt = {dt}, got {layer.delay}.",
                f"Layer {layer.name}" if isinstance(layer, Layer) else "Input",
                "Spikes arrive in a step of the simulation.",
                "Round the delay, or choose a smaller dt.",
            )
        )
    return whole.astype(np.int32)


def _check_names(net: SpikingNetwork) -> None:
    used = {"input": "the input", "readout": "the readout"}
    for name, _, _ in _plans(net):
        used.setdefault(name, f"the connection '{name}'")
    for layer in net.layers:
        if layer.name in used:
            raise ValueError(
                message(
                    f"the name '{layer.name}' is that of {used[layer.name]}.",
                    "SpikingNetwork",
                    "Every part must be found by its name.",
                    "Choose another name=, or leave it out.",
                )
            )
        used[layer.name] = "another layer"
    for k, layer in enumerate(net.layers):
        if layer.recurrent or k < len(net.layers) - 1:
            continue
        for setting, given in (
            ("delay", np.any(np.asarray(layer.delay) > 0) or "delay" in layer.learn),
            ("excitatory", layer.excitatory is not None),
        ):
            if given:
                raise ValueError(
                    message(
                        f"{setting} has no effect.",
                        f"Layer {layer.name}",
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
        _check_array(name, array, net.parameters[name].shape, connection, where)
        if name in net.learned:
            check_value(name, Quantity(array, dim=unit), range_of(net, name), where=where)
        checked[name] = array
    return checked


def _check_array(name, array, shape, connection, where) -> None:
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
                "Which synapses exist is fixed (a neuron has none to itself).",
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
        f"  {'input':<12} {net.input.n:>6}  {kind}",
        *(f"  {layer.name:<12} {layer.n:>6}  {layer.model.name}" for layer in net.layers),
        f"  {'readout':<12} {net.readout.n:>6}  {net.readout.model.name}"
        + (" + bias" if net.readout.bias else ""),
    ]
    for c in net.connections.values():
        delays = sorted({float(d) * dt for d in (c.delay.min(), c.delay.max())})
        rows.append(
            f"  {c.name + '.w':<12} {c.n_synapses:>9,} synapses  {c.source} -> {c.target}"
            + (f", {' to '.join(f'{d:g}' for d in delays)} ms" if delays[-1] else "")
            + ("" if c.sign is None else ", signs fixed")
            + ("" if c.dimensions is DIMENSIONLESS else f", in {unit_name(c.dimensions)}")
        )
    return "\n".join(rows)
