"""STDP with an eligibility trace and a third factor."""

from brian2.units.allunits import msecond as ms
from brian2.units.allunits import second
from brian2.units.fundamentalunits import Quantity, get_dimensions

from neurosnn.equations.pair_stdp import POSITIVE_TIME, TRACES, spike
from neurosnn.model import PlasticityRule, Range, explained, si_unit

__all__ = ["RewardSTDP"]

IZHIKEVICH = "Izhikevich, Cereb. Cortex 17:2443-2452 (2007), doi:10.1093/cercor/bhl152"

# The integral of reward*c/tau_c over a step, exactly.
STEP = """
w = clip(w + reward*c*(1 - exp(-dt/tau_c)), w_min, w_max)
c *= exp(-dt/tau_c)
"""
# Brian2 wants the shared variable to be written first: its value at the start is recovered.
STEP_WITH_DECAY = """
reward *= exp(-dt/tau_d)
w = clip(w + reward*exp(dt/tau_d)*c*(1 - exp(-dt/tau_c - dt/tau_d))/(1 + tau_c/tau_d), w_min, w_max)
c *= exp(-dt/tau_c)
"""


@explained
def RewardSTDP(
    *,
    A_plus=0.1,
    A_minus=-0.15,
    tau_plus=20 * ms,
    tau_minus=20 * ms,
    tau_c=1 * second,
    tau_d=None,
    w_min=0.0,
    w_max=4.0,
    reward="",
    pairing="all",
    delay_placement="axonal",
) -> PlasticityRule:
    r"""Reward-modulated STDP: pairs of spikes leave a trace, the reward turns it into a change.

    .. math::
        \dot w = M\, c/\tau_c, \qquad \dot c = -c/\tau_c + \mathrm{STDP}(s)\,\delta(t - t_{pair}),
        \qquad \dot M = -M/\tau_d

    A reward M = 1 that lasts changes w by what PairSTDP would; M = 0 changes nothing.

    Parameters
    ----------
    A_plus, A_minus : float or Quantity, default 0.1 and -0.15
        Amplitudes of STDP, as in PairSTDP (Izhikevich 2007: ratio 1.5; code daspnet.m: 0.1).
    tau_plus, tau_minus : Quantity (second), default 20 ms
        Widths of the window (Izhikevich 2007, daspnet.m).
    tau_c : Quantity (second), default 1 s
        Time constant of the eligibility trace c (Izhikevich 2007).
    tau_d : Quantity (second), optional
        Time constant with which the reward decays (dopamine in Izhikevich 2007: 0.2 s). None: it
        keeps the value that it was given.
    w_min, w_max : float or Quantity, default 0 and 4
        Hard bounds of the weight (daspnet.m).
    reward : str, optional
        Variable of the postsynaptic neurons to use as third factor, which then can differ between
        neurons. Empty: one shared variable ``reward`` of the synapses, zero until it is set from
        Python, between runs or in a network operation: ``synapses.reward = 1``.
    pairing : {"all", "nearest"}, default "all"
        As in PairSTDP.
    delay_placement : {"axonal", "dendritic"}, default "axonal"
        Where the delay lies, see PlasticityRule.

    Returns
    -------
    PlasticityRule
        Clock-driven; cost per synapse and time step.

    Raises
    ------
    ValueError
        If a parameter has the wrong unit or is out of range, or `tau_d` is given for a reward that
        the neurons provide.

    Notes
    -----
    Deviation from the paper, which has :math:`\dot w = M c`: here M has no unit, and with
    tau_c = 1 s the numbers are the same.

    References
    ----------
    Izhikevich, Cereb. Cortex 17:2443-2452 (2007); code daspnet.m.
    Fremaux & Gerstner, Front. Neural Circuits 9:85 (2016), for three-factor rules in general.

    Examples
    --------
    >>> from neurosnn import equations
    >>> equations.RewardSTDP().third_factor
    'reward'
    """
    if reward and tau_d is not None:
        raise ValueError(
            f"RewardSTDP: tau_d = {tau_d} together with reward={reward!r}. "
            "A variable of the neurons has dynamics of its own. Leave out one of the two."
        )
    unit = Quantity(1, dim=get_dimensions(w_max))
    name = si_unit(get_dimensions(w_max))
    third = f"reward = {reward}_post : 1" if reward else "reward : 1 (shared)"
    infinite = float("inf") * unit
    return PlasticityRule(
        name="RewardSTDP",
        equations=f"w : {name}\nc : {name}\n{third}{TRACES}",
        on_pre="c += A_minus*y\n" + spike("x", pairing),
        on_post="c += A_plus*x\n" + spike("y", pairing),
        step=STEP if tau_d is None else STEP_WITH_DECAY,
        w_min=w_min,
        w_max=w_max,
        pairing=pairing,
        delay_placement=delay_placement,
        requires={reward: 1.0} if reward else {},
        third_factor="" if reward else "reward",
        eligibility="c",
        parameters={
            "A_plus": A_plus,
            "A_minus": A_minus,
            "tau_plus": tau_plus,
            "tau_minus": tau_minus,
            "tau_c": tau_c,
            **({} if tau_d is None else {"tau_d": tau_d}),
        },
        ranges={
            "A_plus": Range(-infinite),
            "A_minus": Range(-infinite),
            **dict.fromkeys(("tau_plus", "tau_minus", "tau_c", "tau_d"), POSITIVE_TIME),
        },
        sources={
            "A_plus": "Izhikevich 2007, daspnet.m: 0.1",
            "A_minus": "Izhikevich 2007, daspnet.m: 1.5 times A_plus",
            "tau_plus": "Izhikevich 2007, daspnet.m: 0.95 per ms, 20 ms",
            "tau_minus": "Izhikevich 2007, daspnet.m: 20 ms",
            "tau_c": "Izhikevich 2007: 1 s",
            "tau_d": "Izhikevich 2007: 0.2 s",
        },
        reference=IZHIKEVICH,
    )
