"""Small networks, trials and models that the engine's tests share."""

import ctypes
import subprocess

import numpy as np
from brian2 import ms, mV, nS, pF

from neurosnn import NeuronModel, equations
from neurosnn.data import SpikeTrials
from neurosnn.engine.build import FLAGS, PRECISION_FLAGS, compiler
from neurosnn.engine.codegen import render


def functions_of_templates(folder, names, real, code, *flags):
    """A library of functions that call those of the engine's templates, compiled with its own flags."""
    source, library = folder / f"{real}.cpp", folder / f"{real}.so"
    parts = [render(f"{name}.jinja", {}, real=real) for name in names]
    source.write_text("\n".join([*parts, "}", code]))
    flags = [*FLAGS, *flags, "-march=native", *PRECISION_FLAGS[real]]
    subprocess.run([compiler(), *flags, str(source), "-o", str(library)], check=True)
    return ctypes.CDLL(str(library))


NAMED = {
    "LIF": equations.LIF(),
    "ALIF": equations.ALIF(),
    "STDP_LIF": equations.STDP_LIF(t_ref=3 * ms),
    "STDP_ALIF": equations.STDP_ALIF(t_ref=3 * ms),
    "Izhikevich": equations.Izhikevich(clip_eligibility=False),
}

EXPONENTIAL = NeuronModel(
    name="exponential IF in mV",
    equations="""
    dv/dt = (E - v + D*exp((v - V_T)/D))/tau_m + I/tau_s : volt
    dI/dt = -I/tau_s : volt
    """,
    threshold="v > V_T + 3*D",
    reset="v = E",
    refractory=2 * ms,
    method="euler",
    inputs=("I",),
    surrogate="clip(1 - abs(v - V_T - 3*D)/(15*mV), 0, 1)/(15*mV)",
    parameters={"E": -70 * mV, "tau_m": 20 * ms, "tau_s": 5 * ms, "V_T": -50 * mV, "D": 2 * mV},
    initial={"v": "E"},
)

TWO_ADAPTATIONS = NeuronModel(
    name="two adaptation variables",
    equations="""
    dv/dt = -v/tau_m : 1
    da/dt = -a/tau_a : 1
    dc/dt = (a - c)/(3*tau_a) : 1
    """,
    threshold="v > 1 + 0.1*a + 0.2*c",
    reset="v -= 1\na += 1",
    spike_gradient=("a", "c"),
    surrogate="0.3*clip(1 - abs(v - 1 - 0.1*a - 0.2*c), 0, 1)",
    parameters={"tau_m": 20 * ms, "tau_a": 100 * ms},
)

CONDUCTANCE = NeuronModel(
    name="conductance synapse",
    equations="""
    dv/dt = (E_L - v)/tau_m + g*(E_e - v)/C : volt (unless refractory)
    dg/dt = -g/tau_s : siemens
    """,
    threshold="v > v_th",
    reset="v = E_L",
    refractory=2 * ms,
    method="exponential_euler",
    inputs=("g",),
    surrogate="clip(1 - abs(v - v_th)/(10*mV), 0, 1)/(10*mV)",
    parameters={
        "E_L": -70 * mV,
        "E_e": 0 * mV,
        "v_th": -50 * mV,
        "tau_m": 20 * ms,
        "tau_s": 5 * ms,
        "C": 200 * pF,
    },
    initial={"v": "E_L"},
)

# input enters the membrane itself, which is closed while refractory; both variables act on each
# other; the reset keeps a part of v
GATED = NeuronModel(
    name="adaptive with refractory input",
    equations="""
    dv/dt = (-v - u)/tau_m : 1 (unless refractory)
    du/dt = (k*v - u)/tau_u : 1
    """,
    threshold="v >= v_th",
    reset="u += 0.1*v\nv = v_r + 0.2*(v - v_r)",
    refractory="t_ref",
    method="euler",
    spike_gradient=("u",),
    surrogate="0.4*clip(1 - abs(v - v_th), 0, 1)",
    parameters={
        "tau_m": 20 * ms,
        "tau_u": 60 * ms,
        "k": 0.3,
        "v_th": 1.0,
        "v_r": -0.1,
        "t_ref": 3 * ms,
    },
)

TWO_CONDUCTANCES = NeuronModel(
    name="excitatory and inhibitory conductance",
    equations="""
    dv/dt = ((E_L - v)*g_L + g_e*(E_e - v) + g_i*(E_i - v))/C : volt (unless refractory)
    dg_e/dt = -g_e/tau_e : siemens
    dg_i/dt = -g_i/tau_i : siemens
    """,
    threshold="v > v_th",
    reset="v = E_L",
    refractory=2 * ms,
    method="exponential_euler",
    inputs=("g_e", "g_i"),
    surrogate="clip(1 - abs(v - v_th)/(10*mV), 0, 1)/(10*mV)",
    parameters={
        "E_L": -70 * mV,
        "E_e": 0 * mV,
        "E_i": -80 * mV,
        "v_th": -50 * mV,
        "g_L": 10 * nS,
        "tau_e": 5 * ms,
        "tau_i": 10 * ms,
        "C": 200 * pF,
    },
    initial={"v": "E_L"},
)

#: Held variables that depend on each other, in the state update, the refractory period and the reset;
#: that see the flag of the step before; and in a unit.
CONSTANT_OVER_DT = NeuronModel(
    name="held variables",
    equations="""
    dv/dt = (I + 14*mV - v + 0.1*low)/tau : volt (unless refractory)
    dI/dt = -I/(5*ms) : volt
    high = 9*mV + 0.2*v + 0.1*low : volt (constant over dt)
    low = 0.3*(open*mV - v) : volt (constant over dt)
    open = int(not_refractory) : 1 (constant over dt)
    """,
    threshold="v > high + 0.1*low",
    reset="v = low - 1*mV",
    refractory="2*ms + 0.1*ms*high/mV",
    method="euler",
    inputs=("I",),
    surrogate="0.3*clip(1 - abs(v - high - 0.1*low)/(20*mV), 0, 1)/(20*mV)",
    parameters={"tau": 10 * ms},
)

USER_WRITTEN = {
    "exponential": EXPONENTIAL,
    "two_adaptations": TWO_ADAPTATIONS,
    "conductance": CONDUCTANCE,
    "gated": GATED,
    "two_conductances": TWO_CONDUCTANCES,
    "constant_over_dt": CONSTANT_OVER_DT,
}
#: A recursion with Euler steps; the published recursions of NAMED have numpy oracles of their own.
RECURSIONS = {"PLIF": equations.PLIF(tau_m=4 * ms)}
MODELS = {**NAMED, **USER_WRITTEN, **RECURSIONS}

#: `weight_scale` at which most neurons of two layers spike, and none in every step it could; 1.5
#: for all others. In units of v_th or, if there is none in the unit of the input, 1 mV or 1 nS.
SCALE = {
    "PLIF": 15.0,
    "Izhikevich": 35.0,
    "exponential": 42.0,
    "conductance": 5.0,
    "two_conductances": 5.0,
    "constant_over_dt": 8.0,
}


def spike_trials(n_trials=2, n_channels=30, n_steps=1000, rate=20.0, n_classes=3, seed=0):
    """Random spikes on the grid of 1 ms, several of them in one step."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson(rate * n_channels * n_steps * 1e-3, n_trials)
    times = [np.sort(rng.integers(0, n_steps, count)) * 1e-3 for count in counts]
    return SpikeTrials(
        times=np.concatenate(times),
        units=rng.integers(0, n_channels, counts.sum()).astype(np.int32),
        offsets=np.concatenate([[0], np.cumsum(counts)]),
        labels=rng.integers(0, n_classes, n_trials),
        n_channels=n_channels,
        duration=n_steps * ms,
    )


def raster(trials, k, n_steps, dt=1 * ms):
    """Spikes of trial k as an array (n_steps, n_channels)."""
    offsets, step, channel = trials.steps(dt)
    part = slice(offsets[k], offsets[k + 1])
    result = np.zeros((n_steps, trials.n_channels))
    np.add.at(result, (step[part], channel[part]), 1.0)
    return result
