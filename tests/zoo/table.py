"""Which route takes which published neuron, and why not; the page docs/published_neurons.md is made of it."""

from __future__ import annotations

from zoo import adaptive, conductance, integrate_and_fire
from zoo.published import PublishedNeuron

__all__ = ["FACTORED", "FLOWS", "NEURONS", "ROUTES", "TORCH", "page", "reason"]

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
    ("brunel_hakim", "engine"): "the name 'randn' is not available",
    ("brunel_hakim", "eprop"): "noise",
    ("brunel_hakim", "eventprop"): "noise",
    ("fitzhugh_nagumo", "eprop"): "no derivative is implemented for the method 'rk4'",
    ("fitzhugh_nagumo", "eventprop"): "no derivative is implemented for the method 'rk4'",
    ("hindmarsh_rose", "eprop"): "no derivative is implemented for the method 'rk2'",
    ("hindmarsh_rose", "eventprop"): "no derivative is implemented for the method 'rk2'",
    ("stein", "eventprop"): "spikes add to 'v', which stands in the threshold",
    ("brunel", "eventprop"): "spikes add to 'v', which stands in the threshold",
    ("alif", "eventprop"): "spikes add to 'v', which stands in the threshold",
    ("rulkov", "eventprop"): "the model has step code",
    ("diehl_cook", "eventprop"): "is not one comparison",
}
#: Accepted, but measured to be off: the flow jumps where V crosses V_h, and no spike marks that moment.
OFF = {("integrate_fire_or_burst", "eventprop"): "off: the flow jumps at V_h"}
#: What takes long, and for whom equality is measured nevertheless. The map of Rulkov is chaotic: an error in
#: the last digit, which other programs make in a power, is as large as the attractor after 100 steps.
FACTORED = ("stein", "theta", "alif", "rulkov")
TORCH = ("stein", "theta", "brunel")
FLOWS = tuple(
    name
    for name in NEURONS
    if (name, "eventprop") not in REFUSED
    and name
    not in (
        "quartic",
        "hodgkin_huxley",
        "traub_miles",
        "wang_buzsaki",
        "connor_stevens",
        "pospischil",
        "thalamic_relay",
    )
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
    measured = {"eprop": {*FACTORED, *TORCH}, "eventprop": FLOWS, "export": EXPORTED}
    for name, neuron in NEURONS.items():
        cells = []
        for route in ROUTES:
            text = reason(name, route) or OFF.get((name, route), "")
            if not text:
                text = "equal" if name in measured.get(route, NEURONS) else "taken"
            cells.append(text)
        numbers = neuron.numbers or "of the paper"
        lines.append(f"| {neuron.reference} | {numbers} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
