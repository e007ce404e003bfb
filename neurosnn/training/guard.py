"""A guard against losses and gradients that are not finite, and gradients that explode."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from neurosnn.core.messages import message
from neurosnn.training.optimizers import clip_by_global_norm

__all__ = ["Guard", "exact_norm", "quick_norm"]

#: A block of the gradient that is longer by this factor than ever before has exploded.
_EXPLOSION = 1e6
#: Updates that show what is usual before anything counts as an explosion.
_USUAL_AFTER = 10


def exact_norm(block: np.ndarray) -> float:
    """The norm in float64, the same on every machine."""
    return clip_by_global_norm({"": block}, None)


def quick_norm(block: np.ndarray) -> float:
    """The norm in the precision of the block, by BLAS: not finite for squares that overflow."""
    flat = block.ravel()
    with np.errstate(over="ignore", invalid="ignore"):
        return float(np.sqrt(np.vdot(flat, flat)))


class Guard:
    """Refuses a loss or gradient that would destroy the weights.

    Parameters
    ----------
    where : str
        Who trains, for messages.
    places : mapping of str to str
        What to say of a block beside its name: "input to hidden".
    cure : str
        What to do about it.
    explosions : bool
        Whether a gradient can be too long, which it cannot if it is clipped.
    norm : callable
        How long a block is.

    Attributes
    ----------
    count : int
        Updates passed.
    largest : dict of str to float
        The largest norm of each block so far.
    """

    def __init__(
        self,
        where: str,
        places: Mapping[str, str],
        *,
        cure: str,
        explosions: bool = True,
        norm: Callable[[np.ndarray], float] = exact_norm,
    ):
        self.where, self.places, self.cure = where, places, cure
        self.explosions, self.norm = explosions, norm
        self.count = 0
        self.largest: dict[str, float] = {}

    def check(
        self,
        gradient: Mapping[str, np.ndarray],
        loss: float,
        place: str,
        norms: dict[str, float] | None = None,
    ) -> dict[str, float]:
        """The norm of each block of a ``gradient``, or an error that names the ``place``.

        ``norms`` that are known are not computed again.
        """
        if norms is None:
            norms = {name: self.norm(block) for name, block in gradient.items()}
        for name, norm in norms.items():
            if not self._usual(name, norm):
                self._refuse(name, norm, gradient[name], place)
        if not np.isfinite(loss):
            raise FloatingPointError(
                message(
                    f"the loss is {loss} in {place}, with a finite gradient.",
                    self.where,
                    "The outputs of the readout are too large for the loss; the weights are those "
                    "before this batch.",
                    "Lower the learning rate, or check the targets.",
                )
            )
        return norms

    def passed(self, norms: Mapping[str, float]) -> None:
        """An update with such ``norms`` was made."""
        self.count += 1
        self.largest = {name: max(n, self.largest.get(name, 0.0)) for name, n in norms.items()}

    def _usual(self, name: str, norm: float) -> bool:
        usual = self.largest.get(name, 0.0)
        watched = self.count >= _USUAL_AFTER and self.explosions
        return bool(np.isfinite(norm) and not (watched and 0 < usual * _EXPLOSION < norm))

    def _refuse(self, name: str, norm: float, block: np.ndarray, place: str) -> None:
        usual = self.largest.get(name, 0.0)
        beside = f" ({self.places[name]})" if name in self.places else ""
        if np.isfinite(norm):
            fault = f"has exploded in {place}: its norm is {norm:.3g}, it was {usual:.3g} at most"
        elif np.all(np.isfinite(block)):
            fault = f"has exploded in {place}: the square of its norm is not finite"
        else:
            wrong = int(np.count_nonzero(~np.isfinite(block)))
            fault = f"is not finite in {place} ({wrong} of {block.size} values)"
        raise FloatingPointError(
            message(
                f"the gradient of '{name}'{beside} {fault}.",
                self.where,
                "It would destroy the network; the weights are those before this batch.",
                self.cure,
            )
        )
