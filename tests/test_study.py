"""Studies: every point once, whatever dies; tables and intervals against scipy and by hand."""

from __future__ import annotations

import contextlib
import csv
import errno
import json
import multiprocessing
import os
import signal
import threading
import time
from collections import Counter
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import scipy.stats
from brian2 import ms, mV, second
from reference.study_points import (
    allow_to_write,
    deadly,
    lines,
    misbehaving,
    point,
    refuse_to_write,
    unlucky,
)

from neurosnn.study import Choice, LogUniform, Study, StudyTable, Uniform
from neurosnn.study import points as study_points
from neurosnn.study import runner as study_runner
from neurosnn.study.table import interval


@contextlib.contextmanager
def two_workers():
    """A client of two worker processes."""
    distributed = pytest.importorskip("distributed")
    dask = pytest.importorskip("dask")
    # Spares two of the four deaths after which Dask gives a point up by default.
    options = {"distributed.scheduler.allowed-failures": 1}
    if "forkserver" in multiprocessing.get_all_start_methods():
        # Workers that start anew find what they import already there.
        options["distributed.worker.multiprocessing-method"] = "forkserver"
        with dask.config.set(options):
            context = distributed.utils.get_mp_context()
        context.set_forkserver_preload(["distributed", "neurosnn.study", "reference.study_points"])
    with (
        dask.config.set(options),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=50
        ) as cluster,
    ):
        with distributed.Client(cluster) as connected:
            yield connected


@pytest.fixture(scope="module")
def client():
    """Two worker processes, for all tests of this file that leave them as they are."""
    with two_workers() as connected:
        yield connected


@pytest.fixture
def client_to_restart():
    """Two worker processes for one test."""
    with two_workers() as connected:
        yield connected


def often(log, word="begin"):
    """How often each (x, seed) began or ended."""
    return Counter(tuple(line[1:]) for line in lines(log) if line[0] == word)


# -- points -----------------------------------------------------------------------------------------


def test_grid_is_all_combinations_in_order(tmp_path):
    study = Study(tmp_path, lambda a, b, seed: {}, {"a": [1, 2], "b": ["x", "y"]}, seeds=[7, 8])
    values = [tuple(one.values.values()) for one in study.points]
    assert values == [(a, b, s) for a in (1, 2) for b in ("x", "y") for s in (7, 8)]
    assert len({one.key for one in study.points}) == 8


def test_random_search_draws_from_its_distributions_and_is_repeatable(tmp_path):
    parameters = {
        "rate": LogUniform(1e-4, 1e-1),
        "tau": Uniform(10 * ms, 50 * ms),
        "kind": Choice("a", "b"),
        "n": [1, 2],
    }
    studies = [
        Study(tmp_path, lambda **_: {}, parameters, n_samples=200, search_seed=s) for s in (1, 1, 2)
    ]
    keys = [[one.key for one in study.points] for study in studies]
    assert keys[0] == keys[1] != keys[2]
    values = [one.values for one in studies[0].points]
    assert len(values) == 400
    rates = np.log10([one["rate"] for one in values])
    assert scipy.stats.kstest(rates, "uniform", (-4, 3)).pvalue > 0.01
    taus = np.array([one["tau"] / ms for one in values])
    assert scipy.stats.kstest(taus, "uniform", (10, 40)).pvalue > 0.01
    assert 150 < sum(one["kind"] == "a" for one in values) < 250
    assert list(values[0]) == ["rate", "tau", "kind", "n", "seed"]


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (({"x": [1]}, {"seeds": []}), "seeds must be different"),
        (({"x": [1]}, {"seeds": [1, 1]}), "seeds must be different"),
        (({"x": [1]}, {"n_samples": 3}), "n_samples has no effect"),
        (({"x": Uniform(0, 1)}, {}), "n_samples is missing"),
        (({"z": [1]}, {}), "cannot be called with z, seed"),
        (({"x": [object()]}, {}), "cannot be kept in a file"),
        (({"seed": [1]}, {}), "'seed' is a parameter"),
    ],
)
def test_bad_studies_are_refused(arguments, match, tmp_path):
    parameters, options = arguments
    with pytest.raises(ValueError, match=match):
        Study(tmp_path, lambda x, seed: {}, parameters, **options)


def test_bad_distributions_are_refused(tmp_path):
    for make, match in (
        (lambda: Uniform(2, 1), "The lower one comes first"),
        (lambda: LogUniform(0, 1), "must be positive"),
        (lambda: Uniform(1 * ms, 2 * mV), "different units"),
        (lambda: Choice(), "no values"),
    ):
        with pytest.raises(ValueError, match=match):
            make()
    with pytest.raises(TypeError, match="is not a function"):
        Study(tmp_path, "f", {})
    with pytest.raises(ValueError, match="A client has workers of its own"):
        Study(tmp_path, lambda seed: {}, {}).run(client=object(), workers=2)


# -- without Dask -----------------------------------------------------------------------------------


def test_points_are_computed_once_and_new_ones_are_added(tmp_path):
    log = str(tmp_path / "log")
    first = Study(tmp_path / "s", point, {"x": [1, 2], "log": [log]}, seeds=[0])
    table = first.run(workers=0, progress=False)
    assert table["y"].tolist() == [1, 4]
    larger = Study(tmp_path / "s", point, {"x": [1, 2, 3], "log": [log]}, seeds=[0, 1])
    assert [(p.values["x"], p.values["seed"]) for p in larger.missing()] == [
        (1, 1), (2, 1), (3, 0), (3, 1),
    ]  # fmt: skip
    assert larger.run(workers=0, progress=False)["y"].tolist() == [1, 2, 4, 5, 9, 10]
    assert larger.run(workers=0, progress=False)["y"].tolist() == [1, 2, 4, 5, 9, 10]
    assert set(often(log).values()) == {1}
    assert not list((tmp_path / "s").glob(".reserve*"))


def test_failed_points_are_recorded_and_tried_again_on_demand(tmp_path, capsys):
    attempts = []

    def sometimes(x, seed):
        attempts.append(x)
        if x == 2 and len(attempts) < 4:
            raise RuntimeError("not yet")
        return {"y": x} if x < 3 else 7

    study = Study(tmp_path, sometimes, {"x": [1, 2, 3]})
    table = study.run(workers=0)
    assert table["status"].tolist() == ["done", "failed", "failed"]
    assert "RuntimeError: not yet" in table.failed["error"][0]
    assert "the function returned 7" in table.failed["error"][1]
    assert np.isnan(table["y"][1])
    assert "3 of 3 points, 2 failed" in capsys.readouterr().err
    assert "2 points failed" in repr(table)
    assert study.run(workers=0, progress=False)["status"].tolist() == table["status"].tolist()
    assert attempts == [1, 2, 3]
    again = study.run(workers=0, progress=False, retry_failed=True)
    assert again["status"].tolist() == ["done", "done", "failed"]
    assert attempts == [1, 2, 3, 2, 3]


def test_study_goes_on_after_a_kill(tmp_path):
    log = str(tmp_path / "log")
    parameters = {"x": [1, 2, 3, 4], "wait": [0.2], "log": [log]}
    study = Study(tmp_path / "s", point, parameters)
    process = multiprocessing.get_context("fork").Process(
        target=study.run, kwargs={"workers": 0, "progress": False}
    )
    process.start()
    deadline = time.monotonic() + 60
    while len(lines(log)) < 5 and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert [line[0] for line in lines(log)] == ["begin", "end", "begin", "end", "begin"]
    assert study.run(workers=0, progress=False)["y"].tolist() == [1, 4, 9, 16]
    assert set(often(log, "end").values()) == {1}
    assert sorted(often(log).values()) == [1, 1, 1, 2]  # the third began twice


def test_a_damaged_result_is_named(tmp_path):
    study = Study(tmp_path, lambda x, seed: {"y": x}, {"x": [1]})
    study.run(workers=0, progress=False)
    (file,) = (tmp_path / "points").glob("*.json")
    file.write_text("{")
    with pytest.raises(ValueError, match=f"{file.name}.*cannot be read|cannot be read"):
        study.table()


# -- on a cluster -----------------------------------------------------------------------------------


def test_a_dying_worker_loses_only_its_point(client, tmp_path):
    """One point raises, one kills its worker at the first attempt: all others run once."""
    log = str(tmp_path / "log")
    study = Study(tmp_path / "s", misbehaving, {"x": list(range(8)), "log": [log]}, seeds=[0, 1])
    table = study.run(client, progress=False)
    assert len(table) == 16
    assert [row["x"] for row in table.failed.rows] == [3, 3]
    assert "three is not allowed" in table.failed["error"][0]
    good = [row for row in table.rows if row["x"] != 3]
    assert all(row["y"] == row["x"] ** 2 + row["seed"] for row in good)
    assert set(often(log, "end").values()) == {1}
    begun = often(log)
    died = [one for one, count in begun.items() if count > 1]
    assert {x for x, _ in died} == {"5"}
    assert sum(begun.values()) == 17
    assert len(study.run(client, progress=False)) == 16
    assert sum(often(log).values()) == 17


def test_a_point_that_always_kills_its_worker_is_given_up(client, tmp_path):
    table = Study(tmp_path, deadly, {"x": [0, 1, 2, 3]}).run(client, progress=False)
    assert table["status"].tolist() == ["done", "failed", "done", "done"]
    assert "The worker died, each time" in table.failed["error"][0]


def test_a_point_that_dask_gives_up_is_tried_once_more(client, tmp_path):
    """While workers restart, they die of no point: two deaths are all that this scheduler allows."""
    log = str(tmp_path / "log")
    table = Study(tmp_path / "s", unlucky, {"x": [0, 1, 2, 3], "log": [log]}).run(
        client, progress=False
    )
    assert table["y"].tolist() == [0, 1, 2, 3]
    assert often(log)["1", "0"] == 3
    assert sum(often(log).values()) == 6


def test_workers_that_do_not_come_back_end_the_wait(tmp_path, monkeypatch):
    """Also while a point is under way: Dask would keep it pending for ever."""

    client = mock.Mock()
    client.nthreads.side_effect = lambda: {} if client.submit.called else {"tcp://worker": 1}
    client.submit.return_value.status = "pending"
    monkeypatch.setattr(study_runner, "PATIENCE", 0.3)
    monkeypatch.setattr(study_runner, "ASK", 0.0)
    study = Study(tmp_path, lambda x, seed: {"y": x}, {"x": [1, 2]})
    with pytest.raises(TimeoutError, match="no worker for"):
        study_runner._Cluster(study, client, lambda _: None).run(study.missing())
    client.submit.assert_called_once()
    client.submit.return_value.cancel.assert_called_once()


def restart(client):
    """Dask's restart of all workers, in which it sometimes loses the nannies that should start them."""
    try:
        client.restart(timeout=15)
    except TimeoutError:
        client.cluster.scale(len(client.cluster.workers) + 2)
        client.wait_for_workers(2, timeout=60)


def test_a_restarted_scheduler_loses_nothing_finished(client_to_restart, tmp_path):
    client = client_to_restart
    log = str(tmp_path / "log")
    parameters = {"x": list(range(8)), "log": [log], "wait": [0.15]}
    study = Study(tmp_path / "s", point, parameters)
    result = []
    thread = threading.Thread(target=lambda: result.append(study.run(client, progress=False)))
    thread.start()
    while len(missing := study.missing()) > 5:
        time.sleep(0.01)
    restart(client)
    thread.join(60)
    assert result[0]["y"].tolist() == [x**2 for x in range(8)]
    # one that had ended when its worker was restarted, and whose result was still there, runs again
    unsaved = {str(one.values["x"]) for one in missing}
    ends = {x: count for (x, _), count in often(log, "end").items()}
    assert len(ends) == 8
    assert all(count == 1 for x, count in ends.items() if x not in unsaved)
    # Two were cut off, and perhaps those again that went to a worker which had still to be restarted.
    assert sum(often(log).values()) <= 12


def test_a_full_folder_loses_nothing_finished(client, tmp_path, monkeypatch):
    """The folder accepts three more results; then nothing until the reserve is given free."""
    log = str(tmp_path / "log")
    study = Study(tmp_path / "s", point, {"x": list(range(10)), "log": [log], "wait": [0.05]})
    points = tmp_path / "s" / "points"
    real = study_points.PointFiles.write

    def full(self, key, record):
        reserve = self.folder / ".reserve"
        if reserve.exists() and len(self.known()) >= 3:
            raise OSError(errno.ENOSPC, "No space left on device", str(self.path(key)))
        real(self, key, record)

    monkeypatch.setattr(study_points.PointFiles, "write", full)
    # Workers write in processes of their own: to them the folder is full from the start.
    points.mkdir(parents=True)
    client.run(refuse_to_write)
    with pytest.raises(OSError, match="All finished points are in it") as caught:
        study.run(client, progress=False)
    assert caught.value.errno == errno.ENOSPC
    finished = often(log, "end")
    assert 4 <= len(finished) < 10
    assert len(study.table()) == len(finished)
    monkeypatch.setattr(study_points.PointFiles, "write", real)
    client.run(allow_to_write)
    assert study.run(client, progress=False)["y"].tolist() == [x**2 for x in range(10)]
    assert set(often(log).values()) == set(often(log, "end").values()) == {1}


def test_results_go_elsewhere_if_the_folder_stays_full(tmp_path, monkeypatch):
    real = study_points.PointFiles.write

    def full(self, key, record):
        if self.folder == tmp_path / "s":
            raise OSError(errno.EACCES, "Permission denied", str(self.path(key)))
        real(self, key, record)

    monkeypatch.setattr(study_points.PointFiles, "write", full)
    study = Study(tmp_path / "s", lambda x, seed: {"y": x}, {"x": [4, 5]})
    with pytest.raises(OSError, match="1 finished points are in .* instead") as caught:
        study.run(workers=0, progress=False)
    elsewhere = Path(str(caught.value).split("finished points are in ")[1].split(" instead")[0])
    (file,) = elsewhere.glob("*.json")
    monkeypatch.undo()
    file.rename(tmp_path / "s" / "points" / file.name)
    assert [one.values["x"] for one in study.missing()] == [5]
    assert study.table()["y"].tolist() == [4]


# -- the table --------------------------------------------------------------------------------------


def test_intervals_equal_scipy():
    values = [0.91, 0.95, 0.93, 0.99]
    wanted = scipy.stats.t.interval(0.95, 3, np.mean(values), scipy.stats.sem(values))
    mean, low, high = interval(values)
    assert (low, high) == pytest.approx(wanted)
    assert mean == pytest.approx(0.945)
    assert np.isnan(interval([1.0])[1:]).all()


def test_means_by_a_parameter_leave_out_failed_points():
    rows = [
        {"tau": tau * ms, "seed": seed, "y": tau + seed, "status": "done"}
        for tau in (20, 10)
        for seed in (0, 2)
    ]
    rows.append({"tau": 10 * ms, "seed": 9, "status": "failed", "error": "x"})
    table = StudyTable(rows)
    means = table.mean("y", by="tau")
    assert np.asarray(means.value / ms) == pytest.approx([20, 10])
    assert means.mean.tolist() == [21, 11]
    assert means.n.tolist() == [2, 2]
    assert means.high - means.mean == pytest.approx([12.706] * 2, rel=1e-4)
    assert table.select(tau=10 * ms, seed=2)["y"].tolist() == [12]
    with pytest.raises(ValueError, match="no column 'z'"):
        table["z"]
    with pytest.raises(ValueError, match="no point has a 'y'"):
        StudyTable([{"y": None, "x": 1}]).mean("y", by="x")


def test_quantities_survive_the_file_and_have_their_unit_in_the_csv(tmp_path):
    got = []

    def keep(tau, n, flag, seed):
        got.append((tau, n, flag))
        return {"half": tau / 2, "list": [1, 2], "array": np.arange(2), "one": np.float32(0.5)}

    study = Study(tmp_path / "s", keep, {"tau": [20 * ms], "n": [3], "flag": [True]})
    table = study.run(workers=0, progress=False)
    assert got[0][0] == 20 * ms
    assert got[0][1:] == (3, True)
    row = study.table().rows[0]
    assert row["tau"] == 20 * ms
    assert row["half"] == 10 * ms
    assert table["tau"].dim is second.dim
    assert (row["n"], row["list"], row["array"], row["one"]) == (3, [1, 2], [0, 1], 0.5)
    table.to_csv(tmp_path / "t.csv")
    with open(tmp_path / "t.csv", newline="") as file:
        (found,) = csv.DictReader(file)
    assert float(found["tau (second**1)"]) == 0.02
    assert json.loads(found["list"]) == [1, 2]
    assert found["status"] == "done"


def test_table_as_parquet(tmp_path):
    pyarrow = pytest.importorskip("pyarrow.parquet")
    StudyTable([{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]).to_parquet(tmp_path / "t.parquet")
    assert pyarrow.read_table(tmp_path / "t.parquet").to_pydict() == {"a": [1, 2], "b": ["x", "y"]}
