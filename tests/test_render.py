"""Results as a person reads them: the numbers that matter are there."""

from smart_jobs import render
from smart_jobs.settings import Ingest

INGEST = {
    "run_id": "r1",
    "assets": 1200,
    "segments": 5300,
    "encoded": 5292,
    "skipped": 1000,
    "failures": 8,
    "failed_by_reason": {"damaged": 3, "empty": 5},
    "bytes": {"pooled": 8_000_000, "hidden_states": 500_000_000},
    "seconds": {"plan": 0.5, "total": 61.25},
    "versions": {"pooled": 4},
}
INDEX = {
    "index_id": "i1",
    "action": "built",
    "added": 0,
    "removed": 0,
    "candidates": 200,
    "stage_one": {"stored": 0.99876, "evaluation": 0.95},
    "vectors": 5292,
    "factory": "IVF64,PQ48x8",
    "nprobe": 8,
    "why": "5,292 vectors: 64 lists",
    "recall_at_10": 0.98765,
    "bytes": 1_234_567,
    "seconds": 2.34,
}
HIT = {"rank": 1, "segment_id": "7", "uri": "/a/b.pdf", "page": 3, "start": None, "end": None, "score": 1.2346,
       "pooled": 0.5, "late": 0.7346, "title": "b.pdf", "text": "the text of the page " * 30}  # fmt: skip
MEASURES = {"ndcg@10": 0.6491, "recall@10": 0.7832, "recall@100": 0.925, "mrr@10": 0.61, "map": 0.6}
STATUS = {
    "lake": "/lake",
    "encoders": [
        {
            "name": "minilm",
            "digest": "0123456789ab",
            "codec": "int8",
            "segments": 5292,
            "stale": 2,
            "bytes": {"pooled": 8_000_000, "hidden_states": 500_000_000},
            "indexes": [
                {
                    "index_id": "i1",
                    "factory": "IVF64,PQ48x8",
                    "vectors": 5000,
                    "versions_behind": 2,
                    "judged": {"beir/known": {"two_stage": 0.75, "exhaustive": 0.7512}},
                }
            ],
        }
    ],
    "failures": {"empty": 5},
    "last_run": {"run_id": "r1", "job": "ingest", "ended": "end", "encoded": 5292},
}


def test_an_ingest_says_what_it_did():
    first, second = render.ingest(INGEST).splitlines()
    assert first == "5,292 segments encoded from 1,200 assets (1,000 unchanged), 508.0 MB committed, 61.2 s"
    assert second == "8 failures recorded: damaged 3, empty 5"


def test_an_ingest_without_failures_does_not_speak_of_them():
    assert "failure" not in render.ingest({**INGEST, "failures": 0, "failed_by_reason": {}})


def test_an_ingest_with_nothing_to_do_says_so():
    said = render.ingest({**INGEST, "encoded": 0, "failures": 0, "assets": 1200, "skipped": 1200})
    assert said == "nothing new: 1,200 of 1,200 assets were unchanged, nothing was encoded"


def test_an_index_says_its_parameters_and_recall():
    said = render.index(INDEX)
    for part in ("i1", "IVF64,PQ48x8", "5,292 vectors", "nprobe 8", "0.988", "1.23 MB", "2.3 s", "64 lists"):
        assert part in said
    assert said.startswith("index i1 built: IVF64")
    assert "200 candidates hold: stored 0.999, evaluation 0.950" in said
    updated = render.index({**INDEX, "action": "updated", "added": 1200, "removed": 3, "stage_one": {}})
    assert updated.startswith("index i1 updated, 1,200 added, 3 removed: IVF64")
    assert "candidates hold" not in updated
    assert "recall@10 not measured" in render.index({**INDEX, "recall_at_10": None})


def test_a_hit_shows_where_it_is_and_all_three_scores():
    lines = render.search({"hits": [HIT, {**HIT, "rank": 2, "page": None, "title": ""}]}).splitlines()
    assert lines[0] == " 1. b.pdf page 3  (1.235 = pooled 0.500, late 0.735)"
    second = next(i for i, line in enumerate(lines) if line.startswith(" 2."))
    assert lines[second] == " 2. /a/b.pdf  (1.235 = pooled 0.500, late 0.735)"
    assert lines[1] == "    segment=7"
    excerpt = " ".join(line.strip() for line in lines[2:second])
    assert excerpt.startswith("the text of the page")
    assert 180 < len(excerpt) <= 220
    assert max(map(len, lines)) <= 104


def test_no_hits_are_said():
    assert render.search({"hits": []}) == "no hits"


def test_status_shows_encoders_indexes_failures_and_the_last_run():
    lines = render.status(STATUS).splitlines()
    assert lines == [
        "lake /lake",
        "  minilm-0123456789ab: 5,292 segments, 508.0 MB, int8, 2 assets show an older version",
        "    index i1: IVF64,PQ48x8, 5,000 vectors, 2 versions behind",
        "      beir/known: nDCG@10 0.7500 in two stages, 0.7512 over all",
        "  failures: empty 5",
        "  last run: r1 (ingest), end",
    ]


def test_an_empty_lake_has_no_failures_and_no_last_run():
    said = render.status({"lake": "/lake", "encoders": [], "failures": {}, "last_run": None})
    assert said == "lake /lake\n  failures: none"


def test_plain_results_are_keys_and_values():
    result = {"dry_run": True, "segments": 12345, "hours": None, "bytes": {"pooled": 1000}, "encoder": "a-b"}
    wanted = ["dry_run: True", "segments: 12,345", "hours: null", "bytes: pooled 1,000", "encoder: a-b"]
    assert render.plain(result).splitlines() == wanted


def test_usage_names_every_verb_with_its_first_line():
    said = render.usage({"ingest": Ingest})
    assert "  ingest    Decode, encode and commit what is new in a source." in said.splitlines()


def test_a_query_is_a_table_with_numbers_to_the_right():
    rows = [{"reason": "empty", "n": 12, "share": 0.25}, {"reason": "damaged", "n": 3, "share": None}]
    lines = render.sql({"columns": ["reason", "n", "share"], "rows": rows, "count": 2}).splitlines()
    assert lines == ["reason    n  share", "-------  --  -----", "empty    12   0.25", "damaged   3   null", "rows: 2"]


def test_rows_beyond_the_limit_are_said():
    said = render.sql({"columns": ["a"], "rows": [{"a": 1}], "count": 4321})
    assert said.splitlines()[-1] == "1 of 4,321 rows; limit= prints more"


def test_vectors_maps_and_long_text_are_cut():
    row = {"v": [0.25, -1.0, 1 / 3, 4.0], "short": [1], "m": {"a": "b", "c": 1.5}, "t": "x y\n" * 40}
    cells = render.sql({"columns": list(row), "rows": [row], "count": 1}).splitlines()[2]
    for part in ("[0.25, -1, 0.333333, … 4 in all]", "[1]", "a=b, c=1.5", "x y x y"):
        assert part in cells
    assert len(cells.split("a=b, c=1.5")[1].strip()) == render.WIDTH
    assert cells.endswith("…")


def test_an_analysis_says_what_it_found_as_a_whole_first():
    result = {"analysis": "drift", "changed": 1200, "columns": ["uri"], "rows": [], "count": 0}
    assert render.sql(result).splitlines() == ["analysis: drift", "changed: 1,200", "uri", "---", "rows: 0"]
