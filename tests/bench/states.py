"""Fetching and writing hidden states, beside what the machine can do and beside other ways to keep them.

    python -m tests.bench.states [--folder DIR] [--segments 2000] [--tokens 1020] [--dim 2048] [--wanted 100]

Writes made-up unit vectors as int8 (2 MB a segment, n ragged) into a lake of its own, 4 GB as it stands: each unit by
the lake's writer and as one raw file of the same values in turn, both fsynced, file and folder. Then fetches random
segments, each way in turn: cold (the files' pages dropped by posix_fadvise; what a host below this system keeps is not)
and warm. Bytes are the kernel's counts for this process: read by system calls, and from the disk. What is marked * ran
over a slice and is multiplied.
"""

import argparse
import multiprocessing
import os
import pickle
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads
from deltalake import DeltaTable, write_deltalake

from smart_jobs import schema
from smart_jobs.lake import layout, table
from smart_jobs.lake.reader import READERS, StatesReader
from tests.bench.writing import Made, drop, memory, writing
from tests.lake_making import make_spec


def main() -> None:
    """Write, then fetch."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", help="where to make the lake, on the disk that is measured")
    parser.add_argument("--segments", type=int, default=2000)
    parser.add_argument("--tokens", type=int, default=1020)
    parser.add_argument("--dim", type=int, default=2048)
    parser.add_argument("--wanted", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    made = Made(options.tokens, options.dim)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        spec = make_spec(dim=options.dim)
        tables = layout.create_encoder(layout.create_lake(f"{folder}/lake"), spec, "int8")
        snapshot = writing(tables, made, options.segments, Path(folder))
        for tokens in (options.tokens, 64, 1):
            with multiprocessing.get_context("spawn").Pool(1) as child:
                print(child.apply(memory, (Made(tokens, options.dim), f"{folder}/{tokens}")), flush=True)
        fetching(snapshot, options.wanted, options.repeats, Path(folder))


@dataclass(slots=True)
class Way:
    """A way to get the wanted segments, the files that it reads, and what a slice must be multiplied with."""

    name: str
    fetch: Callable[[], object]
    files: Sequence[Path]
    times: float = 1


def fetching(snapshot: layout.Snapshot, wanted: int, repeats: int, folder: Path) -> None:
    """Fetch each way in turn and print medians with their range."""
    places = places_of(snapshot)
    random = np.random.default_rng(1)
    ids = random.choice(np.array(sorted(places)), wanted, replace=False)
    asked = sum(places[key][2] for key in ids.tolist())
    measured: dict[str, dict[bool, list[tuple[float, int, int]]]] = defaultdict(lambda: {True: [], False: []})
    ways = [*ours(snapshot, ids, places), *raws(ids, places), *pickles(snapshot, ids, len(places), folder),
            *filters(snapshot, ids, folder, len(places))]  # fmt: skip
    for _ in range(repeats):
        for way in ways:
            drop(way.files)
            for cold in (True, False):
                measured[way.name][cold].append(timed(way))
    first = {cold: [run[0] for run in measured[ways[0].name][cold]] for cold in (True, False)}
    print(f"\n{wanted} random segments, {asked / 1e6:.1f} MB stored, {repeats} repeats in turn, {READERS} threads in "
          f"ours and in preadv; load {os.getloadavg()[0]:.1f}")  # fmt: skip
    print(f"{'':<34} {'':<4} {'ms':>8} {'range':>17} {'x ours':>10} {'read/asked':>10} {'disk/asked':>10}")
    for way in ways:
        for cold in (True, False):
            seconds, read, disk = zip(*measured[way.name][cold], strict=True)
            ratio = statistics.median(a / b for a, b in zip(seconds, first[cold], strict=True))
            spread = f"{1e3 * min(seconds):.0f} ... {1e3 * max(seconds):.0f}"
            print(
                f"{way.name:<34} {'cold' if cold else 'warm'} {1e3 * statistics.median(seconds):8.1f} {spread:>17} "
                f"{ratio:10.2f} {statistics.median(read) / asked:10.3f} {statistics.median(disk) / asked:10.3f}"
            )


def timed(way: Way) -> tuple[float, int, int]:
    """Seconds, bytes read by system calls, bytes read from the disk."""
    before = counted()
    start = time.perf_counter()
    found = way.fetch()
    seconds = time.perf_counter() - start
    after = counted()
    del found
    read, disk = (int(way.times * (b - a)) for a, b in zip(before, after, strict=True))
    return way.times * seconds, read, disk


def counted() -> tuple[int, int]:
    """rchar and read_bytes of this process."""
    counts = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(counts["rchar"]), int(counts["read_bytes"])


Places = dict[int, tuple[Path, int, int]]
"""Where the value of each segment lies: file, offset, length."""


def places_of(snapshot: layout.Snapshot) -> Places:
    """By the offsets beside the files."""
    root = Path(snapshot.tables.table_uri(schema.HIDDEN_STATES))
    found = {}
    for path in sorted((root / "_offsets").glob("*.arrow")):
        data = root / f"{path.stem}.parquet"
        for row in pa.ipc.open_file(path).read_all().to_pylist():
            found[row["segment_id"]] = (data, row["offset"], row["length"])
    return found


def ours(snapshot: layout.Snapshot, ids: np.ndarray, places: Places) -> list[Way]:
    """As stored, with and without reading the offsets first, and decoded."""
    data = sorted({path for path, _, _ in places.values()})
    offsets = sorted(data[0].parent.glob("_offsets/*.arrow"))
    reader = StatesReader(snapshot)
    return [
        Way("ours, as stored", lambda: reader.stored(ids), data),
        Way("ours, as stored, offsets read too", lambda: StatesReader(snapshot).stored(ids), [*data, *offsets]),
        Way("ours, decoded to float32", lambda: reader.read(ids), data),
    ]


def raws(ids: np.ndarray, places: Places) -> list[Way]:
    """The same ranges by preadv and as many threads, into new memory and into memory that was used before."""
    by_file = defaultdict(list)
    for key in ids.tolist():
        path, offset, length = places[key]
        by_file[path].append((offset, length))
    kept = {path: [np.ones(length, np.uint8) for _, length in found] for path, found in by_file.items()}

    def new(path: Path) -> list[np.ndarray]:
        return [np.empty(length, np.uint8) for _, length in by_file[path]]

    def fetch(memory: Callable[[Path], list[np.ndarray]]) -> list[list[np.ndarray]]:
        def one(path: Path) -> list[np.ndarray]:
            arrays = memory(path)
            descriptor = os.open(path, os.O_RDONLY)
            for (offset, length), array in sorted(zip(by_file[path], arrays, strict=True), key=lambda item: item[0]):
                assert os.preadv(descriptor, [array], offset) == length
            os.close(descriptor)
            return arrays

        with ThreadPoolExecutor(READERS) as pool:
            return list(pool.map(one, by_file))

    return [
        Way("preadv", lambda: fetch(new), list(by_file)),
        Way("preadv, into memory in use", lambda: fetch(kept.__getitem__), list(by_file)),
    ]


def pickles(snapshot: layout.Snapshot, ids: np.ndarray, segments: int, folder: Path) -> list[Way]:
    """One for each of the wanted segments, float32 and as stored, and one for all as evaluators keep it."""
    reader = StatesReader(snapshot)
    stored, arrays = [], {}
    for key in ids.tolist():
        blob = reader.stored(np.array([key]))["states"][0].as_py()
        arrays[key] = reader.read(np.array([key])).values
        for name, value in (("stored", blob), ("float32", arrays[key])):
            stored.append(folder / f"{key}.{name}.pickle")
            stored[-1].write_bytes(pickle.dumps(value, pickle.HIGHEST_PROTOCOL))
    whole = folder / "all.pickle"
    with whole.open("wb") as handle:
        pickle.dump(arrays, handle, pickle.HIGHEST_PROTOCOL)
    os.sync()

    def load(suffix: str) -> list[object]:
        return [pickle.loads(path.read_bytes()) for path in stored if path.name.endswith(suffix)]

    return [
        Way("a pickle each, as stored", lambda: load("stored.pickle"), stored),
        Way("a pickle each, float32", lambda: load("float32.pickle"), stored),
        Way("* one pickle for all, float32", lambda: pickle.loads(whole.read_bytes()), [whole], segments / len(ids)),
    ]


def filters(snapshot: layout.Snapshot, ids: np.ndarray, folder: Path, segments: int) -> list[Way]:
    """A pyarrow filter on the lake's table, and on some of its rows as deltalake writes them by default."""
    handle = snapshot.hidden_states
    some = handle.file_uris()[: max(1, len(handle.file_uris()) // 8)]
    rows = pads.dataset([uri.removeprefix("file://") for uri in some], format="parquet").to_table()
    target = folder / "default"
    write_deltalake(str(target), rows)
    os.sync()
    wanted = pc.field("segment_id").isin(ids)
    plain = DeltaTable(str(target))
    return [
        Way("pyarrow filter, same table", lambda: table.dataset(handle).to_table(filter=wanted),
            [Path(uri.removeprefix("file://")) for uri in handle.file_uris()]),
        Way("* pyarrow filter, default table", lambda: plain.to_pyarrow_dataset().to_table(filter=wanted),
            list(target.glob("*.parquet")), segments / rows.num_rows),
    ]  # fmt: skip


if __name__ == "__main__":
    main()
