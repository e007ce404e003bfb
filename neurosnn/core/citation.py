"""BibTeX of what a network, a model or a rule is based on."""

from __future__ import annotations

import re
from typing import Any

from neurosnn.core.messages import message

__all__ = ["citation"]

#: By first author and year: entry type and fields. Titles are as published.
KNOWN: dict[tuple[str, str], tuple[str, dict[str, str]]] = {
    ("Bellec", "2020"): (
        "article",
        {
            "author": "Bellec, Guillaume and Scherr, Franz and Subramoney, Anand and Hajek, Elias and "
            "Salaj, Darjan and Legenstein, Robert and Maass, Wolfgang",
            "title": "A solution to the learning dilemma for recurrent networks of spiking neurons",
            "journal": "Nature Communications",
            "volume": "11",
            "pages": "3625",
            "doi": "10.1038/s41467-020-17236-y",
        },
    ),
    ("Clopath", "2010"): (
        "article",
        {
            "author": 'Clopath, Claudia and B{\\"u}sing, Lars and Vasilaki, Eleni and Gerstner, Wulfram',
            "title": "Connectivity reflects coding: a model of voltage-based {STDP} with homeostasis",
            "journal": "Nature Neuroscience",
            "volume": "13",
            "pages": "344--352",
            "doi": "10.1038/nn.2479",
        },
    ),
    ("Ernoult", "2020"): (
        "misc",
        {
            "author": "Ernoult, Maxence and Grollier, Julie and Querlioz, Damien and Bengio, Yoshua "
            "and Scellier, Benjamin",
            "title": "Equilibrium propagation with continual weight updates",
            "eprint": "2005.04168",
            "archiveprefix": "arXiv",
        },
    ),
    ("Fang", "2021"): (
        "inproceedings",
        {
            "author": "Fang, Wei and Yu, Zhaofei and Chen, Yanqi and Masquelier, Timoth{\\'e}e and "
            "Huang, Tiejun and Tian, Yonghong",
            "title": "Incorporating learnable membrane time constant to enhance learning of spiking "
            "neural networks",
            "booktitle": "IEEE/CVF International Conference on Computer Vision",
            "pages": "2661--2671",
            "doi": "10.1109/ICCV48922.2021.00266",
            "eprint": "2007.05785",
            "archiveprefix": "arXiv",
        },
    ),
    ("Izhikevich", "2007"): (
        "article",
        {
            "author": "Izhikevich, Eugene M.",
            "title": "Solving the distal reward problem through linkage of {STDP} and dopamine "
            "signaling",
            "journal": "Cerebral Cortex",
            "volume": "17",
            "pages": "2443--2452",
            "doi": "10.1093/cercor/bhl152",
        },
    ),
    ("Martin", "2021"): (
        "article",
        {
            "author": "Martin, Erwann and Ernoult, Maxence and Laydevant, J{\\'e}r{\\'e}mie and Li, "
            "Shuai and Querlioz, Damien and Petrisor, Teodora and Grollier, Julie",
            "title": "{EqSpike}: spike-driven equilibrium propagation for neuromorphic "
            "implementations",
            "journal": "iScience",
            "volume": "24",
            "pages": "102222",
            "doi": "10.1016/j.isci.2021.102222",
        },
    ),
    ("Neftci", "2019"): (
        "article",
        {
            "author": "Neftci, Emre O. and Mostafa, Hesham and Zenke, Friedemann",
            "title": "Surrogate gradient learning in spiking neural networks: bringing the power of "
            "gradient-based optimization to spiking neural networks",
            "journal": "IEEE Signal Processing Magazine",
            "volume": "36",
            "pages": "51--63",
            "doi": "10.1109/MSP.2019.2931595",
        },
    ),
    ("Pfister", "2006"): (
        "article",
        {
            "author": "Pfister, Jean-Pascal and Gerstner, Wulfram",
            "title": "Triplets of spikes in a model of spike timing-dependent plasticity",
            "journal": "Journal of Neuroscience",
            "volume": "26",
            "pages": "9673--9682",
            "doi": "10.1523/JNEUROSCI.1425-06.2006",
        },
    ),
    ("Ponghiran", "2022"): (
        "inproceedings",
        {
            "author": "Ponghiran, Wachirawit and Roy, Kaushik",
            "title": "Spiking neural networks with improved inherent recurrence dynamics for "
            "sequential learning",
            "booktitle": "AAAI Conference on Artificial Intelligence",
            "volume": "36",
            "pages": "8001--8008",
            "eprint": "2109.01905",
            "archiveprefix": "arXiv",
        },
    ),
    ("Song", "2000"): (
        "article",
        {
            "author": "Song, Sen and Miller, Kenneth D. and Abbott, L. F.",
            "title": "Competitive {Hebbian} learning through spike-timing-dependent synaptic "
            "plasticity",
            "journal": "Nature Neuroscience",
            "volume": "3",
            "pages": "919--926",
            "doi": "10.1038/78829",
        },
    ),
    ("Stimberg", "2019"): (
        "article",
        {
            "author": "Stimberg, Marcel and Brette, Romain and Goodman, Dan F. M.",
            "title": "Brian 2, an intuitive and efficient neural simulator",
            "journal": "eLife",
            "volume": "8",
            "pages": "e47314",
            "doi": "10.7554/eLife.47314",
        },
    ),
    ("Traub", "2020"): (
        "misc",
        {
            "author": "Traub, Manuel and Butz, Martin V. and Baayen, R. Harald and Otte, Sebastian",
            "title": "Learning precise spike timings with eligibility traces",
            "eprint": "2006.09988",
            "archiveprefix": "arXiv",
        },
    ),
    ("Veen", "2022"): (
        "misc",
        {
            "author": "van der Veen, Werner",
            "title": "Including {STDP} to eligibility propagation in multi-layer recurrent spiking "
            "neural networks",
            "eprint": "2201.07602",
            "archiveprefix": "arXiv",
        },
    ),
    ("Vogels", "2011"): (
        "article",
        {
            "author": "Vogels, T. P. and Sprekeler, H. and Zenke, F. and Clopath, C. and Gerstner, W.",
            "title": "Inhibitory plasticity balances excitation and inhibition in sensory pathways "
            "and memory networks",
            "journal": "Science",
            "volume": "334",
            "pages": "1569--1573",
            "doi": "10.1126/science.1211095",
        },
    ),
    ("Wunderlich", "2021"): (
        "article",
        {
            "author": "Wunderlich, Timo C. and Pehle, Christian",
            "title": "Event-based backpropagation can compute exact gradients for spiking neural "
            "networks",
            "journal": "Scientific Reports",
            "volume": "11",
            "pages": "12829",
            "doi": "10.1038/s41598-021-91786-z",
        },
    ),
}
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


def _references(thing: Any) -> list[str]:
    """The reference texts of a thing and its parts."""
    net, rule = getattr(thing, "net", None), getattr(thing, "rule", None)
    if net is not None and rule is not None:
        return [*_references(net), *_references(rule)]
    if hasattr(thing, "layers") and hasattr(thing, "readout"):
        models = [*(layer.model for layer in thing.layers), thing.readout.model]
        return [text for model in models for text in _references(model)] + [BRIAN]
    text = getattr(thing, "reference", "")
    return [one.strip() for one in text.split(";") if one.strip()]


def _entry(text: str) -> tuple[str, str]:
    """Key and BibTeX of one reference."""
    years = re.findall(r"\b(1[89]\d\d|20\d\d)\b", text)
    for (author, year), (kind, fields) in KNOWN.items():
        if re.search(rf"\b{author}\b", text) and year in years:
            key = f"{author.lower()}{year}"
            lines = [f"  {name} = {{{value}}}," for name, value in fields.items()]
            return key, "\n".join([f"@{kind}{{{key},", *lines, f"  year = {{{year}}},", "}"])
    name = re.search(r"[A-Za-z]\w*", text, flags=re.ASCII)
    key = f"{name.group().lower() if name else 'reference'}{years[-1] if years else ''}"
    return key, f"@misc{{{key},\n  note = {{{_as_latex(text)}}},\n}}"


def _as_latex(text: str) -> str:
    """A text as LaTeX prints it: its own commands and braces would be carried out."""
    return "".join(LATEX.get(character, character) for character in " ".join(text.split()))
