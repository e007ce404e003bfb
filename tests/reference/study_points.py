"""Points of studies for tests: they leave a line in a log, and some of them misbehave.

In a module of its own, because worker processes import it.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path


def note(log, *words):
    """Add one line to a file; lines of several processes do not mix."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(descriptor, (" ".join(map(str, words)) + "\n").encode())
    os.close(descriptor)


def lines(log):
    """The lines of a log as lists of words."""
    path = Path(log)
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def point(x, log, seed, wait=0.0):
    """x**2 + seed; begins and ends with a line in the log."""
    note(log, "begin", x, seed)
    time.sleep(wait)
    note(log, "end", x, seed)
    return {"y": x**2 + seed, "name": f"x{x}"}


def misbehaving(x, log, seed):
    """As `point`, but 3 raises, and 5 kills its process when it is tried for the first time."""
    note(log, "begin", x, seed)
    if x == 3:
        raise RuntimeError("three is not allowed")
    if x == 5 and ["died", "5"] not in lines(log):
        note(log, "died", 5)
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.05)
    note(log, "end", x, seed)
    return {"y": x**2 + seed}


def deadly(x, seed):
    """1 kills its process always."""
    if x == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return {"y": x}


def unlucky(x, log, seed):
    """The processes of 1 die twice, as if its workers were restarted under it; the third time it ends."""
    note(log, "begin", x, seed)
    if x == 1 and lines(log).count(["begin", "1", str(seed)]) <= 2:
        os.kill(os.getpid(), signal.SIGKILL)
    note(log, "end", x, seed)
    return {"y": x}


def refuse_to_write():
    """From now on this process finds every folder full."""
    from neurosnn.study import points as study_points

    def refuse(self, key, record):
        raise OSError(28, "No space left on device")

    study_points.PointFiles.real_write = study_points.PointFiles.write
    study_points.PointFiles.write = refuse


def allow_to_write():
    """Undo `refuse_to_write`."""
    from neurosnn.study import points as study_points

    study_points.PointFiles.write = study_points.PointFiles.real_write
