"""The Izhikevich neuron with e-prop (Traub 2020, van der Veen 2022)."""

from neurosnn.model import NeuronModel, Range, explained

__all__ = ["Izhikevich"]


@explained
def Izhikevich(
    *, a=0.02, b=0.2, c=-65.0, d=2.0, v_peak=30.0, gamma=0.3, clip_eligibility=True
) -> NeuronModel:
    r"""Izhikevich neuron, integrated by Euler steps.

    .. math::
        \dot v = 0.04 v^2 + 5 v + 140 - u + I, \qquad \dot u = a\,(b v - u), \qquad
        v \ge v_{peak}:\ v \leftarrow c,\ u \leftarrow u + d

    .. math::
        \psi = \gamma \exp\left(\frac{\min(v, v_{peak}) - v_{peak}}{v_{peak}}\right)

    v is in mV and time in ms, both written without units as in the paper.

    Parameters
    ----------
    a, b, c, d : float, default 0.02, 0.2, -65, 2
        Recovery rate (1/ms), sensitivity, reset of v and jump of u (Traub 2020, eq. 4 to 7).
    v_peak : float, default 30
        Peak of the spike (Izhikevich 2003).
    gamma : float, default 0.3
        Height of the pseudo-derivative (Traub 2020, figure 1).
    clip_eligibility : bool, default True
        Clip the eligibility vectors to ``|eps_v| <= 3`` and ``|eps_u| <= 0.005`` (van der Veen
        2022): above -62.5 mV the linearized flow expands, and without clipping they explode.

    Returns
    -------
    NeuronModel
        States v, u and I; weights are in mV/ms and add to I.

    Raises
    ------
    ValueError
        If a parameter is out of range.

    Notes
    -----
    Deviation from the paper: u starts at ``b*v``, its resting value, instead of 0. The published
    code clips v with the bounds of u and never assigns psi; both are as in the equations here.

    References
    ----------
    Traub et al., arXiv:2006.09988 (2020), eq. 4 to 21; Izhikevich, IEEE Trans. Neural Netw. 14:1569
    (2003).

    Examples
    --------
    >>> from neurosnn import equations
    >>> equations.Izhikevich().method
    'euler'
    """
    return NeuronModel(
        name="Izhikevich",
        equations="""
dv/dt = (0.04*v**2 + 5*v + 140 - u + I)/ms : 1
du/dt = a*(b*v - u)/ms : 1
I : 1
""",
        step="I = 0",
        threshold="v >= v_peak",
        reset="v = c\nu += d",
        method="euler",
        inputs=("I",),
        surrogate="gamma*exp((clip(v, -1e9, v_peak) - v_peak)/v_peak)",
        initial={"v": "c", "u": "b*c"},
        parameters={"a": a, "b": b, "c": c, "d": d, "v_peak": v_peak, "gamma": gamma},
        ranges={"a": Range(0), "v_peak": Range(0), "gamma": Range(0)},
        sources={
            "a": "Traub 2020, eq. 5: 0.02",
            "b": "Traub 2020, eq. 5: 0.004/0.02",
            "c": "Traub 2020, eq. 6: -65",
            "d": "Traub 2020, eq. 7: 2",
            "v_peak": "Izhikevich 2003: 30",
            "gamma": "Traub 2020, figure 1: 0.3",
        },
        eligibility_bounds={"v": 3.0, "u": 0.005} if clip_eligibility else {},
        reference="Traub et al., arXiv:2006.09988 (2020)",
    )
