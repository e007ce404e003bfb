"""The structure that Python fills and the generated C++ reads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from neurosnn.core.messages import did_you_mean, message
from neurosnn.core.symbolic import evaluate
from neurosnn.engine.backward import Backward
from neurosnn.engine.codegen import ConnectionCode, DriveCode, LayerCode
from neurosnn.losses import Loss
from neurosnn.model.timed import Lookup

__all__ = [
    "aligned",
    "batch_fields",
    "delayed",
    "drive_values",
    "initial_values",
    "lookup_values",
    "neuron_values",
]


def batch_fields(
    layers: list[LayerCode],
    connections: list[ConnectionCode],
    drives: list[DriveCode],
    losses: Sequence[type[Loss]],
    backward: Backward | None,
    inputs: Iterable[str],
) -> list[tuple[str, str]]:
    """Names and C++ types of the members of the structure handed to C++."""
    pointer = "const real*"
    fields = [
        (name, "int64_t")
        for name in (
            "n_trials",
            "max_steps",
            "n_blocks",
            "n_threads",
            "gradient",
            "record_spikes",
            "loss_kind",
            "max_delay",
            "key_0",
            "key_1",
            "trials_before",
            "n_channels",
            *(f"begin_{name}" for name in inputs),
        )
    ]
    fields.append(("dt", "double"))
    if backward is not None:
        fields += [(name, "double") for name in backward.numbers]
        fields += backward.fields(layers)
    constants = dict.fromkeys(name for loss in losses for name in loss.constant_names)
    fields += [(f"loss_{name}", "double") for name in constants]
    fields += [(name, "const int64_t*") for name in ("n_steps", "event_offset", "frame_offset")]
    fields += [(name, "const int32_t*") for name in ("event_step", "event_channel")]
    fields += [("frames", "const float*"), ("labels", "const int64_t*")]
    fields += [(name, "const double*") for name in ("step_weight", "targets", "bias")]
    fields += [(name, "double*") for name in ("loss", "scores", "outputs", "d_bias")]
    fields += [("correct", "int64_t*"), ("total", "int64_t*")]
    for code in layers:
        k = code.index
        fields.append((f"n_{k}", "int64_t"))
        for name in code.parameters:
            fields += [(f"p_{k}_{name}", "const double*"), (f"stride_{k}_{name}", "int64_t")]
        for name in code.states:
            fields += [
                (f"init_{k}_{name}", "const double*"),
                (f"initstride_{k}_{name}", "int64_t"),
                (f"trace_{k}_{name}", "real*"),
            ]
        for name, *_ in code.lookups:
            fields.append((f"values_{k}_{name}", "const double*"))
            fields += [(f"{word}_{k}_{name}", "const int64_t*") for word in ("row", "column")]
        if code.spiking:
            fields.append((f"spike_count_{k}", "int64_t*"))
        fields += [(f"d_{k}_{name}", "double*") for name in code.learned]
    for connection in connections:
        name = connection.name
        fields += [
            (f"w_{name}", pointer),
            (f"d_{name}", "double*"),
            (f"size_{name}", "int64_t"),
            (f"n_pre_{name}", "int64_t"),
            (f"delay_{name}", "const int32_t*"),
            (f"channel_{name}", "const int32_t*"),
            (f"row_{name}", "const int64_t*"),
            (f"post_{name}", "const int32_t*"),
            (f"d_delay_{name}", "double*"),
        ]
        if connection.synaptic:
            fields += [(f"first_{name}", "const int64_t*"), (f"source_{name}", "const int32_t*")]
            fields += [(f"late_{name}", "const int32_t*")]
        if connection.by_sender:
            fields += [(f"place_{name}", "const int32_t*"), (f"longest_{name}", "int64_t")]
        if connection.synapse is not None:
            states = connection.synapse
            keys = (*states.constants, *states.states)
            fields += [(f"synapse_{states.index}_{key}", "double") for key in keys]
            fields += [(f"d_synapse_{states.index}_{key}", "double*") for key in states.learned]
        if connection.changing is not None:
            moving = connection.changing
            fields += [(f"synapse_{moving.index}_{key}", "double") for key in moving.constants]
            fields += [(f"start_{name}_{key}", "const double*") for key in moving.variables]
            fields += [(f"{key}_{name}", "const int64_t*") for key in ("pre", "by_post", "column")]
            fields += [(f"n_column_{name}", "int64_t"), (f"final_{name}", "real*")]
            fields += [(f"lag_{name}", "const int64_t*"), (f"n_lags_{name}", "int64_t")]
    for drive in drives:
        name = f"drive_{drive.index}"
        fields += [(f"{name}_weight", "const double*"), (f"{name}_table", "const double*")]
        fields += [(f"{name}_size", "int64_t")]
        fields += [(f"{name}_mean", "double"), (f"{name}_deviation", "double")]
    return fields


def drive_values(net: Any) -> dict[str, Any]:
    """Values of the fields of Poisson spikes from outside."""
    values: dict[str, Any] = {}
    for k, placed in enumerate(net.drives):
        counts = placed.drive.binomial(net.dt)
        table = np.ones(1) if counts.is_normal else counts.table
        values |= {
            f"drive_{k}_weight": np.ascontiguousarray(placed.weights(net)),
            f"drive_{k}_table": table,
            f"drive_{k}_size": len(table),
            f"drive_{k}_mean": counts.mean,
            f"drive_{k}_deviation": counts.deviation,
        }
    return values


def lookup_values(
    parts: dict[str, Any], index: dict[str, LayerCode], n_steps: int, dt: float
) -> dict[str, np.ndarray]:
    """What the TimedArrays of all layers hold, and which of it a step and a neuron read."""
    values = {}
    for name, part in parts.items():
        for key, *read in index[name].lookups:
            lookup = Lookup(key, *read)
            array = part.model.timed_arrays[lookup.array]
            of = f"{index[name].index}_{key}"
            width = array.values.shape[1] if lookup.column else 1
            values |= {
                f"values_{of}": np.ascontiguousarray(array.values).reshape(-1),
                f"row_{of}": lookup.rows(array, n_steps, dt) * width,
                f"column_{of}": lookup.columns(array, part.n, where=name),
            }
    return values


def neuron_values(
    parts: dict[str, Any],
    index: dict[str, LayerCode],
    learned: dict[str, np.ndarray],
    parameters: dict,
    initial: dict,
    n_trials: int = 0,
) -> dict[str, np.ndarray | int]:
    """Sizes, parameters and initial values of all layers; some may differ from trial to trial."""
    values: dict[str, np.ndarray | int] = {}
    _check_names(index, parameters, "parameters")
    _check_names(index, initial, "states")
    for name, part in parts.items():
        k, n, model = index[name].index, part.n, part.model
        values[f"n_{k}"] = n
        current = {key: learned.get(f"{name}.{key}", x) for key, x in model.parameters.items()}
        for key, value in current.items():
            size = 1 if key in index[name].shared else n
            array = np.asarray(value, dtype=float)
            if (name, key) in parameters:
                array = _of_each_trial(parameters[name, key], n_trials, size, f"{name}.{key}")
                values[f"stride_{k}_{key}"] = size
            else:
                array = np.broadcast_to(array, (size,))
            values[f"p_{k}_{key}"] = np.ascontiguousarray(array).reshape(-1)
        start = initial_values(model, current, n)
        for state in model.states:
            if (name, state) in initial:
                array = _of_each_trial(initial[name, state], n_trials, n, f"{name}.{state}")
                values[f"initstride_{k}_{state}"] = n
            else:
                array = start[state]
            values[f"init_{k}_{state}"] = np.ascontiguousarray(array, dtype=float)
    return values


def _check_names(index: dict[str, LayerCode], values: dict, kind: str) -> None:
    """Refuse a value of each trial for what no layer has."""
    for layer, name in values:
        names = getattr(index[layer], kind) if layer in index else ()
        if name not in names:
            raise ValueError(
                message(
                    f"there is no '{name}' among the {kind} of '{layer}'.",
                    "Engine.simulate",
                    "Its values would have no effect.",
                    did_you_mean(name, names) if layer in index else did_you_mean(layer, index),
                )
            )


def _of_each_trial(value: Any, n_trials: int, size: int, name: str) -> np.ndarray:
    """Values (n_trials, size) of what differs from trial to trial; C++ reads exactly so many."""
    array = np.asarray(value, dtype=float)
    column = array[:, None] if array.ndim == 1 else array
    if column.shape not in ((n_trials, 1), (n_trials, size)):
        raise ValueError(
            message(
                f"{name} has shape {array.shape}.",
                "Engine.simulate",
                f"There are {n_trials} trials, and {size} values of it in each.",
                "Pass one value for each trial"
                + (
                    f", or an array {n_trials, size}."
                    if size > 1
                    else "; for one value per neuron, give the model an array."
                ),
            )
        )
    return np.broadcast_to(column, (n_trials, size))


def initial_values(model: Any, parameters: dict, n: int) -> dict[str, np.ndarray]:
    """What Brian2 would leave in the states after it has assigned the initial values one by one."""
    names = {key: np.asarray(entry, float) for key, entry in parameters.items()}
    names |= {"i": np.arange(n), "N": n, "t": 0.0}
    names |= {state: np.zeros(n) for state in model.states}
    for state, value in model.initial_code.items():
        value = evaluate(value, names) if isinstance(value, str) else np.asarray(value, float)
        names[state] = np.broadcast_to(value, (n,))
    return {state: names[state] for state in model.states}


def delayed(connection: Any) -> bool:
    """Whether spikes go through a queue: it turns neurons into the groups of delays of their synapses.

    A learned delay may be zero only for now.
    """
    learned = connection.learned_delay is not None
    return connection.synaptic or learned or bool(connection.delay.any())


def aligned(array: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """A copy that starts at a cache line, as the vectors of the generated code do."""
    buffer = np.empty(array.size * dtype.itemsize + 64, np.uint8)
    start = -buffer.ctypes.data % 64
    copy = buffer[start : start + array.size * dtype.itemsize].view(dtype).reshape(array.shape)
    np.copyto(copy, array, casting="same_kind")
    return copy
