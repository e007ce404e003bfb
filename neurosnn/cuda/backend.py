"""The engine of a graphics processor as Python sees it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neurosnn.core.messages import message
from neurosnn.cuda.machines import Machine, make_machine
from neurosnn.cuda.program import CudaProgram, batch_fields_of_blocks, kernel_names
from neurosnn.cuda.trials import ResidentTrials
from neurosnn.engine import Engine
from neurosnn.engine.backward import Backward, Differentiates
from neurosnn.engine.batches import BatchInput
from neurosnn.engine.codegen import LayerCode, network_source
from neurosnn.engine.derivation import fingerprint
from neurosnn.engine.program import REAL

if TYPE_CHECKING:
    from neurosnn.network import SpikingNetwork

__all__ = ["CudaEngine", "KeptGradient"]

_WHERE = "CudaEngine"


class CudaEngine(Engine):
    """A network compiled for an NVIDIA graphics processor.

    The text is the engine's own, generated from the same strings and templates: a block of threads
    runs a trial, each thread with the neurons that it owns.

    Parameters
    ----------
    net : SpikingNetwork
        Its weights are read at every call.
    rule : Rule, optional
        Learning rule; needed for gradients.
    loss : Loss, optional
        Needed for losses and gradients.
    dtype : {"float32", "float64"}, optional
        Arithmetic. float64 adds in the engine's order, without contraction.
    learn : dict of str to tuple of str, optional
        As for :class:`neurosnn.engine.Engine`.
    device : {"cuda", "processor"} or Machine, optional
        The first graphics processor; or the same kernels on the processor, for tests.

    Raises
    ------
    ValueError
        If no gradient can be derived from a model, or the rule's templates are for one thread only.
    RuntimeError
        If there is no graphics processor, or the extra ``gpu`` is missing.

    Notes
    -----
    Sparse connections are full matrices here; with delays of synapses a step reads the rows of all spikes
    of as many steps as the longest delay. Results do not depend on the grid and are the same in every
    run. Memory grows with the trials of a batch: (neurons x steps x stored coefficients) for each.

    Examples
    --------
    >>> from neurosnn import EventProp, Input, Layer, Readout, SpikingNetwork, equations
    >>> from neurosnn.cuda import CudaEngine
    >>> from neurosnn.losses import CrossEntropy
    >>> net = SpikingNetwork(Input(4), Layer(equations.CurrentLIF(), 3), Readout(2))
    >>> engine = CudaEngine(net, EventProp(), CrossEntropy(), device="processor")
    >>> engine.dtype.name
    'float32'
    """

    @property
    def _machine(self) -> str:
        """The texts of this room, and which losses many threads may run."""
        folder = Path(__file__).parent
        files = sorted(file for file in folder.iterdir() if file.suffix in (".py", ".jinja"))
        return fingerprint(files, str([_threaded(loss, "cpp") for loss in self._losses]))

    def __init__(
        self,
        net: SpikingNetwork,
        rule: Differentiates | None = None,
        loss: Any = None,
        *,
        dtype: str = "float32",
        learn: dict[str, tuple[str, ...]] | None = None,
        device: Any = "cuda",
    ):
        self.machine: Machine = make_machine(device)
        if len(net.inputs) > 1:
            raise ValueError(
                message(
                    f"the network has {len(net.inputs)} inputs.",
                    "CudaEngine",
                    "Its kernels read one table of events.",
                    "Use backend='engine', or one input and projections with connectivity=(pre, post).",
                )
            )
        for name, connection in net.connections.items():
            if connection.synapse is not None:
                raise ValueError(
                    message(
                        f"the synapses of '{name}' have states of their own.",
                        "CudaEngine",
                        "Its kernels send weights.",
                        "Use backend='engine', or a projection without synapse=.",
                    )
                )
        self._keeps = False
        self._kept: dict[str, Any] = {}
        super().__init__(net, rule, loss, dtype=dtype, threads=1, learn=learn)

    def prepare(self, trials: Any) -> Any:
        """The trials in the machine's memory, where they stay: what `fit` does once.

        Parameters
        ----------
        trials : SpikeTrials or FrameTrials
            Any number of trials.

        Returns
        -------
        ResidentTrials or FrameTrials
            Real-valued input is copied with each batch.
        """
        if self.net.input.real_valued:
            return trials
        return ResidentTrials(self.net, self.loss, super().prepare(trials), self._program)

    # -- what this machine does in its own way ----------------------------------------------

    def _read_batch(self, trials: Any, loss: Any, targets: Any) -> BatchInput:
        """Those in the machine's memory are there already."""
        if isinstance(trials, ResidentTrials):
            return trials.read(loss, targets)
        return super()._read_batch(trials, loss, targets)

    def _by_synapse(self, connection: Any) -> bool:
        """Full matrices, but with delays of synapses: threads own targets, which would wait for a list."""
        return bool(connection.synaptic)

    def _takes_by_sender(self, target: LayerCode) -> bool:
        """Never: threads look for what arrives at the targets that they own."""
        return False

    def _layer_code(self, index: int, name: str, model: Any) -> LayerCode:
        if self.backward is not None:
            _check_templates(self.backward)
        code = super()._layer_code(index, name, model)
        if code.direct:
            raise ValueError(
                message(
                    f"spikes add to '{code.direct[0]}' of layer '{name}', which can make it fire at once.",
                    "CudaEngine",
                    "Its EventProp does not look for the arrival that has caused a spike.",
                    "Use backend='engine', or synapses with a current of their own.",
                )
            )
        return code if self.backward is None else self.backward.for_threads(code)

    def _templates(self) -> dict[str, str]:
        files = resources.files("neurosnn.cuda").iterdir()
        templates = {
            file.name: file.read_text(encoding="utf-8")
            for file in files
            if file.name.endswith(".jinja")
        }
        return {**templates, **({} if self.backward is None else self.backward.templates)}

    @cached_property
    def _transposed(self) -> bool:
        """Whether the rule reads the weights of a connection column by column."""
        return any("b.across_" in text for text in self._templates().values())

    def _batch_fields(self) -> list[tuple[str, str]]:
        fields = super()._batch_fields()
        return batch_fields_of_blocks(
            fields,
            self._layers,
            self._connections,
            transposed=self._transposed,
            learns=self.backward is not None,
        )

    @property
    def _kernels(self) -> tuple[str, ...]:
        learns = self.backward is not None
        return kernel_names(
            self._connections, learns=learns, real_input=bool(self.net.input.real_valued)
        )

    def _source(self) -> str:
        return network_source(
            self._layers,
            self._connections,
            self._drives,
            self._fields,
            losses=self._losses,
            templates=self._templates(),
            real=REAL[self.dtype.name],
            real_input=self.net.input.real_valued,
            inputs=list(self._inputs.values()),
            template="network.cu.jinja",
            device=True,
            learns=self.backward is not None,
            kernels=self._kernels,
            threaded=[loss for loss in self._losses if _threaded(loss, "cpp")],
        )

    def _compile(self, source: str) -> Any:
        sizes = {self._index[str(name)].index: part.n for name, part in self.parts.items()}
        return CudaProgram(
            self.machine,
            source,
            self._fields,
            self._layers,
            self._connections,
            sizes,
            self.net.input.n,
            self.dtype,
        )

    # -- gradients that stay in the machine's memory ----------------------------------------

    @property
    def can_keep_gradient(self) -> bool:
        """Whether all that is learned are full matrices of weights and a bias."""
        of_connections = {f"{name}.w" for name in self.net.connections} | {"readout.b"}
        sparse = any(connection.sparse for connection in self.net.connections.values())
        return not sparse and not self.parameters and set(self.net.parameters) <= of_connections

    def keep_gradient(self) -> None:
        """From now on the gradient of `run` stays there, and is copied when someone reads it."""
        self._keeps = self.can_keep_gradient

    def _gradient_buffers(self) -> dict[str, Any]:
        if not self._keeps:
            return super()._gradient_buffers()
        new = self.machine.array
        self._kept = {
            name: new(array.shape, float) for name, array in super()._gradient_buffers().items()
        }
        return {}

    def _gradient(self, sums: dict[str, np.ndarray], n_trials: int) -> Any:
        if not self._keeps:
            return super()._gradient(sums, n_trials)
        return KeptGradient(self, self._kept, n_trials)

    def copy_gradient(self, on_device: dict[str, Any], n_trials: int) -> dict[str, np.ndarray]:
        """A gradient that has stayed in the machine's memory."""
        sums = super()._gradient_buffers()
        self.machine.fetch([(on_device[name], array) for name, array in sums.items()])
        return super()._gradient(sums, n_trials)

    def _call(
        self,
        batch: BatchInput,
        buffers: dict[str, Any],
        *,
        per_trial: Any = ({}, {}),
        **numbers: Any,
    ) -> None:
        gradients = self._kept if numbers.get("gradient") and self._keeps else {}
        super()._call(batch, buffers, per_trial=per_trial, kept_gradients=gradients, **numbers)

    def _weights(self) -> dict[str, np.ndarray]:
        values = super()._weights()
        for code in self._connections:
            if code.synaptic:
                values |= self._by_target(code.name)
                continue
            if code.delayed and code.source_layer:
                delay = values[f"delay_{code.name}"]
                order = np.lexsort((np.arange(len(delay)), -delay.astype(np.int64)))
                values[f"order_{code.name}"] = order.astype(np.int32)
            if self._transposed and code.source_layer:
                values[f"across_{code.name}"] = np.ascontiguousarray(values[f"w_{code.name}"].T)
        return values

    def _by_target(self, name: str) -> dict[str, np.ndarray]:
        """Matrices of weights and delays for the owners of the targets, and the group of each synapse."""
        connection = self.net.connections[name]
        groups = self._by_delay(connection)
        lags = np.full(connection.shape, -1, np.int32)
        lags[connection.pre, connection.post] = connection.delay
        group = np.repeat(np.arange(len(groups.delay), dtype=np.int32), np.diff(groups.row))
        return {
            f"rows_{name}": connection.matrix().astype(self.dtype),
            f"lags_{name}": lags,
            f"group_{name}": group,
        }


class KeptGradient(Mapping[str, np.ndarray]):
    """The gradient of a batch in the machine's memory; reading it copies it.

    Parameters
    ----------
    engine : CudaEngine
        Where it was computed.
    sums : dict of str to array of the machine
        Sums over the trials, by the engine's names.
    n_trials : int
        How many.
    """

    def __init__(self, engine: CudaEngine, sums: dict[str, Any], n_trials: int):
        self.engine, self.sums, self.n_trials = engine, sums, n_trials
        self._copy: dict[str, np.ndarray] | None = None

    def of(self, name: str) -> Any:
        """The sums of a parameter of the network."""
        return self.sums["bias" if name == "readout.b" else name.removesuffix(".w")]

    def __getitem__(self, name: str) -> np.ndarray:
        if self._copy is None:
            self._copy = self.engine.copy_gradient(self.sums, self.n_trials)
        return self._copy[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.engine.net.parameters)

    def __len__(self) -> int:
        return len(self.engine.net.parameters)


def _check_templates(backward: Backward) -> None:
    """Refuse a rule whose templates many threads cannot share."""
    if not _threaded(type(backward), "templates"):
        raise ValueError(
            message(
                f"the backward pass {type(backward).__name__} is written for one thread.",
                _WHERE,
                "Many threads share a trial there: its loops need the words of engine/machine.jinja.",
                "Use backend='engine', or write them so and set threaded = True.",
            )
        )


def _threaded(cls: type, text: str) -> bool:
    """Whether the class that has a text says that many threads may run it."""
    owner = next((base for base in cls.__mro__ if text in vars(base)), cls)
    return bool(vars(owner).get("threaded"))
