"""From a recording to a neuron: five parameters of an adaptive exponential neuron, with intervals.

Two trials of 0.3 s are recorded in stock Brian2 from the neuron of Brette & Gerstner (2005), with noise of
0.5 mV on the voltage. Then its parameters are forgotten, and found again between wide bounds.

    python examples/06_fit_a_neuron.py             # a few seconds; writes output/fit_a_neuron.png
    python examples/06_fit_a_neuron.py --quick     # a shorter recording and fewer starts
"""

import sys
from pathlib import Path

import numpy as np
from brian2 import Network, SpikeMonitor, StateMonitor, TimedArray, ms, mV, nS, pA, pF
from matplotlib import pyplot as plt
from scipy.signal import lfilter

from neurosnn import NeuronModel, VanRossumLoss, VoltageLoss, fit_model
from neurosnn.core.drawing import mark_quick_runs

quick = "--quick" in sys.argv
if quick:
    mark_quick_runs()
output = Path("output")
output.mkdir(exist_ok=True)

DT = 0.1 * ms
N_STEPS = 1500 if quick else 3000
STARTS = 4 if quick else 16

# %%
# The neuron
# ----------

ADEX = NeuronModel(
    name="AdEx",
    equations="""
        dv/dt = (g_L*(E_L - v) + g_L*Delta_T*exp((v - V_T)/Delta_T) - w + I)/C : volt
        dw/dt = (a*(v - E_L) - w)/tau_w : amp
        I : amp
        """,
    threshold="v >= v_peak",
    reset="v = V_r\nw += b",
    method="euler",
    inputs=("I",),
    parameters={
        "C": 281 * pF,
        "g_L": 30 * nS,
        "E_L": -70.6 * mV,
        "V_T": -50.4 * mV,
        "Delta_T": 2 * mV,
        "a": 4 * nS,
        "tau_w": 144 * ms,
        "b": 80.5 * pA,
        "V_r": -70.6 * mV,
        "v_peak": -40.4 * mV,
    },
    initial={"v": "E_L"},
    reference="Brette & Gerstner, J. Neurophysiol. 94:3637 (2005)",
)

# %%
# The recording
# -------------
# A current that changes within 10 ms, around a mean that makes the neuron fire. Each trial is a neuron of
# a stock NeuronGroup; the noise is that of the electrode.

white = np.random.default_rng(0).standard_normal((2, N_STEPS))
slow = lfilter([1], [1, -0.99], white, axis=1)
current = (800 + 200 * slow / slow.std()) * pA

neurons = ADEX.group(len(current), dt=DT)
neurons.namespace["injected"] = TimedArray(current.T, dt=DT)
neurons.run_regularly("I = injected(t, i)", dt=DT, when="start")
monitor, spikes = StateMonitor(neurons, "v", record=True), SpikeMonitor(neurons)
Network(neurons, monitor, spikes).run(N_STEPS * DT)
voltage = monitor.v + np.random.default_rng(1).normal(0, 0.5, monitor.v.shape) * mV
print(f"recorded {spikes.num_spikes} spikes")

# %%
# The fit
# -------
# Five parameters are free between bounds; the others keep their values.

FREE = {
    "g_L": (10 * nS, 100 * nS),
    "E_L": (-90 * mV, -50 * mV),
    "V_T": (-60 * mV, -45 * mV),
    "b": (1 * pA, 500 * pA),
    "tau_w": (10 * ms, 500 * ms),
}
fit = fit_model(
    ADEX,
    current=current,
    voltage=voltage,
    spikes=list(spikes.spike_trains().values()),
    dt=DT,
    free=FREE,
    loss=VoltageLoss() + 0.1 * VanRossumLoss(tau=4 * ms),
    starts=STARTS,
    seed=1,
)
print(fit)
for name in FREE:
    print(f"{name} was {ADEX.parameters[name]}")
print(f"coincidence of spikes within 2 ms: {fit.coincidence(2 * ms):.2f}")

# %%
# Recorded and fitted voltages
# ----------------------------

figure, ax = plt.subplots(figsize=(8, 3), layout="constrained")
fit.plot(ax=ax)
figure.savefig(output / "fit_a_neuron.png", dpi=120)
