"""Training with online e-prop inside Brian2: batch by batch, or a whole epoch in one simulation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from brian2.monitors.spikemonitor import SpikeMonitor
from brian2.monitors.statemonitor import StateMonitor

from neurosnn.calculus.step import refuse_noise
from neurosnn.core.messages import message
from neurosnn.engine.backend import BatchResult
from neurosnn.engine.batches import BatchInput, read_batch
from neurosnn.network.poisson_drive import refuse_drives
from neurosnn.network.simulation import Inputs, TrialTimes, read_inputs
from neurosnn.rules.base import no_online_form
from neurosnn.rules.eprop.network import GIVEN, Errors, LearningNetwork, refuse_states
from neurosnn.rules.eprop.traces import GRADIENT

__all__ = ["OnlineBackend"]


class OnlineBackend:
    """Losses and online e-prop gradients of batches, simulated in stock Brian2.

    All trials of a batch run one after the other in one simulation with Brian2's current code
    generation target. The learning signal is formed inside it, step by step, with one exception:
    the cross-entropy of a label per trial depends on the outputs of the whole trial, so such a
    batch is simulated twice, first for the outputs and then with the error that follows.

    Parameters
    ----------
    net : SpikingNetwork
        Its weights are read at every call.
    rule : EProp, optional
        Learning rule; needed for gradients.
    loss : Loss, optional
        Needed for losses and gradients.

    Attributes
    ----------
    parameters : dict of str to ndarray
        Adaptive feedback weights, which are to be learned like those of the network; else empty.

    Raises
    ------
    ValueError
        If no gradient can be derived from a model, if one has noise, or if the outputs of the readout are
        not all the same linear filter of spikes.

    Notes
    -----
    Cost: every synapse computes in every step. The engine gives the same numbers much faster.

    Examples
    --------
    >>> from brian2 import ms
    >>> from neurosnn import EProp, Input, Layer, Readout, SpikingNetwork, data, equations
    >>> from neurosnn.losses import CrossEntropy
    >>> from neurosnn.rules.eprop.backend import OnlineBackend
    >>> trials = data.SpikeTrials(times=[0.001, 0.002], units=[0, 1], offsets=[0, 1, 2],
    ...                           labels=[0, 1], n_channels=2, duration=10*ms)
    >>> net = SpikingNetwork(Input(2), Layer(equations.LIF(), 4), Readout(2))
    >>> result = OnlineBackend(net, EProp(), CrossEntropy()).run(trials, gradient=True)
    >>> sorted(result.gradient)
    ['input.w', 'readout.b', 'readout.w']
    """

    def __init__(self, net: Any, rule: Any = None, loss: Any = None):
        self.net, self.rule, self.loss = net, rule, loss
        check_rule(rule)
        if rule is not None:
            refuse_states(net)
        if net.learned:
            raise ValueError(
                message(
                    f"the online form of e-prop does not learn '{min(net.learned)}'.",
                    "OnlineBackend",
                    "Its synapses carry the traces of weights.",
                    "Use backend='engine', or leave learn out of the layers.",
                )
            )
        for part in (*net.layers, net.readout):
            refuse_noise(
                part.model,
                why="A batch is simulated twice, and synapses in Brian2 do not see the draws of neurons.",
            )
        refuse_drives(
            net,
            where="OnlineBackend",
            why="A batch is simulated twice, and would have different draws.",
            fix="Train it with EProp() or BPTT() and backend='engine'.",
        )
        self.feedback = feedback_of(net, rule)
        self.parameters: dict[str, np.ndarray] = {}
        if getattr(rule, "feedback", "") == "adaptive":
            self.parameters = {f"feedback.{name}": B for name, B in self.feedback.items()}

    def run(self, trials: Any, targets: Any = None, *, gradient: bool = False) -> BatchResult:
        """Loss, scores and, if asked, the gradient of a batch of trials.

        Parameters
        ----------
        trials : SpikeTrials or FrameTrials
            Input with labels.
        targets : ndarray (n_steps, n_outputs) or (n_trials, n_steps, n_outputs), optional
            For a mean square error.
        gradient : bool, optional
            Whether to compute the gradient.

        Returns
        -------
        BatchResult
            Means over the trials.
        """
        if self.loss is None or (gradient and self.rule is None):
            missing = "loss" if self.loss is None else "rule"
            raise ValueError(
                message(
                    f"no {missing} was given.", "OnlineBackend.run", "", f"Pass {missing}= to it."
                )
            )
        batch = read_batch(self.net, trials, self.loss, targets)
        in_one_pass = gradient and not self.loss.decides_trials
        learning = None
        if in_one_pass:
            inputs = read_inputs(self.net, trials, idle=1)
            errors = per_step_errors(self.loss, batch, inputs.trial_times, self.net.readout.n)
            learning, outputs, spikes = self._learn(inputs, errors)
        else:
            outputs, spikes = self._simulate(trials)
        loss, scores, correct, total, error = _evaluate(self.loss, batch, outputs)
        if gradient and not in_one_pass:
            inputs = read_inputs(self.net, trials, idle=1)
            trial_times = inputs.trial_times
            weight = np.zeros(_length(trial_times))
            signal = _on_grid(trial_times, error)
            learning, *_ = self._learn(inputs, Errors(GIVEN, weight, signal))
        return BatchResult(
            gradient={} if learning is None else self._gradient(learning, batch.n_trials),
            loss=loss,
            scores=scores,
            correct=correct,
            total=total,
            spikes=spikes,
        )

    def _simulate(self, trials: Any) -> tuple[list[np.ndarray], dict[str, int]]:
        trial_times = self.net.trial_times(trials)
        simulation = self.net.brian2(trials, record=("spikes", "output"))
        simulation.run(trial_times.duration, namespace={})
        monitors = {layer.name: simulation[f"{layer.name}_spikes"] for layer in self.net.layers}
        return _results(trial_times, simulation["readout_states"], monitors)

    def _learn(self, inputs: Inputs, errors: Errors):
        learning = LearningNetwork(self.net, self.rule, inputs, errors, feedback=self.feedback)
        groups = learning.groups
        outputs = StateMonitor(groups["readout"], "output", record=True, when="end")
        monitors = {layer.name: SpikeMonitor(groups[layer.name]) for layer in self.net.layers}
        learning.network.add(outputs, *monitors.values())
        learning.network.run(learning.duration, namespace={})
        return learning, *_results(inputs.trial_times, outputs, monitors)

    def _gradient(self, learning: LearningNetwork, n_trials: int) -> dict[str, np.ndarray]:
        gradient = {}
        for name, connection in self.net.connections.items():
            if not connection.plastic:
                continue
            array = np.zeros(connection.w.shape)
            pairs = zip(learning.synapses[name], connection.by_channel(), strict=True)
            for synapses, (_, _, _, where) in pairs:
                array[where] = synapses.variables[learning.names(GRADIENT)].get_value()
            gradient[f"{name}.w"] = array / n_trials
            if (
                connection.target == "readout"
                and f"feedback.{connection.source}" in self.parameters
            ):
                gradient[f"feedback.{connection.source}"] = array / n_trials
        if "readout.b" in self.net.parameters:
            bias = learning.groups["readout"].variables[learning.names("G_b")].get_value()
            gradient["readout.b"] = np.array(bias) / n_trials
        return gradient


def check_rule(rule: Any) -> None:
    """Refuse a rule without eligibility traces."""
    if rule is not None and not rule.has_traces:
        raise no_online_form(rule, where="OnlineBackend")


def feedback_of(net: Any, rule: Any) -> dict[str, np.ndarray]:
    """Feedback weights (n, n_outputs) of each layer; empty if they are the readout's weights."""
    if rule is None:
        return {}
    return rule.feedback_weights({layer.name: layer.n for layer in net.layers}, net.readout.n)


def per_step_errors(
    loss: Any, batch: BatchInput, trial_times: TrialTimes, n_outputs: int
) -> Errors:
    """Weights and targets of a loss whose error is known in each step."""
    targets = batch.arrays.get("targets")
    if targets is None:
        labels = batch.arrays["labels"]
        targets = np.zeros((len(labels), n_outputs))
        counted = np.flatnonzero(labels >= 0)
        targets[counted, labels[counted]] = 1
    return Errors(
        loss.brian2,
        _on_grid(trial_times, _split(batch, batch.arrays["step_weight"])),
        _on_grid(trial_times, _split(batch, targets)),
    )


def _length(trial_times: TrialTimes) -> int:
    return len(trial_times.n_steps) * trial_times.period + 1


def _split(batch: BatchInput, values: np.ndarray) -> list[np.ndarray]:
    """Values of all steps, trial by trial."""
    return np.split(values, batch.arrays["frame_offset"][1:-1])


def _on_grid(trial_times: TrialTimes, parts: list[np.ndarray]) -> np.ndarray:
    """Values of the steps of each trial at the steps of the simulation, zero in between."""
    values = np.zeros((_length(trial_times), *parts[0].shape[1:]))
    for k, part in enumerate(parts):
        values[k * trial_times.period :][: len(part)] = part
    return values


def _results(
    trial_times: TrialTimes, outputs: Any, monitors: dict[str, Any]
) -> tuple[list[np.ndarray], dict[str, int]]:
    """Outputs of each trial (n_steps, n_outputs), and spikes of each layer within the trials."""
    values = np.array(outputs.output_).T
    parts = [
        values[k * trial_times.period :][:steps]
        for k, steps in enumerate(trial_times.n_steps.tolist())
    ]
    spikes = {
        name: int(np.count_nonzero(trial_times.locate(monitor.t[:]).trial >= 0))
        for name, monitor in monitors.items()
    }
    return parts, spikes


def _evaluate(loss: Any, batch: BatchInput, outputs: list[np.ndarray]):
    """Mean loss, scores, decisions, and the error of each trial."""
    values, scores, errors = [], [], []
    correct = total = 0
    for y, weights, target in zip(
        outputs, _split(batch, batch.arrays["step_weight"]), _targets(loss, batch), strict=True
    ):
        value, error = loss.value_and_error(y, target, weights)
        values.append(value)
        errors.append(error)
        scores.append(loss.scores(y, weights))
        if loss.decides_trials:
            correct += int(np.argmax(scores[-1]) == target)
            total += 1
        elif loss.decides_steps:
            counted = (np.asarray(target) >= 0) & (weights > 0)
            correct += int(np.count_nonzero((np.argmax(y, axis=1) == target) & counted))
            total += int(np.count_nonzero(counted))
    return float(np.mean(values)), np.array(scores), correct, total, errors


def _targets(loss: Any, batch: BatchInput) -> Iterator[Any]:
    if loss.decides_trials:
        return iter(batch.arrays["labels"].tolist())
    name = "targets" if loss.follows_signal else "labels"
    return iter(_split(batch, batch.arrays[name]))
