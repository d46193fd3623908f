"""A task cut into parts: every pair once, where it belongs, and no part too large."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lake_making import make_tables

from smart_jobs import codec
from smart_jobs.evaluate import cuts
from smart_jobs.evaluate.cuts import Pairs, Sizes
from smart_jobs.lake import layout
from smart_jobs.lake.inventory import Located

DIM = 4


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory):
    return layout.snapshot(make_tables(tmp_path_factory.mktemp("lake"), "int8"))


def located(snapshot, tokens, first, files=3):
    """Segments with ids from `first` on, spread over some files."""
    n = len(tokens)
    file = np.random.default_rng(n).integers(0, files, n)
    return Located(snapshot, np.arange(first, first + n), np.array(tokens, np.int64), file, tuple("abc"))


TOKENS = st.lists(st.integers(1, 40), min_size=1, max_size=12)
SIZES = st.builds(Sizes, st.integers(1, 2000), st.integers(1, 8), st.integers(1, 2000), st.integers(1, 8),
                  st.integers(1, 20_000))  # fmt: skip


@given(TOKENS, TOKENS, SIZES, st.one_of(st.none(), st.integers(0, 99)))
@settings(max_examples=150, deadline=None)
def test_every_pair_is_in_one_part_at_its_place_and_no_part_is_too_large(snapshot, asked, among, sizes, seed):
    queries, documents = located(snapshot, asked, 100), located(snapshot, among, 500)
    pairs = Pairs.all(len(asked), len(among))
    if seed is not None:
        random = np.random.default_rng(seed)
        pairs = Pairs.some([np.flatnonzero(random.random(len(among)) < 0.4) for _ in asked])
    wanted = [(q, d) for q in range(len(asked))
              for d in (range(len(among)) if pairs.rows is None else pairs.rows[q].tolist())]  # fmt: skip
    found = {}
    for cut in cuts.cut(queries, documents, pairs, sizes=sizes):
        rows, columns = cut.part.queries.ids - 100, cut.part.documents.ids - 500
        mask = np.ones((len(rows), len(columns)), bool) if cut.part.wanted is None else cut.part.wanted
        assert mask.any(axis=0).all()
        for (r, c), place in zip(np.argwhere(mask).tolist(), cut.places.tolist(), strict=True):
            assert place not in found
            found[place] = int(rows[r]), int(columns[c])
        _check(sizes, queries, documents, rows, columns)
        assert set(cut.part.documents.files) == {documents.files[i] for i in documents.file[columns]}
    assert [found[place] for place in range(len(found))] == wanted


def _check(sizes, queries, documents, rows, columns):
    tokens, others = queries.tokens[rows], documents.tokens[columns]
    assert len(rows) == 1 or (4 * DIM * tokens.sum() <= sizes.query_bytes and len(rows) <= sizes.queries)
    if len(columns) > 1:
        stored = codec.size(int(others.sum()), DIM, "int8") + 4 * DIM * len(columns)
        assert stored <= sizes.document_bytes
        assert len(columns) <= sizes.documents
        assert tokens.sum() * others.sum() * DIM <= sizes.work


def test_documents_of_a_slice_lie_in_few_files(snapshot):
    documents = located(snapshot, [1] * 12, 500)
    parts = [
        cut.part for cut in cuts.cut(located(snapshot, [1], 0), documents, Pairs.all(1, 12), sizes=Sizes(documents=4))
    ]
    counts = np.bincount(documents.file, minlength=3)
    assert sum(len(part.documents.files) for part in parts) <= len(parts) + np.count_nonzero(counts) - 1


def test_work_counts_only_wanted_pairs(snapshot):
    queries, documents = located(snapshot, [2, 3], 0), located(snapshot, [5, 7, 11], 500)
    assert cuts.work(queries, documents, Pairs.all(2, 3)) == 5 * 23 * DIM
    own = Pairs.some([np.array([0, 2]), np.array([1])])
    assert cuts.work(queries, documents, own) == (2 * 16 + 3 * 7) * DIM
