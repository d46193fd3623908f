"""The groups of keys that jobs share, as frozen, strict models: sources, encoders, lakes, clusters and how to cut."""

from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, FiniteFloat

from smart_jobs.masks import Mask
from smart_jobs.records import REASONS, Codec, Side
from smart_jobs.sampling import Sampling
from smart_jobs.strict import Strict

Family = Literal["text", "qwen3_vl", "gme", "vlm2vec", "lamra", "jina_v4", "colpali", "clip", "siglip"]
Pooling = Literal["mean", "cls", "last", "before_emb", "mean_states", "model"]
Profile = Literal["qwen", "vlm2vec"]


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


MOST_VALUES = 1000


def _split(value: Any) -> list[Any]:
    """`a,b` and `[a, b]` alike."""
    items = value if isinstance(value, list | tuple) else [value]
    return [part for item in items for part in (item.split(",") if isinstance(item, str) else [item])]


def _grid(value: Any) -> list[Any]:
    """Numbers one by one, or start:stop:step with the stop among them where a step hits it."""
    return [number for item in _split(value) for number in (_steps(item) if ":" in str(item) else [item])]


def _steps(item: str) -> list[float]:
    try:
        start, stop, step = (Decimal(part.strip()) for part in item.split(":"))
        count = int((stop - start) / step) + 1
    except (InvalidOperation, ValueError, ArithmeticError):
        raise ValueError("expected numbers, or start:stop:step as in 0:2:0.1") from None
    if step <= 0 or not 1 <= count <= MOST_VALUES:
        raise ValueError(f"expected start:stop:step upwards in at most {MOST_VALUES:,} steps")
    return [float(start + i * step) for i in range(count)]


Grid = Annotated[tuple[FiniteFloat, ...], BeforeValidator(_grid)]
"""Numbers, written `0:2:0.1` or `0,0.5,1` or both."""

Reasons = Annotated[tuple[Annotated[str, AfterValidator(_reason)], ...], BeforeValidator(_listed)]


class Columns(Strict):
    """Which columns of a table source are what."""

    id: str = Field("id", description="column that names a row; row number where the table has none")
    text: str = Field("text", description="column with the text to embed")
    title: str | None = Field(None, description="column that is put before the text")
    image: str | None = Field(
        None,
        description="column with an image that goes with the text: path or URI, in Parquet and Delta its bytes too",
    )
    video: str | None = Field(None, description="the same for a video")
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

    name: Literal["beir", "mmeb_v2", "folders", "pairs"] = Field("beir", description="the layout of its folder")
    path: str = Field(
        description="its folder: of beir with queries.jsonl, qrels/ and, for candidates=corpus, corpus.jsonl"
    )
    split: str = Field("test", description="of beir and folders")
    tasks: tuple[str, ...] = Field((), description="names, categories or modalities of tasks to score; none: all")
    profile: Profile | None = Field(
        None, description="mmeb_v2: who words instructions and chooses frames; null: as the encoder's family does"
    )
    definition: str | None = Field(
        None, description="folder with the tasks' records; null: the one of the suite's name beside its YAML"
    )
    candidates: Literal["corpus", "lake"] = Field(
        "corpus", description="lake: rank the pages that are in the lake already, nothing is encoded but queries"
    )


class Sweep(Strict):
    """Ways to score, all from the states that are stored: every combination is a point; nothing is encoded for them."""

    lambda_pooled: Grid = Field((), description="weights in hybrid: numbers, or start:stop:step as in 0:2:0.1")
    lambda_late: Grid = Field((), description="the same for the late score")
    mask: Annotated[tuple[Mask, ...], BeforeValidator(_split)] = Field((), description="as mask, one point each")
    mask_query: Annotated[tuple[Mask, ...], BeforeValidator(_split)] = Field((), description="as mask_query")
    codec: Annotated[tuple[Codec, ...], BeforeValidator(_split)] = Field((), description="as codec")

    @property
    def wanted(self) -> bool:
        """Whether there is anything to sweep."""
        return any((self.lambda_pooled, self.lambda_late, self.mask, self.mask_query, self.codec))
