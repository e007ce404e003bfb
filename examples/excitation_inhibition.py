"""An excitatory and inhibitory network of AdEx neurons, in mV and nS, learns to tell spoken digits apart.

Populations of adaptive exponential neurons (Brette & Gerstner 2005): regular spiking ones that excite,
and ones without adaptation that inhibit. Spikes open conductances (AMPA and GABA_A of Wang 2002), arrive
after delays that differ from synapse to synapse, and pass through synapses that depress or facilitate
(Maass et al. 2002). Dale's law holds while the network learns. It hears the embedded recordings of spoken
digits, and only its excitatory neurons are read.

A tenth of the training recordings is held out; all settings were chosen by it. The test recordings are
used once, at the end.

    python examples/excitation_inhibition.py                   # e-prop, a minute
    python examples/excitation_inhibition.py --rule bptt       # some minutes
    python examples/excitation_inhibition.py --quick           # two small epochs: only a test
"""

import argparse
import dataclasses
import time
from pathlib import Path

import numpy as np
from brian2 import Hz, ms, mV, nS, pA
from matplotlib import pyplot as plt

from neurosnn import (
    BPTT,
    Adam,
    CrossEntropy,
    EProp,
    Input,
    Population,
    Projection,
    Readout,
    SpikingNetwork,
    Trainer,
    analysis,
    data,
    equations,
)
from neurosnn.core.drawing import COLORS, mark_quick_runs
from neurosnn.equations import receptors
from neurosnn.study import Uniform
from neurosnn.training.schedules import Exponential

RULES = {"eprop": EProp(feedback="symmetric"), "bptt": BPTT()}
#: Height of the pseudo-derivative. To e-prop with Adam it does not matter. Backpropagation multiplies by it
#: at each spike on its way, and learns worse with 0.3 as the network becomes active.
GAMMA = {"eprop": 0.3, "bptt": 0.03}
EPOCHS = {"eprop": 14, "bptt": 11}
#: Factor of the learning rate from one epoch to the next.
DECAY = 0.87
#: Share of the channels that an excitatory neuron hears.
AUDIBLE = 0.15


# %%
# Neurons
# -------
# The pseudo-derivative of the named neuron is highest at the peak of the spike. There a small change of the
# potential grows tenfold in a step, so that the gradient tells how the upstroke met the grid, and little
# else. Here it is a triangle around the threshold of the spike current instead, where the upstroke begins.


def neuron(**parameters):
    """An AdEx neuron with conductances of excitation and inhibition."""
    model = equations.AdEx(receptors=(receptors.AMPA(), receptors.GABA_A()), **parameters)
    return dataclasses.replace(
        model,
        surrogate="gamma*clip(1 - abs(v - V_T)/width, 0, 1)/width",
        parameters={**model.parameters, "width": 10 * mV},
    )


def short_term(U, tau_d, tau_f):
    """Synapses in siemens that depress or facilitate."""
    return equations.TsodyksMarkram(U=U, tau_d=tau_d, tau_f=tau_f, unit="siemens")


# %%
# Network
# -------
# Each excitatory neuron hears a few channels, at moments up to 80 ms apart. Synapses from all channels would
# make all of them follow the loudness. The numbers of short-term plasticity are those of Maass et al. (2002).


def make_network(n_channels, n, gamma, seed):
    """`n` excitatory neurons, a quarter as many that inhibit, and a readout of the former."""
    n_inhibitory = n // 4
    delay = Uniform(1 * ms, 3 * ms)
    excitation, inhibition = {"input": "g_ampa", "sign": 1}, {"input": "g_gaba"}
    return SpikingNetwork.from_graph(
        {
            "E": Population(neuron(gamma=gamma), n),
            "I": Population(neuron(gamma=gamma, a=0 * nS, b=0 * pA), n_inhibitory),
        },
        [
            Projection(
                "input",
                "E",
                connectivity=AUDIBLE,
                delay=Uniform(0.5 * ms, 80 * ms),
                weight_scale=12 * np.sqrt(AUDIBLE * n_channels) * nS,
                **excitation,
            ),
            Projection(
                "input",
                "I",
                learn=(),
                delay=delay,
                weight_scale=2 * np.sqrt(n_channels) * nS,
                **excitation,
            ),
            Projection(
                "E",
                "E",
                synapse=short_term(0.5, 1100 * ms, 50 * ms),
                connectivity=0.2,
                delay=delay,
                weight_scale=0.5 * np.sqrt(0.2 * n) * nS,
                **excitation,
            ),
            Projection(
                "E",
                "I",
                learn=(),
                synapse=short_term(0.05, 125 * ms, 1200 * ms),
                connectivity=0.2,
                delay=delay,
                weight_scale=1 * np.sqrt(0.2 * n) * nS,
                **excitation,
            ),
            Projection(
                "I",
                "E",
                synapse=short_term(0.25, 700 * ms, 20 * ms),
                delay=delay,
                weight_scale=4 * np.sqrt(n_inhibitory) * nS,
                **inhibition,
            ),
        ],
        Readout(10, of="E", tau=40 * ms),
        input=Input(n_channels),
        dt=1 * ms,
        seed=seed,
    )


# %%
# Training
# --------
# Learning rates are in nS; those of the readout, whose weights are plain numbers, are a fraction of them.
# E-prop has no error for neurons that are not read. Synapses on inhibitory neurons therefore stay as they
# are, with both rules, and what these neurons send is learned.


def make_trainer(net, rule, seed):
    """The rule with the settings that the held-out recordings chose."""
    return Trainer(
        net,
        RULES[rule],
        optimizer=Adam(0.4, factors={"*readout*": 0.04}),
        loss=CrossEntropy(readout="mean"),
        schedule=Exponential(DECAY),
        seed=seed,
    )


def report(name, share, n):
    """Accuracy with Wilson's 95 % interval."""
    low, high = 100 * analysis.wilson_interval(share, n)
    print(f"{name}: {100 * share:.1f} % of {n} (Wilson 95 %: {low:.1f} to {high:.1f})", flush=True)


# %%
# What the network does
# ---------------------
# One recording as a raster, the rates of all neurons in all of them, and the learning curve.


def draw(trainer, history, trials, path):
    """The picture."""
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
    spikes, first = trainer.record(trials[:1]).spikes, 0
    rows = {"input": (trials, "0.6"), "I": (spikes["I"], COLORS[1]), "E": (spikes["E"], COLORS[0])}
    for name, (rasters, color) in rows.items():
        analysis.plot_raster(
            rasters[0].times,
            rasters[0].units + first,
            ax=axes[0],
            color=color,
            markersize=2,
            label=name,
        )
        first += rasters.n_channels
    axes[0].set(
        title=f'a spoken "{trials.class_names[trials.labels[0]]}"', ylabel="channel, neuron"
    )
    axes[0].legend(loc="upper right", fontsize=7, markerscale=3)
    activities = analysis.network_activity(trainer.net, trials)
    bins = np.linspace(0, max(np.max(each.rates / Hz) for each in activities.values()), 21)
    for k, (name, activity) in enumerate(activities.items()):
        rates = activity.rates / Hz
        label = f"{name}, mean {rates.mean():.1f} Hz"
        axes[1].hist(rates, bins, color=COLORS[k], alpha=0.6, label=label)
        print(f"{label}, at most {rates.max():.1f} Hz, {activity.silent:.0%} silent")
    axes[1].set(
        xlabel="firing rate (Hz)", ylabel="neurons", title="neurons, in all test recordings"
    )
    axes[1].legend(fontsize=7)
    analysis.plot_learning_curve(history, ax=axes[2])
    figure.savefig(path, dpi=120)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small, two epochs: only a test")
    parser.add_argument("--output", type=Path, default=Path("output"), help="folder of the picture")
    parser.add_argument("--rule", choices=tuple(RULES), default="eprop")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--epochs", type=int, help="14, with BPTT 11")
    parser.add_argument("--neurons", type=int, default=120, help="those that excite")
    options = parser.parse_args()
    if options.quick:
        mark_quick_runs()
    options.epochs = options.epochs or EPOCHS[options.rule]
    options.output.mkdir(parents=True, exist_ok=True)
    train, test = data.spoken_digits(n_bands=35, n_thresholds=4, trim=0.7)
    if options.quick:
        train, test, options.epochs, options.neurons = train[::30], test[::10], 2, 20
    train, held_out = data.validation_split(train, 0.1, seed=0)

    trainer = make_trainer(
        make_network(train.n_channels, options.neurons, GAMMA[options.rule], options.seed),
        options.rule,
        options.seed,
    )
    print(trainer.net)
    begin, processor = time.perf_counter(), time.process_time()
    history = trainer.fit(train, epochs=options.epochs, batch_size=16, validation=held_out)
    print(
        f"{options.rule}, seed {options.seed}: {options.epochs} epochs in "
        f"{time.perf_counter() - begin:.0f} s, {time.process_time() - processor:.0f} s of a processor"
    )
    report("held out", trainer.evaluate(held_out)["accuracy"], len(held_out))
    report("test", trainer.evaluate(test)["accuracy"], len(test))
    path = options.output / f"excitation_inhibition_{options.rule}.png"
    draw(trainer, history, test, path)
    print(f"picture: {path}")


if __name__ == "__main__":
    main()
