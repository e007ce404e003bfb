"""Spike-driven equilibrium propagation: speed of the engine, and where its updates point.

speed       an epoch of MNIST's shape (60 000 trials, 784-300-10, 300 + 150 steps, batches of 20, Adam;
            smooth random images in place of MNIST) on all processors against one, with constant-current
            and with spiking input; and a trial against stock Brian2 (Cython) with the same strings,
            whose spikes and updates are compared in float64; both also with a convolution and average
            pooling (28 x 28, 32 channels of 5 x 5, blocks of 3 x 3, 10). With --quick an epoch is
            computed from a few batches.
directions  cosine of the update of 60 digits (64-40-10, both signs of beta 2, three seeds of the
            weights, mean and smallest) to the two-point update and to the exact gradient of the steady
            state, for each variant of the rule and over dt, tau_2 and the length of the phases.

    python benchmarks/equilibrium.py [--quick] [--json FILE] [--only TEXT]
"""

from __future__ import annotations

import os
import time

import numpy as np
from _common import Report, arguments, largest_difference, timed
from brian2 import ms

from neurosnn import Adam, data, equations
from neurosnn.analysis.equilibrium import update_directions
from neurosnn.rules.equilibrium import Convolution, EquilibriumNetwork
from neurosnn.rules.equilibrium.engine import EquilibriumEngine
from neurosnn.training import EquilibriumTrainer

SIZES, TRIALS, BATCH = (784, 300, 10), 60000, 20
CONVOLUTION = ((28, 28), Convolution(32, 5, pool=3), 10)
VARIANTS = ("spike_derivative", "presynaptic", "trace_product", "antisymmetric")
#: Time step, time constant of the slow trace, free and nudged phase [ms].
SETTINGS = (
    (1, 50, 300, 150),
    (2, 50, 300, 150),
    (0.5, 50, 300, 150),
    (1, 25, 300, 150),
    (1, 100, 300, 150),
    (1, 50, 100, 50),
    (1, 50, 600, 300),
)


def random_images(n, seed=0):
    """Pixels with MNIST's share of ink (13 % of full brightness), and labels."""
    random = np.random.default_rng(seed)
    ink = random.random((n, SIZES[0])) < 0.19
    return (ink * random.uniform(0.4, 1, ink.shape)).astype(np.float32), random.integers(0, 10, n)


def network(structure, **options):
    """A network in which every layer spikes."""
    scale = (3.0, 1.0) if structure is CONVOLUTION else 1.0
    return EquilibriumNetwork(structure, scale=scale, seed=1, **options)


def epoch(report, name, n_batches, structure=SIZES, kind="constant"):
    """Seconds of an epoch on all processors and on one."""
    x, labels = random_images(BATCH)
    seconds, threads = {}, os.cpu_count()
    for number in (threads, 1):
        net = network(structure, input=kind)
        trainer = EquilibriumTrainer(net, optimizer=Adam(1e-4), threads=number, seed=1)
        trainer.step(x, labels)
        begin = time.perf_counter()
        for _ in range(n_batches):
            trainer.step(x, labels)
        seconds[number] = (time.perf_counter() - begin) / n_batches * TRIALS / BATCH
    result = trainer.engine.run(x, targets=trainer.targets(labels), beta=trainer.beta)
    spikes = sum(float(count.sum()) for count in result.spikes.values()) / BATCH
    report.add(
        f"epoch of {TRIALS} trials, {name}, {threads} threads against one",
        seconds[threads],
        seconds[1],
        f"{spikes:.0f} spikes a trial, from {n_batches} batches of {BATCH} trials",
    )


def brian2_trial(report, repetitions, name="", structure=SIZES):
    """A trial with learning, one thread, against Brian2's runtime."""
    net = network(structure)
    x, labels = random_images(1)
    targets = np.eye(10)[labels]
    engine = EquilibriumEngine(net, dtype="float64", threads=1)
    brian = net.brian2(x, targets=targets, beta=4.0)
    brian.store()

    def peer():
        brian.restore()
        brian.run(net.trial, namespace={})

    peer()
    ours = engine.run(x, targets=targets, beta=4.0)
    found = {
        f"{c.name}.w": c.wiring.gathered(np.array(brian[f"{c.name}_synapses"].G))
        for c in net.connections
    }
    spikes = sum(int(np.sum(brian[f"{name}_spikes"].count)) for name in ("hidden", "output"))
    same = spikes == sum(int(count.sum()) for count in ours.spikes.values())
    apart = largest_difference({key: -ours.gradient[key] for key in found}, found)
    seconds = timed(
        {"ours": lambda: engine.run(x, targets=targets, beta=4.0), "peer": peer},
        repetitions=repetitions,
    )
    report.add(
        f"trial{name} against stock Brian2 (Cython), one thread, float64",
        seconds["ours"],
        seconds["peer"],
        f"{spikes} spikes, {'equal' if same else 'NOT EQUAL'}; updates {apart:.1g} apart",
    )


def direction(x, targets, variant, dt, tau_2, free, nudged, seed):
    """Cosines of each layer's weights: to the two-point update and to the exact gradient."""
    net = EquilibriumNetwork(
        (64, 40, 10),
        neuron=equations.EqSpikeLIF(tau_2=tau_2 * ms),
        variant=variant,
        dt=dt * ms,
        free=free * ms,
        nudged=nudged * ms,
        scale=(1.5, 1.0),
        seed=seed,
    )
    net.parameters["output.b"] += 0.2  # no output is silent
    signs = np.where(np.arange(60) % 2, 2.0, -2.0)
    result = EquilibriumEngine(net).run(x, targets=targets, beta=signs)
    found = update_directions(net, result, x, targets, signs)
    return [part[f"{connection.name}.w"] for part in found for connection in net.connections]


def directions(report, seeds):
    """The table of cosines."""
    images = data.digits_8x8()[0][:60]
    x, targets = images.pixels(), np.eye(10)[images.labels]
    report.note(
        f"cosines, mean (smallest) of {len(seeds)} seeds: update to two-point, update to exact, "
        "two-point to exact; each input_hidden, hidden_output"
    )
    report.note("variant            dt  tau_2  phases [ms]")
    for variant in VARIANTS:
        for dt, tau_2, free, nudged in SETTINGS:
            found = np.array(
                [direction(x, targets, variant, dt, tau_2, free, nudged, seed) for seed in seeds]
            )
            cells = "  ".join(
                f"{mean:5.3f} ({least:5.3f})"
                for mean, least in zip(found.mean(0), found.min(0), strict=True)
            )
            report.note(f"{variant:17s} {dt:3g}  {tau_2:5g}  {free:4g} + {nudged:3g}  {cells}")


def main():
    """All comparisons that the command line asks for."""
    given = arguments(__doc__)
    report = Report(given)
    n_batches, repetitions = (20, 3) if given.quick else (TRIALS // BATCH // 3, 9)
    for kind in ("constant", "spikes"):
        if report.wants(f"speed, {kind}"):
            epoch(report, f"{kind} input", n_batches, kind=kind)
    if report.wants("speed, convolution"):
        epoch(report, "convolution", n_batches // 4, CONVOLUTION)
        brian2_trial(report, repetitions, " of a convolution", CONVOLUTION)
    if report.wants("speed, Brian2"):
        brian2_trial(report, repetitions)
    if report.wants("directions"):
        directions(report, (5,) if given.quick else (5, 6, 7))
    report.close()


if __name__ == "__main__":
    main()
