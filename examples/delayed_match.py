"""Delayed match to sample: was the second stimulus the same as the first?

A stimulus, A or B, is shown for 150 ms, then nothing for 200 to 1000 ms, then A or B again: the
network answers "match" or "other" in the 150 ms after it. Neither stimulus alone says anything about
the answer, so that the first must be remembered through the delay and compared with the second. A
classical test of working memory in monkeys, and of credit assignment in time: the error is known only
at the end. Adaptive thresholds (tau_a 1 s) bridge the delay that membranes of 20 ms cannot; the
control has as many neurons, all of them LIF.

The task and its numbers are the project's own. Training stops below 3 % error on 512 validation
trials; the errors printed are those of 512 others for each length of delay, the last of them longer
than any trained on.

    python examples/delayed_match.py             # some minutes
    python examples/delayed_match.py --quick     # a few seconds
"""

import sys
from pathlib import Path

import numpy as np
from brian2 import Hz, ms
from matplotlib import pyplot as plt
from tqdm import tqdm

from neurosnn import (
    Adam,
    CrossEntropy,
    EProp,
    Input,
    Layer,
    Readout,
    SpikingNetwork,
    Trainer,
    data,
    equations,
)
from neurosnn.core.drawing import COLORS, mark_quick_runs
from neurosnn.training.schedules import Steps

quick = "--quick" in sys.argv
if quick:
    mark_quick_runs()
output = Path("output")
output.mkdir(exist_ok=True)

SEEDS = [1] if quick else [1, 2, 3]
UPDATES = 4 if quick else 600  # most updates of a network
BATCH, N_TEST = (16, 64) if quick else (64, 512)
START, SHOWN, ANSWER = 50, 150, 150  # ms, at one step a ms
DELAYS = (200, 1000)  # shortest and longest delay trained on
GROUP = 20  # neurons each that signal A, B and "answer now"
RATE = 0.06  # probability of a spike in a step where a group is active: 60 Hz
BACKGROUND = 0.005  # and where it is not: 5 Hz

# %%
# The task
# --------
# Trials have one length: where the delay is shorter, the first stimulus comes later.


def match_trials(n, seed, delays=DELAYS):
    """Trials of random stimuli and delays."""
    rng = np.random.default_rng(seed)
    first, second = rng.integers(0, 2, (2, n))
    delay = rng.integers(delays[0], delays[1] + 1, n)
    n_steps = START + SHOWN + max(delays[1], DELAYS[1]) + SHOWN + ANSWER
    probability = np.full((n, n_steps, 3), BACKGROUND, dtype=np.float32)
    test = n_steps - ANSWER - SHOWN
    for k in range(n):
        sample = test - delay[k] - SHOWN
        probability[k, sample : sample + SHOWN, first[k]] = RATE
        probability[k, test : test + SHOWN, second[k]] = RATE
    probability[:, -ANSWER:, 2] = RATE
    spikes = rng.random((n, n_steps, 3, GROUP), dtype=np.float32) < probability[..., None]
    trial, step, group, neuron = np.nonzero(spikes)
    return data.SpikeTrials(
        times=step / 1000,
        units=(GROUP * group + neuron).astype(np.int32),
        offsets=np.append(0, np.cumsum(np.bincount(trial, minlength=n))),
        labels=(first != second).astype(int),
        n_channels=3 * GROUP,
        duration=n_steps * ms,
        class_names=("match", "other"),
    )


# %%
# The networks
# ------------


def make_trainer(n_adaptive, seed, n=100):
    """100 neurons of which the last `n_adaptive` adapt, and their trainer."""
    beta = np.zeros(n)
    beta[n - n_adaptive :] = 0.05
    neuron = equations.ALIF(tau_m=20 * ms, tau_a=1000 * ms, beta=beta, t_ref=3 * ms)
    net = SpikingNetwork(
        Input(3 * GROUP),
        Layer(neuron, n, recurrent=True),
        Readout(2, tau=20 * ms),
        dt=1 * ms,
        seed=seed,
    )
    return Trainer(
        net,
        EProp(feedback="symmetric", rate_target=10 * Hz, rate_strength=1e-5),
        optimizer=Adam(0.005),
        loss=CrossEntropy(readout="window", start=-ANSWER * ms),
        # A hand-written loop sets the epoch, of which the schedule is a function.
        schedule=Steps(every=200, factor=0.7),
    )


# %%
# Training
# --------
# A loop of one's own: every batch has new trials, and every 20 updates the validation trials decide.


def train(trainer, seed, title):
    """Update until the validation error is below 3 %; returns (update, error %) of each check."""
    validation = match_trials(512, [seed, 0])
    curve = []
    bar = tqdm(range(1, UPDATES + 1), desc=title, mininterval=1, leave=False)
    for k in bar:
        trainer.epoch = k
        trainer.step(match_trials(BATCH, [seed, k]))
        if k % 20 == 0 or k == UPDATES:
            error = 100 * (1 - trainer.evaluate(validation)["accuracy"])
            curve.append((k, error))
            bar.set_postfix(error=f"{error:.1f} %")
            if error < 3:
                break
    bar.close()
    return np.array(curve)


# %%
# Both networks, at delays of several lengths
# -------------------------------------------

tested = (200, 600, 1000, 1500)  # ms
figure, axes = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
print(f"neurons             seed  updates  error (%) at delays of {tested} ms")
for name, n_adaptive, color in (("50 LIF + 50 ALIF", 50, COLORS[0]), ("100 LIF", 0, COLORS[1])):
    for seed in SEEDS:
        trainer = make_trainer(n_adaptive, seed)
        curve = train(trainer, seed, f"{name}, {seed}")
        errors = []
        for delay in tested:
            new = match_trials(N_TEST, [seed, delay, 1], (delay, delay))
            errors.append(100 * (1 - trainer.evaluate(new)["accuracy"]))
        row = "  ".join(f"{error:5.1f}" for error in errors)
        print(f"{name:18s}  {seed:4d}  {trainer.updates:7d}  {row}", flush=True)
        label = name if seed == SEEDS[0] else None
        axes[0].plot(*curve.T, color=color, marker=".", label=label)
        axes[1].plot(tested, errors, color=color, marker="o", label=label)
axes[0].set(xlabel="updates", ylabel="validation error (%)", ylim=(0, 60))
axes[1].axvspan(*DELAYS, color="0.93", zorder=0, label="trained on")
axes[1].set(xlabel="delay (ms)", ylabel="error on new trials (%)", ylim=(0, 60))
for ax in axes:
    ax.legend()
figure.savefig(output / "delayed_match.png", dpi=120)
