"""Two evaluations side by side: the numbers that matter are there, and what was not compared is named."""

from smart_jobs import render_compare

SIDE = {"run_id": "r1", "lake": "/a", "suite": "beir", "encoder": "e-1", "lambda_pooled": 1.0, "lambda_late": 0.5}
FOUND = {
    "queries": 1200, "only_base": 0, "only_run": 0, "base": 0.61234, "run": 0.625, "difference": 0.01266,
    "low": -0.00104, "high": 0.02511, "p": 0.0712, "better": 300, "worse": 1250, "equal": 3,
}  # fmt: skip
NONE = dict.fromkeys(FOUND) | {"queries": 0, "only_base": 3, "only_run": 4}
RESULT = {
    "base": SIDE,
    "run": SIDE | {"run_id": "r2", "lake": "/b"},
    "tasks": {"one": {"measure": "ndcg@10", "not_in_both": [], "scorings": {"pooled": FOUND, "hybrid": FOUND}}},
    "mean": {"pooled": {"tasks": 1, **FOUND}},
    "changed": [],
    "only_base": [],
    "only_run": [],
    "without_measure": [],
}


def test_a_line_for_each_task_and_scoring():
    lines = render_compare.compare(RESULT).splitlines()
    assert lines[:2] == [
        "base  r1  beir  e-1  hybrid 1 pooled + 0.5 late  /a",
        "run   r2  beir  e-1  hybrid 1 pooled + 0.5 late  /b",
    ]
    assert [line.split() for line in lines[4:]] == [
        ["one", "ndcg@10", scoring, "1,200", "0.6123", "0.6250", "+0.0127", "-0.0010", "…", "+0.0251", "0.071",
         "300", "1,250"]
        for scoring in ("pooled", "hybrid")
    ]  # fmt: skip
    assert len(set(map(len, lines[3:]))) == 1, "columns stand under their heads"


def test_means_are_shown_where_there_are_several_tasks():
    one = RESULT["tasks"]["one"]
    result = RESULT | {"tasks": {"one": one, "two": one}, "mean": {"pooled": {"tasks": 2, **FOUND}}}
    last = render_compare.compare(result).splitlines()[-1]
    assert last.split()[:5] == ["mean", "of", "2", "pooled", "0.6123"]


def test_what_cannot_be_said_is_a_dash():
    scorings = {"late": NONE, "hybrid": FOUND | {"low": None, "high": None}}
    result = RESULT | {"tasks": {"one": {"measure": "map", "not_in_both": [], "scorings": scorings}}}
    lines = render_compare.compare(result).splitlines()
    assert lines[4].split() == ["one", "map", "late", "0", *["-"] * 7]
    assert lines[5].split()[7] == "-"
    assert lines[-1] == "one: 3 queries only in base, 4 only in run"


def test_what_only_one_of_the_two_has_is_named():
    one = {"measure": "map", "not_in_both": ["two_stage"], "scorings": {"late": FOUND}}
    result = RESULT | {"tasks": {"one": one}, "only_run": ["a", "b"], "without_measure": ["c"]}
    assert render_compare.compare(result).splitlines()[-3:] == [
        "one: two_stage not in both",
        "tasks only in run: a, b",
        "tasks without that measure: c",
    ]


def test_the_queries_that_changed_most():
    row = {"task": "one", "scoring": "late", "query": "q1", "base": 0.0, "run": 0.5}
    firsts = [("d1", "d2"), ("d1", "d1"), (None, "d2")]
    changed = [row | {"base_first": base, "run_first": other} for base, other in firsts]
    lines = render_compare.compare(RESULT | {"changed": changed}).splitlines()
    assert lines[-4:] == [
        "queries that changed most",
        "  +0.5000  one  q1  late  0.0000 -> 0.5000  first d1 -> d2",
        "  +0.5000  one  q1  late  0.0000 -> 0.5000  first d1 in both",
        "  +0.5000  one  q1  late  0.0000 -> 0.5000  first nothing -> d2",
    ]
