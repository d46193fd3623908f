"""However many parts an index is built in, and wherever that is killed, the bits are the same."""

import faiss
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from keeping import data_files, ingest, replace_file
from lake_making import Doc, Run, make_tables

from smart_jobs import schema, storage
from smart_jobs.flow import index_parts
from smart_jobs.index import build, steps
from smart_jobs.index.manifest import Pin
from smart_jobs.keys import Cluster
from smart_jobs.lake import layout, table

DIM = 16
KINDS = ["Flat", "IVF16,PQ16x4np", "IVF16,SQ8", "IVF16,RaBitQ", "IVF16,RaBitQ4", "IVF16_HNSW32,Flat", "IVF16,PQ8x4fs"]


class Killed(BaseException):
    """Passes every `except Exception`, as a kill does."""


def killer(step):
    def reached(name):
        if name == step:
            raise Killed(name)

    return reached


def ignore(_step):
    """No fault."""


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """1,200 vectors in as many files of pooled as there are documents."""
    made = make_tables(tmp_path_factory.mktemp("lake"), dim=DIM)
    for number in range(20):
        ingest(made, [Doc(f"doc{number}", "v1", "g" * 60)], Run(unit=60))
    return made


def task_of(tables, factory, group_bytes):
    pin = Pin.model_validate(layout.snapshot(tables).versions()["pooled"])
    indexes = storage.join(tables.uri, "indexes")
    return steps.Task(tables.table_uri(schema.POOLED), pin, DIM, factory, indexes, group_bytes)


@pytest.mark.parametrize("factory", KINDS)
def test_any_number_of_parts_gives_the_same_bits_and_answers(tables, factory):
    one = task_of(tables, factory, 1 << 30)
    four = task_of(tables, factory, 4 * DIM * 300)
    assert (len(one.groups()), len(four.groups())) == (1, 4)
    whole, merged = (steps.run(task, ignore) for task in (one, four))
    assert build.save(whole) == build.save(merged)
    queries = np.random.default_rng(0).normal(size=(40, DIM)).astype(np.float32)
    params = build.search_parameters(whole, 4)
    for left, right in zip(*(index.search(queries, 10, params=params) for index in (whole, merged)), strict=True):
        np.testing.assert_array_equal(left, right)
    for task in (one, four):
        steps.clear(task)


def test_parts_are_made_in_any_order_by_whoever_has_the_task(tables):
    task = task_of(tables, "IVF16,PQ4x4np", 4 * DIM * 300)
    wanted = build.save(steps.run(task, ignore))
    steps.clear(task)
    steps.train(task)
    for number in (3, 0, 2, 1, 0):
        steps.part(task, number)
    assert build.save(steps.merged(task)) == wanted
    steps.clear(task)


@pytest.mark.ray
@pytest.mark.usefixtures("cluster")
def test_workers_make_the_same_parts(tables):
    task = task_of(tables, "IVF16,PQ4x4np", 4 * DIM * 300)
    wanted = build.save(steps.run(task, ignore))
    steps.clear(task)
    steps.train(task)
    steps.part(task, 1)
    done = []
    index = steps.run(task, done.append, index_parts.on(Cluster(), tables.lake))
    assert build.save(index) == wanted
    assert sorted(done) == ["merged", "part 0", "part 2", "part 3", "trained"]
    steps.clear(task)


@pytest.mark.ray
@pytest.mark.usefixtures("cluster")
def test_what_a_worker_finds_wrong_is_said_as_if_it_were_here(tmp_path):
    made = make_tables(tmp_path, dim=DIM)
    for name in "abcd":
        ingest(made, [Doc(name, "v1", "g" * 20)], Run(unit=60))
    path = data_files(made, schema.POOLED)[2]
    rows = pq.read_table(path).cast(schema.POOLED.columns).to_pylist()
    rows[7]["pooled"][3] = float("nan")
    replace_file(made, schema.POOLED, path, pa.Table.from_pylist(rows, schema=schema.POOLED.columns))
    task = task_of(made, "Flat", 4 * DIM * 20)
    with pytest.raises(ValueError, match=f"^the vector of id {rows[7]['segment_id']} is not finite$"):
        steps.run(task, ignore, index_parts.on(Cluster(), made.lake))


@pytest.mark.parametrize("step", ["trained", "part 0", "part 2", "merged"])
def test_a_killed_build_goes_on_where_it_was(tables, step):
    task = task_of(tables, "IVF16,PQ4x4np", 4 * DIM * 300)
    wanted = build.save(steps.run(task, ignore))
    steps.clear(task)
    with pytest.raises(Killed):
        steps.run(task, killer(step))
    left = {uri: info.stamp for uri, info in storage.list_files(task.folder)}
    assert left
    assert build.save(steps.run(task, ignore)) == wanted
    now = {uri: info.stamp for uri, info in storage.list_files(task.folder)}
    assert {uri: now[uri] for uri in left} == left, "no step is done twice"
    steps.clear(task)
    assert not list(storage.list_files(task.folder))


def test_what_is_left_of_unfinished_builds_can_be_thrown_away(tables):
    for factory in ("Flat", "IVF16,SQ8"):
        steps.train(task_of(tables, factory, 1 << 30))
    steps.discard(storage.join(tables.uri, "indexes"))
    assert not list(storage.list_files(storage.join(tables.uri, "indexes")))


def test_every_trained_kind_has_its_ids_in_its_lists(tables):
    """No IDMap around an IVF: it answers wrong ids once one has been removed."""
    for factory in KINDS[1:]:
        task = task_of(tables, factory, 1 << 30)
        steps.train(task)
        assert isinstance(build.load(storage.read_bytes(f"{task.folder}/trained.faiss")), faiss.IndexIVF)
        steps.clear(task)


def test_a_double_id_is_refused_before_anything_is_trained(tmp_path):
    made = make_tables(tmp_path, dim=DIM)
    ingest(made, [Doc("a", "v1", "gg")])
    handle = table.open_table(made.table_uri(schema.POOLED))
    rows = table.read(handle, schema.POOLED.columns.names)
    file = table.write_file(made.table_uri(schema.POOLED), schema.POOLED, rows.slice(0, 1))
    table.commit(handle, table.Change([file], [], {}, {"hidden_states_version": "1"}))
    task = task_of(made, "Flat", 1 << 30)
    with pytest.raises(ValueError, match=f"id {rows['segment_id'][0]} is there twice"):
        steps.run(task, ignore)
    assert not list(storage.list_files(task.folder))
