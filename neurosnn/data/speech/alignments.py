"""Phone alignments of recordings: Praat TextGrid (Montreal Forced Aligner) and CTM."""

import re

from neurosnn.data.locations import bad_file

_TOKEN = re.compile(r'"((?:[^"]|"")*)"|(-?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)')
_NO_PHONE = {"": "sil", "sp": "sil", "sil": "sil", "spn": None, "<eps>": "sil"}


def parse_textgrid(data: bytes, path: str, *, tier: str = "phones") -> list:
    """Start, end and label of each interval of a tier.

    Both the long and the short text format; UTF-8, or UTF-16 with its mark.

    Parameters
    ----------
    data : bytes
        The file.
    path : str
        For messages.
    tier : str
        Name of the tier.

    Returns
    -------
    list of (float, float, str)
        Times in seconds.

    Raises
    ------
    ValueError
        The file is no TextGrid, has no such tier, or ends too early.
    """
    marked = data[:2] in (b"\xff\xfe", b"\xfe\xff")
    text = data.decode("utf-16" if marked else "utf-8-sig", "replace")
    # indices such as intervals [3] and names such as "xmin =" say nothing that the order does not
    text = re.sub(r"\[\d*\]", "", text)
    tokens = [a if b == "" else float(b) for a, b in _TOKEN.findall(text)]
    names = []
    try:
        if tokens[:2] != ["ooTextFile", "TextGrid"]:
            raise IndexError
        position, n_tiers = 5, int(tokens[4])
        for _ in range(n_tiers):
            tier_class, name, _, _, n = tokens[position : position + 5]
            width = 3 if tier_class == "IntervalTier" else 2
            begin, position = position + 5, position + 5 + width * int(n)
            names.append(name)
            if name == tier and tier_class == "IntervalTier":
                rows = [tuple(tokens[k : k + 3]) for k in range(begin, position, 3)]
                if rows and len(rows[-1]) < 3:
                    raise IndexError
                return rows
    except (IndexError, ValueError, TypeError) as error:
        raise bad_file(
            path,
            "is no whole TextGrid",
            "It starts with ooTextFile and TextGrid, and every tier holds as many intervals as it declares.",
            "Get the file again, or align anew.",
        ) from error
    raise bad_file(
        path,
        f"has no tier {tier!r}, only {', '.join(map(repr, names)) or 'none'}",
        "Frames are labelled with its phones.",
        "Align with phones.",
    )


def parse_ctm(data: bytes, path: str) -> dict:
    """Intervals of each utterance of a CTM file: "utterance channel start duration phone".

    Parameters
    ----------
    data : bytes
        The file.
    path : str
        For messages.

    Returns
    -------
    dict of str to list of (float, float, str)
        Times in seconds, by utterance.

    Raises
    ------
    ValueError
        A line has another form.
    """
    intervals: dict = {}
    for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
        fields = line.split()
        if not fields or line.startswith(";;"):
            continue
        try:
            utterance, _, start, duration, phone = fields[:5]
            interval = (float(start), float(start) + float(duration), phone)
        except ValueError as error:
            raise bad_file(
                path,
                f"line {number} is {line!r}",
                "A line has the form 'utterance channel start duration phone', in seconds.",
                "Check that it is the CTM file of phones.",
            ) from error
        intervals.setdefault(utterance, []).append(interval)
    return intervals


def plain_phone(label: str) -> str | None:
    """A phone without stress and word position; silence is "sil"; None where nothing is known."""
    label = label.strip()
    if label.lower() in _NO_PHONE:
        return _NO_PHONE[label.lower()]
    return re.sub(r"(\d|_[BIES])+$", "", label).lower()
