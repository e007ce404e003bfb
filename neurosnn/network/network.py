"""Networks of spiking populations as data: parts, connections with their weights, and one seed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from brian2.core.namespace import get_local_namespace
from brian2.units.allunits import msecond, second
from brian2.units.fundamentalunits import Quantity

from neurosnn.core.arguments import explained
from neurosnn.core.draws import Draws
from neurosnn.core.messages import described, did_you_mean, message
from neurosnn.core.values import Range, check_value, check_whole
from neurosnn.model.neuron_checks import check_dt
from neurosnn.network.connection import Connection
from neurosnn.network.graph import (
    all_channels,
    check_part,
    checked_projections,
    named_inputs,
    named_populations,
)
from neurosnn.network.parts import Input, Layer, Population, Readout
from neurosnn.network.poisson_drive import PlacedDrive, PoissonDrive, check_drives
from neurosnn.network.projection import Projection
from neurosnn.network.storage import load_network, save_network
from neurosnn.network.time_step import check_lookups, warn_of_short_times
from neurosnn.network.wiring import (
    check_settings,
    checked_parameters,
    connect,
    learned_values,
    network_html,
    stack,
    table,
)

if TYPE_CHECKING:
    from brian2.core.network import Network

    from neurosnn.model import NeuronModel
    from neurosnn.network.simulation import TrialTimes

__all__ = [
    "Connection",
    "Input",
    "Layer",
    "PoissonDrive",
    "Population",
    "Projection",
    "Readout",
    "SpikingNetwork",
]

TIME = Range(0 * second)


@explained(dt="dt=1*ms", seed="seed=1")
class SpikingNetwork:
    """Populations of spiking neurons between an input and a readout.

    Written as a stack of layers, input spikes go to the first layer, each layer to the next and, if
    recurrent, to itself; the readout reads all layers. :meth:`from_graph` makes any other graph of
    populations. All weights, and which synapses exist, follow from one seed.

    Parameters
    ----------
    *parts : Input, Layer, ..., Readout
        In this order, with one layer or more.
    dt : Quantity (second), optional
        Time step of everything in the network.
    seed : int, optional
        Seed of the initial weights and of the synapses that exist.
    connections : mapping of str to Connection, optional
        All connections with their weights, in place of those that are drawn (``neurosnn.torch``
        makes them for convolutions). Such a network runs in Brian2 and as an exported program; it
        cannot be saved.

    Attributes
    ----------
    input, layers, readout : Input, tuple of Layer or of Population, Readout
        The parts; every layer has its name. `input` is that of the trials: all channels.
    inputs : mapping of str to Input
        The sources of projections that it consists of, one after the other; "input" alone unless a graph
        names several.
    projections : tuple of Projection
        What the connections are drawn from, in their order.
    drives : tuple of PlacedDrive
        Poisson spikes from outside, each with its place among the connections.
    connections : mapping of str to Connection
        In the order in which their spikes are summed: "input", "recurrent", "readout", or, with
        several layers, "input", "recurrent1", "forward2", "recurrent2", "readout1", "readout2".
    parameters : mapping of str to ndarray
        What is learned: "<connection>.w", "readout.b" and what the parts name in ``learn``, such as
        "hidden.tau_m" and "input.delay"; the arrays themselves, in SI values. Write into them in
        place or with :meth:`set_parameters`. Weights are (n_pre, n_post), or one for each synapse
        that exists where a layer's ``connectivity`` is below 1.
    learned : mapping of str to ndarray
        Those of them that are no weights or biases.
    class_names : tuple of str
        What the outputs mean, as the trials of its training said; empty if it was never trained, or with
        numbered classes. Saved with the network.
    dt : Quantity
    seed : int

    Raises
    ------
    ValueError
        For parts in the wrong order, names used twice, delays that are no multiple of dt, or
        settings without effect.
    TypeError
        For what is not a part of a network.

    Examples
    --------
    >>> from brian2 import ms
    >>> from neurosnn import Input, Layer, Readout, SpikingNetwork, equations
    >>> net = SpikingNetwork(Input(40), Layer(equations.LIF(), 20, recurrent=True), Readout(3), dt=1*ms)
    >>> sorted(net.parameters)
    ['input.w', 'readout.b', 'readout.w', 'recurrent.w']
    >>> net.n_parameters
    1243
    """

    def __init__(
        self,
        *parts: Input | Layer | Readout,
        dt: Quantity = 1 * msecond,
        seed: int = 0,
        connections: Mapping[str, Connection] | None = None,
    ):
        self.input, self.layers, self.readout = _sort_parts(parts)
        self.inputs: Mapping[str, Input] = MappingProxyType({"input": self.input})
        check_settings(self.layers, self.readout)
        self.projections = tuple(stack(self.input, self.layers, self.readout))
        self._assemble(dt, seed, connections)

    def _assemble(
        self,
        dt: Quantity,
        seed: int,
        connections: Mapping[str, Connection] | None = None,
        drives: Sequence[tuple[PoissonDrive, int]] = (),
    ) -> None:
        """Draw what follows from the parts, the projections and the seed."""
        check_value("dt", dt, TIME, where="SpikingNetwork")
        if np.ndim(dt):
            raise ValueError(
                message(
                    f"dt must be one time, got {dt}.",
                    "SpikingNetwork",
                    "All parts share it.",
                    "Pass for example dt=1*ms.",
                )
            )
        why = "Without it the weights could not be drawn again."
        check_whole("seed", seed, 0, where="SpikingNetwork", why=why)
        self.dt, self.seed = dt, int(seed)
        for part in (*self.layers, self.readout):
            check_dt(part.model, dt, where="SpikingNetwork")
            check_lookups(part, dt, where="SpikingNetwork")
        self.drives: tuple[PlacedDrive, ...] = check_drives(self, drives)
        warn_of_short_times((*self.layers, self.readout), dt, where="SpikingNetwork")
        self.class_names: tuple[str, ...] = ()
        learned = learned_values(self)
        self.learned: Mapping[str, np.ndarray] = MappingProxyType(learned)
        self.drawn = connections is None
        self.connections: Mapping[str, Connection] = MappingProxyType(
            connect(self) if connections is None else dict(connections)
        )
        for projection in self.projections:
            if "delay" in projection.learn:
                connection = self.connections[projection.name]
                learned[f"{projection.name}.delay"] = connection.learned_delay
        self._bias = {"readout.b": np.zeros(self.readout.n)} if self.readout.bias else {}

    @classmethod
    def from_graph(
        cls,
        populations: Mapping[str, Population],
        projections: Iterable[Projection | PoissonDrive],
        readout: Readout,
        *,
        input: Input | Mapping[str, Input],
        dt: Quantity = 1 * msecond,
        seed: int = 0,
    ) -> SpikingNetwork:
        """A network of any populations and projections between them.

        Parameters
        ----------
        populations : mapping of str to Population
            Neurons by name. Within a time step all of them update their states and test their
            thresholds in this order, as Brian2 does.
        projections : iterable of Projection or PoissonDrive
            Synapses between any two populations, from an input, or to "readout", and Poisson spikes from
            outside, in the order in which their spikes arrive within a step.
        readout : Readout
            Reads the populations that it names in ``of``, or all of them, with weights that are drawn as
            its own settings say; for other weights make projections to "readout".
        input : Input or mapping of str to Input
            Where the trials enter: the source "input", or several by name, ``{"ears": Input(40), "eyes":
            Input(20)}``. The channels of the trials are those of the first, then of the second
            (``data.join_channels`` puts sets of trials side by side so).
        dt, seed : optional
            As for a stack.

        Returns
        -------
        SpikingNetwork
            It runs, learns, is saved and exported as a stack is.

        Raises
        ------
        ValueError
            For names that do not exist or are used twice, delays that are no multiple of dt, inputs of
            which some are real-valued, and settings without effect.
        TypeError
            For what is not a population, a projection or an input.

        Examples
        --------
        >>> from brian2 import ms
        >>> from neurosnn import Input, Population, Projection, Readout, SpikingNetwork, equations
        >>> net = SpikingNetwork.from_graph(
        ...     {"E": Population(equations.LIF(), 8), "I": Population(equations.ALIF(), 2)},
        ...     [
        ...         Projection("input", "E"),
        ...         Projection("E", "I", connectivity=0.5, delay=1*ms, sign=1),
        ...         Projection("I", "E", sign=-1, learn=()),
        ...     ],
        ...     Readout(3, of="E"),
        ...     input=Input(5),
        ... )
        >>> sorted(net.parameters)
        ['E_to_I.w', 'E_to_readout.w', 'input_to_E.w', 'readout.b']
        """
        net = cls.__new__(cls)
        net.inputs = MappingProxyType(named_inputs(input))
        net.input, net.readout = all_channels(net.inputs), check_part(readout, Readout)
        net.layers = named_populations(populations)
        net.projections, drives = checked_projections(net, projections)
        net._assemble(dt, seed, drives=drives)
        return net

    @classmethod
    def from_brian2(
        cls,
        network: Any,
        *,
        readout: Readout | str,
        inputs: Sequence[str] | None = None,
        learn: Sequence[str] = (),
        surrogate: str | Mapping[str, str] = "",
        namespace: Mapping[str, Any] | None = None,
        level: int = 0,
        seed: int = 0,
    ) -> SpikingNetwork:
        """The network of a Brian2 script as it stands, ready to learn.

        Every NeuronGroup becomes a population with its equations and values, every Synapses a projection
        with the same synapses, weights and delays; what they have of states (short-term plasticity, gates,
        weights that learn by spikes of both sides) is its ``synapse``. A PoissonInput is a PoissonDrive.

        Parameters
        ----------
        network : Network or iterable of Brian2 objects
            All groups and synapses; monitors are left out. ``Network(collect())`` is all of a script.
        readout : Readout or str
            The readout, whose weights are drawn; or the name of a group without threshold that is one.
        inputs : sequence of str, optional
            Names of the sources of spikes (SpikeGeneratorGroup, PoissonGroup) that become the inputs of
            these names, or "input" if it is one; their neurons are the channels of the trials, one source
            after the other. All of them, sorted by name, if None. A PoissonGroup that is not among them
            becomes a population that draws its spikes, of constant rates or of rates that are a string.
        learn : sequence of str, optional
            What is learned besides the readout's weights: "synapses.w" what the Synapses of that name
            add where they read their variable w, "synapses.delay" their delays, "synapses.U" a constant of
            synapses with states. All else stays as it is.
        surrogate : str or mapping of str to str, optional
            Pseudo-derivative of the spike, of all groups or by the name of a group, which EProp and BPTT
            need: an expression of the variables of the neurons.
        namespace : mapping, optional
            Where constants of the script are looked up; local and global variables of the caller if None.
        level : int, optional
            How many frames further out the caller is, as for ``Network.run``.
        seed : int, optional
            Seed of the readout's weights.

        Returns
        -------
        SpikingNetwork
            It spikes as the script does.

        Raises
        ------
        ValueError
            With the name of what cannot come along: gap junctions, weights that change in other ways than by
            event-driven equations and spikes, network operations, several time steps, and all
            that :meth:`NeuronModel.from_group` refuses.

        Examples
        --------
        >>> from brian2 import Network, NeuronGroup, SpikeGeneratorGroup, Synapses, ms
        >>> from neurosnn import Readout, SpikingNetwork
        >>> tau = 10*ms
        >>> source = SpikeGeneratorGroup(3, [0, 2], [1, 2]*ms, name="source")
        >>> cells = NeuronGroup(2, "dv/dt = -v/tau : 1", threshold="v > 1", reset="v = 0", name="cells")
        >>> synapses = Synapses(source, cells, "w : 1", on_pre="v += w", delay=1*ms, name="synapses")
        >>> synapses.connect()
        >>> synapses.w = 0.6
        >>> net = SpikingNetwork.from_brian2(
        ...     Network(source, cells, synapses), readout=Readout(2), learn=["synapses.w"]
        ... )
        >>> net.parameters["synapses.w"]
        array([0.6, 0.6, 0.6, 0.6, 0.6, 0.6])
        """
        from neurosnn.network.from_brian2 import read_graph

        if namespace is None:
            namespace = get_local_namespace(level=level + 1)
        graph = read_graph(
            network,
            namespace,
            inputs=inputs,
            readout=readout,
            learn=learn,
            surrogate=surrogate,
        )
        return cls.from_graph(
            graph.populations,
            graph.projections,
            graph.readout,
            input=graph.inputs,
            dt=graph.dt,
            seed=seed,
        )

    @property
    def parameters(self) -> Mapping[str, np.ndarray]:
        """What is learned, by name."""
        learned = {
            f"{name}.w": connection.w
            for name, connection in self.connections.items()
            if connection.plastic
        }
        return MappingProxyType(learned | self._bias | dict(self.learned))

    # -- what it consists of ----------------------------------------------------------------

    def layer(self, name: str) -> Population:
        """The layer or population of that name."""
        for layer in self.layers:
            if layer.name == name:
                return layer
        names = [layer.name for layer in self.layers if layer.name]
        raise KeyError(
            message(f"there is no layer '{name}'.", "SpikingNetwork", "", did_you_mean(name, names))
        )

    @property
    def noisy(self) -> bool:
        """Whether a model draws random numbers in its steps, or a drive does."""
        return bool(self.drives) or any(part.model.noise for part in (*self.layers, self.readout))

    @property
    def is_stack(self) -> bool:
        """Whether it is a stack of layers, and no other graph."""
        return all(isinstance(layer, Layer) for layer in self.layers)

    def channels(self, name: str) -> slice:
        """Which channels of the trials are those of an input.

        Parameters
        ----------
        name : str
            One of :attr:`inputs`.

        Returns
        -------
        slice
            ``trials`` have them in these places.
        """
        if name not in self.inputs:
            raise KeyError(
                message(
                    f"there is no input '{name}'.",
                    "SpikingNetwork",
                    "",
                    did_you_mean(name, list(self.inputs)),
                )
            )
        before = list(self.inputs).index(name)
        first = sum(entry.n for entry in list(self.inputs.values())[:before])
        return slice(first, first + self.inputs[name].n)

    def model(self, name: str) -> NeuronModel:
        """The model of a layer with its learned parameters."""
        model = self.layer(name).model
        learned = {
            key.rsplit(".", 1)[1]: value
            for key, value in self.learned.items()
            if key.rsplit(".", 1)[0] == name and not key.endswith(".delay")
        }
        if not learned:
            return model
        values = {key: Quantity(x.copy(), dim=model.dimensions[key]) for key, x in learned.items()}
        return dataclasses.replace(model, parameters={**model.parameters, **values})

    @property
    def n_parameters(self) -> int:
        """Number of weights, biases and other numbers that are learned."""
        other = sum(value.size for value in (*self._bias.values(), *self.learned.values()))
        return other + sum(
            connection.n_synapses for connection in self.connections.values() if connection.plastic
        )

    @property
    def max_delay(self) -> int:
        """Longest delay in steps."""
        return max(int(connection.delay.max(initial=0)) for connection in self.connections.values())

    def steps(self, duration: Quantity) -> int:
        """Number of steps in a time, rounded up (a thousandth of a step is forgiven)."""
        check_value("duration", duration, TIME, where="SpikingNetwork.steps")
        return max(1, int(np.ceil(float(duration / self.dt) - 1e-3)))

    def __repr__(self) -> str:
        return table(self)

    def _repr_html_(self) -> str:
        return network_html(self)

    # -- weights ----------------------------------------------------------------------------

    def set_parameters(self, values: Mapping[str, np.ndarray | Quantity]) -> None:
        """Overwrite weights and biases in place; nothing is changed if anything is wrong.

        Parameters
        ----------
        values : mapping of str to array or Quantity
            New values by the names of :attr:`parameters`; plain arrays are SI values.

        Raises
        ------
        ValueError
            For unknown names, a wrong shape or unit, values that are not finite, a weight where
            there is no synapse, or one of the sign that Dale's law forbids.
        """
        for name, array in checked_parameters(self, values).items():
            np.copyto(self.parameters[name], array)

    # -- use --------------------------------------------------------------------------------

    def trial_times(self, inputs: Any = None) -> TrialTimes:
        """When the trials of `inputs` run within one simulation of all of them.

        Parameters
        ----------
        inputs : trial or trials
            As for :meth:`brian2`.

        Returns
        -------
        TrialTimes
            With the ``duration`` to simulate; ``locate(t)`` finds trial and step of a spike time.
        """
        from neurosnn.network.simulation import read_inputs

        return read_inputs(self, inputs).trial_times

    def brian2(
        self,
        inputs: Any = None,
        *,
        record: Iterable[str] = (),
        dtype: Any = None,
        draws: Draws | None = None,
    ) -> Network:
        """The network as a stock Brian2 network.

        Parameters
        ----------
        inputs : trial or trials, optional
            A trial or a set of trials of `neurosnn.data`, or, for real-valued input, an array
            (n_steps, n_channels). Several trials run one after the other, and each starts from the
            initial state: simulate for ``net.trial_times(inputs).duration``.
        record : iterable of str, optional
            "spikes", names of states, and "output" for the readout's output.
        dtype : dtype, optional
            Floating-point type of the states and weights, Brian2's default if None.
        draws : Draws, optional
            The random numbers of a network with noise: the engine's, which tables hold (8 bytes a neuron,
            step and call). If None Brian2 draws its own, as ``brian2.seed`` says.

        Returns
        -------
        brian2.Network
            Reachable by name: the groups "input" (or the named inputs), the layers and "readout"; Synapses
            ("recurrent", ..., "input_synapses", "readout_synapses"); SpikeMonitors
            "<layer>_spikes" and StateMonitors "<group>_states", read at the end of a step.

        Raises
        ------
        ValueError
            If the inputs do not fit, or no group has a recorded name.
        TypeError
            For inputs of another kind.

        Notes
        -----
        Works with every device of Brian2. For ``set_device('cuda_standalone')`` first set
        ``defaultclock.dt`` to the network's dt: the code of brian2cuda needs the default clock.

        Examples
        --------
        >>> from brian2 import ms
        >>> from neurosnn import Input, Layer, Readout, SpikingNetwork, equations
        >>> net = SpikingNetwork(Input(4), Layer(equations.LIF(), 3), Readout(2))
        >>> simulation = net.brian2(record=["spikes"])
        >>> simulation.run(5*ms, namespace={})
        >>> int(simulation["hidden_spikes"].num_spikes)
        0
        """
        from neurosnn.network.simulation import build

        return build(self, inputs, record=record, dtype=dtype, draws=draws)

    def save(self, path: str | Path) -> None:
        """Write the network to an npz file (no pickle); an existing file is replaced at once.

        Parameters
        ----------
        path : str or Path
            The file, for example "digits.npz".

        Raises
        ------
        OSError
            If the file cannot be written.
        ValueError
            If the connections were given and not drawn.
        """
        if not self.drawn:
            raise ValueError(
                message(
                    "a network with given connections cannot be saved.",
                    "SpikingNetwork.save",
                    "A file holds what is needed to draw the connections again, and the weights.",
                    "Save what they were made from, for example the torch module.",
                )
            )
        save_network(self, path)

    @classmethod
    def load(cls, path: str | Path) -> SpikingNetwork:
        """Read a network that :meth:`save` wrote; only text and numbers are read, nothing is run.

        Parameters
        ----------
        path : str or Path
            The file.

        Returns
        -------
        SpikingNetwork
            Equal to the saved one.

        Raises
        ------
        ValueError
            If the file is truncated, foreign or inconsistent.
        FileNotFoundError
            If there is no such file.
        """
        return load_network(cls, path)


def _how_to_pass(part: Any) -> str:
    if isinstance(part, list | tuple):
        return "Pass the parts one by one: SpikingNetwork(*parts)."
    if isinstance(part, type):
        return f"Make an object of it: {part.__name__}(...)."
    if isinstance(part, str):
        return "Write for example Layer(equations.LIF(), 100, name='hidden')."
    return "Wrap a model in a layer: Layer(model, n)."


def _sort_parts(parts: tuple) -> tuple[Input, tuple[Layer, ...], Readout]:
    """The parts in their roles, each layer with a name."""
    for part in parts:
        if not isinstance(part, Input | Layer | Readout):
            raise TypeError(
                message(
                    f"{described(part)} is not a part of a network.",
                    "SpikingNetwork",
                    "It is built of Input, Layer and Readout.",
                    _how_to_pass(part),
                )
            )
    kinds = [type(part) for part in parts]
    if len(parts) < 3 or kinds != [Input, *[Layer] * (len(parts) - 2), Readout]:
        raise ValueError(
            message(
                f"the parts must be Input, Layer (one or more), Readout in this order, got "
                f"{', '.join(kind.__name__ for kind in kinds) or 'nothing'}.",
                "SpikingNetwork",
                "Spikes run from the first to the last.",
                "Example: SpikingNetwork(Input(700), Layer(equations.LIF(), 100), Readout(10)).",
            )
        )
    layers = parts[1:-1]
    default = ["hidden"] if len(layers) == 1 else [f"hidden{k + 1}" for k in range(len(layers))]
    named = tuple(
        layer if layer.name else dataclasses.replace(layer, name=name)
        for layer, name in zip(layers, default, strict=True)
    )
    return parts[0], named, parts[-1]
