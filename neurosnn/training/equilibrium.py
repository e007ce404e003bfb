"""Training of networks with symmetric synapses: batches, random sign of the nudge, evaluation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from neurosnn.core.messages import message
from neurosnn.core.values import Range, check_value
from neurosnn.rules.equilibrium import EquilibriumNetwork
from neurosnn.rules.equilibrium.engine import EquilibriumEngine, EquilibriumResult
from neurosnn.training.checkpoint import describe, fingerprint
from neurosnn.training.images import ImageTraining, pixels
from neurosnn.training.optimizers import Adam, Optimizer

__all__ = ["EquilibriumTrainer", "two_point_gradient"]

_WHERE = "EquilibriumTrainer"
SIGNS = ("trial", "batch", "fixed")
EVALUATION_BATCH = 500


class EquilibriumTrainer(ImageTraining):
    """Trains an EquilibriumNetwork on the engine.

    Parameters
    ----------
    net : EquilibriumNetwork
        The network; its parameters are changed in place, in the precision of the engine.
    optimizer : Optimizer, optional
        What turns minus the changes of a batch into new weights; ``Adam(1e-3)`` if None. SGD is the
        plain rule.
    beta : float, optional
        Strength of the nudge.
    sign : {"trial", "batch", "fixed"}, optional
        Sign of beta: half of the trials of a batch each (drawn at random), random for each batch,
        or always positive.
    target : tuple of float, optional
        Rates of the wrong and of the right output neuron.
    two_point : bool, optional
        Reference: the change is the difference of the products of the traces between the ends of
        both phases (Scellier and Bengio 2017), not what the spikes did.
    batch_size : int, optional
        Trials between two updates.
    schedule : callable, optional
        Factor of the learning rate as a function of the epoch.
    augment : callable, optional
        Called with pixels (n, n_inputs) and a random generator for each batch; returns pixels.
    dtype : {"float32", "float64"}, optional
        Arithmetic.
    threads : int, optional
        All processors if None.
    seed : int, optional
        Of order, signs, phases of spike trains and augmentation.

    Attributes
    ----------
    epoch : int
        Epochs done.
    history : list of dict
        One row an epoch: accuracies, spikes a trial, firing rates, seconds.

    Raises
    ------
    ValueError
        For an unknown sign or numbers out of range.
    """

    def __init__(
        self,
        net: EquilibriumNetwork,
        *,
        optimizer: Optimizer | None = None,
        beta: float = 4.0,
        sign: str = "trial",
        target: tuple[float, float] = (0.0, 1.0),
        two_point: bool = False,
        batch_size: int = 20,
        schedule: Callable[[float], float] | None = None,
        augment: Callable[[np.ndarray, np.random.Generator], np.ndarray] | None = None,
        dtype: str = "float32",
        threads: int | None = None,
        seed: int = 0,
    ):
        if sign not in SIGNS:
            raise ValueError(
                message(
                    f"sign must be one of {', '.join(SIGNS)}, got {sign!r}.",
                    _WHERE,
                    "A nudge of one sign lets what is not the gradient add up over the batches.",
                    "Use 'trial' unless you study that.",
                )
            )
        check_value("beta", beta, Range(0), where=_WHERE)
        check_value("batch_size", batch_size, Range(0), where=_WHERE)
        self.net, self.beta, self.sign, self.target = net, float(beta), sign, target
        self.two_point, self.batch_size = two_point, int(batch_size)
        self.optimizer = Adam(1e-3) if optimizer is None else optimizer
        self.schedule, self.augment = schedule, augment
        self.engine = EquilibriumEngine(net, dtype=dtype, threads=threads)
        self.random = np.random.default_rng(seed)
        for name, array in net.parameters.items():
            net.parameters[name] = array.astype(dtype)
        self.state = self.optimizer.start(net.parameters)
        self.epoch, self.history = 0, []

    def step(
        self, x: np.ndarray, labels: np.ndarray, learning_rate: float | None = None
    ) -> EquilibriumResult:
        """Learn from one batch.

        Parameters
        ----------
        x : ndarray (n, n_inputs)
            Pixels, 0 to 1.
        labels : ndarray of int (n,)
            Classes.
        learning_rate : float, optional
            That of the moment; the optimizer's own if None.

        Returns
        -------
        EquilibriumResult
            What the batch did, before the update.
        """
        result = self.engine.run(
            x,
            targets=self.targets(labels),
            beta=self.beta * self._signs(len(x)),
            phase=self._phases(len(x)),
            learn=not self.two_point,
        )
        gradient = result.gradient
        if self.two_point:
            gradient = two_point_gradient(self.net, x, result, self.beta * self._last_signs)
        self.optimizer.update(self.net.parameters, gradient, self.state, learning_rate)
        return result

    @property
    def _weights(self) -> dict[str, np.ndarray]:
        return self.net.parameters

    def _settings(self) -> dict[str, str]:
        names, net = ("beta", "sign", "target", "two_point"), self.net
        models = [[name, model.to_dict(), n] for name, (model, n) in net.layers.items()]
        rules = [connection.rule.to_dict() for connection in net.connections]
        times = [float(net.dt), net.free_steps, net.nudged_steps]
        return {
            **super()._settings(),
            **{name: describe(getattr(self, name)) for name in names},
            "network": fingerprint(models, rules, times),
            "dtype": self.engine.dtype.name,
        }

    def _learn(self, x: np.ndarray, labels: np.ndarray, rate: float | None) -> dict[str, Any]:
        result = self.step(x, labels, rate)
        correct = int((result.free["output"].argmax(1) == labels).sum())
        spikes = {f"spikes.{name}": count.sum(axis=0) for name, count in result.spikes.items()}
        return {"correct": correct, **spikes}

    def evaluate(self, images: Any) -> dict[str, Any]:
        """Accuracy and activity in the free phase; nothing is learned.

        Parameters
        ----------
        images : Images
            What to classify; the largest trace of the output decides.

        Returns
        -------
        dict
            ``accuracy``, ``predicted`` (n,), ``rate.<layer>`` (in units of the largest rate) and
            ``spikes.<layer>`` (mean of a trial).
        """
        x, labels = pixels(images), np.asarray(images.labels)
        predicted, rates, spikes = [], {}, {}
        random = np.random.default_rng(0)
        for first in range(0, len(x), EVALUATION_BATCH):
            part = x[first : first + EVALUATION_BATCH]
            phase = random.random(part.shape) if self.net.input == "spikes" else 0.5
            result = self.engine.run(part, phase=phase)
            predicted.append(result.free["output"].argmax(axis=1))
            for name, q in result.free.items():
                rates[name] = rates.get(name, 0.0) + float(q.mean(axis=1).sum())
            for name, count in result.spikes.items():
                spikes[name] = spikes.get(name, 0) + int(count.sum())
        found = np.concatenate(predicted)
        return {
            "accuracy": float((found == labels).mean()),
            "predicted": found,
            **{f"rate.{name}": value / len(x) for name, value in rates.items()},
            **{f"spikes.{name}": value / len(x) for name, value in spikes.items()},
        }

    def targets(self, labels: np.ndarray) -> np.ndarray:
        """Rates that the output neurons are nudged to, shape (n, n_outputs)."""
        low, high = self.target
        wanted = np.full((len(labels), self.net.sizes[-1]), low)
        wanted[np.arange(len(labels)), labels] = high
        return wanted

    def _signs(self, n: int) -> np.ndarray:
        signs = np.ones(n)
        if self.sign == "trial":
            signs[self.random.permutation(n)[: n // 2]] = -1
            if n % 2 and self.random.random() < 0.5:  # neither sign is preferred
                signs = -signs
        elif self.sign == "batch" and self.random.random() < 0.5:
            signs = -signs
        self._last_signs = signs
        return signs

    def _phases(self, n: int) -> np.ndarray | float:
        if self.net.input != "spikes":
            return 0.5
        return self.random.random((n, self.net.sizes[0]))


def two_point_gradient(
    net: EquilibriumNetwork, x: np.ndarray, result: EquilibriumResult, beta: np.ndarray
) -> dict[str, np.ndarray]:
    r"""Minus the two-point change of equilibrium propagation, from the traces at both ends.

    .. math::
        \Delta w_{ij} = \frac{1}{\beta}\left(q_i^\beta q_j^\beta - q_i^0 q_j^0\right)

    Parameters
    ----------
    net : EquilibriumNetwork
        The network.
    x : ndarray (n, n_inputs)
        Pixels; they stand for the rates of the input.
    result : EquilibriumResult
        Of a batch with a nudged phase.
    beta : ndarray (n,)
        Nudge of each trial.

    Returns
    -------
    dict of str to ndarray
        Means over the trials, by the names of the parameters.
    """
    gradient = {}
    weight = (1 / (beta * len(x)))[:, None]
    free = {"input": x, **result.free}
    nudged = {"input": x, **result.nudged}
    for connection in net.connections:
        source, target = connection.source, connection.target
        change = (nudged[source] * weight).T @ nudged[target]
        change -= (free[source] * weight).T @ free[target]
        gradient[f"{connection.name}.w"] = -change
        gradient[f"{target}.b"] = -((nudged[target] - free[target]) * weight).sum(axis=0)
    return gradient
