"""Night after night over one source: what is new or changed is encoded, nothing else; what is gone is reported."""

import os
import shutil
import threading
from operator import itemgetter
from pathlib import Path

import numpy as np
import pytest
from comparing import rows, tables_of
from jobs import run, write_corpus

from smart_jobs import schema
from smart_jobs.lake import layout, table
from smart_jobs.lake.reader import StatesReader

pytestmark = pytest.mark.usefixtures("module_in_process")

FILES = 12


@pytest.fixture(scope="module")
def first(tmp_path_factory, tiny_encoder, module_in_process) -> Path:
    """A folder with docs/ and the lake that its first night left."""
    root = tmp_path_factory.mktemp("first")
    write_corpus(root / "docs", files=FILES, lines=8)
    night(root, tiny_encoder)
    return root


@pytest.fixture
def root(tmp_path, first) -> Path:
    """That folder as the second night finds it; assets keep their names, as the source does not move."""
    shutil.copytree(first / "lake", tmp_path / "lake")
    shutil.rmtree(first / "docs")
    write_corpus(first / "docs", files=FILES, lines=8)
    for path in (first / "docs").iterdir():
        os.utime(path, (1e9, 1e9))
    (tmp_path / "docs").symlink_to(first / "docs")
    return tmp_path


def night(root: Path, encoder: Path, *words: str) -> dict:
    source = (root / "docs").resolve()
    for path in source.iterdir():
        if not (root / "lake").exists():
            os.utime(path, (1e9, 1e9))
    keys = (f"encoder={encoder}", "commit_seconds=0.2", "unit_tokens=200")
    return run("ingest", f"source={source}", f"lake={root / 'lake'}", *keys, *words)


def versions(lake: Path) -> dict[str, int]:
    tables = tables_of(lake)
    kinds = (*schema.LAKE_TABLES, *schema.ENCODER_TABLES)
    return {kind.name: table.open_table(tables.table_uri(kind)).version() for kind in kinds}


def test_a_night_on_which_nothing_changed_commits_nothing(root, tiny_encoder):
    before = versions(root / "lake")
    summary = night(root, tiny_encoder)
    assert (summary["run_id"], summary["skipped"], summary["encoded"]) == (None, FILES + 1, 0)
    assert versions(root / "lake") == before


def test_files_touched_but_unchanged_are_not_encoded_and_then_skipped(root, tiny_encoder):
    os.utime(root / "docs" / "file000.txt")
    summary = night(root, tiny_encoder)
    assert (summary["encoded"], summary["skipped"], summary["failures"]) == (0, FILES, 0)
    assert "load" not in summary["seconds"], "a model was loaded for nothing"
    assert night(root, tiny_encoder)["run_id"] is None


def test_what_is_gone_is_reported_and_stays_until_it_may_go(root, tiny_encoder):
    (root / "docs" / "file003.txt").unlink()
    (root / "docs" / "nothing.txt").unlink()
    before = rows(tables_of(root / "lake"), schema.POOLED)
    summary = night(root, tiny_encoder)
    assert (summary["removed"], summary["pruned"], summary["run_id"]) == (2, 0, None)
    assert rows(tables_of(root / "lake"), schema.POOLED) == before
    summary = night(root, tiny_encoder, "prune=true")
    assert (summary["removed"], summary["pruned"]) == (2, 0), "2 of 13 are more than max_pruned"
    assert rows(tables_of(root / "lake"), schema.POOLED) == before
    summary = night(root, tiny_encoder, "prune=true", "max_pruned=0.2")
    assert (summary["removed"], summary["pruned"]) == (2, 2)
    left = rows(tables_of(root / "lake"), schema.POOLED)
    assert left == [row for row in before if not row["uri"].endswith("file003.txt")]
    assert rows(tables_of(root / "lake"), schema.FAILURES) == []
    assert night(root, tiny_encoder)["removed"] == 0


def test_a_renamed_file_is_not_encoded_again(root, tiny_encoder):
    """Nor is a copy of one; a passage is found under each of its names, with the same states."""
    docs, lake = root / "docs", root / "lake"
    (docs / "file001.txt").rename(docs / "moved.txt")
    shutil.copy(docs / "file002.txt", docs / "again.txt")
    shutil.copy(docs / "file002.txt", docs / "as another kind.md")
    summary = night(root, tiny_encoder)
    tables = tables_of(lake)
    by_name = {}
    for row in rows(tables, schema.POOLED):
        by_name.setdefault(row["uri"].rpartition("/")[2], []).append(row)
    kind = len(by_name["as another kind.md"])
    assert (summary["encoded"], summary["removed"]) == (kind, 1)
    assert summary["reused"] == len(by_name["file001.txt"]) + len(by_name["file002.txt"])
    reader = StatesReader(layout.snapshot(tables))
    for old, new in (("file001.txt", "moved.txt"), ("file002.txt", "again.txt")):
        ids = [np.array([row["segment_id"] for row in sorted(by_name[name], key=itemgetter("ordinal"))])
               for name in (old, new)]  # fmt: skip
        assert not set(ids[0]) & set(ids[1])
        one, other = (reader.read(some) for some in ids)
        np.testing.assert_array_equal(one.values, other.values)
        shown = [[(row["ordinal"], row["text"], row["pooled"], row["of"]) for row in sorted(
            by_name[name], key=itemgetter("ordinal"))] for name in (old, new)]  # fmt: skip
        assert shown[0] == shown[1]
        assert {row["title"] for row in by_name[new]} == {new}
    assert night(root, tiny_encoder)["run_id"] is None


def test_only_the_source_that_was_listed_is_pruned(root, tiny_encoder, tmp_path_factory):
    other = write_corpus(tmp_path_factory.mktemp("other") / "docs", files=1, lines=3)
    keys = (f"encoder={tiny_encoder}", f"lake={root / 'lake'}", "prune=true", "max_pruned=1")
    before = len(rows(tables_of(root / "lake"), schema.POOLED))
    summary = run("ingest", f"source={other}", *keys)
    assert summary["removed"] == 0
    assert len(rows(tables_of(root / "lake"), schema.POOLED)) == before + summary["encoded"]


def test_a_reader_never_misses_a_whole_version_while_a_run_replaces_them(root, tiny_encoder, tmp_path_factory):
    """Every other file changes; a reader loops as long as the run does."""
    lake = root / "lake"
    for path in sorted((root / "docs").glob("file*.txt"))[::2]:
        path.write_text(path.read_text().replace("lake", "ocean") + "\nand one more line of it")
    tables = tables_of(lake)
    whole = {row["asset_id"] for row in rows(tables, schema.POOLED)}
    seen: list[set[tuple[str, str]]] = []
    over = threading.Event()

    def read() -> None:
        while not over.is_set():
            snapshot = layout.snapshot(tables)
            columns = ["asset_id", "version", "ordinal", "of", "segment_id"]
            found = table.read(snapshot.pooled, columns).to_pylist()
            states = set(table.read(snapshot.hidden_states, ["segment_id"])["segment_id"].to_pylist())
            assert {row["segment_id"] for row in found} <= states
            by_asset = {}
            for row in found:
                by_asset.setdefault((row["asset_id"], row["version"], row["of"]), set()).add(row["ordinal"])
            assert all(len(ordinals) == of for (_, _, of), ordinals in by_asset.items())
            seen.append({(asset, version) for asset, version, _ in by_asset})

    failed: list[BaseException] = []
    reader = threading.Thread(target=lambda: _keep(read, failed))
    reader.start()
    summary = night(root, tiny_encoder)
    over.set()
    reader.join()
    assert not failed, failed
    assert summary["encoded"] > 0
    assert len(seen) > 3
    assert all({asset for asset, _ in moment} == whole and len(moment) == len(whole) for moment in seen)
    assert len({frozenset(moment) for moment in seen}) > 1, "the reader saw no swap"
    fresh = tmp_path_factory.mktemp("fresh")
    (fresh / "docs").symlink_to((root / "docs").resolve())
    night(fresh, tiny_encoder)
    assert_same_rows(lake, fresh / "lake")


def _keep(work, failed: list[BaseException]) -> None:
    try:
        work()
    except BaseException as error:  # noqa: BLE001 - shown by the test
        failed.append(error)


def assert_same_rows(left: Path, right: Path) -> None:
    """Pooled only: states of the old versions are there until `maintain` sweeps them."""
    one, two = ([(row["segment_id"], row["text"]) for row in rows(tables_of(lake), schema.POOLED)]
                for lake in (left, right))  # fmt: skip
    assert one == two
