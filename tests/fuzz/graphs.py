"""One drawn graph of populations: as a SpikingNetwork, and as code to run."""

from __future__ import annotations

import dataclasses
import functools
import pprint
from typing import Any

import brian2
import numpy as np
from brian2 import ms
from brian2.equations.equations import Equations

from fuzz.cases import DRIVE, N_IN, N_OUT, Case, N, quantity, scale_of
from fuzz.ties import nudged
from neurosnn import (
    Input,
    PlasticityRule,
    PoissonDrive,
    Population,
    Projection,
    Readout,
    SpikingNetwork,
)
from neurosnn.data import SpikeTrials
from neurosnn.study import Uniform

__all__ = ["Drive", "GraphCase", "Link", "SynapseStrings", "trials_of"]

#: Channels of a second input.
N_SECOND = 3
#: Steps of the two trials, of different length.
N_STEPS = (80, 60)


@dataclasses.dataclass(frozen=True)
class SynapseStrings:
    """What PlasticityRule takes; values as in a Case."""

    equations: str
    on_pre: str = ""
    method: str | None = None
    #: What a sum reads of the neurons before it.
    requires_pre: dict[str, tuple] = dataclasses.field(default_factory=dict)
    initial: dict[str, float] = dataclasses.field(default_factory=dict)
    parameters: dict[str, tuple] = dataclasses.field(default_factory=dict)

    def rule(self) -> PlasticityRule:
        """Those synapses."""
        method = {} if self.method is None else {"method": self.method}
        return PlasticityRule(
            name="synapse",
            equations=self.equations,
            on_pre=self.on_pre,
            requires_pre={key: quantity(*value) for key, value in self.requires_pre.items()},
            initial=self.initial,
            parameters={key: quantity(*value) for key, value in self.parameters.items()},
            **method,
        )


@dataclasses.dataclass(frozen=True)
class Link:
    """A projection from population to population, by their places; -1 is the input, -2 a second one."""

    source: int
    target: int
    #: A probability, a condition, "in_degree" or "arrays".
    connectivity: Any = 1.0
    #: "one", "axonal", "synaptic" or "uniform", of up to so many steps.
    delay: str = "one"
    longest: int = 0
    #: None, 1, -1 or "mixed".
    sign: Any = None
    #: Place among the inputs of the target; None leaves it open.
    input: int | None = None
    #: Whether the weights are given one by one, or drawn by the network.
    weights_given: bool = True
    learn: tuple[str, ...] = ("w",)
    autapses: bool = False
    synapse: SynapseStrings | None = None


@dataclasses.dataclass(frozen=True)
class Drive:
    """Poisson spikes to a population, by its place, before the link at that place."""

    target: int
    place: int
    #: Sources of each neuron, and the probability that one fires in a step.
    n: int = 10
    probability: float = 0.05
    #: Place among the inputs of the target.
    input: int = 0
    one_weight: bool = True


@dataclasses.dataclass(frozen=True)
class GraphCase:
    """Populations, each a Case of the grammar of models, and the projections between them."""

    populations: tuple[Case, ...]
    links: tuple[Link, ...]
    seed: int = 0
    #: In ms.
    dt: float = 0.5
    drives: tuple[Drive, ...] = ()

    @property
    def two_inputs(self) -> bool:
        """Whether the channels are those of two inputs."""
        return any(link.source == -2 for link in self.links)

    def source(self, link: Link) -> tuple[str, int]:
        """Name and size of the source of a projection."""
        if link.source >= 0:
            return f"m{link.source}", N
        if not self.two_inputs:
            return "input", N_IN
        return ("first", N_IN - N_SECOND) if link.source == -1 else ("second", N_SECOND)

    def projection(self, k: int) -> Projection:
        """Projection k, with arrays that follow from the seed."""
        link = self.links[k]
        rng = np.random.default_rng([self.seed, k])
        source, n_pre = self.source(link)
        target = self.populations[link.target]
        which = target.inputs[link.input or 0]
        dim = Equations(target.equations)[which].dim
        dt = self.dt * ms

        settings: dict[str, Any] = {}
        n_synapses = None
        if link.connectivity == "in_degree":
            settings["in_degree"] = 3
        elif link.connectivity == "arrays":
            exists = rng.random((n_pre, N)) < 0.4
            if link.source == link.target and not link.autapses:
                np.fill_diagonal(exists, False)
            exists[0, 1] = True
            pre, post = np.nonzero(exists)
            order = rng.permutation(len(pre))
            settings["connectivity"] = (pre[order], post[order])
            n_synapses = len(pre)
        else:
            settings["connectivity"] = link.connectivity

        sign = np.where(rng.random(n_pre) < 0.5, 1, -1) if link.sign == "mixed" else link.sign
        settings["sign"] = sign
        positive = dim is brian2.siemens.dim or len(target.inputs) > 1
        strength = 1.0 if link.source < 0 else 0.3
        if link.weights_given:
            w = rng.uniform(0.2, 1.2, (n_pre, N)) * DRIVE * strength
            if not positive:
                flip = rng.random((n_pre, N)) < (0.5 if link.source >= 0 else 0.1)
                signs = np.where(flip, -1, 1) if sign is None else np.broadcast_to(sign, n_pre)
                w = w * (signs if signs.ndim == 2 else signs[:, None])
            if n_synapses is not None:
                pre, post = settings["connectivity"]
                w = w[pre, post]
            settings["weight"] = w * scale_of(dim)
        else:
            settings["weight_scale"] = 6 * strength * scale_of(dim)
            settings["weight_mean"] = 0.5

        steps = link.longest
        if link.delay == "axonal":
            shape = (n_pre,) if n_synapses is None else (n_pre, 1)
            settings["delay"] = rng.integers(0, steps + 1, shape) * dt
        elif link.delay == "synaptic":
            shape = (n_pre, N) if n_synapses is None else (n_synapses,)
            settings["delay"] = rng.integers(0, steps + 1, shape) * dt
        elif link.delay == "uniform":
            settings["delay"] = Uniform(0 * ms, (steps + 0.5) * dt)
        else:
            settings["delay"] = steps * dt
        if "delay" in link.learn:
            settings["delay"] = settings["delay"] if steps else 0.3 * dt
        if link.input is not None:
            settings["input"] = which
        return Projection(
            source,
            f"m{link.target}",
            name=f"c{k}",
            learn=link.learn,
            autapses=link.autapses,
            synapse=None if link.synapse is None else link.synapse.rule(),
            **settings,
        )

    def drive(self, k: int) -> PoissonDrive:
        """Drive k, which adds about as much as a spike of the input in each step."""
        drive = self.drives[k]
        target = self.populations[drive.target]
        which = target.inputs[drive.input]
        dim = Equations(target.equations)[which].dim
        rng = np.random.default_rng([self.seed, k, 1])
        w = rng.uniform(0.2, 1.2, () if drive.one_weight else N) * DRIVE * 0.3 * scale_of(dim)
        rate = drive.probability / (self.dt * ms)
        return PoissonDrive(
            f"m{drive.target}",
            drive.n,
            rate,
            weight=w / max(1.0, drive.n * drive.probability),
            input=which,
            name=f"d{k}",
        )

    @functools.cached_property
    def net(self) -> SpikingNetwork:
        """The network."""
        arriving = [self.projection(k) for k in range(len(self.links))]
        for k in reversed(range(len(self.drives))):  # so that the places of the others stay
            arriving.insert(self.drives[k].place, self.drive(k))
        return SpikingNetwork.from_graph(
            {f"m{k}": Population(case.model, N) for k, case in enumerate(self.populations)},
            arriving,
            Readout(N_OUT, tau=15 * ms),
            input={"first": Input(N_IN - N_SECOND), "second": Input(N_SECOND)}
            if self.two_inputs
            else Input(N_IN),
            dt=self.dt * ms,
            seed=self.seed,
        )

    def nudged(self, factor: float) -> GraphCase:
        """The same graph with the numbers of its neurons multiplied by a factor."""
        return dataclasses.replace(
            self, populations=tuple(nudged(case, factor) for case in self.populations)
        )

    def __repr__(self) -> str:
        links = pprint.pformat(self.links, width=96, sort_dicts=False)
        cases = ",\n".join(map(repr, self.populations))
        return f"GraphCase(\n({cases},),\n{links},\nseed={self.seed}, dt={self.dt}, drives={self.drives!r})"

    def code(self, route: str) -> str:
        """A script that shows the difference; run it in the folder tests."""
        return (
            "from fuzz.cases import Case\nfrom fuzz.graphs import Drive, GraphCase, Link, SynapseStrings\n"
            f"from fuzz.routes import ROUTES\n\ncase = {self!r}\nprint(ROUTES[{route!r}]([case])[0])\n"
        )


def trials_of(dt: float) -> SpikeTrials:
    """Two trials: the second shows whether everything begins anew."""
    rng = np.random.default_rng(7)
    steps = [np.sort(rng.integers(0, n, n // 2 * N_IN // 4)) for n in N_STEPS]
    times = np.concatenate(steps) + 0.5
    return SpikeTrials(
        times=times * dt * 1e-3,
        units=rng.integers(0, N_IN, len(times)).astype(np.int32),
        offsets=np.cumsum([0, *map(len, steps)]),
        labels=[1, 0],
        n_channels=N_IN,
        durations=np.array(N_STEPS) * dt * 1e-3,
        class_names=tuple("abc"),
    )
