"""Progress of a training on the terminal, and updates that Ctrl-C cannot cut in half."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from neurosnn.core.bars import bar_class, draws_bars

if TYPE_CHECKING:
    from neurosnn.training.history import History

__all__ = ["Progress", "uninterrupted"]


@contextlib.contextmanager
def uninterrupted(*, until_twice: bool = False) -> Iterator[None]:
    """Hold Ctrl-C back until the end of the block, or `until_twice`, when it comes a second time."""
    previous = signal.getsignal(signal.SIGINT)
    # Python delivers signals to the main thread only; a handler that is not callable does nothing.
    if threading.current_thread() is not threading.main_thread() or not callable(previous):
        yield
        return
    caught: list[tuple] = []

    def hold(*arguments: Any) -> None:
        caught.append(arguments)
        if until_twice and len(caught) > 1:
            caught.clear()
            previous(*arguments)

    signal.signal(signal.SIGINT, hold)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
    if caught:
        previous(*caught[0])


class Progress:
    """Two bars, epochs and the trials of one; a line an epoch where there is no terminal.

    Parameters
    ----------
    shown : bool
        False: nothing at all.
    first, last : int
        Epochs done before, and at the end.
    """

    def __init__(self, shown: bool, first: int, last: int):
        self.bars = shown and draws_bars()
        tqdm = bar_class(self.bars)
        self.lines = shown and not self.bars
        self._tqdm, self._headed = tqdm, False
        self._inner: Any = None
        self._outer = tqdm(total=last, initial=first, unit="epoch", disable=not self.bars)
        self._started, self._spikes, self._trials = time.perf_counter(), 0.0, 0

    def begin(self, epoch: int, done: int, n_trials: int) -> None:
        """An epoch of ``n_trials`` begins, so many of them ``done``."""
        self._started, self._spikes, self._trials = time.perf_counter(), 0.0, 0
        if not self.bars:
            return
        if self._inner is None:  # one for all epochs: a notebook keeps the place of each
            self._inner = self._tqdm(total=n_trials, unit="trial", leave=False)
        self._inner.set_description(f"epoch {epoch}", refresh=False)
        self._inner.reset(n_trials)
        self._inner.update(done)

    def batch(self, n_trials: int, spikes: float, row: dict[str, float]) -> None:
        """A batch has ended; loss and accuracy of the ``row`` so far stand beside the bar."""
        self._spikes += spikes
        self._trials += n_trials
        if self._inner is not None:
            shown = {
                name: style.format(row[name])
                for name, style in (("loss", "{:.4g}"), ("accuracy", "{:.1%}"))
                if name in row
            }
            if self._spikes:
                shown["spikes/s"] = f"{self._spikes / max(self.seconds, 1e-9):.3g}"
            self._inner.set_postfix(shown, refresh=False)
            self._inner.update(n_trials)

    @property
    def seconds(self) -> float:
        """Time since the epoch began, or went on."""
        return time.perf_counter() - self._started

    @property
    def trials_per_second(self) -> float:
        """Speed since then."""
        return self._trials / max(self.seconds, 1e-9)

    def end(self, history: History) -> None:
        """An epoch has ended, and its row is in ``history``."""
        row = history.rows[-1]
        shown = {
            name: f"{row[name]:.4g}"
            for name in ("loss", "accuracy", "validation_accuracy")
            if name in row
        }
        self._outer.set_postfix(shown, refresh=False)
        self._outer.update()
        if self.lines:
            if not self._headed:
                print(history.line(None), file=sys.stderr)
                self._headed = True
            print(history.line(-1), file=sys.stderr, flush=True)

    def close(self) -> None:
        """Leave the terminal in order."""
        if self._inner is not None:
            self._inner.close()
        self._outer.close()
