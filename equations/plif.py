"""The parametric LIF neuron of Fang et al. 2021, whose membrane time constant is learned."""

from brian2.units.allunits import msecond as ms

from neurosnn.equations.lif import POSITIVE, POSITIVE_TIME
from neurosnn.equations.surrogates import arctan
from neurosnn.model import NeuronModel, Range, explained

__all__ = ["PLIF"]

FANG = "Fang et al., ICCV (2021), arXiv:2007.05785v5"


@explained
def PLIF(
    *, tau_m=2 * ms, v_th=1.0, v_reset=0.0, alpha=2.0, decay_input=True, detach_reset=True
) -> NeuronModel:
    r"""Parametric leaky integrate-and-fire neuron: charge, fire, hard reset.

    .. math::
        H^t = v^{t-1} + \frac{dt}{\tau_m}\left(v_{reset} - v^{t-1} + X^t\right), \qquad
        S^t = \Theta(H^t - v_{th}), \qquad v^t = H^t (1 - S^t) + v_{reset} S^t

    .. math::
        \frac{dS}{dH} = \frac{\alpha/2}{1 + \left(\frac{\pi}{2}\alpha (H - v_{th})\right)^2}

    with :math:`\Theta(0) = 1`. Dimensionless. The paper counts time in steps: with dt = 1 ms, its
    :math:`\tau = 2` is 2 ms. It learns one :math:`a` for each layer, :math:`dt/\tau_m = \sigma(a)`:
    ``to_torch(PLIF(), learn={"tau_m": "leak_rate"})``.

    Parameters
    ----------
    tau_m : Quantity (second), default 2 ms
        Membrane time constant, longer than dt (paper: starts at 2 or 16 steps).
    v_th : float, default 1
        Threshold (paper, section 4.1).
    v_reset : float, default 0
        Reset value, and the value that v decays to (paper, section 4.1).
    alpha : float, default 2
        Steepness of the surrogate (paper, section 3.7).
    decay_input : bool, default True
        Whether the input is multiplied by dt/tau_m as well, as in all published runs.
    detach_reset : bool, default True
        Whether the gradient takes the reset for a constant, as in all published runs; the paper's
        eq. 12 prints the other way.

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
    Mapping to the paper: a network of the paper passes a spike through all layers in one step; in
    Brian2 what arrives in step t is charged in step t + 1, so that layer l runs l steps behind.
    The spikes are the same.

    References
    ----------
    Fang et al., ICCV 2021, eq. 1 to 17 and supplement G.

    Examples
    --------
    >>> from neurosnn import equations
    >>> equations.PLIF().states
    ('v', 'I')
    """
    leak = "v_reset - v + I" if decay_input else "v_reset - v"
    return NeuronModel(
        name="PLIF",
        equations=f"dv/dt = ({leak})/tau_m : 1\nI : 1",
        step="I = 0" if decay_input else "v += I\nI = 0",
        threshold="v >= v_th",
        reset="v = v_reset",
        method="euler",
        inputs=("I",),
        surrogate=arctan("v - v_th", "1", alpha=alpha),
        spike_gradient=() if detach_reset else ("v",),
        initial={"v": "v_reset"},
        parameters={"tau_m": tau_m, "v_th": v_th, "v_reset": v_reset},
        ranges={
            "tau_m": POSITIVE_TIME,
            "v_th": POSITIVE,
            "v_reset": Range(float("-inf")),
        },
        sources={
            "tau_m": "Fang 2021, section 4: tau_0 = 2 or 16 steps",
            "v_th": "Fang 2021, section 4.1: 1",
            "v_reset": "Fang 2021, section 4.1: 0",
        },
        reference=FANG,
    )
