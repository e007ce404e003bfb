"""Published plasticity rules as people write them for Brian2: the strings of a Synapses object.

The formulas and numbers are those of the papers; where a paper leaves one open it is ours, and the entry
says so. Uneven indentation, comments, semicolons and names are as in scripts that people send.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from brian2 import Hz, ms, mV, nS, psiemens, second

#: What the neurons of the tests have: something for every rule to act on or to read.
NEURON = """
dv/dt = (-70*mV - v)/(10*ms) : volt
dge/dt = -ge/(5*ms) : siemens
dg/dt = -g/(5*ms) : 1
dy/dt = -y/tau_y : 1
dtheta/dt = (y**2 - theta)/tau_theta : 1
da/dt = -a/tau_a : Hz
s_tot : 1
gap : volt
"""
NEURON_CONSTANTS = {"tau_y": 20 * ms, "tau_theta": 500 * ms, "tau_a": 1 * second}
NEURON_RESET = "v = -70*mV; y += 1; a += 1/tau_a"


class Rule(NamedTuple):
    """A rule and how it is tested.

    Attributes
    ----------
    source : str
        The paper.
    synapses : dict
        Arguments of Synapses.
    constants : dict
        Names of the script.
    values : dict
        Values of variables, set after connecting; strings as Brian2 reads them.
    step : dict
        Arguments of run_regularly, if there is any.
    weight : str
        The weight that is found, or that has to be said.
    read : dict
        Arguments of from_synapses.
    window : str
        "pairs": as simulated in stock Brian2; otherwise why there is none of single pairs of spikes.
    """

    source: str
    synapses: Mapping[str, Any]
    constants: Mapping[str, Any]
    weight: str = "w"
    values: Mapping[str, Any] = MappingProxyType({"w": 0.4})
    step: Mapping[str, Any] = MappingProxyType({})
    read: Mapping[str, Any] = MappingProxyType({})
    window: str = "pairs"


RULES = {
    "additive": Rule(
        "Song, Miller & Abbott, Nat. Neurosci. 3:919 (2000)",
        {
            "model": """w : 1   # the weight
                 dapre/dt = -apre/tau_pre : 1 (event-driven)
              dapost/dt = -apost/tau_post : 1 (event-driven)""",
            "on_pre": """
                g_post += w          # transmission
                  apre += A_pre
                w = clip(w + apost, 0, gmax)
            """,
            "on_post": "apost += A_post; w = clip(w + apre, 0, gmax)",
        },
        # of the largest weight, 1: 0.5 % and 1.05 times as much
        {"tau_pre": 20 * ms, "tau_post": 20 * ms, "A_pre": 0.005, "A_post": -0.00525, "gmax": 1.0},
        values={"w": "0.3 + 0.1*i"},
    ),
    "multiplicative": Rule(
        "van Rossum, Bi & Turrigiano, J. Neurosci. 20:8812 (2000), without its noise",
        {
            "model": """
            gsyn : siemens
            dP/dt = -P/tau_stdp : 1 (event-driven)
            dM/dt = -M/tau_stdp : 1 (event-driven)
            """,
            "on_pre": "ge_post += gsyn\ngsyn -= c_d*M*gsyn  # proportional to the weight\nP += 1",
            "on_post": "gsyn += c_p*P  # constant\nM += 1",
        },
        {"tau_stdp": 20 * ms, "c_p": 7 * psiemens, "c_d": 0.003},
        weight="gsyn",
        values={"gsyn": 0.2 * nS},
    ),
    "power law": Rule(
        "Guetig, Aharonov, Rotter & Sompolinsky, J. Neurosci. 23:3697 (2003)",
        {
            "model": """w : 1
            dx/dt = -x/tau : 1 (event-driven)
            dy_syn/dt = -y_syn/tau : 1 (event-driven)""",
            "on_pre": """ge += w*gbar
            x += 1
            w = clip(w - lam*alpha*w**mu*y_syn, 0, 1)""",
            "on_post": """y_syn += 1
            w = clip(w + lam*(1 - w)**mu*x, 0, 1)""",
            "delay": 0.5 * ms,
        },
        {"tau": 20 * ms, "lam": 0.005, "alpha": 1.05, "mu": 0.02, "gbar": 2 * nS},
    ),
    "nearest neighbour": Rule(
        "Morrison, Diesmann & Gerstner, Biol. Cybern. 98:459 (2008), symmetric nearest neighbours",
        {
            "model": "w : 1\ndr/dt = -r/taup : 1 (event-driven)\ndo/dt = -o/taum : 1 (event-driven)",
            "on_pre": "v_post += w*mV; r = 1; w = clip(w - Am*o, 0, wmax)",
            "on_post": "o = 1; w = clip(w + Ap*r, 0, wmax)",
        },
        {"taup": 16.8 * ms, "taum": 33.7 * ms, "Ap": 0.01, "Am": 0.0085, "wmax": 1.0},
    ),
    "triplet": Rule(
        "Pfister & Gerstner, J. Neurosci. 26:9673 (2006), visual cortex, all-to-all, minimal",
        {
            "model": """
                w : 1
                dr1/dt = -r1/tau_plus : 1 (event-driven)
                do1/dt = -o1/tau_minus : 1 (event-driven)
                do2/dt = -o2/tau_y : 1 (event-driven)
            """,
            "on_pre": {
                "transmit": "g_post += w",
                "learn": """w = clip(w - o1*A2_minus, 0, 1)
                            r1 += 1""",
            },
            "on_post": """w = clip(w + r1*A3_plus*o2, 0, 1)
                          o1 += 1; o2 += 1""",
            "namespace": {"tau_y": 114 * ms},
            "delay": {"transmit": 1 * ms},
        },
        {
            "tau_plus": 16.8 * ms,
            "tau_minus": 33.7 * ms,
            "A3_plus": 6.5e-3,
            "A2_minus": 7.1e-3,
        },
    ),
    "voltage": Rule(
        "Clopath, Buesing, Vasilaki & Gerstner, Nat. Neurosci. 13:344 (2010), visual cortex",
        {
            "model": """
            dw/dt = A_LTP*xbar/tau_x*above*clip(u_plus - theta_m, 0*mV, inf*mV) : 1 (clock-driven)
            above = clip(v_post - theta_p, 0*mV, inf*mV) : volt
            dxbar/dt = -xbar/tau_x : 1 (clock-driven)
            du_minus/dt = (v_post - u_minus)/tau_m : volt (clock-driven)
            du_plus/dt = (v_post - u_plus)/tau_p : volt (clock-driven)
            """,
            "on_pre": """ge_post += w*nS
            w = clip(w - A_LTD*clip(u_minus - theta_m, 0*mV, inf*mV), 0, 1)
            xbar += 1""",
            "method": "euler",
        },
        {
            "A_LTP": 8e-5 / mV**2,
            "A_LTD": 14e-5 / mV,
            "theta_m": -70.6 * mV,
            "theta_p": -45.3 * mV,
            "tau_x": 15 * ms,
            "tau_m": 10 * ms,
            "tau_p": 7 * ms,
        },
        values={"w": 0.4, "u_minus": -70 * mV, "u_plus": -70 * mV},
        window="a neuron",
    ),
    "calcium": Rule(
        "Graupner & Brunel, PNAS 109:3991 (2012), table S1 'DP', without its noise",
        {
            "model": """
            w = w0 + rho*(w1 - w0) : 1
            drho/dt = (-rho*(1 - rho)*(rho_star - rho) + up - down)/tau : 1 (clock-driven)
            up = gamma_p*(1 - rho)*int(c > theta_p) : 1
            down = gamma_d*rho*int(c > theta_d) : 1
            dc/dt = -c/tau_Ca : 1 (clock-driven)
            w0 : 1 (shared, constant)
            w1 : 1 (shared, constant)
            """,
            "on_pre": {"epsp": "g_post += w", "calcium": "c += C_pre"},
            "on_post": {"calcium_post": "c += C_post"},
            "delay": {"calcium": 13.7 * ms},
            "method": "euler",
        },
        {
            "tau": 150 * second,
            "tau_Ca": 20 * ms,
            "rho_star": 0.5,
            "gamma_p": 321.808,
            "gamma_d": 200.0,
            "theta_p": 1.3,
            "theta_d": 1.0,
            "C_pre": 1.0,
            "C_post": 2.0,
        },
        weight="rho",
        values={"rho": 0.4, "w0": 0.2, "w1": 1.0},
    ),
    "sliding threshold": Rule(
        "Bienenstock, Cooper & Munro, J. Neurosci. 2:32 (1982); traces of spikes for rates are ours",
        {
            "model": "w : 1\ndx/dt = -x/tau_bcm : 1 (event-driven)",
            "on_pre": "g_post += w; x += 1",
            "on_post": "w = clip(w + eta*x*y_post*(y_post - theta_post), 0, 1)",
        },
        {"tau_bcm": 20 * ms, "eta": 0.01},
        window="a neuron",
    ),
    "inhibitory": Rule(
        "Vogels, Sprekeler, Zenke, Clopath & Gerstner, Science 334:1569 (2011)",
        {
            "model": """w : 1
            dApre/dt=-Apre/tau_stdp : 1 (event-driven)
            dApost/dt=-Apost/tau_stdp : 1 (event-driven)""",
            "on_pre": """Apre += 1.
                     w = clip(w+(Apost-alpha)*eta, 0, gmax)
                     g_post -= w""",
            "on_post": """Apost += 1.
                      w = clip(w+Apre*eta, 0, gmax)""",
        },
        {"tau_stdp": 20 * ms, "eta": 1e-2, "alpha": 3 * Hz * 20 * ms * 2, "gmax": 100},
    ),
    "reward": Rule(
        "Izhikevich, Cereb. Cortex 17:2443 (2007)",
        {
            "model": """
            reward : 1 (shared)
            dc/dt = -c/tau_c : 1 (clock-driven)
            ds/dt = reward*c/second : 1 (clock-driven)
            dApre/dt = -Apre/taupre : 1 (event-driven)
            dApost/dt = -Apost/taupost : 1 (event-driven)
            """,
            "on_pre": "g_post += s  # the weight\nApre += dApre\nc += Apost",
            "on_post": "Apost += dApost\nc += Apre",
            "method": "euler",
        },
        {
            "tau_c": 1 * second,
            "taupre": 20 * ms,
            "taupost": 20 * ms,
            "dApre": 0.1,
            "dApost": -0.15,
        },
        weight="s",
        values={"s": 1.0, "reward": 0.5},
        read={"third_factor": "reward", "eligibility": "c"},
        window="a third factor",
    ),
    "x_tar": Rule(
        "Diehl & Cook, Front. Comput. Neurosci. 9:99 (2015), postsynaptic spikes and a target",
        {
            "model": "w : 1\ndxpre/dt = -xpre/tc_pre : 1 (event-driven)",
            "on_pre": "ge_post += w*nS; xpre = 1.",
            "on_post": "w = clip(w + nu*(xpre - x_tar)*(wmax - w)**mu, 0, wmax)",
        },
        # the paper fits x_tar; these are of the size of its code
        {"tc_pre": 20 * ms, "nu": 0.01, "x_tar": 0.4, "wmax": 1.0, "mu": 0.2},
    ),
    "scaling": Rule(
        "van Rossum, Bi & Turrigiano, J. Neurosci. 20:8812 (2000), eq. 3, proportional term",
        {"model": "w : 1", "on_pre": "g_post += w"},
        {"beta": 4e-2 / second / Hz, "a_goal": 20 * Hz, "wmax": 2.0, "every": 5 * ms},
        step={"code": "w = clip(w + beta*w*(a_goal - a_post)*every, 0, wmax)", "dt": 5 * ms},
        window="no pair of spikes: the weight follows the rate of the neuron, pairs or not",
    ),
    "short-term": Rule(
        "Tsodyks, Pawelzik & Markram, Neural Comput. 10:821 (1998)",
        {
            "model": """
            w : 1
            du/dt = -u/tau_f : 1 (event-driven)
            dx/dt = (1 - x)/tau_d : 1 (event-driven)
            """,
            "on_pre": """u += U*(1 - u)
            g_post += w*u*x
            x -= u*x""",
        },
        {"tau_f": 530 * ms, "tau_d": 130 * ms, "U": 0.3},
        values={"w": 0.4, "x": 1.0},
        read={"weight": "w"},
        window="the weight does not change",
    ),
    "short-term and additive": Rule(
        "Markram & Tsodyks, Nature 382:807 (1996): short-term plasticity of a weight that learns",
        {
            "model": """
            w : 1
            dx_S/dt = (1 - x_S)/tau_d : 1 (event-driven)
            dapre/dt = -apre/tau_stdp : 1 (event-driven)
            gain : 1 (constant)
            """,
            "on_pre": """released = U*x_S
            x_S -= released
            g_post += gain*w*released
            apre += 0.01""",
            "on_post": "w = clip(w + apre, 0, 1)",
        },
        {"tau_d": 800 * ms, "U": 0.5, "tau_stdp": 20 * ms},
        values={"w": 0.4, "x_S": 1.0, "gain": "1 + 0.5*j"},
    ),
    "NMDA": Rule(
        "Wang, J. Neurosci. 19:9587 (1999): gating that saturates, summed over the synapses",
        {
            "model": """
            s_tot_post = w*s : 1 (summed)
            ds/dt = -s/tau_decay + alpha_s*z*(1 - s) : 1 (clock-driven)
            dz/dt = -z/tau_rise : 1 (clock-driven)
            w : 1
            """,
            "on_pre": "z += 1",
            "method": "euler",
        },
        {"tau_decay": 100 * ms, "tau_rise": 2 * ms, "alpha_s": 0.5 / ms},
        read={"weight": "w"},
        window="the weight does not change",
    ),
    "gap junction": Rule(
        "electrical coupling, a current proportional to the difference of two voltages",
        {"model": "w : 1\ngap_post = w*(v_pre - v_post) : volt (summed)"},
        {},
        window="the weight does not change",
    ),
}


def pair_window(name: str, lag: np.ndarray) -> np.ndarray | None:
    """Closed form of a window, for ``lag = t_post - t_pre`` in ms and a weight of 0.4 (0.2 nS)."""
    s = np.abs(lag)
    after = lag >= 0
    if name == "additive":
        return np.where(after, 0.005 * np.exp(-s / 20), -0.00525 * np.exp(-s / 20))
    if name == "multiplicative":
        return np.where(after, 7e-12 * np.exp(-s / 20), -0.003 * 0.2e-9 * np.exp(-s / 20))
    if name == "nearest neighbour":
        return np.where(after, 0.01 * np.exp(-s / 16.8), -0.0085 * np.exp(-s / 33.7))
    if name == "triplet":
        return np.where(after, 0.0, -7.1e-3 * np.exp(-s / 33.7))
    if name == "inhibitory":
        return 0.01 * (np.exp(-s / 20) - 0.12)
    if name == "x_tar":
        return 0.01 * (np.where(after, np.exp(-s / 20), 0.0) - 0.4) * 0.6**0.2
    return None
