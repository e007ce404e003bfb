"""Without optional packages the core works, and what needs one says how to get it."""

import importlib
import sys

import pytest

import neurosnn
from neurosnn.core.optional import PACKAGES, how_to_install, import_optional


@pytest.mark.smoke
def test_import_says_how_to_install(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("neurosnn.torch")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr(neurosnn, "torch", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(
        ImportError, match=r"torch is not installed.*pip install 'neurosnn\[torch\]'"
    ):
        importlib.import_module("neurosnn.torch")


@pytest.mark.parametrize("package", PACKAGES)
def test_a_missing_package_is_explained(package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(
        ImportError, match=f"here: the package {package} is not installed"
    ) as caught:
        import_optional(f"{package}.inner", where="here", instead="walk")
    text = str(caught.value)
    assert text.endswith(f"{how_to_install(package)}, or walk.")
    assert PACKAGES[package][0] in text


def test_each_extra_is_one_of_the_project(project_root):
    import configparser

    settings = configparser.ConfigParser()
    settings.read(project_root / "setup.cfg", encoding="utf-8")
    extras = settings["options.extras_require"]
    for package, (_, extra) in PACKAGES.items():
        if extra:
            assert package in extras[extra].replace("dask[distributed]", "distributed"), package
