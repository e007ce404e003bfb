"""fit_model with several cells: least squares, separate fits and differences; a process that is killed."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from brian2 import Mohm, Quantity, ms, mV, nA, pA, volt
from scipy.optimize import least_squares
from scipy.stats import t as student
from test_fit_model import DT, LIF, fluctuating, stock

from neurosnn import ModelFit, NeuronModel, VoltageLoss, fit_model
from neurosnn.core.files import read_arrays, write_arrays
from neurosnn.training.fit_model.cells import cells_of
from neurosnn.training.fit_model.checkpoint import Checkpoint
from neurosnn.training.fit_model.fit import _evaluation
from neurosnn.training.fit_model.free import free_parameters, model_of_sets
from neurosnn.training.fit_model.intervals import correlated_samples
from neurosnn.training.fit_model.program import FitProgram
from neurosnn.training.fit_model.recording import Recording
from neurosnn.training.fit_model.search import Search

MEMBRANE = NeuronModel(
    name="membrane",
    equations="dv/dt = (E_L - v + R*I)/tau : volt\nI : amp",
    inputs=("I",),
    initial={"v": "E_L"},
    parameters={"E_L": -70 * mV, "R": 50 * Mohm, "tau": 10 * ms},
)
FREE = {"E_L": (-80 * mV, -50 * mV), "R": (10 * Mohm, 1000 * Mohm), "tau": (1 * ms, 100 * ms)}
UNITS = {"E_L": mV, "R": Mohm, "tau": ms}
#: Trials of three cells, not in their order; E_L in mV, R in Mohm, and the noise in mV.
CELLS = [0, 1, 2, 1, 0]
TRUE = {"E_L": [-70.0, -68.0, -65.0], "R": [80.0, 100.0, 150.0]}
NOISE, TAU, STEPS = [0.1, 0.3, 0.2], 15.0, 400
CURRENT = np.r_[np.zeros(50), np.full(200, 0.1), np.full(150, -0.05)]


def filtered(tau):
    """The current through a membrane of time constant tau [ms], by the closed form of each step of it."""
    time = np.arange(STEPS) * 0.1

    def rise(start):
        return np.where(time > start, 1 - np.exp(-(time - start) / tau), 0)

    return 0.1 * rise(5.0) - 0.15 * rise(25.0)


def arguments(voltage):
    """Of a fit to voltages in mV."""
    return {
        "current": CURRENT * nA,
        "voltage": voltage * mV,
        "dt": DT,
        "free": FREE,
        "loss": VoltageLoss(weights=~np.isnan(voltage)),
        "starts": 4,
        "seed": 2,
        "threads": 1,
    }


def measured():
    """Voltages in mV; trial 3 lacks some samples."""
    rng = np.random.default_rng(0)
    noise = np.array(NOISE)[CELLS, None] * rng.standard_normal((len(CELLS), STEPS))
    voltage = np.array(TRUE["E_L"])[CELLS, None] + noise
    voltage += np.array(TRUE["R"])[CELLS, None] * filtered(TAU)
    voltage[3, 100:130] = np.nan
    return voltage


@pytest.fixture(scope="module")
def call():
    return arguments(measured())


@pytest.fixture(scope="module")
def fit(call):
    return fit_model(MEMBRANE, **call, cells=CELLS, shared=("tau",))


def test_own_and_shared_parameters_are_those_of_least_squares(fit, call):
    voltage = np.asarray(call["voltage"]) * 1e3
    present = ~np.isnan(voltage)
    cells = np.array(CELLS)
    # the factor of each residual: a cell's samples count as parts of its variance
    factor = np.zeros(voltage.shape)
    for k in range(3):
        used = present & (cells == k)[:, None]
        factor[used] = 1 / (voltage[used].std() * np.sqrt(used.sum()))

    def residuals(x):
        model = x[cells, None] + x[3 + cells, None] * filtered(x[6])
        return np.where(present, factor * (model - np.where(present, voltage, 0)), 0)

    x = least_squares(
        lambda x: residuals(x).ravel(), [-70] * 3 + [100] * 3 + [10], x_scale=10, xtol=1e-12
    ).x
    assert float(fit.parameters["tau"] / ms) == pytest.approx(x[6], rel=1e-6)
    np.testing.assert_allclose(fit.parameters["E_L"] / mV, x[:3], rtol=1e-6)
    np.testing.assert_allclose(fit.parameters["R"] / Mohm, x[3:6], rtol=1e-6)
    assert isinstance(fit.parameters["R"], Quantity)
    assert fit.loss == pytest.approx((residuals(x) ** 2).sum() / 3, rel=1e-6)
    # intervals: the covariance of weighted least squares in which each cell has its own variance
    step = np.diag(1e-4 * np.abs(x))
    slopes = np.stack(
        [(residuals(x + d) - residuals(x - d)) / (2 * d.max()) for d in step], axis=-1
    )
    matrix, middle, freedom = np.zeros((7, 7)), np.zeros((7, 7)), np.zeros(3)
    for k in range(3):
        used = cells == k
        number, own = present[used].sum(), residuals(x)[used]
        correlated = correlated_samples(own)
        part = np.einsum("ktp,ktq->pq", slopes[used], slopes[used])
        matrix += part
        middle += part * (own**2).sum() / (number - 7 / 3) * correlated
        freedom[k] = number / correlated - 7 / 3
    spread = np.sqrt(np.diag(np.linalg.inv(matrix) @ middle @ np.linalg.inv(matrix)))
    expected = spread * student.ppf(0.975, [*freedom, *freedom, freedom.sum()])
    low, high = np.array(
        [
            np.concatenate([np.ravel(fit.intervals[n][end] / unit) for n, unit in UNITS.items()])
            for end in (0, 1)
        ]
    )
    np.testing.assert_allclose((high - low) / 2, expected, rtol=1e-3)
    assert not fit.undetermined


def test_cells_that_share_nothing_are_separate_fits(call):
    together = fit_model(MEMBRANE, **call, cells=CELLS)
    assert together.starts.shape == (4, 3, 3)
    losses = []
    for k in range(3):
        rows = np.flatnonzero(np.array(CELLS) == k)
        part = call | {
            "voltage": call["voltage"][rows],
            "loss": VoltageLoss(weights=call["loss"].weights[rows]),
        }
        alone = fit_model(MEMBRANE, **part)
        losses.append(alone.loss)
        for name in FREE:
            assert together.parameters[name][k] == alone.parameters[name]
            for end in (0, 1):
                got, expected = together.intervals[name][end][k], alone.intervals[name][end]
                assert float(got / expected) == pytest.approx(1, rel=1e-9)
        np.testing.assert_array_equal(together.start_losses[:, k], alone.start_losses)
        np.testing.assert_array_equal(together.fitted_voltage[rows], alone.fitted_voltage)
    assert together.loss == pytest.approx(np.mean(losses), rel=1e-12)


def test_gradient_of_several_cells_equals_differences(call):
    recording = Recording(MEMBRANE, call["current"], call["voltage"], None, DT, call["loss"])
    free = free_parameters(MEMBRANE, FREE, recording.currents)
    cells = cells_of(CELLS, ("tau", "R"), free, 5)
    assert cells.free.names == ("E_L[0]", "E_L[1]", "E_L[2]", "R", "tau")
    program = FitProgram(
        model_of_sets(MEMBRANE, free, recording.currents), free.parameters, recording, threads=1
    )
    parts = [recording.of_cell(k, trials) for k, trials in enumerate(cells.trials)]
    evaluate = cells.evaluation([_evaluation(program.of(part), free) for part in parts])
    u = np.array([0.1, -0.3, 0.2, 0.4, -0.2])
    step = 1e-5 * np.eye(5)
    squares = evaluate(u[None])
    error = evaluate(np.concatenate([u + step, u - step]), gradient=False).error[:, 0]
    expected = (error[:5] - error[5:]) / 2e-5
    assert np.abs(expected).min() > 0.01
    np.testing.assert_allclose(2 * squares.slope[0, 0], expected, rtol=1e-6)
    # the matrix is the slope's derivative where residuals are small; at any place it is symmetric, and
    # knows nothing of what two cells have each for themselves
    matrix = squares.curvature[0, 0]
    np.testing.assert_array_equal(matrix, matrix.T)
    np.testing.assert_array_equal(matrix[:3, :3], np.diag(np.diag(matrix[:3, :3])))
    assert (matrix[3:] != 0).all()


def test_a_search_of_all_cells_begins_at_the_minimum_of_their_quadratic_models():
    """Two cells with one shared parameter, against numpy's least squares of the rows of both."""
    bounds = {name: FREE[name] for name in ("R", "tau")}
    cells = cells_of([0, 1], ["tau"], free_parameters(MEMBRANE, bounds, ["I"]), 2)
    rng = np.random.default_rng(1)
    slopes, places = rng.standard_normal((2, 6, 2)), rng.standard_normal((2, 2))
    slopes[1, :, 1] = 0  # the second cell knows nothing of tau
    errors = np.array([0.1, 0.7])
    joined = cells.joined(
        places[None], np.einsum("kip,kiq->kpq", slopes, slopes)[None], errors[None]
    )[0]
    rows = np.zeros((2, 6, 3))
    for k, columns in enumerate([[0, 2], [1, 2]]):  # R[0], R[1], tau
        rows[k][:, columns] = slopes[k] / np.sqrt(errors[k])
    right = np.einsum("kip,kp->ki", slopes, places) / np.sqrt(errors)[:, None]
    expected = np.linalg.lstsq(rows.reshape(12, 3), right.ravel(), rcond=None)[0]
    np.testing.assert_allclose(joined, expected, rtol=1e-4)
    assert joined[2] == pytest.approx(places[0, 1], rel=1e-4)


def test_spiking_cells_differ_in_one_parameter():
    current = fluctuating(260, 100, n_trials=2, seed=3) * pA
    recorded = [
        stock(LIF.with_parameters(R=R), "I", current[k : k + 1])
        for k, R in enumerate((90 * Mohm, 100 * Mohm))
    ]
    voltage = np.concatenate([np.asarray(voltage) for voltage, _ in recorded]) * 1e3
    voltage += 0.5 * np.random.default_rng(4).standard_normal(voltage.shape)
    spikes = [trains[0] for _, trains in recorded]
    assert min(map(len, spikes)) >= 3
    fit = fit_model(
        LIF,
        current=current,
        voltage=voltage * mV,
        spikes=spikes,
        dt=DT,
        free={
            **{"tau_m": (5 * ms, 80 * ms), "E_L": (-80 * mV, -60 * mV)},
            **{"R": (20 * Mohm, 500 * Mohm), "v_th": (-60 * mV, -40 * mV)},
            "v_r": (-80 * mV, -55 * mV),
        },
        cells=[0, 1],
        shared=["tau_m", "E_L", "v_th", "v_r"],
        starts=8,
        threads=1,
    )
    for name in ("tau_m", "E_L", "v_th", "v_r"):
        assert float(fit.parameters[name] / LIF.parameters[name]) == pytest.approx(1, rel=0.02)
        low, high = fit.intervals[name]
        # one of twenty intervals misses the truth, but none by far
        assert abs(fit.parameters[name] - LIF.parameters[name]) < high - low
        assert high - low < 0.1 * abs(LIF.parameters[name]), "an interval that tells nothing"
    np.testing.assert_allclose(fit.parameters["R"] / Mohm, [90, 100], rtol=0.02)
    assert fit.coincidence(0.5 * ms) > 0.95


def test_evolution_comes_to_the_same_place(fit, call):
    other = fit_model(
        MEMBRANE,
        **(call | {"starts": 8}),
        cells=CELLS,
        shared=("tau",),
        method="differential_evolution",
    )
    assert fit.loss <= other.loss * (1 + 1e-9)
    assert other.loss <= 1.02 * fit.loss
    assert float(other.parameters["tau"] / fit.parameters["tau"]) == pytest.approx(1, rel=0.02)


def goes_on(call, path):
    return fit_model(MEMBRANE, **call, cells=CELLS, shared=("tau",), checkpoint=path)


def in_a_process(path):
    """A fit with a checkpoint that takes its time, for a process that is killed meanwhile."""
    write, together = Checkpoint.write, []

    def written(self, *arguments, now=False):
        write(self, *arguments, now=True)
        print(self._search, flush=True)
        if self._search == "3":
            together.append(1)
            time.sleep(0.05 if len(together) < 4 else 60)  # it does not end before it is killed

    Checkpoint.write = written
    goes_on(arguments(measured()), path)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows knows no such signal")
def test_a_process_that_is_killed_leaves_a_search_that_goes_on_with_the_same_bits(
    fit, call, tmp_path
):
    path = tmp_path / "search.npz"
    code = (
        f"import sys; sys.path.append({str(Path(__file__).parent)!r})\n"
        f"import test_fit_model_cells; test_fit_model_cells.in_a_process({str(path)!r})"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        lines = []
        for line in process.stdout:
            lines.append(line.strip())
            if lines.count("3") == 2:  # the cells are found, and now all are searched together
                process.kill()
                break
        assert process.wait() == -signal.SIGKILL
    assert set(lines) == {"0", "1", "2", "3"}
    searches = read_arrays(path)[1]["searches"]
    assert searches["3"]["stage"] + searches["3"]["iteration"] > 0, "it was not half-way"
    assert searches["3"]["stage"] < searches["0"]["stage"], "it was not half-way"
    same(goes_on(call, path), fit)


def test_a_fit_that_is_interrupted_in_one_cell_goes_on_with_the_same_bits(
    fit, call, tmp_path, monkeypatch
):
    path, step, done = tmp_path / "search.npz", Search._step, []

    def counted(self, *arguments):
        done.append(1)
        if len(done) == limit:
            raise KeyboardInterrupt
        return step(self, *arguments)

    monkeypatch.setattr(Search, "_step", counted)
    limit = 60
    with monkeypatch.context() as patch:
        patch.setattr("neurosnn.training.fit_model.checkpoint.EVERY", 0.0)
        with pytest.raises(KeyboardInterrupt):
            goes_on(call, path)
    kept = read_arrays(path)[1]["searches"]
    assert "1" in kept
    assert "3" not in kept
    limit = None
    done.clear()
    same(goes_on(call, path), fit)
    resumed = len(done)
    done.clear()
    same(goes_on(call, None), fit)
    assert resumed == len(done) - 59, "what was searched already was searched again"
    with pytest.raises(ValueError, match="this file belongs to another fit"):
        fit_model(MEMBRANE, **call, cells=CELLS, shared=("R",), checkpoint=path)


def same(again, fit):
    """What is the same to the last bit."""
    for name, value in fit.parameters.items():
        np.testing.assert_array_equal(again.parameters[name], value)
        np.testing.assert_array_equal(again.intervals[name], fit.intervals[name])
    assert again.loss == fit.loss
    np.testing.assert_array_equal(again.starts, fit.starts)
    np.testing.assert_array_equal(again.start_losses, fit.start_losses)


def test_result_is_stored_shown_and_drawn(fit, tmp_path):
    path = tmp_path / "fit.npz"
    fit.save(path)
    loaded = ModelFit.load(path)
    same(loaded, fit)
    assert repr(loaded) == repr(fit)
    assert repr(fit).startswith("Fit of membrane to 3 cells: loss ")
    assert "  R[2]   = " in repr(fit)
    assert "R[1]" in loaded._repr_html_()
    np.testing.assert_array_equal(loaded.cells, CELLS)
    assert fit.model.parameters["R"].shape == (3,)
    assert len(fit.models) == 3
    for k, model in enumerate(fit.models):
        assert model.parameters["R"] == fit.parameters["R"][k]
        assert model.parameters["tau"] == fit.parameters["tau"]
    assert fit.model.group(3, dt=DT).N == 3
    from matplotlib.figure import Figure

    ax = fit.plot(trial=3, ax=Figure().subplots())
    assert ax.get_title() == "membrane, cell 1"
    arrays, information = read_arrays(path)
    for altered, complaint in (
        ({"undetermined": ["R[3]"]}, "a parameter that its model has not"),
        ({"cells": [0, 1]}, "its cells are not those of its trials"),
    ):
        write_arrays(path, arrays, information | altered)
        with pytest.raises(ValueError, match=complaint):
            ModelFit.load(path)


def test_a_table_has_a_row_for_each_cell(fit):
    pytest.importorskip("pandas")
    table = fit.to_dataframe()
    assert list(table.index) == [*(f"{n}[{k}]" for n in ("E_L", "R") for k in range(3)), "tau"]
    assert table.loc["R[2]", "low"] < 150 < table.loc["R[2]", "high"]


def test_what_a_cell_does_not_determine_is_said(call):
    """A cell without a current says nothing of its resistance; a shared one is found from the others."""
    current = CURRENT * np.array([1, 1, 0, 1, 1])[:, None] * nA
    rng = np.random.default_rng(5)
    voltage = -70 + 80 * filtered(TAU) * np.array([1, 1, 0, 1, 1])[:, None]
    voltage = (voltage + 0.2 * rng.standard_normal(voltage.shape)) * mV
    known = call | {"current": current, "voltage": voltage, "loss": VoltageLoss(scale=1 * mV)}
    with pytest.warns(UserWarning, match=r"does not determine R\[2\]\."):
        fit = fit_model(MEMBRANE, **known, cells=CELLS, shared=("tau", "E_L"))
    assert fit.undetermined == ("R[2]",)
    fit = fit_model(MEMBRANE, **known, cells=CELLS, shared=("tau", "R"))
    assert not fit.undetermined
    assert float(fit.parameters["R"] / Mohm) == pytest.approx(80, rel=0.02)
    assert float(fit.parameters["tau"] / ms) == pytest.approx(TAU, rel=0.02)


BAD = {
    "cells is .*each of the 5 trials.*cells=.0, 1, 2.": {"cells": [0, 1, 2]},
    "cells is .*as a whole number": {"cells": [0.0, 1.0, 2.0, 1.0, 0.0]},
    "cell 1 has no trial.*counted from 0": {"cells": [0, 2, 2, 2, 0]},
    "cells has the number -1": {"cells": [0, 1, -1, 1, 0]},
    "'tau_m' cannot be shared.*Did you mean 'tau'": {"cells": CELLS, "shared": ("tau_m",)},
    'shared is .*shared=."E_L",': {"cells": CELLS, "shared": "tau"},
    "tau cannot be shared.*Add for example cells": {"shared": ("tau",)},
    "recording of cell 2: no sample of the voltage": {
        "cells": CELLS,
        "loss": VoltageLoss(weights=np.array([1, 1, 0, 1, 1])[:, None] * np.ones(STEPS)),
    },
}


@pytest.mark.parametrize("match", BAD)
def test_what_cannot_be_fitted_is_refused(match, call):
    voltage = np.nan_to_num(np.asarray(call["voltage"]), nan=-0.07) * volt
    with pytest.raises(ValueError, match=match) as caught:
        fit_model(MEMBRANE, **(call | {"loss": None, "voltage": voltage} | BAD[match]))
    assert len(str(caught.value)) < 600
