"""Make the data files that are embedded in neurosnn.data.

    python tools/make_embedded_data.py FSDD_ZIP [--digits DIGITS_CSV_GZ] [--out neurosnn/data]

FSDD_ZIP holds recordings/{digit}_{speaker}_{index}.wav of the Free Spoken Digit Dataset;
DIGITS_CSV_GZ is scikit-learn's copy of the UCI digits (sklearn/datasets/data/digits.csv.gz).
The output does not depend on the machine beyond the last bit of a logarithm.
"""

import argparse
from pathlib import Path

import numpy as np
from brian2.units import ms

from neurosnn.data import log_mel, read_fsdd_waves

HOP = 5 * ms
N_LEVELS = 24
LIMIT_BYTES = 6_000_000


def make_spoken_digits(source, target):
    """Log-mel frames of all recordings, quantised and stored as differences along time."""
    recordings = read_fsdd_waves(source)
    expected = [(d, s, i) for d in range(10) for s in range(6) for i in range(50)]
    found = list(zip(recordings.digit, recordings.speaker, recordings.index, strict=True))
    if found != expected:
        raise SystemExit("the archive does not hold 10 digits x 6 speakers x 50 recordings")
    frames = log_mel(recordings.waves, recordings.sample_rate, hop=HOP)
    levels = np.rint(frames.features * (N_LEVELS - 1)).astype(np.uint8)
    first = np.zeros((1, levels.shape[1]), dtype=np.uint8)
    np.savez_compressed(
        target,
        frame_differences=np.diff(levels, axis=0, prepend=first),
        lengths=frames.lengths.astype(np.uint16),
        speaker=np.asarray(recordings.speaker, dtype=np.uint8),
        speaker_names=np.array(recordings.speaker_names),
        n_levels=np.int64(N_LEVELS),
        hop_seconds=np.float64(HOP),
    )


def make_digits(source, target):
    """The 1797 images of 8 x 8 pixels and their labels."""
    table = np.loadtxt(source, delimiter=",", dtype=np.uint8)
    np.savez_compressed(target, images=table[:, :-1].reshape(-1, 8, 8), labels=table[:, -1])


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("fsdd_zip", type=Path)
    parser.add_argument("--digits", type=Path)
    default = Path(__file__).resolve().parents[1] / "neurosnn" / "data"
    parser.add_argument("--out", type=Path, default=default)
    arguments = parser.parse_args()
    jobs = [(make_spoken_digits, arguments.fsdd_zip, "spoken_digits.npz")]
    if arguments.digits:
        jobs.append((make_digits, arguments.digits, "digits_8x8.npz"))
    for make, source, name in jobs:
        target = arguments.out / name
        make(source, target)
        size = target.stat().st_size
        if size > LIMIT_BYTES:
            raise SystemExit(f"{name} has {size} bytes, more than the limit of {LIMIT_BYTES}")
        print(f"{target}: {size} bytes")


if __name__ == "__main__":
    main()
