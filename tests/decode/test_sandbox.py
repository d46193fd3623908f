"""Decoding in a process that hangs, crashes, eats memory and dies with its parent, against what the pages hold."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pymupdf
import pytest
from bad_decoders import HEADS
from decoding import parts, plain, seen
from fixtures import FIXTURES, needs_fixtures
from hard_pdfs import endless, greedy
from hypothesis import given, settings
from hypothesis import strategies as st

from smart_jobs.decode.opening import Wanted
from smart_jobs.decode.sandbox import DEATHS, RECYCLED, Sandbox
from smart_jobs.keys import Decode
from smart_jobs.records import AssetError, JobError

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
    return Sandbox(Decode(seconds=2, memory=0.5), "bad_decoders:opener")


def log_of(folder: Path) -> str:
    return str(folder / "log")


def tried(log: str) -> list[tuple[int, int]]:
    """Index and process of each page that was begun."""
    return [tuple(int(word) for word in line.split()) for line in Path(log).read_text().splitlines()]


def texts(sandbox, data, uri):
    """The text of each part of a document, or its error."""
    return [getattr(part, "text", part) for part in sandbox.parts(data, Wanted(uri, "document", None))]


def outcome(read, data, wanted):
    """Parts and errors as values that compare."""
    try:
        return [plain(part) for part in read(data, wanted)]
    except AssetError as error:
        return [plain(error)]


def test_a_clip_has_a_limit_of_its_own(tmp_path):
    """As long as a page may take is not enough for the child of an image, and is for that of a video."""
    slow = Sandbox(Decode(seconds=0.5, video_seconds=20), "bad_decoders:slow_opener")
    found = {}
    for media in ("image", "video"):
        [found[media]] = slow.parts(b"good", Wanted(log_of(tmp_path), media, None))
    assert (found["image"].reason, found["video"].text) == ("timeout", "good")


# The same as without


@needs_fixtures
def test_every_fixture_reads_as_in_this_process(capfd):
    sandbox = Sandbox(Decode())
    paths = [path for kind in ("pdf", "office") for path in sorted((FIXTURES / kind).rglob("*")) if path.is_file()]
    assert len(paths) > 140
    for path in paths:
        data = path.read_bytes()
        wanted = Wanted(str(path), "document", None)
        assert outcome(sandbox.parts, data, wanted) == outcome(parts, data, wanted), path
    assert capfd.readouterr() == ("", "")


@needs_fixtures
@pytest.mark.parametrize("page_as", ["image", "both"])
def test_pictures_of_pages_come_over_as_they_are(page_as):
    sandbox = Sandbox(Decode())
    for path in sorted((FIXTURES / "pdf" / "good").glob("*.pdf"))[::6]:
        wanted = Wanted(str(path), "document", seen(page_as))
        found = outcome(sandbox.parts, path.read_bytes(), wanted)
        assert found == outcome(parts, path.read_bytes(), wanted), path
        assert all(len(visuals) == 1 for *_, visuals in found)


@needs_fixtures
@pytest.mark.parametrize("media", ["image", "video"])
def test_images_and_videos_read_as_in_this_process(media):
    """Every fifth of each folder, the hostile ones too; they go through one decoder after each other, PDFs between."""
    sandbox = Sandbox(Decode())
    paths = [path for path in sorted((FIXTURES / media).rglob("*")) if path.is_file()][::5]
    for path in paths:
        wanted = Wanted(str(path), media, seen())
        assert outcome(sandbox.parts, path.read_bytes(), wanted) == outcome(parts, path.read_bytes(), wanted), path
        assert texts(sandbox, small(), "a.pdf") == ["words"]
    assert len(paths) > 15


def small():
    with pymupdf.open() as document:
        document.new_page().insert_text((72, 72), "words")
        return document.tobytes()


def test_visuals_and_times_come_over(bad, tmp_path):
    image, text, clip = bad.parts(b"image text clip", Wanted(log_of(tmp_path), "image", None))
    assert (image.text, text.text, text.visuals, (text.start, text.end)) == ("image", "text", (), (0.5, 1.5))
    assert image.visuals[0].pixels.tolist() == np.arange(18).reshape(1, 2, 3, 3).tolist()
    assert clip.visuals[0].pixels.tolist() == np.arange(72).reshape(4, 2, 3, 3).tolist()
    assert [(item.kind, item.times) for part in (image, clip) for item in part.visuals] == [
        ("image", ()),
        ("video", (0.0, 0.1, 0.25, 3.5)),
    ]


@pytest.mark.parametrize("word", [*HEADS, "nokind"])
def test_pixels_that_are_not_what_their_head_says_cost_their_part(bad, tmp_path, word):
    before, broken, behind = bad.parts(f"image {word} clip".encode(), Wanted(log_of(tmp_path), "image", None))
    assert [part.visuals[0].pixels.shape for part in (before, behind)] == [(1, 2, 3, 3), (4, 2, 3, 3)]
    assert (broken.reason, broken.step) == ("worker_died", "decode")
    assert broken.detail.startswith("image 2 ")


def test_an_error_that_is_raised_costs_its_part_and_leaves_the_decoder_in_step(bad, tmp_path):
    log = log_of(tmp_path)
    for _ in range(3):
        clip, broken, image = bad.parts(b"clip giveup image", Wanted(log, "image", None))
        assert (broken.reason, broken.detail) == ("damaged", "raised")
        assert clip.visuals[0].pixels.tolist() == np.arange(72).reshape(4, 2, 3, 3).tolist()
        assert image.visuals[0].pixels.tolist() == np.arange(18).reshape(1, 2, 3, 3).tolist()
    assert len({pid for _, pid in tried(log)}) == 1


def test_parts_may_be_had_from_any_on():
    document = pymupdf.open()
    for number in range(4):
        document.new_page().insert_text((72, 72), f"page {number}")
    data, wanted = document.tobytes(), Wanted("a.pdf", "document", None)
    sandbox = Sandbox(Decode())
    for first in range(6):
        found = [(part.page, part.text) for part in sandbox.parts(data, wanted, first)]
        assert found == [(number + 1, f"page {number}") for number in range(first, 4)]


def test_an_asset_that_is_left_in_the_middle_costs_the_next_nothing(bad, tmp_path):
    log = log_of(tmp_path)
    left = bad.parts(b"image late image", Wanted(log, "image", None))
    next(left)  # its decoder is at the second one, whose pixels it puts behind the asset
    assert texts(bad, b"the next one is longer than it", log) == ["the", "next", "one", "is", "longer", "than", "it"]
    left.close()
    assert texts(bad, b"and another", log) == ["and", "another"]


def test_content_of_any_size_after_each_other(bad, tmp_path):
    for count in (3000, 1, 5, 2000):
        assert texts(bad, b" ".join([b"word"] * count), log_of(tmp_path)) == ["word"] * count


# What goes wrong on a page


@pytest.mark.parametrize("word", REASONS)
def test_a_page_that_ends_its_decoder_costs_itself(bad, tmp_path, word):
    first, broken, damaged, last = texts(bad, f"first {word} damaged last".encode(), log_of(tmp_path))
    assert (first, damaged.reason, last) == ("first", "damaged", "last")
    assert (broken.reason, broken.step) == (REASONS[word][0], "decode")
    assert broken.detail.startswith("page 2 ")
    assert REASONS[word][1] in broken.detail
    assert [index for index, _ in tried(log_of(tmp_path))] == [0, 1, 2, 3]


@pytest.mark.parametrize("word", REASONS)
def test_opening_that_ends_the_decoder_costs_the_document(bad, tmp_path, word):
    with pytest.raises(AssetError) as caught:
        texts(bad, f"open-{word} second".encode(), log_of(tmp_path))
    assert (caught.value.reason, caught.value.step) == (REASONS[word][0], "decode")
    assert caught.value.detail.startswith("opening it ")
    assert texts(bad, b"the next", log_of(tmp_path)) == ["the", "next"]


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
    found = texts(bad, " ".join(words).encode(), log)
    assert [item.reason if isinstance(item, AssetError) else item for item in found] == expected


def test_a_document_costs_three_decoders_at_most(bad, tmp_path):
    found = texts(bad, b"good " + b"segfault abort hang " * 100, log_of(tmp_path))
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
    before, middle, behind = texts(Sandbox(limits), data, "a.pdf")
    assert (before, middle.reason, behind) == ("before", reason, "behind")


def test_content_that_does_not_fit_into_the_memory(tmp_path):
    sandbox = Sandbox(Decode(memory=0.25))
    with pytest.raises(AssetError, match=r"out_of_memory: opening it needs more than 0\.25 GiB"):
        texts(sandbox, b"%PDF-1.7" + bytes(3 * 10**8), "a.pdf")
    with pymupdf.open() as document:
        document.new_page().insert_text((72, 72), "fits")
        assert texts(sandbox, document.tobytes(), "a.pdf") == ["fits"]


# The process


def test_a_decoder_is_kept_recycled_and_replaced(tmp_path):
    sandbox, log = Sandbox(Decode(), "bad_decoders:opener"), log_of(tmp_path)
    for _ in range(RECYCLED + 1):
        texts(sandbox, b"page", log)
    pids = [pid for _, pid in tried(log)]
    assert len(set(pids[:RECYCLED])) == 1
    assert pids[RECYCLED] != pids[0]
    os.kill(pids[RECYCLED], signal.SIGKILL)
    wait_for(lambda: state(pids[RECYCLED]) == "Z")
    assert texts(sandbox, b"after that", log) == ["after", "that"]
    last = tried(log)[-1][1]
    assert state(last) not in ("", "Z")
    del sandbox
    assert [state(pid) for pid in {*pids, last}] == [""] * 3


def test_it_says_nothing_of_its_own(bad, tmp_path, capfd):
    assert texts(bad, b"noise noise", log_of(tmp_path)) == ["noise", "noise"]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("word", ["spin", "good"])
def test_it_dies_with_its_parent(tmp_path, word):
    """Killed while its decoder is busy in C, and while it waits for the next document."""
    log = log_of(tmp_path)
    code = "\n".join(
        [
            "import sys, time",
            "from smart_jobs.decode.opening import Wanted",
            "from smart_jobs.decode.sandbox import Sandbox",
            "from smart_jobs.keys import Decode",
            "kept = Sandbox(Decode(seconds=1000), 'bad_decoders:opener')",
            f"list(kept.parts(b'{word}', Wanted(sys.argv[1], 'document', None)))",
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
        texts(Sandbox(Decode(), "nowhere:opener"), b"%PDF-", "a.pdf")


def test_a_decoder_that_is_not_installed_is_one_line(bad, tmp_path):
    with pytest.raises(JobError, match=r"no decoder can be started: .* no decoder of videos here"):
        list(bad.parts(b"a", Wanted("a.mp4", "video", None)))
    assert texts(bad, b"the next", log_of(tmp_path)) == ["the", "next"]


def test_this_process_loads_no_decoder():
    code = "import sys, smart_jobs.decode.sandbox; print({'pymupdf', 'PIL', 'av', 'decord'} & set(sys.modules))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "set()\n"


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
