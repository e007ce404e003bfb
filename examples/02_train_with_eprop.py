"""Train a recurrent spiking network with e-prop on real recordings, save it and look inside.

Sixteen pooled bands of the embedded spoken digits and 64 adaptive neurons: large enough to learn,
small enough for a look at everything. The same network then runs as stock Brian2 objects with
monitors, and its spikes equal those of the engine that trained it.

    python examples/02_train_with_eprop.py            # ten seconds; writes output/train_with_eprop.png
    python examples/02_train_with_eprop.py --quick    # one epoch: only a test
"""

import sys
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
from neurosnn.core.drawing import mark_quick_runs

quick = "--quick" in sys.argv
if quick:
    mark_quick_runs()
output = Path("output")
output.mkdir(exist_ok=True)

# %%
# Data, network, rule
# -------------------
# Trials of spikes in the layout of the Heidelberg digits. ``rule.equations(model)`` shows what e-prop is for
# this neuron.

train, test = data.spoken_digits(n_bands=16, n_thresholds=4)
print(train)
neuron = equations.ALIF(tau_a=200 * ms)
net = SpikingNetwork(
    Input(train.n_channels),
    Layer(neuron, 64, recurrent=True),
    Readout(10, tau=20 * ms),
    dt=1 * ms,
    seed=1,
)
rule = EProp(feedback="symmetric")
print(net)
print(rule.equations(neuron))

# %%
# Training
# --------
# A tenth of the training recordings is held out to see when it stops getting better.

trainer = Trainer(net, rule, optimizer=Adam(3e-3), seed=1)
history = trainer.fit(train, epochs=1 if quick else 15, batch_size=32, validation=0.1)
print(f"new recordings: {trainer.evaluate(test)['accuracy']:.1%} correct")
wrong = np.flatnonzero(trainer.predict(test) != test.labels)
print(f"wrong answers: {len(wrong)} of {len(test)}")
figure, ax = plt.subplots(figsize=(5, 3.5), layout="constrained")
analysis.plot_learning_curve(history, ax=ax)
figure.savefig(output / "learning_curve.png", dpi=120)

# %%
# Weights are plain arrays, and a file holds all of the network.

for name, values in net.parameters.items():
    print(f"{name:12s} {values.shape!s:10s} standard deviation {values.std():.3f}")
net.save(output / "digits.npz")
assert SpikingNetwork.load(output / "digits.npz").n_parameters == net.n_parameters

# %%
# A look inside
# -------------
# One recording in stock Brian2, with monitors. For one trial, compiling would take longer than running.

prefs.codegen.target = "numpy"
trial = test[:1]
simulation = net.brian2(trial, record=["spikes", "v", "output"])
simulation.run(net.trial_times(trial).duration, namespace={})
spikes, states = simulation["hidden_spikes"], simulation["readout_states"]

figure, axes = plt.subplots(3, 1, figsize=(6, 7), layout="constrained", sharex=True)
analysis.plot_raster(trial[0].times, trial[0].units, ax=axes[0], markersize=2)
axes[0].set(ylabel="input channel", title=f'a "{trial.class_names[trial.labels[0]]}"')
analysis.plot_raster(spikes.t, spikes.i, ax=axes[1], markersize=3)
for k in range(10):
    truth = k == trial.labels[0]
    style = {"color": "#D55E00", "lw": 2, "zorder": 3} if truth else {"color": "0.7", "lw": 1}
    label = "the right answer" if truth else None
    analysis.plot_state(states.t, states.output[k], ax=axes[2], name="output", label=label, **style)
axes[2].legend()
figure.savefig(output / "train_with_eprop.png", dpi=120)
