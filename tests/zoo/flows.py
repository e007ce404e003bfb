"""A published neuron as the route of flows wants it: alone, with six arrivals, and its oracle."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, ClassVar

import numpy as np
from brian2 import Quantity, get_dimensions, ms, second
from brian2.equations.equations import PARAMETER, Equations
from brian2.utils.stringtools import word_substitute
from fuzz.cases import N_OUT
from fuzz.flows import ARRIVALS, DT, DURATION, N_IN, TOLERANCE
from reference.hybrid_neuron import HybridNeuron, of_strings, run, spike_time_slopes

from neurosnn.network.connection import Connection
from zoo.published import PublishedNeuron

__all__ = ["Flow"]


@dataclasses.dataclass(frozen=True, eq=False)
class Flow:
    """One neuron of the paper."""

    published: PublishedNeuron
    #: Every weight takes part in both, and a wrong one is seen in one of them at least.
    directions: ClassVar[np.ndarray] = np.array([[1.0] * N_IN, [1, -1, 1, 1, -1, -1]])

    @property
    def tolerance(self) -> float:
        """A crossing is found up to a step late: an error of the step times the growth of the slope."""
        return 0.05 if self.published.steep else TOLERANCE

    @functools.cached_property
    def group(self) -> Any:
        return self.published.group(1)

    @property
    def model(self) -> Any:
        return self.published.single

    @functools.cached_property
    def neuron(self) -> HybridNeuron:
        """The strings of the paper, not those of the model."""
        own, given = Equations(self.published.equations), self.published
        states = {
            name: float(self.group.variables[name].get_value()[0]) for name in own.diff_eq_names
        }
        values = {name: float(value) for name, value in given.constants.items()}
        for name in own.names:
            if own[name].type == PARAMETER:
                values[name] = float(self.group.variables[name].get_value()[0])
        rest = given.refractory
        if isinstance(rest, str):
            rest = given.constants.get(rest, given.up * second)
        elif rest is False:
            rest = 0 * ms
        assert get_dimensions(rest) is second.dim
        threshold = given.threshold
        for name in own.subexpr_names:
            threshold = word_substitute(threshold, {name: f"({own[name].expr.code})"})
        return of_strings(
            given.equations,
            threshold,
            given.reset,
            values=values,
            initial=states,
            t_ref=float(rest),
            inputs=given.inputs[0],
        )

    @functools.cached_property
    def scaled(self) -> np.ndarray:
        """Weights with which the neuron spikes."""
        weights = np.random.default_rng(4).uniform(0.6, 1.6, N_IN) * float(self.published.weight)
        times = [time * 1e-3 for time, _ in ARRIVALS]
        for _ in range(9):
            if len(run(self.neuron, times, weights, DURATION).spikes) >= 2:
                break
            weights = weights * 1.5
        return weights

    @functools.cached_property
    def exact(self) -> Any:
        """A run without a grid, and d(spike times)/d(weights) along the directions."""
        times = [time * 1e-3 for time, _ in ARRIVALS]
        return spike_time_slopes(
            self.neuron, times, self.scaled, DURATION, relative=1e-4, directions=self.directions
        )

    def connections(self, layer: str) -> dict[str, Connection]:
        """From the input, and to the readout."""
        out = np.random.default_rng(0).normal(size=(1, N_OUT))
        return {
            f"{kind}_{layer}": Connection(
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
                dimensions=dimensions,
                dt=DT,
            )
            for kind, source, target, w, dimensions in (
                ("input", "input", layer, self.scaled[:, None].copy(), self.published.unit()),
                ("readout", layer, "readout", out, Quantity(1.0).dim),
            )
        }
