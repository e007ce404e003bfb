"""The manual: every Python block runs, page by page; the gallery's examples have pictures and notebooks."""

from __future__ import annotations

import importlib.util
import json
import re
import sys

import numpy as np
import pytest
from matplotlib import pyplot

from neurosnn import analysis

BLOCK = re.compile(r"^```python\n(.*?)^```", flags=re.MULTILINE | re.DOTALL)
PAGES = (
    "start", "which_rule", "graphs", "noise", "equilibrium", "from_brian2", "own_neuron", "own_rule",
    "own_data", "fitting", "losses", "analysis", "studies", "exchange", "limitations", "torch", "cuda",
    "tutorial", "callbacks", "command_line", "reproducibility", "index",
)  # fmt: skip
#: Replaced in the page of the same name, so that its training takes seconds.
SHORTER = {
    "index": {
        "epochs=4": "epochs=1",
        "data.spoken_digits()": "data.spoken_digits(n_bands=8, n_thresholds=1)",
        "128,": "24,",
    }
}
#: Examples as notebooks of the gallery: run in full, or up to the reading of their options.
GALLERY = {"tensorboard_log": "--quick", "spoken_digits": "--help"}


def marked(name):
    """The page on PyTorch is tested where the other tests of it are."""
    return pytest.param(name, marks=[pytest.mark.torch] if name == "torch" else [])


@pytest.mark.parametrize("name", [marked(name) for name in PAGES])
@pytest.mark.usefixtures("optimized")
def test_blocks_of_a_page_run_in_order(name, project_root, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    if name == "exchange":
        pytest.importorskip("neo")
        pytest.importorskip("nir")
    text = (project_root / "docs" / f"{name}.md").read_text(encoding="utf-8")
    for long, short in SHORTER.get(name, {}).items():
        assert text.count(long) == 1, f"the page has no {long!r} any more: adapt SHORTER"
        text = text.replace(long, short)
    blocks = BLOCK.findall(text)
    assert blocks
    variables = {"__name__": "page"}
    for k, block in enumerate(blocks):
        exec(compile(block, f"{name}.md, block {k + 1}", "exec"), variables)
    for number in pyplot.get_fignums():
        assert pyplot.figure(number).axes, "an empty figure"
    printed = capsys.readouterr().out
    if name == "limitations":  # each limit is met: an error is printed, in its own words
        assert printed.count("gradient") + printed.count("noise") + printed.count("step") >= 2
    if name == "tutorial":
        assert variables["spikes"].count[0] > 5
        assert variables["trainer"].evaluate(variables["test"])["accuracy"] > 0.8
        assert (tmp_path / "order_cpp" / "makefile").is_file()
    if name == "command_line":
        check_recipe(project_root / "docs" / "command_line.md", tmp_path / "mine.toml", capsys)
    if name == "own_neuron":
        assert "eps_v" in printed
        assert "tau_m" in printed


def check_recipe(page, path, capsys):
    """The recipe of the page trains on the data of the page."""
    from neurosnn.cli.main import main

    text = re.search(r"^```toml\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S).group(1)
    path.write_text(text, encoding="utf-8")
    assert main(["train", str(path), "--out", "mine.npz", "--threads", "1"]) == 0
    accuracy = re.search(r"accuracy +(\S+)", capsys.readouterr().out.split("not trained on")[1])
    assert float(accuracy.group(1)) > 0.8


def test_every_page_with_code_is_tested(project_root):
    with_code = {
        path.stem
        for path in (project_root / "docs").glob("*.md")
        if BLOCK.search(path.read_text(encoding="utf-8"))
    }
    assert with_code == set(PAGES)


def pages(project_root):
    """The module docs/pages.py."""
    path = project_root / "docs" / "pages.py"
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    specification = importlib.util.spec_from_file_location("docs_pages", path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_a_page_a_rule_says_what_it_needs_and_how_to_cite_it(project_root, tmp_path):
    module = pages(project_root)
    rules = module.rules()
    assert {"pair_stdp", "triplet_stdp", "eprop", "eventprop"} < set(rules)
    for key, (rule, documented, title) in rules.items():
        text = module.rule_page(key, rule, documented, title, "caption")
        assert text.count("| yes") == sum(analysis.locality(rule))
        assert re.search(r"```bibtex\n@\w+\{", text)
        assert f"neurosnn.{documented}\n" in text
    axes = pyplot.figure().gca()
    from brian2 import ms

    module.draw_window("pair_stdp", rules["pair_stdp"][0], axes, step=10 * ms)
    line = next(line for line in axes.lines if line.get_gid() == "neurosnn")
    ydata = line.get_ydata()
    assert ydata[~np.isnan(ydata)][5] == pytest.approx(0.005)


def test_examples_get_a_title_and_stay_the_same_program(project_root):
    module = pages(project_root)
    for script in sorted((project_root / "examples").rglob("*.py")):
        source = script.read_text(encoding="utf-8")
        changed = module.with_title(source)
        head = changed.splitlines()
        assert head[2] == "=" * len(head[1]), script.name
        title = repr(head[1])
        program = source.split('"""', 2)[2].replace("__doc__.splitlines()[0]", title)
        assert changed.split('"""', 2)[2] == program


def test_every_example_of_the_gallery_has_a_picture(project_root):
    """It is run by the manual, or its picture lies in the repository, and no other does."""
    module = pages(project_root)
    settings = (project_root / "docs" / "conf.py").read_text(encoding="utf-8")
    run, ignored = (
        re.search(rf'"{name}_pattern": r"(.*)"', settings).group(1)
        for name in ("filename", "ignore")
    )
    names = {
        script.stem: script.read_text(encoding="utf-8")
        for script in (project_root / "examples").rglob("*.py")
        if not re.search(ignored, script.name)
    }
    drawn = {name for name in names if re.search(run, name)}
    assert set(module.thumbnails.PICTURES) == set(names) - drawn
    for name, (picture, settings) in module.thumbnails.PICTURES.items():
        for constant in [] if settings.startswith("--") else filter(None, settings.split("; ")):
            assert names[name].count(f"\n{constant.split()[0]} = ") == 1, (name, constant)
        content = (project_root / "docs" / "images" / "gallery" / f"{name}.png").read_bytes()
        assert 2000 < len(content) < 100_000, name
        assert picture.endswith(".png")
        changed = module.with_title(names[name], name)
        assert f"images/gallery/{name}.png'" in changed


def notebook(name, project_root, folder):
    """The code cells that sphinx-gallery makes of an example, with the settings of the manual."""
    gallery = pytest.importorskip("sphinx_gallery.notebook")
    from sphinx_gallery.py_source_parser import split_code_and_text_blocks

    script = folder / f"{name}.py"
    source = (project_root / "examples" / f"{name}.py").read_text(encoding="utf-8")
    script.write_text(pages(project_root).with_title(source), encoding="utf-8")
    settings = (project_root / "docs" / "conf.py").read_text(encoding="utf-8")
    first = re.search(r'"first_notebook_cell": (.*?),\n    "', settings, re.DOTALL).group(1)
    made = gallery.jupyter_notebook(
        split_code_and_text_blocks(str(script))[1],
        {
            "first_notebook_cell": "".join(
                map(json.loads, re.findall(r'"(?:[^"\\]|\\.)*"', first))
            ),
            "last_notebook_cell": None,
            "notebook_images": False,
            "notebook_extensions": set(),
            "promote_jupyter_magic": False,
            "pypandoc": False,
        },
        str(folder),
    )
    assert not any(cell.get("outputs") for cell in made["cells"])
    cells = ["".join(cell["source"]) for cell in made["cells"] if cell["cell_type"] == "code"]
    return [cell.replace("%matplotlib inline", "") for cell in cells]


@pytest.mark.parametrize(("name", "option"), GALLERY.items())
def test_notebook_of_an_example_runs(name, option, project_root, tmp_path, monkeypatch, capsys):
    """As in a kernel. The program itself is that of the example, which runs in another test."""
    monkeypatch.chdir(tmp_path)
    cells = notebook(name, project_root, tmp_path)
    # A kernel has arguments of its own; the first cell must take them away.
    monkeypatch.setattr(sys, "argv", ["kernel", "-f", "connection.json"])
    variables = {"__name__": "__main__"}
    exec(cells[0], variables)
    assert sys.argv == ["example"]
    sys.argv.append(option)
    if option == "--help":
        with pytest.raises(SystemExit, match="^0$"):
            exec(compile(cells[1], f"{name}.ipynb", "exec"), variables)
        assert "--quick" in capsys.readouterr().out
    else:
        assert len(cells) > 3
        for cell in cells[1:]:
            exec(compile(cell, f"{name}.ipynb", "exec"), variables)
        assert list(tmp_path.rglob("*.png"))
