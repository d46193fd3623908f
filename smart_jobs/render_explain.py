"""Which query token met which of a segment's, as text for a person."""

from collections.abc import Mapping
from typing import Any

from smart_jobs import render

TOKENS = 60
"""Query tokens that are printed; of more, the query's own before its template's, then those with the best cosines."""
OWN = ("text", "image", "video")
NAMES = ("query token", "share", "best cosine", "segment's token")
RIGHT = (False, True, True, False)


def explain(result: Mapping[str, Any]) -> str:
    """A line for each query token, then what else is to be said."""
    tokens = result["tokens"]
    first = sorted(tokens, key=lambda token: (token["kind"] not in OWN, -token["cosine"]))[:TOKENS]
    rows = [_row(token) for token in sorted(first, key=lambda token: token["number"])]
    widths = [max(len(line[at]) for line in (NAMES, *rows)) for at in range(len(NAMES))]
    lines = [f"{result['title'] or result['uri']}{render.part(result)}  ({_scores(result)})"]
    lines += [render.aligned(line, widths, RIGHT) for line in (NAMES, ["-" * width for width in widths], *rows)]
    if len(tokens) > TOKENS:
        lines.append(f"{TOKENS} of {len(tokens):,} query tokens; --json has all of them")
    lines += result["notes"]
    return "\n".join([*lines, f"picture: {result['picture']}"] if result["picture"] else lines)


def _scores(result: Mapping[str, Any]) -> str:
    late = f"late {result['late']:.3f}"
    return late if result["pooled"] is None else f"pooled {result['pooled']:.3f}, {late}"


def _row(token: Mapping[str, Any]) -> list[str]:
    share = "" if token["share"] is None else f"{token['share']:.1%}"
    return [_token(token), share, f"{token['cosine']:.3f}", _token(token["met"])]


def _token(token: Mapping[str, Any]) -> str:
    """Its name, and its kind where it is no word of the text itself."""
    return render.cell(token["name"]) + (f" ({token['kind']})" if token["kind"] not in ("text", None) else "")
