"""A network with symmetric synapses as stock Brian2 objects that settle, are nudged and learn."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from brian2.core.network import Network
from brian2.groups.neurongroup import NeuronGroup
from brian2.input.timedarray import TimedArray
from brian2.monitors.spikemonitor import SpikeMonitor
from brian2.synapses.synapses import Synapses
from brian2.units.fundamentalunits import Quantity

from neurosnn.model import NeuronModel

__all__ = ["build", "trial_duration"]

# What a trial starts with: the states of the models are zero unless the caller says otherwise.
FORGET = "v = 0\nI = 0\nr = 0\nq = 0\nlastspike = -1e4*second\nnot_refractory = True"


def trial_duration(net: Any) -> Quantity:
    """Time of one trial: free phase and nudged phase."""
    return (net.free_steps + net.nudged_steps) * net.dt


def build(
    net: Any,
    x: np.ndarray,
    targets: np.ndarray,
    beta: np.ndarray,
    phase: np.ndarray,
    learning_rate: float,
) -> Network:
    """All objects for a sequence of trials, see :meth:`EquilibriumNetwork.brian2`."""
    trial = trial_duration(net)
    steps = net.free_steps + net.nudged_steps
    # A constant of the code that is generated, so that a standalone program needs no second run.
    nudging = f"int(timestep(t, dt) % {steps} >= {net.free_steps})"
    groups = {name: _group(net, name, model, n, trial) for name, (model, n) in net.layers.items()}
    _feed(groups["input"], "x", x, trial)
    if net.input == "spikes":
        _feed(groups["input"], "phase", phase, trial)
    _feed(groups["output"], "target", targets, trial)
    strength = TimedArray(beta, dt=trial, name="trial_beta")
    groups["output"].namespace["trial_beta"] = strength
    groups["output"].run_regularly(
        f"nudge = trial_beta(t)*{nudging}", when="start", order=1, name="output_nudge"
    )
    made: list[Any] = list(groups.values())
    synapses: list[Synapses] = []
    for name in (name for name in groups if name != "input"):
        source = net.bias_model.group(1, name=f"one_{name}", dt=net.dt)
        source.x = 1
        made.append(source)
        rule = _with_rate(net.bias_rule, learning_rate)
        bias = rule.synapses(source, groups[name], target="I", name=f"one_{name}_synapses")
        bias.w = net.biases(name)
        synapses.append(bias)
    for connection in net.connections:
        pre, post = connection.wiring.synapses()
        made_here = _with_rate(connection.rule, learning_rate).synapses(
            groups[connection.source],
            groups[connection.target],
            connect={"i": pre, "j": post} if connection.wiring.shared else True,
            target="I",
            back="I" if connection.back else "",
            name=f"{connection.name}_synapses",
        )
        made_here.w = connection.wiring.synaptic(net.parameters[f"{connection.name}.w"])
        synapses.append(made_here)
    for synapse in synapses:
        synapse.namespace["trial_beta"] = strength
        synapse.run_regularly(
            f"signal = {nudging}/trial_beta(t)", when="start", order=1, name=f"{synapse.name}_gate"
        )
        if "p" in synapse.variables:
            synapse.run_regularly("p = 0", dt=trial, when="start", name=f"{synapse.name}_memory")
    monitors = [SpikeMonitor(group, name=f"{name}_spikes") for name, group in groups.items()]
    return Network(*made, *synapses, *monitors)


def _group(net: Any, name: str, model: NeuronModel, n: int, trial: Quantity) -> NeuronGroup:
    group = model.group(n, name=name, dt=net.dt)
    if name != "input":
        group.run_regularly(FORGET, dt=trial, when="start", order=-1, name=f"{name}_forget")
    return group


def _feed(group: NeuronGroup, variable: str, values: np.ndarray, trial: Quantity) -> None:
    """Set a variable at the start of each trial, from an array (n_trials, n)."""
    source = f"{group.name}_{variable}_values"
    group.namespace[source] = TimedArray(np.asarray(values, float), dt=trial, name=source)
    group.run_regularly(
        f"{variable} = {source}(t, i)",
        dt=trial,
        when="start",
        order=0,
        name=f"{group.name}_{variable}_step",
    )


def _with_rate(rule: Any, learning_rate: float) -> Any:
    return dataclasses.replace(rule, parameters={**rule.parameters, "eta": learning_rate})
