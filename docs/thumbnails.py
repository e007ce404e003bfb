"""Draw the pictures of those examples anew that the manual does not run itself, in docs/images/gallery.

Most run for minutes with their own settings, so that these are shorter, by options or by other values of
the constants at their top; the page of an example says which were used. The examples of neurosnn.torch need
PyTorch, speech_commands and plausibility the recordings (NEUROSNN_DATA).

    python docs/thumbnails.py                         # all: some minutes of a processor
    python docs/thumbnails.py traub_2020              # one
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

EXAMPLES = Path(__file__).parent.parent / "examples"
FOLDER = Path(__file__).parent / "images" / "gallery"
WIDTH = 640  # pixels

#: Name of the example: which of its pictures, and with which settings.
PICTURES = {
    "03_your_own_neuron": ("your_own_neuron.png", ""),
    "05_compare_rules": ("compare_rules.png", ""),
    "06_fit_a_neuron": ("fit_a_neuron.png", ""),
    "07_real_spike_trains": ("real_spike_trains.png", ""),
    "08_real_intervals": ("real_intervals.png", ""),
    "bellec_2020_evidence_accumulation": (
        "evidence_accumulation_trial.png",
        "SEEDS = [1]; UPDATES = 100",
    ),
    "bellec_2020_pattern_generation": ("pattern_generation.png", ""),
    "delayed_match": ("delayed_match.png", "SEEDS = [1]; UPDATES = 100"),
    "excitation_inhibition": ("excitation_inhibition_eprop.png", ""),
    "fang_2021_plif": ("fang_2021_plif.png", "--seeds 1 --epochs 4"),
    "learned_time_constants": (
        "learned_time_constants.png",
        "--seeds 1 --epochs 6 --neurons 64 --starts 2 20",
    ),
    "martin_2021_eqspike": ("martin_2021_window.png", "--seeds 1 --epochs 2"),
    "meszaros_2025_delays": ("meszaros_2025_delays.png", "SEEDS = [1]"),
    "nowotny_2022_eventprop": ("nowotny_2022_losses_digits.png", "--epochs 3"),
    "plausibility": ("plausibility.png", "--seeds 1"),
    "ponghiran_2022_recurrence": ("ponghiran_2022_digits.png", "--seeds 1 --epochs 3"),
    "speech_commands": ("speech_commands_bptt.png", "--split official"),
    "spoken_digits": (
        "spoken_digits_eprop_official.png",
        "--seeds 1 2 --epochs 4 --neurons 64",
    ),
    "traub_2020": ("traub_2020_windows.png", "SEEDS = [1]"),
    "vanderveen_2022": (
        "vanderveen_2022_digits.png",
        "--neurons ALIF 'STDP-ALIF 0' --layers 1 --seeds 1 --epochs 3",
    ),
    "wunderlich_2021_eventprop": ("wunderlich_2021_yin_yang.png", "--epochs 15"),
}


def draw(name: str) -> None:
    """Run one example and keep its picture, small."""
    picture, settings = PICTURES[name]
    path = next(EXAMPLES.rglob(f"{name}.py"))
    source = path.read_text(encoding="utf-8")
    options = shlex.split(settings) if settings.startswith("--") else []
    for constant in [] if options else filter(None, settings.split("; ")):
        source, found = re.subn(rf"(?m)^{constant.split()[0]} = .*$", constant, source)
        if found != 1:
            raise ValueError(f"{name} has {found} lines that begin with {constant.split()[0]!r}")
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / f"{name}.py"
        script.write_text(source, encoding="utf-8")
        # an example may use another one beside it
        beside = {**os.environ, "PYTHONPATH": str(path.parent)}
        command = [sys.executable, "-P", str(script), *options]
        subprocess.run(command, check=True, cwd=folder, env=beside)
        keep(Path(folder) / "output" / picture, FOLDER / f"{name}.png")


def keep(source: Path, target: Path) -> None:
    """A picture in the size of the gallery, with few colours, those of its lines among them."""
    with Image.open(source) as image:
        small = image.convert("RGB")
        small.thumbnail((WIDTH, WIDTH), Image.Resampling.LANCZOS)
        few = small.quantize(64, method=Image.Quantize.MAXCOVERAGE, kmeans=1)
        few.save(target, optimize=True)


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for wanted in sys.argv[1:] or PICTURES:
        print(f"== {wanted}", flush=True)
        draw(wanted)
