"""What turns the files that Brian2 writes into a portable project that describes itself."""

from __future__ import annotations

import json
import re
import shutil
from importlib import metadata, resources
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
from brian2.core.clocks import Clock

from neurosnn.core.messages import message, printable
from neurosnn.network.storage import versions
from neurosnn.standalone.results import MANIFEST, VERSION
from neurosnn.standalone.tables import cpp_tables, manifest_tables, timed_rows

__all__ = ["count_delays_by_own_clock", "finish", "harden", "meet_clocks", "read_from_files"]

LICENCES = {
    "brian2": "brianlib/, code_objects/ and the other C++ files made from Brian2's templates: CeCILL 2.1,\n"
    "compatible with the GNU GPL (https://cecill.info), see LICENSE-brian2.txt.\n",
    "brian2cuda": "The CUDA files made from brian2cuda's templates: GNU GPL 3, see LICENSE-brian2cuda.txt.\n",
}
MINE = "neurosnn/, program.*, tables.h and the makefile: MIT licence, see neurosnn/LICENSE.txt.\n"
#: Included once, before everything that is put into a namespace.
HEADERS = ("cmath", "ctime", "climits", "cstdlib", "csignal", "cstdint", "cstdio", "iostream", "fstream",
           "map", "random", "set", "string", "tuple", "utility", "vector", "algorithm")  # fmt: skip


def finish(
    source: Any,
    folder: Path,
    target: Any,
    *,
    device: str,
    arch: str,
    threads: int,
    name: str,
    arrays: dict[str, np.ndarray],
    description: dict[str, Any],
    text: str,
) -> None:
    """Make what Brian2 wrote portable, and describe it."""
    cuda = device == "cuda_standalone"
    shutil.rmtree(folder / "results", ignore_errors=True)
    outputs = [(output.group, output.variable) for output in source.outputs]
    outputs += [(value.group, value.variable) for value in source.values if value.saved]
    wanted = {_cpp_name(target, group.variables[name]) for group, name in outputs}
    harden(folder, wanted)
    timed = list(source.timed.values())
    read_from_files(folder, source, timed)
    if cuda:
        count_delays_by_own_clock(folder)
    meet_clocks(folder, source)
    title = printable(f"{name}: {text.splitlines()[0]}")
    _write(folder / f"program.{'cu' if cuda else 'cpp'}", _program(folder, timed, cuda))
    _write(folder / "tables.h", cpp_tables(source, target, title, cuda))
    (folder / "neurosnn").mkdir()
    for header in resources.files("neurosnn.standalone").joinpath("templates", "program").iterdir():
        if header.is_file():
            _write(folder / "neurosnn" / header.name, header.read_text(encoding="utf-8"))
    values = {"arch": arch, "openmp": "-fopenmp" if threads else ""}
    _fill(folder / "makefile", f"makefile.{'cuda' if cuda else 'cpp'}", values)
    if arrays:
        (folder / "inputs").mkdir()
    for file, array in arrays.items():
        np.save(folder / "inputs" / f"{file}.npy", array, allow_pickle=False)
    packages = ("brian2", "brian2cuda") if cuda else ("brian2",)
    for package in packages:
        _copy_licence(package, folder / f"LICENSE-{package}.txt")
    used = {**versions(), **{package: metadata.version(package) for package in packages}}
    tables = manifest_tables(source)
    manifest = {
        "format": MANIFEST,
        "version": VERSION,
        "device": device,
        "versions": used,
        **description,
        "dt": float(source.dt),
        "trials": source.trials,
        **tables,
    }
    _write(folder / "manifest.json", json.dumps(manifest, indent=1))
    values = {
        "title": f"{title}\n{'=' * len(title)}",
        "version": used["neurosnn"],
        "brian2": used["brian2"],
        "needs": "nvcc (CUDA)" if cuda else "a C++ compiler (C++17)",
        "network": "\n".join(f"    {line}" for line in text.splitlines()),
        "inputs": _table(tables["inputs"]),
        "parameters": _parameters(tables["parameters"]),
        "results": _table(tables["results"]),
        "times": _times(source.trials),
        "licences": MINE + "".join(LICENCES[package] for package in packages),
    }
    _fill(folder / "README.txt", "README.txt", values)


def _cpp_name(target: Any, variable: Any) -> str:
    for arrays in (target.dynamic_arrays, target.dynamic_arrays_2d, target.arrays):
        if variable in arrays:
            return arrays[variable]
    raise KeyError(variable.name)


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _fill(path: Path, template: str, values: dict[str, str]) -> None:
    text = (
        resources.files("neurosnn.standalone")
        .joinpath("templates", template)
        .read_text(encoding="utf-8")
    )
    _write(path, Template(text).substitute(values))


def _table(entries: list[dict]) -> str:
    """One line for each file: name, type, shape, unit and meaning."""
    lines = []
    for entry in entries:
        shape = ", ".join("n" if n is None else str(n) for n in entry["shape"])
        type_and_shape = f"{np.dtype(entry['dtype']).name} ({shape})"
        lines.append(
            f"    {entry['file']:<28} {type_and_shape:<22} {entry['unit']:<8} {entry['meaning']}".rstrip()
        )
    return "\n".join(lines) or "    none"


def _parameters(entries: list[dict]) -> str:
    lines = [f"    {entry['name']:<28} {entry['value']} {entry['unit']}" for entry in entries]
    return "\n".join(lines) or "    none"


def _times(trials: dict[str, Any] | None) -> str:
    if trials is None:
        return "The time starts at 0 and ends at the parameter `duration`."
    if not trials["several"]:
        longest = trials["longest"]
        limit = f" (at most {longest} steps)" if longest else ""
        return f"There is one trial{limit}, which starts at time 0."
    return (
        f"Trials have at most {trials['longest']} steps and run one after the other, each from the initial\n"
        f"state. Times run on from trial to trial: trial k starts at step k * {trials['period']}."
    )


def _copy_licence(package: str, path: Path) -> None:
    for file in metadata.distribution(package).files or ():
        if file.name.upper().startswith(("LICENSE", "LICENCE", "COPYING")):
            _write(path, file.read_text(encoding="utf-8"))
            return
    raise RuntimeError(
        message(
            f"the package {package} comes without its licence.",
            "export",
            "Parts of the project are under it, so it must go along.",
            f"Install {package} from the package index again.",
        )
    )


# -- Brian2's files ---------------------------------------------------------------------------


def _substitute(path: Path, rules: list[tuple[str, str]]) -> None:
    text = path.read_text(encoding="utf-8")
    for pattern, replacement in rules:
        text, count = re.subn(pattern, replacement, text, flags=re.DOTALL)
        if not count:
            raise RuntimeError(
                message(
                    f"nothing in {path.name} matches {pattern!r}.",
                    "export",
                    f"Brian2 {metadata.version('brian2')} writes other code than the versions known here.",
                    "Use a supported version of Brian2.",
                )
            )
    _write(path, text)


def harden(folder: Path, wanted: set[str]) -> None:
    """Brian2's program goes on when a file cannot be read or written; ours stops with an error.

    Of all arrays it writes only those that are `wanted`.
    """
    path = next(folder.glob("objects.c*"))
    stop = 'neurosnn::fail("{}");'
    rules = [
        (r'std::cout << "(Error (?:opening|writing)[^"]*)" << (?:std::)?endl;', stop.format(r"\1")),
        (
            r"(f_static_array_\w+|f\w+_values)\.read\(([^;]*)\);",
            r"\1.read(\2); if (!\1) { " + stop.format(r"Error: too short a file for \1") + " }",
        ),
        (
            r"(outfile_\w+)\.close\(\);",
            r"\1.close(); if (\1.fail()) { " + stop.format(r"Error writing \1 (disk full?)") + " }",
        ),
    ]
    text = path.read_text(encoding="utf-8")
    if not re.search(rules[1][0], text):
        del rules[1]  # nothing is read
    _substitute(path, rules)
    block = re.compile(
        r"^    ofstream outfile_(_\w+);\n.*?^    \} else\n    \{\n.*?^    \}\n",
        flags=re.DOTALL | re.MULTILINE,
    )
    text = path.read_text(encoding="utf-8")
    _write(path, block.sub(lambda match: match[0] if match[1] in wanted else "", text))


def read_from_files(folder: Path, source: Any, timed: list[Any]) -> None:
    """Let Brian2's program start from our inputs, for their duration, and report its steps to us."""
    main = next(folder.glob("main.c*"))
    name = re.escape(source.network.name)
    clock = min((obj.clock for obj in source.network.sorted_objects), key=lambda c: float(c.dt))
    text = main.read_text(encoding="utf-8")
    first = re.search(rf"^ *(_before_run_\w+\(\);|{name}\.clear\(\);)", text, flags=re.MULTILINE)
    if first:
        begin = first.start()
        _write(main, f"{text[:begin]}        neurosnn::start();\n{text[begin:]}")
    _substitute(
        main,
        [
            (r"int main\(int argc", "int simulate(int argc"),
            (r"\n\s*std::signal\(SIGINT, _int_handler\);", ""),
            (
                r"\n *set_from_command_line\(args\);",
                f"\n        {name}.add(&{clock.name}, neurosnn::step);",
            ),
            (rf"{name}\.run\([^,]+,", f"{name}.run(neurosnn::duration(),"),
            (r"neurosnn::start\(\);", "neurosnn::start();"),  # it must be there
        ],
    )
    code = [*folder.glob("code_objects/*.c*")]
    for array in timed:
        body = rf"(static inline \w+ {array.name}\(const double t.*?\n    \}})"
        n_places = 0
        for path in code:
            text = path.read_text(encoding="utf-8")
            if not re.search(body, text, flags=re.DOTALL):
                continue
            rows = f"neurosnn_rows::{array.name}()"
            text = re.sub(
                body,
                lambda match, rows=rows: re.sub(
                    r"(i|timestep) >= \d+\)\s*\1 = \d+-1;",
                    rf"\1 >= {rows})\n\1 = {rows} - 1;",
                    match[0],
                ),
                text,
                flags=re.DOTALL,
            )
            n_places += text.count(rows) // 2
            _write(path, text)
        if not n_places:
            raise RuntimeError(
                message(
                    f"the number of rows of {array.name} is not in the program.",
                    "export",
                    "It must follow the input files.",
                    "Use a supported version of Brian2.",
                )
            )


def count_delays_by_own_clock(folder: Path) -> None:
    """Let CUDA synapses count their delay in steps of their own clock.

    brian2cuda always asks the default clock, which may be absent, stand still or go faster.
    """
    for path in folder.glob("code_objects/*.cu"):
        text = path.read_text(encoding="utf-8")
        if "defaultclock.timestep[0] >= " in text:
            clock = re.search(r"bid_offset,\s*(\w+)\.timestep\[0\],", text)[1]
            condition = rf"{clock}.timestep[0] >= \1"
            _substitute(path, [(r"defaultclock\.timestep\[0\] >= (\w+_delay\b)", condition)])


def meet_clocks(folder: Path, source: Any) -> None:
    """Let two clocks tick together wherever Brian2's own network says that they meet.

    Its programs allow 1e-14 s between them. Times are products with rounding, so from 64 s on they differ by
    more: what begins a trial then ran after the first step of the trial.
    """
    shortest = min(float(obj.clock.dt) for obj in source.network.sorted_objects)
    (path,) = folder.glob("network.c*")
    gap = f"#define Clock_epsilon {Clock.epsilon_dt * shortest!r}"
    _substitute(path, [(r"#define Clock_epsilon 1e-14\b", gap)])


def _program(folder: Path, timed: list[Any], cuda: bool) -> str:
    """All of the program as one file, which compiles many times faster than Brian2's many files.

    Each code object repeats the same helpers, so each gets a namespace of its own.
    """
    suffix = "cu" if cuda else "cpp"
    # After-run code last: on a GPU it calls kernels of other code objects.
    code = sorted(
        folder.glob(f"code_objects/*.{suffix}"), key=lambda p: (p.stem.startswith("after_run"), p)
    )
    lines = ["// The whole program; see README.txt for the licences of its parts."]
    lines += [f"#include <{name}>" for name in HEADERS]
    lines += ['#include "neurosnn/npy.h"', '#include "objects.h"', '#include "run.h"']
    lines += _includes(folder, code)
    lines += [f'#include "code_objects/{path.stem}.h"' for path in code]
    lines += ['#include "neurosnn/start.h"', timed_rows(timed, cuda), '#include "tables.h"']
    kernels: dict[str, str] = {}
    for k, path in enumerate(code):
        text = path.read_text(encoding="utf-8")
        for kernel, owner in kernels.items():
            text = re.sub(rf"\b(?<!\"){kernel}\b", f"{owner}::{kernel}", text)
        _write(path, text)
        lines.append(f'namespace unit_{k} {{\n#include "code_objects/{path.name}"\n}}')
        for function in re.findall(r"^void (_\w+)\(\)\n\{", text, flags=re.MULTILINE):
            lines.append(f"void {function}() {{ unit_{k}::{function}(); }}")
        header = path.with_suffix(".h").read_text(encoding="utf-8")
        for kernel in re.findall(r"__global__ void (\w+)\(", header):
            kernels[kernel] = f"unit_{k}"
    library = sorted(
        path.stem for path in folder.glob(f"brianlib/*.{suffix}")
    )  # from Brian2 2.10 on
    files = [f"brianlib/{name}" for name in library]
    files += ["network", "objects", "synapses_classes", "rand", "run", "main"]
    for name in files:
        if (folder / f"{name}.{suffix}").exists():
            lines.append(f'#include "{name}.{suffix}"')
    return "\n".join(lines) + "\n"


def _includes(folder: Path, code: list[Path]) -> list[str]:
    """Everything that the code objects include and that may stand outside of their namespaces."""
    lines: dict[str, None] = {}
    for path in code:
        for line in re.findall(
            r"^#include *[<\"][^>\"]+[>\"]", path.read_text(encoding="utf-8"), flags=re.MULTILINE
        ):
            name = re.split(r"[<>\"]", line)[1]
            included = folder / name
            guarded = not included.exists() or re.search(
                r"^#(ifndef|pragma once)", included.read_text(encoding="utf-8"), flags=re.MULTILINE
            )
            if guarded and not name.startswith("code_objects/"):
                lines[line] = None
    return list(lines)
