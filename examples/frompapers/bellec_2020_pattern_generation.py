"""Pattern generation: e-prop teaches a recurrent network to draw a curve (Bellec 2020).

Frozen Poisson noise enters 100 recurrent LIF neurons, and one leaky readout has to produce the sum of
four sines within a second. The network has no other clock than its own activity; e-prop adjusts the
input, recurrent and readout weights with fixed random feedback and plain gradient descent.

Bellec et al., Nat. Commun. 11:3625 (2020), figure 1; constants of the authors' published tutorial
`tutorial_pattern_generation.py`: tau_m = tau_out = 30 ms, v_th 0.03, gamma 0.3, no refractory period,
input 50 Hz, learning rate 1e-4, firing rates regularized towards 10 Hz with strength 300.

What differs is notation only, and the random draws. Input and readout of the tutorial have factors
1 - alpha and 1 - kappa, which are part of the weights here: gradient descent on them needs the learning
rate times the factor squared. Feedback weights are N(0, 1) here and N(0, 1)/sqrt(100), with the factor
1 - kappa, there: the learning rates of input and recurrent weights make up for it. With the tutorial's
own random draws the losses are equal to the published digits (tests/test_eprop_authors.py).

    python examples/frompapers/bellec_2020_pattern_generation.py             # under a minute
"""

import argparse
import time
from pathlib import Path

import numpy as np
from brian2 import Hz, ms, prefs
from matplotlib import pyplot as plt

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

N_STEPS, N, V_TH, TAU = 1000, 100, 0.03, 30 * ms
PERIODS = (1000, 500, 333, 200)  # ms, at one step a ms
DECAY = float(np.exp(-1 * ms / TAU))  # alpha and kappa


def frozen_noise(rng):
    """One trial of input spikes at 50 Hz, the same in all iterations."""
    step, channel = np.nonzero(rng.random((N_STEPS, N)) < 0.05)
    return data.SpikeTrials(
        times=step / 1000,
        units=channel,
        offsets=[0, len(step)],
        labels=[0],
        n_channels=N,
        duration=N_STEPS * ms,
    )


def four_sines(rng):
    """Target (steps, 1): starts at 0, its largest absolute value is 1."""
    signal = np.zeros(N_STEPS)
    for period in PERIODS:
        amplitude, phase = rng.uniform(0.5, 2), rng.uniform(0, 2 * np.pi)
        signal += amplitude * np.sin(phase + 2 * np.pi * np.arange(N_STEPS) / period)
    signal -= signal[0]
    return (signal / abs(signal).max())[:, None]


def make_trainer(seed):
    """The network and its trainer."""
    net = SpikingNetwork(
        Input(N),
        Layer(
            equations.LIF(tau_m=TAU, v_th=V_TH, t_ref=0 * ms, psi_at_spike=True),
            N,
            recurrent=True,
            weight_scale=(1 - DECAY) / V_TH,
        ),
        Readout(1, tau=TAU, bias=False),
        dt=1 * ms,
        seed=seed,
    )
    net.parameters["readout.w"][:] *= 1 - DECAY
    feedback = np.sqrt(N) / (1 - DECAY)  # ours over the tutorial's
    rule = EProp(feedback="random", rate_target=10 * Hz, rate_strength=300e-6 * feedback, seed=seed)
    sgd = SGD(
        1e-4 * (1 - DECAY) ** 2,
        factors={"input.w": 1 / feedback, "recurrent.w": 1 / feedback},
    )
    return Trainer(net, rule, optimizer=sgd, loss=MeanSquareError(reduction="sum"), seed=seed)


def response(net, trial):
    """Time, output and spikes of one trial in stock Brian2."""
    prefs.codegen.target = "numpy"  # compiling would take longer than this one trial
    simulation = net.brian2(trial, record=["spikes", "output"])
    simulation.run(net.schedule(trial).duration, namespace={})
    readout, spikes = simulation["readout_states"], simulation["hidden_spikes"]
    return readout.t[:N_STEPS], np.array(readout.output[0][:N_STEPS]), spikes


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="30 iterations: only a test")
    parser.add_argument("--output", type=Path, default=Path("output"), help="folder of the picture")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--iterations", type=int, default=2000)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    n_iterations, seeds = (30, [1]) if options.quick else (options.iterations, options.seeds)

    figure, axes = plt.subplots(1, 3, figsize=(12, 3.5), layout="constrained")
    print("seed  loss before  loss after  rate (Hz)  seconds")
    for seed in seeds:
        begin = time.perf_counter()
        rng = np.random.default_rng(seed)
        trial, target = frozen_noise(rng), four_sines(rng)
        trainer = make_trainer(seed)
        if seed == seeds[0]:
            t, before, _ = response(trainer.net, trial)
        losses = [trainer.step(trial, targets=target)["loss"] for _ in range(n_iterations)]
        result = trainer.evaluate(trial, targets=target)
        losses.append(result["loss"])
        print(
            f"{seed:4d}  {losses[0]:11.1f}  {losses[-1]:10.1f}  {result['rate.hidden']:9.1f}  "
            f"{time.perf_counter() - begin:7.1f}",
            flush=True,
        )
        axes[0].semilogy(losses, lw=1, label=f"seed {seed}")
        if seed == seeds[0]:
            t, after, spikes = response(trainer.net, trial)
            analysis.plot_state(t, before, ax=axes[1], color="0.7", label="before")
            analysis.plot_state(t, target[:, 0], ax=axes[1], color="k", label="target")
            analysis.plot_state(
                t, after, ax=axes[1], name="output", color="#D55E00", label=f"after {n_iterations}"
            )
            analysis.plot_raster(spikes.t, spikes.i, ax=axes[2], markersize=1.5)
    axes[0].set(xlabel="iteration", ylabel="loss: half the squared error, summed")
    axes[0].legend()
    axes[1].legend()
    path = options.output / "pattern_generation.png"
    figure.savefig(path, dpi=120)
    print(f"picture: {path}")


if __name__ == "__main__":
    main()
