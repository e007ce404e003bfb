"""Trials for a training: checked once against network and loss, cut into batches, augmented."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from brian2.units.fundamentalunits import Quantity

from neurosnn.core.messages import message

__all__ = ["TrialSource", "steps_of"]


def steps_of(trials: Any, dt: Quantity) -> np.ndarray:
    """Number of steps of each trial; a frame of real-valued input is a step."""
    if hasattr(trials, "features"):
        return np.asarray(trials.lengths, dtype=np.int64)
    return np.broadcast_to(np.asarray(trials.n_steps(dt), dtype=np.int64), (len(trials),))


@dataclasses.dataclass(frozen=True)
class TrialSource:
    """Trials and their targets, known to fit a network and a loss.

    Parameters
    ----------
    trials : SpikeTrials or FrameTrials
        The trials.
    targets : array (trials, n_steps, ...) or None
        A signal or labels per step.
    """

    trials: Any
    targets: np.ndarray | None

    @classmethod
    def check(cls, trials: Any, targets: Any, *, net: Any, loss: Any, where: str) -> TrialSource:
        """Refuse ``trials`` or ``targets`` that do not fit ``net`` and ``loss``; ``where`` says who asks."""
        if not hasattr(trials, "n_channels") or not hasattr(trials, "__len__"):
            raise TypeError(
                message(
                    f"{trials!r} are no trials.",
                    where,
                    "A network is trained on spike trials or on trials of frames.",
                    "Pass a SpikeTrials or FrameTrials of neurosnn.data; one trial is trials[k:k+1].",
                )
            )
        if len(trials) == 0:
            raise ValueError(
                message(
                    "there are no trials.",
                    where,
                    "Nothing can be learned or measured.",
                    "Check how they were selected.",
                )
            )
        if trials.n_channels != net.input.n:
            raise ValueError(
                message(
                    f"the trials have {trials.n_channels} channels, the network has {net.input.n}.",
                    where,
                    "Every channel has its own input.",
                    f"Build the network with Input({trials.n_channels}).",
                )
            )
        real_valued = bool(getattr(net.input, "real_valued", False))
        if hasattr(trials, "features") != real_valued:
            raise ValueError(
                message(
                    f"the trials hold {'spikes' if real_valued else 'real values'}, the network reads "
                    f"{'real values' if real_valued else 'spikes'}.",
                    where,
                    "An input is one or the other.",
                    f"Write Input({net.input.n}, real_valued={not real_valued}).",
                )
            )
        if targets is not None and loss.decides_trials:
            raise ValueError(
                message(
                    f"targets= with the loss {loss.name!r}.",
                    where,
                    "It takes the labels of the trials.",
                    "Leave targets out, or use MeanSquareError() or CrossEntropyPerStep().",
                )
            )
        if loss.follows_signal and targets is None:
            raise ValueError(
                message(
                    f"the loss {loss.name!r} has no targets.",
                    where,
                    "It compares the outputs with a signal.",
                    "Pass targets= an array (trials, n_steps, n_out) or (n_steps, n_out).",
                )
            )
        if targets is not None:
            targets = _check_targets(trials, targets, net, loss, where)
        labels = targets if targets is not None else getattr(trials, "labels", None)
        if loss.decides_trials or loss.decides_steps:
            _check_labels(labels, trials, net, loss, where)
        return cls(trials, targets)

    def __len__(self) -> int:
        return len(self.trials)

    def take(self, index: np.ndarray) -> TrialSource:
        """The trials of that ``index``, in its order."""
        return TrialSource(
            self.trials[index], None if self.targets is None else self.targets[index]
        )

    def batches(self, size: int) -> Iterator[TrialSource]:
        """All trials in their order, at most ``size`` at a time."""
        for start in range(0, len(self), size):
            yield self.take(np.arange(start, min(start + size, len(self))))

    def augmented(
        self,
        functions: Sequence[Callable[[Any, np.random.Generator], Any]],
        rng: np.random.Generator,
    ) -> TrialSource:
        """The trials as changed by each of the ``functions`` of trials and ``rng``."""
        trials = self.trials
        for function in functions:
            trials = function(trials, rng)
            same = hasattr(trials, "n_channels") and hasattr(trials, "__len__")
            if not same or (len(trials), trials.n_channels) != (len(self), self.trials.n_channels):
                raise ValueError(
                    message(
                        f"{function!r} returned {trials!r} for {self.trials!r}.",
                        "Trainer augment",
                        "An augmentation changes spikes, not the number of trials or channels.",
                        "Return changed trials from it.",
                    )
                )
        return TrialSource(trials, self.targets)


def _check_targets(trials: Any, targets: Any, net: Any, loss: Any, where: str) -> np.ndarray:
    """Targets of all trials as one array (trials, n_steps, n_out), or (trials, n_steps) of labels."""
    labels = loss.decides_steps
    array = np.asarray(targets)
    if array.dtype.kind not in ("iu" if labels else "fiu"):
        raise ValueError(
            message(
                f"targets are {array.dtype}, {'labels are whole numbers' if labels else 'not numbers'}.",
                where,
                "They say what the output should be in each step.",
                f"Convert them with np.asarray(targets, dtype={'int' if labels else 'float'}).",
            )
        )
    steps = steps_of(trials, net.dt)
    if np.any(steps != steps[0]):
        raise ValueError(
            message(
                f"targets for trials of {steps.min()} to {steps.max()} steps.",
                where,
                "One array of targets needs trials of one length.",
                "Cut the trials to one length, or train on them group by group.",
            )
        )
    shape = (int(steps[0]),) if labels else (int(steps[0]), net.readout.n)
    if array.shape == shape:
        array = np.broadcast_to(array, (len(trials), *shape))
    if array.shape != (len(trials), *shape):
        raise ValueError(
            message(
                f"targets have shape {array.shape}, it must be {(len(trials), *shape)} or {shape}.",
                where,
                f"There are {len(trials)} trials of {shape[0]} steps and {net.readout.n} outputs.",
                "Check the order of the axes and dt.",
            )
        )
    if not np.all(np.isfinite(array)):
        raise ValueError(
            message(
                "targets hold a value that is not finite.",
                where,
                "The error would not be finite either.",
                "Leave steps out with MeanSquareError(start=..., stop=...).",
            )
        )
    return array


def _check_labels(labels: Any, trials: Any, net: Any, loss: Any, where: str) -> None:
    per_step = loss.decides_steps
    frames = hasattr(trials, "features")
    if labels is None:
        raise ValueError(
            message(
                f"the loss {loss.name!r} needs labels.",
                where,
                "The trials have none.",
                "Give the trials labels, or use MeanSquareError() with targets=.",
            )
        )
    if frames and not per_step:
        raise ValueError(
            message(
                f"the loss {loss.name!r} with one label a frame.",
                where,
                "It takes one label a trial.",
                "Write loss='cross_entropy_per_step'.",
            )
        )
    labels = np.asarray(labels)
    smallest = -1 if per_step else 0
    if labels.size and (labels.max() >= net.readout.n or labels.min() < smallest):
        bad = int(labels.max() if labels.max() >= net.readout.n else labels.min())
        raise ValueError(
            message(
                f"there is a label {bad}, but the readout has {net.readout.n} outputs.",
                where,
                f"Labels number the outputs from 0 to {net.readout.n - 1}.",
                f"Build the network with Readout({bad + 1})."
                if bad > 0
                else "Renumber the labels.",
            )
        )
