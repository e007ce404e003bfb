"""The tables of an exported program: its variables, inputs and results, as C++ and for the manifest."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from brian2.core.variables import DynamicArrayVariable
from brian2.units.fundamentalunits import DIMENSIONLESS

from neurosnn.core.values import Range, unit_name

__all__ = ["Output", "Value", "cpp_tables", "manifest_tables", "plain_unit", "timed_rows"]

NO_LIMITS = (-math.inf, math.inf, True)


class Value(NamedTuple):
    """A variable that the program reads from a file or, if `settable`, from ``--set``.

    `matrix` is the shape (n_pre, n_post) of a file that holds a value for each synapse, `offset`
    the first neuron of each side, `sign` that of each presynaptic neuron; `saved`: written at the
    end as well.
    """

    group: Any
    variable: str
    file: str
    settable: bool = False
    limits: tuple[float, float, bool] = NO_LIMITS
    matrix: tuple[int, int] | None = None
    offset: tuple[int, int] = (0, 0)
    sign: np.ndarray | None = None
    saved: bool = False

    @property
    def name(self) -> str:
        """Name for ``--set``."""
        return f"{self.group.name}.{self.variable}"


class Output(NamedTuple):
    """A variable that is a result; `columns` of each row, 0 for a plain list."""

    group: Any
    variable: str
    file: str
    meaning: str
    columns: int = 0


def limits_of(allowed: Range | None) -> tuple[float, float, bool]:
    """Limits as plain SI numbers."""
    if allowed is None:
        return NO_LIMITS
    high = math.inf if allowed.high is None else float(allowed.high)
    return float(allowed.low), high, bool(allowed.includes_low)


def plain_unit(dimensions: Any) -> str:
    """The SI unit of the numbers in a file."""
    return "1" if dimensions is DIMENSIONLESS else unit_name(dimensions)


# -- C++ --------------------------------------------------------------------------------------


def _text(value: str | None) -> str:
    if value is None:
        return "nullptr"
    return '"' + "".join(_character(byte) for byte in value.encode()) + '"'


def _character(byte: int) -> str:
    """A byte of a C++ string: itself, or three octal digits, which no other digit can follow."""
    plain = 32 <= byte < 127 and chr(byte) not in '"\\?'
    return chr(byte) if plain else f"\\{byte:03o}"


def _number(value: float) -> str:
    return (
        "HUGE_VAL"
        if value == math.inf
        else "-HUGE_VAL"
        if value == -math.inf
        else repr(float(value))
    )


def _array(device: Any, variable: Any) -> tuple[str, bool]:
    """Brian2's name of an array in the program, and whether it is dynamic."""
    if isinstance(variable, DynamicArrayVariable):
        return f"brian::{device.dynamic_arrays[variable]}", True
    return f"brian::{device.arrays[variable]}", False


def _upload(name: str, dynamic: bool, cuda: bool) -> str:
    """Copy an array to the GPU."""
    if not cuda:
        return "[] {}"
    plain_name = name.removeprefix("brian::")
    if dynamic:
        return f"[] {{ brian::dev{plain_name} = {name}; }}"
    size = f"sizeof({name}[0])*brian::_num_{plain_name}"
    return (
        f"[] {{ CUDA_SAFE_CALL(cudaMemcpy(brian::dev{plain_name}, {name}, {size}, "
        "cudaMemcpyHostToDevice)); }"
    )


def _kind(variable: Any) -> str:
    return {"b": "b", "i": "i", "u": "i"}.get(np.dtype(variable.dtype).kind, "f")


def _value(value: Value, device: Any, defaults: Mapping[str, str], cuda: bool, sign: str) -> str:
    variable = value.group.variables[value.variable]
    name, dynamic = _array(device, variable)
    size = f"{name}.size()" if dynamic else f"brian::_num_{name.removeprefix('brian::')}"
    row = column = "nullptr"
    rows, columns = value.matrix or (0, 0)
    if value.matrix:
        sides = zip(("_synaptic_pre", "_synaptic_post"), value.offset, strict=True)
        row, column = (
            f"[](size_t k) {{ return int64_t({_array(device, value.group.variables[side])[0]}[k])"
            f" - {offset}; }}"
            for side, offset in sides
        )
    low, high, includes = value.limits
    raw = device.get_array_filename(variable) if value.saved and value.matrix else None
    fields = [
        _text(value.name),
        _text(value.file),
        _text(plain_unit(variable.dim)),
        _text(defaults.get(value.name, "")),
        f"'{_kind(variable)}'",
        str(value.settable).lower(),
        _number(low),
        _number(high),
        str(includes).lower(),
        str(rows),
        str(columns),
        sign,
        _text(None if raw is None else raw.rsplit("/", 1)[-1]),
        f"[] {{ return size_t({size}); }}",
        f"[](size_t k, double x) {{ {name}[k] = x; }}",
        row,
        column,
        _upload(name, dynamic, cuda),
    ]
    return "{" + ", ".join(fields) + "}"


def _generator(group: Any, device: Any, cuda: bool) -> str:
    lines = []
    for variable, source in (
        ("neuron_index", "i"),
        ("spike_time", "t"),
        ("_timebins", "bin"),
        ("spike_number", "number"),
    ):
        name, dynamic = _array(device, group.variables[variable])
        lines.append(f"assign({name}, {source});")
        if cuda and dynamic:
            lines.append(f"brian::dev{name.removeprefix('brian::')} = {name};")
    arguments = (
        "const std::vector<int32_t>& i, const std::vector<double>& t, "
        "const std::vector<int32_t>& bin"
    )
    number = "std::vector<int32_t> number(i.size()); for (size_t k = 0; k < i.size(); k++) number[k] = k;"
    fields = [
        _text(group.name),
        str(len(group)),
        repr(float(group.clock.dt)),
        f"[]({arguments}) {{ {number} {' '.join(lines)} }}",
    ]
    return "{" + ", ".join(fields) + "}"


def _timed(array: Any, file: str, per_trial: int, extra: int, cuda: bool) -> str:
    name = f"{array.name}_values"
    lines = [f"replace(brian::{name}, v);", f"neurosnn_rows::h_{array.name} = rows;"]
    if cuda:
        lines += [
            f"CUDA_SAFE_CALL(cudaFree(brian::dev{name}));",
            f"CUDA_SAFE_CALL(cudaMalloc((void**)&brian::dev{name}, sizeof(double)*v.size()));",
            f"CUDA_SAFE_CALL(cudaMemcpyToSymbol(brian::d{name}, &brian::dev{name}, sizeof(double*)));",
            f"CUDA_SAFE_CALL(cudaMemcpy(brian::dev{name}, brian::{name}, sizeof(double)*v.size(), "
            "cudaMemcpyHostToDevice));",
            f"CUDA_SAFE_CALL(cudaMemcpyToSymbol(neurosnn_rows::d_{array.name}, "
            f"&neurosnn_rows::h_{array.name}, sizeof(int64_t)));",
        ]
    columns = array.values.shape[1] if array.values.ndim == 2 else 0
    fields = [
        _text(file),
        _text(plain_unit(array.dim)),
        str(columns),
        str(per_trial),
        str(extra),
        f"[](const std::vector<double>& v, size_t rows) {{ {' '.join(lines)} }}",
    ]
    return "{" + ", ".join(fields) + "}"


def timed_rows(arrays: Iterable[Any], cuda: bool) -> str:
    """Declarations of the number of rows of each TimedArray, which Brian2 has as constants."""
    lines = []
    for array in arrays:
        name, rows = array.name, len(array.values)
        lines.append(f"static int64_t h_{name} = {rows};")
        if not cuda:
            lines.append(f"static inline int64_t {name}() {{ return h_{name}; }}")
            continue
        lines += [
            f"static __device__ int64_t d_{name} = {rows};",
            f"static __host__ __device__ inline int64_t {name}() {{",
            "#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ > 0",
            f"    return d_{name};",
            "#else",
            f"    return h_{name};",
            "#endif",
            "}",
        ]
    return "\n".join(["namespace neurosnn_rows {", *lines, "}"])


def cpp_tables(source: Any, device: Any, title: str, cuda: bool) -> str:
    """The tables as C++ source, to be included after Brian2's ``objects.h``."""
    trials = source.trials or {}
    project = [
        _text(title),
        repr(float(source.dt)),
        repr(float(source.duration)),
        *(str(bool(flag)).lower() for flag in (trials, trials.get("several"))),
        *(str(int(trials.get(name, 0))) for name in ("period", "longest", "extra")),
    ]
    signs, entries = [], []
    for k, value in enumerate(source.values):
        sign = "nullptr"
        if value.sign is not None:
            sign = f"sign_{k}"
            numbers = ", ".join(str(int(s)) for s in value.sign)
            signs.append(f"static const signed char {sign}[] = {{{numbers}}};")
        entries.append(_value(value, device, source.defaults, cuda, sign))
    results = []
    for output in source.outputs:
        variable = output.group.variables[output.variable]
        raw = device.get_array_filename(variable).rsplit("/", 1)[-1]
        dtype = np.dtype(variable.dtype).newbyteorder("<").str
        fields = [_text(output.file), _text(raw), _text(dtype), str(int(output.columns))]
        results.append("{" + ", ".join(fields) + "}")
    generators = [_generator(group, device, cuda) for group in source.generators]
    timed = [_timed(a, file, *source.rows_of(file), cuda) for file, a in source.timed.items()]
    parts = [
        "// Written by neurosnn for this project.",
        "namespace neurosnn {",
        f"const Project project = {{{', '.join(project)}}};",
        *signs,
    ]
    for cpp_type, name, constant, items in (
        ("Variable", "variables", "", entries),
        ("Generator", "generators", "const ", generators),
        ("Timed", "timed_arrays", "const ", timed),
        ("Result", "results", "const ", results),
    ):
        body = ",\n        ".join(items)
        parts.append(
            f"{constant}std::vector<{cpp_type}>& {name}() {{\n"
            f"    static {constant}std::vector<{cpp_type}> list = {{\n        {body}\n    }};\n"
            "    return list;\n}"
        )
    return "\n".join([*parts, "}  // namespace neurosnn"]) + "\n"


# -- manifest ---------------------------------------------------------------------------------


def _entry(file: str, dtype: str, shape: list, dimensions: Any, meaning: str) -> dict:
    return {
        "file": f"{file}.npy",
        "dtype": dtype,
        "shape": shape,
        "unit": plain_unit(dimensions),
        "dimensions": [float(power) for power in dimensions._dims],
        "meaning": meaning,
    }


def manifest_tables(source: Any) -> dict[str, list[dict]]:
    """Inputs, parameters and results as plain entries; None in a shape is any number."""
    inputs, parameters, results = [], [], []
    if source.trials:
        inputs.append(
            _entry("trials", "<i8", [None], DIMENSIONLESS, "number of steps of each trial")
        )
        results.append(inputs[0])
    for group in source.generators:
        time = group.variables["spike_time"].dim
        neuron = f"neuron of each spike of {group.name}, 0 to {len(group) - 1}"
        inputs.append(_entry(f"{group.name}.i", "<i4", [None], DIMENSIONLESS, neuron))
        inputs.append(
            _entry(f"{group.name}.t", "<f8", [None], time, "time of each of these spikes")
        )
    for file, array in source.timed.items():
        when, extra = source.rows_of(file)
        every = {0: "row", 1: "trial", 2: "step"}[when]
        shape = [None, *array.values.shape[1:]]
        meaning = f"a value for each {every}" + (", and one at the end" if extra else "")
        inputs.append(_entry(file, "<f8", shape, array.dim, meaning))
    seen = set()
    for value in source.values:
        variable = value.group.variables[value.variable]
        dtype = {"b": "|b1", "i": "<i4"}.get(_kind(variable), "<f8")
        if value.settable:
            low, high, includes = value.limits
            parameters.append(
                {
                    "name": value.name,
                    "value": source.defaults.get(value.name, ""),
                    "unit": plain_unit(variable.dim),
                    "at_least" if includes else "above": None if low == -math.inf else low,
                    "at_most": None if high == math.inf else high,
                    "size": 1 if variable.scalar else int(variable.size or 0),
                }
            )
            continue
        if value.file in seen:
            continue
        seen.add(value.file)
        shape = list(value.matrix) if value.matrix else [None]
        side = "[presynaptic, postsynaptic]" if value.matrix else "in Brian2's order"
        entry = _entry(value.file, dtype, shape, variable.dim, f"values {side}")
        inputs.append(entry)
        if value.saved and value.matrix:
            results.append({**entry, "meaning": "values at the end, [presynaptic, postsynaptic]"})
    for output in source.outputs:
        variable = output.group.variables[output.variable]
        dtype = np.dtype(variable.dtype).newbyteorder("<").str
        shape = [None, output.columns] if output.columns else [None]
        results.append(_entry(output.file, dtype, shape, variable.dim, output.meaning))
    return {"inputs": inputs, "parameters": parameters, "results": results}
