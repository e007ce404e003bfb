"""Exported programs: they run without Python and give its spikes, and every error is one."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time

import numpy as np
import pytest
from brian2 import ms
from export_cases import CLEAN, make, quick, run, start, two_layers
from reference.networks import (
    N_IN,
    N_STEPS,
    N,
    real_valued_network,
    simulate,
    spike_trials,
    spikes,
)

from neurosnn import export, read_results, write_inputs
from neurosnn.data import FrameTrials

pytestmark = [pytest.mark.standalone, pytest.mark.slow]


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """Two layers, exported in one folder, and built and run in another without our environment."""
    folder = tmp_path_factory.mktemp("export")
    net, trials = two_layers()
    export(net, folder / "here", inputs=trials)
    shutil.copytree(folder / "here", folder / "elsewhere")
    shutil.rmtree(folder / "here")
    make(folder / "elsewhere", "-j2", quick())
    run(folder / "elsewhere")
    return folder / "elsewhere"


def same_spikes(found, alone, layer):
    steps = np.rint(found.t / ms).astype(int).tolist()
    listed = list(zip(steps, found.i.tolist(), strict=True))
    assert listed == spikes(alone[f"{layer}_spikes"])
    assert len(set(found.i)) >= 0.2 * N


def test_the_program_gives_the_spikes_of_python(built):
    net, trials = two_layers()
    results = read_results(built)
    for k in range(len(trials)):
        alone = simulate(net, trials[k : k + 1])
        for layer in ("hidden1", "hidden2"):
            same_spikes(results.spikes[layer][k], alone, layer)
        assert results.output[k].shape == (N_STEPS, 3)
        np.testing.assert_allclose(
            results.output[k].T, alone["readout_states"].output[:], rtol=1e-12, atol=1e-14
        )


def test_new_trials_weights_and_parameters_without_a_rebuild(built, tmp_path):
    net, _ = two_layers()
    before = (built / "run").stat().st_mtime
    np.multiply(net.parameters["input.w"], 1.25, out=net.parameters["input.w"])
    net.parameters["readout.b"][:] = [-1, 0, 1]
    other = spike_trials(4, seed=3)
    write_inputs(built, tmp_path / "in", other, parameters=net.parameters)
    ran = run(built, "--input", tmp_path / "in", "--out", tmp_path / "out",
              "--set", "hidden1.tau_m=0.03", "--set", "hidden2.v_th=-0.0505")  # fmt: skip
    assert "results are in" in ran.stderr
    assert not ran.stdout
    results = read_results(tmp_path / "out")
    assert results.settings["set"] == {"hidden1.tau_m": 0.03, "hidden2.v_th": -0.0505}
    changed = []
    for k in (0, 3):
        simulation = net.brian2(other[k : k + 1], record=("spikes", "output"))
        simulation["hidden1"].variables["tau_m"].set_value(0.03)
        simulation["hidden2"].variables["v_th"].set_value(-0.0505)
        simulation.run(net.trial_times(other[k : k + 1]).duration, namespace={})
        for layer in ("hidden1", "hidden2"):
            same_spikes(results.spikes[layer][k], simulation, layer)
        np.testing.assert_allclose(
            results.output[k].T, simulation["readout_states"].output[:], rtol=1e-12, atol=1e-14
        )
        plain = simulate(net, other[k : k + 1])
        changed.append(spikes(plain["hidden1_spikes"]) != spikes(simulation["hidden1_spikes"]))
    assert any(changed)
    assert (built / "run").stat().st_mtime == before
    # The same results by a parameter's file, one value or one for all.
    np.save(tmp_path / "in" / "hidden1.tau_m.npy", np.float32(0.03))
    np.save(tmp_path / "in" / "hidden2.v_th.npy", np.array([-0.0505]))
    run(built, "--input", tmp_path / "in", "--out", tmp_path / "again", "--quiet")
    again = read_results(tmp_path / "again")
    np.testing.assert_allclose(again.output[3], results.output[3], rtol=1e-6)


def test_arrays_of_other_programs(built, tmp_path):
    """Fortran order and other number types, as MATLAB and R write them; version 2 of the header."""
    source = built / "inputs"
    (tmp_path / "in").mkdir()
    weights = np.load(source / "input.w.npy")
    np.save(tmp_path / "in" / "input.w.npy", np.asfortranarray(weights))
    for name, dtype in (("input.i", np.int64), ("trials", np.float64), ("input.t", np.float64)):
        array = np.load(source / f"{name}.npy").astype(dtype)
        with (tmp_path / "in" / f"{name}.npy").open("wb") as file:
            np.lib.format.write_array(file, array[::1], version=(2, 0))
    # In any order.
    order = np.random.default_rng(0).permutation(len(np.load(source / "input.i.npy")))
    for name in ("input.i", "input.t"):
        np.save(tmp_path / "in" / f"{name}.npy", np.load(source / f"{name}.npy")[order])
    run(built, "--input", tmp_path / "in", "--out", tmp_path / "out")
    first, again = read_results(built), read_results(tmp_path / "out")
    for name, array in first.arrays.items():
        np.testing.assert_array_equal(again.arrays[name], array)


def test_help_names_every_input(built):
    text = run(built, "--help").stdout
    for words in ("hidden1.tau_m = 0.02 s (> 0)", "input.w.npy (optional)", "trials.npy", "--out"):
        assert words in text
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [built / "run", "--help"], env=CLEAN, stdout=full, stderr=-1, text=True
        )
    assert done.returncode == 1
    assert "cannot write to the standard output" in done.stderr


def test_a_program_with_real_valued_input(tmp_path):
    values = np.random.default_rng(3).normal(0, 2, (50, 4))
    trials = FrameTrials(features=values, offsets=[0, 30, 50], frame=1 * ms)
    net = real_valued_network()
    path = make(export(net, tmp_path / "net", inputs=trials))
    run(path)
    results = read_results(path)
    for k in range(2):
        same_spikes(results.spikes["hidden"][k], simulate(net, trials[k : k + 1]), "hidden")
    # Three trials instead of two.
    longer = trials[[1, 0, 1]]
    write_inputs(path, tmp_path / "in", longer)
    run(path, "--input", tmp_path / "in", "--out", tmp_path / "out")
    results = read_results(tmp_path / "out")
    for k in range(3):
        same_spikes(results.spikes["hidden"][k], simulate(net, longer[k : k + 1]), "hidden")


# -- bad uses ---------------------------------------------------------------------------------

W = np.zeros((N_IN, N))


def save(name, array, **settings):
    return lambda folder: np.save(folder / f"{name}.npy", array, **settings)


def change(name, function):
    """Change an array of the right files."""

    def apply(folder):
        array = np.load(folder / f"{name}.npy")
        np.save(folder / f"{name}.npy", function(array))

    return apply


def cut(name, size):
    def apply(folder):
        content = (folder / f"{name}.npy").read_bytes()
        (folder / f"{name}.npy").write_bytes(content[:size])

    return apply


def put(name, content):
    return lambda folder: (folder / name).write_bytes(content)


def remove(name):
    return lambda folder: (folder / f"{name}.npy").unlink()


def folder_for(name):
    def apply(folder):
        remove(name)(folder)
        (folder / f"{name}.npy").mkdir()

    return apply


def at(index, value):
    def apply(array):
        array[index] = value
        return array

    return apply


def header(shape):
    text = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


BAD_FILES = {
    "a missing file": (remove("input.t"), "input.t.npy is missing; it belongs to"),
    "no trials": (remove("trials"), "trials.npy is missing; it belongs to input.i.npy"),
    "truncated values": (cut("input.w", -8), "input.w.npy is truncated: it holds 4792 bytes"),
    "truncated header": (cut("input.w", 40), "is truncated: it ends within its header"),
    "an empty file": (cut("input.w", 0), "is not an array in numpy's .npy format"),
    "more than the header says": (put("readout1.w.npy", header((1,)) + bytes(16)), "more bytes"),
    "another format": (put("input.w.npy", b"not an array, but some text"), "not an array in numpy's"),
    "a huge shape": (put("input.w.npy", header((10**15, 10**15))), "claims an impossible shape"),
    "a huge array": (put("input.w.npy", header((10**12,))), "is truncated: it holds 0 bytes"),
    "objects": (save("input.w", np.array([None]), allow_pickle=True), "has the type |O"),
    "complex numbers": (save("input.w", W.astype(complex)), "has the type <c16"),
    "big-endian": (save("input.w", W.astype(">f8")), "has the type >f8: save it as float64"),
    "a transposed matrix": (save("input.w", W.T), "has the shape (20, 30), not (30, 20)"),
    "a wrong size": (save("readout.b", np.zeros(4)), "has the shape (4,), not (3,)"),
    "nan weights": (change("input.w", lambda w: w * np.nan), "input.w.npy: value [0, 1] is not finite"),
    "an infinite bias": (change("readout.b", at(1, np.inf)), "value 1 is not finite"),
    "a synapse that is none": (change("recurrent1.w", at((3, 3), 0.5)), "but there is no such synapse"),
    "nothing wrong": (change("forward2.w", lambda w: w), None),
    "an excitatory neuron that inhibits": (change("recurrent2.w", lambda w: -w), "has sign +1"),
    "an unknown name": (save("inptu.w", W), "of this name. Did you mean input.w?"),
    "a foreign parameter": (save("hidden1.w_th", 1.0), "has no input of this name"),
    "a negative time constant": (save("hidden1.tau_m", -0.02), "must be > 0 s, got -0.02"),
    "a negative spike time": (change("input.t", at(0, -0.001)), "spike 0 has a negative time: -0.001 s"),
    "a spike time that is nan": (change("input.t", at(2, np.nan)), "spike 2 has a time that is not finite"),
    "a spike after the end": (change("input.t", at(-1, 9.0)), "after the end of the simulation at"),
    "a spike between trials": (change("input.t", at(0, 0.061)), "comes after the end of its trial"),
    "a neuron that is none": (change("input.i", at(4, 30)), "spike 4 is of neuron 30, but input has"),
    "a negative neuron": (change("input.i", at(4, -1)), "spike 4 is of neuron -1"),
    "half a neuron": (change("input.i", lambda i: i + 0.5), "spike 0 is of neuron"),
    "times without neurons": (change("input.i", lambda i: i[:-1]), "one time for each spike"),
    "two spikes in a step": (change("input.i", lambda i: i * 0), "neuron 0 spikes twice in the step at"),
    "a negative number of steps": (save("trials", np.array([60, -1])), "trial 1 has -1 steps, not a whole"),
    "a fraction of a step": (save("trials", np.array([59.5])), "trial 0 has 59.5 steps"),
    "too long a trial": (save("trials", np.array([61])), "exported for trials of at most 60"),
    "trials as a matrix": (save("trials", np.array([[60]])), "must hold the number of steps of each trial"),
    "a folder in place of a file": (folder_for("input.w"), "is a folder, not an array"),
}  # fmt: skip


@pytest.fixture
def earlier(built):
    """The results that must not change, and nothing of a failed run may stay."""
    before = {path: path.read_bytes() for path in (built / "results").iterdir()}
    yield before
    assert {path: path.read_bytes() for path in (built / "results").iterdir()} == before
    assert not [name for name in os.listdir(built) if name.startswith(".")]


@pytest.mark.parametrize(("spoil", "text"), BAD_FILES.values(), ids=BAD_FILES)
def test_bad_files(built, earlier, tmp_path, spoil, text):
    folder = tmp_path / "in"
    shutil.copytree(built / "inputs", folder)
    spoil(folder)
    ran = start(built, "--input", folder)
    if text is None:  # the control: files that were only written again
        assert ran.returncode == 0
        return
    assert ran.returncode == 1
    assert text in ran.stderr
    assert ran.stderr.startswith("run: ")
    assert ran.stderr.count("\n") == 1


BAD_OPTIONS = {
    "unknown option": (["--frobnicate"], 2, "unknown argument '--frobnicate'"),
    "misspelt option": (["--inputs", "x"], 2, "Did you mean --input?"),
    "no option": (["hidden1.tau_m=0.02"], 2, "unknown argument 'hidden1.tau_m=0.02'"),
    "no folder": (["--out"], 2, "--out needs a folder"),
    "empty folder name": (["--out", ""], 2, "--out needs a folder"),
    "option for a folder": (["--input", "--out", "x"], 2, "--input needs a folder"),
    "two folders": (["--out", "a", "--out", "b"], 2, "--out is given twice"),
    "no value": (["--set", "hidden1.tau_m"], 2, "--set needs NAME=VALUE"),
    "no setting": (["--set"], 2, "--set needs NAME=VALUE"),
    "text as a value": (["--set", "hidden1.tau_m=abc"], 1, "'abc' is not a number"),
    "a unit": (["--set", "hidden1.tau_m=20ms"], 1, "'20ms' is not a number. Values are in SI units"),
    "empty value": (["--set", "hidden1.tau_m="], 1, "'' is not a number"),
    "nan": (["--set", "hidden1.v_th=nan"], 1, "--set hidden1.v_th is not finite"),
    "too large a number": (["--set", "hidden1.v_th=1e999"], 1, "'1e999' is not a number"),
    "negative time": (["--set", "hidden1.tau_m=-0.02"], 1, "must be > 0 s, got -0.02"),
    "unknown parameter": (["--set", "hidden1.taum=1"], 2, "Did you mean hidden1.tau_m?"),
    "weights on the line": (["--set", "input.w=1"], 2, "give these values as a file, input.w.npy"),
    "a parameter twice": (["--set", "hidden1.tau_m=1", "--set", "hidden1.tau_m=2"], 2, "is given twice"),
    "no such inputs": (["--input", "nowhere"], 1, "there is no folder"),
    "inputs without arrays": (["--input", "brianlib"], 1, "holds no .npy file"),
    "foreign results": (["--out", "code_objects"], 1, "does not hold results of such a program"),
    "a file as results": (["--out", "makefile"], 1, "exists and does not hold results"),
    "a device as results": (["--out", "/dev/full"], 1, "exists and does not hold results"),
    "within a file": (["--out", "makefile/x"], 1, "cannot write into"),
    "a folder of the kernel": (["--out", "/proc/x"], 1, "cannot write into /proc"),
}  # fmt: skip


@pytest.mark.parametrize(("arguments", "code", "text"), BAD_OPTIONS.values(), ids=BAD_OPTIONS)
def test_bad_options(built, earlier, arguments, code, text):
    ran = start(built, *arguments)
    assert ran.returncode == code
    assert text in ran.stderr
    assert ran.stderr.count("\n") == 1


@pytest.mark.parametrize("limit", [1, 2])
def test_a_full_disk(built, earlier, limit):
    """A limit of the size of files, in 512 bytes: the weights still fit at none."""
    ran = start(built, "-c", f"ulimit -f {limit}; ./run", command="sh")
    assert ran.returncode == 1
    assert "disk full" in ran.stderr or "File too large" in ran.stderr


def test_no_memory(built, earlier, tmp_path):
    """A file with a hole of 2 GB, and less memory than that."""
    with (tmp_path / "readout.b.npy").open("wb") as file:
        file.write(header((2**28,)))
        file.truncate(file.tell() + 2**31)
    ran = start(built, "-c", f"ulimit -v 500000; ./run --input {tmp_path}", command="sh")
    assert ran.returncode == 1
    assert "there is not enough memory" in ran.stderr


def test_files_of_the_project_that_are_gone(built, earlier):
    for name, text in (
        ("manifest.json", "manifest.json is missing"),
        ("inputs/input.i.npy", "input.i.npy is missing"),
        ("static_arrays/_static_array__dynamic_array_recurrent1_w", "Error opening static array"),
    ):
        os.rename(built / name, built / "gone")
        try:
            ran = start(built)
            assert ran.returncode == 1
            assert text in ran.stderr
        finally:
            os.rename(built / "gone", built / name)
    path = built / "static_arrays" / "_static_array__dynamic_array_recurrent1_w"
    content = path.read_bytes()
    try:
        path.write_bytes(content[:-8])
        ran = start(built)
        assert ran.returncode == 1
        assert "too short a file" in ran.stderr
    finally:
        path.write_bytes(content)


@pytest.fixture
def long_inputs(built, tmp_path):
    """So many trials that a run takes long."""
    trials = spike_trials(1)
    n = 20000
    (tmp_path / "long").mkdir()
    np.save(tmp_path / "long" / "trials.npy", np.full(n, N_STEPS))
    np.save(tmp_path / "long" / "input.i.npy", trials.units.astype("<i4"))
    np.save(tmp_path / "long" / "input.t.npy", np.asarray(trials.times, float))
    return tmp_path / "long"


def begin(built, *arguments):
    process = subprocess.Popen(
        ["./run", *map(str, arguments)], cwd=built, env=CLEAN, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while not (built / ".results.part" / "raw").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    return process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_run_that_is_stopped(built, earlier, long_inputs, number):
    process = begin(built, "--input", long_inputs)
    process.send_signal(number)
    _, text = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert "stopped" in text


def test_two_runs_into_one_folder_and_one_that_is_killed(built, earlier, long_inputs, tmp_path):
    process = begin(built, "--input", long_inputs)
    try:
        second = start(built)
        assert second.returncode == 1
        assert "another run is writing" in second.stderr
        third = start(built, "--out", tmp_path / "elsewhere")
        assert third.returncode == 0
    finally:
        process.kill()
        process.communicate(timeout=60)
    assert (built / ".results.part").exists()
    run(built)  # takes away what the killed one has left
    assert not (built / ".results.part").exists()


def test_killed_between_the_two_renamings(built, earlier):
    """The old results are then under another name; the next run finds them, whatever becomes of it."""
    os.rename(built / "results", built / ".results.old")
    assert start(built, "--set", "hidden1.tau_m=-1").returncode == 1
    assert (built / "results").exists()


def test_progress_on_stderr(built, long_inputs, tmp_path):
    process = subprocess.Popen(
        ["./run", "--input", long_inputs, "--out", tmp_path / "out"],
        cwd=built,
        env=CLEAN,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    line = process.stderr.readline()
    process.terminate()
    rest, _ = process.communicate(timeout=60)
    assert "% of 1240 s simulated in" in line
    assert "to go" in line
    assert not rest
