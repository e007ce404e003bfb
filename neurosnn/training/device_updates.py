"""Updates where the gradient is: in the memory of a graphics processor, with the bits of those in numpy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from neurosnn.cuda import CudaEngine, KeptGradient
from neurosnn.training.constraints import Constraints
from neurosnn.training.optimizers import SGD, Adam
from neurosnn.training.updates import Gradient, Updates

__all__ = ["DeviceUpdates", "updates_for"]


class DeviceUpdates(Updates):
    """As :class:`Updates`, for a gradient that has stayed in the machine's memory.

    The arrays of the network are changed in place at every update, as ever; what the optimizer remembers is
    copied when someone reads :attr:`state`. A gradient in numpy's memory is treated as ever, too.
    """

    _engine: CudaEngine
    _state: dict[str, np.ndarray]
    #: Averages in the machine's memory, by parameter; what ``_state`` has of them is old.
    _there: dict[str, tuple[Any, ...]]
    _masks: dict[str, Any]

    def start(self, engine: CudaEngine) -> None:
        """Let the engine keep its gradients."""
        self._engine = engine
        engine.keep_gradient()
        self._masks = {
            f"{name}.w": None if connection.mask is None else engine.machine.put(connection.mask)
            for name, connection in engine.net.connections.items()
        }

    @property
    def state(self) -> dict[str, np.ndarray]:
        """What the optimizer remembers."""
        if self._there:
            self._engine.machine.fetch(
                [
                    (memory, self._state[key])
                    for name, averages in self._there.items()
                    for key, memory in zip(self._keys(name), averages, strict=True)
                ]
            )
            self._there = {}
        return self._state

    @state.setter
    def state(self, state: dict[str, np.ndarray]) -> None:
        self._state, self._there = state, {}

    def check(self, blocks: Mapping[str, np.ndarray], loss: float, place: str) -> Gradient:
        """The gradient of a batch, or an error that names the block and the ``place``."""
        if not isinstance(blocks, KeptGradient):
            return super().check(blocks, loss, place)
        program, machine = self._engine._program, self._engine.machine
        sums = {
            name: program.squares(
                blocks.of(name), array.size, blocks.n_trials, self._masks.get(name)
            )
            for name, array in self.parameters.items()
        }
        parts = {name: np.zeros(memory.shape) for name, memory in sums.items()}
        machine.fetch([(sums[name], part) for name, part in parts.items()])
        norms = {name: float(np.sqrt(part.sum())) for name, part in parts.items()}
        return Gradient(blocks, self.guard.check(blocks, loss, place, norms))

    def apply(self, gradient: Gradient, epoch: float) -> float:
        """Update everything with a ``gradient`` at a time in epochs; its norm before clipping."""
        blocks = gradient.blocks
        if not isinstance(blocks, KeptGradient):
            return super().apply(gradient, epoch)
        machine, optimizer = self._engine.machine, self.optimizer
        assert isinstance(optimizer, Adam | SGD)
        rate = self.learning_rate(epoch)
        norm = float(np.sqrt(sum(value**2 for value in gradient.norms.values())))
        clip = 1.0 if self.clip is None or norm <= self.clip else self.clip / norm
        there = self._averages()
        if "steps" in self._state:
            self._state["steps"] += 1
        changed = {name: machine.put(array) for name, array in self.parameters.items()}
        for name, memory in changed.items():
            numbers = optimizer.numbers(name, rate, self._state)
            self._engine._program.descend(
                memory,
                blocks.of(name),
                self.parameters[name].size,
                blocks.n_trials,
                self._masks.get(name),
                there[name],
                {**numbers, "clip": clip},
            )
        machine.fetch([(memory, self.parameters[name]) for name, memory in changed.items()])
        self.guard.passed(gradient.norms)
        return norm

    def _averages(self) -> dict[str, tuple[Any, ...]]:
        if not self._there:
            put = self._engine.machine.put
            self._there = {
                name: tuple(put(self._state[key]) for key in self._keys(name))
                for name in self.parameters
            }
        return self._there

    def _keys(self, name: str) -> list[str]:
        moments = ("velocity", "mean", "square")
        return [f"{name}/{moment}" for moment in moments if f"{name}/{moment}" in self._state]


def updates_for(backend: Any, optimizer: Any, constraints: Constraints) -> type[Updates]:
    """Updates are made where the gradient is, if the optimizer is known there and weights are free."""
    free = all(
        constraints.bounds.get(name) in (None, (None, None)) and connection.sign is None
        for name, connection in constraints.weights.items()
    )
    plain = all(constraints.scale_of(name) == 1 for name in constraints.weights)
    known = optimizer is None or type(optimizer) in (Adam, SGD)
    there = isinstance(backend, CudaEngine) and backend.can_keep_gradient
    return DeviceUpdates if there and known and free and plain else Updates
