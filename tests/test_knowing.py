"""Knowing how good it is: tables of a history, learning rates, reports, searches, warnings."""

from __future__ import annotations

import csv
import sys
import types
import warnings

import numpy as np
import pytest
from brian2 import ms
from reference.killed_training import make_trials
from reference.linear_backend import LinearBackend

from neurosnn import Input, Layer, Readout, SpikingNetwork, Trainer, equations
from neurosnn.losses import as_loss
from neurosnn.study import Choice, LogUniform, Uniform, search
from neurosnn.training import find_learning_rate, reproducibility_report
from neurosnn.training.history import History
from neurosnn.training.optimizers import SGD, Adam

TRIALS = make_trials()


def make_trainer(optimizer=None, before=(), seed=1):
    net = SpikingNetwork(Input(8), Layer(equations.LIF(), 5), Readout(3), seed=seed)
    backend = LinearBackend(net, as_loss("cross_entropy"), before=list(before))
    return Trainer(net, "rule", backend=backend, optimizer=optimizer)


def weights_of(trainer):
    return {name: array.copy() for name, array in trainer.net.parameters.items()}


# -- tables -----------------------------------------------------------------------------------------

ROWS = [{"epoch": 1, "loss": 0.1 + 0.2}, {"epoch": 2, "loss": np.float64(1e-17), "accuracy": 0.5}]


def test_a_history_as_csv_holds_the_very_numbers(tmp_path):
    History(ROWS).to_csv(tmp_path / "history.csv")
    with open(tmp_path / "history.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["loss"]) for row in rows] == [0.1 + 0.2, 1e-17]
    assert [row["accuracy"] for row in rows] == ["", "0.5"]


def test_a_history_as_data_frame(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="pandas is not installed.*to_csv"):
        History(ROWS).to_dataframe()
    monkeypatch.setitem(sys.modules, "pandas", types.SimpleNamespace(DataFrame=dict))
    frame = History(ROWS).to_dataframe()
    np.testing.assert_array_equal(frame["accuracy"], [np.nan, 0.5])
    assert list(frame) == ["epoch", "loss", "accuracy"]


# -- learning rates ---------------------------------------------------------------------------------


def test_the_search_for_a_learning_rate_leaves_no_trace():
    searched, plain = make_trainer(Adam(1e-2)), make_trainer(Adam(1e-2))
    searched.fit(TRIALS, epochs=1, progress=False)
    plain.fit(TRIALS, epochs=1, progress=False)
    rates = find_learning_rate(searched, TRIALS, lowest=1e-4, highest=1e4, n_updates=40)
    searched.fit(TRIALS, epochs=1, progress=False)
    plain.fit(TRIALS, epochs=1, progress=False)
    for name, array in weights_of(plain).items():
        np.testing.assert_array_equal(weights_of(searched)[name], array)
    assert searched.updates == plain.updates
    assert 5 < len(rates.rate) <= 40
    assert rates.rate[0] == pytest.approx(1e-4)
    assert rates.smoothed.max() > rates.smoothed.min()
    assert rates.suggestion == pytest.approx(rates.rate[np.argmin(rates.smoothed)] / 10)


def test_the_rates_of_the_search_are_those_that_move_the_weights():
    trainer, moves = make_trainer(SGD(0.5)), []
    kept = {"w": None, "gradient": None}

    def watch(backend):
        w = trainer.net.parameters["readout.b"].copy()
        if kept["w"] is not None:
            moves.append(w - kept["w"])
        kept["w"] = w

    trainer.backend.before.append(watch)
    rates = find_learning_rate(
        trainer, TRIALS, lowest=1e-4, highest=1e-2, n_updates=9, batch_size=60
    )
    assert len(moves) == 8
    sizes = np.array([np.abs(move).max() for move in moves])
    ratio = sizes[1:] / sizes[:-1]
    assert np.all(ratio > 1.2)  # each rate is 1.78 times the one before, with gradients much alike
    assert rates.rate[1] / rates.rate[0] == pytest.approx(100 ** (1 / 8))
    with pytest.raises(ValueError, match="lowest is 1 and highest 0.1"):
        find_learning_rate(trainer, TRIALS, lowest=1.0, highest=0.1)


# -- reports ----------------------------------------------------------------------------------------


def test_a_report_changes_with_what_matters_and_with_nothing_else():
    one, other = make_trainer(), make_trainer()
    text = reproducibility_report(one.net, one, {"train": TRIALS})
    assert text == reproducibility_report(other.net, other, {"train": TRIALS})
    for heading in ("Program", "Machine", "Network", "Training", "Data"):
        assert f"\n## {heading}\n" in text
    assert "SpikeTrials" in text.split("## Data")[1]
    other.net.parameters["readout.b"][0] += 1e-9
    changed = reproducibility_report(other.net, other, {"train": TRIALS})
    different = [a for a, b in zip(text.split("\n"), changed.split("\n"), strict=True) if a != b]
    assert len(different) == 1
    assert different[0].startswith("| weights | sha256")
    fewer = reproducibility_report(one.net, one, {"train": TRIALS[:10]})
    assert fewer.split("## Data")[0] == text.split("## Data")[0]
    assert fewer.split("## Data")[1] != text.split("## Data")[1]
    with pytest.raises(TypeError, match="net is a list"):
        reproducibility_report([])


def test_a_report_ends_no_cell_and_opens_no_tag(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["x.py", "a|b<script>\n## c"])
    net = make_trainer().net
    line = next(
        row for row in reproducibility_report(net).split("\n") if row.startswith("| command")
    )
    assert "<" not in line
    assert line.replace("\\|", "").count("|") == 3


# -- searches ---------------------------------------------------------------------------------------


def hill(x, kind, tau, seed):
    return {
        "height": -((x - 0.3) ** 2) - (kind == "bad") - abs(float(tau / ms) - 20) / 100 + 0 * seed
    }


SPACE = {
    "x": Uniform(0.0, 1.0),
    "kind": Choice("good", "bad"),
    "tau": LogUniform(5 * ms, 50 * ms),
}


def test_a_search_without_optuna_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ImportError, match=r"neurosnn\[search\].*n_samples"):
        search(tmp_path, hill, SPACE, best="height", n_points=2)
    with pytest.raises(ValueError, match="'x' is a list.*Uniform"):
        search(tmp_path, hill, {"x": [1]}, best="height", n_points=2)
    with pytest.raises(ValueError, match="direction='up'"):
        search(tmp_path, hill, SPACE, best="height", n_points=2, direction="up")


def test_a_search_goes_on_where_it_ended_and_climbs(tmp_path):
    pytest.importorskip("optuna")
    first = search(tmp_path / "a", hill, SPACE, best="height", n_points=10, seeds=[0, 1])
    assert len(first) == 20
    done = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "a" / "points").iterdir()}
    again = search(tmp_path / "a", hill, SPACE, best="height", n_points=30, seeds=[0, 1])
    assert again["height"][:20].tolist() == first["height"].tolist()
    for path in (tmp_path / "a" / "points").iterdir():
        assert path.name not in done or path.stat().st_mtime_ns == done[path.name]
    whole = search(tmp_path / "b", hill, SPACE, best="height", n_points=30, seeds=[0, 1])
    assert whole["height"].tolist() == again["height"].tolist()
    assert np.mean(again["height"][-20:]) > np.mean(again["height"][:20])
    with pytest.raises(ValueError, match="returned no 'hight'"):
        search(tmp_path / "a", hill, SPACE, best="hight", n_points=1)


# -- warnings ---------------------------------------------------------------------------------------


class Rates:
    """A backend whose layers spike as often as it is told."""

    def __init__(self, inner, spikes=10, factor=1.0):
        self.inner, self.spikes, self.factor, self.calls = inner, spikes, factor, 0

    def run(self, trials, targets=None, gradient=False):
        result = self.inner.run(trials, targets, gradient)
        self.calls += 1
        result.spikes = {"hidden": len(trials) * self.spikes}
        result.loss *= self.factor ** (self.calls - 1)
        return result


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"spikes": 0}, "no neuron of layer 'hidden' spiked in epoch 1.*weight_scale"),
        ({"spikes": 80}, "layer 'hidden' spikes in 80% of the steps"),
        ({"factor": 11.0}, r"the loss rose from .* in \d updates.*learning rate 0.001"),
    ],
)
def test_signs_of_a_training_that_goes_wrong_are_said_once(settings, match):
    trainer = make_trainer()
    trainer.backend = Rates(trainer.backend, **settings)
    with pytest.warns(RuntimeWarning, match=match) as caught:
        trainer.fit(TRIALS, epochs=2, progress=False)
    assert len(caught) == 1
    assert len(str(caught[0].message)) <= 600


def test_a_sound_training_warns_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        make_trainer().fit(TRIALS, epochs=2, progress=False)


@pytest.mark.parametrize(
    ("model", "match"),
    [
        (equations.LIF(tau_m=0.5 * ms), "tau_m of hidden is 0.5 ms with dt = 1 ms"),
        (equations.LIF(tau_m=np.array([20, 0.5, 20]) * ms), "tau_m of hidden is 0.5 ms"),
        (equations.LIF(t_ref=0.4 * ms), "the refractory period of hidden is 0.4 ms"),
    ],
)
def test_times_shorter_than_a_step_are_said(model, match):
    with pytest.warns(RuntimeWarning, match=match) as caught:
        SpikingNetwork(Input(2), Layer(model, 3), Readout(2), dt=1 * ms)
    ours = [one for one in caught if one.category is RuntimeWarning]
    assert [one.filename for one in ours] == [__file__]  # the line of the caller


def test_one_bar_serves_all_epochs(monkeypatch):
    """A notebook keeps a place for every bar that is made."""
    import io

    import tqdm.auto

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    made, real = [], tqdm.auto.tqdm

    def counted(*arguments, **settings):
        made.append(real(*arguments, **settings))
        return made[-1]

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(tqdm.auto, "tqdm", counted)
    make_trainer().fit(TRIALS, epochs=3, batch_size=20)
    assert len(made) == 2
    assert [bar.n for bar in made] == [3, 60]
    assert "epoch 3" in terminal.getvalue()


@pytest.mark.parametrize("shown", [True, False])
def test_without_bars_no_widgets_are_missed(shown, monkeypatch, capsys):
    """tqdm.auto warns in a notebook without ipywidgets: it is asked only where bars are drawn."""
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    make_trainer().fit(TRIALS, epochs=2, batch_size=20, progress=shown)
    assert len(capsys.readouterr().err.splitlines()) == (3 if shown else 0)
