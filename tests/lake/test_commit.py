"""Exactly once, whatever is killed where: group commits, roll-forward, swaps of changed assets, deposed writers."""

import contextlib
import itertools
import threading
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from lake_making import (
    Doc,
    Run,
    content,
    decode,
    embed,
    failure_row,
    make_committer,
    make_receipt,
    make_segment,
    make_tables,
    promised,
    rows_of,
    shown,
)

from smart_jobs import schema, storage
from smart_jobs.lake import groups, layout, pending, table
from smart_jobs.lake.lease import DeposedError, Lease
from smart_jobs.lake.reader import StatesReader
from smart_jobs.records import JobError, Planned

EDGES = [(table, "commit"), (storage, "write_bytes"), (storage, "delete")]
"""All that a run does to a lake goes through these."""

FIRST = [Doc("a", "v1", "gbg"), Doc("b", "v1", "gg"), Doc("c", "v1", ""), Doc("d", "v1", "g")]
SECOND = [Doc("a", "v2", "gggb"), Doc("b", "v1", "gg"), Doc("c", "v2", "g"), Doc("d", "v2", "b"), Doc("e", "v1", "bg")]


class Killed(BaseException):
    """Passes every `except Exception`, as a kill does."""


class Edges:
    """Kills a run at the k-th step of the commit protocol that it reaches; counts them all."""

    def __init__(self, at=None):
        self.count, self.at = 0, at

    def __call__(self, _step):
        hit, self.count = self.count == self.at, self.count + 1
        if hit:
            raise Killed


def killed_at(edge, tables, docs, epoch, run):
    """Whether the run got as far as that edge."""
    try:
        run.ingest(tables, docs, epoch, Edges(edge))
    except Killed:
        return True
    return False


def assert_history_whole(tables):
    """Every version of pooled that ever was shows one version of an asset, whole once it was, with its states."""
    whole, newest = set(), table.open_table(tables.table_uri(schema.POOLED))
    bad = defaultdict(int)
    for row in rows_of(tables, schema.FAILURES):
        bad[row["asset_id"], row["version"]] += row["ordinal"] is not None
    commits = list(reversed(newest.history()))
    for version in range(1, newest.version() + 1):
        rows = rows_of(tables, schema.POOLED, version)
        seen = Counter((row["asset_id"], row["version"]) for row in rows)
        assert len({asset for asset, _ in seen}) == len(seen), "two versions of one asset"
        now = {row["asset_id"] for row in rows if seen[row["asset_id"], row["version"]] + bad[
            row["asset_id"], row["version"]] == row["of"]}  # fmt: skip
        assert whole <= now, "an asset was whole and is not any more"
        whole = now
        states = rows_of(tables, schema.HIDDEN_STATES, int(commits[version]["hidden_states_version"]))
        assert {row["segment_id"] for row in rows} <= {row["segment_id"] for row in states}


def assert_states_readable(tables):
    snapshot = layout.snapshot(tables)
    ids = table.read(snapshot.pooled, ["segment_id"])["segment_id"].to_numpy()
    assert StatesReader(snapshot).read(ids).offsets[-1] > 0


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    """An undisturbed run over FIRST, then one over SECOND."""
    tables = make_tables(tmp_path_factory.mktemp("clean"))
    assert Run().ingest(tables, FIRST, 1) == 6
    first = content(tables)
    assert Run().ingest(tables, SECOND, 2) == 8
    return first, content(tables)


def lake_with(tmp_path, *rounds):
    tables = make_tables(tmp_path)
    for epoch, docs in enumerate(rounds, start=1):
        Run().ingest(tables, docs, epoch)
    return tables


def edges_of(tmp_path, rounds, docs, run):
    tables = lake_with(tmp_path / "counted", *rounds)
    edges = Edges()
    run.ingest(tables, docs, len(rounds) + 1, edges)
    return edges.count


@pytest.mark.parametrize("rounds", [[FIRST], [FIRST, SECOND]], ids=["new", "changed"])
def test_a_run_killed_at_any_edge_is_finished_by_the_next(tmp_path, clean, rounds):
    *before, docs = rounds
    run = Run(unit=3, group=2)
    number = edges_of(tmp_path, before, docs, run)
    assert number > 15
    for edge in range(number):
        tables = lake_with(tmp_path / str(edge), *before)
        assert killed_at(edge, tables, docs, len(rounds), run)
        run.ingest(tables, docs, len(rounds) + 1)
        assert content(tables) == clean[len(rounds) - 1], f"killed at edge {edge}"
        if edge % 3 == 0:  # reading every version of every lake is most of the time
            assert_history_whole(tables)


@st.composite
def corpora(draw):
    """Some assets, then the same changed, touched, grown worse, or left alone, and perhaps some more."""
    pieces = st.text("ggb", min_size=1, max_size=6) | st.just("")
    first = [Doc(f"u{i}", "v1", text) for i, text in enumerate(draw(st.lists(pieces, min_size=1, max_size=4)))]
    second = []
    for doc in first:
        fate = draw(st.sampled_from(["same", "touched", "changed"]))
        second.append(doc if fate == "same" else Doc(doc.uri, "v1", doc.pieces, "touched") if fate == "touched" else
                      Doc(doc.uri, "v2", draw(pieces)))  # fmt: skip
    return first, [*second, Doc("new", "v1", draw(pieces))]


RUNS = st.builds(Run, unit=st.integers(1, 4), group=st.integers(1, 3))
KILLS = st.lists(st.integers(0, 30), max_size=3)


@settings(max_examples=12, deadline=None)
@given(corpora(), st.lists(st.tuples(RUNS, KILLS), min_size=2, max_size=2))
def test_any_corpus_killed_again_and_again_ends_as_if_never(tmp_path_factory, corpus, rounds):
    root: Path = tmp_path_factory.mktemp("lakes")
    tables, undisturbed = make_tables(root / "killed"), make_tables(root / "undisturbed")
    epoch = 0
    for docs, (run, kills) in zip(corpus, rounds, strict=True):
        for edge in kills:
            epoch += 1
            killed_at(edge, tables, docs, epoch, run)
        epoch += 1
        run.ingest(tables, docs, epoch)
        Run(unit=100).ingest(undisturbed, docs, epoch)
        assert content(tables) == content(undisturbed)
        epoch += 1
        assert run.ingest(tables, docs, epoch) == 0
    assert_history_whole(tables)
    kept = {old.uri: old for old in corpus[0]} | {doc.uri: doc for doc in corpus[1] if "g" in doc.pieces}
    assert shown(tables) == promised(kept.values())


def test_a_kill_during_the_roll_forward_is_rolled_forward_again(tmp_path, clean):
    run = Run(unit=100)
    steps = []
    run.ingest(make_tables(tmp_path / "named"), FIRST, 1, steps.append)
    pending_written = steps.index("pending written")
    for first in range(pending_written, steps.index("assets committed") + 1):
        for edge in range(7):
            tables = make_tables(tmp_path / f"{first}-{edge}")
            assert killed_at(first, tables, FIRST, 1, run)
            assert killed_at(edge, tables, FIRST, 2, run) or edge > 1
            run.ingest(tables, FIRST, 3)
            assert content(tables) == clean[0], f"killed at edges {first} and {edge}"


def test_what_reached_a_pending_file_is_not_encoded_again(tmp_path):
    for edge in range(edges_of(tmp_path, [], FIRST, Run(unit=100))):
        tables = make_tables(tmp_path / str(edge))
        assert killed_at(edge, tables, FIRST, 1, Run(unit=100))
        reached = len(pending.listed(tables)) and pending.listed(tables)[-1].adds
        encoded = Run(unit=100).ingest(tables, FIRST, 2)
        assert encoded == (0 if reached else 6)


def test_rows_that_wait_survive_a_crash_and_are_not_encoded_again(tmp_path):
    tables = lake_with(tmp_path, [Doc("a", "v1", "gg")])
    new = Doc("a", "v2", "ggggg")
    first = make_committer(tables, 2)
    first.add(make_receipt(tables, decode(Planned(new.asset), new, "run-2")[:3]))
    first.commit()
    assert shown(tables) == promised([Doc("a", "v1", "gg")])
    assert Run().ingest(tables, [Doc("other", "v1", "g")], 3) == 1, "a run that has nothing to do with them"
    assert Run().ingest(tables, [], 4) == 0
    assert Run().ingest(tables, [new], 5) == 2
    assert shown(tables) == promised([new, Doc("other", "v1", "g")])
    assert len(rows_of(tables, schema.HIDDEN_STATES)) == 2 + 5 + 1
    assert_history_whole(tables)


def test_a_changed_asset_is_swapped_in_one_commit(tmp_path):
    tables = lake_with(tmp_path, [Doc("a", "v1", "ggg"), Doc("b", "v1", "gg")])
    old, new = Doc("a", "v1", "ggg"), Doc("a", "v2", "ggbgg")
    before = table.open_table(tables.table_uri(schema.POOLED)).version()
    Run(unit=1).ingest(tables, [new, Doc("b", "v1", "gg")], 2)
    states = [shown(tables, version) for version in range(before, 1 + layout.snapshot(tables).pooled.version())]
    halves = [{key: n for key, n in state.items() if key[0] == "a"} for state in states]
    assert [half for half, _ in itertools.groupby(halves)] == [promised([old]), promised([new])]
    assert shown(tables) == promised([new, Doc("b", "v1", "gg")])


def test_a_swap_waits_for_the_failure_of_the_last_ordinal(tmp_path):
    old, new = Doc("a", "v1", "g"), Doc("a", "v2", "gb")
    tables = lake_with(tmp_path, [old])
    committer = make_committer(tables, 2)
    good, bad, row = decode(Planned(new.asset), new, "run-2")
    committer.add(make_receipt(tables, [good, row]))
    committer.commit()
    assert shown(tables) == promised([old])
    committer.add(make_receipt(tables, [bad]))
    committer.commit()
    assert shown(tables) == promised([new])


def test_a_failure_that_another_encoder_recorded_completes_a_swap(tmp_path):
    old, new = Doc("a", "v1", "g"), Doc("a", "v2", "gb")
    tables = lake_with(tmp_path, [old])
    committer = make_committer(tables, 2)
    committer.add(make_receipt(tables, decode(Planned(new.asset), new, "run-2")[:1]))
    committer.commit()
    row = failure_row(new.asset.id, "v2", ordinal=1, of=2)
    layout.append(tables.lake, schema.FAILURES, [row], "another encoder")
    assert Run().ingest(tables, [new], 3) == 0
    assert shown(tables) == promised([new])


@pytest.mark.parametrize("pieces", ["bb", ""], ids=["every segment", "the whole asset"])
def test_a_new_version_that_only_fails_keeps_the_old_one(tmp_path, pieces):
    old, new = Doc("a", "v1", "gg"), Doc("a", "v2", pieces)
    tables = lake_with(tmp_path, [old], [new])
    assert shown(tables) == promised([old])
    assert Run().ingest(tables, [new], 3) == 0
    assert Run().ingest(tables, [Doc("a", "v3", "g")], 4) == 1
    assert shown(tables) == promised([Doc("a", "v3", "g")])


def test_a_half_old_version_goes_when_the_new_one_comes(tmp_path):
    tables = make_tables(tmp_path)
    old, new = Doc("a", "v1", "gggg"), Doc("a", "v2", "gg")
    committer = make_committer(tables, 1)
    committer.add(make_receipt(tables, decode(Planned(old.asset), old, "run-1")[:2]))
    committer.commit()
    assert sum(shown(tables).values()) == 2
    Run(unit=1).ingest(tables, [new], 2)
    assert shown(tables) == promised([new])


def test_an_asset_that_turns_back_is_encoded_and_swapped_again(tmp_path):
    one, two = Doc("a", "v1", "gg"), Doc("a", "v2", "ggg")
    tables = lake_with(tmp_path, [one], [two], [one])
    assert shown(tables) == promised([one])
    assert_states_readable(tables)


def test_neighbours_in_the_files_of_a_replaced_asset_stay(tmp_path):
    docs = [Doc(f"u{i}", "v1", "gg") for i in range(5)]
    tables = make_tables(tmp_path)
    Run(unit=100).ingest(tables, docs, 1)
    before = {row["segment_id"]: row for row in rows_of(tables, schema.POOLED) if row["uri"] != "u2"}
    docs[2] = Doc("u2", "v2", "g")
    Run(unit=100).ingest(tables, docs, 2)
    after = {row["segment_id"]: row for row in rows_of(tables, schema.POOLED) if row["uri"] != "u2"}
    assert after == before
    assert shown(tables) == promised(docs)


@pytest.mark.parametrize("parts", ["segments", "failures", "both"])
def test_a_receipt_delivered_twice_counts_once(tmp_path, parts):
    tables = make_tables(tmp_path)
    doc = Doc("a", "v1", {"segments": "gg", "failures": "", "both": "gb"}[parts])
    receipt = make_receipt(tables, decode(Planned(doc.asset), doc, "run-1"))
    committer = make_committer(tables, 1)
    committer.add(receipt)
    committer.add(receipt)
    committer.commit()
    committer.add(receipt)
    committer.commit()
    assert shown(tables) == promised([doc])
    assert len(rows_of(tables, schema.HIDDEN_STATES)) == doc.pieces.count("g")
    assert len(rows_of(tables, schema.FAILURES)) == doc.pieces.count("b") + (not doc.pieces)
    assert len(rows_of(tables, schema.ASSETS)) == 1
    assert committer.counts.failures == len(rows_of(tables, schema.FAILURES))


def test_segments_that_share_an_id_are_refused(tmp_path):
    tables = make_tables(tmp_path)
    committer = make_committer(tables)
    one, other = make_segment("a", "v1", 0, 1), make_segment("b", "v1", 0, 1)
    committer.add(make_receipt(tables, [one]))
    twin = type(one)(**{name: getattr(other, name) for name in other.__slots__} | {"segment_id": one.segment_id})
    with pytest.raises(JobError, match=f"{one.segment_id} is that of two segments; one is in b"):
        committer.add(make_receipt(tables, [twin]))


@pytest.mark.parametrize("seen", ["missing", "short"])
def test_a_states_file_that_is_not_as_its_receipt_says_is_refused(tmp_path, seen):
    tables = make_tables(tmp_path)
    receipt = make_receipt(tables, [make_segment("a", "v1", 0, 1)])
    path = Path(tables.table_uri(schema.HIDDEN_STATES), receipt["states"][0][0]["path"].as_py())
    path.write_bytes(path.read_bytes()[:-1]) if seen == "short" else path.unlink()
    committer = make_committer(tables)
    with pytest.raises(JobError, match="do all nodes see the same lake"):
        committer.add(receipt)
    assert not rows_of(tables, schema.POOLED)


def test_a_commit_of_nothing_makes_no_version(tmp_path):
    tables = make_tables(tmp_path)
    committer = make_committer(tables)
    before = [table.open_table(tables.table_uri(kind)).version() for kind in schema.COMMIT_ORDER]
    committer.commit()
    assert [table.open_table(tables.table_uri(kind)).version() for kind in schema.COMMIT_ORDER] == before


def test_counts_are_what_was_committed(tmp_path):
    tables = make_tables(tmp_path)
    committer = make_committer(tables)
    for doc in FIRST:
        committer.add(make_receipt(tables, decode(Planned(doc.asset), doc, "run-1")))
    assert (committer.counts.encoded, committer.counts.pooled_bytes) == (5, 0)
    committer.commit()
    counts = committer.counts
    assert (counts.encoded, counts.failures, counts.failed_assets) == (5, 2, 1)
    assert counts.by_reason == {"not_finite": 1, "damaged": 1}
    root = Path(tables.table_uri(schema.HIDDEN_STATES))
    assert counts.states_bytes == sum(path.stat().st_size for path in root.glob("*.parquet"))
    assert counts.versions == {
        kind.name: table.open_table(tables.table_uri(kind)).version() for kind in schema.COMMIT_ORDER
    }


def test_pooled_and_states_are_those_that_the_encoder_gave(tmp_path):
    tables = lake_with(tmp_path, FIRST, SECOND)
    snapshot = layout.snapshot(tables)
    rows = rows_of(tables, schema.POOLED)
    read = StatesReader(snapshot).read(np.array([row["segment_id"] for row in rows]))
    for i, row in enumerate(rows):
        expected = embed(make_segment(row["uri"], row["version"], row["ordinal"], row["of"]))
        np.testing.assert_array_equal(np.float32(row["pooled"]), expected.pooled)
        np.testing.assert_array_equal(read.values[read.offsets[i] : read.offsets[i + 1]], expected.states)
        assert row["n_tokens"] == len(expected.states)


def half_done(tables, epoch, new, others=()):
    """A writer that holds half of `new` back, with receipts of `others` on hand and nothing committed yet."""
    committer = make_committer(tables, epoch)
    committer.add(make_receipt(tables, decode(Planned(new.asset), new, f"run-{epoch}")[:2]))
    for doc in others:
        committer.add(make_receipt(tables, decode(Planned(doc.asset), doc, f"run-{epoch}")))
    return committer


def test_a_deposed_writer_changes_nothing_and_leaves_nothing_that_waits(tmp_path):
    old, new, other = Doc("a", "v1", "g"), Doc("a", "v2", "ggg"), Doc("b", "v1", "gb")
    tables = lake_with(tmp_path, [old])
    deposed = half_done(tables, 2, new, [other])
    make_committer(tables, 3)
    before = content(tables)
    with pytest.raises(DeposedError, match="run run-2 was deposed"):
        deposed.commit()
    assert content(tables) == before
    waiting = groups.roll_forward(tables, Lease("run-4", 4))
    assert not waiting.rows.num_rows, "rows whose states nobody committed"
    assert Run().ingest(tables, [new, other], 5) == 5
    assert content(tables) == content(lake_with(tmp_path / "clean", [old], [new, other]))
    assert_states_readable(tables)


def test_a_run_that_lost_its_lease_before_it_began_is_deposed(tmp_path):
    tables = lake_with(tmp_path, FIRST)
    half_done(tables, 3, Doc("a", "v2", "gggg")).commit()
    before = pending.listed(tables)
    with pytest.raises(DeposedError, match="run run-2 was deposed"):
        groups.roll_forward(tables, Lease("run-2", 2))
    assert pending.listed(tables) == before


class Interleaved:
    """A run in a thread of its own that stops before each of `stops` edges; it goes on at `resumes` edges of others."""

    def __init__(self, monkeypatch, stops, resumes, work):
        self.stops, self.resumes, self.work, self.over = stops, resumes, work, False
        self.mine = self.others = 0
        self.stopped, self.resumed = threading.Semaphore(0), threading.Semaphore(0)
        self.thread = threading.Thread(target=self.main)
        for module, name in EDGES:
            monkeypatch.setattr(module, name, self.gated(getattr(module, name)))
        self.thread.start()
        assert self.stopped.acquire(timeout=60)

    def gated(self, function):
        def call(*args):
            (self.my_edge if threading.current_thread() is self.thread else self.other_edge)()
            return function(*args)

        return call

    def my_edge(self):
        self.mine += 1
        if self.mine - 1 in self.stops:
            self.stopped.release()
            assert self.resumed.acquire(timeout=60)

    def other_edge(self):
        self.others += 1
        if self.others - 1 in self.resumes:
            self.go_on()

    def main(self):
        with contextlib.suppress(DeposedError):
            self.work()
        self.over = True
        self.stopped.release()

    def go_on(self):
        if not self.over:
            self.resumed.release()
            assert self.stopped.acquire(timeout=60)

    def finish(self):
        self.stops = ()
        self.go_on()
        self.thread.join(60)
        assert self.over


MOMENTS = st.sets(st.integers(0, 24), min_size=1, max_size=4)


@settings(max_examples=15, deadline=None)
@given(MOMENTS, MOMENTS, RUNS, RUNS)
@example({9, 11}, {0, 1}, Run(unit=100), Run(unit=100))
def test_a_paused_run_that_goes_on_in_the_middle_of_its_successor_costs_nothing(
    tmp_path_factory, clean, stopped, resumed, run, other
):
    tables = lake_with(tmp_path_factory.mktemp("lake"), FIRST)
    with pytest.MonkeyPatch.context() as patch:
        paused = Interleaved(patch, stopped, resumed, lambda: run.ingest(tables, SECOND, 2))
        other.ingest(tables, SECOND, 3)
        paused.finish()
    assert Run().ingest(tables, SECOND, 4) == 0
    assert_history_whole(tables)
    assert_states_readable(tables)
    assert content(tables) == clean[1]
