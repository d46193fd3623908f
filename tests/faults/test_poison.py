"""A segment that kills its worker, with real SIGKILLs: found inside its unit, recorded, and nobody else harmed."""

import json
import os
import signal
import threading
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pytest
from comparing import rows, tables_of
from jobs import actor_processes, run, wait_for, write_corpus
from killing import forked
from lake_making import embed, make_committer, make_segment, make_tables, rows_of

from smart_jobs import schema, wire
from smart_jobs.encode.inflight import ALONE_FROM
from smart_jobs.flow import actors
from smart_jobs.records import RETRIED

POISON = "poison"


class Deadly:
    """An encoder that takes its process with it."""

    def __init__(self, tables):
        self.spec = tables.spec

    def encode(self, segments):
        if any(segment.text == POISON for segment in segments):
            os.kill(os.getpid(), signal.SIGKILL)
        return [embed(segment) for segment in segments]


def work(lake: str, unit: str, out: str) -> None:
    """What an encode actor does with a unit, in a process that may die of it."""
    tables = tables_of(Path(lake))
    with pa.ipc.open_file(unit) as file:
        made = actors.receipt(file.read_all(), tables, lambda: Deadly(tables), "run-1")
    write(made, out)


def write(table: pa.Table, path: str) -> None:
    with pa.ipc.new_file(path, table.schema) as file:
        file.write_table(table)


@pytest.mark.parametrize("poison", [(2,), pytest.param((0, 3), marks=pytest.mark.slow)], ids=["one", "two"])
def test_workers_die_until_every_poison_segment_is_recorded(tmp_path, poison):
    tables = make_tables(tmp_path / "lake")
    segments = [make_segment("u", "v", i, 5, POISON if i in poison else f"text {i}") for i in range(5)]
    row = {"unit": "u1", "segments": [{**asdict(s), "meta": list(s.meta.items())} for s in segments]}
    write(pa.Table.from_pylist([{**row, "failures": [], "assets": []}], schema=wire.UNIT), str(tmp_path / "unit"))
    words = (str(tmp_path / "lake"), str(tmp_path / "unit"), str(tmp_path / "receipt"))
    deaths = 0
    while (status := forked(work, *words)) == -signal.SIGKILL:
        deaths += 1
        assert not (tmp_path / "receipt").exists()
    assert (status, deaths) == (0, ALONE_FROM - 1 + len(poison))
    committer = make_committer(tables)
    with pa.ipc.open_file(tmp_path / "receipt") as file:
        committer.add(file.read_all())
    committer.commit()
    assert {row["ordinal"] for row in rows_of(tables, schema.POOLED)} == set(range(5)) - set(poison)
    failures = {(row["ordinal"], row["reason"], row["step"], row["attempts"]) for row in rows(tables, schema.FAILURES)}
    assert failures == {(i, "worker_died", "encode", 1) for i in poison}
    assert not list(Path(tables.uri, "_inflight").iterdir())


@pytest.mark.slow
@pytest.mark.ray
def test_an_actor_that_dies_three_times_of_one_unit(tmp_path, tiny_encoder, cluster):
    """Ray replays the unit each time; the segment in hand at the third death is given up, everything else comes in."""
    source, lake = write_corpus(tmp_path / "docs", files=8, lines=30), tmp_path / "lake"
    killed: list[dict] = []
    killer = threading.Thread(target=lambda: kill_three_times(lake, killed))
    killer.start()
    words = (f"source={source}", f"lake={lake}", f"encoder={tiny_encoder}", "unit_tokens=6000", "commit_seconds=0.5")
    summary = run("ingest", *words)
    killer.join()
    assert [marker["attempts"] for marker in killed] == [1, 2, 3]
    assert summary["failed_by_reason"] == {"empty": 1, "worker_died": 1}
    tables = tables_of(lake)
    [poison] = [row for row in rows(tables, schema.FAILURES) if row["reason"] == "worker_died"]
    pooled = rows(tables, schema.POOLED)
    have = {(row["uri"], row["ordinal"]) for row in pooled}
    wanted = {(row["uri"], ordinal) for row in pooled for ordinal in range(row["of"])}
    assert wanted - have == {(poison["uri"], poison["ordinal"])}
    assert len(have) == len(pooled)
    assert len({row["uri"] for row in pooled}) == 8
    again = run("ingest", *words)
    assert "worker_died" in RETRIED
    assert (again["encoded"], again["failures"]) == (1, 0)


def kill_three_times(lake: Path, killed: list[dict]) -> None:
    """SIGKILL the encode actor while the first unit is in its hands: twice at once, then with one segment marked."""
    wait_for(lambda: list(lake.glob("encoders/*/_inflight/*.json")))
    [path, *_] = lake.glob("encoders/*/_inflight/*.json")
    for attempt in range(1, ALONE_FROM + 1):
        wait_for(lambda attempt=attempt: in_hand(path, attempt))
        [pid, *_] = actor_processes("EncodeActor")
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda pid=pid: pid not in actor_processes("EncodeActor"))
        killed.append(json.loads(path.read_text()))


def in_hand(path: Path, attempt: int) -> bool:
    marker = json.loads(path.read_text())
    return marker["attempts"] == attempt and (attempt < ALONE_FROM or marker["trying"] is not None)
