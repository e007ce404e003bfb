"""Trials, labels and targets as the flat arrays that the engine reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from neurosnn.core.messages import message

if TYPE_CHECKING:
    from neurosnn.network import SpikingNetwork

__all__ = ["BatchInput", "read_batch", "read_targets"]


class BatchInput(NamedTuple):
    """A batch of trials as arrays."""

    n_trials: int
    n_steps: np.ndarray
    arrays: dict[str, np.ndarray]


def read_batch(net: SpikingNetwork, trials: Any, loss: Any, targets: Any) -> BatchInput:
    """Flatten a batch.

    Parameters
    ----------
    net : SpikingNetwork
        The network that receives it.
    trials : SpikeTrials or FrameTrials
        The trials.
    loss : Loss or None
        Its weights of the steps are part of the batch.
    targets : ndarray or None
        Target output for a mean square error.

    Returns
    -------
    BatchInput
        Arrays by the names of the engine's fields.

    Raises
    ------
    ValueError
        If the number of channels or outputs, or the kind of input, does not fit.
    """
    where = "Engine"
    if len(trials) == 0:
        raise ValueError(message("there are no trials.", where, "", "Pass at least one trial."))
    if trials.n_channels != net.input.n:
        raise ValueError(
            message(
                f"the trials have {trials.n_channels} channels, the network {net.input.n}.",
                where,
                "Every input channel needs its weights.",
                f"Build the network with Input({trials.n_channels}).",
            )
        )
    real_valued = hasattr(trials, "features")
    if real_valued != net.input.real_valued:
        kind = "real-valued frames" if real_valued else "spikes"
        raise ValueError(
            message(
                f"the trials are {kind}, the network's input is not.",
                where,
                "",
                f"Build the network with Input({net.input.n}, real_valued={real_valued}).",
            )
        )
    arrays = {}
    if real_valued:
        n_steps = np.asarray(trials.lengths, np.int64)
        arrays["frames"] = np.ascontiguousarray(trials.features, dtype=np.float32)
    else:
        offsets, step, channel = trials.steps(net.dt)
        n_steps = np.broadcast_to(np.asarray(trials.n_steps(net.dt), np.int64), (len(trials),))
        n_steps = np.ascontiguousarray(n_steps)
        arrays |= {
            "event_offset": np.ascontiguousarray(offsets, np.int64),
            "event_step": np.ascontiguousarray(step, np.int32),
            "event_channel": np.ascontiguousarray(channel, np.int32),
        }
    arrays["n_steps"] = n_steps
    arrays["frame_offset"] = np.concatenate([[0], np.cumsum(n_steps)]).astype(np.int64)
    if loss is not None:
        arrays |= read_targets(net, trials, loss, targets, n_steps)
    return BatchInput(len(trials), n_steps, arrays)


def read_targets(net, trials, loss, targets, n_steps) -> dict[str, np.ndarray]:
    """Labels or a signal, and the weights of the steps, as the engine reads them."""
    outputs, total = net.readout.n, int(n_steps.sum())
    if loss.follows_signal:
        if targets is None:
            raise ValueError(
                message(
                    "no targets were given.",
                    "Engine",
                    "A mean square error compares the output with a target.",
                    "Pass targets=array of shape (n_steps, n_outputs) or (n_trials, n_steps, n_outputs).",
                )
            )
        target = np.asarray(targets, float)
        if target.ndim == 2:
            target = np.broadcast_to(target, (len(trials), *target.shape))
        if (
            target.shape[0] != len(trials)
            or target.shape[2] != outputs
            or target.shape[1] < n_steps.max()
        ):
            raise ValueError(
                message(
                    f"targets have shape {np.shape(targets)}.",
                    "Engine",
                    f"There are {len(trials)} trials of up to {n_steps.max()} steps and {outputs} outputs.",
                    "Give one value for each trial, step and output.",
                )
            )
        flat = np.concatenate([part[:steps] for part, steps in zip(target, n_steps, strict=True)])
        return {
            "targets": np.ascontiguousarray(flat),
            "step_weight": np.asarray(loss.step_weights(n_steps, net.dt), float),
        }
    labels = np.ascontiguousarray(trials.labels, np.int64)
    if loss.decides_steps and targets is not None:
        rows = np.broadcast_to(targets, (len(trials), np.shape(targets)[-1]))
        parts = [row[:steps] for row, steps in zip(rows, n_steps, strict=True)]
        labels = np.concatenate(parts).astype(np.int64)
    n_decisions = total if loss.decides_steps else len(trials)
    if loss.decides_steps and len(labels) == len(trials) != total:
        labels = np.repeat(labels, n_steps)
    if len(labels) != n_decisions:
        raise ValueError(
            message(
                f"there are {len(labels)} labels for {n_decisions} decisions.",
                "Engine",
                f"The loss {loss.name} decides {'every step' if n_decisions == total else 'every trial'}.",
                "Choose the loss that fits the labels.",
            )
        )
    if labels.max(initial=0) >= outputs or (labels.min(initial=0) < 0 and n_decisions != total):
        raise ValueError(
            message(
                f"labels reach from {labels.min()} to {labels.max()}, the readout has {outputs} neurons.",
                "Engine",
                "Every class needs a readout neuron.",
                f"Build the network with Readout({labels.max() + 1}).",
            )
        )
    weights = (
        loss.step_weights(n_steps, net.dt, labels)
        if n_decisions == total and not loss.decides_trials
        else loss.step_weights(n_steps, net.dt)
    )
    return {"labels": labels, "step_weight": np.asarray(weights, float)}
