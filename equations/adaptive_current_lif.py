"""An adaptive LIF neuron as a flow with a jump, which EventProp differentiates."""

from brian2.units.allunits import msecond as ms

from neurosnn.equations.current_lif import with_different_times
from neurosnn.equations.lif import BELLEC, POSITIVE, POSITIVE_TIME
from neurosnn.model import NeuronModel, Range

__all__ = ["AdaptiveCurrentLIF"]


def AdaptiveCurrentLIF(
    *, tau_m=20 * ms, tau_s=5 * ms, tau_a=200 * ms, beta=0.184, v_th=1.0, gamma=0.3
) -> NeuronModel:
    r"""Adaptive LIF neuron with a synaptic current: the flow behind ALIF's recursion.

    .. math::
        \tau_m \dot v = I - v, \qquad \tau_s \dot I = -I, \qquad \tau_a \dot a = -a, \qquad
        v \ge v_{th} + \beta a:\ v \leftarrow v - v_{th},\ a \leftarrow a + 1

    .. math::
        \psi = \frac{\gamma}{v_{th}}
        \max\left(0, 1 - \left|\frac{v - v_{th} - \beta a}{v_{th}}\right|\right)

    Parameters
    ----------
    tau_m : Quantity (second), default 20 ms
        Membrane time constant (Bellec 2020, Methods).
    tau_s : Quantity (second), default 5 ms
        Synaptic time constant (Nowotny et al. 2025). Must differ from `tau_m`: the exact step has no
        closed form in Brian2 where they are equal.
    tau_a : Quantity (second), default 200 ms
        Time constant of the adaptation (Bellec's TIMIT code: 200 ms).
    beta : float, default 0.184
        Rise of the threshold per spike (van der Veen 2022, after Bellec's TIMIT code).
    v_th : float, default 1
        Threshold at rest; sets the scale of the weights.
    gamma : float, default 0.3
        Height of the pseudo-derivative, for e-prop (Bellec 2020); EventProp does not use it.

    Returns
    -------
    NeuronModel
        States v, I and a; weights are dimensionless and add to I.

    Raises
    ------
    ValueError
        If a parameter has the wrong unit or is out of range, or `tau_m` and `tau_s` are equal.

    Notes
    -----
    Mapping to ALIF of Bellec et al. (2020): in their neuron an input spike moves v at once by w, here by
    the whole of its current, ``w*tau_s/tau_m``. With weights ``w*tau_m/tau_s`` and no refractory period
    the spike times of both come together as `tau_s` and the time step go to 0. Adaptation and reset are
    the same: a jumps by 1 and decays with `tau_a`, and v falls by `v_th`, not by the risen threshold.

    References
    ----------
    Bellec et al., Nat. Commun. 11:3625 (2020), eq. 6 to 10; Wunderlich & Pehle, Sci. Rep. 11:12829 (2021).

    Examples
    --------
    >>> from neurosnn import EventProp, equations
    >>> "lam" in EventProp().equations(equations.AdaptiveCurrentLIF())
    True
    """
    model = NeuronModel(
        name="AdaptiveCurrentLIF",
        equations="""
dv/dt = (I - v)/tau_m : 1
dI/dt = -I/tau_s : 1
da/dt = -a/tau_a : 1
""",
        threshold="v >= v_th + beta*a",
        reset="v -= v_th\na += 1",
        inputs=("I",),
        surrogate="gamma/v_th*clip(1 - abs(v - v_th - beta*a)/v_th, 0, 1)",
        spike_gradient=("a",),
        parameters={
            "tau_m": tau_m,
            "tau_s": tau_s,
            "tau_a": tau_a,
            "beta": beta,
            "v_th": v_th,
            "gamma": gamma,
        },
        ranges={
            "tau_m": POSITIVE_TIME,
            "tau_s": POSITIVE_TIME,
            "tau_a": POSITIVE_TIME,
            "beta": Range(0, includes_low=True),
            "v_th": POSITIVE,
            "gamma": POSITIVE,
        },
        sources={
            "tau_m": "Bellec 2020, Methods: 20 ms",
            "tau_s": "Nowotny et al. 2025: 5 ms",
            "tau_a": "Bellec's TIMIT code: 200 ms",
            "beta": "van der Veen 2022, table of hyperparameters: 0.184",
            "v_th": "scale of the weights",
            "gamma": "Bellec 2020, Methods: 0.3",
        },
        reference=f"{BELLEC}; Wunderlich & Pehle, Sci. Rep. 11:12829 (2021)",
    )
    return with_different_times(model)
