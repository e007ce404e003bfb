"""Conductance-based neurons: Hodgkin & Huxley (1952), Traub & Miles (1991), Wang & Buzsáki (1996)."""

from __future__ import annotations

from collections.abc import Iterable

from brian2.units.fundamentalunits import Quantity
from brian2.units.stdunits import cm2, mS, ms, mV, nS, pA, pF, uA, uF, uS

from neurosnn.equations.lif import POSITIVE
from neurosnn.equations.membrane import BELLEC_GAMMA, COUNTED_ONCE, PER_AREA, membrane
from neurosnn.equations.receptors import Receptor, exponential
from neurosnn.model import NeuronModel, Range

__all__ = ["HodgkinHuxley", "TraubMiles", "WangBuzsaki"]

HODGKIN = "Hodgkin & Huxley, J. Physiol. 117:500 (1952)"
BRETTE_2007 = "Brette et al., J. Comput. Neurosci. 23:349 (2007)"
WANG_1996 = "Wang & Buzsáki, J. Neurosci. 16:6402 (1996)"
#: A spike is counted once: none while the potential stays above the level that it has crossed.
ONCE = {"threshold": "v > v_th", "refractory": "v > v_th"}
#: The conductances of the benchmark.
COBAHH = (
    exponential("e", tau=5 * ms, E=0 * mV, source="Brette 2007, benchmark 3: 5 ms, 0 mV"),
    exponential("i", tau=10 * ms, E=-80 * mV, source="Brette 2007, benchmark 3: 10 ms, -80 mV"),
)
AREA_RANGES = {
    "C": Range(0 * uF / cm2),
    **{name: Range(0 * mS / cm2, includes_low=True) for name in ("g_Na", "g_K", "g_L")},
    "gamma": POSITIVE,
}
INITIAL = {
    "v": "E_rest",
    "m": "alpha_m/(alpha_m + beta_m)",
    "h": "alpha_h/(alpha_h + beta_h)",
    "n": "alpha_n/(alpha_n + beta_n)",
}


def HodgkinHuxley(
    *,
    C: Quantity = 1 * uF / cm2,
    g_Na: Quantity = 120 * mS / cm2,
    g_K: Quantity = 36 * mS / cm2,
    g_L: Quantity = 0.3 * mS / cm2,
    V_Na: Quantity = 115 * mV,
    V_K: Quantity = -12 * mV,
    V_L: Quantity = 10.613 * mV,
    E_rest: Quantity = -65 * mV,
    v_th: Quantity = 0 * mV,
    I_ext: Quantity = 0 * uA / cm2,
    receptors: Iterable[Receptor] = PER_AREA,
    gamma: float = 0.3,
) -> NeuronModel:
    r"""The squid axon of Hodgkin & Huxley (1952), space-clamped, at 6.3 degrees.

    .. math::
        C \dot v = g_{Na} m^3 h (V_{Na} - u) + g_K n^4 (V_K - u) + g_L (V_L - u) + I_{ext} + I, \qquad
        u = v - E_{rest}

    .. math:: \dot x = \alpha_x(u)\,(1 - x) - \beta_x(u)\,x, \qquad x \in \{m, h, n\}

    with u in mV and rates in 1/ms:

    ==  =======================================================  ==================================
    x   alpha                                                    beta
    ==  =======================================================  ==================================
    m   :math:`0.1 (25 - u)/(e^{(25 - u)/10} - 1)`               :math:`4 e^{-u/18}`
    h   :math:`0.07 e^{-u/20}`                                   :math:`1/(e^{(30 - u)/10} + 1)`
    n   :math:`0.01 (10 - u)/(e^{(10 - u)/10} - 1)`              :math:`0.125 e^{-u/80}`
    ==  =======================================================  ==================================

    Parameters
    ----------
    C : Quantity (farad/metre**2), default 1 uF/cm2
        Capacitance of the membrane (table 3).
    g_Na : Quantity (siemens/metre**2), default 120 mS/cm2
        Sodium conductance (table 3).
    g_K : Quantity (siemens/metre**2), default 36 mS/cm2
        Potassium conductance (table 3).
    g_L : Quantity (siemens/metre**2), default 0.3 mS/cm2
        Leak conductance (table 3).
    V_Na : Quantity (volt), default 115 mV
        Sodium potential relative to rest (table 3; today's sign).
    V_K : Quantity (volt), default -12 mV
        Potassium potential relative to rest (table 3; today's sign).
    V_L : Quantity (volt), default 10.613 mV
        Leak potential relative to rest (table 3; today's sign).
    E_rest : Quantity (volt), default -65 mV
        Resting potential, a choice: the paper's potentials are relative to it.
    v_th : Quantity (volt), default 0 mV
        A spike is counted when v rises above it.
    I_ext : Quantity (amp/metre**2), default 0
        Constant current.
    receptors : iterable of Receptor, default one exponential current
        What spikes open; see :mod:`neurosnn.equations.receptors`.
    gamma : float, default 0.3
        Height of the pseudo-derivative (Bellec 2020), which rises linearly from `E_rest` to `v_th`
        and is 0 from the step after a spike until v is below `v_th` again.

    Returns
    -------
    NeuronModel
        States v, m, h, n and I; weights are currents per area and add to I. Integrated with
        exponential_euler; 0.05 ms is a usual time step.

    Raises
    ------
    ValueError
        If a parameter has the wrong unit or is out of range.

    Notes
    -----
    The neuron has no reset. Gates begin in their steady state.

    References
    ----------
    Hodgkin & Huxley, J. Physiol. 117:500 (1952), eq. 12 to 26 and table 3.

    Examples
    --------
    >>> from neurosnn import equations
    >>> equations.HodgkinHuxley().states
    ('v', 'm', 'h', 'n', 'I')
    """
    table = "Hodgkin & Huxley 1952, table 3"
    return membrane(
        name="HodgkinHuxley",
        equations="""
dv/dt = (I_Na + I_K + g_L*(V_L + E_rest - v) + I_ext{synapses})/C : volt
I_Na = g_Na*m**3*h*(V_Na + E_rest - v) : amp/meter**2
I_K = g_K*n**4*(V_K + E_rest - v) : amp/meter**2
dm/dt = alpha_m*(1 - m) - beta_m*m : 1
dh/dt = alpha_h*(1 - h) - beta_h*h : 1
dn/dt = alpha_n*(1 - n) - beta_n*n : 1
u = (v - E_rest)/mV : 1
alpha_m = 1/exprel((25 - u)/10)/ms : Hz
beta_m = 4*exp(-u/18)/ms : Hz
alpha_h = 0.07*exp(-u/20)/ms : Hz
beta_h = 1/(exp((30 - u)/10) + 1)/ms : Hz
alpha_n = 0.1/exprel((10 - u)/10)/ms : Hz
beta_n = 0.125*exp(-u/80)/ms : Hz
""",
        receptors=receptors,
        method="exponential_euler",
        surrogate=COUNTED_ONCE.format(low="E_rest", high="v_th"),
        initial=INITIAL,
        parameters={
            "C": C,
            "g_Na": g_Na,
            "g_K": g_K,
            "g_L": g_L,
            "V_Na": V_Na,
            "V_K": V_K,
            "V_L": V_L,
            "E_rest": E_rest,
            "v_th": v_th,
            "I_ext": I_ext,
            "gamma": gamma,
        },
        ranges=AREA_RANGES,
        sources={
            "C": f"{table}: 1 uF/cm2",
            "g_Na": f"{table}: 120 mS/cm2",
            "g_K": f"{table}: 36 mS/cm2",
            "g_L": f"{table}: 0.3 mS/cm2",
            "V_Na": f"{table}: -115 mV, with its sign of the potential",
            "V_K": f"{table}: 12 mV, with its sign of the potential",
            "V_L": f"{table}: -10.613 mV, with its sign of the potential",
            "E_rest": "a choice; potentials of the paper are relative to rest",
            "v_th": "ours: where spikes are counted",
            "I_ext": "none",
            "gamma": BELLEC_GAMMA,
        },
        reference=HODGKIN,
        **ONCE,
    )


def TraubMiles(
    *,
    C: Quantity = 200 * pF,
    g_Na: Quantity = 20 * uS,
    g_K: Quantity = 6 * uS,
    g_L: Quantity = 10 * nS,
    E_Na: Quantity = 50 * mV,
    E_K: Quantity = -90 * mV,
    E_L: Quantity = -60 * mV,
    V_T: Quantity = -63 * mV,
    v_th: Quantity = -20 * mV,
    I_ext: Quantity = 0 * pA,
    receptors: Iterable[Receptor] = COBAHH,
    gamma: float = 0.3,
) -> NeuronModel:
    r"""Hippocampal pyramidal neuron of Traub & Miles, as in the benchmark COBAHH of Brette et al. (2007).

    .. math::
        C \dot v = g_{Na} m^3 h (E_{Na} - v) + g_K n^4 (E_K - v) + g_L (E_L - v) + I_{ext}
        + g_e (E_e - v) + g_i (E_i - v)

    .. math:: \dot x = \alpha_x(u)\,(1 - x) - \beta_x(u)\,x, \qquad x \in \{m, h, n\}, \qquad u = v - V_T

    with u in mV and rates in 1/ms:

    ==  =======================================================  ============================================
    x   alpha                                                    beta
    ==  =======================================================  ============================================
    m   :math:`0.32 (13 - u)/(e^{(13 - u)/4} - 1)`               :math:`0.28 (u - 40)/(e^{(u - 40)/5} - 1)`
    h   :math:`0.128 e^{(17 - u)/18}`                            :math:`4/(e^{(40 - u)/5} + 1)`
    n   :math:`0.032 (15 - u)/(e^{(15 - u)/5} - 1)`              :math:`0.5 e^{(10 - u)/40}`
    ==  =======================================================  ============================================

    Parameters
    ----------
    C : Quantity (farad), default 200 pF
        Capacitance: 1 uF/cm2 times 20000 um2.
    g_Na : Quantity (siemens), default 20 uS
        Sodium conductance: 100 mS/cm2 times 20000 um2.
    g_K : Quantity (siemens), default 6 uS
        Potassium conductance: 30 mS/cm2 times 20000 um2.
    g_L : Quantity (siemens), default 10 nS
        Leak conductance: 0.05 mS/cm2 times 20000 um2.
    E_Na : Quantity (volt), default 50 mV
        Sodium potential.
    E_K : Quantity (volt), default -90 mV
        Potassium potential.
    E_L : Quantity (volt), default -60 mV
        Leak potential.
    V_T : Quantity (volt), default -63 mV
        Shift of the rates, which puts the threshold near -50 mV.
    v_th : Quantity (volt), default -20 mV
        A spike is counted when v rises above it.
    I_ext : Quantity (amp), default 0 pA
        Constant current.
    receptors : iterable of Receptor, default those of the benchmark
        What spikes open: ``g_e`` (5 ms, 0 mV) and ``g_i`` (10 ms, -80 mV); see
        :mod:`neurosnn.equations.receptors`.
    gamma : float, default 0.3
        Height of the pseudo-derivative (Bellec 2020), which rises linearly from `E_L` to `v_th`
        and is 0 from the step after a spike until v is below `v_th` again.

    Returns
    -------
    NeuronModel
        States v, m, h, n, g_e and g_i; weights are conductances. Integrated with exponential_euler;
        0.05 to 0.1 ms are usual time steps.

    Raises
    ------
    ValueError
        If a parameter has the wrong unit or is out of range.

    Notes
    -----
    The neuron has no reset. Gates begin in their steady state. The weights of the benchmark are 6 nS
    and 67 nS. Without any input it fires at 14 Hz, since its leak pulls above the threshold; with E_L at
    -65 mV, as in Brian2's manual, it is silent. Deviation: the benchmark's script counts spikes at most
    every 3 ms, this model once a crossing.

    References
    ----------
    Brette et al., J. Comput. Neurosci. 23:349 (2007), appendix B, benchmark 3; Traub & Miles, Neuronal
    networks of the hippocampus (1991).

    Examples
    --------
    >>> from neurosnn import equations
    >>> equations.TraubMiles().inputs
    ('g_e', 'g_i')
    """
    benchmark = "Brette 2007, benchmark 3"
    return membrane(
        name="TraubMiles",
        equations="""
dv/dt = (g_Na*m**3*h*(E_Na - v) + g_K*n**4*(E_K - v) + g_L*(E_L - v) + I_ext{synapses})/C : volt
dm/dt = alpha_m*(1 - m) - beta_m*m : 1
dh/dt = alpha_h*(1 - h) - beta_h*h : 1
dn/dt = alpha_n*(1 - n) - beta_n*n : 1
u = (v - V_T)/mV : 1
alpha_m = 1.28/exprel((13 - u)/4)/ms : Hz
beta_m = 1.4/exprel((u - 40)/5)/ms : Hz
alpha_h = 0.128*exp((17 - u)/18)/ms : Hz
beta_h = 4/(exp((40 - u)/5) + 1)/ms : Hz
alpha_n = 0.16/exprel((15 - u)/5)/ms : Hz
beta_n = 0.5*exp((10 - u)/40)/ms : Hz
""",
        receptors=receptors,
        method="exponential_euler",
        surrogate=COUNTED_ONCE.format(low="E_L", high="v_th"),
        initial=INITIAL | {"v": "E_L"},
        parameters={
            "C": C,
            "g_Na": g_Na,
            "g_K": g_K,
            "g_L": g_L,
            "E_Na": E_Na,
            "E_K": E_K,
            "E_L": E_L,
            "V_T": V_T,
            "v_th": v_th,
            "I_ext": I_ext,
            "gamma": gamma,
        },
        ranges={
            "C": Range(0 * pF),
            "g_Na": Range(0 * nS, includes_low=True),
            "g_K": Range(0 * nS, includes_low=True),
            "g_L": Range(0 * nS, includes_low=True),
            "gamma": POSITIVE,
        },
        sources={
            "C": f"{benchmark}: 1 uF/cm2, 20000 um2",
            "g_Na": f"{benchmark}: 100 mS/cm2, 20000 um2",
            "g_K": f"{benchmark}: 30 mS/cm2, 20000 um2",
            "g_L": f"{benchmark}: 0.05 mS/cm2, 20000 um2",
            "E_Na": f"{benchmark}: 50 mV",
            "E_K": f"{benchmark}: -90 mV",
            "E_L": f"{benchmark}, published script: -60 mV",
            "V_T": f"{benchmark}: -63 mV",
            "v_th": f"{benchmark}, published script: -20 mV",
            "I_ext": "none",
            "gamma": BELLEC_GAMMA,
        },
        reference=f"{BRETTE_2007}; Traub & Miles, Neuronal networks of the hippocampus (1991)",
        **ONCE,
    )


def WangBuzsaki(
    *,
    C: Quantity = 1 * uF / cm2,
    g_Na: Quantity = 35 * mS / cm2,
    g_K: Quantity = 9 * mS / cm2,
    g_L: Quantity = 0.1 * mS / cm2,
    E_Na: Quantity = 55 * mV,
    E_K: Quantity = -90 * mV,
    E_L: Quantity = -65 * mV,
    phi: float = 5.0,
    v_th: Quantity = 0 * mV,
    I_ext: Quantity = 0 * uA / cm2,
    receptors: Iterable[Receptor] = PER_AREA,
    gamma: float = 0.3,
) -> NeuronModel:
    r"""Fast-spiking hippocampal interneuron, in which sodium channels open at once.

    .. math::
        C \dot v = g_{Na} m_\infty^3 h (E_{Na} - v) + g_K n^4 (E_K - v) + g_L (E_L - v) + I_{ext} + I

    .. math::
        m_\infty = \frac{\alpha_m}{\alpha_m + \beta_m}, \qquad
        \dot x = \phi\,(\alpha_x\,(1 - x) - \beta_x\,x), \qquad x \in \{h, n\}

    with v in mV and rates in 1/ms:

    ==  ==============================================================  ==================================
    x   alpha                                                           beta
    ==  ==============================================================  ==================================
    m   :math:`-0.1 (v + 35)/(e^{-0.1 (v + 35)} - 1)`                   :math:`4 e^{-(v + 60)/18}`
    h   :math:`0.07 e^{-(v + 58)/20}`                                   :math:`1/(e^{-0.1 (v + 28)} + 1)`
    n   :math:`-0.01 (v + 34)/(e^{-0.1 (v + 34)} - 1)`                  :math:`0.125 e^{-(v + 44)/80}`
    ==  ==============================================================  ==================================

    Parameters
    ----------
    C : Quantity (farad/metre**2), default 1 uF/cm2
        Capacitance of the membrane.
    g_Na : Quantity (siemens/metre**2), default 35 mS/cm2
        Sodium conductance.
    g_K : Quantity (siemens/metre**2), default 9 mS/cm2
        Potassium conductance.
    g_L : Quantity (siemens/metre**2), default 0.1 mS/cm2
        Leak conductance.
    E_Na : Quantity (volt), default 55 mV
        Sodium potential.
    E_K : Quantity (volt), default -90 mV
        Potassium potential.
    E_L : Quantity (volt), default -65 mV
        Leak potential.
    phi : float, default 5
        Speed of the gates.
    v_th : Quantity (volt), default 0 mV
        A spike is counted when v rises above it.
    I_ext : Quantity (amp/metre**2), default 0
        Constant current.
    receptors : iterable of Receptor, default one exponential current
        What spikes open; see :mod:`neurosnn.equations.receptors`.
    gamma : float, default 0.3
        Height of the pseudo-derivative (Bellec 2020), which rises linearly from `E_L` to `v_th`
        and is 0 from the step after a spike until v is below `v_th` again.

    Returns
    -------
    NeuronModel
        States v, h, n and I; weights are currents per area and add to I. Integrated with euler, since
        the membrane is not linear in v: 0.02 ms or less.

    Raises
    ------
    ValueError
        If a parameter has the wrong unit or is out of range.

    Notes
    -----
    The neuron has no reset. Gates begin in their steady state.

    References
    ----------
    Wang & Buzsáki, J. Neurosci. 16:6402 (1996), Materials and Methods.

    Examples
    --------
    >>> from neurosnn import equations
    >>> equations.WangBuzsaki().parameters["phi"]
    5.0
    """
    methods = "Wang & Buzsáki 1996, Methods"
    return membrane(
        name="WangBuzsaki",
        equations="""
dv/dt = (g_Na*m**3*h*(E_Na - v) + g_K*n**4*(E_K - v) + g_L*(E_L - v) + I_ext{synapses})/C : volt
dh/dt = phi*(alpha_h*(1 - h) - beta_h*h) : 1
dn/dt = phi*(alpha_n*(1 - n) - beta_n*n) : 1
m = alpha_m/(alpha_m + beta_m) : 1
alpha_m = 1/exprel(-(v/mV + 35)/10)/ms : Hz
beta_m = 4*exp(-(v/mV + 60)/18)/ms : Hz
alpha_h = 0.07*exp(-(v/mV + 58)/20)/ms : Hz
beta_h = 1/(exp(-(v/mV + 28)/10) + 1)/ms : Hz
alpha_n = 0.1/exprel(-(v/mV + 34)/10)/ms : Hz
beta_n = 0.125*exp(-(v/mV + 44)/80)/ms : Hz
""",
        receptors=receptors,
        method="euler",
        surrogate=COUNTED_ONCE.format(low="E_L", high="v_th"),
        initial={"v": "E_L", "h": INITIAL["h"], "n": INITIAL["n"]},
        parameters={
            "C": C,
            "g_Na": g_Na,
            "g_K": g_K,
            "g_L": g_L,
            "E_Na": E_Na,
            "E_K": E_K,
            "E_L": E_L,
            "phi": phi,
            "v_th": v_th,
            "I_ext": I_ext,
            "gamma": gamma,
        },
        ranges=AREA_RANGES | {"phi": POSITIVE},
        sources={
            "C": f"{methods}: 1 uF/cm2",
            "g_Na": f"{methods}: 35 mS/cm2",
            "g_K": f"{methods}: 9 mS/cm2",
            "g_L": f"{methods}: 0.1 mS/cm2",
            "E_Na": f"{methods}: 55 mV",
            "E_K": f"{methods}: -90 mV",
            "E_L": f"{methods}: -65 mV",
            "phi": f"{methods}: 5",
            "v_th": "ours: where spikes are counted",
            "I_ext": "none",
            "gamma": BELLEC_GAMMA,
        },
        reference=WANG_1996,
        **ONCE,
    )
