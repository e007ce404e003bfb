"""Learned delays after Meszaros, Knight & Nowotny (2025), on a task that needs them.

Two groups of ten channels fire once, the second at one of five lags after (or before) the first, at a
time that says nothing. The class is the lag, up to 24 ms; the hidden neurons forget within a few ms. So
the spikes of the two groups must be brought together by delays. Five networks of equal size are
compared: delays zero and fixed; drawn at random and fixed, one for each channel (of its axon) or one for
each synapse; drawn at random and learned with the weights by EventProp, of axons or of synapses.

Nat. Commun. (2025), doi:10.1038/s41467-025-65394-8: delays are real numbers that the optimizer moves,
rounded to steps in the simulation and never negative; initial delays are drawn evenly; the learning
rate of delays is 100 times that of the weights (10 times here). A delay d of a spike at t has the
gradient dE/dd = w (lam_V - lam_I)(t + d) in the paper's adjoints. Delays stay below 40 ms, as the
paper's do below a maximum: without it all of them grow together until the spikes leave the trial.
Batches are large: the gradient by delays is noisy, and with batches of 32 (and no maximum) learned
delays did worse here than fixed ones.

What rounding does: the loss is a staircase of the delays, and EventProp gives the slope of the smooth
loss of which it is a sample. Steps of half a step or less do nothing by themselves, their sum does.

What differs: the paper's tasks are SHD, SSC and Braille; here lags, so that it runs in seconds. The
paper's delays are those of synapses.

    python examples/frompapers/meszaros_2025_delays.py             # a minute
    python examples/frompapers/meszaros_2025_delays.py --quick     # few trials and epochs: only a test
"""

import sys
from pathlib import Path

import numpy as np
from brian2 import ms
from matplotlib import pyplot as plt

from neurosnn import (
    Adam,
    CrossEntropy,
    EventProp,
    Input,
    Population,
    Projection,
    Readout,
    SpikingNetwork,
    Trainer,
    data,
    equations,
)
from neurosnn.core.drawing import COLORS, mark_quick_runs
from neurosnn.training.schedules import Exponential

quick = "--quick" in sys.argv
if quick:
    mark_quick_runs()
output = Path("output")
output.mkdir(exist_ok=True)

SEEDS = [1] if quick else [1, 2, 3]
EPOCHS = 2 if quick else 60
N_TRAIN = 300 if quick else 1200
N_HIDDEN = 10
GROUP, LAGS, DURATION = 10, np.array([-24.0, -12.0, 0.0, 12.0, 24.0]), 110  # lags in ms
N_IN, LONGEST = 2 * GROUP, 6.0  # ms

# %%
# The task
# --------
# Each channel fires once, with 1 ms jitter; one spike in ten is missing.


def lags(n, seed):
    """`n` trials of random lags."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, len(LAGS), n)
    centre = rng.uniform(15, 40, (n, 1))
    side = np.repeat([-0.5, 0.5], GROUP)
    times = centre + side * LAGS[labels, None] + rng.normal(0, 1, (n, N_IN))
    order = np.argsort(times, axis=1)
    trials = data.SpikeTrials(
        times=np.maximum(np.take_along_axis(times, order, axis=1), 0).ravel() / 1000,
        units=order.ravel(),
        offsets=np.arange(n + 1) * N_IN,
        labels=labels,
        n_channels=N_IN,
        duration=DURATION * ms,
    )
    return data.drop_spikes(trials, 0.1, seed=rng)


train, test = lags(N_TRAIN, 0), lags(1000, 1)

# %%
# The networks
# ------------
# A delay for each presynaptic neuron is that of its axon; a matrix has one for each synapse. With
# ``learn=("w", "delay")`` delays are learned like weights, in steps that are ten times as large.


def make_trainer(kind, seed):
    """A network with delays of one kind, and its trainer."""
    rng = np.random.default_rng(seed)
    shape = (N_IN, N_HIDDEN) if "synapses" in kind else N_IN
    delay = np.zeros(shape) if kind == "zero" else np.rint(rng.uniform(0, LONGEST, shape))
    learned = kind.startswith("learned")
    net = SpikingNetwork.from_graph(
        {"hidden": Population(equations.CurrentLIF(tau_m=4 * ms, tau_s=2 * ms), N_HIDDEN)},
        [
            Projection(
                "input",
                "hidden",
                name="input",
                delay=delay * ms,
                weight_scale=6.0,
                weight_mean=0.5,
                learn=("w", "delay") if learned else ("w",),
            )
        ],
        Readout(len(LAGS), model=equations.CurrentReadout(), weight_scale=2.0),
        input=Input(N_IN),
        dt=1 * ms,
        seed=seed,
    )
    return Trainer(
        net,
        EventProp(),
        optimizer=Adam(2e-2, factors={"input.delay": 10} if learned else {}),
        loss=CrossEntropy(),
        schedule=Exponential(0.97),
        seed=seed,
        weight_bounds={"input.delay": (0 * ms, 40 * ms)} if learned else None,
    )


# %%
# What each can learn
# -------------------

KINDS = {
    "zero": "0.6",
    "random, of axons": COLORS[4],
    "random, of synapses": COLORS[2],
    "learned, of axons": COLORS[0],
    "learned, of synapses": COLORS[1],
}
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
before, after = {}, {}
for kind, color in KINDS.items():
    accuracies = []
    for seed in SEEDS:
        trainer = make_trainer(kind, seed)
        before[kind] = trainer.net.connections["input"].delay.copy()
        history = trainer.fit(train, epochs=EPOCHS, batch_size=128, progress=False)
        accuracies.append(trainer.evaluate(test)["accuracy"])
        after[kind] = trainer.net.connections["input"].delay
        label = kind if seed == SEEDS[0] else None
        left.plot(100 * np.asarray(history["accuracy"]), color=color, label=label)
    print(
        f"delays {kind:20s} {100 * np.mean(accuracies):5.1f} % of {len(test)} (standard deviation "
        f"{100 * np.std(accuracies):.1f}, {len(SEEDS)} seeds, {N_HIDDEN} hidden neurons)"
    )
left.set(xlabel="epoch", ylabel="accuracy on training trials (%)", ylim=(0, 103))
left.legend(title="delays", fontsize="small", ncols=2, loc="lower right")

# %%
# The delays before and after the last training.

right.plot([0, LONGEST], [0, LONGEST], color="gray", lw=0.8)
for kind, size in (("learned, of synapses", 2), ("learned, of axons", 4)):
    right.plot(before[kind], after[kind], "o", color=KINDS[kind], markersize=size)
right.set(xlabel="delay before (ms)", ylabel="delay learned (ms)")
figure.savefig(output / "meszaros_2025_delays.png", dpi=120)
