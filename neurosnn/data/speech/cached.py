"""Encodings that are kept in files: the same recordings with the same settings are encoded once."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from brian2.units.allunits import second
from brian2.units.fundamentalunits import Quantity
from numpy.typing import ArrayLike

from neurosnn.core.bars import bar_class, draws_bars
from neurosnn.core.files import read_arrays, user_cache_folder, write_arrays
from neurosnn.core.messages import described, message
from neurosnn.data.speech import cochlea, mel
from neurosnn.data.speech.cochlea import encode_cochlea
from neurosnn.data.spike_trials import SpikeTrials

__all__ = ["encode_cached"]

#: Recordings that are encoded together: the frames of a thousand would take 280 MB.
_BLOCK = 64
_ARRAYS = {"times": "<f4", "units": "<i4", "offsets": "<i8", "durations": "<f8"}


def encode_cached(
    sound: Sequence[ArrayLike],
    sample_rate: Quantity,
    *,
    folder: str | os.PathLike[str] | None = None,
    labels: ArrayLike | None = None,
    class_names: Sequence[str] = (),
    speaker: ArrayLike | None = None,
    speaker_names: Sequence[str] = (),
    name: str = "",
    **settings: Any,
) -> SpikeTrials:
    """Turn recordings into spikes with `encode_cochlea`, or take them from the file of an earlier call.

    The file is found by a hash of every sample, the sample rate, the settings and the source of the
    encoder: other recordings or settings, or a later version of the encoder, never meet an old
    file. Labels, speakers and names are not kept in it.

    Parameters
    ----------
    sound : sequence of array_like (n,)
        Recordings; read one after the other, so that they need not all be in memory.
    sample_rate : Quantity [Hz]
        Of the recordings.
    folder : str, path-like or None
        Where encodings are kept; None: ``encoded`` in the folder of the environment variable
        NEUROSNN_CACHE, or in the cache folder of the user's account. Files may be deleted at any time.
    labels : array_like of int (n_trials,) or None
        Class of each recording. None: all 0.
    class_names : sequence of str
        One name a class.
    speaker : array_like of int (n_trials,) or None
        Who spoke.
    speaker_names : sequence of str
        Name of each speaker number.
    name : str
        Name of the data, used in messages.
    **settings : Any
        Further settings of `encode_cochlea` and `log_mel`.

    Returns
    -------
    SpikeTrials
        The same as from `encode_cochlea`, bit for bit.

    Raises
    ------
    TypeError
        `sound` is no sequence of recordings.
    ValueError
        As `encode_cochlea`.
    OSError
        The file cannot be written.

    Notes
    -----
    With ``hop=5*ms`` 1.5 ms for a second of sound at 16 kHz (with 1 ms, 10 ms), and a bar in a terminal; the
    second time it is read and hashed only. A file is written whole or not at all, and one that is
    damaged is made anew. 8 bytes a spike: 25 kB a recording on 700 channels.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from brian2.units import Hz
    >>> from neurosnn.data import encode_cached
    >>> tone = np.sin(2 * np.pi * 1000 * np.arange(4000) / 8000)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     first = encode_cached([tone], 8000*Hz, folder=folder)
    ...     second = encode_cached([tone], 8000*Hz, folder=folder)
    >>> bool((first.times == second.times).all())
    True
    """
    where = "encode_cached"
    if isinstance(sound, np.ndarray) or not isinstance(sound, Sequence) or not len(sound):
        raise TypeError(
            message(
                f"sound is {described(sound)}.",
                where,
                "Recordings of different lengths are encoded together.",
                "Pass a list of one-dimensional arrays, one a recording.",
            )
        )
    place = Path(folder) if folder is not None else user_cache_folder("encoded")
    path = place / f"{_key(sound, sample_rate, settings)}.npz"
    found = _read(path)
    if found is None:
        encoded = _encode(sound, sample_rate, settings)
        found = {key: getattr(encoded, key).astype(kind) for key, kind in _ARRAYS.items()}
        found["size"] = np.array([encoded.n_channels], dtype=np.int64)
        write_arrays(path, found, {"settings": _texts(settings)})
    return SpikeTrials(
        **{key: found[key] for key in _ARRAYS},
        n_channels=int(found["size"][0]),
        duration=found["durations"].max() * second,
        labels=np.zeros(len(sound), dtype=np.int64) if labels is None else labels,
        class_names=tuple(class_names),
        speaker=speaker,
        speaker_names=tuple(speaker_names),
        name=name,
    )


def _encode(sound: Sequence[ArrayLike], sample_rate: Quantity, settings: dict) -> SpikeTrials:
    """All recordings, block by block."""
    blocks = []
    drawn = draws_bars()
    with bar_class(drawn)(total=len(sound), unit="recording", disable=not drawn) as bar:
        for block in _blocks(sound):
            blocks.append(encode_cochlea(block, sample_rate, **settings))
            bar.update(len(block))
    counts = np.concatenate([np.diff(block.offsets) for block in blocks])
    return SpikeTrials(
        times=np.concatenate([block.times for block in blocks]),
        units=np.concatenate([block.units for block in blocks]),
        offsets=np.append(0, np.cumsum(counts)),
        labels=np.zeros(len(sound), dtype=np.int64),
        n_channels=blocks[0].n_channels,
        durations=np.concatenate([block.durations for block in blocks]),
    )


def _blocks(sound: Sequence[ArrayLike]) -> Iterator[list]:
    for start in range(0, len(sound), _BLOCK):
        yield [np.asarray(sound[k]) for k in range(start, min(start + _BLOCK, len(sound)))]


def _key(sound: Sequence[ArrayLike], sample_rate: Quantity, settings: dict) -> str:
    """The name of the file."""
    content = hashlib.sha256()
    for module in (cochlea, mel):
        content.update(Path(module.__file__).read_bytes())
    content.update(repr((_texts({"sample_rate": sample_rate}), _texts(settings))).encode())
    for k in range(len(sound)):
        wave = np.ascontiguousarray(sound[k])
        content.update(f"{wave.dtype.str}{wave.shape}".encode())
        content.update(wave.tobytes())
    return content.hexdigest()[:32]


def _texts(settings: dict) -> dict[str, str]:
    """Settings as texts that are equal if and only if the settings are."""
    return {
        key: f"{np.asarray(value, dtype=float).tolist()!r} {getattr(value, 'dim', '')!r}"
        for key, value in sorted(settings.items())
    }


def _read(path: Path) -> dict[str, np.ndarray] | None:
    """The arrays of an earlier call, if there is such a file and it is whole."""
    try:
        arrays, _ = read_arrays(path)
    except (FileNotFoundError, ValueError):
        return None
    return arrays if set(arrays) == {*_ARRAYS, "size"} else None
