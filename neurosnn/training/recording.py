"""What a network did in each step of some trials: outputs, spikes, states."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from brian2.units.allunits import second
from brian2.units.fundamentalunits import Quantity

from neurosnn.core.messages import did_you_mean, message
from neurosnn.data.spike_trials import SpikeTrials
from neurosnn.training.backends import in_batches

__all__ = ["Recording", "record_trials", "simulate_outputs"]

_WHERE = "Trainer.record"


class Recording(NamedTuple):
    """Result of :meth:`Trainer.record`; what was not asked for is None or empty.

    Attributes
    ----------
    t : Quantity (longest,)
        Start of each step [s].
    n_steps : ndarray of int (n_trials,)
        Length of each trial.
    output : ndarray (n_trials, longest, n_out) or None
        Readout y at the end of each step; nan after the end of a shorter trial.
    spikes : dict of str to SpikeTrials
        By layer, with the labels of the trials; a spike of step k is at k dt.
    states : dict of str to Quantity (n_trials, longest, n)
        By "layer.variable", at the start of each step as in a StateMonitor; nan after the end.
    """

    t: Quantity
    n_steps: np.ndarray
    output: np.ndarray | None
    spikes: dict[str, SpikeTrials]
    states: dict[str, Quantity]

    def __repr__(self) -> str:
        parts = [f"{len(self.n_steps)} trials of up to {len(self.t)} steps"]
        parts += ["output"] if self.output is not None else []
        parts += [f"spikes of {name}" for name in self.spikes]
        return f"Recording: {', '.join([*parts, *self.states])}"


def simulate_outputs(
    engine: Any, net: Any, source: Any, batch_size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Readout (n_trials, longest, n_out) of the trials of a ``source``, and the length of each."""
    results = [
        engine.simulate(part.trials, **draws) for part, draws in in_batches(net, source, batch_size)
    ]
    n_steps = np.concatenate([result.n_steps for result in results])
    return _joined([result.output for result in results], n_steps), n_steps


def record_trials(engine: Any, net: Any, source: Any, what: Any, batch_size: int) -> Recording:
    """See :meth:`Trainer.record`."""
    spikes, output, states = _read_names(net, what)
    results = [
        engine.simulate(part.trials, record=states, **draws)
        for part, draws in in_batches(net, source, batch_size)
    ]
    n_steps = np.concatenate([result.n_steps for result in results])
    models = {layer.name: layer.model for layer in net.layers} | {"readout": net.readout.model}
    dt = float(net.dt)
    return Recording(
        t=np.arange(int(n_steps.max())) * dt * second,
        n_steps=n_steps,
        output=_joined([result.output for result in results], n_steps) if output else None,
        spikes={
            name: _as_trials(
                [pair for result in results for pair in result.spikes[name]],
                net,
                name,
                n_steps,
                source,
            )
            for name in spikes
        },
        states={
            f"{layer}.{variable}": Quantity(
                _joined([result.states[layer, variable] for result in results], n_steps),
                dim=models[layer].dimensions[variable],
            )
            for layer, variable in states
        },
    )


def _joined(parts: list[np.ndarray], n_steps: np.ndarray) -> np.ndarray:
    """Batches of different lengths as one array, nan where a trial has ended."""
    whole = np.full((len(n_steps), int(n_steps.max()), parts[0].shape[2]), np.nan)
    first = 0
    for part in parts:
        whole[first : first + len(part), : part.shape[1]] = part
        first += len(part)
    whole[np.arange(whole.shape[1]) >= n_steps[:, None]] = np.nan
    return whole


def _as_trials(pairs: Any, net: Any, name: str, n_steps: np.ndarray, source: Any) -> SpikeTrials:
    dt, trials = float(net.dt), source.trials
    labels: Any = getattr(trials, "labels", None)
    of_trials = labels is not None and len(labels) == len(trials) and hasattr(trials, "times")
    return SpikeTrials(
        times=np.concatenate([np.empty(0), *(steps * dt for steps, _ in pairs)]) * second,
        units=np.concatenate([np.empty(0, np.int32), *(neurons for _, neurons in pairs)]),
        offsets=np.cumsum([0, *(len(steps) for steps, _ in pairs)]),
        labels=labels if of_trials else np.zeros(len(trials), dtype=np.int64),
        n_channels=net.layer(name).n,
        duration=float(n_steps.max()) * dt * second,
        durations=n_steps * dt,
        class_names=trials.class_names if of_trials else (),
        name=name,
    )


def _read_names(net: Any, what: Any) -> tuple[list[str], bool, tuple[tuple[str, str], ...]]:
    """Layers whose spikes, whether the output, and which (layer, state) are asked for."""
    names = (what,) if isinstance(what, str) else tuple(what)
    models = {layer.name: layer.model for layer in net.layers} | {"readout": net.readout.model}
    layers = [name for name in models if name != "readout"]
    known = {f"{name}.{state}" for name, model in models.items() for state in model.states}
    known |= {"spikes", "output", *(f"{name}.spikes" for name in layers)}
    known |= {state for model in models.values() for state in model.states}
    spikes, output, states = [], False, []
    for name in names:
        if not isinstance(name, str) or name not in known:
            raise ValueError(
                message(
                    f"there is nothing called {str(name)[:60]!r} to record.",
                    _WHERE,
                    "Spikes, the output and the states of the layers can be recorded.",
                    did_you_mean(str(name)[:60], known),
                )
            )
        layer, _, variable = name.rpartition(".")
        chosen = [layer] if layer else list(models)
        if variable == "spikes":
            spikes += [layer for layer in chosen if layer in layers]
        elif name == "output":
            output = True
        else:
            states += [(layer, variable) for layer in chosen if variable in models[layer].states]
    return list(dict.fromkeys(spikes)), output, tuple(dict.fromkeys(states))
