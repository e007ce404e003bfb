"""Spike-timing-dependent plasticity of pairs of spikes."""

from brian2.units.allunits import msecond as ms
from brian2.units.fundamentalunits import Quantity, get_dimensions

from neurosnn.model import PlasticityRule, Range, explained, si_unit

__all__ = ["PairSTDP"]

POSITIVE_TIME = Range(0 * ms)
SONG = "Song, Miller & Abbott, Nat. Neurosci. 3:919-926 (2000), doi:10.1038/78829"
SONG_SOURCES = {
    "A_plus": "Song 2000: 0.005 of the largest weight",
    "A_minus": "Song 2000: 1.05 times A_plus",
    "tau_plus": "Song 2000: 20 ms",
    "tau_minus": "Song 2000: 20 ms",
    "mu": "1: the change is proportional to the distance from the bound",
}

# x follows the presynaptic spikes, y the postsynaptic ones.
TRACES = """
dx/dt = -x/tau_plus : 1 (event-driven)
dy/dt = -y/tau_minus : 1 (event-driven)
"""
# How far the weight is from the bound that it moves to, as a fraction of the range.
SOFT_PLUS = "*clip((w_max - w)/(w_max - w_min), 0, 1)**mu"
SOFT_MINUS = "*clip((w - w_min)/(w_max - w_min), 0, 1)**mu"


@explained
def PairSTDP(
    *,
    A_plus=0.005,
    A_minus=-0.00525,
    tau_plus=20 * ms,
    tau_minus=20 * ms,
    w_min=0.0,
    w_max=1.0,
    pairing="all",
    bounds="hard",
    mu=None,
    delay_placement="axonal",
) -> PlasticityRule:
    r"""Pair-based STDP with exponential windows.

    .. math::
        \Delta w = A_+ f_+(w)\, e^{-s/\tau_+} \;\; (s \ge 0), \qquad
        \Delta w = A_- f_-(w)\, e^{s/\tau_-} \;\; (s < 0), \qquad s = t_{post} - t_{pre}

    where the times are those at which the spikes reach the synapse. Spikes that reach it in the
    same time step count as s = 0 and change w by :math:`A_+ f_+(w)`.

    Parameters
    ----------
    A_plus : float or Quantity, default 0.005
        Change by a pair with s = 0, in the unit of w (Song 2000: 0.5 % of the largest weight).
    A_minus : float or Quantity, default -0.00525
        Limit of the change for s -> 0 from below; negative for depression (Song 2000: 1.05 A_plus).
    tau_plus, tau_minus : Quantity (second), default 20 ms
        Widths of the two windows (Song 2000).
    w_min, w_max : float or Quantity, default 0 and 1
        Bounds of the weight.
    pairing : {"all", "nearest"}, default "all"
        Every pair of spikes counts (the traces add up), or each spike only with the last one on the
        other side (the traces are set to 1; "symmetric nearest-neighbour" in Morrison 2008).
    bounds : {"hard", "soft", "multiplicative"}, default "hard"
        Hard: f = 1 and w is clipped. Soft: :math:`f_+ = ((w_{max} - w)/(w_{max} - w_{min}))^\mu`,
        :math:`f_- = ((w - w_{min})/(w_{max} - w_{min}))^\mu` (Guetig 2003). Multiplicative: soft
        with mu = 1.
    mu : float, optional
        Exponent of soft bounds, 1 if None; 0 gives hard bounds again.
    delay_placement : {"axonal", "dendritic"}, default "axonal"
        Where the delay lies, see PlasticityRule.

    Returns
    -------
    PlasticityRule
        Event-driven; cost per spike, none per time step.

    Raises
    ------
    ValueError
        If a parameter has the wrong unit or is out of range, or `mu` is given for other bounds.

    References
    ----------
    Song, Miller & Abbott, Nat. Neurosci. 3:919-926 (2000).
    Guetig, Aharonov, Rotter & Sompolinsky, J. Neurosci. 23:3697-3714 (2003).
    Morrison, Diesmann & Gerstner, Biol. Cybern. 98:459-478 (2008), for the kinds of pairing.

    Examples
    --------
    >>> from neurosnn import equations
    >>> print(equations.PairSTDP(A_plus=0.01).on_post)
    w = clip(w + A_plus*x, w_min, w_max)
    y += 1
    """
    soft = soft_bounds(bounds, mu, where="PairSTDP")
    unit = Quantity(1, dim=get_dimensions(w_max))
    limits = (0 if soft else float("inf")) * unit
    return PlasticityRule(
        name="PairSTDP",
        equations=f"w : {si_unit(get_dimensions(w_max))}{TRACES}",
        on_pre=f"w = clip(w + A_minus*y{SOFT_MINUS if soft else ''}, w_min, w_max)\n"
        + spike("x", pairing),
        on_post=f"w = clip(w + A_plus*x{SOFT_PLUS if soft else ''}, w_min, w_max)\n"
        + spike("y", pairing),
        w_min=w_min,
        w_max=w_max,
        pairing=pairing,
        delay_placement=delay_placement,
        parameters={
            "A_plus": A_plus,
            "A_minus": A_minus,
            "tau_plus": tau_plus,
            "tau_minus": tau_minus,
            **soft,
        },
        ranges={
            "A_plus": Range(-limits, includes_low=True),
            "A_minus": Range(-float("inf") * unit, limits),
            "tau_plus": POSITIVE_TIME,
            "tau_minus": POSITIVE_TIME,
            "mu": Range(0, includes_low=True),
        },
        sources=SONG_SOURCES,
        reference=SONG,
    )


def spike(trace: str, pairing: str) -> str:
    """The statement by which a spike enters a trace."""
    return f"{trace} = 1" if pairing == "nearest" else f"{trace} += 1"


def soft_bounds(bounds: str, mu, *, where: str) -> dict:
    """The exponent of soft bounds as a parameter; empty for hard bounds."""
    if bounds not in ("hard", "soft", "multiplicative"):
        raise ValueError(
            f"{where}: bounds must be 'hard', 'soft' or 'multiplicative', got {bounds!r}. "
            "They say how the change depends on the weight. Choose one of the three."
        )
    if mu is not None and bounds != "soft":
        raise ValueError(
            f"{where}: mu = {mu} has no effect with bounds={bounds!r}. "
            "It is the exponent of soft bounds. Pass bounds='soft' or leave mu out."
        )
    return {} if bounds == "hard" else {"mu": 1.0 if mu is None else mu}
