"""Says that Brian2 compiles, where it would be silent for minutes: a network that tells what it waits for."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any, TextIO

from brian2.core.network import Network
from brian2.core.preferences import prefs
from brian2.devices.device import get_device, runtime_device

__all__ = ["ToldNetwork", "telling_of_compilation"]

#: Seconds after which it is said that something compiles, and between lines of progress.
PATIENCE, EVERY = 3.0, 15.0
_DEPTH = threading.local()


@contextlib.contextmanager
def telling_of_compilation() -> Iterator[None]:
    """In the block Brian2 may compile; if it takes long, standard error says so, and how far it is."""
    folder = _cache_folder()
    if folder is None or getattr(_DEPTH, "inside", False):
        yield
        return
    done = threading.Event()
    with _standard_error() as stream:
        known = _compiled(folder)
        watcher = threading.Thread(target=_tell, args=(folder, known, done, stream), daemon=True)
        _DEPTH.inside = True
        watcher.start()
        try:
            yield
        finally:
            _DEPTH.inside = False
            done.set()
            watcher.join()


@contextlib.contextmanager
def _standard_error() -> Iterator[TextIO]:
    """Standard error as it is now: Brian2 puts a file in its place while it compiles."""
    try:
        copy = os.dup(sys.stderr.fileno())
    except (OSError, ValueError, AttributeError):  # a notebook's, which is no file of the system
        yield sys.stderr
        return
    with os.fdopen(copy, "w", encoding="utf-8") as stream:
        yield stream


class ToldNetwork(Network):
    """A stock Network that says when its preparation compiles for long; in all else Brian2's."""

    def before_run(self, run_namespace: Any) -> None:
        """Prepare all objects, as Brian2 does."""
        with telling_of_compilation():
            super().before_run(run_namespace)


def _cache_folder() -> str | None:
    """Where Cython's modules go; None if nothing is compiled with it."""
    if get_device() is not runtime_device or prefs["codegen.target"] not in ("auto", "cython"):
        return None
    try:
        from brian2.codegen.runtime.cython_rt.extension_manager import get_cython_cache_dir

        return os.path.expanduser(str(get_cython_cache_dir()))
    except ImportError:
        return None


def _compiled(folder: str) -> set[str]:
    """Compiled modules that are there."""
    try:
        return {name for name in os.listdir(folder) if name.endswith((".so", ".pyd"))}
    except OSError:
        return set()


def _tell(folder: str, before: set[str], done: threading.Event, stream: TextIO) -> None:
    started, wait = time.monotonic(), PATIENCE
    while not done.wait(wait):
        new = len(_compiled(folder) - before)
        if wait == PATIENCE and not new and not _compiling(folder):
            continue  # slow for another reason
        text = f"{new} parts so far, {time.monotonic() - started:.0f} s"
        if wait == PATIENCE:
            text += (
                "; the next run of such a network starts at once. To start without compiling: "
                "brian2.prefs.codegen.target = 'numpy'"
            )
        print(f"Brian2 compiles the network with Cython: {text}", file=stream, flush=True)
        wait = EVERY


def _compiling(folder: str) -> bool:
    """Whether there is a source without its module."""
    try:
        names = os.listdir(folder)
    except OSError:
        return False
    modules = {name.split(".")[0] for name in names if name.endswith((".so", ".pyd"))}
    return any(
        name.split(".")[0] not in modules for name in names if name.endswith((".pyx", ".cpp"))
    )
