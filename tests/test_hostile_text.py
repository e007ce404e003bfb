"""A stranger's file runs no program of theirs: every text is refused, or does nothing.

The places where there is text are found by type: parameters of public classes that are annotated as
text, and every text in the description of a file. Each case would make a file named "pwned" if it ran.
"""

from __future__ import annotations

import copy
import dataclasses
import importlib.util
import inspect
import json
import shutil
import subprocess
import types
from pathlib import Path

import numpy as np
import pytest
from brian2 import Hz, ms
from hostile import FEW, OCTAL, TEXTS, assert_clear, leaves, put, with_text

import neurosnn
from neurosnn import (
    BPTT,
    EProp,
    Input,
    Layer,
    NeuronModel,
    PlasticityRule,
    Readout,
    SpikingNetwork,
    Trainer,
    analysis,
    citation,
    data,
    equations,
    export,
    read_results,
    study,
    write_inputs,
)
from neurosnn.cli.recipes import built_in, load_recipe
from neurosnn.core.files import read_arrays, write_arrays
from neurosnn.engine import program
from neurosnn.network.storage import save_network
from neurosnn.standalone.tables import _text
from neurosnn.training.checkpoint import check_same_training, load_checkpoint
from neurosnn.training.history import History

MODEL = {
    "equations": "dv/dt = -v/tau_m : 1",
    "threshold": "v > 1",
    "reset": "v = 0",
    "surrogate": "1/(1 + abs(v - 1))",
    "parameters": {"tau_m": 20 * ms},
    "sources": {"tau_m": "measured"},
    "initial": {"v": "0"},
}
RULE = {
    "equations": "w : 1",
    "on_pre": "w += A",
    "parameters": {"A": 0.1},
    "sources": {"A": "measured"},
}
TRIALS = {"offsets": [0, 1], "labels": [0]}
#: How to make one of each class that takes text, apart from the text.
MADE = {
    "NeuronModel": MODEL,
    "PlasticityRule": RULE,
    "Layer": {"model": equations.LIF(), "n": 2},
    "Input": {"n": 2},
    "Population": {"model": equations.LIF(), "n": 2},
    "Projection": {"source": "A", "target": "B"},
    "Readout": {"n": 2},
    "PoissonDrive": {"target": "A", "n": 2, "rate": 1 * Hz, "weight": 1.0},
    "Connection": {
        "name": "input", "source": "input", "target": "hidden", "n_post": 1, "w": np.ones((1, 1)),
        "mask": None, "pre": None, "post": None, "fixed_delay": np.zeros(1, int),
        "channel": np.zeros(1, int), "sign": None, "dimensions": (1 * ms).dim,
    },
    "SGD": {"learning_rate": 0.1},
    "Adam": {"learning_rate": 0.1},
    "EProp": {},
    "CrossEntropy": {},
    "MeanSquareError": {},
    "SpikeTrials": {"times": [0.001], "units": [0], "n_channels": 2, "duration": 10 * ms, **TRIALS},
    "FrameTrials": {"features": np.zeros((1, 2)), "offsets": [0, 1], "frame": 10 * ms},
    "Images": {"images": np.zeros((1, 2, 2), np.uint8), "labels": np.array([0])},
    "History": {},
}  # fmt: skip
#: Classes that take text only as a path, a name of a built-in choice that a test below tries, or
#: hold results of the user's own.
OTHERS = {"Trainer", "SpikingNetwork", "Results", "AlignmentRecorder", "EligibilityTrace",
          "PublishedPoints", "TripletChanges", "Study", "StudyTable", "ModelFit", "RuleFit"}  # fmt: skip


@pytest.fixture(autouse=True)
def no_marker(tmp_path, monkeypatch):
    """No test makes a file named "pwned", where it works or above."""
    monkeypatch.chdir(tmp_path)
    above = {path: set(path.iterdir()) for path in (tmp_path.parent.parent, Path("/"))}
    yield
    assert not list(tmp_path.rglob("pwned*"))
    for path, before in above.items():
        assert not [new for new in set(path.iterdir()) - before if "pwned" in new.name]


def _classes():
    for module in (
        neurosnn,
        data,
        study,
        analysis,
        importlib.import_module("neurosnn.training.history"),
    ):
        for name in module.__all__:
            thing = getattr(module, name)
            if inspect.isclass(thing) and not issubclass(thing, Exception):
                yield name, thing


def _places():
    for name, thing in dict(_classes()).items():
        for parameter in inspect.signature(thing).parameters.values():
            kind = parameter.annotation
            kind = kind.__name__ if isinstance(kind, type) else str(kind)
            if "str" in kind and "Callable" not in kind and "ForwardRef" not in kind:
                yield name, thing, parameter.name, kind


PLACES = list(_places())


def test_every_class_with_text_is_tried():
    assert len(PLACES) > 45
    assert {name for name, *_ in PLACES} - OTHERS <= set(MADE)


@pytest.mark.parametrize(
    ("name", "made", "parameter", "kind"),
    [place for place in PLACES if place[0] not in OTHERS],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_objects(name, made, parameter, kind):
    usual = MADE[name]
    refused = 0
    for label, text in TEXTS.items():
        for value in with_text(kind, text, usual.get(parameter)):
            try:
                thing = made(**{**usual, parameter: value})
            except (ValueError, TypeError) as error:
                assert_clear(error)
                refused += 1
            else:
                shown = repr(thing) + str(thing)
                assert not set(shown) & set("\x1b\x07\x00\u202e\u2066\u2028\x85\r"), label
    if parameter not in ("factors",):  # factors of parameters that the network may not have
        assert refused >= 6


@pytest.mark.parametrize(
    "field",
    [
        {"name": TEXTS["line break"]},
        {"equations": f"dv/dt = (clip({OCTAL}, 0, 1) - v)/tau_m : 1"},
        {"threshold": f"v > clip({OCTAL}, 0, 1)"},
        {"reset": f"v = clip({OCTAL}, 0, 1)"},
        {"step": f"v = clip({OCTAL}, 0, 1)"},
        {"surrogate": f"1 + 0*clip({OCTAL}, 0, 1)"},
        {"refractory": f"(1 + 0*clip({OCTAL}, 0, 1))*ms"},
        {"initial": {"v": f"clip({OCTAL}, 0, 1)"}},
    ],
    ids=lambda field: next(iter(field)),
)
def test_opening_a_file_runs_nothing(field, tmp_path):
    with pytest.raises(ValueError, match="holds a"):
        NeuronModel(**{**MODEL, **field})
    net = SpikingNetwork(Input(3), Layer(NeuronModel(**MODEL), 4), Readout(2), dt=1 * ms)
    for name, value in field.items():  # what another program could write to a file
        object.__setattr__(net.layers[0].model, name, value)
    save_network(net, tmp_path / "net.npz")
    with pytest.raises(ValueError, match="cannot be read as a network"):
        Trainer(SpikingNetwork.load(tmp_path / "net.npz"), BPTT())


@pytest.mark.parametrize(
    "field",
    [
        {"equations": f"dw/dt = clip({OCTAL}, 0, 1)*Hz : 1 (clock-driven)"},
        {"on_pre": f"w += A + clip({OCTAL}, 0, 1)"},
        {"on_post": f"w += clip({OCTAL}, 0, 1)"},
        {"step": f"w += clip({OCTAL}, 0, 1)"},
        {"transmission": f"w + clip({OCTAL}, 0, 1)"},
        {"on_pre": {"first": "x += 1", "then": f"w += A + clip({OCTAL}, 0, 1)"}},
        {"on_pre": f"x += 1; g_post += w*clip({OCTAL}, 0, 1)"},
    ],
    ids=lambda field: next(iter(field)),
)
def test_a_rule_runs_nothing(field):
    with pytest.raises(ValueError, match="holds a str"):
        PlasticityRule(**{**RULE, **field})
    with pytest.raises(ValueError, match="holds a str"):
        PlasticityRule.from_dict({**PlasticityRule(**RULE).to_dict(), **field})


@pytest.mark.parametrize(
    ("expression", "match"),
    [
        ("v.__class__", "Python's Attribute"),
        ("v[0]", "Python's Subscript"),
        ("(v := 1)", "Python's NamedExpr"),
        ("(lambda: v)()", "a call that is not name"),
        ("[v for v in v]", "Python's ListComp"),
        ("exp(*v)", "Python's Starred"),
        ("exp(x=v)", "a call that is not name"),
        ("v if v else v", "Python's IfExp"),
        ("f'{v}'", "Python's JoinedStr"),
        ("v @ v", "the operator MatMult"),
        ("v << 2", "the operator LShift"),
        ("1e999", "a number that is not finite"),
        ("1j*v", "a complex"),
        ("v**10000", "an exponent above 999"),
        ("9**9**9", "a power of a power of numbers"),
        ("-" * 400 + "v", "more than 150 levels"),
        ("\uff56", r"the character '\uff56' \(U\+FF56\)"),
    ],
)
def test_expressions_are_names_numbers_operators_and_calls(expression, match):
    for field in ("surrogate", "threshold"):
        with pytest.raises(ValueError, match=match) as caught:
            NeuronModel(**{**MODEL, field: expression})
        assert_clear(caught.value)


def test_comments_as_people_write_them_are_read():
    model = NeuronModel(
        **{**MODEL, "equations": "dv/dt = -v/tau_m : 1  # Spannung über der Hülle, µV"}
    )
    assert model.states == ("v",)
    windows = NeuronModel(**{**MODEL, "equations": "dv/dt = -v/tau_m\r\n    : 1  # two lines\r\n"})
    assert windows.states == ("v",)


@pytest.mark.parametrize("end", ["\\", "\\  ", "??/"])
def test_a_comment_cannot_hide_the_next_line_of_generated_code(end):
    with pytest.raises(ValueError, match="step ends in a backslash") as caught:
        NeuronModel(**{**MODEL, "step": f"v = 2*v  # v {end}\nv = v - 1"})
    assert_clear(caught.value)


def test_generated_code_holds_no_text_of_the_model(monkeypatch, tmp_path):
    """All that is accepted in names and references, in one network: run, saved, exported, cited."""
    accepted = []
    for text in TEXTS.values():
        try:
            fields = {
                "name": text[:100],
                "reference": text[:4000],
                "sources": {"tau_m": text[:4000]},
            }
            accepted.append(NeuronModel(**{**MODEL, **fields, "initial": {}}))
        except ValueError as error:
            assert_clear(error)
    assert len(accepted) > 8
    sources = []
    load = program.load_library
    monkeypatch.setattr(
        program,
        "load_library",
        lambda source, **real: sources.append(source) or load(source, **real),
    )
    layers = [Layer(model, 1, name=f"kilroy{k}") for k, model in enumerate(accepted)]
    net = SpikingNetwork(Input(3), *layers, Readout(2), dt=1 * ms)
    net.save(tmp_path / "net.npz")
    net = SpikingNetwork.load(tmp_path / "net.npz")
    trials = data.SpikeTrials(
        times=[0.001, 0.002], units=[0, 1], offsets=[0, 2], labels=[1], n_channels=3, duration=5 * ms,
        class_names=[accepted[0].name, accepted[1].name],
    )  # fmt: skip
    trainer = Trainer(net, BPTT(), backend="engine")
    assert np.isfinite(trainer.evaluate(trials)["loss"])
    assert "struct Layer0" in sources[0]
    for word in ("pwned", "kilroy", "touch", "script"):
        assert word not in sources[0].lower()
    assert "kilroy0" in repr(net) + repr(trials)
    text = citation(net)
    assert "\\write" not in text
    assert text.count("{") == text.count("}")
    folder = export(net, tmp_path / 'x"; touch pwned; #', inputs=trials)
    for path in folder.rglob("*"):
        if (
            path.suffix in (".cpp", ".h")
            and path.name != "tables.h"
            and "brianlib" not in path.parts
        ):
            assert "pwned" not in path.read_text(), path
    assert "pwned" not in (folder / "makefile").read_text()
    subprocess.run(["make", "-n", "-C", str(folder)], check=True, capture_output=True)
    analysis.plot_learning_curve(History([{"epoch": 1, "$\\frac{": 2.0}]), quantity="$\\frac{")
    import matplotlib.pyplot as plt

    plt.gcf().canvas.draw()


def test_texts_in_exported_programs_are_printed_and_nothing_else(tmp_path):
    texts = [text for text in TEXTS.values() if "\udc80" not in text and len(text) < 1000]
    texts = [text.replace("\0", "") for text in texts] + ["??/", "\\n", 'a"b', "1\x012", "µ"]
    lines = "\n".join(
        f"    std::fputs({_text(text)}, stdout); std::fputc(0, stdout);" for text in texts
    )
    (tmp_path / "a.cpp").write_text(
        f"#include <cstdio>\n#include <cstdlib>\nint main() {{\n{lines}\n}}\n", encoding="ascii"
    )
    compiler = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
    subprocess.run([compiler, "-trigraphs", "-o", "a.out", "a.cpp"], check=True)
    printed = subprocess.run(["./a.out"], check=True, capture_output=True).stdout
    assert printed.decode().split("\0")[:-1] == texts


# -- files --------------------------------------------------------------------------------------


def refused_or_harmless(read, *, least):
    """Count refusals, each of them clear."""
    refused = 0
    for _, attempt in read:
        try:
            attempt()
        except (ValueError, OSError) as error:
            assert_clear(error)
            refused += 1
    assert refused >= least


def altered(tree, texts=FEW):
    """The tree with each of its texts replaced by each hostile one."""
    for path in leaves(tree):
        for label in texts:
            changed = copy.deepcopy(tree)
            put(changed, path, TEXTS[label])
            yield (path, label), changed


def test_network_files(tmp_path):
    hidden = dataclasses.replace(equations.ALIF(), parameters=equations.ALIF().parameters)
    net = SpikingNetwork(
        Input(3), Layer(hidden, 4, recurrent=True, learn="tau_m"), Readout(2), dt=1 * ms
    )
    net.save("net.npz")
    arrays, information = read_arrays("net.npz")

    def read(changed):
        write_arrays("bad.npz", arrays, changed)
        repr(SpikingNetwork.load("bad.npz"))

    tries = [(path, lambda c=changed: read(c)) for path, changed in altered(information)]
    assert len(tries) > 300
    refused_or_harmless(tries, least=0.6 * len(tries))
    assert {path.name for path in tmp_path.iterdir()} == {"net.npz", "bad.npz"}


def test_names_of_arrays(tmp_path):
    net = SpikingNetwork(Input(3), Layer(equations.LIF(), 4), Readout(2), dt=1 * ms)
    net.save("net.npz")
    arrays, information = read_arrays("net.npz")
    for text in TEXTS.values():
        if "\udc80" in text or "\0" in text or len(text) > 1000:
            continue
        write_arrays("bad.npz", {**arrays, text: np.ones(2)}, information)
        with pytest.raises(ValueError, match="holds something unknown") as caught:
            SpikingNetwork.load("bad.npz")
        assert_clear(caught.value)


def test_checkpoints(tmp_path):
    net = SpikingNetwork(Input(3), Layer(equations.LIF(), 4), Readout(2), dt=1 * ms)
    trainer = Trainer(net, EProp(), backend="brian2")
    trainer.save_checkpoint("training.npz")
    arrays, information = read_arrays("training.npz")

    def read(changed):
        write_arrays("bad.npz", arrays, changed)
        saved = load_checkpoint("bad.npz")
        check_same_training("bad.npz", saved, information["settings"], information["versions"])
        trainer.load_checkpoint("bad.npz")

    tries = [(path, lambda c=changed: read(c)) for path, changed in altered(information)]
    assert len(tries) > 200
    with pytest.warns(UserWarning, match="other versions") as warned:
        refused_or_harmless(tries, least=0.3 * len(tries))
    assert not any(set(str(one.message)) & set("\x1b\x07\x00\n") for one in warned)


@pytest.mark.parametrize("name", sorted(built_in()))
def test_recipes(name, tmp_path):
    import tomllib
    from importlib import resources

    text = resources.files("neurosnn.cli").joinpath("recipe_files", f"{name}.toml").read_text()
    recipe = tomllib.loads(text)
    train = types.SimpleNamespace(n_classes=2, n_channels=3)

    def toml(tree):
        lines, tables = [], []
        for key, value in tree.items():
            if isinstance(value, dict):
                inner = "\n".join(f"{json.dumps(k)} = {toml_value(v)}" for k, v in value.items())
                tables.append(f"[{json.dumps(key)}]\n{inner}")
            else:
                lines.append(f"{json.dumps(key)} = {toml_value(value)}")
        return "\n".join(lines + tables)

    def toml_value(value):
        if isinstance(value, dict):
            inner = ", ".join(f"{json.dumps(k)} = {toml_value(v)}" for k, v in value.items())
            return f"{{{inner}}}"
        return json.dumps(value)

    def read(changed):
        Path("bad.toml").write_text(toml(changed), encoding="utf-8")
        print(load_recipe("bad.toml").build(train))

    Path("good.toml").write_text(toml(recipe))
    load_recipe("good.toml").build(train)
    tries = [(path, lambda c=changed: read(c)) for path, changed in altered(recipe)]
    refused_or_harmless(tries, least=0.7 * len(tries))


def _square(x, seed):
    return {"y": x**2, "note": "fine"}


def test_studies(tmp_path):
    made = study.Study(tmp_path / "study", _square, {"x": [1]})
    made.run(workers=0, progress=False)
    (path,) = (tmp_path / "study" / "points").glob("*.json")
    record = json.loads(path.read_text())

    def read(changed):
        path.write_text(json.dumps(changed))
        table = made.table()
        assert not set(str(table) + str(table.rows[0].get("error"))) & set("\x1b\x07\x00")
        table.to_csv(tmp_path / "table.csv")

    tries = [(path, lambda c=changed: read(c)) for path, changed in altered(record)]
    refused_or_harmless(tries, least=5)
    for text in TEXTS.values():
        choice = {"x": [text]} if "\udc80" not in text else {"x": [1]}
        for point in study.Study(tmp_path / "names", _square, choice).points:
            assert made.files.path(point.key).parent == tmp_path / "study" / "points"


def test_results_of_programs(tmp_path):
    net = SpikingNetwork(Input(3), Layer(equations.LIF(), 4), Readout(2), dt=1 * ms)
    trials = data.SpikeTrials(
        times=[0.001], units=[0], offsets=[0, 1], labels=[0], n_channels=3, duration=5 * ms
    )
    folder = export(net, tmp_path / "lif", inputs=trials)
    manifest = json.loads((folder / "manifest.json").read_text())
    results = tmp_path / "results"
    results.mkdir()
    (results / "run.json").write_text("{}")
    for entry in manifest["results"]:
        n = 5 if "output" in entry["file"] else 0
        array = np.zeros([n if k is None else k for k in entry["shape"]], entry["dtype"])
        np.save(results / entry["file"], np.array([5]) if entry["file"] == "trials.npy" else array)

    def read(changed):
        (results / "manifest.json").write_text(json.dumps(changed))
        read_results(results)

    def write(changed):
        (folder / "manifest.json").write_text(json.dumps(changed))
        write_inputs(folder, tmp_path / "other", trials, parameters={"readout.b": np.zeros(2)})

    (results / "manifest.json").write_text(json.dumps(manifest))
    assert len(read_results(results).output[0]) == 5
    for attempt in (read, write):
        tries = [
            (path, lambda c=changed, a=attempt: a(c))
            for path, changed in altered(manifest, ("line break", "path", "control"))
        ]
        refused_or_harmless(tries, least=0.05 * len(tries))
    written = {path.name for path in (tmp_path / "other").iterdir()}
    assert written <= {"trials.npy", "input.i.npy", "input.t.npy", "readout.b.npy"}


@pytest.mark.skipif(importlib.util.find_spec("nir") is None, reason="the package nir is missing")
def test_nir_graphs():
    from neurosnn.network.nir import from_nir, to_nir

    net = SpikingNetwork(Input(3), Layer(equations.CurrentLIF(), 4), Readout(2), dt=1 * ms)
    graph = to_nir(net)
    for text in TEXTS.values():
        for node in graph.nodes:
            nodes = {text if name == node else name: one for name, one in graph.nodes.items()}
            edges = [tuple(text if n == node else n for n in edge) for edge in graph.edges]
            try:
                made = from_nir(types.SimpleNamespace(nodes=nodes, edges=edges))
            except ValueError as error:
                assert_clear(error)
            else:
                assert "pwned" not in repr(made)


# -- data sets ------------------------------------------------------------------------------------


def test_names_of_classes_in_h5_files(tmp_path):
    h5py = pytest.importorskip("h5py")
    trials = data.SpikeTrials(
        times=[0.001] * 20,
        units=[0] * 20,
        offsets=range(21),
        labels=range(20),
        n_channels=700,
        duration=10 * ms,
        class_names=[f"class {k}" for k in range(20)],
    )
    for part in ("train", "test"):
        data.write_shd(tmp_path / f"shd_{part}.h5", trials)

    def read(text):
        with h5py.File(tmp_path / "shd_test.h5", "r+") as file:
            keys = [*file["extra/keys"][:]]
            del file["extra/keys"]
            text = text.replace("\0", "")  # which h5py does not write
            names = [text.encode("utf-8", "surrogateescape"), *keys[1:]]
            file["extra/keys"] = np.array(names, dtype=h5py.special_dtype(vlen=bytes))
        found = data.read_shd(tmp_path)[-1]
        repr(found)
        return found.class_names

    refused_or_harmless(
        [(label, lambda text=text: read(text)) for label, text in TEXTS.items()], least=5
    )


def test_labels_of_aligned_speech():
    from neurosnn.data.speech.alignments import parse_ctm, parse_textgrid, plain_phone
    from neurosnn.data.speech.features import parse_phn

    grid = (
        'File type = "ooTextFile"\nObject class = "TextGrid"\n0 1 <exists> 1\n'
        '"IntervalTier" "phones" 0 1 1\n0 1 "{}"\n'
    )
    for text in TEXTS.values():
        raw = text.encode("utf-8", "surrogateescape")
        for parse in (
            lambda raw=raw: parse_textgrid(grid.encode().replace(b"{}", raw), "a.TextGrid"),
            lambda raw=raw: parse_ctm(b"utterance 1 0.0 0.5 " + raw, "a.ctm"),
            lambda raw=raw: parse_phn(b"0 100 " + raw, 100, "a.PHN"),
        ):
            try:
                found = parse()
            except ValueError as error:
                assert_clear(error)
            else:
                repr(found)
        plain_phone(text)
