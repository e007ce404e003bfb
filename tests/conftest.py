"""Fixtures and markers of the whole test suite.

Run it with ``pytest --import-mode=importlib`` (setup.cfg and the Makefile do) against an *installed*
neurosnn: editable in the tree, a wheel outside of it. This folder is put at the end of ``sys.path``,
so that tests import their helpers in the same way in both places::

    from reference.eprop_numpy import gradient      # tests/reference/eprop_numpy.py

Every test starts from the same Brian2: runtime device, no device to go back to, the preferences as
imported except for the target, ``defaultclock.dt`` 0.1 ms, an empty magic scope, a fixed seed. What it
changes is undone after it. The target is numpy, which compiles nothing; a test marked ``cython`` gets
Cython. Code that has been compiled is kept in the usual caches of the user (Brian2's and neurosnn's are
addressed by content, so a second run of the tests is quick and no run can see another's leftovers).
"""

from __future__ import annotations

import functools
import gc
import os
import re
import shlex
import signal
import sys
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

os.environ["MPLBACKEND"] = "Agg"
# Tests run in several processes already.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Most of the suite's time is the compiler's. Float64 has the same bits without optimization.
os.environ.setdefault("NEUROSNN_CXXFLAGS", "-O0")

import pytest

# A shell ignores Ctrl-C for what it runs in the background; Brian2 would keep that as a handler.
signal.signal(signal.SIGINT, signal.default_int_handler)

TESTS = Path(__file__).parent
SEED = 20200717

if str(TESTS) not in sys.path:
    sys.path.append(str(TESTS))

MARKERS = {
    "smoke": "quick and central: run on every supported combination of Python, Brian2 and numpy",
    "slow": "takes more than ten seconds",
    "cuda": "generates CUDA code: needs the cuda extra, no GPU",
    "needs_data": "reads public data sets in the folder that NEUROSNN_DATA names",
    "standalone": "builds a C++ program with Brian2's standalone mode; runs in a folder of its own",
    "torch": "needs PyTorch: every test of a file with torch in its name, and of the examples that use it",
    "gpu": "runs on an NVIDIA graphics processor: needs one, its driver and the extra gpu",
    "cython": "runs with Brian2's Cython target instead of numpy",
}


def pytest_configure(config):
    for name, text in MARKERS.items():
        config.addinivalue_line("markers", f"{name}: {text}")
    # Brian2 still uses old names of pyparsing's; deprecations in our own code stay visible.
    for module in ("brian2", "brian2cuda", "pyparsing"):
        config.addinivalue_line("filterwarnings", rf"ignore::DeprecationWarning:{module}\b")


def pytest_report_header(config):
    versions = ", ".join(
        f"{name} {metadata.version(name)}" for name in ("neurosnn", "brian2", "numpy")
    )
    return f"{versions}; {find_spec('neurosnn').submodule_search_locations[0]}"


def pytest_collection_modifyitems(items):
    from neurosnn.cuda.machines import why_no_device

    lacking = {}
    if find_spec("brian2cuda") is None:
        lacking["cuda"] = (
            "brian2cuda is not installed: pip install 'neurosnn[cuda]' (Python 3.12 or newer)"
        )
    if find_spec("torch") is None:
        lacking["torch"] = "PyTorch is not installed: pip install 'neurosnn[torch]'"
    if why_no_device():
        lacking["gpu"] = why_no_device()
    folder = os.environ.get("NEUROSNN_DATA", "")
    if not folder:
        lacking["needs_data"] = (
            "the environment variable NEUROSNN_DATA names no folder with data sets"
        )
    elif not Path(folder).is_dir():
        raise pytest.UsageError(f"NEUROSNN_DATA={folder} is not a folder")
    for item in items:
        if "torch" in item.path.stem:
            item.add_marker(pytest.mark.torch)
        for marker, reason in lacking.items():
            if item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture
def optimized(monkeypatch):
    """Engines are optimized: for tests that train for longer than a compiler takes."""
    monkeypatch.setenv("NEUROSNN_CXXFLAGS", "-Og")


@pytest.fixture
def derived_anew(monkeypatch):
    """The engine neither reads nor keeps derivations: for tests that change one."""
    monkeypatch.setattr("neurosnn.engine.backend.read_derivation", lambda key: None)
    monkeypatch.setattr("neurosnn.engine.backend.write_derivation", lambda *_: None)


@pytest.fixture(autouse=True)
def what_lasts_is_not_searched():
    """Brian2 collects garbage in every run; modules and caches, which last, took a third of all time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def precompiled_headers_of_engines():
    """Standard headers of engines, compiled once and kept in the cache folder: a fifth of their time."""
    import precompiled

    from neurosnn.engine import build

    if os.environ["NEUROSNN_CXXFLAGS"] != precompiled.UNOPTIMIZED:
        return
    text = (Path(build.__file__).parent / "numbers.jinja").read_text(encoding="utf-8")
    common = [*build.FLAGS, "-march=native", precompiled.UNOPTIMIZED]
    header = precompiled.headers(
        re.findall(r"^#include <(.*)>\n", text, flags=re.MULTILINE),
        {
            **{real: [*common, *more] for real, more in build.PRECISION_FLAGS.items()},
            **{
                f"wide {real}": [*common, *more, *build.WIDE]
                for real, more in build.PRECISION_FLAGS.items()
            },
            "cuda": [*common, *build.PRECISION_FLAGS["double"], "-std=c++20"],
        },
    )
    if header is not None:
        os.environ["NEUROSNN_CXXFLAGS"] += f" -include {shlex.quote(str(header))}"


@pytest.fixture(scope="session", autouse=True)
def exponentials_of_matrices_once():
    """Brian2's exact integrator spends most of its time in them, and many tests have the same neurons."""
    from sympy import ImmutableMatrix, MatrixBase

    exponential = MatrixBase.exp

    @functools.cache
    def once(matrix):
        return exponential(matrix)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MatrixBase, "exp", lambda self: type(self)(once(ImmutableMatrix(self))))
        yield


@pytest.fixture(scope="session", autouse=True)
def nothing_compiled_by_brian2():
    """For the fixtures of a module, which come before those of a test: no Cython, as in its tests."""
    from brian2 import prefs

    prefs["codegen.target"] = "numpy"


@pytest.fixture(autouse=True)
def clean_brian2(request, monkeypatch):
    """Every test gets Brian2 as it is right after its import, and leaves it so."""
    import precompiled
    from brian2 import defaultclock, ms, prefs, seed, start_scope
    from brian2.devices.device import (
        all_devices,
        get_device,
        previous_devices,
        runtime_device,
        set_device,
    )
    from brian2.utils.logger import BrianLogger

    before = {name: prefs[name] for name in prefs}
    BrianLogger.log_level_warn()  # not which integrator or target it has picked
    prefs["codegen.target"] = "cython" if request.node.get_closest_marker("cython") else "numpy"
    if request.node.get_closest_marker("cython"):
        prefs["codegen.cpp.extra_compile_args_gcc"] = list(precompiled.BRIAN2)
    if request.node.get_closest_marker("standalone"):
        prefs["codegen.cpp.extra_compile_args_gcc"] = [
            *precompiled.BRIAN2,
            *precompiled.of_programs(),
        ]
        # Without the list of what depends on which header: nothing is compiled a second time.
        prefs["devices.cpp_standalone.extra_make_args_unix"] = ["-j", "DEPS="]
    if request.node.get_closest_marker("standalone") or request.node.get_closest_marker("cuda"):
        monkeypatch.chdir(request.getfixturevalue("tmp_path"))
    start_scope()
    seed(SEED)

    yield

    if get_device() is not runtime_device or previous_devices:
        set_device(runtime_device)
        previous_devices.clear()
        for device in all_devices.values():
            device.reinit()
    for name, value in before.items():
        if prefs[name] is not value:
            prefs[name] = value
    defaultclock.dt = 0.1 * ms
    seed(SEED)


@pytest.fixture(autouse=True)
def clean_matplotlib():
    """Figures are closed and settings restored; a test may leave neither behind."""
    import matplotlib
    from matplotlib import pyplot

    with matplotlib.rc_context():
        yield
    pyplot.close("all")


@pytest.fixture(scope="session")
def project_root() -> Path:
    """The checkout, for tests of examples and of the project's own files."""
    root = TESTS.parent
    if not (root / "setup.cfg").is_file():
        pytest.skip("the tests run outside of a checkout")
    return root


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of the public data sets; its tests are marked ``needs_data``."""
    return Path(os.environ["NEUROSNN_DATA"])
