"""A training loop for classifiers: Adam, cosine schedule, validation, the best weights kept."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from neurosnn.core.messages import message
from neurosnn.core.values import Range, check_value

__all__ = ["accuracy", "fit", "image_tensors"]


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
    train: tuple[torch.Tensor, torch.Tensor],
    validation: tuple[torch.Tensor, torch.Tensor],
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    *,
    epochs: int,
    batch: int = 16,
    learning_rate: float = 1e-3,
    half_period: int = 64,
    minutes: float | None = None,
    seed: int = 0,
    augment: Callable[[torch.Tensor], torch.Tensor] | None = None,
    report: Callable[[dict], None] | None = None,
) -> list[dict]:
    """Train with Adam and a cosine schedule; the net ends with its best validation weights.

    The learning rate falls to 0 over `half_period` epochs and rises again over as many, as in the
    published runs (Fang et al. 2021: Adam 1e-3, batch 16, half period 64).

    Parameters
    ----------
    net : Module
        Takes a batch, returns what `loss` takes.
    train, validation : (x, labels)
        Tensors with trials along the first axis, on the device of the net.
    loss : callable
        ``loss(output, labels)``, one number.
    epochs, batch : int
        Passes, and trials of a step; the last incomplete batch of an epoch is left out.
    learning_rate : float
        At the start.
    half_period : int
        Epochs from the highest to the lowest learning rate.
    minutes : float, optional
        End after this time even if epochs are left, with a learning rate that falls to 0 over it
        instead of over `half_period` (less the first update, which may compile). What comes out
        then depends on the speed of the machine.
    seed : int
        Order of the trials, dropout and augmentation; weights are as the net comes.
    augment : callable, optional
        Changes the trials of each training batch, for example :func:`moved`.
    report : callable, optional
        Called with the row of each epoch.

    Returns
    -------
    list of dict
        For each epoch: epoch, loss, validation accuracy, seconds. Time may cut the last one short.

    Raises
    ------
    ValueError
        If there are fewer trials than a batch has, or `minutes` is not positive.
    FloatingPointError
        If the loss or its gradient is not finite.
    """
    x, labels = train
    if len(labels) < batch:
        raise ValueError(
            message(
                f"{len(labels)} trials for a batch of {batch}.",
                "fit",
                "Incomplete batches are left out, so that there would be none.",
                "Pass a smaller batch=.",
            )
        )
    clock = None if minutes is None else _Clock(minutes)
    torch.manual_seed(seed)
    optimizer = torch.optim.Adam(net.parameters(), lr=learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=half_period)
    history: list[dict] = []
    best, weights = -1.0, copy.deepcopy(net.state_dict())
    for epoch in range(1, epochs + 1):
        begin, total, steps = time.perf_counter(), 0.0, 0
        net.train()
        order = torch.randperm(len(labels)).to(labels.device)
        for k in range(0, len(labels) - batch + 1, batch):
            chosen = order[k : k + batch]
            optimizer.zero_grad()
            shown = x[chosen] if augment is None else augment(x[chosen])
            value = loss(net(shown), labels[chosen])
            descend(optimizer, value, epoch, where="fit")
            total, steps = total + value.item(), steps + 1
            if clock is not None:
                optimizer.param_groups[0]["lr"] = learning_rate * clock.factor()
                if clock.over():
                    break
        if clock is None:
            schedule.step()
        row = {
            "epoch": epoch,
            "loss": total / steps,
            "validation_accuracy": accuracy(net, *validation),
            "seconds": time.perf_counter() - begin,
        }
        history.append(row)
        if row["validation_accuracy"] > best:
            best, weights = row["validation_accuracy"], copy.deepcopy(net.state_dict())
        if report is not None:
            report(row)
        if clock is not None and clock.over():
            break
    net.load_state_dict(weights)
    return history


class _Clock:
    """How much of the given minutes has gone by since the first update."""

    def __init__(self, minutes: float):
        check_value("minutes", minutes, Range(0), where="fit")
        self.begin = time.perf_counter()
        self.end, self.first = self.begin + 60 * minutes, 0.0

    def factor(self) -> float:
        """Factor of the learning rate after an update: from 1 to 0 along half a cosine."""
        now = time.perf_counter()
        self.first = self.first or now
        share = (now - self.first) / max(self.end - self.first, 1e-9)
        return (1 + math.cos(math.pi * min(share, 1.0))) / 2

    def over(self) -> bool:
        """Whether no update should follow."""
        return time.perf_counter() >= self.end


def descend(
    optimizer: torch.optim.Optimizer,
    value: torch.Tensor,
    epoch: int,
    *,
    where: str,
    clip: float | None = None,
) -> None:
    """One step of the optimizer down the gradient of a loss, which must be finite."""
    if not torch.isfinite(value):
        raise FloatingPointError(
            message(
                f"the loss is {value.item()} in epoch {epoch}.",
                where,
                "Weights would not recover.",
                "Use a smaller learning_rate=.",
            )
        )
    value.backward()
    moved = [p for group in optimizer.param_groups for p in group["params"]]
    norm = torch.nn.utils.get_total_norm([p.grad for p in moved if p.grad is not None])
    if not torch.isfinite(norm):
        raise FloatingPointError(
            message(
                f"the gradient is not finite in epoch {epoch}, though the loss is {value.item():.4g}.",
                where,
                "Weights would not recover.",
                "Use a smaller learning_rate= or clip=, or shorter sequences.",
            )
        )
    if clip is not None:
        torch.nn.utils.clip_grads_with_norm_(moved, clip, norm)
    optimizer.step()
