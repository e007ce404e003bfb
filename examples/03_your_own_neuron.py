"""Your own neuron: write its equations in mV, nA and nS, and everything else follows.

An exponential integrate-and-fire neuron (Fourcaud-Trocme et al. 2003; the values are typical of
cortex and not fitted to anything) whose excitatory and inhibitory synapses are conductances. Its
strings are all there is: from them e-prop's equations are derived, printed below, its STDP window is
measured, and a network of it is trained with Dale's law: 80 % of the neurons excite and 20 % inhibit.
The exponent is clipped because an Euler step of 0.5 ms may overshoot the threshold.

    python examples/03_your_own_neuron.py             # about a minute; writes output/your_own_neuron.png
    python examples/03_your_own_neuron.py --quick     # few lags, one epoch: only a test
"""

import sys
from pathlib import Path

from brian2 import ms, mV, nS, pF
from matplotlib import pyplot as plt

from neurosnn import (
    Adam,
    EProp,
    Input,
    Layer,
    NeuronModel,
    Readout,
    SpikingNetwork,
    Trainer,
    analysis,
    data,
)
from neurosnn.core.drawing import mark_quick_runs
from neurosnn.training.schedules import Exponential

quick = "--quick" in sys.argv
if quick:
    mark_quick_runs()
output = Path("output")
output.mkdir(exist_ok=True)

# %%
# The strings
# -----------
# The first input is for excitatory synapses, the second for inhibitory ones. The pseudo-derivative is a
# triangle around the soft threshold; its unit is one over that of v.

EIF = NeuronModel(
    name="EIF",
    equations="""
        dv/dt = (g_L*(E_L - v) + g_L*Delta*exp(clip((v - v_T)/Delta, -50, 5))
                 + g_e*(E_e - v) + g_i*(E_i - v))/C : volt (unless refractory)
        dg_e/dt = -g_e/tau_e : siemens
        dg_i/dt = -g_i/tau_i : siemens
        """,
    threshold="v > v_cut",
    reset="v = E_L",
    refractory="t_ref",
    method="euler",
    inputs=("g_e", "g_i"),
    surrogate="int(not_refractory)*0.3*clip(1 - abs(v - v_T)/(15*mV), 0, 1)/(15*mV)",
    parameters={
        "C": 200 * pF,
        "g_L": 10 * nS,
        "E_L": -70 * mV,
        "v_T": -50 * mV,
        "Delta": 2 * mV,
        "v_cut": -40 * mV,
        "t_ref": 2 * ms,
        "E_e": 0 * mV,
        "E_i": -80 * mV,
        "tau_e": 5 * ms,
        "tau_i": 10 * ms,
    },
    initial={"v": "E_L"},
)

# %%
# What e-prop makes of it
# -----------------------
# The eligibility traces of an excitatory synapse, as Brian2 equations, and the window.

rule = EProp()
print(rule.equations(EIF, target="g_e"))

figure, axes = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
step = 10 * ms if quick else 1 * ms
window = analysis.stdp_window(
    rule, post=EIF, max_lag=50 * ms, step=step, dt=0.5 * ms, background=0.5
)
analysis.plot_stdp_window(window, ax=axes[0], marker="")

# %%
# A network with Dale's law
# -------------------------
# Weights are conductances, so the learning rate is 0.05 nS; the readout's weights have no unit.

train, test = data.spoken_digits(n_bands=16, n_thresholds=4)
if quick:
    train = train[::10]
net = SpikingNetwork(
    Input(train.n_channels),
    Layer(EIF, 64, recurrent=True, excitatory=0.8, weight_scale=2 * nS),
    Readout(10, tau=20 * ms),
    dt=0.5 * ms,
    seed=1,
)
print(net)
adam = Adam(0.05, factors={"readout*": 0.1})
trainer = Trainer(net, rule, optimizer=adam, schedule=Exponential(0.8), seed=1)
history = trainer.fit(train, epochs=1 if quick else 10, validation=0.1)
result = trainer.evaluate(test)
print(f"new recordings: {result['accuracy']:.1%} correct, {result['rate.hidden']:.0f} Hz")
analysis.plot_learning_curve(history, ax=axes[1])
figure.savefig(output / "your_own_neuron.png", dpi=120)
