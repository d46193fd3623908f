"""Units of work against what the assets hold: nothing lost, nothing twice, the same every time."""

import os
from dataclasses import replace

import pymupdf
import pytest
from decoding import parts
from hypothesis import given, settings
from hypothesis import strategies as st

from smart_jobs import storage, wire
from smart_jobs.decode.cutting import Policy
from smart_jobs.decode.parts import Part
from smart_jobs.decode.units import units
from smart_jobs.records import (
    ANY_ENCODER,
    REASONS,
    Asset,
    AssetError,
    Attached,
    Planned,
    content_version,
    segment_id,
)

SPEC = "0123456789ab"


def in_threes(text, side="document", instruction=""):
    """Passages of three words."""
    words = text.split()
    return [" ".join(words[i : i + 3]) for i in range(0, len(words), 3)]


def policy(**changed):
    given = {"spec": SPEC, "run_id": "run", "text_long": "auto", "max_length": 64, "unit_tokens": 10**6}
    return Policy(**{**given, "split": in_threes, "parts": parts, **changed})


def rows_of(planned, **changed):
    """Segments, failures and assets of all units, and the units as lists of rows."""
    tables = list(units(planned, policy(**changed)))
    for table in tables:
        assert table.schema.equals(wire.UNIT)
        assert table.num_rows == 1
    made = [table.to_pylist()[0] for table in tables]
    return [[row for unit in made for row in unit[kind]] for kind in ("segments", "failures", "assets")] + [made]


def listed(path, media=None):
    """The asset of a file as a source lists it."""
    info = storage.info(str(path))
    kind = media or ("text" if path.suffix == ".txt" else "document")
    return Asset(str(path), "s", info.stamp, kind, info.size, title=path.name)


def text_file(folder, text, name="a.txt"):
    (folder / name).write_text(text)
    return listed(folder / name)


def pdf_file(folder, *pages, name="a.pdf"):
    document = pymupdf.open()
    for text in pages:
        document.new_page().insert_text((72, 72), text)
    document.save(folder / name)
    return listed(folder / name)


def row(text, title="", name="1", meta=None):
    return Asset(f"t.jsonl#{name}", "s", "stamp" + name, "row", len(text), title=title, text=text, meta=meta or {})


def ordinals(rows):
    return [(item["asset_id"], item["ordinal"], item["of"]) for item in rows]


# Every ordinal once


@given(
    st.lists(st.lists(st.sampled_from(["", "a", "b c d e", "f " * 10]), min_size=1, max_size=4), max_size=4),
    st.integers(1, 40),
)
@settings(max_examples=25, deadline=None)
def test_every_ordinal_is_in_exactly_one_unit(tmp_path_factory, documents, unit_tokens):
    folder = tmp_path_factory.mktemp("pdf")
    planned = [Planned(pdf_file(folder, *pages, name=f"{i}.pdf")) for i, pages in enumerate(documents)]
    segments, failures, assets, _ = rows_of(planned, unit_tokens=unit_tokens)
    wanted = []
    for item, pages in zip(planned, documents, strict=True):
        passages = [(n, passage) for n, page in enumerate(pages, 1) for passage in in_threes(page) or [None]]
        wanted += [(item.asset.id, i, len(passages), *passage) for i, passage in enumerate(passages)]
    found = [(s["asset_id"], s["ordinal"], s["of"], s["page"], s["text"]) for s in segments]
    assert found == [item for item in wanted if item[4] is not None]
    assert ordinals(failures) == [item[:3] for item in wanted if item[4] is None]
    assert [(a["uri"], a["stamp"]) for a in assets] == [(item.asset.uri, item.asset.stamp) for item in planned]


@given(st.lists(st.integers(1, 300), min_size=1, max_size=25), st.integers(1, 120))
@settings(max_examples=40, deadline=None)
def test_a_unit_ends_with_the_segment_that_fills_it(sizes, unit_tokens):
    planned = [Planned(row("x" * size, name=str(i))) for i, size in enumerate(sizes)]
    *_, made = rows_of(planned, unit_tokens=unit_tokens)
    estimates = [[min(len(s["text"]) // 4 + 2, 64) for s in unit["segments"]] for unit in made]
    assert all(sum(unit) >= unit_tokens for unit in estimates[:-1])
    assert all(sum(unit[:-1]) < unit_tokens for unit in estimates)
    assert sum(map(len, estimates)) == len(sizes)


def test_the_same_plan_gives_the_same_units_in_the_same_order(tmp_path):
    planned = [
        Planned(pdf_file(tmp_path, "one two three four", "", "five")),
        Planned(text_file(tmp_path, "six " * 20)),
        Planned(row("seven", meta={"b": "2", "a": "1"})),
    ]

    def timeless():
        made = rows_of(planned, unit_tokens=8)[3]
        for unit in made:
            for failure in unit["failures"]:
                failure.pop("at")
        return made

    first = timeless()
    assert len(first) > 3
    assert first == timeless()
    assert len({unit["unit"] for unit in first}) == len(first)


def test_a_segment_says_where_it_comes_from(tmp_path):
    asset = pdf_file(tmp_path, "one two three four")
    segments, *_ = rows_of([Planned(asset)])
    version = content_version((tmp_path / "a.pdf").read_bytes())
    shared = {"asset_id": asset.id, "uri": asset.uri, "source": "s", "version": version, "media": "document", "of": 2}
    shared |= {"page": 1, "title": "a.pdf", "side": "document", "instruction": "", "meta": []}
    shared |= {"start": None, "end": None, "visuals": []}
    assert segments == [
        {**shared, "segment_id": segment_id(asset.uri, version, i), "ordinal": i, "text": text}
        for i, text in enumerate(["one two three", "four"])
    ]


def test_no_assets_give_no_units():
    assert list(units([], policy())) == []


# What the lake has already


def test_a_complete_version_gives_the_assets_row_alone(tmp_path):
    asset = text_file(tmp_path, "one two three four")
    version = content_version(b"one two three four")
    segments, failures, assets, made = rows_of([Planned(asset, complete=frozenset({"other", version}))])
    assert (segments, failures, len(made)) == ([], [], 1)
    assert [(a["asset_id"], a["version"], a["run_id"]) for a in assets] == [(asset.id, version, "run")]


def test_ordinals_that_are_accounted_for_are_left_out(tmp_path):
    asset = pdf_file(tmp_path, "one two three four", "", "five", "")
    version = content_version((tmp_path / "a.pdf").read_bytes())
    partial = {version: frozenset({0, 2}), "other": frozenset({1, 3, 4})}
    segments, failures, assets, _ = rows_of([Planned(asset, partial=partial)])
    assert ordinals(segments) == [(asset.id, 1, 5), (asset.id, 3, 5)]
    assert ordinals(failures) == [(asset.id, 4, 5)]
    assert len(assets) == 1


# What goes wrong


def failure_of(asset, **changed):
    """The one failure of an asset that must not cost its neighbours anything."""
    around = [Planned(row("before", name="0")), Planned(row("after", name="9"))]
    segments, failures, assets, _ = rows_of([around[0], Planned(asset), around[1]], **changed)
    assert [s["text"] for s in segments] == ["before", "after"]
    assert [a["uri"] for a in assets] == ["t.jsonl#0", asset.uri, "t.jsonl#9"]
    [failure] = failures
    return failure


@pytest.mark.parametrize("change", ["content", "time"])
def test_a_file_that_was_replaced_since_it_was_listed_is_changed(tmp_path, change):
    asset = text_file(tmp_path, "one")
    if change == "content":
        (tmp_path / "a.txt").write_text("other")
    else:
        os.utime(tmp_path / "a.txt", ns=(7, 7))
    failure = failure_of(asset)
    assert (failure["reason"], failure["step"], failure["attempts"]) == ("changed", "read", 1)
    assert (failure["version"], failure["ordinal"], failure["of"]) == (f"stamp:{asset.stamp}", None, None)


def test_a_file_that_is_gone_is_a_read_error(tmp_path):
    asset = text_file(tmp_path, "one")
    (tmp_path / "a.txt").unlink()
    failure = failure_of(asset)
    assert (failure["reason"], failure["version"], failure["attempts"]) == ("read_error", f"stamp:{asset.stamp}", 1)
    assert failure["detail"]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.txt", b"", "empty_file"),
        ("a.pdf", b"", "empty_file"),
        ("a.pdf", b"%PDF-1.7", "damaged"),
        ("a.pdf", b"text", "unsupported"),
        ("a.txt", b"\0", "unsupported"),
    ],
)
def test_a_bad_file_is_one_failure_of_the_whole_asset(tmp_path, name, content, reason):
    (tmp_path / name).write_bytes(content)
    failure = failure_of(listed(tmp_path / name))
    assert (failure["reason"], failure["step"], failure["version"]) == (reason, "decode", content_version(content))
    assert (failure["ordinal"], failure["of"], failure["source"], failure["run_id"]) == (None, None, "s", "run")


@pytest.mark.parametrize("reason", REASONS)
def test_a_failure_names_the_spec_unless_no_encoder_could_do_better(tmp_path, reason):
    def fail(text, side, instruction):
        raise AssetError(reason, "detail", "decode")

    failure = failure_of(text_file(tmp_path, "one"), split=fail)
    assert failure["reason"] == reason
    assert failure["spec"] == (None if reason in ANY_ENCODER else SPEC)


# Pages that may yet come


def with_page(text):
    """A reader of documents that finds three pages, the second of which is `text`."""
    return with_pages("one two three four", text, "five")


def with_pages(*texts):
    found = [item if isinstance(item, AssetError) else Part(item, page=i) for i, item in enumerate(texts, 1)]
    return lambda _data, _wanted: iter(found)


@pytest.mark.parametrize("reason", ["timeout", "worker_died", "out_of_memory"])
def test_a_document_without_a_page_that_may_yet_come_is_a_version_of_its_own(tmp_path, reason):
    """Its ordinals are not those of the whole document: the two must never be mixed."""
    asset = pdf_file(tmp_path, "x")
    content = content_version((tmp_path / "a.pdf").read_bytes())
    late = AssetError(reason, "detail", "decode")
    segments, [failure], [listing], _ = rows_of([Planned(asset)], parts=with_page(late))
    [version] = {row["version"] for row in [*segments, failure, listing]}
    assert version != content
    assert [(s["ordinal"], s["of"], s["text"]) for s in segments] == [
        (0, 4, "one two three"),
        (1, 4, "four"),
        (3, 4, "five"),
    ]
    assert (failure["ordinal"], failure["of"], failure["reason"]) == (2, 4, reason)
    known = Planned(asset, partial={version: frozenset({0, 1, 3})})
    again, [failure], *_ = rows_of([known], parts=with_page(late))
    assert (again, failure["ordinal"], failure["attempts"], failure["version"]) == ([], 2, 1, version)
    whole, none, [listing], _ = rows_of([known], parts=with_page("now it is here"))
    assert [(s["ordinal"], s["of"], s["text"]) for s in whole] == [
        (i, 5, text) for i, text in enumerate(["one two three", "four", "now it is", "here", "five"])
    ]
    assert (none, {s["version"] for s in whole} | {listing["version"]}) == ([], {content})
    settled = Planned(asset, complete=frozenset({version}))
    segments, failures, [listing], _ = rows_of([settled], parts=with_page(late))
    assert (segments, failures, listing["version"]) == ([], [], version)


def test_which_pages_are_missing_makes_the_version(tmp_path):
    asset, late = pdf_file(tmp_path, "x"), AssetError("timeout", "detail", "decode")
    dead = AssetError("worker_died", "another", "decode")
    found = [
        {row["version"] for row in rows_of([Planned(asset)], parts=with_pages(*texts))[2]}
        for texts in ([late, "a"], [dead, "a"], ["a", late], [late, late], ["a", AssetError("damaged", "d", "decode")])
    ]
    assert found[0] == found[1]
    assert found[4] == {content_version((tmp_path / "a.pdf").read_bytes())}
    assert len(set.union(*found)) == 4


# Text that is long


@pytest.mark.parametrize(
    ("text_long", "from_file", "from_row"),
    [
        ("auto", ["one two three", "four"], ["head one two three four"]),
        ("split", ["one two three", "four"], ["head one two", "three four"]),
        ("truncate", ["one two three four"], ["head one two three four"]),
    ],
)
def test_what_becomes_of_long_text(tmp_path, text_long, from_file, from_row):
    planned = [Planned(text_file(tmp_path, "one two three four")), Planned(row("one two three four", "head"))]
    segments, *_ = rows_of(planned, text_long=text_long)
    texts = [[s["text"] for s in segments if s["media"] == media] for media in ("text", "row")]
    assert texts == [from_file, from_row]
    assert all(s["of"] == len(from_file if s["media"] == "text" else from_row) for s in segments)


def test_passages_are_cut_for_the_side_and_instruction_of_their_asset():
    asset = Asset("u#1", "s", "v", "row", 3, text="one", side="query", instruction="find: ")
    seen = []

    def split(text, side, instruction):
        seen.append((text, side, instruction))
        return [text]

    segments, *_ = rows_of([Planned(asset)], text_long="split", split=split)
    assert seen == [("one", "query", "find: ")]
    assert [(s["side"], s["instruction"]) for s in segments] == [("query", "find: ")]


@pytest.mark.parametrize(
    ("title", "text", "wanted"), [("a", "b", "a b"), ("a", "", "a"), ("", "b", "b"), ("", " b ", "b")]
)
def test_a_row_is_its_title_and_text(title, text, wanted):
    segments, failures, assets, _ = rows_of([Planned(row(text, title, meta={"k": "v"}))])
    assert [(s["text"], s["title"], s["page"], s["meta"]) for s in segments] == [(wanted, title, None, [("k", "v")])]
    assert (failures, assets[0]["version"]) == ([], "stamp1")


@pytest.mark.parametrize("text_long", ["auto", "split", "truncate"])
def test_a_row_with_nothing_in_it_is_empty(text_long):
    failure = failure_of(row(" \n", " "), text_long=text_long)
    assert (failure["reason"], failure["ordinal"], failure["of"], failure["spec"]) == ("empty", 0, 1, SPEC)
    assert failure["version"] == "stamp1"


def test_what_a_benchmark_says_goes_on_as_it_stands():
    """Its text keeps the white space around it, and a blank one is encoded; others lose it, and are empty."""
    texts = ["\nwho?\n\n", " ", "", "plain"]
    asked = [Planned(replace(row(text, name=str(i)), verbatim=True)) for i, text in enumerate(texts)]
    segments, failures, *_ = rows_of(asked)
    assert [segment["text"] for segment in segments] == texts
    assert not failures
    segments, failures, *_ = rows_of([Planned(row(text, name=str(i))) for i, text in enumerate(texts)])
    assert [segment["text"] for segment in segments] == ["who?", "plain"]
    assert [failure["reason"] for failure in failures] == ["empty"] * 2


def test_a_benchmarks_image_without_words_is_no_blank_text(tmp_path):
    """An encoder that reads text alone sees nothing of it, which is a failure."""
    (tmp_path / "a.png").write_bytes(b"not read")
    file = Attached(str(tmp_path / "a.png"), "image", storage.info(str(tmp_path / "a.png")).stamp)
    segments, [failure], *_ = rows_of([Planned(replace(row(""), verbatim=True, files=(file,)))])
    assert failure["reason"] == "empty"
    assert not segments
