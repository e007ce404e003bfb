"""Learning within one simulation: trials, gradients and updates, all in Brian2."""

from __future__ import annotations

from typing import Any

import numpy as np
from brian2.input.timedarray import TimedArray
from brian2.monitors.statemonitor import StateMonitor
from brian2.units.fundamentalunits import DIMENSIONLESS

from neurosnn.core.messages import message
from neurosnn.core.units import unit_text
from neurosnn.core.values import check_whole
from neurosnn.engine.batches import read_batch
from neurosnn.losses import as_loss
from neurosnn.network.simulation import read_inputs
from neurosnn.rules.eprop.backend import check_rule, feedback_of, per_step_errors
from neurosnn.rules.eprop.network import RECORD, UPDATE, LearningNetwork, network_names
from neurosnn.rules.eprop.synapses import add_variables
from neurosnn.rules.eprop.traces import GRADIENT
from neurosnn.training.constraints import Constraints
from neurosnn.training.history import History
from neurosnn.training.online_updates import NOW, update_statements, update_variables
from neurosnn.training.updates import as_optimizer

__all__ = ["OnlineTraining", "times_of_batches"]


class OnlineTraining:
    """One pass over the trials as one Brian2 simulation in which the network learns.

    Everything is in Brian2's strings: traces, learning signal, gradients and the optimizer. So it
    runs in runtime mode and, with ``set_device("cpp_standalone")`` before, as a C++ program that
    learns without Python. Weights change at the end of each batch of trials, in the order given.

    Parameters
    ----------
    net : SpikingNetwork
        The network; its weights are the initial ones.
    rule : EProp
        The rule.
    trials : SpikeTrials or FrameTrials
        Trials with their labels.
    loss : Loss or str, optional
        One whose error is known in each step: "cross_entropy_per_step" or "mean_square".
    optimizer : SGD or Adam, optional
        ``Adam(1e-3)`` if None; learning rates of weights with a unit are in mV, nA or nS.
    batch_size : int, optional
        Trials of an update.
    targets : ndarray (n_steps, n_outputs) or (n_trials, n_steps, n_outputs), optional
        For a mean square error.
    dtype : dtype, optional
        Floating-point type, Brian2's default if None.

    Attributes
    ----------
    network : brian2.Network
        Simulate it for `duration`, or call :meth:`run`.
    duration : Quantity
        All trials, and one step that finishes the last one.
    groups, synapses : dict
        Brian2 objects by the names of the parts, lists of Synapses by those of the connections.
    record : StateMonitor
        Loss and right decisions of each output in the trial before, read at the start of the next.

    Raises
    ------
    ValueError
        For a loss that is known only at the end of a trial, another optimizer (also a subclass that
        changes what one of these does), or a model for which online e-prop cannot be derived.

    Notes
    -----
    Weights follow the sign of their neuron (Dale's law). There is no limit of the gradient's norm,
    which would need all synapses at once.

    Examples
    --------
    >>> from brian2 import ms
    >>> from neurosnn import EProp, Input, Layer, Readout, SpikingNetwork, data, equations
    >>> from neurosnn.training.online import OnlineTraining
    >>> trials = data.SpikeTrials(times=[0.001, 0.002], units=[0, 1], offsets=[0, 1, 2],
    ...                           labels=[0, 1], n_channels=2, duration=10*ms)
    >>> net = SpikingNetwork(Input(2), Layer(equations.LIF(), 4), Readout(2))
    >>> training = OnlineTraining(net, EProp(), trials)
    >>> training.run()
    >>> training.losses.shape
    (2,)
    """

    def __init__(
        self,
        net: Any,
        rule: Any,
        trials: Any,
        *,
        loss: Any = "cross_entropy_per_step",
        optimizer: Any = None,
        batch_size: int = 1,
        targets: Any = None,
        dtype: Any = None,
    ):
        loss = as_loss(loss)
        if loss.decides_trials:
            raise ValueError(
                message(
                    f"the loss {loss!r} is known only at the end of a trial.",
                    "OnlineTraining",
                    "A synapse that learns online needs the error of each step in that step.",
                    "Use loss='cross_entropy_per_step', or Trainer with backend='brian2'.",
                )
            )
        check_rule(rule)
        check_whole("batch_size", batch_size, 1, where="OnlineTraining")
        self.net = net
        self.optimizer = as_optimizer(optimizer, where="OnlineTraining")
        batch = read_batch(net, trials, loss, targets)
        trial_inputs = read_inputs(net, trials, idle=1)
        self.trial_times = trial_inputs.trial_times
        errors = per_step_errors(loss, batch, trial_inputs.trial_times, net.readout.n)
        self._decisions = int(np.count_nonzero(errors.target.any(axis=1) & (errors.weight > 0)))
        learned = [
            f"{name}.w" for name, connection in net.connections.items() if connection.plastic
        ]
        adaptive = self._adaptive = rule.feedback == "adaptive"
        if adaptive:
            learned += [f"feedback.{layer.name}" for layer in net.layers]
        learned += ["readout.b"] if net.readout.bias else []
        self.optimizer.start({name: np.zeros(1) for name in learned})  # refuses wrong names
        self.names = network_names(net)
        code = {
            name: _Updates(self.optimizer, net, connection, adaptive, self.names)
            for name, connection in net.connections.items()
            if connection.plastic
        }
        self._learning = built = LearningNetwork(
            net,
            rule,
            trial_inputs,
            errors,
            feedback=feedback_of(net, rule),
            equations={name: updates.equations for name, updates in code.items()},
            plastic_bias=True,
            dtype=dtype,
        )
        self.network, self.groups, self.synapses = built.network, built.groups, built.synapses
        self.duration = built.duration
        period = built.trial_clock.dt
        self._times = {
            name: TimedArray(values, dt=period, name=f"{name}*")
            for name, values in times_of_batches(batch.n_trials, batch_size).items()
        }
        for name, updates in code.items():
            for synapses in self.synapses[name]:
                self._at_trial_ends(synapses, updates.statements)
        readout = self.groups["readout"]
        if net.readout.bias:
            self._at_trial_ends(readout, _bias_statements(self.optimizer, readout, self.names))
        self.record = StateMonitor(
            readout,
            (self.names("loss"), self.names("correct")),
            record=True,
            clock=built.trial_clock,
            when="start",
            order=RECORD,
            name="readout_trials",
        )
        self.network.add(self.record)

    def _at_trial_ends(self, obj: Any, statements: str) -> None:
        obj.namespace.update({self.names(name): times for name, times in self._times.items()})
        self._learning.at_trials(obj, statements, UPDATE, "update")

    def run(self) -> None:
        """Simulate all trials; not needed if the network is run in another way."""
        self.network.run(self.duration, namespace={})

    @property
    def losses(self) -> np.ndarray:
        """Loss of each trial, with the weights it was simulated with."""
        return np.array(getattr(self.record, self.names("loss") + "_"))[:, 1:].sum(axis=0)

    @property
    def accuracy(self) -> float:
        """Share of the labelled steps in which the largest output was right; nan for a signal."""
        correct = np.array(getattr(self.record, self.names("correct") + "_"))[:, 1:].sum()
        return float(correct / self._decisions) if "rivals" in self.network else float("nan")

    @property
    def history(self) -> History:
        """The one pass over the trials as a history of one row: mean loss, and accuracy if there is one."""
        row = {"epoch": 1, "loss": float(self.losses.mean()), "accuracy": self.accuracy}
        row["learning_rate"] = float(self.optimizer.learning_rate)
        return History([{name: value for name, value in row.items() if value == value}])

    @property
    def parameters(self) -> dict[str, np.ndarray]:
        """Weights and biases after the simulation, as in ``net.parameters`` and not linked to it."""
        values = {}
        for name, connection in self.net.connections.items():
            if not connection.plastic:
                continue
            variables = {f"{name}.w": "w"}
            if self._adaptive and connection.target == "readout":
                variables[f"feedback.{connection.source}"] = "B"
            for key, variable in variables.items():
                array = np.zeros(connection.w.shape)
                pairs = zip(self.synapses[name], connection.by_channel(), strict=True)
                for synapses, (_, _, _, where) in pairs:
                    array[where] = synapses.variables[self.names(variable)].get_value()
                values[key] = array
        if self.net.readout.bias:
            values["readout.b"] = np.array(self.groups["readout"].variables["b"].get_value())
        return values


class _Updates:
    """Equations and statements by which the synapses of a connection learn."""

    def __init__(self, optimizer: Any, net: Any, connection: Any, adaptive: bool, names: Any):
        name, dimensions = f"{connection.name}.w", connection.dimensions
        variables = [*update_variables(optimizer)]
        statements = [
            update_statements(
                optimizer,
                name,
                weight="w",
                gradient=GRADIENT,
                scale=Constraints(net).scale_of(name),
                dimensions=dimensions,
            )
        ]
        unit = unit_text(dimensions)
        if connection.sign is not None:
            variables.append("dale")
            statements.append(f"w *= int(w*dale >= 0*{unit})")
        if adaptive and connection.target == "readout":
            variables += update_variables(optimizer, "_B")
            gradient = GRADIENT if unit == "1" else f"{GRADIENT}*{unit}"
            statements.append(
                update_statements(
                    optimizer,
                    f"feedback.{connection.source}",
                    weight="B",
                    gradient=gradient,
                    suffix="_B",
                )
            )
        self.equations = names.code("\n".join(f"{variable} : 1" for variable in variables))
        self.statements = names.code("\n".join([NOW, *statements, f"{GRADIENT} *= (1 - now)"]))


def _bias_statements(optimizer: Any, readout: Any, names: Any) -> str:
    """Updates of the bias, whose gradient G_b is in SI values."""
    moments = update_variables(optimizer, "_b")
    add_variables(readout, dict.fromkeys(map(names, moments), DIMENSIONLESS))
    dimensions = readout.variables["b"].dim
    unit = unit_text(dimensions)
    gradient = "G_b" if unit == "1" else f"G_b/({unit})"
    update = update_statements(
        optimizer, "readout.b", weight="b", gradient=gradient, dimensions=dimensions, suffix="_b"
    )
    return names.code(f"{NOW}\n{update}\nG_b *= (1 - now)")


def times_of_batches(n_trials: int, batch_size: int) -> dict[str, np.ndarray]:
    """At the moment before each trial and after the last: 1/(size of the batch that ends), its number."""
    share, number = np.zeros(n_trials + 1), np.ones(n_trials + 1)
    for k, start in enumerate(range(0, n_trials, batch_size), start=1):
        size = min(batch_size, n_trials - start)
        share[start + size], number[start + size] = 1 / size, k
    return {"batch_share": share, "update_number": number}
