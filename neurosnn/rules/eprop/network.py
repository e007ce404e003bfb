"""A network with online e-prop in all of its synapses, as one Brian2 simulation of many trials."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from brian2.core.clocks import Clock
from brian2.groups.neurongroup import NeuronGroup
from brian2.input.timedarray import TimedArray
from brian2.synapses.synapses import Synapses
from brian2.units.fundamentalunits import DIMENSIONLESS, Quantity
from brian2.utils.stringtools import word_substitute

from neurosnn.calculus.filters import model_filter
from neurosnn.core.messages import message
from neurosnn.core.names import FreeNames
from neurosnn.core.units import unit_text
from neurosnn.losses import StepError
from neurosnn.model import NeuronModel
from neurosnn.network.compiling import ToldNetwork
from neurosnn.network.poisson_drive import refuse_drives
from neurosnn.network.simulation import (
    Inputs,
    TrialTimes,
    input_groups,
    own_dt,
    restarting,
    with_output,
)
from neurosnn.rules.eprop.synapses import NEURONS, add_variables, eprop_synapses, prepare
from neurosnn.rules.eprop.traces import (
    ARRIVED,
    FILTERED,
    FLAG,
    GRADIENT,
    LEARNING_SIGNAL,
    SUM,
    SURROGATE,
    TRACE,
    online_equations,
)

__all__ = ["GIVEN", "Errors", "LearningNetwork", "network_names", "times_of_trials"]

#: Orders in slot "start" of the first step of a trial, when the trial before it is finished.
RECORD, RATE_ERROR, FINISH, UPDATE, RESTART = -6, -5, -4, -3, -1
#: Orders in slot "end": sums over the outputs, their error, the learning signal, the gradients.
SUMS, ERROR, SIGNAL, OUTPUT_GRADIENT = -4, -3, -2, -1


#: The target is the error itself.
GIVEN = StepError("err = target(t, i)")


class Errors(NamedTuple):
    """Weight and target of the readout's error in each step of the simulation.

    Attributes
    ----------
    error : StepError
        How it computes its error.
    weight : ndarray (steps,)
        c_t, zero between trials.
    target : ndarray (steps, n_outputs)
        Target output, or probability of each class, or the error itself.
    """

    error: StepError
    weight: np.ndarray
    target: np.ndarray


def network_names(net: Any) -> FreeNames:
    """Names for the variables that online e-prop adds to a network, taken by none of its models."""
    taken = set(net.readout.model.brian_equations.names)
    for (
        layer
    ) in net.layers:  # here nobody but the network writes a learning signal: an L is a state
        taken |= set(layer.model.brian_equations.names)
    # the bias and the output belong to the readout, whose own model may not have them
    return FreeNames(taken - {"b", "output"})


def refuse_states(net: Any) -> None:
    """An error if synapses have states, beside which there are no traces."""
    for name, connection in net.connections.items():
        if connection.synapse is not None:
            raise ValueError(
                message(
                    f"the synapses of '{name}' have states of their own.",
                    "e-prop in Brian2",
                    "Its synapses have the traces of a weight that is sent as it is.",
                    "Use backend='engine', or a projection without synapse=.",
                )
            )


class LearningNetwork:
    """The Brian2 objects of a network whose synapses compute their e-prop gradients.

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
    feedback : mapping of str to ndarray (n, n_outputs)
        Feedback weights of each layer; without an entry its readout weights.
    equations : mapping of str to str, optional
        Further equations of the synapses, by connection.
    plastic_bias : bool, optional
        Whether the bias may change during the simulation.
    dtype : dtype, optional
        Floating-point type.

    Attributes
    ----------
    network : Network
        All objects.
    groups : dict of str to NeuronGroup
        By the names of the parts.
    synapses : dict of str to list of Synapses
        By the names of the connections, one for each input variable that is used. Gradients are in
        their variable G and in G_b of the readout, summed over the trials, in SI values.
    duration : Quantity
        Time to simulate: the trials and one step that finishes the last one.
    trial_clock : Clock
        Ticks when a trial begins.
    names : FreeNames
        ``names("G")`` is what the variable G is called, should a model have a G.
    """

    def __init__(
        self,
        net: Any,
        rule: Any,
        inputs: Inputs,
        errors: Errors,
        *,
        feedback: Mapping[str, np.ndarray],
        equations: Mapping[str, str] | None = None,
        plastic_bias: bool = False,
        dtype: Any = None,
    ):
        refuse_states(net)
        refuse_drives(
            net,
            where="e-prop in Brian2",
            why="Its synapses do not see the draws.",
            fix="Use backend='engine'.",
        )
        self.net, self.rule, self.dtype = net, rule, dtype
        self.trial_times, self.feedback = inputs.trial_times, feedback
        self.names = network_names(net)
        self.filter = model_filter(net.readout.model, net.dt)
        self.dt = own_dt(net)
        self.trial_clock = Clock(self.trial_times.period * net.dt, name="trial_clock*")
        self.duration = self.trial_times.duration + net.dt
        steps = {"within_trial": net.dt, "trial_seconds": self.trial_clock.dt}
        self.times = {
            name: TimedArray(values, dt=steps[name], name=f"{name}*")
            for name, values in times_of_trials(self.trial_times).items()
        }
        self.groups: dict[str, Any] = input_groups(net, inputs, self.dt, dtype)
        for layer in net.layers:
            group = self._group(layer.model, layer.n, layer.name)
            threshold, known = group.events["spike"], group.variables
            taken = self.names.taken
            prepare(
                group,
                online_equations(layer.model, threshold=threshold, known=known, taken=taken),
            )
            self._count(group)
            self.groups[layer.name] = group
        model = with_output(net)
        if plastic_bias:
            unit = unit_text(model.dimensions["b"])
            model = dataclasses.replace(model, equations=f"{model.equations}\nb : {unit}")
        self.groups["readout"] = self._group(model, net.readout.n, "readout")
        objects = self._measure(unit_text(model.dimensions["output"]), errors)
        self.synapses: dict[str, list[Synapses]] = {}
        for order, (name, connection) in enumerate(net.connections.items()):
            make = self._readout if connection.target == "readout" else self._hidden
            self.synapses[name] = make(connection, order, (equations or {}).get(name, ""))
            for synapses in self.synapses[name]:
                synapses.pre.order = order  # that of Synapses is not that of its pathway
            objects += self.synapses[name]
        read = {c.source for c in net.connections.values() if c.target == "readout"}
        objects += [self._feedback(name, B) for name, B in feedback.items() if name not in read]
        self.network = ToldNetwork(*self.groups.values(), *objects)

    def at_trials(self, obj: Any, code: str, order: int, name: str) -> None:
        """Let an object execute statements when a trial begins, and at the end of the last."""
        obj.run_regularly(
            code, clock=self.trial_clock, when="start", order=order, name=f"{obj.name}_{name}"
        )

    # -- neurons ----------------------------------------------------------------------------

    def _group(self, model: NeuronModel, n: int, name: str) -> NeuronGroup:
        """A group that starts anew with each trial, as `simulation.build` makes it."""
        code = ""
        if len(self.trial_times.n_steps) > 1:
            model, code = restarting(model, self.trial_times)
        group = model.group(n, name=name, dtype=self.dtype, dt=self.dt)
        if code:
            self.at_trials(group, code, RESTART, "restart")
        return group

    def _count(self, group: NeuronGroup) -> None:
        """Filtered spikes for the readout's weights, and rates; nothing counts after a trial."""
        names = self.names
        filtered = self.filter.variables("zbar", names).values()
        n_spikes, flag = names("n_spikes"), names(FLAG)
        add_variables(
            group, dict.fromkeys((*filtered, n_spikes, names("rate_error")), DIMENSIONLESS)
        )
        group.namespace[names("within_trial")] = self.times["within_trial"]
        values = {
            names(name): repr(self.filter.transition[key])
            for key, name in self.filter.factors.items()
        }
        update = word_substitute(self.filter.update("zbar", flag, names), values)
        counted = f"{SURROGATE} *= within_trial(t)\nn_spikes += {FLAG}*within_trial(t)"
        group.run_regularly(
            f"{names.code(counted)}\n{update}",
            when="after_thresholds",
            order=NEURONS + 1,
            name=f"{group.name}_count",
        )
        if self.rule.rate_strength > 0:
            group.namespace[names("trial_seconds")] = self.times["trial_seconds"]
            strength, target = float(self.rule.rate_strength), float(self.rule.rate_target)
            error = f"(n_spikes/trial_seconds(t) - {target!r})/trial_seconds(t)"
            code = names.code(f"rate_error = {strength!r}*{error}")
            self.at_trials(group, code, RATE_ERROR, "rate")
        zeros = "\n".join(f"{name} = 0" for name in (*filtered, n_spikes, flag))
        self.at_trials(group, zeros, RESTART, "recount")

    def _measure(self, unit: str, errors: Errors) -> list[Any]:
        """The error of the outputs in each step, and the loss and decisions of a trial so far."""
        readout = self.groups["readout"]
        names: tuple[str, ...] = ("err", "G_b", "loss", "correct")
        if errors.error.compares_outputs:
            names += ("denominator", "n_larger")
        add_variables(readout, dict.fromkeys(map(self.names, names), DIMENSIONLESS))
        dt = self.trial_times.dt
        for name, values in (("step_weight", errors.weight), ("target", errors.target)):
            readout.namespace[self.names(name)] = TimedArray(values, dt=dt, name=f"{name}*")
        made: list[Any] = []
        if errors.error.compares_outputs:
            made.append(self._rivals(unit))
        code = errors.error.code.replace("{output}", _number("output", unit))
        code = self.names.code(f"{code}\nG_b += err")
        readout.run_regularly(code, when="end", order=ERROR, name="readout_error")
        zeros = self.names.code("loss = 0\ncorrect = 0\nerr = 0")
        self.at_trials(readout, zeros, RESTART, "forget")
        return made

    def _rivals(self, unit: str) -> Synapses:
        """Comparisons among the outputs: ``pi_k = 1/sum_l exp(y_l - y_k)``, and who is the largest."""
        readout = self.groups["readout"]
        rivals = Synapses(
            readout,
            readout,
            self.names.code(
                f"""denominator_post = exp({_number("(output_pre - output_post)", unit)}) : 1 (summed)
                n_larger_post = int(output_pre > output_post) : 1 (summed)"""
            ),
            clock=readout.clock,
            namespace={},
            name="rivals",
        )
        rivals.connect()
        for updater in rivals.summed_updaters.values():
            updater.when, updater.order = "end", SUMS
        return rivals

    # -- synapses ---------------------------------------------------------------------------

    def _readout(self, connection: Any, order: int, equations: str) -> list[Synapses]:
        """Weights of the readout, which also carry its error back to the layer."""
        names, unit = self.names, unit_text(connection.dimensions)
        back = self.feedback.get(connection.source)
        weight = _number("w", unit) if back is None else "B"
        synapses = Synapses(
            self.groups[connection.source],
            self.groups["readout"],
            names.code(
                f"""w : {unit}
                {"" if back is None else "B : 1"}
                {GRADIENT} : {unit_text(DIMENSIONLESS / connection.dimensions)}
                {equations}
                {LEARNING_SIGNAL}_pre = {weight}*err_post : 1 (summed)"""
            ),
            on_pre=f"{self.net.readout.model.inputs[0]}_post += {names('w')}",
            clock=self.groups["readout"].clock,
            order=order,
            namespace={},
            name=connection.synapses_name,
            dtype=self.dtype,
        )
        updater = synapses.summed_updaters[f"{names(LEARNING_SIGNAL)}_pre"]
        updater.when, updater.order = "end", SIGNAL
        if connection.plastic:
            synapses.run_regularly(
                names.code(f"{GRADIENT} += {_number('err_post*zbar_pre', unit)}"),
                when="end",
                order=OUTPUT_GRADIENT,
                name=f"{synapses.name}_gradient",
            )
        ((_, i, j, where),) = connection.by_channel()
        synapses.connect(i=i, j=j)
        setattr(synapses, names("w"), Quantity(connection.w[where], dim=connection.dimensions))
        if back is not None:
            setattr(synapses, names("B"), back[i, j])
        return [synapses]

    def _feedback(self, name: str, weights: np.ndarray) -> Synapses:
        """What brings the readout's error to a population that it does not read."""
        names = self.names
        synapses = Synapses(
            self.groups[name],
            self.groups["readout"],
            names.code(f"B : 1\n{LEARNING_SIGNAL}_pre = B*err_post : 1 (summed)"),
            clock=self.groups["readout"].clock,
            namespace={},
            name=f"{name}_feedback",
            dtype=self.dtype,
        )
        updater = synapses.summed_updaters[f"{names(LEARNING_SIGNAL)}_pre"]
        updater.when, updater.order = "end", SIGNAL
        synapses.connect()
        setattr(synapses, names("B"), weights.ravel())
        return synapses

    def _hidden(self, connection: Any, order: int, equations: str) -> list[Synapses]:
        """Weights with eligibility traces, one Synapses for each input variable that is used."""
        net, model, names = self.net, self.net.layer(connection.target).model, self.names
        real_valued = connection.source in net.inputs and net.input.real_valued
        same = np.ptp(connection.delay) == 0
        made = []
        for channel, i, j, where in connection.by_channel():
            if not connection.plastic:
                made.append(self._fixed(connection, order, (channel, i, j, where), real_valued))
                continue
            synapses = eprop_synapses(
                self.rule,
                self.groups[connection.source],
                self.groups[connection.target],
                model=model,
                connect={"i": i, "j": j},
                delay=int(connection.delay[0]) * net.dt if same else None,
                target=model.inputs[channel],
                readout_filter=net.readout.model,
                amplitude="x" if real_valued else "",
                equations=names.code(equations),
                order=order,
                name=connection.synapses_name + ("_inhibitory" if channel else ""),
                dtype=self.dtype,
                taken=names.taken,
            )
            setattr(synapses, names("w"), Quantity(connection.w[where], dim=connection.dimensions))
            if not same:
                synapses.delay = connection.delay_of(where, i) * net.dt
            if names("dale") in synapses.equations.names:
                setattr(synapses, names("dale"), connection.sign[i])
            traces = (ARRIVED, TRACE, FILTERED, SUM, "eps_")
            zeros = [
                f"{name} = 0*{unit_text(equation.dim)}"
                for name, equation in synapses.equations.items()
                if name.removeprefix("neurosnn_").startswith(traces)
            ]
            self.at_trials(synapses, "\n".join(zeros), RESTART, "restart")
            if self.rule.rate_strength > 0:
                finish = names.code(f"{GRADIENT} += rate_error_post*{SUM}")
                self.at_trials(synapses, finish, FINISH, "rate")
            made.append(synapses)
        return made

    def _fixed(
        self, connection: Any, order: int, synapses_of_channel: tuple, real_valued: bool
    ) -> Synapses:
        """Weights that stay, without traces."""
        channel, i, j, where = synapses_of_channel
        net, names = self.net, self.names
        target = net.layer(connection.target).model.inputs[channel]
        same = np.ptp(connection.delay) == 0
        w = names("w")
        synapses = Synapses(
            self.groups[connection.source],
            self.groups[connection.target],
            f"{w} : {unit_text(connection.dimensions)}",
            on_pre=f"{target}_post += {w}{'*x_pre' if real_valued else ''}",
            delay=int(connection.delay[0]) * net.dt if same else None,
            clock=self.groups[connection.target].clock,
            order=order,
            namespace={},
            name=connection.synapses_name + ("_inhibitory" if channel else ""),
            dtype=self.dtype,
        )
        synapses.connect(i=i, j=j)
        setattr(synapses, w, Quantity(connection.w[where], dim=connection.dimensions))
        if not same:
            synapses.delay = connection.delay_of(where, i) * net.dt
        return synapses


def times_of_trials(trial_times: TrialTimes) -> dict[str, np.ndarray]:
    """1 in each step of a trial and 0 between trials; and the length of each trial in seconds.

    Both have one row more than the trials, because a TimedArray keeps its last row for ever.
    """
    within = np.zeros((len(trial_times.n_steps), trial_times.period))
    for row, steps in zip(within, trial_times.n_steps, strict=True):
        row[:steps] = 1
    seconds = trial_times.n_steps * float(trial_times.dt)
    return {
        "within_trial": np.append(within, 0.0),
        "trial_seconds": np.append(seconds[:1], seconds),
    }


def _number(expression: str, unit: str) -> str:
    """The SI value of an expression as a number."""
    return expression if unit == "1" else f"{expression}/({unit})"
