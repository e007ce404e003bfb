"""What a learning rule hands the engine: an adjoint for each layer, templates, numbers and arrays.

The engine knows this type and no rule's name. It simulates a trial, asks the rule for the C++ of the
backward pass when the network is compiled, and for the values that this C++ reads at every call.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

if TYPE_CHECKING:
    from neurosnn.engine.codegen import LayerCode
    from neurosnn.engine.translate import Translator
    from neurosnn.model import NeuronModel

__all__ = ["LAYER", "TRIAL", "Backward", "Differentiates", "package_templates"]

#: Templates that every backward pass has: the members of a layer, and of a trial.
LAYER, TRIAL = "layer_backward.jinja", "trial_backward.jinja"


class Backward(ABC):
    """The backward pass of a rule for one network.

    Attributes
    ----------
    templates : mapping of str to str
        Jinja templates by name, :data:`LAYER` and :data:`TRIAL` among them; they may include and
        extend each other. ``layer_backward.jinja`` stands inside the struct of each layer and gives
        what the trial calls; ``trial_backward.jinja`` stands inside the struct of a trial and has
        ``void backward(const Batch& b, int64_t trial, Gradients& g)``, which finds the error of each
        step in ``output``; ``g.d_<connection>`` is there if the connection is ``learned``.
    numbers : mapping of str to float
        Members of the Batch that the templates read as ``b.<name>``, in SI values.
    parameters : mapping of str to ndarray
        Arrays that are learned besides the network's.
    learns_delays : bool
        Whether it fills ``g.delay_<connection>``.
    by_sender : frozenset of str
        Precisions in which its templates take plain synapses with delays of their own spike by spike as they
        were sent (connections that are ``by_sender``); no list of what arrives in which step is kept then.
    follows_synapses : bool
        Whether its gradient of weights is that of synapses that have states.
    through_neurons : bool
        Whether it follows the spikes of a neuron to other neurons.
    through_synapses : bool
        Whether it also goes through what spikes leave in them, so that their states are kept.
    threaded : bool
        Whether its templates are written in the words of ``engine/machine.jinja``, so that the threads of a
        graphics processor may share a trial. Say so in the class that has the templates.
    """

    learns_delays: ClassVar[bool] = False
    by_sender: ClassVar[frozenset[str]] = frozenset()
    follows_synapses: ClassVar[bool] = False
    through_neurons: ClassVar[bool] = True
    through_synapses: ClassVar[bool] = False
    threaded: ClassVar[bool] = False
    numbers: Mapping[str, float]
    parameters: Mapping[str, np.ndarray]

    def __init__(self, numbers: Mapping[str, float] | None = None):
        self.numbers = dict(numbers or {})
        self.parameters = {}

    @property
    @abstractmethod
    def templates(self) -> Mapping[str, str]:
        """Jinja templates by name."""

    def check_model(  # noqa: B027  # most models can
        self, model: NeuronModel, learn: tuple[str, ...]
    ) -> None:
        """Refuse a model that cannot be differentiated, before it is translated."""

    @abstractmethod
    def derive(self, translator: Translator, learn: tuple[str, ...]) -> LayerCode:
        """Add the coefficients of the backward pass to the C++ of a layer.

        Parameters
        ----------
        translator : Translator
            Holds the forward pass; its ``finish()`` gives the complete layer.
        learn : tuple of str
            Parameters of the model whose gradient is wanted.

        Returns
        -------
        LayerCode
            The complete layer.

        Raises
        ------
        ValueError
            If the model cannot be differentiated, with the reason.
        """

    def for_threads(self, layer: LayerCode) -> LayerCode:
        """The layer for a machine that sums the gradients of the weights after the trial."""
        return layer

    def fields(self, layers: list[LayerCode]) -> list[tuple[str, str]]:
        """Names and C++ types of further members of the Batch."""
        return []

    def values(self, net: Any, index: Mapping[str, LayerCode], dtype: np.dtype) -> dict[str, Any]:
        """Their values, read at every call."""
        return {}

    def finish(  # noqa: B027  # without parameters there is nothing to add
        self, net: Any, gradient: dict[str, np.ndarray]
    ) -> None:
        """Add the gradients of :attr:`parameters` to those of the network."""

    def sources(self) -> list[Path]:
        """Files that determine the code besides the templates: those of its class and its bases."""
        modules = {cls.__module__ for cls in type(self).__mro__ if cls is not object}
        files = [getattr(sys.modules.get(name), "__file__", None) for name in sorted(modules)]
        return [Path(file) for file in files if file and Path(file).is_file()]


class Differentiates(Protocol):
    """A rule, as the engine sees it."""

    def backward(self, net: Any, loss: Any) -> Backward:
        """Its backward pass for a network and a loss."""


def package_templates(package: str, **files: str) -> dict[str, str]:
    """Templates of a package.

    Parameters
    ----------
    package : str
        Dotted name of the package.
    **files : str
        ``layer`` and ``trial``: files of the two templates that every backward pass has.

    Returns
    -------
    dict of str to str
        All jinja files of the package by their names, and those two under the names of
        :data:`LAYER` and :data:`TRIAL`.
    """
    folder = resources.files(package)
    texts = {
        file.name: file.read_text(encoding="utf-8")
        for file in folder.iterdir()
        if file.name.endswith(".jinja")
    }
    for name, key in (("layer", LAYER), ("trial", TRIAL)):
        if name in files:
            texts[key] = texts[files[name]]
    return texts
