"""Decoding in a process that hangs, crashes, eats memory and dies with its parent, against what the pages hold."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pymupdf
import pytest
from fixtures import FIXTURES, needs_fixtures
from hard_pdfs import endless, greedy
from hypothesis import given, settings
from hypothesis import strategies as st

from smart_jobs.decode.document import page_texts
from smart_jobs.decode.sandbox import DEATHS, RECYCLED, Sandbox
from smart_jobs.records import AssetError, JobError
from smart_jobs.settings import Decode

REASONS = {
    "segfault": ("worker_died", "SIGSEGV"),
    "abort": ("worker_died", "SIGABRT"),
    "raise": ("worker_died", "KeyError: 'lost'"),
    "hang": ("timeout", "2 s"),
    "spin": ("timeout", "2 s"),
    "eat": ("out_of_memory", "0.5 GiB"),
}
"""What the bad decoder does on such a page -> the reason that is recorded, and what its detail says."""
AT_ONCE = [word for word, (reason, _) in REASONS.items() if reason != "timeout"]


@pytest.fixture(scope="module")
def bad():
    return Sandbox(Decode(seconds=2, memory=0.5), "bad_decoders:opened")


def log_of(folder: Path) -> str:
    return str(folder / "log")


def tried(log: str) -> list[tuple[int, int]]:
    """Index and process of each page that was begun."""
    return [tuple(int(word) for word in line.split()) for line in Path(log).read_text().splitlines()]


def outcome(read, data, uri):
    """Texts and errors as values that compare."""
    try:
        found = read(data, uri)
    except AssetError as error:
        found = [error]
    return [(item.reason, item.detail, item.step) if isinstance(item, AssetError) else item for item in found]


# The same as without


@needs_fixtures
def test_every_fixture_reads_as_in_this_process(capfd):
    sandbox = Sandbox(Decode())
    paths = [path for kind in ("pdf", "office") for path in sorted((FIXTURES / kind).rglob("*")) if path.is_file()]
    assert len(paths) > 140
    for path in paths:
        data = path.read_bytes()
        assert outcome(sandbox.page_texts, data, str(path)) == outcome(page_texts, data, str(path)), path
    assert capfd.readouterr() == ("", "")


# What goes wrong on a page


@pytest.mark.parametrize("word", REASONS)
def test_a_page_that_ends_its_decoder_costs_itself(bad, tmp_path, word):
    first, broken, damaged, last = bad.page_texts(f"first {word} damaged last".encode(), log_of(tmp_path))
    assert (first, damaged.reason, last) == ("first", "damaged", "last")
    assert (broken.reason, broken.step) == (REASONS[word][0], "decode")
    assert broken.detail.startswith("page 2 ")
    assert REASONS[word][1] in broken.detail
    assert [index for index, _ in tried(log_of(tmp_path))] == [0, 1, 2, 3]


@pytest.mark.parametrize("word", REASONS)
def test_opening_that_ends_the_decoder_costs_the_document(bad, tmp_path, word):
    with pytest.raises(AssetError) as caught:
        bad.page_texts(f"open-{word} second".encode(), log_of(tmp_path))
    assert (caught.value.reason, caught.value.step) == (REASONS[word][0], "decode")
    assert caught.value.detail.startswith("opening it ")
    assert bad.page_texts(b"the next", log_of(tmp_path)) == ["the", "next"]


@given(st.lists(st.sampled_from([*AT_ONCE, "damaged", "good", "fine", "noise"]), min_size=1, max_size=8))
@settings(max_examples=10, deadline=None)
def test_against_the_words(bad, tmp_path_factory, words):
    log = log_of(tmp_path_factory.mktemp("pages"))
    expected, deaths, last = [], 0, None
    for word in words:
        if deaths == DEATHS:
            expected.append(last)
        elif word in REASONS:
            last, deaths = REASONS[word][0], deaths + 1
            expected.append(last)
        else:
            expected.append(word)
    found = bad.page_texts(" ".join(words).encode(), log)
    assert [item.reason if isinstance(item, AssetError) else item for item in found] == expected


def test_a_document_costs_three_decoders_at_most(bad, tmp_path):
    found = bad.page_texts(b"good " + b"segfault abort hang " * 100, log_of(tmp_path))
    assert [item.reason for item in found[1:4]] == ["worker_died", "worker_died", "timeout"]
    assert {(item.reason, item.detail) for item in found[4:]} == {("timeout", found[4].detail)}
    assert found[4].detail.startswith("not tried: ")
    assert "page 4 was not done after 2 s" in found[4].detail
    assert (found[0], len(found)) == ("good", 301)
    assert [index for index, _ in tried(log_of(tmp_path))] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("data", "limits", "reason"),
    [(endless(), Decode(seconds=1), "timeout"), (greedy(12), Decode(memory=0.25), "out_of_memory")],
    ids=["endless", "greedy"],
)
def test_a_real_page_that_is_too_much(data, limits, reason):
    before, middle, behind = Sandbox(limits).page_texts(data, "a.pdf")
    assert (before, middle.reason, behind) == ("before", reason, "behind")


def test_content_that_does_not_fit_into_the_memory(tmp_path):
    sandbox = Sandbox(Decode(memory=0.25))
    with pytest.raises(AssetError, match=r"out_of_memory: opening it needs more than 0\.25 GiB"):
        sandbox.page_texts(b"%PDF-1.7" + bytes(3 * 10**8), "a.pdf")
    with pymupdf.open() as document:
        document.new_page().insert_text((72, 72), "fits")
        assert sandbox.page_texts(document.tobytes(), "a.pdf") == ["fits"]


# The process


def test_a_decoder_is_kept_recycled_and_replaced(tmp_path):
    sandbox, log = Sandbox(Decode(), "bad_decoders:opened"), log_of(tmp_path)
    for _ in range(RECYCLED + 1):
        sandbox.page_texts(b"page", log)
    pids = [pid for _, pid in tried(log)]
    assert len(set(pids[:RECYCLED])) == 1
    assert pids[RECYCLED] != pids[0]
    os.kill(pids[RECYCLED], signal.SIGKILL)
    wait_for(lambda: state(pids[RECYCLED]) == "Z")
    assert sandbox.page_texts(b"after that", log) == ["after", "that"]
    last = tried(log)[-1][1]
    assert state(last) not in ("", "Z")
    del sandbox
    assert [state(pid) for pid in {*pids, last}] == [""] * 3


def test_it_says_nothing_of_its_own(bad, tmp_path, capfd):
    assert bad.page_texts(b"noise noise", log_of(tmp_path)) == ["noise", "noise"]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("word", ["spin", "good"])
def test_it_dies_with_its_parent(tmp_path, word):
    """Killed while its decoder is busy in C, and while it waits for the next document."""
    log = log_of(tmp_path)
    code = "\n".join(
        [
            "import sys, time",
            "from smart_jobs.decode.sandbox import Sandbox",
            "from smart_jobs.settings import Decode",
            "kept = Sandbox(Decode(seconds=1000), 'bad_decoders:opened')",
            f"kept.page_texts(b'{word}', sys.argv[1])",
            "time.sleep(1000)",
        ]
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    parent = subprocess.Popen([sys.executable, "-c", code, log], env=environment)
    wait_for(lambda: Path(log).exists() and tried(log))
    [(_, pid)] = tried(log)
    assert state(pid) not in ("", "Z")
    parent.kill()
    parent.wait()
    wait_for(lambda: state(pid) in ("", "Z"))


def test_no_decoder_at_all_is_one_line():
    with pytest.raises(JobError, match=r"no decoder can be started: .* No module named 'nowhere'"):
        Sandbox(Decode(), "nowhere:opened").page_texts(b"%PDF-", "a.pdf")


def state(pid: int) -> str:
    """The letter that the kernel gives for a process: Z for a zombie, nothing where there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def wait_for(condition) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "nothing happened in time"
        time.sleep(0.02)
