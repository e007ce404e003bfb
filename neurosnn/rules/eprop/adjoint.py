"""The factored form of e-prop: the adjoint of one neuron, with the paths through others cut."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np

from neurosnn.engine.backward import package_templates
from neurosnn.engine.codegen import LayerCode
from neurosnn.engine.translate import Translator
from neurosnn.rules.surrogate.adjoint import SurrogateBackward

__all__ = ["EPropBackward"]


class EPropBackward(SurrogateBackward):
    """The backward pass of e-prop.

    Parameters
    ----------
    numbers, feedback : mapping
        As for :class:`SurrogateBackward`.
    adaptive : bool
        Whether the feedback weights are learned, with the same gradient as the readout's.
    """

    follows_synapses = True
    through_neurons = False
    threaded = True

    def __init__(
        self,
        numbers: Mapping[str, float],
        feedback: Mapping[str, np.ndarray],
        *,
        adaptive: bool,
    ):
        super().__init__(numbers, feedback)
        if adaptive:
            self.parameters = {f"feedback.{name}": B for name, B in self.feedback.items()}

    @cached_property
    def templates(self) -> Mapping[str, str]:
        """One loop a layer and step."""
        return {
            **package_templates("neurosnn.rules.surrogate", trial="trial_surrogate.jinja"),
            **package_templates("neurosnn.rules.eprop", layer="layer_eprop.jinja"),
        }

    def derive(self, translator: Translator, learn: tuple[str, ...]) -> LayerCode:
        """As for :class:`SurrogateBackward`; only a second input variable needs memory of its own."""
        layer = translator.layer
        layer.keeps_worth = not layer.spiking or len(layer.channels) > 1
        return super().derive(translator, learn)

    def finish(self, net: Any, gradient: dict[str, np.ndarray]) -> None:
        """Learned feedback weights follow the readout's gradient."""
        for name, connection in net.connections.items():
            key = f"feedback.{connection.source}"
            if key in self.parameters and connection.target == "readout":
                gradient[key] = gradient[f"{name}.w"]
