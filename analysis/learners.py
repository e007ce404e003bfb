"""What the protocols need to know of a rule: its synapses, how far it has learned, its trace."""

from __future__ import annotations

import dataclasses

import numpy as np
from brian2.units.allunits import second
from brian2.units.fundamentalunits import get_dimensions

from neurosnn.core.messages import message
from neurosnn.core.values import unit_name, whole_steps
from neurosnn.model import NeuronModel, PlasticityRule
from neurosnn.model.given_model import check_model
from neurosnn.model.pathways import GROUP_NAMES
from neurosnn.rules.base import as_rule
from neurosnn.rules.eprop import EProp
from neurosnn.rules.eprop.traces import eprop_names

#: Order of the kicks that make a neuron with a `step` spike, in slot "groups".
KICK_AFTER_STEP = 1.5
# Time constants after which a state that relaxes has forgotten where it started.
LONG = 36


def learner(rule, model: NeuronModel | None, learning_signal: float):
    """The adapter for a rule.

    Parameters
    ----------
    rule : PlasticityRule or EProp
        The rule.
    model : NeuronModel or None
        The postsynaptic neuron.
    learning_signal : float
        Third factor.

    Returns
    -------
    PlasticityLearner or EPropLearner
        The adapter.

    Raises
    ------
    ValueError
        If the rule needs a postsynaptic neuron or a third factor and has none.
    TypeError
        If it is not a rule, or the neuron no model.
    """
    if model is not None:
        check_model(model, where="analysis", name="post")
    if isinstance(rule, PlasticityRule):
        return PlasticityLearner(rule, model, learning_signal)
    rule = as_rule(rule, where="analysis")
    if isinstance(rule, EProp):
        return EPropLearner(rule, model, learning_signal)
    raise TypeError(
        message(
            f"{type(rule).__name__} has no window of single pairs of spikes.",
            "analysis",
            "Its change of a weight follows from a loss at the end of a trial, backwards in time, not from "
            "the two spikes.",
            "Measure it in a network that learns, analysis.measured_window, or pass EProp() or "
            "equations.PairSTDP().",
        )
    )


class PlasticityLearner:
    """Runs a PlasticityRule."""

    changes_weight = True

    def __init__(self, rule: PlasticityRule, model: NeuronModel | None, learning_signal: float):
        if rule.weight not in rule.changed:
            raise ValueError(
                message(
                    f"no spike changes the weight '{rule.weight}'.",
                    rule.name,
                    "The strings change what is sent, and the weight stays as it is.",
                    "Simulate the rule: rule.synapses(pre, post) and a StateMonitor.",
                )
            )
        self.rule = rule = rule.silent
        self.learning_signal = learning_signal
        self.dimensions = rule.weight_dimensions
        self.clock_driven = rule.clock_driven
        self.reads_pre = bool(set(rule.requires_pre) - GROUP_NAMES)
        read = sorted({*rule.requires, *rule.requires_pre} - GROUP_NAMES)
        if read and model is None:
            raise ValueError(
                message(
                    f"the rule reads {', '.join(read)} of "
                    f"{'both neurons' if self.reads_pre else 'the postsynaptic neuron'}.",
                    rule.name,
                    "Prescribed spikes have no such variable.",
                    "Pass a neuron, for example post=NeuronModel(...).",
                )
            )
        order = rule.orders.get("equations", KICK_AFTER_STEP)
        if read and model.step.strip() and 0 < order < KICK_AFTER_STEP:
            raise ValueError(
                message(
                    f"the rule reads {', '.join(read)} between the equations of the neuron and its step.",
                    rule.name,
                    "The protocol raises the voltage after that step, so that the rule would not see it.",
                    "Give the rule orders={'equations': 2}, if it may read the neuron after the step.",
                )
            )
        if learning_signal != 1 and not rule.third_factor:
            raise ValueError(
                message(
                    f"learning_signal = {learning_signal} has no effect.",
                    rule.name,
                    "The rule has no third factor.",
                    "Leave learning_signal out.",
                )
            )

    def lead(self, dt) -> int:
        """Steps that the synapses need before the first spike to forget their initial state."""
        if not set(self.rule.requires) - GROUP_NAMES:
            return 2
        times = [
            float(value)
            for value in self.rule.parameters.values()
            if get_dimensions(value) is second.dim
        ]
        return 2 + int(np.ceil(LONG * max(times, default=0.0) / float(dt)))

    def longest_delay(self, dt) -> int:
        """Steps by which the pathways delay spikes at most."""
        delays = self.rule.delays.items()
        steps = [whole_steps(name, value, dt, where=self.rule.name) for name, value in delays]
        return max(steps, default=0)

    def _check_same(self, weight) -> None:
        """Refuse values that differ between synapses: a protocol looks at one."""
        values = {**self.rule.initial, **self.rule.delays}
        if weight is not None:
            values.pop(self.rule.weight, None)
        for name, value in values.items():
            if np.ndim(value):
                raise ValueError(
                    message(
                        f"'{name}' has a value for each of {np.size(value)} synapses.",
                        self.rule.name,
                        "Every pair of neurons has one and the same synapse.",
                        f"Choose one: dataclasses.replace(rule, initial={{**rule.initial, '{name}': "
                        "value}), delays in the same way; the weight with weight=.",
                    )
                )

    def connect(self, pre, post, *, weight=None, delay=None) -> tuple:
        """Make one synapse for each pair of neurons; returns all Brian2 objects."""
        self.weight = self.initial_weight(weight)
        rule = self.rule
        if weight is not None and rule.weight in rule.initial:
            initial = {name: value for name, value in rule.initial.items() if name != rule.weight}
            rule = dataclasses.replace(rule, initial=initial)
        self.synapses = rule.synapses(
            pre, post, connect="i == j", delay=delay, target="", name="neurosnn_pairs*"
        )
        self.synapses.variables[rule.weight].set_value(self.weight)
        if rule.third_factor:
            self.synapses.variables[rule.third_factor].set_value(float(self.learning_signal))
        return (self.synapses,)

    def initial_weight(self, weight) -> float:
        """The weight before the first spike, in SI units."""
        self._check_same(weight)
        rule = self.rule
        if weight is None:
            if rule.weight in rule.initial:
                return float(rule.initial[rule.weight])
            if rule.w_min is None or rule.w_max is None:
                return 0.0
            return (float(rule.w_min) + float(rule.w_max)) / 2
        if get_dimensions(weight) is not self.dimensions:
            raise ValueError(
                message(
                    f"weight = {weight}, but {rule.weight} is in {unit_name(self.dimensions)}.",
                    rule.name,
                    "",
                    "Give it the unit of the weight.",
                )
            )
        outside = (rule.w_min is not None and float(weight) < float(rule.w_min)) or (
            rule.w_max is not None and float(weight) > float(rule.w_max)
        )
        if outside:
            raise ValueError(
                message(
                    f"weight = {weight} is not between {rule.w_min} and {rule.w_max}.",
                    rule.name,
                    "The rule would move it to the bound at once.",
                    "Choose a weight between the bounds.",
                )
            )
        return float(weight)

    def change(self) -> np.ndarray:
        """Change of each weight so far, in SI units, shape (n,)."""
        return np.array(self.synapses.variables[self.rule.weight].get_value()) - self.weight

    def trace_variables(self) -> list[str]:
        """Names of the variables to record for the eligibility trace."""
        if not self.rule.eligibility:
            raise ValueError(
                message(
                    "the rule has no eligibility trace.",
                    self.rule.name,
                    "It changes the weight at the spikes themselves.",
                    "Use a rule with a third factor, such as RewardSTDP, or stdp_window.",
                )
            )
        return [self.rule.eligibility]

    def trace(self, values: dict[str, np.ndarray]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """The eligibility trace and its components from the recorded variables."""
        return values[self.rule.eligibility], {}


class EPropLearner:
    """Runs EProp with a constant learning signal and without readout filter.

    The presynaptic spikes have weight 0: they leave a trace and do not touch the neuron.
    """

    clock_driven, reads_pre = True, False
    changes_weight = False  # it sums the gradient

    def __init__(self, rule: EProp, model: NeuronModel | None, learning_signal: float):
        self.rule, self.model, self.learning_signal = rule, model, learning_signal
        if model is None:
            raise ValueError(
                message(
                    "e-prop is derived from a postsynaptic neuron, and there is none.",
                    "EProp",
                    "Its trace follows the state of that neuron.",
                    "Pass for example post=equations.STDP_ALIF().",
                )
            )

    def lead(self, dt) -> int:
        """Steps that the synapses need before the first spike to forget their initial state."""
        return 2

    def longest_delay(self, dt) -> int:
        """Steps by which the synapses delay spikes by themselves."""
        return 0

    def connect(self, pre, post, *, weight=None, delay=None) -> tuple:
        """Make one synapse for each pair of neurons; returns all Brian2 objects."""
        if weight is not None:
            raise ValueError(
                message(
                    f"weight = {weight} has no effect.",
                    "EProp",
                    "The trace does not depend on the weight, and the spike does not act.",
                    "Leave weight out.",
                )
            )
        self.synapses = self.rule.synapses(
            pre, post, model=self.model, connect="i == j", delay=delay, name="neurosnn_pairs*"
        )
        self.names = eprop_names(self.model)
        self.dimensions = self.synapses.variables[self.names("G")].dim
        signal = post.variables[self.names("L")]
        signal.set_value(float(self.learning_signal))
        if np.any(signal.get_value() != float(self.learning_signal)):
            raise ValueError(
                message(
                    f"the model's own L cannot hold learning_signal = {self.learning_signal}.",
                    "EProp",
                    "A variable L that the dynamics do not read is the learning signal, and this one is "
                    "not a real number.",
                    "Declare it as 'L : 1', or give it another name.",
                )
            )
        return (self.synapses,)

    def change(self) -> np.ndarray:
        """Sum of ``L e_t`` of each synapse so far, in SI units, shape (n,)."""
        return np.array(self.synapses.variables[self.names("G")].get_value())

    def trace_variables(self) -> list[str]:
        """Names of the variables to record for the eligibility trace."""
        known = self.synapses.equations.names
        vectors = [name for name in known if name.removeprefix("neurosnn_").startswith("eps_")]
        return [self.names("etrace"), *vectors]

    def trace(self, values: dict[str, np.ndarray]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """The eligibility trace and its components from the recorded variables."""
        trace = self.names("etrace")
        return values[trace], {name: values[name] for name in values if name != trace}
