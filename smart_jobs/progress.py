"""How far a job is: a bar on a terminal, a plain line now and then elsewhere. Always on stderr."""

import sys
import time
from types import TracebackType

from tqdm import tqdm

LINE_SECONDS = 10.0


def say(message: str) -> None:
    """One plain line for a person."""
    tqdm.write(message, file=sys.stderr)


class Progress:
    """Counts units of one kind; a context manager, so that the bar is closed whatever happens."""

    def __init__(self, label: str, total: int | None, unit: str) -> None:
        """`total` is null where the end is not known yet."""
        self._label, self._total, self._unit = label, total, unit
        self._done, self._note, self._start = 0, "", time.monotonic()
        self._said, self._shown = self._start, 0
        bar = sys.stderr.isatty()
        self._bar = tqdm(total=total, desc=label, unit=f" {unit}", file=sys.stderr) if bar else None

    def __enter__(self) -> "Progress":
        """Start."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close the bar, or say the last line."""
        if self._bar is not None:
            self._bar.close()
        elif self._done > self._shown:
            self._line()

    def add(self, count: int, note: str = "") -> None:
        """`count` more are done."""
        self._done, self._note = self._done + count, note
        if self._bar is not None:
            self._bar.set_postfix_str(note, refresh=False)
            self._bar.update(count)
        elif time.monotonic() - self._said >= LINE_SECONDS:
            self._line()

    def _line(self) -> None:
        self._said, self._shown = time.monotonic(), self._done
        rate = self._done / max(self._said - self._start, 1e-9)
        of = f" of {self._total:,}" if self._total is not None else ""
        note = f", {self._note}" if self._note else ""
        say(f"{self._label}: {self._done:,}{of} {self._unit}, {rate:.1f}/s{note}")
