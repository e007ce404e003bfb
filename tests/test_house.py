"""The house rules of CONTRIBUTING.md, as tests on the installed package and on the sources.

A rule about a package that has no public names yet is skipped with that reason, not passed.
"""

from __future__ import annotations

import ast
import configparser
import importlib
import inspect
import subprocess
import sys
import types
from importlib import metadata
from pathlib import Path

import brian2
import pytest
from numpydoc.validate import validate

import neurosnn

PUBLIC_PACKAGES = ("neurosnn", "neurosnn.equations", "neurosnn.analysis", "neurosnn.data")
TESTS = Path(__file__).parent
CHECKOUT = TESTS.parent if (TESTS.parent / "setup.cfg").is_file() else None


def _modules() -> dict[str, Path]:
    """Every module of the installed package, by its dotted name, and its file; nothing is imported."""
    found = {}
    for package in ("neurosnn", "neurosnn.equations", "neurosnn.analysis"):
        for folder in importlib.util.find_spec(package).submodule_search_locations:
            for path in sorted(Path(folder).rglob("*.py")):
                parts = path.relative_to(folder).with_suffix("").parts
                found[".".join((package, *(part for part in parts if part != "__init__")))] = path
    return found


def _other_files() -> list[Path]:
    """Tests, and in a checkout also examples, benchmarks and whatever else is Python."""
    files = list(TESTS.rglob("*.py"))
    if CHECKOUT:
        for folder in ("examples", "benchmarks", "docs", "tools", "scripts"):
            files += (CHECKOUT / folder).rglob("*.py")
    return sorted(files)


MODULES = _modules()
FILES = sorted({*MODULES.values(), *_other_files()})


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def _at_module_level(tree: ast.AST):
    """The nodes that run when the module is imported; not functions, not ``if TYPE_CHECKING``."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from (
                child for other in node.orelse for child in (other, *_at_module_level(other))
            )
            continue
        yield node
        yield from _at_module_level(node)


def _imports(name: str, nodes) -> set[str]:
    """Dotted names of all that the nodes of module `name` import; ``from a import b`` gives a.b."""
    found = set()
    package = name if MODULES[name].stem == "__init__" else name.rpartition(".")[0]
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parts, base] if base else parts)
            found |= {f"{base}.{alias.name}" for alias in node.names}
    return found


def _inside(imported: str, *packages: str) -> bool:
    return any(imported == package or imported.startswith(package + ".") for package in packages)


# -- the package as installed ---------------------------------------------------------------------


@pytest.mark.smoke
def test_import_starts_nothing(tmp_path):
    """No process, no network, no compiled library of ours, no file written, nothing of Brian2 changed."""
    script = f"""
import sys
import brian2, matplotlib, matplotlib.pyplot, numpy, sympy, tqdm, platformdirs
from brian2.devices.device import get_device, previous_devices

def state():
    return (get_device(), len(previous_devices), float(brian2.defaultclock.dt),
            repr(sorted((name, repr(brian2.prefs[name])) for name in brian2.prefs)),
            repr(numpy.random.get_state()), matplotlib.get_backend(), repr(dict(matplotlib.rcParams)))

def watch(event, args):
    if event in ("subprocess.Popen", "os.system", "os.fork", "os.posix_spawn", "os.exec", "os.spawn",
                 "os.mkdir", "ctypes.dlopen", "urllib.Request") or event.startswith("socket."):
        seen.append((event, repr(args)[:200]))
    if event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+"):
        seen.append((event, repr(args)[:200]))

seen, before = [], state()
sys.addaudithook(watch)
import neurosnn
slow = {{"scipy.optimize", "scipy.signal", "scipy.stats"}} & set(sys.modules)
assert not slow, f"what few need takes half a second: {{slow}}"
for name in {PUBLIC_PACKAGES!r}:
    __import__(name)
assert not seen, seen
assert state() == before, "importing neurosnn changed Brian2, numpy or matplotlib"
heavy = {{"torch", "h5py", "librosa", "soundfile", "numba", "sklearn", "dask", "pandas"}} & set(sys.modules)
assert not heavy, f"optional packages imported: {{heavy}}"
"""
    result = subprocess.run(
        [sys.executable, "-B", "-c", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    assert not result.stdout, f"importing neurosnn prints: {result.stdout}"
    assert not list(tmp_path.iterdir())


@pytest.mark.smoke
def test_installed_with_its_mapped_packages_and_types():
    folder = Path(neurosnn.__file__).parent
    assert (folder / "py.typed").is_file()
    for name in PUBLIC_PACKAGES[1:]:
        assert importlib.import_module(name).__name__ == name
    if CHECKOUT is None:
        assert "site-packages" in folder.parts, f"neurosnn comes from {folder}, not from a wheel"


def test_every_package_folder_is_in_setup_cfg(project_root):
    config = configparser.ConfigParser(interpolation=None)
    config.read(project_root / "setup.cfg", encoding="utf-8")
    listed = set(config["options"]["packages"].split())
    found = set()
    for folder, package in (
        ("neurosnn", "neurosnn"),
        ("equations", "neurosnn.equations"),
        ("analysis", "neurosnn.analysis"),
    ):
        for path in (project_root / folder).rglob("*.py"):
            found.add(".".join((package, *path.relative_to(project_root / folder).parent.parts)))
    assert listed == found


def test_versions_agree(project_root):
    version = metadata.version("neurosnn")
    citation = (project_root / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {version}\n" in citation
    assert getattr(neurosnn, "__version__", version) == version


# -- names ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("package", PUBLIC_PACKAGES)
def test_public_names_exist_and_do_not_hide_brian2(package):
    module = importlib.import_module(package)
    names = getattr(module, "__all__", None)
    if not names:
        pytest.skip(f"{package} has no public names yet")
    assert len(names) == len(set(names))
    missing = [name for name in names if not hasattr(module, name)]
    assert not missing
    star: dict[str, object] = {}
    exec("from brian2 import *", star)
    # Known and documented: Brian2's star import also exports its own module `equations`.
    assert not (set(names) & set(star)) - {"equations"}


METHODS = (types.FunctionType, classmethod, staticmethod)


def _public_callables():
    """Dotted names of the public classes and functions, and of the public methods of these classes."""
    for package in PUBLIC_PACKAGES:
        module = importlib.import_module(package)
        for name in getattr(module, "__all__", ()):
            thing = getattr(module, name)
            if inspect.isclass(thing) or inspect.isroutine(thing):
                yield f"{package}.{name}"
            if inspect.isclass(thing):
                for method, value in vars(thing).items():
                    if not method.startswith("_") and isinstance(value, METHODS):
                        yield f"{package}.{name}.{method}"


CALLABLES = sorted(set(_public_callables()))
# GL08 no docstring; SS01 no summary; PR: an argument without an entry, an entry without an argument,
# no type, no description, no space before the colon.
DOCSTRING_CODES = {"GL08", "SS01", "PR01", "PR02", "PR04", "PR07", "PR10"}


@pytest.mark.parametrize("package", PUBLIC_PACKAGES)
def test_docstrings_document_every_argument(package):
    names = [name for name in CALLABLES if _inside(name, package)]
    if package == "neurosnn":
        names = [name for name in names if not _inside(name, *PUBLIC_PACKAGES[1:])]
    if not names:
        pytest.skip(f"{package} has no public callables yet")
    wrong = []
    for name in names:
        codes = set(DOCSTRING_CODES)
        owner = name.rpartition(".")[0]
        if owner not in PUBLIC_PACKAGES:
            arguments = inspect.signature(_resolve(name)).parameters.keys() - {"self", "cls"}
            if len(arguments) <= 1:  # a method with one argument may describe it in a sentence
                codes.discard("PR01")
        fields = getattr(_resolve(name), "_fields", None)
        if fields:  # a named tuple is a result: its docstring has Attributes, all of them
            codes.discard("PR01")
            text = inspect.getdoc(_resolve(name))
            wrong += [f"{name}: no {field}" for field in fields if f"\n{field} :" not in text]
        wrong += [
            f"{name}: {code} {text}" for code, text in validate(name)["errors"] if code in codes
        ]
    assert not wrong, "\n".join(wrong)


def _resolve(name: str):
    for package in sorted(PUBLIC_PACKAGES, key=len, reverse=True):
        if _inside(name, package):
            thing = importlib.import_module(package)
            for part in name[len(package) + 1 :].split("."):
                thing = getattr(thing, part)
            return thing
    raise LookupError(name)


# -- sources ----------------------------------------------------------------------------------------

# What makes equations/ readable: nothing but Brian2's equations and units, and the model.
DESCRIPTIONS = ("neurosnn.model", "neurosnn.model.plasticity")  # NeuronModel and PlasticityRule
EQUATIONS_STDLIB = {
    "__future__",
    "collections",
    "dataclasses",
    "enum",
    "functools",
    "math",
    "types",
    "typing",
}
BRIAN2_CLASSES = {
    "Equations",
    "Quantity",
    "Unit",
    "have_same_dimensions",
    "get_dimensions",
    "check_units",
}


def _allowed_in_equations(imported: str) -> bool:
    if imported.split(".")[0] in EQUATIONS_STDLIB:
        return True
    if _inside(imported, *DESCRIPTIONS, "neurosnn.equations", "brian2.units", "brian2.equations"):
        return True
    if imported.startswith("brian2.") and imported.count(".") == 1:
        name = imported.split(".")[1]
        return name in BRIAN2_CLASSES or isinstance(getattr(brian2, name, None), brian2.Quantity)
    return False


def test_equations_import_only_units_and_the_model():
    wrong = []
    for name, path in MODULES.items():
        if _inside(name, "neurosnn.equations"):
            imported = _imports(name, ast.walk(_tree(path)))
            wrong += [
                f"{path}: {item}" for item in sorted(imported) if not _allowed_in_equations(item)
            ]
    assert not wrong, "\n".join(wrong)


def test_nothing_imports_analysis_or_examples_at_module_level():
    """Analysis may import all of neurosnn, never the other way; __init__ may re-export it."""
    wrong = []
    for name, path in MODULES.items():
        forbidden = ["examples", "benchmarks", "tests"]
        if name != "neurosnn" and not _inside(name, "neurosnn.analysis"):
            forbidden.append("neurosnn.analysis")
        imported = _imports(name, _at_module_level(_tree(path)))
        wrong += [f"{path}: {item}" for item in sorted(imported) if _inside(item, *forbidden)]
    assert not wrong, "\n".join(wrong)


def _tests_of_a_node(node: ast.AST, in_package: bool):
    """What a single syntax node does against the rules."""
    if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names):
        yield f"wildcard import from {node.module}"
    if isinstance(node, ast.Import | ast.ImportFrom):
        base = (
            [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else [item.name for item in node.names]
        )
        if not getattr(node, "level", 0):
            for item in base:
                if item.split(".")[0] in ("equations", "analysis"):
                    yield f"bare import of {item}: say neurosnn.{item}"
                if in_package and item.split(".")[0] in (
                    "pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve",
                ):  # fmt: skip
                    yield f"{item}: loading such a file runs code"
    if isinstance(node, ast.Call) and in_package:
        if isinstance(node.func, ast.Name) and node.func.id in ("eval", "exec"):
            yield f"{node.func.id}()"
        for keyword in node.keywords:
            refused = isinstance(keyword.value, ast.Constant) and keyword.value.value is False
            if keyword.arg == "allow_pickle" and not refused:
                yield "allow_pickle that is not False"


@pytest.mark.parametrize("part", ["package", "tests, examples and the rest"])
def test_no_wildcards_pickles_eval_or_bare_imports(part):
    package = set(MODULES.values())
    found = []
    for path in FILES:
        if (path in package) == (part == "package"):
            for node in ast.walk(_tree(path)):
                found += [
                    f"{path}:{node.lineno}: {what}"
                    for what in _tests_of_a_node(node, path in package)
                ]
    assert not found, "\n".join(found)


def test_templates_are_short_and_begin_with_a_comment():
    folder = Path(neurosnn.__file__).parent
    texts = {path.name: path.read_text(encoding="utf-8") for path in folder.rglob("*.jinja")}
    assert len(texts) > 10
    assert [name for name, text in texts.items() if len(text.splitlines()) > 300] == []
    silent = [name for name, text in texts.items() if not text.lstrip().startswith(("//", "{#"))]
    assert silent == []


def test_package_shows_no_plot_by_itself():
    found = []
    for path in MODULES.values():
        for node in ast.walk(_tree(path)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in (
                "plt.show",
                "pyplot.show",
                "show",
            ):
                found.append(f"{path}:{node.lineno}")
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("from brian2 import *", "wildcard"),
        ("import equations", "bare import"),
        ("from analysis.windows import stdp_window", "bare import"),
        ("import pickle", "runs code"),
        ("np.load(path, allow_pickle=True)", "allow_pickle"),
        ("eval(text)", "eval()"),
        ("from neurosnn import equations, analysis", None),
        ("from . import equations", None),
        ("np.load(path, allow_pickle=False)", None),
        ("expression.eval(text)", None),
    ],
)
def test_the_rules_bite(source, complaint):
    found = [what for node in ast.walk(ast.parse(source)) for what in _tests_of_a_node(node, True)]
    if complaint is None:
        assert not found
    else:
        assert complaint in found[0]


def test_the_import_rules_bite():
    assert not _allowed_in_equations("numpy")
    assert not _allowed_in_equations("brian2.NeuronGroup")
    assert not _allowed_in_equations("neurosnn.network.SpikingNetwork")
    assert _allowed_in_equations("brian2.ms")
    assert _allowed_in_equations("neurosnn.model.NeuronModel")
    tree = ast.parse("def f():\n    from neurosnn import analysis\nclass A:\n    import os\n")
    assert _imports("neurosnn", _at_module_level(tree)) == {"os"}
