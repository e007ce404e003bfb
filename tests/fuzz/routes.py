"""Every way to run a batch of cases, and what differs from stock Brian2.

A batch is one network and one program: a layer for each case, none connected with another. What goes wrong
in it is looked for in its halves.
"""

from __future__ import annotations

import dataclasses
import re
import subprocess
import tempfile
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from brian2 import Network, SpikeGeneratorGroup, SpikeMonitor, StateMonitor, Synapses, ms
from brian2.equations.equations import Equations
from export_cases import quick

from fuzz.cases import DRIVE, N_IN, N_OUT, Case, N, input_trial, scale_of
from fuzz.flows import eventprop
from fuzz.graph_route import graph
from fuzz.ties import NUDGES, nudged
from fuzz.verdicts import Verdict, on_usable, quick_compiler, results_or_errors
from neurosnn import (
    BPTT,
    EProp,
    Input,
    Layer,
    Readout,
    SpikingNetwork,
    export,
    read_results,
)
from neurosnn.calculus.step import model_code
from neurosnn.core.units import si_unit
from neurosnn.data import SpikeTrials
from neurosnn.engine import Engine
from neurosnn.losses import CrossEntropy, MeanSquareError
from neurosnn.rules.eprop.backend import OnlineBackend

__all__ = ["ROUTES", "Stock", "engine", "factored", "stock"]


class Stock(NamedTuple):
    """A trial of a case in stock Brian2."""

    spikes: list[tuple[int, int]]
    states: dict[str, np.ndarray]


# -- stock Brian2 ---------------------------------------------------------------------------------


def stock(cases: Sequence[Case]) -> list[Stock | Exception]:
    """All cases in one simulation of Brian2's own objects."""
    return results_or_errors(cases, lambda case: case.group(), _stock)


def _stock(cases: list[Case]) -> list[Stock]:
    dt = cases[0].dt * ms
    _, step, channel = trial_of(cases).steps(dt)
    source = SpikeGeneratorGroup(N_IN, channel, step * dt, dt=dt, name="stock_input*")
    objects: list[Any] = [source]
    monitors = []
    for case in cases:
        group = case.group()
        objects.append(group)
        for connection in case.connections("here").values():
            if connection.target == "readout":
                continue
            sender = source if connection.source == "input" else group
            for channel_, i, j, where in connection.by_channel():
                synapses = Synapses(
                    sender,
                    group,
                    f"weight_of_it : {si_unit(connection.dimensions)}",
                    on_pre=f"{case.inputs[channel_]}_post += weight_of_it",
                    dt=dt,
                    namespace={},
                )
                synapses.connect(i=i, j=j)
                synapses.variables["weight_of_it"].set_value(connection.w[where])
                synapses.delay = connection.fixed_delay[i] * dt
                objects.append(synapses)
        equations = Equations(case.equations)
        names = [
            name
            for name in (*equations.diff_eq_names, *equations.parameter_names)
            if name not in case.parameters
        ]
        states = StateMonitor(group, names, record=True, when="start", order=-9, dt=dt)
        spikes = SpikeMonitor(group)
        objects += [states, spikes]
        monitors.append((names, states, spikes))
    with np.errstate(all="ignore"):
        Network(*objects).run(cases[0].n_steps * dt)
    stocks = []
    for names, states, spikes in monitors:
        when = np.rint(np.asarray(spikes.t) / float(dt)).astype(int)
        stocks.append(
            Stock(
                sorted(zip(when.tolist(), np.asarray(spikes.i).tolist(), strict=True)),
                {
                    name: np.asarray(states.variables[name].get_value(), float).reshape(-1, N)
                    for name in names
                },
            )
        )
    return stocks


def trial_of(cases: Sequence[Case]) -> SpikeTrials:
    """The trial that all cases of a batch get."""
    return input_trial(cases[0].dt * 1e-3, cases[0].n_steps)


def targets_of(cases: Sequence[Case]) -> np.ndarray:
    """Of the readout in each step."""
    return np.sin(np.outer(np.arange(cases[0].n_steps), 0.1 + 0.07 * np.arange(N_OUT)))


def usable(case: Case, expected: Stock | Exception) -> Verdict | None:
    """Why a case proves nothing, None if it does."""
    if isinstance(expected, Exception):
        return Verdict("invalid", f"stock Brian2: {expected!r}: {expected.__cause__!r}")
    if not all(
        np.isfinite(values).all() and np.abs(values).max() < 1e12
        for values in expected.states.values()
    ):
        return Verdict("not finite")
    if not 3 <= len(expected.spikes) < 0.9 * N * case.n_steps:
        return Verdict("silent", f"{len(expected.spikes)} spikes")
    return None


# -- networks -------------------------------------------------------------------------------------


def network(cases: Sequence[Case]) -> SpikingNetwork:
    """One layer for each case, all with the same input and readout."""
    layers, connections = [], {}
    for k, case in enumerate(cases):
        name = f"m{k}"
        layers.append(Layer(case.model, N, name=name))
        connections |= case.connections(name)
    readout = Readout(N_OUT, tau=15 * ms)
    net = SpikingNetwork(
        Input(N_IN), *layers, readout, dt=cases[0].dt * ms, connections=connections
    )
    net.parameters["readout.b"][:] = [0.3, -0.2, 0.1]
    return net


def compare(case: Case, expected: Stock, ours: Stock) -> Verdict:
    """Spikes must be equal, and states up to rounding; what never changes may have become a parameter."""
    missing = [name for name in expected.states if name not in ours.states]
    if any(np.ptp(expected.states[name], axis=0).any() for name in missing):
        return Verdict("different", f"states {sorted(ours.states)}, not {sorted(expected.states)}")
    wrong = {
        name: _differs(case, theirs, ours.states.get(name, theirs))
        for name, theirs in expected.states.items()
    }
    if ours.spikes == expected.spikes and not any(where.any() for where in wrong.values()):
        return Verdict("same")
    if _cancels(case):
        return Verdict("degenerate", "the exact solution is a difference of numbers beyond 1e15")
    if _hangs_on_the_last_digit(case, expected, wrong):
        return Verdict("degenerate", "a step function at its jump, on one side by rounding")
    first_spike = min(set(ours.spikes) ^ set(expected.spikes), default=None)
    reason = (
        f"{len(ours.spikes)} spikes, not {len(expected.spikes)}, first difference {first_spike}"
    )
    differences = [
        (*(int(k[0]) for k in np.nonzero(where)), name)
        for name, where in wrong.items()
        if where.any()
    ]
    if differences:
        step, neuron, name = min(differences)
        values = (run.states[name][step, neuron] for run in (ours, expected))
        reason += "; {} of neuron {} at step {} is {:.12g}, not {:.12g}".format(
            name, neuron, step, *values
        )
    return Verdict("different", reason)


def _differs(case: Case, theirs: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Where values are not those of stock Brian2, up to rounding."""
    scale = np.abs(theirs).max() + 1e-300
    return (np.abs(values - theirs) > case.rounding * scale) | ~np.isfinite(values)


def _hangs_on_the_last_digit(case: Case, expected: Stock, wrong: dict[str, np.ndarray]) -> bool:
    """Whether stock Brian2 leaves its own path where we do, if numbers change in their last digits.

    Every neuron that differs must do so, in the same step or before: a number that is changed moves all
    jumps at which it stands, also those at which we have been on stock Brian2's side. If neurons are wired
    to each other, those after the first follow it.
    """
    n_steps = case.n_steps
    ours = _first_steps(case, wrong)
    if ours.min(initial=n_steps) == n_steps:
        return False
    first = np.flatnonzero(ours == ours.min()) if case.recurrent else np.flatnonzero(ours < n_steps)
    explained = np.zeros(len(ours), bool)
    for result in stock([nudged(case, factor) for factor in NUDGES]):
        if isinstance(result, Exception):
            return False
        theirs = {
            name: _differs(case, expected.states[name], result.states[name]) for name in wrong
        }
        explained |= _first_steps(case, theirs) <= ours
    return bool(explained[first].all())


def _first_steps(case: Case, wrong: dict[str, np.ndarray]) -> np.ndarray:
    """The first step in which each neuron differs, the number of steps if none."""
    anywhere = np.any(list(wrong.values()), axis=0)
    return np.where(anywhere.any(axis=0), anywhere.argmax(axis=0), case.n_steps)


def _cancels(case: Case) -> bool:
    """Whether sympy's solution is beyond the digits of a number, in stock Brian2 as well."""
    numbers = re.findall(r"[\d.]+e\+(\d+)", model_code(case.model).update)
    return case.method == "exact" and max(map(int, numbers), default=0) > 15


def engine(cases: Sequence[Case], expected: Sequence[Stock] | None = None) -> list[Verdict]:
    """The forward pass of the engine in float64 against stock Brian2."""
    expected = stock(cases) if expected is None else expected
    theirs = {id(case): result for case, result in zip(cases, expected, strict=True)}

    def run(part: list[Case]) -> list[Verdict]:
        net = network(part)
        with quick_compiler():
            machine = Engine(net, dtype="float64", threads=1)
        return simulated(machine, part, theirs)

    return on_usable(cases, [usable(*pair) for pair in zip(cases, expected, strict=True)], run)


def simulated(machine: Engine, part: list[Case], theirs: dict[int, Stock]) -> list[Verdict]:
    """Spikes and states of an engine against those of stock Brian2."""
    layers = machine.net.layers
    record = tuple((layer.name, state) for layer in layers for state in layer.model.states)
    result = machine.simulate(trial_of(part), record=record)
    verdicts = []
    for case, layer in zip(part, layers, strict=True):
        events = zip(*result.spikes[layer.name][0], strict=True)
        states = {state: result.states[layer.name, state][0] for state in layer.model.states}
        ours = Stock(sorted((int(a), int(b)) for a, b in events), states)
        verdicts.append(compare(case, theirs[id(case)], ours))
    return verdicts


def factored(cases: Sequence[Case], expected: Sequence[Stock] | None = None) -> list[Verdict]:
    """The gradient of e-prop's factored form on the engine against its online form in Brian2.

    Before that, spikes and states of the engine are compared with those of stock Brian2; the online
    network must spike as that does, too. Every step has an error of its own.
    """
    expected = stock(cases) if expected is None else expected
    theirs = {id(case): result for case, result in zip(cases, expected, strict=True)}

    def run(part: list[Case]) -> list[Verdict]:
        net, loss, trial = network(part), MeanSquareError(), trial_of(part)
        targets = targets_of(part)
        with quick_compiler():
            machine = Engine(net, EProp(), loss, dtype="float64", threads=1)
        verdicts = simulated(machine, part, theirs)
        ours = machine.run(trial, targets, gradient=True)
        with np.errstate(all="ignore"):
            online = OnlineBackend(net, EProp(), loss).run(trial, targets, gradient=True)
        # what spikes otherwise changes the error of the readout, which is common to all
        agree = []
        for k, (case, layer) in enumerate(zip(part, net.layers, strict=True)):
            number = len(theirs[id(case)].spikes)
            if verdicts[k].kind == "same":
                verdicts[k] = same_gradient(net, layer.name, number, ours, online)
                if ours.spikes[layer.name] == online.spikes[layer.name] == number:
                    agree.append(k)
        if 0 < len(agree) < len(part):
            for k, verdict in zip(agree, run([part[k] for k in agree]), strict=True):
                verdicts[k] = verdict
        return verdicts

    return on_usable(cases, [usable(*pair) for pair in zip(cases, expected, strict=True)], run)


def torch(
    cases: Sequence[Case],
    expected: Sequence[Stock] | None = None,
    rules: Sequence[EProp | BPTT] = (EProp(), BPTT()),
) -> list[Verdict]:
    """Spikes of `to_torch`, and its gradients against those of e-prop and BPTT on the engine."""
    from torch_oracle import gradient

    expected = stock(cases) if expected is None else expected
    theirs = {id(case): result for case, result in zip(cases, expected, strict=True)}

    def run(part: list[Case]) -> list[Verdict]:
        net, loss = network(part), CrossEntropy(readout="exponential", tau=50 * ms)
        trial, dt = trial_of(part), part[0].dt * ms
        _, step, channel = trial.steps(dt)
        raster = np.zeros((part[0].n_steps, N_IN))
        np.add.at(raster, (step, channel), 1.0)
        weight = loss.step_weights(np.array([part[0].n_steps]), dt)
        verdicts = [Verdict("same")] * len(part)
        for rule in rules:
            with quick_compiler():
                machine = Engine(net, rule, loss, dtype="float64", threads=1)
            ours = machine.run(trial, gradient=True)
            cut = isinstance(rule, EProp)
            _, gradients, counts = gradient(net, (), raster, 1, step_weight=weight, cut=cut)
            spikes = {name: int(count.sum()) for name, count in counts.items()}
            theirs_of_case = Gradient(spikes, gradients)
            for k, (case, layer) in enumerate(zip(part, net.layers, strict=True)):
                if verdicts[k].kind == "same":
                    number = len(theirs[id(case)].spikes)
                    verdicts[k] = same_gradient(net, layer.name, number, ours, theirs_of_case)
        return [
            _written_either_way(case) if verdict.kind == "same" else verdict
            for case, verdict in zip(part, verdicts, strict=True)
        ]

    return on_usable(cases, [usable(*pair) for pair in zip(cases, expected, strict=True)], run)


def _written_either_way(case: Case) -> Verdict:
    """The gradient through the resets is the same for statements behind semicolons and on lines."""
    if ";" not in case.reset:
        return Verdict("same")
    import torch

    from neurosnn.torch import to_torch

    lines = "\n".join(part.strip() for part in re.split("[;\n]", case.reset) if part.strip())
    gradients = []
    for reset in (case.reset, lines):
        model = dataclasses.replace(case.model, reset=reset)
        neuron = to_torch(model, dt=case.dt * ms, dtype=torch.float64, detach_reset=False)
        x = torch.rand(40, N, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
        x = (x * torch.tensor(DRIVE) * float(scale_of(case.unit()))).requires_grad_()
        inputs = tuple(x / (k + 1) for k in range(len(case.inputs)))
        sent, state = neuron.run(inputs)
        total = sent.sum() + sum(
            v.sum() / float(scale_of(model.dimensions[name])) for name, v in state.values.items()
        )
        gradients.append(torch.autograd.grad(total, x)[0].numpy())
    wrong = np.abs(gradients[0] - gradients[1]).max()
    if wrong <= 1e-9 * np.abs(gradients[1]).max():
        return Verdict("same")
    return Verdict(
        "different", f"gradient through ';' {gradients[0].sum()}, on lines {gradients[1].sum()}"
    )


def exported(cases: Sequence[Case], expected: Sequence[Stock] | None = None) -> list[Verdict]:
    """Spikes of an exported program; one takes a minute to compile."""
    expected = stock(cases) if expected is None else expected
    theirs = {id(case): result for case, result in zip(cases, expected, strict=True)}

    def run(part: list[Case]) -> list[Verdict]:
        net, dt = network(part), part[0].dt * 1e-3
        with tempfile.TemporaryDirectory() as folder:
            path = export(net, f"{folder}/program", inputs=trial_of(part))
            subprocess.run(["make", "-s", quick()], cwd=path, check=True, capture_output=True)
            subprocess.run(["./run"], cwd=path, check=True, capture_output=True)
            spikes = read_results(path).spikes
        verdicts = []
        for case, layer in zip(part, net.layers, strict=True):
            events = spikes[layer.name][0]
            ours = sorted(
                zip(
                    np.rint(np.asarray(events.t) / dt).astype(int).tolist(),
                    events.i.tolist(),
                    strict=True,
                )
            )
            is_same = ours == theirs[id(case)].spikes
            reason = f"{len(ours)} spikes, not {len(theirs[id(case)].spikes)}"
            verdicts.append(Verdict("same") if is_same else Verdict("different", reason))
        return verdicts

    return on_usable(cases, [usable(*pair) for pair in zip(cases, expected, strict=True)], run)


class Gradient(NamedTuple):
    """What is compared of two gradients."""

    spikes: dict[str, int]
    gradient: dict[str, np.ndarray]


def same_gradient(net: SpikingNetwork, layer: str, spikes: int, ours: Any, theirs: Any) -> Verdict:
    """Gradients of all connections of a layer; the error of the readout is common to all layers."""
    if not ours.spikes[layer] == theirs.spikes[layer] == spikes:
        return Verdict(
            "different",
            f"{theirs.spikes[layer]} spikes, not {spikes}; {ours.spikes[layer]} on the engine",
        )
    for key, connection in net.connections.items():
        if layer not in (connection.source, connection.target):
            continue
        w, other_w = ours.gradient[f"{key}.w"], theirs.gradient[f"{key}.w"]
        if connection.mask is not None:
            other_w = other_w * connection.mask
        scale = max(np.abs(w).max(), np.abs(other_w).max())
        wrong = np.abs(w - other_w).max()
        if not wrong <= 1e-7 * scale:
            kind = key.rpartition("_")[0]
            return Verdict(
                "different", f"gradient of {kind}.w: {wrong / scale:.2g} of its largest element"
            )
    return Verdict("same")


#: By name; each takes cases and, if they are there already, their results in stock Brian2.
ROUTES = {
    "engine": engine,
    "factored": factored,
    "eventprop": eventprop,
    "torch": torch,
    "exported": exported,
    "graph": graph,
}
