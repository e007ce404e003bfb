"""A point of a study, and the files of those that are done."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from brian2.units.fundamentalunits import DIMENSIONLESS, Quantity, get_dimensions

from neurosnn.core.files import UNREADABLE, atomic_file
from neurosnn.core.messages import message, printable
from neurosnn.core.texts import check_plain_text
from neurosnn.core.units import from_plain, to_plain

__all__ = ["Point", "PointFiles", "decode", "encode"]

_RESERVE = ".reserve"


class Point:
    """Values of all parameters and the seed, and the name that they give to a file.

    Parameters
    ----------
    values : mapping of str to value
        Numbers, text, flags, None, quantities or lists of them.
    """

    def __init__(self, values: Mapping[str, Any]):
        self.values = dict(values)
        self.plain = {name: encode(value, f"parameter {name}") for name, value in values.items()}
        text = json.dumps(self.plain, sort_keys=True)
        self.key = hashlib.sha256(text.encode()).hexdigest()[:24]

    def __repr__(self) -> str:
        return f"Point({', '.join(f'{name}={value}' for name, value in self.values.items())})"


class PointFiles:
    """The files of a study: one JSON a point, whole or not there.

    Parameters
    ----------
    folder : Path
        Folder of the study.
    """

    def __init__(self, folder: Path):
        self.folder = folder.expanduser().absolute()

    def path(self, key: str) -> Path:
        """The file of a point."""
        return self.folder / "points" / f"{key}.json"

    def known(self) -> set[str]:
        """Keys of all points with a file."""
        return {path.stem for path in (self.folder / "points").glob("*.json")}

    def status(self) -> dict[str, str]:
        """What became of each point: "done" or "failed"."""
        return {key: self.read(key)["status"] for key in self.known()}

    def read(self, key: str) -> dict[str, Any]:
        """What is known about a point."""
        path = self.path(key)
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            if record["status"] not in ("done", "failed"):
                raise KeyError("status")
            float(record["seconds"])
            record["error"] = "\n".join(map(printable, record["error"].split("\n")))
            for part in ("parameters", "result"):
                for name, value in record[part].items():
                    check_plain_text(name, field="a name", where=key, longest=1000)
                    decode(value)
        except (*UNREADABLE, OSError) as error:
            raise ValueError(
                message(
                    f"this result cannot be read ({error!r}).",
                    str(path),
                    "It is damaged, or not a result of a study.",
                    "Delete it; the point will be computed again.",
                )
            ) from error
        return record

    def write(self, key: str, record: Mapping[str, Any]) -> None:
        """Write a point's file."""
        with atomic_file(self.path(key)) as file:
            file.write(json.dumps(record, indent=1).encode())

    # -- a full disk ------------------------------------------------------------------------

    def prepare(self, reserve: int) -> None:
        """Make the folder, and put aside room for the points that will be running at any time."""
        (self.folder / "points").mkdir(parents=True, exist_ok=True)
        path = self.folder / _RESERVE
        with atomic_file(path) as file:
            # Not zeros: a file system may store those without taking room.
            file.write(os.urandom(int(reserve)))

    def release(self) -> None:
        """Give the room free again."""
        (self.folder / _RESERVE).unlink(missing_ok=True)

    def rescue(self, records: Mapping[str, Mapping[str, Any]], reason: OSError) -> OSError:
        """Keep finished points when the folder cannot be written; returns the error to raise."""
        self.release()
        left = {}
        for key, record in records.items():
            try:
                self.write(key, record)
            except OSError:
                left[key] = record
        where = "All finished points are in it."
        advice = "Make room"
        if left:
            other = PointFiles(Path(tempfile.mkdtemp(prefix="neurosnn-study-")))
            for key, record in left.items():
                other.write(key, record)
            where = f"{len(left)} finished points are in {other.folder / 'points'} instead."
            advice = f"Make room, move those files to {self.folder / 'points'}"
        return OSError(
            reason.errno or errno.EIO,
            message(
                f"a result cannot be written ({reason.strerror or reason}).",
                str(self.folder),
                where,
                f"{advice} and make the same call again: it goes on with the other points.",
            ),
        )


def encode(value: Any, where: str) -> Any:
    """A value as JSON holds it; whole numbers stay whole, quantities keep their dimensions."""
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, Quantity) and get_dimensions(value) is not DIMENSIONLESS:
        return to_plain(value)
    if isinstance(value, np.generic | np.ndarray):
        return encode(np.asarray(value).tolist(), where)
    if isinstance(value, list | tuple):
        return [encode(entry, where) for entry in value]
    raise ValueError(
        message(
            f"{value!r} cannot be kept in a file.",
            where,
            "Results are JSON: numbers, text, flags, quantities and lists of them.",
            "Pass a name and make the object from it inside the function.",
        )
    )


def decode(entry: Any) -> Any:
    """The value that `encode` was given; arrays come back as lists."""
    if isinstance(entry, dict):
        return from_plain(entry)
    if isinstance(entry, list):
        return [decode(item) for item in entry]
    return entry
