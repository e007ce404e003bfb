"""A sweep of 200 short trainings: the speed-up of two workers, and what it survives.

First the same trainings with one worker and with two. Then all 200 again while one worker is killed,
the scheduler process is killed and started anew, three points raise and the results folder is full for
a while; at the end every training must have a result, and none may have finished twice.

    python benchmarks/study.py            # some minutes
    python benchmarks/study.py --quick    # 16 trainings
"""

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

N_TRAININGS, N_MEASURED = 200, 24


def note(log, *words):
    """Add one line to a file; lines of several processes do not mix."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(descriptor, (" ".join(map(str, words)) + "\n").encode())
    os.close(descriptor)


def training(learning_rate, epochs, log, raises, seed):
    """One short training of a small network on spoken digits, on one thread."""
    from brian2 import ms

    from neurosnn import (
        Adam,
        EProp,
        Input,
        Layer,
        Readout,
        SpikingNetwork,
        Trainer,
        data,
        equations,
    )

    if raises:
        note(log, "begin", learning_rate, seed)
        raise RuntimeError("this point was told to raise")
    note(log, "begin", learning_rate, seed)
    train, test = data.spoken_digits(n_bands=16, n_thresholds=2)
    net = SpikingNetwork(
        Input(train.n_channels),
        Layer(equations.ALIF(tau_a=200 * ms), 64, recurrent=True),
        Readout(10),
        seed=seed,
    )
    trainer = Trainer(net, EProp(), optimizer=Adam(learning_rate), threads=1, seed=seed)
    trainer.fit(train[:600], epochs=epochs, progress=False)
    accuracy = trainer.evaluate(test)["accuracy"]
    note(log, "end", learning_rate, seed)
    return {"accuracy": accuracy}


def parameters(log, n, epochs):
    """`n` points: learning rates, each with four seeds."""
    rates = [round(1e-3 * 1.03**k, 8) for k in range(n // 4)]
    return {"learning_rate": rates, "epochs": [epochs], "log": [log], "raises": [False]}


def speed_up(folder, n, epochs):
    """Seconds of the same points with one and with two workers, which take turns.

    The start of the workers does not count, nor the first training of each.
    """
    from distributed import Client, LocalCluster

    from neurosnn.study import Study

    seconds = {1: [], 2: []}
    for turn, workers in enumerate((1, 2, 2, 1)):
        log = str(folder / f"log{turn}")
        settings = {"n_workers": workers, "threads_per_worker": 1, "dashboard_address": ":0"}
        with LocalCluster(**settings) as cluster, Client(cluster) as client:
            warm = parameters(log, 4, 1)
            Study(folder / f"warm{turn}", training, warm, seeds=range(4)).run(
                client, progress=False
            )
            study = Study(
                folder / f"speed{turn}", training, parameters(log, n, epochs), seeds=range(4)
            )
            begin = time.perf_counter()
            table = study.run(client, progress=False)
            seconds[workers].append(time.perf_counter() - begin)
            assert len(table) == n, "a point is missing"
            assert not len(table.failed), table.failed["error"][0]
    return seconds


class Cluster:
    """A scheduler and two workers as processes of their own, as on a cluster."""

    def __init__(self, port):
        self.address, self.port = f"tcp://127.0.0.1:{port}", port
        self.scheduler, self.workers = None, []

    def start(self):
        dask = [sys.executable, "-m", "distributed.cli.dask_scheduler"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.scheduler = subprocess.Popen(
            [*dask, "--host", "127.0.0.1", "--port", str(self.port), "--no-dashboard"], **quiet
        )
        for _ in range(2):
            self.add_worker()

    def add_worker(self):
        dask = [sys.executable, "-m", "distributed.cli.dask_worker"]
        self.workers.append(
            subprocess.Popen(
                [*dask, self.address, "--nthreads", "1", "--no-dashboard", "--no-nanny",
                 "--death-timeout", "60", "--local-directory", tempfile.gettempdir()],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )
        )  # fmt: skip

    def stop(self):
        for process in [*self.workers, self.scheduler]:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            process.wait()
        self.workers = []


def count(log, word):
    """How often each training began or ended."""
    path = Path(log)
    rows = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
    return Counter(tuple(row[1:]) for row in rows if row[0] == word)


def wait_for(log, n, seconds=600):
    """Until so many trainings have ended."""
    deadline = time.monotonic() + seconds
    while sum(count(log, "end").values()) < n and time.monotonic() < deadline:
        time.sleep(0.05)


def disturb(cluster, log, n, happened):
    """Kill a worker after a fifth, the scheduler after two fifths of the trainings."""
    wait_for(log, n // 5)
    cluster.workers[0].send_signal(signal.SIGKILL)
    cluster.add_worker()
    happened.append(f"a worker was killed after {sum(count(log, 'end').values())} trainings")
    wait_for(log, 2 * n // 5)
    done = sum(count(log, "end").values())
    cluster.stop()
    time.sleep(2)
    cluster.start()
    happened.append(f"the scheduler and its workers were killed and started anew after {done}")


def survive(folder, n, epochs):
    """All trainings while things go wrong; returns what happened and the final table."""
    from distributed import Client

    from neurosnn.study import Study

    log, happened = str(folder / "log"), []
    cluster = Cluster(8900 + os.getpid() % 90)
    values = parameters(log, n, epochs)
    small = folder / "small"
    small.mkdir()
    mounted = not subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1536k,nr_inodes=600", "tmpfs", str(small)],
        capture_output=True,
    ).returncode  # fmt: skip
    filler = small / "filler"
    values["raises"] = [False]
    study = Study(small / "study", training, values, seeds=range(4))
    bad = Study(small / "study", training, {**values, "raises": [True]}, seeds=[0])
    bad.points = bad.points[:3]
    study.points = [*study.points[: n // 2], *bad.points, *study.points[n // 2 :]]
    cluster.start()
    troubles = threading.Thread(target=disturb, args=(cluster, log, n, happened))
    try:
        troubles.start()
        with Client(cluster.address, timeout=60) as client:
            if mounted:

                def fill():
                    wait_for(log, 4 * n // 5)
                    with contextlib.suppress(OSError), open(filler, "wb") as file:
                        while True:
                            file.write(bytes(4096))
                            file.flush()

                filling = threading.Thread(target=fill)
                filling.start()
                try:
                    study.run(client, progress=True, reserve=1 << 18)
                    happened.append("the folder was never full")
                except OSError as error:
                    ended = sum(count(log, "end").values())
                    kept = sum(row["status"] == "done" for row in study.table().rows)
                    happened.append(
                        f"the folder was full after {ended} trainings, of which {kept} are kept: "
                        f"{error.strerror}"
                    )
                    assert kept == ended
                filling.join()
                filler.unlink(missing_ok=True)
            table = study.run(client, progress=True, reserve=1 << 18)
            happened.append(f"{len(table.failed)} points raised")
        troubles.join()
        ends, begins = count(log, "end"), count(log, "begin")
        happened.append(
            f"{len(table)} points have a result, {len(ends)} trainings ended, "
            f"{sum(k > 1 for k in ends.values())} of them twice; "
            f"{sum(begins.values()) - len(ends) - len(table.failed)} were cut off and begun again"
        )
        assert len(table) == n + 3
        assert len(table.failed) == 3
        assert len(ends) == n
        assert set(ends.values()) == {1}
        return happened
    finally:
        cluster.stop()
        if mounted:
            subprocess.run(["umount", "-l", str(small)])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="16 short trainings")
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--only", choices=("speed", "survival"), help="one of the two parts")
    options = parser.parse_args()
    n, measured, epochs = (16, 8, 1) if options.quick else (N_TRAININGS, N_MEASURED, 8)
    folder = Path(tempfile.mkdtemp(prefix="neurosnn-study-"))
    try:
        if options.only != "survival":
            seconds = speed_up(folder, measured, epochs)
            one, two = (min(seconds[workers]) for workers in (1, 2))
            ratio = one / two
            print(
                f"{measured} trainings: one worker {seconds[1][0]:.1f} and {seconds[1][1]:.1f} s, two "
                f"workers {seconds[2][0]:.1f} and {seconds[2][1]:.1f} s; speed-up of the faster "
                f"ones {ratio:.2f}",
                flush=True,
            )
            if options.json:
                result = {
                    "name": "study, two workers", "ours": two, "peer": one,
                    "ratio": ratio, "same_work": "the same trainings",
                }  # fmt: skip
                options.json.write_text(json.dumps([result]))
        if options.only != "speed":
            print("\n".join(survive(folder, n, 1 if options.quick else 2)))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
