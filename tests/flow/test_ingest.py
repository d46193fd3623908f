"""The ingest job over real files, on a real local Ray, with a tiny random encoder."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pymupdf
import pytest
import torch
import transformers
from comparing import assert_same, rows, tables_of
from deltalake import write_deltalake
from jobs import run, write_corpus

from smart_jobs import schema
from smart_jobs.lake import layout, table
from smart_jobs.lake.reader import StatesReader
from smart_jobs.records import JobError


def ingest(source: Path, lake: Path, encoder: Path, *more: str) -> dict:
    return run("ingest", f"source={source}", f"lake={lake}", f"encoder={encoder}", "commit_seconds=1", *more)


@pytest.mark.ray
def test_every_page_with_text_is_stored_as_the_model_alone_would_give_it(tmp_path, tiny_encoder, cluster):
    source = tmp_path / "docs"
    source.mkdir()
    with pymupdf.open() as document:
        for text in ("Red apples and green pears.", "", "Two words."):
            document.new_page().insert_text((72, 72), text)
        document.save(source / "fruit.pdf")
    summary = ingest(source, tmp_path / "lake", tiny_encoder, "codec=float32")
    tables = tables_of(tmp_path / "lake")
    pooled = rows(tables, schema.POOLED)
    assert (summary["encoded"], summary["failures"], summary["failed_by_reason"]) == (2, 1, {"empty": 1})
    assert sorted((row["page"], row["ordinal"], row["of"], row["text"]) for row in pooled) == [
        (1, 0, 3, "Red apples and green pears."),
        (3, 2, 3, "Two words."),
    ]
    [failure] = rows(tables, schema.FAILURES)
    assert (failure["ordinal"], failure["of"], failure["reason"]) == (1, 3, "empty")
    reader = StatesReader(layout.snapshot(tables))
    for row in pooled:
        vector, states = alone(tiny_encoder, row["text"])
        np.testing.assert_allclose(row["pooled"], vector, atol=1e-5)
        np.testing.assert_allclose(reader.read(np.array([row["segment_id"]])).values, states, atol=1e-5)


def alone(folder: Path, text: str) -> tuple[np.ndarray, np.ndarray]:
    """A plain forward of one text: mean pooling, states of the tokens that are not special."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder).eval()
    inputs = tokenizer(text, return_tensors="pt", truncation=True, max_length=64, return_special_tokens_mask=True)
    special = inputs.pop("special_tokens_mask")[0].bool()
    with torch.no_grad():
        hidden = model(**inputs).last_hidden_state[0]
    pooled = torch.nn.functional.normalize(hidden.mean(0), dim=0)
    return pooled.numpy(), torch.nn.functional.normalize(hidden[~special], dim=1).numpy()


def test_nights_encode_only_what_is_new(tmp_path, tiny_encoder, in_process):
    """Nothing changed, one file touched, one changed: no encode and no commit, a stamp learnt, one file replaced."""
    source, lake = write_corpus(tmp_path / "docs", files=3), tmp_path / "lake"
    first = ingest(source, lake, tiny_encoder)
    before = versions(lake)
    second = ingest(source, lake, tiny_encoder)
    assert first["encoded"] > 4
    assert (second["encoded"], second["failures"], second["skipped"], second["versions"]) == (0, 0, 4, {})
    assert rows_in_commits_since(lake, before) == 0
    content = (source / "file000.txt").read_bytes()
    (source / "file000.txt").unlink()
    (source / "file000.txt").write_bytes(content)
    touched = ingest(source, lake, tiny_encoder)
    assert (touched["encoded"], touched["skipped"]) == (0, 3)
    (source / "file001.txt").write_text("Something else entirely.")
    changed = ingest(source, lake, tiny_encoder)
    assert (changed["encoded"], changed["skipped"]) == (1, 3)
    left = {row["uri"]: row["text"] for row in rows(tables_of(lake), schema.POOLED) if row["uri"].endswith("1.txt")}
    assert left == {str(source / "file001.txt"): "Something else entirely."}
    assert ingest(source, lake, tiny_encoder)["skipped"] == 4


def versions(lake: Path) -> dict[str, int]:
    """The version of every table that an ingest commits to."""
    tables = tables_of(lake)
    return {kind.name: table.open_table(tables.table_uri(kind)).version() for kind in schema.COMMIT_ORDER}


def rows_in_commits_since(lake: Path, before: dict[str, int]) -> int:
    """Rows that the tables have gained; fences add commits, but no rows."""
    tables = tables_of(lake)
    gained = 0
    for kind in schema.COMMIT_ORDER:
        uri = tables.table_uri(kind)
        gained += table.open_table(uri).count() - table.open_table(uri, before[kind.name]).count()
    return gained


def test_a_file_that_goes_bad_keeps_its_last_good_version(tmp_path, tiny_encoder, in_process):
    source, lake = tmp_path / "docs", tmp_path / "lake"
    source.mkdir()
    with pymupdf.open() as document:
        document.new_page().insert_text((72, 72), "Still here.")
        document.save(source / "a.pdf")
    ingest(source, lake, tiny_encoder)
    (source / "a.pdf").write_bytes(b"%PDF-1.7 and then nothing")
    summary = ingest(source, lake, tiny_encoder)
    assert summary["failed_by_reason"] == {"damaged": 1}
    assert [row["text"] for row in rows(tables_of(lake), schema.POOLED)] == ["Still here."]
    assert ingest(source, lake, tiny_encoder)["failures"] == 0


def test_a_delta_table_is_a_source(tmp_path, tiny_encoder, in_process):
    data = pa.table({"key": ["a", "b"], "body": ["first text", ""], "head": ["One", None], "tenant": ["x", "y"]})
    write_deltalake(tmp_path / "delta", data)
    columns = ["source.columns.id=key", "source.columns.text=body", "source.columns.title=head",
               "source.columns.meta=[tenant]"]  # fmt: skip
    summary = ingest(tmp_path / "delta", tmp_path / "lake", tiny_encoder, *columns)
    [row] = rows(tables_of(tmp_path / "lake"), schema.POOLED)
    assert (row["uri"], row["text"], dict(row["meta"])) == (
        f"{tmp_path / 'delta'}#a",
        "One first text",
        {"tenant": "x"},
    )
    assert summary["failed_by_reason"] == {"empty": 1}


@pytest.mark.ray
@pytest.mark.slow
def test_two_clean_runs_are_the_same(tmp_path, tiny_encoder, cluster):
    source = write_corpus(tmp_path / "docs")
    for name, unit in (("one", "unit_tokens=200"), ("two", "unit_tokens=5000")):
        ingest(source, tmp_path / name, tiny_encoder, unit)
    assert_same(tmp_path / "one", tmp_path / "two")


def test_mostly_failures_stop_the_run_and_keep_what_was_good(tmp_path, tiny_encoder, in_process):
    source, lake = write_corpus(tmp_path / "docs", files=3, lines=2), tmp_path / "lake"
    for i in range(120):
        (source / f"bad{i:03d}.pdf").write_bytes(b"")
    words = (f"source={source}", f"lake={lake}", f"encoder={tiny_encoder}", "commit_seconds=600")  # one, at the end
    with pytest.raises(JobError, match=r"120 of 1\d\d assets failed, more than max_failed=0\.5"):
        run("ingest", *words)
    assert len({row["uri"] for row in rows(tables_of(lake), schema.POOLED)}) == 3
