"""Spike-timing-dependent plasticity of triplets of spikes (Pfister & Gerstner 2006)."""

from brian2.units.allunits import msecond as ms

from neurosnn.equations.pair_stdp import POSITIVE_TIME, spike
from neurosnn.model import PlasticityRule, Range, explained

__all__ = ["TripletSTDP"]

PFISTER = "Pfister & Gerstner, J. Neurosci. 26:9673-9682 (2006), doi:10.1523/JNEUROSCI.1425-06.2006"
NAMES = ("A2_plus", "A3_plus", "A2_minus", "A3_minus", "tau_x", "tau_y")

# Tables 3 (visual cortex) and 4 (hippocampal culture): data set, pairing, minimal -> fitted values.
# The minimal fits have A3_minus = 0, so that their tau_x, blank in the tables, has no effect.
FITS = {
    ("visual_cortex", "all", False): (5e-10, 6.2e-3, 7e-3, 2.3e-4, 101 * ms, 125 * ms),
    ("visual_cortex", "all", True): (0.0, 6.5e-3, 7.1e-3, 0.0, 101 * ms, 114 * ms),
    ("visual_cortex", "nearest", False): (8.8e-11, 5.3e-2, 6.6e-3, 3.1e-3, 714 * ms, 40 * ms),
    ("visual_cortex", "nearest", True): (0.0, 5e-2, 8e-3, 0.0, 714 * ms, 40 * ms),
    ("hippocampus", "all", False): (6.1e-3, 6.7e-3, 1.6e-3, 1.4e-3, 946 * ms, 27 * ms),
    ("hippocampus", "all", True): (5.3e-3, 8e-3, 3.5e-3, 0.0, 946 * ms, 40 * ms),
    ("hippocampus", "nearest", False): (4.6e-3, 9.1e-3, 3e-3, 7.5e-9, 575 * ms, 47 * ms),
    ("hippocampus", "nearest", True): (4.6e-3, 9.1e-3, 3e-3, 0.0, 575 * ms, 48 * ms),
}

EQUATIONS = """
w : 1
dr1/dt = -r1/tau_plus : 1 (event-driven)
dr2/dt = -r2/tau_x : 1 (event-driven)
do1/dt = -o1/tau_minus : 1 (event-driven)
do2/dt = -o2/tau_y : 1 (event-driven)
"""


@explained
def TripletSTDP(
    *,
    data_set="visual_cortex",
    pairing="all",
    minimal=False,
    A2_plus=None,
    A3_plus=None,
    A2_minus=None,
    A3_minus=None,
    tau_plus=16.8 * ms,
    tau_minus=33.7 * ms,
    tau_x=None,
    tau_y=None,
    w_min=0.0,
    w_max=1.0,
    delay_placement="axonal",
) -> PlasticityRule:
    r"""Triplet STDP, which explains how plasticity depends on the frequency of pairings.

    .. math::
        \Delta w = -o_1\,(A_2^- + A_3^- r_2) \;\text{ at a presynaptic spike}, \qquad
        \Delta w = r_1\,(A_2^+ + A_3^+ o_2) \;\text{ at a postsynaptic spike}

    with the presynaptic traces r_1 (tau_plus), r_2 (tau_x) and the postsynaptic traces
    o_1 (tau_minus), o_2 (tau_y). r_2 and o_2 are taken just before the spike. Of two spikes in the
    same time step the presynaptic one comes first.

    Parameters
    ----------
    data_set : {"visual_cortex", "hippocampus"}, default "visual_cortex"
        Which fit gives the values that are None (tables 3 and 4 of the paper).
    pairing : {"all", "nearest"}, default "all"
        Traces add up, or are set to 1 at each spike; the paper fits both, with other values.
    minimal : bool, default False
        The fit with as few terms as the data need instead of the full one.
    A2_plus, A3_plus, A2_minus, A3_minus : float, optional
        Amplitudes, all positive, as printed in the paper: those with "minus" are subtracted.
    tau_plus : Quantity (second), default 16.8 ms
        Time constant of r_1 (Bi & Poo 2001, fixed in the fits).
    tau_minus : Quantity (second), default 33.7 ms
        Time constant of o_1 (Bi & Poo 2001, fixed in the fits).
    tau_x, tau_y : Quantity (second), optional
        Time constants of r_2 and o_2.
    w_min, w_max : float, default 0 and 1
        Hard bounds of the weight. The amplitudes are relative to a weight of 1.
    delay_placement : {"axonal", "dendritic"}, default "axonal"
        Where the delay lies, see PlasticityRule.

    Returns
    -------
    PlasticityRule
        Event-driven; cost per spike, none per time step.

    Raises
    ------
    ValueError
        If a parameter has the wrong unit or is out of range, or there is no such fit.

    References
    ----------
    Pfister & Gerstner, J. Neurosci. 26:9673-9682 (2006), eq. 3 and 4, tables 3 and 4.

    Examples
    --------
    >>> from neurosnn import equations
    >>> rule = equations.TripletSTDP(data_set="hippocampus", pairing="nearest")
    >>> rule.parameters["A3_plus"], rule.parameters["tau_y"]
    (0.0091, 47. * msecond)
    """
    fit = (data_set, pairing, bool(minimal))
    if fit not in FITS:
        raise ValueError(
            f"TripletSTDP: no fit for data_set={data_set!r}, pairing={pairing!r}. "
            "The paper fits two data sets with two kinds of pairing. "
            "Choose 'visual_cortex' or 'hippocampus', and 'all' or 'nearest'."
        )
    arguments = dict(zip(NAMES, (A2_plus, A3_plus, A2_minus, A3_minus, tau_x, tau_y), strict=True))
    fitted = dict(zip(NAMES, FITS[fit], strict=True))
    table = f"Pfister 2006, table {3 if data_set == 'visual_cortex' else 4}, "
    table += (
        f"{'all-to-all' if pairing == 'all' else 'nearest-spike'} {'min.' if minimal else 'full'}"
    )
    return PlasticityRule(
        name="TripletSTDP",
        equations=EQUATIONS,
        on_pre="\n".join(
            [
                "w = clip(w - o1*(A2_minus + A3_minus*r2), w_min, w_max)",
                spike("r1", pairing),
                spike("r2", pairing),
            ]
        ),
        on_post="\n".join(
            [
                "w = clip(w + r1*(A2_plus + A3_plus*o2), w_min, w_max)",
                spike("o1", pairing),
                spike("o2", pairing),
            ]
        ),
        w_min=w_min,
        w_max=w_max,
        pairing=pairing,
        delay_placement=delay_placement,
        parameters={
            **{name: fitted[name] if value is None else value for name, value in arguments.items()},
            "tau_plus": tau_plus,
            "tau_minus": tau_minus,
        },
        ranges={
            **dict.fromkeys(NAMES[:4], Range(0, includes_low=True)),
            **dict.fromkeys(("tau_x", "tau_y", "tau_plus", "tau_minus"), POSITIVE_TIME),
        },
        sources={
            **{
                name: table if value is None else "given by the user"
                for name, value in arguments.items()
            },
            "tau_plus": "Bi & Poo 2001: 16.8 ms",
            "tau_minus": "Bi & Poo 2001: 33.7 ms",
        },
        reference=PFISTER,
    )
