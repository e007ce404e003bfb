"""Training of classifiers: Adam, cosine schedule, validation, the best weights kept."""

from __future__ import annotations

import functools
import math
import numbers
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from neurosnn.core.messages import message
from neurosnn.core.values import Range, check_value
from neurosnn.torch.learner import Judged, TorchLearner, as_array
from neurosnn.training.base import hold_out
from neurosnn.training.callbacks import Callback, EarlyStopping, as_callbacks
from neurosnn.training.checkpoint import TrainingState, fingerprint, refuse_damaged, setting_text
from neurosnn.training.history import History
from neurosnn.training.loop import Fit

__all__ = ["BEST_ACCURACY", "accuracy", "fit", "image_tensors"]

#: Never stops, and keeps the weights of the best validation accuracy.
BEST_ACCURACY = EarlyStopping(None, monitor="validation_accuracy")

Sets = tuple[torch.Tensor, torch.Tensor]


def image_tensors(
    images: Any,
    *,
    mean: float | Sequence[float] = 0.0,
    deviation: float | Sequence[float] = 1.0,
) -> tuple:
    """Images as float32 (n, c, h, w), scaled to 0..1 and standardized, and labels.

    Parameters
    ----------
    images : neurosnn.data.Images
        Images (n, h, w) or (n, h, w, c).
    mean, deviation : float or sequence of float
        Subtracted, and divided by; one number, or one for each channel.

    Returns
    -------
    x : Tensor of float32 (n, c, h, w)
    labels : Tensor of int64 (n,)
    """
    x = np.asarray(images.images, dtype=np.float32) / images.maximum
    x = x[:, None] if x.ndim == 3 else np.moveaxis(x, 3, 1)
    x = torch.from_numpy(np.ascontiguousarray(x))
    shift, scale = (torch.as_tensor(v, dtype=x.dtype).view(-1, 1, 1) for v in (mean, deviation))
    return (x - shift) / scale, torch.from_numpy(np.array(images.labels))


@torch.no_grad()
def accuracy(net: torch.nn.Module, x: torch.Tensor, labels: torch.Tensor, batch: int = 250):
    """Share of trials whose largest output is that of their class.

    Parameters
    ----------
    net : Module
        Takes a batch, returns (n, classes).
    x : Tensor (n, ...)
        Trials along the first axis.
    labels : Tensor of int64 (n,)
        Classes.
    batch : int
        Trials at a time.

    Returns
    -------
    float
        Between 0 and 1.
    """
    net.eval()
    right = sum(
        int((net(x[k : k + batch]).argmax(1) == labels[k : k + batch]).sum())
        for k in range(0, len(labels), batch)
    )
    return right / len(labels)


def fit(
    net: torch.nn.Module,
    train: Sets,
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    *,
    epochs: int,
    batch_size: int = 16,
    validation: Sets | float | None = None,
    learning_rate: float = 1e-3,
    half_period: int = 64,
    minutes: float | None = None,
    seed: int = 0,
    augment: Callable[[torch.Tensor], torch.Tensor] | None = None,
    callbacks: Any = (),
    checkpoint: Any = None,
    resume: bool = True,
    progress: bool = True,
    early_stopping: int | EarlyStopping | None = None,
) -> History:
    """Train with Adam and a cosine schedule; the net ends with its best validation weights.

    The learning rate falls to 0 over `half_period` epochs and rises again over as many, as in the
    published runs (Fang et al. 2021: Adam 1e-3, batch 16, half period 64). All else is as in
    :meth:`neurosnn.Trainer.fit`: Ctrl-C leaves the weights of the last whole batch, and with a
    checkpoint the same call, made again after an interruption of any kind, comes to the same weights,
    bit for bit on the same machine with as many threads.

    Parameters
    ----------
    net : Module
        Takes a batch, returns what `loss` takes.
    train : (x, labels)
        Tensors with trials along the first axis, on the device of the net.
    loss : callable
        ``loss(output, labels)``, one number, the mean over the trials.
    epochs : int
        Passes; with a checkpoint those it has done are counted.
    batch_size : int
        Trials of an update; the last incomplete batch of an epoch is left out.
    validation : (x, labels) or float, optional
        Trials that are not trained on; a number is the share of `train` held out by class.
    learning_rate : float
        At the start.
    half_period : int
        Epochs from the highest to the lowest learning rate.
    minutes : float, optional
        End after this time even if epochs are left, and the last one is not whole, with a learning
        rate that falls to 0 over it instead of over `half_period` (less the first update, which may
        compile). What comes out then depends on the speed of the machine.
    seed : int
        Order of the trials, dropout and augmentation, all drawn from torch's generator; weights are as
        the net comes.
    augment : callable, optional
        Changes the trials of each training batch, for example :func:`moved`.
    callbacks : sequence of Callback or callable, optional
        Functions of the training, which has `net`, `epoch`, `history` and a generator `random`, and of
        the row of an epoch; or callbacks of :mod:`neurosnn.training.callbacks`.
    checkpoint : path or Checkpoint, optional
        File that keeps the training, written at the end of each epoch and every 30 s.
    resume : bool, optional
        False: an existing checkpoint is not read but replaced.
    progress : bool, optional
        Show bars, or a line an epoch where there is no terminal.
    early_stopping : int or EarlyStopping, optional
        Epochs without a better validation loss after which it ends, with the weights of the least
        loss. If None it does not end early, and the weights of the best accuracy are kept.

    Returns
    -------
    History
        One row an epoch.

    Raises
    ------
    ValueError
        If there are fewer trials than a batch has, or `minutes` is not positive; for a checkpoint of
        another training.
    FloatingPointError
        If the loss or its gradient is not finite; weights are those before the batch.
    OSError
        The checkpoint cannot be written; the one before it is kept.
    """
    clock = [] if minutes is None else [_Clock(minutes)]
    learner = _Classifier(
        net,
        train,
        loss,
        validation=validation,
        batch_size=batch_size,
        learning_rate=learning_rate,
        half_period=None if clock else half_period,
        seed=seed,
        augment=augment,
    )
    best = BEST_ACCURACY if learner.validates else None
    return Fit(
        learner,
        epochs=epochs,
        callbacks=[*clock, *as_callbacks(callbacks, where="fit")],
        checkpoint=checkpoint,
        resume=resume,
        early_stopping=best if early_stopping is None else early_stopping,
    ).run(progress)


class _Classifier(TorchLearner):
    """A module that gives each trial one answer, with the trials of one :func:`fit`."""

    def __init__(
        self,
        net: torch.nn.Module,
        train: Sets,
        loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
        *,
        validation: Sets | float | None,
        batch_size: int,
        learning_rate: float,
        half_period: int | None,
        seed: int,
        augment: Callable[[torch.Tensor], torch.Tensor] | None,
    ):
        super().__init__(
            net, where="fit", batch_size=batch_size, learning_rate=learning_rate, seed=seed
        )
        if half_period is not None:
            check_value("half_period", half_period, Range(0), where="fit")
        self.loss, self.augment, self.half_period = loss, augment, half_period
        self.x, self.labels = train
        self.held_out: Any = validation
        if isinstance(validation, numbers.Real):
            strata = np.asarray(self.labels.cpu())
            rest, held = hold_out(strata, float(validation), seed, where="fit")
            self.held_out = (self.x[held], self.labels[held])
            self.x, self.labels = self.x[rest], self.labels[rest]
        self.validates = validation is not None
        if len(self.labels) < batch_size:
            raise ValueError(
                message(
                    f"{len(self.labels)} trials for a batch of {batch_size}.",
                    "fit",
                    "Incomplete batches are left out, so that none is left.",
                    "Pass a smaller batch_size=.",
                )
            )
        self.schedule = None
        if half_period is not None:
            self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(
                self.optimizer, T_max=half_period
            )

    # -- an epoch ---------------------------------------------------------------------------

    def n_trials(self, epoch: int) -> int:
        """All of them."""
        return len(self.labels)

    def batches(self) -> list[np.ndarray]:
        """Whole batches of trials in a new order."""
        order, size = torch.randperm(len(self.labels)).numpy(), self.batch_size
        return [order[k : k + size] for k in range(0, len(order) - size + 1, size)]

    def judge(self, index: np.ndarray) -> Judged:
        """Loss and right answers of the trials of the ``index``, as the augmentation changes them."""
        chosen = torch.from_numpy(index).to(self.x.device)
        x, labels = self.x[chosen], self.labels[chosen]
        return self._judge(x if self.augment is None else self.augment(x), labels)

    def _judge(self, x: torch.Tensor, labels: torch.Tensor) -> Judged:
        output, right = self.net(x), None
        if isinstance(output, torch.Tensor) and output.ndim == 2 and labels.ndim == 1:
            right = int((output.argmax(1) == labels).sum())
        return Judged(self.loss(output, labels), len(labels), right)

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Loss and accuracy of the trials held out."""
        self.net.eval()
        (x, labels), totals = self.held_out, dict[str, Any]()
        for k in range(0, len(labels), 250):
            value, n, right = self._judge(x[k : k + 250], labels[k : k + 250])
            totals["loss"] = totals.get("loss", 0.0) + value.item() * n
            totals["counted"] = totals.get("counted", 0) + n
            if right is not None:
                totals["right"] = totals.get("right", 0) + right
        return self.row(totals)

    def end_epoch(self, totals: Mapping[str, Any], row: Mapping[str, float]) -> None:
        """The learning rate of the next epoch."""
        if self.schedule is None:
            return
        with warnings.catch_warnings():
            # In a training that goes on, the updates of this epoch may have been another process's.
            warnings.filterwarnings("ignore", "Detected call of .lr_scheduler.step")
            self.schedule.step()

    # -- what a checkpoint keeps ------------------------------------------------------------

    def state(self) -> TrainingState:
        """With the position in the schedule."""
        state = super().state()
        state.progress["schedule"] = self.schedule.state_dict() if self.schedule else None
        return state

    def restore(self, state: TrainingState, path: Any) -> None:
        """With the position in the schedule."""
        with refuse_damaged(path):
            position = state.progress["schedule"]
            known = set(self.schedule.state_dict()) if self.schedule else set()
            if set(position or ()) != known:
                raise ValueError("the position in the schedule is not one of this schedule")
        super().restore(state, path)
        if self.schedule is not None:
            self.schedule.load_state_dict(position)

    def settings(self) -> dict[str, str]:
        """With loss, schedule, augmentation, and which trials there are."""
        trained, held = self._fingerprints
        return {
            **super().settings(),
            "loss": setting_text(self.loss),
            "half_period": str(self.half_period),
            "augment": setting_text(self.augment),
            "trials": trained,
            "validation": held,
        }

    @functools.cached_property
    def _fingerprints(self) -> tuple[str, str]:
        def of(x: torch.Tensor, labels: torch.Tensor) -> str:
            return f"{len(labels)} trials {fingerprint(as_array(x), as_array(labels))}"

        return of(self.x, self.labels), of(*self.held_out) if self.validates else "None"


class _Clock(Callback):
    """Ends a training after the given minutes, with a learning rate that falls to 0 over them."""

    def __init__(self, minutes: float):
        check_value("minutes", minutes, Range(0), where="fit")
        self.begin = time.perf_counter()
        self.end, self.first = self.begin + 60 * minutes, 0.0

    def batch_end(self, trainer: TorchLearner, result: Mapping[str, float]) -> bool:
        """The rate of the next update: from 1 to 0 of the first one along half a cosine."""
        now = time.perf_counter()
        self.first = self.first or now
        share = (now - self.first) / max(self.end - self.first, 1e-9)
        factor = (1 + math.cos(math.pi * min(share, 1.0))) / 2
        trainer.optimizer.param_groups[0]["lr"] = trainer.start_rate * factor
        return self._over()

    def epoch_end(self, trainer: TorchLearner, row: Mapping[str, float]) -> bool:
        """Whether no update should follow."""
        return self._over()

    def _over(self) -> bool:
        return time.perf_counter() >= self.end
