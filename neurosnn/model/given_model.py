"""The check that what is given as a model of a neuron is one."""

from __future__ import annotations

from typing import Any

from brian2.groups.neurongroup import NeuronGroup
from brian2.groups.subgroup import Subgroup

from neurosnn.core.messages import described, message
from neurosnn.model.neuron import NeuronModel

__all__ = ["check_model"]


def check_model(model: Any, *, where: str, name: str = "model") -> None:
    """Refuse what is no model of a neuron."""
    if isinstance(model, NeuronModel):
        return
    fix = "Pass for example equations.LIF()."
    if callable(model) and hasattr(model, "__name__"):
        fix = f"Did you mean {model.__name__}()?"
    elif isinstance(model, NeuronGroup | Subgroup):
        fix = "Write NeuronModel.from_group(group)."
    raise TypeError(
        message(
            f"{name} must be a NeuronModel, got {described(model)}.",
            where,
            "It says what a neuron is.",
            fix,
        )
    )
