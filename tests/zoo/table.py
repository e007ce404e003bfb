"""Which route takes which published neuron, and why not; the page docs/published_neurons.md is made of it."""

from __future__ import annotations

import os
from collections.abc import Iterable

from zoo import adaptive, conductance, integrate_and_fire
from zoo.published import PublishedNeuron

__all__ = [
    "EXPORTED",
    "FACTORED",
    "FLOWS",
    "NEURONS",
    "NOISY",
    "REFUSED",
    "ROUTES",
    "TORCH",
    "WINDOWS",
    "measured",
    "page",
    "reason",
]

NEURONS: dict[str, PublishedNeuron] = (
    integrate_and_fire.NEURONS | adaptive.NEURONS | conductance.NEURONS
)
#: Names of the columns.
ROUTES = {
    "engine": "engine",
    "eprop": "e-prop",
    "bptt": "BPTT",
    "eventprop": "EventProp",
    "window": "window",
    "export": "export",
}
#: By neuron and route: the words of the error. What is not here is taken, and equal where it is measured.
REFUSED = {
    ("brunel_hakim", "eventprop"): "noise",
    ("brunel_hakim", "window"): "noise",
    ("rulkov", "eventprop"): "the model has step code",
    ("se_adlif", "eventprop"): "the model has step code",
    ("balanced_resonate_and_fire", "eventprop"): "the model has step code",
    ("diehl_cook", "eventprop"): "is not one comparison",
    ("integrate_fire_or_burst", "eventprop"): "the flow of 'V' jumps, by V > V_h",
    ("thalamic_relay", "eventprop"): "the flow of 'q' jumps, by v/mV < -80",
}
#: Whose draws stock Brian2 does not have here; tests/test_noise.py hands it those of such a model.
NOISY = ("brunel_hakim",)
#: The map of Rulkov is chaotic: an error in the last digit, which other programs make in a power, is as large
#: as the attractor after 100 steps.
FACTORED = EXPORTED = tuple(name for name in NEURONS if name not in NOISY)
#: Those whom the tests measure in each run, and not only with NEUROSNN_ZOO=all, because it takes long.
EACH_RUN = {
    "eprop": ("stein", "theta", "alif", "rulkov"),
    "export": ("cuba", "izhikevich_2003", "diehl_cook", "traub_miles"),
    "window": (
        "song_abbott",
        "brunel_hakim",
        "theta",
        "resonate_and_fire",
        "diehl_cook",
        "adex_regular_bursting",
        "mihalas_niebur",
        "rulkov",
        "integrate_fire_or_burst",
    ),
}


def measured(names: Iterable[str], route: str) -> list[str]:
    """Those whom the tests measure in this run."""
    everything = os.environ.get("NEUROSNN_ZOO") == "all"
    return [name for name in names if everything or name in EACH_RUN[route]]


TORCH = tuple(name for name in NEURONS if name not in ("brunel_hakim", "rulkov"))
#: Spikes that an arrival causes at once are two events at one time, for which differences of spike times
#: without a grid say nothing; tests/test_eventprop_delta.py has them.
FLOWS = tuple(
    name
    for name in NEURONS
    if (name, "eventprop") not in REFUSED and name not in ("stein", "brunel", "alif")
)
#: How a neuron is held for an STDP window (zoo/windows.py).
CLAMPED = (
    "cuba",
    "integrate_fire_or_burst",
    "adex_tonic",
    "adex_adapting",
    "adex_regular_bursting",
    "adex_delayed_accelerating",
    "mihalas_niebur",
    "rulkov",
    "hodgkin_huxley",
    "traub_miles",
    "morris_lecar",
    "connor_stevens",
    "pospischil",
    "thalamic_relay",
    "hindmarsh_rose",
)
WINDOWS = {
    name: "clamped" if name in CLAMPED else "at rest"
    for name in NEURONS
    if (name, "window") not in REFUSED
}


def reason(name: str, route: str) -> str:
    """Why a route does not take a neuron, in the words of the error; empty if it does."""
    return REFUSED.get((name, route), "")


def page() -> str:
    """The table as a page of the manual."""
    lines = [
        "# Published neurons",
        "",
        "Neurons of papers, written as scripts have them, read with `NeuronModel.from_group`, and run in all",
        "ways. `equal` is measured: spikes of the engine and of exported programs are those of stock",
        "Brian2; gradients of e-prop those of Brian2's online traces, of BPTT those of torch, of EventProp",
        "those of differences of spike times without a time grid. `taken` is derived, but not measured for",
        "this neuron. The tests measure a part of the columns e-prop, window and export in each run, and all",
        "of them with `NEUROSNN_ZOO=all pytest tests/test_zoo.py`. The column `window` says how a neuron is",
        "held for an STDP window of e-prop: at rest, or with its membrane clamped, because it fires without",
        "input or more than once when it is made to spike (`analysis.stdp_window(clamp=)`). All else is the",
        "reason of the refusal.",
        "",
        "| neuron | numbers | " + " | ".join(ROUTES.values()) + " |",
        "|---" * (2 + len(ROUTES)) + "|",
    ]
    equal = {
        "engine": {*NEURONS} - {*NOISY},
        "eprop": FACTORED,
        "bptt": TORCH,
        "eventprop": FLOWS,
        "export": EXPORTED,
    }
    for name, neuron in NEURONS.items():
        cells = []
        for route in ROUTES:
            text = reason(name, route) or (WINDOWS[name] if route == "window" else "")
            if not text:
                text = "equal" if name in equal[route] else "taken"
            cells.append(text)
        numbers = neuron.numbers or "of the paper"
        lines.append(f"| {neuron.reference} | {numbers} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
