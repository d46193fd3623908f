"""An index that holds what pooled does not -> one with the vectors of pooled as it is now, trained as before."""

import secrets

import faiss
import numpy as np

from smart_jobs import storage
from smart_jobs.index import build, manifest
from smart_jobs.index.manifest import INDEX_FILE, Manifest, Pin


def ids_of(index: faiss.Index) -> np.ndarray:
    """The ids (n,) int64 that an index of ours holds."""
    if not isinstance(index, faiss.IndexIVF):
        return np.asarray(faiss.vector_to_array(index.id_map), np.int64)
    lists = index.invlists
    parts = [faiss.rev_swig_ptr(lists.get_ids(i), lists.list_size(i)).copy() for i in range(lists.nlist)]
    return np.concatenate([np.empty(0, np.int64), *parts])


def refresh(folder: str, ids: np.ndarray, vectors: np.ndarray, pooled: Pin, hidden_states: Pin) -> Manifest:
    """Write the index of `folder` again under an id of its own, and delete the old one.

    Then it holds `ids` (n,) with their `vectors` (n, d) and nothing else, so it was built from the versions given;
    recall is what was measured before. A crash leaves the old one, or both, of which the new one counts as newer.
    """
    made = manifest.read(folder)
    index = build.load(manifest.read_index_bytes(folder, made))
    before = ids_of(index)
    if gone := np.setdiff1d(before, ids).tolist():
        index.remove_ids(np.asarray(gone, np.int64))
    fresh = ~np.isin(ids, before)
    if fresh.any():
        index.add_with_ids(np.ascontiguousarray(vectors[fresh]), ids[fresh])
    files = {INDEX_FILE: build.save(index)}
    again = made.model_copy(
        update={
            "index_id": f"{made.index_id}-{secrets.token_hex(3)}",
            "vectors": len(ids),
            "built_from": pooled,
            "hidden_states": hidden_states,
            "bytes": sum(len(data) for data in files.values()),
            "files": manifest.entries(files),
        }
    )
    manifest.write(storage.join(folder.rpartition("/")[0], again.index_id), again, files)
    storage.delete(storage.join(folder, manifest.MANIFEST))
    for name in made.files:
        storage.delete(storage.join(folder, name))
    return again
