import json
import shutil
import sysconfig
from collections import defaultdict
from pathlib import Path

import pymupdf
import pytest

from pipelines import demo_corpus
from pipelines.demo_corpus import Entry, Line, Module, build, lay_out, normal, split_sentence

DOCUMENTS = 25
REST = " ".join(f"word{n}" for n in range(30))


def read_queries(folder):
    return {row["_id"]: row["text"] for row in map(json.loads, (folder / "queries.jsonl").read_text().splitlines())}


def read_qrels(folder):
    header, *rows = (folder / "qrels" / "test.tsv").read_text().splitlines()
    assert header == "query-id\tcorpus-id\tscore"
    pages = defaultdict(list)
    for query, page, score in (row.split("\t") for row in rows):
        assert score == "1"
        pages[query].append(page)
    return pages


def read_pages(folder):
    pages = {}
    for path in sorted((folder / "docs").glob("*.pdf")):
        with pymupdf.open(path) as document:
            pages |= {f"{path.name}#page={page.number + 1}": page.get_text() for page in document}
    return pages


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    return folder, build(folder, DOCUMENTS)


@pytest.fixture(scope="module")
def pages(made):
    return read_pages(made[0])


@pytest.fixture(scope="module")
def entries():
    modules = demo_corpus.modules(Path(sysconfig.get_path("stdlib")))
    return {entry.name: entry for module in modules for entry in module.entries}


def test_the_summary_counts_what_is_there(made, pages):
    folder, summary = made
    assert sorted(path.name for path in (folder / "docs").iterdir()) == sorted(summary.files)
    assert len(summary.files) == DOCUMENTS
    assert summary.pages == len(pages) > 5 * DOCUMENTS
    assert summary.queries == len(read_queries(folder)) > 100
    assert summary.relevant == sum(map(len, read_qrels(folder).values()))


def test_pages_are_full(pages):
    words = [len(text.split()) for text in pages.values()]
    assert sum(words) / len(words) > 180
    assert min(words) > 0
    assert not any("�" in text for text in pages.values())


def test_a_query_occurs_on_no_page(made, pages):
    everything = "\n".join(normal(text) for text in pages.values())
    queries = read_queries(made[0])
    assert [name for name, text in queries.items() if normal(text) in everything] == []
    assert all(5 <= len(text.split()) <= 40 for text in queries.values())


def test_relevant_pages_hold_the_rest_and_all_of_it(made, pages, entries):
    qrels = read_qrels(made[0])
    assert qrels.keys() == read_queries(made[0]).keys()
    for query, relevant in qrels.items():
        rest = entries[query].rest.translate(demo_corpus.LATIN).split()
        found = " ".join(pages[page] for page in relevant).split()
        assert len(rest) >= 25
        # Wrapping splits only what is longer than a line, so that nearly every word is found as it was written.
        assert sum(word in found for word in rest) >= 0.9 * len(rest), query
        assert all(set(rest) & set(pages[page].split()) for page in relevant), query


def test_relevant_is_mostly_one_page(made):
    counts = [len(relevant) for relevant in read_qrels(made[0]).values()]
    assert sum(count == 1 for count in counts) > 0.7 * len(counts)


def test_queries_are_distinct_and_in_order(made):
    rows = [json.loads(line) for line in (made[0] / "queries.jsonl").read_text().splitlines()]
    names = [row["_id"] for row in rows]
    assert names == sorted(set(names))
    assert len({normal(row["text"]) for row in rows}) == len(rows)


def test_objects_without_a_query_keep_their_first_sentence(made, pages, entries):
    everything = "\n".join(normal(text) for text in pages.values())
    queries = read_queries(made[0])
    kept = [entry for entry in entries.values() if entry.sentence and entry.name not in queries]
    modules = {name.removesuffix(".pdf") for name in made[1].files}
    own = [entry for entry in kept if entry.name in modules or entry.name.rsplit(".", 1)[0] in modules]
    held = sum(normal(entry.sentence) in everything for entry in own)
    assert len(own) > 20
    assert held > 0.9 * len(own)  # the others run over the end of a page


def test_a_second_build_gives_the_same_bytes(made, tmp_path):
    first, summary = made
    assert build(tmp_path, DOCUMENTS) == summary
    for path in first.rglob("*.*"):
        assert (tmp_path / path.relative_to(first)).read_bytes() == path.read_bytes(), path.name


def test_refresh_builds_once_and_touches_nothing_else(made, tmp_path, monkeypatch):
    builds = []

    def copy(folder):
        builds.append(folder)
        shutil.copytree(made[0], folder, dirs_exist_ok=True)
        return made[1]

    monkeypatch.setattr(demo_corpus, "build", copy)
    folder = tmp_path / "demo"
    assert f"{DOCUMENTS} documents" in demo_corpus.refresh(folder)
    mine = folder / "docs" / "mine.pdf"
    mine.write_bytes(b"%PDF")
    assert "up to date" in demo_corpus.refresh(folder)
    assert len(builds) == 1

    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["made_by"]["python"] = "3.10.0"
    manifest["files"].append("gone.pdf")
    (folder / "docs" / "gone.pdf").write_bytes(b"%PDF")
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert "seconds" in demo_corpus.refresh(folder)
    assert len(builds) == 2
    assert mine.exists()
    assert not (folder / "docs" / "gone.pdf").exists()

    (folder / "docs" / made[1].files[0]).unlink()
    demo_corpus.refresh(folder)
    assert len(builds) == 3


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (f"Return the value of a key.\n\n{REST}", "Return the value of a key."),
        (f"Return the value\nof a key. The {REST}", "Return the value of a key."),
        (f"Return v1.2 of the key. The {REST}", "Return v1.2 of the key."),
        (f"Too short here.\n\n{REST}", ""),
        ("Return the value of a key.\n\nToo little follows.", ""),
        (f"No full stop in this\n\n{REST}", ""),
        (f"get(key, default) -> value. Return the value. {REST}", ""),
        (f"Read(key, default) -> the value of it.\n\n{REST}", ""),
    ],
)
def test_split_sentence(text, sentence):
    found, rest = split_sentence(text)
    assert found == sentence
    if sentence:
        assert normal(f"{found} {rest}") == normal(text)
    else:
        assert rest == text


def test_the_rest_keeps_its_layout():
    text = f"Return the value of a key.\n\n    indented\n    too\n\n{REST}"
    assert split_sentence(text)[1].startswith("    indented\n    too\n\nword0")


def test_lay_out_fills_pages_without_lonely_headings():
    texts = [f"Entry {n}.\n\n\nLine one.\n  line two" for n in range(100)]
    module = Module("m", [Entry(f"m.e{n}", text, "", text) for n, text in enumerate(texts)])
    laid_out = lay_out(module, {})
    assert all(0 < len(page) <= demo_corpus.LINES for page in laid_out)
    assert all(len(page) >= demo_corpus.LINES - 2 for page in laid_out[:-1])
    assert all(page[0].text and page[-1].style != "heading" for page in laid_out)
    owners = [line.owner for page in laid_out for line in page if line.owner]
    assert owners == [f"m.e{n}" for n in range(100) for _ in range(3)]


def test_lay_out_leaves_out_the_sentence_of_a_query_only():
    asked = Entry("m.asked", "The sentence. The rest.", "The sentence.", "The rest.")
    other = Entry("m.other", "Another sentence. Another rest.", "Another sentence.", "Another rest.")
    (page,) = lay_out(Module("m", [asked, other]), {"m.asked": asked})
    assert [line for line in page if line.owner] == [
        Line("The rest.", "prose", "m.asked"),
        Line("Another sentence. Another rest.", "prose", "m.other"),
    ]


def test_a_text_that_looks_like_pdf_operators_is_printed(tmp_path):
    text = demo_corpus.write_pdf(tmp_path / "a.pdf", "a", [[Line("[<Color.RED: 1>, <Color.BLUE: 2>]", "code")]])
    assert "[<color.red: 1>, <color.blue: 2>]" in text
