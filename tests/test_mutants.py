"""The table of tools/mutants.py fits the code: every line is there once, every test exists.

The mutants are not run here: that takes ten minutes. By hand: ``python tools/mutants.py``.
"""

from __future__ import annotations

import ast
import sys

import pytest


@pytest.fixture
def mutants(project_root, monkeypatch):
    monkeypatch.syspath_prepend(str(project_root / "tools"))
    import mutants_table

    yield mutants_table.MUTANTS
    sys.modules.pop("mutants_table")


def test_every_change_can_be_made(mutants, project_root):
    assert len(mutants) >= 60
    assert len({mutant.name for mutant in mutants}) == len(mutants)
    for mutant in mutants:
        text = (project_root / mutant.file).read_text(encoding="utf-8")
        assert text.count(mutant.old) == 1, mutant.name
        old, new = mutant.old.splitlines(), mutant.new.splitlines()
        assert len([line for line in old if line not in new]) == 1, f"{mutant.name}: one line"


def test_every_named_test_exists(mutants, project_root):
    functions = {}
    for mutant in mutants:
        assert mutant.tests, mutant.name
        for test in mutant.tests:
            file, _, function = test.partition("[")[0].partition("::")
            path = project_root / "tests" / file
            if file not in functions:
                tree = ast.parse(path.read_text(encoding="utf-8"))
                functions[file] = {
                    node.name for node in tree.body if isinstance(node, ast.FunctionDef)
                }
            assert not function or function in functions[file], f"{mutant.name}: {test}"
