"""The trainer: a network, a learning rule and an optimizer, applied to trials."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from neurosnn.core import html
from neurosnn.core.arguments import explained
from neurosnn.core.messages import described, message
from neurosnn.core.values import check_whole, dtype_name
from neurosnn.losses import Loss, as_loss
from neurosnn.training.answers import Answers
from neurosnn.training.backends import draws_for, in_batches, make_backend, summary
from neurosnn.training.base import BaseTrainer
from neurosnn.training.batches import TrialSource, check_classes, numbered, steps_of
from neurosnn.training.checkpoint import network_fingerprint, setting_text
from neurosnn.training.constraints import Constraints
from neurosnn.training.device_updates import DeviceUpdates, updates_for
from neurosnn.training.loop import Fit
from neurosnn.training.progress import uninterrupted
from neurosnn.training.regression import regression
from neurosnn.training.trial_learner import TrialLearner

if TYPE_CHECKING:
    from neurosnn.network import SpikingNetwork
    from neurosnn.training.callbacks import EarlyStopping
    from neurosnn.training.history import History
    from neurosnn.training.optimizers import Optimizer

__all__ = ["Trainer"]

_WHERE = "Trainer"


@explained(
    optimizer="optimizer=Adam(1e-3)",
    rule="Trainer(net, EProp())",
    net="Trainer(net, EProp())",
    backend='backend="cuda"',
)
class Trainer(Answers, BaseTrainer):
    r"""Trains a network: gradients from a rule, updates from an optimizer, all from one seed.

    Parameters
    ----------
    net : SpikingNetwork
        Its weights are changed in place.
    rule : EProp or another rule
        Where the gradient comes from.
    optimizer : Optimizer, optional
        What is done with it, ``Adam(1e-3)`` if None. Learning rates of weights with a unit are in
        mV, nA or nS, those of time constants and delays in ms: ``factors={"*.delay": 100}`` moves
        delays by 0.1 ms where weights move by 1e-3.
    loss : Loss or str, optional
        A loss, or the name of one with its defaults: "cross_entropy", "cross_entropy_per_step",
        "mean_square", "max_cross_entropy", "first_spike".
    backend : {"auto", "engine", "cuda", "brian2"} or object, optional
        The fast engine, the same on an NVIDIA graphics processor, stock Brian2, or "auto": the
        engine, or Brian2 with a warning where the engine cannot be; or any object with their
        ``run(trials, targets=None, gradient=False)``. Learned arrays of its own in a mapping
        ``parameters`` are updated with the network's; what its ``prepare(trials)`` returns, if it
        has one, takes the place of the trials of a fit.
    dtype : {"float32", "float64"}, optional
        Numbers of the engine. Weights and updates are float64 always.
    threads : int, optional
        Threads of the engine, all processors if None; the result does not depend on it.
    augment : callable or sequence of callables, optional
        Each called as ``trials = function(trials, rng)`` for every batch of :meth:`fit`.
    seed : int, optional
        Seed of the order of the trials and of augmentations.
    weight_bounds : tuple (low, high) or mapping of str to tuple, optional
        Limits of all weights, or by name or pattern; see :class:`neurosnn.training.constraints.Constraints`.
    clip_gradient : float, optional
        Largest global norm of the gradient (in the units of the learning rate).
    schedule : callable, optional
        Factor of the learning rate as a function of the epoch, see :mod:`neurosnn.training.schedules`.

    Attributes
    ----------
    epoch : int
        Epochs done.
    history : History
        One row an epoch.
    counts : dict of str to ndarray (n,)
        Spikes of each neuron in the last epoch of :meth:`fit`, by layer, if the backend counts them.

    Raises
    ------
    ValueError
        For an unknown loss, backend or dtype, or settings out of their range.
    TypeError
        For an optimizer, a schedule or an augmentation of the wrong type.

    Notes
    -----
    After each update weights are moved inside their bounds, to the sign of their neuron (Dale's law)
    and to zero where there is no synapse.

    Examples
    --------
    >>> import numpy as np
    >>> from brian2 import ms
    >>> from neurosnn import EProp, Input, Layer, Readout, SpikingNetwork, Trainer, data, equations
    >>> trials = data.SpikeTrials(times=[0.001, 0.002], units=[0, 1], offsets=[0, 1, 2],
    ...                           labels=[0, 1], n_channels=2, duration=10*ms)
    >>> net = SpikingNetwork(Input(2), Layer(equations.LIF(), 4), Readout(2))
    >>> trainer = Trainer(net, EProp(), backend="brian2")
    >>> sorted(trainer.evaluate(trials))
    ['accuracy', 'loss', 'rate.hidden']
    """

    def __init__(
        self,
        net: SpikingNetwork,
        rule: Any,
        *,
        optimizer: Optimizer | None = None,
        loss: Loss | str = "cross_entropy",
        backend: Any = "auto",
        dtype: Any = "float32",
        threads: int | None = None,
        augment: Callable[..., Any] | Sequence[Callable[..., Any]] = (),
        seed: int = 0,
        weight_bounds: Any = None,
        clip_gradient: float | None = None,
        schedule: Callable[[float], float] | None = None,
    ):
        if not hasattr(net, "connections") or not hasattr(net, "layers"):
            raise TypeError(
                message(
                    f"net is {described(net)}, not a network.",
                    _WHERE,
                    "A network comes first, then a rule; trials are given to fit.",
                    "Write Trainer(net, EProp()).fit(trials, epochs=5).",
                )
            )
        self.net, self.rule, self.loss = net, rule, as_loss(loss)
        self.augment = (augment,) if callable(augment) else tuple(augment)
        for function in self.augment:
            if not callable(function):
                raise TypeError(
                    message(
                        f"augment must be functions, got {described(function)}.",
                        _WHERE,
                        "Each is called with the trials of a batch and a random generator.",
                        "Write for example augment=[lambda trials, rng: ...].",
                    )
                )
        check_whole("seed", seed, 0, where=_WHERE)
        if threads is not None:
            check_whole("threads", threads, 1, where=_WHERE)
        self.seed, self.dtype = int(seed), dtype_name(dtype, where=_WHERE)
        self._threads = threads
        self.backend = make_backend(backend, net, rule, self.loss, self.dtype, threads)
        learned = getattr(self.backend, "parameters", None)
        self._constraints = Constraints(net, weight_bounds)
        updates = updates_for(self.backend, optimizer, self._constraints)(
            {**net.parameters, **(learned if isinstance(learned, Mapping) else {})},
            optimizer,
            where=_WHERE,
            schedule=schedule,
            clip=clip_gradient,
            constraints=self._constraints,
            places={
                f"{name}.w": f"{connection.source} to {connection.target}"
                for name, connection in net.connections.items()
            },
        )
        if isinstance(updates, DeviceUpdates):
            updates.start(self.backend)
        super().__init__(updates, np.random.Generator(np.random.PCG64(self.seed)))

    def __repr__(self) -> str:
        return (
            f"Trainer: {self.rule!r}, {self.optimizer!r}, loss {self.loss.name}, "
            f"{type(self.backend).__name__} in {self.dtype}, {self.epoch} epochs, {self.updates} updates"
        )

    def _repr_html_(self) -> str:
        rows = [
            ("rule", repr(self.rule)),
            ("optimizer", repr(self.optimizer)),
            ("loss", repr(self.loss)),
            ("backend", f"{type(self.backend).__name__}, {self.dtype}"),
            ("seed", self.seed),
            ("done", f"{self.epoch} epochs, {self.updates} updates"),
        ]
        parts = [html.table(("", ""), rows), self.net._repr_html_()]
        if len(self.history):
            parts.append(self.history._repr_html_())
        return html.block("Trainer", *parts)

    # -- one batch --------------------------------------------------------------------------

    def gradient(self, batch: Any, targets: Any = None) -> dict[str, np.ndarray]:
        """The gradient of the mean loss of some trials, as the rule gives it; nothing is changed.

        Parameters
        ----------
        batch : SpikeTrials or FrameTrials
            The trials.
        targets : array, optional
            As for :meth:`fit`.

        Returns
        -------
        dict of str to ndarray
            By the names of ``net.parameters``, in SI values; not clipped.
        """
        source = self._check(batch, targets, "Trainer.gradient")
        return dict(self._run(source).gradient)

    def _run(self, source: TrialSource) -> Any:
        """Loss and gradient of the trials of a ``source``, with the draws of the next update."""
        draws = draws_for(self.net, presentation=self.updates + 1)
        return self.backend.run(source.trials, targets=source.targets, gradient=True, **draws)

    def step(self, batch: Any, targets: Any = None) -> dict[str, float]:
        """One update from some trials, for a loop of your own.

        Augmentations belong to :meth:`fit` and are not applied. The schedule is that of ``epoch``,
        which such a loop may set.

        Parameters
        ----------
        batch : SpikeTrials or FrameTrials
            The trials.
        targets : array, optional
            As for :meth:`fit`.

        Returns
        -------
        dict of str to float
            "loss", "accuracy" (not for a signal) and "gradient_norm", before the update.

        Raises
        ------
        FloatingPointError
            The loss or the gradient is not finite, or has exploded; nothing is changed.
        """
        source = self._check(batch, targets, "Trainer.step")
        self._learns_from(source)
        result = self._run(source)
        place = f"update {self.updates + 1}"
        gradient = self._updates.check(result.gradient, result.loss, place)
        with uninterrupted():
            norm = self._updates.apply(gradient, float(self.epoch))
        return {**summary([(result, len(source))]), "gradient_norm": norm}

    # -- many trials ------------------------------------------------------------------------

    def evaluate(
        self, trials: Any, *, targets: Any = None, batch_size: int = 256
    ) -> dict[str, float]:
        """Loss, accuracy and firing rates on trials; nothing is learned.

        A network with noise gets the same random numbers in every call, see ``docs/noise.md``.

        Parameters
        ----------
        trials : SpikeTrials or FrameTrials
            The trials.
        targets : array, optional
            As for :meth:`fit`.
        batch_size : int, optional
            Trials run at a time; the result does not depend on it (up to rounding).

        Returns
        -------
        dict of str to float
            "loss" (mean of the trials), "accuracy" (share of trials, or of the steps that count; not
            for a signal) and "rate.<layer>", the mean firing rate [Hz] of each layer. With MeanSquareError
            also "mse", per output, and "r2", see :func:`neurosnn.training.regression.regression`.
        """
        check_whole("batch_size", batch_size, 1, where=_WHERE)
        return self._evaluate(self._check(trials, targets, "Trainer.evaluate"), batch_size)

    def _evaluate(self, source: TrialSource, batch_size: int) -> dict[str, float]:
        """As :meth:`evaluate`, for the trials of a checked ``source`` in batches of ``batch_size``."""
        results = [
            (self.backend.run(part.trials, targets=part.targets, **draws), len(part))
            for part, draws in in_batches(self.net, source, batch_size)
        ]
        values = summary(results) | regression(source, results, self.loss, self.net.dt)
        seconds = float(steps_of(source.trials, self.net.dt).sum()) * float(self.net.dt)
        spikes: dict[str, float] = {}
        for result, _ in results:
            for name, count in result.spikes.items():
                spikes[name] = spikes.get(name, 0) + float(count)
        return {**values, **self._rates(spikes, seconds)}

    def _rates(self, spikes: Mapping[str, float], seconds: float) -> dict[str, float]:
        """Firing rates [Hz] of the layers from their numbers of ``spikes`` in ``seconds``."""
        sizes = {layer.name: layer.n for layer in self.net.layers}
        return {f"rate.{name}": count / (sizes[name] * seconds) for name, count in spikes.items()}

    @explained(
        epochs="trainer.fit(trials, epochs=5)",
        positional="Labels belong to the trials: SpikeTrials.from_dense(array, dt, labels).",
        targets="fit(trials, targets=...) for values; labels belong to the trials",
    )
    def fit(
        self,
        train: Any,
        *,
        epochs: int,
        batch_size: int = 32,
        targets: Any = None,
        validation: Any = None,
        callbacks: Any = (),
        checkpoint: Any = None,
        resume: bool = True,
        progress: bool = True,
        early_stopping: int | EarlyStopping | None = None,
    ) -> History:
        """Train for some epochs; each sees all trials once, in a new order.

        Ctrl-C leaves the weights of the last whole batch (and writes the checkpoint, if there is
        one). With a checkpoint the same call, made again after an interruption of any kind, goes on
        where the file ends and comes to the same weights, bit for bit.

        Parameters
        ----------
        train : SpikeTrials or FrameTrials
            The trials.
        epochs : int
            How many; with a checkpoint those it has done are counted.
        batch_size : int, optional
            Trials of an update; the last batch of an epoch may be smaller.
        targets : array (trials, n_steps, n_out), (n_steps, n_out) or (trials, n_out), optional
            Signal for MeanSquareError, one for all trials or one each, or one value for each trial and
            output (which the output should have in all steps that count); for CrossEntropyPerStep
            labels (trials, n_steps) or (n_steps,), -1 for steps that do not count.
        validation : trials, tuple (trials, targets) or float, optional
            Trials that are not trained on; a number is the share of `train` held out by class.
        callbacks : sequence of Callback or callable, optional
            Functions of the trainer and the row of an epoch, or :class:`Callback` objects.
        checkpoint : path or Checkpoint, optional
            File that keeps the training, written at the end of each epoch and every 30 s.
        resume : bool, optional
            False: an existing checkpoint is not read but replaced.
        progress : bool, optional
            Show bars, or a line an epoch where there is no terminal.
        early_stopping : int or EarlyStopping, optional
            Epochs without a better validation loss after which it ends; the network then has the
            weights of the best epoch (also if it does not end early).

        Returns
        -------
        History
            One row an epoch, of this and earlier calls.

        Raises
        ------
        ValueError
            Trials, targets or labels that do not fit; a checkpoint of another training.
        FloatingPointError
            The loss or the gradient is not finite, or has exploded; names block, epoch and batch.
            The checkpoint written before it is kept.
        OSError
            The checkpoint cannot be written; the one before it is kept.
        """
        learner = TrialLearner(
            self, train, targets=targets, validation=validation, batch_size=batch_size
        )
        return Fit(
            learner,
            epochs=epochs,
            callbacks=callbacks,
            checkpoint=checkpoint,
            resume=resume,
            early_stopping=early_stopping,
        ).run(progress)

    def _settings(self) -> dict[str, str]:
        """What must stay the same in a training that goes on."""
        return {
            "network": network_fingerprint(self.net),
            "rule": setting_text(self.rule),
            "loss": setting_text(self.loss),
            "optimizer": setting_text(self.optimizer),
            "schedule": setting_text(self._updates.schedule),
            "weight_bounds": setting_text(self._constraints.bounds),
            "clip_gradient": setting_text(self._updates.clip),
            "augment": setting_text(self.augment),
            "seed": str(self.seed),
            "dtype": self.dtype,
            "backend": type(self.backend).__name__,
        }

    def _check(self, trials: Any, targets: Any, where: str) -> TrialSource:
        source = TrialSource.check(trials, targets, net=self.net, loss=self.loss, where=where)
        if targets is None:
            check_classes(trials, self.net.class_names, where=where)
        return source

    def _learns_from(self, source: TrialSource) -> None:
        """Remember what the labels mean at the first training."""
        names = tuple(getattr(source.trials, "class_names", ()))
        if source.targets is None and not self.net.class_names and not numbered(names):
            self.net.class_names = names
