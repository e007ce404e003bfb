"""The barnacle muscle fibre of Morris & Lecar (1981), with the parameters of Rinzel & Ermentrout (1998)."""

from __future__ import annotations

from collections.abc import Iterable

from brian2.units.fundamentalunits import Quantity
from brian2.units.stdunits import cm2, mS, ms, mV, uA, uF

from neurosnn.equations.lif import POSITIVE
from neurosnn.equations.membrane import BELLEC_GAMMA, COUNTED_ONCE, PER_AREA, membrane
from neurosnn.equations.receptors import Receptor
from neurosnn.model import NeuronModel, Range

__all__ = ["MorrisLecar"]

RINZEL = "Rinzel & Ermentrout, Methods in Neuronal Modeling, ch. 7 (1998)"
#: g_Ca (mS/cm2), V_3 (mV), V_4 (mV), phi (1/ms).
REGIMES = {
    "Hopf": (4.4, 2, 30, 0.04),
    "SNIC": (4, 12, 17.4, 1 / 15),
    "homoclinic": (4, 12, 17.4, 0.23),
}


def MorrisLecar(
    *,
    regime: str = "Hopf",
    C: Quantity = 20 * uF / cm2,
    g_Ca: Quantity | None = None,
    g_K: Quantity = 8 * mS / cm2,
    g_L: Quantity = 2 * mS / cm2,
    E_Ca: Quantity = 120 * mV,
    E_K: Quantity = -84 * mV,
    E_L: Quantity = -60 * mV,
    V_1: Quantity = -1.2 * mV,
    V_2: Quantity = 18 * mV,
    V_3: Quantity | None = None,
    V_4: Quantity | None = None,
    phi: Quantity | None = None,
    v_th: Quantity = 0 * mV,
    I_ext: Quantity = 0 * uA / cm2,
    receptors: Iterable[Receptor] = PER_AREA,
    gamma: float = 0.3,
) -> NeuronModel:
    r"""Two-dimensional conductance-based neuron with a calcium spike.

    .. math::
        C \dot v = g_{Ca} m_\infty (E_{Ca} - v) + g_K n (E_K - v) + g_L (E_L - v) + I_{ext} + I

    .. math::
        \dot n = \phi \cosh\left(\frac{v - V_3}{2 V_4}\right) (n_\infty - n), \qquad
        m_\infty = \frac{1}{2} + \frac{1}{2} \tanh\frac{v - V_1}{V_2}, \qquad
        n_\infty = \frac{1}{2} + \frac{1}{2} \tanh\frac{v - V_3}{V_4}

    Parameters
    ----------
    regime : {"Hopf", "SNIC", "homoclinic"}
        How repetitive firing begins: with a rate of its own (class II), with a rate of zero (class I), or
        beside a state of rest. It gives `g_Ca` (4.4, 4, 4 mS/cm2), `V_3` (2, 12, 12 mV), `V_4`
        (30, 17.4, 17.4 mV) and `phi` (0.04, 0.067, 0.23 per ms).
    C : Quantity (farad/metre**2), default 20 uF/cm2
        Capacitance of the membrane.
    g_Ca : Quantity (siemens/metre**2), optional
        Calcium conductance, by `regime` if None.
    g_K : Quantity (siemens/metre**2), default 8 mS/cm2
        Potassium conductance.
    g_L : Quantity (siemens/metre**2), default 2 mS/cm2
        Leak conductance.
    E_Ca : Quantity (volt), default 120 mV
        Calcium potential.
    E_K : Quantity (volt), default -84 mV
        Potassium potential.
    E_L : Quantity (volt), default -60 mV
        Leak potential.
    V_1 : Quantity (volt), default -1.2 mV
        Potential at which half of the calcium channels are open.
    V_2 : Quantity (volt), default 18 mV
        Width of their activation.
    V_3 : Quantity (volt), optional
        Potential at which half of the potassium channels are open, by `regime` if None.
    V_4 : Quantity (volt), optional
        Width of their activation, by `regime` if None.
    phi : Quantity (1/second), optional
        Rate of the potassium channels, by `regime` if None.
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
        States v, n and I; weights are currents per area and add to I. Integrated with euler, since the
        membrane is not linear in v.

    Raises
    ------
    ValueError
        If the regime is unknown, or a parameter has the wrong unit or is out of range.

    Notes
    -----
    The neuron has no reset. The rate of 0.067 per ms that is printed is 1/15 here.

    References
    ----------
    Rinzel & Ermentrout, in Koch & Segev (eds.), Methods in Neuronal Modeling, 2nd ed. (1998), chapter 7;
    Morris & Lecar, Biophys. J. 35:193 (1981).

    Examples
    --------
    >>> from neurosnn import equations
    >>> equations.MorrisLecar(regime="SNIC").parameters["V_3"]
    12. * mvolt
    """
    if regime not in REGIMES:
        raise ValueError(
            f"MorrisLecar: unknown regime {regime!r}. Firing begins in one of three ways. "
            f"Choose one of {', '.join(REGIMES)}."
        )
    chapter = f"Rinzel & Ermentrout 1998, {regime}"
    names, units = ("g_Ca", "V_3", "V_4", "phi"), (mS / cm2, mV, mV, 1 / ms)
    usual = {
        name: number * unit
        for name, number, unit in zip(names, REGIMES[regime], units, strict=True)
    }
    arguments = {"g_Ca": g_Ca, "V_3": V_3, "V_4": V_4, "phi": phi}
    values = usual | {name: value for name, value in arguments.items() if value is not None}
    return membrane(
        name="MorrisLecar",
        equations="""
dv/dt = (g_Ca*m*(E_Ca - v) + g_K*n*(E_K - v) + g_L*(E_L - v) + I_ext{synapses})/C : volt
dn/dt = phi*cosh((v - V_3)/(2*V_4))*(n_inf - n) : 1
m = 0.5*(1 + tanh((v - V_1)/V_2)) : 1
n_inf = 0.5*(1 + tanh((v - V_3)/V_4)) : 1
""",
        receptors=receptors,
        threshold="v > v_th",
        refractory="v > v_th",
        method="euler",
        surrogate=COUNTED_ONCE.format(low="E_L", high="v_th"),
        initial={"v": "E_L", "n": "n_inf"},
        parameters={
            "C": C,
            "g_K": g_K,
            "g_L": g_L,
            "E_Ca": E_Ca,
            "E_K": E_K,
            "E_L": E_L,
            "V_1": V_1,
            "V_2": V_2,
            **values,
            "v_th": v_th,
            "I_ext": I_ext,
            "gamma": gamma,
        },
        ranges={
            "C": Range(0 * uF / cm2),
            **{name: Range(0 * mS / cm2, includes_low=True) for name in ("g_Ca", "g_K", "g_L")},
            "V_2": Range(0 * mV),
            "V_4": Range(0 * mV),
            "phi": Range(0 / ms),
            "gamma": POSITIVE,
        },
        sources={
            "C": f"{chapter}: 20 uF/cm2",
            "g_Ca": f"{chapter}: {REGIMES[regime][0]} mS/cm2",
            "g_K": f"{chapter}: 8 mS/cm2",
            "g_L": f"{chapter}: 2 mS/cm2",
            "E_Ca": f"{chapter}: 120 mV",
            "E_K": f"{chapter}: -84 mV",
            "E_L": f"{chapter}: -60 mV",
            "V_1": f"{chapter}: -1.2 mV",
            "V_2": f"{chapter}: 18 mV",
            "V_3": f"{chapter}: {REGIMES[regime][1]} mV",
            "V_4": f"{chapter}: {REGIMES[regime][2]} mV",
            "phi": f"{chapter}: {REGIMES[regime][3]:.2g} per ms",
            "v_th": "ours: where spikes are counted",
            "I_ext": "none",
            "gamma": BELLEC_GAMMA,
        },
        reference=f"{RINZEL}; Morris & Lecar, Biophys. J. 35:193 (1981)",
    )
