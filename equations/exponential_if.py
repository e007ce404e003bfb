"""Integrate-and-fire neurons with a spike current: exponential and quadratic (Fourcaud-Trocmé 2003)."""

from __future__ import annotations

from collections.abc import Iterable

from brian2.units.fundamentalunits import Quantity
from brian2.units.stdunits import cm2, mS, ms, mV, uA, uF

from neurosnn.equations.lif import NON_NEGATIVE_TIME, POSITIVE
from neurosnn.equations.membrane import BELLEC_GAMMA, PER_AREA, RAMP, membrane
from neurosnn.equations.receptors import Receptor
from neurosnn.model import NeuronModel, Range

__all__ = ["ExponentialIF", "QuadraticIF"]

FOURCAUD = "Fourcaud-Trocme et al., J. Neurosci. 23:11628 (2003)"
RANGES = {
    "C": Range(0 * uF / cm2),
    "g_L": Range(0 * mS / cm2),
    "Delta_T": Range(0 * mV),
    "t_ref": NON_NEGATIVE_TIME,
    "gamma": POSITIVE,
}
SOURCES = {
    "C": "Fourcaud-Trocmé 2003, fit: tau_m = C/g_L = 10 ms",
    "g_L": "Fourcaud-Trocmé 2003, fit: 0.1 mS/cm2",
    "E_L": "Fourcaud-Trocmé 2003, fit: -65 mV",
    "V_T": "Fourcaud-Trocmé 2003, fit: -59.9 mV",
    "Delta_T": "Fourcaud-Trocmé 2003, fit: 3.48 mV",
    "V_r": "Fourcaud-Trocmé 2003, fit: -68 mV",
    "t_ref": "Fourcaud-Trocmé 2003, fit: 1.7 ms",
    "I_ext": "none",
    "gamma": BELLEC_GAMMA,
}


def ExponentialIF(
    *,
    C: Quantity = 1 * uF / cm2,
    g_L: Quantity = 0.1 * mS / cm2,
    E_L: Quantity = -65 * mV,
    V_T: Quantity = -59.9 * mV,
    Delta_T: Quantity = 3.48 * mV,
    v_peak: Quantity = -30 * mV,
    V_r: Quantity = -68 * mV,
    t_ref: Quantity = 1.7 * ms,
    I_ext: Quantity = 0 * uA / cm2,
    receptors: Iterable[Receptor] = PER_AREA,
    gamma: float = 0.3,
) -> NeuronModel:
    r"""Exponential integrate-and-fire neuron, fitted to the neuron of Wang & Buzsáki.

    .. math::
        C \dot v = g_L (E_L - v) + g_L \Delta_T e^{(v - V_T)/\Delta_T} + I_{ext} + I, \qquad
        v \ge v_{peak}:\ v \leftarrow V_r \text{ for } t_{ref}

    Parameters
    ----------
    C : Quantity (farad/metre**2), default 1 uF/cm2
        Capacitance of the membrane per area; with `g_L` the time constant of 10 ms.
    g_L : Quantity (siemens/metre**2), default 0.1 mS/cm2
        Leak conductance.
    E_L : Quantity (volt), default -65 mV
        Reversal potential of the leak.
    V_T : Quantity (volt), default -59.9 mV
        Threshold of the spike current: the largest potential at which a constant current can hold
        the neuron.
    Delta_T : Quantity (volt), default 3.48 mV
        Slope factor: how sharply a spike begins.
    v_peak : Quantity (volt), default -30 mV
        Where the spike, which has infinite height, is cut off. From here to infinity it would take
        ``C/g_L*exp(-(v_peak - V_T)/Delta_T)``, 2 microseconds.
    V_r : Quantity (volt), default -68 mV
        Reset.
    t_ref : Quantity (second), default 1.7 ms
        Refractory period.
    I_ext : Quantity (amp/metre**2), default 0
        Constant current.
    receptors : iterable of Receptor, default one exponential current
        What spikes open; see :mod:`neurosnn.equations.receptors`.
    gamma : float, default 0.3
        Height of the pseudo-derivative (Bellec 2020), which rises linearly from `E_L` to `v_peak`.

    Returns
    -------
    NeuronModel
        States v and I; weights are currents per area and add to I. Integrated with euler; a time step
        of 0.02 ms follows the upstroke.

    Raises
    ------
    ValueError
        If a parameter has the wrong unit or is out of range.

    Notes
    -----
    All numbers but `v_peak` are those of the fit to the neuron of Wang & Buzsáki (1996).

    The largest current without spikes (rheobase) is ``g_L*(V_T - E_L - Delta_T)``.

    References
    ----------
    Fourcaud-Trocmé et al., J. Neurosci. 23:11628 (2003).

    Examples
    --------
    >>> from neurosnn import equations
    >>> equations.ExponentialIF().parameters["V_T"]
    -59.9 * mvolt
    """
    return membrane(
        name="ExponentialIF",
        equations="""
dv/dt = (g_L*(E_L - v) + g_L*Delta_T*exp((v - V_T)/Delta_T) + I_ext{synapses})/C : volt (unless refractory)
""",
        receptors=receptors,
        threshold="v >= v_peak",
        reset="v = V_r",
        refractory="t_ref",
        method="euler",
        surrogate=RAMP.format(low="E_L", high="v_peak"),
        initial={"v": "E_L"},
        parameters={
            "C": C,
            "g_L": g_L,
            "E_L": E_L,
            "V_T": V_T,
            "Delta_T": Delta_T,
            "v_peak": v_peak,
            "V_r": V_r,
            "t_ref": t_ref,
            "I_ext": I_ext,
            "gamma": gamma,
        },
        ranges=RANGES,
        sources=SOURCES | {"v_peak": "ours: where the spike is cut off"},
        reference=FOURCAUD,
    )


def QuadraticIF(
    *,
    C: Quantity = 1 * uF / cm2,
    g_L: Quantity = 0.1 * mS / cm2,
    E_L: Quantity = -65 * mV,
    V_T: Quantity = -59.9 * mV,
    Delta_T: Quantity = 3.48 * mV,
    v_peak: Quantity = 0 * mV,
    V_r: Quantity = -68 * mV,
    t_ref: Quantity = 1.7 * ms,
    I_ext: Quantity = 0 * uA / cm2,
    receptors: Iterable[Receptor] = PER_AREA,
    gamma: float = 0.3,
) -> NeuronModel:
    r"""Quadratic integrate-and-fire neuron: the theta neuron in the potential of a membrane.

    .. math::
        C \dot v = \frac{g_L}{2 \Delta_T} (v - V_T)^2 - I_T + I_{ext} + I, \qquad
        I_T = g_L (V_T - E_L - \Delta_T), \qquad
        v \ge v_{peak}:\ v \leftarrow V_r \text{ for } t_{ref}

    Parameters
    ----------
    C : Quantity (farad/metre**2), default 1 uF/cm2
        Capacitance of the membrane per area; with `g_L` the time constant of 10 ms.
    g_L : Quantity (siemens/metre**2), default 0.1 mS/cm2
        Leak conductance of the neuron that is approximated.
    E_L : Quantity (volt), default -65 mV
        Reversal potential of its leak; it sets the threshold current I_T only.
    V_T : Quantity (volt), default -59.9 mV
        Largest potential at which a constant current can hold the neuron.
    Delta_T : Quantity (volt), default 3.48 mV
        One over the curvature at `V_T` in units of `g_L`.
    v_peak : Quantity (volt), default 0 mV
        Where the spike, which has infinite height, is cut off. It is slower than that of
        ExponentialIF: from here to infinity it takes ``2*C*Delta_T/(g_L*(v_peak - V_T))``, 1.2 ms.
    V_r : Quantity (volt), default -68 mV
        Reset.
    t_ref : Quantity (second), default 1.7 ms
        Refractory period.
    I_ext : Quantity (amp/metre**2), default 0
        Constant current.
    receptors : iterable of Receptor, default one exponential current
        What spikes open; see :mod:`neurosnn.equations.receptors`.
    gamma : float, default 0.3
        Height of the pseudo-derivative (Bellec 2020), which rises linearly from `E_L` to `v_peak`.

    Returns
    -------
    NeuronModel
        States v and I; weights are currents per area and add to I. Integrated with euler.

    Raises
    ------
    ValueError
        If a parameter has the wrong unit or is out of range.

    Notes
    -----
    Above threshold, ``J = I_ext - I_T > 0``, a period is
    ``t_ref + k*(atan((v_peak - V_T)/s) - atan((V_r - V_T)/s))`` with ``s = sqrt(2*Delta_T*J/g_L)`` and
    ``k = 2*C*Delta_T/(g_L*s)``.

    References
    ----------
    Fourcaud-Trocmé et al., J. Neurosci. 23:11628 (2003); Ermentrout & Kopell, SIAM J. Appl. Math. 46:233
    (1986).

    Examples
    --------
    >>> from neurosnn import equations
    >>> equations.QuadraticIF().threshold
    'v >= v_peak'
    """
    return membrane(
        name="QuadraticIF",
        equations="""
dv/dt = (g_L/(2*Delta_T)*(v - V_T)**2 - I_T + I_ext{synapses})/C : volt (unless refractory)
I_T = g_L*(V_T - E_L - Delta_T) : amp/meter**2
""",
        receptors=receptors,
        threshold="v >= v_peak",
        reset="v = V_r",
        refractory="t_ref",
        method="euler",
        surrogate=RAMP.format(low="E_L", high="v_peak"),
        initial={"v": "E_L"},
        parameters={
            "C": C,
            "g_L": g_L,
            "E_L": E_L,
            "V_T": V_T,
            "Delta_T": Delta_T,
            "v_peak": v_peak,
            "V_r": V_r,
            "t_ref": t_ref,
            "I_ext": I_ext,
            "gamma": gamma,
        },
        ranges=RANGES,
        sources=SOURCES | {"v_peak": "ours: where the spike is cut off"},
        reference=f"{FOURCAUD}; Ermentrout & Kopell, SIAM J. Appl. Math. 46:233 (1986)",
    )
