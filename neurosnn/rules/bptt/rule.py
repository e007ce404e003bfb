"""Backpropagation through time with a surrogate derivative: the gradient that e-prop cuts short."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from brian2.units.allunits import hertz
from brian2.units.fundamentalunits import Quantity

from neurosnn.core.arguments import explained
from neurosnn.core.values import check_rate_term
from neurosnn.model import NeuronModel
from neurosnn.model.given_model import check_model
from neurosnn.rules.base import EXACT_GRADIENT, Rule, rate_term
from neurosnn.rules.bptt.adjoint import BPTTBackward
from neurosnn.rules.bptt.equations import StepAdjoint, step_adjoint
from neurosnn.rules.surrogate.adjoint import refuse_learned_delays

__all__ = ["BPTT"]


@explained
@dataclass(frozen=True, kw_only=True)
class BPTT(Rule):
    r"""Backpropagation through time for any neuron model that e-prop can differentiate.

    With the state h of a neuron, its pseudo-derivative :math:`\psi` and the derivatives of
    :class:`EProp`,

    .. math::
        \lambda_j^t = \left(\frac{dh_j'}{dh_j}\right)^T \lambda_j^{t+1} + \psi_j^t\, \nabla g_j^t
        \left(\bar L_j^t + \sum_k w_{jk}\, \mu_k^{t+d_{jk}}\right), \qquad
        \frac{dE}{dw_{ij}} = \sum_t z_i^{t-d_{ij}} \mu_j^t

    where :math:`\mu` is what an input of a neuron is worth and :math:`\bar L` the error of the readout
    through its own weights, filtered backwards in time. The sum over the neurons k that a spike
    reaches is what e-prop leaves out.

    Parameters
    ----------
    rate_target : Quantity (hertz), optional
        Firing rate towards which every neuron is driven.
    rate_strength : float, optional
        Strength c of the firing-rate term ``c/2 sum_j (f_j - f_target)^2``, per Hz^2, which is part
        of the loss that is differentiated.

    Raises
    ------
    ValueError
        If a rate is negative or not a rate.

    Notes
    -----
    The reset is differentiated as for e-prop: only where the model's ``spike_gradient`` says so. States of
    synapses (``Projection(synapse=...)``) are differentiated in full: what a spike sends, and what it leaves
    in them for later spikes.
    Cost on the engine: e-prop's, plus a row of weights for each neuron and step with
    :math:`\psi \neq 0`, which grows with the square of the neurons; memory as for e-prop plus one
    number a neuron and step. It runs on the engine only: nothing of it is online.

    In recurrent weights the gradient can explode: compare its norm with that of :class:`EProp`, and
    lower the height of the pseudo-derivative (``gamma`` of the named models) if it does.

    References
    ----------
    Neftci, Mostafa & Zenke, IEEE Signal Process. Mag. 36:51-63 (2019).

    Examples
    --------
    >>> from neurosnn import BPTT
    >>> BPTT().rate_strength
    0.0
    """

    name: ClassVar[str] = "bptt"
    reference: ClassVar[str] = (
        "Neftci et al., IEEE Signal Process. Mag. 36:51-63 (2019), doi:10.1109/MSP.2019.2931595"
    )
    rate_target: Quantity = field(default_factory=lambda: 10 * hertz)
    rate_strength: float = 0.0

    def __post_init__(self) -> None:
        check_rate_term(self.rate_target, self.rate_strength, where="BPTT")

    @property
    def needs(self) -> frozenset[str]:
        """All that an exact gradient needs."""
        return EXACT_GRADIENT

    def equations(self, model: NeuronModel) -> StepAdjoint:
        """A step of the adjoint as Brian2 expressions, the same that the engine executes.

        Parameters
        ----------
        model : NeuronModel
            The neuron.

        Returns
        -------
        StepAdjoint
            Strings by what they compute; ``print`` shows them.

        Raises
        ------
        ValueError
            If no gradient can be derived from the model, with the reason.

        Examples
        --------
        >>> from neurosnn import BPTT, equations
        >>> BPTT().equations(equations.ALIF()).adjoint["a"]
        'lam_a*(exp(-dt/tau_a)) + z*(-beta)'
        """
        check_model(model, where="BPTT.equations")
        return step_adjoint(model)

    def backward(self, net: Any, loss: Any) -> BPTTBackward:
        """Its form on the engine.

        Parameters
        ----------
        net : SpikingNetwork
            The network.
        loss : Loss or None
            Any loss.

        Returns
        -------
        BPTTBackward
            The adjoint of a step, and the paths through other neurons.

        Raises
        ------
        ValueError
            If the network learns a delay.
        """
        refuse_learned_delays(net, "BPTT")
        return BPTTBackward(rate_term(self.rate_target, self.rate_strength))
