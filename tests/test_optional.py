"""Without PyTorch the core works, and neurosnn.torch says what is missing."""

import importlib
import sys

import pytest

import neurosnn


@pytest.mark.smoke
def test_import_says_how_to_install(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("neurosnn.torch")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr(neurosnn, "torch", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(
        ImportError, match=r"PyTorch is not installed.*pip install 'neurosnn\[torch\]'"
    ):
        importlib.import_module("neurosnn.torch")
