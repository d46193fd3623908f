"""What is left to do: against a naive reading of the same rows, and case by case."""

from collections import defaultdict
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lake_making import Doc, Run, decode, failure_row, make_committer, make_receipt, make_segment, make_tables

from smart_jobs import schema
from smart_jobs.lake import known, layout, table
from smart_jobs.records import MAX_ATTEMPTS, RETRIED, Planned, dated_id

NOTHING = schema.POOLED.columns.empty_table()


@pytest.fixture
def tables(tmp_path):
    return make_tables(tmp_path)


def planned(tables, *docs, waiting=NOTHING, again=None):
    have = known.load(tables, waiting, again or known.passing(()))
    return list(known.plan([doc.asset for doc in docs], have))


def test_ids_of_one_second_sort_by_time_and_behind_those_of_older_releases():
    begin = datetime(2026, 12, 1, 2, 3, 4, tzinfo=UTC)
    later = [begin + timedelta(milliseconds=n) for n in (0, 1, 20, 300, 999, 1000)]
    for _ in range(20):
        ids = [dated_id(now) for now in later]
        assert ids == sorted(ids)
        assert min(ids) > "20261201T020304-ffffff"
    assert len({dated_id(begin) for _ in range(100)}) == 100


def record(tables, *rows):
    layout.append(tables.lake, schema.FAILURES, rows, "a test")


def test_all_of_an_empty_lake_is_planned(tables):
    doc = Doc("a", "v1", "g")
    assert planned(tables, doc) == [Planned(doc.asset)]


def test_an_unchanged_stamp_is_skipped(tables):
    docs = [Doc("a", "v1", "gb"), Doc("b", "v1", "")]
    Run().ingest(tables, docs, 1)
    assert planned(tables, *docs, Doc("new", "v1", "g"))[:2] == [None, None]


def test_a_touched_asset_is_opened_and_nothing_of_it_is_encoded(tables):
    Run().ingest(tables, [Doc("a", "v1", "gg")], 1)
    touched = Doc("a", "v1", "gg", stamp="touched")
    (item,) = planned(tables, touched)
    assert item.complete == {"v1"}
    assert Run().ingest(tables, [touched], 2) == 0
    assert planned(tables, touched) == [None], "its new stamp is remembered"


def test_a_changed_asset_is_planned_with_what_is_whole(tables):
    Run().ingest(tables, [Doc("a", "v1", "gg")], 1)
    (item,) = planned(tables, Doc("a", "v2", "gg"))
    assert (item.complete, dict(item.partial)) == ({"v1"}, {})


def test_a_half_asset_is_planned_with_its_ordinals(tables):
    doc = Doc("a", "v1", "gbgg")
    committer = make_committer(tables)
    parts = decode(Planned(doc.asset), doc, "run-1")
    committer.add(make_receipt(tables, [parts[1], parts[3]]))
    committer.commit()
    (item,) = planned(tables, doc)
    assert (item.complete, item.partial) == (frozenset(), {"v1": {1, 3}})


def test_rows_that_wait_are_accounted_for_and_never_whole(tables):
    Run().ingest(tables, [Doc("a", "v1", "g")], 1)
    waiting = make_receipt(tables, [make_segment("a", "v2", i, 3) for i in (0, 2)])
    rows = pa.Table.from_pylist(waiting["pooled"][0].as_py(), schema=schema.POOLED.columns)
    (item,) = planned(tables, Doc("a", "v2", "ggg"), waiting=rows)
    assert (item.complete, item.partial) == ({"v1"}, {"v2": {0, 2}})
    record(tables, failure_row(item.asset.id, "v2", ordinal=1, of=3))
    (item,) = planned(tables, Doc("a", "v2", "ggg"), waiting=rows)
    assert (item.complete, item.partial) == ({"v1"}, {"v2": {0, 1, 2}})


@pytest.mark.parametrize("reason", sorted(RETRIED))
def test_a_passing_fault_is_retried_until_it_had_its_attempts(tables, reason):
    doc = Doc("a", "v1", "g")
    for attempt in range(1, MAX_ATTEMPTS + 1):
        assert planned(tables, doc) != [None]
        record(tables, failure_row(doc.asset.id, f"stamp:{doc.asset.stamp}", reason=reason, attempts=attempt))
        have = known.load(tables, NOTHING, known.passing(()))
        assert have.attempts == {(doc.asset.id, f"stamp:{doc.asset.stamp}", None): attempt}
    assert planned(tables, doc) == [None]
    assert planned(tables, doc, again=known.passing([reason])) != [None]
    assert planned(tables, Doc("a", "v1", "g", stamp="another")) != [None]


def test_a_settled_failure_is_tried_again_where_its_reason_is_named(tables):
    doc = Doc("a", "v1", "gb")
    Run().ingest(tables, [doc], 1)
    assert planned(tables, doc) == planned(tables, doc, again=known.passing(["empty"])) == [None]
    (item,) = planned(tables, doc, again=known.passing(["not_finite"]))
    assert dict(item.partial) == {"v1": {0}}
    record(tables, failure_row(doc.asset.id, "v1", reason="read_error", ordinal=0, of=2))
    assert planned(tables, doc, again=known.never()) == [None]


@pytest.mark.parametrize(("spec", "counts"), [("mine", True), (None, True), ("another", False)])
def test_failures_of_any_encoder_count_and_those_of_another_do_not(tables, spec, counts):
    doc = Doc("a", "v1", "gg")
    digest = tables.spec.digest if spec == "mine" else spec
    record(tables, failure_row(doc.asset.id, "v1", spec=digest, ordinal=1, of=2))
    (item,) = planned(tables, doc)
    assert dict(item.partial) == ({"v1": {1}} if counts else {})
    whole = Doc("b", "v1", "")
    record(tables, failure_row(whole.asset.id, "v1", spec=digest))
    (item,) = planned(tables, whole)
    assert item.complete == ({"v1"} if counts else set())


def test_another_encoder_has_everything_before_it(tables):
    docs = [Doc("a", "v1", "gb")]
    Run().ingest(tables, docs, 1)
    other = layout.create_encoder(tables.lake, tables.spec.model_copy(update={"revision": "r2"}), None)
    assert planned(other, *docs) == [Planned(docs[0].asset)]


ASSETS = st.sampled_from(["a", "b"])
VERSIONS = st.sampled_from(["v1", "v2"])
SEGMENTS = st.lists(st.tuples(ASSETS, VERSIONS, st.integers(0, 2)), max_size=8)
FAILURES = st.lists(
    st.tuples(
        st.sampled_from(["mine", None, "another"]),
        ASSETS,
        VERSIONS | st.sampled_from(["stamp:at v1", "stamp:at v2"]),
        st.none() | st.integers(0, 2),
        st.sampled_from(["damaged", "read_error", "changed"]),
        st.integers(1, MAX_ATTEMPTS),
    ),
    max_size=6,
)
STAMPS = st.lists(st.tuples(ASSETS, st.sampled_from(["at v1", "at v2", "touched"]), VERSIONS), max_size=4)
OF = 3


def naive(doc, pooled, waiting, failures, stamps):
    """None, or (complete, partial): the words of the design, one after the other."""
    mine = [(*row[2:],) for row in failures if row[0] in ("mine", None) and row[1] == doc.uri]
    tries = {(v, o): max(n for w, p, _, n in mine if (w, p) == (v, o)) for v, o, _, _ in mine}
    settled = [(v, o) for v, o, why, _ in mine if why not in RETRIED or tries[v, o] >= MAX_ATTEMPTS]
    held = {version for uri, version, _ in waiting if uri == doc.uri}
    done = defaultdict(set)
    for version, ordinal in [row[1:] for row in pooled + waiting if row[0] == doc.uri] + settled:
        done[version] |= set() if ordinal is None else {ordinal}
    complete = {v for v, ordinals in done.items() if len(ordinals) == OF and v not in held}
    partial = {v: ordinals for v, ordinals in done.items() if ordinals and v not in complete}
    complete |= {version for version, ordinal in settled if ordinal is None}
    stamp, version = next(((s, v) for uri, s, v in reversed(stamps) if uri == doc.uri), (None, None))
    unread = f"stamp:{doc.asset.stamp}"
    if (stamp == doc.asset.stamp and version in complete) or unread in complete:
        return None
    return complete, partial


def pooled_row(uri, version, ordinal):
    segment = make_segment(uri, version, ordinal, OF)
    row = dict.fromkeys(schema.POOLED.columns.names, "")
    numbers = {"segment_id": segment.segment_id, "ordinal": ordinal, "of": OF, "n_tokens": 1, "encoded_at": 0}
    optional = {"page": None, "start": None, "end": None, "meta": [], "pooled": [1.0]}
    return row | numbers | optional | {"asset_id": segment.asset_id, "uri": uri, "version": version}


def fill(tables, pooled, failures, stamps):
    rows = pa.Table.from_pylist([pooled_row(*row) for row in pooled], schema=schema.POOLED.columns)
    uri = tables.table_uri(schema.POOLED)
    change = table.Change([table.write_file(uri, schema.POOLED, rows)], [], {"a test": 1}, {})
    table.commit(table.open_table(uri), change)
    kept = {"mine": tables.spec.digest, None: None, "another": "another"}
    failed = [
        failure_row(Doc(uri, "", "").asset.id, version, spec=kept[spec], ordinal=ordinal, reason=reason,
                    attempts=attempts, of=None if ordinal is None else OF)
        for spec, uri, version, ordinal, reason, attempts in failures
    ]  # fmt: skip
    if failed:
        record(tables, *failed)
    listed = [
        {"asset_id": Doc(uri, "", "").asset.id, "uri": uri, "source": "", "stamp": stamp, "version": version,
         "media": "text", "size": 1, "run_id": f"run-{number}"}
        for number, (uri, stamp, version) in enumerate(stamps)
    ]  # fmt: skip
    if listed:
        layout.append(tables.lake, schema.ASSETS, listed, "a test")


@settings(max_examples=60, deadline=None)
@given(SEGMENTS, SEGMENTS, FAILURES, STAMPS)
def test_a_plan_is_what_a_naive_reading_of_the_tables_gives(tmp_path_factory, pooled, waiting, failures, stamps):
    tables = make_tables(tmp_path_factory.mktemp("lake"))
    fill(tables, pooled, failures, stamps)
    held = pa.Table.from_pylist([pooled_row(*row) for row in waiting], schema=schema.POOLED.columns)
    docs = [Doc("a", "v1", "g"), Doc("b", "v2", "g"), Doc("c", "v1", "g")]
    for doc, item in zip(docs, planned(tables, *docs, waiting=held), strict=True):
        found = item and (set(item.complete), {v: set(o) for v, o in item.partial.items()})
        assert found == naive(doc, pooled, waiting, failures, stamps)
