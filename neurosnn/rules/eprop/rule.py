"""E-prop: learning with eligibility traces and a learning signal (Bellec et al. 2020)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from brian2.units.allunits import hertz, msecond
from brian2.units.fundamentalunits import Quantity

from neurosnn.core.arguments import explained
from neurosnn.core.messages import message
from neurosnn.core.values import check_rate_term
from neurosnn.model.given_model import check_model
from neurosnn.rules.base import Rule, rate_term
from neurosnn.rules.eprop.adjoint import EPropBackward
from neurosnn.rules.surrogate.adjoint import refuse_learned_delays

if TYPE_CHECKING:
    from brian2.synapses.synapses import Synapses

    from neurosnn.model import NeuronModel
    from neurosnn.rules.eprop.backend import OnlineBackend
    from neurosnn.rules.eprop.traces import OnlineEquations

__all__ = ["EProp"]

FEEDBACK = ("symmetric", "random", "adaptive", "global")


@explained
@dataclass(frozen=True, kw_only=True)
class EProp(Rule):
    r"""E-prop for any neuron model whose step can be differentiated.

    .. math::
        \frac{dE}{dW_{ij}} = \sum_t L_j^t \bar e_{ij}^t, \qquad
        L_j^t = \sum_k B_{jk} \frac{\partial E}{\partial y_k^t}, \qquad
        e_{ij}^t = \psi_j^t\, \nabla g_j^t \cdot \epsilon_{ij}^t

    with the eligibility vector :math:`\epsilon' = (dh'/dh)\,\epsilon + dh'/dW` and the trace
    :math:`\bar e` filtered as the readout filters spikes. It is the gradient of backpropagation
    through time without the paths that lead through other neurons' spikes.

    Parameters
    ----------
    feedback : {"symmetric", "random", "adaptive", "global"}, optional
        Feedback weights B: the readout weights; fixed and random, N(0, 1); random at first, then
        changed by the same updates as the readout weights; or 1/sqrt(n) for all (a control). The last sends
        the sum of the errors, which is zero for the errors of a softmax: with a cross-entropy only the
        firing-rate term then moves hidden weights.
    rate_target : Quantity (hertz), optional
        Firing rate towards which every neuron is driven.
    rate_strength : float, optional
        Strength c of the firing-rate term ``c/2 sum_j (f_j - f_target)^2``, per Hz^2; its gradient is
        ``c (f_j - f_target)/T sum_t e_ij``.
    seed : int, optional
        Seed of the random feedback weights.

    Raises
    ------
    ValueError
        For an unknown kind of feedback, or a rate that is negative or not a rate.

    Notes
    -----
    Cost: online, every synapse keeps an eligibility vector in every step; the engine computes the
    same number backwards in time per neuron, at the cost of the spikes. What synapses with states send
    (``Projection(synapse=...)``) takes the place of the presynaptic spike; this on the engine only.

    References
    ----------
    Bellec et al., Nat. Commun. 11:3625 (2020); van der Veen, arXiv:2201.07602 (2022).

    Examples
    --------
    >>> from neurosnn import EProp
    >>> EProp(feedback="random").feedback
    'random'
    """

    name: ClassVar[str] = "eprop"
    has_traces: ClassVar[bool] = True
    reference: ClassVar[str] = (
        "Bellec et al., Nat. Commun. 11:3625 (2020), doi:10.1038/s41467-020-17236-y"
    )
    feedback: str = "symmetric"
    rate_target: Quantity = field(default_factory=lambda: 10 * hertz)
    rate_strength: float = 0.0
    seed: int = 0

    def __post_init__(self):
        if self.feedback not in FEEDBACK:
            raise ValueError(
                message(
                    f"feedback must be one of {', '.join(FEEDBACK)}, got {self.feedback!r}.",
                    "EProp",
                    "The learning signal needs feedback weights.",
                    "Choose one of them.",
                )
            )
        check_rate_term(self.rate_target, self.rate_strength, where="EProp")

    @property
    def needs(self) -> frozenset[str]:
        """A trace, the neuron's state and its error; with global feedback one number for all neurons."""
        needs = {"pre_trace", "post_state", "neuron_error"}
        if self.feedback == "symmetric":
            needs.add("weight_transport")
        if self.feedback == "global":
            needs = needs - {"neuron_error"} | {"third_factor"}
        return frozenset(needs)

    def backward(self, net: Any, loss: Any) -> EPropBackward:
        """Its factored form on the engine.

        Parameters
        ----------
        net : SpikingNetwork
            The network.
        loss : Loss or None
            Any loss.

        Returns
        -------
        EPropBackward
            The adjoint of one neuron.

        Raises
        ------
        ValueError
            If an eligibility vector is clipped, or the network learns a delay.
        """
        why = self.needs_brian2(net)
        if why:
            raise ValueError(
                message(
                    why,
                    "EProp",
                    "A clipped trace is not linear in the presynaptic spikes, so the backward pass "
                    "cannot give the same gradient.",
                    "Use backend='brian2', or a model without eligibility_bounds.",
                )
            )
        refuse_learned_delays(net, "EProp")
        self.check_feedback(net)
        sizes = {layer.name: layer.n for layer in net.layers}
        return EPropBackward(
            rate_term(self.rate_target, self.rate_strength),
            self.feedback_weights(sizes, net.readout.n),
            adaptive=self.feedback == "adaptive",
        )

    def online(self, net: Any, loss: Any) -> OnlineBackend:
        """Its online form, traces in the synapses of stock Brian2.

        Parameters
        ----------
        net : SpikingNetwork
            The network.
        loss : Loss or None
            Any loss.

        Returns
        -------
        OnlineBackend
            Runs batches in Brian2.
        """
        from neurosnn.rules.eprop.backend import OnlineBackend

        return OnlineBackend(net, self, loss)

    def needs_brian2(self, net: Any) -> str:
        """Clipped eligibility vectors have no factored form."""
        clipped = [layer.name for layer in net.layers if layer.model.eligibility_bounds]
        return f"the eligibility vectors of layer '{clipped[0]}' are clipped." if clipped else ""

    def check_feedback(self, net: Any) -> None:
        """Refuse adaptive feedback weights that no learned weight of the readout changes."""
        learned = {
            c.source for c in net.connections.values() if c.target == "readout" and c.plastic
        }
        for layer in net.layers:
            if self.feedback == "adaptive" and layer.name not in learned:
                raise ValueError(
                    message(
                        f"the readout has no learned weights from '{layer.name}'.",
                        "EProp",
                        "Adaptive feedback weights change as those do.",
                        "Let the readout read it, or use feedback='random'.",
                    )
                )

    def feedback_weights(self, n_neurons: dict[str, int], n_outputs: int) -> dict[str, np.ndarray]:
        """Feedback weights that are not the readout's, one array (n, n_outputs) a layer.

        Parameters
        ----------
        n_neurons : dict of str to int
            Size of each layer, in order.
        n_outputs : int
            Number of readout neurons.

        Returns
        -------
        dict of str to ndarray
            Empty for symmetric feedback.
        """
        if self.feedback == "symmetric":
            return {}
        if self.feedback == "global":
            return {name: np.full((n, n_outputs), n**-0.5) for name, n in n_neurons.items()}
        generator = np.random.default_rng(self.seed)
        return {name: generator.standard_normal((n, n_outputs)) for name, n in n_neurons.items()}

    def equations(
        self,
        model: NeuronModel,
        *,
        target: str | None = None,
        readout_filter: float | Quantity | NeuronModel | None = 20 * msecond,
    ) -> OnlineEquations:
        """The rule for a neuron model as Brian2 strings, the same that :meth:`synapses` executes.

        Parameters
        ----------
        model : NeuronModel
            The postsynaptic neuron.
        target : str, optional
            The variable that the synapses add to, the first of ``model.inputs`` if None.
        readout_filter : Quantity or float or NeuronModel or None, optional
            As for :meth:`synapses`.

        Returns
        -------
        OnlineEquations
            Strings by slot; ``print`` shows them.

        Raises
        ------
        ValueError
            If no gradient can be derived from the model, with the reason.

        Examples
        --------
        >>> from neurosnn import EProp, equations
        >>> print(EProp().equations(equations.LIF()).step)
        G += L_post*ebar
        eps_v = eps_v*exp(-dt/tau_m_post) + pre_in
        pre_in = 0
        etrace = psi_post*eps_v
        ebar = kappa*ebar + etrace
        """
        from neurosnn.calculus.filters import read_filter
        from neurosnn.rules.eprop.traces import online_equations

        check_model(model, where="EProp.equations")
        return online_equations(
            model,
            channel=target,
            readout_filter=read_filter(readout_filter, 1 * msecond),
            rate=self.rate_strength > 0,
        )

    def synapses(
        self,
        pre: Any,
        post: Any,
        *,
        model: NeuronModel | None = None,
        connect: Any = True,
        delay: Quantity | None = None,
        target: str | None = None,
        readout_filter: float | Quantity | NeuronModel | None = None,
        amplitude: str = "",
        equations: str = "",
        order: int = 0,
        name: str = "synapses*",
        dtype: Any = None,
    ) -> Synapses:
        """Brian2 Synapses with the eligibility traces of this rule.

        A presynaptic spike adds ``w`` to `target`. In every step, right after the thresholds, each
        synapse adds ``L_post*ebar`` of the step before to its gradient ``G`` and then brings its
        traces up to date. The learning signal ``L`` is a variable of the postsynaptic neurons, zero
        until you set it: from Python between two runs, by a ``run_regularly`` of the group, or as
        the summed variable ``L_post`` of Synapses from your readout. The first call on a group adds
        the variables L, psi and spiked and the coefficients of the traces to it.

        Parameters
        ----------
        pre : NeuronGroup or SpikeGeneratorGroup or other source of spikes
            Presynaptic neurons.
        post : NeuronGroup or Subgroup
            Postsynaptic neurons.
        model : NeuronModel, optional
            Their model, if they were not made by ``model.group(n)``.
        connect : bool or str or mapping, optional
            True: all to all; False: not yet; a condition such as ``"i != j"``; or the arguments of
            ``Synapses.connect``, for example ``{"p": 0.1}``.
        delay : Quantity (second), optional
            Delay of the presynaptic spikes; None: zero, and changeable through ``pre.delay``.
        target : str, optional
            The variable that a spike adds ``w`` to, the first of ``model.inputs`` if None.
        readout_filter : Quantity or float or NeuronModel or None, optional
            Filter of the trace: the time constant of the readout, kappa = exp(-dt/tau) itself, or
            the readout's model. None: the trace is not filtered and there is no ``ebar``.
        amplitude : str, optional
            A variable x of `pre`: a spike adds ``w*x`` (real-valued input).
        equations : str, optional
            Further Brian2 equations of the synapses, such as ``eta : 1 (shared)``.
        order : int, optional
            Order among the Synapses of a network in which spikes are delivered.
        name : str, optional
            Name of the Synapses.
        dtype : dtype, optional
            Floating-point type, Brian2's default if None.

        Returns
        -------
        Synapses
            With the variables w, pre_in (what arrived since the last step), eps_<state>,
            etrace (e_ij), ebar and G, and etrace_sum if the rule has a firing-rate term; all zero.

        Raises
        ------
        ValueError
            If the model is not known or has no such input, no gradient can be derived from it, or a
            name is used already.

        Notes
        -----
        The learning signal of a step is known at its end, so the gradient of the last step is
        added one step later: run one step more, without input. Cost: synapses times steps.

        Examples
        --------
        >>> from brian2 import Network, SpikeGeneratorGroup, defaultclock, ms
        >>> from neurosnn import EProp, equations
        >>> defaultclock.dt = 1*ms
        >>> source = SpikeGeneratorGroup(1, [0], [0]*ms)
        >>> neuron = equations.LIF().group(1)
        >>> synapses = EProp().synapses(source, neuron)
        >>> synapses.w, neuron.v, neuron.L = 0.5, 0.5, 1
        >>> Network(source, neuron, synapses).run(20*ms, namespace={})
        >>> bool(synapses.G[0] > 0)
        True
        """
        from neurosnn.rules.eprop.synapses import eprop_synapses

        return eprop_synapses(
            self,
            pre,
            post,
            model=model,
            connect=connect,
            delay=delay,
            target=target,
            readout_filter=readout_filter,
            amplitude=amplitude,
            equations=equations,
            order=order,
            name=name,
            dtype=dtype,
        )
