"""An index that holds what pooled does not -> one with the vectors of pooled as it is now, trained as before."""

import secrets

import faiss
import numpy as np

from smart_jobs import storage
from smart_jobs.index import build, manifest
from smart_jobs.index.manifest import INDEX_FILE, Manifest, Pin, Training


def ids_of(index: faiss.Index) -> np.ndarray:
    """The ids (n,) int64 that an index of ours holds."""
    if not isinstance(index, faiss.IndexIVF):
        return np.asarray(faiss.vector_to_array(index.id_map), np.int64)
    lists = index.invlists
    parts = [faiss.rev_swig_ptr(lists.get_ids(i), lists.list_size(i)).copy() for i in range(lists.nlist)]
    return np.concatenate([np.empty(0, np.int64), *parts])


def change(index: faiss.Index, removed: np.ndarray, added: np.ndarray, vectors: np.ndarray) -> None:
    """Take the ids `removed` (n,) out, add `added` (m,) with `vectors` (m, d). Raises ValueError for a double id."""
    if len(removed):
        index.remove_ids(np.ascontiguousarray(removed, np.int64))
    if not len(added):
        return
    if len(twice := np.intersect1d(ids_of(index), added)):
        raise ValueError(f"id {twice[0]} is there twice")
    index.add_with_ids(np.ascontiguousarray(vectors), np.ascontiguousarray(added, np.int64))


def again(
    made: Manifest, index: faiss.Index, pins: tuple[Pin, Pin], training: Training | None, index_id: str
) -> tuple[Manifest, dict[str, bytes]]:
    """The manifest and files of an index that was changed, built from these pins of pooled and hidden_states.

    Its time, the recall that was measured and what was judged are those of the index that it was before.
    """
    files = {INDEX_FILE: build.save(index)}
    update = {
        "index_id": index_id,
        "vectors": index.ntotal,
        "built_from": pins[0],
        "hidden_states": pins[1],
        "bytes": sum(len(data) for data in files.values()),
        "files": manifest.entries(files),
        "training": training,
    }
    return made.model_copy(update=update), files


def refresh(folder: str, ids: np.ndarray, vectors: np.ndarray, pooled: Pin, hidden_states: Pin) -> Manifest:
    """Write the index of `folder` again under an id of its own, and delete the old one.

    Then it holds `ids` (n,) with their `vectors` (n, d) and nothing else, so it was built from the versions given;
    recall is what was measured before. A crash leaves the old one, or both, of which the new one counts as newer.
    """
    made = manifest.read(folder)
    index = build.load(manifest.read_index_bytes(folder, made))
    before = ids_of(index) if build.changeable(made.factory) else np.empty(0, np.int64)
    if not len(before):
        index.reset()
    gone, fresh = np.setdiff1d(before, ids), ~np.isin(ids, before)
    change(index, gone, ids[fresh], vectors[fresh])
    training = made.training and made.training.model_copy(
        update={"added": made.training.added + int(fresh.sum()), "removed": made.training.removed + len(gone)}
    )
    new, files = again(made, index, (pooled, hidden_states), training, f"{made.index_id}-{secrets.token_hex(3)}")
    manifest.write(storage.join(folder.rpartition("/")[0], new.index_id), new, files)
    storage.delete(storage.join(folder, manifest.MANIFEST))
    for name in made.files:
        storage.delete(storage.join(folder, name))
    return new
