"""What an index folder holds and where it came from: the manifest, written last, makes the folder count."""

from collections.abc import Mapping

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from smart_jobs import storage
from smart_jobs.records import JobError, content_version

MANIFEST = "manifest.json"
INDEX_FILE = "index.faiss"


class Pin(BaseModel):
    """One version of one table, by the table's own id: a table made anew under the same name is another."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    table_id: str
    version: int = Field(ge=0)


class FileEntry(BaseModel):
    """What a file must look like when it is read: its size in bytes and the blake2b-128 of them, as 32 hex digits."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int = Field(ge=0)
    blake2b: str


class Training(BaseModel):
    """What an index was trained on, and what has come and gone since.

    It was trained `at` that time on `rows` of the `vectors` that `version` of pooled had; `misfit` is the mean squared
    distance of a sample of these from the centroids of their lists, null for an exact index. Since then `added` vectors
    came, with a mean distance of `added_misfit`, and `removed` went.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    at: AwareDatetime
    version: int = Field(ge=0)
    vectors: int = Field(ge=0)
    rows: int = Field(ge=0)
    misfit: float | None
    added: int = Field(0, ge=0)
    removed: int = Field(0, ge=0)
    added_misfit: float | None = None


class Judged(BaseModel):
    """What an evaluation found of an index: nDCG@10 of hybrid over every segment, and over what the index passed on.

    The rest of it is in the table evaluations, under `run_id`. `candidates` segments were passed on for each query.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    run_id: str
    queries: int = Field(ge=0)
    candidates: int = Field(ge=1)
    exhaustive: float
    two_stage: float


class Manifest(BaseModel):
    """One index: what it was built from, how, how good it is, and the files that make it up.

    `encoder` is name-digest and `spec` the digest alone; `bytes` is the sum over `files`. `recall_at_10` is that of its
    ten first answers to stored vectors, null where there was nothing to compare. `stage_one` has, for each kind of
    query, the share of the exact ten nearest among the candidates that are passed on: `candidates` of them, or the
    default where that is null. Both were measured when it was trained or tuned; `tuned` is the share that lists and
    candidates were chosen for. `rerank` says whether candidates are ordered by their stored vectors. `training` is null
    in an index of an older release. `judged` has, for each task that was evaluated over the lake's own segments, as
    `<suite>/<task>`, what its last evaluation found; it is all that ever changes in a manifest, and is carried on until
    the index is built or tuned anew.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    index_id: str
    encoder: str
    spec: str
    factory: str
    nprobe: int = Field(ge=1)
    vectors: int = Field(ge=0)
    dim: int = Field(ge=1)
    built_from: Pin
    hidden_states: Pin
    recall_at_10: float | None
    recall_queries: int = Field(ge=0)
    bytes: int = Field(ge=0)
    files: Mapping[str, FileEntry]
    created_at: AwareDatetime
    faiss_version: str
    train_seconds: float
    why: str
    training: Training | None = None
    rerank: bool = False
    candidates: int | None = Field(None, ge=1)
    tuned: float | None = Field(None, gt=0, le=1)
    stage_one: Mapping[str, float] = {}
    judged: Mapping[str, Judged] = {}


def entries(files: Mapping[str, bytes]) -> dict[str, FileEntry]:
    """The `files` of a manifest, from the bytes that are going to be written."""
    return {name: FileEntry(size=len(data), blake2b=content_version(data)) for name, data in files.items()}


def write(folder_uri: str, manifest: Manifest, files: Mapping[str, bytes]) -> None:
    """Write the files of a new index, and the manifest when they are all there.

    A crash before the last step leaves a folder without a manifest, which every reader ignores. Raises ValueError
    where `files` are not those of the manifest, and FileExistsError where the folder has one: an index never changes,
    only what is `judged` of it.
    """
    if manifest.files != entries(files):
        raise ValueError(f"the files of index {manifest.index_id} are not those of its manifest")
    last = storage.join(folder_uri, MANIFEST)
    if storage.exists(last):
        raise FileExistsError(f"{last} is there already")
    for name, data in files.items():
        storage.write_bytes(storage.join(folder_uri, name), data)
    storage.write_bytes(last, manifest.model_dump_json(indent=2).encode())


def judge(folder_uri: str, name: str, judged: Judged) -> None:
    """Note in a manifest what an evaluation found of its index, in place of what an earlier one found under this name.

    A crash leaves the manifest as it was; of two notes at the same moment one may be lost, the tables have both. Where
    the index has been deleted meanwhile there is nothing to note.
    """
    uri = storage.join(folder_uri, MANIFEST)
    if storage.exists(uri):
        made = read(folder_uri)
        noted = made.model_copy(update={"judged": {**made.judged, name: judged}})
        storage.write_bytes(uri, noted.model_dump_json(indent=2).encode())


def read(folder_uri: str) -> Manifest:
    """The manifest of a complete index. Raises JobError where there is none, or it is not one of ours."""
    uri = storage.join(folder_uri, MANIFEST)
    try:
        return Manifest.model_validate_json(storage.read_bytes(uri))
    except FileNotFoundError as error:
        raise JobError(f"{uri} is missing: the index was not finished; build it again") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise JobError(f"{uri} is damaged ({where}: {first['msg']}): build the index again") from error


def read_index_bytes(folder_uri: str, manifest: Manifest) -> bytes:
    """The bytes of the index file, equal to those written. Raises JobError, naming the file, if missing or damaged."""
    uri = storage.join(folder_uri, INDEX_FILE)
    try:
        data = storage.read_bytes(uri)
    except FileNotFoundError as error:
        raise JobError(f"{uri} is missing: build the index again") from error
    wanted = manifest.files.get(INDEX_FILE)
    if wanted is None:
        raise JobError(f"{uri} is not in its manifest: build the index again")
    if len(data) != wanted.size:
        raise JobError(f"{uri} is damaged: {len(data):,} bytes instead of {wanted.size:,}; build the index again")
    if content_version(data) != wanted.blake2b:
        raise JobError(f"{uri} is damaged: its checksum is not the manifest's; build the index again")
    return data


def newest(indexes_uri: str) -> tuple[str, Manifest] | None:
    """The folder and manifest of the index made last, None where there is none; unfinished folders do not count.

    Raises JobError for a damaged manifest, rather than answer from an older index in silence.
    """
    found = [uri.rsplit("/", 1)[0] for uri, _ in storage.list_files(indexes_uri) if uri.endswith(f"/{MANIFEST}")]
    return max(
        ((folder, read(folder)) for folder in found),
        key=lambda item: (item[1].created_at, item[1].index_id),
        default=None,
    )
