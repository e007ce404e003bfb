"""Reads a NIR graph into the parts of a SpikingNetwork."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from brian2.units.allunits import second
from brian2.units.fundamentalunits import Quantity

from neurosnn.equations import CurrentLIF, CurrentReadout, LeakyReadout
from neurosnn.network.network import Input, Layer, Readout, SpikingNetwork
from neurosnn.network.nir import _refuse, seconds

__all__ = ["Reading"]

_WHERE = "from_nir"


class _Path(NamedTuple):
    """A way from one neuron node to another: its weights, and delays of the source."""

    source: str
    target: str
    w: np.ndarray
    delay: np.ndarray


class Reading:
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
            found = [p for p in paths if (p.source, p.target) == (source, target)]
            weights[f"{name}.w"] = (
                sum(p.w for p in found) if found else np.zeros(connection.w.shape)
            )
        if bias is not None:
            weights["readout.b"] = bias
        net.set_parameters(weights)
        return net

    # -- nodes ------------------------------------------------------------------------------

    def _only(self, kind: str) -> str:
        names = [name for name, one in self.kinds.items() if one == kind]
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
        out = [one.delay for one in paths if one.source == name and self._is_layer(one.target)]
        if any(not np.array_equal(one, out[0]) for one in out[1:]):
            raise _refuse(
                f"the connections of '{name}' have different delays.",
                _WHERE,
                "A neuron has one axonal delay.",
                "",
            )
        model = CurrentLIF(
            tau_m=seconds(p["tau_mem"]),
            tau_s=seconds(p["tau_syn"]),
            v_th=_plain(p["v_threshold"]),
        )
        recurrent = any(one.source == one.target == name for one in paths)
        delay = (out[0] if out else np.zeros(1)) * second
        return Layer(model, len(p["r"]), recurrent=recurrent, name=name, delay=_one(delay))

    def _is_layer(self, name: str) -> bool:
        return self.kinds[name] == "CubaLIF"

    def _readout_part(self, name: str, bias: bool) -> Readout:
        p = self._parameters(name)
        if self.kinds[name] == "LI":
            return Readout(len(p["r"]), model=LeakyReadout(tau=seconds(p["tau"])), bias=bias)
        model = CurrentReadout(tau_m=seconds(p["tau_mem"]), tau_s=seconds(p["tau_syn"]))
        return Readout(len(p["r"]), model=model, bias=bias)

    # -- edges ------------------------------------------------------------------------------

    def _paths(self, readout: str) -> list[_Path]:
        """All ways from neurons to neurons, each through one Linear node and perhaps a Delay."""
        result = []
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
                    result.append(_Path(source, target, w, delay))
        return result

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


def _one(times: Quantity) -> Quantity:
    """One time if all are alike."""
    return times[0] if np.all(np.asarray(times) == np.asarray(times)[0]) else times
