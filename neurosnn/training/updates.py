"""One update: a gradient checked, clipped, given to the optimizer, and the weights kept legal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from neurosnn.core.messages import message
from neurosnn.core.values import Range, check_value
from neurosnn.training.checkpoint import overwrite
from neurosnn.training.constraints import Constraints
from neurosnn.training.optimizers import Adam, Optimizer, clip_by_global_norm

__all__ = ["Gradient", "Updates"]

_WHERE = "Trainer"
#: A block of the gradient that is longer by this factor than ever before has exploded.
_EXPLOSION = 1e6
#: Updates that show what is usual before anything counts as an explosion.
_USUAL_AFTER = 10


class Gradient(dict[str, np.ndarray]):
    """A gradient in the units of the learning rate, and the largest norm of each block so far."""

    largest: dict[str, float]


class Updates:
    """All that is learned, and how it changes.

    Parameters
    ----------
    net : SpikingNetwork
        Its parameters are learned.
    own : mapping of str to array
        Learned arrays of the backend, such as adaptive feedback weights.
    optimizer : Optimizer or None
        None: Adam(1e-3).
    bounds : tuple or mapping or None
        Bounds of the weights.
    clip : float or None
        Largest norm of the gradient.
    schedule : callable or None
        Factor of the learning rate as a function of the epoch.
    """

    def __init__(
        self,
        net: Any,
        own: Mapping[str, np.ndarray],
        optimizer: Optimizer | None,
        *,
        bounds: Any,
        clip: float | None,
        schedule: Callable[[float], float] | None,
    ):
        if optimizer is None:
            optimizer = Adam(1e-3)
        if isinstance(optimizer, type) or not isinstance(optimizer, Optimizer):
            raise TypeError(
                message(
                    f"optimizer must be an optimizer, got {optimizer!r}.",
                    _WHERE,
                    "It needs learning_rate, start and update.",
                    "Write for example optimizer=Adam(1e-3).",
                )
            )
        if schedule is not None and not callable(schedule):
            raise TypeError(
                message(
                    f"schedule must be a function, got {schedule!r}.",
                    _WHERE,
                    "It is called with the epoch.",
                    "Write for example schedule=schedules.Exponential(0.95).",
                )
            )
        if clip is not None:
            check_value("clip_gradient", clip, Range(0.0), where=_WHERE)
        self.net, self.optimizer, self.clip, self.schedule = net, optimizer, clip, schedule
        self.constraints = Constraints(net, bounds)
        self.parameters = {**net.parameters, **own}
        self.scales = {name: self.constraints.scale_of(name) for name in self.parameters}
        self.state = optimizer.start(self.parameters)
        self.count = 0
        self.largest: dict[str, float] = {}

    def check(self, result: Any, place: str) -> Gradient:
        """The gradient of a ``result``, or an error that names the block and the ``place``."""
        missing = set(self.parameters) - set(result.gradient)
        if missing:
            raise ValueError(
                message(
                    f"the backend gave no gradient for '{min(missing)}'.",
                    _WHERE,
                    "Every parameter of the network is learned.",
                    "Let its run() return zeros for what does not change.",
                )
            )
        # A copy: the backend may use its arrays again.
        gradient = Gradient(
            {
                name: np.asarray(self.scales[name] * result.gradient[name])
                for name in self.parameters
            }
        )
        self.constraints.mask_gradient(gradient)
        gradient.largest = {}
        for name, block in gradient.items():
            norm = clip_by_global_norm({name: block}, None)
            self._check_block(name, norm, block, place)
            gradient.largest[name] = max(norm, self.largest.get(name, 0.0))
        if not np.isfinite(result.loss):
            raise FloatingPointError(
                message(
                    f"the loss is {result.loss} in {place}, with a finite gradient.",
                    _WHERE,
                    "The outputs of the readout are too large for the loss; the weights are those "
                    "before this batch.",
                    "Lower the learning rate, or check the targets.",
                )
            )
        return gradient

    def apply(self, gradient: Gradient, epoch: float) -> float:
        """Update everything with a ``gradient`` at a time in epochs; its norm before clipping."""
        rate = self.learning_rate(epoch)
        norm = clip_by_global_norm(gradient, self.clip)
        # Weights with a unit are optimized in mV, nA or nS.
        scaled = {name: scale for name, scale in self.scales.items() if scale != 1}
        for name, scale in scaled.items():
            self.parameters[name] /= scale
        self.optimizer.update(self.parameters, gradient, self.state, rate)
        for name, scale in scaled.items():
            self.parameters[name] *= scale
        self.constraints.apply()
        self.largest = gradient.largest
        self.count += 1
        return norm

    def learning_rate(self, epoch: float) -> float:
        """The learning rate at an ``epoch``, by the schedule."""
        factor = 1.0 if self.schedule is None else float(self.schedule(epoch))
        if not 0 <= factor < np.inf:
            raise ValueError(
                message(
                    f"the schedule gave {factor} for epoch {epoch:g}.",
                    _WHERE,
                    "The learning rate is multiplied by it.",
                    "Return a number from 0.",
                )
            )
        return self.optimizer.learning_rate * factor

    def overwrite(
        self, weights: Mapping[str, np.ndarray], state: Mapping[str, np.ndarray], path: Any
    ):
        """Take over ``weights`` and the optimizer's ``state``; nothing changes if they do not fit."""
        own = {name: array.copy() for name, array in self.state.items()}
        overwrite(own, state, path, "the optimizer's state")
        overwrite(self.parameters, weights, path, "the parameter")
        self.state = own

    def _check_block(self, name: str, norm: float, block: np.ndarray, place: str) -> None:
        usual = self.largest.get(name, 0.0)
        watched = self.count >= _USUAL_AFTER and self.clip is None
        if np.isfinite(norm) and not (watched and 0 < usual * _EXPLOSION < norm):
            return
        connection = self.net.connections.get(name.removesuffix(".w"))
        path = f" ({connection.source} to {connection.target})" if connection else ""
        if np.isfinite(norm):
            what = f"has exploded in {place}: its norm is {norm:.3g}, it was {usual:.3g} at most"
        elif np.all(np.isfinite(block)):
            what = f"has exploded in {place}: the square of its norm is not finite"
        else:
            wrong = int(np.count_nonzero(~np.isfinite(block)))
            what = f"is not finite in {place} ({wrong} of {block.size} values)"
        raise FloatingPointError(
            message(
                f"the gradient of '{name}'{path} {what}.",
                _WHERE,
                "It would destroy the network; the weights are those before this batch.",
                "Lower the learning rate, or set clip_gradient= or weight_bounds=.",
            )
        )
