"""The maintainers' files: what their script makes of the score files is what we make at once."""

import json
from datetime import datetime
from pathlib import Path

import pytest

from smart_jobs.evaluate import leaderboard, parity
from smart_jobs.evaluate.leaderboard import Model

PUBLISHED = json.loads((Path(__file__).parents[1] / "goldens" / "mmeb_v2_published.json").read_text())
MODEL = Model("Qwen3-VL-Embedding-8B", "qwen3vl", 8.14, 4096, 32768, "2026-01-08", "https://huggingface.co/Qwen/…")
MADE = datetime(2026, 1, 6, 15, 18, 12, 733345)


def made_up(task):
    """Scores that differ from task to task."""
    return leaderboard.scores({name: (len(task) + i) / 100 for i, name in enumerate(parity.MEASURES)}, len(task))


def theirs(folder, modalities):
    """What experiments/report_score_v2.py makes of a folder of score files, step by step."""
    metrics = {}
    for modality, tasks in modalities.items():
        metrics[modality] = dict.fromkeys(tasks, "FILE_N/A" if (folder / modality).is_dir() else "DIR_N/A")
        for path in (folder / modality).glob("*_score.json"):
            metrics[modality][path.name.removesuffix("_score.json")] = json.loads(path.read_text())
    renamed = {"MMLongBench-page": "MMLongBench-page-fixed", "ViDoSeek-page": "ViDoSeek-page-fixed"}
    metrics["visdoc"] = {renamed.get(task, task): content for task, content in metrics["visdoc"].items()}
    return metrics


def test_the_tasks_are_the_78():
    assert [len(tasks) for tasks in leaderboard.TASKS.values()] == [36, 18, 24]
    for modality, tasks in leaderboard.TASKS.items():
        assert sorted(tasks) == sorted(row["task"] for row in PUBLISHED if row["modality"] == modality)


@pytest.mark.parametrize(
    "tasks",
    [
        [row["task"] for row in PUBLISHED],
        [row["task"] for row in PUBLISHED if row["modality"] == "visdoc" and row["task"] != "ViDoSeek-page"],
        ["MSVD", "MMLongBench-page", "CIRR"],
        [],
    ],
)
def test_an_entry_is_what_the_script_makes_of_the_score_files(tmp_path, tasks):
    modality = {row["task"]: row["modality"] for row in PUBLISHED}
    for task in tasks:
        (tmp_path / modality[task]).mkdir(exist_ok=True)
        (tmp_path / modality[task] / f"{task}_score.json").write_text(leaderboard.as_text(made_up(task)))
    entry = leaderboard.entry(MODEL, {task: made_up(task) for task in tasks}, MADE)
    expected = theirs(tmp_path, leaderboard.TASKS)
    assert json.dumps(entry["metrics"]) == json.dumps(expected), "equal, and in the same order"


def test_an_entry_as_text():
    scores = {"ViDoSeek-page": made_up("ViDoSeek-page")}
    entry = leaderboard.entry(MODEL, scores, MADE)
    assert list(entry["metrics"]) == ["image", "video", "visdoc"]
    assert list(entry["metrics"]["visdoc"])[-4:] == [
        "ViDoSeek-page-fixed", "ViDoSeek-doc", "MMLongBench-page-fixed", "MMLongBench-doc",
    ]  # fmt: skip
    assert entry["metrics"]["visdoc"]["ViDoSeek-page-fixed"] == scores["ViDoSeek-page"]
    assert entry["metrics"]["visdoc"]["ViDoSeek-doc"] == "FILE_N/A"
    assert entry["metrics"]["image"]["ImageNet-1K"] == "DIR_N/A"
    text = leaderboard.as_text(entry)
    assert text.startswith(
        '{\n    "metadata": {\n        "model_name": "Qwen3-VL-Embedding-8B",\n        "model_backbone": "qwen3vl",\n'
        '        "model_size": 8.14,\n        "embedding_dimension": 4096,\n        "max_length_tokens": 32768,\n'
        '        "model_release_date": "2026-01-08",\n        "data_source": "Self-Reported",\n        "url": "https:'
    )
    assert (
        '"report_generated_date": "2026-01-06T15:18:12.733345"\n    },\n    "metrics": {\n        "image": {\n' in text
    )
    assert text.endswith("        }\n    }\n}")


def test_what_is_not_known_of_a_model_is_null():
    metadata = leaderboard.entry(Model("mine"), {}, MADE)["metadata"]
    assert [key for key, value in metadata.items() if value is None] == [
        "model_backbone", "model_size", "embedding_dimension", "max_length_tokens", "model_release_date", "url",
    ]  # fmt: skip


def test_a_task_that_the_leaderboard_has_not_is_a_mistake():
    with pytest.raises(ValueError, match="no tasks of MMEB-V2: scifact"):
        leaderboard.entry(MODEL, {"scifact": {}}, MADE)


def test_scores_have_26_keys_in_the_order_of_the_evaluators():
    scores = leaderboard.scores({"ndcg_linear@5:corrected": 1, **dict.fromkeys(reversed(parity.MEASURES), 0.5)}, 7)
    assert list(scores) == [*parity.MEASURES, "num_pred", "num_data"]
    assert (scores["num_pred"], scores["num_data"], scores["hit@1"]) == (7, 7, 0.5)
    with pytest.raises(KeyError, match="mrr@10"):
        leaderboard.scores(dict.fromkeys(parity.MEASURES[:-1], 0.5), 7)
