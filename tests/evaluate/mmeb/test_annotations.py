"""Where annotations are looked for, in which order, and what is said where they are not."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from smart_jobs.evaluate.mmeb import annotations, definition, saved
from smart_jobs.records import UsageError

RECORDS = definition.read(None)
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def write(root, *paths):
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        if path.endswith(".parquet"):
            pq.write_table(pa.table({"a": [1]}), root / path)
        else:
            (root / path).write_text("{}\n")


def save(root, folder):
    (root / folder).mkdir(parents=True)
    (root / folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": "data-0.arrow"}]}))


def found(root, key):
    answer = annotations.find(str(root), RECORDS[key])
    parts = {config: [uri.removeprefix(f"{root}/") for uri in files] for config, files in answer.parts.items()}
    return answer.form, answer.where, parts


def mistake(root, record):
    with pytest.raises(UsageError) as raised:
        annotations.find(str(root), record)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_the_order_of_places_for_a_video_task(tmp_path):
    """Each that is added stands before those that are there."""
    save(tmp_path, "annotation/VLM2Vec/HMDB51")
    assert found(tmp_path, "HMDB51")[:2] == ("arrow", "annotation/VLM2Vec/HMDB51")
    write(tmp_path, "video-tasks/data/hmdb51.json")
    assert found(tmp_path, "HMDB51")[:2] == ("download", "video-tasks/data/hmdb51.json")
    write(tmp_path, "video-tasks/data/hmdb51.jsonl")
    assert found(tmp_path, "HMDB51")[:2] == ("download", "video-tasks/data/hmdb51.jsonl")
    for where in ("HMDB51", "VLM2Vec/HMDB51", "video-tasks/HMDB51"):
        write(tmp_path, f"{where}/data/test-00000-of-00001.parquet", f"{where}/data/train-00000-of-00001.parquet")
        assert found(tmp_path, "HMDB51") == (
            "repository", where, {"": [f"{where}/data/test-00000-of-00001.parquet"]}
        )  # fmt: skip


@pytest.mark.parametrize(
    "path",
    [
        "image-tasks/MMEB_Test_Instruct/GQA/test-00000-of-00001.parquet",
        "image-tasks/MMEB_Test_Instruct/GQA/test.parquet",
        "image-tasks/MMEB_Test_Instruct/GQA/test/0000.parquet",
        "image-tasks/MMEB_Test_Instruct/data/GQA/test-00000-of-00001.parquet",
        "image-tasks/GQA/test-00000-of-00001.parquet",
        "ziyjiang/MMEB_Test_Instruct/GQA/test-00000-of-00001.parquet",
        "MMEB_Test_Instruct/GQA/data/test-00000-of-00001.jsonl",
        "MMEB_Test_Instruct/GQA.jsonl",
    ],
)
def test_layouts_of_a_config(tmp_path, path):
    write(tmp_path, path, "image-tasks/GQA/1.jpg", "image-tasks/OK-VQA/test-00000-of-00001.parquet")
    form, _, parts = found(tmp_path, "GQA")
    assert (form, parts) == ("repository", {"GQA": [path]})


def test_parts_come_in_the_order_of_their_names(tmp_path):
    names = [f"visdoc-tasks/data/VisRAG-Ret-Test-PlotQA/corpus/train-{i:05d}-of-00012.parquet" for i in range(12)]
    others = [f"visdoc-tasks/data/VisRAG-Ret-Test-PlotQA/{part}/train-0.parquet" for part in ("queries", "qrels")]
    write(tmp_path, *reversed(names), *others)
    form, where, parts = found(tmp_path, "VisRAG_PlotQA")
    assert (form, where) == ("download", "visdoc-tasks/data/VisRAG-Ret-Test-PlotQA")
    assert parts == {"queries": others[:1], "corpus": names, "qrels": others[1:]}


def test_the_older_page_sets_are_never_taken(tmp_path):
    """The tar beside the images has them under the names without `-fixed`."""
    for part in ("queries", "corpus", "qrels"):
        write(tmp_path, f"visdoc-tasks/data/ViDoSeek-page/{part}/test-0.parquet",
              f"visdoc-tasks/data/ViDoSeek/{part}/test-0.parquet")  # fmt: skip
    assert "ViDoSeek-page-fixed" in mistake(tmp_path, RECORDS["ViDoSeek-page"])
    assert found(tmp_path, "ViDoSeek-doc")[1] == "visdoc-tasks/data/ViDoSeek"


def test_mvbench_in_one_file_or_in_twenty(tmp_path):
    write(tmp_path, "video-tasks/data/mvbench.jsonl")
    _, where, parts = found(tmp_path, "MVBench")
    assert where == "video-tasks/data/mvbench.jsonl"
    assert parts == {subset: [where] for subset in RECORDS["MVBench"].config}
    subsets = RECORDS["MVBench"].config
    write(tmp_path, *(f"video-tasks/MVBench/json/{subset}.json" for subset in subsets))
    assert found(tmp_path, "MVBench")[2] == {subset: [f"video-tasks/MVBench/json/{subset}.json"] for subset in subsets}


def test_a_place_that_lacks_something_is_passed_over_and_named(tmp_path):
    name = "visdoc-tasks/ViDoRe_arxivqa"
    write(tmp_path, "visdoc-tasks/arxivqa_test_subsampled_beir/queries/test-0.parquet",
          "visdoc-tasks/arxivqa_test_subsampled_beir/corpus/train-0.parquet", f"{name}/1.png")  # fmt: skip
    message = mistake(tmp_path, RECORDS["ViDoRe_arxivqa"])
    assert message.endswith("visdoc-tasks/arxivqa_test_subsampled_beir lacks corpus, qrels")
    other = "visdoc-tasks/data/arxivqa_test_subsampled_beir"
    write(tmp_path, *(f"{other}/{part}/test-0.parquet" for part in ("queries", "corpus", "qrels")))
    assert found(tmp_path, "ViDoRe_arxivqa")[1] == other


def test_nothing_at_all_says_where_was_looked(tmp_path):
    message = mistake(tmp_path, RECORDS["MomentSeeker"])
    assert message.startswith(f"MomentSeeker: no annotations (VLM2Vec/MomentSeeker, split test) in {tmp_path}: looked")
    for where in ("video-tasks/MomentSeeker", "momentseeker_1k6.jsonl", "momentseeker.jsonl", "annotation/VLM2Vec/"):
        assert where in message
    assert "1k8" not in message


def test_a_pinned_revision(tmp_path):
    write(tmp_path, "video-tasks/HMDB51/data/test-0.parquet")
    pinned = RECORDS["HMDB51"].model_copy(update={"revision": COMMIT[:12]})
    assert annotations.find(str(tmp_path), pinned).revision is None  # nothing says it
    download = tmp_path / "video-tasks/HMDB51/.cache/huggingface/download/data"
    download.mkdir(parents=True)
    (download / "test-0.parquet.metadata").write_text(f"{COMMIT}\netag\n1.0\n")
    assert annotations.find(str(tmp_path), pinned).revision == COMMIT
    other = pinned.model_copy(update={"revision": "f" * 40})
    assert mistake(tmp_path, other) == f"HMDB51: video-tasks/HMDB51 is revision {COMMIT}, expected {'f' * 40}"


def test_a_state_that_is_none(tmp_path):
    (tmp_path / "state.json").write_text('{"_data_files": [{"name": 1}]}')
    with pytest.raises(UsageError, match="state of a saved dataset"):
        saved.files(str(tmp_path))
