"""A backend that is quick and exact: a linear network on spike counts, with the trainer's interface.

Hidden "rates" are ``x @ W_in`` with x the counts of the input spikes, the output ``h @ W_out + b`` is the
same in every step, so the losses and their gradients can be written down in four lines.
"""

from dataclasses import dataclass, field

import numpy as np

from neurosnn.training.batches import steps_of


@dataclass
class Result:
    gradient: dict
    loss: float
    scores: np.ndarray
    correct: int
    total: int
    spikes: dict


@dataclass
class LinearBackend:
    net: object
    loss: object
    before: list = field(default_factory=list)
    calls: int = 0

    def run(self, trials, targets=None, gradient=False):
        for function in self.before:
            function(self)
        self.calls += 1
        net, w = self.net, self.net.parameters
        x = np.zeros((len(trials), net.input.n))
        row = np.repeat(np.arange(len(trials)), np.diff(trials.offsets))
        np.add.at(x, (row, trials.units), 1.0)
        given = net.connections["input"]
        h = x @ given.matrix()
        y = h @ w["readout.w"] + w["readout.b"]
        steps = steps_of(trials, net.dt)
        losses, errors = [], []
        for k, n_steps in enumerate(steps):
            outputs = np.repeat(y[k : k + 1], n_steps, axis=0)
            weights = self.loss.step_weights([n_steps], net.dt)
            target = trials.labels[k] if targets is None else targets[k]
            value, error = self.loss.value_and_error(outputs, target, weights)
            losses.append(value)
            errors.append(error.sum(axis=0))
        dy = np.array(errors) / len(trials)
        blocks = {}
        if gradient:
            blocks = {name: np.zeros_like(array) for name, array in w.items()}
            slope = x.T @ (dy @ w["readout.w"].T)
            blocks["input.w"] = slope[given.pre, given.post] if given.sparse else slope
            blocks["readout.w"] = h.T @ dy
            blocks["readout.b"] = dy.sum(axis=0)
        counted = not self.loss.follows_signal
        correct = int(np.sum(np.argmax(y, axis=1) == trials.labels)) if counted else 0
        total = len(trials) if counted else 0
        return Result(
            blocks, float(np.mean(losses)), y, correct, total, {"hidden": len(trials) * 10}
        )
