"""Published neurons with adaptation, moving thresholds or afterpotentials, and maps."""

import numpy as np
from brian2 import Mohm, ms, mV, nA, nS, pA, pF, second, volt

from zoo.integrate_and_fire import psi
from zoo.published import PublishedNeuron

__all__ = ["NEURONS"]

#: C, gL, EL, VT, DeltaT, a, tauw, b, Vr, I; Naud et al. 2008, table 1.
NAUD = {
    "tonic": (200, 10, -70, -50, 2, 2, 30, 0, -58, 500),
    "adapting": (200, 12, -70, -50, 2, 2, 300, 60, -58, 500),
    "regular_bursting": (200, 10, -58, -50, 2, 2, 120, 100, -46, 210),
    "delayed_accelerating": (200, 12, -70, -50, 2, -10, 300, 0, -58, 300),
}
NAMES = ("C", "gL", "EL", "VT", "DeltaT", "a", "tauw", "b", "Vr", "I_e")
UNITS = (pF, nS, mV, mV, mV, nS, ms, pA, mV, pA)


def adex(pattern):
    """As in Brian2's example of Brette & Gerstner, with a synaptic current."""
    numbers = dict(zip(NAMES, NAUD[pattern], strict=True))
    return PublishedNeuron(
        reference=f"Naud et al. 2008, AdEx {pattern.replace('_', ' ')}",
        equations="""
        dvm/dt = (gL*(EL - vm) + gL*DeltaT*exp((vm - VT)/DeltaT) + I_e + I - w)/C : volt
        dw/dt = (a*(vm - EL) - w)/tauw : amp
        dI/dt = -I/(5*ms) : amp
        """,
        threshold="vm>Vcut",
        reset="vm=Vr; w+=b",
        method="euler",
        inputs=("I",),
        weight=200 * pA,
        constants={
            name: number * unit for (name, number), unit in zip(numbers.items(), UNITS, strict=True)
        }
        | {"Vcut": -40 * mV},
        values={"vm": "EL"},
        surrogate=psi("vm - Vcut", "20*mV"),
        spike_gradient=("w",),
    )


CLOPATH = PublishedNeuron(
    reference="Clopath et al. 2010, AdEx with afterpotential",
    equations="""
    du/dt = (-g_L*(u - E_L) + g_L*Delta_T*exp((u - V_T)/Delta_T) - w_ad + z + I)/C : volt
    dw_ad/dt = (a*(u - E_L) - w_ad)/tau_wad : amp
    dz/dt = -z/tau_z : amp
    dV_T/dt = -(V_T - V_Trest)/tau_VT : volt
    dI/dt = -I/(5*ms) : amp
    """,
    threshold="u > V_T + 5*Delta_T",
    reset="""
    u = E_L
    w_ad += b
    z = I_sp
    V_T = V_Tmax
    """,
    method="euler",
    inputs=("I",),
    weight=500 * pA,
    constants={
        "C": 281 * pF,
        "g_L": 30 * nS,
        "E_L": -70.6 * mV,
        "Delta_T": 2 * mV,
        "V_Trest": -50.4 * mV,
        "V_Tmax": -30.4 * mV,
        "tau_wad": 144 * ms,
        "a": 4 * nS,
        "b": 0.0805 * nA,
        "I_sp": 400 * pA,
        "tau_z": 40 * ms,
        "tau_VT": 50 * ms,
    },
    values={"u": "E_L", "V_T": "V_Trest"},
    surrogate=psi("u - V_T - 5*Delta_T", "20*mV"),
    spike_gradient=("w_ad",),
)

#: RS, IB, CH, FS, TC and LTS cells; figure 2 of the paper.
IZHIKEVICH = PublishedNeuron(
    reference="Izhikevich 2003, six cell types",
    equations="""
    dv/dt = (0.04/ms/mV)*v**2 + (5/ms)*v + 140*mV/ms - u + I : volt
    du/dt = a*(b*v - u) : volt/second
    dI/dt = -I/(5*ms) : volt/second
    a : 1/second (constant)
    b : 1/second (constant)
    c : volt (constant)
    d : volt/second (constant)
    """,
    threshold="v >= 30*mV",
    reset="v = c\n    u += d",
    method="euler",
    inputs=("I",),
    weight=8 * volt / second,
    values={
        "a": np.array([0.02, 0.02, 0.02, 0.1, 0.02, 0.02]) / ms,
        "b": np.array([0.2, 0.2, 0.2, 0.2, 0.25, 0.25]) / ms,
        "c": np.array([-65, -55, -50, -65, -65, -65]) * mV,
        "d": np.array([8, 4, 2, 2, 0.05, 2]) * volt / second,
        "v": -65 * mV,
        "u": "b*v",
    },
    surrogate=psi("v - 30*mV", "90*mV"),
    spike_gradient=("u",),
)

IZHIKEVICH_2007 = PublishedNeuron(
    reference="Izhikevich 2007, regular spiking with a capacitance",
    equations="""
    dvm/dt = (k*(vm - vr)*(vm - vt) - u + I)/C : volt
    du/dt = a*(b*(vm - vr) - u) : amp
    dI/dt = -I/(5*ms) : amp
    """,
    threshold="vm > vpeak",
    reset="vm = c; u += d",
    inputs=("I",),
    weight=150 * pA,
    constants={
        "C": 100 * pF,
        "vr": -60 * mV,
        "vt": -40 * mV,
        "k": 0.7 * pA / mV**2,
        "a": 0.03 / ms,
        "b": -2 * nS,
        "c": -50 * mV,
        "d": 100 * pA,
        "vpeak": 35 * mV,
    },
    values={"vm": "vr"},
    surrogate=psi("vm - vpeak", "80*mV"),
    spike_gradient=("u",),
)

QUARTIC = PublishedNeuron(
    reference="Touboul 2008, quartic",
    equations="""
    dv/dt = (v**4 + 2*a*v - w + I)/ms : 1
    dw/dt = eps*(b*v - w)/ms : 1
    dI/dt = -I/(5*ms) : 1
    """,
    threshold="v > 2.5",
    reset="v = v_r; w += d",
    method="euler",
    inputs=("I",),
    weight=1.0,
    constants={"a": 0.2, "b": 0.5, "eps": 0.1, "v_r": -0.5, "d": 0.4},
    surrogate=psi("v - 2.5", "2.5"),
    steep=True,
    spike_gradient=("w",),
    numbers="ours",
)

MIHALAS_NIEBUR = PublishedNeuron(
    reference="Mihalaş & Niebur 2009, tonic bursting",
    equations="""
    dV/dt = I_e + I1 + I2 + I - G*(V - E_L) : volt      # currents per capacitance
    dTheta/dt = a*(V - E_L) - b*(Theta - Theta_inf) : volt
    dI1/dt = -k1*I1 : volt/second
    dI2/dt = -k2*I2 : volt/second
    dI/dt = -I/(5*ms) : volt/second
    """,
    threshold="V > Theta",
    reset="""
    I1 = R1*I1 + A1
    I2 = R2*I2 + A2
    V = V_r
    Theta = clip(Theta, Theta_r, 1*volt)   # the larger of both
    """,
    method="euler",
    inputs=("I",),
    weight=2 * volt / second,
    constants={
        "G": 50 / second,
        "E_L": -70 * mV,
        "V_r": -70 * mV,
        "Theta_inf": -50 * mV,
        "Theta_r": -60 * mV,
        "a": 5 / second,
        "b": 10 / second,
        "k1": 200 / second,
        "k2": 20 / second,
        "R1": 0,
        "R2": 1,
        "A1": 10 * volt / second,
        "A2": -0.6 * volt / second,
        "I_e": 2 * volt / second,
    },
    values={"V": "E_L", "Theta": "Theta_inf"},
    surrogate=psi("V - Theta", "20*mV"),
    spike_gradient=("I1", "I2"),
)

MAT = PublishedNeuron(
    reference="Kobayashi et al. 2009, MAT",
    equations="""
    dV/dt = (E_L - V + R*I)/tau_m : volt     # never reset
    dI/dt = -I/(3*ms) : amp
    dH1/dt = -H1/tau_1 : volt
    dH2/dt = -H2/tau_2 : volt
    theta = omega + H1 + H2 : volt
    """,
    threshold="V > theta",
    reset="H1 += alpha_1; H2 += alpha_2",
    refractory=2 * ms,
    method="exact",
    inputs=("I",),
    weight=0.4 * nA,
    constants={
        "E_L": -65 * mV,
        "R": 50 * Mohm,
        "tau_m": 5 * ms,
        "tau_1": 10 * ms,
        "tau_2": 200 * ms,
        "alpha_1": 30 * mV,
        "alpha_2": 2 * mV,
        "omega": -45 * mV,
    },
    values={"V": "E_L"},
    surrogate=psi("V - omega - H1 - H2", "20*mV"),
    spike_gradient=("H1", "H2"),
)

ALIF = PublishedNeuron(
    reference="Bellec et al. 2020, ALIF as differential equations",
    equations="""dv/dt = -v/tau_m : 1
    da/dt = -a/tau_a : 1""",
    threshold="v > v_th + beta*a",
    reset="v -= v_th\na += 1",
    refractory=2 * ms,
    inputs=("v",),
    weight=0.25,
    constants={"tau_m": 20 * ms, "tau_a": 200 * ms, "beta": 0.184, "v_th": 1.0},
    surrogate=psi("v - v_th - beta*a", "1"),
    spike_gradient=("a",),
)

BENDA = PublishedNeuron(
    reference="Benda & Herz 2003, adaptation current",
    equations="""
    dV/dt = (-V + R*(I - A))/tau_m : volt
    dA/dt = -A/tau_a : amp
    dI/dt = -I/(5*ms) : amp
    """,
    threshold="V > V_th",
    reset="V = 0*mV; A += dA",
    inputs=("I",),
    weight=300 * pA,
    constants={
        "tau_m": 10 * ms,
        "R": 100 * Mohm,
        "tau_a": 100 * ms,
        "dA": 30 * pA,
        "V_th": 15 * mV,
    },
    surrogate=psi("V - V_th", "15*mV"),
    spike_gradient=("A",),
    numbers="ours",
)

PLATKIEWICZ = PublishedNeuron(
    reference="Platkiewicz & Brette 2011, threshold dynamics",
    equations="""
    dv/dt = (EL - v + mu + I)/tau : volt
    dtheta/dt = (vT + a*clip(v - Vi, 0*mV, inf*mV) - theta)/tauh : volt
    dI/dt = -I/tauI : volt
    """,
    threshold="v>theta",
    reset="v=EL",
    refractory=5 * ms,
    inputs=("I",),
    weight=30 * mV,
    constants={
        "EL": -70 * mV,
        "vT": -55 * mV,
        "Vi": -63 * mV,
        "tauh": 5 * ms,
        "tau": 5 * ms,
        "a": 5 / 6,
        "tauI": 5 * ms,
        "mu": 15 * mV,
    },
    values={"v": "EL", "theta": "vT"},
    surrogate=psi("v - theta", "15*mV"),
)

RULKOV = PublishedNeuron(
    reference="Rulkov 2001, map",
    equations="""
    x : 1
    y : 1
    I : 1
    """,
    threshold="x > 1 and not_refractory",
    refractory="x > 1",
    step="""
    next_x = alpha/(1 + x**2) + y + I
    y += -mu*(x - sigma)
    x = next_x
    I = 0
    """,
    inputs=("I",),
    weight=0.5,
    constants={"alpha": 4.1, "mu": 0.001, "sigma": -1.6},
    values={"x": -1, "y": -2.9},
    surrogate=psi("x - 1", "2"),
    numbers="ours",
)

#: The adaptation reads the potential of the same step; see equations.SE_adLIF.
SE_ADLIF = PublishedNeuron(
    reference="Baronig et al. 2025, SE-adLIF",
    equations="""
    u : 1
    w : 1
    I : 1
    """,
    threshold="u > theta",
    step="""
    w = exp(-dt/tau_w)*w + (1 - exp(-dt/tau_w))*rho*a*u
    u = exp(-dt/tau_u)*u + (1 - exp(-dt/tau_u))*(I - w)
    I = 0
    """,
    reset="u = 0; w += (exp(dt/tau_w) - 1)*rho*b",
    inputs=("I",),
    weight=60.0,
    constants={"tau_u": 15 * ms, "tau_w": 180 * ms, "a": 0.5, "b": 1.0, "rho": 120.0, "theta": 1.0},
    surrogate=psi("u - theta", "1"),
    spike_gradient=("w",),
    numbers="middles of the paper's ranges",
)

#: The flow that SE-adLIF steps through, with an adaptation that reads the potential and jumps at a spike.
ADLIF = PublishedNeuron(
    reference="Bittar & Garner 2022, adLIF",
    equations="""
    du/dt = (-u + I - w)/tau_u : 1
    dw/dt = (a*u - w)/tau_w : 1
    dI/dt = -I/(5*ms) : 1
    """,
    threshold="u > theta",
    reset="u -= theta; w += b",
    method="euler",  # Brian2 takes minutes for the exact step of the coupled pair
    inputs=("I",),
    weight=3.0,
    constants={"tau_u": 15 * ms, "tau_w": 75 * ms, "a": 0.5, "b": 1.0, "theta": 1.0},
    surrogate=psi("u - theta", "1"),
    spike_gradient=("w",),
    numbers="time constants of the paper",
)

#: q is damping and threshold at once; see equations.BalancedResonateAndFire.
BALANCED = PublishedNeuron(
    reference="Higuchi et al. 2024, balanced resonate-and-fire",
    equations="""
    x : 1
    y : 1
    q : 1
    I : 1
    """,
    threshold="x > theta + q",
    step="""
    q = gamma*q
    b = (-1 + sqrt(1 - (delta*omega)**2))/delta - b_offset - q
    step_of_x = delta*(b*x - omega*y + I)
    step_of_y = delta*(omega*x + b*y)
    x += step_of_x
    y += step_of_y
    I = 0
    """,
    reset="q += 1/gamma",
    inputs=("I",),
    weight=20.0,
    constants={"omega": 10.0, "b_offset": 1.0, "delta": 0.01, "theta": 1.0, "gamma": 0.9},
    surrogate=psi("x - theta - q", "1"),
    spike_gradient=("q",),
)

NEURONS = {f"adex_{pattern}": adex(pattern) for pattern in NAUD} | {
    "clopath_adex": CLOPATH,
    "izhikevich_2003": IZHIKEVICH,
    "izhikevich_2007": IZHIKEVICH_2007,
    "quartic": QUARTIC,
    "mihalas_niebur": MIHALAS_NIEBUR,
    "mat": MAT,
    "alif": ALIF,
    "benda_herz": BENDA,
    "platkiewicz_brette": PLATKIEWICZ,
    "rulkov": RULKOV,
    "adlif": ADLIF,
    "se_adlif": SE_ADLIF,
    "balanced_resonate_and_fire": BALANCED,
}
