"""A second start of the engine: what was derived is kept, and only where it holds."""

from __future__ import annotations

import ast
import dataclasses
import json
import shutil
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from brian2 import ms
from engine_cases import MODELS, spike_trials

import neurosnn
from neurosnn import BPTT, CrossEntropy, EProp, EventProp, equations
from neurosnn.engine import Engine, backend, cache_folder, derivation, program
from neurosnn.engine.derivation import derivation_key, read_derivation, write_derivation
from neurosnn.network import Input, Layer, Readout, SpikingNetwork

MODEL = equations.ALIF()


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    """Derivations go to a folder of their own, compiled libraries to the usual one."""
    usual, load = cache_folder(), program.load_library

    def loaded(source, **how):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("NEUROSNN_CACHE", str(usual.parent))
            return load(source, **how)

    monkeypatch.setenv("NEUROSNN_CACHE", str(tmp_path))
    monkeypatch.setattr(program, "load_library", loaded)


def no_derivation(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("derived again")

    for name in ("Translator", "network_source"):
        monkeypatch.setattr(backend, name, refuse)


def engine(model=MODEL, rule=None, scale=3.0, **settings):
    options = {"delay": np.arange(20) % 3 * ms, "weight_scale": scale}
    layers = [Layer(model, 20, recurrent=True, **options) for _ in range(2)]
    net = SpikingNetwork(Input(30), *layers, Readout(3), seed=1)
    return Engine(net, rule or EProp(), CrossEntropy(), dtype="float64", **settings)


def gradient(found):
    result = found.run(spike_trials(3, n_steps=150, rate=60), gradient=True)
    assert min(result.spikes.values()) > 20
    assert all(np.abs(block).max() > 0 for block in result.gradient.values())
    return result.gradient


@pytest.mark.parametrize(
    ("model", "rule", "learn", "scale"),
    [
        (MODEL, EProp(), ("tau_m", "v_th"), 3.0),
        (equations.CurrentLIF(), EventProp(), ("tau_m",), 10.0),
    ],
)
@pytest.mark.usefixtures("empty_cache")
def test_a_second_start_derives_nothing_and_gives_the_same_bits(
    monkeypatch, model, rule, learn, scale
):
    settings = {"scale": scale, "learn": {"hidden1": learn, "hidden2": learn}}
    first = engine(model, rule, **settings)
    no_derivation(monkeypatch)
    again = engine(model, rule, **settings)
    assert again._layers == first._layers
    assert again._fields == first._fields
    expected, found = gradient(first), gradient(again)
    assert expected.keys() == found.keys()
    for key, block in expected.items():
        np.testing.assert_array_equal(found[key], block)


@pytest.mark.usefixtures("empty_cache")
def test_values_of_parameters_need_no_new_derivation(monkeypatch):
    slow = gradient(engine(equations.ALIF(tau_m=40 * ms)))
    engine()
    no_derivation(monkeypatch)
    monkeypatch.setattr(backend, "write_derivation", None)
    for key, block in gradient(engine(equations.ALIF(tau_m=40 * ms))).items():
        np.testing.assert_array_equal(block, slow[key])
    assert any(np.any(block != slow[key]) for key, block in gradient(engine()).items())


CHANGES = {
    "equations": MODEL.equations + "\nspare : 1",
    "threshold": MODEL.threshold.replace(">=", ">") if ">=" in MODEL.threshold else "v >= v_th",
    "reset": MODEL.reset + "\na += 0",
    "step": "a += 0",
    "method": "euler",
    "surrogate": "2*(" + MODEL.surrogate + ")",
    "spike_gradient": (),
    "initial": {"v": "0.5*v_th"},
    "name": "Another",
}


@pytest.mark.parametrize("field", CHANGES)
def test_every_string_of_a_model_counts(field):
    assert getattr(MODEL, field) != CHANGES[field]
    changed = dataclasses.replace(MODEL, **{field: CHANGES[field]})
    keys = [derivation_key({"hidden": model}, wiring="one") for model in (MODEL, changed)]
    assert keys[0] != keys[1]
    assert derivation_key({"hidden": MODEL}, wiring="another") not in keys


def test_the_rule_and_its_templates_count():
    net = SpikingNetwork(Input(3), Layer(MODEL, 2), Readout(2), seed=1)
    keys = {
        derivation_key({"hidden": MODEL}, backward=rule.backward(net, None))
        for rule in (EProp(), BPTT(), EventProp())
    }
    assert len(keys) == 3

    class Changed(type(EProp().backward(net, None))):
        templates: ClassVar[dict[str, str]] = {
            **EProp().backward(net, None).templates,
            "trial_surrogate.jinja": "//",
        }

    changed = Changed({}, {}, adaptive=False)
    assert derivation_key({"hidden": MODEL}, backward=changed) not in keys


def copied_package(tmp_path):
    source = Path(neurosnn.__file__).parent
    for folder in ("core", "model", "calculus", "losses", "engine", "cli", "training"):
        shutil.copytree(source / folder, tmp_path / folder, ignore=shutil.ignore_patterns("*.pyc"))
    return tmp_path


@pytest.mark.parametrize(
    ("file", "counts"),
    [
        ("calculus/step.py", True),
        ("core/symbolic.py", True),
        ("engine/cpp.py", True),
        ("engine/layer.jinja", True),
        ("losses/mean_square.py", True),
        ("model/neuron.py", True),
        ("cli/main.py", False),
        ("training/trainer.py", False),
        ("core/statements.py", True),
        ("core/messages.py", False),
    ],
)
def test_a_changed_file_gives_another_key_if_it_determines_code(tmp_path, file, counts):
    folder = copied_package(tmp_path)
    before = derivation.fingerprint(derivation.determining_files(folder))
    path = folder / file
    path.write_text(path.read_text() + "\n")
    after = derivation.fingerprint(derivation.determining_files(folder))
    assert (before != after) == counts


def test_what_derives_code_imports_nothing_that_is_left_out():
    """Neither messages nor checks change the code; all else that is imported is part of the key."""
    folder = Path(neurosnn.__file__).parent
    files = {file for file in derivation.determining_files() if file.suffix == ".py"}
    harmless = {
        "core/arguments.py",
        "core/html.py",
        "core/messages.py",
        "core/texts.py",
        "core/values.py",
        "core/files.py",
        "core/__init__.py",
        "__init__.py",
    }
    lacking = set()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("neurosnn"):
                parts = node.module.split(".")[1:]
                path = folder.joinpath(*parts)
                found = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
                name = found.relative_to(folder).as_posix()
                if found not in files and name not in harmless and not name.startswith("network"):
                    lacking.add(f"{file.name}: {name}")
    assert not lacking


def test_refractoriness_and_parameters_by_neuron_count():
    base = equations.STDP_LIF()
    models = [base, base.with_parameters(tau_m=np.full(20, 20.0) * ms)]
    models.append(dataclasses.replace(equations.CurrentLIF(), refractory=2 * ms))
    models.append(dataclasses.replace(models[-1], refractory=3 * ms))
    keys = {derivation_key({"hidden": model}) for model in models}
    assert len(keys) == len(models)
    assert derivation_key({"hidden": base.with_parameters(tau_m=19 * ms)}) in keys


def test_each_model_has_its_own_file():
    keys = {derivation_key({"hidden": model}, wiring="one") for model in MODELS.values()}
    assert len(keys) == len(MODELS)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "",
        lambda text: "[1, 2]",
        lambda text: json.dumps({"layers": [{"index": 0}], "source": ""}),
        lambda text: json.dumps({**json.loads(text), "layers": 3}),
    ],
)
@pytest.mark.usefixtures("empty_cache")
def test_a_broken_file_is_derived_anew(tmp_path, damage):
    expected = gradient(engine())
    (file,) = tmp_path.glob("engine/*.json")
    good = file.read_text()
    file.write_text(damage(good))
    assert read_derivation(file.stem) is None
    for key, block in gradient(engine()).items():
        np.testing.assert_array_equal(block, expected[key])
    assert file.read_text() == good


@pytest.mark.usefixtures("empty_cache")
def test_what_is_kept_comes_back(tmp_path):
    layers = engine()._layers
    write_derivation("a", layers, "source")
    assert read_derivation("a") == (layers, "source")
    assert read_derivation("b") is None
    assert {file.suffix for file in tmp_path.glob("engine/*")} == {".json"}


@pytest.mark.usefixtures("empty_cache")
def test_a_learned_delay_of_zero_is_not_taken_for_none():
    for learn in ((), ("delay",)):
        layer = Layer(equations.CurrentLIF(), 20, recurrent=True, weight_scale=10.0, learn=learn)
        net = SpikingNetwork(Input(30), layer, Readout(3), seed=1)
        found = gradient(Engine(net, EventProp(), CrossEntropy(), dtype="float64"))
        assert ("hidden.delay" in found) == bool(learn)
