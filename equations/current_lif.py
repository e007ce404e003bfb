"""LIF neurons with a synaptic current, as EventProp uses them (Wunderlich & Pehle 2021)."""

from brian2.units.allunits import msecond as ms
from brian2.units.fundamentalunits import Quantity

from neurosnn.equations.lif import NON_NEGATIVE_TIME, POSITIVE, POSITIVE_TIME
from neurosnn.model import NeuronModel, explained

__all__ = ["CurrentLIF", "CurrentReadout"]

REFERENCE = "Wunderlich & Pehle, Sci. Rep. 11:12829 (2021), doi:10.1038/s41598-021-91786-z"
EQUATIONS = """
d{v}/dt = (I - {v})/tau_m : 1{held}
dI/dt = -I/tau_s : 1
"""


def with_different_times(model):
    distance = Quantity(abs(model.parameters["tau_m"] / model.parameters["tau_s"] - 1))
    # closer than a millionth, gradients by a time constant are rounding errors
    if distance.min() < 1e-6:
        raise ValueError(
            f"{model.name}: tau_m and tau_s are equal, or as good as. The exact step divides by their "
            f"difference. Make one of them a little larger, for example by a thousandth."
        )
    return model


@explained
def CurrentLIF(*, tau_m=20 * ms, tau_s=5 * ms, v_th=1.0, t_ref=None, gamma=0.3) -> NeuronModel:
    r"""Leaky integrate-and-fire neuron with an exponential synaptic current and reset to zero.

    .. math::
        \tau_m \dot v = I - v, \qquad \tau_s \dot I = -I, \qquad v \ge v_{th}:\ v \leftarrow 0

    Parameters
    ----------
    tau_m : Quantity (second), default 20 ms
        Membrane time constant (Nowotny et al. 2025, table of SHD settings).
    tau_s : Quantity (second), default 5 ms
        Synaptic time constant (Nowotny et al. 2025). Must differ from `tau_m`: the exact step has no
        closed form in Brian2 where they are equal.
    v_th : float, default 1
        Threshold (Wunderlich & Pehle 2021).
    t_ref : Quantity (second), optional
        Refractory period, in which v stays at the reset value; none by default (Wunderlich & Pehle
        2021).
    gamma : float, default 0.3
        Height of the pseudo-derivative, for e-prop (Bellec 2020); EventProp does not use it.

    Returns
    -------
    NeuronModel
        States v and I; weights are dimensionless and add to I.

    Raises
    ------
    ValueError
        If a parameter has the wrong unit or is out of range, or `tau_m` and `tau_s` are equal.

    References
    ----------
    Wunderlich & Pehle, Sci. Rep. 11:12829 (2021), table 1.

    Examples
    --------
    >>> from neurosnn import equations
    >>> equations.CurrentLIF().inputs
    ('I',)
    """
    rests = t_ref is not None and (getattr(t_ref, "ndim", 0) > 0 or float(t_ref) != 0)
    period = {"t_ref": t_ref} if rests else {}
    model = NeuronModel(
        name="CurrentLIF",
        equations=EQUATIONS.format(v="v", held=" (unless refractory)" if rests else ""),
        threshold="v >= v_th",
        reset="v = 0",
        refractory="t_ref" if rests else False,
        method="exact",
        inputs=("I",),
        surrogate=("int(not_refractory)*" if rests else "")
        + "gamma/v_th*clip(1 - abs(v - v_th)/v_th, 0, 1)",
        parameters={"tau_m": tau_m, "tau_s": tau_s, "v_th": v_th, "gamma": gamma, **period},
        ranges={
            "tau_m": POSITIVE_TIME,
            "tau_s": POSITIVE_TIME,
            "v_th": POSITIVE,
            "gamma": POSITIVE,
            **({"t_ref": NON_NEGATIVE_TIME} if rests else {}),
        },
        sources={
            "tau_m": "Nowotny et al. 2025: 20 ms",
            "tau_s": "Nowotny et al. 2025: 5 ms",
            "v_th": "Wunderlich & Pehle 2021: 1",
            "gamma": "Bellec 2020, Methods: 0.3",
            **({"t_ref": "none in Wunderlich & Pehle 2021"} if rests else {}),
        },
        reference=REFERENCE,
    )
    return with_different_times(model)


@explained
def CurrentReadout(*, tau_m=20 * ms, tau_s=5 * ms) -> NeuronModel:
    r"""Readout without spikes: a leaky integrator with an exponential synaptic current.

    .. math:: \tau_m \dot y = I - y, \qquad \tau_s \dot I = -I

    Parameters
    ----------
    tau_m : Quantity (second), default 20 ms
        Time constant of the output (Nowotny et al. 2025).
    tau_s : Quantity (second), default 5 ms
        Synaptic time constant (Nowotny et al. 2025); must differ from `tau_m`.

    Returns
    -------
    NeuronModel
        States y and I, without threshold.

    Raises
    ------
    ValueError
        If a parameter is not a positive time, or both are equal.

    Examples
    --------
    >>> from neurosnn import equations
    >>> equations.CurrentReadout().states
    ('y', 'I')
    """
    model = NeuronModel(
        name="CurrentReadout",
        equations=EQUATIONS.format(v="y", held=""),
        inputs=("I",),
        parameters={"tau_m": tau_m, "tau_s": tau_s},
        ranges={"tau_m": POSITIVE_TIME, "tau_s": POSITIVE_TIME},
        sources={"tau_m": "Nowotny et al. 2025: 20 ms", "tau_s": "Nowotny et al. 2025: 5 ms"},
        reference=REFERENCE,
    )
    return with_different_times(model)
