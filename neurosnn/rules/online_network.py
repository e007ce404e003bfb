"""A network with online e-prop in all of its synapses, as one Brian2 simulation of many trials."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import numpy as np
from brian2.core.network import Network
from brian2.groups.neurongroup import NeuronGroup
from brian2.input.timedarray import TimedArray
from brian2.synapses.synapses import Synapses
from brian2.units.fundamentalunits import DIMENSIONLESS, Quantity
from brian2.utils.stringtools import word_substitute

from neurosnn.model import NeuronModel
from neurosnn.rules.filters import ReadoutFilter, model_filter
from neurosnn.rules.online_synapses import NEURONS, add_variables, eprop_synapses, prepare
from neurosnn.rules.traces import (
    ARRIVED,
    FILTERED,
    FLAG,
    GRADIENT,
    LEARNING_SIGNAL,
    SUM,
    SURROGATE,
    TRACE,
    online_equations,
    unit_text,
)
from neurosnn.simulation import (
    Inputs,
    Schedule,
    _input_group,
    _own_dt,
    _restarting,
    _with_output,
)

__all__ = ["Errors", "LearningNetwork", "build_learning", "each_trial"]

#: Orders in slot "start" of the first step of a trial, when the trial before it is finished.
RECORD, RATE_ERROR, FINISH, UPDATE, RESTART = -6, -5, -4, -3, -1
#: Orders in slot "end": sums over the outputs, their error, the learning signal, the gradients.
SUMS, ERROR, SIGNAL, OUTPUT_GRADIENT = -4, -3, -2, -1


class Errors(NamedTuple):
    """What the readout is told in each step of the simulation.

    Attributes
    ----------
    kind : {"mean_square", "cross_entropy_per_step", "given"}
        How it computes its error.
    weight : ndarray (steps,)
        c_t, zero between trials.
    target : ndarray (steps, n_outputs)
        Target output, or probability of each class, or the error itself.
    """

    kind: str
    weight: np.ndarray
    target: np.ndarray


class LearningNetwork(NamedTuple):
    """Brian2 objects of a network that learns.

    Attributes
    ----------
    network : Network
        All objects.
    groups : dict of str to NeuronGroup
        By the names of the parts.
    synapses : dict of str to list of Synapses
        By the names of the connections, one for each input variable that is used.
    duration : Quantity
        Time to simulate: the trials and one step that finishes the last one.
    """

    network: Network
    groups: dict[str, Any]
    synapses: dict[str, list[Synapses]]
    duration: Quantity


def build_learning(
    net: Any,
    rule: Any,
    given: Inputs,
    errors: Errors,
    *,
    feedback: dict[str, np.ndarray],
    equations: dict[str, str] | None = None,
    plastic_bias: bool = False,
    dtype: Any = None,
) -> LearningNetwork:
    """Make the objects of a network whose synapses compute their e-prop gradients.

    Parameters
    ----------
    net : SpikingNetwork
        The network.
    rule : EProp
        The rule.
    given : Inputs
        Trials with at least one idle step after each, in which the last gradient is added.
    errors : Errors
        Weights and targets of each step.
    feedback : dict of str to ndarray (n, n_outputs)
        Feedback weights of each layer; without an entry its readout weights.
    equations : dict of str to str, optional
        Further equations of the synapses, by connection.
    plastic_bias : bool, optional
        Whether the bias may change during the simulation.
    dtype : dtype, optional
        Floating-point type.

    Returns
    -------
    LearningNetwork
        Gradients are in the variable G of the synapses and in G_b of the readout, summed over the
        trials, in SI values.
    """
    schedule, dt = given.schedule, _own_dt(net)
    equations = {} if equations is None else equations
    readout_filter = model_filter(net.readout.model, net.dt)
    groups: dict[str, Any] = {"input": _input_group(net, given, dt, dtype)}
    for layer in net.layers:
        group = _group(layer.model, layer.n, layer.name, schedule, dt, dtype)
        code = online_equations(layer.model, threshold=group.events["spike"], known=group.variables)
        prepare(group, code)
        _count(group, schedule, readout_filter, rule)
        groups[layer.name] = group
    model = _with_output(net)
    if plastic_bias:
        unit = unit_text(model.dimensions["b"])
        model = dataclasses.replace(model, equations=f"{model.equations}\nb : {unit}")
    groups["readout"] = readout = _group(model, net.readout.n, "readout", schedule, dt, dtype)
    objects = list(groups.values()) + _measure(readout, model, errors, schedule)
    synapses: dict[str, list[Synapses]] = {}
    for order, (name, connection) in enumerate(net.connections.items()):
        make = _readout_synapses if connection.target == "readout" else _hidden_synapses
        synapses[name] = make(
            net, rule, connection, groups, schedule, order, feedback, equations.get(name, ""), dtype
        )
        objects += synapses[name]
    return LearningNetwork(Network(*objects), groups, synapses, schedule.duration + net.dt)


def _group(
    model: NeuronModel, n: int, name: str, schedule: Schedule, dt: Quantity | None, dtype: Any
) -> NeuronGroup:
    """A group that starts anew with each trial, as `simulation.build` makes it."""
    code = ""
    if len(schedule.n_steps) > 1:
        model, code = _restarting(model, schedule)
    group = model.group(n, name=name, dtype=dtype, dt=dt)
    if code:
        each_trial(group, code, RESTART, "restart", schedule)
    return group


def each_trial(obj: Any, code: str, order: int, name: str, schedule: Schedule) -> None:
    """Statements at the first moment of each trial, and at the end of the last."""
    period = schedule.period * schedule.dt
    obj.run_regularly(code, dt=period, when="start", order=order, name=f"{obj.name}_{name}")


def _count(
    group: NeuronGroup, schedule: Schedule, readout_filter: ReadoutFilter, rule: Any
) -> None:
    """Filtered spikes for the readout's weights; rates; nothing counts after the end of a trial."""
    filtered = [f"zbar{state}" for state in readout_filter.states]
    add_variables(group, dict.fromkeys((*filtered, "n_spikes", "rate_error"), DIMENSIONLESS))
    within = np.zeros((len(schedule.n_steps), schedule.period))
    for row, steps in zip(within, schedule.n_steps, strict=True):
        row[:steps] = 1
    # One step more than the trials, because a TimedArray keeps its last value for ever.
    group.namespace["within_trial"] = TimedArray(
        np.append(within, 0.0), dt=schedule.dt, name="within_trial*"
    )
    factors = {
        name: repr(readout_filter.transition[key]) for key, name in readout_filter.factors.items()
    }
    update = word_substitute(readout_filter.update("zbar", FLAG), factors)
    group.run_regularly(
        f"{SURROGATE} *= within_trial(t)\nn_spikes += {FLAG}*within_trial(t)\n{update}",
        when="after_thresholds",
        order=NEURONS + 1,
        name=f"{group.name}_count",
    )
    if rule.rate_strength > 0:
        seconds = schedule.n_steps * float(schedule.dt)
        group.namespace["trial_seconds"] = TimedArray(
            np.append(seconds[:1], seconds), dt=schedule.period * schedule.dt, name="trial_seconds*"
        )
        each_trial(
            group,
            f"rate_error = {float(rule.rate_strength)!r}/trial_seconds(t)"
            f"*(n_spikes/trial_seconds(t) - {float(rule.rate_target)!r})",
            RATE_ERROR,
            "rate",
            schedule,
        )
    zeros = "\n".join(f"{name} = 0" for name in (*filtered, "n_spikes", FLAG))
    each_trial(group, zeros, RESTART, "recount", schedule)


def _measure(readout: NeuronGroup, model: NeuronModel, errors: Errors, schedule: Schedule) -> list:
    """The error of the outputs in each step, and the loss and decisions of a trial so far."""
    names: tuple[str, ...] = ("err", "G_b", "loss", "correct")
    if errors.kind == "cross_entropy_per_step":
        names += ("denominator", "n_larger")
    add_variables(readout, dict.fromkeys(names, DIMENSIONLESS))
    readout.namespace["step_weight"] = TimedArray(
        errors.weight, dt=schedule.dt, name="step_weight*"
    )
    readout.namespace["target"] = TimedArray(errors.target, dt=schedule.dt, name="target*")
    unit = unit_text(model.dimensions["output"])
    output = "output" if unit == "1" else f"output/({unit})"
    made = []
    if errors.kind == "mean_square":
        code = f"""
        err = step_weight(t)*({output} - target(t, i))
        loss += 0.5*step_weight(t)*({output} - target(t, i))**2
        """
    elif errors.kind == "cross_entropy_per_step":
        # pi_k = 1/sum_l exp(y_l - y_k)
        difference = "output_pre - output_post"
        difference = difference if unit == "1" else f"({difference})/({unit})"
        rivals = Synapses(
            readout,
            readout,
            f"""denominator_post = exp({difference}) : 1 (summed)
            n_larger_post = int(output_pre > output_post) : 1 (summed)""",
            clock=readout.clock,
            namespace={},
            name="rivals",
        )
        rivals.connect()
        for updater in rivals.summed_updaters.values():
            updater.when, updater.order = "end", SUMS
        made.append(rivals)
        code = """
        err = step_weight(t)*(1/denominator - target(t, i))
        loss += step_weight(t)*target(t, i)*log(clip(denominator, 1, 1e300))
        correct += int(step_weight(t) > 0)*target(t, i)*int(n_larger == 0)
        """
    else:
        code = "err = target(t, i)"
    readout.run_regularly(
        f"{code}\nG_b += err", when="end", order=ERROR, name=f"{readout.name}_error"
    )
    each_trial(readout, "loss = 0\ncorrect = 0\nerr = 0", RESTART, "forget", schedule)
    return made


def _readout_synapses(
    net, rule, connection, groups, schedule, order, feedback, equations, dtype
) -> list[Synapses]:
    """Weights of the readout, which also carry its error back to the layer."""
    unit = unit_text(connection.dimensions)
    back = feedback.get(connection.source)
    weight = "w" if unit == "1" else f"w/({unit})"
    synapses = Synapses(
        groups[connection.source],
        groups["readout"],
        f"""w : {unit}
        {"B : 1" if back is not None else ""}
        {GRADIENT} : {unit_text(DIMENSIONLESS / connection.dimensions)}
        {equations}
        {LEARNING_SIGNAL}_pre = {weight if back is None else "B"}*err_post : 1 (summed)""",
        on_pre=f"{net.readout.model.inputs[0]}_post += w",
        clock=groups["readout"].clock,
        order=order,
        namespace={},
        name=connection.synapses_name,
        dtype=dtype,
    )
    updater = synapses.summed_updaters[f"{LEARNING_SIGNAL}_pre"]
    updater.when, updater.order = "end", SIGNAL
    synapses.run_regularly(
        f"{GRADIENT} += err_post*zbar_pre" + ("" if unit == "1" else f"/({unit})"),
        when="end",
        order=OUTPUT_GRADIENT,
        name=f"{synapses.name}_gradient",
    )
    i, j = np.nonzero(np.ones(connection.w.shape))
    synapses.connect(i=i, j=j)
    synapses.w = Quantity(connection.w[i, j], dim=connection.dimensions)
    if back is not None:
        synapses.B = back[i, j]
    return [synapses]


def _hidden_synapses(
    net, rule, connection, groups, schedule, order, feedback, equations, dtype
) -> list[Synapses]:
    """Weights with eligibility traces, one Synapses for each input variable that is used."""
    model = net.layer(connection.target).model
    real_valued = connection.source == "input" and net.input.real_valued
    same = np.ptp(connection.delay) == 0
    made = []
    for channel in np.unique(connection.channel):
        exists = np.broadcast_to((connection.channel == channel)[:, None], connection.w.shape)
        i, j = np.nonzero(exists if connection.mask is None else exists & connection.mask)
        if len(i) == 0:
            continue
        synapses = eprop_synapses(
            rule,
            groups[connection.source],
            groups[connection.target],
            model=model,
            connect={"i": i, "j": j},
            delay=int(connection.delay[0]) * net.dt if same else None,
            target=model.inputs[channel],
            readout_filter=net.readout.model,
            amplitude="x" if real_valued else "",
            equations=equations,
            order=order,
            name=connection.synapses_name + ("_inhibitory" if channel else ""),
            dtype=dtype,
        )
        if "dale" in synapses.variables:
            synapses.dale = connection.sign[i]
        synapses.w = Quantity(connection.w[i, j], dim=connection.dimensions)
        if not same:
            synapses.delay = connection.delay[i] * net.dt
        traces = (ARRIVED, TRACE, FILTERED, SUM, "eps_")
        zeros = [
            f"{name} = 0*{unit_text(equation.dim)}"
            for name, equation in synapses.equations.items()
            if name.startswith(traces)
        ]
        each_trial(synapses, "\n".join(zeros), RESTART, "restart", schedule)
        if rule.rate_strength > 0:
            finish = f"{GRADIENT} += rate_error_post*{SUM}"
            each_trial(synapses, finish, FINISH, "rate", schedule)
        made.append(synapses)
    return made
