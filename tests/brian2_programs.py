"""Programs of Brian2's standalone mode as one source file.

Brian2 compiles each of some fifty files by itself, which takes most of the time of a test. The text is the
same here, and so is how it is started and read; one test compiles it as Brian2 does
(test_export_same_spikes.py).
"""

from __future__ import annotations

import re
from pathlib import Path

from brian2 import get_device, prefs

__all__ = ["build"]


def build(folder: Path) -> None:
    """As ``get_device().build``: write, compile and run the program of the objects that have run."""
    device = get_device()
    device.build(directory=str(folder), compile=False, run=False)
    code = sorted(folder.glob("code_objects/*.cpp"))
    sources = [path.read_text(encoding="utf-8") for path in code]
    text = sorted(set(re.findall(r"^ *#include *<.+>", "\n".join(sources), re.MULTILINE)))
    text += [f'#include "{name}"' for name in ("objects.h", "run.h", "brianlib/common_math.h")]
    text += [f'#include "code_objects/{path.stem}.h"' for path in code]
    for k, (path, source) in enumerate(zip(code, sources, strict=True)):
        # each has helpers of the same names
        text.append(f'namespace unit_{k} {{\n#include "code_objects/{path.name}"\n}}')
        functions = re.findall(r"^void (_\w+)\(\)\n\{", source, re.MULTILINE)
        text += [f"void {name}() {{ unit_{k}::{name}(); }}" for name in functions]
    rest = sorted([*folder.glob("brianlib/*.cpp"), *folder.glob("*.cpp")])
    text += [f'#include "{path.relative_to(folder)}"' for path in rest]
    (folder / "program.cpp").write_text("\n".join(text), encoding="utf-8")
    arguments = prefs["devices.cpp_standalone.extra_make_args_unix"]
    prefs["devices.cpp_standalone.extra_make_args_unix"] = [*arguments, "SRCS=program.cpp"]
    device.compile_source(str(folder), "unix", debug=False, clean=False)
    device.run(str(folder))
