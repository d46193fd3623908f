"""MMEB-V2's miniature, all 78 tasks, through a tiny random encoder: rankings and measures as the protocol says them.

The protocol is read a second time (tests/mmeb_protocol.py), scores are loops in float64 over the stored vectors, the
measures a plain rewriting of the evaluators'. That vectors are right is shown in tests/encode/.
"""

import contextlib
import hashlib
import itertools
import json
from pathlib import Path

import mmeb_making
import mmeb_protocol
import numpy as np
import pytest
import tiny_vl
from ingesting import without_ray
from jobs import as_json, run
from plain_measures import plainly

from smart_jobs import codec, schema
from smart_jobs.evaluate.mmeb import definition, suite
from smart_jobs.lake import layout, table
from smart_jobs.lake.reader import StatesReader

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(900)]  # the first of each profile encodes all
LABELS = Path(definition.__file__).parents[3] / "conf" / "suite" / "mmeb_v2" / "labels"
CLOSE = 1e-5
"""How far float32 may be from float64."""


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory):
    """The miniature's folder and the words that name it."""
    root = tmp_path_factory.mktemp("mmeb")
    made = mmeb_making.make(root)
    return root, [f"suite.path={root}", f"suite.definition={made}", "suite=mmeb_v2"]


@pytest.fixture(
    scope="module",
    params=[("qwen", "qwen3_vl"), ("vlm2vec", "vlm2vec")],
    ids=lambda pair: pair[0],
)
def evaluated(request, tmp_path_factory, benchmark):
    """Profile, root, the words of the run, its lake and its result; the first profile is run without Ray."""
    profile, family = request.param
    folder = tmp_path_factory.mktemp(profile)
    made = tiny_vl.encoder(tiny_vl.checkpoint(folder / "tiny", family), family)
    words = [*benchmark[1], f"conf={tiny_vl.conf(folder / 'conf', made)}", f"encoder={made.name}",
             f"lake={folder / 'lake'}", "codec=float32"]  # fmt: skip
    with without_ray() if profile == "qwen" else contextlib.nullcontext():
        return profile, benchmark[0], words, folder / "lake", run("evaluate", *words)


class Stored:
    """What was encoded, by the asset's id: pooled and states as float64, of norm 1."""

    def __init__(self, lake: Path) -> None:
        inner = layout.open_lake(str(lake / "evaluation"))
        [name] = layout.encoders(inner)
        snapshot = layout.snapshot(layout.open_encoder(inner, name))
        rows = table.read(snapshot.pooled, ["asset_id", "segment_id", "pooled"]).sort_by("segment_id")
        states = StatesReader(snapshot).read(rows["segment_id"].to_numpy())
        self.by_id = {
            asset: (np.array(pooled, np.float64), codec.unit(states.values[begin:end]).astype(np.float64))
            for asset, pooled, (begin, end) in zip(rows["asset_id"].to_pylist(), rows["pooled"].to_pylist(),
                                                   itertools.pairwise(states.offsets.tolist()), strict=True)
        }  # fmt: skip

    def scores(self, query: str, document: str) -> dict[str, float] | None:
        """None where either could not be encoded."""
        if query not in self.by_id or document not in self.by_id:
            return None
        (one, asked), (other, states) = self.by_id[query], self.by_id[document]
        pooled, late = float(one @ other), float(np.mean([max(states @ token) for token in asked]))
        return {"pooled": pooled, "late": late, "hybrid": pooled + late}


def key_of(task, number, name):
    """The reference's tie-break."""
    return hashlib.blake2b(f"{task}:{number}\0{name}\0".encode(), digest_size=8).digest()


def hits_of(lake):
    """(task, query, scoring) -> its row."""
    opened = layout.open_lake(str(lake))
    rows = table.open_table(opened.table_uri(schema.EVALUATION_QUERIES)).to_pyarrow_table().to_pylist()
    return {(row["task"], row["query"], row["scoring"]): row for row in rows}


def test_every_task_is_as_the_protocol_says(evaluated, benchmark):
    profile, root, _, lake, result = evaluated
    told = mmeb_protocol.read(root, profile, LABELS)
    records = definition.read(benchmark[1][1].partition("=")[2])
    opened = suite.MMEB(str(root), profile, records, records)
    assert list(result["tasks"]) == list(records)
    assert len(records) == 78
    stored, hits = Stored(lake), hits_of(lake)
    for name, content in told.items():
        task = opened.load(name)
        documents = {key: item.asset("document", str(root)).id for key, item in task.candidates.items()}
        measured = {scoring: [] for scoring in ("pooled", "late", "hybrid")}
        for number, (query, asked) in enumerate(zip(task.queries, content["queries"], strict=True)):
            asset = query.item.asset("query", str(root)).id
            names = asked["candidates"] or list(content["candidates"])
            found = {key: stored.scores(asset, documents[key]) for key in set(names)}
            for scoring, rows in measured.items():
                row = hits[name, query.name, scoring]
                ranked = checked(name, number, names, {k: v[scoring] for k, v in found.items() if v}, row)
                wanted = plainly(ranked, asked["labels"] or [None], asked["grades"])  # without a clip: label None
                ours = dict(row["metrics"])
                assert {key: ours[key] for key in wanted} == pytest.approx(wanted, abs=1e-9), (name, number, scoring)
                rows.append(wanted)
        for scoring, rows in measured.items():
            means = {key: np.mean([row[key] for row in rows]) for key in rows[0]}
            ours = result["tasks"][name][scoring]
            assert {key: ours[key] for key in means} == pytest.approx(means, abs=1e-6), (name, scoring)


def checked(task, number, names, scores, row):
    """The stored ranking as names of the protocol, after it was found to be one by these scores."""
    by_text = {str(name): name for name in names}
    ranked = [by_text[text] for text in row["hits"]]
    there = sorted((scores[name] for name in names if name in scores), reverse=True)
    assert len(ranked) == min(len(there), 100)
    for name, score, best in zip(ranked, row["scores"], there, strict=False):
        assert abs(score - best) < CLOSE
        assert abs(scores[name] - best) < CLOSE
    for (one, other), (a, b) in zip(itertools.pairwise(ranked), itertools.pairwise(row["scores"]), strict=True):
        assert a > b or key_of(task, number, one) <= key_of(task, number, other)
    return ranked


def test_what_is_broken_is_reported_beside_the_scores(evaluated):
    *_, result = evaluated
    failures = {name: task["failures"] for name, task in result["tasks"].items() if task["failures"]["reasons"]}
    assert failures["NIGHTS"]["reasons"].keys() & {"damaged", "unsupported"}
    for name in ("Wiki-SS-NQ", "OVEN", "YouCook2", "QVHighlight", "Video-MME", "VATEX", "MomentSeeker"):
        assert "read_error" in failures[name]["reasons"], name
        assert failures[name]["first"][0]["detail"]
    assert result["failures"] == 8


def test_means_are_of_all_and_the_reports_are_there(evaluated):
    *_, result = evaluated
    counts = {name: (mean["tasks"], mean["of"]) for name, mean in result["means"].items()}
    assert (counts["image"], counts["video"], counts["visdoc"], counts["ALL"]) == (
        (36, 36),
        (18, 18),
        (24, 24),
        (78, 78),
    )
    every = [task["hybrid"][task["primary"]["measure"]] for task in result["tasks"].values()]
    assert result["means"]["ALL"]["hybrid"][0] == pytest.approx(np.mean(every), abs=1e-6)
    text = Path(result["report"]).read_text()
    assert "data:image/jpeg;base64," in text
    assert all(name in text for name in result["tasks"])
    entry = json.loads(Path(result["leaderboard"]["hybrid"]).read_text())
    assert [len(entry["metrics"][name]) for name in ("image", "video", "visdoc")] == [36, 18, 24]
    assert "ViDoSeek-page-fixed" in entry["metrics"]["visdoc"]
    assert entry["metrics"]["image"]["N24News"]["hit@1"] == pytest.approx(
        result["tasks"]["N24News"]["hybrid"]["hit@1"], abs=1e-6
    )


def test_scoring_again_encodes_nothing_and_a_part_is_said_to_be_one(evaluated):
    _, _, words, _, result = evaluated
    again = run("evaluate", *words, "suite.tasks=[VOC2007,ViDoRe_v1]", "sweep.lambda_late=0,1")
    assert again["encoded"] == 0
    assert again["tasks"]["VOC2007"]["hybrid"] == result["tasks"]["VOC2007"]["hybrid"]
    assert again["means"]["ALL"] | {"tasks": 11, "of": 78} == again["means"]["ALL"]
    assert again["means"]["ViDoRe_v1"] == result["means"]["ViDoRe_v1"]
    [nothing, one] = again["sweep"]["points"]
    assert one["tasks"]["VOC2007"] == pytest.approx(result["tasks"]["VOC2007"]["hybrid"]["hit@1"], abs=1e-6)
    assert nothing["tasks"]["VOC2007"] == pytest.approx(result["tasks"]["VOC2007"]["pooled"]["hit@1"], abs=1e-6)


def test_the_data_check_says_what_is_missing(evaluated):
    _, _, words, _, _ = evaluated
    code, found = as_json("evaluate", *words, "--dry-run")
    assert code == 0
    missing = {name for name, task in found["tasks"].items() if task["missing"]}
    assert {"Wiki-SS-NQ", "OVEN", "YouCook2", "VATEX", "MomentSeeker"} <= missing
