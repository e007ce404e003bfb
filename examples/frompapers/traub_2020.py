"""STDP in e-prop: the STDP-LIF neuron at one synapse and in a timing task (Traub 2020).

M. Traub, M. V. Butz, R. H. Baayen and S. Otte, "Learning precise spike timings with eligibility
traces", arXiv:2006.09988 (2020).

First picture, after figure 2: two uncoupled neurons are driven so that at first the postsynaptic one
follows and later leads. With a learning signal of 1 the gradient rises while pre comes before post
and, with STDP-LIF, falls in the other order; with LIF it only rises. Second picture, not in the paper:
the window of one pair of spikes, at rest and held at 0.6 of the threshold, and two time courses. At
rest there is depression only; potentiation needs a potential near the threshold. Third picture, after
figure 3: from Poisson spikes of 25 Hz a readout has to tell how long ago the last one was, as
1/(1 + t - t_in) with t in ms.

What differs. The paper states neither alpha nor the refractory period nor the currents of figure 2:
they are those of van der Veen's script (0.8; 8 steps; 0.25 or 0.45, and 0.35, with v_th 1.6). For
figure 3 it states 16 hidden neurons, v_th 0.5, Adam 0.003 times 0.7 every 100 epochs, batches of 16,
1000 epochs, no regularization, the mean of 100 runs. Assumed here: new trials of 300 ms, t_in is
when the spike arrives, tau_out 5 ms, symmetric feedback, NMSE = squared error / variance of the target,
no recurrent weights, fewer runs and epochs. Its result, a smaller error and a much lower rate with
STDP-LIF, is *not* found: feed-forward both neurons learn alike, and with --recurrent the rates of
both run away.

    python examples/frompapers/traub_2020.py             # about half a minute
"""

import argparse
from pathlib import Path

import numpy as np
from brian2 import Network, NetworkOperation, StateMonitor, defaultclock, ms, prefs
from matplotlib import pyplot as plt

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
from neurosnn.schedules import Steps

MODELS = {"LIF": equations.LIF, "STDP-LIF": equations.STDP_LIF}
N_STEPS, LAST, TURN = 300, 500, 225  # steps of 1 ms: trials; run of one synapse, order reversed


def current_into(pair):
    """A function of t that drives two neurons: one leads, the other spikes soon after it."""

    def add_current(t):
        leader, follower = (0, 1) if t < TURN * ms else (1, 0)
        last = pair.lastspike_[:]
        pair.I_[leader] += 0.35
        pair.I_[follower] += 0.45 if last[follower] < last[leader] else 0.25

    return add_current


def one_synapse(path):
    """Figure 2: post after pre, then pre after post, with a learning signal of 1."""
    shown = {"eps_v": "eligibility vector", "psi_post": "psi", "etrace": "trace e", "G": "sum of e"}
    _, axes = plt.subplots(5, 1, figsize=(8, 8), sharex=True, layout="constrained")
    for (name, model), color in zip(MODELS.items(), ("0.6", "#D55E00"), strict=True):
        pair = model(tau_m=-1 * ms / np.log(0.8), v_th=1.6, t_ref=8 * ms).group(2)
        synapse = EProp().synapses(pair[:1], pair[1:])
        synapse.w, pair.L = 0, 1  # a weight of 0: a presynaptic spike only leaves its trace
        drive = NetworkOperation(current_into(pair), when="start")
        states = StateMonitor(pair, "v", record=[1], when="end")
        traces = StateMonitor(synapse, list(shown), record=True, when="end")
        Network(pair, synapse, drive, states, traces).run(LAST * ms, namespace={})
        style = {"color": color, "lw": 1, "label": name}
        analysis.plot_state(states.t, states.v[0], ax=axes[0], name="v of post", **style)
        for ax, (variable, label) in zip(axes[1:], shown.items(), strict=True):
            analysis.plot_state(traces.t, getattr(traces, variable)[0], ax=ax, name=label, **style)
        gradient = traces.G[0]
        print(f"one synapse, {name}: sum of e is {gradient[TURN]:.1f}, then {gradient[-1]:.1f}")
    for ax in axes:
        ax.axvline(TURN, color="k", ls=":", lw=1)
        ax.set_xlabel("time (ms)" if ax is axes[-1] else "")
    axes[0].set_title("pre before post | post before pre")
    axes[4].legend()
    plt.savefig(path, dpi=120)


def windows(path, quick):
    """Windows at rest and in background, and the trace of one pair in either order."""
    _, axes = plt.subplots(1, 3, figsize=(12, 3.5), layout="constrained")
    lags = {"max_lag": 30 * ms, "step": 10 * ms if quick else 1 * ms}
    for ax, background in zip(axes[quick:], (0.0, 0.6)[quick:], strict=False):
        for name, model in list(MODELS.items())[quick:]:
            post = model(t_ref=5 * ms)
            window = analysis.stdp_window(EProp(), post=post, background=background, **lags)
            analysis.plot_stdp_window(window, ax=ax, label=name, marker="")
        ax.set_title(f"held at {background} of the threshold" if background else "at rest")
        ax.legend()
    for lag in (10 * ms, -2 * ms)[quick:]:
        post = equations.STDP_LIF(t_ref=5 * ms)
        trace = analysis.eligibility_trace(EProp(), lag=lag, post=post, after=40 * ms)
        analysis.plot_eligibility(trace, ax=axes[2], label=f"lag {lag / ms:+.0f} ms")
    axes[2].set_title("STDP-LIF, held at 0.6")
    axes[2].legend()
    plt.savefig(path, dpi=120)


def timing_trials(n, rng):
    """Poisson spikes of 25 Hz in one channel, and 1/(1 + t - t_in) as target (n, steps, 1)."""
    z = rng.random((n, N_STEPS)) < 0.025
    z[:, -1] = False
    trial, step = np.nonzero(z)
    last = np.full((n, N_STEPS), -np.inf)
    last[trial, step + 1] = step + 1  # a spike of step t is in the potentials of step t + 1
    last = np.maximum.accumulate(last, axis=1)
    spikes = data.SpikeTrials(
        times=step / 1000,
        units=np.zeros(len(step), dtype=int),
        offsets=np.append(0, np.cumsum(z.sum(axis=1))),
        labels=np.zeros(n, dtype=int),
        n_channels=1,
        duration=N_STEPS * ms,
    )
    return spikes, (1 / (1 + np.arange(N_STEPS) - last))[:, :, None]


def learn_timing(model, recurrent, seed, epochs, every):
    """One run: NMSE and firing rate in Hz on new trials, every so many epochs."""
    rng, rows = np.random.default_rng(seed), []
    new, wanted = timing_trials(128, rng)
    layer = Layer(model(v_th=0.5), 16, recurrent=recurrent)
    net = SpikingNetwork(Input(1), layer, Readout(1, tau=5 * ms), dt=1 * ms, seed=seed)
    decay = Steps(every=100, factor=0.7)
    trainer = Trainer(net, EProp(), optimizer=Adam(0.003), loss=MeanSquareError(), schedule=decay)
    for epoch in range(epochs + 1):
        if epoch % every == 0:
            result = trainer.evaluate(new, targets=wanted)
            rows.append((2 * result["loss"] / wanted.var(), result["rate.hidden"]))
        trainer.epoch = epoch  # the schedule's
        trials, targets = timing_trials(16, rng)
        trainer.step(trials, targets=targets)
    return rows


def timing_task(path, recurrent, seeds, epochs):
    """Figure 3: error and firing rate of LIF and STDP-LIF while they learn."""
    _, axes = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
    print(f"timing task, {epochs} epochs, mean +- standard deviation of seeds {seeds}:")
    every = max(1, epochs // 20)
    for name, model in MODELS.items():
        runs = np.array([learn_timing(model, recurrent, seed, epochs, every) for seed in seeds])
        (error, rate), (d_error, d_rate) = runs.mean(axis=0).T, runs.std(axis=0).T
        print(
            f"  {name:8s}  NMSE {error[0]:.2f} -> {error[-1]:.3f} +- {d_error[-1]:.3f}, "
            f"{rate[0]:.0f} Hz -> {rate[-1]:.0f} +- {d_rate[-1]:.0f} Hz",
            flush=True,
        )
        at = np.arange(len(error)) * every
        axes[0].errorbar(at, error, d_error, capsize=2, label=name)
        axes[1].errorbar(at, rate, d_rate, capsize=2)
    axes[0].set(xlabel="epoch", ylabel="NMSE", ylim=0)
    axes[1].set(xlabel="epoch", ylabel="firing rate (Hz)", ylim=0)
    axes[0].legend()
    plt.savefig(path, dpi=120)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few lags and epochs: only a test")
    parser.add_argument(
        "--output", type=Path, default=Path("output"), help="folder of the pictures"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--epochs", type=int, default=400, help="the paper has 1000")
    parser.add_argument("--recurrent", action="store_true", help="connect the hidden neurons")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    defaultclock.dt = 1 * ms
    prefs.codegen.target = "numpy"  # compiling would take longer than these small runs
    one_synapse(options.output / "traub_2020_synapse.png")
    windows(options.output / "traub_2020_windows.png", options.quick)
    seeds, epochs = ([1], 3) if options.quick else (options.seeds, options.epochs)
    timing_task(options.output / "traub_2020_timing.png", options.recurrent, seeds, epochs)
    print(f"pictures: {options.output}/traub_2020_*.png")


if __name__ == "__main__":
    main()
