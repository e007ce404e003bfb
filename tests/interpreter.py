"""Programs run in forks of an interpreter that has imported what takes long to import.

Half the time of a short program that uses neurosnn is the start of Python and the imports. Here they are made
once: the program then runs from its top as ``__main__``, in a process, a folder and an environment of
its own, and ends as an interpreter does. What has been imported must be what every one of the programs
imports first, otherwise a missing import of theirs would go unnoticed. Where processes cannot be
forked, each program gets an interpreter of its own.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

FORKED = r"""
import gc, json, os, runpy, sys

for name in sys.argv[1:]:
    __import__(name)
gc.collect()
gc.freeze()
answers = os.fdopen(os.dup(1), "w")
for line in sys.stdin:
    request = json.loads(line)
    child = os.fork()
    if child == 0:
        break
    print(child, file=answers, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), file=answers, flush=True)
else:
    sys.exit()

answers.close()
os.setsid()  # whoever kills it reaches what it has started too
for number, path in enumerate((os.devnull, request["stdout"], request["stderr"])):
    file = os.open(path, os.O_RDONLY if number == 0 else os.O_WRONLY)
    os.dup2(file, number)
    os.close(file)
os.environ.clear()
os.environ.update(request["env"])
os.chdir(request["cwd"])
if "brian2" in sys.modules:  # the file belongs to the interpreter that was forked
    from brian2.utils.logger import BrianLogger
    BrianLogger.tmp_log = BrianLogger.tmp_script = None
sys.argv[:] = request["arguments"]
sys.path.insert(0, request["path"])
if sys.argv[0] == "-m":
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
else:
    runpy.run_path(sys.argv[0], run_name="__main__")
"""


def prefer_numpy(folder: Path) -> Path:
    """Put Brian2's preferences into a folder: runs in it are shorter than Cython's compilation."""
    (folder / "brian_preferences").write_text('codegen.target = "numpy"\n', encoding="utf-8")
    return folder


class Interpreter:
    """Runs Python programs one after another, each in a fork.

    Parameters
    ----------
    *imports : str
        Modules that are imported first, once.
    env : dict, optional
        Environment of these imports, that of this process if None.
    cwd : Path, optional
        Folder of these imports, that of this process if None: Brian2 reads its preferences there.
    """

    def __init__(self, *imports: str, env: dict[str, str] | None = None, cwd: Path | None = None):
        self._server = None
        if hasattr(os, "fork"):
            self._server = subprocess.Popen(
                [sys.executable, "-P", "-c", FORKED, *imports],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=env,
                cwd=cwd,
            )

    def __enter__(self) -> Interpreter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(
        self,
        arguments: list[str],
        *,
        cwd: Path,
        env: dict[str, str],
        path: str | None = None,
        timeout: float | None = None,
    ) -> subprocess.CompletedProcess:
        """Run ``python arguments`` and wait for it.

        Parameters
        ----------
        arguments : list of str
            A script or ``-m`` and a module, and its arguments.
        cwd : Path
        env : dict of str to str
        path : str, optional
            First folder in which modules are looked for; that of the script, or `cwd`, if None.
        timeout : float, optional
            Seconds after which the program and all it has started are killed.

        Returns
        -------
        subprocess.CompletedProcess
            With ``stdout`` and ``stderr`` as text.

        Raises
        ------
        subprocess.TimeoutExpired
        """
        if path is None:
            path = str(cwd if arguments[0] == "-m" else Path(arguments[0]).parent)
        if self._server is None:
            return subprocess.run(
                [sys.executable, "-P", *arguments],
                cwd=cwd,
                env={**env, "PYTHONPATH": path},
                capture_output=True,
                text=True,
                timeout=timeout,
            )
        with tempfile.TemporaryDirectory() as folder:
            written = {name: Path(folder) / name for name in ("stdout", "stderr")}
            for file in written.values():
                file.touch()
            request = {
                "arguments": arguments,
                "cwd": str(cwd),
                "env": env,
                "path": path,
                **{name: str(file) for name, file in written.items()},
            }
            self._server.stdin.write(json.dumps(request).encode() + b"\n")
            self._server.stdin.flush()
            child = int(self._server.stdout.readline())
            in_time = select.select([self._server.stdout], [], [], timeout)[0]
            if not in_time:
                os.killpg(child, signal.SIGKILL)
            code = int(self._server.stdout.readline())
            texts = {name: file.read_text(errors="replace") for name, file in written.items()}
            if not in_time:
                raise subprocess.TimeoutExpired(
                    arguments, timeout, texts["stdout"], texts["stderr"]
                )
            return subprocess.CompletedProcess(arguments, code, **texts)

    def close(self) -> None:
        """End the interpreter."""
        if self._server is not None:
            self._server.communicate()
            self._server = None
