"""Folders that `datasets.save_to_disk` wrote."""

import json

from smart_jobs import storage
from smart_jobs.records import UsageError


def files(folder: str) -> tuple[str, ...]:
    """The Arrow files of a saved dataset, in the order of their rows; none where the folder is no such one.

    Raises UsageError where its state cannot be read.
    """
    uri = storage.join(folder, "state.json")
    if not storage.exists(uri):
        return ()
    try:
        state = json.loads(storage.read_bytes(uri))
        return tuple(storage.join(folder, file["filename"]) for file in state["_data_files"])
    except (ValueError, TypeError, KeyError) as error:
        raise UsageError(f"{uri}: expected the state of a saved dataset, with `_data_files`") from error
