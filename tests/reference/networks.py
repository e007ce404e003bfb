"""Models, networks and trials that tests of networks share."""

import numpy as np
from brian2 import ms, mV, nS, pF

from neurosnn import NeuronModel, equations
from neurosnn.data import SpikeTrials
from neurosnn.network import Input, Layer, Readout, SpikingNetwork

N_IN, N_STEPS, N = 30, 60, 20
CURRENT = NeuronModel(
    name="Current",
    equations="dv/dt = (v_rest - v)/tau_m + I/C : volt (unless refractory)\ndI/dt = -I/tau_s : amp",
    threshold="v > v_th",
    reset="v = v_rest",
    refractory="2*ms",
    inputs=("I",),
    initial={"v": np.linspace(-70, -60, N) * mV},
    parameters={
        "v_rest": -70 * mV,
        "v_th": -50 * mV,
        "C": 200 * pF,
        "tau_m": 20 * ms,
        "tau_s": 5 * ms,
    },
)
CONDUCTANCE = NeuronModel(
    name="Conductance",
    equations="""dv/dt = (g_l*(v_rest - v) + g_e*(e_e - v) + g_i*(e_i - v))/C : volt
        dg_e/dt = -g_e/tau_e : siemens
        dg_i/dt = -g_i/tau_i : siemens""",
    method="exponential_euler",
    threshold="v > v_th",
    reset="v = v_rest",
    refractory="2*ms",
    inputs=("g_e", "g_i"),
    initial={"v": "v_rest"},
    parameters={"g_l": 10 * nS, "v_rest": -70 * mV, "e_e": 0 * mV, "e_i": -80 * mV, "C": 200 * pF,
                "tau_e": 5 * ms, "tau_i": 10 * ms, "v_th": -50 * mV},
)  # fmt: skip
ONE_CONDUCTANCE = NeuronModel(
    equations="dg/dt = -g/tau : siemens",
    threshold="g > g_th",
    reset="g = 0*siemens",
    inputs=("g",),
    parameters={"tau": 5 * ms, "g_th": 1 * nS},
)
TWO_UNITS = NeuronModel(
    equations="dv/dt = -v/tau + I/C : volt\nI : amp",
    threshold="v > v_th",
    reset="v = 0*mV",
    inputs=("I", "v"),
    parameters={"tau": 5 * ms, "C": 200 * pF, "v_th": 1 * mV},
)


def spike_trials(n_trials=2, seed=0, rate=0.1):
    raster = np.random.default_rng(seed).random((n_trials, N_STEPS, N_IN)) < rate
    trial, step, channel = np.nonzero(raster)
    return SpikeTrials(
        times=step * ms, units=channel, offsets=np.searchsorted(trial, range(n_trials + 1)),
        labels=np.zeros(n_trials, dtype=int), n_channels=N_IN, duration=N_STEPS * ms,
    )  # fmt: skip


def raster(trials, k):
    offsets, step, channel = trials.steps(1 * ms)
    rows = slice(offsets[k], offsets[k + 1])
    dense = np.zeros((N_STEPS, N_IN))
    dense[step[rows], channel[rows]] = 1
    return dense


def network(model=None, *, layers=1, readout=None, **settings):
    model = equations.ALIF() if model is None else model
    settings = {"recurrent": True, "weight_scale": 2.0, **settings}
    return SpikingNetwork(
        Input(N_IN),
        *[Layer(model, N, **settings) for _ in range(layers)],
        readout or Readout(3),
        seed=1,
    )


def simulate(net, inputs, **settings):
    simulation = net.brian2(inputs, record=("spikes", "output"), **settings)
    simulation.run(net.trial_times(inputs).duration, namespace={})
    return simulation


def spikes(monitor, dt=1 * ms):
    return list(
        zip(np.rint(monitor.t / dt).astype(int).tolist(), monitor.i[:].tolist(), strict=True)
    )


def real_valued_network(delay=0 * ms):
    return SpikingNetwork(
        Input(4, real_valued=True),
        Layer(equations.LIF(), N, recurrent=True, delay=delay),
        Readout(3),
        seed=1,
    )
