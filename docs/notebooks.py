"""Pages of the manual from examples/notebooks: each is run in a kernel, and shown with what it answers."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import nbclient
import nbformat

#: A formula between the delimiters of notebooks; those of the manual are others.
FORMULA = re.compile(r"\$(\\displaystyle .*?)\$")
INTRODUCTION = """# Notebooks

Six notebooks that build on one another, each of some seconds. Download one, or take all from
`examples/notebooks`; they need `pip install 'neurosnn[notebook]'` and Jupyter.

```{toctree}
:maxdepth: 1

"""


def write_notebooks(source: Path, folder: Path, version: str) -> None:
    """A page a notebook; one that has not changed since it was run is left as it is.

    Parameters
    ----------
    source, folder : Path
        Where the notebooks are, and where the pages go.
    version : str
        Of neurosnn: another one runs them anew.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = []
    for path in sorted(source.glob("*.ipynb")):
        names.append(path.stem)
        content = path.read_bytes()
        mark = f"% {hashlib.sha256(version.encode() + content).hexdigest()}\n"
        page = folder / f"{path.stem}.md"
        if page.is_file() and page.read_text(encoding="utf-8").startswith(mark):
            continue
        shutil.copyfile(path, folder / path.name)
        page.write_text(mark + page_of(executed(path), path.stem, folder), encoding="utf-8")
    (folder / "index.md").write_text(INTRODUCTION + "\n".join(names) + "\n```\n", encoding="utf-8")


def executed(path: Path) -> nbformat.NotebookNode:
    """The notebook after a run in a folder of its own."""
    notebook = nbformat.read(path, as_version=4)
    # Agg of the manual would draw nothing into the notebook.
    environment = {name: value for name, value in os.environ.items() if name != "MPLBACKEND"}
    with tempfile.TemporaryDirectory() as folder:
        nbclient.NotebookClient(
            notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": folder}}
        ).execute(env=environment, stderr=subprocess.DEVNULL)
    return notebook


def page_of(notebook: nbformat.NotebookNode, name: str, folder: Path) -> str:
    """Markdown of a notebook that has been run; its pictures become files in the folder."""
    parts, pictures = [], 0
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            parts.append(cell.source)
            continue
        parts.append(f"```python\n{cell.source}\n```")
        for output in cell.outputs:
            data = output.get("data", {})
            if output.output_type == "stream":
                parts.append(f"```text\n{output.text.rstrip()}\n```")
            elif "image/png" in data:
                pictures += 1
                picture = f"{name}_{pictures}.png"
                (folder / picture).write_bytes(base64.b64decode(data["image/png"]))
                parts.append(f"```{{image}} {picture}\n:alt: figure {pictures}\n```")
            elif "text/html" in data:
                shown = FORMULA.sub(r"\\(\1\\)", data["text/html"])
                parts.append(f'````{{raw}} html\n<div class="output_area">{shown}</div>\n````')
            elif "text/plain" in data:
                parts.append(f"```text\n{data['text/plain']}\n```")
    parts.insert(1, f"{{download}}`Download this notebook <{name}.ipynb>`")
    return "\n\n".join(parts) + "\n"
