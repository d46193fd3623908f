"""The config of every job as a frozen, strict model: what conf/ and the command line may say."""

from typing import Literal

from pydantic import Field, FiniteFloat

from smart_jobs.keys import Cluster, Columns, Cut, Decode, Encoder, Index, Lake, Reasons, Source, Suite, Sweep, Tune
from smart_jobs.masks import Mask
from smart_jobs.records import Codec
from smart_jobs.strict import Strict


class Ingest(Cut):
    """Decode, encode and commit what is new in a source.

    smart-jobs ingest source=./docs lake=./lake
    """

    source: Source
    encoder: Encoder
    lake: Lake
    cluster: Cluster
    decode: Decode = Decode()
    codec: Codec | None = Field(
        None, description="how states are stored; fixed when the encoder's tables are created (int8 unless given)"
    )
    commit_seconds: float = Field(30.0, gt=0, description="seconds between commits")
    unit_tokens: int = Field(32768, ge=1, description="tokens of one unit of work, about five seconds of encoding")
    batch_tokens: int = Field(4096, ge=1, description="padded tokens of one forward pass")
    max_failed: float = Field(0.5, ge=0, le=1, description="share of whole assets that may fail, from the 100th on")
    wait: float = Field(0.0, ge=0, description="seconds to wait for another run of the same encoder to end")
    retry: Reasons = Field((), description="reasons of failures to try again though nothing has changed")
    prune: bool = Field(False, description="delete what the lake has of this source and the source has no more")
    max_pruned: float = Field(0.1, ge=0, le=1, description="share of the source's assets that may go at once")


class IndexJob(Cut):
    """Build the index over an encoder's pooled vectors, or bring it up to date.

    smart-jobs index lake=./lake
    smart-jobs index lake=./lake tune.recall=0.99
    """

    encoder: Encoder
    lake: Lake
    cluster: Cluster = Cluster()
    index: Index = Index()
    tune: Tune = Tune()
    recall_floor: float = Field(
        0.95, ge=0, le=1, description="refuse an index that passes on less of the exact ten nearest; the old one stays"
    )


class Search(Cut):
    """Find the pages nearest to a query: index first, exact hybrid scores over its candidates.

    smart-jobs search "how are iterators chained" lake=./lake
    smart-jobs search image=photo.jpg lake=./lake encoder=qwen3-vl-embedding-2b
    smart-jobs search queries=./asked.parquet out=./answers lake=./lake
    """

    query: str = Field("", description='the question; also given bare: search "…"')
    image: str | None = Field(None, description="an image to search with, alone or beside a question or a video")
    video: str | None = Field(None, description="a video to search with, as a whole")
    encoder: Encoder
    lake: Lake
    k: int = Field(10, ge=1, description="hits to print")
    candidates: int | None = Field(
        None, ge=1, description="segments that the index passes on to exact scoring; null: as it was tuned for, or 200"
    )
    lambda_pooled: FiniteFloat = 1.0
    lambda_late: FiniteFloat = 1.0
    where: str | None = Field(None, description='SQL predicate over pooled\'s columns, e.g. "page < 3"')
    exhaustive: bool = Field(False, description="score every segment, without an index")
    fresh: bool = Field(False, description="include what came after the index was built, exactly")
    held_mb: float = Field(512.0, gt=0, description="hidden states that are held in memory at a time, in 10^6 bytes")
    queries: str | None = Field(None, description="a Parquet, JSONL or Delta table of queries, answered on a cluster")
    columns: Columns = Field(Columns(), description="for queries=")
    out: str | None = Field(None, description="folder or prefix for the answers to queries=; the same again goes on")
    part_queries: int = Field(256, ge=1, description="queries= that are answered together, in one file of out=")
    cluster: Cluster = Cluster()
    decode: Decode = Decode()

    @property
    def held(self) -> int:
        """`held_mb` in bytes."""
        return int(self.held_mb * 1e6)


class Explain(Cut):
    """Show which tokens of a query met which of a segment, as a table and as a picture, from the stored states.

    smart-jobs explain "how are refunds handled" segment=4611686018427387904 lake=./lake
    smart-jobs explain "a red car" segment=42 lake=./lake encoder=qwen3-vl-embedding-2b out=car.png
    """

    query: str = Field("", description='as in search; also given bare: explain "…"')
    image: str | None = Field(None, description="as in search")
    video: str | None = Field(None, description="as in search")
    segment: int = Field(ge=1, description="the segment_id of a hit, as search prints it")
    encoder: Encoder
    lake: Lake
    out: str = Field("explain.png", pattern=r"(?i)\.png$", description="the picture; one that is there is replaced")
    source: Source | None = Field(
        None,
        description="the table that a row came from: with its columns, images and long texts are read again",
    )
    font: str | None = Field(
        None, description="TrueType file for scripts that the machine's fonts lack; null: one that is installed"
    )
    decode: Decode = Decode()


class Evaluate(Cut):
    """Score a benchmark: pooled, late and hybrid, exhaustive, and of BEIR in two stages too.

    smart-jobs evaluate suite=beir suite.path=./scifact lake=./lake
    smart-jobs evaluate suite=beir suite.path=./scifact lake=./lake sweep.lambda_late=0:2:0.1 sweep.codec=int8,binary
    """

    suite: Suite
    encoder: Encoder
    lake: Lake
    cluster: Cluster
    lambda_pooled: FiniteFloat = 1.0
    lambda_late: FiniteFloat = 1.0
    mask: Mask | None = Field(
        None, description="score with these tokens only, of those that are stored; where none is left the pooled vector"
    )
    mask_query: Mask | None = Field(None, description="the same for queries, where it differs")
    codec: Codec | None = Field(
        None, description="how states are stored, fixed when the evaluation's tables are made (int8 unless given); "
        "later a coarser one, for this run's scores alone"
    )  # fmt: skip
    candidates: int | None = Field(
        None, ge=1, description="score in two stages as well, with so many segments that the index passes on; "
        "null: 200 for beir, else not"
    )  # fmt: skip
    sweep: Sweep = Sweep()
    decode: Decode = Decode()
    commit_seconds: float = Field(30.0, gt=0, description="as in ingest")
    retry: Reasons = Field((), description="as in ingest")
    unit_tokens: int = Field(32768, ge=1, description="as in ingest")
    batch_tokens: int = Field(4096, ge=1, description="as in ingest")


class Compare(Strict):
    """Set two evaluations against each other, task by task, over the queries that both measured.

    smart-jobs compare 20261121T0203 latest lake=./bench
    """

    base: str = Field(description="an evaluation's run_id, the beginning of one, or `latest`; also given bare")
    run: str = Field("latest", description="the evaluation that is set against it; also given bare, second")
    lake: Lake
    base_lake: str | None = Field(None, description="path or URI of the lake that `base` is in, where it is another")
    measure: str | None = Field(
        None, description="what is compared, e.g. ndcg_linear@5:corrected; null: what stands for each task"
    )
    changed: int = Field(3, ge=0, description="queries of each task to name, those that changed most")


class Status(Strict):
    """Say what a lake holds.

    smart-jobs status lake=./lake
    """

    lake: Lake


class Sql(Strict):
    """Ask the lake's tables in SQL, or run an analysis of its vectors.

    smart-jobs sql "SELECT reason, count(*) FROM failures GROUP BY reason" lake=./lake
    smart-jobs sql analysis=near_duplicates cosine=0.98 lake=./lake
    smart-jobs sql analysis=drift other=version:3 lake=./lake
    """

    lake: Lake
    query: str | None = Field(None, description='one SELECT; also given bare: sql "…"; SHOW TABLES lists the tables')
    analysis: Literal["near_duplicates", "drift"] | None = Field(None, description="instead of a query")
    encoder: str | None = Field(None, description="name or full name; needed where the lake has several")
    limit: int | None = Field(100, ge=1, description="rows to print; null: all")
    cosine: float = Field(0.98, gt=-1, le=1, description="near_duplicates: the least cosine of a pair")
    same_asset: bool = Field(False, description="near_duplicates: also pairs within one asset")
    other: str | None = Field(None, description="drift: another encoder, or version:N of this one's pooled")
    k: int = Field(10, ge=1, description="drift between encoders: neighbours to compare")
    sample: int = Field(1000, ge=1, description="drift between encoders: segments whose neighbours are compared")


class Verify(Strict):
    """Prove or disprove that a lake is whole; exit code 1 where it is not.

    smart-jobs verify lake=./lake
    """

    lake: Lake
    deep: bool = Field(True, description="read every state, not only what the tables say of them")
    repair: bool = Field(False, description="take out what is damaged, so that the next ingest encodes it again")
    wait: float = Field(0.0, ge=0, description="seconds to wait for a run that is writing, where repair=true")


class Maintain(Strict):
    """Compact tables, sweep what nothing refers to, delete files that no version needs any more.

    smart-jobs maintain lake=./lake
    """

    lake: Lake
    encoder: str | None = Field(None, description="name or full name of one; all encoders of the lake unless given")
    target_mb: float = Field(128.0, gt=0, description="size towards which files are put together, in 10^6 bytes")
    retention_hours: float = Field(168.0, ge=0, description="how long replaced files stay for those who read them")
    codec: Codec | None = Field(None, description="store states in this coarser codec from now on; nothing is encoded")
    drop: str | None = Field(None, description="name-digest of an encoder whose tables and indexes are to go")
    force: bool = Field(False, description="drop it though an evaluation was made with it")
    wait: float = Field(0.0, ge=0, description="seconds to wait for a run that is writing")


class Forget(Strict):
    """Remove an asset from tables and indexes; the next `maintain` deletes the old files that still hold it.

    smart-jobs forget asset=/data/docs/a.pdf lake=./lake
    """

    asset: str = Field(description="the URI in pooled's column `uri`, or the path of a local file", min_length=1)
    lake: Lake
    wait: float = Field(0.0, ge=0, description="seconds to wait for a run that is writing")
