"""What MMEB-V2's tasks are: the records in conf/suite/mmeb_v2."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError

from smart_jobs import config
from smart_jobs.keys import Profile
from smart_jobs.records import UsageError
from smart_jobs.strict import Strict

NAME = "mmeb_v2"
PROFILES: tuple[Profile, ...] = ("qwen", "vlm2vec")

Modality = Literal["image", "video", "visdoc"]
Kind = Literal["text", "image", "video"]
"""What a query shows: `text` is nothing."""

Parser = Literal[
    "image_cls", "image_qa", "image_i2t", "image_t2i", "image_i2i_vg",
    "ssv2", "video_classification", "msrvtt", "msvd", "didemo", "youcook2", "vatex", "moment_retrieval", "momentseeker",
    "videomme", "nextqa", "egoschema", "mvbench", "activitynetqa",
    "vidore", "visrag",
]  # fmt: skip


def _several(value: Any) -> Any:
    return [value] if isinstance(value, str | int) else value


def _bounds(value: Any) -> Any:
    return [value, value] if isinstance(value, int) else value


def _worded(value: Any) -> Any:
    """One instruction for all, or one a profile, or one for each kind of query too -> the last."""
    by_profile = value if isinstance(value, dict) else dict.fromkeys(PROFILES, value)
    return {
        profile: said if isinstance(said, dict) else {"text": said, "image": said, "video": said}
        for profile, said in by_profile.items()
    }


class Record(Strict):
    """One task, as its file says it; the files' own comments say what the keys mean."""

    key: str
    leaderboard: str
    category: str
    modality: Modality
    parser: Parser
    ranking: Literal["global", "local"]
    primary: str
    repo: str
    config: Annotated[tuple[str, ...], BeforeValidator(_several)] = ()
    split: str
    revision: str | None
    jsonl: tuple[str, ...] = ()
    media: tuple[str, ...] = Field(min_length=1)
    frames: dict[Profile, int] | None = None
    clip_frames: dict[Profile, int] | None = None
    limit: int | None = None
    labels: tuple[str, ...] = ()
    graded: bool = False
    queries: int
    per_query: Annotated[tuple[int, int] | None, BeforeValidator(_bounds)] = None
    pool: Annotated[tuple[int, ...], BeforeValidator(_several)] = ()
    instruction: Annotated[dict[Profile, dict[Kind, str]], BeforeValidator(_worded)] = Field({})
    target: str = ""
    stated: dict[Literal["query", "target"], str] = Field({})
    scores: dict[str, float] = Field({})

    def named(self, names: tuple[str, ...]) -> bool:
        """Whether one of these names it, its category or its modality."""
        return not {self.key, self.leaderboard, self.category, self.modality}.isdisjoint(names)


def read(folder: str | None) -> dict[str, Record]:
    """Every task by its key, in the files' order: images, videos, visual documents.

    `folder` None: the one in conf/, which is searched as ever. Raises UsageError, in one line, for what is not there
    and for a record that is not as it should be.
    """
    found = Path(folder) if folder else config.folder_of("suite", NAME, config.conf_folders())
    if found is None or not found.is_dir():
        raise UsageError(f"suite.definition={folder}: no such folder; expected image.yaml, video.yaml and visdoc.yaml")
    return {
        record.key: record
        for modality in ("image", "video", "visdoc")
        for record in _records(found, found / f"{modality}.yaml")
    }


def _records(folder: Path, path: Path) -> list[Record]:
    content = config.read_yaml(path)
    return [
        _record(folder, path, {**content.get("common", {}), **group.get("common", {}), **task,
                               "category": category, "key": key})
        for category, group in content.get("categories", {}).items()
        for key, task in group["tasks"].items()
    ]  # fmt: skip


def _record(folder: Path, path: Path, values: Mapping[str, Any]) -> Record:
    whole = {"leaderboard": values["key"], **values}
    if "labels" in whole:
        whole["labels"] = config.read_yaml(folder / "labels" / f"{whole['labels']}.yaml")["labels"]
    try:
        return Record.model_validate(whole)
    except ValidationError as error:
        item = error.errors()[0]
        where = ".".join(map(str, item["loc"]))
        raise UsageError(f"{path}: {values['key']}: {where}: {item['msg']} (got {item.get('input')!r})") from error
