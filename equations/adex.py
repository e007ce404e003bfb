"""Adaptive exponential integrate-and-fire neuron (Brette & Gerstner 2005) and its firing patterns."""

from __future__ import annotations

from collections.abc import Iterable

from brian2.units.fundamentalunits import Quantity
from brian2.units.stdunits import ms, mV, nS, pA, pF

from neurosnn.equations.lif import POSITIVE, POSITIVE_TIME
from neurosnn.equations.membrane import BELLEC_GAMMA, RAMP, membrane
from neurosnn.equations.receptors import Receptor, current
from neurosnn.model import NeuronModel, Range

__all__ = ["AdEx"]

BRETTE = "Brette & Gerstner, J. Neurophysiol. 94:3637 (2005)"
NAUD = "Naud et al., Biol. Cybern. 99:335 (2008)"
NAMES = ("C", "g_L", "E_L", "V_T", "Delta_T", "a", "tau_w", "b", "V_r")
UNITS = (pF, nS, mV, mV, mV, nS, ms, pA, mV)
#: C (pF), g_L (nS), E_L, V_T, Delta_T (mV), a (nS), tau_w (ms), b (pA), V_r (mV).
ORIGINAL = (281, 30, -70.6, -50.4, 2, 4, 144, 80.5, -70.6)
#: The same, and the constant current I (pA) of the figure.
PATTERNS = {
    "tonic": (200, 10, -70, -50, 2, 2, 30, 0, -58, 500),
    "adapting": (200, 12, -70, -50, 2, 2, 300, 60, -58, 500),
    "initial_burst": (130, 18, -58, -50, 2, 4, 150, 120, -50, 400),
    "regular_bursting": (200, 10, -58, -50, 2, 2, 120, 100, -46, 210),
    "delayed_accelerating": (200, 12, -70, -50, 2, -10, 300, 0, -58, 300),
    "delayed_regular_bursting": (100, 10, -65, -50, 2, -10, 90, 30, -47, 110),
    "transient": (100, 10, -65, -50, 2, 10, 90, 100, -47, 180),
    "irregular": (100, 12, -60, -50, 2, -11, 130, 30, -48, 160),
}


def AdEx(
    *,
    pattern: str | None = None,
    C: Quantity | None = None,
    g_L: Quantity | None = None,
    E_L: Quantity | None = None,
    V_T: Quantity | None = None,
    Delta_T: Quantity | None = None,
    a: Quantity | None = None,
    tau_w: Quantity | None = None,
    b: Quantity | None = None,
    V_r: Quantity | None = None,
    v_peak: Quantity = -40 * mV,
    I_ext: Quantity | None = None,
    receptors: Iterable[Receptor] = (current(),),
    gamma: float = 0.3,
) -> NeuronModel:
    r"""Adaptive exponential integrate-and-fire neuron.

    .. math::
        C \dot v = g_L (E_L - v) + g_L \Delta_T e^{(v - V_T)/\Delta_T} - w + I_{ext} + I, \qquad
        \tau_w \dot w = a (v - E_L) - w

    .. math:: v \ge v_{peak}:\ v \leftarrow V_r,\ w \leftarrow w + b

    Parameters
    ----------
    pattern : str, optional
        A firing pattern of Naud et al. (2008), which gives all numbers below their values, and
        I_ext the current of the figure: "tonic", "adapting", "initial_burst",
        "regular_bursting", "delayed_accelerating", "delayed_regular_bursting", "transient" or
        "irregular" (table 1, figure 4 a to h). None: the regular spiking pyramidal neuron of Brette
        & Gerstner (2005), whose values follow.
    C : Quantity (farad), default 281 pF
        Capacitance of the membrane.
    g_L : Quantity (siemens), default 30 nS
        Leak conductance.
    E_L : Quantity (volt), default -70.6 mV
        Reversal potential of the leak.
    V_T : Quantity (volt), default -50.4 mV
        Threshold of the spike current.
    Delta_T : Quantity (volt), default 2 mV
        Slope factor: how sharply a spike begins.
    a : Quantity (siemens), default 4 nS
        Adaptation by the potential; may be negative.
    tau_w : Quantity (second), default 144 ms
        Time constant of the adaptation.
    b : Quantity (amp), default 80.5 pA
        Adaptation by a spike.
    V_r : Quantity (volt), default -70.6 mV
        Reset. Above V_T it makes bursts.
    v_peak : Quantity (volt), default -40 mV
        Where the spike, which has infinite height, is cut off, some five `Delta_T` above `V_T`. From
        here to infinity it would take ``C/g_L*exp(-(v_peak - V_T)/Delta_T)``, 50 microseconds. The
        paper goes on to 20 mV, which only a much smaller time step can follow.
    I_ext : Quantity (amp), default 0 pA
        Constant current.
    receptors : iterable of Receptor, default one exponential current
        What spikes open; see :mod:`neurosnn.equations.receptors`.
    gamma : float, default 0.3
        Height of the pseudo-derivative (Bellec 2020), which rises linearly from `E_L` to `v_peak`.

    Returns
    -------
    NeuronModel
        States v, w and I; weights are currents and add to I. Integrated with euler; 0.1 ms is a usual
        time step, EventProp needs 0.01 ms.

    Raises
    ------
    ValueError
        If the pattern is unknown, or a parameter has the wrong unit or is out of range.

    Notes
    -----
    Learning follows the spike through w (``spike_gradient=("w",)``) and treats the reset of v as a
    constant, as in ALIF.

    References
    ----------
    Brette & Gerstner, J. Neurophysiol. 94:3637 (2005); Naud et al., Biol. Cybern. 99:335 (2008), table 1.

    Examples
    --------
    >>> from neurosnn import equations
    >>> equations.AdEx(pattern="adapting").parameters["b"]
    60. * pamp
    """
    if pattern is not None and pattern not in PATTERNS:
        raise ValueError(
            f"AdEx: unknown firing pattern {pattern!r}. Naud et al. (2008) have eight. "
            f"Choose one of {', '.join(PATTERNS)}."
        )
    numbers = ORIGINAL if pattern is None else PATTERNS[pattern]
    usual = dict(
        zip(
            (*NAMES, "I_ext"),
            (number * unit for number, unit in zip((*numbers, 0)[:10], (*UNITS, pA), strict=True)),
            strict=True,
        )
    )
    arguments = {
        "C": C,
        "g_L": g_L,
        "E_L": E_L,
        "V_T": V_T,
        "Delta_T": Delta_T,
        "a": a,
        "tau_w": tau_w,
        "b": b,
        "V_r": V_r,
        "I_ext": I_ext,
    }
    values = usual | {name: value for name, value in arguments.items() if value is not None}
    paper = "Brette & Gerstner 2005" if pattern is None else f"Naud 2008, table 1, {pattern}"
    return membrane(
        name="AdEx",
        equations="""
dv/dt = (g_L*(E_L - v) + g_L*Delta_T*exp((v - V_T)/Delta_T) - w + I_ext{synapses})/C : volt
dw/dt = (a*(v - E_L) - w)/tau_w : amp
""",
        receptors=receptors,
        threshold="v >= v_peak",
        reset="v = V_r\nw += b",
        method="euler",
        surrogate=RAMP.format(low="E_L", high="v_peak"),
        spike_gradient=("w",),
        initial={"v": "E_L"},
        parameters={**values, "v_peak": v_peak, "gamma": gamma},
        ranges={
            "C": Range(0 * pF),
            "g_L": Range(0 * nS),
            "Delta_T": Range(0 * mV),
            "tau_w": POSITIVE_TIME,
            "gamma": POSITIVE,
        },
        sources={
            **{
                name: f"{paper}: {number:g} {unit}"
                for name, number, unit in zip(NAMES, numbers, UNIT_NAMES, strict=False)
            },
            "v_peak": "Brette's published script: five Delta_T above V_T; 20 mV in the paper",
            "I_ext": "none" if pattern is None else f"{paper}: {numbers[-1]} pA",
            "gamma": BELLEC_GAMMA,
        },
        reference=BRETTE if pattern is None else f"{BRETTE}; {NAUD}",
    )


UNIT_NAMES = ("pF", "nS", "mV", "mV", "mV", "nS", "ms", "pA", "mV")
