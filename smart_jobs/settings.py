"""The config of every job as a frozen, strict model: what conf/ and the command line may say."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from smart_jobs.masks import Mask
from smart_jobs.records import REASONS, Codec, Side
from smart_jobs.sampling import Sampling
from smart_jobs.strict import Strict

Family = Literal["text", "qwen3_vl", "gme", "vlm2vec", "lamra", "jina_v4", "colpali", "clip", "siglip"]
Pooling = Literal["mean", "cls", "last", "before_emb", "mean_states", "model"]


def _reason(value: str) -> str:
    if value not in REASONS:
        raise ValueError(f"no such reason; there are {', '.join(REASONS)}")
    return value


def _checkpoint(value: str) -> str:
    """A folder by its whole path: the workers of a cluster are at home elsewhere. Anything else stays: a hub id."""
    folder = Path(value).expanduser()
    return str(folder.absolute()) if (folder / "config.json").is_file() else value


def _file(value: str) -> str:
    return str(Path(value).expanduser().absolute())


def _listed(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Reasons = Annotated[tuple[Annotated[str, AfterValidator(_reason)], ...], BeforeValidator(_listed)]


class Columns(Strict):
    """Which columns of a table source are what."""

    id: str = Field("id", description="column that names a row; row number where the table has none")
    text: str = Field("text", description="column with the text to embed")
    title: str | None = Field(None, description="column that is put before the text")
    image: str | None = Field(None, description="column with the path or URI of an image that goes with the text")
    video: str | None = Field(None, description="column with the path or URI of a video that goes with the text")
    meta: tuple[str, ...] = Field((), description="further columns to keep with every segment, for filters")


class Source(Strict):
    """Where assets come from."""

    name: str = Field(description="what rows say in `source`; the first URI unless given")
    uri: tuple[str, ...] = Field(description="files, folders, globs or tables; local or any pyarrow/fsspec scheme")
    format: Literal["auto", "files", "jsonl", "parquet", "delta", "beir"] = Field(
        "auto", description="auto: by suffix and content of each URI"
    )
    columns: Columns = Field(Columns(), description="for jsonl, parquet and delta")


class Encoder(Strict):
    """A model and how to run it; what is null is read from the checkpoint's own files."""

    name: str = Field(description="names the tables, with the spec's digest behind it")
    family: Family = Field("text", description="how it reads and is read out; one file each in encode/")
    model: Annotated[str, AfterValidator(_checkpoint)] = Field(description="hub id or folder of the checkpoint")
    revision: str | None = Field(None, description="hub commit, or sha256:<hex> of model.safetensors")
    package: str | None = Field(None, description="Python package that carries the checkpoint, used where installed")
    licence: str | None = Field(None, description="of the weights, for people")
    dim: int | None = Field(None, ge=1, description="the hidden size that the checkpoint must have")
    letter_tokens: int | None = Field(None, description="tokens of a US Letter page, as the tests expect them")
    pooling: Pooling | None = None
    mask: Mask = Field("reference", description="which tokens become states")
    mask_query: Mask | None = Field(None, description="the same for queries, where it differs")
    instruction: dict[Side, str] = Field({}, description="default instruction of a side, where the checkpoint has none")
    max_length: int | None = Field(None, ge=8, description="tokens of a segment, special tokens included")
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    sampling: Sampling | None = Field(None, description="what of images, videos and pages goes in; null: text only")
    adapter: Annotated[str, AfterValidator(_file)] | None = Field(
        None, description="file of a hidden-state adapter, applied to every state"
    )
    pool_factor: int = Field(1, ge=1, description="merge a document's states into this many times fewer; 1: keep all")
    digest: str | None = Field(None, description="picks one of several encoders of this name in a lake")


class Lake(Strict):
    """The root of the tables and index files."""

    uri: str


class Text(Strict):
    """What becomes of text that is longer than the encoder's window."""

    long: Literal["auto", "split", "truncate"] = Field(
        "auto", description="auto: documents and text files are split into passages, table rows truncated"
    )


class Page(Strict):
    """How a page of a document goes into an encoder that reads images."""

    as_: Literal["image", "text", "both"] | None = Field(
        None, alias="as", description="as an image, as its text layer, or both; null: as the encoder's config says"
    )


class Clip(Strict):
    """How videos are cut and which frames go in; null: as the encoder's config says."""

    fps: float | None = Field(None, gt=0, description="frames a second")
    max_frames: int | None = Field(None, ge=1, description="frames of a segment")
    seconds: float | None = Field(None, gt=0, description="a segment every so many seconds, not the whole video")
    decoder: Literal["pyav", "decord"] | None = Field(None, description="decord: the pixels that reference code sees")


class Cut(Strict):
    """How assets are cut into segments: with the encoder, this names the tables."""

    text: Text = Text()
    page: Page = Page()
    clip: Clip = Clip()


class Cluster(Strict):
    """Ray: where it runs and how work is spread; null means chosen from what the cluster has."""

    address: str | None = Field(None, description="a running cluster; RAY_ADDRESS counts too; null starts a local one")
    cpus: int | None = Field(None, ge=1, description="CPUs of the local cluster")
    gpus: int | None = Field(None, ge=0, description="GPUs of the local cluster; null: those that there are")
    decode_actors: int | None = Field(None, ge=1)
    encode_actors: int | None = Field(None, ge=1)
    encode_threads: int | None = Field(None, ge=1, description="CPU threads of one encode actor")
    encode_gpus: float = Field(
        1.0, gt=0, le=1, description="share of a GPU that an encode actor takes, if there is one"
    )


class Decode(Strict):
    """What one asset may cost; a page or clip that wants more becomes a failure, and those behind it go on."""

    seconds: float = Field(30.0, gt=0, description="time to open a document or an image, and for each of its pages")
    video_seconds: float = Field(300.0, gt=0, description="time to open a video, and for each of its clips")
    memory: float = Field(4.0, ge=0.25, description="GiB that the decoder of one actor may use")
    integrity: Literal["fast", "full"] = Field(
        "fast", description="full: every video is decoded once more, in search of corrupt frames"
    )


class Index(Strict):
    """How the index is built and kept."""

    factory: str | None = Field(
        None, description="faiss factory string, `IVF,…` with a number of lists that fits; null: from the vectors"
    )
    nprobe: int | None = Field(None, ge=1, description="lists that a query visits")
    rerank: bool = Field(False, description="put 4 times as many candidates in the order of their stored vectors")
    rebuild: Literal["auto", "always", "never"] = Field(
        "auto", description="build again rather than add and remove: where it pays, each time, or not at all"
    )
    check_queries: int = Field(200, ge=1, description="stored vectors searched again to measure recall")


class Tune(Strict):
    """What an index is tuned for."""

    recall: float | None = Field(
        None, gt=0, le=1, description="choose lists and candidates for this share of the exact ten nearest"
    )


class Suite(Strict):
    """A benchmark."""

    name: Literal["beir"] = "beir"
    path: str = Field(description="folder with queries.jsonl, qrels/ and, unless candidates=lake, corpus.jsonl")
    split: str = "test"
    candidates: Literal["corpus", "lake"] = Field(
        "corpus", description="lake: rank the pages that are in the lake already, nothing is encoded but queries"
    )


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
    lambda_pooled: float = 1.0
    lambda_late: float = 1.0
    where: str | None = Field(None, description='SQL predicate over pooled\'s columns, e.g. "page < 3"')
    exhaustive: bool = Field(False, description="score every segment, without an index")
    fresh: bool = Field(False, description="include what came after the index was built, exactly")
    decode: Decode = Decode()


class Evaluate(Cut):
    """Score a benchmark: pooled, late and hybrid, exhaustive and in two stages.

    smart-jobs evaluate suite=beir suite.path=./scifact lake=./lake
    """

    suite: Suite
    encoder: Encoder
    lake: Lake
    cluster: Cluster
    candidates: int = Field(200, ge=1, description="segments that the index passes on in the two-stage scores")
    lambda_pooled: float = 1.0
    lambda_late: float = 1.0
    codec: Codec | None = Field(None, description="as in ingest, for the evaluation's own tables")
    unit_tokens: int = Field(32768, ge=1, description="as in ingest")
    batch_tokens: int = Field(4096, ge=1, description="as in ingest")


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
