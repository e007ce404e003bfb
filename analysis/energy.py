"""What a spiking network would cost in energy: counted events times the energies of a device."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from neurosnn.core.messages import message
from neurosnn.core.values import Range, check_value
from neurosnn.rules.equilibrium import EquilibriumNetwork

if TYPE_CHECKING:
    from neurosnn.network import SpikingNetwork

__all__ = [
    "LOIHI",
    "PROCESSOR_45NM",
    "V100",
    "EnergyTable",
    "EventCounts",
    "count_events",
    "count_network_events",
    "energy",
]


#: Bytes of the address of a neuron that spikes, written once and read once.
_ADDRESS = 4


class EventCounts(NamedTuple):
    """Events of one trial, mean over the trials.

    Attributes
    ----------
    spikes : float
        Spikes of all layers.
    synaptic_events : float
        Spikes times the synapses that they reach, in both directions.
    constant_inputs : float
        Products of a pixel and a weight, for constant-current input: once a trial.
    updates : float
        Changes of a weight at spikes; 0 without a nudged phase.
    neuron_updates : float
        Neurons times time steps.
    traffic : float
        Bytes that these events read and write; 0 where it was not counted.
    """

    spikes: float
    synaptic_events: float
    constant_inputs: float
    updates: float
    neuron_updates: float
    traffic: float = 0.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class EnergyTable:
    """Energy of each kind of event on a device, in joules; set your own.

    Parameters
    ----------
    spike, synaptic_event, constant_input, update, neuron_update : float
        Energies of single events (J).
    byte : float, optional
        Energy of a byte that is read or written (J); 0 if the events hold the memory's part.
    name : str
        Name of the device.
    source : str
        Where the numbers come from.

    Raises
    ------
    ValueError
        If an energy is negative.
    """

    spike: float
    synaptic_event: float
    constant_input: float
    update: float
    neuron_update: float
    byte: float = 0.0
    name: str = ""
    source: str = ""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self)[:6]:
            value = getattr(self, field.name)
            check_value(field.name, value, Range(0.0, includes_low=True), where="EnergyTable")


#: A digital neuromorphic chip; a constant input is counted as one synaptic event. All rows of the
#: table are minima at 0.75 V from simulations, not measurements of a chip. An active neuron takes
#: 81 pJ instead of 52 pJ, a hop to the next tile 3 or 4 pJ; neither is counted.
LOIHI = EnergyTable(
    name="Loihi",
    spike=1.7e-12,
    synaptic_event=23.6e-12,
    constant_input=23.6e-12,
    update=120e-12,
    neuron_update=52e-12,
    source="Davies et al., IEEE Micro 38:82-99 (2018), doi:10.1109/MM.2018.112130359, table 2 (before "
    "silicon, smallest values): spike within a tile, synaptic operation, pairwise STDP update, "
    "inactive neuron",
)
_ADD, _MULTIPLY = 0.9e-12, 3.7e-12
#: A processor with arithmetic in single precision and all its memory in a cache of 1 MB. Additions and
#: products are those of EqSpike's strings: a synaptic event is an addition, an update and a constant
#: input a product and an addition, a neuron five products and seven additions. Instructions, which on
#: a real core cost more than either (70 pJ each in the same paper), are left out.
PROCESSOR_45NM = EnergyTable(
    name="processor, 45 nm",
    spike=0.0,
    synaptic_event=_ADD,
    constant_input=_MULTIPLY + _ADD,
    update=_MULTIPLY + _ADD,
    neuron_update=5 * _MULTIPLY + 7 * _ADD,
    byte=100e-12 / 8,
    source="Horowitz, ISSCC (2014), doi:10.1109/ISSCC.2014.6757323, figure 1.1.9 (45 nm, 0.9 V): "
    "32-bit floating-point addition 0.9 pJ, product 3.7 pJ; 64 bits from a cache of 1 MB 100 pJ "
    "(8 KB: 10 pJ, 32 KB: 20 pJ, DRAM: 1.3 to 2.6 nJ)",
)
#: Energy (J) of a floating-point operation on a GPU that is fully used: 300 W / 15.7 TFLOPS, the
#: largest power and the single-precision peak of the Tesla V100 SXM2 in NVIDIA's data sheet (2018).
V100 = 300 / 15.7e12


def count_events(
    net: EquilibriumNetwork, result: Any, x: np.ndarray, *, learning: bool, number: int = 4
) -> EventCounts:
    """Count the events of a trial, from spikes that were simulated.

    Parameters
    ----------
    net : EquilibriumNetwork
        The network.
    result : EquilibriumResult
        Of the trials.
    x : ndarray (n_trials, n_inputs)
        Their pixels.
    learning : bool
        True: all phases and the updates, a training trial; False: the free phase, an inference.
    number : int, optional
        Bytes of a number; 4 is single precision.

    Returns
    -------
    EventCounts
        Means over the trials.

    Raises
    ------
    ValueError
        If a training trial is asked for and the trials had no nudged phase.
    """
    if learning and not result.nudged:
        raise ValueError(
            message(
                "the trials had no nudged phase.",
                "count_events",
                "A training trial has both phases.",
                "Pass targets= to the engine, or learning=False.",
            )
        )
    spikes = {name: count.mean(axis=0) for name, count in result.spikes.items()}
    counted = {name: float(count.sum() if learning else count[0]) for name, count in spikes.items()}
    reached = {name: count.mean(axis=0) for name, count in result.events.items()}
    events = updates = changed = 0.0
    for connection in net.connections:
        if connection.source not in spikes:
            continue
        both, rule = reached[connection.name], connection.rule
        events += float(both.sum() if learning else both[0].sum())
        for side, pathway in enumerate(("pre", "post")):
            if any(part.side == pathway for part in rule.pathways):
                updates += float(both[1, side])
    first = net.connections[0].wiring
    constant = 0.0
    if net.input == "constant":
        reach = (np.asarray(x) != 0) @ first.reach()
        constant = float(reach.mean())
        # the change of a constant input is read out once, in a trial that was nudged
        changed = float(reach[result.phases > 0].sum() / len(reach))
    steps = net.free_steps + (float(result.phases.mean()) * net.nudged_steps if learning else 0)
    neurons = float(sum(net.sizes[1:]) * steps)
    # Read: weight, input of the target; written: the input. An update: trace, old and new sum.
    moved = 3 * number * (events + constant) + _ADDRESS * 2 * sum(counted.values())
    states = [len(m.states) * n for name, (m, n) in net.layers.items() if name != "input"]
    moved += 2 * number * steps * sum(states)
    moved += 3 * number * (updates + changed) if learning else 0.0
    return EventCounts(
        spikes=sum(counted.values()),
        synaptic_events=events,
        constant_inputs=constant,
        updates=updates + changed if learning else 0.0,
        neuron_updates=neurons,
        traffic=moved,
    )


def count_network_events(net: SpikingNetwork, trials: Any) -> EventCounts:
    """Count the events of an inference of a network, from spikes that the engine simulates.

    Parameters
    ----------
    net : SpikingNetwork
        The network, with spikes as input.
    trials : SpikeTrials
        The trials.

    Returns
    -------
    EventCounts
        Means over the trials: spikes of the input and of all layers, each with the synapses that it
        reaches, and neurons of the layers and the readout times the steps of a trial.

    Raises
    ------
    ValueError
        If the input is real-valued: it has no spikes.

    Examples
    --------
    >>> from brian2 import ms
    >>> from neurosnn import Input, Layer, Readout, SpikingNetwork, data, equations
    >>> from neurosnn.analysis.energy import count_network_events
    >>> trials = data.SpikeTrials(times=[0.001, 0.002], units=[0, 1], offsets=[0, 2], labels=[0],
    ...                           n_channels=2, duration=10*ms)
    >>> net = SpikingNetwork(Input(2), Layer(equations.LIF(), 5, weight_scale=0.1), Readout(2))
    >>> count_network_events(net, trials)[:2]
    (2.0, 10.0)
    """
    from neurosnn.engine.backend import Engine

    if net.input.real_valued:
        raise ValueError(
            message(
                "the input of the network is real-valued.",
                "count_network_events",
                "Numbers are not events.",
                "Encode the input as spikes.",
            )
        )
    result = Engine(net).simulate(trials)
    n = len(trials)
    sent = np.bincount(trials.steps(net.dt)[2], minlength=net.input.n)
    spikes = {name: sent[net.channels(name)] for name in net.inputs}
    spikes |= {name: count.sum(axis=0) for name, count in result.counts.items()}
    reached = 0.0
    for connection in net.connections.values():
        count = spikes[connection.source]
        if connection.sparse:
            reached += float(count[connection.pre].sum())
        else:
            mask = np.ones(connection.shape) if connection.mask is None else connection.mask
            reached += float((count @ mask).sum())
    neurons = sum(layer.n for layer in net.layers) + net.readout.n
    return EventCounts(
        spikes=sum(float(count.sum()) for count in spikes.values()) / n,
        synaptic_events=reached / n,
        constant_inputs=0.0,
        updates=0.0,
        neuron_updates=float(neurons * result.n_steps.mean()),
    )


def energy(counts: EventCounts, table: EnergyTable) -> dict[str, float]:
    """Energy of a trial by kind of event, and their sum.

    Parameters
    ----------
    counts : EventCounts
        Events of a trial.
    table : EnergyTable
        Energies of the device.

    Returns
    -------
    dict of str to float
        Joules; ``"total"`` is the sum.

    Examples
    --------
    >>> from neurosnn.analysis.energy import LOIHI, EventCounts, energy
    >>> round(energy(EventCounts(1e3, 1e6, 0, 0, 0), LOIHI)["total"] * 1e6, 2)
    23.6
    """
    parts = {
        "spikes": counts.spikes * table.spike,
        "synaptic events": counts.synaptic_events * table.synaptic_event,
        "constant inputs": counts.constant_inputs * table.constant_input,
        "updates": counts.updates * table.update,
        "neurons": counts.neuron_updates * table.neuron_update,
        "memory": counts.traffic * table.byte,
    }
    return {**parts, "total": sum(parts.values())}
