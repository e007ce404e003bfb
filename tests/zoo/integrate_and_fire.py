"""Published integrate-and-fire neurons: leaky, exponential, quadratic, with conductances."""

from brian2 import mS, ms, mV, nF, nS, pA
from brian2.units.stdunits import cm2, uA, uF

from zoo.published import PublishedNeuron

__all__ = ["NEURONS"]


def psi(margin, width):
    """A triangle over the margin of the threshold."""
    return f"0.3*clip(1 - abs({margin})/({width}), 0, 1)/({width})"


STEIN = PublishedNeuron(
    reference="Stein 1967",
    equations="dv/dt = -v/tau : 1",
    threshold="v > theta",
    reset="v = 0",
    inputs=("v",),
    weight=0.12,
    constants={"tau": 10 * ms, "theta": 1},
    surrogate=psi("v - theta", "1"),
    numbers="ours",
)

CUBA = PublishedNeuron(
    reference="Vogels & Abbott 2005, CUBA",
    equations="""
    dv/dt  = (ge+gi-(v-El))/taum : volt (unless refractory)
    dge/dt = -ge/taue : volt  # excitatory
    dgi/dt = -gi/taui : volt
    """,
    threshold="v>Vt",
    reset="v = Vr",
    refractory=5 * ms,
    method="exact",
    inputs=("ge", "gi"),
    weight=1.62 * mV,
    constants={
        "taum": 20 * ms,
        "taue": 5 * ms,
        "taui": 10 * ms,
        "Vt": -50 * mV,
        "Vr": -60 * mV,
        "El": -49 * mV,
    },
    values={"v": "Vr + 0.9*(Vt - Vr)"},
    surrogate=psi("v - Vt", "10*mV"),
)

COBA = PublishedNeuron(
    reference="Vogels & Abbott 2005, COBA",
    equations="""
    dv/dt  = (ge*(Ee-v)+gi*(Ei-v)-(v-El))*(1./taum) : volt (unless refractory)
    dge/dt = -ge*(1./taue) : 1
    dgi/dt = -gi*(1./taui) : 1
    """,
    threshold="v>Vt",
    reset="v = El",
    refractory=5 * ms,
    method="exponential_euler",
    inputs=("ge", "gi"),
    weight=0.6,
    constants={
        "taum": 20 * ms,
        "taue": 5 * ms,
        "taui": 10 * ms,
        "Vt": -50 * mV,
        "El": -60 * mV,
        "Ee": 0 * mV,
        "Ei": -80 * mV,
    },
    values={"v": "El"},
    surrogate=psi("v - Vt", "10*mV"),
)

SONG = PublishedNeuron(
    reference="Song, Miller & Abbott 2000",
    equations="""dv/dt = (V_rest - v + g_ex*(E_ex - v) + g_in*(E_in - v))/tau_m : volt
                 dg_ex/dt = -g_ex/tau_ex : 1
                 dg_in/dt = -g_in/tau_in : 1""",
    threshold="v > V_th",
    reset="v = V_reset",
    method="euler",
    inputs=("g_ex", "g_in"),
    weight=0.3,
    constants={
        "tau_m": 20 * ms,
        "V_rest": -70 * mV,
        "E_ex": 0 * mV,
        "E_in": -70 * mV,
        "V_th": -54 * mV,
        "V_reset": -60 * mV,
        "tau_ex": 5 * ms,
        "tau_in": 5 * ms,
    },
    values={"v": "V_rest"},
    surrogate=psi("v - V_th", "16*mV"),
)

BRUNEL = PublishedNeuron(
    reference="Brunel 2000",
    equations="dv/dt = -v/tau : volt (unless refractory)",
    threshold="v > theta",
    reset="v = V_r",
    refractory="tau_rp",
    inputs=("v",),
    weight=2 * mV,
    constants={"tau": 20 * ms, "theta": 20 * mV, "V_r": 10 * mV, "tau_rp": 2 * ms},
    values={"v": 15 * mV},
    surrogate=psi("v - theta", "20*mV"),
)

BRUNEL_HAKIM = PublishedNeuron(
    reference="Brunel & Hakim 1999",
    equations="dV/dt = (-V + muext + sigmaext*sqrt(tau)*xi)/tau : volt",
    threshold="V > theta",
    reset="V = Vr",
    refractory=2 * ms,
    method="euler",
    inputs=("V",),
    weight=1 * mV,
    constants={
        "tau": 20 * ms,
        "theta": 20 * mV,
        "Vr": 10 * mV,
        "muext": 25 * mV,
        "sigmaext": 1 * mV,
    },
    surrogate=psi("V - theta", "20*mV"),
)

WANG = """
    dV/dt = (-g_m*(V - V_L) - I_AMPA - I_NMDA - I_GABA)/C_m : volt (unless refractory)
    I_AMPA = s_AMPA*(V - V_E) : amp
    ds_AMPA/dt = -s_AMPA/tau_AMPA : siemens
    I_NMDA = g_NMDA*s_NMDA_tot*(V - V_E)/(1 + exp(-0.062*V/mV)*(C/3.57)) : amp
    s_NMDA_tot : 1
    I_GABA = s_GABA*(V - V_I) : amp
    ds_GABA/dt = -s_GABA/tau_GABA : siemens
"""
SYNAPSES_OF_WANG = {
    "V_L": -70 * mV,
    "V_th": -50 * mV,
    "V_reset": -55 * mV,
    "V_E": 0 * mV,
    "V_I": -70 * mV,
    "tau_AMPA": 2 * ms,
    "tau_GABA": 5 * ms,
    "C": 1,
}

WANG_E = PublishedNeuron(
    reference="Wang 2002, pyramidal cell",
    equations=WANG
    + """
    ds_NMDA/dt = -s_NMDA/tau_NMDA_decay + alpha*x*(1 - s_NMDA) : 1
    dx/dt = -x/tau_NMDA_rise : 1
    """,
    threshold="V > V_th",
    reset="V = V_reset; x += 1",
    refractory=2 * ms,
    method="euler",
    inputs=("s_AMPA", "s_GABA"),
    weight=6 * nS,
    constants=SYNAPSES_OF_WANG
    | {
        "C_m": 0.5 * nF,
        "g_m": 25 * nS,
        "g_NMDA": 0.165 * nS,
        "tau_NMDA_decay": 100 * ms,
        "tau_NMDA_rise": 2 * ms,
        "alpha": 0.5 / ms,
    },
    values={"V": "V_th - 2*mV", "s_NMDA_tot": 0.2},
    surrogate=psi("V - V_th", "20*mV"),
    spike_gradient=("x",),
)

WANG_I = PublishedNeuron(
    reference="Wang 2002, interneuron",
    equations=WANG,
    threshold="V > V_th",
    reset="V = V_reset",
    refractory=1 * ms,
    method="euler",
    inputs=("s_AMPA", "s_GABA"),
    weight=3 * nS,
    constants=SYNAPSES_OF_WANG | {"C_m": 0.2 * nF, "g_m": 20 * nS, "g_NMDA": 0.13 * nS},
    values={"V": "V_th - 2*mV", "s_NMDA_tot": 0.2},
    surrogate=psi("V - V_th", "20*mV"),
)

SRM0 = PublishedNeuron(
    reference="Gerstner & Kistler 2002, SRM0",
    equations="""
    dh/dt = (x - h)/tau_m : volt      # potential by input
    dx/dt = -x/tau_s : volt
    deta/dt = -eta/tau_m : volt       # afterpotential
    u = h + eta : volt
    """,
    threshold="u > theta",
    reset="eta -= theta",
    inputs=("x",),
    weight=8 * mV,
    constants={"tau_m": 10 * ms, "tau_s": 4 * ms, "theta": 10 * mV},
    surrogate=psi("h + eta - theta", "10*mV"),
    numbers="ours",
)

EXPONENTIAL = PublishedNeuron(
    reference="Fourcaud-Trocmé et al. 2003, EIF",
    equations="""
    dv/dt = (g_L*(E_L - v) + g_L*Delta_T*exp((v - V_T)/Delta_T) + I)/C : volt (unless refractory)
    dI/dt = -I/tau_s : amp/meter**2
    """,
    threshold="v > V_th",
    reset="v = V_r",
    refractory=1.7 * ms,
    inputs=("I",),
    weight=0.8 * uA / cm2,
    constants={
        "C": 1 * uF / cm2,
        "g_L": 0.1 * mS / cm2,
        "E_L": -65 * mV,
        "Delta_T": 3.48 * mV,
        "V_T": -59.9 * mV,
        "V_th": -45 * mV,
        "V_r": -68 * mV,
        "tau_s": 5 * ms,
    },
    values={"v": "E_L"},
    surrogate=psi("v - V_th", "20*mV"),
)

QUADRATIC = PublishedNeuron(
    reference="Latham et al. 2000, QIF",
    equations="""
    dv/dt = ((v - V_rest)*(v - V_t)/(V_t - V_rest) + I)/tau : volt
    dI/dt = -I/tau_s : volt
    """,
    threshold="v > V_spike",
    reset="v = V_r",
    inputs=("I",),
    weight=9 * mV,
    constants={
        "tau": 10 * ms,
        "tau_s": 3 * ms,
        "V_rest": -65 * mV,
        "V_t": -50 * mV,
        "V_spike": 20 * mV,
        "V_r": -80 * mV,
    },
    values={"v": "V_rest"},
    surrogate=psi("v - V_spike", "60*mV"),
)

THETA = PublishedNeuron(
    reference="Ermentrout & Kopell 1986",
    equations="""
    dtheta/dt = (1 - cos(theta) + (1 + cos(theta))*(I + s))/tau : 1
    ds/dt = -s/tau_s : 1
    """,
    threshold="theta > pi",
    reset="theta -= 2*pi",
    inputs=("s",),
    weight=3.0,
    constants={"tau": 10 * ms, "tau_s": 3 * ms, "I": -0.05},
    surrogate=psi("theta - pi", "pi"),
    numbers="ours",
)

RESONATE = PublishedNeuron(
    reference="Izhikevich 2001, resonate-and-fire",
    equations="""
    dx/dt = b*x - w*y : 1     # current-like
    dy/dt = w*x + b*y : 1     # voltage-like
    """,
    threshold="y > 1",
    reset="x = 0\n    y = 1",
    method="euler",
    inputs=("x",),
    weight=1.0,
    constants={"b": -0.1 / ms, "w": 1 / ms},
    surrogate=psi("y - 1", "1"),
)

ONE_OR_BURST = PublishedNeuron(
    reference="Smith et al. 2000, integrate-and-fire-or-burst",
    equations="""
    dV/dt = (-g_L*(V - V_L) - g_T*int(V > V_h)*h*(V - V_T) + I)/C : volt
    dh/dt = -h/tau_minus*int(V > V_h) + (1 - h)/tau_plus*int(V <= V_h) : 1
    dI/dt = -I/(5*ms) : amp/meter**2
    """,
    threshold="V > V_theta",
    reset="V = V_reset",
    method="euler",
    inputs=("I",),
    weight=4 * uA / cm2,
    constants={
        "C": 2 * uF / cm2,
        "g_L": 0.035 * mS / cm2,
        "V_L": -65 * mV,
        "g_T": 0.07 * mS / cm2,
        "V_T": 120 * mV,
        "V_h": -60 * mV,
        "V_theta": -35 * mV,
        "V_reset": -50 * mV,
        "tau_minus": 20 * ms,
        "tau_plus": 100 * ms,
    },
    values={"V": "V_L", "h": 0.3},
    surrogate=psi("V - V_theta", "25*mV"),
)

DIEHL_COOK = PublishedNeuron(
    reference="Diehl & Cook 2015",
    equations="""
    dv/dt = ((v_rest_e - v) + (I_synE + I_synI)/nS)/(100*ms) : volt (unless refractory)
    I_synE = ge*nS*-v : amp
    I_synI = gi*nS*(-100.*mV - v) : amp
    dge/dt = -ge/(1.0*ms) : 1
    dgi/dt = -gi/(2.0*ms) : 1
    dtheta/dt = -theta/(tc_theta) : volt
    dtimer/dt = 1 : second
    """,
    threshold="v > (theta - offset + v_thresh_e) and timer > refrac_e",
    reset="v = v_reset_e; theta += theta_plus_e; timer = 0*ms",
    refractory="refrac_e",
    method="euler",
    inputs=("ge", "gi"),
    weight=6.0,
    constants={
        "v_rest_e": -65 * mV,
        "v_reset_e": -65 * mV,
        "v_thresh_e": -52 * mV,
        "refrac_e": 5 * ms,
        "tc_theta": 1e7 * ms,
        "theta_plus_e": 0.05 * mV,
        "offset": 20 * mV,
    },
    values={"v": "v_rest_e", "theta": 20 * mV, "timer": 6 * ms},
    surrogate=psi("v - theta + offset - v_thresh_e", "13*mV"),
    spike_gradient=("theta",),
)

LIU_WANG = PublishedNeuron(
    reference="Liu & Wang 2001",
    equations="""
    dV/dt = (-g_L*(V - V_L) - g_AHP*Ca*(V - V_K) + I)/C_m : volt
    dCa/dt = -Ca/tau_Ca : 1    # in uM
    dI/dt = -I/(5*ms) : amp
    """,
    threshold="V > V_th",
    reset="""V = V_reset
             Ca += alpha_Ca""",
    method="euler",
    inputs=("I",),
    weight=300 * pA,
    constants={
        "C_m": 0.5 * nF,
        "g_L": 25 * nS,
        "V_L": -70 * mV,
        "V_K": -80 * mV,
        "V_th": -54 * mV,
        "V_reset": -60 * mV,
        "g_AHP": 15 * nS,
        "tau_Ca": 50 * ms,
        "alpha_Ca": 0.2,
    },
    values={"V": "V_L"},
    surrogate=psi("V - V_th", "16*mV"),
    spike_gradient=("Ca",),
)

NEURONS = {
    "stein": STEIN,
    "cuba": CUBA,
    "coba": COBA,
    "song_abbott": SONG,
    "brunel": BRUNEL,
    "brunel_hakim": BRUNEL_HAKIM,
    "wang_pyramidal": WANG_E,
    "wang_interneuron": WANG_I,
    "srm0": SRM0,
    "eif": EXPONENTIAL,
    "qif": QUADRATIC,
    "theta": THETA,
    "resonate_and_fire": RESONATE,
    "integrate_fire_or_burst": ONE_OR_BURST,
    "diehl_cook": DIEHL_COOK,
    "liu_wang": LIU_WANG,
}
