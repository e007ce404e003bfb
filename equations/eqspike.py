"""Spike-driven equilibrium propagation after Martin et al. 2021: neurons with a trace and its slope.

The paper's own constants were not at hand; all numbers here are ours, found by running the networks.
"""

from brian2.units.allunits import hertz
from brian2.units.allunits import msecond as ms

from neurosnn.model import NeuronModel, PlasticityRule, Range, explained

__all__ = ["ConstantInput", "EqSpike", "EqSpikeLIF", "RegularInput"]

MARTIN = (
    "Martin et al., iScience 24:102222 (2021), doi:10.1016/j.isci.2021.102222; "
    "Ernoult et al., arXiv:2005.04168 (2020), for continual equilibrium propagation"
)
POSITIVE_TIME, POSITIVE = Range(0 * ms), Range(0)
ANY = Range(float("-inf"))

NEURON = """
dv/dt = ({drive} - v)/tau_m : 1
dI/dt = -I/tau_s : 1
dr/dt = -r/tau_s : 1
dq/dt = (r - q)/tau_2 : 1
a = (r - q)/tau_2 : Hz
"""
# As "(unless refractory)" with a reset to 0, but the coefficients of the step stay constant.
HOLD = "v *= int(not_refractory)"
# The nudge pulls the output neuron's own trace to its target while the network learns.
NUDGED = "nudge : 1\ntarget : 1\n"

# In each string the gate `signal` is 0 in the free phase and 1/beta in the nudged one.
VARIANTS = {
    "spike_derivative": ("signal*a_post/f_max", "signal*a_pre/f_max"),
    "presynaptic": ("signal*a_post/f_max", ""),
    "constant_input": ("signal*s_pre*a_post/f_max", ""),
    "trace_product": ("signal*(q_pre*q_post - p)", "signal*(q_pre*q_post - p)"),
    "antisymmetric": ("-signal*r_post/(f_max*tau_w)", "signal*r_pre/(f_max*tau_w)"),
}
REQUIRES = {
    "spike_derivative": {"requires": {"a": 1 * hertz}, "requires_pre": {"a": 1 * hertz}},
    "presynaptic": {"requires": {"a": 1 * hertz}},
    "constant_input": {"requires": {"a": 1 * hertz}, "requires_pre": {"s": 1.0}},
    "trace_product": {"requires": {"q": 1.0}, "requires_pre": {"q": 1.0}},
    "antisymmetric": {"requires": {"r": 1.0}, "requires_pre": {"r": 1.0}},
}


@explained
def EqSpikeLIF(
    *,
    tau_m=10 * ms,
    tau_s=25 * ms,
    tau_2=50 * ms,
    t_ref=6 * ms,
    drive=0.5,
    gain=2.0,
    nudged=False,
) -> NeuronModel:
    r"""Leaky integrate-and-fire neuron with a trace of its spikes and the slope of that trace.

    .. math::
        \tau_m \dot v = d + g \frac{t_{ref}}{\tau_s} I + \beta (y - r) - v, \quad
        \tau_s \dot I = -I, \quad \tau_s \dot r = -r, \quad \tau_2 \dot q = r - q, \quad
        a = \frac{r - q}{\tau_2} = \dot q

    At a spike (v >= 1) v returns to 0, where it stays for t_ref, and r rises by
    :math:`t_{ref}/\tau_s`, so that r and q are the firing rate in units of the largest possible
    one, :math:`1/t_{ref}`.

    Parameters
    ----------
    tau_m : Quantity (second), default 10 ms
        Membrane time constant.
    tau_s : Quantity (second), default 25 ms
        Time constant of the synaptic current I and of the trace r.
    tau_2 : Quantity (second), default 50 ms
        Time constant of the slow copy q of the trace.
    t_ref : Quantity (second), default 6 ms
        Refractory period; its inverse is the largest rate.
    drive : float, default 0.5
        Constant input d; the threshold is 1.
    gain : float, default 2
        Weight g of the synaptic current.
    nudged : bool, default False
        Whether the neuron has the nudge :math:`\beta(y - r)`: an output neuron, with the variables
        ``nudge`` (beta, 0 in the free phase) and ``target`` (y).

    Returns
    -------
    NeuronModel
        States v, I, r and q; weights are dimensionless and add to I.

    Raises
    ------
    ValueError
        If a parameter has the wrong unit or is out of range.

    Notes
    -----
    Deviation from the paper: its neuron, filter and constants were not at hand. Of the trace only
    the neuron's own spikes are used; q is the integral of a, so that a sums to zero over a spike.

    References
    ----------
    Martin et al., iScience 24:102222 (2021).

    Examples
    --------
    >>> from neurosnn import equations
    >>> equations.EqSpikeLIF().states
    ('v', 'I', 'r', 'q')
    """
    drive_string = "drive + gain*t_ref/tau_s*I" + (" + nudge*(target - r)" if nudged else "")
    ours = "ours: chosen by runs on digits and MNIST (validation)"
    return NeuronModel(
        name="EqSpikeLIF",
        equations=NEURON.format(drive=drive_string) + (NUDGED if nudged else ""),
        threshold="v >= 1",
        reset="v = 0\nr += t_ref/tau_s",
        refractory="t_ref",
        step=HOLD,
        method="exponential_euler",
        inputs=("I",),
        parameters={
            "tau_m": tau_m,
            "tau_s": tau_s,
            "tau_2": tau_2,
            "t_ref": t_ref,
            "drive": drive,
            "gain": gain,
        },
        ranges={
            "tau_m": POSITIVE_TIME,
            "tau_s": POSITIVE_TIME,
            "tau_2": POSITIVE_TIME,
            "t_ref": POSITIVE_TIME,
            "drive": ANY,
            "gain": POSITIVE,
        },
        sources=dict.fromkeys(("tau_m", "tau_s", "tau_2", "t_ref", "drive", "gain"), ours),
        reference=MARTIN,
    )


@explained
def RegularInput(*, t_ref=6 * ms) -> NeuronModel:
    r"""An input that spikes regularly, x of the largest rate: ``x/t_ref``.

    .. math:: \dot\phi = x/t_{ref}, \qquad \text{spike at } \phi \ge 1, \quad \phi \to \phi - 1

    Parameters
    ----------
    t_ref : Quantity (second), default 6 ms
        Interval between the spikes of an input with x = 1, as in :func:`EqSpikeLIF`.

    Returns
    -------
    NeuronModel
        States phase (its initial value is that of the train) and x, the value of the pixel.

    Raises
    ------
    ValueError
        If `t_ref` has the wrong unit or is not positive.

    Examples
    --------
    >>> from neurosnn import equations
    >>> equations.RegularInput().states
    ('phase', 'x')
    """
    return NeuronModel(
        name="RegularInput",
        equations="dphase/dt = x/t_ref : 1\nx : 1",
        threshold="phase >= 1",
        reset="phase -= 1",
        method="euler",
        inputs=("phase",),
        parameters={"t_ref": t_ref},
        ranges={"t_ref": POSITIVE_TIME},
        sources={"t_ref": "that of the neurons"},
        reference=MARTIN,
    )


@explained
def ConstantInput(*, t_ref=6 * ms) -> NeuronModel:
    r"""An input that is a constant current: in each step the part ``s = x dt/t_ref`` of a spike.

    The mean of :func:`RegularInput`, without its fluctuations.

    Parameters
    ----------
    t_ref : Quantity (second), default 6 ms
        As in :func:`EqSpikeLIF`.

    Returns
    -------
    NeuronModel
        State x, the value of the pixel; an input with x = 0 is silent.

    Raises
    ------
    ValueError
        If `t_ref` has the wrong unit or is not positive.

    Examples
    --------
    >>> from neurosnn import equations
    >>> equations.ConstantInput().states
    ('x',)
    """
    return NeuronModel(
        name="ConstantInput",
        equations="x : 1\ns = x*dt/t_ref : 1",
        threshold="x != 0",
        inputs=("x",),
        parameters={"t_ref": t_ref},
        ranges={"t_ref": POSITIVE_TIME},
        sources={"t_ref": "that of the neurons"},
        reference=MARTIN,
    )


@explained
def EqSpike(
    *,
    variant="spike_derivative",
    eta=0.01,
    f_max=1 / (6 * ms),
    tau_w=50 * ms,
    trial=None,
) -> PlasticityRule:
    r"""Spike-driven continual equilibrium propagation after Martin et al. 2021.

    Continual equilibrium propagation changes a weight by
    :math:`(\eta/\beta)\, d(\rho_i\rho_j)/dt` while the output is nudged. Here one factor of each
    product is the spike train itself: with the slope a of the trace of :func:`EqSpikeLIF`,

    .. math::
        \Delta w = \frac{\eta\, a_{post}}{\beta f_{max}} \text{ at a presynaptic spike}, \qquad
        \Delta w = \frac{\eta\, a_{pre}}{\beta f_{max}} \text{ at a postsynaptic spike.}

    One synapse with one weight serves both directions.

    Parameters
    ----------
    variant : str, default "spike_derivative"
        "spike_derivative": the rule above. "presynaptic": only at presynaptic spikes (as C-VF of
        Ernoult 2020), for inputs whose rate is constant. "constant_input": the same for
        :func:`ConstantInput`. "trace_product": the change of the product of both slow traces from
        one spike to the next, which adds up to the two-point rule of Scellier and Bengio 2017; the
        synapse keeps the product p. "antisymmetric": classical STDP,
        :math:`(r_{pre} \text{ at a post spike} - r_{post} \text{ at a pre spike})/(f_{max}\tau_w)`.
    eta : float, default 0.01
        Learning rate.
    f_max : Quantity (Hz), default 1/(6 ms)
        Largest rate of the neurons, the inverse of their refractory period.
    tau_w : Quantity (second), default 50 ms
        Unit of time of the "antisymmetric" variant; the others do not have it.
    trial : Quantity (second), optional
        None: w changes at each spike. A time: the changes are collected in G, and added to w once
        in that time, at the start of the next trial.

    Returns
    -------
    PlasticityRule
        The third factor ``signal`` is the gate: 0 in the free phase, 1/beta in the nudged one.

    Raises
    ------
    ValueError
        For an unknown variant, or a parameter of the wrong unit or out of range.

    Notes
    -----
    The strings run after the resets: the slope that they read has seen the spike of the same step.
    In Brian2's usual slot it has not, and then does not add up to zero over time, so that every
    pair of active neurons gets a change proportional to minus the product of their rates.
    Deviation: the paper's full text was not at hand; which of the variants it used is not known.

    References
    ----------
    Martin et al., iScience 24:102222 (2021).
    Ernoult et al., arXiv:2005.04168 (2020).
    Scellier & Bengio, Front. Comput. Neurosci. 11:24 (2017).

    Examples
    --------
    >>> from neurosnn import equations
    >>> print(equations.EqSpike().on_pre)
    w += eta*(signal*a_post/f_max)
    """
    if variant not in VARIANTS:
        raise ValueError(
            f"EqSpike: variant must be one of {', '.join(VARIANTS)}, got {variant!r}. "
            "It says what changes the weight at a spike. Choose one of them."
        )
    on_pre, on_post = (
        _change(term, trial, memory=variant == "trace_product") for term in VARIANTS[variant]
    )
    text = f"{on_pre} {on_post} {'eta' if trial is not None else ''}"
    values = {"eta": eta, "f_max": f_max, "tau_w": tau_w}
    used = {name: value for name, value in values.items() if name in text}
    collected = {"step": "w += eta*G\nG = 0", "step_dt": trial} if trial is not None else {}
    return PlasticityRule(
        name="EqSpike",
        equations="w : 1\nsignal : 1 (shared)"
        + ("\nG : 1" if trial is not None else "")
        + ("\np : 1" if variant == "trace_product" else ""),
        on_pre=on_pre,
        on_post=on_post,
        spike_slot="after_resets",
        transmission="w*s_pre" if variant == "constant_input" else "w",
        third_factor="signal",
        parameters=used,
        ranges={
            name: limits
            for name, limits in (
                ("eta", Range(0, includes_low=True)),
                ("f_max", Range(0 * hertz)),
                ("tau_w", POSITIVE_TIME),
            )
            if name in used
        },
        sources=dict.fromkeys(used, "ours: 1/t_ref of the neurons, else a free scale"),
        reference=MARTIN,
        **collected,
        **REQUIRES[variant],
    )


def _change(term: str, trial, *, memory: bool) -> str:
    """The statements of a change, to the weight itself or to what is collected in a trial."""
    if not term:
        return ""
    change = f"w += eta*({term})" if trial is None else f"G += {term}"
    return change + ("\np = q_pre*q_post" if memory else "")
