"""Reading states: exactly those asked for, in the order asked for, and little else from the disk."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lake_making import Doc, Run, embed, make_committer, make_receipt, make_segment, make_spec, make_tables, rows_of

from smart_jobs import codec, schema, storage
from smart_jobs.lake import groups, known, layout, table, writer
from smart_jobs.lake.commit import Committer
from smart_jobs.lake.lease import Lease
from smart_jobs.lake.reader import StatesReader
from smart_jobs.lake.states import runs
from smart_jobs.records import Embedding, JobError
from smart_jobs.upkeep.transcode import transcode

FILES, PER_FILE = 4, 6


def filled(folder, name="float32", files=FILES, per_file=PER_FILE):
    """A lake with `files` states files, and what must be read for each id."""
    tables = make_tables(folder, name)
    committer = make_committer(tables)
    expected = {}
    for file in range(files):
        segments = [make_segment(f"u{file}", "v1", i, per_file) for i in range(per_file)]
        for segment in segments:
            states = embed(segment).states
            expected[segment.segment_id] = codec.decode(codec.encode(states, name), *states.shape, name)
        committer.add(make_receipt(tables, segments))
        if file % 2:
            committer.commit()
    committer.commit()
    return tables, expected


@pytest.fixture(scope="module", params=codec.CODECS)
def lake(request, tmp_path_factory):
    return filled(tmp_path_factory.mktemp(request.param), request.param)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_ids_in_any_order_give_their_states_in_that_order(lake, data):
    tables, expected = lake
    ids = data.draw(st.lists(st.sampled_from(sorted(expected)), max_size=40))
    found = StatesReader(layout.snapshot(tables)).read(np.array(ids, np.int64))
    parts = [expected[key] for key in ids]
    np.testing.assert_array_equal(found.offsets, np.cumsum([0, *(len(part) for part in parts)]))
    np.testing.assert_array_equal(found.values, np.concatenate(parts) if parts else np.empty((0, 4), np.float32))


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(0, 200))
def test_packed_gives_each_id_once_as_it_is_stored_and_no_more_bytes_than_asked(lake, data, most):
    tables, expected = lake
    ids = np.array(data.draw(st.lists(st.sampled_from(sorted(expected)), max_size=20)), np.int64)
    reader, seen = StatesReader(layout.snapshot(tables)), []
    for which, found in reader.packed(ids, most):
        stored = reader.stored(ids[which])["states"].to_pylist()
        assert len(which) == 1 or sum(map(len, stored)) <= most
        for i, value in enumerate(stored):
            rows = slice(found.offsets[i], found.offsets[i + 1])
            assert found.factors[rows].tobytes() + found.rows[rows].tobytes() == value
            states = codec.decode(value, len(found.rows[rows]), found.dim, found.codec)
            np.testing.assert_array_equal(states, expected[ids[which][i]])
        seen += which.tolist()
    assert sorted(seen) == list(range(len(ids)))


@given(st.lists(st.integers(1, 9), max_size=20), st.integers(0, 40))
def test_runs_cover_everything_once_within_their_size(sizes, most):
    ends = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
    found = runs(ends, most)
    assert [i for first, last in found for i in range(first, last)] == list(range(len(sizes)))
    assert all(last - first == 1 or ends[last] - ends[first] <= most for first, last in found)


def test_some_of_what_is_packed_is_a_copy_of_those_segments(lake):
    tables, expected = lake
    ids = np.array(sorted(expected))[:8]
    reader = StatesReader(layout.snapshot(tables))
    [(_, whole)], [(_, wanted)] = (list(reader.packed(some, 1 << 20)) for some in (ids, ids[[5, 0, 6]]))
    found = whole.take(np.array([5, 0, 6]))
    for name in ("factors", "rows", "offsets"):
        np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name))


def test_an_empty_lake_has_no_states_and_says_so(tmp_path):
    reader = StatesReader(layout.snapshot(make_tables(tmp_path)))
    assert reader.read(np.empty(0, np.int64)).values.shape == (0, 4)
    assert not list(reader.packed(np.empty(0, np.int64), 1))
    with pytest.raises(JobError, match="segment 7: "):
        reader.read(np.array([7]))


@pytest.mark.parametrize("missing", [0, 5, 2**63 - 1])
def test_an_id_that_the_lake_lacks_is_named(lake, missing):
    tables, expected = lake
    with pytest.raises(JobError, match=f"segment {missing}: pooled names it, hidden_states lacks it"):
        StatesReader(layout.snapshot(tables)).read(np.array([*expected, missing]))


def stored_as(embedding, name):
    return codec.decode(codec.encode(embedding.states, name), *embedding.states.shape, name)


@pytest.mark.parametrize("name", codec.CODECS)
def test_stored_queries_keep_full_precision_beside_documents_of_any_codec(tmp_path, name):
    tables = make_tables(tmp_path, name)
    document, other = make_segment("d", "v1", 0, 1), make_segment("q", "v1", 0, 1)
    query = replace(other, side="query")
    committer = make_committer(tables)
    committer.add(make_receipt(tables, [document, query]))
    committer.commit()
    found = StatesReader(layout.snapshot(tables)).read(np.array([document.segment_id, query.segment_id]))
    packed = list(StatesReader(layout.snapshot(tables)).packed(np.array([document.segment_id, query.segment_id]), 99))
    assert {(part.codec, i) for which, part in packed for i in which.tolist()} == {(name, 0), ("float32", 1)}
    at = found.offsets[1]
    np.testing.assert_array_equal(found.values[:at], stored_as(embed(document), name))
    np.testing.assert_array_equal(found.values[at:], codec.unit(embed(query).states))
    named = {row["segment_id"]: row["codec"] for row in rows_of(tables, schema.HIDDEN_STATES)}
    assert named == {document.segment_id: name, query.segment_id: "float32"}


def test_after_a_transcoding_every_version_is_read_by_its_own_codecs(tmp_path):
    tables, expected = filled(tmp_path, "int8")
    old = layout.snapshot(tables)
    name = sorted(table.files_of(old.hidden_states))[0]
    root = tables.table_uri(schema.HIDDEN_STATES)
    rows = transcode(pq.read_table(storage.join(root, name)).cast(schema.HIDDEN_STATES.columns), "binary")
    data = writer.states_file(rows)
    storage.write_bytes(writer.offsets_uri(root, "coarse.parquet"), writer.offsets_file(rows, data))
    storage.write_bytes(storage.join(root, "coarse.parquet"), data.to_pybytes())
    handle = table.open_table(root)
    file = table.File("coarse.parquet", data.size, rows.num_rows, table.stats(rows.num_rows))
    table.commit(handle, table.Change([file], [name], {}, {}))
    new = layout.Snapshot(tables, old.pooled, handle)
    coarse = set(rows["segment_id"].to_pylist())
    for snapshot, changed in ((old, set()), (new, coarse)):
        ids = np.array(sorted(expected))
        found = StatesReader(snapshot).read(ids)
        for i, key in enumerate(ids.tolist()):
            states = expected[key]
            wanted = codec.decode(codec.encode(states, "binary"), *states.shape, "binary") if key in changed else states
            np.testing.assert_array_equal(found.values[found.offsets[i] : found.offsets[i + 1]], wanted)
    assert 0 < len(coarse) < len(expected)


def offsets_naming(tables, name, metadata):
    """Write the offsets of a states file anew with this metadata."""
    uri = writer.offsets_uri(tables.table_uri(schema.HIDDEN_STATES), name)
    rows = pa.ipc.open_file(pa.py_buffer(storage.read_bytes(uri))).read_all().replace_schema_metadata(metadata)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, rows.schema) as stream:
        stream.write_table(rows)
    storage.write_bytes(uri, sink.getvalue().to_pybytes())


def test_offsets_that_name_no_codec_are_those_of_the_tables(tmp_path):
    tables, expected = filled(tmp_path, "int4")
    for name in table.files_of(layout.snapshot(tables).hidden_states):
        offsets_naming(tables, name, None)
    found = StatesReader(layout.snapshot(tables)).read(np.array(sorted(expected)))
    np.testing.assert_array_equal(found.values, np.concatenate([expected[key] for key in sorted(expected)]))


def test_a_codec_of_another_release_is_one_line(tmp_path):
    tables, _ = filled(tmp_path)
    offsets_naming(tables, next(table.files_of(layout.snapshot(tables).hidden_states)), {"codec": "int2"})
    with pytest.raises(JobError, match="states stored as int2; expected one of float32, bf16, int8, int4, binary"):
        StatesReader(layout.snapshot(tables))


def test_missing_offsets_are_named(tmp_path):
    tables, _ = filled(tmp_path)
    root = tables.table_uri(schema.HIDDEN_STATES)
    name = next(table.files_of(layout.snapshot(tables).hidden_states))
    storage.delete(writer.offsets_uri(root, name))
    with pytest.raises(JobError, match=rf"{name.removesuffix('.parquet')}\.arrow: missing"):
        StatesReader(layout.snapshot(tables))


def bytes_read():
    """What this process has read of files so far, as the kernel counts it."""
    counts = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(counts["rchar"])


def names_read(monkeypatch):
    """The files that are read from now on, each as often as it is."""
    files = []

    def noting(read, uri, *others):
        files.append(uri.rpartition("/")[2])
        return read(uri, *others)

    for name in ("read_bytes", "read_into"):
        monkeypatch.setattr(storage, name, partial(noting, getattr(storage, name)))
    return files


def test_little_more_than_the_asked_bytes_are_read(tmp_path, monkeypatch):
    tables = layout.create_encoder(layout.create_lake(str(tmp_path)), make_spec(dim=256), "float32")
    segments = [make_segment("u", "v1", i, 300) for i in range(300)]
    random = np.random.default_rng(0)
    states = {s.segment_id: codec.unit(random.standard_normal((32, 256))) for s in segments}

    def big(segment, dim):
        return Embedding(embed(segment, dim).pooled, states[segment.segment_id])

    monkeypatch.setattr("lake_making.encode", big)
    committer = make_committer(tables)
    committer.add(make_receipt(tables, segments))
    committer.commit()
    one = 32 * 256 * 4
    assert committer.counts.states_bytes > 300 * one
    reader = StatesReader(layout.snapshot(tables))
    wanted = np.array([segments[i].segment_id for i in (250, 10, 11, 12, 290, 10)])
    files, before = names_read(monkeypatch), bytes_read()
    found = reader.read(wanted)
    read = bytes_read() - before
    np.testing.assert_array_equal(found.values, np.concatenate([states[key] for key in wanted]))
    assert 6 * one <= read <= 6 * one + 1000
    assert len(files) == 1


def test_only_files_of_the_snapshots_version_are_read(tmp_path, monkeypatch):
    tables = make_tables(tmp_path)
    Run().ingest(tables, [Doc("a", "v1", "gg")], 1)
    old = layout.snapshot(tables)
    kept = set(table.files_of(old.hidden_states))
    Run().ingest(tables, [Doc("b", "v1", "gg")], 2)
    files = names_read(monkeypatch)
    reader = StatesReader(old)
    ids = table.read(old.pooled, ["segment_id"])["segment_id"].to_numpy()
    assert len(reader.read(ids).offsets) == 3
    assert {name.rpartition(".")[0] for name in files} == {name.removesuffix(".parquet") for name in kept}
    newer = {row["segment_id"] for row in rows_of(tables, schema.POOLED)} - set(ids.tolist())
    with pytest.raises(JobError, match="hidden_states lacks it"):
        reader.read(np.array(sorted(newer)))


def test_states_of_uncommitted_receipts_are_not_seen(tmp_path):
    tables, _ = filled(tmp_path)
    stray = make_segment("stray", "v1", 0, 1)
    make_receipt(tables, [stray])
    with pytest.raises(JobError, match=f"segment {stray.segment_id}"):
        StatesReader(layout.snapshot(tables)).read(np.array([stray.segment_id]))


def test_states_are_readable_while_their_rows_still_wait(tmp_path):
    tables = make_tables(tmp_path)
    Run().ingest(tables, [Doc("a", "v1", "g")], 1)
    held = Lease("run-2", 2)
    waiting = groups.roll_forward(tables, held)
    committer = Committer(tables, held, known.load(tables, waiting.rows, known.passing(())), waiting)
    committer.add(make_receipt(tables, [make_segment("a", "v2", 0, 2)]))
    committer.commit()
    snapshot = layout.snapshot(tables)
    ids = table.read(snapshot.pooled, ["segment_id"])["segment_id"].to_numpy()
    assert StatesReader(snapshot).read(ids).offsets[-1] == len(embed(make_segment("a", "v1", 0, 1)).states)
