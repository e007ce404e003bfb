"""A compiled network on a machine of many threads: memory, and the kernels of a batch in their order."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import Any

import numpy as np

from neurosnn.core.messages import message
from neurosnn.cuda.machines import Machine
from neurosnn.engine.codegen import ConnectionCode, LayerCode
from neurosnn.engine.program import REAL

__all__ = ["CudaProgram", "Table", "batch_fields_of_blocks", "kernel_names"]

#: As in the kernels: targets and groups of trials of a block that sums the gradient of weights.
TILE, GROUPS, PARTS = 32, 16, 128
#: Bytes up to which it is quicker to compare an array with the last one than to copy it.
SMALL = 2**16
#: Numbers of an update, see :meth:`CudaProgram.descend`.
UPDATE_NUMBERS = (
    "clip",
    "shrink",
    "decay",
    "rate",
    "root",
    "epsilon",
    "beta_1",
    "rest_1",
    "beta_2",
    "rest_2",
)
INTEGERS = {"int64_t": ctypes.c_int64, "double": ctypes.c_double}
DTYPES = {
    "int64_t": np.int64,
    "int32_t": np.int32,
    "uint32_t": np.uint32,
    "double": np.float64,
    "float": np.float32,
    "char": np.uint8,
    "bool": np.bool_,
}


def batch_fields_of_blocks(
    fields: list[tuple[str, str]],
    layers: list[LayerCode],
    connections: list[ConnectionCode],
    *,
    transposed: bool,
    learns: bool,
) -> list[tuple[str, str]]:
    """The members of the engine's Batch, without sizes that are compiled in, and what blocks need besides."""
    constant = {f"n_{layer.index}" for layer in layers}
    block_fields = [(name, c_type) for name, c_type in fields if name not in constant]
    block_fields += [
        (name, "int64_t") for name in ("table_steps", "max_events", "workspace_stride")
    ]
    block_fields += [("workspace", "char*"), ("sizes", "int64_t*")]
    block_fields += [(name, "const int64_t*") for name in ("chosen", "event_begin", "event_end")]
    block_fields += [
        ("input_offset", "int64_t*"),
        ("input_first", "int64_t*"),
        ("input_when", "int32_t*"),
    ]
    block_fields += [(f"spikes_{layer.index}", "uint32_t*") for layer in layers if layer.spiking]
    if learns:
        block_fields += [
            ("update_size", "int64_t"),
            ("update_w", "double*"),
            ("update_mask", "const bool*"),
        ]
        block_fields += [("update_gradient", "const double*"), ("update_squares", "double*")]
        block_fields += [("update_mean", "double*"), ("update_square", "double*")]
        block_fields += [(f"update_{name}", "double") for name in UPDATE_NUMBERS]
    for c in connections:
        if c.synaptic:
            block_fields += [
                (f"rows_{c.name}", "const real*"),
                (f"lags_{c.name}", "const int32_t*"),
                (f"group_{c.name}", "const int32_t*"),
            ]
        elif c.delayed and c.source_layer:
            block_fields.append((f"order_{c.name}", "const int32_t*"))
        elif c.delayed:
            block_fields += [
                (f"arrival_offset_{c.name}", "int64_t*"),
                (f"arrival_channel_{c.name}", "int32_t*"),
            ]
        if transposed and c.source_layer:
            block_fields.append((f"across_{c.name}", "const real*"))
    return block_fields


def kernel_names(
    connections: list[ConnectionCode], *, learns: bool, real_input: bool
) -> tuple[str, ...]:
    """All kernels of a network."""
    names = ["measure_memory", "run_trials"]
    if not real_input:
        names.append("list_input")
        names += [f"list_arrivals_{c.name}" for c in connections if _late_input(c)]
    if learns:
        names += ["run_trials_backwards", "gradient_rest", "square_gradient", "descend"]
        names += [f"gradient_{c.name}" for c in connections if c.learned]
    return tuple(names)


def _late_input(c: ConnectionCode) -> bool:
    """Whether input spikes arrive later than they were sent, all of a channel at once."""
    return c.delayed and not (c.source_layer or c.synaptic)


class Table:
    """Input spikes of trials in the machine's memory, by step and by channel.

    Parameters
    ----------
    n_rows, steps : int
        Trials, and the most steps of one.
    arrays : dict of str to array
        In the machine's memory, by the names of the Batch.
    most_events : int
        The most spikes of a trial.
    """

    def __init__(self, n_rows: int, steps: int, arrays: dict[str, Any], most_events: int):
        self.n_rows, self.steps, self.arrays = n_rows, steps, arrays
        self.most_events = most_events


class CudaProgram:
    """The kernels of a network, and the memory that they keep between calls.

    Parameters
    ----------
    machine : Machine
        Where they run.
    source : str
        The generated text.
    fields : list of (str, str)
        Members of the Batch structure.
    layers, connections : list
        Pieces of the network.
    sizes : dict of int to int
        Neurons of each layer by its index, the readout last.
    n_input : int
        Input channels.
    dtype : numpy.dtype
        Arithmetic.
    """

    def __init__(
        self,
        machine: Machine,
        source: str,
        fields: list[tuple[str, str]],
        layers: list[LayerCode],
        connections: list[ConnectionCode],
        sizes: dict[int, int],
        n_input: int,
        dtype: np.dtype,
    ):
        self.machine, self.fields, self.sizes = machine, fields, sizes
        self.layers, self.connections, self.n_input = layers, connections, n_input
        self.real = REAL[dtype.name]
        names = {**{str(k): n for k, n in sizes.items()}, "INPUT": n_input}
        machine.compile(source, names, self.real)
        self._dtypes = {**DTYPES, "real": dtype.type}
        #: Of each member whether it is read only, and the type of an array; None of a number.
        self._kinds: dict[str, tuple[bool, Any]] = {
            name: (
                c_type.startswith("const "),
                None
                if c_type in INTEGERS
                else self._dtypes[c_type.removeprefix("const ").removesuffix("*")],
            )
            for name, c_type in fields
        }
        self._structure = type(
            "Batch",
            (ctypes.Structure,),
            {
                "_fields_": [
                    (name, INTEGERS.get(c_type, ctypes.c_void_p)) for name, c_type in fields
                ]
            },
        )
        self._workspace: Any = None
        self._measured: dict[tuple[int, ...], tuple[int, int]] = {}
        self._kept: dict[str, tuple[np.ndarray, Any]] = {}
        self._spikes: dict[int, np.ndarray] = {}
        self._steps: np.ndarray = np.zeros(0, np.int64)

    # -- calls ------------------------------------------------------------------------------

    def run(self, values: Mapping[str, Any]) -> None:
        """Run a batch; results are written into the arrays among the values.

        Parameters
        ----------
        values : mapping of str to number or ndarray
            Members of the structure, as for the engine's program; a ``table`` of prepared input and the
            rows ``chosen`` of it take the place of the spikes.

        Raises
        ------
        MemoryError
            If the batch does not fit the memory; the message says how much it needs.
        """
        n, gradient = int(values["n_trials"]), bool(values.get("gradient", 0))
        values = dict(values)
        table, kept_gradients = values.pop("table", None), values.pop("kept_gradients", {})
        numbers, inputs, outputs = self._sort(values)
        memory = {
            name: self._put(name, array) if isinstance(array, np.ndarray) else array
            for name, array in inputs.items()
        }
        if table is None and "event_step" in inputs:
            table = self.table(inputs["event_offset"], memory, int(values["max_steps"]))
            memory["chosen"] = self.machine.put(np.arange(n, dtype=np.int64))
        if table is not None:
            memory |= table.arrays
            numbers |= {"table_steps": table.steps, "max_events": table.most_events}
        # a recording of a shorter trial keeps its zeros; all else is written as a whole
        results = {
            name: self.machine.put(array)
            if name == "outputs" or name.startswith("trace_")
            else self.machine.array(array.shape, array.dtype)
            for name, array in outputs.items()
        }
        # gradients that stay in the machine's memory
        results |= {f"d_{name}": array for name, array in kept_gradients.items()}
        if values.get("record_spikes"):
            words = (int(values["max_steps"]) + 31) // 32
            for layer in self.layers:
                if layer.spiking:
                    shape = (n, words, self.sizes[layer.index])
                    results[f"spikes_{layer.index}"] = self.machine.array(shape, np.uint32)
        if table is not None:
            memory |= self._arrivals(n, int(values["max_steps"]), table)
        stride, shared = self._measure(numbers, gradient)
        numbers["workspace_stride"] = stride
        memory["workspace"] = self._memory(stride, n)
        batch = self._batch(numbers, memory, results)
        if table is not None:
            for c in self.connections:
                if _late_input(c):
                    self.machine.launch(f"list_arrivals_{c.name}", batch, n, 0)
        kernel = "run_trials_backwards" if gradient else "run_trials"
        self.machine.launch(kernel, batch, n, shared)
        if gradient:
            self._gradients(batch)
        self.machine.fetch([(results[name], array) for name, array in outputs.items()])
        self._steps = np.asarray(values["n_steps"])
        self._spikes = {
            layer.index: results[f"spikes_{layer.index}"].get()
            for layer in self.layers
            if f"spikes_{layer.index}" in results
        }

    def spikes(self, trial: int, layer: int) -> tuple[np.ndarray, np.ndarray]:
        """Steps and neurons of all spikes of a layer in a trial of the last batch."""
        words = self._spikes[layer][trial]
        bits = words[:, None, :] >> np.arange(32, dtype=np.uint32)[None, :, None] & 1
        step, neuron = np.nonzero(bits.reshape(-1, words.shape[-1])[: self._steps[trial]])
        return step.astype(np.int32), neuron.astype(np.int32)

    def table(self, offsets: np.ndarray, memory: Mapping[str, Any], steps: int) -> Table:
        """Sort the input spikes of trials by step and by channel."""
        rows = len(offsets) - 1
        begin, end = np.ascontiguousarray(offsets[:-1]), np.ascontiguousarray(offsets[1:])
        arrays = {
            "event_step": memory["event_step"],
            "event_channel": memory["event_channel"],
            "event_begin": self.machine.put(begin),
            "event_end": self.machine.put(end),
            "input_offset": self.machine.array((rows, steps + 1), np.int64),
            "input_first": self.machine.array((rows, self.n_input + 1), np.int64),
            "input_when": self.machine.array(max(int(offsets[-1]), 1), np.int32),
        }
        batch = self._batch({"table_steps": steps}, arrays, {})
        self.machine.launch("list_input", batch, rows, 0)
        return Table(rows, steps, arrays, max(int((end - begin).max(initial=0)), 1))

    # -- updates ----------------------------------------------------------------------------

    def squares(self, gradient: Any, size: int, n_trials: int, mask: Any) -> Any:
        """Sums of the squares of parts of a gradient, in the machine's memory."""
        sums = self.machine.array(PARTS, np.float64)
        arrays = {"update_gradient": gradient, "update_squares": sums} | _mask(mask)
        batch = self._batch({"update_size": size, "n_trials": n_trials}, arrays)
        self.machine.launch("square_gradient", batch, PARTS, 8 * self.machine.threads)
        return sums

    def descend(
        self,
        w: Any,
        gradient: Any,
        size: int,
        n_trials: int,
        mask: Any,
        averages: tuple[Any, ...],
        numbers: Mapping[str, float],
    ) -> None:
        """One step of an optimizer on an array in the machine's memory.

        Parameters
        ----------
        w, gradient : array of the machine
            The array to change, and its gradient summed over this number of trials.
        size, n_trials : int
            Numbers of w, and of trials.
        mask : array of the machine or None
            Where w may change.
        averages : tuple of arrays of the machine
            None; the velocity; or Adam's two averages.
        numbers : mapping of str to float
            By :data:`UPDATE_NUMBERS`.
        """
        arrays = {"update_w": w, "update_gradient": gradient} | _mask(mask)
        arrays |= dict(zip(("update_mean", "update_square"), averages, strict=False))
        scalars = {f"update_{name}": numbers.get(name, 0.0) for name in UPDATE_NUMBERS}
        batch = self._batch({"update_size": size, "n_trials": n_trials, **scalars}, arrays)
        self.machine.launch("descend", batch, PARTS, 0)

    # -- memory -----------------------------------------------------------------------------

    def _put(self, name: str, array: np.ndarray) -> Any:
        """An array in the machine's memory; a small one is copied only if it has changed."""
        earlier = self._kept.get(name)
        if (
            earlier is not None
            and earlier[0].shape == array.shape
            and np.array_equal(earlier[0], array)
        ):
            return earlier[1]
        memory = self.machine.put(array)
        if array.nbytes <= SMALL:
            self._kept[name] = (array.copy(), memory)
        return memory

    def _sort(
        self, values: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, np.ndarray]]:
        """Numbers, arrays that are read and arrays that are written, of the members of the Batch."""
        numbers: dict[str, Any] = {}
        inputs: dict[str, Any] = {}
        outputs: dict[str, np.ndarray] = {}
        for name, value in values.items():
            if value is None or name not in self._kinds:
                continue
            constant, dtype = self._kinds[name]
            if dtype is None:
                numbers[name] = value
            elif not isinstance(value, np.ndarray):
                inputs[name] = value
            elif constant:
                inputs[name] = np.ascontiguousarray(value, dtype)
            else:
                outputs[name] = value
        return numbers, inputs, outputs

    def _batch(self, numbers: Mapping[str, Any], *arrays: Mapping[str, Any]) -> ctypes.Structure:
        batch: ctypes.Structure = self._structure(**numbers)
        for group in arrays:
            for name, array in group.items():
                setattr(batch, name, array.address)
        return batch

    def _measure(self, numbers: Mapping[str, Any], gradient: bool) -> tuple[int, int]:
        """Bytes of a trial in the machine's memory, and of a block in shared memory."""
        key = (int(numbers["max_steps"]), int(numbers["max_delay"]), int(gradient))
        if key not in self._measured:
            sizes = self.machine.put(np.zeros(2, np.int64))
            batch = self._batch({**numbers, "gradient": int(gradient)}, {"sizes": sizes})
            self.machine.launch("measure_memory", batch, 1, 0)
            self._measured[key] = (int(sizes.get()[0]), int(sizes.get()[1]))
        return self._measured[key]

    def _memory(self, stride: int, n_trials: int) -> Any:
        """The memory of all trials, kept for the next batch."""
        if self._workspace is None or self._workspace.nbytes < stride * n_trials:
            self._workspace = None
            try:
                self._workspace = self.machine.array(stride * n_trials, np.uint8)
            except MemoryError as error:
                raise MemoryError(
                    message(
                        f"{n_trials} trials need {stride * n_trials / 2**30:.1f} GiB, "
                        f"{stride / 2**20:.1f} MiB each.",
                        "CudaEngine",
                        "The history of each trial of a batch is kept for the way back.",
                        "Use a smaller batch_size or shorter trials.",
                    )
                ) from error
        return self._workspace

    def _arrivals(self, n: int, steps: int, table: Table) -> dict[str, Any]:
        arrays: dict[str, Any] = {}
        for c in self.connections:
            if _late_input(c):
                offset = self.machine.array((n, steps + 1), np.int64)
                channel = self.machine.array((n, table.most_events), np.int32)
                arrays |= {
                    f"arrival_offset_{c.name}": offset,
                    f"arrival_channel_{c.name}": channel,
                }
        return arrays

    def _gradients(self, batch: ctypes.Structure) -> None:
        shared = TILE * GROUPS * np.dtype(self._dtypes["real"]).itemsize
        largest = max(self.sizes.values())
        for c in self.connections:
            n_pre = int(getattr(batch, f"n_pre_{c.name}"))
            size = int(getattr(batch, f"size_{c.name}"))
            largest = max(largest, size if c.synaptic else n_pre)
            if not c.learned or not size:
                continue
            if c.synaptic:
                self.machine.launch(f"gradient_{c.name}", batch, -(-size // TILE), shared)
                continue
            tiles = -(-self.sizes[int(c.target.removeprefix("layer"))] // TILE)
            self.machine.launch(f"gradient_{c.name}", batch, n_pre * tiles, shared)
        self.machine.launch("gradient_rest", batch, -(-largest // TILE), 8 * TILE * GROUPS)


def _mask(mask: Any) -> dict[str, Any]:
    return {} if mask is None else {"update_mask": mask}
