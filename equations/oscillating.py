"""Neurons that oscillate below threshold: SE-adLIF (Baronig 2025), balanced RF (Higuchi 2024)."""

from __future__ import annotations

from brian2.units.fundamentalunits import Quantity
from brian2.units.stdunits import ms

from neurosnn.equations.lif import POSITIVE, POSITIVE_TIME
from neurosnn.model import NeuronModel, Range

__all__ = ["BalancedResonateAndFire", "SE_adLIF"]

BARONIG = "Baronig et al., Nat. Commun. 16:5776 (2025)"
HIGUCHI = "Higuchi et al., Balanced Resonate-and-Fire Neurons, ICML (2024)"
NON_NEGATIVE = Range(0, includes_low=True)


def SE_adLIF(
    *,
    tau_u: Quantity = 15 * ms,
    tau_w: Quantity = 180 * ms,
    a: float = 0.5,
    b: float = 1.0,
    rho: float = 120.0,
    v_th: float = 1.0,
    steepness: float = 5.0,
    height: float = 0.4,
) -> NeuronModel:
    r"""Adaptive LIF neuron whose adaptation follows the potential, by the symplectic Euler scheme.

    .. math::
        \hat u^t = \alpha u^{t-1} + (1 - \alpha)(I^t - w^{t-1}), \qquad
        z^t = H(\hat u^t - v_{th}), \qquad u^t = \hat u^t (1 - z^t)

    .. math:: w^t = \beta w^{t-1} + (1 - \beta)\,\rho\,(a u^t + b z^t)

    .. math:: \psi^t = \frac{c\,k}{2} e^{-k |\hat u^t - v_{th}|}

    with :math:`\alpha = e^{-dt/\tau_u}` and :math:`\beta = e^{-dt/\tau_w}`. The adaptation reads the
    potential of the same step; the usual Euler step reads the one before and is unstable earlier.

    Parameters
    ----------
    tau_u : Quantity (second), default 15 ms
        Membrane time constant (learned from 5 to 25 ms).
    tau_w : Quantity (second), default 180 ms
        Time constant of the adaptation (learned from 60 to 300 ms).
    a : float, default 0.5
        Adaptation by the potential (learned from 0 to 1).
    b : float, default 1
        Adaptation by a spike (learned from 0 to 2).
    rho : float, default 120
        Factor of both.
    v_th : float, default 1
        Threshold.
    steepness : float, default 5
        k of the pseudo-derivative.
    height : float, default 0.4
        c of the pseudo-derivative.

    Returns
    -------
    NeuronModel
        States u, w and I; weights are dimensionless and add to I.

    Raises
    ------
    ValueError
        If a parameter has the wrong unit or is out of range.

    Notes
    -----
    Mapping to the paper: a spike of step t enters u at step t+1, as there, and w^t is computed at the
    beginning of step t+1, before it is read. Where a parameter is learned from a range, the default is
    its middle. Learning follows the spike through w and treats the reset of u as a constant, as in the
    published code.

    References
    ----------
    Baronig et al., Nat. Commun. 16:5776 (2025), arXiv:2408.07517, and its published code.

    Examples
    --------
    >>> from neurosnn import equations
    >>> equations.SE_adLIF().spike_gradient
    ('w',)
    """
    code = "published code"
    return NeuronModel(
        name="SE_adLIF",
        equations="u : 1\nw : 1\nI : 1",
        step="""
w = exp(-dt/tau_w)*w + (1 - exp(-dt/tau_w))*rho*a*u
u = exp(-dt/tau_u)*u + (1 - exp(-dt/tau_u))*(I - w)
I = 0
""",
        threshold="u > v_th",
        # w is (1 - exp(-dt/tau_w))*rho*b larger once the next step has let it decay
        reset="u = 0\nw += (exp(dt/tau_w) - 1)*rho*b",
        inputs=("I",),
        surrogate="height*steepness/2*exp(-steepness*abs(u - v_th))",
        spike_gradient=("w",),
        parameters={
            "tau_u": tau_u,
            "tau_w": tau_w,
            "a": a,
            "b": b,
            "rho": rho,
            "v_th": v_th,
            "steepness": steepness,
            "height": height,
        },
        ranges={
            "tau_u": POSITIVE_TIME,
            "tau_w": POSITIVE_TIME,
            "a": NON_NEGATIVE,
            "b": NON_NEGATIVE,
            "rho": NON_NEGATIVE,
            "v_th": POSITIVE,
            "steepness": POSITIVE,
            "height": POSITIVE,
        },
        sources={
            "tau_u": f"{code}: learned from 5 to 25 ms",
            "tau_w": f"{code}: learned from 60 to 300 ms",
            "a": f"{code}: learned from 0 to 1",
            "b": f"{code}: learned from 0 to 2",
            "rho": f"{code}: 120",
            "v_th": f"{code}: 1",
            "steepness": f"{code}: 5",
            "height": f"{code}: 0.4",
        },
        reference=BARONIG,
    )


def BalancedResonateAndFire(
    *,
    omega: float = 10.0,
    b: float = 1.0,
    delta: float = 0.01,
    theta: float = 1.0,
    q_decay: float = 0.9,
    gamma: float = 0.5,
) -> NeuronModel:
    r"""Resonate-and-fire neuron that cannot diverge and is damped, not reset, after a spike.

    .. math::
        x^t = x^{t-1} + \delta\,(b^t x^{t-1} - \omega y^{t-1} + I^t), \qquad
        y^t = y^{t-1} + \delta\,(\omega x^{t-1} + b^t y^{t-1})

    .. math::
        b^t = \frac{-1 + \sqrt{1 - (\delta\omega)^2}}{\delta} - b - q^t, \qquad
        z^t = H(x^t - \theta - q^t), \qquad q^t = \gamma_q q^{t-1} + z^{t-1}

    .. math::
        \psi^t = \gamma\,(1.15\,N(m; 0.5) - 0.3\,N(m; 3)), \qquad m = x^t - \theta - q^t

    with the density N(m; sigma) of a normal distribution around 0. The first term of :math:`b^t` is
    the divergence boundary: without damping, amplitudes stay as they are.

    Parameters
    ----------
    omega : float, default 10
        Angular frequency, in radians per 1/delta steps (learned from 5 to 10).
    b : float, default 1
        Damping below the boundary (published code: 1; learned from 2 to 3).
    delta : float, default 0.01
        Length of a step.
    theta : float, default 1
        Threshold at rest.
    q_decay : float, default 0.9
        Decay of the refractory variable in a step.
    gamma : float, default 0.5
        Height of the pseudo-derivative.

    Returns
    -------
    NeuronModel
        States x, y, q and I; weights are dimensionless and add to I.

    Raises
    ------
    ValueError
        If a parameter is out of range, or ``delta*omega`` above 1, where there is no boundary.

    Notes
    -----
    Mapping to the paper: a spike of step t enters x at step t+1. The time step dt of a simulation plays
    no part: the recursion has its own, `delta`. Learning follows the spike through q.

    References
    ----------
    Higuchi et al., Balanced Resonate-and-Fire Neurons, ICML (2024), and its published code; the
    pseudo-derivative is that of Yin et al., Nat. Mach. Intell. 3:905 (2021).

    Examples
    --------
    >>> from neurosnn import equations
    >>> equations.BalancedResonateAndFire().threshold
    'x > theta + q'
    """
    model = NeuronModel(
        name="BalancedResonateAndFire",
        equations="x : 1\ny : 1\nq : 1\nI : 1",
        step="""
q = q_decay*q
damping = (-1 + sqrt(1 - (delta*omega)**2))/delta - b - q
change_of_x = delta*(damping*x - omega*y + I)
change_of_y = delta*(omega*x + damping*y)
x += change_of_x
y += change_of_y
I = 0
""",
        threshold="x > theta + q",
        # q is 1 larger once the next step has let it decay
        reset="q += 1/q_decay",
        inputs=("I",),
        surrogate="gamma*(1.15/0.5*exp(-2*(x - theta - q)**2) - 0.3/3*exp(-(x - theta - q)**2/18))"
        "/sqrt(2*pi)",
        spike_gradient=("q",),
        parameters={
            "omega": omega,
            "b": b,
            "delta": delta,
            "theta": theta,
            "q_decay": q_decay,
            "gamma": gamma,
        },
        ranges={
            "omega": POSITIVE,
            "b": NON_NEGATIVE,
            "delta": POSITIVE,
            "theta": POSITIVE,
            "q_decay": Range(0, 1),
            "gamma": POSITIVE,
        },
        sources={
            "omega": "published code: 10, learned from 5 to 10",
            "b": "published code: 1, learned from 2 to 3",
            "delta": "Higuchi 2024: 0.01",
            "theta": "Higuchi 2024: 1",
            "q_decay": "Higuchi 2024: 0.9",
            "gamma": "published code: 0.5",
        },
        reference=HIGUCHI,
    )
    fastest = Quantity(model.parameters["omega"] * model.parameters["delta"]).max()
    if fastest > 1:
        raise ValueError(
            f"BalancedResonateAndFire: delta*omega is {float(fastest):.3g}. Above 1 every step "
            f"enlarges the oscillation, whatever the damping. Choose a smaller omega or delta."
        )
    return model
