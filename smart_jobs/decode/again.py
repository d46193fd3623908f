"""A segment that is in a lake, cut once more from its source, where that is still what it was."""

from dataclasses import replace
from itertools import islice

from smart_jobs.decode import cutting, reading
from smart_jobs.decode.cutting import Policy
from smart_jobs.decode.sandbox import Sandbox
from smart_jobs.decode.segments import PartsOf, Piece
from smart_jobs.decode.spool import Spool
from smart_jobs.records import Asset, AssetError, Segment, content_of


def one_part(sandbox: Sandbox, index: int) -> PartsOf:
    """Gives the part of an asset at an index from 0, and no other: a page, or a clip."""
    return lambda content, wanted: islice(sandbox.parts(content, wanted, index), 1)


def segment(asset: Asset, stored: Segment, policy: Policy) -> Segment:
    """`stored`, of which a lake has the first characters of the text and no pixels, as it was encoded.

    `policy.parts` may give no more than the part that it was cut from. Raises AssetError `changed` where the source
    says something else by now, and what reading and decoding raise.
    """
    read = reading.read(asset, files=policy.sampling is not None)
    if read.version != content_of(stored.version):
        raise AssetError("changed", f"{asset.uri} is not what it was when it was encoded", "read")
    spool = Spool()
    found = cutting.pieces_of(read, policy, spool)
    piece = _same(found, stored)
    return replace(stored, text=piece.text, visuals=tuple(spool.visual(kept) for kept in piece.visuals))


def _same(found: list[Piece], stored: Segment) -> Piece:
    """By its ordinal where all of the asset was cut, else by how its text begins: the shortest, as it may be whole."""
    whole = len(found) == stored.of
    candidates = found[stored.ordinal : stored.ordinal + 1] if whole else sorted(found, key=lambda item: len(item.text))
    error = next((piece.error for piece in candidates if piece.error is not None), None)
    for piece in candidates:
        if piece.error is None and piece.text.startswith(stored.text):
            return piece
    raise error or AssetError("changed", f"{stored.uri} is cut into other segments than it was", "decode")
