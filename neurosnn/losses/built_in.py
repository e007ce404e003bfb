"""The losses of the package by their names."""

from __future__ import annotations

import re

from neurosnn.core.messages import did_you_mean, message
from neurosnn.losses.base import Loss
from neurosnn.losses.cross_entropy import CrossEntropy
from neurosnn.losses.cross_entropy_per_step import CrossEntropyPerStep
from neurosnn.losses.first_spike import FirstSpike
from neurosnn.losses.max_cross_entropy import MaxCrossEntropy
from neurosnn.losses.mean_square import MeanSquareError

__all__ = ["BUILT_IN", "as_loss"]

#: Every program of the engine holds all of them, so that another loss needs no other program.
BUILT_IN: tuple[type[Loss], ...] = (
    CrossEntropy,
    CrossEntropyPerStep,
    MeanSquareError,
    MaxCrossEntropy,
    FirstSpike,
)

#: Other names that people use, as they are compared: small letters and underscores.
SYNONYMS = {
    "mse": "mean_square",
    "mean_square_error": "mean_square",
    "mean_squared_error": "mean_square",
    "meansquareerror": "mean_square",
    "ce": "cross_entropy",
    "crossentropy": "cross_entropy",
    "crossentropyperstep": "cross_entropy_per_step",
    "maxcrossentropy": "max_cross_entropy",
    "firstspike": "first_spike",
    "ttfs": "first_spike",
}


def as_loss(loss: Loss | str) -> Loss:
    """The loss of a short name, or the loss itself.

    Parameters
    ----------
    loss : Loss or {"cross_entropy", "cross_entropy_per_step", "mean_square", "max_cross_entropy", \
"first_spike"}
        A name stands for the loss with its defaults; so do "mse", "ce" and the names of the classes.

    Returns
    -------
    Loss

    Raises
    ------
    ValueError
        An unknown name.
    TypeError
        Neither a name nor a loss.

    Examples
    --------
    >>> from neurosnn.losses import as_loss
    >>> as_loss("mean_square")
    MeanSquareError(reduction='mean')
    """
    known = {loss.name: loss for loss in BUILT_IN}
    if isinstance(loss, str):
        plain = re.sub(r"[\s-]+", "_", loss.strip().lower())
        name = SYNONYMS.get(plain, plain)
        if name not in known:
            raise ValueError(
                message(
                    f"loss={loss[:60]!r} is not known.",
                    "Trainer",
                    "A name stands for a loss with its defaults.",
                    did_you_mean(plain, known),
                )
            )
        return known[name]()
    if not isinstance(loss, Loss):
        fix = "Write for example loss='cross_entropy' or loss=CrossEntropy(readout='last')."
        if isinstance(loss, type) and issubclass(loss, Loss):
            fix = f"Write {loss.__name__}()."
        loss_text = (
            loss.__name__ if isinstance(loss, type) else f"an object of type {type(loss).__name__}"
        )
        raise TypeError(
            message(
                f"loss must be a loss or its name, got {loss_text}.",
                "Trainer",
                "Backends know those of neurosnn.losses.",
                fix,
            )
        )
    return loss
