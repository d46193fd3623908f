"""Made-up states, and what it takes to write them: time beside a raw write's, memory beside the batch's.

Each unit is written three times: raw and unmeasured, by the lake's writer, raw; the last two in turn. What was written
leaves the cache at once. Memory that a virtual machine has not touched for a while is several times slower, and so
falls to the write that does not count.
"""

import os
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from smart_jobs import codec, schema
from smart_jobs.lake import layout, table, writer
from smart_jobs.records import Embedding
from tests.lake_making import make_segment, make_spec, state_rows

UNIT = 48
"""Segments a file: about 100 MB."""
POOL = 64
"""Segments that are drawn; all others are these with their states in another order."""


PIECE = 1 << 21
"""Bytes of one call of the raw write."""


@dataclass(frozen=True, slots=True)
class Made:
    """Segments of about `tokens` states: codes and scales of a few, from which all are put together."""

    tokens: int
    dim: int

    def drawn(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """(scales, codes) of each of the pool."""
        random = np.random.default_rng(0)
        found = []
        for _ in range(POOL):
            n = int(random.integers(max(1, self.tokens * 9 // 10), self.tokens * 11 // 10 + 1))
            data = codec.encode(random.standard_normal((n, self.dim), np.float32), "int8")
            scales = np.frombuffer(data, np.float32, n)
            found.append((scales, np.frombuffer(data, np.int8, offset=4 * n).reshape(n, self.dim)))
        return found

    def units(self, segments: int) -> Iterator[pa.Table]:
        """Rows of hidden_states, `UNIT` at a time; ids are hashes, as a lake's are."""
        pool = self.drawn()
        for start in range(0, segments, UNIT):
            yield self.rows(pool, range(start, min(start + UNIT, segments)))

    def rows(self, pool: Sequence[tuple[np.ndarray, np.ndarray]], numbers: range) -> pa.Table:
        """The rows of these segments."""
        counts = [len(pool[number % POOL][0]) for number in numbers]
        column, parts = writer.blobs([codec.size(n, self.dim, "int8") for n in counts])
        for number, part in zip(numbers, parts, strict=True):
            scales, codes = (np.roll(array, number // POOL, axis=0) for array in pool[number % POOL])
            part[:] = scales.tobytes() + codes.tobytes()
        ids = [make_segment("bench", "v1", number, 1).segment_id for number in numbers]
        dims = pa.array([self.dim] * len(ids), pa.int32())
        return state_rows(pa.array(ids, pa.int64()), pa.array(counts, pa.int32()), dims, ["int8"] * len(ids), column)


def writing(tables: layout.EncoderTables, made: Made, segments: int, folder: Path) -> layout.Snapshot:
    """Fill the lake, and print the writer's speed beside a raw write's, in turn."""
    files, pairs, sizes = [], [], []
    root = Path(tables.table_uri(schema.HIDDEN_STATES))
    for number, rows in enumerate(made.units(segments)):
        seconds = {}
        for who in ("nobody", "ours", "raw") if number % 2 else ("nobody", "raw", "ours"):
            start = time.perf_counter()
            if who == "ours":
                [file] = writer.write_states(tables, rows)
            else:
                raw_write(folder / who, rows)
            seconds[who] = time.perf_counter() - start
            drop([root / file.path if who == "ours" else folder / who])
        for who in ("nobody", "raw"):
            (folder / who).unlink()
        files.append(table.File(file.path, file.size, file.rows, table.stats(file.rows)))
        pairs.append((seconds["ours"], seconds["raw"]))
        sizes.append(rows["states"].nbytes)
    handle = table.open_table(str(root))
    table.commit(handle, table.Change(files, [], {}, {}))
    print(
        f"{segments} segments, {sum(sizes) / 1e9:.2f} GB of states in {len(files)} files; load {os.getloadavg()[0]:.1f}"
    )
    report(pairs, sum(sizes) / 1e9)
    print(f"and encode {encoding(tables, made):6.2f} GB/s", flush=True)
    return layout.Snapshot(tables, table.open_table(tables.table_uri(schema.POOLED)), handle)


def report(pairs: Sequence[tuple[float, float]], size: float) -> None:
    """GB/s of ours and of raw, and their ratio."""
    ours, raw = (sum(seconds) for seconds in zip(*pairs, strict=True))
    ratios = [b / a for a, b in pairs]
    print(f"write      {size / ours:6.2f} GB/s, raw {size / raw:.2f}: {raw / ours:.2f} of it in all; a file "
          f"{statistics.median(ratios):.2f} ({min(ratios):.2f} ... {max(ratios):.2f})")  # fmt: skip


def encoding(tables: layout.EncoderTables, made: Made) -> float:
    """GB/s of stored bytes when a unit's float32 states are encoded as well; the median of five."""
    random = np.random.default_rng(2)
    states = random.standard_normal((made.tokens, made.dim), np.float32)
    good = [(make_segment("bench", "v1", i, UNIT), Embedding(states[0], states)) for i in range(UNIT)]
    rates = []
    for _ in range(5):
        start = time.perf_counter()
        rows = writer._states_rows(tables, good)
        [file] = writer.write_states(tables, rows)
        rates.append(rows["states"].nbytes / 1e9 / (time.perf_counter() - start))
        Path(tables.table_uri(schema.HIDDEN_STATES), file.path).unlink()
        Path(writer.offsets_uri(tables.table_uri(schema.HIDDEN_STATES), file.path)).unlink()
    return statistics.median(rates)


def raw_write(path: Path, rows: pa.Table) -> None:
    """The values one after the other, on the disk when this returns, under a name that is on it too."""
    aside = path.with_suffix(".tmp")
    with aside.open("xb", buffering=0) as handle:
        for chunk in rows["states"].chunks:
            data = memoryview(chunk.buffers()[2])
            for start in range(0, len(data), PIECE):
                assert handle.write(data[start : start + PIECE]) == len(data[start : start + PIECE])
        os.fsync(handle.fileno())
    aside.rename(path)
    descriptor = os.open(path.parent, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def memory(made: Made, folder: str) -> str:
    """What a process needs at most while it writes a batch of 100 MB that it holds, in bytes of the batch."""
    tables = layout.create_encoder(layout.create_lake(folder), make_spec(dim=made.dim), "int8")
    pool = made.drawn()
    writer.write_states(tables, made.rows(pool, range(1)))
    bare = status("VmRSS")
    rows = made.rows(pool, range(max(1, 100_000_000 // (made.tokens * made.dim))))
    Path("/proc/self/clear_refs").write_text("5")
    writer.write_states(tables, rows)
    size = rows["states"].nbytes
    return (f"memory     {(status('VmHWM') - bare) / size:6.2f} x a batch of {size / 1e6:.0f} MB "
            f"in {len(rows)} values, itself included")  # fmt: skip


def status(name: str) -> int:
    """A size in bytes from /proc/self/status."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def drop(files: Sequence[Path]) -> None:
    """Take their pages from the cache."""
    for path in files:
        descriptor = os.open(path, os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)
