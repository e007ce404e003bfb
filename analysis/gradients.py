"""How well learning rules agree: alignment of gradients, and how far back they assign credit."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from brian2.units.allunits import hertz, second
from brian2.units.allunits import msecond as ms
from brian2.units.fundamentalunits import Quantity

from neurosnn.analysis.protocols import POSITIVE_TIME
from neurosnn.core.messages import message
from neurosnn.core.values import Range, check_value, whole_steps
from neurosnn.training.callbacks import Callback

__all__ = ["AlignmentRecorder", "CreditCurve", "alignment", "credit_curve", "task_gradient"]


class CreditCurve(NamedTuple):
    """How much credit an input spike gets for an error that comes later.

    Attributes
    ----------
    lag : Quantity (second), shape (n,)
        Time from the input spike to the error.
    credit : ndarray, shape (n,)
        Norm of the gradient of the weights of this spike, mean over the trials.
    """

    lag: Quantity
    credit: np.ndarray


def alignment(
    gradient: Mapping[str, np.ndarray], reference: Mapping[str, np.ndarray]
) -> dict[str, float]:
    r"""Cosine of the angle between two gradients, for each block of parameters and for all.

    .. math:: \cos \alpha = \frac{g \cdot g_{ref}}{\|g\|\, \|g_{ref}\|}

    Parameters
    ----------
    gradient, reference : mapping of str to ndarray
        As :meth:`neurosnn.Trainer.gradient` returns them; blocks that one of them lacks are left out.

    Returns
    -------
    dict of str to float
        By block, and "all" for the whole; nan where a gradient is zero.

    Raises
    ------
    ValueError
        If they have no block in common, or the shapes differ.

    Examples
    --------
    >>> import numpy as np
    >>> from neurosnn import analysis
    >>> a, b = {"w": np.array([1.0, 0.0])}, {"w": np.array([1.0, 1.0])}
    >>> round(analysis.alignment(a, b)["w"], 4)
    0.7071
    """
    names = [name for name in reference if name in gradient]
    if not names:
        raise ValueError(
            message(
                "the gradients have no block in common.",
                "alignment",
                f"One has {', '.join(gradient)}, the other {', '.join(reference)}.",
                "Take both from the same network.",
            )
        )
    for name in names:
        if np.shape(gradient[name]) != np.shape(reference[name]):
            raise ValueError(
                message(
                    f"'{name}' has the shapes {np.shape(gradient[name])} and "
                    f"{np.shape(reference[name])}.",
                    "alignment",
                    "",
                    "Take both gradients from the same network.",
                )
            )
    flat = {
        name: (np.ravel(gradient[name]).astype(float), np.ravel(reference[name]).astype(float))
        for name in names
    }
    flat["all"] = tuple(np.concatenate([flat[name][k] for name in names]) for k in (0, 1))
    return {name: _cosine(a, b) for name, (a, b) in flat.items()}


def task_gradient(trainer: Any, batch: Any, targets: Any = None) -> dict[str, np.ndarray]:
    """The gradient of the loss alone, at the weights of a training and by its rule.

    Without the rule's firing-rate term, which has another scale in each rule and would hide how well
    they agree about the task.

    Parameters
    ----------
    trainer : Trainer
        Network, rule and loss; nothing is changed.
    batch : SpikeTrials or FrameTrials
        The trials.
    targets : array, optional
        As for ``Trainer.fit``.

    Returns
    -------
    dict of str to ndarray
        As :meth:`neurosnn.Trainer.gradient` returns it.

    Notes
    -----
    Feedback weights that have been learned (adaptive e-prop) are those of the training.

    Examples
    --------
    >>> from brian2 import Hz
    >>> from neurosnn import EProp, Input, Layer, Readout, SpikingNetwork, Trainer
    >>> from neurosnn import analysis, data, equations
    >>> train, _ = data.spoken_digits(n_bands=8, n_thresholds=1)
    >>> net = SpikingNetwork(Input(8), Layer(equations.LIF(), 10), Readout(10))
    >>> trainer = Trainer(net, EProp(rate_target=10 * Hz, rate_strength=1.0))
    >>> alone, both = analysis.task_gradient(trainer, train[:4]), trainer.gradient(train[:4])
    >>> bool((alone["readout.w"] == both["readout.w"]).all())
    True
    >>> bool((alone["input.w"] == both["input.w"]).all())
    False
    """
    if not np.any(getattr(trainer.rule, "rate_strength", 0.0)):
        return trainer.gradient(batch, targets)
    other = _with_rule(trainer, dataclasses.replace(trainer.rule, rate_strength=0.0))
    for name, values in trainer.backend.parameters.items():
        np.copyto(other.backend.parameters[name], values)
    return other.gradient(batch, targets)


class AlignmentRecorder(Callback):
    """Compares a training's gradient with those of other rules at the same weights, while it learns.

    Pass it to ``Trainer.fit(callbacks=...)``. Before the first update and at the end of each epoch
    the gradient of a fixed batch is computed by the training's rule and by each other one.

    Parameters
    ----------
    references : mapping of str to rule or callable
        Rules to compare with, such as ``{"exact": EventProp()}``, or functions of the trainer and
        the batch that return a gradient by block.
    batch : SpikeTrials or FrameTrials
        The trials.
    targets : array, optional
        As for ``Trainer.fit``.
    own : callable, optional
        Function of the trainer and the batch that returns the gradient to be compared, if it is not
        all of ``trainer.gradient``: :func:`task_gradient` for that without the firing-rate term.

    Attributes
    ----------
    epochs : list of int
        When it was compared; 0 is before the first update.
    cosines : dict of str to list of dict
        For each reference one dict (block to cosine) per entry of `epochs`.
    ratios : dict of str to list of dict
        The norm of the training's gradient over that of the reference.

    Raises
    ------
    ValueError
        If there is no reference.

    Notes
    -----
    Rules with learned feedback weights of their own (adaptive e-prop) belong in the Trainer, not
    into `references`: there their feedback would never learn.

    Examples
    --------
    >>> from neurosnn import EProp, analysis, data
    >>> train, _ = data.spoken_digits(n_bands=8, n_thresholds=1)
    >>> recorder = analysis.AlignmentRecorder({"symmetric": EProp()}, train[:8])
    >>> recorder.epochs
    []
    """

    def __init__(
        self, references: Mapping[str, Any], batch: Any, targets: Any = None, *, own: Any = None
    ):
        if not references:
            raise ValueError(
                message(
                    "there is nothing to compare with.",
                    "AlignmentRecorder",
                    "",
                    "Write for example {'symmetric': EProp()}.",
                )
            )
        self.references, self.batch, self.targets = dict(references), batch, targets
        self.own = own
        self.epochs: list[int] = []
        self.cosines: dict[str, list[dict[str, float]]] = {name: [] for name in references}
        self.ratios: dict[str, list[dict[str, float]]] = {name: [] for name in references}
        self._functions: dict[str, Callable[[Any, Any], Mapping[str, np.ndarray]]] = {}
        self._trainer: Any = None

    def epoch_begin(self, trainer: Any, epoch: int) -> None:
        """Compare before the first update.

        Parameters
        ----------
        trainer : Trainer
            Who trains.
        epoch : int
            1, 2, ...
        """
        if not self.epochs:
            self.compare(trainer)

    def epoch_end(self, trainer: Any, row: Mapping[str, float]) -> None:
        """Compare after an epoch.

        Parameters
        ----------
        trainer : Trainer
            Who trains.
        row : mapping of str to float
            Not used.
        """
        self.compare(trainer)

    def compare(self, trainer: Any) -> None:
        """Add one comparison, for a loop of your own.

        Parameters
        ----------
        trainer : Trainer
            Who trains.
        """
        if self._trainer is not trainer:
            self._trainer = trainer
            self._functions = {
                name: rule if callable(rule) else self._of_rule(trainer, rule)
                for name, rule in self.references.items()
            }
        trained = (
            trainer.gradient(self.batch, self.targets)
            if self.own is None
            else self.own(trainer, self.batch)
        )
        self.epochs.append(int(trainer.epoch))
        for name, function in self._functions.items():
            other = function(trainer, self.batch)
            self.cosines[name].append(alignment(trained, other))
            self.ratios[name].append(
                {block: _ratio(trained[block], other[block]) for block in other if block in trained}
            )

    def _of_rule(self, trainer: Any, rule: Any) -> Callable[[Any, Any], Mapping[str, np.ndarray]]:
        """The gradient of another rule for the network that is being trained."""
        other = _with_rule(trainer, rule)
        return lambda _, batch: other.gradient(batch, self.targets)


def _with_rule(trainer: Any, rule: Any) -> Any:
    """A trainer of the same network and loss with another rule."""
    from neurosnn.training import Trainer

    threads = getattr(trainer.backend, "threads", None)
    return Trainer(trainer.net, rule, loss=trainer.loss, dtype=trainer.dtype, threads=threads)


def credit_curve(
    trainer: Any,
    lags: Quantity,
    *,
    rate=20 * hertz,
    settle=100 * ms,
    n_trials: int = 16,
    seed: int = 0,
) -> CreditCurve:
    """How far back in time a rule assigns credit: the gradient against the age of an input spike.

    In each trial every probe channel spikes once, one lag before the last step, which alone has a
    loss; the other channels fire at random. The norm of the gradient of the weights of a probe
    channel, the mean over the trials, is the credit of its spike.

    Parameters
    ----------
    trainer : Trainer
        Network and rule, with ``loss="cross_entropy_per_step"``; nothing is learned. The first
        channels of its input are the probes; there are more channels than lags.
    lags : Quantity (second), shape (n,)
        Time from the spike to the last step; multiples of the network's time step.
    rate : Quantity (hertz), default 20 Hz
        Rate of the other channels (Poisson).
    settle : Quantity (second), default 100 ms
        Time before the oldest probe.
    n_trials : int, default 16
        Trials; each has other spikes, and the outputs are right in turn.
    seed : int, optional
        Seed of the spikes.

    Returns
    -------
    CreditCurve
        Lags and credit.

    Raises
    ------
    ValueError
        If the loss is another one, a lag is not a multiple of the time step, there are too few
        channels, or no hidden neuron spikes.

    Examples
    --------
    >>> from brian2 import ms
    >>> from neurosnn import EProp, Input, Layer, Readout, SpikingNetwork, Trainer
    >>> from neurosnn import analysis, equations
    >>> net = SpikingNetwork(Input(40), Layer(equations.LIF(), 20), Readout(2))
    >>> trainer = Trainer(net, EProp(), loss="cross_entropy_per_step")
    >>> curve = analysis.credit_curve(trainer, [10, 100]*ms)
    >>> bool(curve.credit[1] < curve.credit[0])
    True
    """
    from neurosnn.data import SpikeTrials

    where, net = "credit_curve", trainer.net
    if not trainer.loss.decides_steps:
        raise ValueError(
            message(
                f"the loss is {trainer.loss!r}.",
                where,
                "Only the last step of a trial may have an error.",
                "Write Trainer(..., loss='cross_entropy_per_step').",
            )
        )
    check_value("lags", lags, Range(0 * second, includes_low=True), where=where)
    check_value("rate", rate, Range(0 * hertz, includes_low=True), where=where)
    check_value("settle", settle, POSITIVE_TIME, where=where)
    steps = np.array(
        [whole_steps("a lag", lag, net.dt, where=where) for lag in np.atleast_1d(lags)]
    )
    if len(steps) >= net.input.n:
        raise ValueError(
            message(
                f"{len(steps)} lags for {net.input.n} input channels.",
                where,
                "Each lag has a channel of its own, and the others keep the network active.",
                "Use fewer lags or a network with more input channels.",
            )
        )
    n_steps = whole_steps("settle", settle, net.dt, where=where) + int(steps.max()) + 1
    generator = np.random.default_rng(seed)
    raster = generator.random((n_trials, n_steps, net.input.n)) < float(rate) * float(net.dt)
    raster[:, :, : len(steps)] = False
    raster[:, n_steps - 1 - steps, np.arange(len(steps))] = True
    trial, step, channel = np.nonzero(raster)
    trials = SpikeTrials(
        times=step * float(net.dt),
        units=channel,
        offsets=np.searchsorted(trial, np.arange(n_trials + 1)),
        labels=np.arange(n_trials) % net.readout.n,
        n_channels=net.input.n,
        duration=n_steps * net.dt,
    )
    targets = np.full((n_trials, n_steps), -1)
    targets[:, -1] = trials.labels
    first = [c.name for c in net.connections.values() if c.source in net.inputs]
    squares = np.zeros((n_trials, len(steps)))
    for k in range(n_trials):
        gradient = trainer.gradient(trials[k : k + 1], targets[k : k + 1])
        of_channels = np.zeros(net.input.n)
        for name in first:
            block = net.connections[name].matrix(gradient[f"{name}.w"])
            of_channels[net.channels(net.connections[name].source)] += (block**2).sum(axis=1)
        squares[k] = of_channels[: len(steps)]
    if not squares.any():
        raise ValueError(
            message(
                "no input spike gets any credit.",
                where,
                "The hidden neurons are probably silent.",
                "Raise rate or the weights.",
            )
        )
    return CreditCurve(steps * float(net.dt) * second, np.sqrt(squares).mean(axis=0))


def _cosine(a: np.ndarray, b: np.ndarray) -> float:
    norms = np.linalg.norm(a) * np.linalg.norm(b)
    return float(a @ b / norms) if norms else float("nan")


def _ratio(a: np.ndarray, b: np.ndarray) -> float:
    norm = np.linalg.norm(b)
    return float(np.linalg.norm(a) / norm) if norm else float("nan")
