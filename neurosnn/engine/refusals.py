"""What the engine learns, and what it has no gradient for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neurosnn.core.messages import message

if TYPE_CHECKING:
    from neurosnn.network import SpikingNetwork

__all__ = ["learned_parameters", "refuse_what_has_no_gradient"]


def learned_parameters(net: SpikingNetwork) -> dict[str, tuple[str, ...]]:
    """Parameters of the models that a network learns, by layer."""
    learned = {
        str(layer.name): tuple(key for key in layer.learn if key != "delay") for layer in net.layers
    }
    return {name: keys for name, keys in learned.items() if keys}


def refuse_what_has_no_gradient(net: SpikingNetwork, method: str, loss: Any) -> None:
    """An error for a network and a loss that a rule cannot differentiate."""
    if method == "eventprop":
        _refuse_jumping_output(net, loss)
    elif method == "eprop":
        _refuse_clipped_traces(net)
        _refuse_learned_delays(net, "EProp")
    elif method == "bptt":
        _refuse_learned_delays(net, "BPTT")


def _refuse_jumping_output(net: SpikingNetwork, loss: Any) -> None:
    model = net.readout.model
    moments = getattr(loss, "kind", "") in ("max_cross_entropy", "first_spike")
    if moments and model.states[0] in model.inputs:
        raise ValueError(
            message(
                f"the loss {type(loss).__name__} with a readout whose output jumps at a spike.",
                "EventProp",
                "The moment of its maximum, or of its first spike, is then that of an arrival, and "
                "the gradient of this time is not that of a smooth output.",
                "Write Readout(n, model=equations.CurrentReadout()), or use EProp.",
            )
        )


def _refuse_learned_delays(net: SpikingNetwork, rule: str) -> None:
    for name in net.learned:
        if name.endswith(".delay"):
            raise ValueError(
                message(
                    f"{rule} cannot learn '{name}'.",
                    rule,
                    "It follows weights and parameters of a neuron; a delay acts through the time of a "
                    "spike.",
                    'Use EventProp(), or leave "delay" out of learn.',
                )
            )


def _refuse_clipped_traces(net: SpikingNetwork) -> None:
    for layer in net.layers:
        if layer.model.eligibility_bounds:
            raise ValueError(
                message(
                    f"the eligibility vectors of layer '{layer.name}' are clipped.",
                    layer.model.name,
                    "A clipped trace is not linear in the presynaptic spikes, so the backward pass "
                    "cannot give the same gradient.",
                    "Use backend='brian2', or a model without eligibility_bounds.",
                )
            )
