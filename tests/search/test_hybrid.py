"""Two-stage and exhaustive search over a real lake, against a double loop in float64."""

import secrets
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
from keeping import ingest
from lake_making import Doc, Run, make_committer, make_segment, make_tables

from smart_jobs import codec, storage, wire
from smart_jobs.index import build, devices, manifest
from smart_jobs.index.manifest import INDEX_FILE, Manifest, Pin
from smart_jobs.lake import layout, matrices, table, writer
from smart_jobs.lake.layout import EncoderTables
from smart_jobs.lake.reader import StatesReader
from smart_jobs.lake.rows import Copied, Scanned
from smart_jobs.records import AssetError, Embedding, Hits, JobError
from smart_jobs.search import hybrid, opened
from smart_jobs.search.hybrid import Weights
from smart_jobs.search.opened import Opened

DIM, DOCUMENTS, PASSAGES = 16, 30, 3


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def random_embedding(random: np.random.Generator) -> Embedding:
    states = unit(random.standard_normal((int(random.integers(1, 7)), DIM)))
    return Embedding(unit(random.standard_normal(DIM)), states)


@pytest.fixture(scope="module")
def stored(tmp_path_factory) -> tuple[EncoderTables, dict[int, tuple[tuple[str, int], Embedding]]]:
    """Documents of three passages, two on page 1 and one on page 2; by segment id: the place and the embedding."""
    tables = make_tables(tmp_path_factory.mktemp("lake"), dim=DIM)
    random = np.random.default_rng(7)
    committer, content = make_committer(tables), {}
    for number in range(DOCUMENTS):
        made = [make_segment(f"doc{number}", "v", ordinal, PASSAGES) for ordinal in range(PASSAGES)]
        segments = [paged(segment, 1 + segment.ordinal // 2) for segment in made]
        embeddings = [random_embedding(random) for _ in segments]
        empty = {"unit": f"u{number}", "segments": [], "failures": [], "assets": []}
        row = pa.Table.from_pylist([empty], schema=wire.UNIT)
        committer.add(writer.receipt(tables, row, segments, embeddings, "r"))
        for segment, embedding in zip(segments, embeddings, strict=True):
            content[segment.segment_id] = ((segment.uri, segment.page), embedding)
    committer.commit()
    return tables, content


def paged(segment, page: int):
    values = {name: getattr(segment, name) for name in segment.__slots__}
    return type(segment)(**{**values, "page": page, "meta": {"parity": str(int(segment.uri[3:]) % 2)}})


def brute(content, query: Embedding, weights: Weights, keep=lambda _: True) -> list[tuple[tuple[str, int], float]]:
    """Places by their best passage, best first."""
    best: dict[tuple[str, int], float] = {}
    for place, document in content.values():
        if keep(place):
            pooled = float(query.pooled.astype(np.float64) @ document.pooled)
            late = np.mean(
                [max(float(q @ d) for d in document.states.astype(float)) for q in query.states.astype(float)]
            )
            score = weights.pooled * pooled + weights.late * late
            best[place] = max(best.get(place, -np.inf), score)
    return sorted(best.items(), key=lambda item: -item[1])


def places(content, hits, row: int) -> list[tuple[tuple[str, int], float]]:
    return [(content[i][0], float(s)) for i, s in zip(hits.ids[row], hits.scores[row], strict=True) if i >= 0]


def search(tables: EncoderTables, *asked, **how):
    """With what the tables hold now."""
    return hybrid.search(opened.newest(tables), *asked, **how)


def queries(count: int = 4) -> list[Embedding]:
    random = np.random.default_rng(11)
    return [random_embedding(random) for _ in range(count)]


@pytest.mark.parametrize("weights", [Weights(), Weights(0.3, 2.0), Weights(1.0, 0.0)])
def test_exhaustive_equals_a_double_loop_and_a_page_counts_once(stored, weights):
    tables, content = stored
    asked = queries()
    hits = search(tables, asked, 8, weights=weights, exhaustive=True)
    for row, query in enumerate(asked):
        expected = brute(content, query, weights)[:8]
        found = places(content, hits, row)
        assert [place for place, _ in found] == [place for place, _ in expected]
        np.testing.assert_allclose([s for _, s in found], [s for _, s in expected], atol=1e-5)
        np.testing.assert_allclose(
            hits.scores[row], weights.pooled * hits.pooled[row] + weights.late * hits.late[row], atol=1e-5
        )


def test_however_few_states_are_held_the_answer_is_the_same(stored, monkeypatch):
    tables, content = stored
    asked, held, packed = queries(), [], StatesReader.packed

    def watched(self, ids, most):
        for which, documents in packed(self, ids, most):
            held.append((len(which), documents.rows.nbytes + documents.factors.nbytes))
            yield which, documents

    monkeypatch.setattr(StatesReader, "packed", watched)
    whole = search(tables, asked, 8, exhaustive=True)
    assert sum(count for count, _ in held) == len(content)
    held.clear()
    found = search(tables, asked, 8, exhaustive=True, held=200)
    assert max(size for count, size in held if count > 1) <= 200 < sum(size for _, size in held)
    np.testing.assert_array_equal(found.ids, whole.ids)
    np.testing.assert_array_equal(found.scores, whole.scores)


def test_the_length_of_a_querys_states_does_not_count(stored):
    tables, _ = stored
    lengths = np.linspace(0.1, 9, 7, dtype=np.float32)
    longer = [Embedding(q.pooled, q.states * lengths[: len(q.states), None]) for q in queries()]
    found, wanted = (search(tables, asked, 8, exhaustive=True) for asked in (longer, queries()))
    np.testing.assert_array_equal(found.ids, wanted.ids)
    np.testing.assert_allclose(found.late, wanted.late, atol=1e-6)


def test_a_filter_lets_through_just_what_it_says(stored):
    tables, content = stored
    asked = queries()
    hits = search(tables, asked, 10, where="page = 2 AND meta['parity'] = '1'", exhaustive=True)
    for row, query in enumerate(asked):
        expected = brute(content, query, Weights(), lambda place: place[1] == 2 and int(place[0][3:]) % 2 == 1)[:10]
        assert [place for place, _ in places(content, hits, row)] == [place for place, _ in expected]


def test_a_filter_that_lets_nothing_through_gives_no_hits(stored):
    tables, _ = stored
    hits = search(tables, queries(2), 3, where="page = 99", exhaustive=True)
    assert hits.ids.tolist() == [[-1] * 3] * 2
    assert np.isneginf(hits.scores).all()


@pytest.mark.parametrize("where", ["no_such_column = 1", "page =", "page = 1; DROP TABLE pooled"])
def test_a_wrong_predicate_is_one_line_that_repeats_it(stored, where):
    with pytest.raises(JobError) as said:
        search(stored[0], queries(1), 3, where=where, exhaustive=True)
    assert str(said.value).startswith(f"where={where}: ")
    assert "\n" not in str(said.value)


def test_without_an_index_two_stages_are_refused_with_what_to_do(tmp_path):
    tables = make_tables(tmp_path)
    with pytest.raises(JobError, match="nothing is encoded yet"):
        search(tables, queries(1), 3)
    committer = make_committer(tables)
    committer.add(one_receipt(tables))
    committer.commit()
    with pytest.raises(JobError, match=r"no index of .*run `smart-jobs index lake="):
        search(tables, [Embedding(unit(np.ones(4)), unit(np.ones((1, 4))))], 3)


def one_receipt(tables: EncoderTables) -> pa.Table:
    from lake_making import make_receipt

    return make_receipt(tables, [make_segment("a", "v", 0, 1)])


def test_two_stages_score_the_candidates_exactly(stored):
    """With an exact index and candidates enough the answer is the exhaustive one; with few, the same among those."""
    tables, content = stored
    add_index(tables)
    asked = queries()
    exact = search(tables, asked, 5, exhaustive=True)
    all_of_them = search(tables, asked, 5, candidates=len(content))
    assert (all_of_them.ids == exact.ids).all()
    few = search(tables, asked, 5, candidates=9)
    for row, query in enumerate(asked):
        nearest = sorted(content, key=lambda i: -float(content[i][1].pooled @ query.pooled))[:9]
        expected = brute({i: content[i] for i in nearest}, query, Weights())[:5]
        assert [place for place, _ in places(content, few, row)] == [place for place, _ in expected]
    filtered = search(tables, asked, 5, candidates=9, where="page = 2")
    assert all(place[1] == 2 for row in range(len(asked)) for place, _ in places(content, filtered, row))
    assert (filtered.ids >= 0).all()


def add_index(tables: EncoderTables) -> None:
    """An exact index over everything in pooled, as `smart-jobs index` writes it."""
    snapshot = layout.snapshot(tables)
    rows = table.read(snapshot.pooled, ["segment_id", "pooled"]).sort_by("segment_id")
    ids, vectors = rows["segment_id"].to_numpy(), matrices.matrix(rows["pooled"], DIM)
    files = {INDEX_FILE: build.save(build.build(ids, vectors, build.plan(len(ids), DIM)))}
    pin = Pin(table_id=table.table_id(snapshot.pooled), version=snapshot.pooled.version())
    made = Manifest(
        index_id=secrets.token_hex(4), encoder=tables.spec.full_name, spec=tables.spec.digest, factory="Flat", nprobe=1,
        vectors=len(ids), dim=DIM, built_from=pin, hidden_states=pin, recall_at_10=1.0, recall_queries=1,
        bytes=len(files[INDEX_FILE]), files=manifest.entries(files), created_at=datetime.now(UTC), faiss_version="",
        train_seconds=0.0, why="",
    )  # fmt: skip
    manifest.write(storage.join(tables.uri, "indexes", made.index_id), made, files)


def test_states_stored_as_integers_are_searched_as_they_decode(tmp_path):
    tables, random = make_tables(tmp_path, "int8", dim=DIM), np.random.default_rng(5)
    segments = [make_segment(f"doc{i}", "v", 0, 1) for i in range(200)]
    embeddings = [random_embedding(random) for _ in segments]
    empty = {"unit": "u", "segments": [], "failures": [], "assets": []}
    committer = make_committer(tables)
    unit_row = pa.Table.from_pylist([empty], schema=wire.UNIT)
    committer.add(writer.receipt(tables, unit_row, segments, embeddings, "r"))
    committer.commit()
    content = {}
    for segment, item in zip(segments, embeddings, strict=True):
        states = codec.decode(codec.encode(item.states, "int8"), *item.states.shape, "int8")
        content[segment.segment_id] = ((segment.uri, None), Embedding(item.pooled, states))
    for weights in (Weights(), Weights(0.0, 1.0), Weights(1.0, 0.0)):
        hits = search(tables, queries(), 8, weights=weights, exhaustive=True)
        for row, query in enumerate(queries()):
            expected = brute(content, query, weights)[:8]
            assert [place for place, _ in places(content, hits, row)] == [place for place, _ in expected]
            np.testing.assert_allclose(hits.scores[row], [score for _, score in expected], atol=1e-5)
            np.testing.assert_allclose(
                hits.scores[row], weights.pooled * hits.pooled[row] + weights.late * hits.late[row], atol=1e-5
            )


def test_equal_scores_are_ordered_by_segment_id(tmp_path):
    tables = make_tables(tmp_path, dim=DIM)
    committer = make_committer(tables)
    segments = [make_segment(f"same{i}", "v", 0, 1) for i in range(6)]
    twin = random_embedding(np.random.default_rng(3))
    empty = {"unit": "u", "segments": [], "failures": [], "assets": []}
    row = pa.Table.from_pylist([empty], schema=wire.UNIT)
    committer.add(writer.receipt(tables, row, segments, [twin] * 6, "r"))
    committer.commit()
    hits = search(tables, [twin], 6, exhaustive=True)
    assert hits.ids[0].tolist() == sorted(segment.segment_id for segment in segments)


def test_what_came_after_the_index_is_included_if_asked_and_what_left_never(tmp_path):
    """The index is of another version than the table: stage one knows what is there, `fresh` what is new."""
    old, new = [Doc(f"old{n}", "v1", "gggg") for n in range(30)], [Doc(f"new{n}", "v1", "ggg") for n in range(4)]
    tables, few = make_tables(tmp_path, dim=DIM), Run(unit=240)
    ingest(tables, old, few)
    add_index(tables)
    assert opened.newest(tables).behind() is None
    ingest(tables, [Doc("old0", "v2", "g"), *old[1:], *new], few)
    asked = queries()
    exact = search(tables, asked, 10, exhaustive=True)
    assert search(tables, asked, 10, candidates=200, fresh=True).ids.tolist() == exact.ids.tolist()
    lake = opened.newest(tables)
    there, come = lake.allowed(None), lake.allowed("uri LIKE 'new%' OR uri = 'old0'")
    vectors = np.stack([query.pooled for query in asked])
    for wanted in (10, 116, 200):
        rows = hybrid.stage_one(lake, vectors, wanted, there, filtered=False)
        assert np.isin(rows[rows >= 0], np.setdiff1d(there, come)).all()
        assert ((rows >= 0).sum(axis=1) == min(wanted, 116)).all(), "over-fetched until there are enough"
    both = hybrid.stage_one(lake, vectors, 5, there, filtered=False, fresh=True)
    stored = hybrid.pooled_vectors(layout.snapshot(tables), come)
    best = come[np.argsort(-(vectors @ stored.T), axis=1)[:, :5]]
    np.testing.assert_array_equal(both[:, 5:], best)
    assert "13 segments are not in it yet, 4 of its have left; fresh=true" in lake.behind()
    filtered = search(tables, asked, 10, where="uri LIKE 'new%'", fresh=True)
    only = search(tables, asked, 10, where="uri LIKE 'new%'", exhaustive=True)
    assert filtered.ids.tolist() == only.ids.tolist()


def test_reranked_candidates_are_in_their_exact_order(stored):
    """A coarse index passes on the exact nearest of four times as many."""
    tables, content = stored
    lake, asked = opened.newest(tables), np.stack([query.pooled for query in queries()])
    ids = np.array(sorted(content))
    rows = np.stack([np.random.default_rng(n).permutation(ids)[:40] for n in range(len(asked))])
    rows[:, -3:] = -1
    for query, row, found in zip(asked, rows, hybrid.closest(lake, asked, rows, 12), strict=True):
        wanted = sorted(row[row >= 0], key=lambda i: -float(content[i][1].pooled @ query))[:12]
        assert found.tolist() == wanted
    assert (hybrid.closest(lake, asked, rows[:, -3:], 2) == -1).all()


@pytest.mark.parametrize("how", [{}, {"candidates": 9}, {"exhaustive": True}, {"where": "page = 2", "candidates": 9}])
def test_a_query_has_the_same_answer_alone_and_among_others(stored, monkeypatch, how):
    tables, _ = stored
    if not how.get("exhaustive"):
        add_index(tables)
    asked, lake = queries(11), opened.newest(tables)
    together = hybrid.search(lake, asked, 5, **how)
    monkeypatch.setattr(hybrid, "QUERIES", 4)
    in_blocks = hybrid.search(lake, asked, 5, **how)
    for row, query in enumerate(asked):
        alone = hybrid.search(lake, [query], 5, **how)
        for hits in (together, in_blocks):
            np.testing.assert_array_equal(hits.ids[row], alone.ids[0])
            np.testing.assert_array_equal(hits.pooled[row], alone.pooled[0])
            np.testing.assert_allclose(hits.scores[row], alone.scores[0], atol=1e-6)  # stored as float32


def test_rows_from_a_copy_give_the_same_answers_to_the_bit(stored):
    tables, _ = stored
    add_index(tables)
    snapshot = layout.snapshot(tables)
    readers = (Scanned(snapshot), Copied(snapshot))
    scanned, copied = (hybrid.search(Opened(snapshot, rows), queries(), 5) for rows in readers)
    for name in Hits.__slots__:
        np.testing.assert_array_equal(getattr(copied, name), getattr(scanned, name))


@pytest.mark.parametrize(("many", "where", "copies"), [(True, None, 1), (True, "page = 2", 0), (False, None, 0)])
def test_an_index_is_copied_to_a_gpu_once_where_many_ask_it_unfiltered(stored, monkeypatch, many, where, copies):
    tables, _ = stored
    add_index(tables)
    snapshot, made = layout.snapshot(tables), []
    monkeypatch.setattr(devices, "copied", lambda index, _: made.append(index) or index)
    lake = Opened(snapshot, Scanned(snapshot), many=many)
    for _ in range(2):
        found = hybrid.search(lake, queries(), 5, where=where)
    np.testing.assert_array_equal(found.ids, search(tables, queries(), 5, where=where).ids)
    assert len(made) == copies


def test_what_was_opened_stays_as_it_was(tmp_path):
    tables = make_tables(tmp_path, dim=DIM)
    ingest(tables, [Doc("a", "v1", "ggg")], Run())
    lake = opened.newest(tables)
    assert (hybrid.search(lake, queries(1), 9, exhaustive=True).ids >= 0).sum() == 1  # three passages, one place
    ingest(tables, [Doc("a", "v1", "ggg"), Doc("b", "v1", "g")], Run())
    assert (hybrid.search(lake, queries(1), 9, exhaustive=True).ids >= 0).sum() == 1
    assert (search(tables, queries(1), 9, exhaustive=True).ids >= 0).sum() == 2


def test_texts_are_asked_by_the_embeddings_that_the_lakes_encoder_gives(stored):
    tables, _ = stored
    known = dict(zip("abcd", queries(), strict=True))
    calls = []

    def embed(texts):
        calls.append(list(texts))
        return [known.get(text, AssetError("empty", "nothing in it", "encode")) for text in texts]

    lake = opened.newest(tables, embed)
    found = hybrid.search(lake, ["a", known["b"], "c"], exhaustive=True)
    wanted = hybrid.search(lake, [known[name] for name in "abc"], 10, exhaustive=True)
    np.testing.assert_array_equal(found.ids, wanted.ids)
    assert (found.ids.shape, calls) == ((3, 10), [["a", "c"]])
    assert hybrid.search(lake, [], exhaustive=True).ids.shape == (0, 10)
    with pytest.raises(JobError, match="the query 'e' cannot be encoded: nothing in it"):
        hybrid.search(lake, ["a", "e"], exhaustive=True)
    with pytest.raises(JobError, match="opened without its encoder"):
        hybrid.search(opened.newest(tables), ["a"], exhaustive=True)
