"""The engine as Python sees it: a network, a rule and a loss compiled into one library."""

from __future__ import annotations

import dataclasses
import math
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from neurosnn.calculus.changing import changes_itself
from neurosnn.calculus.step import model_code, refuse_unknown
from neurosnn.core.draws import FIRST_DRAWS, Draws
from neurosnn.core.messages import did_you_mean, message
from neurosnn.engine.backward import Differentiates
from neurosnn.engine.batches import BatchInput, read_batch
from neurosnn.engine.build import WIDE
from neurosnn.engine.changing import (
    ChangingSynapses,
    Places,
    changing_synapses,
    changing_values,
    steps_after_spikes,
)
from neurosnn.engine.codegen import ConnectionCode, DriveCode, LayerCode, network_source
from neurosnn.engine.derivation import derivation_key, read_derivation, write_derivation
from neurosnn.engine.layout import (
    aligned,
    batch_fields,
    delayed,
    drive_values,
    lookup_values,
    neuron_values,
)
from neurosnn.engine.program import REAL, Program, precision
from neurosnn.engine.results import BatchResult, Simulation
from neurosnn.engine.synapses import SynapseCode, check_sum, synapse_code, synapse_values
from neurosnn.engine.translate import Translator
from neurosnn.losses import BUILT_IN

if TYPE_CHECKING:
    from neurosnn.network import Connection, SpikingNetwork
    from neurosnn.network.connection import SynapsesByDelay

__all__ = ["BatchResult", "Engine", "Simulation", "learned_parameters"]

#: Fixed, so that the order of a sum depends neither on timing nor on the number of threads.
GRADIENT_BLOCKS = 16
#: Below this density the engine visits the synapses of a sparse connection one by one; above it, and
#: for real-valued input, adding whole rows of a full matrix is faster.
SPARSE_BELOW = 0.3


class Engine:
    """A network compiled for fast simulation and gradients.

    Parameters
    ----------
    net : SpikingNetwork
        Its weights are read at every call.
    rule : Rule, optional
        Learning rule; needed for gradients.
    loss : Loss, optional
        Needed for losses and gradients.
    dtype : {"float32", "float64"}, optional
        Arithmetic. float64 rounds as Brian2 does without fast math.
    threads : int, optional
        Number of threads, all processors if None. It changes no bit of the results.
    learn : dict of str to tuple of str, optional
        Parameters of the neurons that get a gradient, by layer, for example
        ``{"hidden": ("tau_m",)}``; those that the network learns if None.

    Raises
    ------
    ValueError
        If no gradient can be derived from a model, or a function has no C++ form.
    RuntimeError
        If there is no C++ compiler.

    Notes
    -----
    Cost: forward and backward pass take (neurons x steps) + (spikes x fan-out) operations; memory
    per thread is (neurons x steps x stored coefficients), independent of the number of trials.
    """

    def __init__(
        self,
        net: SpikingNetwork,
        rule: Differentiates | None = None,
        loss: Any = None,
        *,
        dtype: str = "float32",
        threads: int | None = None,
        learn: dict[str, tuple[str, ...]] | None = None,
    ):
        self.net, self.rule, self.loss = net, rule, loss
        self.dtype = precision(dtype, where="Engine")
        self.threads = threads or os.cpu_count() or 1
        if learn is None:
            learn = learned_parameters(net)
        self.learn = {name: tuple(names) for name, names in learn.items()}
        self.parts = {layer.name: layer for layer in net.layers} | {"readout": net.readout}
        unknown = set(self.learn) - {layer.name for layer in net.layers}
        if unknown:
            raise ValueError(
                message(
                    f"there is no layer '{sorted(unknown)[0]}' to learn parameters of.",
                    "Engine",
                    "",
                    did_you_mean(sorted(unknown)[0], [layer.name for layer in net.layers]),
                )
            )
        #: The backward pass of the rule, None for simulation only.
        self.backward = None if rule is None else rule.backward(net, loss)
        #: Arrays that are learned beside the network's: adaptive feedback weights.
        self.parameters = {} if self.backward is None else self.backward.parameters
        self._changing = self._changing_codes()
        self._synapses = self._synapse_codes()
        self._sparse = {
            name: self._by_synapse(connection) for name, connection in net.connections.items()
        }
        self._losses = list(BUILT_IN)
        if loss is not None and type(loss) not in BUILT_IN:
            self._losses.append(type(loss))
        key = self._key()
        derivation = read_derivation(key)
        self._layers = derivation[0] if derivation else self._derive_layers()
        self._index = {code.name: code for code in self._layers}
        self._connections = [self._connection_code(c) for c in net.connections.values()]
        self._drives = self._drive_codes()
        self._fields = self._batch_fields()
        source = derivation[1] if derivation else self._source()
        if not derivation:
            write_derivation(key, self._layers, source)
        self._program = self._compile(source)
        self._rows = {
            name: net.connections[name].rows()
            for name, sparse in self._sparse.items()
            if sparse and not net.connections[name].synaptic
        }
        self._places: dict[str, Places] = {}
        #: The synapses by their delays, and the delays they were grouped by.
        self._groups: dict[str, tuple[np.ndarray, SynapsesByDelay]] = {}

    # -- calls ------------------------------------------------------------------------------

    def prepare(self, trials: Any) -> Any:
        """The trials in the form that is read most quickly: what `fit` does once, not in each batch.

        Parameters
        ----------
        trials : SpikeTrials or FrameTrials
            Any number of trials.

        Returns
        -------
        SpikeTrials or FrameTrials
            Spikes lie on the network's time grid. Results do not change.
        """
        return trials.on_grid(self.net.dt) if hasattr(trials, "on_grid") else trials

    def run(
        self,
        trials: Any,
        targets: Any = None,
        *,
        gradient: bool = False,
        draws: Draws = FIRST_DRAWS,
    ) -> BatchResult:
        """Loss, scores and, if asked, the gradient of a batch of trials.

        Parameters
        ----------
        trials : SpikeTrials or FrameTrials
            Input with labels.
        targets : ndarray (n_steps, n_outputs) or (n_trials, n_steps, n_outputs), optional
            For a mean square error.
        gradient : bool, optional
            Whether to compute the gradient.
        draws : Draws, optional
            Which random numbers a network with noise gets. The gradient is that along the path, with these
            numbers held.

        Returns
        -------
        BatchResult
            Means over the trials.
        """
        if self.loss is None or (gradient and self.rule is None):
            missing = "loss" if self.loss is None else "rule"
            raise ValueError(
                message(f"no {missing} was given.", "Engine.run", "", f"Pass {missing}= to Engine.")
            )
        batch = self._read_batch(trials, self.loss, targets)
        n, outputs = batch.n_trials, self.net.readout.n
        results = {
            "loss": np.zeros(n),
            "scores": np.zeros((n, outputs)),
            "correct": np.zeros(n, np.int64),
            "total": np.zeros(n, np.int64),
        }
        sums = self._gradient_buffers() if gradient else {}
        counts = self._count_buffers(n)
        self._call(
            batch,
            {**results, **counts, **{f"d_{key}": value for key, value in sums.items()}},
            draws=draws,
            loss_kind=self._losses.index(type(self.loss)),
            gradient=int(gradient),
        )
        by_neuron = {
            layer.name: counts[f"spike_count_{self._index[layer.name].index}"].sum(axis=0)
            for layer in self.net.layers
        }
        return BatchResult(
            gradient=self._gradient(sums, n) if gradient else {},
            loss=float(results["loss"].mean()),
            scores=results["scores"],
            correct=int(results["correct"].sum()),
            total=int(results["total"].sum()),
            spikes={name: int(count.sum()) for name, count in by_neuron.items()},
            counts=by_neuron,
        )

    def simulate(
        self,
        trials: Any,
        *,
        record: tuple[tuple[str, str], ...] = (),
        parameters: dict[tuple[str, str], np.ndarray] | None = None,
        initial: dict[tuple[str, str], np.ndarray] | None = None,
        draws: Draws = FIRST_DRAWS,
    ) -> Simulation:
        """Simulate trials and record spikes, output and states.

        Parameters
        ----------
        trials : SpikeTrials or FrameTrials
            Input; labels are not used.
        record : tuple of (layer, variable), optional
            States to record.
        parameters : dict of (layer, parameter) to ndarray (n_trials,) or (n_trials, n), optional
            Values that differ from trial to trial, in SI units: a parameter sweep in one call.
        initial : dict of (layer, variable) to ndarray (n_trials, n), optional
            Initial values that differ from trial to trial, in SI units.
        draws : Draws, optional
            Which random numbers a network with noise gets; :meth:`SpikingNetwork.brian2` with the same ones
            gives the same spikes.

        Returns
        -------
        Simulation
            Arrays by layer. Synapses that change themselves begin each trial with the network's weights.
        """
        batch = self._read_batch(trials, None, None)
        n, longest = batch.n_trials, int(batch.n_steps.max())
        output = np.zeros((n, longest, self.net.readout.n))
        buffers = {"outputs": output, **self._count_buffers(n)}
        states = {}
        for layer, variable in record:
            states[layer, variable] = np.zeros((n, longest, self.parts[layer].n), self.dtype)
            buffers[f"trace_{self._index[layer].index}_{variable}"] = states[layer, variable]
        final = {
            name: np.zeros((n, self.net.connections[name].n_synapses), self.dtype)
            for name in self._changing
        }
        buffers |= {f"final_{name}": array for name, array in final.items()}
        self._call(
            batch,
            buffers,
            draws=draws,
            loss_kind=-1,
            record_spikes=1,
            per_trial=(parameters or {}, initial or {}),
        )
        return Simulation(
            output=output,
            n_steps=batch.n_steps,
            counts={
                layer.name: buffers[f"spike_count_{self._index[layer.name].index}"]
                for layer in self.net.layers
            },
            spikes={
                layer.name: [
                    self._program.spikes(k, self._index[layer.name].index) for k in range(n)
                ]
                for layer in self.net.layers
            },
            states=states,
            weights={name: self._in_order(name, array) for name, array in final.items()},
        )

    # -- what another machine does in its own way -------------------------------------------

    @property
    def _machine(self) -> str:
        """Part of the name under which the cache folder keeps what is derived."""
        return "engine"

    def _read_batch(self, trials: Any, loss: Any, targets: Any) -> BatchInput:
        """The trials of a batch as arrays."""
        return read_batch(self.net, trials, loss, targets)

    def _by_synapse(self, connection: Any) -> bool:
        """Whether the synapses of a connection are visited one by one."""
        real_valued = connection.source in self.net.inputs and self.net.input.real_valued
        one_per_synapse = connection.synaptic or connection.name in self._changing
        few = not self._dense(connection)
        return bool(connection.sparse and not real_valued and (few or one_per_synapse))

    def _dense(self, connection: Any) -> bool:
        """Whether so many synapses exist that work on all neurons of the target at once is worth it."""
        return bool(connection.n_synapses >= SPARSE_BELOW * math.prod(connection.shape))

    def _batch_fields(self) -> list[tuple[str, str]]:
        return batch_fields(
            self._layers,
            self._connections,
            self._drives,
            self._losses,
            self.backward,
            self._inputs.values(),
        )

    @property
    def _inputs(self) -> dict[str, str]:
        """What the generated code calls the events of each input."""
        names = list(self.net.inputs)
        return {name: f"input_{name}" if len(names) > 1 else "input" for name in names}

    def _source(self) -> str:
        return network_source(
            self._layers,
            self._connections,
            self._drives,
            self._fields,
            losses=self._losses,
            templates={} if self.backward is None else self.backward.templates,
            real=REAL[self.dtype.name],
            real_input=self.net.input.real_valued,
            inputs=list(self._inputs.values()),
        )

    def _compile(self, source: str) -> Any:
        return Program(source, self._fields, self.dtype, WIDE)

    def _changing_codes(self) -> dict[str, ChangingSynapses]:
        """The synapses of those connections whose weights change themselves."""
        codes = {}
        for index, (name, connection) in enumerate(self.net.connections.items()):
            if connection.synapse is None or not changes_itself(connection.synapse):
                continue
            if self.backward is not None:
                raise ValueError(
                    message(
                        f"the synapses of '{name}' change their own weights.",
                        type(self.rule).__name__,
                        "The gradient with respect to weights that a rule changes is not derived.",
                        "Simulate the network without a rule, or hold the weights: a projection without "
                        "synapse=.",
                    )
                )
            source, target = connection.source, self.parts[connection.target].model
            entry = source in self.net.inputs
            ends = {"pre": None if entry else self.parts[source].model, "post": target}
            gated = set(model_code(target).conditional)
            to = target.inputs[int(connection.channel.max())]
            codes[name] = changing_synapses(index, connection.synapse, ends, gated, to)
        return codes

    def _synapse_codes(self) -> dict[str, SynapseCode]:
        """The states of the synapses of those connections that have any."""
        codes = {}
        for index, (name, connection) in enumerate(self.net.connections.items()):
            if connection.synapse is None or name in self._changing:
                continue
            if self.backward is not None and not self.backward.follows_synapses:
                raise ValueError(
                    message(
                        f"the synapses of '{name}' have states of their own.",
                        type(self.rule).__name__,
                        "Its gradient does not follow what a spike leaves in them.",
                        "Use BPTT() or EProp() on the engine, or a projection without synapse=.",
                    )
                )
            gradient = self.backward is not None
            learn = tuple(connection.learned_synapse) if gradient else ()
            if gradient:
                check_sum(connection.synapse, self.parts[connection.target].model, learn)
            codes[name] = synapse_code(
                index,
                connection.synapse,
                gradient=gradient,
                through_states=self.backward is not None
                and self.backward.through_synapses
                and connection.source not in self.net.inputs,
                learn=learn,
            )
        return codes

    # -- the structure handed to C++ --------------------------------------------------------

    def _key(self) -> str:
        """Where the cache folder keeps what is derived for this network."""
        wiring = [
            {
                "name": name,
                "source": connection.source,
                "target": connection.target,
                "channels": np.unique(connection.channel).tolist(),
                "delayed": delayed(connection),
                "sparse": self._sparse[name],
                "synaptic": connection.synaptic,
                "dense": self._dense(connection),
                "learned": connection.plastic,
                "learned_delay": connection.learned_delay is not None,
                "synapse": vars(self._synapses[name]) if name in self._synapses else None,
                "changing": vars(self._changing[name]) if name in self._changing else None,
            }
            for name, connection in self.net.connections.items()
        ]
        return derivation_key(
            {name: part.model for name, part in self.parts.items()},
            machine=self._machine,
            wiring=wiring,
            learn=self.learn,
            backward=self.backward,
            drives=[
                [
                    placed.drive.target,
                    placed.input_of(self.net),
                    placed.place,
                    placed.drive.binomial(self.net.dt).is_normal,
                ]
                for placed in self.net.drives
            ],
            losses=[[loss.name, loss.cpp, loss.constant_names] for loss in self._losses],
            real=self.dtype.name,
            real_input=self.net.input.real_valued,
            inputs=list(self._inputs.values()),
        )

    def _derive_layers(self) -> list[LayerCode]:
        layers = [
            self._layer_code(k, name, part.model)
            for k, (name, part) in enumerate(self.parts.items())
        ]
        needed = self._needed_layers()
        for code in layers:
            code.needed = code.name in needed
        return layers

    def _needed_layers(self) -> set[str]:
        """The layers through which something that is learned acts."""
        connections = list(self.net.connections.values())
        needed = {name for name, learned in self.learn.items() if learned}
        needed |= {c.target for c in connections if c.plastic or c.learned_synapse}
        grows = self.backward is not None and self.backward.through_neurons
        while grows:
            more = {c.target for c in connections if c.source in needed} - needed
            needed, grows = needed | more, bool(more)
        return needed

    def _layer_code(self, index: int, name: str, model: Any) -> LayerCode:
        learn = self.learn.get(name, ())
        refuse_unknown(model, learn, where=f"layer '{name}'")
        if self.backward is None:
            return Translator(index, name, model, learn).finish()
        # what cannot be differentiated is refused before it is translated
        self.backward.check_model(model, learn)
        return self.backward.derive(Translator(index, name, model, learn), learn)

    def _connection_code(self, connection: Any) -> ConnectionCode:
        target = self._index[connection.target]
        channels_used = np.unique(connection.channel)
        channels = (
            target.channels if len(channels_used) > 1 else (target.channels[int(channels_used[0])],)
        )
        entry = connection.source in self.net.inputs
        source = (
            self._inputs[connection.source]
            if entry
            else f"{self._index[connection.source].object}.spikes"
        )
        code = ConnectionCode(
            name=connection.name,
            source=source,
            source_layer="" if entry else str(self._index[connection.source].index),
            target=target.object,
            channels=channels,
            variables=tuple(map(target.arrives_in, channels)),
            delayed=delayed(connection),
            sparse=self._sparse[connection.name],
            real_valued=entry and self.net.input.real_valued,
            learned=connection.plastic,
            synaptic=connection.synaptic,
            synapse=self._synapses.get(connection.name),
            changing=self._changing.get(connection.name),
        )
        by_sender = code.travels and self._takes_by_sender(target)
        added_up = by_sender and self.dtype == np.float32 and self._dense(connection)
        learns = not code.synaptic or connection.learned_delay is not None
        differentiates = self.backward is not None and self.backward.learns_delays
        return dataclasses.replace(
            code,
            by_sender=by_sender,
            added_up=added_up,
            delay_gradient=code.delayed and learns and differentiates,
        )

    def _takes_by_sender(self, target: LayerCode) -> bool:
        """Whether the way back, if there is one, needs no list of what arrives at a layer in which step."""
        if self.backward is None:
            return True
        return self.dtype.name in self.backward.by_sender and not target.direct

    def _drive_codes(self) -> list[DriveCode]:
        codes = []
        for k, placed in enumerate(self.net.drives):
            target, variable = self._index[placed.drive.target], placed.input_of(self.net)
            codes.append(
                DriveCode(
                    index=k,
                    place=placed.place,
                    target=target.object,
                    variable=target.arrives_in(variable),
                    number=placed.number,
                    is_normal=placed.drive.binomial(self.net.dt).is_normal,
                )
            )
        return codes

    def _call(
        self, batch: BatchInput, buffers: dict, *, draws: Draws, per_trial=({}, {}), **numbers
    ) -> None:
        key, max_steps = draws.key(self.net.seed).tolist(), int(batch.n_steps.max())
        values = {
            "n_trials": batch.n_trials,
            "max_steps": max_steps,
            "n_blocks": GRADIENT_BLOCKS,
            "n_threads": min(self.threads, batch.n_trials),
            "dt": float(self.net.dt),
            "max_delay": self.net.max_delay,
            "key_0": key[0],
            "key_1": key[1],
            "trials_before": draws.first_trial,
            "n_channels": self.net.input.n,
            **{
                f"begin_{code}": self.net.channels(name).start
                for name, code in self._inputs.items()
            },
            "bias": self.net.parameters.get("readout.b", np.zeros(self.net.readout.n)),
            **self._loss_constants(),
            **batch.arrays,
            **self._weights(),
            **drive_values(self.net),
            **self._backward_values(),
            **lookup_values(self.parts, self._index, max_steps, float(self.net.dt)),
            **neuron_values(self.parts, self._index, self.net.learned, *per_trial, batch.n_trials),
            **buffers,
            **numbers,
        }
        self._program.run(values)

    def _weights(self) -> dict[str, np.ndarray]:
        values = {}
        codes = {code.name: code for code in self._connections}
        for name, connection in self.net.connections.items():
            w, delay, channel = connection.w, connection.delay, connection.channel
            n_pre = connection.shape[0]
            if connection.synaptic:
                groups = self._by_delay(connection)
                w, delay, channel = w[groups.order], groups.delay, channel[groups.source]
                n_pre = len(groups.delay)
                values[f"row_{name}"], values[f"post_{name}"] = (
                    groups.row,
                    connection.post[groups.order],
                )
                values[f"first_{name}"], values[f"source_{name}"] = groups.first, groups.source
                values[f"late_{name}"] = groups.late
                if codes[name].by_sender:
                    values |= _places(name, groups, connection)
            elif self._sparse[name]:
                values[f"row_{name}"], values[f"post_{name}"] = self._rows[name], connection.post
            elif connection.sparse:
                w = connection.matrix()
            values[f"w_{name}"] = aligned(w, self.dtype)
            values[f"size_{name}"] = w.size
            values[f"n_pre_{name}"] = n_pre
            values[f"delay_{name}"] = np.ascontiguousarray(delay, np.int32)
            values[f"channel_{name}"] = np.ascontiguousarray(channel, np.int32)
            if name in self._changing:
                if name not in self._places:
                    order = groups.order if connection.synaptic else np.arange(len(w))
                    lag = steps_after_spikes(connection.synapse, len(w), float(self.net.dt))
                    self._places[name] = Places(order, connection.pre, connection.post, lag)
                values |= changing_values(
                    name,
                    self._changing[name],
                    connection.synapse,
                    connection.w,
                    self._places[name],
                )
            if name in self._synapses:
                values |= synapse_values(
                    self._synapses[name], connection.synapse, connection.learned_synapse
                )
        return values

    def _in_order(self, name: str, array: np.ndarray) -> np.ndarray:
        """Values of synapses (n_trials, n_synapses) from the engine's order to that of the connection."""
        if not self.net.connections[name].synaptic:
            return array
        reordered = np.empty_like(array)
        reordered[:, self._groups[name][1].order] = array
        return reordered

    def _by_delay(self, connection: Connection) -> SynapsesByDelay:
        """The groups of a connection; sorting them again waits until a delay has changed."""
        delay = connection.delay
        before, groups = self._groups.get(connection.name, (None, None))
        if groups is None or not np.array_equal(before, delay):
            groups = connection.by_delay()
            self._groups[connection.name] = delay.copy(), groups
        return groups

    def _loss_constants(self) -> dict[str, float]:
        constants = {} if self.loss is None else self.loss.constants
        return {f"loss_{name}": value for name, value in constants.items()}

    def _backward_values(self) -> dict[str, Any]:
        if self.backward is None:
            return {}
        return {
            **self.backward.numbers,
            **self.backward.values(self.net, self._index, self.dtype),
        }

    def _count_buffers(self, n_trials: int) -> dict[str, np.ndarray]:
        return {
            f"spike_count_{self._index[layer.name].index}": np.zeros((n_trials, layer.n), np.int64)
            for layer in self.net.layers
        }

    def _gradient_buffers(self) -> dict[str, np.ndarray]:
        buffers = {"bias": np.zeros(self.net.readout.n)}
        for name, connection in self.net.connections.items():
            if connection.plastic:
                buffers[name] = np.zeros(
                    connection.n_synapses if self._sparse[name] else connection.shape
                )
        for code in self._connections:
            if code.delay_gradient:
                buffers[f"delay_{code.name}"] = np.zeros(len(self.net.connections[code.name].delay))
        for states in self._synapses.values():
            for key in states.learned:
                buffers[f"synapse_{states.index}_{key}"] = np.zeros(())
        for code in self._layers:
            for key in code.learned:
                buffers[f"{code.index}_{key}"] = np.zeros(self.parts[code.name].n)
        return buffers

    def _gradient(self, sums: dict[str, np.ndarray], n_trials: int) -> dict[str, np.ndarray]:
        gradient = {}
        for name, connection in self.net.connections.items():
            if connection.synaptic:  # from group by group to the order of the connection
                order = self._groups[name][1].order
                for key in (name, f"delay_{name}"):
                    if key in sums:
                        sums[key][order] = sums[key].copy()
            if not connection.plastic:
                continue
            array = sums[name]
            if connection.sparse and not self._sparse[name]:
                array = array[connection.pre, connection.post]
            elif connection.mask is not None:
                array *= connection.mask
            gradient[f"{name}.w"] = array
        if "readout.b" in self.net.parameters:
            gradient["readout.b"] = sums["bias"]
        for code in self._layers:
            for key in code.learned:
                array = sums[f"{code.index}_{key}"]
                shared = key in code.shared
                gradient[f"{code.name}.{key}"] = np.array(array.sum()) if shared else array
        for name, states in self._synapses.items():
            for key in states.learned:
                gradient[f"{name}.{key}"] = sums[f"synapse_{states.index}_{key}"]
        for code in self._connections:
            if f"delay_{code.name}" in sums:
                gradient[f"{code.name}.delay"] = sums[f"delay_{code.name}"]
        for name in self.net.learned:
            if name.endswith(".delay"):
                gradient[name] = sum(
                    sums[f"delay_{connection.name}"]
                    for connection in self.net.connections.values()
                    if connection.learned_delay is self.net.learned[name]
                )
        for array in gradient.values():
            array /= n_trials
        if self.backward is not None:
            self.backward.finish(self.net, gradient)
        return gradient


def _places(name: str, groups: SynapsesByDelay, connection: Connection) -> dict[str, Any]:
    """Where each synapse finds its target among the steps from that of a spike to its latest arrival."""
    longest, n_post = int(groups.late.max(initial=0)), connection.shape[1]
    if (longest + 1) * n_post > np.iinfo(np.int32).max:
        raise ValueError(
            message(
                f"a delay of '{name}' has {longest} steps.",
                "Engine",
                f"For {n_post} neurons so many steps do not fit into the memory of spikes on their way.",
                "Choose shorter delays or a larger dt.",
            )
        )
    place = groups.late * np.int32(n_post) + connection.post[groups.order].astype(np.int32)
    return {f"place_{name}": place, f"longest_{name}": longest}


def learned_parameters(net: SpikingNetwork) -> dict[str, tuple[str, ...]]:
    """Parameters of the models that a network learns, by layer."""
    learned = {
        str(layer.name): tuple(key for key in layer.learn if key != "delay") for layer in net.layers
    }
    return {name: keys for name, keys in learned.items() if keys}
