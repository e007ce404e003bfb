"""One drawn model in its network: as a NeuronModel, as stock Brian2 objects, and as code to run."""

from __future__ import annotations

import dataclasses
import functools
import pprint
from typing import Any, ClassVar

import brian2
import numpy as np
from brian2 import NeuronGroup, Quantity, TimedArray, ms, second
from brian2.equations.equations import Equations

from neurosnn import NeuronModel
from neurosnn.data import SpikeTrials
from neurosnn.network.connection import Connection

__all__ = ["BASE", "N_IN", "N_OUT", "N_STEPS", "Case", "N", "input_trial"]

#: Neurons of each model, input channels, readout neurons and steps of the trial.
N, N_IN, N_OUT, N_STEPS = 6, 8, 3, 150
#: Drive of neuron j: one of them is alive at whatever scale the model needs.
DRIVE = 4.0 ** np.arange(-1, N - 1)

#: Base units of those in which values are written.
BASE = {"1": "1", "ms": "second", "mV": "volt", "nA": "amp", "nS": "siemens"}


def quantity(value: Any, unit: str) -> Any:
    """A number or a list with the unit of that name."""
    number = np.array(value) if isinstance(value, list | tuple) else value
    return number if unit == "1" else number * getattr(brian2, unit)


def timed_array(rows: int, columns: int, dt: float, unit: str) -> TimedArray:
    """Values of order one, about half of them against the drive."""
    shape = (rows, columns) if columns else rows
    values = np.random.default_rng([rows, columns]).uniform(-1.0, 1.5, shape)
    return TimedArray(quantity(values, unit), dt=dt * ms)


def input_trial(dt: float, n_steps: int = N_STEPS) -> SpikeTrials:
    """The input of all cases: some ten spikes a channel, several of them in one step."""
    rng = np.random.default_rng(7)
    step = np.sort(rng.integers(0, n_steps, 10 * N_IN))
    return SpikeTrials(
        times=(step + 0.5) * dt,
        units=rng.integers(0, N_IN, len(step)).astype(np.int32),
        offsets=[0, len(step)],
        labels=[1],
        n_channels=N_IN,
        duration=n_steps * dt * second,
        class_names=tuple("abc"),
    )


@dataclasses.dataclass(frozen=True)
class Case:
    """What the grammar draws; values are (number or list, name of a unit), or strings."""

    equations: str
    threshold: str
    reset: str
    inputs: tuple[str, ...]
    method: str = "euler"
    refractory: Any = False
    step: str = ""
    surrogate: str = ""
    spike_gradient: tuple[str, ...] = ()
    parameters: dict[str, tuple] = dataclasses.field(default_factory=dict)
    initial: dict[str, Any] = dataclasses.field(default_factory=dict)
    #: TimedArrays: rows, columns (0: none), dt in ms and unit; their values follow from these.
    timed: dict[str, tuple] = dataclasses.field(default_factory=dict)
    #: Wiring: seed of the weights, delays of up to so many steps, recurrence, sparse connections.
    seed: int = 0
    longest_delay: int = 0
    recurrent: bool = False
    sparse: bool = False
    #: Whether the model is read from a NeuronGroup.
    read: bool = False
    #: In ms.
    dt: float = 0.5
    #: Of a trial.
    n_steps: ClassVar[int] = N_STEPS
    #: Sums are taken in the same order everywhere; functions such as exp differ in the last digit.
    rounding: ClassVar[float] = 1e-9

    def fields(self) -> dict[str, Any]:
        """Arguments of NeuronModel."""
        refractory = self.refractory
        if isinstance(refractory, tuple):
            refractory = quantity(*refractory)
        return {
            "equations": self.equations,
            "threshold": self.threshold,
            "reset": self.reset,
            "inputs": self.inputs,
            "method": self.method,
            "refractory": refractory,
            "step": self.step,
            "surrogate": self.surrogate,
            "spike_gradient": self.spike_gradient,
            "parameters": {key: quantity(*value) for key, value in self.parameters.items()},
            "initial": {
                key: value if isinstance(value, str) else quantity(*value)
                for key, value in self.initial.items()
            },
            "timed_arrays": {key: timed_array(*about) for key, about in self.timed.items()},
        }

    @functools.cached_property
    def model(self) -> NeuronModel:
        """The model, made from its strings or read from a stock group."""
        fields = self.fields()
        if not self.read:
            return NeuronModel(**fields)
        fields_kept = ("inputs", "surrogate", "spike_gradient", "step")
        group = self.group(step=False, name="read*")
        return NeuronModel.from_group(group, **{key: fields[key] for key in fields_kept})

    def group(self, *, step: bool = True, name: str = "stock*") -> NeuronGroup:
        """Stock Brian2, as a user writes it: nothing of neurosnn takes part."""
        fields = self.fields()
        equations = Equations(self.equations)
        namespace, declarations, values = fields["timed_arrays"], [], {}
        for key, value in fields["parameters"].items():
            if key in equations.names:
                values[key] = value
            elif np.ndim(value):
                values[key] = value
                declarations.append(f"{key} : {BASE[self.parameters[key][1]]} (constant)")
            else:
                namespace[key] = value
        group = NeuronGroup(
            N,
            "\n".join([self.equations, *declarations]),
            threshold=self.threshold,
            reset=self.reset,
            refractory=fields["refractory"],
            method=self.method,
            namespace=namespace,
            dt=self.dt * ms,
            name=name,
        )
        for key, value in (values | fields["initial"]).items():
            setattr(group, key, value)
        if step and self.step:
            group.run_regularly(self.step, when="groups", order=1, dt=self.dt * ms)
        return group

    # -- wiring -------------------------------------------------------------------------------

    def unit(self) -> Any:
        """Unit of the weights: that of the first input (all inputs share it)."""
        return Equations(self.equations)[self.inputs[0]].dim

    def connections(self, layer: str) -> dict[str, Connection]:
        """From the input, from the own neurons and to the readout, by name."""
        rng = np.random.default_rng(self.seed)
        dim = self.unit()
        scale = float(scale_of(dim))
        connections = {}
        for kind, source, n_pre in (("input", "input", N_IN), ("recurrent", layer, N)):
            if kind == "recurrent" and not self.recurrent:
                continue
            w = rng.uniform(0.2, 1.2, (n_pre, N)) * DRIVE * scale
            if kind == "recurrent":
                w *= rng.choice([-0.5, 0.3], (n_pre, N))
            pre = post = None
            if self.sparse:
                pre, post = (
                    part.astype(np.int32) for part in np.nonzero(rng.random(w.shape) < 0.25)
                )
                w = w[pre, post]
            connections[f"{kind}_{layer}"] = Connection(
                name=f"{kind}_{layer}",
                source=source,
                target=layer,
                n_post=N,
                w=w,
                mask=None,
                pre=pre,
                post=post,
                fixed_delay=rng.integers(0, self.longest_delay + 1, n_pre).astype(np.int32),
                channel=rng.integers(0, len(self.inputs), n_pre).astype(np.int32),
                sign=None,
                dimensions=dim,
                dt=self.dt * 1e-3,
            )
        connections[f"readout_{layer}"] = Connection(
            name=f"readout_{layer}",
            source=layer,
            target="readout",
            n_post=N_OUT,
            w=rng.normal(size=(N, N_OUT)),
            mask=None,
            pre=None,
            post=None,
            fixed_delay=np.zeros(N, np.int32),
            channel=np.zeros(N, np.int32),
            sign=None,
            dimensions=Quantity(1.0).dim,
            dt=self.dt * 1e-3,
        )
        return connections

    # -- as code ------------------------------------------------------------------------------

    def __repr__(self) -> str:
        """Only what differs from the defaults, so that it is short to read."""
        changed = []
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            default = field.default
            if field.default_factory is not dataclasses.MISSING:
                default = field.default_factory()
            if value != default or default is dataclasses.MISSING:
                text = pprint.pformat(value, width=88, sort_dicts=False)
                changed.append(f"    {field.name}={text},")
        return "Case(\n" + "\n".join(changed) + "\n)"

    def code(self, route: str) -> str:
        """A script that shows the difference; run it in the folder tests."""
        return (
            f"from fuzz.cases import Case\nfrom fuzz.routes import ROUTES\n\n"
            f"case = {self!r}\nprint(ROUTES[{route!r}]([case])[0])\n"
        )


def scale_of(dim: Any) -> Quantity:
    """What is of order one in a unit: 1, 1 mV, 1 nA or 1 nS."""
    for unit in (brian2.mV, brian2.nA, brian2.nS):
        if unit.dim is dim:
            return unit
    return Quantity(1.0)
