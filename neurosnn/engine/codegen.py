"""The pieces of C++ of a network, and the file they are put together in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import jinja2

from neurosnn.core import draws
from neurosnn.engine.changing import ChangingSynapses
from neurosnn.engine.synapses import SynapseCode
from neurosnn.losses import Loss

__all__ = ["ConnectionCode", "DriveCode", "LayerCode", "network_source", "render"]


@dataclass
class LayerCode:
    """The pieces of C++ that belong to one layer or readout.

    Lists of pairs hold (name, expression); ``stored_...`` are the names of coefficients that vary
    and are kept for every step and neuron. With ``keeps_worth`` what an input is worth is kept as well.
    Without ``needed`` nothing that is learned acts through the layer.
    ``draws`` and ``reset_draws`` hold (name, whether it is normal, number) of what is random, ``lookups``
    (name, array, time, column) of what TimedArrays give.
    """

    index: int
    name: str
    spiking: bool
    states: tuple[str, ...]
    channels: tuple[str, ...]
    gated: tuple[str, ...]
    parameters: tuple[str, ...]
    shared: tuple[str, ...]
    learned: tuple[str, ...]
    output: str
    # forward pass
    refractory: str = ""
    threshold: str = ""
    units: list = field(default_factory=list)
    update: list = field(default_factory=list)
    #: The update with its slow functions called apart (slow_calls.py), if it calls any.
    slow_calls: list = field(default_factory=list)
    phased: list = field(default_factory=list)
    reset: list = field(default_factory=list)
    draws: list = field(default_factory=list)
    reset_draws: list = field(default_factory=list)
    lookups: list = field(default_factory=list)
    scalars: list = field(default_factory=list)
    arrays: list = field(default_factory=list)
    scalar_type: dict = field(default_factory=dict)
    # what coefficients are computed from, and coefficients, by the moment at which they are computed
    intermediate: list = field(default_factory=list)
    coefficients: list = field(default_factory=list)
    after_threshold: list = field(default_factory=list)
    at_reset: list = field(default_factory=list)
    after_arrival: list = field(default_factory=list)
    at_spike: list = field(default_factory=list)
    at_release: list = field(default_factory=list)
    stored_before: list = field(default_factory=list)
    stored_parameter: list = field(default_factory=list)
    stored_after: list = field(default_factory=list)
    stored_arrival: list = field(default_factory=list)
    # backward pass
    needed: bool = True
    gradient_states: tuple[str, ...] = ()
    keeps_worth: bool = False
    adjoint: list = field(default_factory=list)
    input_gradient: list = field(default_factory=list)
    parameter_gradient: list = field(default_factory=list)
    initial_gradient: list = field(default_factory=list)
    spike_gradient: str = ""
    input_slope: list = field(default_factory=list)
    reset_adjoint: list = field(default_factory=list)
    margin: list = field(default_factory=list)
    crossing: str = ""
    time_gradient: str = ""
    last_spike_adjoint: str = ""
    margin_last_spike: str = ""
    release_gradient: str = ""
    release_crossing: str = ""
    release_slope: str = ""
    release_last_spike: str = ""
    release_margin: list = field(default_factory=list)
    direct: tuple[str, ...] = ()
    reset_inputs: tuple[str, ...] = ()

    @property
    def reads_last_spike(self) -> bool:
        """Whether what is computed at a spike needs the time of the spike before."""
        texts = [self.crossing, *(text for _, text in self.at_spike)]
        return any("u_lastspike" in text for text in texts)

    @property
    def releases(self) -> bool:
        """Whether the ends of refractory periods have an effect of their own."""
        return bool(self.at_release or self.release_margin)

    @property
    def stored(self) -> list:
        """Coefficients kept for every step and neuron."""
        return self.stored_before + self.stored_parameter + self.stored_after + self.stored_arrival

    @property
    def auxiliary(self) -> list:
        """Values computed just before the resets and needed in the next step only."""
        return [name for name, _ in self.at_reset]

    def arrives_in(self, channel: str) -> str:
        """Where what arrives for an input variable is added."""
        return f"arriving_{channel}" if channel in self.gated else f"s_{channel}"

    @property
    def phases(self) -> range:
        """Those in which slow functions are called."""
        return range(1 + max((call[-1] for call in self.slow_calls), default=-1))

    @property
    def object(self) -> str:
        """Name of the layer in the generated file."""
        return f"layer{self.index}"


@dataclass(frozen=True)
class ConnectionCode:
    """What the generated file must know of a connection."""

    name: str
    source: str
    source_layer: str
    target: str
    channels: tuple[str, ...]
    variables: tuple[str, ...]
    delayed: bool
    sparse: bool
    real_valued: bool
    #: Whether its weights get a gradient.
    learned: bool = True
    #: Whether each synapse has a delay of its own: what arrives are the synapses of one neuron with one
    #: delay, which stand for a presynaptic neuron.
    synaptic: bool = False
    #: Whether its delays get a gradient: those of axons, and those of synapses if they are learned.
    delay_gradient: bool = False
    #: Whether the way back takes its synapses spike by spike as they were sent, not as they arrive.
    by_sender: bool = False
    #: Whether spikes on their way are added up before they arrive, not in the order of their arrival.
    added_up: bool = False
    #: The states of its synapses, if they have any.
    synapse: SynapseCode | None = None
    #: What its synapses do, if they change their own weights.
    changing: ChangingSynapses | None = None

    @property
    def summed(self) -> bool:
        """Whether its synapses send a sum in each step, and nothing at an arrival."""
        return self.synapse is not None and self.synapse.summed

    @property
    def states(self) -> str:
        """What keeps the states of the synapses in a trial."""
        assert self.synapse is not None
        return f"synapses_{self.synapse.index}"

    @property
    def delay_size(self) -> str:
        """How many delays there are."""
        return f"b.size_{self.name}" if self.synaptic else f"b.n_pre_{self.name}"

    @property
    def reads_ahead(self) -> bool:
        """Whether rows of weights are known long before they are added: plain input."""
        plain = not (self.source_layer or self.delayed or self.sparse or self.real_valued)
        return plain and self.synapse is None and len(self.variables) == 1

    @property
    def travels(self) -> bool:
        """Whether spikes on their way can be what they add: nothing else depends on them."""
        plain = self.synapse is None and self.changing is None
        return self.synaptic and self.delayed and plain and len(self.variables) == 1

    @property
    def listed(self) -> bool:
        """Whether it is kept what arrives in which step."""
        return self.delayed and not self.by_sender

    @property
    def arrivals(self) -> str:
        """The events that arrive through this connection."""
        return f"delayed_{self.name}.arrivals" if self.delayed else self.source


@dataclass(frozen=True)
class DriveCode:
    """What the generated file must know of Poisson spikes from outside.

    Attributes
    ----------
    index : int
        Its number in the file.
    place : int
        Number of the connection before whose spikes it arrives.
    target : str
        Object of the layer.
    variable : str
        What it adds to.
    number : int
        Which draws it gets.
    is_normal : bool
        Whether a normal number takes the place of a count.
    """

    index: int
    place: int
    target: str
    variable: str
    number: int
    is_normal: bool


def network_source(
    layers: list[LayerCode],
    connections: list[ConnectionCode],
    drives: list[DriveCode],
    fields: list[tuple[str, str]],
    *,
    losses: Sequence[type[Loss]],
    templates: Mapping[str, str],
    real: str,
    real_input: bool,
    inputs: Sequence[str],
    template: str = "trial.cpp.jinja",
    **more: Any,
) -> str:
    """The C++ source of a network.

    Parameters
    ----------
    layers : list of LayerCode
        In the order of simulation; the readout is last.
    connections : list of ConnectionCode
        In the order in which their spikes arrive.
    drives : list of DriveCode
        Poisson spikes from outside.
    fields : list of (str, str)
        Names and C++ types of the members of the Batch structure.
    losses : sequence of Loss classes
        In the order of their numbers in ``Batch::loss_kind``.
    templates : mapping of str to str
        Templates of the backward pass by name; empty for simulation only.
    real : str
        "float" or "double".
    real_input : bool
        Whether the input is real-valued.
    inputs : list of str
        Names of the events of each input, in the order of their channels.
    template : str
        The whole file.
    **more
        What the template of another machine needs besides.

    Returns
    -------
    str
        A self-contained C++17 file.
    """
    return render(
        template,
        templates,
        layers=layers,
        readout=layers[-1],
        noisy=bool(drives) or any(layer.draws or layer.reset_draws for layer in layers),
        connections=connections,
        drives=drives,
        fields=fields,
        losses=losses,
        real=real,
        real_input=real_input,
        inputs=inputs,
        **more,
    )


def render(template: str, templates: Mapping[str, str], **values: Any) -> str:
    """A C++ file from a template; ``templates`` come before those of this folder.

    A name that a template lacks is an error. ``device`` is false for the processor's own form.
    """
    environment = _environment(tuple(sorted(templates.items())))
    return environment.get_template(template).render(**{"device": False, "draws": draws, **values})


@lru_cache(maxsize=32)
def _environment(templates: tuple[tuple[str, str], ...]) -> jinja2.Environment:
    """The templates of a rule and of a loss beside those of this folder, each parsed once."""
    return jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [jinja2.DictLoader(dict(templates)), jinja2.PackageLoader("neurosnn.engine", ".")]
        ),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
