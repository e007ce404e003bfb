"""Warnings of a training that goes wrong without an error: each once, with what to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from neurosnn.core.messages import message, warn

__all__ = ["Health"]

#: Mean share of the steps with a spike from which a layer is saturated.
_SATURATED = 0.5
#: A loss this many times that of the first batch, within this many updates, has exploded.
_EXPLODED, _EARLY = 10.0, 10


class Health:
    """Watches one ``fit`` and warns once of each sign.

    Parameters
    ----------
    where : str
        Who trains, for messages.
    """

    def __init__(self, where: str):
        self.where = where
        self._said: set[str] = set()
        self._first: float | None = None
        self._updates = 0

    def batch(self, loss: float, learning_rate: float) -> None:
        """The ``loss`` of a batch, before its update at a ``learning_rate``."""
        self._updates += 1
        if self._first is None:
            self._first = loss
        elif self._updates <= _EARLY and loss > _EXPLODED * max(self._first, 1e-12):
            self._warn(
                "loss",
                f"the loss rose from {self._first:.3g} to {loss:.3g} in {self._updates - 1} updates.",
                f"The learning rate {learning_rate:.3g} is probably too high.",
                "Lower it; neurosnn.training.find_learning_rate(trainer, trials) looks for a good one.",
            )

    def epoch(self, row: Mapping[str, float], net: Any) -> None:
        """Firing rates of an epoch's ``row``."""
        for layer in net.layers:
            rate = row.get(f"rate.{layer.name}")
            if rate is None:
                continue
            if rate == 0:
                self._warn(
                    layer.name,
                    f"no neuron of layer '{layer.name}' spiked in epoch {row['epoch']:.0f}.",
                    "A silent layer passes nothing on and hardly learns.",
                    "Raise weight_scale of the layer or the input rates, or lower its threshold.",
                )
            elif rate * float(net.dt) > _SATURATED:
                self._warn(
                    layer.name,
                    f"layer '{layer.name}' spikes in {rate * float(net.dt):.0%} of the steps "
                    f"({rate:.4g} Hz).",
                    "Neurons that always spike tell nothing about their input.",
                    "Lower weight_scale of the layer, raise its threshold, or add a refractory period or a "
                    "rate term.",
                )

    def _warn(self, sign: str, what: str, why: str, fix: str) -> None:
        if sign not in self._said:
            self._said.add(sign)
            warn(message(what, self.where, why, fix), RuntimeWarning)
