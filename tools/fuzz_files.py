"""Reads saved files with altered bytes, members and values: each must be refused or be valid.

    .venv/bin/python tools/fuzz_files.py 2000 --seed 1

A file that is refused must say so in one readable line. Nothing may hang, run, be written elsewhere, or
take more memory than the file has reason to. The suite runs 50 of these (tests/test_fuzz_files.py).
"""

from __future__ import annotations

import argparse
import copy
import io
import json
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from brian2.units.allunits import msecond

from neurosnn import (
    EProp,
    Input,
    Layer,
    Population,
    Projection,
    Readout,
    SpikingNetwork,
    Trainer,
    equations,
)
from neurosnn.core.messages import MESSAGE, printable
from neurosnn.data import read_nmnist
from neurosnn.study import Uniform

SECONDS = 20.0
#: Growth of the process over one run, in bytes.
MEMORY = 1.5 * 2**30

TEXTS = [
    "", "x", "../pwned", "/pwned", "x\n#include <cstdlib>\nstatic int p = system(\"touch pwned\");//",
    "__import__('os').system('touch pwned')", "\x1b[2J\x00", "\u202e", "\udc80",
    "{{ 7*7 }}", "$(touch pwned)", "dv/dt = -v/ms : 1",
    "dv/dt = '" + "\\137" * 5 + "'/ms : 1", "v > clip('\\137', 0, 1)", "9**9**9**9",
    "v : 9**9", "-" * 3000 + "v", "(" * 3000, "x" * 100_000, "nan", "1e999", "input", "readout", "v",
    "tau_m", "exact", "rk4", "gsl", "independent",
]  # fmt: skip
VALUES: list[Any] = [
    None, True, False, 0, -1, 1, 2, 10**6, 10**12, 2**63, 10**400, 0.5, -0.0, 1e-300, 1e308, float("nan"),
    float("inf"), [], {}, [[]], [1, 2, 3], {"value": 1.0, "dimensions": [0] * 7}, ["v"] * 1000,
    {"value": [1.0] * 4, "dimensions": [0, 0, 1, 0, 0, 0, 0]},
    {"value": 0.02, "dimensions": [0, 0, 1, 0, 0, 0, 0]},
    {"value": 0.02, "dimensions": [1e308, float("nan"), 1, 0, 0, 0, 0]}, *TEXTS,
]  # fmt: skip
HEADERS = [
    "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }",
    "{'descr': '<f8', 'fortran_order': True, 'shape': (3, 4), }",
    "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
    "{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (2,), }",
    "{'descr': '<f8', 'fortran_order': False, 'shape': (-1, 12), }",
    "{'descr': '<f8', 'fortran_order': False, 'shape': (2**40,), }",
    "{'descr': __import__('os').system('touch pwned'), 'fortran_order': False, 'shape': (), }",
    "{'descr': '<f8', 'fortran_order': False, 'shape': (4294967296, 4294967296), }",
    "{'descr': '|S1000000000', 'fortran_order': False, 'shape': (), }",
    "{'descr': '>f8', 'fortran_order': False, 'shape': (3, 4), }",
    "((((" * 2000,
]

#: Two recordings of an event camera, as in nmnist_small.npz.
EVENTS = {
    "x": np.array([3, 4, 5, 33], np.uint8),
    "y": np.array([0, 4, 5, 33], np.uint8),
    "p": np.array([0, 1, 1, 0], np.uint8),
    "t": np.array([1, 9, 4, 70_000], np.uint32),
    "offsets": np.array([0, 2, 4]),
    "labels": np.array([7, 2], np.uint8),
    "is_test": np.array([False, True]),
}


class Hang(BaseException):
    """A file took too long."""


# -- originals ----------------------------------------------------------------------------------


def originals() -> dict[str, tuple[bytes, Callable[[Path], None]]]:
    """Bytes of valid files, and how each is read and looked at."""
    one = SpikingNetwork(
        Input(3, delay=[0, 1, 2] * msecond),
        Layer(equations.ALIF(), 4, recurrent=True, learn=("tau_m", "delay"), excitatory=0.5),
        Readout(2),
        dt=1 * msecond,
        seed=1,
    )
    two = SpikingNetwork(
        Input(6),
        Layer(equations.LIF(), 5, connectivity=0.5),
        Layer(equations.CurrentLIF(), 4, recurrent=True, connectivity=0.4),
        Readout(2),
        dt=1 * msecond,
        seed=2,
    )
    graph = SpikingNetwork.from_graph(
        {"E": Population(equations.ALIF(), 4, learn="tau_m"), "I": Population(equations.LIF(), 3)},
        [
            Projection("input", "E", in_degree=2),
            Projection("E", "I", delay=Uniform(0 * msecond, 3 * msecond), learn=("w", "delay")),
            Projection("I", "E", delay=1 * msecond, sign=-1, learn=()),
        ],
        Readout(2, of="E"),
        input=Input(3),
        dt=1 * msecond,
        seed=3,
    )
    small = SpikingNetwork(Input(3), Layer(equations.LIF(), 4), Readout(2), dt=1 * msecond)
    trainer = Trainer(small, EProp(), backend="brian2")

    def network(path: Path) -> None:
        net = SpikingNetwork.load(path)
        if not all(np.isfinite(array).all() for array in net.parameters.values()):
            raise AssertionError("a network that is not finite was accepted")
        shown = repr(net)
        if any(printable(line) != line for line in shown.split("\n")):
            raise AssertionError("a network is shown with characters that are not seen")
        net.save(path)
        SpikingNetwork.load(path)

    def checkpoint(path: Path) -> None:
        trainer.load_checkpoint(path)
        repr(trainer.history)
        trainer.save_checkpoint(path)

    def data_set(path: Path) -> None:
        repr(read_nmnist(path))

    found: dict[str, tuple[bytes, Callable[[Path], None]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file.npz"
        for name, write, read in (
            ("a dense network", one.save, network),
            ("a sparse network", two.save, network),
            ("a graph", graph.save, network),
            ("a checkpoint", trainer.save_checkpoint, checkpoint),
        ):
            write(path)
            found[name] = (path.read_bytes(), read)
        np.savez_compressed(path, **EVENTS)
        found["a data set"] = (path.read_bytes(), data_set)
    return found


# -- alterations --------------------------------------------------------------------------------


def flipped(content: bytes, rng: np.random.Generator) -> bytes:
    """A few other bytes."""
    changed = bytearray(content)
    for place in rng.integers(len(changed), size=rng.integers(1, 9)):
        changed[place] ^= int(rng.integers(1, 256))
    return bytes(changed)


def cut(content: bytes, rng: np.random.Generator) -> bytes:
    """The beginning of the file, or the file with more behind it."""
    if rng.random() < 0.3:
        return content + rng.bytes(100)
    return content[: rng.integers(len(content))]


def with_members(content: bytes, rng: np.random.Generator) -> bytes:
    """Members missing, exchanged, renamed, doubled, packed or made of other bytes."""
    members = read_members(content)
    name = str(rng.choice(list(members)))
    other = str(rng.choice(list(members)))
    kind = rng.integers(8)
    packed: set[str] = set()
    extra: list[tuple[str, bytes]] = []
    if kind == 0:
        del members[name]
    elif kind == 1:
        members[name], members[other] = members[other], members[name]
    elif kind == 2:
        new = str(
            rng.choice(
                ["../pwned.npy", "/pwned.npy", "a/../../pwned", "pwned\x00.npy", "é" * 300, ""]
            )
        )
        members[new or "."] = members.pop(name)
    elif kind == 3:
        extra.append((name, members[other]))
    elif kind == 4:
        members[name], packed = bytes(2**26), {name}
    elif kind == 5:
        members[name] = rng.bytes(int(rng.integers(0, 5000)))
    elif kind == 6:
        packed = {name}
    else:
        members[name] = flipped(members[name], rng) if members[name] else b"x"
    return write_members([*members.items(), *extra], packed)


def with_array(content: bytes, rng: np.random.Generator) -> bytes:
    """An array of another type, shape or header, with values that are none."""
    members = read_members(content)
    name = str(rng.choice([n for n in members if n.endswith(".npy")]))
    array = np.load(io.BytesIO(members[name]), allow_pickle=False)
    kind = rng.integers(7)
    if kind == 0:
        header = str(rng.choice(HEADERS)).encode() + b"\n"
        version = bytes([int(rng.choice([1, 1, 1, 2, 3, 9])), 0])
        size = len(header).to_bytes(2 if version[0] == 1 else 4, "little")
        members[name] = b"\x93NUMPY" + version + size + header + array.tobytes()
        return write_members(members.items())
    if kind == 1:
        array = array.astype(rng.choice(["f4", "i4", "i8", "?", "c16", "u1", ">f8", "S3"]))
    elif kind == 2:
        array = np.resize(array, tuple(rng.integers(0, 6, size=rng.integers(0, 4))))
    elif kind == 3:
        array = np.asfortranarray(array)
    elif kind == 4 and array.size:
        flat = array.reshape(-1).copy()
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            special = [np.nan, np.inf, -np.inf, 1e308, -1, 2**31 - 1, 0]
            flat[rng.integers(flat.size)] = np.array(rng.choice(special)).astype(flat.dtype)
        array = flat.reshape(array.shape)
    elif kind == 5:
        array = rng.permutation(array.reshape(-1)).reshape(array.shape)
    else:
        array = np.array(["x"])
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, allow_pickle=False)
    members[name] = buffer.getvalue()
    return write_members(members.items())


def with_text(content: bytes, rng: np.random.Generator) -> bytes:
    """Values of the description replaced, left out or added."""
    members = read_members(content)
    if "information.json" not in members:
        return with_array(content, rng)
    data = json.loads(members["information.json"])
    if rng.random() < 0.03:
        depth = 100_000
        members["information.json"] = b"[" * depth + b"]" * depth
        return write_members(members.items())
    for _ in range(rng.integers(1, 4)):
        places = list(walk(data))
        parent, key = places[rng.integers(len(places))]
        value = copy.deepcopy(VALUES[rng.integers(len(VALUES))])
        kind = rng.integers(5)
        if kind == 0 and isinstance(parent, dict):
            del parent[key]
        elif kind == 1 and isinstance(parent, dict):
            parent[str(rng.choice(TEXTS[:12]))] = value
        elif kind == 2 and isinstance(parent, dict):
            parent[TEXTS[rng.integers(len(TEXTS))]] = parent.pop(key)
        else:
            parent[key] = value
        if not data:
            break
    text = json.dumps(data)
    members["information.json"] = text.encode()
    return write_members(members.items())


ALTERATIONS: list[tuple[float, Callable]] = [
    (0.15, flipped), (0.05, cut), (0.2, with_members), (0.2, with_array), (0.4, with_text)
]  # fmt: skip


def walk(tree: Any):
    """(container, key) of every value below."""
    for key, value in list(tree.items() if isinstance(tree, dict) else enumerate(tree)):
        yield tree, key
        if isinstance(value, dict | list):
            yield from walk(value)


def read_members(content: bytes) -> dict[str, bytes]:
    """All members of an archive."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write_members(members: Any, packed: Any = ()) -> bytes:
    """An archive of these members."""
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w") as archive:
        warnings.simplefilter("ignore")
        for name, content in members:
            kind = zipfile.ZIP_DEFLATED if name in packed else zipfile.ZIP_STORED
            archive.writestr(zipfile.ZipInfo(name), content, compress_type=kind)
    return buffer.getvalue()


# -- runs ---------------------------------------------------------------------------------------


def attempt(path: Path, read: Callable[[Path], None]) -> tuple[str, str]:
    """What becomes of a file: "refused", "valid", or what is wrong, and the message."""

    def too_long(*_: Any) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, too_long)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        read(path)
    except (ValueError, OSError) as error:
        text = str(error.args[-1] if error.args else error)
        if not 20 < len(text) <= MESSAGE or printable(text) != text or ": " not in text:
            return "an unclear message", repr(text[:1000])
        return "refused", text
    except Hang:
        return "a hang", "".join(traceback.format_exc()[-2000:])
    except BaseException:
        return "a crash", traceback.format_exc()[-3000:]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    return "valid", ""


def run(number: int, seed: int, *, report: Callable[[str], None] = print) -> Counter:
    """Read so many altered files; what is wrong with one is reported with its number.

    Parameters
    ----------
    number, seed : int
        How many files, and the seed of the first; file k has the seed (seed, k).
    report : callable
        Gets a text for everything that is wrong.

    Returns
    -------
    Counter
        How often each outcome came about; all but "refused" and "valid" are errors.
    """
    files = originals()
    outcomes: Counter = Counter()
    chances, kinds = zip(*ALTERATIONS, strict=True)
    start, largest = Path.cwd(), _peak()
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        os.chdir(folder)
        try:
            for name, (content, read) in files.items():
                path = Path(folder) / "file.npz"
                path.write_bytes(content)
                if attempt(path, read)[0] != "valid":
                    raise RuntimeError(f"{name} cannot be read as it was saved")
            for k in range(number):
                rng = np.random.default_rng([seed, k])
                name = list(files)[rng.integers(len(files))]
                content, read = files[name]
                alter = kinds[rng.choice(len(kinds), p=np.array(chances) / sum(chances))]
                path.write_bytes(alter(content, rng))
                outcome, text = attempt(path, read)
                others = sorted(set(os.listdir(folder)) - {path.name})
                if others or Path("/pwned").exists() or Path("/pwned.npy").exists():
                    outcome, text = "another file", ", ".join(others)
                if _peak() - largest > MEMORY:
                    outcome, text = "too much memory", f"{(_peak() - largest) / 2**30:.3g} GiB"
                    largest = _peak()
                outcomes[outcome] += 1
                if outcome not in ("refused", "valid"):
                    report(f"--- file {k} ({name}, {alter.__name__}): {outcome}\n{text}")
        finally:
            os.chdir(start)
    return outcomes


def _peak() -> int:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("number", type=int, nargs="?", default=2000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    begin = time.perf_counter()
    outcomes = run(options.number, options.seed)
    seconds = time.perf_counter() - begin
    print(", ".join(f"{n} {name}" for name, n in outcomes.items()), f"in {seconds:.0f} s")
    return int(bool(set(outcomes) - {"refused", "valid"}))


if __name__ == "__main__":
    sys.exit(main())
