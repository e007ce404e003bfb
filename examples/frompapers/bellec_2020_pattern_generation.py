"""Pattern generation: a recurrent network learns a one-second signal from frozen noise (Bellec 2020).

100 inputs that repeat the same Poisson spikes (50 Hz) in every trial drive 100 recurrent LIF neurons,
whose readout learns the sum of four sines with periods of 1000, 500, 333 and 200 ms, random
amplitudes and random phases. One trial, one update.

Bellec et al., Nat. Commun. 11:3625 (2020), figure 2 and the authors' published tutorial: tau_m =
tau_out = 30 ms, v_th 0.03, no refractory period, fixed random feedback, gradient descent with 1e-4,
firing-rate regularization towards 10 Hz with strength 300.

What differs: the factor 1 - alpha, with which the tutorial multiplies all inputs and filtered spikes,
is part of the weights, feedback and learning rates here, so that the updates are the same ones.

    python examples/frompapers/bellec_2020_pattern_generation.py             # half a minute
    python examples/frompapers/bellec_2020_pattern_generation.py --quick     # few updates: only a test
"""

import sys
from pathlib import Path

import numpy as np
from brian2 import Hz, ms, prefs
from matplotlib import pyplot as plt
from matplotlib.ticker import LogFormatter
from tqdm import tqdm

from neurosnn import (
    SGD,
    EProp,
    Input,
    Layer,
    MeanSquareError,
    Readout,
    SpikingNetwork,
    Trainer,
    analysis,
    data,
    equations,
)
from neurosnn.core.drawing import COLORS, mark_quick_runs

quick = "--quick" in sys.argv
if quick:
    mark_quick_runs()
output = Path("output")
output.mkdir(exist_ok=True)

UPDATES = 10 if quick else 2000
SEED = 1
N_STEPS, N, TAU = 1000, 100, 30 * ms
PERIODS = (1000, 500, 333, 200)  # ms

# %%
# Frozen noise and the signal
# ---------------------------
# One trial of Poisson spikes; a sum of sines that starts at 0 and whose largest value is 1.

rng = np.random.default_rng(SEED)
step, channel = np.nonzero(rng.random((N_STEPS, N)) < 0.05)
trial = data.SpikeTrials(
    times=step / 1000,
    units=channel,
    offsets=[0, len(step)],
    labels=[0],
    n_channels=N,
    duration=N_STEPS * ms,
)
amplitudes = rng.uniform(0.5, 2, len(PERIODS))
phases = rng.uniform(0, 2 * np.pi, len(PERIODS))
t = np.arange(N_STEPS)[:, None]
target = (amplitudes * np.sin(2 * np.pi * t / PERIODS + phases)).sum(axis=1, keepdims=True)
target -= target[0]
target /= abs(target).max()

# %%
# The tutorial's network
# ----------------------
# Its factors 1 - alpha are inside weights and learning rates. Random feedback is N(0, 1) here, N(0, 1/n)
# times 1 - alpha there: all that is fed back, and the firing-rate term (300 per (spikes a step)^2), is larger
# by one factor, learning smaller.

scale = 1 - np.exp(-1 * ms / TAU)
net = SpikingNetwork(
    Input(N),
    Layer(
        equations.LIF(tau_m=TAU, v_th=0.03, t_ref=0 * ms),
        N,
        recurrent=True,
        weight_scale=scale / 0.03,
    ),
    Readout(1, tau=TAU, bias=False),
    dt=1 * ms,
    seed=SEED,
)
net.parameters["readout.w"][:] *= scale
larger = np.sqrt(N) / scale
rule = EProp(feedback="random", rate_target=10 * Hz, rate_strength=300e-6 * larger, seed=SEED)
rates = {"input.w": scale**2 / larger, "recurrent.w": scale**2 / larger, "readout.w": scale**2}
trainer = Trainer(
    net, rule, optimizer=SGD(1e-4, factors=rates), loss=MeanSquareError(reduction="sum")
)

# %%
# Training
# --------

losses = []
bar = tqdm(range(UPDATES), mininterval=1, leave=False)
for _ in bar:
    losses.append(trainer.step(trial, target)["loss"])
    bar.set_postfix(loss=f"{losses[-1]:.2f}", refresh=False)
result = trainer.evaluate(trial, targets=target)
share = 2 * result["loss"] / ((target - target.mean()) ** 2).sum()
print(
    f"loss {losses[0]:.1f} -> {result['loss']:.2f} (normalized error {share:.3f}) in "
    f"{UPDATES} updates; {result['rate.hidden']:.0f} Hz"
)

# %%
# The learning curve, and target, output and spikes of the trained network
# ------------------------------------------------------------------------
# For one trial in stock Brian2, compiling would take longer than running.

prefs.codegen.target = "numpy"
simulation = net.brian2(trial, record=["spikes", "output"])
simulation.run(N_STEPS * ms, namespace={})
spikes, readout = simulation["hidden_spikes"], simulation["readout_states"].output[0]

figure, axes = plt.subplots(3, 1, figsize=(6, 7), layout="constrained")
axes[0].semilogy(losses, lw=0.8, color=COLORS[0])
axes[0].set(xlabel="update", ylabel="loss")
axes[0].yaxis.set_major_formatter(LogFormatter())
axes[0].yaxis.set_minor_formatter(LogFormatter())
analysis.plot_state(t[:, 0], target[:, 0], ax=axes[1], label="target", color="black")
analysis.plot_state(t[:, 0], readout, ax=axes[1], name="output", label="network", color=COLORS[1])
axes[1].legend()
analysis.plot_raster(spikes.t, spikes.i, ax=axes[2], markersize=2)
figure.savefig(output / "pattern_generation.png", dpi=120)
