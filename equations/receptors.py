r"""Synaptic currents and conductances that spikes open, as Brian2 strings for the membrane of a neuron.

A neuron of :mod:`neurosnn.equations` with a membrane in physical units takes them as ``receptors=``; in a
neuron of your own, their strings stand beside the membrane's::

    dv/dt = (g_L*(E_L - v) + <current>)/C : volt
    <equations>

===============  ==========================================================================================
`current`        :math:`I`, :math:`\tau \dot I = -I`: a spike adds w to I (amp)
`exponential`    :math:`g (E - v)`, :math:`\tau \dot g = -g`: a spike adds w to g
`alpha`          :math:`g (E - v)` with :math:`g = w \frac{t}{\tau} e^{1 - t/\tau}`, so that w is the peak
`AMPA`           exponential, 2 ms, 0 mV (Wang 2002)
`GABA_A`         exponential, 5 ms, -70 mV (Wang 2002)
`NMDA`           rise 2 ms, decay 100 ms, 0 mV, blocked by magnesium (Jahr & Stevens 1990; Wang 2002)
`gated_NMDA`     the same with gates in the synapses, which saturate: `gates_of_NMDA`
===============  ==========================================================================================

Conductances of different spikes add up, so that one variable of the neuron stands for all its synapses. Where
they do not, as in a receptor that saturates, the synapses have states: ``synapse=`` of a
:class:`neurosnn.Projection`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from brian2.units.fundamentalunits import Quantity
from brian2.units.stdunits import mM, ms, mV

from neurosnn.model import PlasticityRule, Range

__all__ = [
    "AMPA",
    "GABA_A",
    "NMDA",
    "Receptor",
    "alpha",
    "current",
    "exponential",
    "gated_NMDA",
    "gates_of_NMDA",
]

WANG_2002 = "Wang, Neuron 36:955 (2002)"
JAHR_STEVENS = "Jahr & Stevens, J. Neurosci. 10:3178 (1990)"
#: The current through NMDA channels that magnesium blocks at rest.
BLOCKED = "g_nmda*(E_nmda - v)/(1 + Mg/(3.57*mM)*exp(-0.062*v/mV))"
TIME, CONCENTRATION = Range(0 * ms), Range(0 * mM, includes_low=True)


@dataclass(frozen=True, kw_only=True)
class Receptor:
    """What a presynaptic spike does to the membrane.

    Parameters
    ----------
    equations : str
        Brian2 equations of the variables that spikes open.
    current : str
        The current into the membrane, positive inwards; it reads the potential ``v``.
    inputs : tuple of str
        The variable that spikes add to.
    parameters : mapping of str to Quantity
        Values of all names in the strings.
    ranges : mapping of str to Range
        Allowed values of a parameter.
    sources : mapping of str to str
        Where each number comes from.
    reference : str
        Citation of the publication.
    linear : bool
        Whether the current is linear in v, as the method exponential_euler needs it.
    """

    equations: str
    current: str
    inputs: tuple[str, ...]
    parameters: Mapping[str, Quantity] = field(default_factory=dict)
    ranges: Mapping[str, Range] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    reference: str = ""
    linear: bool = True


def current(
    name: str = "I", *, tau: Quantity = 5 * ms, unit: str = "amp", source: str = ""
) -> Receptor:
    """A current that decays exponentially.

    Parameters
    ----------
    name : str, default "I"
        The variable; its time constant is ``tau_<name>``.
    tau : Quantity (second), default 5 ms
        Time constant.
    unit : str, default "amp"
        Its unit, "amp/meter**2" for a membrane per area.
    source : str, optional
        Where the time constant comes from; Nowotny et al. (2025), as CurrentLIF, if it is left out.

    Returns
    -------
    Receptor
        Its strings and numbers.

    Examples
    --------
    >>> from neurosnn.equations import receptors
    >>> receptors.current().equations
    'dI/dt = -I/tau_I : amp'
    """
    return Receptor(
        equations=f"d{name}/dt = -{name}/tau_{name} : {unit}",
        current=name,
        inputs=(name,),
        parameters={f"tau_{name}": tau},
        ranges={f"tau_{name}": TIME},
        sources={f"tau_{name}": source or "Nowotny et al. 2025: 5 ms"},
    )


def exponential(
    name: str,
    *,
    tau: Quantity,
    E: Quantity,
    unit: str = "siemens",
    source: str,
    reference: str = "",
) -> Receptor:
    """A conductance that opens at once and closes exponentially.

    Parameters
    ----------
    name : str
        Ending of its names: the conductance ``g_<name>``, ``tau_<name>`` and ``E_<name>``.
    tau : Quantity (second)
        Time constant.
    E : Quantity (volt)
        Reversal potential.
    unit : str, default "siemens"
        Unit of the conductance, "siemens/meter**2" for a membrane per area.
    source : str
        Where both numbers come from.
    reference : str, optional
        Citation of the publication.

    Returns
    -------
    Receptor
        Its strings and numbers.

    Examples
    --------
    >>> from brian2 import ms, mV
    >>> from neurosnn.equations import receptors
    >>> receptors.exponential("e", tau=5*ms, E=0*mV, source="Brette et al. 2007").current
    'g_e*(E_e - v)'
    """
    return Receptor(
        equations=f"dg_{name}/dt = -g_{name}/tau_{name} : {unit}",
        current=f"g_{name}*(E_{name} - v)",
        inputs=(f"g_{name}",),
        parameters={f"tau_{name}": tau, f"E_{name}": E},
        ranges={f"tau_{name}": TIME},
        sources={f"tau_{name}": source, f"E_{name}": source},
        reference=reference,
    )


def alpha(
    name: str,
    *,
    tau: Quantity,
    E: Quantity,
    unit: str = "siemens",
    source: str,
    reference: str = "",
) -> Receptor:
    r"""A conductance with the time course of Rall's alpha function; a weight is its peak.

    .. math:: \tau \dot g = e x - g, \qquad \tau \dot x = -x, \qquad
        \text{spike: } x \leftarrow x + w

    Parameters
    ----------
    name : str
        Ending of its names: ``g_<name>``, ``x_<name>``, ``tau_<name>`` and ``E_<name>``.
    tau : Quantity (second)
        Time to the peak.
    E : Quantity (volt)
        Reversal potential.
    unit : str, default "siemens"
        Unit of the conductance, "siemens/meter**2" for a membrane per area.
    source : str
        Where both numbers come from.
    reference : str, optional
        Citation of the publication.

    Returns
    -------
    Receptor
        Its strings and numbers.

    Examples
    --------
    >>> from brian2 import ms, mV
    >>> from neurosnn.equations import receptors
    >>> receptors.alpha("e", tau=2*ms, E=0*mV, source="my fit").inputs
    ('x_e',)
    """
    return Receptor(
        equations=f"dg_{name}/dt = (exp(1)*x_{name} - g_{name})/tau_{name} : {unit}\n"
        f"dx_{name}/dt = -x_{name}/tau_{name} : {unit}",
        current=f"g_{name}*(E_{name} - v)",
        inputs=(f"x_{name}",),
        parameters={f"tau_{name}": tau, f"E_{name}": E},
        ranges={f"tau_{name}": TIME},
        sources={f"tau_{name}": source, f"E_{name}": source},
        reference=reference,
    )


def AMPA(*, tau: Quantity = 2 * ms, E: Quantity = 0 * mV, unit: str = "siemens") -> Receptor:
    """Fast excitation (Wang 2002, Experimental Procedures).

    Parameters
    ----------
    tau : Quantity (second), default 2 ms
        Time constant.
    E : Quantity (volt), default 0 mV
        Reversal potential.
    unit : str, default "siemens"
        Unit of the conductance, "siemens/meter**2" for a membrane per area.

    Returns
    -------
    Receptor
        Spikes add to ``g_ampa``.

    Examples
    --------
    >>> from neurosnn import equations
    >>> from neurosnn.equations import receptors
    >>> equations.AdEx(receptors=(receptors.AMPA(), receptors.GABA_A())).inputs
    ('g_ampa', 'g_gaba')
    """
    source = "Wang 2002: 2 ms, 0 mV"
    return exponential("ampa", tau=tau, E=E, unit=unit, source=source, reference=WANG_2002)


def GABA_A(*, tau: Quantity = 5 * ms, E: Quantity = -70 * mV, unit: str = "siemens") -> Receptor:
    """Fast inhibition (Wang 2002, Experimental Procedures).

    Parameters
    ----------
    tau : Quantity (second), default 5 ms
        Time constant.
    E : Quantity (volt), default -70 mV
        Reversal potential.
    unit : str, default "siemens"
        Unit of the conductance, "siemens/meter**2" for a membrane per area.

    Returns
    -------
    Receptor
        Spikes add to ``g_gaba``.

    Examples
    --------
    >>> from neurosnn.equations import receptors
    >>> receptors.GABA_A().parameters["tau_gaba"]
    5. * msecond
    """
    source = "Wang 2002: 5 ms, -70 mV"
    return exponential("gaba", tau=tau, E=E, unit=unit, source=source, reference=WANG_2002)


def NMDA(
    *,
    tau: Quantity = 100 * ms,
    tau_rise: Quantity = 2 * ms,
    alpha: Quantity = 0.5 / ms,
    E: Quantity = 0 * mV,
    Mg: Quantity = 1 * mM,
    unit: str = "siemens",
) -> Receptor:
    r"""Slow excitation, blocked by magnesium at rest (Jahr & Stevens 1990; Wang 2002).

    .. math::
        I = \frac{g (E - v)}{1 + \frac{[Mg]}{3.57\,\text{mM}} e^{-0.062 v/\text{mV}}}, \qquad
        \dot g = -\frac{g}{\tau} + \alpha x, \qquad \dot x = -\frac{x}{\tau_{rise}}, \qquad
        \text{spike: } x \leftarrow x + w

    Parameters
    ----------
    tau : Quantity (second), default 100 ms
        Time constant of the decay (Wang 2002).
    tau_rise : Quantity (second), default 2 ms
        Time constant of the rise (Wang 2002).
    alpha : Quantity (1/second), default 0.5/ms
        Rate of the rise (Wang 2002).
    E : Quantity (volt), default 0 mV
        Reversal potential (Wang 2002).
    Mg : Quantity (mole/metre**3), default 1 mM
        Magnesium outside of the cell (Wang 2002).
    unit : str, default "siemens"
        Unit of the conductance, "siemens/meter**2" for a membrane per area.

    Returns
    -------
    Receptor
        Spikes add to ``x_nmda``. Not linear in v: the membrane is integrated with euler.

    Notes
    -----
    Deviation from Wang 2002: his gating saturates, ``ds/dt = -s/tau + alpha*x*(1 - s)``, in each
    synapse; here conductances of all synapses of a neuron add up, which is the same while s is small.
    `gated_NMDA` and `gates_of_NMDA` are without it.

    Examples
    --------
    >>> from neurosnn.equations import receptors
    >>> receptors.NMDA().current
    'g_nmda*(E_nmda - v)/(1 + Mg/(3.57*mM)*exp(-0.062*v/mV))'
    """
    return Receptor(
        equations=f"dg_nmda/dt = -g_nmda/tau_nmda + alpha_nmda*x_nmda : {unit}\n"
        f"dx_nmda/dt = -x_nmda/tau_nmda_rise : {unit}",
        current=BLOCKED,
        inputs=("x_nmda",),
        parameters={
            "tau_nmda": tau,
            "tau_nmda_rise": tau_rise,
            "alpha_nmda": alpha,
            "E_nmda": E,
            "Mg": Mg,
        },
        ranges={"tau_nmda": TIME, "tau_nmda_rise": TIME, "Mg": CONCENTRATION},
        sources={
            "tau_nmda": "Wang 2002: 100 ms",
            "tau_nmda_rise": "Wang 2002: 2 ms",
            "alpha_nmda": "Wang 2002: 0.5/ms",
            "E_nmda": "Wang 2002: 0 mV",
            "Mg": "Wang 2002: 1 mM",
        },
        reference=f"{JAHR_STEVENS}; {WANG_2002}",
        linear=False,
    )


def gated_NMDA(*, E: Quantity = 0 * mV, Mg: Quantity = 1 * mM, unit: str = "siemens") -> Receptor:
    r"""NMDA channels whose gates are states of the synapses, as in Wang 2002.

    .. math:: I = \frac{g (E - v)}{1 + \frac{[Mg]}{3.57\,\text{mM}} e^{-0.062 v/\text{mV}}}

    with g the sum of :func:`gates_of_NMDA` over the synapses in each step.

    Parameters
    ----------
    E : Quantity (volt), default 0 mV
        Reversal potential (Wang 2002).
    Mg : Quantity (mole/metre**3), default 1 mM
        Magnesium outside of the cell (Wang 2002).
    unit : str, default "siemens"
        Unit of the conductance, "siemens/meter**2" for a membrane per area.

    Returns
    -------
    Receptor
        The sum is ``g_nmda``. Not linear in v: the membrane is integrated with euler.

    Examples
    --------
    >>> from neurosnn import equations
    >>> from neurosnn.equations import receptors
    >>> equations.AdEx(receptors=(receptors.AMPA(), receptors.gated_NMDA())).inputs
    ('g_ampa', 'g_nmda')
    """
    return Receptor(
        equations=f"g_nmda : {unit}",
        current=BLOCKED,
        inputs=("g_nmda",),
        parameters={"E_nmda": E, "Mg": Mg},
        ranges={"Mg": CONCENTRATION},
        sources={"E_nmda": "Wang 2002: 0 mV", "Mg": "Wang 2002: 1 mM"},
        reference=f"{JAHR_STEVENS}; {WANG_2002}",
        linear=False,
    )


def gates_of_NMDA(
    *,
    tau: Quantity = 100 * ms,
    tau_rise: Quantity = 2 * ms,
    alpha: Quantity = 0.5 / ms,
    unit: str = "siemens",
) -> PlasticityRule:
    r"""Synapses with NMDA gates that saturate (Wang 2002), for neurons with `gated_NMDA`.

    .. math::
        g_j = \sum_i w_{ij} s_i, \qquad \dot s = -\frac{s}{\tau} + \alpha x (1 - s), \qquad
        \dot x = -\frac{x}{\tau_{rise}}, \qquad \text{spike: } x \leftarrow x + 1

    Parameters
    ----------
    tau : Quantity (second), default 100 ms
        Time constant of the decay (Wang 2002).
    tau_rise : Quantity (second), default 2 ms
        Time constant of the rise (Wang 2002).
    alpha : Quantity (1/second), default 0.5/ms
        Rate of the rise (Wang 2002).
    unit : str, default "siemens"
        Unit of the weight, that of ``g_nmda``.

    Returns
    -------
    PlasticityRule
        For ``synapse=`` of a :class:`neurosnn.Projection`. Clock-driven, with Euler steps; s and x are kept
        once a presynaptic neuron, and the sum costs a product of matrix and vector in each step.

    Examples
    --------
    >>> from brian2 import nS
    >>> from neurosnn import Projection
    >>> from neurosnn.equations import receptors
    >>> Projection("E", "E", name="slow", synapse=receptors.gates_of_NMDA(), weight=0.2*nS).input
    'g_nmda'
    """
    return PlasticityRule(
        name="NMDA gates",
        equations=f"w : {unit}\n"
        f"g_nmda_post = w*s : {unit} (summed)\n"
        "ds/dt = -s/tau_nmda + alpha_nmda*x*(1 - s) : 1 (clock-driven)\n"
        "dx/dt = -x/tau_nmda_rise : 1 (clock-driven)",
        on_pre="x += 1",
        method="euler",
        parameters={"tau_nmda": tau, "tau_nmda_rise": tau_rise, "alpha_nmda": alpha},
        ranges={"tau_nmda": TIME, "tau_nmda_rise": TIME},
        sources={
            "tau_nmda": "Wang 2002: 100 ms",
            "tau_nmda_rise": "Wang 2002: 2 ms",
            "alpha_nmda": "Wang 2002: 0.5/ms",
        },
        reference=WANG_2002,
    )
