"""All that a picture is made of, and what its parts share."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from smart_jobs import masks
from smart_jobs.draw.heat import GREY
from smart_jobs.draw.lettering import Letters
from smart_jobs.encode.prompts import Prompt
from smart_jobs.search import explain
from smart_jobs.search.explain import Met, Side, Token

WIDTH, SMALL = 1480, (344, 460)
"""Pixels across a picture; and the widest and tallest that the map of one query token may be."""
DRAWN = 12
"""Query tokens that have a map of their own."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """What was met; the document's side of it, and as its model saw it, less the tokens that are no states.

    `asked` (m) and `there` (n) are the tokens of the two sides, `places` (n, 4) as in `Side.places`; `chosen` are the
    numbers of the query tokens that get a map of their own.
    """

    met: Met
    document: Side
    seen: Prompt
    letters: Letters
    asked: list[Token]
    there: list[Token]
    places: np.ndarray
    chosen: list[int]

    @staticmethod
    def of(met: Met, query: Side, document: Side, seen: Prompt, letters: Letters) -> "Sheet":
        """The sheet of what a query met in a document; see `explain.tokens`."""
        there = explain.tokens(document)
        return Sheet(met, document, seen, letters, explain.tokens(query), there, document.places(), chosen(met, query))

    def named(self, i: int) -> list[Image.Image]:
        """A query token, and what it met: two lines."""
        best = self.there[self.met.best[i]]
        place = f"at {best.name}" if best.row is not None else f"with “{best.name}”"
        kind = "" if best.row is not None or best.kind == "text" else f" ({best.kind})"
        said = f"{self.met.maxima[i]:.3f} {place}{kind}"
        size = SMALL[0]
        return [self.letters.line(self.called(i), 20, most=size), self.letters.line(said, 14, GREY, size)]

    def note(self, i: int) -> str:
        """What is written where a query token met something: its word; nothing for a patch, of which there are many."""
        return self.asked[i].name if self.asked[i].row is None else ""

    def called(self, i: int) -> str:
        """A query token by its name."""
        return self.asked[i].name + (" of the query" if self.asked[i].row is not None else "")


def chosen(met: Met, query: Side) -> list[int]:
    """The query tokens that get a map of their own, in order: of the query's own the `DRAWN` nearest at the most."""
    own = np.arange(query.count) if query.kinds is None else np.flatnonzero(masks.keep(query.kinds, "content"))
    own = own if len(own) else np.arange(query.count)
    best: list[int] = own[np.argsort(-met.maxima[own], kind="stable")[:DRAWN]].tolist()
    return sorted(best)
