"""How stored states can be looked at: by which tokens, and as which codec would have stored them."""

from dataclasses import dataclass, replace
from typing import cast

from smart_jobs import masks
from smart_jobs.lake import reshaped
from smart_jobs.lake.layout import EncoderTables
from smart_jobs.masks import Mask
from smart_jobs.records import Codec, JobError, Side


@dataclass(frozen=True, slots=True)
class View:
    """Which tokens of documents and of queries, and documents as which codec. None: as they are stored."""

    mask: Mask | None = None
    mask_query: Mask | None = None
    codec: Codec | None = None


AS_STORED = View()


def checked(view: View, documents: EncoderTables) -> View:
    """The same, with None where it is what is stored anyway; documents' states are those of these tables.

    Queries are stored by the same spec, whatever tables they are in. Raises JobError, in one line, for a mask that
    keeps tokens which are not stored or cannot be told apart any more, and for a codec finer than the stored one.
    """
    spec, stored = documents.spec, cast("Codec", documents.codec)
    if view.codec is not None:
        reshaped.check(stored, view.codec, f"{spec.full_name} in {documents.lake.uri}")
    mask, mask_query = _mask(view.mask, documents, "document"), _mask(view.mask_query, documents, "query")
    if mask is not None and spec.pool_factor is not None:
        raise JobError(f"mask={mask}: {spec.full_name} merges documents' states (pool_factor={spec.pool_factor}), "
                       "so which tokens they stand for is not known; mask_query= can be given alone")  # fmt: skip
    return replace(view, mask=mask, mask_query=mask_query, codec=None if view.codec == stored else view.codec)


def _mask(mask: Mask | None, tables: EncoderTables, side: Side) -> Mask | None:
    stored = tables.spec.mask_of(side)
    if mask is None or mask == stored:
        return None
    if not masks.POLICIES[mask] <= masks.POLICIES[stored]:
        key = "mask" if side == "document" else "mask_query"
        raise JobError(f"{key}={mask}: {tables.spec.full_name} stores the tokens of {stored}, which lacks some of "
                       f"{mask}'s; encoder.mask={mask} is another encoder, and encodes anew")  # fmt: skip
    return mask
