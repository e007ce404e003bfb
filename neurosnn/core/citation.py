"""BibTeX of what a network, a model or a rule is based on."""

from __future__ import annotations

import re
from functools import lru_cache
from importlib import resources
from typing import Any

from neurosnn.core.messages import message

__all__ = ["citation"]

#: Characters that mean something to BibTeX or LaTeX.
LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\textbraceleft{}",
    "}": r"\textbraceright{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    '"': r"\textquotedbl{}",
    "@": r"\char64{}",
    **{character: f"\\{character}" for character in "#$%&_"},
}
BRIAN = "Stimberg et al., eLife 8:e47314 (2019)"


def citation(*things: Any) -> str:
    """BibTeX of the papers that networks, neuron models and rules are based on.

    Parameters
    ----------
    *things : SpikingNetwork or Trainer or NeuronModel or PlasticityRule or EProp or EventProp
        What was used. A network counts for all its neurons, and for Brian2.

    Returns
    -------
    str
        One entry a paper, to be printed. A reference that is not known to this package becomes an
        entry ``@misc`` with its text as a note.

    Raises
    ------
    ValueError
        If nothing has a reference.

    Examples
    --------
    >>> from neurosnn import citation, equations
    >>> print(citation(equations.TripletSTDP()).splitlines()[0])
    @article{pfister2006,
    """
    references: list[str] = []
    for thing in things:
        references += _references(thing)
    entries = dict(_entry(text) for text in dict.fromkeys(references))
    if not entries:
        raise ValueError(
            message(
                "there is nothing to cite.",
                "citation",
                "None of these has a reference.",
                "Give your model reference='Author, Journal volume:pages (year)'.",
            )
        )
    return "\n\n".join(entries.values())


@lru_cache(maxsize=1)
def known_references() -> dict[str, str]:
    """Entries of ``references.bib`` by their keys, which are the first author and the year."""
    text = resources.files("neurosnn.core").joinpath("references.bib").read_text(encoding="utf-8")
    entries = text.strip().split("\n\n")
    return {entry[entry.index("{") + 1 : entry.index(",")]: entry for entry in entries}


def _references(thing: Any) -> list[str]:
    """The reference texts of a thing and its parts."""
    net, rule = getattr(thing, "net", None), getattr(thing, "rule", None)
    if net is not None and rule is not None:
        return [*_references(net), *_references(rule)]
    if hasattr(thing, "layers") and hasattr(thing, "readout"):
        models = [*(layer.model for layer in thing.layers), thing.readout.model]
        models += [one.synapse for one in getattr(thing, "projections", ()) if one.synapse]
        return [text for model in models for text in _references(model)] + [BRIAN]
    text = getattr(thing, "reference", "")
    return [reference.strip() for reference in text.split(";") if reference.strip()]


def _entry(text: str) -> tuple[str, str]:
    """Key and BibTeX of one reference."""
    years = re.findall(r"\b(1[89]\d\d|20\d\d)\b", text)
    for key, entry in known_references().items():
        author, year = key[:-4], key[-4:]
        if re.search(rf"\b{author}\b", text, flags=re.IGNORECASE) and year in years:
            return key, entry
    name = re.search(r"[A-Za-z]\w*", text, flags=re.ASCII)
    key = f"{name.group().lower() if name else 'reference'}{years[-1] if years else ''}"
    return key, f"@misc{{{key},\n  note = {{{_as_latex(text)}}},\n}}"


def _as_latex(text: str) -> str:
    """A text as LaTeX prints it: its own commands and braces would be carried out."""
    return "".join(LATEX.get(character, character) for character in " ".join(text.split()))
