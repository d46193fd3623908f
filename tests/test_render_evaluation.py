"""An evaluation as a person reads it: a single task whole, many by their primary measure, failures, a sweep."""

from smart_jobs import render_evaluation

MEASURES = {"ndcg@10": 0.5, "recall@10": 0.6, "recall@100": 0.9, "mrr@10": 0.4, "map": 0.3}
NO_FAILURES = {"queries": 0, "candidates": 0, "reasons": {}, "first": []}


def task(shift=0.0, **changes):
    scorings = {name: {key: value + shift + place / 100 for key, value in MEASURES.items()}
                for place, name in enumerate(render_evaluation.SCORINGS)}  # fmt: skip
    scorings["two_stage"] |= {"candidates": 200, "loss": {}}
    primary = {"measure": "ndcg@10", **{name: row["ndcg@10"] for name, row in scorings.items()}}
    rest = {"primary": primary, "category": "QA", "modality": "image", "expected": {}, "complete": True}
    return {"queries": 300, "candidates": 5183, **scorings, **rest, "failures": NO_FAILURES} | changes


def result(tasks, **more):
    return {"run_id": "r1", "encoded": 5483, "tasks": tasks, "means": {}, "report": "r.html", **more}


def test_a_single_task_is_a_table_of_scorings_and_measures():
    lines = render_evaluation.evaluate(result({"scifact": task()})).splitlines()
    assert lines[0] == "scifact: 300 queries, 5,183 candidates"
    assert lines[1].split() == list(MEASURES)
    for place, (name, line) in enumerate(zip(render_evaluation.SCORINGS, lines[2:6], strict=True)):
        assert line.split() == [name, *(f"{value + place / 100:.4f}" for value in MEASURES.values())]
    assert "the 200 segments" in lines[6]
    assert lines[-1] == "run r1, 5,483 segments encoded for it; report r.html"


def test_measures_of_other_definitions_begin_with_the_primary_one():
    found = {"hit@1": 0.25, "ndcg_linear@5": 0.5}
    one = task(pooled=found, late=found, hybrid=None, two_stage=None)
    one["primary"] = {"measure": "ndcg_linear@5", "pooled": 0.5, "late": 0.5}
    lines = render_evaluation.evaluate(result({"t": one})).splitlines()
    assert lines[1].split() == ["ndcg_linear@5", "hit@1"]
    assert lines[2].split() == ["pooled", "0.5000", "0.2500"]
    assert [line.split()[0] for line in lines[2:]] == ["pooled", "late", "run"]


def test_many_tasks_are_a_line_each_with_their_means_below():
    late_only = task(
        pooled=None, hybrid=None, two_stage=None, complete=False, category="RET", expected={"queries": 280}
    )
    late_only["primary"] = {"measure": "ndcg@10", "late": 0.125}
    means = {"QA": {"tasks": 1, "of": 1, "pooled": [0.5, 0.4, 0.6], "late": [0.51]},
             "ALL": {"tasks": 1, "of": 2, "pooled": None, "late": [0.51, 0.4, 0.6]}}  # fmt: skip
    said = render_evaluation.evaluate(result({"a": task(), "b": late_only}, means=means))
    lines = [line.split() for line in said.splitlines()]
    assert lines[0] == ["task", "category", "queries", "candidates", "measure", *render_evaluation.SCORINGS, "failed"]
    assert lines[1] == ["a", "QA", "300", "5,183", "ndcg@10", "50.00", "51.00", "52.00", "53.00"]
    assert lines[2] == ["b", "RET", "300*", "5,183*", "ndcg@10", "-", "12.50", "-", "-"]
    assert lines[3] == ["mean", "of", "1", "QA", "50.00", "51.00", "-", "-"]
    assert lines[4] == ["mean", "of", "1", "of", "2", "ALL", "-", "51.00", "-", "-"]
    assert "b: 300 queries, expected 280" in said


def test_what_could_not_be_encoded_stands_beside_the_scores():
    failures = {"queries": 1, "candidates": 1200, "reasons": {"damaged": 1, "empty": 1200},
                "first": [{"side": "query", "name": "q7", "reason": "damaged", "detail": "not an image"}]}  # fmt: skip
    said = render_evaluation.evaluate(result({"t": task(failures=failures)}))
    assert (
        "t: 1 queries and 1,200 candidates could not be encoded and count as nothing found: damaged 1, empty 1,200"
        in said
    )
    assert "  query q7: damaged: not an image" in said


def point(late, codec, score, **tasks):
    return {"lambda_pooled": 1.0, "lambda_late": late, "mask": "reference", "mask_query": "reference", "codec": codec,
            "mean": score, "tasks": tasks}  # fmt: skip


def test_a_sweep_is_a_table_of_its_best_points_with_what_varies(monkeypatch):
    points = [point(0.0, "int8", 0.5, a=0.4, b=0.6), point(0.5, "int8", 0.7, a=0.6, b=0.8),
              point(0.0, "binary", 0.6, a=0.5, b=0.7), point(0.5, "binary", None, a=0.5, b=None)]  # fmt: skip
    sweep = {
        "measures": {"a": "hit@1", "b": "ndcg@10"},
        "points": points,
        "varied": ["lambda_late", "codec"],
        "table": "t.json",
        "chart": "c.svg",
    }
    lines = render_evaluation.evaluate(result({"a": task()}, sweep=sweep)).splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("sweep"))
    assert lines[at] == "sweep, hybrid, hit@1, ndcg@10 in percent"
    assert [line.split() for line in lines[at + 1 : at + 6]] == [
        ["lambda_late", "codec", "mean", "a", "b"],
        ["0.0", "int8", "50.00", "40.00", "60.00"],
        ["0.5", "int8", "70.00", "60.00", "80.00"],
        ["0.0", "binary", "60.00", "50.00", "70.00"],
        ["0.5", "binary", "-", "50.00", "-"],
    ]
    assert lines[at + 6] == "chart: c.svg"
    monkeypatch.setattr(render_evaluation, "MOST_POINTS", 2)
    said = render_evaluation.evaluate(result({"a": task()}, sweep=sweep))
    assert "2 lower points are in t.json" in said
    assert "70.00" in said
    assert "40.00" not in said


def test_a_data_check_is_a_line_a_task_and_a_line_for_what_is_wrong():
    one = {"category": "QA", "queries": {"found": 3, "expected": 5}, "candidates": {"found": 1200, "expected": None},
           "missing": 4, "first": ["a.png", "b.png", "c.png"], "remarks": ["1 of 3 queries have nothing to find"],
           "problem": None}  # fmt: skip
    none = {**one, "category": "RET", "queries": {"found": 0, "expected": None}, "problem": "no folder"}
    none |= {"candidates": {"found": 0, "expected": 7}, "missing": 0, "first": [], "remarks": []}
    cost = {"segments": {"text": 1203, "image": 9, "video": 0}, "frames": 0, "bytes": 1_500_000_000}
    said = render_evaluation.check({"tasks": {"a": one, "b": none}, "complete": 0, "of": 2, "cost": cost}).splitlines()
    assert [line.split() for line in said[1:3]] == [
        ["a", "QA", "3", "of", "5", "1,200", "4"],
        ["b", "RET", "0", "0", "of", "7"],
    ]
    assert said[3:] == [
        "a: missing a.png, b.png, c.png …",
        "a: 1 of 3 queries have nothing to find",
        "b: no folder",
        "0 of 2 tasks complete; to encode: 1,203 of text, 9 of image; 0 frames, 1.5 GB",
    ]
