"""Every way to run a batch of cases, and what differs from stock Brian2.

Compiling costs most, so a batch is one network: a layer for each case, none connected with another. What
goes wrong in a batch is looked for in its halves.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from brian2 import Network, SpikeGeneratorGroup, SpikeMonitor, StateMonitor, Synapses, ms
from brian2.equations.equations import Equations

from fuzz.cases import N_IN, N_OUT, N_STEPS, Case, N, input_trial
from neurosnn import EProp, Input, Layer, Readout, SpikingNetwork
from neurosnn.engine import Engine, build
from neurosnn.losses import CrossEntropy
from neurosnn.rules.online import OnlineBackend
from neurosnn.units import si_unit

__all__ = ["ROUTES", "Stock", "Verdict", "engine", "factored", "stock"]

#: Sums are taken in the same order everywhere; functions such as exp differ by one digit in the last place.
RELATIVE = 1e-9


class Verdict(NamedTuple):
    """What a route made of a case: "same", "silent", "refused" or "different", and the reason."""

    kind: str
    reason: str = ""


class Stock(NamedTuple):
    """A trial of a case in stock Brian2."""

    spikes: list[tuple[int, int]]
    states: dict[str, np.ndarray]


@contextlib.contextmanager
def quick_compiler() -> Iterator[None]:
    """Without optimization the compiler takes a third of the time; float64 gives the same bits."""
    before = build.FLAGS
    build.FLAGS = tuple("-O0" if flag == "-O3" else flag for flag in before)
    try:
        yield
    finally:
        build.FLAGS = before


def isolate(cases: Sequence[Case], function: Callable[[list[Case]], list]) -> list:
    """The results of a function of a batch; an exception in the place of each case that raises it."""
    try:
        return list(function(list(cases)))
    except Exception as error:
        if len(cases) == 1:
            return [error]
    half = len(cases) // 2
    return isolate(cases[:half], function) + isolate(cases[half:], function)


def _made(cases: Sequence[Case], make: Callable[[Case], Any], function: Callable) -> list:
    """As `isolate`, for cases of which each can be made; that costs little and fails most often."""
    found: dict[int, Any] = {}
    for k, case in enumerate(cases):
        try:
            make(case)
        except Exception as error:
            found[k] = error
    left = [k for k in range(len(cases)) if k not in found]
    if left:
        found |= zip(left, isolate([cases[k] for k in left], function), strict=True)
    return [found[k] for k in range(len(cases))]


# -- stock Brian2 ---------------------------------------------------------------------------------


def stock(cases: Sequence[Case]) -> list[Stock | Exception]:
    """All cases in one simulation of Brian2's own objects."""
    return _made(cases, lambda case: case.group(), _stock)


def _stock(cases: list[Case]) -> list[Stock]:
    dt = cases[0].dt * ms
    _, step, channel = input_trial(cases[0].dt * 1e-3).steps(dt)
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
        own = Equations(case.equations)
        names = [
            name
            for name in (*own.diff_eq_names, *own.parameter_names)
            if name not in case.parameters
        ]
        states = StateMonitor(group, names, record=True, when="start", order=-9, dt=dt)
        spikes = SpikeMonitor(group)
        objects += [states, spikes]
        monitors.append((names, states, spikes))
    with np.errstate(all="ignore"):
        Network(*objects).run(N_STEPS * dt)
    found = []
    for names, states, spikes in monitors:
        when = np.rint(np.asarray(spikes.t) / float(dt)).astype(int)
        found.append(
            Stock(
                sorted(zip(when.tolist(), np.asarray(spikes.i).tolist(), strict=True)),
                {
                    name: np.asarray(states.variables[name].get_value(), float).reshape(-1, N)
                    for name in names
                },
            )
        )
    return found


def usable(result: Stock | Exception) -> Verdict | None:
    """Why a case proves nothing, None if it does."""
    if isinstance(result, Exception):
        return Verdict("invalid", f"stock Brian2: {result!r}: {result.__cause__!r}")
    if not all(
        np.isfinite(values).all() and np.abs(values).max() < 1e12
        for values in result.states.values()
    ):
        return Verdict("not finite")
    if not 3 <= len(result.spikes) < 0.9 * N * N_STEPS:
        return Verdict("silent", f"{len(result.spikes)} spikes")
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
    """Spikes must be equal, and states up to rounding."""
    if ours.states.keys() != expected.states.keys():
        return Verdict("different", f"states {sorted(ours.states)}, not {sorted(expected.states)}")
    worst: tuple[int, str] = (N_STEPS, "")
    for name, theirs in expected.states.items():
        values = ours.states[name]
        scale = np.abs(theirs).max() + 1e-300
        wrong = np.abs(values - theirs) > RELATIVE * scale
        wrong |= ~np.isfinite(values)
        if wrong.any():
            step, neuron = (int(k[0]) for k in np.nonzero(wrong))
            if step < worst[0]:
                worst = (
                    step,
                    (
                        f"{name} of neuron {neuron} at step {step} is {values[step, neuron]:.12g}, "
                        f"not {theirs[step, neuron]:.12g}"
                    ),
                )
    if ours.spikes == expected.spikes and not worst[1]:
        return Verdict("same")
    first = min(set(ours.spikes) ^ set(expected.spikes), default=None)
    reason = f"{len(ours.spikes)} spikes, not {len(expected.spikes)}, first difference {first}"
    return Verdict("different", f"{reason}; {worst[1]}")


def engine(cases: Sequence[Case], expected: Sequence[Stock] | None = None) -> list[Verdict]:
    """The forward pass of the engine in float64 against stock Brian2."""

    def run(part: list[Case]) -> list[Stock]:
        net = network(part)
        with quick_compiler():
            machine = Engine(net, dtype="float64", threads=1)
        record = tuple((layer.name, state) for layer in net.layers for state in layer.model.states)
        result = machine.simulate(input_trial(part[0].dt * 1e-3), record=record)
        return [
            Stock(
                sorted(
                    (int(a), int(b)) for a, b in zip(*result.spikes[layer.name][0], strict=True)
                ),
                {state: result.states[layer.name, state][0] for state in layer.model.states},
            )
            for layer in net.layers
        ]

    return _against(cases, expected, run)


def _against(cases, expected, run) -> list[Verdict]:
    expected = stock(cases) if expected is None else expected
    verdicts: dict[int, Verdict] = {}
    for k, result in enumerate(expected):
        useless = usable(result)
        if useless:
            verdicts[k] = useless
    left = [k for k in range(len(cases)) if k not in verdicts]
    for k, ours in zip(
        left, _made([cases[k] for k in left], lambda case: case.model, run), strict=True
    ):
        verdicts[k] = (
            refused(ours) if isinstance(ours, Exception) else compare(cases[k], expected[k], ours)
        )
    return [verdicts[k] for k in range(len(cases))]


def refused(error: Exception) -> Verdict:
    """An error: which one decides whether it is a defect."""
    return Verdict("refused", f"{type(error).__name__}: {error}")


def factored(cases: Sequence[Case], expected: Sequence[Stock] | None = None) -> list[Verdict]:
    """The gradient of e-prop's factored form on the engine against its online form in Brian2.

    The online network must also spike as stock Brian2 does.
    """

    def run(part: list[Case]) -> list[Verdict]:
        net, loss = network(part), CrossEntropy(readout="exponential", tau=50 * ms)
        trial = input_trial(part[0].dt * 1e-3)
        with quick_compiler():
            machine = Engine(net, EProp(), loss, dtype="float64", threads=1)
        ours = machine.run(trial, gradient=True)
        with np.errstate(all="ignore"):
            online = OnlineBackend(net, EProp(), loss).run(trial, gradient=True)
        return [same_gradient(net, layer.name, ours, online) for layer in net.layers]

    verdicts = _usable_only(cases, expected, run)
    return verdicts


def _usable_only(cases, expected, run) -> list[Verdict]:
    """As `run` says, on the cases that prove something."""
    expected = stock(cases) if expected is None else expected
    verdicts = [usable(result) for result in expected]
    left = [k for k, verdict in enumerate(verdicts) if verdict is None]
    for k, found in zip(
        left, _made([cases[k] for k in left], lambda case: case.model, run), strict=True
    ):
        if isinstance(found, Exception):
            found = refused(found)
        verdicts[k] = found
    return verdicts


def same_gradient(net: SpikingNetwork, layer: str, ours: Any, theirs: Any) -> Verdict:
    """Gradients of all connections of a layer; the error of the readout is common to all layers."""
    if ours.spikes[layer] != theirs.spikes[layer]:
        return Verdict(
            "different", f"{theirs.spikes[layer]} spikes online, {ours.spikes[layer]} on the engine"
        )
    for key, connection in net.connections.items():
        if layer not in (connection.source, connection.target):
            continue
        one, two = ours.gradient[f"{key}.w"], theirs.gradient[f"{key}.w"]
        if connection.mask is not None:
            two = two * connection.mask
        scale = max(np.abs(one).max(), np.abs(two).max())
        wrong = np.abs(one - two).max()
        if not wrong <= 1e-7 * scale:
            kind = key.rpartition("_")[0]
            return Verdict(
                "different", f"gradient of {kind}.w: {wrong / scale:.2g} of its largest element"
            )
    return Verdict("same")


#: By name; each takes cases and, if they are there already, their results in stock Brian2.
ROUTES = {"engine": engine, "factored": factored}
