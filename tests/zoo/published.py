"""A published neuron: a NeuronGroup as a script has it, its wiring, and the oracle without a grid."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import numpy as np
from brian2 import NeuronGroup, Quantity, get_dimensions, ms
from brian2.equations.equations import Equations
from fuzz.cases import N_IN, N_OUT, N

from neurosnn import NeuronModel
from neurosnn.network.connection import Connection

__all__ = ["DT", "N_STEPS", "PublishedNeuron"]

#: Time step in ms and number of steps of all trials.
DT, N_STEPS = 0.05, 300
#: The six neurons of a group get input of different strength.
STRENGTH = np.linspace(0.5, 3.0, N)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class PublishedNeuron:
    """Strings and constants of a paper.

    Parameters
    ----------
    reference : str
        The paper.
    equations, threshold, reset, refractory, method, step
        Arguments of NeuronGroup; `step` is its run_regularly.
    inputs : tuple of str
        Variables that synapses add to, of one unit.
    weight : Quantity or float
        A typical weight.
    constants : dict
        The namespace.
    values : dict
        What a script assigns to the group, in order.
    surrogate, spike_gradient
        What learning needs besides.
    up : float
        Longest time in seconds for which the neuron stays above a threshold that its refractory period
        waits for.
    numbers : str
        Where the numbers come from, if it is not the paper.
    steep : bool
        Whether the potential grows by percents in a step of EventProp's comparison when it spikes.
    """

    reference: str
    equations: str
    threshold: str
    inputs: tuple[str, ...]
    weight: Any
    reset: str = ""
    refractory: Any = False
    method: str | None = None
    step: str = ""
    constants: dict[str, Any] = dataclasses.field(default_factory=dict)
    values: dict[str, Any] = dataclasses.field(default_factory=dict)
    surrogate: str = ""
    spike_gradient: tuple[str, ...] = ()
    up: float = 0.0
    numbers: str = ""
    steep: bool = False

    # what the routes of the random models ask of a case
    dt = DT
    n_steps = N_STEPS
    rounding = 1e-7  # a spike of sodium channels multiplies the last digit of exp by a million
    parameters = ()

    def group(self, n: int = N) -> NeuronGroup:
        """Stock Brian2; nothing of neurosnn takes part."""
        chosen = {} if self.method is None else {"method": self.method}
        group = NeuronGroup(
            n,
            self.equations,
            threshold=self.threshold,
            reset=self.reset or None,
            refractory=self.refractory,
            namespace=self.constants,
            dt=self.dt * ms,
            name="published*",
            **chosen,
        )
        for name, value in self.values.items():
            setattr(group, name, value[:n] if np.ndim(value) else value)
        if self.step:
            group.run_regularly(self.step, when="groups", order=1, dt=self.dt * ms)
        return group

    @functools.cached_property
    def model(self) -> NeuronModel:
        """The model, read from the group."""
        return self.read(self.group())

    @functools.cached_property
    def single(self) -> NeuronModel:
        """The model of the first neuron; where all are alike it is `model`, whose derivations are kept."""
        alike = not any(map(np.ndim, self.values.values()))
        return self.model if alike else self.read(self.group(1))

    def read(self, group: NeuronGroup) -> NeuronModel:
        return NeuronModel.from_group(
            group,
            namespace={},
            inputs=self.inputs,
            surrogate=self.surrogate,
            spike_gradient=self.spike_gradient,
            dt=None,
        )

    def unit(self) -> Any:
        """Dimensions of the weights."""
        return Equations(self.equations)[self.inputs[0]].dim

    def connections(self, layer: str) -> dict[str, Connection]:
        """From the input and to the readout."""
        assert get_dimensions(self.weight) is self.unit(), self.reference
        rng = np.random.default_rng(3)
        w = rng.uniform(0.2, 1.2, (N_IN, N)) * STRENGTH * float(self.weight)
        out = rng.normal(size=(N, N_OUT))
        channel = (np.arange(N_IN) % 4 == 3).astype(np.int32) * (len(self.inputs) - 1)
        return {
            f"{kind}_{layer}": Connection(
                name=f"{kind}_{layer}",
                source=source,
                target=target,
                n_post=weights.shape[1],
                w=weights,
                mask=None,
                pre=None,
                post=None,
                fixed_delay=np.full(len(weights), delay, np.int32),
                channel=channels,
                sign=None,
                dimensions=dimensions,
                dt=self.dt * 1e-3,
            )
            for kind, source, target, weights, channels, dimensions, delay in (
                ("input", "input", layer, w, channel, self.unit(), 2),
                ("readout", layer, "readout", out, np.zeros(N, np.int32), Quantity(1.0).dim, 0),
            )
        }
