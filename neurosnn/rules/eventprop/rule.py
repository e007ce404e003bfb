"""EventProp: the exact gradient of a spiking network (Wunderlich & Pehle 2021)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from brian2.units.allunits import hertz
from brian2.units.fundamentalunits import Quantity

from neurosnn.core.arguments import explained
from neurosnn.core.messages import message
from neurosnn.core.values import Range, check_rate_term, check_value
from neurosnn.model.given_model import check_model
from neurosnn.network.poisson_drive import refuse_drives
from neurosnn.rules.base import EXACT_GRADIENT, Rule, rate_term
from neurosnn.rules.eventprop.adjoint import EventPropBackward

if TYPE_CHECKING:
    from neurosnn.model import NeuronModel
    from neurosnn.rules.eventprop.equations import AdjointEquations

__all__ = ["EventProp"]


@explained
@dataclass(frozen=True, kw_only=True)
class EventProp(Rule):
    r"""EventProp for any neuron model with a differentiable flow between spikes.

    Between spikes the adjoint :math:`\lambda = dE/dh` follows the transposed linearized flow; at a
    spike of a neuron it jumps,

    .. math::
        \lambda^- = R_h^T \lambda^+ + g_h\,\frac{\lambda^+ \cdot (f^+ - R_h f^- - R_t)
        + \sum_j w_j\, \lambda_j \cdot \partial f_j/\partial x_j - \partial E/\partial t_{last}}
        {g_h \cdot f^- + g_t}

    with the reset R, the threshold margin g and the flow f before and after. The sum runs over the
    neurons that the spike reaches, with their adjoint at the time of arrival. The last term holds all
    that depends on the time of the spike until the next one: the end of the refractory period, and
    strings that read ``lastspike``. A spike that has waited for the end of its refractory period with
    the membrane above the threshold crosses nothing: what its time is worth goes to the spike before.
    The gradient of a weight is the adjoint of the input variable, summed over the arrivals of
    presynaptic spikes; those that a variable flagged ``unless refractory`` drops do not count.

    Parameters
    ----------
    rate_target : Quantity (hertz), optional
        Firing rate towards which every neuron is driven.
    rate_strength : float or tuple of two floats, optional
        Strength c of the firing-rate term: the adjoint of the margin grows by
        ``c (f_j - f_target)/T`` at each spike. The number of spikes has no gradient, so this is a
        heuristic, as in Nowotny et al. 2025. Two numbers hold for neurons below and above the
        target. The adjoint of the margin has the inverse unit of the threshold, so c is in seconds
        squared over that unit, and is given as its number in SI units: in s**2 for a threshold without
        unit, in s**2/V for one in volts. For the same neuron with V volts where it had 1, c is divided
        by V (by 0.02 for 20 mV). In their measure, a strength k on spike counts of trials of length T
        towards nu, it is ``c = k T**2`` and ``f_target = nu/T`` for a threshold without unit.
    smallest_slope : float, optional
        Lower limit of the slope with which the membrane crosses the threshold, per second and in
        units of the distance from the reset to the threshold (1 for a threshold of 1 and a reset to 0,
        20 mV from -70 to -50 mV), so that it means the same in any unit: with 5, a membrane takes at
        most 200 ms for this distance. A reset that leaves the membrane above the
        threshold sets no limit. A grazing spike has an unbounded gradient. The slope itself is the flow
        ``g_h . f- + g_t`` at the end of the step, or the secant of the margin over the step if that is
        steeper: the flow may be flat or even point downwards after the overshoot of a coarse step,
        the secant never does. Both agree to order dt, so small steps keep the exact gradient; a
        step of 1 ms keeps its size, and of its direction less (in a layer that reads images by
        latency, cosine 0.79 to the gradient at 0.02 ms for the mean output, 0.27 for its maximum).

    Raises
    ------
    ValueError
        If a value is out of range.

    Notes
    -----
    Spikes may add to a variable of the threshold. One that an arrival causes at once has no derivative by
    the weight: its time is that of the arrival, to which all that this time is worth goes, and from there
    to the presynaptic spike and the delay (``calculus.hybrid`` has the derivation). On the grid it comes one
    step later, since Brian2 tests thresholds before the arrivals of a step. If arrivals of one step bring
    a neuron over the threshold together, the cause is the one, in the order of the connections, by which
    the margin rises above zero for good.

    The method of integration takes the steps, and the adjoint between spikes is the transpose of the
    derivative of these steps; the flow f at a spike is that of the differential equations. Both agree to
    the order of the method.

    Exact for spike times that are not on a grid; with a step dt the gradient has an error of order
    dt. Paths on which spikes appear or vanish are not seen. Cost: like e-prop on the engine, plus
    one scalar product of a row of weights a spike.

    References
    ----------
    Wunderlich & Pehle, Sci. Rep. 11:12829 (2021); Nowotny, Turner & Knight, Neuromorph. Comput. Eng.
    5:014001 (2025).

    Examples
    --------
    >>> from neurosnn import EventProp
    >>> EventProp().rate_strengths
    (0.0, 0.0)
    """

    name: ClassVar[str] = "eventprop"
    reference: ClassVar[str] = (
        "Wunderlich & Pehle, Sci. Rep. 11:12829 (2021), doi:10.1038/s41598-021-91786-z"
    )
    rate_target: Quantity = field(default_factory=lambda: 10 * hertz)
    rate_strength: float | tuple[float, float] = 0.0
    smallest_slope: float = 5.0

    def __post_init__(self) -> None:
        where = "EventProp"
        check_rate_term(self.rate_target, *self.rate_strengths, where=where)
        check_value("smallest_slope", self.smallest_slope, Range(0), where=where)

    @property
    def rate_strengths(self) -> tuple[float, float]:
        """Strengths of the firing-rate term below and above the target."""
        if np.ndim(self.rate_strength) == 0:
            return (self.rate_strength, self.rate_strength)
        if np.shape(self.rate_strength) != (2,):
            raise ValueError(
                message(
                    f"rate_strength must be one or two numbers, got {self.rate_strength}.",
                    "EventProp",
                    "Two hold for neurons below and above the target.",
                    "Write for example rate_strength=(0.0, 1e-3).",
                )
            )
        return tuple(self.rate_strength)

    @property
    def needs(self) -> frozenset[str]:
        """All that an exact gradient needs."""
        return EXACT_GRADIENT

    def backward(self, net: Any, loss: Any) -> EventPropBackward:
        """Its form on the engine.

        Parameters
        ----------
        net : SpikingNetwork
            The network.
        loss : Loss or None
            Any loss; one that depends on a single moment needs an output that does not jump.

        Returns
        -------
        EventPropBackward
            The adjoint of the flow, and the saltation at spikes.

        Raises
        ------
        ValueError
            If the loss depends on the moment of a maximum or a crossing and the output jumps, or Poisson
            spikes come from outside.
        """
        refuse_drives(
            net,
            where="EventProp",
            why="It differentiates a smooth flow between spikes of the network and of the trials.",
            fix="Train it with EProp() or BPTT().",
        )
        model = net.readout.model
        if getattr(loss, "needs_smooth_output", False) and model.states[0] in model.inputs:
            raise ValueError(
                message(
                    f"the loss {type(loss).__name__} with a readout whose output jumps at a spike.",
                    "EventProp",
                    "The moment of its maximum, or of its first spike, is then that of an arrival, "
                    "and the gradient of this time is not that of a smooth output.",
                    "Write Readout(n, model=equations.CurrentReadout()), or use EProp.",
                )
            )
        below, above = self.rate_strengths
        return EventPropBackward(
            {
                **rate_term(self.rate_target, above),
                "rate_strength_below": float(below),
                "smallest_slope": float(self.smallest_slope),
            }
        )

    def equations(self, model: NeuronModel, *, learn: tuple[str, ...] = ()) -> AdjointEquations:
        """The adjoint of a neuron model as Brian2 strings, derived from its equations.

        Parameters
        ----------
        model : NeuronModel
            A spiking model or a readout with differential equations.
        learn : tuple of str, optional
            Parameters whose gradient is wanted.

        Returns
        -------
        AdjointEquations
            Strings of the flow in reverse time, of a spike and of an arrival; ``print`` shows them.

        Raises
        ------
        ValueError
            If the model has no differentiable flow, with the reason.

        Examples
        --------
        >>> from neurosnn import EventProp, equations
        >>> print(EventProp().equations(equations.CurrentLIF()))
        # reverse time, between spikes
        dlam_v/dt = -lam_v/tau_m : 1
        dlam_I/dt = -lam_I/tau_s + lam_v/tau_m : 1
        # spike of the neuron
        shift = (I*lam_v/tau_m + feedback)/((I - v)/tau_m)
        lam_v = shift
        # arrival of a presynaptic spike that adds w to I
        dE_dw += lam_I_post
        feedback_pre += w*(-lam_I_post/tau_s_post + lam_v_post/tau_m_post)
        """
        from neurosnn.rules.eventprop.equations import adjoint_equations

        check_model(model, where="EventProp.equations")
        return adjoint_equations(model, tuple(learn))
