"""Inhibitory plasticity of Vogels et al. 2011."""

from brian2.units.allunits import hertz as Hz
from brian2.units.allunits import msecond as ms
from brian2.units.fundamentalunits import Quantity, get_dimensions

from neurosnn.equations.pair_stdp import POSITIVE_TIME, spike
from neurosnn.model import PlasticityRule, Range, explained, si_unit

__all__ = ["InhibitorySTDP"]

VOGELS = (
    "Vogels, Sprekeler, Zenke, Clopath & Gerstner, Science 334:1569-1573 (2011), "
    "doi:10.1126/science.1211095"
)
EXAMPLE = "F. Zenke's Brian2 example of Vogels 2011"


@explained
def InhibitorySTDP(
    *,
    eta=0.01,
    rho0=3 * Hz,
    tau=20 * ms,
    w_min=0.0,
    w_max=100.0,
    pairing="all",
    delay_placement="axonal",
) -> PlasticityRule:
    r"""Symmetric STDP of inhibitory synapses, which keeps the postsynaptic neuron at a target rate.

    .. math::
        \Delta w = \eta\,(y - \alpha) \;\text{ at a presynaptic spike}, \qquad
        \Delta w = \eta\, x \;\text{ at a postsynaptic spike}, \qquad \alpha = 2 \rho_0 \tau

    with traces x and y of the two spike trains, both with time constant tau. On average, for
    uncorrelated spikes at rates r_pre and r_post, :math:`\dot w = 2\tau\eta\, r_{pre}
    (r_{post} - \rho_0)`. Spikes in the same time step are one pair, the presynaptic one first.

    Parameters
    ----------
    eta : float or Quantity, default 0.01
        Learning rate, in the unit of w.
    rho0 : Quantity (hertz), default 3 Hz
        Target rate of the postsynaptic neuron.
    tau : Quantity (second), default 20 ms
        Time constant of both traces.
    w_min, w_max : float or Quantity, default 0 and 100
        Hard bounds of the weight; the defaults are in units of 1 nS.
    pairing : {"all", "nearest"}, default "all"
        Traces add up, or are set to 1 at each spike; the target rate holds for "all".
    delay_placement : {"axonal", "dendritic"}, default "axonal"
        Where the delay lies, see PlasticityRule.

    Returns
    -------
    PlasticityRule
        Event-driven. The weight is positive: let it add to an inhibitory conductance, or use
        ``synapses(..., sign=-1)`` for a current.

    Raises
    ------
    ValueError
        If a parameter has the wrong unit or is out of range.

    References
    ----------
    Vogels et al., Science 334:1569-1573 (2011). All defaults are those of F. Zenke's example of the
    paper in Brian2 (examples/frompapers/Vogels_et_al_2011.py).

    Examples
    --------
    >>> from brian2 import Hz
    >>> from neurosnn import equations
    >>> equations.InhibitorySTDP(rho0=5*Hz).parameters["rho0"]
    5. * hertz
    """
    unit = Quantity(1, dim=get_dimensions(w_max))
    return PlasticityRule(
        name="InhibitorySTDP",
        equations=f"w : {si_unit(get_dimensions(w_max))}\n"
        "dx/dt = -x/tau : 1 (event-driven)\n"
        "dy/dt = -y/tau : 1 (event-driven)",
        on_pre="w = clip(w + eta*(y - 2*rho0*tau), w_min, w_max)\n" + spike("x", pairing),
        on_post="w = clip(w + eta*x, w_min, w_max)\n" + spike("y", pairing),
        w_min=w_min,
        w_max=w_max,
        pairing=pairing,
        delay_placement=delay_placement,
        parameters={"eta": eta, "rho0": rho0, "tau": tau},
        ranges={
            "eta": Range(0 * unit, includes_low=True),
            "rho0": Range(0 * Hz, includes_low=True),
            "tau": POSITIVE_TIME,
        },
        sources={"eta": f"{EXAMPLE}: 0.01", "rho0": f"{EXAMPLE}: 3 Hz", "tau": f"{EXAMPLE}: 20 ms"},
        reference=VOGELS,
    )
