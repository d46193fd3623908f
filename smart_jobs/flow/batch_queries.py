"""The queries of a batch search, read from their table part by part."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

from smart_jobs import sources, storage
from smart_jobs.encode.spec import EncoderSpec
from smart_jobs.keys import Source
from smart_jobs.records import Asset, JobError, UsageError, text_digest
from smart_jobs.settings import Search


@dataclass(frozen=True, slots=True)
class Part:
    """Queries that are answered together, in the order of their table, each with its id there in `names`."""

    number: int
    names: tuple[str, ...]
    queries: tuple[Asset, ...]

    @property
    def digest(self) -> str:
        """That of the ids, of what the table says, and of the stamps of the files that it names."""
        stamps = (query.stamp for query in self.queries)
        return text_digest(*(word for pair in zip(self.names, stamps, strict=True) for word in pair))


@dataclass(frozen=True, slots=True)
class Listed:
    """How many queries there are, and the digest of each of their parts."""

    count: int
    digests: tuple[str, ...]

    @property
    def digest(self) -> str:
        """That of all of them."""
        return text_digest(*self.digests)


def parts(job: Search) -> Iterator[Part]:
    """The queries in parts of `part_queries`, one part in memory at a time, beside the ids of all.

    Raises UsageError where that is no table, a column is missing or an id is there twice, JobError where it cannot be
    read.
    """
    table = storage.absolute(str(job.queries))
    source = Source(name="queries", uri=(table,), columns=job.columns)
    queries = sources.assets(source)
    try:
        for number in itertools.count():
            some = [_query(table, query) for query in itertools.islice(queries, job.part_queries)]
            if not some:
                return
            names = tuple(query.uri.removeprefix(f"{table}#") for query in some)
            yield Part(number, names, tuple(some))
    except OSError as error:
        raise JobError(f"queries={table}: cannot be read: {' '.join(str(error).split())[:300]}") from error


def _query(table: str, row: Asset) -> Asset:
    if not row.uri.startswith(f"{table}#"):
        raise UsageError(f"queries={table}: expected a Parquet, JSONL or Delta table, found a folder or file like "
                         f"{row.uri}; as in queries=./asked.parquet or './asked/*.parquet'")  # fmt: skip
    return replace(row, side="query")


def listed(job: Search) -> Listed:
    """Read all of them once. Raises UsageError where there are none, and as `parts`."""
    count, digests = 0, []
    for part in parts(job):
        count += len(part.queries)
        digests.append(part.digest)
    if not count:
        raise UsageError(f"queries={job.queries}: there are none in it")
    return Listed(count, tuple(digests))


def same(job: Search, known: Listed) -> Iterator[Part]:
    """The parts once more. Raises JobError where they are not those that were listed."""
    numbers = 0
    for part in parts(job):
        if part.number >= len(known.digests) or part.digest != known.digests[part.number]:
            break
        numbers += 1
        yield part
    if numbers < len(known.digests):
        raise JobError(f"queries={job.queries}: the table changed while it was read; run it again with another out=")


def check(job: Search, spec: EncoderSpec) -> None:
    """Raise UsageError where the queries have media that the encoder cannot see: their text alone is another query."""
    for key, column in (("image", job.columns.image), ("video", job.columns.video)):
        if column and spec.sampling is None:
            raise UsageError(f"columns.{key}={column}: encoder {spec.name} reads text alone")
