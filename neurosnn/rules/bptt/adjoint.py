"""Backpropagation through time on the engine: e-prop's adjoint, and the paths through other neurons."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from neurosnn.engine.backward import package_templates
from neurosnn.engine.codegen import LayerCode
from neurosnn.engine.translate import Translator
from neurosnn.rules.surrogate.adjoint import SurrogateBackward

__all__ = ["BPTTBackward"]


class BPTTBackward(SurrogateBackward):
    """The backward pass of backpropagation through time."""

    follows_synapses = through_synapses = True
    threaded = True

    @cached_property
    def templates(self) -> Mapping[str, str]:
        """What inputs are worth first, in all layers; then the spikes."""
        return {
            **package_templates("neurosnn.rules.surrogate"),
            **package_templates(
                "neurosnn.rules.bptt", layer="layer_bptt.jinja", trial="trial_bptt.jinja"
            ),
        }

    def derive(self, translator: Translator, learn: tuple[str, ...]) -> LayerCode:
        """As for :class:`SurrogateBackward`; what inputs are worth is kept for delayed spikes."""
        translator.layer.keeps_worth = True
        return super().derive(translator, learn)
