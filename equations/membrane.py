"""A membrane in physical units, with intrinsic currents and those of its receptors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from neurosnn.equations.lif import outside_refractory
from neurosnn.equations.receptors import Receptor, current
from neurosnn.model import NeuronModel, Range

__all__ = ["BELLEC_GAMMA", "COUNTED_ONCE", "PER_AREA", "RAMP", "membrane"]

#: Pseudo-derivative: rises linearly from 0 at rest to gamma/(distance from rest) at the spike. Beyond
#: it the potential tells how large the last time step was, and nothing about the spike.
RAMP = "gamma*(clip(v, {low}, {high}) - {low})/({high} - {low})**2"
#: The same for a spike that is counted once: 0 from the step after the spike until the neuron is down again.
COUNTED_ONCE = f"{outside_refractory(True)}*{RAMP}"
BELLEC_GAMMA = "Bellec 2020, Methods: 0.3"
#: The input of a membrane per area, if nothing else is asked for.
PER_AREA = (current(unit="amp/meter**2"),)


def membrane(
    *,
    equations: str,
    receptors: Iterable[Receptor],
    method: str,
    parameters: Mapping[str, Any],
    ranges: Mapping[str, Range],
    sources: Mapping[str, str],
    reference: str,
    **fields: Any,
) -> NeuronModel:
    """A model whose membrane ``{synapses}`` is the sum of the receptors' currents."""
    receptors = tuple(receptors)
    together = "".join(f" + {receptor.current}" for receptor in receptors)
    if not all(receptor.linear for receptor in receptors):
        method = "euler"
    merged: list[dict[str, Any]] = []
    for name, of_membrane in (("parameters", parameters), ("ranges", ranges), ("sources", sources)):
        merged.append(
            {key: value for receptor in receptors for key, value in getattr(receptor, name).items()}
        )
        merged[-1] |= of_membrane
    cited = [reference, *(receptor.reference for receptor in receptors if receptor.reference)]
    return NeuronModel(
        equations="\n".join(
            [
                equations.format(synapses=together).strip(),
                *(receptor.equations for receptor in receptors),
            ]
        ),
        method=method,
        inputs=tuple(name for receptor in receptors for name in receptor.inputs),
        parameters=merged[0],
        ranges=merged[1],
        sources=merged[2],
        reference="; ".join(dict.fromkeys(cited)),
        **fields,
    )
