"""The command line: what it prints, which exit codes it gives, and no traceback for a user's error."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib import metadata

import numpy as np
import pytest
from brian2 import ms
from export_cases import small

from neurosnn import SpikingNetwork, data, equations
from neurosnn.cli import doctor, recipes
from neurosnn.cli import main as cli
from neurosnn.core.optional import PACKAGES
from neurosnn.engine import cache_folder

TINY = """
title = "Tiny"
[data]
name = "digits_8x8"
limit = 20
[network]
neuron = "LIF"
n = 5
dt = "5 ms"
weight_scale = 3.0
parameters = {tau_m = "10 ms"}
[training]
rule = "eprop"
epochs = 1
batch_size = 10
"""


@pytest.fixture
def command(capsys, tmp_path, monkeypatch):
    """Run a command in a folder of its own: exit code, output, messages."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        code = cli.main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return code, captured.out, captured.err

    return run


@pytest.mark.smoke
def test_models_are_all_there_is(command):
    code, out, _ = command("models")
    assert code == 0
    for name in (*equations.__all__, *recipes.built_in(), "eprop", "eventprop"):
        assert f"  {name} " in out


def test_show_prints_equations_parameters_and_sources(command):
    code, out, _ = command("show", "alif")
    assert code == 0
    for words in ("dv/dt = -v/tau_m : 1", "v >= v_th + beta*a", "tau_a", "Bellec", "0.3"):
        assert words in out
    code, out, _ = command("show", "PairSTDP")
    assert "w = clip(w + A_minus*y, w_min, w_max)" in out
    assert "A_plus" in out
    code, out, _ = command("show", "LIF", "--rule", "eprop")
    assert "G += L_post*ebar" in out
    assert "Bellec 2020, Methods: 20 ms" in out
    code, out, _ = command("show", "ALIF", "--rule", "bptt")
    assert code == 0
    for line in (
        "dE_dw += lam_v",
        "z = psi*(L + feedback + lam_a)",
        "lam_v = lam_v*(exp(-dt/tau_m)) + z",
        "lam_a = lam_a*(exp(-dt/tau_a)) + z*(-beta)",
    ):
        assert f"    {line}\n" in out + "\n"


def test_version(command):
    assert command("--version")[:2] == (0, f"neurosnn {metadata.version('neurosnn')}\n")


def test_every_model_and_rule_can_be_shown(command):
    for name in equations.__all__:
        code, out, _ = command("show", name)
        assert code == 0
        assert out.startswith(getattr(equations, name)().name)


def test_window_as_a_table_and_as_a_picture(command, tmp_path):
    code, out, _ = command("window", "PairSTDP", "--max-lag", "2ms")
    rows = [line.split() for line in out.splitlines()[1:]]
    assert code == 0
    assert [float(row[0]) for row in rows] == [-2, -1, 0, 1, 2]
    assert float(rows[3][1]) == pytest.approx(0.005 * np.exp(-1 / 20))
    code, out, _ = command("window", "eprop", "--neuron", "STDP_LIF", "--max-lag", "3 ms",
                           "--png", "w.png")  # fmt: skip
    assert (code, out) == (0, "wrote w.png\n")
    assert (tmp_path / "w.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_train_evaluate_and_export(command, tmp_path):
    (tmp_path / "tiny.toml").write_text(TINY)
    code, out, _ = command("train", "tiny.toml", "--backend", "brian2")
    assert code == 0
    assert "wrote tiny.npz" in out
    trained = dict(line.split() for line in out.splitlines() if line.startswith("  accuracy"))
    net = SpikingNetwork.load("tiny.npz")
    assert float(net.layers[0].model.parameters["tau_m"]) == 0.01
    before = recipes.load_recipe("tiny.toml")
    fresh = before.build(before.trials()[0])
    assert not np.array_equal(net.parameters["input.w"], fresh.parameters["input.w"])
    code, out, _ = command("evaluate", "tiny.npz", "tiny.toml", "--backend", "brian2")
    assert code == 0
    assert dict(line.split() for line in out.splitlines() if "accuracy" in line) == trained
    code, out, _ = command("export", "tiny.npz", "tiny", "--data", "tiny.toml", "--trials", "3")
    assert code == 0
    assert "make && ./run" in out
    manifest = json.loads((tmp_path / "tiny" / "manifest.json").read_text())
    assert manifest["trials"]["n_steps"] == [10, 10, 10]
    code, out, _ = command("export", "tiny.npz", "tiny", "--duration", "20 ms", "--overwrite")
    assert code == 0


OWN = """
[data]
path = "mine.npz"
test_fraction = 0.25
[network]
neuron = "LIF"
n = 5
weight_scale = 3.0
[training]
rule = "eprop"
epochs = 1
seed = 3
options = {feedback = "random"}
"""


def own_trials(n=12):
    times = [[1.0 + k % 3, 5.0, 9.0] * ms for k in range(n)]
    units = [[k % 2, 2, 3] for k in range(n)]
    return data.SpikeTrials.from_lists(times, units, ["no", "yes"] * (n // 2), duration=12 * ms)


def test_own_data_and_settings_of_the_command_line(command, tmp_path):
    folder = tmp_path / "there"
    folder.mkdir()
    (folder / "mine.toml").write_text(OWN)
    data.write_trials(folder / "mine.npz", own_trials())
    call = ("train", "there/mine.toml", "--backend", "brian2", "--seed", 5, "--out", "a.npz")
    call += ("--learning-rate", "0.02", "--checkpoint", "a.ckpt.npz")
    code, out, err = command(*call)
    assert code == 0, err
    assert "2 classes" in out
    assert "on 4 trials not trained on" in out
    net = SpikingNetwork.load("a.npz")
    assert (net.seed, net.readout.n, net.input.n) == (5, 2, 4)
    assert "going on" not in out
    code, out, err = command(*call, "--epochs", 2)
    assert code == 0, err
    assert "going on from a.ckpt.npz" in out


def test_a_changed_recipe():
    recipe = recipes.load_recipe("digits").changed(rule="bptt", learning_rate=0.5, epochs=7, seed=9)
    assert (recipe.network["seed"], recipe.training["seed"], recipe.training["epochs"]) == (9, 9, 7)
    net = recipe.build(own_trials())
    assert net.seed == 9
    assert (recipe.training["rule"], recipe.training["learning_rate"]) == ("bptt", 0.5)
    same = recipes.load_recipe("digits").changed(rule=None, seed=None)
    assert same == recipes.load_recipe("digits")


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ('path = "mine.npz"', 'path = "yours.npz"', "yours.npz: there is no such file"),
        ('path = "mine.npz"', 'path = "mine.npz"\nname = "digits_8x8"', "are both given in [data]"),
        ("test_fraction = 0.25", "test_fraction = 2", "fraction must be a number between 0 and 1"),
        (
            "test_fraction = 0.25",
            'test_fraction = 0.2\ntest = "x"',
            "'test_fraction' are both given",
        ),
        ('path = "mine.npz"', "path = 3", "path in [data] is 3. Write the path of a file"),
        ('path = "mine.npz"', 'path = "mine.toml"', "Neo cannot read this file"),
    ],
)
def test_own_data_that_is_none(command, tmp_path, old, new, text):
    if "Neo" in text:
        pytest.importorskip("neo")
    assert old in OWN
    (tmp_path / "mine.toml").write_text(OWN.replace(old, new))
    data.write_trials(tmp_path / "mine.npz", own_trials())
    code, _, err = command("train", "mine.toml", "--backend", "brian2")
    assert code == 1
    assert text in err


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["window", "PairSTDP", "--png", "w.svg"], 1, "w.svg: the picture would be a PNG"),
        (["window", "PairSTDP", "--png", "net.npz/w.png"], 1, "Its parent is not a folder"),
        (["window", "LIF"], 1, "takes the neuron as --neuron."),
        (["train", "digits", "--rule", "epro"], 1, "there is no rule 'epro'. Did you mean 'eprop'?"),
        (["train", "digits", "--learning-rate", "-1"], 2, "must be greater than 0, got -1"),
        (["train", "digits", "--seed", "-1"], 2, "must be at least 0, got -1"),
        (["export", "net.npz", "out", "--duration", "0.5"], 1, '--duration "0.5 ms"'),
        ([], 2, "the following arguments are required: COMMAND"),
        (["frobnicate"], 2, "invalid choice: 'frobnicate'"),
        (["show"], 2, "required: MODEL"),
        (["show", "LFI"], 1, "there is no model or rule 'LFI'. Did you mean 'LIF'?"),
        (["show", "LIF", "--rule", "epro"], 1, "there is no rule 'epro'. Did you mean 'eprop'?"),
        (["show", "PairSTDP", "--rule", "eprop"], 1, "PairSTDP is a rule itself"),
        (["show", "LIF", "--rule", "eventprop"], 1, "EventProp differentiates the flow"),
        (["window", "eprop"], 1, "eprop needs a neuron"),
        (["window", "LIF"], 1, "rule"),
        (["window", "PairSTDP", "--max-lag", "50"], 1, "max_lag must be a time"),
        (["window", "PairSTDP", "--max-lag", "ten"], 1, "'ten' is not a value with a unit"),
        (["window", "PairSTDP", "--max-lag", "1 parsec"], 1, "is not a value with a unit"),
        (["window", "PairSTDP", "--max-lag", "2 ms", "--png", "/dev/full/x.png"], 1, "cannot be written"),
        (["train", "spoken_digit"], 1, "there is no such recipe. Did you mean 'spoken_digits'?"),
        (["train", "digits", "--epochs", "0"], 2, "must be at least 1, got 0"),
        (["train", "digits", "--out", "nowhere/x.npz"], 1, "there is no such folder"),
        (["evaluate", "nothing.npz", "digits"], 1, "there is no such file"),
        (["evaluate", "broken.npz", "digits"], 1, "cannot be read as a network"),
        (["export", "net.npz", "out"], 1, "neither inputs nor a duration"),
        (["export", "net.npz", "a/b/c", "--duration", "1 second"], 1, "does not exist"),
        (["export", "net.npz", "out", "--duration", "-1 second"], 1, "duration must be > 0"),
        (["export", "net.npz", "out", "--data", "digits"], 1, "64 channels"),
        (["export", "net.npz", "out", "--duration", "1ms", "--cuda", "--arch", "A1"], 1, "arch|brian2cuda"),
    ],
)  # fmt: skip
def test_errors_of_users(command, tmp_path, arguments, code, text):
    (tmp_path / "broken.npz").write_text("no network")
    small().save(tmp_path / "net.npz")
    found, _, err = command(*arguments)
    assert found == code
    assert any(part in err for part in text.split("|"))
    assert sorted(os.listdir(tmp_path)) == ["broken.npz", "net.npz"]


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("[data]", "[dat]", "unknown section 'dat'. Did you mean 'data'?"),
        ('name = "digits_8x8"', "", "'name' is missing in [data]"),
        ("digits_8x8", "imagenet", "unknown name 'imagenet'"),
        ("batch_size", "batchsize", "unknown 'batchsize' in [training]. Did you mean 'batch_size'?"),
        ('"LIF"', '"LFI"', "unknown neuron 'LFI'. Did you mean 'LIF'?"),
        ('"eprop"', '"__import__(\'os\')"', "unknown rule"),
        ("n = 5", "n = -5", "n must be a whole number from 1"),
        ('"10 ms"', '"10 mV"', "tau_m must be a time"),
        ('"10 ms"', "\"__import__('os').system('touch x')\"", "is not a value with a unit"),
        ("[training]", "[training", "is not TOML"),
    ],
)  # fmt: skip
def test_recipes_that_are_none(command, tmp_path, old, new, text):
    assert old in TINY
    (tmp_path / "bad.toml").write_text(TINY.replace(old, new))
    code, _, err = command("train", "bad.toml", "--backend", "brian2")
    assert code == 1
    assert text in err
    assert os.listdir(tmp_path) == ["bad.toml"]


def test_recipes_that_come_along_are_valid():
    for name, title in recipes.built_in().items():
        recipe = recipes.load_recipe(name)
        assert (recipe.name, recipe.title) == (name, title)
        train = recipe.trials()[0] if name == "digits" else None
        if train is not None:
            assert recipe.build(train).input.n == 64


def test_values_with_units():
    assert recipes.quantity("20 ms", "x") == recipes.quantity("20*ms", "x") == 20 * ms
    assert recipes.quantity("2e-3 second", "x") == 2 * ms
    assert recipes.quantity(3, "x") == recipes.quantity("3", "x") == 3


def test_doctor_names_what_is_missing(command, monkeypatch, tmp_path):
    monkeypatch.setenv("NEUROSNN_CACHE", str(tmp_path / "kept"))
    code, out, _ = command("doctor")
    assert re.search(rf"ok +cache folder +{re.escape(str(cache_folder()))}\n", out)
    assert str(tmp_path / "kept") in out
    assert metadata.version("brian2") in out
    assert code == (0 if "missing  C++" not in out and "missing  make" not in out else 1)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(doctor, "_writable", lambda folder: False)
    code, out, _ = command("doctor")
    assert code == 1
    for words in (
        *("missing  C++ compiler", "apt install g++", "missing  make", "cannot be written"),
        *("set NEUROSNN_CACHE", "install the CUDA toolkit", *PACKAGES),
    ):
        assert words in out


def test_doctor_tries_the_compiler(command, monkeypatch, tmp_path):
    broken = tmp_path / "c++"
    broken.write_text("#!/bin/sh\necho 'no C++17 here' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("CXX", str(broken))
    code, out, _ = command("doctor")
    assert code == 1
    assert "missing  compiling      c++ fails (no C++17 here): install a C++17 compiler" in out


def test_help_of_every_command_has_an_example(command):
    code, out, _ = command("--help")
    assert code == 0
    assert "exit codes" in out
    for name in ("models", "show", "window", "train", "evaluate", "export", "doctor"):
        assert f"neurosnn {name}" in out
        code, text, _ = command(name, "--help")
        assert code == 0
        assert f"example: neurosnn {name}" in text


def test_as_a_process(tmp_path):
    """Interrupted by nobody, read by a program that stops reading, and with nowhere to write."""

    def start(*arguments, **settings):
        return subprocess.run(
            [sys.executable, "-m", "neurosnn", *arguments], cwd=tmp_path, stderr=-1, text=True, **settings
        )  # fmt: skip

    done = start("show", "nothing", stdout=subprocess.PIPE)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("neurosnn: models: there is no model")
    with open("/dev/full", "w") as full:
        done = start("show", "LIF", stdout=full)
    assert done.returncode == 1
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
