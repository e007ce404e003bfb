"""Standard headers of C++, compiled once: reading them is half of the time of compiling a small program.

GCC takes what was compiled with the flags of a program, and reads the headers as text where its flags are
others. Other compilers refuse what GCC made, so they get none.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import subprocess
import tempfile
from collections.abc import Iterable
from importlib import resources
from pathlib import Path

__all__ = ["BRIAN2", "UNOPTIMIZED", "headers", "of_programs"]

#: A quarter of the compiler's time.
UNOPTIMIZED = "-O0"
#: Flags of Brian2's C++ programs and of exported ones.
BRIAN2 = ("-w", UNOPTIMIZED, "-ffp-contract=off")


def headers(names: Iterable[str], kinds: dict[str, list[str]]) -> Path | None:
    """A file that includes standard headers, for ``-include``, and beside it what GCC made of it.

    Parameters
    ----------
    names : iterable of str
        Of the headers.
    kinds : dict of str to list of str
        By any name, the flags of each kind of program.

    Returns
    -------
    Path or None
        In neurosnn's cache folder; None if the compiler is not GCC.
    """
    from neurosnn.engine import build

    command = build.compiler()
    machine = "" if command is None else build._machine(command)
    if "Free Software Foundation" not in machine:
        return None
    text = "".join(f"#include <{name}>\n" for name in names)
    key = hashlib.sha256(f"{text}{kinds}{machine}".encode()).hexdigest()[:24]
    header = build.cache_folder() / f"headers_{key}" / "all.h"
    compiled = header.with_suffix(".h.gch")
    compiled.mkdir(parents=True, exist_ok=True)
    for kind, flags in kinds.items():
        if (compiled / kind).exists():
            continue
        with tempfile.TemporaryDirectory(dir=header.parent) as folder:
            (Path(folder) / "all.h").write_text(text, encoding="utf-8")
            command_line = [command, *flags, "-x", "c++-header", "all.h", "-o", kind]
            subprocess.run(command_line, cwd=folder, check=True, capture_output=True)
            os.replace(Path(folder) / "all.h", header)
            os.replace(Path(folder) / kind, compiled / kind)
    return header


@functools.cache
def of_programs() -> tuple[str, ...]:
    """The flag with the headers of exported programs and of Brian2's own.

    Whether exported programs name all that they need is seen where one is built as users build it
    (test_export_same_spikes.py).
    """
    folder = resources.files("neurosnn.standalone").joinpath("templates", "program")
    texts = [file.read_text(encoding="utf-8") for file in folder.iterdir() if file.is_file()]
    names = set(re.findall(r"^#include <([a-z]+)>", "".join(texts), flags=re.MULTILINE))
    names |= {"ctime", "random", "tuple"}  # of Brian2's
    kinds = {"brian2": list(BRIAN2), "exported": ["-std=c++17", *BRIAN2]}
    header = headers(sorted(names), kinds)
    return () if header is None else (f"-include{header}",)
