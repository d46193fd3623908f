"""Visual documents: which pages a query has, in which order, and where a page's image comes from."""

import hashlib

import pytest
from mmeb_reading import task_of

from smart_jobs.records import UsageError


def parts(qrels, corpus=(1, 2, 3), queries=("a", "b")):
    return {"queries": [{"query-id": i, "query": text} for i, text in enumerate(queries)],
            "corpus": [{"corpus-id": name} for name in corpus],
            "qrels": [{"query-id": q, "corpus-id": c, "score": s} for q, c, s in qrels]}  # fmt: skip


def test_positives_of_the_queries_come_first_then_the_corpus(tmp_path):
    task = task_of(tmp_path, "ViDoRe_arxivqa", parts([(1, 3, 1), (0, 2, 1), (1, 2, 1)]))
    assert list(task.candidates) == [2, 3, 1]
    assert [list(query.relevant) for query in task.queries] == [[2], [3, 2]]
    assert all(query.candidates is None for query in task.queries)


def test_the_highest_grade_counts_in_the_order_of_first_appearance_and_zeros_not_at_all(tmp_path):
    qrels = [(0, 1, 0), (0, 3, 2), (0, 1, 2), (0, 3, 3), (0, 1, 1), (0, 2, 0)]
    task = task_of(tmp_path, "ViDoSeek-doc", parts(qrels, queries=["a"]))
    assert list(task.queries[0].relevant.items()) == [(3, 3), (1, 2)]
    assert task.graded
    assert list(task.candidates) == [3, 1, 2]


def test_a_query_that_nothing_is_relevant_to_stays(tmp_path):
    task = task_of(tmp_path, "ViDoRe_arxivqa", parts([(0, 1, 1), (1, 2, 0)]))
    assert [dict(query.relevant) for query in task.queries] == [{1: 1}, {}]


def test_a_page_that_the_corpus_lacks_is_a_candidate_whose_image_is_missing(tmp_path):
    (tmp_path / "visdoc-tasks/images/ViDoRe_arxivqa").mkdir(parents=True)
    (tmp_path / "visdoc-tasks/images/ViDoRe_arxivqa/1.png").write_bytes(b"x")
    task = task_of(tmp_path, "ViDoRe_arxivqa", parts([(0, 9, 1), (0, 1, 1)]))
    assert list(task.candidates) == [9, 1, 2, 3]
    stamps = {name: bool(item.files[0].stamp) for name, item in task.candidates.items()}
    assert stamps == {9: False, 1: True, 2: False, 3: False}


def test_visrags_files_have_the_beginning_of_a_name_and_a_digest_of_all_of_it(tmp_path):
    name = "ü" * 60 + ".v2.jpg"
    task = task_of(tmp_path, "VisRAG_PlotQA", parts([("0", name, 1)], [name, "a.png-2", "plain"], ["q"]))
    files = [item.files[0].uri.rpartition("/")[2] for item in task.candidates.values()]
    digest = {text: hashlib.md5(text.encode()).hexdigest()[:8] for text in (name, "a.png-2", "plain")}
    assert files == [f"{'ü' * 50}_{digest[name]}.jpg", f"a_{digest['a.png-2']}.png-2", f"plain_{digest['plain']}"]


def test_a_score_that_is_no_number(tmp_path):
    with pytest.raises(UsageError, match=r"qrels.jsonl row 1: expected a number as 'score', found 'high'"):
        task_of(tmp_path, "ViDoRe_arxivqa", parts([(0, 1, 1), (0, 2, "high")]))


@pytest.mark.parametrize(("pages", "expected"), [(965, 965), (963, 963), (960, 965)])
def test_of_two_published_sizes_of_a_pool_the_one_that_is_there(tmp_path, pages, expected):
    key = "ViDoRe_syntheticDocQA_healthcare_industry"
    task = task_of(tmp_path, key, parts([(0, 1, 1)], range(pages)))
    assert task.expected == {"queries": 100, "candidates": expected}
