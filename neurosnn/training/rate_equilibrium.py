"""Equilibrium propagation with rates (Scellier and Bengio 2017): the reference for the spiking rule."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from neurosnn.core.values import Range, check_value
from neurosnn.training.checkpoint import setting_text
from neurosnn.training.image_trainer import Augmentation, ImageTrainer, Settled
from neurosnn.training.optimizers import SGD, Optimizer

__all__ = ["RateEquilibrium"]

_WHERE = "RateEquilibrium"


class RateEquilibrium(ImageTrainer):
    r"""Layers of real-valued units that settle to the minimum of an energy.

    .. math::
        E = \tfrac12 \sum_i s_i^2 - \sum_{i<j} w_{ij} s_i s_j - \sum_i b_i s_i, \qquad
        s \leftarrow \mathrm{clip}\left(s - \epsilon\, \frac{\partial}{\partial s}
        \left(E + \beta \textstyle\sum_k (y_k - s_k)^2\right), 0, 1\right)

    .. math::
        \Delta w_{ij} = \frac{1}{\beta}\left(s_i^\beta s_j^\beta - s_i^0 s_j^0\right)

    Parameters
    ----------
    sizes : sequence of int
        Neurons of each layer, input first and output last.
    free_steps, nudged_steps : int, optional
        Steps of both phases (20 and 4 in the paper's code for one hidden layer).
    epsilon : float, optional
        Step size (0.5 there).
    beta : float, optional
        Strength of the nudge (0.5 there); its sign is drawn for each batch.
    optimizer : Optimizer, optional
        ``SGD(1.0)`` with the factors of the paper's code (0.1 and 0.05) if None; these belong to one
        hidden layer.
    schedule : callable, optional
        Factor of the learning rate as a function of the epoch.
    augment : callable, optional
        As for EquilibriumTrainer.
    seed : int, optional
        Of the weights (Glorot, uniform), the order and the signs.

    Attributes
    ----------
    parameters : dict of str to ndarray
        Weights ``"w0"``, ... and biases ``"b1"``, ... of float32.
    epoch : int
        Epochs done.
    history : History
        One row an epoch.

    Raises
    ------
    ValueError
        For numbers out of range.

    Notes
    -----
    Deviation: the states of a trial start anew at zero and not from those of the last epoch.

    References
    ----------
    Scellier & Bengio, Front. Comput. Neurosci. 11:24 (2017).
    """

    where, target, cost_factor = _WHERE, (0.0, 1.0), 1.0

    def __init__(
        self,
        sizes: Sequence[int],
        *,
        free_steps: int = 20,
        nudged_steps: int = 4,
        epsilon: float = 0.5,
        beta: float = 0.5,
        optimizer: Optimizer | None = None,
        schedule: Callable[[float], float] | None = None,
        augment: Augmentation | None = None,
        seed: int = 0,
    ):
        for name, value in (("beta", beta), ("epsilon", epsilon)):
            check_value(name, value, Range(0), where=_WHERE)
        self.sizes = tuple(sizes)
        self.free_steps, self.nudged_steps = free_steps, nudged_steps
        self.epsilon, self.beta = epsilon, beta
        random = np.random.default_rng(seed)
        self.parameters: dict[str, np.ndarray] = {}
        for k, (pre, post) in enumerate(zip(self.sizes, self.sizes[1:], strict=False)):
            limit = np.sqrt(6 / (pre + post))
            w = random.uniform(-limit, limit, (pre, post))
            self.parameters[f"w{k}"] = w.astype(np.float32)
            self.parameters[f"b{k + 1}"] = np.zeros(post, np.float32)
        if optimizer is None:
            optimizer = SGD(1.0, factors={"w0": 0.1, "b1": 0.1, "*": 0.05})
        super().__init__(
            self.parameters,
            optimizer,
            schedule=schedule,
            augment=augment,
            random=random,
            seed=seed,
        )

    def settle(
        self, x: np.ndarray, *, states: list | None = None, targets=None, beta: float = 0.0
    ) -> list[np.ndarray]:
        """Run one phase.

        Parameters
        ----------
        x : ndarray (n, n_inputs)
            Pixels.
        states : list of ndarray, optional
            Where hidden and output units start; 0 if None.
        targets : ndarray (n, n_outputs), optional
            What the output is nudged to.
        beta : float, optional
            Strength of the nudge; 0 is the free phase.

        Returns
        -------
        list of ndarray
            States of hidden and output units, each (n, size).
        """
        p, last = self.parameters, len(self.sizes) - 1
        drive = x @ p["w0"] + p["b1"]
        if states is None:
            states = [np.zeros((len(x), n), np.float32) for n in self.sizes[1:]]
        for _ in range(self.nudged_steps if beta else self.free_steps):
            fresh = []
            for k in range(1, last + 1):
                total = drive if k == 1 else states[k - 2] @ p[f"w{k - 1}"] + p[f"b{k}"]
                if k < last:
                    total = total + states[k] @ p[f"w{k}"].T
                slope = states[k - 1] - total
                if beta and k == last:
                    slope = slope + 2 * beta * (states[k - 1] - targets)
                fresh.append(np.clip(states[k - 1] - self.epsilon * slope, 0, 1))
            states = fresh
        return states

    def _settle(self, x: np.ndarray, labels: np.ndarray) -> Settled:
        targets = self.targets(labels).astype(np.float32)
        beta = self.beta if self.random.random() < 0.5 else -self.beta
        free = self.settle(x)
        nudged = self.settle(x, states=free, targets=targets, beta=beta)
        gradient = {}
        before, after = [x, *free], [x, *nudged]
        for k in range(len(self.sizes) - 1):
            change = after[k].T @ after[k + 1] - before[k].T @ before[k + 1]
            gradient[f"w{k}"] = -change / (beta * len(x))
            gradient[f"b{k + 1}"] = -(after[k + 1] - before[k + 1]).mean(axis=0) / beta
        return Settled(gradient, free[-1], {})

    def _outputs(self, x: np.ndarray) -> np.ndarray:
        return self.settle(x)[-1]

    def _settings(self) -> dict[str, str]:
        names = ("sizes", "free_steps", "nudged_steps", "epsilon", "beta")
        return {
            **super()._settings(),
            **{name: setting_text(getattr(self, name)) for name in names},
        }
