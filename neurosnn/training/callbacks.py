"""What a training does besides learning: callbacks, and early stopping."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from neurosnn.core.messages import described, did_you_mean, message
from neurosnn.core.values import Range, check_value, check_whole

__all__ = ["Callback", "EarlyStopping", "LiftSilent", "MeanWeights"]


class Callback:
    """Base of callbacks: override what you need.

    A plain function is a callback too and is called as :meth:`epoch_end`. What callbacks do belongs to
    the batch or epoch at whose end they are called: Ctrl-C waits for them (pressed twice, it ends them,
    and no checkpoint is written), and numbers that they draw from ``trainer.random`` are drawn in a
    resumed training as in one that never stopped. A state of their own is not part of a checkpoint.

    Examples
    --------
    >>> class StopWhenGood(Callback):
    ...     def epoch_end(self, trainer, row):
    ...         return row["accuracy"] > 0.99
    """

    def epoch_begin(self, trainer: Any, epoch: int) -> None:
        """Called before the first batch of an epoch; not again if a checkpoint goes on within it.

        Parameters
        ----------
        trainer : Trainer or another
            Who trains.
        epoch : int
            1, 2, ...
        """

    def batch_end(self, trainer: Any, result: Mapping[str, float]) -> bool | None:
        """Called after each update.

        Parameters
        ----------
        trainer : Trainer or another
            Who trains.
        result : mapping of str to float
            "loss" and, where they are known, "accuracy" and "gradient_norm", before the update.

        Returns
        -------
        bool or None
            True ends the training; its last epoch ends with this batch.
        """
        return None

    def epoch_end(self, trainer: Any, row: Mapping[str, float]) -> bool | None:
        """Called at the end of an epoch.

        Parameters
        ----------
        trainer : Trainer or another
            Who trains.
        row : mapping of str to float
            The epoch's row of the history.

        Returns
        -------
        bool or None
            True ends the training.
        """
        return None


class LiftSilent(Callback):
    """Raise the incoming weights of neurons that were silent for a whole epoch.

    A silent neuron has no spike at which EventProp could change it, and no firing-rate term reaches
    it. At the end of an epoch `amount` is added to all its incoming (not recurrent) weights.

    Parameters
    ----------
    amount : float, optional
        In units of the weights' learning rate: 1, mV, nA or nS (Nowotny et al. 2025: 0.002).

    Raises
    ------
    ValueError
        If `amount` is not positive or, at the end of an epoch, the backend does not count the spikes
        of single neurons.

    References
    ----------
    Nowotny, Turner & Knight, Neuromorph. Comput. Eng. 5:014001 (2025).

    Examples
    --------
    >>> from neurosnn.training.callbacks import LiftSilent
    >>> LiftSilent().amount
    0.002
    """

    def __init__(self, amount: float = 0.002):
        check_value("amount", amount, Range(0.0), where="LiftSilent")
        self.amount = float(amount)

    def __repr__(self) -> str:
        return f"LiftSilent({self.amount})"

    def epoch_end(self, trainer: Any, row: Mapping[str, float]) -> None:
        """Lift the weights of the neurons without a spike.

        Parameters
        ----------
        trainer : Trainer or another
            Who trains.
        row : mapping of str to float
            Not used.
        """
        if not getattr(trainer, "counts", None):
            raise ValueError(
                message(
                    "the backend does not count the spikes of single neurons.",
                    "LiftSilent",
                    "Which neurons are silent is not known.",
                    "Use backend='engine'.",
                )
            )
        constraints = trainer._constraints
        for name, connection in trainer.net.connections.items():
            silent = trainer.counts.get(connection.target)
            recurrent = connection.source == connection.target
            if silent is None or recurrent or not connection.plastic:
                continue
            lift = self.amount * constraints.scale_of(f"{name}.w") * (silent == 0)
            connection.w += lift if connection.post is None else lift[connection.post]
        constraints.apply()


class MeanWeights(Callback):
    r"""The mean of what is learned over the last updates, in which the noise of single updates cancels.

    .. math::  m \leftarrow m + (w - m)/k, \qquad m = w \text{ at first}

    after each update, so that about the last :math:`k` updates count. Training goes on with the weights
    themselves; :meth:`put_into` gives a network the mean. Limits of single weights and signs hold for
    a mean as well, a fixed norm does not.

    Parameters
    ----------
    updates : int, optional
        :math:`k`. Some passes through a small training set are a good choice; the validation tells.

    Attributes
    ----------
    weights : dict of str to ndarray
        The mean, by the names of ``net.parameters``; empty before the first update. It is not part of a
        checkpoint: where one goes on, the mean begins with the weights there.

    Raises
    ------
    ValueError
        If `updates` is below one, or the mean is asked for before the first update.
    TypeError
        If it is not a whole number or, at the first update, the trainer has no network of neurosnn
        (torch.optim.swa_utils does the same for PyTorch).

    References
    ----------
    Polyak & Juditsky, SIAM J. Control Optim. 30:838 (1992).

    Examples
    --------
    >>> from neurosnn.training.callbacks import MeanWeights
    >>> MeanWeights(100)
    MeanWeights(100)
    """

    def __init__(self, updates: int = 50):
        self.updates = check_whole("updates", updates, 1, where="MeanWeights")
        self.weights: dict[str, np.ndarray] = {}

    def __repr__(self) -> str:
        return f"MeanWeights({self.updates})"

    def batch_end(self, trainer: Any, result: Mapping[str, float]) -> None:
        """Take the weights after an update into the mean.

        Parameters
        ----------
        trainer : Trainer or another
            Who trains.
        result : mapping of str to float
            Not used.
        """
        parameters = getattr(trainer.net, "parameters", None)
        if not isinstance(parameters, Mapping):
            raise TypeError(
                message(
                    f"{described(trainer.net)} has no parameters by name.",
                    "MeanWeights",
                    "It is for networks of neurosnn.",
                    "For modules of PyTorch use torch.optim.swa_utils.AveragedModel.",
                )
            )
        for name, now in parameters.items():
            mean = self.weights.setdefault(name, now.copy())
            mean += (now - mean) / self.updates

    def put_into(self, net: Any) -> None:
        """Give a network the mean.

        Parameters
        ----------
        net : SpikingNetwork or EquilibriumNetwork
            With the parameters of the one that was trained.
        """
        if not self.weights:
            raise ValueError(
                message(
                    "there is no mean yet.",
                    "MeanWeights",
                    "It begins with the first update.",
                    "Pass it to fit(callbacks=...) first.",
                )
            )
        for name, mean in self.weights.items():
            net.parameters[name][...] = mean


class FunctionCallback(Callback):
    """A plain function that is called at the end of each epoch."""

    def __init__(self, function: Any):
        self.function = function

    def epoch_end(self, trainer: Any, row: Mapping[str, float]) -> bool | None:
        """Call the function."""
        return self.function(trainer, row)


def as_callbacks(callbacks: Any, *, where: str) -> list[Callback]:
    """A list of callbacks from callbacks and functions, or from one of them."""
    if isinstance(callbacks, Callback) or (callable(callbacks) and not isinstance(callbacks, type)):
        callbacks = [callbacks]
    if isinstance(callbacks, str | type) or not hasattr(callbacks, "__iter__"):
        callbacks = [callbacks]  # to be refused as a whole
    result = []
    for callback in callbacks:
        if not isinstance(callback, Callback) and (
            isinstance(callback, type) or not callable(callback)
        ):
            raise TypeError(
                message(
                    f"{described(callback)} is not a callback.",
                    where,
                    "It is a Callback or a function of the trainer and the row of an epoch.",
                    "Write for example callbacks=[lambda trainer, row: print(row['loss'])].",
                )
            )
        result.append(callback if isinstance(callback, Callback) else FunctionCallback(callback))
    return result


@dataclasses.dataclass(frozen=True)
class EarlyStopping:
    """Stop when the validation has not improved for some epochs, and keep the best weights.

    Parameters
    ----------
    patience : int or None
        Epochs without improvement after which the training stops; None: never, so that only the best
        weights are kept.
    monitor : {"validation_loss", "validation_accuracy"}, optional
        What must improve.
    min_change : float, optional
        An improvement by less does not count.

    Raises
    ------
    ValueError
        A patience below one, an unknown quantity, or a negative change.

    Examples
    --------
    >>> EarlyStopping(5).improved(0.7, 0.8)
    True
    """

    patience: int | None
    _: dataclasses.KW_ONLY
    monitor: str = "validation_loss"
    min_change: float = 0.0

    def __post_init__(self) -> None:
        if self.patience is not None:
            check_whole("patience", self.patience, 1, where="EarlyStopping")
        known = ("validation_loss", "validation_accuracy")
        if self.monitor not in known:
            raise ValueError(
                message(
                    f"monitor={self.monitor!r} is not known.",
                    "EarlyStopping",
                    "Only the validation tells whether a network still gets better.",
                    did_you_mean(str(self.monitor), known),
                )
            )
        if not self.min_change >= 0:
            raise ValueError(
                message(
                    f"min_change must be zero or more, got {self.min_change!r}.",
                    "EarlyStopping",
                    "It is the smallest improvement that counts.",
                    "Write for example min_change=1e-3.",
                )
            )

    def improved(self, value: float, best: float | None) -> bool:
        """Whether a value is the best so far.

        Parameters
        ----------
        value : float
            The new one.
        best : float or None
            The best value so far, if there is one.

        Returns
        -------
        bool
            Whether it is better by more than `min_change`.
        """
        if best is None:
            return True
        change = best - value if self.monitor == "validation_loss" else value - best
        return change > self.min_change
