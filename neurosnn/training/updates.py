"""One update: a gradient checked, clipped, given to the optimizer, and the weights kept legal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from neurosnn.core.messages import described, message
from neurosnn.core.values import Range, check_value
from neurosnn.training.checkpoint import overwrite
from neurosnn.training.constraints import Constraints
from neurosnn.training.guard import Guard, exact_norm
from neurosnn.training.optimizers import Adam, Optimizer, clip_by_global_norm

__all__ = ["Gradient", "Updates", "as_optimizer"]


class Gradient(NamedTuple):
    """A gradient in the units of the learning rate, and the norm of each block."""

    blocks: Mapping[str, np.ndarray]
    norms: dict[str, float]


class Updates:
    """All that is learned, and how it changes.

    Parameters
    ----------
    parameters : dict of str to array
        What is learned.
    optimizer : Optimizer or None
        None: Adam(1e-3).
    where : str
        Who trains, for messages.
    schedule : callable or None
        Factor of the learning rate as a function of the epoch.
    clip : float or None
        Largest norm of the gradient.
    constraints : Constraints or None
        Units and limits of the parameters, if they have any.
    places : mapping of str to str
        What to say of a parameter in a message, beside its name.
    norm : callable
        How long a block of the gradient is, for the guard.
    """

    def __init__(
        self,
        parameters: dict[str, np.ndarray],
        optimizer: Optimizer | None,
        *,
        where: str,
        schedule: Callable[[float], float] | None = None,
        clip: float | None = None,
        constraints: Constraints | None = None,
        places: Mapping[str, str] | None = None,
        norm: Callable[[np.ndarray], float] = exact_norm,
    ):
        if schedule is not None and not callable(schedule):
            raise TypeError(
                message(
                    f"schedule must be a function, got {schedule!r}.",
                    where,
                    "It is called with the epoch.",
                    "Write for example schedule=schedules.Exponential(0.95).",
                )
            )
        if clip is not None:
            check_value("clip_gradient", clip, Range(0.0), where=where)
        self.parameters, self.optimizer = parameters, as_optimizer(optimizer, where=where)
        self.where, self.schedule, self.clip, self.constraints = where, schedule, clip, constraints
        self.scales: dict[str, float] = {}
        if constraints is not None:
            self.scales = {name: constraints.scale_of(name) for name in parameters}
        self.state = self.optimizer.start(parameters)
        cure = "Lower the learning rate"
        cure += "." if constraints is None else ", or set clip_gradient= or weight_bounds=."
        self.guard = Guard(where, places or {}, cure=cure, explosions=clip is None, norm=norm)

    @property
    def count(self) -> int:
        """Updates done."""
        return self.guard.count

    def check(self, blocks: Mapping[str, np.ndarray], loss: float, place: str) -> Gradient:
        """The gradient of a batch, or an error that names the block and the ``place``."""
        missing = set(self.parameters) - set(blocks)
        if missing:
            raise ValueError(
                message(
                    f"the backend gave no gradient for '{min(missing)}'.",
                    self.where,
                    "Every parameter of the network is learned.",
                    "Let its run() return zeros for what does not change.",
                )
            )
        gradient = {name: np.asarray(blocks[name]) for name in self.parameters}
        if self.constraints is not None:
            # A copy: the backend may use its arrays again.
            gradient = {
                name: np.asarray(self.scales[name] * block) for name, block in gradient.items()
            }
            self.constraints.mask_gradient(gradient)
        return Gradient(gradient, self.guard.check(gradient, loss, place))

    def apply(self, gradient: Gradient, epoch: float) -> float:
        """Update everything with a ``gradient`` at a time in epochs; its norm before clipping."""
        rate = self.learning_rate(epoch)
        norm = float(np.sqrt(sum(value**2 for value in gradient.norms.values())))
        if self.clip is not None:
            clip_by_global_norm(gradient.blocks, self.clip)
        # Weights with a unit are optimized in mV, nA or nS.
        scaled = {
            name: np.array(self.parameters[name] / scale)
            for name, scale in self.scales.items()
            if scale != 1
        }
        before = {name: array.copy() for name, array in scaled.items()}
        self.optimizer.update({**self.parameters, **scaled}, gradient.blocks, self.state, rate)
        for name, array in scaled.items():
            # What the optimizer leaves alone must not change by rounding.
            moved = array != before[name]
            np.copyto(self.parameters[name], array * self.scales[name], where=moved)
        if self.constraints is not None:
            self.constraints.apply()
        self.guard.passed(gradient.norms)
        return norm

    def learning_rate(self, epoch: float) -> float:
        """That of a time in epochs."""
        factor = 1.0 if self.schedule is None else float(self.schedule(epoch))
        if not 0 <= factor < np.inf:
            raise ValueError(
                message(
                    f"the schedule gave {factor} for epoch {epoch:g}.",
                    self.where,
                    "The learning rate is multiplied by it.",
                    "Return a number from 0.",
                )
            )
        return self.optimizer.learning_rate * factor

    def overwrite(
        self, weights: Mapping[str, np.ndarray], state: Mapping[str, np.ndarray], path: Any
    ) -> None:
        """Take over ``weights`` and the optimizer's ``state``; nothing changes if they do not fit."""
        kept = {name: array.copy() for name, array in self.state.items()}
        overwrite(kept, state, path, "the optimizer's state")
        overwrite(self.parameters, weights, path, "the parameter")
        self.state = kept


def as_optimizer(optimizer: Any, *, where: str) -> Optimizer:
    """The optimizer, ``Adam(1e-3)`` for None, or an error."""
    if optimizer is None:
        return Adam(1e-3)
    if isinstance(optimizer, type) or not isinstance(optimizer, Optimizer):
        fix = "Write for example optimizer=Adam(1e-3)."
        if isinstance(optimizer, str) and optimizer.lower() == "sgd":
            fix = "Write optimizer=SGD(1e-2)."
        elif isinstance(optimizer, type) and hasattr(optimizer, "update"):
            fix = f"Write optimizer={optimizer.__name__}(1e-3)."
        raise TypeError(
            message(
                f"optimizer must be an optimizer, got {described(optimizer)}.",
                where,
                "It needs learning_rate, start and update.",
                fix,
            )
        )
    return optimizer
