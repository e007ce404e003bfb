"""Simpler cases than a given one: what shrinking tries, all of them in one batch."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator

from brian2.utils.stringtools import get_identifiers

from fuzz.cases import Case
from fuzz.graphs import GraphCase

__all__ = ["reductions", "together"]


def reductions(case: Case) -> dict[str, Case]:
    """Cases with one thing less, by what it is; some of them make no sense, and Brian2 says so."""
    simpler_cases: dict[str, Case] = {}
    graph = isinstance(case, GraphCase)
    for key, simpler in _simpler_graph(case) if graph else _simpler(case):
        if not graph:
            simpler = _without_unused(simpler)
        if repr(simpler) not in {repr(case), *map(repr, simpler_cases.values())}:
            simpler_cases[key] = simpler
    return simpler_cases


def together(case: Case, keys: list[str]) -> Case:
    """All of these reductions, one after the other."""
    for key in keys:
        case = reductions(case).get(key, case)
    return case


def _simpler(case: Case) -> Iterator[tuple[str, Case]]:
    def change(key: str, **fields) -> tuple[str, Case]:
        return key, dataclasses.replace(case, **fields)

    yield change(
        "plain wiring",
        recurrent=False,
        sparse=False,
        longest_delay=0,
        seed=0,
        inputs=case.inputs[:1],
        spike_gradient=(),
    )
    for name, simple in (
        ("read", False),
        ("recurrent", False),
        ("sparse", False),
        ("longest_delay", 0),
        ("step", ""),
        ("method", "euler"),
        ("spike_gradient", ()),
        ("inputs", case.inputs[:1]),
        ("initial", {}),
    ):
        yield change(name, **{name: simple})
    if case.refractory is not False:
        free = case.equations.replace("(unless refractory)", "").replace("unless refractory", "")
        yield change(
            "no refractory",
            refractory=False,
            equations=free,
            surrogate=case.surrogate.replace("int(not_refractory)*", ""),
        )
        yield change("no flags", equations=free)
        yield change("refractory time", refractory=(3.0, "ms"))
    lines = case.equations.splitlines()
    for k, line in enumerate(lines):
        rest = [*lines[:k], *lines[k + 1 :]]
        yield f"forget {_defined(line)}", _forget(case, "\n".join(rest), _defined(line))
        head, separator, tail = line.partition("=")
        if separator and "/dt" in head:
            name = head.strip()[1:-3].strip()
            unit = tail.rpartition(":")[2]
            for drive in _drives(tail, name):
                yield change(
                    f"{name}: {drive}",
                    equations="\n".join([*lines[:k], f"{head}= {drive} :{unit}", *lines[k + 1 :]]),
                )
        elif separator:
            unit = tail.rpartition(":")[2]
            yield change(
                f"constant {head}",
                equations="\n".join([*lines[:k], f"{head}= 0.5 :{unit}", *lines[k + 1 :]]),
            )
        if re.search(r"\((shared, )?constant\)$", line):
            yield change(f"undeclared {line}", equations="\n".join(rest))
    for field in ("reset", "step"):
        statements = [part for part in re.split(r"[;\n]", getattr(case, field)) if part.strip()]
        for k, statement in enumerate(statements):
            left = statements[:k] + statements[k + 1 :]
            for between in (";", "\n") if left else ():
                yield change(f"{field} {statement}{between}", **{field: between.join(left)})
        yield change(f"{field} on lines", **{field: "\n".join(statements)})
    for name in case.initial:
        yield change(
            f"initial {name}",
            initial={key: value for key, value in case.initial.items() if key != name},
        )
    for name, (value, unit) in case.parameters.items():
        if isinstance(value, list):
            yield change(f"one {name}", parameters={**case.parameters, name: (value[0], unit)})
    for sign in (">=", ">", "<"):
        left, separator, right = case.threshold.partition(f" {sign} ")
        if separator:
            for name in case.parameters:
                yield change(f"threshold {name}", threshold=f"{left} {sign} {name}")
            short = re.match(r"\([\d.*a-zA-Z]+\)", right)
            if short:
                yield change("short threshold", threshold=f"{left} {sign} {short.group()}")


def _simpler_graph(case: GraphCase) -> Iterator[tuple[str, GraphCase]]:
    """Without a population or a projection, with one that is simpler, with a simpler neuron."""

    def change(key: str, **fields) -> tuple[str, GraphCase]:
        return key, dataclasses.replace(case, **fields)

    for k in range(len(case.populations) if len(case.populations) > 1 else 0):
        kept = [link for link in case.links if k not in (link.source, link.target)]
        moved = tuple(
            dataclasses.replace(
                link, source=link.source - (link.source > k), target=link.target - (link.target > k)
            )
            for link in kept
        )
        others = case.populations[:k] + case.populations[k + 1 :]
        yield change(f"without population {k}", populations=others, links=moved, drives=())
    for k in range(len(case.drives)):
        yield change(f"without drive {k}", drives=case.drives[:k] + case.drives[k + 1 :])
    for k, link in enumerate(case.links):
        before, after = case.links[:k], case.links[k + 1 :]
        places = tuple(
            dataclasses.replace(drive, place=drive.place - (drive.place > k))
            for drive in case.drives
        )
        yield change(f"without link {k}", links=before + after, drives=places)
        for field, simple in (
            ("connectivity", 1.0),
            ("delay", "one"),
            ("longest", 0),
            ("sign", None),
            ("weights_given", True),
            ("learn", ("w",)),
            ("autapses", False),
            ("synapse", None),
        ):
            simpler = dataclasses.replace(link, **{field: simple})
            yield change(f"{field} of link {k}", links=(*before, simpler, *after))
    for k, neuron in enumerate(case.populations):
        for key, simpler in reductions(neuron).items():
            others = (*case.populations[:k], simpler, *case.populations[k + 1 :])
            yield change(f"{key} in {k}", populations=others)


def _defined(line: str) -> str:
    return re.match(r"\s*d?(\w+?)(/dt)?\s*[=:]", line).group(1)


def _drives(tail: str, name: str) -> Iterator[str]:
    """Shorter right sides of ``((a + b)*mV - x)/tau``."""
    match = re.match(rf"\s*\(\((.*)\)(\*\w+)? - {name}\)/(.*) :", tail)
    if match:
        drive, unit, tau = match.group(1), match.group(2) or "", match.group(3)
        if drive != "0":
            yield f"-{name}/{tau}"
            terms = drive.split(" + ")
            for k in range(len(terms)):
                if len(terms) > 1:
                    yield f"(({' + '.join(terms[:k] + terms[k + 1 :])}){unit} - {name})/{tau}"
        yield f"(({drive}){unit} - {name})/(10*ms)"


def _forget(case: Case, equations: str, name: str) -> Case:
    """Without a variable, and without the statements that change it."""
    changed = {"equations": equations}
    for field in ("reset", "step"):
        kept = [
            part
            for part in re.split(r"[;\n]", getattr(case, field))
            if name not in get_identifiers(part) and part.strip()
        ]
        changed[field] = "\n".join(kept)
    return dataclasses.replace(
        case,
        **changed,
        initial={key: value for key, value in case.initial.items() if key != name},
        spike_gradient=tuple(key for key in case.spike_gradient if key != name),
        inputs=tuple(key for key in case.inputs if key != name) or case.inputs,
    )


def _without_unused(case: Case) -> Case:
    text = " ".join([case.equations, case.threshold, case.reset, case.step, case.surrogate])
    used = get_identifiers(f"{text} {case.refractory if isinstance(case.refractory, str) else ''}")
    return dataclasses.replace(
        case,
        parameters={key: value for key, value in case.parameters.items() if key in used},
        surrogate=case.surrogate,
    )
