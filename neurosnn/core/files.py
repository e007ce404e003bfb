"""Files that are either complete or absent: written beside the old one, then put in its place.

Arrays go into one uncompressed npz together with a JSON text; nothing is pickled.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import json
import math
import os
import secrets
import struct
import time
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import platformdirs

from neurosnn.core.messages import message

__all__ = [
    "INFORMATION",
    "UNREADABLE",
    "Damaged",
    "atomic_file",
    "is_damage",
    "members",
    "read_arrays",
    "read_information",
    "read_member",
    "read_npy",
    "read_npy_file",
    "user_cache_folder",
    "write_arrays",
]

_PARTIAL = ".partial"
#: A writer touches its file all the time; one that rests this long [s] belongs to a killed process.
_ABANDONED = 600.0
INFORMATION = "information.json"
LONGEST_TEXT = 64 * 2**20
#: No deflated byte stands for more bytes than this (Gailly and Adler, zlib's technical details: 1032:1).
DEFLATED = 1032
#: What a file that is damaged, or made to do harm, makes zip, JSON and numpy raise.
UNREADABLE = (
    *(zipfile.BadZipFile, KeyError, ValueError, TypeError, EOFError, NotImplementedError),
    *(OverflowError, RecursionError, MemoryError, RuntimeError, IndexError, AttributeError),
    *(struct.error, SyntaxError, tokenize.TokenError, zlib.error),
)


def user_cache_folder(name: str) -> Path:
    """A folder for what can be made again: in $NEUROSNN_CACHE, or the platform's cache folder."""
    return Path(os.environ.get("NEUROSNN_CACHE") or platformdirs.user_cache_dir("neurosnn")) / name


@contextlib.contextmanager
def atomic_file(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a file for writing that replaces `path` at the end, all at once, or not at all.

    The bytes go to a hidden file in the same folder, are flushed to the disk, and the file is
    renamed. A process killed at any moment leaves the old file, or the new one.

    Parameters
    ----------
    path : str or path
        File to write; its folder is made if there is none. A symbolic link is followed.

    Yields
    ------
    binary file
        Open for writing.

    Raises
    ------
    OSError
        The folder cannot be written or the disk is full; the old file is intact.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "notes.txt"
    ...     with atomic_file(path) as file:
    ...         _ = file.write(b"whole")
    ...     path.read_text()
    'whole'
    """
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise IsADirectoryError(
            message(
                "this is a folder.",
                str(path),
                "A file is to be written there.",
                f"Pass a file in it, for example {Path(path) / 'training.npz'}.",
            )
        )
    partial = target.with_name(f".{target.name}.{secrets.token_hex(6)}{_PARTIAL}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(target)
        # O_EXCL and 0o666 less the umask: permissions as of any new file, which mkstemp would not give.
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            with open(descriptor, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            if target.exists():
                os.chmod(partial, target.stat().st_mode & 0o7777)
            os.replace(partial, target)
        except BaseException:
            with contextlib.suppress(OSError):
                partial.unlink()
            raise
        _flush_folder(target.parent)
    except OSError as error:
        kept = " The file that was there is intact." if target.exists() else ""
        raise OSError(
            error.errno,
            message(
                f"cannot be written ({error.strerror or error}).{kept}",
                str(path),
                "The disk is full, or the folder is not yours.",
                "Make room or choose another folder.",
            ),
        ) from error


def _remove_abandoned(target: Path) -> None:
    """Take away what killed writers of this file have left."""
    now = time.time()
    for left in target.parent.glob(f".{glob.escape(target.name)}.*{_PARTIAL}"):
        with contextlib.suppress(OSError):
            if now - left.stat().st_mtime > _ABANDONED:
                left.unlink()


def _flush_folder(folder: Path) -> None:
    """Make a renaming durable; some file systems cannot, and then there is nothing to do."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_arrays(
    path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray], information: Mapping[str, Any]
) -> None:
    """Write arrays and a JSON text to one npz, atomically.

    Parameters
    ----------
    path : str or path
        File to write, see :func:`atomic_file`.
    arrays : mapping of str to array
        Any numeric or boolean arrays; names may contain dots and slashes.
    information : mapping
        What JSON can hold; whole numbers of any size are kept.

    Raises
    ------
    TypeError
        An array of objects, or information that JSON cannot hold.
    OSError
        As :func:`atomic_file`.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_arrays(f"{folder}/a.npz", {"w": np.ones(2)}, {"seed": 3})
    ...     read_arrays(f"{folder}/a.npz")
    ({'w': array([1., 1.])}, {'seed': 3})
    """
    whole = {name: np.asarray(value) for name, value in arrays.items()}
    for name, value in whole.items():
        if value.dtype.hasobject:
            raise TypeError(
                message(
                    f"the array '{name}' holds Python objects.",
                    str(path),
                    "Only numbers are stored: reading objects back could run a stranger's program.",
                    "Convert it to numbers.",
                )
            )
    try:
        text = json.dumps(information)
    except (TypeError, ValueError) as error:
        raise TypeError(
            message(
                f"the information cannot be stored: {error}.",
                str(path),
                "It is written as JSON.",
                "Use numbers, strings, lists and dicts.",
            )
        ) from error
    with atomic_file(path) as file:
        # Not np.savez: it would take a name such as "file" or "0/w" for an argument or a folder.
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr(zipfile.ZipInfo(INFORMATION), text)
            for name, value in whole.items():
                with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as entry:
                    np.lib.format.write_array(entry, value, allow_pickle=False)


def read_arrays(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read what :func:`write_arrays` has written.

    Parameters
    ----------
    path : str or path
        The file.

    Returns
    -------
    arrays : dict of str to array
        The arrays, with the dtype they had.
    information : dict
        The JSON text as Python objects.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        The file is damaged, or another program's.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = members(archive)
            information = read_information(archive, entries)
            if not isinstance(information, dict):
                raise Damaged(f"it has a list in {INFORMATION}")
            arrays = {
                name.removesuffix(".npy"): read_member(archive, entry)
                for name, entry in entries.items()
                if name != INFORMATION
            }
    except FileNotFoundError as error:
        raise FileNotFoundError(
            error.errno,
            message(
                "there is no such file.", str(path), "", "Check the folder, or write it first."
            ),
        ) from error
    except (*UNREADABLE, OSError) as error:
        if not is_damage(error):
            raise
        raise ValueError(
            message(
                f"this file cannot be read ({error or type(error).__name__}).",
                str(path),
                "It is damaged, or was not written by neurosnn.",
                "Delete it, or name another file.",
            )
        ) from error
    return arrays, information


# -- members of an archive ----------------------------------------------------------------------


class Damaged(ValueError):
    """A file that is not what it claims; the message begins with "it"."""


def is_damage(error: Exception) -> bool:
    """Whether a reading error comes from the content of the file, not from the disk or a missing file."""
    # A place in an archive before its beginning is an invalid argument of the system's.
    return not isinstance(error, OSError) or error.errno == errno.EINVAL


def members(archive: zipfile.ZipFile, *, compressed: bool = False) -> dict[str, zipfile.ZipInfo]:
    """The members by name, if no two have the same and none claims more bytes than the file has.

    Parameters
    ----------
    archive : ZipFile
        An open file.
    compressed : bool, optional
        Whether members may be deflated, as those of data sets are; what neurosnn writes never is.

    Returns
    -------
    dict of str to ZipInfo
        In the order of the file.
    """
    entries: dict[str, zipfile.ZipInfo] = {}
    size = os.fstat(archive.fp.fileno()).st_size if archive.fp else 0
    for entry in archive.infolist():
        name = entry.filename
        if name in entries:
            raise Damaged(f"it holds two arrays named {name!r}")
        deflated = compressed and entry.compress_type == zipfile.ZIP_DEFLATED
        # A compressed member of a few bytes may unpack to more than there is memory.
        if entry.flag_bits & 1 or not (deflated or entry.compress_type == zipfile.ZIP_STORED):
            raise Damaged(f"it holds {name!r} compressed or encrypted")
        most = min(entry.compress_size, size) * DEFLATED if deflated else size
        if not 0 <= entry.file_size <= most:
            raise Damaged(f"it claims {entry.file_size} bytes in {name!r}")
        entries[name] = entry
    return entries


def read_information(archive: zipfile.ZipFile, entries: Mapping[str, zipfile.ZipInfo]) -> Any:
    """The JSON text of an archive as Python objects."""
    if INFORMATION not in entries or entries[INFORMATION].file_size > LONGEST_TEXT:
        raise Damaged(f"it has no {INFORMATION}, or one that is too large")
    return json.loads(archive.read(entries[INFORMATION]).decode())


def read_member(
    archive: zipfile.ZipFile,
    entry: zipfile.ZipInfo,
    dtype: Any = None,
    shape: tuple[int, ...] | None = None,
) -> np.ndarray:
    """One array; its header is compared with its size before any memory is reserved.

    Parameters
    ----------
    archive : ZipFile
        The file.
    entry : ZipInfo
        One of its :func:`members`.
    dtype, shape : optional
        What it must be; None: any numbers or flags. ``str``: texts of any length.

    Returns
    -------
    ndarray
        The array.
    """
    with archive.open(entry) as file:
        array = read_npy(file, entry.file_size, entry.filename, dtype, shape)
        if file.read(1):  # to the end, where zipfile compares the checksum
            raise Damaged(f"it holds more than {entry.filename!r} should")
    return array


def read_npy(
    file: Any, size: int, name: str, dtype: Any = None, shape: tuple[int, ...] | None = None
) -> np.ndarray:
    """An array in numpy's format from an open file of known size; see :func:`read_member`."""
    major, _ = np.lib.format.read_magic(file)
    formats = np.lib.format
    read = formats.read_array_header_1_0 if major == 1 else formats.read_array_header_2_0
    stored_shape, fortran, stored = read(file)
    kinds, exact = ("U", None) if dtype is str else ("biuf", dtype)
    if stored.hasobject or stored.kind not in kinds or (exact and stored != np.dtype(exact)):
        raise Damaged(f"it holds {name!r} as {stored}, not {np.dtype(dtype or float)}")
    if any(n < 0 for n in stored_shape) or (shape is not None and stored_shape != shape):
        raise Damaged(f"it holds {name!r} with shape {stored_shape}, not {shape}")
    n_bytes = math.prod(stored_shape) * stored.itemsize
    if n_bytes > size:
        raise Damaged(f"it claims {n_bytes} bytes in {name!r}")
    content = np.empty(n_bytes, np.uint8)
    done = 0
    while done < n_bytes:
        block = file.read(min(n_bytes - done, 2**22))
        if not block:
            raise Damaged(f"it ends within {name!r}")
        content[done : done + len(block)] = np.frombuffer(block, np.uint8)
        done += len(block)
    array: np.ndarray = content.view(stored).reshape(stored_shape, order="F" if fortran else "C")
    return array.astype(stored.newbyteorder("="), copy=False)


def read_npy_file(path: str | os.PathLike[str]) -> np.ndarray:
    """The numbers or flags of one npy file, which must end where its array does."""
    with open(path, "rb") as file:
        array = read_npy(file, os.fstat(file.fileno()).st_size, Path(path).name)
        if file.read(1):
            raise Damaged(f"it holds more than {Path(path).name!r} should")
    return array
