"""A miniature of MMEB-V2's download: all 78 tasks, in each form that annotations come in, with tiny media."""

import io
import json
import zlib
from pathlib import Path

import mmeb_rows
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from PIL import Image

from smart_jobs.evaluate.mmeb import definition

FORMS = ("repository", "download", "arrow")
IN_PARQUET = "ViDoRe_tabfquad"
"""The task whose images are in its annotations only, where these are Parquet."""

CORRUPT = "NIGHTS/sub/Image_1.jpg"
LACKING = ("Wiki-SS-NQ/sub/Image_2.jpg", "OVEN/Query_0.jpg")
EMPTY = {"YouCook2": "YouCook2_0", "QVHighlight": "a.1/negative_clip_2", "Video-MME": "mme1"}
GONE = {"VATEX": "VATEX_1", "MomentSeeker": "video_frames/movie_x"}
"""What is broken: an image that cannot be decoded, images that are not there, folders without frames, no folders."""


def make(root: Path, form: str = "repository", place: int = 0, broken: bool = True) -> str:
    """Write the benchmark into `root`; the folder of a definition whose counts are the miniature's.

    `place`: which of the folders that media may lie in they do.
    """
    found = {}
    for number, record in enumerate(definition.read(None).values()):
        made = mmeb_rows.rows_of(record)
        found[record.key] = _counts(record, made)
        media = root / record.media[min(place, len(record.media) - 1)]
        media.mkdir(parents=True, exist_ok=True)
        _annotate(root, record, made, form, number)
        if record.key != IN_PARQUET or form == "arrow":
            _images(media, made.images, broken)
        for folder, count in made.videos.items():
            if not broken or GONE.get(record.key) != folder:
                _frames(media / folder, 0 if broken and EMPTY.get(record.key) == folder else count)
        if record.parser == "moment_retrieval":
            (media / "a.1" / "notes.txt").write_text("no clip")
    return _define(root / "definition", found)


def _annotate(root, record, made, form, number):
    for part, rows in made.parts.items():
        rows = [dict(row) for row in rows]
        for row in rows if part == "corpus" else ():
            row["image"] = {"bytes": picture(f"{record.key}/{row['image']}"), "path": row["image"]}
        WRITERS[form](root, record, part, rows, number)


def _repository(root, record, part, rows, number):
    """Parquet in two parts; every second image task in the images' own folder, MVBench as lists."""
    name = record.repo.rpartition("/")[2]
    if record.modality == "image":
        folder = root / "image-tasks" / ("." if number % 2 else name) / record.key
    elif record.key == "MVBench":
        return _json(root / "video-tasks" / name / "json" / f"{part}.json", rows, lines=False)
    elif record.modality == "visdoc":
        folder = root / "visdoc-tasks" / name / part
    else:
        folder = root / "video-tasks" / name / (record.config[0] if record.config else "data")
    _parquet(folder / f"{record.split}-00000-of-00002.parquet", rows[:2])
    return _parquet(folder / f"{record.split}-00001-of-00002.parquet", rows[2:])


def _download(root, record, part, rows, number):
    """Lines, and the visual documents' tar; images, which have no such form, in the repository's own folder."""
    if record.modality == "image":
        return _parquet(root / record.repo / record.key / record.split / "0000.parquet", rows)
    if record.modality == "visdoc":
        name = record.repo.rpartition("/")[2]
        return _parquet(root / "visdoc-tasks/data" / name / part / f"{record.split}-00000-of-00001.parquet", rows)
    if record.key == "SmthSmthV2":
        rows[0]["video_id"] = str(rows[0]["video_id"])
    rows = [{**row, "subset": part} if part else row for row in rows]
    return _json(root / "video-tasks/data" / f"{record.jsonl[0]}.jsonl", rows, lines=True)


def _arrow(root, record, part, rows, number):
    """As `save_to_disk` leaves a dataset, or each split of several."""
    folder = root / "annotation" / record.repo / (part or (record.config[0] if record.config else ""))
    folder = folder / record.split if number % 2 else folder
    folder.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist(rows)
    with pa.ipc.new_stream(str(folder / "data-00000-of-00001.arrow"), table.schema) as stream:
        stream.write_table(table, max_chunksize=2)
    (folder / "dataset_info.json").write_text("{}")
    state = {"_data_files": [{"filename": "data-00000-of-00001.arrow"}], "_split": record.split}
    (folder / "state.json").write_text(json.dumps(state))


WRITERS = {"repository": _repository, "download": _download, "arrow": _arrow}


def _parquet(path, rows):
    if rows:
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(rows), path)


def _json(path, rows, *, lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    if lines:
        with path.open("a") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
    else:
        path.write_text(json.dumps(rows))


def picture(name: str, side: int = 0) -> bytes:
    """A PNG or JPEG of four coloured squares that its name chooses, between 32 and 64 pixels a side."""
    seed = zlib.crc32(name.encode())
    width, height = (side, side) if side else (32 + seed % 33, 32 + seed // 64 % 33)
    squares = np.random.RandomState(seed).randint(0, 256, (2, 2, 3)).astype(np.uint8)
    buffer = io.BytesIO()
    image = Image.fromarray(squares).resize((width, height), Image.Resampling.NEAREST)
    image.save(buffer, "JPEG" if name.lower().endswith(("jpg", "jpeg")) else "PNG")
    return buffer.getvalue()


def _images(media, paths, broken):
    for path in paths:
        if not broken or path not in LACKING:
            content = picture(f"{media.name}/{path}")
            (media / path).parent.mkdir(parents=True, exist_ok=True)
            (media / path).write_bytes(content[: len(content) // 2] if broken and path == CORRUPT else content)


def _frames(folder, count):
    """Numbered with zeros in front, from 1 as ffmpeg or from 0 as OpenCV does, or without; something else beside."""
    folder.mkdir(parents=True, exist_ok=True)
    kind = zlib.crc32(folder.name.encode()) % 3
    for i in range(count):
        name = (f"frame_{i + 1:04d}.jpg", f"{i:04d}.jpeg", f"Frame_{i}.JPG")[kind]
        (folder / name).write_bytes(picture(f"{folder.parent.name}/{folder.name}/{i}.jpg", side=32))
    (folder / "frames.txt").write_text("no frame")


def _define(folder, found):
    """The shipped definition with the miniature's counts."""
    shipped = Path(__file__).parents[1] / "conf" / "suite" / definition.NAME
    (folder / "labels").mkdir(parents=True, exist_ok=True)
    for path in (shipped / "labels").glob("*.yaml"):
        (folder / "labels" / path.name).write_bytes(path.read_bytes())
    for path in shipped.glob("*.yaml"):
        content = yaml.safe_load(path.read_text())
        for category in content["categories"].values():
            for key, task in category["tasks"].items():
                task |= found[key]
        (folder / path.name).write_text(yaml.safe_dump(content, sort_keys=False))
    return str(folder)


def _counts(record, made):
    counts = {"queries": sum(len(rows) for part, rows in made.parts.items() if part not in ("corpus", "qrels"))}
    if record.modality == "visdoc":
        counts["pool"] = len(made.parts["corpus"])
    elif record.pool and not record.labels:
        counts["pool"] = counts["queries"]
    return {**counts, "per_query": None} if record.per_query else counts
