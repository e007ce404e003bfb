"""What is prepared for a machine with a GPU does its work: stages, comparisons, peers, trials."""

import json
import subprocess
import sys
from importlib import metadata

import numpy as np
import pytest

from neurosnn import BPTT, CrossEntropy
from neurosnn.engine import Engine


@pytest.fixture
def tools(project_root, monkeypatch):
    """A function that imports a file of a folder of the checkout."""
    before = set(sys.modules)

    def imported(folder, name):
        monkeypatch.syspath_prepend(str(project_root / folder))
        return __import__(name)

    yield imported
    for name in set(sys.modules) - before:
        origin = getattr(sys.modules[name], "__file__", None) or ""
        if origin.startswith((str(project_root / "tools"), str(project_root / "benchmarks"))):
            del sys.modules[name]


def test_a_stage_that_fails_or_hangs_does_not_stop_the_next(tools, tmp_path, monkeypatch):
    check = tools("tools", "gpu_check")
    python = sys.executable
    fake = {
        "hangs": check.Stage(
            2, [python, "-c", "print('begun', flush=True); import time; time.sleep(60)"]
        ),
        "fails": check.Stage(20, [python, "-c", "raise SystemExit(3)"]),
        "lacks": check.Stage(20, [python, "-c", ""], "torch is not installed"),
        "works": check.Stage(20, [python, "-c", "print('7 of 7')"]),
    }
    monkeypatch.setattr(check, "stages", lambda *_: fake)
    monkeypatch.setattr(check, "layout", lambda folder: "")
    monkeypatch.setattr(sys, "argv", ["gpu_check.py", "--out", str(tmp_path)])
    assert check.main() == 1
    rows = json.loads((tmp_path / "check.json").read_text())
    assert [row["state"] for row in rows.values()] == [
        "out of time",
        "failed (3)",
        "skipped",
        "passed",
    ]
    assert rows["hangs"]["last"] == "begun"
    assert rows["lacks"]["last"] == "torch is not installed"
    assert rows["works"]["last"] == "7 of 7"


def test_all_stages_fit_into_thirteen_minutes_and_their_files_are_there(
    tools, tmp_path, project_root
):
    check = tools("tools", "gpu_check")
    stages = check.stages(tmp_path, "cuda", {}, tmp_path)
    assert sum(stage.seconds for stage in stages.values()) <= 13 * 60
    for name, stage in stages.items():
        for word in stage.command:
            if word.endswith(".py") and not stage.missing:
                assert (project_root / word).is_file(), f"{name}: {word}"


def test_what_is_laid_out_has_a_version_and_all_packages(tools, tmp_path):
    folder = tools("tools", "gpu_check").layout(tmp_path)
    (found,) = metadata.distributions(name="neurosnn", path=[folder])
    assert found.version == metadata.version("neurosnn")
    for module in ("equations", "analysis", "cuda"):
        assert (tmp_path / "package" / "neurosnn" / module / "__init__.py").is_file()


class Wrong(Engine):
    """The C++ engine in place of the CUDA engine, with what a test changes."""

    change = staticmethod(lambda result: result)

    def run(self, *given, **more):
        return self.change(super().run(*given, **more))


@pytest.fixture
def equality(tools, monkeypatch):
    module = tools("tools", "gpu_equality")

    def engine(case, dtype, device):
        return Wrong(case.net, case.rule, case.loss, dtype=dtype, threads=1)

    monkeypatch.setattr(module, "cuda_engine", engine)
    return module


def test_equal_engines_are_equal_and_others_are_not(equality, monkeypatch):
    case = equality.currents(n=6)
    row = equality.compare(case, "float64", "processor")
    assert row["wrong"] == []
    assert row["off"] == 0
    assert min(row["spikes"].values()) > 0

    def one_weight(result):
        gradient = {**result.gradient}
        if gradient:
            gradient["input.w"] = gradient["input.w"] + 1e-9 * np.abs(gradient["input.w"]).max()
        return result._replace(gradient=gradient)

    noise = iter(range(1000))
    for change, said in [
        (one_weight, "off by 1e-09"),
        (lambda result: result._replace(loss=float("nan")), "off by inf"),
        (lambda result: result._replace(scores=result.scores + 1e-15 * next(noise)), "other bits"),
    ]:
        monkeypatch.setattr(Wrong, "change", staticmethod(change))
        assert said in "; ".join(equality.compare(case, "float64", "processor")["wrong"])


def test_spikes_that_differ_are_noticed_in_either_precision(equality, monkeypatch):
    case = equality.currents(n=6)
    simulate = Engine.simulate

    def shifted(trials_that_differ):
        def other(self, given, **more):
            found = simulate(self, given, **more)
            if isinstance(self, Wrong):
                for k in range(trials_that_differ):
                    step, neuron = found.spikes["hidden"][k]
                    found.spikes["hidden"][k] = (step + 1, neuron)
            return found

        return other

    for number, dtype, wrong in [
        (1, "float64", ["spikes differ in 1 of 7 trials"]),
        (3, "float32", []),
        (4, "float32", ["spikes differ in 4 of 7 trials"]),
        (7, "float32", ["spikes differ in 7 of 7 trials"]),
    ]:
        monkeypatch.setattr(Engine, "simulate", shifted(number))
        assert equality.compare(case, dtype, "processor")["wrong"] == wrong


def test_float32_may_be_off_by_what_the_engine_itself_rounds(equality, monkeypatch):
    case = equality.currents(n=6)

    def other(result):
        gradient = {**result.gradient}
        if gradient:
            gradient["input.w"] = gradient["input.w"] + 1e-2 * np.abs(gradient["input.w"]).max()
        return result._replace(gradient=gradient)

    monkeypatch.setattr(Wrong, "change", staticmethod(other))
    row = equality.compare(case, "float32", "processor")
    assert row["wrong"] == ["off by 0.01"]
    assert 0 < row["rounding"]["input.w"] < 1e-4
    for rounding, wrong in [
        ({"input.w": 3e-3}, []),
        ({"input.w": 2e-3}, ["off by 0.01"]),
        ({"recurrent.w": 1.0}, ["off by 0.01"]),
        ({}, ["off by 0.01"]),
    ]:
        monkeypatch.setattr(equality, "rounding_of", lambda *_, found=rounding: found)
        assert equality.compare(case, "float32", "processor")["wrong"] == wrong


def test_a_silent_network_is_refused(equality):
    case = equality.currents(n=6)
    for name in ("input.w", "recurrent.w"):
        case.net.parameters[name][:] = 0
    wrong = equality.compare(case, "float64", "processor")["wrong"]
    assert "hidden never spikes" in wrong
    assert "the gradient of input.w is zero" in wrong


def test_the_trials_of_the_benchmark_have_the_numbers_of_shd(tools):
    gpu = tools("benchmarks", "gpu")
    shape = gpu.Shape(n_trials=300)
    arrays = gpu.make_trials(shape)
    trials = gpu.as_trials(arrays, shape)
    counts = np.diff(trials.offsets)
    assert len(trials) == 300
    assert 7600 < counts.min() <= counts.max() <= 7700  # less a few that fell on the same place
    first = slice(*arrays["offsets"][:2])
    places = arrays["steps"][first].astype(int) * 700 + arrays["units"][first]
    assert np.all(np.diff(places) > 0)
    assert 0 <= places.min() <= places.max() < 700_000
    again = gpu.make_trials(shape)
    assert all(np.array_equal(arrays[key], again[key]) for key in arrays)


def test_rows_of_the_benchmark_that_do_not_count(tools):
    gpu = tools("benchmarks", "gpu")
    good = {"name": "x", "spikes": 8000.0, "loss": 1.0, "update": 1.0}
    assert gpu.refused(good) == ""
    assert gpu.refused({**good, "spikes": 0.0}) == "silent"
    assert gpu.refused({**good, "alive": False}) == "silent"
    assert gpu.refused({**good, "loss": float("nan")}) == "loss not finite"
    assert gpu.refused({**good, "same_as_bptt": False}) == "not the gradient of BPTT"
    assert gpu.enough(1e-3, gpu.Shape(seconds=6.0), 32) == 255
    assert gpu.enough(0.5, gpu.Shape(seconds=6.0), 32) == 4


def test_the_file_of_the_benchmark_is_there_after_each_row(tools, tmp_path, capsys):
    gpu = tools("benchmarks", "gpu")
    results = gpu.Results(tmp_path / "gpu.json", {})
    row = gpu.row("x", 3, 0.3, gpu.QUICK, 8, spikes=0.0, memory=1.0, start=1.0)
    for n in (1, 2):
        results.add(row)
        rows = json.loads((tmp_path / "gpu.json").read_text())["rows"]
        assert len(rows) == n
    assert rows[0]["problem"] == "silent"
    assert rows[0]["epoch"] == pytest.approx(0.3)
    assert "silent" in capsys.readouterr().out


def test_a_large_network_has_its_synapses(tools):
    gpu = tools("benchmarks", "gpu")
    net = gpu.sparse_network(50, 3000, 4, 0.5)
    recurrent, given = net.connections["recurrent"], net.connections["input"]
    assert 0.97 * 100 * 3000 < recurrent.n_synapses <= 100 * 3000
    order = recurrent.pre.astype(np.int64) * 3000 + recurrent.post
    assert np.all(np.diff(order) > 0)
    assert given.w.mean() == pytest.approx(0.5, abs=0.05)


@pytest.mark.torch
def test_the_peer_in_torch_has_the_gradient_of_bptt(tools):
    torch = pytest.importorskip("torch")
    gpu = tools("benchmarks", "gpu")
    assert gpu.same_as_bptt("cpu", *gpu.bptt_reference())

    networks, peers = tools("benchmarks", "_networks"), tools("benchmarks", "_torch_gpu")
    net = networks.current_network(30, 16, 3)
    few = networks.random_trials(4, n_channels=30, n_steps=100, spikes=300, n_classes=3)
    networks.tune(net, few, 100)
    wanted = Engine(net, BPTT(), CrossEntropy(), dtype="float64").run(few[2:], gradient=True)
    raster = peers.dense_raster(few, net.dt, "cpu")
    labels = torch.tensor(np.array(few.labels))
    for products, off in ((None, 1e-12), (torch.bfloat16, 0.1)):
        kind = torch.float64 if products is None else torch.float32
        peer = peers.TorchOnGPU(net, raster, labels, 2, dtype=kind, products=products)
        peer.chosen.copy_(torch.tensor([2, 3]))
        peer.gradient()
        assert float(peer.spikes) == pytest.approx(sum(wanted.spikes.values()), rel=10 * off)
        for key, block in wanted.gradient.items():
            found = peer.weights[key].grad.double().numpy()
            assert np.abs(found - block).max() <= 5 * off * np.abs(block).max(), key
    before = {key: weight.clone() for key, weight in peer.weights.items()}
    peer.update(torch.tensor([0, 1]))
    assert all(not torch.equal(before[key], weight) for key, weight in peer.weights.items())


def test_without_a_gpu_the_commands_say_so(project_root):
    done = subprocess.run(
        [sys.executable, str(project_root / "benchmarks" / "gpu.py")],
        capture_output=True,
        text=True,
    )
    if "no GPU here" not in done.stdout:
        pytest.skip("there is a GPU")
    assert done.returncode == 0
