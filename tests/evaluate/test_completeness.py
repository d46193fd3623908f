"""Means over tasks against the published ones, and what becomes of them where something is missing."""

import json
from pathlib import Path

import numpy as np
import pytest

from smart_jobs.evaluate import completeness
from smart_jobs.evaluate.completeness import Expected, Found

PUBLISHED = json.loads((Path(__file__).parents[1] / "goldens" / "mmeb_v2_published.json").read_text())
"""The 78 tasks of MMEB-V2 with the leaderboard's scores of Qwen3-VL-Embedding-8B, in per cent."""

SUITE = [
    Expected(
        row["task"], (row["modality"], row["category"]), row["queries"], row["candidates"] and tuple(row["candidates"])
    )
    for row in PUBLISHED
]


def measured() -> dict[str, Found]:
    return {
        row["task"]: Found(row["qwen3_vl_embedding_8b"] / 100, row["queries"], tuple(row["candidates"] or (9, 11)))
        for row in PUBLISHED
    }


def by_name(found):
    return {mean.name: mean for mean in completeness.means(SUITE, found)}


def test_published_scores_give_the_published_means():
    found = by_name(measured())
    means = {name: round(100 * found[name].score, 2) for name in ("image", "video", "visdoc", "ALL")}
    assert means == {"image": 80.12, "video": 67.15, "visdoc": 82.36, "ALL": 77.82}
    assert all(mean.complete for mean in found.values())
    assert [len(found[name].tasks) for name in means] == [36, 18, 24, 78]
    assert str(found["ALL"]) == "ALL 77.82"


def test_a_mean_of_a_group_is_one_of_tasks_and_not_of_means():
    found, scores = by_name(measured()), {row["task"]: row["qwen3_vl_embedding_8b"] for row in PUBLISHED}
    grounding = [scores[row["task"]] for row in PUBLISHED if row["category"] == "IMG_GRD"]
    assert 100 * found["IMG_GRD"].score == pytest.approx(np.mean(grounding))
    categories = [mean.score for name, mean in found.items() if name.startswith("IMG_")]
    assert len(categories) == 4
    assert found["image"].score != pytest.approx(np.mean(categories), abs=1e-3)


def test_the_groups_come_in_the_order_of_the_suite_and_all_last():
    names = [mean.name for mean in completeness.means(SUITE, {})]
    assert names[:3] == ["image", "IMG_CLS", "IMG_QA"]
    assert names[-1] == "ALL"
    assert len(names) == 1 + 3 + 12


def test_what_is_missing_or_other_than_expected_is_said_and_left_out():
    found = measured()
    del found["MSVD"]
    found["CIRR"] = Found(0.5, 999, (1000, 1000))
    found["MVBench"] = Found(0.5, 4000, (2, 5))
    found["HMDB51"] = Found(0.5, 1000, (52, 52))
    means = by_name(found)
    assert str(means["IMG_RET"]).startswith("IMG_RET ")
    assert str(means["IMG_RET"]).endswith(", mean of 11 of 12: CIRR: 999 queries, expected 1,000")
    assert means["video"].left_out == {
        "HMDB51": "52 candidates, expected 51",
        "MSVD": "not measured",
        "MVBench": "2 to 5 candidates, expected 3 to 5",
    }
    assert (means["ALL"].complete, len(means["ALL"].tasks), len(means["ALL"].left_out)) == (False, 74, 4)
    assert "mean of 74 of 78" in str(means["ALL"])
    rest = [found[row["task"]].score for row in PUBLISHED if row["task"] not in means["ALL"].left_out]
    assert means["ALL"].score == pytest.approx(np.mean(rest), abs=1e-12)
    assert means["visdoc"].complete


def test_a_group_without_any_task_has_no_mean():
    means = by_name({"MSVD": Found(0.5, 670, (670, 670))})
    assert (means["visdoc"].score, means["visdoc"].complete) == (None, False)
    assert str(means["visdoc"]).startswith("visdoc -, mean of 0 of 24: ViDoRe_arxivqa: not measured; ")
    assert means["ALL"].as_json() | {"left_out": {}} == {
        "score": 0.5, "complete": False, "tasks": 1, "of": 78, "left_out": {}, "failed": 0,
    }  # fmt: skip


def test_where_the_suite_says_no_number_of_candidates_any_will_do():
    [momentseeker] = [expected for expected in SUITE if expected.task == "MomentSeeker"]
    assert momentseeker.candidates is None
    assert completeness.wanting(momentseeker, Found(0.5, 1602, (1, 5000))) is None


def test_what_could_not_be_encoded_is_told_beside_the_mean():
    found = measured()
    found["K700"] = Found(found["K700"].score, 1000, (700, 700), failed=1)
    found["MSVD"] = Found(0.7, 1, (670, 670), failed=669)
    mean = by_name(found)["VID_CLS"]
    assert str(mean).endswith(", 1 could not be encoded")
    assert mean.complete
    assert by_name(found)["ALL"].failed == 1, "what is left out has its failures left out too"


def test_a_task_that_the_suite_has_not_is_a_mistake():
    with pytest.raises(ValueError, match="no tasks of this suite: MSVD2"):
        completeness.means(SUITE, {"MSVD2": Found(0.5, 1, (1, 1))})
