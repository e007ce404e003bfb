"""How a plasticity rule answers to one pair of spikes: STDP windows and eligibility traces."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from brian2.monitors.statemonitor import StateMonitor
from brian2.units.allunits import msecond as ms
from brian2.units.allunits import second
from brian2.units.fundamentalunits import Quantity

from neurosnn.analysis.learners import learner
from neurosnn.analysis.protocols import (
    POSITIVE_TIME,
    Pairs,
    Train,
    private_brian,
    warn_of_clamp,
    with_unit,
)
from neurosnn.core import html
from neurosnn.core.messages import message
from neurosnn.core.values import check_value, whole_steps
from neurosnn.model import NeuronModel

__all__ = [
    "EligibilityTrace",
    "GradientWindow",
    "StdpWindow",
    "eligibility_trace",
    "stdp_window",
]

LONGEST_STEP = 1 * ms


class StdpWindow(NamedTuple):
    """Change of a weight by one pair of spikes, for many lags.

    Attributes
    ----------
    lag : Quantity (second), shape (n,)
        ``t_post - t_pre``.
    dw : ndarray or Quantity, shape (n,)
        Change of the weight.
    """

    lag: Quantity
    dw: np.ndarray

    @property
    def quantity(self) -> str:
        """What an axis calls `dw`."""
        return "Δw"

    def __repr__(self) -> str:
        lag, dw = 1e3 * np.asarray(self.lag, dtype=float), self.dw
        return (
            f"{type(self).__name__}: {len(lag)} lags from {lag.min():g} to {lag.max():g} ms, "
            f"{self.quantity} from {np.min(dw)} to {np.max(dw)}"
        )

    def _repr_html_(self) -> str:
        return html.block(repr(self), html.curve(self.lag, self.dw))


class GradientWindow(StdpWindow):
    """Gradient that one pair of spikes adds, for many lags: a weight moves against it.

    Attributes
    ----------
    lag : Quantity (second), shape (n,)
        ``t_post - t_pre``.
    dw : ndarray or Quantity, shape (n,)
        Sum over time of ``L e``: learning signal times eligibility trace, in one unit of the loss by
        that of the weight.
    """

    __slots__ = ()

    @property
    def quantity(self) -> str:
        """What an axis calls `dw`."""
        return "gradient Σ L e"


class EligibilityTrace(NamedTuple):
    """Eligibility trace of a synapse around one pair of spikes.

    Attributes
    ----------
    t : Quantity (second), shape (n,)
        Time since the postsynaptic spike; values hold at the end of the time step.
    e : ndarray or Quantity, shape (n,)
        The trace.
    components : dict of str to ndarray
        Variables of the synapse from which the trace is made, each of shape (n,).
    """

    t: Quantity
    e: np.ndarray
    components: dict[str, np.ndarray]


def stdp_window(
    rule,
    *,
    max_lag=50 * ms,
    step=1 * ms,
    post: NeuronModel | None = None,
    learning_signal: float = 1.0,
    background: float = 0.6,
    clamp: bool | None = None,
    weight=None,
    delay=None,
    dt=None,
    duration=None,
) -> StdpWindow:
    r"""Change of a weight by one pair of spikes, as a function of their lag.

    .. math:: \Delta w(s), \qquad s = t_{post} - t_{pre}

    All lags are independent pairs of neurons in one Brian2 simulation, apart from the user's
    objects, device and clock. At lag 0 the two spikes fall on the same time step; without a delay
    the presynaptic one counts as the earlier, so that PairSTDP gives A_plus.

    Parameters
    ----------
    rule : PlasticityRule or EProp
        The rule.
    max_lag : Quantity (second), default 50 ms
        Lags go from ``-max_lag`` to ``max_lag``.
    step : Quantity (second), default 1 ms
        Distance of two lags.
    post : NeuronModel, optional
        Postsynaptic neuron; needed by rules that read its state, as e-prop does. None: prescribed
        spikes. The presynaptic spike does not act on this neuron.
    learning_signal : float, default 1
        Constant third factor L of the rule: e-prop sums ``L e_t`` over time, unfiltered.
    background : float, default 0.6
        Where a constant input holds the membrane of `post`, as a fraction of the way from rest to
        threshold; 0 is at rest. The postsynaptic spike is caused by raising it in one step by the
        distance from rest to threshold (v_th, where rest is 0). The membrane is v, or the variable by
        which the margin of the threshold rises. A state that grows steadily, such as the time since the
        last spike, is at rest if all others are.
    clamp : bool, optional
        Whether the membrane is clamped at `background` instead of held by a constant input: it is set in
        every step after its update, and raised above threshold for the postsynaptic spike alone; all other
        states are free. None: if the neuron fires without input, or spikes more than once when it is kicked,
        with a warning. Rest of a neuron that fires without input is where its reset leaves the membrane (the
        initial value, if the reset does not change it).
    weight : float or Quantity, optional
        Weight before the pair; the middle between the bounds if None.
    delay : Quantity (second), optional
        Delay of the synapse, placed as the rule says; the lag is that of the neurons' spikes.
    dt : Quantity (second), optional
        Time step; None: the longest one up to 1 ms that divides `step`.
    duration : Quantity (second), optional
        Time simulated after the last spike has reached the synapse. None: as long as the weight
        changes by more than 1e-8 of its largest change in 500 time steps, and at most a million of them.

    Returns
    -------
    StdpWindow
        Lags and weight changes; dw is a Quantity if the weight has a unit. For e-prop a
        :class:`GradientWindow`: a weight moves against it. It need not decay with the lag: a presynaptic
        spike leaves a trace wherever the pseudo-derivative of the neuron is not zero, whether it
        spikes or not. The value at the edges is that of a presynaptic spike alone, and vanishes for a
        neuron at rest (``background=0``) that is far from its threshold.

    Raises
    ------
    ValueError
        If a time is not a multiple of `dt`, the rule needs a neuron and has none, the neuron
        cannot be held at `background` or does not spike once, or the weight never stops changing, or grows
        without a bound, because the neuron would run away from where it is held.
    TypeError
        If `rule` is not a rule.

    Examples
    --------
    >>> from brian2 import ms
    >>> from neurosnn import analysis, equations
    >>> rule = equations.PairSTDP(A_plus=0.01, A_minus=-0.0105)
    >>> window = analysis.stdp_window(rule, max_lag=20*ms, step=20*ms)
    >>> window.lag, window.dw.round(5)
    (array([-20.,   0.,  20.]) * msecond, array([-0.00386,  0.01   ,  0.00368]))
    """
    if dt is None:
        check_value("step", step, POSITIVE_TIME, where="stdp_window")
        dt = step / np.ceil(float(step) / float(LONGEST_STEP) - 1e-9)
    spacing, n_side, delay_steps = _steps(step, max_lag, delay, dt)
    lags = np.arange(-n_side, n_side + 1) * spacing
    neuron = np.arange(len(lags))
    for clamped in (clamp, True):
        learn = learner(rule, post, learning_signal)
        post_step = np.full(len(lags), lags[-1] + learn.lead(dt))
        trains = Train(neuron, post_step - lags), Train(neuron, post_step)
        options = {"clamped": clamped, "weight": weight, "delay": delay}
        with private_brian(dt):
            pairs = Pairs(learn, *trains, post, background, dt, **options)
            # One step more than the spikes need: e-prop adds what it learned in a step in the next.
            pairs.run(post_step[0] + lags[-1] + delay_steps + 2, duration)
        if clamped is not None or not pairs.spikes_too_often():
            break
        warn_of_clamp(post, "It spikes more than once when it is made to spike.")
    pairs.check_spikes()
    pairs.check_finite()
    dw = learn.change()
    made = StdpWindow if learn.changes_weight else GradientWindow
    return made(lags * float(dt) * second, with_unit(dw, learn.dimensions))


def eligibility_trace(
    rule,
    *,
    lag=10 * ms,
    before=20 * ms,
    after=100 * ms,
    post: NeuronModel | None = None,
    background: float = 0.6,
    clamp: bool | None = None,
    delay=None,
    dt=1 * ms,
) -> EligibilityTrace:
    """Eligibility trace of a synapse while one pair of spikes passes.

    Parameters
    ----------
    rule : PlasticityRule or EProp
        A rule with an eligibility trace.
    lag : Quantity (second), default 10 ms
        ``t_post - t_pre``.
    before, after : Quantity (second), default 20 ms and 100 ms
        Time shown before the first and after the last spike.
    post : NeuronModel, optional
        Postsynaptic neuron; needed by rules that read its state.
    background : float, default 0.6
        Where v of `post` is held, see :func:`stdp_window`.
    clamp : bool, optional
        Whether v is clamped there; None: if the neuron fires without input.
    delay : Quantity (second), optional
        Delay of the synapse.
    dt : Quantity (second), default 1 ms
        Time step.

    Returns
    -------
    EligibilityTrace
        Times, trace and its components.

    Raises
    ------
    ValueError
        If the rule has no eligibility trace, or as :func:`stdp_window`.

    Examples
    --------
    >>> from brian2 import ms
    >>> from neurosnn import analysis, equations
    >>> trace = analysis.eligibility_trace(equations.RewardSTDP(), lag=10*ms, after=50*ms)
    >>> float(trace.e.max().round(4))
    0.0607
    """
    lag_steps = whole_steps("lag", lag, dt, where="eligibility_trace")
    learn = learner(rule, post, 1.0)
    first = whole_steps("before", before, dt, where="eligibility_trace") + learn.lead(dt)
    last = whole_steps("after", after, dt, where="eligibility_trace")
    pre_step, post_step = first + max(0, -lag_steps), first + max(0, lag_steps)
    trains = (Train(np.array([0]), np.array([step])) for step in (pre_step, post_step))
    with private_brian(dt):
        pairs = Pairs(learn, *trains, post, background, dt, clamped=clamp, delay=delay)
        names = learn.trace_variables()
        monitor = StateMonitor(
            learn.synapses, names, record=True, when="end", name="neurosnn_trace*"
        )
        pairs.network.add(monitor)
        pairs.run_steps(max(pre_step, post_step) + last + 1)
        pairs.check_spikes()
        shown = slice(learn.lead(dt), None)
        values = {name: np.array(getattr(monitor, f"{name}_")[0])[shown] for name in names}
    t = (np.arange(len(values[names[0]])) + learn.lead(dt) - post_step) * float(dt) * second
    e, components = learn.trace(values)
    return EligibilityTrace(t, with_unit(e, learn.dimensions), components)


def _steps(step, max_lag, delay, dt) -> tuple[int, int, int]:
    """Spacing of the lags, their number on each side, and the delay, in time steps."""
    for name, time in (("step", step), ("max_lag", max_lag), ("dt", dt)):
        check_value(name, time, POSITIVE_TIME, where="stdp_window")
    spacing = whole_steps("step", step, dt, where="stdp_window")
    if spacing < 1:
        raise ValueError(
            message(
                f"dt = {dt} is longer than step = {step}.",
                "stdp_window",
                "Two lags would fall on the same time step.",
                "Choose a shorter dt.",
            )
        )
    n_side = int(float(max_lag) / float(step) + 1e-6)
    if n_side < 1:
        raise ValueError(
            message(
                f"step = {step} is longer than max_lag = {max_lag}.",
                "stdp_window",
                "The window would have the lag 0 alone.",
                "Choose a shorter step or a longer max_lag.",
            )
        )
    return (
        spacing,
        n_side,
        0 if delay is None else whole_steps("delay", delay, dt, where="stdp_window"),
    )
