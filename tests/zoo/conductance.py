"""Published neurons with ion channels, and their two-dimensional reductions."""

from brian2 import mS, ms, mV, nS, siemens, ufarad, umetre
from brian2.units.stdunits import cm2, uA, uF

from zoo.integrate_and_fire import psi
from zoo.published import PublishedNeuron

__all__ = ["NEURONS"]

ABOVE_ZERO = {"threshold": "v > 0*mV", "refractory": "v > 0*mV", "surrogate": psi("v", "60*mV")}

HODGKIN_HUXLEY = PublishedNeuron(
    reference="Hodgkin & Huxley 1952",
    equations="""
    dv/dt = (gl*(El - v) - g_na*m*m*m*h*(v - ENa) - g_kd*n*n*n*n*(v - EK) + I)/Cm : volt
    u = (v + 65*mV)/mV : 1
    dm/dt = (0.1*(25 - u)/(exp((25 - u)/10) - 1)*(1 - m) - 4*exp(-u/18)*m)/ms : 1
    dh/dt = (0.07*exp(-u/20)*(1 - h) - h/(exp((30 - u)/10) + 1))/ms : 1
    dn/dt = (0.01*(10 - u)/(exp((10 - u)/10) - 1)*(1 - n) - 0.125*exp(-u/80)*n)/ms : 1
    dI/dt = -I/(5*ms) : amp/meter**2
    """,
    method="exponential_euler",
    inputs=("I",),
    weight=5 * uA / cm2,
    constants={
        "Cm": 1 * uF / cm2,
        "g_na": 120 * mS / cm2,
        "g_kd": 36 * mS / cm2,
        "gl": 0.3 * mS / cm2,
        "ENa": 50 * mV,
        "EK": -77 * mV,
        "El": -54.387 * mV,
    },
    values={"v": -65 * mV, "m": 0.053, "h": 0.596, "n": 0.318},
    up=3e-3,
    **ABOVE_ZERO,
)

AREA = 20000 * umetre**2
TRAUB_MILES = PublishedNeuron(
    reference="Traub & Miles 1991, COBAHH of Brette et al. 2007",
    equations="""
    dv/dt = (gl*(El-v)+ge*(Ee-v)+gi*(Ei-v)-
             g_na*(m*m*m)*h*(v-ENa)-
             g_kd*(n*n*n*n)*(v-EK))/Cm : volt
    dm/dt = alpha_m*(1-m)-beta_m*m : 1
    dn/dt = alpha_n*(1-n)-beta_n*n : 1
    dh/dt = alpha_h*(1-h)-beta_h*h : 1
    dge/dt = -ge*(1./taue) : siemens
    dgi/dt = -gi*(1./taui) : siemens
    alpha_m = 0.32*(mV**-1)*4*mV/exprel((13*mV-v+VT)/(4*mV))/ms : Hz
    beta_m = 0.28*(mV**-1)*5*mV/exprel((v-VT-40*mV)/(5*mV))/ms : Hz
    alpha_h = 0.128*exp((17*mV-v+VT)/(18*mV))/ms : Hz
    beta_h = 4./(1+exp((40*mV-v+VT)/(5*mV)))/ms : Hz
    alpha_n = 0.032*(mV**-1)*5*mV/exprel((15*mV-v+VT)/(5*mV))/ms : Hz
    beta_n = .5*exp((10*mV-v+VT)/(40*mV))/ms : Hz
    """,
    threshold="v>-20*mV",
    refractory=3 * ms,
    method="exponential_euler",
    inputs=("ge", "gi"),
    weight=6 * nS,
    constants={
        "Cm": (1 * ufarad * cm2**-1) * AREA,
        "gl": (5e-5 * siemens * cm2**-1) * AREA,
        "El": -60 * mV,
        "EK": -90 * mV,
        "ENa": 50 * mV,
        "g_na": (100 * mS * cm2**-1) * AREA,
        "g_kd": (30 * mS * cm2**-1) * AREA,
        "VT": -63 * mV,
        "taue": 5 * ms,
        "taui": 10 * ms,
        "Ee": 0 * mV,
        "Ei": -80 * mV,
    },
    values={"v": "El", "m": 0.03, "h": 0.95, "n": 0.1},
    surrogate=psi("v + 20*mV", "40*mV"),
)

WANG_BUZSAKI = PublishedNeuron(
    reference="Wang & Buzsáki 1996",
    equations="""
    dv/dt=(-gNa*m**3*h*(v-ENa)-gK*n**4*(v-EK)-gL*(v-EL)+I)/Cm : volt
    m = alpha_m/(alpha_m+beta_m) : 1
    alpha_m = 0.1/mV*10*mV/exprel(-(v+35*mV)/(10*mV))/ms : Hz
    beta_m = 4*exp(-(v+60*mV)/(18*mV))/ms : Hz
    dh/dt = 5*(alpha_h*(1-h)-beta_h*h) : 1
    alpha_h = 0.07*exp(-(v+58*mV)/(20*mV))/ms : Hz
    beta_h = 1./(exp(-0.1/mV*(v+28*mV))+1)/ms : Hz
    dn/dt = 5*(alpha_n*(1-n)-beta_n*n) : 1
    alpha_n = 0.01/mV*10*mV/exprel(-(v+34*mV)/(10*mV))/ms : Hz
    beta_n = 0.125*exp(-(v+44*mV)/(80*mV))/ms : Hz
    dI/dt = -I/(5*ms) : amp/meter**2
    """,
    inputs=("I",),
    weight=2 * uA / cm2,
    constants={
        "Cm": 1 * uF / cm2,
        "gL": 0.1 * mS / cm2,
        "EL": -65 * mV,
        "ENa": 55 * mV,
        "EK": -90 * mV,
        "gNa": 35 * mS / cm2,
        "gK": 9 * mS / cm2,
    },
    values={"v": "EL", "h": 0.8, "n": 0.1},
    up=3e-3,
    steep=True,
    **ABOVE_ZERO,
)

MORRIS_LECAR = PublishedNeuron(
    reference="Morris & Lecar 1981, Rinzel & Ermentrout 1998",
    equations="""
    dv/dt = (-g_Ca*m_inf*(v - V_Ca) - g_K*w*(v - V_K) - g_L*(v - V_L) + I0 + I)/C : volt
    dw/dt = phi*(w_inf - w)/tau_w : 1
    m_inf = 0.5*(1 + tanh((v - V1)/V2)) : 1
    w_inf = 0.5*(1 + tanh((v - V3)/V4)) : 1
    tau_w = 1/cosh((v - V3)/(2*V4)) : 1
    dI/dt = -I/(5*ms) : amp/meter**2
    """,
    inputs=("I",),
    weight=60 * uA / cm2,
    constants={
        "C": 20 * uF / cm2,
        "g_Ca": 4.4 * mS / cm2,
        "g_K": 8 * mS / cm2,
        "g_L": 2 * mS / cm2,
        "V_Ca": 120 * mV,
        "V_K": -84 * mV,
        "V_L": -60 * mV,
        "V1": -1.2 * mV,
        "V2": 18 * mV,
        "V3": 2 * mV,
        "V4": 30 * mV,
        "phi": 0.04 / ms,
        "I0": 80 * uA / cm2,
    },
    values={"v": -40 * mV, "w": 0.05},
    up=40e-3,
    **ABOVE_ZERO,
)

CONNOR_STEVENS = PublishedNeuron(
    reference="Connor & Stevens 1971, Dayan & Abbott 2001",
    equations="""
    dV/dt = (-g_L*(V - E_L) - g_Na*m**3*h*(V - E_Na) - g_K*n**4*(V - E_K)
             - g_A*a**3*b*(V - E_A) + I)/c_m : volt
    dm/dt = (3.8/exprel(-(u + 29.7)/10)*(1 - m) - 15.2*exp(-0.0556*(u + 54.7))*m)/ms : 1
    dh/dt = (0.266*exp(-0.05*(u + 48))*(1 - h) - 3.8/(1 + exp(-0.1*(u + 18)))*h)/ms : 1
    dn/dt = (0.2/exprel(-(u + 45.7)/10)*(1 - n) - 0.25*exp(-0.0125*(u + 55.7))*n)/ms : 1
    da/dt = (a_inf - a)/tau_a : 1
    db/dt = (b_inf - b)/tau_b : 1
    a_inf = (0.0761*exp(0.0314*(u + 94.22))/(1 + exp(0.0346*(u + 1.17))))**(1/3.0) : 1
    tau_a = (0.3632 + 1.158/(1 + exp(0.0497*(u + 55.96))))*ms : second
    b_inf = (1/(1 + exp(0.0688*(u + 53.3))))**4 : 1
    tau_b = (1.24 + 2.678/(1 + exp(0.0624*(u + 50))))*ms : second
    u = V/mV : 1
    dI/dt = -I/(5*ms) : amp/meter**2
    """,
    threshold="V > -10*mV",
    refractory="V > -10*mV",
    method="exponential_euler",
    inputs=("I",),
    weight=10 * uA / cm2,
    constants={
        "c_m": 1 * uF / cm2,
        "g_L": 0.3 * mS / cm2,
        "E_L": -17 * mV,
        "g_Na": 120 * mS / cm2,
        "E_Na": 55 * mV,
        "g_K": 20 * mS / cm2,
        "E_K": -72 * mV,
        "g_A": 47.7 * mS / cm2,
        "E_A": -75 * mV,
    },
    values={"V": -68 * mV, "m": 0.01, "h": 0.965, "n": 0.156, "a": 0.54, "b": 0.29},
    surrogate=psi("V + 10*mV", "50*mV"),
    up=3e-3,
)

CHANNELS_OF_TRAUB = """
    dm/dt = 0.32*4/exprel((13 - u)/4)/ms*(1 - m) - 0.28*5/exprel((u - 40)/5)/ms*m : 1
    dh/dt = 0.128*exp((17 - u)/18)/ms*(1 - h) - 4/(1 + exp((40 - u)/5))/ms*h : 1
    dn/dt = 0.032*5/exprel((15 - u)/5)/ms*(1 - n) - 0.5*exp((10 - u)/40)/ms*n : 1
    u = (v - V_T)/mV : 1
    dI/dt = -I/(5*ms) : amp/meter**2
"""

POSPISCHIL = PublishedNeuron(
    reference="Pospischil et al. 2008, regular spiking with M current",
    equations="""
    dv/dt = (g_L*(E_L - v) + g_Na*m**3*h*(E_Na - v) + g_K*n**4*(E_K - v)
             + g_M*p*(E_K - v) + I)/C : volt
    dp/dt = (1/(1 + exp(-(v/mV + 35)/10)) - p)/tau_p : 1
    tau_p = tau_max/(3.3*exp((v/mV + 35)/20) + exp(-(v/mV + 35)/20)) : second
    """
    + CHANNELS_OF_TRAUB,
    method="exponential_euler",
    inputs=("I",),
    weight=4 * uA / cm2,
    constants={
        "C": 1 * uF / cm2,
        "g_L": 0.0205 * mS / cm2,
        "E_L": -70.3 * mV,
        "g_Na": 56 * mS / cm2,
        "E_Na": 50 * mV,
        "g_K": 6 * mS / cm2,
        "E_K": -90 * mV,
        "g_M": 0.075 * mS / cm2,
        "tau_max": 608 * ms,
        "V_T": -56.2 * mV,
    },
    values={"v": "E_L", "m": 0.01, "h": 0.99, "n": 0.02, "p": 0.03},
    up=3e-3,
    **ABOVE_ZERO,
)

THALAMIC = PublishedNeuron(
    reference="Destexhe et al. 1996, thalamic relay cell with I_T and I_h",
    equations="""
    dv/dt = (g_L*(E_L - v) + g_Na*m**3*h*(E_Na - v) + g_K*n**4*(E_K - v)
             + g_T*s_inf**2*q*(E_Ca - v) + g_h*r*(E_h - v) + I)/C : volt
    s_inf = 1/(1 + exp(-(x + 57)/6.2)) : 1
    dq/dt = (1/(1 + exp((x + 81)/4)) - q)/tau_q : 1
    tau_q = (28 + exp(-(clip(x, -80, 1000) + 22)/10.5))*ms*int(x >= -80)
            + exp((clip(x, -1000, -80) + 467)/66.6)*ms*int(x < -80) : second
    dr/dt = (1/(1 + exp((x + 75)/5.5)) - r)*(exp(-14.59 - 0.086*x) + exp(-1.87 + 0.0701*x))/ms : 1
    x = v/mV : 1
    """
    + CHANNELS_OF_TRAUB,
    method="euler",
    inputs=("I",),
    weight=4 * uA / cm2,
    constants={
        "C": 1 * uF / cm2,
        "g_L": 0.01 * mS / cm2,
        "E_L": -70 * mV,
        "g_Na": 20 * mS / cm2,
        "E_Na": 50 * mV,
        "g_K": 5 * mS / cm2,
        "E_K": -95 * mV,
        "g_T": 2 * mS / cm2,
        "E_Ca": 120 * mV,
        "g_h": 0.02 * mS / cm2,
        "E_h": -43 * mV,
        "V_T": -52 * mV,
    },
    values={"v": -70 * mV, "h": 0.99, "n": 0.02, "q": 0.1, "r": 0.3},
    up=3e-3,
    numbers="kinetics of the paper; conductances ours",
    **ABOVE_ZERO,
)

FITZHUGH = PublishedNeuron(
    reference="FitzHugh 1961, Nagumo et al. 1962",
    equations="""
    dv/dt = (v - v**3/3 - w + I)/tau : 1
    dw/dt = eps*(v + a - b*w)/tau : 1
    dI/dt = -I/(5*ms) : 1
    """,
    threshold="v > 1",
    refractory="v > 1",
    method="rk4",
    inputs=("I",),
    weight=0.4,
    constants={"a": 0.7, "b": 0.8, "eps": 0.08, "tau": 0.5 * ms},
    values={"v": -1.2, "w": -0.62},
    surrogate=psi("v - 1", "2"),
    up=20e-3,
)

HINDMARSH_ROSE = PublishedNeuron(
    reference="Hindmarsh & Rose 1984",
    equations="""
    dx/dt = (y - a*x**3 + b*x**2 + I0 + I - z)/ms : 1
    dy/dt = (c - d*x**2 - y)/ms : 1
    dz/dt = r*(s*(x - x_1) - z)/ms : 1
    dI/dt = -I/(5*ms) : 1
    """,
    threshold="x > 1",
    refractory="x > 1",
    method="rk2",
    inputs=("I",),
    weight=1.0,
    constants={
        "a": 1,
        "b": 3,
        "c": 1,
        "d": 5,
        "r": 0.006,
        "s": 4,
        "x_1": -1.6,
        "I0": 2,
    },
    values={"x": -1, "y": -4, "z": 1.5},
    surrogate=psi("x - 1", "2"),
    up=1.3e-3,
)

NEURONS = {
    "hodgkin_huxley": HODGKIN_HUXLEY,
    "traub_miles": TRAUB_MILES,
    "wang_buzsaki": WANG_BUZSAKI,
    "morris_lecar": MORRIS_LECAR,
    "connor_stevens": CONNOR_STEVENS,
    "pospischil": POSPISCHIL,
    "thalamic_relay": THALAMIC,
    "fitzhugh_nagumo": FITZHUGH,
    "hindmarsh_rose": HINDMARSH_ROSE,
}
