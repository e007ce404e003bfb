"""The AEDAT formats of event cameras, versions 2.0, 3.1 and (through a package) 4."""

import numpy as np

from neurosnn.core.optional import import_optional
from neurosnn.data.locations import bad_file

_POLARITY_EVENT = 1
_AGAIN = "Get the file again."


def decode_aedat2(data, path):
    """Times [us] and raw addresses of an AEDAT 2.0 file.

    Lines that start with '#', then pairs of big-endian uint32: address and time.

    Parameters
    ----------
    data : bytes
    path : path
        For messages.

    Returns
    -------
    t, address : numpy.ndarray of int64

    Raises
    ------
    ValueError
        The version is another, or the file ends inside an event.
    """
    start = _header(data, path, "#!AER-DAT2.0")
    if (len(data) - start) % 8:
        raise bad_file(
            path,
            f"ends inside an event, {(len(data) - start) % 8} bytes after the last",
            "An event has eight bytes, so the file is truncated.",
            _AGAIN,
        )
    raw = np.frombuffer(data, dtype=">u4", offset=start).astype(np.int64)
    return raw[1::2], raw[::2]


def decode_aedat3(data, path):
    """Times [us], x, y and polarity of an AEDAT 3.1 file.

    Lines that start with '#', then packets: a header of 28 bytes (type and source uint16; event
    size, time offset, time overflow, capacity, number, valid uint32, little endian) and
    ``capacity`` events. Polarity events are uint32 data and uint32 time:
    ``x = data >> 17 & 0x1fff, y = data >> 2 & 0x1fff, p = data >> 1 & 1``, valid if bit 0 is set;
    the time overflow counts 2^31 us. Other packets are passed over.

    Parameters
    ----------
    data : bytes
    path : path
        For messages.

    Returns
    -------
    t, x, y, p : numpy.ndarray of int64

    Raises
    ------
    ValueError
        The version is another, the file ends inside a packet, or a header makes no sense.
    """
    at = _header(data, path, "#!AER-DAT3.1")
    parts = []
    while at < len(data):
        if at + 28 > len(data):
            raise bad_file(path, "ends inside a packet header", "The file is truncated.", _AGAIN)
        event_type = int.from_bytes(data[at : at + 2], "little")
        size, _, overflow, capacity, number, _ = np.frombuffer(data, "<u4", 6, at + 4).tolist()
        end = at + 28 + size * capacity
        if number > capacity or (event_type == _POLARITY_EVENT and size != 8):
            raise bad_file(
                path,
                f"has a packet of {number} events of {size} bytes in a space of {capacity}",
                "Polarity events have 8 bytes and fit their packet, so the file is damaged.",
                _AGAIN,
            )
        if end > len(data):
            raise bad_file(
                path,
                f"ends inside a packet, {end - len(data)} bytes early",
                "The file is truncated.",
                _AGAIN,
            )
        if event_type == _POLARITY_EVENT:
            raw = np.frombuffer(data, "<u4", 2 * number, at + 28).astype(np.int64).reshape(-1, 2)
            raw = raw[raw[:, 0] & 1 == 1]
            parts.append(np.column_stack([raw[:, 0], raw[:, 1] + (overflow << 31)]))
        at = end
    word, t = np.concatenate(parts or [np.empty((0, 2), dtype=np.int64)]).T
    return t, word >> 17 & 0x1FFF, word >> 2 & 0x1FFF, word >> 1 & 1


def decode_aedat4(path, *, where):
    """Times [us], x, y and polarity of an AEDAT 4 file, through the optional package aedat.

    Parameters
    ----------
    path : path
    where : str
        Who asks; named in the error.

    Returns
    -------
    t, x, y, p : numpy.ndarray of int64

    Raises
    ------
    ImportError
        The package aedat is not installed.
    ValueError
        The package cannot read the file, or it has no events.
    """
    aedat = import_optional("aedat", where=where)
    try:
        packets = [p["events"] for p in aedat.Decoder(path) if "events" in p]
    except Exception as error:  # the package has its own, undocumented exception types
        raise bad_file(
            path,
            f"cannot be read ({error})",
            "It is not an AEDAT 4 file, or it is damaged.",
            _AGAIN,
        ) from error
    if not packets:
        raise bad_file(path, "holds no events", "The recording has no event stream.", _AGAIN)
    names = ("t", "x", "y", "on")
    return tuple(np.concatenate([p[n] for p in packets]).astype(np.int64) for n in names)


def _header(data, path, magic):
    """Where the events start."""
    if not data.startswith(magic.encode()):
        raise bad_file(
            path,
            f"starts with {data[:12]!r}",
            f"This reader knows files that start with {magic}.",
            "Check that it is the recording, unpacked, in its original format.",
        )
    at = 0
    while data[at : at + 1] == b"#":
        end = data.find(b"\n", at)
        if end < 0:
            raise bad_file(path, "ends inside its header", "The file is truncated.", _AGAIN)
        line = data[at:end]
        at = end + 1
        if line.startswith(b"#!END-HEADER"):
            break
    return at
