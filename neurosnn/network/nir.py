"""Networks for and from the Neuromorphic Intermediate Representation (Pedersen et al. 2024)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from brian2.units.allunits import msecond, second
from brian2.units.fundamentalunits import Quantity

from neurosnn.core.messages import message

if TYPE_CHECKING:
    from neurosnn.model import NeuronModel
    from neurosnn.network.network import SpikingNetwork

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
        For a model that NIR has no node for, with the reason, and real-valued input.
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
    nir = _nir("to_nir")
    if net.input.real_valued:
        raise _refuse("the input is real-valued.", "to_nir", "Its values are not spikes.", "")
    nodes: dict[str, Any] = {"input": nir.Input(np.array([net.input.n]))}
    edges: list[tuple[str, str]] = []
    for layer in net.layers:
        nodes[layer.name] = _neuron(nir, layer.model, layer.n, layer.name)
    nodes["readout"] = _readout(nir, net.readout.model, net.readout.n)
    for connection in net.connections.values():
        name, source = f"{connection.name}_w", connection.source
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
    from neurosnn.network.nir_reading import Reading

    return Reading(_nir("from_nir"), graph, dt).network()


def _neuron(nir: Any, model: NeuronModel, n: int, name: str) -> Any:
    from neurosnn.equations import CurrentLIF

    if not _same(model, CurrentLIF()):
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
    from neurosnn.equations import CurrentReadout, LeakyReadout

    values = _values(model, n)
    if _same(model, LeakyReadout()):
        return nir.LI(tau=values["tau"], r=values["tau"], v_leak=np.zeros(n))
    if _same(model, CurrentReadout()):
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


def _same(model: NeuronModel, known: NeuronModel) -> bool:
    """Whether two models have the same strings, whatever their parameters."""
    strings = ("equations", "threshold", "reset", "refractory", "step", "inputs", "initial")
    return all(getattr(model, name) == getattr(known, name) for name in strings)


def _values(model: NeuronModel, n: int) -> dict[str, np.ndarray]:
    """Parameters in SI values, one a neuron."""
    return {
        name: np.array(np.broadcast_to(np.asarray(value, dtype=float), (n,)))
        for name, value in model.parameters.items()
    }


def _nir(where: str) -> Any:
    try:
        import nir
    except ImportError as error:
        raise ImportError(
            message(
                "the package nir is not installed.",
                where,
                "It reads and writes the files.",
                "pip install 'neurosnn[nir]'",
            )
        ) from error
    return nir


def _refuse(what: str, where: str, why: str, how: str) -> ValueError:
    return ValueError(message(what, where, why, how))


def seconds(values: np.ndarray) -> Quantity:
    """Times of neurons as one Quantity if all are alike."""
    values = np.asarray(values, dtype=float)
    return (float(values.flat[0]) if np.all(values == values.flat[0]) else values) * second
