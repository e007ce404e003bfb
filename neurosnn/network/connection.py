"""The synapses from one part of a network to another: which exist, and their weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from brian2.units.fundamentalunits import Quantity

from neurosnn.core.texts import check_identifier
from neurosnn.model import PlasticityRule

__all__ = ["ChannelSynapses", "Connection", "SynapsesByDelay"]

#: Some names are made of those of two layers; they become names of files.
LONGEST = 240


class ChannelSynapses(NamedTuple):
    """The synapses of a connection that act on one input variable.

    Attributes
    ----------
    channel : int
        Index into the target model's ``inputs``.
    pre, post : ndarray of int (n_synapses,)
        Neurons of each synapse.
    where : tuple of ndarray
        Index of these synapses in ``w`` and all arrays of its shape: ``connection.w[where]``.
    """

    channel: int
    pre: np.ndarray
    post: np.ndarray
    where: tuple[np.ndarray, ...]


class SynapsesByDelay(NamedTuple):
    """The synapses of a connection in groups of one presynaptic neuron and one delay.

    Attributes
    ----------
    order : ndarray of int (n_synapses,)
        The synapses group by group, within a group in the order of the postsynaptic neurons.
    row : ndarray of int64 (n_groups + 1,)
        Where each group begins in `order`.
    source, delay : ndarray of int32 (n_groups,)
        Presynaptic neuron and delay in steps of each group.
    first : ndarray of int64 (n_pre + 1,)
        First group of each presynaptic neuron.
    late : ndarray of int32 (n_synapses,)
        Delay of each synapse in steps, in that order.
    """

    order: np.ndarray
    row: np.ndarray
    source: np.ndarray
    delay: np.ndarray
    first: np.ndarray
    late: np.ndarray


@dataclasses.dataclass(eq=False)
class Connection:
    """All synapses from one part of a network to another.

    Parameters
    ----------
    name : str
        "input", "recurrent", "forward2", "readout" ...
    source, target : str
        "input" or the name of a layer; the name of a layer or "readout".
    n_post : int
        Number of neurons of the target.
    w : ndarray of float64 (n_pre, n_post), or (n_synapses,) if sparse
        Weights in SI values of `dimensions`. A sparse connection keeps existing synapses only.
    mask : ndarray of bool (n_pre, n_post) or None
        Of a dense connection: where synapses are, elsewhere `w` is zero; None: everywhere.
    pre, post : ndarray of int32 (n_synapses,) or None
        Of a sparse connection: neurons of each synapse, in the order of `pre`, then of `post`.
    fixed_delay : ndarray of int32 (n_pre,), or (n_synapses,) with `synaptic` delays
        Axonal delay, or that of each synapse, in steps, as the network was built.
    channel : ndarray of int32 (n_pre,)
        The input variable, as an index into the target model's ``inputs``, that a neuron acts on.
    sign : ndarray of int8 (n_pre,) or None
        Sign that the weights of a neuron must have (Dale's law); None: any.
    dimensions : Dimension
        Physical dimensions of a weight.
    learned_delay : ndarray of float64 of that shape or None
        The delay in seconds, if it is learned: the array of ``net.parameters`` itself.
    dt : float
        Time step in seconds, in which `delay` counts.
    plastic : bool
        Whether the weights are learned.
    synaptic : bool
        Whether each synapse of a sparse connection has a delay of its own.
    synapse : PlasticityRule or None
        The states of the synapses and what a spike sends, if it is more than the weight; as it was given.
    learned_synapse : mapping of str to ndarray
        Its parameters that are learned, in SI values: the arrays of ``net.parameters`` themselves.

    Raises
    ------
    ValueError
        If a name is no identifier.

    Examples
    --------
    >>> from neurosnn import equations, Input, Layer, Readout, SpikingNetwork
    >>> net = SpikingNetwork(Input(50), Layer(equations.LIF(), 40, connectivity=0.1), Readout(2))
    >>> given = net.connections["input"]
    >>> given.w.shape == given.pre.shape == given.post.shape == (given.n_synapses,)
    True
    >>> given.matrix().shape
    (50, 40)
    """

    name: str
    source: str
    target: str
    n_post: int
    w: np.ndarray
    mask: np.ndarray | None
    pre: np.ndarray | None
    post: np.ndarray | None
    fixed_delay: np.ndarray
    channel: np.ndarray
    sign: np.ndarray | None
    dimensions: Any
    learned_delay: np.ndarray | None = None
    dt: float = 0.0
    plastic: bool = True
    synaptic: bool = False
    synapse: PlasticityRule | None = None
    learned_synapse: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        for field in ("name", "source", "target"):
            name = getattr(self, field)
            check_identifier(name, field=f"the {field}", where="Connection", longest=LONGEST)
        for name in self.learned_synapse:
            check_identifier(name, field="a learned constant", where="Connection", longest=LONGEST)

    @property
    def delay(self) -> np.ndarray:
        """Delay in steps, int32 (n_pre,) or (n_synapses,); a learned one is rounded to the nearest."""
        if self.learned_delay is None:
            return self.fixed_delay
        return np.rint(self.learned_delay / self.dt).astype(np.int32)

    @property
    def synapse_now(self) -> PlasticityRule | None:
        """`synapse` with what is learned of it."""
        rule = self.synapse
        if rule is None or not self.learned_synapse:
            return rule
        values = {
            name: Quantity(value.copy(), dim=rule.brian_equations[name].dim)
            for name, value in self.learned_synapse.items()
        }
        of_synapses = {name: x for name, x in values.items() if name not in rule.parameters}
        return dataclasses.replace(
            rule,
            parameters={name: values.get(name, x) for name, x in rule.parameters.items()},
            initial={**rule.initial, **of_synapses},
        )

    @property
    def sparse(self) -> bool:
        """Whether `w` holds the existing synapses only."""
        return self.pre is not None

    @property
    def shape(self) -> tuple[int, int]:
        """Number of presynaptic and of postsynaptic neurons."""
        return len(self.channel), self.n_post

    @property
    def n_synapses(self) -> int:
        """Number of synapses that exist."""
        return self.w.size if self.mask is None else int(np.count_nonzero(self.mask))

    @property
    def synapses_name(self) -> str:
        """Name of the Brian2 Synapses: "input" and "readout" are names of groups already."""
        return f"{self.name}_synapses" if self.name.startswith(("input", "readout")) else self.name

    @property
    def sign_of_weights(self) -> np.ndarray | None:
        """`sign` in a shape that can be multiplied with `w`."""
        if self.sign is None:
            return None
        return self.sign[:, None] if self.pre is None else self.sign[self.pre]

    def rows(self) -> np.ndarray:
        """First synapse of each presynaptic neuron of a sparse connection, int64 (n_pre + 1,)."""
        return np.searchsorted(self.pre, np.arange(self.shape[0] + 1)).astype(np.int64)

    def by_delay(self) -> SynapsesByDelay:
        """The synapses of a connection with `synaptic` delays, grouped.

        Returns
        -------
        SynapsesByDelay
            In the order in which Brian2 lets them arrive.
        """
        assert self.pre is not None
        assert self.post is not None
        delay = self.delay
        order = np.lexsort((self.post, delay, self.pre))
        source, late = self.pre[order], delay[order]
        begins = np.flatnonzero(np.diff(source, prepend=-1) | np.diff(late, prepend=-1))
        return SynapsesByDelay(
            order,
            np.append(begins, len(order)).astype(np.int64),
            source[begins].astype(np.int32),
            late[begins].astype(np.int32),
            np.searchsorted(source[begins], np.arange(self.shape[0] + 1)).astype(np.int64),
            late.astype(np.int32),
        )

    def delay_of(self, where: tuple[np.ndarray, ...], pre: np.ndarray) -> np.ndarray:
        """Delays of some synapses.

        Parameters
        ----------
        where : tuple of ndarray
            Their index in ``w``, as :meth:`by_channel` gives it.
        pre : ndarray of int
            Their presynaptic neurons.

        Returns
        -------
        ndarray of int32
            Steps.
        """
        return self.delay[where[0]] if self.synaptic else self.delay[pre]

    def by_channel(self) -> Iterator[ChannelSynapses]:
        """The synapses that exist, for each input variable that has any."""
        for channel in np.unique(self.channel):
            sends = self.channel == channel
            if self.pre is not None and self.post is not None:
                (k,) = np.nonzero(sends[self.pre])
                synapses = ChannelSynapses(int(channel), self.pre[k], self.post[k], (k,))
            else:
                exists = sends[:, None] if self.mask is None else sends[:, None] & self.mask
                i, j = np.nonzero(np.broadcast_to(exists, self.shape))
                synapses = ChannelSynapses(int(channel), i, j, (i, j))
            if len(synapses.pre):
                yield synapses

    def matrix(self, values: np.ndarray | None = None) -> np.ndarray:
        """Weights, or other `values` of the shape of `w`, as (n_pre, n_post), zero without synapse.

        Parameters
        ----------
        values : ndarray, optional
            For example a gradient; the weights if None.

        Returns
        -------
        ndarray of float64 (n_pre, n_post)
            A new array: large for a large sparse connection.
        """
        values = self.w if values is None else values
        full = np.zeros(self.shape)
        if self.pre is not None:
            full[self.pre, self.post] = values
        else:
            np.copyto(full, values, where=True if self.mask is None else self.mask)
        return full
