"""Runs the points of a study: in this process, or on the workers of a Dask client."""

from __future__ import annotations

import contextlib
import math
import os
import socket
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neurosnn.core.bars import bar_class, draws_bars
from neurosnn.core.messages import message
from neurosnn.core.optional import import_optional
from neurosnn.core.texts import check_plain_text
from neurosnn.study.points import Point, PointFiles, encode

if TYPE_CHECKING:
    from neurosnn.study.study import Study

__all__ = ["compute", "run_points"]

#: How often the cluster is looked at when no point ends [s], and asked for its workers at most.
POLL, ASK = 0.25, 1.0
#: How long a scheduler or all workers may be away [s] before the study gives up.
PATIENCE = 120.0


def compute(function: Callable[..., Any], point: Point, folder: str) -> dict[str, Any]:
    """Compute a point where a worker is, and write its file there.

    A point whose file exists is not computed: its worker has died after it had finished.
    """
    files = PointFiles(Path(folder))
    if files.path(point.key).exists():
        with contextlib.suppress(ValueError):
            record = files.read(point.key)
            if record["status"] == "done":
                return record
    begin = time.perf_counter()
    record = {"status": "done", "parameters": point.plain, "result": {}, "error": ""}
    try:
        result = function(**point.values)
        if not isinstance(result, Mapping) or not all(isinstance(name, str) for name in result):
            raise TypeError(
                message(
                    f"the function returned {result!r}.",
                    repr(point),
                    "A study keeps numbers by name.",
                    "Return for example {'accuracy': 0.9}.",
                )
            )
        for name in result:
            check_plain_text(name, field="the name of a result", where=repr(point), longest=1000)
        record["result"] = {name: encode(value, f"result {name}") for name, value in result.items()}
    except Exception:
        record |= {"status": "failed", "error": traceback.format_exc()}
    record["seconds"] = time.perf_counter() - begin
    record["worker"] = f"{socket.gethostname()}:{os.getpid()}"
    # If the folder cannot be written, the caller gets the record and knows what to do with it.
    with contextlib.suppress(OSError):
        files.write(point.key, record)
    return record


def run_points(
    study: Study, client: Any, workers: int | None, progress: bool, retry_failed: bool
) -> None:
    """Compute all missing points of a study."""
    todo = study.missing(retry_failed=retry_failed)
    if retry_failed:
        for point in todo:
            study.files.path(point.key).unlink(missing_ok=True)
    with _bar(progress, len(study.points), len(study.points) - len(todo)) as bar:
        if not todo:
            return
        if workers == 0:
            for point in todo:
                record = compute(study.function, point, str(study.folder))
                _keep(study.files, {point.key: record})
                bar(record["status"])
            return
        with _client(client, workers) as connected:
            _Cluster(study, connected, bar).run(todo)


class _Cluster:
    """Keeps as many points running as the cluster has threads, whatever happens to it.

    No more than that are submitted: a point that waits on a worker is held responsible by Dask if the
    worker dies. A point that Dask has given up is tried once more after all others: while a cluster
    restarts, workers die of no point.
    """

    def __init__(self, study: Study, client: Any, bar: Callable[[str], None]):
        self.study, self.client, self.bar = study, client, bar
        self.running: dict[Any, Point] = {}
        self.suspects: set[str] = set()
        self._ended = threading.Event()
        self._threads, self._asked = 0, -math.inf

    def run(self, todo: list[Point]) -> None:
        waiting, alone = deque(todo), time.monotonic()
        try:
            while waiting or self.running:
                room = self._room()
                if self._threads:
                    alone = time.monotonic()
                elif time.monotonic() - alone > PATIENCE:
                    raise TimeoutError(
                        message(
                            f"there has been no worker for {PATIENCE:g} s.",
                            "Study.run",
                            "The scheduler is gone, or all its workers are.",
                            "Start them and make the same call again.",
                        )
                    )
                while waiting and room > 0:
                    self._submit(waiting.popleft())
                    room -= 1
                # The next points are under way before the results of the last ones are fetched.
                self._ended.clear()
                waiting.extend(self._collect())
                self._ended.wait(POLL)
        except BaseException:
            for future in self.running:
                with contextlib.suppress(Exception):
                    future.cancel()
            raise

    def _room(self) -> int:
        """How many more points the workers can take."""
        if time.monotonic() - self._asked > ASK:
            try:
                self._threads = sum(self.client.nthreads().values())
            except Exception:  # the connection is lost: Dask raises many kinds
                self._threads = 0
            self._asked = time.monotonic()
        return self._threads - sum(future.status == "pending" for future in self.running)

    def _submit(self, point: Point) -> None:
        future = self.client.submit(
            compute, self.study.function, point, str(self.study.folder), pure=False
        )
        self.running[future] = point
        future.add_done_callback(lambda _: self._ended.set())

    def _collect(self) -> list[Point]:
        """Take over what has ended; returns points that must be computed again."""
        again, records = [], {}
        for future in list(self.running):
            status = future.status
            if status == "pending":
                continue
            point = self.running.pop(future)
            if status == "finished":
                try:
                    records[point.key] = future.result(timeout=PATIENCE)
                    continue
                except Exception:
                    status = "lost"
            if status == "error":
                error, killed = self._why(future)
                if killed and point.key not in self.suspects:
                    self.suspects.add(point.key)
                    again.append(point)
                else:
                    records[point.key] = self._failed(point, error)
            # Cancelled or lost with its scheduler; perhaps its worker had written the file.
            elif not self.study.files.path(point.key).exists():
                again.append(point)
            else:
                records[point.key] = self.study.files.read(point.key)
        if records:
            try:
                _keep(self.study.files, records)
            except OSError:
                self._stop_gracefully()
                raise
            for record in records.values():
                self.bar(record["status"])
        return again

    def _why(self, future: Any) -> tuple[str, bool]:
        """Why Dask has given a point up, and whether its workers have died."""
        from distributed import KilledWorker

        try:
            exception = future.exception(timeout=PATIENCE)
        except Exception as unknown:
            return repr(unknown), False
        error = "".join(traceback.format_exception(exception))
        if isinstance(exception, KilledWorker):
            return f"The worker died, each time that this point was tried.\n{error}", True
        return error, False

    def _failed(self, point: Point, error: str) -> dict[str, Any]:
        """A record for a point that Dask has given up."""
        return {
            "status": "failed",
            "parameters": point.plain,
            "result": {},
            "error": error,
            "seconds": float("nan"),
            "worker": "",
        }

    def _stop_gracefully(self) -> None:
        """The folder is full: let what is running end, and keep it in the room that was put aside."""
        records = {}
        for future, point in list(self.running.items()):
            with contextlib.suppress(Exception):
                records[point.key] = future.result()
        self.running.clear()
        if records:
            with contextlib.suppress(OSError):
                _keep(self.study.files, records)


def _keep(files: PointFiles, records: Mapping[str, Mapping[str, Any]]) -> None:
    """Write what the workers could not."""
    missing = {key: record for key, record in records.items() if not files.path(key).exists()}
    for key, record in missing.items():
        try:
            files.write(key, record)
        except OSError as error:
            raise files.rescue(missing, error) from error


@contextlib.contextmanager
def _client(client: Any, workers: int | None) -> Iterator[Any]:
    """The given client, or one with processes of its own."""
    if client is not None:
        yield client
        return
    dask = import_optional("distributed", where="Study.run", instead="write workers=0")
    with dask.LocalCluster(
        n_workers=workers or os.cpu_count(),
        threads_per_worker=1,
        dashboard_address=":0",
        silence_logs=40,
    ) as cluster:
        with dask.Client(cluster) as local_client:
            yield local_client


@contextlib.contextmanager
def _bar(shown: bool, total: int, done: int) -> Iterator[Callable[[str], None]]:
    """A function that counts points: a bar, or a line at every tenth of them."""
    bars = shown and draws_bars()
    failed, last = 0, done
    with bar_class(bars)(total=total, initial=done, unit="point", disable=not bars) as bar:

        def count(status: str) -> None:
            nonlocal done, failed, last
            done, failed = done + 1, failed + (status == "failed")
            bar.update()
            if failed:
                bar.set_postfix(failed=failed)
            if shown and not bars and (done == total or done - last >= total / 10):
                last = done
                print(f"{done} of {total} points, {failed} failed", file=sys.stderr, flush=True)

        yield count
