"""Train a recurrent spiking network with e-prop on real recordings, save it and look inside.

Sixteen pooled bands of the embedded spoken digits and 64 adaptive neurons: large enough to learn,
small enough for a look at everything. The same network then runs as stock Brian2 objects with
monitors, and its spikes equal those of the engine that trained it.

    python examples/02_train_with_eprop.py            # ten seconds
"""

import argparse
from pathlib import Path

import numpy as np
from brian2 import ms, prefs
from matplotlib import pyplot as plt

from neurosnn import (
    Adam,
    EProp,
    Input,
    Layer,
    Readout,
    SpikingNetwork,
    Trainer,
    analysis,
    data,
    equations,
)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one epoch: only a test")
    parser.add_argument(
        "--output", type=Path, default=Path("output"), help="folder of the pictures"
    )
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)

    # Data: spike trials in the layout of the Heidelberg digits.
    train, test = data.spoken_digits(n_bands=16, n_thresholds=4)
    print(train)

    # Network, rule, optimizer. print(net) and print(rule.equations(model)) say what they are.
    neuron = equations.ALIF(tau_a=200 * ms)
    net = SpikingNetwork(
        Input(train.n_channels),
        Layer(neuron, 64, recurrent=True),
        Readout(10, tau=20 * ms),
        dt=1 * ms,
        seed=options.seed,
    )
    rule = EProp(feedback="symmetric")
    print(net, "\n\nE-prop for this neuron, as Brian2 code:\n", sep="\n")
    print(rule.equations(neuron), "\n")
    trainer = Trainer(net, rule, optimizer=Adam(3e-3), seed=options.seed)

    # A tenth of the training recordings is held out to see when it stops getting better.
    history = trainer.fit(train, epochs=1 if options.quick else 15, batch_size=32, validation=0.1)
    print(f"new recordings: {trainer.evaluate(test)['accuracy']:.1%} correct")
    wrong = np.flatnonzero(trainer.predict(test) != test.labels)
    print(f"wrong answers: {len(wrong)} of {len(test)}")

    # Weights are plain arrays, and a file holds all of the network.
    for name, values in net.parameters.items():
        print(f"{name:12s} {values.shape!s:10s} standard deviation {values.std():.3f}")
    net.save(options.output / "digits.npz")
    assert SpikingNetwork.load(options.output / "digits.npz").n_parameters == net.n_parameters

    # One recording in stock Brian2, with monitors.
    prefs.codegen.target = "numpy"  # for one trial, compiling would take longer than running
    trial = test[:1]
    simulation = net.brian2(trial, record=["spikes", "v", "output"])
    simulation.run(net.trial_times(trial).duration, namespace={})
    spikes, states = simulation["hidden_spikes"], simulation["hidden_states"]
    output = simulation["readout_states"].output

    figure, axes = plt.subplots(2, 2, figsize=(9, 6), layout="constrained")
    analysis.plot_learning_curve(history, ax=axes[0, 0])
    analysis.plot_raster(trial[0].times, trial[0].units, ax=axes[0, 1], markersize=2)
    axes[0, 1].set(ylabel="input channel", title=f'a "{trial.class_names[trial.labels[0]]}"')
    analysis.plot_raster(spikes.t, spikes.i, ax=axes[1, 0], markersize=3)
    for k in range(10):
        truth = k == trial.labels[0]
        style = {"color": "#D55E00", "lw": 2, "zorder": 3} if truth else {"color": "0.7", "lw": 1}
        label = "the right answer" if truth else None
        analysis.plot_state(states.t, output[k], ax=axes[1, 1], name="output", label=label, **style)
    axes[1, 1].legend()
    figure.savefig(options.output / "train_with_eprop.png", dpi=120)
    print(f"picture: {options.output / 'train_with_eprop.png'}")


if __name__ == "__main__":
    main()
