"""Pattern generation: a recurrent network learns a one-second signal from frozen noise (Bellec 2020).

100 inputs that repeat the same Poisson spikes (50 Hz) in every trial drive 100 recurrent LIF neurons,
whose readout learns the sum of four sines with periods of 1000, 500, 333 and 200 ms, random
amplitudes and random phases. One trial, one update.

Bellec et al., Nat. Commun. 11:3625 (2020), figure 2 and the authors' published tutorial: tau_m =
tau_out = 30 ms, v_th 0.03, no refractory period, fixed random feedback, gradient descent with 1e-4,
firing-rate regularization towards 10 Hz with strength 300.

What differs: the factor 1 - alpha, with which the tutorial multiplies all inputs and filtered spikes,
is part of the weights, feedback and learning rates here, so that the updates are the same ones.

    python examples/frompapers/bellec_2020_pattern_generation.py
"""

import argparse
import time
from pathlib import Path

import numpy as np
from brian2 import Hz, ms, prefs
from matplotlib import pyplot as plt
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

N_STEPS, N, TAU = 1000, 100, 30 * ms
PERIODS = (1000, 500, 333, 200)  # ms


def frozen_noise(rng):
    """One trial of Poisson spikes, 50 Hz in each of 100 channels."""
    step, channel = np.nonzero(rng.random((N_STEPS, N)) < 0.05)
    return data.SpikeTrials(
        times=step / 1000,
        units=channel,
        offsets=[0, len(step)],
        labels=[0],
        n_channels=N,
        duration=N_STEPS * ms,
    )


def target_signal(rng):
    """A sum of sines that starts at 0 and whose largest value is 1, shape (steps, 1)."""
    amplitudes = rng.uniform(0.5, 2, len(PERIODS))
    phases = rng.uniform(0, 2 * np.pi, len(PERIODS))
    t = np.arange(N_STEPS)[:, None]
    signal = (amplitudes * np.sin(2 * np.pi * t / PERIODS + phases)).sum(axis=1)
    signal -= signal[0]
    return (signal / abs(signal).max())[:, None]


def make_trainer(seed):
    """The tutorial's network, with its factors 1 - alpha inside weights and learning rates."""
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
        seed=seed,
    )
    net.parameters["readout.w"][:] *= scale
    # Random feedback is N(0, 1) here, N(0, 1/n) times 1 - alpha there: all that is fed back, and
    # the firing-rate term (300 per (spikes a step)^2), is larger by one factor, learning smaller.
    larger = np.sqrt(N) / scale
    rule = EProp(feedback="random", rate_target=10 * Hz, rate_strength=300e-6 * larger, seed=seed)
    rates = {"input.w": scale**2 / larger, "recurrent.w": scale**2 / larger, "readout.w": scale**2}
    loss = MeanSquareError(reduction="sum")
    return Trainer(net, rule, optimizer=SGD(1e-4, factors=rates), loss=loss)


def draw(losses, trainer, trial, target, path):
    """The learning curve, and target, output and spikes of the trained network."""
    net = trainer.net
    prefs.codegen.target = "numpy"  # for one trial, compiling would take longer than running
    simulation = net.brian2(trial, record=["spikes", "output"])
    simulation.run(N_STEPS * ms, namespace={})
    _, axes = plt.subplots(3, 1, figsize=(6, 7), layout="constrained")
    axes[0].semilogy(losses, lw=0.8)
    axes[0].set(xlabel="update", ylabel="loss")
    t = np.arange(N_STEPS)
    analysis.plot_state(t, target[:, 0], ax=axes[1], label="target", color="black")
    output = simulation["readout_states"].output[0]
    analysis.plot_state(t, output, ax=axes[1], name="output", label="network", color="#D55E00")
    axes[1].legend()
    spikes = simulation["hidden_spikes"]
    analysis.plot_raster(spikes.t, spikes.i, ax=axes[2], markersize=2)
    axes[0].figure.savefig(path, dpi=120)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few updates: only a test")
    parser.add_argument("--output", type=Path, default=Path("output"), help="folder of the picture")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--iterations", type=int, default=2000)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(options.seed)
    trial, target = frozen_noise(rng), target_signal(rng)
    trainer = make_trainer(options.seed)
    begin, losses = time.perf_counter(), []
    bar = tqdm(range(30 if options.quick else options.iterations), mininterval=1, leave=False)
    for _ in bar:
        losses.append(trainer.step(trial, target)["loss"])
        bar.set_postfix(loss=f"{losses[-1]:.2f}", refresh=False)
    result = trainer.evaluate(trial, targets=target)
    share = 2 * result["loss"] / ((target - target.mean()) ** 2).sum()
    print(
        f"loss {losses[0]:.1f} -> {result['loss']:.2f} (normalized error {share:.3f}) in "
        f"{len(losses)} updates, {time.perf_counter() - begin:.1f} s; {result['rate.hidden']:.0f} Hz"
    )
    path = options.output / "pattern_generation.png"
    draw(losses, trainer, trial, target, path)
    print(f"picture: {path}")


if __name__ == "__main__":
    main()
