"""What an exported program simulates: a network, a network that learns, or Brian2 objects of the user's."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
from brian2.core.network import Network
from brian2.equations.equations import PARAMETER
from brian2.input.spikegeneratorgroup import SpikeGeneratorGroup
from brian2.units.allunits import second
from brian2.units.fundamentalunits import Quantity

from neurosnn.engine.batches import read_batch
from neurosnn.network.simulation import TrialTimes, build, read_inputs, weight_name
from neurosnn.network.storage import timed_arrays
from neurosnn.rules.eprop.backend import per_step_errors
from neurosnn.rules.eprop.network import times_of_trials
from neurosnn.standalone.tables import Output, Value, limits_of
from neurosnn.training.online import OnlineTraining, times_of_batches

__all__ = [
    "Learning",
    "Source",
    "data_arrays",
    "for_duration",
    "learning_source",
    "network_like",
    "network_source",
]

#: Values for each trial, and one more; those of other TimedArrays of a network are for each step.
PER_TRIAL = ("trial_seconds", "batch_share", "update_number")


@dataclasses.dataclass(frozen=True)
class Learning:
    """How a network learns within the program."""

    rule: Any
    loss: Any
    optimizer: Any
    batch_size: int


@dataclasses.dataclass
class Source:
    """A simulation under the device that writes it as a program.

    `arrays` are the files of ``inputs/``; `trials` the times of a network's trials (period, longest,
    extra steps at the end, whether there may be several), or None for the user's own objects; `of_models`
    the TimedArrays of a network's models by the names of their files.
    """

    network: Network
    duration: Quantity
    dt: Quantity
    values: list[Value]
    outputs: list[Output]
    trials: dict[str, Any] | None = None
    arrays: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    generators: list[SpikeGeneratorGroup] = dataclasses.field(default_factory=list)
    timed: dict[str, Any] = dataclasses.field(default_factory=dict)
    defaults: dict[str, str] = dataclasses.field(default_factory=dict)
    of_models: dict[str, Any] = dataclasses.field(default_factory=dict)

    def rows_of(self, file: str) -> tuple[int, int]:
        """When a TimedArray has a row (0: any, 1: each trial, 2: each step), and how many more."""
        if self.trials is None or file in self.of_models:
            return 0, 0
        return (1 if file in PER_TRIAL else 2), 1

    def note_defaults(self, device: Any) -> None:
        """Note the values that parameters have before the run, as far as they are known."""
        for value in self.values:
            cached = device.array_cache.get(value.group.variables[value.variable])
            if cached is None or not np.size(cached):
                self.defaults[value.name] = "(computed)"
            elif np.all(np.asarray(cached) == np.ravel(cached)[0]):
                self.defaults[value.name] = repr(np.ravel(cached)[0].item())
            else:
                self.defaults[value.name] = "(differs)"

    def note_timed(self, device: Any) -> None:
        """Find the TimedArrays that the code uses; their files have the names without a number."""
        for array in device.timed_arrays:
            base, _, number = array.name.rpartition("_")
            # Brian2 numbers names of which there were others before.
            file = base if number.isdigit() and base and base not in self.timed else array.name
            file = next((name for name, own in self.of_models.items() if own is array), file)
            self.timed[file] = array
            if file in self.of_models:
                self.arrays[file] = array.values
        self.timed = dict(sorted(self.timed.items()))


# -- networks ---------------------------------------------------------------------------------


def network_source(net: Any, inputs: Any, trial_times: TrialTimes) -> Source:
    """A network that runs trials and does not learn."""
    network = build(net, inputs, record=("spikes", "output"))
    groups = {name: network[name] for name in (*net.inputs, *(layer.name for layer in net.layers))}
    groups["readout"] = network["readout"]
    outputs = []
    for layer in net.layers:
        monitor = network[f"{layer.name}_spikes"]
        outputs.append(_output(monitor, "i", f"neuron of each spike of {layer.name}"))
        outputs.append(_output(monitor, "t", f"time of each spike of {layer.name}"))
    outputs.append(
        _output(
            network["readout_states"], "output", "output at the end of each step", net.readout.n
        )
    )
    synapses = {
        name: [network[s] for s in _names(connection) if s in network]
        for name, connection in net.connections.items()
    }
    several = len(trial_times.n_steps) > 1
    trials = {
        "n_steps": [int(n) for n in trial_times.n_steps],
        "period": int(trial_times.period) if several else 0,
        "longest": int(trial_times.n_steps.max()) if several else 0,
        "extra": 0,
        "several": several,
    }
    values = list(_parameters(net, groups, (*(layer.name for layer in net.layers), "readout")))
    values += _weights(net, synapses, weight_name)
    values.append(Value(groups["readout"], "b", "readout.b"))
    return Source(
        network=network,
        duration=trial_times.duration,
        dt=net.dt,
        values=values,
        outputs=outputs,
        trials=trials,
        arrays=weight_arrays(net),
        generators=_generators(net, groups),
        of_models=timed_arrays(net),
    )


def learning_source(net: Any, inputs: Any, learning: Learning, targets: Any) -> Source:
    """A network that learns from its trials with online e-prop."""
    training = OnlineTraining(
        net,
        learning.rule,
        inputs,
        loss=learning.loss,
        optimizer=learning.optimizer,
        batch_size=learning.batch_size,
        targets=targets,
    )
    trial_times, readout = training.trial_times, training.groups["readout"]
    several = len(trial_times.n_steps) > 1
    values = list(_parameters(net, training.groups, [layer.name for layer in net.layers]))
    names = training.names
    values += _weights(net, training.synapses, lambda _: names("w"), saved=True)
    for name, synapses in training.synapses.items():
        if names("B") in synapses[0].equations.names:
            source = net.connections[name].source
            shape = net.connections[name].shape
            file = f"feedback.{source}"
            values.append(Value(synapses[0], names("B"), file, matrix=shape, saved=True))
    values.append(Value(readout, "b", "readout.b"))
    monitor = training.record
    outputs = [
        Output(monitor, names(name), f"{monitor.name}.{name}", meaning, net.readout.n)
        for name, meaning in (
            ("loss", "sum over the outputs: loss of the trial before"),
            ("correct", "sum: right decisions in the trial before"),
        )
    ]
    outputs += [
        Output(readout, "b", "readout.b", "biases at the end"),
    ]
    return Source(
        network=training.network,
        duration=training.duration,
        dt=net.dt,
        values=values,
        outputs=outputs,
        trials={
            "n_steps": [int(n) for n in trial_times.n_steps],
            "period": int(trial_times.period),
            "longest": int(trial_times.n_steps.max()),
            "extra": 1,
            "several": several,
        },
        arrays=weight_arrays(net),
        generators=_generators(net, training.groups),
    )


def _generators(net: Any, groups: Mapping[str, Any]) -> list[SpikeGeneratorGroup]:
    """What sends the spikes of the trials."""
    return [groups[name] for name in net.inputs if isinstance(groups[name], SpikeGeneratorGroup)]


def weight_arrays(net: Any) -> dict[str, np.ndarray]:
    """All that is learned, by the names of the files."""
    arrays = {name: np.array(array) for name, array in net.parameters.items()}
    for name, connection in net.connections.items():
        arrays[f"{name}.w"] = connection.matrix()
    arrays.setdefault("readout.b", np.zeros(net.readout.n))
    return arrays


def data_arrays(
    net: Any, inputs: Any, period: int, learning: Learning | None = None, targets: Any = None
) -> dict[str, np.ndarray]:
    """The trials as a program with this period reads them (0: that of the trials).

    `net` needs only sizes, dt and the longest delay.
    """
    trial_inputs = read_inputs(net, inputs, idle=0 if learning is None else 1)
    n_steps = trial_inputs.trial_times.n_steps
    trial_times = TrialTimes(n_steps, period or trial_inputs.trial_times.period, net.dt)
    arrays = {"trials": np.asarray(n_steps, dtype="<i8")}
    if trial_inputs.values is None:
        place = trial_inputs.trial_times.locate(trial_inputs.step)
        step = place.trial * trial_times.period + place.step
        first = 0
        for name, part in net.inputs.items():
            channel = trial_inputs.channel - first
            own = (channel >= 0) & (channel < part.n)
            arrays[f"{name}.i"] = np.asarray(channel[own], dtype="<i4")
            arrays[f"{name}.t"] = np.asarray(step[own] * net.dt / second, dtype="<f8")
            first += part.n
    else:
        values = np.zeros((len(n_steps) * trial_times.period + 1, net.input.n))
        for k, n in enumerate(n_steps):
            values_of_trial = trial_inputs.values[k * trial_inputs.trial_times.period :][:n]
            values[k * trial_times.period :][:n] = values_of_trial
        first = 0
        for name, part in net.inputs.items():
            arrays[f"{name}_values"] = values[:, first : first + part.n]
            first += part.n
    if learning is None:
        return arrays
    batch = read_batch(net, inputs, learning.loss, targets)
    errors = per_step_errors(learning.loss, batch, trial_times, net.readout.n)
    arrays |= {"step_weight": errors.weight, "target": errors.target}
    arrays |= times_of_trials(trial_times)
    arrays |= times_of_batches(batch.n_trials, learning.batch_size)
    return arrays


def for_duration(arrays: dict[str, np.ndarray], steps: int) -> dict[str, np.ndarray]:
    """The arrays of one trial that is simulated for this number of steps."""
    arrays = {**arrays, "trials": np.array([steps], dtype="<i8")}
    for name in (name for name in arrays if name.endswith("_values")):
        present = arrays[name][:steps]
        values = np.zeros((steps + 1, present.shape[1]))
        values[: len(present)] = present
        arrays[name] = values
    return arrays


def network_like(network: Mapping[str, Any]) -> SimpleNamespace:
    """The sizes of a network as :func:`data_arrays` needs them, from a manifest."""
    whole = SimpleNamespace(**network["input"])
    named = dict(network.get("inputs", [["input", whole.n]]))
    return SimpleNamespace(
        input=whole,
        inputs={name: SimpleNamespace(n=n) for name, n in named.items()},
        readout=SimpleNamespace(n=network["readout"]["n"]),
        dt=network["dt"]["value"] * second,
        max_delay=0,
    )


def _names(connection: Any) -> tuple[str, str]:
    return connection.synapses_name, f"{connection.synapses_name}_inhibitory"


def _output(monitor: Any, variable: str, meaning: str, columns: int = 0) -> Output:
    return Output(monitor, variable, f"{monitor.name}.{variable}", meaning, columns)


def _parameters(net: Any, groups: Mapping[str, Any], names: Any) -> Iterator[Value]:
    """Constants of the models, with the ranges that the models allow."""
    for name in names:
        model = net.readout.model if name == "readout" else net.layer(name).model
        group = groups[name]
        for variable, equation in group.equations.items():
            if equation.type != PARAMETER or "constant" not in equation.flags:
                continue
            if (name, variable) != ("readout", "b"):
                limits = limits_of(model.ranges.get(variable))
                yield Value(group, variable, f"{name}.{variable}", settable=True, limits=limits)


def _weights(
    net: Any,
    synapses: Mapping[str, list],
    weight: Callable[[Any], str],
    *,
    saved: bool = False,
) -> Iterator[Value]:
    for name, connection in net.connections.items():
        for group in synapses[name]:
            yield Value(
                group,
                weight(group),
                f"{name}.w",
                matrix=connection.shape,
                sign=connection.sign,
                saved=saved and connection.plastic,
            )
