"""Citations: every named model and rule has an entry of its own, and others are not lost."""

from __future__ import annotations

import re

import pytest

from neurosnn import (
    BPTT,
    EProp,
    EventProp,
    Input,
    Layer,
    NeuronModel,
    Readout,
    SpikingNetwork,
    Trainer,
    citation,
    equations,
)
from neurosnn.core.citation import known_references


@pytest.mark.parametrize("name", equations.__all__)
def test_every_named_model_is_cited_with_title_and_its_own_doi(name):
    model = getattr(equations, name)()
    text = citation(model)
    assert "title = {" in text, f"{name}: no entry for {model.reference!r}"
    for doi in re.findall(r"doi:(\S+)", model.reference):
        assert f"doi = {{{doi.rstrip('.;')}}}" in text
    for line in text.splitlines():
        assert line.count("{") == line.count("}") or line.startswith("@") or line == "}"


def test_a_network_and_its_rule_are_cited_once_each():
    net = SpikingNetwork(Input(2), Layer(equations.STDP_ALIF(), 3), Readout(2))
    keys = re.findall(r"@\w+\{(\w+),", citation(Trainer(net, EProp(), backend="brian2")))
    assert keys == ["veen2022", "bellec2020", "stimberg2019"]
    assert citation(EProp()).startswith("@article{bellec2020,")
    assert "wunderlich2021" in citation(net, EventProp())
    assert "doi = {10.1109/MSP.2019.2931595}" in citation(BPTT())


def test_entries_are_complete():
    """Whoever pastes one into a bibliography has what a style asks for."""
    for key, entry in known_references().items():
        kind = re.match(r"@(\w+)\{", entry).group(1)
        fields = dict(re.findall(r"^  (\w+) = \{(.*)\},$", entry, flags=re.MULTILINE))
        assert entry.splitlines()[0] == f"@{kind}{{{key},"
        assert len(fields) == len(entry.splitlines()) - 2
        author, year = fields["author"].split(",")[0].split()[-1], fields["year"]
        plain = re.sub(r"[{}\\']", "", author.lower())  # keys have no accents
        assert key == f"{plain}{year}"
        assert {"article": "journal", "inproceedings": "booktitle", "misc": "eprint"}[
            kind
        ] in fields
        if kind == "article":
            assert {"volume", "pages", "doi"} <= set(fields), (author, year)
            assert re.fullmatch(r"10\.\d{4,}/\S+", fields["doi"])
        if "eprint" in fields:
            assert re.fullmatch(r"\d{4}\.\d{5}", fields["eprint"])


def test_other_references_become_notes():
    model = NeuronModel(
        equations="dv/dt = -v/tau : 1",
        threshold="v > 1",
        reset="v = 0",
        parameters={"tau": equations.LIF().parameters["tau_m"]},
        reference="Doe & Roe, J. Imag. 3:14 (2031); Poe, arXiv:1.2 (2030)",
    )
    text = citation(model)
    assert "@misc{doe2031,\n  note = {Doe \\& Roe, J. Imag. 3:14 (2031)},\n}" in text
    assert "@misc{poe2030," in text
    with pytest.raises(ValueError, match="there is nothing to cite"):
        citation(object())
