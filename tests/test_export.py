"""Exported projects: what is written, what is refused, and results read again."""

from __future__ import annotations

import importlib
import json
import os
import shutil
from importlib.util import find_spec
from pathlib import Path

import brian2
import numpy as np
import pytest
from brian2 import Network, NeuronGroup, get_device, ms, prefs, second, set_device
from export_cases import make, plastic, run, small
from reference.networks import N, network, spike_trials

from neurosnn import EProp, export, read_results, write_inputs
from neurosnn.standalone import cuda
from neurosnn.standalone.project import harden, read_from_files

# The package has a function of the same name, which hides its module.
export_module = importlib.import_module("neurosnn.standalone.export")


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    """A project that is not built."""
    path = tmp_path_factory.mktemp("unbuilt") / "lif"
    return export(small(), path, duration=20 * ms)


# -- the project ------------------------------------------------------------------------------


def test_the_project_is_portable_and_describes_itself(exported):
    texts = {path: path.read_text(encoding="utf-8") for path in exported.rglob("*")
             if path.suffix in (".cpp", ".h", ".json", ".txt", "") and path.is_file()
             and path.parent.name != "static_arrays"}  # fmt: skip
    assert len(texts) > 20
    for path, text in texts.items():
        for absolute in (str(exported.parent), str(Path.home()), str(Path(brian2.__file__).parent)):
            assert absolute not in text, path
    settings = [line for line in texts[exported / "makefile"].splitlines() if "?=" in line]
    assert settings == ["CXXFLAGS ?= -O3 -ffp-contract=off", "FAST_MATH ?=", "OPENMP ?= "]
    manifest = json.loads(texts[exported / "manifest.json"])
    assert manifest["trials"] == {
        "n_steps": [20],
        "period": 0,
        "longest": 0,
        "extra": 0,
        "several": False,
    }
    assert set(manifest["versions"]) >= {"neurosnn", "brian2", "numpy"}
    assert manifest["network"]["layers"][0]["model"]["name"] == "LIF"
    assert manifest["network"]["seed"] == 1
    files = {entry["file"]: entry for entry in manifest["results"]}
    assert files["hidden_spikes.t.npy"]["unit"] == "s"
    assert files["hidden_spikes.i.npy"]["dtype"] == "<i4"
    assert files["readout_states.output.npy"]["shape"] == [None, 2]
    inputs = {entry["file"]: entry for entry in manifest["inputs"]}
    assert inputs["input.w.npy"]["shape"] == [2, 3]
    assert set(os.listdir(exported / "inputs")) == set(inputs)
    parameters = {entry["name"]: entry for entry in manifest["parameters"]}
    tau = parameters["hidden.tau_m"]
    assert (tau["value"], tau["unit"], tau["above"]) == ("0.02", "s", 0.0)
    readme = texts[exported / "README.txt"]
    for words in ("CeCILL 2.1", "hidden.tau_m", "input.w.npy", "MIT licence"):
        assert words in readme
    assert "CeCILL" in texts[exported / "LICENSE-brian2.txt"]
    assert "MIT License" in texts[exported / "neurosnn" / "LICENSE.txt"]


@pytest.mark.smoke
@pytest.mark.standalone
def test_the_program_of_this_brian2_builds_and_runs(exported, tmp_path):
    """Brian2 2.10 has sources in brianlib/, which the program needs."""
    path = shutil.copytree(exported, tmp_path / "net")
    run(make(path))
    assert read_results(path).output[0].shape == (20, 2)


def test_brian2_is_as_before(tmp_path, monkeypatch):
    """Also after an error, and in the middle of a user's own standalone project."""
    set_device("cpp_standalone", build_on_run=False)
    device = get_device()
    NeuronGroup(2, "v : 1", name="mine", namespace={})
    prefs["codegen.cpp.include_dirs"] = ["/mine"]
    before = {name: prefs[name] for name in prefs}
    queue, arrays = list(device.main_queue), dict(device.arrays)
    export(small(), tmp_path / "first", duration=5 * ms)
    monkeypatch.setattr(export_module, "finish", lambda *arguments, **settings: 1 / 0)
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
        ({"duration": 1 * second, "threads": -1}, r"threads must be a whole number from 0, got -1"),
        ({"rule": EProp()}, r"a rule is given without trials.*inputs=train"),
        ({"rule": EProp(), "inputs": spike_trials(2), "epochs": 0}, r"epochs must be a whole number"),
        (
            {"rule": EProp(), "inputs": spike_trials(2), "loss": "cross_entropy"},
            r"known only at the end of a trial.*cross_entropy_per_step",
        ),
    ],
)  # fmt: skip
def test_refused_exports_write_nothing(tmp_path, settings, match):
    with pytest.raises(ValueError, match=match):
        export(network(), tmp_path / "net", **settings)
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize(
    ("make", "settings", "error", "match"),
    [
        (3, {"duration": 1 * ms}, TypeError, r"must be a SpikingNetwork or a function, got int"),
        (Network, {"duration": 1 * ms}, TypeError, r"or a function, got type.*Write a function"),
        (lambda: 3, {"duration": 1 * ms}, TypeError, r"must return a brian2.Network, got int"),
        (plastic, {}, ValueError, r"a function needs a duration"),
        (plastic, {"duration": 0 * ms}, ValueError, r"duration must be > 0"),
        (plastic, {"duration": 1 * ms, "inputs": 1}, ValueError, r"and no inputs"),
        (plastic, {"duration": 1 * ms, "rule": EProp()}, ValueError, r"a rule is given with a function"),
    ],
)  # fmt: skip
def test_refused_functions_write_nothing(tmp_path, make, settings, error, match):
    with pytest.raises(error, match=match):
        export(make, tmp_path / "net", **settings)
    assert not os.listdir(tmp_path)


def test_code_of_an_unknown_brian2_is_refused(tmp_path, exported):
    (tmp_path / "objects.cpp").write_text("int main() {}")
    with pytest.raises(
        RuntimeError, match=r"nothing in objects.cpp matches.*Use a supported version"
    ):
        harden(tmp_path, set())
    shutil.copy(exported / "main.cpp", tmp_path)  # it reads our files already

    class Source:
        network = Network(NeuronGroup(1, "v : 1", name="one"), name="network")

    with pytest.raises(RuntimeError, match=r"nothing in main.cpp matches 'int main"):
        read_from_files(tmp_path, Source, [])


# -- other trials -----------------------------------------------------------------------------


def test_other_trials_for_the_program(tmp_path):
    net = network(delay=np.arange(N) % 3 * ms)
    project = export(net, tmp_path / "net", inputs=spike_trials(2))
    folder = write_inputs(project, tmp_path / "in", spike_trials(3, seed=5), parameters={
        "input.w": net.parameters["input.w"]})  # fmt: skip
    np.testing.assert_array_equal(np.load(folder / "input.w.npy"), net.parameters["input.w"])
    # The period: 60 steps, and two idle ones for the longest delay.
    for inputs, trials in (
        (project / "inputs", spike_trials(2)),
        (folder, spike_trials(3, seed=5)),
    ):
        np.testing.assert_array_equal(np.load(inputs / "trials.npy"), [60] * len(trials))
        times, channels = np.load(inputs / "input.t.npy"), np.load(inputs / "input.i.npy")
        offsets, step, channel = trials.steps(1 * ms)
        wanted = step + np.repeat(np.arange(len(trials)) * 62, np.diff(offsets))
        np.testing.assert_array_equal(np.rint(times / 1e-3), wanted)
        np.testing.assert_array_equal(channels, channel)
    with pytest.raises(ValueError, match=r"the program has no 'out.w'"):
        write_inputs(project, folder, spike_trials(2), parameters={"out.w": 1})
    with pytest.raises(ValueError, match=r"is not an exported network"):
        write_inputs(tmp_path, folder, spike_trials(2))


def test_trials_that_do_not_fit(tmp_path, exported):
    project = export(plastic, tmp_path / "plain", duration=5 * ms)
    with pytest.raises(ValueError, match=r"made by a function: write its .npy files yourself"):
        write_inputs(project, tmp_path / "in", spike_trials(1))
    project = export(network(), tmp_path / "net", inputs=spike_trials(2))
    with pytest.raises(ValueError, match=r"the trials have 30 channels, the network's input has 2"):
        write_inputs(exported, tmp_path / "in", spike_trials(1))
    with pytest.raises(ValueError, match=r"a trial has 90 steps.*at most 60 steps"):
        write_inputs(project, tmp_path / "in", _longer())
    one = export(network(), tmp_path / "one", inputs=spike_trials(1))
    with pytest.raises(ValueError, match=r"there are 2 trials.*was exported with one trial"):
        write_inputs(one, tmp_path / "in", spike_trials(2))
    assert not (tmp_path / "in").exists()


def _longer():
    trials = spike_trials(1)
    return type(trials)(
        times=trials.times,
        units=trials.units,
        offsets=trials.offsets,
        labels=trials.labels,
        n_channels=trials.n_channels,
        duration=90 * ms,
    )


# -- results ----------------------------------------------------------------------------------


@pytest.fixture
def results(exported, tmp_path):
    """Results as the program writes them: 20 steps, two spikes of neurons 2 and 0."""
    folder = tmp_path / "results"
    folder.mkdir()
    shutil.copy(exported / "manifest.json", folder)
    (folder / "run.json").write_text('{"duration": 0.02, "set": {}}')
    np.save(folder / "trials.npy", np.array([20]))
    np.save(folder / "hidden_spikes.i.npy", np.array([2, 0], "<i4"))
    np.save(folder / "hidden_spikes.t.npy", np.array([0.003, 0.007]))
    np.save(folder / "readout_states.output.npy", np.arange(40.0).reshape(20, 2))
    return folder


def test_results_are_quantities_again(results):
    found = read_results(results)
    np.testing.assert_allclose(found.spikes["hidden"][0].t / ms, [3, 7], rtol=1e-12)
    np.testing.assert_array_equal(found.spikes["hidden"][0].i, [2, 0])
    np.testing.assert_array_equal(found.output[0][:2], [[0, 1], [2, 3]])
    assert found.arrays["hidden_spikes.t"].dim is second.dim
    assert found.settings == {"duration": 0.02, "set": {}}


def _cut(name, size):
    def change(folder):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[:size])

    return change


def _save(name, array, **settings):
    return lambda folder: np.save(folder / f"{name}.npy", array, **settings)


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
        (_save("hidden_spikes.t", np.zeros(1)), r"hold 2 and 1 spikes"),
        (_cut("hidden_spikes.t.npy", 140), r"cannot be read"),
        (_cut("hidden_spikes.i.npy", 30), r"cannot be read"),
        (_cut("hidden_spikes.i.npy", 0), r"cannot be read"),
        (_save("readout_states.output", np.zeros((19, 2))), r"has another number of steps"),
        (_save("readout_states.output", np.zeros((20, 3))), r"the shape \(20, 3\)"),
        (_save("readout_states.output", np.zeros((20, 2), "f4")), r"has the type float32"),
        (_save("trials", np.array([0])), r"trials.npy has no trials"),
        (_save("hidden_spikes.i", np.array([None, 1]), allow_pickle=True), r"as object, not"),
        (_cut("manifest.json", 100), r"cannot be read"),
        (lambda folder: (folder / "hidden_spikes.i.npy").unlink(), r"hidden_spikes.i.npy"),
        (lambda folder: (folder / "run.json").unlink(), r"run.json"),
        (_manifest(format="other"), r"another format or version"),
        (_manifest(version=1), r"another format or version"),
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


def test_cuda_needs_brian2cuda_and_an_architecture(tmp_path):
    with pytest.raises(
        ValueError, match=r"arch must be an architecture such as 'sm_80', got 'A100'"
    ):
        cuda.settings("A100")
    if find_spec("brian2cuda") is None:
        with pytest.raises(
            ImportError, match=r"the package brian2cuda is not installed.*neurosnn\[cuda\]"
        ):
            export(small(), tmp_path / "net", duration=5 * ms, device="cuda_standalone")
        assert not os.listdir(tmp_path)
