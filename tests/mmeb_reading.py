"""A task of MMEB-V2 from rows that a test gives."""

import json

from smart_jobs.evaluate.mmeb import definition, suite
from smart_jobs.evaluate.mmeb.annotations import Annotations
from smart_jobs.evaluate.mmeb.media import Media
from smart_jobs.evaluate.mmeb.source import Source

RECORDS = definition.read(None)


def task_of(root, key, rows, profile="qwen", **changed):
    """The task whose annotation is `rows`, a list or lists by config, with its record `changed`."""
    record = RECORDS[key].model_copy(update=changed)
    parts = {}
    for config, content in (rows if isinstance(rows, dict) else {"": rows}).items():
        path = root / f"{config or 'rows'}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in content))
        parts[config] = (str(path),)
    media = Media(str(root), record.media, apart=record.modality == "image")
    return suite.loaded(Source(record, Annotations("download", ".", parts), media), suite.DIALECTS[profile])
