"""Networks for and from the Neuromorphic Intermediate Representation (Pedersen et al. 2024)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from brian2.units.allunits import msecond, second
from brian2.units.fundamentalunits import Quantity

from neurosnn.core.messages import message
from neurosnn.core.optional import import_optional
from neurosnn.equations import CurrentLIF, CurrentReadout, LeakyReadout
from neurosnn.model import NeuronModel
from neurosnn.network.network import Input, Layer, Readout, SpikingNetwork
from neurosnn.network.poisson_drive import refuse_drives

__all__ = ["from_nir", "to_nir"]


def to_nir(net: SpikingNetwork) -> Any:
    r"""A network as a NIR graph.

    .. math::
        \tau_{syn} \dot I = -I + w_{in} S, \quad \tau_{mem} \dot v = v_{leak} - v + R I
        \qquad (\text{CubaLIF, CubaLI}); \qquad
        \tau \dot v = v_{leak} - v + R I \quad (\text{LI})

    where a spike S is a Dirac pulse. A weight W that a spike adds to I is therefore written with
    ``w_in = tau_syn``, and one that it adds to v with ``R = tau``.

    Parameters
    ----------
    net : SpikingNetwork
        Layers of ``equations.CurrentLIF`` without refractory period; a readout
        ``equations.LeakyReadout`` or ``equations.CurrentReadout``.

    Returns
    -------
    nir.NIRGraph
        For ``nir.write``. Layers keep their names; weights are Linear nodes, delays Delay nodes, and
        the bias of the readout an Affine node behind it.

    Raises
    ------
    ValueError
        For a model that NIR has no node for, with the reason, for real-valued input, and for Poisson
        spikes from outside.
    ImportError
        The package nir is not installed.

    Notes
    -----
    NIR describes continuous time: in which step of a simulator a spike arrives is not part of it, nor
    are surrogates, masks and Dale's law.

    References
    ----------
    Pedersen et al., Nat. Commun. 15:8122 (2024), doi:10.1038/s41467-024-52259-9.

    Examples
    --------
    >>> from neurosnn import Input, Layer, Readout, SpikingNetwork, equations
    >>> from neurosnn.network.nir import to_nir
    >>> net = SpikingNetwork(Input(5), Layer(equations.CurrentLIF(), 4), Readout(2))
    >>> sorted(to_nir(net).nodes)  # doctest: +SKIP
    ['bias', 'hidden', 'input', 'input_w', 'output', 'readout', 'readout_w']
    """
    nir = import_optional("nir", where="to_nir")
    if net.input.real_valued:
        raise _refuse("the input is real-valued.", "to_nir", "Its values are not spikes.", "")
    refuse_drives(
        net,
        where="to_nir",
        why="NIR has no node for random spikes.",
        fix="Let the trials have its spikes, through an input.",
    )
    if list(net.inputs) != ["input"]:
        raise _refuse(
            f"the input '{next(iter(net.inputs))}' has a name.",
            "to_nir",
            "What is written has one input.",
            "Use input=Input(n) in the graph.",
        )
    nodes: dict[str, Any] = {"input": nir.Input(np.array([net.input.n]))}
    edges: list[tuple[str, str]] = []
    for layer in net.layers:
        nodes[layer.name] = _neuron(nir, layer.model, layer.n, layer.name)
    nodes["readout"] = _readout(nir, net.readout.model, net.readout.n)
    for connection in net.connections.values():
        name, source = f"{connection.name}_w", connection.source
        if connection.synaptic:
            raise ValueError(
                message(
                    f"each synapse of '{connection.name}' has a delay of its own.",
                    "to_nir",
                    "NIR has one delay for each neuron.",
                    "Use axonal delays.",
                )
            )
        if connection.synapse is not None:
            raise _refuse(
                f"the synapses of '{connection.name}' have states.",
                "to_nir",
                "NIR has no node for them.",
                "Use projections without synapse=.",
            )
        if connection.delay.any():
            delays = connection.delay.astype(float) * float(net.dt)
            nodes[f"{connection.name}_delay"] = nir.Delay(delays)
            edges.append((source, f"{connection.name}_delay"))
            source = f"{connection.name}_delay"
        nodes[name] = nir.Linear(np.ascontiguousarray(connection.w.T))
        edges += [(source, name), (name, connection.target)]
    last = "readout"
    if "readout.b" in net.parameters:
        bias = np.array(net.parameters["readout.b"], dtype=float)
        nodes["bias"] = nir.Affine(np.eye(net.readout.n), bias)
        edges.append(("readout", "bias"))
        last = "bias"
    nodes["output"] = nir.Output(np.array([net.readout.n]))
    return nir.NIRGraph(nodes, [*edges, (last, "output")])


def from_nir(graph: Any, *, dt: Quantity = 1 * msecond) -> SpikingNetwork:
    """A network from a NIR graph.

    Parameters
    ----------
    graph : nir.NIRGraph
        A chain of CubaLIF layers, each perhaps connected with itself, and one LI or CubaLI node; with
        Linear, Affine (without bias, except behind the output) and Delay nodes between them.
    dt : Quantity (second), optional
        Time step of the network.

    Returns
    -------
    SpikingNetwork
        With the weights of the graph.

    Raises
    ------
    ValueError
        For nodes or connections that a SpikingNetwork does not have, with the reason.
    ImportError
        The package nir is not installed.

    Examples
    --------
    >>> import nir  # doctest: +SKIP
    >>> from neurosnn.network.nir import from_nir
    >>> net = from_nir(nir.read("network.nir"))  # doctest: +SKIP
    """
    return _Reading(import_optional("nir", where="from_nir"), graph, dt).network()


def _neuron(nir: Any, model: NeuronModel, n: int, name: str) -> Any:
    if not _same_strings(model, CurrentLIF()):
        raise _refuse(
            f"NIR has no node for the model {model.name}.",
            f"layer '{name}'",
            "Its neurons are LIF neurons with a synaptic current and a reset to a value, without "
            "adaptation, refractory period or reset by subtraction.",
            "Use equations.CurrentLIF() without t_ref.",
        )
    values = _values(model, n)
    return nir.CubaLIF(
        tau_syn=values["tau_s"],
        tau_mem=values["tau_m"],
        r=np.ones(n),
        v_leak=np.zeros(n),
        v_threshold=values["v_th"],
        v_reset=np.zeros(n),
        w_in=values["tau_s"],
    )


def _readout(nir: Any, model: NeuronModel, n: int) -> Any:
    values = _values(model, n)
    if _same_strings(model, LeakyReadout()):
        return nir.LI(tau=values["tau"], r=values["tau"], v_leak=np.zeros(n))
    if _same_strings(model, CurrentReadout()):
        return nir.CubaLI(
            tau_syn=values["tau_s"],
            tau_mem=values["tau_m"],
            r=np.ones(n),
            v_leak=np.zeros(n),
            w_in=values["tau_s"],
        )
    raise _refuse(
        f"NIR has no node for the readout {model.name}.",
        "readout",
        "It has leaky integrators with and without a synaptic current.",
        "Use Readout(n, tau=...) or equations.CurrentReadout().",
    )


def _same_strings(model: NeuronModel, known: NeuronModel) -> bool:
    """Whether two models have the same strings, whatever their parameters."""
    strings = ("equations", "threshold", "reset", "refractory", "step", "inputs", "initial")
    return all(getattr(model, name) == getattr(known, name) for name in strings)


def _values(model: NeuronModel, n: int) -> dict[str, np.ndarray]:
    """Parameters in SI values, one a neuron."""
    return {
        name: np.array(np.broadcast_to(np.asarray(value, dtype=float), (n,)))
        for name, value in model.parameters.items()
    }


def _refuse(what: str, where: str, why: str, how: str) -> ValueError:
    return ValueError(message(what, where, why, how))


def _seconds(values: np.ndarray) -> Quantity:
    """Times of neurons as one Quantity if all are alike."""
    values = np.asarray(values, dtype=float)
    return (float(values.flat[0]) if np.all(values == values.flat[0]) else values) * second


_WHERE = "from_nir"


class _Path(NamedTuple):
    """A way from one neuron node to another: its weights, and delays of the source."""

    source: str
    target: str
    w: np.ndarray
    delay: np.ndarray


class _Reading:
    """One graph.

    Parameters
    ----------
    nir : module
        The package.
    graph : nir.NIRGraph
        The graph.
    dt : Quantity (second)
        Time step of the network.
    """

    def __init__(self, nir: Any, graph: Any, dt: Quantity):
        self.nir, self.graph, self.dt = nir, graph, dt
        self.kinds = {name: type(node).__name__ for name, node in graph.nodes.items()}
        known = ("Input", "Output", "CubaLIF", "CubaLI", "LI", "Linear", "Affine", "Delay")
        for name, kind in self.kinds.items():
            if kind not in known:
                raise _refuse(
                    f"the node '{name}' is a {kind}.",
                    _WHERE,
                    f"A SpikingNetwork has {', '.join(known)}.",
                    "Convert the network to these first.",
                )

    def network(self) -> SpikingNetwork:
        """The network."""
        readout, bias = self._readout()
        paths = self._paths(readout)
        source, order = self._only("Input"), []
        # From layer to layer: the one that is reached from the last one and is not itself.
        while True:
            reached = {p.target for p in paths if p.source == source and p.target != source}
            reached -= {readout}
            if not reached:
                break
            if len(reached) > 1 or next(iter(reached)) in order:
                raise _refuse(
                    f"'{source}' is connected with {', '.join(sorted(reached))}.",
                    _WHERE,
                    "The layers of a SpikingNetwork form a chain.",
                    "Merge parallel layers into one.",
                )
            source = reached.pop()
            order.append(source)
        self._check_order(order)
        layers = [self._layer(name, paths) for name in order]
        n_input = int(np.prod(self.graph.nodes[self._only("Input")].input_type["input"]))
        net = SpikingNetwork(
            Input(n_input), *layers, self._readout_part(readout, bias is not None), dt=self.dt
        )
        weights = {}
        for name, connection in net.connections.items():
            source = self._only("Input") if connection.source == "input" else connection.source
            target = readout if connection.target == "readout" else connection.target
            merged = [p for p in paths if (p.source, p.target) == (source, target)]
            weights[f"{name}.w"] = (
                sum(p.w for p in merged) if merged else np.zeros(connection.w.shape)
            )
        if bias is not None:
            weights["readout.b"] = bias
        net.set_parameters(weights)
        return net

    # -- nodes ------------------------------------------------------------------------------

    def _only(self, kind: str) -> str:
        names = [name for name, of_node in self.kinds.items() if of_node == kind]
        if len(names) != 1:
            raise _refuse(f"there are {len(names)} {kind} nodes.", _WHERE, "There must be one.", "")
        return names[0]

    def _readout(self) -> tuple[str, np.ndarray | None]:
        """The node that is read out, and the bias behind it."""
        before = [a for a, b in self.graph.edges if b == self._only("Output")]
        bias = None
        if len(before) == 1 and self.kinds[before[0]] == "Affine":
            node = self.graph.nodes[before[0]]
            if not np.array_equal(node.weight, np.eye(len(node.bias))):
                raise _refuse(
                    f"the Affine node '{before[0]}' before the output mixes its inputs.",
                    _WHERE,
                    "Only a bias can be added to the output.",
                    "",
                )
            bias = np.asarray(node.bias, dtype=float)
            before = [a for a, b in self.graph.edges if b == before[0]]
        if len(before) != 1 or self.kinds[before[0]] not in ("LI", "CubaLI"):
            raise _refuse(
                f"the output comes from {', '.join(before) or 'nowhere'}.",
                _WHERE,
                "The output of a SpikingNetwork is one group of leaky integrators.",
                "End the graph with an LI or a CubaLI node.",
            )
        return before[0], bias

    def _parameters(self, name: str) -> dict[str, np.ndarray]:
        node = self.graph.nodes[name]
        values = {
            key: np.ravel(np.asarray(getattr(node, key), dtype=float))
            for key in (
                "tau",
                "tau_syn",
                "tau_mem",
                "r",
                "v_leak",
                "v_threshold",
                "v_reset",
                "w_in",
            )
            if getattr(node, key, None) is not None
        }
        for key in ("v_leak", "v_reset"):
            if np.any(values.get(key, 0)):
                raise _refuse(
                    f"the node '{name}' has {key} other than zero.",
                    _WHERE,
                    "The named models rest and are reset at zero.",
                    "Shift the potential and the threshold.",
                )
        return values

    def _gain(self, name: str) -> np.ndarray:
        """What a spike of weight one adds to the current (CubaLIF, CubaLI) or to v (LI)."""
        p = self._parameters(name)
        return p["r"] * (p["w_in"] / p["tau_syn"] if "tau_syn" in p else 1 / p["tau"])

    def _layer(self, name: str, paths: list[_Path]) -> Layer:
        p = self._parameters(name)
        delays_out = [
            path.delay for path in paths if path.source == name and self._is_layer(path.target)
        ]
        if any(not np.array_equal(delays, delays_out[0]) for delays in delays_out[1:]):
            raise _refuse(
                f"the connections of '{name}' have different delays.",
                _WHERE,
                "A neuron has one axonal delay.",
                "",
            )
        model = CurrentLIF(
            tau_m=_seconds(p["tau_mem"]),
            tau_s=_seconds(p["tau_syn"]),
            v_th=_plain(p["v_threshold"]),
        )
        recurrent = any(path.source == path.target == name for path in paths)
        delay = (delays_out[0] if delays_out else np.zeros(1)) * second
        return Layer(model, len(p["r"]), recurrent=recurrent, name=name, delay=_one_if_alike(delay))

    def _is_layer(self, name: str) -> bool:
        return self.kinds[name] == "CubaLIF"

    def _readout_part(self, name: str, bias: bool) -> Readout:
        p = self._parameters(name)
        if self.kinds[name] == "LI":
            return Readout(len(p["r"]), model=LeakyReadout(tau=_seconds(p["tau"])), bias=bias)
        model = CurrentReadout(tau_m=_seconds(p["tau_mem"]), tau_s=_seconds(p["tau_syn"]))
        return Readout(len(p["r"]), model=model, bias=bias)

    # -- edges ------------------------------------------------------------------------------

    def _paths(self, readout: str) -> list[_Path]:
        """All ways from neurons to neurons, each through one Linear node and perhaps a Delay."""
        paths = []
        for name, kind in self.kinds.items():
            if kind not in ("Linear", "Affine"):
                continue
            node = self.graph.nodes[name]
            targets = [b for a, b in self.graph.edges if a == name]
            if kind == "Affine":
                if targets == [self._only("Output")]:
                    continue
                if np.any(node.bias):
                    raise _refuse(
                        f"the Affine node '{name}' has a bias.",
                        _WHERE,
                        "Layers have no constant input.",
                        "Add an input channel that spikes all the time.",
                    )
            for source in (a for a, b in self.graph.edges if b == name):
                delay = np.zeros(node.weight.shape[1])
                if self.kinds[source] == "Delay":
                    delay = np.ravel(np.asarray(self.graph.nodes[source].delay, dtype=float))
                    (source,) = (a for a, b in self.graph.edges if b == source)
                for target in targets:
                    if self.kinds[target] not in ("CubaLIF", "LI", "CubaLI"):
                        raise _refuse(
                            f"the weights '{name}' lead to '{target}', a {self.kinds[target]}.",
                            _WHERE,
                            "Weights lead to neurons.",
                            "Multiply subsequent matrices.",
                        )
                    if (target == readout or source == self._only("Input")) and delay.any():
                        raise _refuse(
                            f"'{name}' has a delay from the input or to the readout.",
                            _WHERE,
                            "A SpikingNetwork has delays between its layers only.",
                            "Shift the input instead.",
                        )
                    w = np.asarray(node.weight, dtype=float).T * self._gain(target)[None, :]
                    paths.append(_Path(source, target, w, delay))
        return paths

    def _check_order(self, order: list[str]) -> None:
        lost = [
            name for name, kind in self.kinds.items() if kind == "CubaLIF" and name not in order
        ]
        if lost or not order:
            raise _refuse(
                f"the layer '{lost[0]}' cannot be reached." if lost else "there is no layer.",
                _WHERE,
                "Every layer follows from the input through the layers before it.",
                "",
            )


def _plain(values: np.ndarray) -> Any:
    """One number if all are alike."""
    return float(values[0]) if np.all(values == values[0]) else values


def _one_if_alike(times: Quantity) -> Quantity:
    """One time if all are alike."""
    return times[0] if np.all(np.asarray(times) == np.asarray(times)[0]) else times
