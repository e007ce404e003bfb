"""Which route takes which published neuron, and why not; the page docs/published_neurons.md is made of it."""

from __future__ import annotations

from zoo import adaptive, conductance, integrate_and_fire
from zoo.published import PublishedNeuron

__all__ = ["FACTORED", "FLOWS", "NEURONS", "NOISY", "ROUTES", "TORCH", "page", "reason"]

NEURONS: dict[str, PublishedNeuron] = (
    integrate_and_fire.NEURONS | adaptive.NEURONS | conductance.NEURONS
)
#: Names of the columns.
ROUTES = {
    "engine": "engine",
    "eprop": "e-prop, BPTT",
    "eventprop": "EventProp",
    "export": "export",
}
#: By neuron and route: the words of the error. What is not here is taken, and equal where it is measured.
REFUSED = {
    ("brunel_hakim", "eventprop"): "noise",
    ("rulkov", "eventprop"): "the model has step code",
    ("diehl_cook", "eventprop"): "is not one comparison",
    ("integrate_fire_or_burst", "eventprop"): "the flow of 'V' jumps, by V > V_h",
    ("thalamic_relay", "eventprop"): "the flow of 'q' jumps, by v/mV < -80",
}
#: Whose draws stock Brian2 does not have here; tests/test_noise.py hands it those of such a model.
NOISY = ("brunel_hakim",)
#: What takes long, and for whom equality is measured nevertheless. The map of Rulkov is chaotic: an error in
#: the last digit, which other programs make in a power, is as large as the attractor after 100 steps. Spikes
#: that an arrival causes at once (Stein, Brunel, ALIF) are two events at one time, for which differences of
#: spike times without a grid say nothing.
FACTORED = ("stein", "theta", "alif", "rulkov")
TORCH = ("stein", "theta", "brunel")
FLOWS = (
    "coba",
    "song_abbott",
    "wang_pyramidal",
    "srm0",
    "eif",
    "qif",
    "theta",
    "resonate_and_fire",
    "liu_wang",
    "adex_tonic",
    "adex_regular_bursting",
    "clopath_adex",
    "izhikevich_2003",
    "izhikevich_2007",
    "mihalas_niebur",
    "platkiewicz_brette",
    "fitzhugh_nagumo",
)
EXPORTED = ("stein", "cuba", "izhikevich_2003", "diehl_cook", "mihalas_niebur", "traub_miles")


def reason(name: str, route: str) -> str:
    """Why a route does not take a neuron, in the words of the error; empty if it does."""
    return REFUSED.get((name, route), "")


def page() -> str:
    """The table as a page of the manual."""
    lines = [
        "# Published neurons",
        "",
        "Neurons of papers, written as scripts have them, read with `NeuronModel.from_group`, and run in all",
        "ways. `equal` is measured by the tests: spikes of the engine and of exported programs are those of",
        "stock Brian2; gradients of e-prop and BPTT those of Brian2's online traces and of torch; gradients",
        "of EventProp those of differences of spike times without a time grid. `taken` is derived, but not",
        "measured for this neuron. All else is the reason of the refusal.",
        "",
        "| neuron | numbers | " + " | ".join(ROUTES.values()) + " |",
        "|---" * (2 + len(ROUTES)) + "|",
    ]
    measured = {
        "engine": {*NEURONS} - {*NOISY},
        "eprop": {*FACTORED, *TORCH},
        "eventprop": FLOWS,
        "export": EXPORTED,
    }
    for name, neuron in NEURONS.items():
        cells = []
        for route in ROUTES:
            text = reason(name, route)
            if not text:
                text = "equal" if name in measured[route] else "taken"
            cells.append(text)
        numbers = neuron.numbers or "of the paper"
        lines.append(f"| {neuron.reference} | {numbers} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
