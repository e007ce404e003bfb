"""Training of networks with symmetric synapses: batches, the random sign of the nudge, evaluation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from neurosnn.core.messages import message
from neurosnn.core.values import Range, check_value, check_whole
from neurosnn.rules.equilibrium import EquilibriumNetwork
from neurosnn.rules.equilibrium.engine import EquilibriumEngine, EquilibriumResult
from neurosnn.training.checkpoint import fingerprint, setting_text
from neurosnn.training.image_trainer import Augmentation, ImageTrainer, Settled
from neurosnn.training.optimizers import Optimizer

if TYPE_CHECKING:
    from neurosnn.data import Images

__all__ = ["EquilibriumTrainer", "two_point_gradient"]

_WHERE = "EquilibriumTrainer"
SIGNS = ("trial", "batch", "fixed", "both")
EVALUATION_BATCH = 500


class EquilibriumTrainer(ImageTrainer):
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
    sign : {"trial", "batch", "fixed", "both"}, optional
        Sign of beta: half of the trials of a batch each (drawn at random), random for each batch,
        always positive, or both in each trial, one after the other from the end of the free phase:
        a quarter more time, and less noise (Laborieux et al. 2021).
    margin : float, optional
        Trials whose right output is ahead of all others by more than this, of a trace from 0 to 1,
        are not nudged: their free phase ends them and they change nothing. None: all are nudged.
        What the spikes of trials that are right already would add is mostly noise.
    target : tuple of float, optional
        Rates of the wrong and of the right output neuron.
    two_point : bool, optional
        Reference: the change is the difference of the products of the traces between the ends of
        both phases (Scellier and Bengio 2017), not what the spikes did.
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
    history : History
        One row an epoch.

    Raises
    ------
    ValueError
        For an unknown sign or numbers out of range.

    References
    ----------
    Laborieux et al., Front. Neurosci. 15:633674 (2021), for both signs in a trial.
    """

    where, cost_factor = _WHERE, 0.5

    def __init__(
        self,
        net: EquilibriumNetwork,
        *,
        optimizer: Optimizer | None = None,
        beta: float = 4.0,
        sign: str = "trial",
        margin: float | None = None,
        target: tuple[float, float] = (0.0, 1.0),
        two_point: bool = False,
        schedule: Callable[[float], float] | None = None,
        augment: Augmentation | None = None,
        dtype: str = "float32",
        threads: int | None = None,
        seed: int = 0,
    ):
        if sign not in SIGNS:
            raise ValueError(
                message(
                    f"sign must be one of {', '.join(SIGNS)}, got {sign!r}.",
                    _WHERE,
                    "With a nudge of one sign the error of the estimate adds up over the batches.",
                    "Use 'trial' unless you study that.",
                )
            )
        check_value("beta", beta, Range(0), where=_WHERE)
        if margin is not None:
            check_value("margin", margin, Range(-1, 1), where=_WHERE)
        if threads is not None:
            check_whole("threads", threads, 1, where=_WHERE)
        self.net, self.beta, self.sign, self.target = net, float(beta), sign, target
        self.margin = None if margin is None else float(margin)
        self.two_point, self.sizes = two_point, net.sizes
        self.engine = EquilibriumEngine(net, dtype=dtype, threads=threads)
        for name, array in net.parameters.items():
            net.parameters[name] = array.astype(dtype)
        spiking = [name for name in net.layers if name != "input" or net.input == "spikes"]
        self.layer_sizes = {name: net.layers[name][1] for name in spiking}
        super().__init__(
            net.parameters,
            optimizer,
            schedule=schedule,
            augment=augment,
            random=np.random.default_rng(seed),
            seed=seed,
        )

    def _settle(self, x: np.ndarray, labels: np.ndarray) -> Settled:
        beta = self.beta * self._signs(len(x))
        result = self.engine.run(
            x,
            targets=self.targets(labels),
            beta=beta,
            phase=self._phases(len(x)),
            both=self.sign == "both",
            margin=self.margin,
            learn=not self.two_point,
        )
        gradient = result.gradient
        if self.two_point:
            gradient = two_point_gradient(self.net, x, result, beta)
        spikes = {name: int(count.sum()) for name, count in result.spikes.items()}
        seconds = len(x) * float(self.net.free) + result.phases.sum() * float(self.net.nudged)
        return Settled(gradient, result.free["output"], spikes, seconds)

    def _outputs(self, x: np.ndarray) -> np.ndarray:
        return np.concatenate([result.free["output"] for result in self._free(x)])

    def _free(self, x: np.ndarray) -> Iterator[EquilibriumResult]:
        """Free phases of some trials at a time."""
        random = np.random.default_rng(0)
        for first in range(0, len(x), EVALUATION_BATCH):
            part = x[first : first + EVALUATION_BATCH]
            phase = random.random(part.shape) if self.net.input == "spikes" else 0.5
            yield self.engine.run(part, phase=phase)

    def evaluate(self, images: Images) -> dict[str, float]:
        """Cost, accuracy and firing rates in the free phase; nothing is learned.

        Parameters
        ----------
        images : Images
            What to classify; the largest trace of the output decides.

        Returns
        -------
        dict of str to float
            "loss" (half the squared distance of the output's traces from their targets), "accuracy"
            and "rate.<layer>", the mean firing rate [Hz] of each layer that spikes.
        """
        self._check(images, f"{_WHERE}.evaluate")
        outputs, spikes = [], dict.fromkeys(self.layer_sizes, 0)
        for result in self._free(images.pixels()):
            outputs.append(result.free["output"])
            for name, count in result.spikes.items():
                spikes[name] += int(count.sum())
        seconds = len(images) * float(self.net.free)
        rates = {
            f"rate.{name}": count / (self.layer_sizes[name] * seconds)
            for name, count in spikes.items()
        }
        return {**self._scores(np.concatenate(outputs), images.labels), **rates}

    def _settings(self) -> dict[str, str]:
        names, net = ["beta", "sign", "target", "two_point"], self.net
        if self.margin is not None:  # checkpoints without one stay those of before there were any
            names.append("margin")
        models = [[name, model.to_dict(), n] for name, (model, n) in net.layers.items()]
        rules = [connection.rule.to_dict() for connection in net.connections]
        times = [float(net.dt), net.free_steps, net.nudged_steps]
        if any(connection.wiring.shared for connection in net.connections):
            rules += [repr(connection.wiring) for connection in net.connections]
        return {
            **super()._settings(),
            **{name: setting_text(getattr(self, name)) for name in names},
            "network": fingerprint(models, rules, times),
            "dtype": self.engine.dtype.name,
        }

    def _signs(self, n: int) -> np.ndarray:
        signs = np.ones(n)
        if self.sign == "trial":
            signs[self.random.permutation(n)[: n // 2]] = -1
            if n % 2 and self.random.random() < 0.5:  # neither sign is preferred
                signs = -signs
        elif self.sign == "batch" and self.random.random() < 0.5:
            signs = -signs
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

    Where a trial was nudged by both signs, the end of the second nudge takes the place of the free
    phase, and 2 beta that of beta.

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
    n = len(x) * (2 if result.opposed else 1)
    weight = (1 / (beta * n))[:, None]
    before = {"input": x, **(result.opposed or result.free)}
    after = {"input": x, **result.nudged}
    for connection in net.connections:
        source, target = connection.source, connection.target
        product = connection.wiring.product
        change = product(after[source] * weight, after[target])
        change -= product(before[source] * weight, before[target])
        gradient[f"{connection.name}.w"] = -change
        change = ((after[target] - before[target]) * weight).sum(axis=0)
        gradient[f"{target}.b"] = -net.gathered_biases(target, change)
    return gradient
