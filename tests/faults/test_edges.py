"""The driver killed with SIGKILL at every edge of the commit protocol; the next run ends as if nothing had been."""

import shutil
import signal
from dataclasses import dataclass
from pathlib import Path

import pymupdf
import pytest
from comparing import assert_same, tables_of
from ingesting import without_ray
from jobs import as_json, run
from killing import STEPS, ingest_until

from smart_jobs import schema
from smart_jobs.lake import table

LONG, MANY = 400, 2000
"""Pages of the one long document, and documents of one page."""
TWICE = ("hidden_states committed", "failures committed", "pooled committed")
"""Steps of one long document that are reached in several groups: it is killed in the second."""


@dataclass(frozen=True)
class Corpus:
    """A source, the keys of its ingests, and the lake of an undisturbed one."""

    words: tuple[str, ...]
    clean: Path


def pages(path: Path, count: int, salt: str) -> None:
    with pymupdf.open() as document:
        for number in range(count):
            text = f"{salt} {path.stem} page {number}" if number % 50 else ""
            document.new_page(width=200, height=100).insert_text((10, 50), text)
        document.save(path)


def long_document(folder: Path, salt: str) -> None:
    pages(folder / "long.pdf", LONG, salt)


def many_documents(folder: Path, salt: str) -> None:
    """One page each; every hundredth is damaged."""
    for number in range(MANY):
        path = folder / f"{number:04d}.pdf"
        with pymupdf.open() as document:
            document.new_page(width=200, height=100).insert_text((10, 50), f"{salt} {number}")
            path.write_bytes(document.tobytes() if number % 100 else b"%PDF-1.7 " + str(number).encode())


def make(root: Path, encoder: Path, build, *keys: str) -> Corpus:
    source, clean = root / "docs", root / "clean"
    source.mkdir(parents=True)
    build(source, "first")
    words = (f"source={source}", f"encoder={encoder}", *keys)
    with without_ray():
        assert run("ingest", *words, f"lake={clean}")["encoded"] > 0
    return Corpus(words, clean)


@pytest.fixture(scope="module")
def long(tmp_path_factory, tiny_encoder) -> Corpus:
    return make(tmp_path_factory.mktemp("long"), tiny_encoder, long_document, "unit_tokens=400")


@pytest.fixture(scope="module")
def many(tmp_path_factory, tiny_encoder) -> Corpus:
    return make(tmp_path_factory.mktemp("many"), tiny_encoder, many_documents, "unit_tokens=1000")


def killed_and_finished(corpus: Corpus, lake: Path, step: str, times: int = 1, *, ray: bool = False) -> None:
    """Kill a run, check that it was, and let the next one finish.

    Only the one that is killed commits often, to come to the step early: for 2,000 documents that is half of the time.
    """
    words = (*corpus.words, f"lake={lake}")
    code = ingest_until(step, times, (*words, "commit_seconds=0.2"), ray=ray)
    assert code == -signal.SIGKILL, f"{step} was not reached {times} times"
    with without_ray():
        run("ingest", *words)


def some(steps):
    """Every step; those that `make test` leaves out are marked slow."""
    quick = {"hidden_states committed"}
    return [step if step in quick else pytest.param(step, marks=pytest.mark.slow) for step in steps]


@pytest.mark.parametrize("step", some(STEPS))
def test_one_long_document(tmp_path, long, step):
    killed_and_finished(long, tmp_path / "lake", step, times=2 if step in TWICE else 1)
    assert_same(tmp_path / "lake", long.clean)


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.parametrize("step", STEPS[2:9])
def test_many_short_documents(tmp_path, many, step, shared_ray):
    """On Ray, whose actors still have units in hand when their driver is killed, and write states for a while."""
    killed_and_finished(many, tmp_path / "lake", step, ray=True)
    assert_same(tmp_path / "lake", many.clean)


@pytest.fixture(scope="module")
def changed(tmp_path_factory, tiny_encoder) -> tuple[Corpus, Path]:
    """A document that changed, with the lake of the swap and what it was swept to; and the lake as it was before."""
    root = tmp_path_factory.mktemp("changed")
    corpus = make(root, tiny_encoder, lambda folder, salt: pages(folder / "a.pdf", 60, salt), "unit_tokens=200")
    pages(root / "docs" / "a.pdf", 60, "second")
    shutil.copytree(corpus.clean, root / "before")
    with without_ray():
        assert run("ingest", *corpus.words, f"lake={corpus.clean}")["failures"] == 2
    assert as_json("maintain", f"lake={corpus.clean}")[0] == 0
    return corpus, root / "before"


@pytest.mark.slow
@pytest.mark.parametrize("step", [step for step in STEPS if step != "claimed"])
def test_a_changed_document_whose_swap_is_interrupted(tmp_path, changed, step):
    """The last commit of the run is the swap: kill after each of its parts, as between the swap and the sweep."""
    corpus, before = changed
    lake = shutil.copytree(before, tmp_path / "lake")
    commits = table.open_table(tables_of(lake).table_uri(schema.POOLED)).version()
    killed_and_finished(corpus, lake, step)
    assert table.open_table(tables_of(lake).table_uri(schema.POOLED)).version() > commits
    assert as_json("maintain", f"lake={lake}")[0] == 0
    assert_same(lake, corpus.clean)
