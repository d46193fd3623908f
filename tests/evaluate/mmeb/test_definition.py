"""The shipped records: 78, with what their sources add up to; and where else records may come from."""

from collections import Counter
from pathlib import Path
from statistics import mean

import pytest
import yaml

from smart_jobs import config
from smart_jobs.evaluate.mmeb import definition
from smart_jobs.evaluate.mmeb.parsers import PARSERS
from smart_jobs.records import UsageError
from smart_jobs.settings import Evaluate

SHIPPED = Path(__file__).parents[3] / "conf" / "suite" / "mmeb_v2"
RECORDS = definition.read(None)


def mistake(call, *args):
    with pytest.raises(UsageError) as raised:
        call(*args)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_there_are_78_tasks_in_12_categories():
    assert len(RECORDS) == 78
    assert Counter(record.modality for record in RECORDS.values()) == {"image": 36, "video": 18, "visdoc": 24}
    assert Counter(record.category for record in RECORDS.values()) == {
        "IMG_CLS": 10, "IMG_QA": 10, "IMG_RET": 12, "IMG_GRD": 4,
        "VID_CLS": 5, "VID_QA": 5, "VID_RET": 5, "VID_MRET": 3,
        "ViDoRe_v1": 10, "ViDoRe_v2": 4, "VisRag": 6, "OOD": 4,
    }  # fmt: skip


def test_the_published_scores_have_the_published_means():
    """The leaderboard's row of Qwen3-VL-Embedding-8B, its reproduction, and VLM2Vec-V2.0's, from other sources."""

    def means(model):
        scores = {key: record.scores[model] for key, record in RECORDS.items()}
        parts = [[scores[key] for key, record in RECORDS.items() if record.modality == part]
                 for part in ("image", "video", "visdoc")]  # fmt: skip
        return [round(mean(part), 2) for part in [*parts, scores.values()]]

    assert means("qwen3_vl_embedding_8b") == [80.12, 67.15, 82.36, 77.82]
    assert means("qwen3_vl_embedding_8b_again")[:3] == [80.12, 67.62, 82.04]
    assert means("vlm2vec_v2_2b") == [64.92, 34.67, 68.6, 59.07]


def test_counts_are_those_of_the_benchmark():
    queries = Counter()
    for record in RECORDS.values():
        queries[record.modality] += record.queries
    assert queries == {"image": 36000, "video": 34940, "visdoc": 12590}
    assert [len(RECORDS[key].labels) for key in ("K700", "UCF101", "HMDB51", "Breakfast")] == [700, 101, 51, 10]
    for record in RECORDS.values():
        assert len(set(record.labels)) == len(record.labels)
        assert not record.labels or record.pool == (len(record.labels),)
        assert (record.ranking == "global") == bool(record.pool)
        assert bool(record.per_query) == (record.ranking == "local" and record.key != "MomentSeeker")


def test_what_is_graded_fixed_and_local():
    graded = {"ViDoRe_esg_reports_human_labeled_v2", "ViDoSeek-doc", "MMLongBench-doc"}
    assert {key for key, record in RECORDS.items() if record.graded} == graded
    renamed = {key: record.leaderboard for key, record in RECORDS.items() if record.leaderboard != key}
    assert renamed == {"ViDoSeek-page": "ViDoSeek-page-fixed", "MMLongBench-page": "MMLongBench-page-fixed"}
    assert all(RECORDS[key].repo == f"VLM2Vec/{name}" for key, name in renamed.items())
    assert sum(record.ranking == "local" for record in RECORDS.values()) == 45
    assert {record.revision for record in RECORDS.values()} == {None}


def test_every_parser_has_a_task_and_the_other_way_round():
    assert {record.parser for record in RECORDS.values()} == set(PARSERS)


def test_records_name_no_place_of_any_machine():
    for record in RECORDS.values():
        assert all(path and not path.startswith(("/", "~", ".")) and "://" not in path for path in record.media)


def test_a_record_is_named_by_key_leaderboard_category_and_modality():
    record = RECORDS["ViDoSeek-page"]
    assert all(record.named((name,)) for name in ("ViDoSeek-page", "ViDoSeek-page-fixed", "OOD", "visdoc"))
    assert not record.named(("image", "ViDoSeek-doc"))


@pytest.fixture
def folder(tmp_path):
    """A definition of one's own with one task."""
    task = {"parser": "vidore", "repo": "me/mine", "media": ["pictures"], "queries": 3, "pool": 4}
    for name in ("image", "video", "visdoc"):
        content = yaml.safe_load((SHIPPED / f"{name}.yaml").read_text())
        content["categories"] = {"OWN": {"tasks": {"mine": task}}} if name == "visdoc" else {}
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(content))
    return tmp_path


def test_a_definition_of_ones_own(folder):
    [record] = definition.read(str(folder)).values()
    assert (record.key, record.leaderboard, record.category, record.pool) == ("mine", "mine", "OWN", (4,))


def test_a_wrong_definition_is_named_in_one_line(folder):
    assert "suite.definition=/nowhere: no such folder" in mistake(definition.read, "/nowhere")
    path = folder / "visdoc.yaml"
    text = path.read_text()
    path.write_text(text.replace("parser: vidore", "parser: other"))
    assert mistake(definition.read, str(folder)).startswith(f"{path}: mine: parser: ")
    path.write_text(text.replace("queries: 3", "qeries: 3"))
    assert "qeries" in mistake(definition.read, str(folder))
    path.write_text("[")
    assert str(path) in mistake(definition.read, str(folder))


def test_the_definition_is_found_as_any_config_is(tmp_path, monkeypatch):
    def definition_of(*words):
        job = config.load(Evaluate, "evaluate", ["suite=mmeb_v2", "suite.path=./data", *words])
        return Path(job.suite.definition)

    monkeypatch.chdir(tmp_path)
    assert definition_of() == SHIPPED
    (tmp_path / "conf" / "suite" / "mmeb_v2").mkdir(parents=True)
    assert definition_of() == tmp_path / "conf" / "suite" / "mmeb_v2"
    (tmp_path / "other" / "suite" / "mmeb_v2").mkdir(parents=True)
    assert definition_of("conf=other") == tmp_path / "other" / "suite" / "mmeb_v2"
    assert definition_of("suite.definition=./third") == Path("third")
    job = config.load(Evaluate, "evaluate", ["suite=beir", "suite.path=./data"])
    assert job.suite.definition is None
