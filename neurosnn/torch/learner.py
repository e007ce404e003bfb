"""A torch module and its optimizer, as the loop of `neurosnn.training` sees them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch

from neurosnn.core.messages import message
from neurosnn.core.values import Range, check_value, check_whole
from neurosnn.training.checkpoint import (
    TrainingState,
    check_random_state,
    fingerprint,
    overwrite,
    package_versions,
    refuse_damaged,
    setting_text,
)
from neurosnn.training.history import History
from neurosnn.training.learner import Batch, Learner

__all__ = ["Judged", "TorchLearner", "as_array", "checked_norm"]


class Judged(NamedTuple):
    """What a module did with a batch.

    Attributes
    ----------
    loss : Tensor
        One number, the mean over all that counts.
    counted : int
        How many trials or frames count.
    right : int or None
        How many of them are classified correctly, if anything is to be classified.
    """

    loss: torch.Tensor
    counted: int
    right: int | None


class TorchLearner(Learner):
    """A module that learns with Adam; callbacks are called with it.

    Parameters
    ----------
    net : Module
        Its parameters and buffers are changed in place.
    where : str
        Who trains, for messages.
    batch_size : int
        Trials of an update.
    learning_rate : float
        At the start.
    seed : int
        Of torch's generator, from which dropout is drawn, and of a numpy one.
    clip : float or None
        Largest norm of the gradient.

    Attributes
    ----------
    net : Module
        What learns.
    epoch : int
        Epochs done.
    history : History
        One row an epoch.
    optimizer : torch.optim.Adam
        What changes the parameters.
    random : numpy.random.Generator
        For callbacks, and for what is not drawn from torch's generator.
    """

    def __init__(
        self,
        net: torch.nn.Module,
        *,
        where: str,
        batch_size: int,
        learning_rate: float,
        seed: int,
        clip: float | None = None,
    ):
        check_whole("batch_size", batch_size, 1, where=where)
        check_whole("seed", seed, 0, where=where)
        check_value("learning_rate", learning_rate, Range(0.0), where=where)
        if clip is not None:
            check_value("clip", clip, Range(0.0), where=where)
        self.trainer, self.net, self.where = self, net, where
        self.batch_size, self.seed, self.clip = int(batch_size), int(seed), clip
        self.start_rate = float(learning_rate)
        self.epoch, self.history, self.random = 0, History(), np.random.default_rng(self.seed)
        self.optimizer = torch.optim.Adam(net.parameters(), lr=self.start_rate)
        self._buffers: list[torch.Tensor] = []
        self._check_states()
        torch.manual_seed(self.seed)

    @abstractmethod
    def judge(self, index: np.ndarray) -> Judged:
        """Loss of the trials of that ``index``, with which the module has been called."""

    # -- an epoch ---------------------------------------------------------------------------

    def gradient(self, index: np.ndarray, place: str) -> tuple[Judged, torch.Tensor]:
        """That of :meth:`judge`; whatever happens meanwhile, the buffers stay as they were."""
        if not self.net.training:
            self.net.train()
        self._buffers = [buffer.clone() for buffer in self.net.buffers()]
        try:
            self.optimizer.zero_grad()
            judged = self.judge(index)
            return judged, checked_norm(self.optimizer, judged.loss, place, where=self.where)
        except BaseException:
            self._undo()
            raise

    def update(self, gradient: tuple[Judged, torch.Tensor], moment: float) -> Batch:
        """One step of the optimizer."""
        (loss, counted, right), norm = gradient
        if self.clip is not None:
            torch.nn.utils.clip_grads_with_norm_(_moved(self.optimizer), self.clip, norm)
        self.optimizer.step()
        self._buffers = []
        value = loss.item()
        values = {"loss": value, "gradient_norm": norm.item()}
        totals = {"loss": value * counted, "counted": counted}
        if right is not None:
            values["accuracy"] = right / max(counted, 1)
            totals["right"] = right
        return Batch(values, totals)

    def _undo(self) -> None:
        """Take back what a batch without an update has done to the buffers."""
        with torch.no_grad():
            for buffer, before in zip(self.net.buffers(), self._buffers, strict=False):
                buffer.copy_(before)
        self._buffers = []

    def learning_rate(self, moment: float) -> float:
        """That of the epoch."""
        return float(self.optimizer.param_groups[0]["lr"])

    def row(self, totals: Mapping[str, Any]) -> dict[str, float]:
        """Mean loss and accuracy."""
        row = {"loss": totals["loss"] / totals["counted"]}
        if "right" in totals:
            row["accuracy"] = totals["right"] / totals["counted"]
        return row

    # -- what a checkpoint keeps ------------------------------------------------------------

    @property
    def weights(self) -> dict[str, np.ndarray]:
        """Copies of all parameters and buffers."""
        self._undo()
        return {name: as_array(tensor) for name, tensor in self._states()}

    def use(self, weights: Mapping[str, np.ndarray]) -> None:
        """Copy ``weights`` into parameters and buffers."""
        with torch.no_grad():
            for name, tensor in self._states():
                tensor.copy_(_as_tensor(weights[name], tensor))

    @property
    def random_state(self) -> Any:
        """State of torch's generators (that of the GPU only if the module is there) and of numpy's."""
        state = {"torch": _as_text(torch.get_rng_state()), "numpy": self.random.bit_generator.state}
        if self._device.type == "cuda":
            state["cuda"] = _as_text(torch.cuda.get_rng_state(self._device))
        return state

    @random_state.setter
    def random_state(self, state: Any) -> None:
        torch.set_rng_state(_from_text(state["torch"]))
        self.random.bit_generator.state = state["numpy"]
        if "cuda" in state and self._device.type == "cuda":
            torch.cuda.set_rng_state(_from_text(state["cuda"]), self._device)

    def state(self) -> TrainingState:
        """Copies of weights, buffers and Adam's averages."""
        averages = {
            f"{k}/{name}": as_array(value)
            for k, values in self.optimizer.state_dict()["state"].items()
            for name, value in values.items()
        }
        return TrainingState(
            weights=self.weights,
            optimizer=averages,
            best={},
            order=np.zeros(0, dtype=np.int64),
            progress={
                "epoch": self.epoch,
                "random": self.random_state,
                "history": [dict(row) for row in self.history.rows],
                "learning_rates": [group["lr"] for group in self.optimizer.param_groups],
            },
            settings=self.settings(),
            versions={**package_versions(), "torch": str(torch.__version__)},
        )

    def restore(self, state: TrainingState, path: Any) -> None:
        """Take over a ``state``; nothing changes if it does not fit."""
        progress, groups = state.progress, self.optimizer.state_dict()["param_groups"]
        with refuse_damaged(path):
            epoch, history = int(progress["epoch"]), History(progress["history"])
            for group, rate in zip(groups, progress["learning_rates"], strict=True):
                group["lr"] = float(rate)
            random = progress["random"]
            torch.Generator().set_state(_from_text(random["torch"]))
            check_random_state(self.random, random["numpy"])
            saved = self._read_averages(state, path)
        weights = self.weights
        overwrite(weights, state.weights, path, "the parameter")
        self.use(weights)
        self.optimizer.load_state_dict({"state": saved, "param_groups": groups})
        self.epoch, self.history = epoch, history
        self.random_state = random

    def _read_averages(self, state: TrainingState, path: Any) -> dict[int, dict[str, torch.Tensor]]:
        """Adam's averages by the number of their parameter, if their shapes are those of these."""
        saved: dict[int, dict[str, torch.Tensor]] = {}
        for key, array in state.optimizer.items():
            k, _, name = key.partition("/")
            shape = tuple(_moved(self.optimizer)[int(k)].shape)
            if array.shape != (() if name == "step" else shape) or not np.all(np.isfinite(array)):
                raise ValueError(
                    message(
                        f"the optimizer's state '{key}' has shape {array.shape} in the file and "
                        f"{shape} here, or is not finite.",
                        str(path),
                        "The file is damaged, or belongs to another network.",
                        "Build the same, name another file, or pass resume=False to start anew.",
                    )
                )
            saved.setdefault(int(k), {})[name] = torch.from_numpy(array)
        return saved

    def settings(self) -> dict[str, str]:
        """What must stay the same in a training that goes on; device and threads change rounding."""
        shapes = {name: [str(t.dtype), *t.shape] for name, t in self._states()}
        return {
            "network": fingerprint(setting_text(self.net), shapes),
            "batch_size": str(self.batch_size),
            "learning_rate": str(self.start_rate),
            "clip": str(self.clip),
            "seed": str(self.seed),
            "device": str(self._device),
            "threads": str(torch.get_num_threads()),
        }

    @property
    def _device(self) -> torch.device:
        return next((p.device for p in self.net.parameters()), torch.device("cpu"))

    def _states(self) -> Iterator[tuple[str, torch.Tensor]]:
        """Parameters and buffers by name, the ones in use."""
        return (
            (name, value)
            for name, value in self.net.state_dict().items()
            if isinstance(value, torch.Tensor)
        )

    def _check_states(self) -> None:
        for name, value in self.net.state_dict().items():
            if not isinstance(value, torch.Tensor | None):
                raise TypeError(
                    message(
                        f"the state {name!r} of the module is not a tensor.",
                        self.where,
                        "The best weights and checkpoints keep arrays only.",
                        "Keep it in a buffer, or outside of get_extra_state.",
                    )
                )


def checked_norm(
    optimizer: torch.optim.Optimizer, loss: torch.Tensor, place: str, *, where: str
) -> torch.Tensor:
    """Backpropagate a loss; the norm of the gradient, or an error if either is not finite."""
    if not torch.isfinite(loss):
        raise FloatingPointError(
            message(
                f"the loss is {loss.item()} in {place}.",
                where,
                "Weights would not recover; they are those before this batch.",
                "Use a smaller learning_rate=.",
            )
        )
    loss.backward()
    gradients = [p.grad for p in _moved(optimizer) if p.grad is not None]
    norm = torch.nn.utils.get_total_norm(gradients)
    if not torch.isfinite(norm):
        raise FloatingPointError(
            message(
                f"the gradient is not finite in {place}, though the loss is {loss.item():.4g}.",
                where,
                "Weights would not recover; they are those before this batch.",
                "Use a smaller learning_rate= or clip=, or shorter sequences.",
            )
        )
    return norm


def _moved(optimizer: torch.optim.Optimizer) -> list[torch.Tensor]:
    """The parameters that an optimizer changes."""
    return [p for group in optimizer.param_groups for p in group["params"]]


def as_array(value: Any) -> np.ndarray:
    """A copy for a file; numpy has no bfloat16, whose bits are kept."""
    tensor = torch.as_tensor(value).detach().cpu()
    return (tensor.view(torch.int16) if tensor.dtype == torch.bfloat16 else tensor).numpy().copy()


def _as_tensor(array: np.ndarray, like: torch.Tensor) -> torch.Tensor:
    """What :func:`as_array` was made of, if it was `like` this."""
    tensor = torch.from_numpy(array)
    return tensor.view(torch.bfloat16) if like.dtype == torch.bfloat16 else tensor


def _as_text(state: torch.Tensor) -> str:
    return state.cpu().numpy().tobytes().hex()


def _from_text(text: str) -> torch.Tensor:
    return torch.from_numpy(np.frombuffer(bytes.fromhex(text), dtype=np.uint8).copy())
