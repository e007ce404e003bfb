"""Finding and opening data files that the user has; nothing is ever downloaded."""

import gzip
import io
import os
import wave
import zipfile
from pathlib import Path

import numpy as np

from neurosnn.core.files import UNREADABLE, is_damage, members, read_member, read_npy_file
from neurosnn.core.messages import message
from neurosnn.core.optional import import_optional

ENVIRONMENT = "NEUROSNN_DATA"


def find_root(root, folders, *, where, how):
    """The first existing path for a data set.

    Parameters
    ----------
    root : path or None
        What the user gave; None: the environment variable NEUROSNN_DATA.
    folders : sequence of str
        Names to look for under the root, before the root itself.
    where : str
        The reader, named in the error.
    how : str
        How people usually get the data.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    FileNotFoundError
        No root was given and the variable is not set, or the path does not exist.
    """
    source = f"root={str(root)!r}"
    if root is None:
        root = os.environ.get(ENVIRONMENT)
        source = f"{ENVIRONMENT}={root}"
        if not root:
            raise FileNotFoundError(
                f"{where}: no root= was given and the environment variable {ENVIRONMENT} is not "
                f"set. Nothing is downloaded. {how} Then pass root= the folder."
            )
    root = Path(root).expanduser()
    for folder in folders:
        if (root / folder).exists():
            return root / folder
    if not root.exists():
        raise FileNotFoundError(
            f"{where}: {source} does not exist. Nothing is downloaded. {how} Then pass root= the "
            f"folder."
        )
    return root


def need(path, names, *, where, how):
    """The first of ``names`` that exists in the folder ``path``."""
    for name in names:
        if (path / name).exists():
            return path / name
    raise FileNotFoundError(
        f"{where}: {' or '.join(names)} is not in {path}. The reader looks for the names the data "
        f"is distributed under. {how}"
    )


def bad_file(path, what, why, fix):
    """The ValueError for a file that is not what it should be."""
    return ValueError(message(f"{what}.", str(path), why, fix))


def read_bytes(path):
    """All bytes of a file, unpacked if its name ends in .gz."""
    if Path(path).suffix == ".gz":
        try:
            with gzip.open(path, "rb") as file:
                return file.read()
        except (EOFError, gzip.BadGzipFile, OSError) as error:
            raise bad_file(
                path,
                f"cannot be unpacked ({error})",
                "The download is damaged or incomplete.",
                "Get the file again.",
            ) from error
    return Path(path).read_bytes()


def read_npz(path, names, texts=()):
    """Arrays of a file that numpy's savez or savez_compressed has written.

    Parameters
    ----------
    path : path
    names : sequence of str
        Arrays of numbers or flags.
    texts : sequence of str
        Arrays of texts.

    Returns
    -------
    dict of str to numpy.ndarray

    Raises
    ------
    ValueError
        The file is damaged, lacks an array, or has Python objects in it. Nothing is unpickled.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = members(archive, compressed=True)
            missing = [name for name in (*names, *texts) if f"{name}.npy" not in entries]
            if not missing:
                return {
                    name: read_member(
                        archive, entries[f"{name}.npy"], str if name in texts else None
                    )
                    for name in (*names, *texts)
                }
    except (*UNREADABLE, OSError) as error:
        if not is_damage(error):
            raise
        raise _unreadable(path, error) from error
    raise bad_file(
        path,
        f"lacks the arrays {', '.join(missing)}",
        f"This data set has {', '.join((*names, *texts))}.",
        "Check that it is the file of this data set.",
    )


def read_npy(path):
    """The one array of a file that numpy's save has written; errors as :func:`read_npz`."""
    try:
        return read_npy_file(path)
    except UNREADABLE as error:
        raise _unreadable(path, error) from error


def _unreadable(path, error):
    return bad_file(
        path,
        f"cannot be read ({error or type(error).__name__})",
        "It is damaged, or does not hold plain arrays.",
        "Get the file again.",
    )


class Folder:
    """Files of a folder or of a zip archive, read the same way."""

    def __init__(self, path):
        self.path = Path(path)
        self._zip = None
        if self.path.is_file():
            if not zipfile.is_zipfile(self.path):
                raise bad_file(
                    self.path,
                    "is neither a folder nor a zip archive",
                    "The reader takes one of the two.",
                    "Pass root= the folder or the .zip file.",
                )
            self._zip = zipfile.ZipFile(self.path)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if self._zip is not None:
            self._zip.close()

    def names(self):
        """Sorted names of all files below, with forward slashes."""
        if self._zip is not None:
            return sorted(n for n in self._zip.namelist() if not n.endswith("/"))
        files = (p for p in self.path.rglob("*") if p.is_file())
        return sorted(p.relative_to(self.path).as_posix() for p in files)

    def read(self, name):
        """Bytes of one file."""
        return self._zip.read(name) if self._zip is not None else (self.path / name).read_bytes()

    def full(self, name):
        """The name for a message."""
        return f"{self.path}:{name}" if self._zip is not None else str(self.path / name)


def read_wave(data, path, *, where):
    """Samples (float32, -1 to 1) and sample rate of a mono recording.

    16-bit PCM wav is read by the standard library, everything else (NIST SPHERE, FLAC) by the
    optional package soundfile.

    Parameters
    ----------
    data : bytes
    path : str
        For messages.
    where : str

    Returns
    -------
    samples : numpy.ndarray of float32
    rate : int
        Samples a second.

    Raises
    ------
    ValueError
        The recording is empty, not mono, or not a sound file.
    ImportError
        soundfile is needed and missing.
    """
    if data[:4] == b"RIFF":
        try:
            with wave.open(io.BytesIO(data)) as file:
                if file.getsampwidth() == 2 and file.getnchannels() == 1:
                    raw = file.readframes(file.getnframes())
                    samples = np.frombuffer(raw, dtype="<i2").astype(np.float32) / 32768
                    return _sound(samples, file.getframerate(), path)
        except (wave.Error, EOFError):
            pass  # not plain PCM; soundfile may still know it
    soundfile = import_optional("soundfile", where=where)
    try:
        samples, rate = soundfile.read(io.BytesIO(data), dtype="float32")
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise bad_file(
            path,
            f"is not a sound file ({error})",
            "Neither the wave module nor soundfile can read it.",
            "Check that the download is complete, or take the file out of the folder.",
        ) from error
    return _sound(samples, rate, path)


def _sound(samples, rate, path):
    if samples.ndim != 1:
        raise bad_file(
            path,
            f"has {samples.shape[1]} channels",
            "The data set is mono, so this is another file.",
            "Convert it to one channel.",
        )
    if len(samples) == 0:
        raise bad_file(
            path,
            "holds no samples",
            "An empty recording has no frames.",
            "Get the file again, or take it out of the folder.",
        )
    return samples, int(rate)
