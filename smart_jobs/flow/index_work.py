"""What an index job works on, and what it makes of it."""

from dataclasses import dataclass

import faiss

from smart_jobs import schema, storage
from smart_jobs.index import difference, rebuilding
from smart_jobs.index.build import Plan
from smart_jobs.index.difference import Difference
from smart_jobs.index.manifest import Manifest, Pin
from smart_jobs.index.steps import Task
from smart_jobs.lake.layout import EncoderTables, Snapshot
from smart_jobs.settings import IndexJob


@dataclass(frozen=True, slots=True)
class Work:
    """What an index job works on: a snapshot of pooled, the plan for it, and the newest index with its folder."""

    job: IndexJob
    snapshot: Snapshot
    plan: Plan
    newest: tuple[str, Manifest] | None

    @property
    def tables(self) -> EncoderTables:
        """The encoder's."""
        return self.snapshot.tables

    @property
    def indexes(self) -> str:
        """The folder of its indexes."""
        return storage.join(self.tables.uri, "indexes")

    def pins(self) -> tuple[Pin, Pin]:
        """The versions of pooled and hidden_states."""
        found = self.snapshot.versions()
        return Pin.model_validate(found["pooled"]), Pin.model_validate(found["hidden_states"])

    def difference(self) -> Difference | None:
        """What has changed since the newest index was built; None where it cannot be told."""
        return self.newest and difference.since(self.newest[1].built_from, self.snapshot.pooled)

    def must(self, changed: Difference | None) -> str | None:
        """Why the newest index cannot be changed into what is wanted."""
        return self.newest and rebuilding.must(self.newest[1], self.plan, self.job.index.factory, changed)

    def searched_anew(self) -> bool:
        """Whether the job wants the newest index searched in another way than it says."""
        if self.newest is None:
            return False
        old, wanted = self.newest[1], self.job.index
        return (wanted.nprobe or old.nprobe, wanted.rerank) != (old.nprobe, old.rerank)

    def task(self) -> Task:
        """The steps of building it anew."""
        uri = self.tables.table_uri(schema.POOLED)
        return Task(uri, self.pins()[0], self.tables.spec.dim, self.plan.factory, self.indexes)


@dataclass(frozen=True, slots=True)
class Made:
    """An index on its way to be published: its manifest, how it came about, and what came and went."""

    manifest: Manifest
    index: faiss.Index
    action: str
    added: int = 0
    removed: int = 0
