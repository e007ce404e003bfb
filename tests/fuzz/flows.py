"""Neurons whose flow EventProp differentiates, in any unit, against spike times found without a grid."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar, NamedTuple

import numpy as np
from brian2 import Quantity, second
from hypothesis import strategies as st
from reference.hybrid_neuron import HybridNeuron, of_strings, run, spike_time_slopes

from fuzz.cases import N_OUT, Case, scale_of
from fuzz.verdicts import Verdict, on_usable, quick_compiler
from neurosnn import EventProp, Input, Layer, Readout, SpikingNetwork
from neurosnn.data import SpikeTrials
from neurosnn.engine import Engine
from neurosnn.losses import CrossEntropy
from neurosnn.network.connection import Connection

__all__ = ["FlowCase", "eventprop", "flows"]

#: EventProp's error is of the order of the step times the curvature of the flow.
TOLERANCE = 0.02
#: Arrivals: time in ms and channel, on the grid of the step; each channel sends once.
ARRIVALS = ((2.0, 0), (4.5, 1), (7.0, 2), (9.5, 3), (15.0, 4), (22.0, 5))
N_IN = len(ARRIVALS)
#: Step and length of a trial, in seconds.
DT, DURATION = 2e-6, 40e-3
#: Time constant of the readout in seconds.
TAU = 15e-3
SI = {"1": 1.0, "ms": 1e-3, "mV": 1e-3, "nA": 1e-9, "nS": 1e-9}


def readout_gain(time: float) -> float:
    """Change of a mean output per unit of weight, if a spike came later by a second."""
    return -np.exp(-(DURATION - time) / TAU) / DURATION


def input_trial(dt: float) -> SpikeTrials:
    """The same arrivals for all cases: an event at time t belongs to the step that ends at t."""
    step = [round(time * 1e-3 / dt) - 1 for time, _ in ARRIVALS]
    return SpikeTrials(
        times=(np.array(step) + 0.5) * dt,
        units=[channel for _, channel in ARRIVALS],
        offsets=[0, N_IN],
        labels=[1],
        n_channels=N_IN,
        duration=DURATION * second,
        class_names=tuple("abc"),
    )


@dataclasses.dataclass(frozen=True)
class FlowCase(Case):
    """A neuron with arrivals of its own; `inputs` has one entry."""

    tolerance: ClassVar[float] = TOLERANCE
    #: Along which the gradient is compared.
    directions: ClassVar[np.ndarray] = np.eye(N_IN)
    #: In the usual unit of the input; scaled until the neuron is alive.
    weights: tuple[float, ...] = (1.0,) * N_IN

    def __repr__(self) -> str:
        return "Flow" + super().__repr__()

    @functools.cached_property
    def neuron(self) -> HybridNeuron:
        """The oracle."""
        values = {key: value * SI[unit] for key, (value, unit) in self.parameters.items()}
        initial = {key: value * SI[unit] for key, (value, unit) in self.initial.items()}
        t_ref = 0.0
        if isinstance(self.refractory, tuple):
            t_ref = self.refractory[0] * 1e-3
        elif isinstance(self.refractory, str):
            t_ref = values[self.refractory]
        return of_strings(
            self.equations,
            self.threshold,
            self.reset,
            values=values,
            initial=initial,
            t_ref=t_ref,
            inputs=self.inputs[0],
        )

    @functools.cached_property
    def scaled(self) -> np.ndarray:
        """Weights in SI units with which the neuron spikes a few times."""
        unit = float(scale_of(self.unit()))
        times = [time * 1e-3 for time, _ in ARRIVALS]
        weights = np.array(self.weights) * unit
        for _ in range(9):
            if len(run(self.neuron, times, weights, DURATION).spikes) >= 2:
                break
            weights = weights * 1.9
        return weights

    @functools.cached_property
    def exact(self):
        """A run without a grid, and d(spike times)/d(weights)."""
        times = [time * 1e-3 for time, _ in ARRIVALS]
        return spike_time_slopes(self.neuron, times, self.scaled, DURATION)

    def connections(self, layer: str) -> dict[str, Connection]:
        """From the input, and to the readout."""
        rng = np.random.default_rng(self.seed)

        def connection(kind: str, source: str, target: str, w: np.ndarray, dim: Any) -> Connection:
            return Connection(
                name=f"{kind}_{layer}",
                source=source,
                target=target,
                n_post=w.shape[1],
                w=w,
                mask=None,
                pre=None,
                post=None,
                fixed_delay=np.zeros(len(w), np.int32),
                channel=np.zeros(len(w), np.int32),
                sign=None,
                dimensions=dim,
                dt=DT,
            )

        parts = (
            connection("input", "input", layer, self.scaled[:, None].copy(), self.unit()),
            connection("readout", layer, "readout", rng.normal(size=(1, N_OUT)), Quantity(1.0).dim),
        )
        return {part.name: part for part in parts}


@st.composite
def flows(draw, *, without=()):
    """A conductance or current model in one of the units, adaptive or not, refractory or not."""

    def pick(*options):
        return draw(st.sampled_from(options))

    def number(low, high):
        return draw(st.integers(round(low * 100), round(high * 100))) / 100

    def yes(feature=""):
        return feature not in without and draw(st.booleans())

    kind = pick("1") if "units" in without else pick("1", "volt")
    unit = "" if kind == "1" else "*mV"
    rest = pick(0.0, -60.0) if kind == "volt" else 0.0
    height = pick(1.0, 15.0) if kind == "volt" else 1.0
    current = pick("same") if "units" in without else pick("same", "amp", "siemens", "pure")
    refractory = False
    if yes("refractory"):
        refractory = pick((number(1, 6), "ms"), "t_rest")
    flag = [
        " (unless refractory)" if refractory is not False and draw(st.booleans()) else ""
        for _ in range(3)
    ]
    if "input_flag" in without:
        flag[1] = ""
    parameters = {"tau": (number(5, 25), "ms")}
    if refractory == "t_rest":
        parameters["t_rest"] = (number(1, 6), "ms")
    initial = {}
    if rest:
        initial["v"] = (rest, "mV")
    e = f"({rest}*mV)" if rest else "0" + unit
    drive = {
        "same": "I",
        "amp": "I*(20*Mohm)" if kind == "volt" else "I/nA",
        "siemens": f"g*({rest + 65 if rest else 4.0}{unit} - v)/(10*nS)"
        if kind == "volt"
        else "g*(4 - v)/(10*nS)",
        "pure": f"s*({height}{unit})" if kind == "volt" else "s",
    }[current]
    name, base = {
        "same": ("I", kind),
        "amp": ("I", "amp"),
        "siemens": ("g", "siemens"),
        "pure": ("s", "1"),
    }[current]
    adaptation = yes("adaptation")
    less = " - u" if adaptation else ""
    shape = (
        pick("leaky", "leaky", "exponential", "quadratic")
        if "nonlinear" not in without
        else "leaky"
    )
    leak = f"{e} - v"
    if shape == "exponential":
        width = f"{number(0.1, 0.3)}*({height}{unit})"
        leak += f" + {width}*exp(clip((v - {e})/({height}{unit}) - 0.8, -9, 2)/0.3)"
    elif shape == "quadratic":
        leak = f"0.5*(v - {e})*((v - {e})/({height}{unit}) - 1)"
    lines = [f"dv/dt = ({leak} + {drive}{less})/tau : {kind}{flag[0]}"]
    lines.append(f"d{name}/dt = -{name}/({number(2, 12)}*ms) : {base}{flag[1]}")
    reset = [pick(f"v = {e}", f"v -= {height}{unit}", f"v = {e} + 0.2*(v - {e})")]
    if adaptation:
        lines.append(
            f"du/dt = ({number(0, 0.5)}*(v - {e}) - u)/({number(10, 60)}*ms) : {kind}{flag[2]}"
        )
        reset.append(f"u += {number(0, 0.3)}*({height}{unit})")
    if yes("input_reset"):
        reset.append(f"{name} *= {number(0.3, 0.9)}")
    level = f"({rest + height}{unit})"
    if yes("moving_threshold"):
        lines.append(f"da/dt = -a/({number(5, 40)}*ms) : {kind}")
        reset.append(f"a += {number(0.05, 0.5)}*({height}{unit})")
        level += " + a"
    if yes("threshold_clock"):
        level += f" - t/({number(20, 60)}*ms)*({0.4 * height}{unit})"
    threshold = pick(f"v > {level}", f"v >= {level}", f"{level} < v")
    method = pick("euler", "exponential_euler") if shape == "leaky" else "euler"
    return FlowCase(
        equations="\n".join(lines),
        threshold=threshold,
        reset=pick("\n", "; ").join(reset),
        inputs=(name,),
        method=method,
        refractory=refractory,
        parameters=parameters,
        initial=initial,
        seed=draw(st.integers(0, 9)),
        dt=DT * 1e3,
        weights=tuple(number(0.6, 1.6) for _ in range(N_IN)),
    )


#: Events closer than this change their order on a grid; a crossing slower than this, relative to the
#: steepest, has an error that its slope divides.
APART, STEEP = 10 * DT, 0.03


def usable(case: FlowCase) -> Verdict | None:
    """Why a case proves nothing, None if it does."""
    solution, slopes = case.exact
    if not solution.spikes:
        return Verdict("silent")
    if len(solution.spikes) > 12 or not np.isfinite(slopes).all():
        return Verdict("degenerate", "spikes appear or vanish")
    if np.diff(solution.events).min(initial=1.0) < APART:
        return Verdict("degenerate", "two events at once")
    crossings = np.abs([s for s in solution.slopes if np.isfinite(s)])
    waited = [h for h, late in zip(solution.heights, solution.released, strict=True) if late]
    if waited and min(waited) < APART * crossings.max(initial=0):
        return Verdict("degenerate", "released at the threshold itself")
    if len(crossings) and crossings.min() < STEEP * crossings.max():
        return Verdict("degenerate", "a grazing spike")
    return None


def eventprop(cases: Sequence[FlowCase], expected: Any = None) -> list[Verdict]:
    """EventProp's gradient of the input weights against differences of spike times without a grid.

    Its error is of the order of the step over the slope of a crossing, and that of one spike moves the
    next: what differs must still differ where two steps are extrapolated to none, and again from there.
    """
    del expected
    finest_of_case: dict[int, Gradient] = {}

    def with_step(part: list[FlowCase], divided: int) -> list[Verdict]:
        verdicts = []
        for case, new in zip(part, _gradients(part, DT / divided), strict=True):
            before, finest = finest_of_case.get(id(case)), new
            finest_of_case[id(case)] = new
            if before is not None and len(new.times) == len(before.times):
                finest = Gradient(*((4 * a - b) / 3 for a, b in zip(new, before, strict=True)))
            verdict = _verdict(case, finest)
            if before and _moved(finest.times, case.exact[0].spikes) and _grazes(case):
                verdict = Verdict("degenerate", "a spike moves far within the error of a grid")
            verdicts.append(verdict)
        return verdicts

    useless = [usable_or_error(case) for case in cases]
    verdicts = on_usable(cases, useless, partial(with_step, divided=1))
    for divided in (4, 16):
        doubtful = [k for k, verdict in enumerate(verdicts) if verdict.kind == "different"]
        part = [cases[k] for k in doubtful]
        finer = on_usable(part, [None] * len(part), partial(with_step, divided=divided))
        for k, verdict in zip(doubtful, finer, strict=True):
            verdicts[k] = verdict
    return verdicts


class Gradient(NamedTuple):
    """Spike times (s), and gradient of the input weights per unit of the readout's error.

    That error is of all cases of a batch, and another one in another batch or at another step.
    """

    times: np.ndarray
    w: np.ndarray


def _gradients(cases: list[FlowCase], dt: float) -> list[Gradient]:
    layers, connections = [], {}
    for k, case in enumerate(cases):
        layers.append(Layer(case.model, 1, name=f"m{k}"))
        connections |= case.connections(f"m{k}")
    net = SpikingNetwork(
        Input(N_IN),
        *layers,
        Readout(N_OUT, tau=TAU * second, bias=False),
        dt=dt * second,
        connections=connections,
    )
    with quick_compiler():
        machine = Engine(net, EventProp(), CrossEntropy(), dtype="float64", threads=1)
    trial = input_trial(dt)
    result = machine.run(trial, gradient=True)
    spikes = machine.simulate(trial).spikes
    scores = result.scores[0]
    error = np.exp(scores - scores.max())
    error = error / error.sum() - np.eye(N_OUT)[1]
    gradients = []
    for k, case in enumerate(cases):
        worth = (case.connections(f"m{k}")[f"readout_m{k}"].w @ error)[0]
        w = result.gradient[f"input_m{k}.w"][:, 0] / worth
        gradients.append(Gradient((spikes[f"m{k}"][0][0] + 1) * dt, w))
    return gradients


def usable_or_error(case: FlowCase) -> Verdict | None:
    """As `usable`; what the oracle cannot do proves nothing."""
    try:
        return usable(case)
    except (ValueError, KeyError, FloatingPointError, AssertionError) as error:
        return Verdict("invalid", f"the oracle: {error!r}")


def _verdict(case: FlowCase, gradient: Gradient) -> Verdict:
    exact, slopes = case.exact
    times, ours = gradient.times, case.directions @ gradient.w
    if _moved(times, exact.spikes):
        return Verdict("different", f"spikes at {times}, not {np.array(exact.spikes)} (s)")
    theirs = slopes @ np.array([readout_gain(time) for time in exact.spikes])
    size = max(np.abs(values).max() for values in (theirs, ours, gradient.w))
    if np.abs(ours - theirs).max() <= case.tolerance * size:
        return Verdict("same")
    return Verdict("different", f"gradient {ours}, not {theirs}; spikes {np.array(exact.spikes)}")


def _moved(times: Sequence[float], other_times: Sequence[float]) -> bool:
    """Whether there are other spikes, or one at quite another time."""
    return len(times) != len(other_times) or np.abs(np.subtract(times, other_times)).max() > 50 * DT


def _grazes(case: FlowCase) -> bool:
    """Whether a spike moves far, appears or ends with what neither a grid nor the oracle can tell.

    A step of 2 us changes a state that decays in 2 ms by a thousandth of itself; and a margin that rises
    above zero only between two steps of the oracle is leapt over.
    """
    times = [time * 1e-3 for time, _ in ARRIVALS]
    tried = [(case.neuron, factor) for factor in (0.999, 1.001)]
    tried.append((dataclasses.replace(case.neuron, step=1e-4), 1.0))
    return any(
        _moved(run(neuron, times, case.scaled * factor, DURATION).spikes, case.exact[0].spikes)
        for neuron, factor in tried
    )
