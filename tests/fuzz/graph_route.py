"""Graphs on the engine against stock Brian2 with the same draws, spike for spike."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from brian2 import Network, ms

from fuzz.cases import N
from fuzz.graphs import GraphCase, trials_of
from fuzz.ties import NUDGES
from fuzz.verdicts import Verdict, quick_compiler, refused
from neurosnn import BPTT, Draws, EProp, SpikingNetwork
from neurosnn.data import SpikeTrials
from neurosnn.engine import Engine
from neurosnn.losses import MeanSquareError

__all__ = ["graph"]

#: Of the largest value of a state. Where stock Brian2 itself moves by more, see `_moves_as_well`.
ROUNDING = 1e-12
DRAWS = Draws(3, 5)
#: A message of four parts: where, what, and sentences that say why and what to do.
FOUR_PARTS = re.compile(r"\A[^:\n]+: .+[.?] .+[.?]\Z", re.DOTALL)


class Run(NamedTuple):
    """(trial, step, neuron) of the spikes by population, and states (trial, step, neuron) by both."""

    spikes: dict[str, list[tuple[int, int, int]]]
    states: dict[tuple[str, str], np.ndarray]


def graph(cases: Sequence[GraphCase], expected: None = None) -> list[Verdict]:
    """Spikes and states, the file of the network, and gradients of BPTT or e-prop that are finite."""
    return [_verdict(case) for case in cases]


def _verdict(case: GraphCase) -> Verdict:
    try:
        net = case.net
    except Exception as error:
        return _invalid(case, error) or _refusal(error)
    try:
        with np.errstate(all="ignore"):
            expected = _brian2(net)
    except Exception as error:
        return _invalid(case, error) or Verdict(
            "different", f"in Brian2: {error!r}: {error.__cause__!r}"
        )
    if not all(np.isfinite(x).all() and np.abs(x).max() < 1e12 for x in expected.states.values()):
        return Verdict("not finite")
    steps = sum(trials_of(case.dt).n_steps(net.dt))
    silent = [
        name for name, spikes in expected.spikes.items() if not 3 <= len(spikes) < 0.9 * N * steps
    ]
    if silent:
        return Verdict("silent", f"{silent}")
    rule = EProp(feedback="random") if case.seed % 4 == 0 else BPTT()
    try:
        with quick_compiler():
            engine = Engine(net, rule, MeanSquareError(), dtype="float64", threads=1)
    except Exception as error:
        if (verdict := _refusal(error)).kind == "different":
            return verdict
        rule = None
        try:
            with quick_compiler():
                engine = Engine(net, dtype="float64", threads=1)
        except Exception as second:
            return _refusal(second)
    try:
        ours = _engine(engine, net)
        verdict = _compare(case, expected, ours)
        if verdict.kind != "same":
            return verdict
        if rule is not None and (wrong := _gradient(engine, net)):
            return Verdict("different", wrong)
        with tempfile.TemporaryDirectory() as folder:
            net.save(path := Path(folder) / "net.npz")
            again = SpikingNetwork.load(path)
        with quick_compiler():
            settings = () if rule is None else (rule, MeanSquareError())
            again_run = _engine(Engine(again, *settings, dtype="float64", threads=1), again)
    except Exception as error:
        return Verdict("different", f"crash: {error!r}: {error.__cause__!r}")
    if again_run.spikes != ours.spikes:
        return Verdict("different", "the network read from its file has other spikes")
    return Verdict("same")


def _refusal(error: Exception) -> Verdict:
    """A refusal is a ValueError or TypeError that says where, what, why and what to do."""
    if not isinstance(error, ValueError | TypeError) or not FOUR_PARTS.match(str(error)):
        return Verdict("different", f"no message of four parts: {refused(error).reason}")
    return refused(error)


def _invalid(case: GraphCase, ours: Exception) -> Verdict | None:
    """If stock Brian2 refuses one of the neurons, as a user writes it, as well."""
    for model in case.populations:
        try:
            with np.errstate(all="ignore"):
                Network(model.group()).run(2 * model.dt * ms, namespace={})
        except Exception as error:
            reason = f"stock Brian2: {error!r}: {error.__cause__!r}; here {ours!r}"
            return Verdict("invalid", reason)
    return None


def _names(net: SpikingNetwork) -> list[tuple[str, str]]:
    return [(str(layer.name), state) for layer in net.layers for state in layer.model.states]


def _brian2(net: SpikingNetwork) -> Run:
    trials = trials_of(float(net.dt) * 1e3)
    try:
        return _brian2_of(net, trials, DRAWS)
    except ValueError as error:
        if "Time does not start anew" not in str(error):
            raise
    first, second = (
        _brian2_of(net, trials[k : k + 1], Draws(DRAWS.presentation, DRAWS.first_trial + k))
        for k in range(2)
    )
    spikes = {
        name: first.spikes[name] + [(1, *event[1:]) for event in second.spikes[name]]
        for name in first.spikes
    }
    longest = max(x.shape[1] for run in (first, second) for x in run.states.values())
    states = {}
    for key in first.states:
        both = np.zeros((2, longest, N))
        for k, run in enumerate((first, second)):
            both[k, : run.states[key].shape[1]] = run.states[key][0]
        states[key] = both
    return Run(spikes, states)


def _brian2_of(net: SpikingNetwork, trials: SpikeTrials, draws: Draws) -> Run:
    """All trials in one simulation."""
    names = _names(net)
    simulation = net.brian2(
        trials, record=("spikes", *dict.fromkeys(state for _, state in names)), draws=draws
    )
    times = net.trial_times(trials)
    simulation.run(times.duration, namespace={})
    spikes = {}
    for layer in net.layers:
        monitor = simulation[f"{layer.name}_spikes"]
        place = times.locate(monitor.t[:])
        events = zip(place.trial.tolist(), place.step.tolist(), monitor.i[:].tolist(), strict=True)
        spikes[str(layer.name)] = sorted(event for event in events if event[0] >= 0)
    states = {}
    for name, state in names:
        values = simulation[f"{name}_states"].variables[state].get_value()
        states[name, state] = np.asarray(values, float).reshape(len(trials), times.period, N)
    return Run(spikes, states)


def _engine(engine: Engine, net: SpikingNetwork) -> Run:
    trials = trials_of(float(net.dt) * 1e3)
    result = engine.simulate(trials, record=tuple(_names(net)), draws=DRAWS)
    spikes = {
        name: sorted(
            (k, int(step), int(neuron))
            for k, (steps, neurons) in enumerate(events)
            for step, neuron in zip(steps, neurons, strict=True)
        )
        for name, events in result.spikes.items()
    }
    return Run(spikes, {key: np.asarray(x, float) for key, x in result.states.items()})


def _compare(case: GraphCase, expected: Run, ours: Run) -> Verdict:
    first = _first_difference(case, expected, _shifted(ours))
    if not first:
        return Verdict("same")
    if _moves_as_well(case, expected, first):
        return Verdict("degenerate", "stock Brian2 leaves its path there as well")
    trial, (step, difference) = next(iter(first.items()))
    return Verdict("different", f"trial {trial}, step {step}: {difference}")


def _shifted(ours: Run) -> Run:
    """The engine records states at the beginning of a step, Brian2 at its end."""
    return Run(ours.spikes, {key: x[:, 1:] for key, x in ours.states.items()})


def _first_difference(case: GraphCase, expected: Run, ours: Run) -> dict[int, tuple[int, str]]:
    """Step and what of the first difference in each trial that has one."""
    first: dict[int, tuple[int, str]] = {}
    lengths = trials_of(case.dt).n_steps(case.dt * ms)
    for k, n_steps in enumerate(np.broadcast_to(lengths, 2)):
        places: list[tuple[int, str]] = []
        for name, spikes in expected.spikes.items():
            of = {event for event in spikes if event[0] == k}
            other = {event for event in ours.spikes[name] if event[0] == k}
            if of != other:
                event = min(of ^ other, key=lambda event: event[1:])
                whose = "missing" if event in of else "surplus"
                places.append((event[1], f"a spike of neuron {event[2]} of {name} is {whose}"))
        for key, values in expected.states.items():
            theirs, mine = values[k, : n_steps - 1], ours.states[key][k, : n_steps - 1]
            scale = np.abs(theirs).max() + 1e-300
            wrong = (np.abs(mine - theirs) > ROUNDING * scale) | ~np.isfinite(mine)
            if wrong.any():
                step, neuron = (int(x[0]) for x in np.nonzero(wrong))
                values_ = f"{mine[step, neuron]:.15g}, not {theirs[step, neuron]:.15g}"
                places.append((step, f"{'.'.join(key)} of neuron {neuron} is {values_}"))
        if places:
            first[k] = min(places)
    return first


def _moves_as_well(case: GraphCase, expected: Run, first: dict[int, tuple[int, str]]) -> bool:
    """Whether numbers changed in their last digits move stock Brian2 there, or before."""
    unexplained = dict(first)
    for factor in NUDGES:
        nudged = case.nudged(factor)
        net = nudged.net
        net.set_parameters(
            {key: x * factor for key, x in net.parameters.items() if key.endswith(".w")}
        )
        with np.errstate(all="ignore"):
            moved = _first_difference(case, expected, _brian2(net))
        unexplained = {
            k: at for k, at in unexplained.items() if k not in moved or moved[k][0] > at[0]
        }
        if not unexplained:
            return True
    return False


def _gradient(engine: Engine, net: SpikingNetwork) -> str:
    """What is wrong with the gradient: a number that is not finite."""
    trials = trials_of(float(net.dt) * 1e3)
    n_steps = int(np.max(trials.n_steps(net.dt)))
    targets = np.sin(np.arange(n_steps)[:, None] * [0.1, 0.17, 0.24]) * np.ones((len(trials), 1, 1))
    result = engine.run(trials, targets, gradient=True, draws=DRAWS)
    for key, x in result.gradient.items():
        if not np.isfinite(x).all():
            return f"gradient of {key} is not finite"
    return ""
