"""What decides the answers of a batch search: pinned in the first file of its output, which every later run reads."""

from collections.abc import Mapping

from pydantic import Field, ValidationError

from smart_jobs import storage
from smart_jobs.index.manifest import Pin
from smart_jobs.records import UsageError
from smart_jobs.strict import Strict

PLAN, RECALL, IN_FLIGHT = "_search.json", "_recall.json", "_inflight"
"""The plan, the recall that was measured, and the markers of parts in work: beside the parts."""

PINS = ("versions", "index_id", "threads")
"""What the first run chose, and the next ones take over."""


class Plan(Strict):
    """A batch search: two runs of one plan give the same files, rounding apart where their machines differ.

    `versions` are those of pooled and hidden_states; `index_id` is null where every segment is scored, `candidates`
    where they are as many as that index was tuned for. `digest` is that of all `queries`, of which `part_queries` go
    into each part. `threads` are those of a worker's products, whose rounding they change;
    null before Ray has said how many there are.
    """

    lake_id: str
    encoder: str
    versions: Mapping[str, Pin]
    exhaustive: bool
    index_id: str | None
    candidates: int | None
    k: int = Field(ge=1)
    lambda_pooled: float
    lambda_late: float
    where: str | None
    fresh: bool
    queries: int = Field(ge=1)
    digest: str
    part_queries: int = Field(ge=1)
    threads: int | None = Field(None, ge=1)

    @property
    def parts(self) -> int:
        """How many files the answers fill."""
        return -(-self.queries // self.part_queries)

    def size(self, number: int) -> int:
        """The queries of a part; the last one may have fewer than the others."""
        return min(self.part_queries, self.queries - number * self.part_queries)

    def pins(self) -> dict[str, dict[str, str | int]]:
        """The versions as `lake.layout.reopened` takes them."""
        return {name: pin.model_dump() for name, pin in self.versions.items()}


def read(out: str) -> Plan | None:
    """The plan in a folder; None where it has none. Raises UsageError where it is not one of this release."""
    uri = storage.join(out, PLAN)
    try:
        return Plan.model_validate_json(storage.read_bytes(uri))
    except FileNotFoundError:
        return None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise UsageError(f"{uri}: not a plan of this release ({where}: {first['msg']}); give another out=") from error


def refuse(out: str, there: Plan | None, plan: Plan) -> None:
    """Raise UsageError where the folder holds the answers to another search, naming what differs, or anything else."""
    if there is None:
        found = next((uri for uri, _ in storage.list_files(out)), None)
        if found is not None:
            raise UsageError(f"out={out}: {found} is there, and no {PLAN}; give a folder that is new or empty")
        return
    settings = [name for name in Plan.model_fields if name not in PINS]
    differ = [_said(name, there, plan) for name in settings if getattr(there, name) != getattr(plan, name)]
    if differ:
        raise UsageError(f"out={out} has the answers to another search: {'; '.join(differ)}; give another out=")


def _said(name: str, there: Plan, plan: Plan) -> str:
    if name == "digest":
        return "the queries are not the same"
    if name == "lake_id":
        return "the lake is not the same"
    return f"{name}={getattr(there, name)} there, {name}={getattr(plan, name)} now"


def pin(out: str, plan: Plan) -> Plan:
    """The plan that holds: this one where there was none, else what is there, which must want the same.

    Of two runs that begin at once one's holds for both. Raises UsageError as `refuse`.
    """
    storage.create_bytes(storage.join(out, PLAN), plan.model_dump_json(indent=2).encode())
    there = read(out)
    refuse(out, there, plan)
    return there or plan


def part_uri(out: str, number: int) -> str:
    """The file of a part's answers, which says that the part is done."""
    return storage.join(out, f"part-{number:05}.parquet")


def failures_uri(out: str, number: int) -> str:
    """The file of a part's bad queries; there where it has any."""
    return storage.join(out, f"failures-{number:05}.parquet")


def done(out: str, plan: Plan) -> set[int]:
    """The parts that are there."""
    there = {uri for uri, _ in storage.list_files(out, recursive=False)}
    return {number for number in range(plan.parts) if part_uri(out, number) in there}
