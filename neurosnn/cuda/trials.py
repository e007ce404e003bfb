"""Trials whose input stays in the machine's memory; a batch is a list of their numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from neurosnn.engine.batches import BatchInput, read_batch, read_targets

if TYPE_CHECKING:
    from neurosnn.cuda.program import CudaProgram
    from neurosnn.network import SpikingNetwork

__all__ = ["ResidentTrials"]


class ResidentTrials:
    """Spike trials in the machine's memory, sorted by step and by channel.

    Parameters
    ----------
    net : SpikingNetwork
        The network that receives them.
    loss : Loss or None
        Its weights of the steps stay there, too, if they are the same whatever is taught.
    trials : SpikeTrials
        All trials, on the grid of the network.
    program : CudaProgram
        Sorts them.
    """

    def __init__(self, net: SpikingNetwork, loss: Any, trials: Any, program: CudaProgram):
        batch = read_batch(net, trials, None, None)
        put = program.machine.put
        events = {name: put(batch.arrays[name]) for name in ("event_step", "event_channel")}
        steps = int(batch.n_steps.max())
        self.table = program.table(batch.arrays["event_offset"], events, steps)
        self.weights = None
        if loss is not None and loss.decides_trials:
            weights = np.asarray(loss.step_weights(batch.n_steps, net.dt), float)
            self.weights = put(weights)
        self.n_channels = trials.n_channels
        self._net, self._index = net, np.arange(len(trials))
        self._steps, self._starts = batch.n_steps, batch.arrays["frame_offset"]
        self._labels = None if trials.labels is None else np.asarray(trials.labels)

    def __len__(self) -> int:
        return len(self._index)

    def __getitem__(self, index: Any) -> ResidentTrials:
        part = object.__new__(ResidentTrials)
        part.__dict__ |= self.__dict__
        part._index = np.atleast_1d(self._index[index])
        return part

    @property
    def labels(self) -> np.ndarray | None:
        """Class of each trial, if there is one."""
        return None if self._labels is None else self._labels[self._index]

    def n_steps(self, dt: Any) -> np.ndarray:
        """Number of steps of each trial, on the network's grid."""
        steps: np.ndarray = self._steps[self._index]
        return steps

    def read(self, loss: Any, targets: Any) -> BatchInput:
        """What the engine needs of them."""
        n_steps = self._steps[self._index]
        arrays: dict[str, Any] = {"table": self.table, "chosen": self._index, "n_steps": n_steps}
        if loss is None:
            arrays["frame_offset"] = np.concatenate([[0], np.cumsum(n_steps)])
        elif self.weights is not None and targets is None:
            arrays["frame_offset"] = self._starts[self._index]
            arrays["step_weight"] = self.weights
            arrays["labels"] = np.ascontiguousarray(self.labels, np.int64)
        else:
            arrays["frame_offset"] = np.concatenate([[0], np.cumsum(n_steps)])
            arrays |= read_targets(self._net, self, loss, targets, n_steps)
        return BatchInput(len(self), n_steps, arrays)
