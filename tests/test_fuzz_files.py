"""Fifty altered files of tools/fuzz_files.py: each is refused in one clear line, or valid."""

from __future__ import annotations

import importlib.util
import sys

import pytest


def test_altered_files_are_refused_or_valid(project_root):
    path = project_root / "tools" / "fuzz_files.py"
    if not path.is_file():
        pytest.skip("the tools are in a checkout only")
    found = importlib.util.spec_from_file_location("fuzz_files", path)
    fuzz_files = importlib.util.module_from_spec(found)
    sys.modules["fuzz_files"] = fuzz_files
    problems = []
    try:
        found.loader.exec_module(fuzz_files)
        outcomes = fuzz_files.run(50, seed=7, report=problems.append)
    finally:
        del sys.modules["fuzz_files"]
    assert not problems, "\n".join(problems)
    assert outcomes["refused"] > 20
    assert outcomes["valid"] > 2
