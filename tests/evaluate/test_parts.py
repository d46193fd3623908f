"""Scores of a part against double loops in float64, and the same to the bit however a task is cut."""

import itertools

import numpy as np
import pytest
import scoring_making as making

from smart_jobs import codec
from smart_jobs.evaluate import cuts, parts
from smart_jobs.evaluate.cuts import Pairs, Sizes
from smart_jobs.evaluate.views import AS_STORED, View
from smart_jobs.lake import reshaped

QUERIES = ("blue", "green and red", "blank one", "yellow", "a fifth")
DOCUMENTS = (*(f"document {i}" for i in range(17)), "blank page")
WHOLE = Sizes()
VIEWS = (
    AS_STORED,
    View("content"),
    View("text", "visual"),
    View(None, "text"),
    View(None, None, "binary"),
    View("content", "content", "int4"),
)


@pytest.fixture(scope="module", params=["int8", "float32", "bf16"])
def lake(request, tmp_path_factory):
    return making.make(tmp_path_factory.mktemp(request.param), QUERIES, DOCUMENTS, request.param)


def scored(lake, pairs, views=(AS_STORED,), sizes=WHOLE):
    """All scores, put together as the flow does."""
    asked, among = lake.located(QUERIES, "query"), lake.located(DOCUMENTS, "document")
    count = int(pairs.offsets[-1])
    pooled, late = np.full(count, np.nan, np.float32), np.full((len(views), count), np.nan, np.float32)
    for cut in cuts.cut(asked, among, pairs, views, sizes):
        found = parts.score(cut.part)
        pooled[cut.places], late[:, cut.places] = found.pooled, found.late
    return pooled, late


ALL = Pairs.all(len(QUERIES), len(DOCUMENTS))


def test_scores_equal_double_loops_under_every_mask_and_codec(lake):
    stored = lake.tables.codec
    pooled, late = scored(lake, ALL, VIEWS)
    pairs = [(making.embedding(q, "query", 24), making.embedding(d, "document", 24))
             for q, d in itertools.product(QUERIES, DOCUMENTS)]  # fmt: skip
    np.testing.assert_allclose(pooled, [making.pooled(q, d) for q, d in pairs], atol=1e-7)
    for view, found in zip(VIEWS, late, strict=True):
        wanted = []
        for q, d in pairs:
            documents = making.seen(d, view.mask, stored)
            if view.codec:
                coded = codec.encode(documents, view.codec)
                documents = codec.decode(coded, *documents.shape, view.codec).astype(float)
            wanted.append(making.late(making.seen(q, view.mask_query, "float32"), documents))
        np.testing.assert_allclose(found, wanted, atol=2e-6, err_msg=str(view))


@pytest.mark.parametrize(
    "sizes",
    [
        Sizes(query_bytes=1, document_bytes=1),
        Sizes(queries=2),
        Sizes(documents=5),
        Sizes(work=20_000),
        Sizes(query_bytes=1000, document_bytes=300, work=5_000),
    ],
)
def test_the_size_of_parts_changes_no_bit(lake, sizes):
    whole, cut = scored(lake, ALL, VIEWS), scored(lake, ALL, VIEWS, sizes)
    np.testing.assert_array_equal(cut[0], whole[0])
    np.testing.assert_array_equal(cut[1], whole[1])


@pytest.mark.parametrize("sizes", [Sizes(), Sizes(queries=2, documents=3)])
def test_each_query_with_its_own_is_the_same_as_all_with_all(lake, sizes):
    random = np.random.default_rng(0)
    rows = [np.sort(random.choice(len(DOCUMENTS), n, replace=False)) for n in (3, 0, 18, 1, 9)]
    pooled, late = scored(lake, ALL, VIEWS)
    own_pooled, own_late = scored(lake, Pairs.some(rows), VIEWS, sizes)
    at = np.concatenate([number * len(DOCUMENTS) + row for number, row in enumerate(rows)])
    np.testing.assert_array_equal(own_pooled, pooled[at])
    np.testing.assert_array_equal(own_late, late[:, at])


def test_a_view_of_many_is_the_view_alone(lake):
    _, together = scored(lake, ALL, VIEWS)
    for view, found in zip(VIEWS, together, strict=True):
        np.testing.assert_array_equal(scored(lake, ALL, (view,))[1][0], found)


def test_states_of_a_part_are_read_once_for_all_views(lake, monkeypatch):
    read = []
    packed = parts.StatesReader.packed

    def noting(self, ids, most):
        read.append(len(ids))
        return packed(self, ids, most)

    monkeypatch.setattr(parts.StatesReader, "packed", noting)
    scored(lake, ALL, VIEWS)
    assert read == [len(DOCUMENTS)]


def test_one_codec_is_decoded_for_a_coarser_one_only_where_it_is_asked_for(lake, monkeypatch):
    monkeypatch.setattr(reshaped, "_decoded", None)
    scored(lake, ALL, (AS_STORED, View("content")))
