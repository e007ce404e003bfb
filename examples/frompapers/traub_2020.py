"""STDP out of e-prop: the STDP-LIF neuron of Traub et al. (2020).

If a neuron is reset once more at the end of its refractory period, and its pseudo-derivative psi is
negative within it, e-prop's eligibility trace behaves like spike-timing-dependent plasticity.

    figure 2   one synapse with a constant learning signal: for 450 ms its postsynaptic neuron fires
               shortly after the presynaptic one, then the roles are swapped; the weight that e-prop
               would have rises, then falls. Here on stock Brian2 objects, driven from Python.
    windows    the same in single pairs, for LIF and STDP-LIF, at rest and held near the threshold
    figure 3   a timing task: one input (Poisson, 25 Hz), 16 neurons, and a readout that learns
               1/(1 + t - t_in), with t_in the step of the last input spike; LIF against STDP-LIF

Traub, Butz, Baayen and Otte, arXiv:2006.09988. Taken from there: threshold 0.5 in the timing
task, Adam 0.003 falling by 0.7 every 100 of 1000 epochs, batches of 16, no regularization. Not
stated there and chosen here: in the task tau_m 20 ms, refractory 5 ms, readout 5 ms, trials of 500 ms
and no recurrent connections; in figure 2 a decay of 0.8 a step, refractory 8 ms, and the size of the
currents, which are random as in their algorithm 2. They average 100 runs, we 10, and they give no
number for figure 3, only a graph: lower error and much lower rate for STDP-LIF.

    python examples/frompapers/traub_2020.py             # some minutes; writes output/traub_2020_*.png
    python examples/frompapers/traub_2020.py --quick     # few lags and epochs: only a test
"""

import sys
from pathlib import Path

import numpy as np
from brian2 import Network, StateMonitor, defaultclock, ms, network_operation, prefs
from matplotlib import pyplot as plt
from tqdm import tqdm

from neurosnn import (
    Adam,
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
from neurosnn.training.schedules import Steps

quick = "--quick" in sys.argv
if quick:
    mark_quick_runs()
output = Path("output")
output.mkdir(exist_ok=True)

NEURONS = {"LIF": equations.LIF, "STDP-LIF": equations.STDP_LIF}
SEEDS = range(1, 2 if quick else 11)
EPOCHS = 5 if quick else 1000
STEP = (20 if quick else 1) * ms  # of the windows
DURATION = (200 if quick else 1000) * ms  # of figure 2
N_STEPS = 500  # of a trial of figure 3

# %%
# Figure 2: one synapse
# ---------------------
# Two stock Brian2 groups, driven by random currents that depend on each other's last spike. The weight of the
# synapse stays 0, so that nothing but the currents acts; its learning signal is constant.

prefs.codegen.target = "numpy"
defaultclock.dt = 1 * ms
rng = np.random.default_rng(3)
model = equations.STDP_LIF(tau_m=-1 / np.log(0.8) * ms, t_ref=8 * ms)
pre, post = model.group(1, name="pre"), model.group(1, name="post")
synapse = EProp().synapses(pre, post)
post.L = 1


@network_operation(when="synapses")
def drive(t):
    """The leader gets noise, the follower more of it the longer ago the leader has fired."""
    leader, follower = (pre, post) if t < 0.45 * DURATION else (post, pre)
    leader.I += rng.uniform(0, 0.34)
    since = float((t - leader.lastspike[0]) / ms)
    waiting = leader.lastspike[0] > follower.lastspike[0]
    follower.I += rng.uniform(0, 0.3) * (since if waiting else 1)


voltages = [StateMonitor(group, "v", record=True, when="end") for group in (pre, post)]
traces = StateMonitor(synapse, ["eps_v", "etrace", "G"], record=True, when="end")
psi = StateMonitor(post, "psi", record=True, when="end")
Network(pre, post, synapse, drive, *voltages, traces, psi).run(DURATION, namespace={})

figure, axes = plt.subplots(5, 1, figsize=(7, 8), sharex=True, layout="constrained")
for monitor, name in zip(voltages, ("presynaptic", "postsynaptic"), strict=True):
    analysis.plot_state(monitor.t, monitor.v, ax=axes[0], name="v", label=name, lw=0.8)
axes[0].set_ylim(top=2.7)
axes[0].legend(loc="upper left", ncols=2)
rows = [("ε", traces.eps_v), ("ψ", psi.psi), ("e", traces.etrace), ("Σ L e", traces.G)]
for ax, (name, values) in zip(axes[1:], rows, strict=True):
    analysis.plot_state(traces.t, values, ax=ax, name=name, lw=0.8)
for ax in axes:
    ax.axvline(0.45 * DURATION / ms, color="0.7", lw=0.8)
    ax.set_xlabel("time (ms)" if ax is axes[-1] else "")
figure.savefig(output / "traub_2020_synapse.png", dpi=120)
total, swap = traces.G[0], int(0.45 * DURATION / ms)
print(f"sum of L e: {total[swap]:.1f} at the swap of the roles, {total[-1]:.1f} at the end")

# %%
# Windows
# -------

figure, axes = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
for ax, background in zip(axes, (0.6, 0.0), strict=True):
    for name, neuron in NEURONS.items():
        window = analysis.stdp_window(
            EProp(), post=neuron(t_ref=5 * ms), background=background, max_lag=40 * ms, step=STEP
        )
        analysis.plot_stdp_window(window, ax=ax, label=name, marker="")
    ax.set_title(f"held at {background} of the threshold" if background else "at rest")
axes[1].legend()
figure.savefig(output / "traub_2020_windows.png", dpi=120)

# %%
# Figure 3: the timing task
# -------------------------
# The target of a step is one over the number of steps since the last input spike. Errors are relative to its
# variance.


def timing_trials(n, rng):
    """Poisson spikes of one input, and the target of every step, shape (n, steps, 1)."""
    spikes = rng.random((n, N_STEPS)) < 0.025
    step = np.nonzero(spikes)[1]
    trials = data.SpikeTrials(
        times=step / 1000,
        units=np.zeros(len(step), dtype=int),
        offsets=np.append(0, np.cumsum(spikes.sum(axis=1))),
        labels=np.zeros(n, dtype=int),
        n_channels=1,
        duration=N_STEPS * ms,
    )
    # An input spike of step t is in v from step t + 1 on, in the paper from its own step on.
    arrival = np.where(spikes, np.arange(N_STEPS) + 1, -np.inf)
    arrival = np.concatenate([np.full((n, 1), -np.inf), arrival[:, :-1]], axis=1)
    last = np.maximum.accumulate(arrival, axis=1)
    return trials, (1 / (1 + np.arange(N_STEPS) - last))[:, :, None]


def timing_task(name, seed):
    """Train one network; errors relative to the variance of the target, and firing rate (Hz)."""
    net = SpikingNetwork(
        Input(1),
        Layer(NEURONS[name](v_th=0.5, t_ref=5 * ms), 16, weight_scale=2),
        Readout(1, tau=5 * ms),
        dt=1 * ms,
        seed=seed,
    )
    schedule = Steps(every=100, factor=0.7)
    trainer = Trainer(
        net, EProp(), optimizer=Adam(0.003), loss=MeanSquareError(), schedule=schedule
    )
    rng, errors = np.random.default_rng(seed), []
    for trainer.epoch in range(EPOCHS):
        trials, target = timing_trials(16, rng)
        errors.append(2 * trainer.step(trials, target)["loss"] / target.var())
    trials, target = timing_trials(256, np.random.default_rng([seed, 1]))
    result = trainer.evaluate(trials, targets=target)
    return errors, 2 * result["loss"] / target.var(), result["rate.hidden"]


figure, ax = plt.subplots(figsize=(5, 3.5), layout="constrained")
print(f"{len(SEEDS)} networks each, {EPOCHS} epochs; error on new trials, rate")
for name, color in zip(NEURONS, COLORS[:2], strict=True):
    runs = [timing_task(name, seed) for seed in tqdm(SEEDS, desc=name, leave=False)]
    curves, errors, rates = (np.array(values) for values in zip(*runs, strict=True))
    print(
        f"  {name:8s} normalized error {errors.mean():.3f} ± {errors.std():.3f}, "
        f"{rates.mean():.1f} ± {rates.std():.1f} Hz",
        flush=True,
    )
    ax.plot(np.median(curves, axis=0), color=color, label=name)
ax.set(xlabel="epoch", ylabel="normalized error, median of the networks")
ax.legend()
figure.savefig(output / "traub_2020_timing.png", dpi=120)
