"""Exported programs: they run without Python and give its spikes, and every error is one."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import signal
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path

import brian2
import numpy as np
import pytest
from brian2 import NeuronGroup, get_device, ms, nS, prefs, second, set_device
from reference.networks import (
    CONDUCTANCE,
    N_IN,
    N_STEPS,
    N,
    network,
    real_valued_network,
    simulate,
    spike_trials,
    spikes,
)

from neurosnn import cuda, equations
from neurosnn.data import FrameTrials
from neurosnn.export import export, read_results
from neurosnn.network import Input, Layer, Readout, SpikingNetwork
from neurosnn.project import harden

# The package has a function of the same name, which hides its module.
export_module = importlib.import_module("neurosnn.export")
CLEAN = {"PATH": "/usr/bin:/bin"}


def start(folder, *arguments, command="./run", **settings):
    return subprocess.run(
        [command, *arguments],
        cwd=folder,
        env=CLEAN,
        capture_output=True,
        text=True,
        timeout=300,
        **settings,
    )


def small():
    return SpikingNetwork(Input(2), Layer(equations.LIF(), 3), Readout(2), seed=1)


@pytest.fixture(scope="session")
def trained():
    """Two layers with different units, delays and inhibition, and trials that make both spike."""
    first = Layer(
        equations.ALIF(),
        N,
        recurrent=True,
        delay=np.arange(N) % 3 * ms,
        connectivity=0.6,
        weight_scale=2.0,
    )
    second = Layer(CONDUCTANCE, N, recurrent=True, excitatory=0.7, weight_scale=40 * nS)
    net = SpikingNetwork(Input(N_IN), first, second, Readout(3), seed=1)
    net.parameters["readout.b"][:] = [0.1, 0.2, 0.3]
    return net, spike_trials(3)


@pytest.fixture(scope="session")
def built(trained, tmp_path_factory):
    """The project, exported in one folder, and built and run in another without our environment."""
    folder = tmp_path_factory.mktemp("export")
    target = prefs["codegen.target"]
    prefs["codegen.target"] = "numpy"
    export(trained[0], folder / "here", inputs=trained[1])
    prefs["codegen.target"] = target
    shutil.copytree(folder / "here", folder / "elsewhere")
    shutil.rmtree(folder / "here")
    made = start(folder / "elsewhere", "-j2", command="make")
    assert made.returncode == 0, made.stderr
    ran = start(folder / "elsewhere")
    assert ran.returncode == 0, ran.stderr
    return folder / "elsewhere"


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    """A project that is not built."""
    path = tmp_path_factory.mktemp("unbuilt") / "lif"
    return export(small(), path, duration=20 * ms)


# -- the program ------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.standalone
def test_the_program_gives_the_spikes_of_python(built, trained):
    net, trials = trained
    results = read_results(built)
    for k in range(len(trials)):
        alone = simulate(net, trials[k : k + 1])
        for layer in ("hidden1", "hidden2"):
            found = results.spikes[layer][k]
            steps = np.rint(found.t / ms).astype(int)
            assert list(zip(steps.tolist(), found.i.tolist(), strict=True)) == spikes(
                alone[f"{layer}_spikes"]
            )
            assert len(set(found.i)) >= 0.2 * N
        assert results.output[k].shape == (N_STEPS, 3)
        np.testing.assert_allclose(
            results.output[k].T, alone["readout_states"].output[:], rtol=1e-12, atol=1e-14
        )


@pytest.mark.slow
@pytest.mark.standalone
def test_a_program_with_real_valued_input(tmp_path):
    values = np.random.default_rng(3).normal(0, 2, (50, 4))
    trials = FrameTrials(features=values, offsets=[0, 30, 50], frame=1 * ms)
    net = real_valued_network()
    path = export(net, tmp_path / "net", inputs=trials)
    made = start(path, "-j2", "CXXFLAGS=-O0 -ffp-contract=off", command="make")
    assert made.returncode == 0, made.stderr
    assert start(path).returncode == 0
    results = read_results(path)
    for k in range(2):
        alone = simulate(net, trials[k : k + 1])
        found = results.spikes["hidden"][k]
        steps = np.rint(found.t / ms).astype(int).tolist()
        assert list(zip(steps, found.i.tolist(), strict=True)) == spikes(alone["hidden_spikes"])
        assert len(set(found.i)) >= 0.2 * N


@pytest.mark.slow
@pytest.mark.standalone
def test_the_program_stops_at_every_error(built, tmp_path):
    """All in one test, because it needs the program."""
    weights = next((built / "static_arrays").glob("*recurrent1_w"))
    content, before = (
        weights.read_bytes(),
        (built / "results" / "hidden1_spikes_t.bin").read_bytes(),
    )

    def refused(match, *arguments, **settings):
        ran = start(built, *arguments, **settings)
        assert ran.returncode != 0, ran.stdout
        assert match in ran.stderr
        assert (built / "results" / "hidden1_spikes_t.bin").read_bytes() == before
        assert not [name for name in os.listdir(built) if ".part" in name or ".lock" in name]

    try:
        weights.write_bytes(content[:-8])
        refused("too short a file")
        weights.unlink()
        refused("Error opening static array")
    finally:
        weights.write_bytes(content)
    refused("disk full", "-c", "trap '' XFSZ; ulimit -f 2; ./run", command="sh")
    assert (
        start(
            "/", "--out", str(tmp_path / "deep" / "results"), command=str(built / "run")
        ).returncode
        == 0
    )
    again = read_results(tmp_path / "deep" / "results")
    first = read_results(built)
    np.testing.assert_array_equal(again.spikes["hidden1"][1].t, first.spikes["hidden1"][1].t)


# -- the run script, with other programs in the place of the simulation -------------------------

GOOD = """mkdir -p "$2"; echo "0.1 1" > "$2/last_run_info.txt"
while read -r raw name; do echo data > "$2/$raw"; done < results.list"""


@pytest.fixture
def project(exported, tmp_path):
    folder = tmp_path / "project"
    shutil.copytree(exported, folder)
    return folder


def pretend(project, script):
    (project / "main").write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    (project / "main").chmod(0o755)


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("exit 3", "the simulation failed with exit code 3"),
        ("echo 'out of memory'; exit 1", "out of memory"),
        ("kill -9 $$", "the simulation failed with exit code 137"),
        ("exit 0", "the program wrote no results"),
        (
            f'{GOOD}; echo "0.1 0.5" > "$2/last_run_info.txt"',
            "the simulation was stopped before its end",
        ),
        (f'{GOOD}; rm "$2"/*hidden_spikes_i*', "the program did not write hidden_spikes_i.bin"),
    ],
)
def test_a_failed_simulation_leaves_the_earlier_results(project, script, message):
    pretend(project, GOOD)
    assert start(project).returncode == 0
    (project / "results" / "mine").write_text("earlier")
    pretend(project, script)
    ran = start(project)
    assert ran.returncode == 1
    assert message in ran.stderr
    assert (project / "results" / "mine").read_text() == "earlier"
    assert not [name for name in os.listdir(project) if "part" in name or "lock" in name]
    pretend(project, GOOD)
    assert start(project).returncode == 0
    assert not (project / "results" / "mine").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--frobnicate"], 2, "unknown argument: --frobnicate"),
        (["hidden.tau_m=abc"], 2, "unknown argument: hidden.tau_m=abc"),
        (["--out"], 2, "--out needs a folder"),
        (["--out", ""], 2, "--out needs a folder"),
        (["--out", "foreign"], 1, "exists and does not hold results"),
        (["--out", "manifest.json/x"], 1, "cannot write into"),
        (["--out", "locked"], 1, "another run is writing"),
    ],
)
def test_bad_arguments_of_the_run_script(project, arguments, code, message):
    pretend(project, GOOD)
    (project / "foreign").mkdir()
    (project / "foreign" / "thesis.txt").write_text("precious")
    (project / "locked.lock").mkdir()
    ran = start(project, *arguments)
    assert ran.returncode == code
    assert message in ran.stderr
    assert (project / "foreign" / "thesis.txt").read_text() == "precious"
    assert not (project / "results").exists()


def test_help_missing_program_and_missing_manifest(project):
    assert "--out FOLDER" in start(project, "--help").stdout
    ran = start(project)
    assert ran.returncode == 1
    assert "there is no program yet: run make" in ran.stderr
    pretend(project, GOOD)
    (project / "manifest.json").unlink()
    ran = start(project)
    assert ran.returncode == 1
    assert "manifest.json is missing" in ran.stderr


def test_a_run_killed_in_the_middle(project):
    pretend(project, GOOD)
    assert start(project).returncode == 0
    (project / "results" / "mine").write_text("earlier")
    pretend(project, "touch started; sleep 60")
    process = subprocess.Popen(["./run"], cwd=project, env=CLEAN, start_new_session=True)
    while not (project / "started").exists():
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGTERM)
    assert process.wait(timeout=30) != 0
    assert (project / "results" / "mine").read_text() == "earlier"
    assert not list(project.glob("results.part*"))


# -- the project ------------------------------------------------------------------------------


def test_the_project_is_portable_and_describes_itself(exported):
    texts = {path: path.read_text(encoding="utf-8") for path in exported.rglob("*")
             if path.suffix in (".cpp", ".h", ".json", ".list", ".txt", "") and path.is_file()
             and path.parent.name != "static_arrays"}  # fmt: skip
    assert len(texts) > 20
    for path, text in texts.items():
        for absolute in (str(exported.parent), str(Path.home()), str(Path(brian2.__file__).parent)):
            assert absolute not in text, path
    assert "-march" not in texts[exported / "makefile"].split("CXXFLAGS ?=")[1]
    assert "\nCXXFLAGS ?= -O3 -ffp-contract=off\n" in texts[exported / "makefile"]
    manifest = json.loads(texts[exported / "manifest.json"])
    assert manifest["trials"] == {"n_steps": [20], "period": 20, "dt": 0.001}
    assert set(manifest["versions"]) >= {"neurosnn", "brian2", "numpy"}
    assert manifest["network"]["layers"][0]["model"]["name"] == "LIF"
    files = {entry["file"]: entry for entry in manifest["results"]}
    assert files["hidden_spikes_t.bin"]["unit"] == "s"
    assert files["hidden_spikes_i.bin"]["dtype"] == "<i4"
    assert files["readout_states_output.bin"]["shape"] == [None, 2]
    assert "CeCILL" in texts[exported / "README.txt"]
    assert "CeCILL" in texts[exported / "LICENSE-brian2.txt"]


def test_brian2_is_as_before(tmp_path, monkeypatch):
    """Also after an error, and in the middle of a user's own standalone project."""
    set_device("cpp_standalone", build_on_run=False)
    device = get_device()
    NeuronGroup(2, "v : 1", name="mine", namespace={})
    prefs["codegen.cpp.include_dirs"] = ["/mine"]
    before = {name: prefs[name] for name in prefs}
    queue, arrays = list(device.main_queue), dict(device.arrays)
    export(small(), tmp_path / "first", duration=5 * ms)
    monkeypatch.setattr(export_module, "_result_files", lambda *arguments: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        export(small(), tmp_path / "second", duration=5 * ms)
    assert get_device() is device
    assert {name: prefs[name] for name in prefs} == before
    assert (device.main_queue, device.arrays) == (queue, arrays)
    assert os.listdir(tmp_path) == ["first"]


def test_only_projects_are_overwritten(tmp_path):
    path = export(small(), tmp_path / "net", duration=5 * ms)
    with pytest.raises(FileExistsError, match=r"net exists already.*overwrite=True"):
        export(small(), path, duration=5 * ms)
    (path / "old").touch()
    export(small(), str(path), duration=6 * ms, overwrite=True)
    assert not (path / "old").exists()
    assert os.listdir(tmp_path) == ["net"]
    for name, content in (("thesis", "{}"), ("other", '{"format": "x"}'), ("list", "[]")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "manifest.json").write_text(content)
        with pytest.raises(
            FileExistsError, match=r"is not an exported project.*replaces only those"
        ):
            export(small(), tmp_path / name, duration=5 * ms, overwrite=True)
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(path)
    for name in ("file", "link"):
        with pytest.raises(FileExistsError, match="is not an exported project"):
            export(small(), tmp_path / name, duration=5 * ms, overwrite=True)
    with pytest.raises(FileNotFoundError, match=r"nowhere does not exist"):
        export(small(), tmp_path / "nowhere" / "net", duration=5 * ms)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"device": "cpp"}, r"unknown device 'cpp'.*Did you mean|Known names"),
        ({}, r"neither inputs nor a duration.*inputs=test\[:10\]"),
        ({"duration": 5}, r"duration must be a time"),
        ({"duration": 1 * second, "inputs": spike_trials(2)}, r"a duration is given with 2 trials"),
    ],
)
def test_refused_exports_write_nothing(tmp_path, settings, match):
    with pytest.raises(ValueError, match=match):
        export(network(), tmp_path / "net", **settings)
    assert not os.listdir(tmp_path)


def test_code_of_an_unknown_brian2_is_refused(tmp_path):
    (tmp_path / "objects.cpp").write_text("int main() {}")
    with pytest.raises(
        RuntimeError, match=r"nothing in objects.cpp matches.*Use a supported version"
    ):
        harden(tmp_path)


# -- results ----------------------------------------------------------------------------------


@pytest.fixture
def results(exported, tmp_path):
    """Results as the program writes them: 20 steps, two spikes of neurons 2 and 0."""
    folder = tmp_path / "results"
    folder.mkdir()
    shutil.copy(exported / "manifest.json", folder)
    np.array([2], "<i4").tofile(folder / "hidden_spikes_N.bin")
    np.array([2, 0], "<i4").tofile(folder / "hidden_spikes_i.bin")
    np.array([0.003, 0.007]).tofile(folder / "hidden_spikes_t.bin")
    np.arange(40.0).tofile(folder / "readout_states_output.bin")
    return folder


def test_results_are_quantities_again(results):
    found = read_results(results)
    np.testing.assert_allclose(found.spikes["hidden"][0].t / ms, [3, 7], rtol=1e-12)
    np.testing.assert_array_equal(found.spikes["hidden"][0].i, [2, 0])
    np.testing.assert_array_equal(found.output[0][:2], [[0, 1], [2, 3]])


def _cut(name, size):
    def change(folder):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[:size])

    return change


def _manifest(**changes):
    def change(folder):
        manifest = json.loads((folder / "manifest.json").read_text())
        manifest.update(changes)
        (folder / "manifest.json").write_text(json.dumps(manifest))

    return change


def _outside(folder):
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["results"][0]["file"] = "../../etc/passwd"
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (_cut("hidden_spikes_t.bin", 8), r"hold 2 and 1 instead of 2"),
        (_cut("hidden_spikes_t.bin", 11), r"buffer size must be a multiple"),
        (_cut("hidden_spikes_N.bin", 0), r"hidden_spikes_N.bin has 0 values for the shape \[1\]"),
        (_cut("readout_states_output.bin", 8 * 38), r"has another number of steps"),
        (_cut("readout_states_output.bin", 8 * 39), r"has 39 values for the shape \[None, 2\]"),
        (_cut("manifest.json", 100), r"cannot be read"),
        (lambda folder: (folder / "hidden_spikes_i.bin").unlink(), r"hidden_spikes_i.bin"),
        (_manifest(format="other"), r"another format or version"),
        (_manifest(version=2), r"another format or version"),
        (_outside, r"'../../etc/passwd' is not a file of results"),
    ],
)
def test_damaged_or_foreign_results(results, change, match):
    change(results)
    with pytest.raises(ValueError, match=match):
        read_results(results)


def test_no_results_yet(exported, tmp_path):
    for folder in (exported, tmp_path):
        with pytest.raises(
            FileNotFoundError, match=r"there are no results in .*Run make and ./run first"
        ):
            read_results(folder)


# -- CUDA -------------------------------------------------------------------------------------


def test_cuda_needs_brian2cuda_and_an_architecture(tmp_path, monkeypatch):
    with pytest.raises(
        ValueError, match=r"arch must be an architecture such as 'sm_80', got 'A100'"
    ):
        cuda.settings("A100")
    if find_spec("brian2cuda") is None:
        with pytest.raises(ImportError, match=r"needs the package brian2cuda.*neurosnn\[cuda\]"):
            export(small(), tmp_path / "net", duration=5 * ms, device="cuda_standalone")
        assert not os.listdir(tmp_path)


@pytest.mark.cuda
def test_cuda_project_is_generated_without_a_gpu(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    net = network(layers=2, delay=np.arange(N) % 3 * ms)
    importlib.import_module("brian2cuda")  # which adds preferences
    before = {name: prefs[name] for name in prefs}
    path = export(
        net, tmp_path / "net", inputs=spike_trials(), device="cuda_standalone", arch="sm_90"
    )
    assert {name: prefs[name] for name in prefs} == before
    makefile = (path / "makefile").read_text()
    assert "ARCH ?= sm_90" in makefile
    assert "STD ?= c++17" in makefile
    assert "fast_math" not in makefile.split("NVCCFLAGS ?=")[1]
    assert "GNU GPL 3" in (path / "README.txt").read_text()
    assert "-fmad=false" in makefile
    assert len(list((path / "code_objects").glob("*.cu"))) > 10
    objects = (path / "objects.cu").read_text()
    assert "std::exit(1)" in objects
    # brian2cuda's synapses name the default clock: without it the project does not compile.
    assert "Clock brian::defaultclock;" in objects
    assert "_array_defaultclock_dt[0] = 0.001;" in (path / "main.cu").read_text()
