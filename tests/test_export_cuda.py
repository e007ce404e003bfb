"""CUDA projects: generated without a GPU for every model and rule; one is compiled, by hand.

Nothing here runs on a GPU: ``tools/gpu_check_exports.py`` does that, by hand. The compilation takes minutes,
needs nvcc 13 and the package nvidia-curand, and only runs if the environment variable NEUROSNN_NVCC is set::

    NEUROSNN_NVCC=1 pytest tests/test_export_cuda.py -k compiled
"""

from __future__ import annotations

import importlib
import json
import os
import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from brian2 import Network, NeuronGroup, SpikeMonitor, get_dimensions, ms, prefs
from export_cases import equilibrium, every_neuron, make, plastic, run
from reference.networks import N_IN, N, network, spike_trials
from test_export_learning import labelled, same_learning

from neurosnn import (
    Adam,
    EProp,
    Input,
    Layer,
    NeuronModel,
    PlasticityRule,
    Readout,
    SpikingNetwork,
    equations,
    export,
    read_results,
)
from neurosnn.core.units import si_unit
from neurosnn.training.online import OnlineTraining

CUDA = {"device": "cuda_standalone"}
MODELS = {name: getattr(equations, name)() for name in equations.__all__}


def check(path):
    """What every CUDA project needs, and that nothing of ours is missing in its code."""
    makefile = (path / "makefile").read_text()
    assert "STD ?= c++17" in makefile
    assert "-fmad=false" in makefile
    assert "FAST_MATH ?=\n" in makefile
    assert not re.search(r"/usr/local|use_fast_math", makefile.split("NVCC ?=")[1])
    main, objects = (path / "main.cu").read_text(), (path / "objects.cu").read_text()
    for words in ("int simulate(", "neurosnn::start();", "neurosnn::step", "neurosnn::duration()"):
        assert main.count(words) == 1, words
    assert main.index("neurosnn::start();") < main.index(".clear();\n        network")
    assert 'neurosnn::fail("Error writing outfile_' in objects
    gap = re.search(r"#define Clock_epsilon (\S+)", (path / "network.cu").read_text())[1]
    dt = json.loads((path / "manifest.json").read_text())["dt"]
    assert float(gap) == pytest.approx(1e-4 * dt, rel=1e-12)
    program = (path / "program.cu").read_text()
    for file in path.glob("code_objects/*.cu"):
        assert f'#include "code_objects/{file.name}"' in program
        text = file.read_text()
        waits = set(re.findall(r"\b(\w+)\.timestep\[0\] >= \w+_delay\b", text))
        assert waits == (waits and set(re.findall(r"bid_offset,\s*(\w+)\.timestep", text))), (
            file.name
        )
    if "Clock brian::defaultclock;" not in objects:
        assert not [
            file for file in path.rglob("*.cu") if re.search(r"\bdefaultclock\b", file.read_text())
        ]
    assert "GNU GPL 3" in (path / "README.txt").read_text()
    assert "GNU GENERAL PUBLIC LICENSE" in (path / "LICENSE-brian2cuda.txt").read_text()
    return path


@pytest.mark.cuda
@pytest.mark.parametrize("name", [n for n, m in MODELS.items() if isinstance(m, NeuronModel)])
def test_every_neuron_is_generated(tmp_path, name):
    model = MODELS[name]
    parts = [Layer(model, 3)] if model.spikes else [Layer(equations.LIF(), 3)]
    readout = Readout(2) if model.spikes else Readout(2, model=model)
    net = SpikingNetwork(Input(2), *parts, readout)
    path = check(export(net, tmp_path / "net", duration=5 * ms, **CUDA))
    assert len(list((path / "code_objects").glob("*.cu"))) > 10


@pytest.mark.cuda
@pytest.mark.parametrize("name", [n for n, m in MODELS.items() if isinstance(m, PlasticityRule)])
def test_every_plasticity_rule_is_generated(tmp_path, name):
    rule = MODELS[name]

    def make():
        needs = {k: si_unit(get_dimensions(value)) for k, value in rule.requires.items()}
        text = "\n".join(f"{key} : {unit}" for key, unit in {"z": "1", **needs}.items())
        pre, post = (
            NeuronGroup(2, text, threshold="z > 0", reset="", name=name, namespace={})
            for name in ("pre", "post")
        )
        synapses = rule.synapses(pre, post, target="", name="synapses")
        return Network(pre, post, synapses, SpikeMonitor(post, name="spikes"))

    path = check(export(make, tmp_path / "net", duration=5 * ms, **CUDA))
    assert list(path.glob("code_objects/synapses_pre_codeobject*.cu"))


@pytest.mark.cuda
def test_online_eprop_of_all_neurons_is_generated(tmp_path):
    path = export(
        every_neuron(), tmp_path / "net", rule=EProp(), inputs=labelled(2), optimizer=Adam(1e-2), **CUDA
    )  # fmt: skip
    check(path)
    tables = (path / "tables.h").read_text()
    for name in ("within_trial", "step_weight", "target", "batch_share", "update_number"):
        # The number of rows is that of the file, on the host and on the device.
        assert f"cudaMemcpyToSymbol(neurosnn_rows::d_{name}, &neurosnn_rows::h_{name}" in tables
    # Brian2 numbers a code object if an earlier one of the same name is still alive.
    code = {
        re.sub(r"_\d+$", "", file.stem): file.read_text()
        for file in (path / "code_objects").glob("*.cu")
    }
    assert "timestep = neurosnn_rows::target() - 1;" in code["readout_error_codeobject"]
    assert code.keys() >= {f"hidden{k}_eprop_codeobject" for k in range(1, 7)}


#: How Brian2's programs hold an array of synapses, and how brian2cuda frees it before we write results.
HELD = r"(?:std::vector|thrust::host_vector)<\w+> (?:brian::)?(_dynamic_array_\w+);"
FREED = "\n    {0}.clear();\n"


@pytest.mark.cuda
def test_the_arrays_of_synapses_are_freed_at_the_end(tmp_path):
    """What the next test does to a C++ program is what brian2cuda does."""
    net = SpikingNetwork(Input(N_IN), Layer(equations.LIF(), 4), Readout(2))
    path = check(export(net, tmp_path / "net", rule=EProp(), inputs=labelled(2), **CUDA))
    main, objects = (path / "main.cu").read_text(), (path / "objects.cu").read_text()
    freeing = objects[objects.index("void _dealloc_arrays()") :]
    names = re.findall(HELD, objects)
    assert {f"_dynamic_array_input_synapses_{k}" for k in ("w", "_synaptic_post")} <= set(names)
    assert all(FREED.format(name) in freeing for name in names)
    # It drops indices on the GPU even before the first step; by then we have read them.
    (dropped,) = re.findall(r"dev_dynamic_array_input_synapses__synaptic_pre\.clear", main)
    assert main.index("neurosnn::start();") < main.index(dropped)


@pytest.mark.standalone
@pytest.mark.slow
def test_weights_are_written_when_the_arrays_of_synapses_are_gone(tmp_path):
    """As on a GPU, where the matrices of a program that learns were missing."""
    net = SpikingNetwork(
        Input(N_IN),
        Layer(equations.ALIF(), 5, weight_scale=3.0, recurrent=True),
        Readout(2),
        seed=1,
    )
    trials, settings = labelled(2), {"optimizer": Adam(1e-2)}
    path = export(net, tmp_path / "net", rule=EProp(), inputs=trials, **settings)
    objects = (path / "objects.cpp").read_text()
    names = re.findall(HELD, objects)
    assert "_dynamic_array_input_synapses_w" in names
    begin = "void _dealloc_arrays()\n{"
    assert objects.count(begin) == 1
    freeing = "".join(FREED.format(f"brian::{name}") for name in names)
    (path / "objects.cpp").write_text(objects.replace(begin, begin + freeing))
    run(make(path))
    training = OnlineTraining(net, EProp(), trials, **settings)
    training.run()
    same_learning(read_results(path), training, net)


@pytest.mark.cuda
def test_the_project_is_for_the_named_gpu_and_brian2_is_as_before(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    net = network(layers=2, delay=np.arange(N) % 3 * ms)
    importlib.import_module("brian2cuda")  # which adds preferences
    before = {name: prefs[name] for name in prefs}
    path = check(export(net, tmp_path / "net", inputs=spike_trials(), arch="sm_90", **CUDA))
    assert {name: prefs[name] for name in prefs} == before
    assert "ARCH ?= sm_90" in (path / "makefile").read_text()
    objects = (path / "objects.cu").read_text()
    # brian2cuda's synapses name the default clock: without it the project does not compile.
    assert "Clock brian::defaultclock;" in objects
    assert "_array_defaultclock_dt[0] = 0.001;" in (path / "main.cu").read_text()


@pytest.mark.cuda
def test_a_network_that_learns_with_eqspike_is_generated(tmp_path):
    net, build = equilibrium()
    path = check(export(build, tmp_path / "net", duration=3 * net.trial, **CUDA))
    assert list(path.glob("code_objects/hidden_output_synapses_post_codeobject*.cu"))


@pytest.mark.cuda
def test_plain_objects_with_all_rules_are_generated(tmp_path):
    path = check(export(plastic, tmp_path / "net", duration=40 * ms, **CUDA))
    (push,) = path.glob("code_objects/push_codeobject*.cu")
    assert "neurosnn_rows::drive()" in push.read_text()


# -- by hand ----------------------------------------------------------------------------------


def curand_library() -> Path:
    """The library of the package nvidia-curand; its headers are beside it."""
    for folder in find_spec("nvidia").submodule_search_locations:
        for library in Path(folder).glob("*/lib/libcurand.so*"):
            return library
    raise AssertionError("pip install nvidia-curand")


def curand(tmp_path) -> list[str]:
    """Arguments of make; the linker wants the library under its plain name."""
    library = curand_library()
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "libcurand.so").symlink_to(library)
    include = library.parent.parent / "include"
    return [f"CPPFLAGS=-I{include}", f"LDFLAGS=-L{tmp_path / 'lib'}"]


@pytest.mark.slow
@pytest.mark.skipif("NEUROSNN_NVCC" not in os.environ, reason="by hand: NEUROSNN_NVCC is not set")
@pytest.mark.parametrize("kind", ["eprop", "network", "rules"])
def test_a_project_is_compiled(tmp_path, kind):
    assert shutil.which("nvcc"), "nvcc is needed"
    net = SpikingNetwork(
        Input(30),
        Layer(equations.ALIF(), 5, recurrent=True, delay=np.arange(5) % 3 * ms),
        Readout(2),
    )
    if kind == "eprop":
        export(net, tmp_path / "net", rule=EProp(), inputs=labelled(2), **CUDA)
    elif kind == "network":
        export(net, tmp_path / "net", inputs=labelled(2), **CUDA)
    else:
        export(plastic, tmp_path / "net", duration=40 * ms, **CUDA)
    made = subprocess.run(
        ["make", *curand(tmp_path)], cwd=tmp_path / "net", capture_output=True, text=True
    )
    assert made.returncode == 0, made.stderr[-3000:]
    # Without a GPU: the help, errors of the user, and then CUDA's own error.
    program, libraries = tmp_path / "net" / "run", curand_library().parent
    settings = {"capture_output": True, "text": True, "env": {"LD_LIBRARY_PATH": str(libraries)}}
    shown = subprocess.run([program, "--help"], **settings)
    assert shown.returncode == 0, shown.stderr
    assert ".npy" in shown.stdout
    ran = subprocess.run([program, "--set", "nothing=1"], **settings)
    assert ran.returncode == 2
    assert "there is no such parameter" in ran.stderr
    if not shutil.which("nvidia-smi"):
        ran = subprocess.run([program], **settings)
        assert ran.returncode not in (0, 2)
        assert "cudaSetDevice" in ran.stdout + ran.stderr
        assert not [name for name in os.listdir(tmp_path / "net") if name.startswith(".")]
