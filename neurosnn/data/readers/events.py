"""Building SpikeTrials from the events of a camera."""

import numpy as np
from brian2.units import second

from neurosnn.data.checks import positive_int, seconds
from neurosnn.data.locations import bad_file
from neurosnn.data.spike_trials import SpikeTrials


class EventTrials:
    """Collects recordings (t, x, y, p) of one camera and makes SpikeTrials of them.

    Channel ``p * (h * w) + y * w + x`` with h and w after pooling.
    """

    def __init__(self, width, height, *, where, duration=None, pool=1, sort=False):
        self.pool = positive_int(pool, "pool", where=where)
        self.width = -(-width // self.pool)
        self.height = -(-height // self.pool)
        self.full = (width, height)
        self.limit = None if duration is None else seconds(duration, "duration", where=where)
        self.where = where
        self.sort = sort
        self.times, self.units, self.labels, self.subjects = [], [], [], []

    def add(self, path, t_us, x, y, p, label, subject=-1):
        """Check one recording and append it; times in microseconds from its start."""
        width, height = self.full
        if len(t_us) == 0:
            raise bad_file(
                path,
                "holds no events",
                "An empty recording cannot be told from a damaged one.",
                "Get the file again, or take it out of the folder.",
            )
        if x.min() < 0 or y.min() < 0 or x.max() >= width or y.max() >= height:
            raise bad_file(
                path,
                f"has an event at x={x.max()}, y={y.max()}",
                f"The camera has {width} x {height} pixels.",
                "Check that the file belongs to this data set and is not truncated.",
            )
        t_us = t_us.astype(np.int64)
        if np.any(t_us[1:] < t_us[:-1]):
            if not self.sort:
                k = int(np.argmax(t_us[1:] < t_us[:-1]))
                raise bad_file(
                    path,
                    f"has decreasing times, {t_us[k]} us and then {t_us[k + 1]} us",
                    "A camera clock does not run backwards, so the file may be damaged.",
                    "If the events are merely out of order, pass sort=True.",
                )
            order = np.argsort(t_us, kind="stable")
            t_us, x, y, p = t_us[order], x[order], y[order], p[order]
        if t_us[0] < 0:
            raise bad_file(
                path,
                f"starts at {t_us[0]} us",
                "A recording starts at zero or later.",
                "Subtract its start.",
            )
        if self.limit is not None:
            n = int(np.searchsorted(t_us, self.limit * 1e6))
            t_us, x, y, p = t_us[:n], x[:n], y[:n], p[:n]
        column = x.astype(np.int32) // self.pool
        row = y.astype(np.int32) // self.pool
        sheet = p.astype(np.int32) * (self.width * self.height)
        self.units.append(sheet + row * self.width + column)
        times = (t_us * 1e-6).astype(np.float32)
        if self.limit is not None:
            # Rounding to float32 must not carry the last event to the end of the trial.
            np.minimum(times, np.nextafter(np.float32(self.limit), np.float32(0)), out=times)
        self.times.append(times)
        self.labels.append(label)
        self.subjects.append(subject)

    def build(self, class_names, name, limit, subjects):
        """The SpikeTrials of all recordings added so far, ``limit`` seconds long."""
        empty = [np.empty(0, dtype=np.float32)]
        return SpikeTrials(
            times=np.concatenate(self.times or empty),
            units=np.concatenate(self.units or empty).astype(np.int32),
            offsets=np.append(0, np.cumsum([len(t) for t in self.times], dtype=np.int64)),
            labels=np.asarray(self.labels, dtype=np.int64),
            n_channels=2 * self.width * self.height,
            duration=limit * second,
            class_names=class_names,
            speaker=np.asarray(self.subjects, dtype=np.int64) if subjects else None,
            name=name,
        )


def build_all(sets, class_names, name, *, subjects=False):
    """SpikeTrials of the parts of one data set, all of one duration.

    A network trained on one part must run on the others.
    """
    limit = sets[0].limit
    if limit is None:
        last = max((float(t.max(initial=0)) for s in sets for t in s.times), default=0.0)
        limit = (np.floor(last / 1e-3 + 1e-3) + 1) * 1e-3
    return tuple(s.build(class_names, name, limit, subjects) for s in sets)
