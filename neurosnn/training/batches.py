"""Trials for a training: checked once against network and loss, cut into batches, augmented."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from brian2.units.fundamentalunits import Quantity

from neurosnn.core.messages import described, message, shortened

__all__ = ["TrialSource", "check_classes", "numbered", "steps_of"]


def steps_of(trials: Any, dt: Quantity) -> np.ndarray:
    """Number of steps of each trial; a frame of real-valued input is a step."""
    if hasattr(trials, "features"):
        return np.asarray(trials.lengths, dtype=np.int64)
    return np.broadcast_to(np.asarray(trials.n_steps(dt), dtype=np.int64), (len(trials),))


def check_classes(trials: Any, learned: Sequence[str], *, where: str) -> None:
    """Refuse trials in which a label means another class than in the trials learned from."""
    names = tuple(getattr(trials, "class_names", ()))
    labels = getattr(trials, "labels", None)
    if labels is None or numbered(names) or numbered(learned):
        return
    for k in np.unique(labels):
        if k >= 0 and (k >= len(learned) or names[k] != learned[k]):
            was = repr(shortened(learned[k], 60)) if k < len(learned) else "no class"
            raise ValueError(
                message(
                    f"class {k} is {shortened(names[k], 60)!r}, and was {was} in the training.",
                    where,
                    "Each class has its own output.",
                    "Make the trials with class_names=train.class_names; if other classes are meant, set "
                    "net.class_names = ().",
                )
            )


def numbered(names: Sequence[str]) -> bool:
    """Whether classes have no other names than their numbers."""
    return tuple(names) == tuple(map(str, range(len(names))))


@dataclasses.dataclass(frozen=True)
class TrialSource:
    """Trials and their targets, known to fit a network and a loss.

    Parameters
    ----------
    trials : SpikeTrials or FrameTrials
        The trials.
    targets : array (trials, n_steps, ...) or None
        A signal or labels per step.
    values : array (trials, n_out) or None
        Targets that are one value a trial, which ``targets`` repeats in each step.
    """

    trials: Any
    targets: np.ndarray | None
    values: np.ndarray | None = None

    @classmethod
    def check(cls, trials: Any, targets: Any, *, net: Any, loss: Any, where: str) -> TrialSource:
        """Refuse ``trials`` or ``targets`` that do not fit ``net`` and ``loss``; ``where`` says who asks.

        Without a loss only the input matters.
        """
        if not hasattr(trials, "n_channels") or not hasattr(trials, "offsets"):
            raise TypeError(
                message(
                    f"{described(trials)} is no set of trials.",
                    where,
                    "A network is trained on spike trials or on trials of frames.",
                    _how_to_make(trials),
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
        if loss is None:  # only the input matters
            return cls(trials, None)
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
                    "Pass targets= an array (trials, n_steps, n_out), (n_steps, n_out), or values "
                    "(trials, n_out).",
                )
            )
        values = None
        if targets is not None:
            targets, values = _check_targets(trials, targets, net, loss, where)
        labels = targets if targets is not None else getattr(trials, "labels", None)
        if loss.decides_trials or loss.decides_steps:
            _check_labels(labels, trials, net, loss, where)
        return cls(trials, targets, values)

    def __len__(self) -> int:
        return len(self.trials)

    def take(self, index: np.ndarray) -> TrialSource:
        """The trials of that ``index``, in its order."""
        if self.values is not None and self.targets is not None:
            values = self.values[index]
            return TrialSource(self.trials[index], _repeated(values, self.targets.shape[1]), values)
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
                        f"{described(function)} returned {described(trials)} for {self.trials!r}.",
                        "Trainer augment",
                        "An augmentation changes spikes, not the number of trials or channels.",
                        "Return changed trials from it.",
                    )
                )
        return TrialSource(trials, self.targets, self.values)


def _how_to_make(thing: Any) -> str:
    if isinstance(thing, tuple) and hasattr(thing, "_fields"):
        return "One trial is trials[k:k+1]."
    if hasattr(thing, "images"):
        return "Encode the images: data.encode_poisson(images, seed=0)."
    return (
        "Make it of your arrays: data.SpikeTrials.from_dense(array, dt, labels), .from_lists(times, "
        "units, labels), .from_pairs(loader, dt), or FrameTrials.from_dense for real values. One trial "
        "is trials[k:k+1]."
    )


def _repeated(values: np.ndarray, n_steps: int) -> np.ndarray:
    """Values (trials, n_out) in each step, without a copy."""
    return np.broadcast_to(values[:, None, :], (len(values), n_steps, values.shape[1]))


def _check_targets(
    trials: Any, targets: Any, net: Any, loss: Any, where: str
) -> tuple[np.ndarray, np.ndarray | None]:
    """Targets of all trials as one array (trials, n_steps, n_out), or (trials, n_steps) of labels.

    The second array holds them as (trials, n_out) if there is one value a trial.
    """
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
    n, n_out = len(trials), net.readout.n
    steps = steps_of(trials, net.dt)
    longest, values = int(steps.max()), None
    if not labels:
        same = bool(np.all(steps == longest))
        if array.shape == (n, n_out) and same and longest == n:
            raise ValueError(
                message(
                    f"targets of shape {array.shape} can be read in two ways.",
                    where,
                    "There are as many trials as steps.",
                    "Write targets[:, None, :] for one value a trial, targets[None] for one signal for all.",
                )
            )
        if array.shape == (n,) and n_out == 1:
            values = array[:, None]
        elif array.shape == (n, n_out) and not (same and longest == n):
            values = array
        elif array.shape == (n, 1, n_out) and longest > 1:
            values = array[:, 0]
        elif array.shape == (1, longest, n_out):
            array = array[0]
    if values is not None:
        values = np.array(values, dtype=float)
        array = _repeated(values, longest)
    elif np.any(steps != steps[0]):
        raise ValueError(
            message(
                f"targets for trials of {steps.min()} to {longest} steps.",
                where,
                "One array of targets needs trials of one length.",
                "Cut the trials to one length, or train on them group by group; one value a trial "
                "(trials, n_out) fits trials of any length.",
            )
        )
    else:
        shape = (longest,) if labels else (longest, n_out)
        if array.shape == shape:
            array = np.broadcast_to(array, (n, *shape))
        if array.shape != (n, *shape):
            values_too = "" if labels else f", or {(n, n_out)} for one value a trial"
            raise ValueError(
                message(
                    f"targets have shape {array.shape}, it must be {(n, *shape)} or {shape}{values_too}.",
                    where,
                    f"There are {n} trials of {longest} steps and {n_out} outputs.",
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
    return array, values


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
