"""Adaptive LIF neurons: ALIF (Bellec 2020) and STDP-ALIF (van der Veen 2022)."""

from brian2.units.allunits import msecond as ms

from neurosnn.equations.lif import (
    ANY,
    BELLEC,
    DELIVER,
    NON_NEGATIVE_TIME,
    POSITIVE,
    POSITIVE_TIME,
    RESET_TWICE,
    TRIANGLE,
    outside_refractory,
)
from neurosnn.model import NeuronModel, Range, explained

__all__ = ["ALIF", "STDP_ALIF"]

VAN_DER_VEEN = "van der Veen, arXiv:2201.07602 (2022)"
EQUATIONS = """
dv/dt = -v/tau_m : 1
da/dt = -a/tau_a : 1
I : 1
"""
THRESHOLD = "v_th + beta*a"

# a is 1 larger when the next step begins: the jump is written before the decay of that step.
ADAPT = "a += exp(dt/tau_a)"


@explained
def ALIF(
    *,
    tau_m=20 * ms,
    tau_a=200 * ms,
    beta=0.184,
    v_th=1.0,
    t_ref=2 * ms,
    gamma=0.3,
    psi_at_spike=False,
) -> NeuronModel:
    r"""Adaptive LIF neuron: each spike raises the threshold, which decays with `tau_a`.

    .. math::
        v^{t+1} = \alpha v^t + I^{t+1} - z^t v_{th}, \qquad a^{t+1} = \rho a^t + z^t, \qquad
        z^t = H(v^t - v_{th} - \beta a^t)

    .. math::
        \psi^t = \frac{\gamma}{v_{th}}
        \max\left(0, 1 - \left|\frac{v^t - v_{th} - \beta a^t}{v_{th}}\right|\right)

    with :math:`\alpha = e^{-dt/\tau_m}` and :math:`\rho = e^{-dt/\tau_a}`.

    Parameters
    ----------
    tau_m : Quantity (second), default 20 ms
        Membrane time constant (Bellec 2020, Methods).
    tau_a : Quantity (second), default 200 ms
        Time constant of the adaptation (Bellec's TIMIT code: 200 ms; memory tasks: 2000 ms).
    beta : float, default 0.184
        Rise of the threshold per spike (van der Veen 2022, after Bellec's TIMIT code).
    v_th : float, default 1
        Threshold at rest; sets the scale of the weights.
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
        States v, a and I; weights are dimensionless and add to I.

    Raises
    ------
    ValueError
        If a parameter has the wrong unit or is out of range.

    Notes
    -----
    Learning follows the spike through a (``spike_gradient=("a",)``) and treats the reset of v as a
    constant, as the paper does.

    Deviation from the paper: psi is 0 in the step of a spike as well as in the refractory steps after
    it. Bellec's code and NEST keep psi in the step of the spike, which is ``psi_at_spike=True``.

    References
    ----------
    Bellec et al., Nat. Commun. 11:3625 (2020), eq. 6 to 10 and 24 to 25.

    Examples
    --------
    >>> from brian2 import ms
    >>> from neurosnn import equations
    >>> equations.ALIF(tau_a=500*ms).parameters["tau_a"]
    0.5 * second
    """
    return NeuronModel(
        name="ALIF",
        equations=EQUATIONS,
        step=DELIVER,
        threshold=f"v >= {THRESHOLD}",
        reset=f"I -= v_th\n{ADAPT}",
        refractory="t_ref",
        inputs=("I",),
        surrogate=f"{outside_refractory(psi_at_spike)}/v_th*"
        + TRIANGLE.format(threshold=f"({THRESHOLD})"),
        spike_gradient=("a",),
        parameters={
            "tau_m": tau_m,
            "tau_a": tau_a,
            "beta": beta,
            "v_th": v_th,
            "t_ref": t_ref,
            "gamma": gamma,
        },
        ranges=RANGES,
        sources={
            "tau_m": "Bellec 2020, Methods: 20 ms",
            "tau_a": "Bellec's TIMIT code: 200 ms",
            "beta": "van der Veen 2022, table of hyperparameters: 0.184",
            "v_th": "scale of the weights",
            "t_ref": "Bellec 2020, Methods: 2 to 5 ms",
            "gamma": "Bellec 2020, Methods: 0.3",
        },
        reference=BELLEC,
    )


@explained
def STDP_ALIF(
    *,
    tau_m=20 * ms,
    tau_a=200 * ms,
    beta=0.184,
    v_th=1.0,
    t_ref=2 * ms,
    gamma=0.3,
    psi_refractory=None,
) -> NeuronModel:
    r"""Adaptive LIF neuron with the hard resets and the negative psi of STDP-LIF.

    .. math::
        v^{t+1} = \alpha\,(1 - z^t - z^{t-\delta})\,v^t + I^{t+1}, \qquad
        a^{t+1} = \rho a^t + z^t, \qquad z^t = H(v^t - v_{th} - \beta a^t)

    .. math::
        \psi^t = \psi_{ref} \text{ while refractory, else }
        \gamma \max\left(0, 1 - \left|\frac{v^t - v_{th} - \beta a^t}{v_{th}}\right|\right)

    with :math:`\delta = t_{ref}/dt`.

    Parameters
    ----------
    tau_m : Quantity (second), default 20 ms
        Membrane time constant (Bellec 2020; van der Veen 2022 uses alpha = 0.8, that is 4.5 ms).
    tau_a : Quantity (second), default 200 ms
        Time constant of the adaptation (Bellec's TIMIT code).
    beta : float, default 0.184
        Rise of the threshold per spike (van der Veen 2022).
    v_th : float, default 1
        Threshold at rest; sets the scale of the weights.
    t_ref : Quantity (second), default 2 ms
        Refractory period and width of the depression (van der Veen 2022: 2 steps).
    gamma : float, default 0.3
        Height of the pseudo-derivative (van der Veen 2022).
    psi_refractory : float, optional
        Value of psi while refractory, ``-gamma`` if None (the published equation); ``+gamma`` is
        what the published training code computes, 0 the value of ALIF.

    Returns
    -------
    NeuronModel
        States v, a and I; weights are dimensionless and add to I.

    Raises
    ------
    ValueError
        If a parameter has the wrong unit or is out of range.

    Notes
    -----
    Deviation from the paper: it prints ``v_th`` where the adaptive threshold
    ``v_th + beta*a`` stands in psi here, as in its ALIF neuron and in its code.

    References
    ----------
    van der Veen, arXiv:2201.07602 (2022), chapter 3.

    Examples
    --------
    >>> from neurosnn import equations
    >>> equations.STDP_ALIF().spike_gradient
    ('a',)
    """
    return NeuronModel(
        name="STDP_ALIF",
        equations=EQUATIONS,
        step=RESET_TWICE,
        threshold=f"v >= {THRESHOLD}",
        reset=ADAPT,
        refractory="t_ref",
        inputs=("I",),
        surrogate="int(not_refractory)*"
        + TRIANGLE.format(threshold=f"({THRESHOLD})")
        + " + int(not not_refractory)*psi_refractory",
        spike_gradient=("a",),
        parameters={
            "tau_m": tau_m,
            "tau_a": tau_a,
            "beta": beta,
            "v_th": v_th,
            "t_ref": t_ref,
            "gamma": gamma,
            "psi_refractory": -gamma if psi_refractory is None else psi_refractory,
        },
        ranges=RANGES | {"psi_refractory": ANY},
        sources={
            "tau_m": "Bellec 2020, Methods: 20 ms",
            "tau_a": "Bellec's TIMIT code: 200 ms",
            "beta": "van der Veen 2022, table of hyperparameters: 0.184",
            "v_th": "scale of the weights",
            "t_ref": "van der Veen 2022: 2 steps of 1 ms",
            "gamma": "van der Veen 2022: 0.3",
            "psi_refractory": "van der Veen 2022, equation of psi: -gamma",
        },
        reference=VAN_DER_VEEN,
    )


RANGES = {
    "tau_m": POSITIVE_TIME,
    "tau_a": POSITIVE_TIME,
    "beta": Range(0, includes_low=True),
    "v_th": POSITIVE,
    "t_ref": NON_NEGATIVE_TIME,
    "gamma": POSITIVE,
}
