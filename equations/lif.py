"""Leaky integrate-and-fire neurons: LIF (Bellec 2020) and STDP-LIF (Traub 2020)."""

from brian2.units.allunits import msecond as ms

from neurosnn.model import NeuronModel, Range, explained

__all__ = ["LIF", "STDP_LIF"]

BELLEC = "Bellec et al., Nat. Commun. 11:3625 (2020), doi:10.1038/s41467-020-17236-y"
TRAUB = "Traub et al., arXiv:2006.09988 (2020)"
POSITIVE_TIME, POSITIVE = Range(0 * ms), Range(0)
NON_NEGATIVE_TIME, ANY = Range(0 * ms, includes_low=True), Range(float("-inf"))

# The input of a step is collected in I and added undecayed when the next step begins. Brian2 adds
# synaptic input after the state update, so that without I it would decay by one step first.
DELIVER = """
v += I
I = 0
"""

# A spike resets v when it is emitted and once more when its refractory period has passed; the
# input that arrives in the step of a reset is kept.
RESET_TWICE = """
steps_since_spike = timestep(t - lastspike, dt)
v *= int(steps_since_spike != 1)*int(steps_since_spike != timestep(t_ref, dt) + 1)
v += I
I = 0
"""

TRIANGLE = "gamma*clip(1 - abs(v - {threshold})/v_th, 0, 1)"


@explained
def LIF(*, tau_m=20 * ms, v_th=1.0, t_ref=2 * ms, gamma=0.3, psi_at_spike=False) -> NeuronModel:
    r"""Leaky integrate-and-fire neuron with a subtractive reset.

    .. math::
        v^{t+1} = \alpha v^t + I^{t+1} - z^t v_{th}, \qquad z^t = H(v^t - v_{th}), \qquad
        \psi^t = \frac{\gamma}{v_{th}} \max\left(0, 1 - \left|\frac{v^t - v_{th}}{v_{th}}\right|\right)

    with :math:`\alpha = e^{-dt/\tau_m}`. Dimensionless; `v` keeps integrating while refractory.

    Parameters
    ----------
    tau_m : Quantity (second), default 20 ms
        Membrane time constant (Bellec 2020, Methods).
    v_th : float, default 1
        Threshold; sets the scale of the weights.
    t_ref : Quantity (second), default 2 ms
        Refractory period (Bellec 2020: 2 to 5 ms).
    gamma : float, default 0.3
        Height of the pseudo-derivative (Bellec 2020).
    psi_at_spike : bool, default False
        Whether psi keeps its normal value in the step of the spike itself. False: psi is 0 from the
        spike on (Traub 2020); True: from the next step on (Bellec's code and NEST).

    Returns
    -------
    NeuronModel
        States v and I; weights are dimensionless and add to I.

    Raises
    ------
    ValueError
        If a parameter has the wrong unit or is out of range.

    Notes
    -----
    Mapping to the paper: a spike of step t enters v at step t+1, undecayed, like the reset.

    Deviation from the paper: psi is 0 in the step of a spike as well as in the refractory steps after
    it. Bellec's code and NEST keep psi in the step of the spike, which is ``psi_at_spike=True``.

    References
    ----------
    Bellec et al., Nat. Commun. 11:3625 (2020), eq. 6, 7 and 23.

    Examples
    --------
    >>> from neurosnn import equations
    >>> equations.LIF().states
    ('v', 'I')
    """
    return NeuronModel(
        name="LIF",
        equations="dv/dt = -v/tau_m : 1\nI : 1",
        step=DELIVER,
        threshold="v >= v_th",
        reset="I -= v_th",
        refractory="t_ref",
        inputs=("I",),
        surrogate=f"{outside_refractory(psi_at_spike)}/v_th*" + TRIANGLE.format(threshold="v_th"),
        parameters={"tau_m": tau_m, "v_th": v_th, "t_ref": t_ref, "gamma": gamma},
        ranges={
            "tau_m": POSITIVE_TIME,
            "v_th": POSITIVE,
            "t_ref": NON_NEGATIVE_TIME,
            "gamma": POSITIVE,
        },
        sources={
            "tau_m": "Bellec 2020, Methods: 20 ms",
            "v_th": "scale of the weights",
            "t_ref": "Bellec 2020, Methods: 2 to 5 ms",
            "gamma": "Bellec 2020, Methods: 0.3",
        },
        reference=BELLEC,
    )


@explained
def STDP_LIF(
    *, tau_m=20 * ms, v_th=1.0, t_ref=2 * ms, gamma=0.3, psi_refractory=None
) -> NeuronModel:
    r"""LIF neuron whose eligibility trace behaves like spike-timing-dependent plasticity.

    .. math::
        v^{t+1} = \alpha\,(1 - z^t - z^{t-\delta})\,v^t + I^{t+1}, \qquad
        \psi^t = -\gamma \text{ while refractory, else }
        \gamma \max\left(0, 1 - \left|\frac{v^t - v_{th}}{v_{th}}\right|\right)

    with :math:`\delta = t_{ref}/dt`. The hard reset at the spike and at the end of the refractory
    period separates what arrived before the spike from what arrived after it, and the negative
    psi turns the latter into depression.

    Parameters
    ----------
    tau_m : Quantity (second), default 20 ms
        Membrane time constant (Bellec 2020; Traub 2020 does not state one).
    v_th : float, default 1
        Threshold; sets the scale of the weights.
    t_ref : Quantity (second), default 2 ms
        Refractory period and width of the depression (van der Veen 2022: 2 steps).
    gamma : float, default 0.3
        Height of the pseudo-derivative (Traub 2020, axis of figure 2).
    psi_refractory : float, optional
        Value of psi while refractory, ``-gamma`` if None. 0 and ``+gamma`` are the variants that
        van der Veen 2022 can be read as.

    Returns
    -------
    NeuronModel
        States v and I; weights are dimensionless and add to I.

    Raises
    ------
    ValueError
        If a parameter has the wrong unit or is out of range.

    References
    ----------
    Traub et al., arXiv:2006.09988 (2020), eq. 22 to 29.

    Examples
    --------
    >>> from neurosnn import equations
    >>> float(equations.STDP_LIF(gamma=0.2).parameters["psi_refractory"])
    -0.2
    """
    return NeuronModel(
        name="STDP_LIF",
        equations="dv/dt = -v/tau_m : 1\nI : 1",
        step=RESET_TWICE,
        threshold="v >= v_th",
        reset="",
        refractory="t_ref",
        inputs=("I",),
        surrogate="int(not_refractory)*"
        + TRIANGLE.format(threshold="v_th")
        + " + int(not not_refractory)*psi_refractory",
        parameters={
            "tau_m": tau_m,
            "v_th": v_th,
            "t_ref": t_ref,
            "gamma": gamma,
            "psi_refractory": -gamma if psi_refractory is None else psi_refractory,
        },
        ranges={
            "tau_m": POSITIVE_TIME,
            "v_th": POSITIVE,
            "t_ref": NON_NEGATIVE_TIME,
            "gamma": POSITIVE,
            "psi_refractory": ANY,
        },
        sources={
            "tau_m": "Bellec 2020, Methods: 20 ms",
            "v_th": "scale of the weights",
            "t_ref": "van der Veen 2022: 2 steps of 1 ms",
            "gamma": "Traub 2020, figure 2: 0.3",
            "psi_refractory": "Traub 2020, eq. 28: -gamma",
        },
        reference=TRAUB,
    )


def outside_refractory(psi_at_spike: bool) -> str:
    """Factor of psi that is 1 outside the refractory period and 0 inside."""
    if psi_at_spike:
        return "int(not_refractory or timestep(t - lastspike, dt) == 0)"
    return "int(not_refractory)"
