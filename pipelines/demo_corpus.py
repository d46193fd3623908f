"""The demo's corpus: the standard library's docstrings as PDFs, and known-item queries whose answers are their pages.

A query is the first sentence of a docstring, and that sentence is left out of the PDF; the pages that hold the rest of
the docstring are what should be found. Nothing is imported: the sources are only parsed.
"""

import argparse
import ast
import hashlib
import json
import platform
import re
import sysconfig
import textwrap
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pymupdf

from smart_jobs import storage

DOCUMENTS, QUERIES = 150, 260

UNDOCUMENTED = {"test", "tests", "idlelib", "lib2to3", "turtledemo", "encodings", "ensurepip", "pydoc_data"}
NOT_EVERYWHERE = {"site-packages", "dist-packages", "distutils", "msilib", "nturl2path", "tkinter", "turtle"}
SKIPPED = UNDOCUMENTED | NOT_EVERYWHERE
SENTENCE = re.compile(r"\s*([A-Z][^\n]*?(?:\n[^\n]+?)*?[.!?])(?=\s+[A-Z]|\s*\n\s*\n)")
"""The first sentence of prose: from a capital to a full stop that another capital or the paragraph's end follows."""
MIN_SENTENCE, MAX_SENTENCE, MIN_REST = 5, 40, 25  # words
ABBREVIATIONS = ("e.g.", "i.e.", "etc.", "vs.")

LEFT, TOP, LEADING, LINES = 56, 68, 13.4, 55  # points, and lines a page: A4 as a grid
WIDTH = 88  # characters: at 11 points they fill the page, a longer line is wrapped
FONTS = {"title": ("hebo", 16.0), "heading": ("hebo", 11.0), "prose": ("helv", 11.0), "code": ("cour", 9.5)}
LATIN = {0x2018: "'", 0x2019: "'", 0x201C: '"', 0x201D: '"', 0x2013: "-", 0x2014: "-", 0x2500: "-", 0x2502: "|"}
"""For characters that the base fonts, which hold Latin-1, lack; any other becomes a question mark."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One docstring under its qualified name: `sentence`, on one line, is fit to be a query or empty; then `rest`."""

    name: str
    text: str
    sentence: str
    rest: str


class Module(NamedTuple):
    """What one source file documents, in its order."""

    name: str
    entries: list[Entry]


class Line(NamedTuple):
    """One line of a page; `style` is a key of `FONTS`, `owner` names the entry whose docstring it comes from."""

    text: str = ""
    style: str = "prose"
    owner: str = ""


class Summary(NamedTuple):
    """What a corpus holds: `files` below docs/, and counts; `relevant` pages of all queries together."""

    files: list[str]
    pages: int
    queries: int
    relevant: int


def normal(text: str) -> str:
    """Lower case, single spaces: equal where nothing but the layout differs."""
    return " ".join(text.lower().split())


def split_sentence(text: str) -> tuple[str, str]:
    """The first sentence of a docstring on one line, and what follows it; ("", `text`) where it makes no query."""
    found = SENTENCE.match(text)
    if not found:
        return "", text
    sentence = " ".join(found[1].split())
    rest = textwrap.dedent(re.sub(r"\A(?:[ \t]*\n)+|\A[ \t]+", "", text[found.end() :]))
    long_enough = MIN_SENTENCE <= len(sentence.split()) <= MAX_SENTENCE and len(rest.split()) >= MIN_REST
    prose = "->" not in sentence and not sentence.endswith(ABBREVIATIONS)
    return (sentence, rest) if long_enough and prose else ("", text)


def documented(node: ast.AST, name: str) -> Iterator[Entry]:
    """Every public class, function and method below `node` that has a docstring, in the order of the source."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If | ast.Try):
            yield from documented(child, name)
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and not child.name.startswith("_"):
            qualified = f"{name}.{child.name}"
            if text := ast.get_docstring(child):
                yield Entry(qualified, text, *split_sentence(text))
            if isinstance(child, ast.ClassDef):
                yield from documented(child, qualified)


def modules(stdlib: Path) -> Iterator[Module]:
    """The public modules below a standard library's folder, sorted by path."""
    for path in sorted(stdlib.rglob("*.py")):
        parts = path.relative_to(stdlib).with_suffix("").parts
        named = [part for part in parts if part != "__init__"]
        if SKIPPED.intersection(parts) or any(part.startswith("_") or not part.isidentifier() for part in named):
            continue
        tree, name = ast.parse(path.read_bytes()), ".".join(named)
        text = ast.get_docstring(tree)
        own = [Entry(name, text, *split_sentence(text))] if text else []
        yield Module(name, own + list(documented(tree, name)))


def choose_queries(chosen: Sequence[Module]) -> dict[str, Entry]:
    """Up to `QUERIES` entries by name, picked by a hash of it, whose sentence and rest occur once in all the text."""
    entries = [entry for module in chosen for entry in module.entries]
    everything = "\n".join(normal(entry.text) for entry in entries)
    names = [entry.name for entry in entries]
    fit = [
        entry
        for entry in entries
        if entry.sentence
        and names.count(entry.name) == 1
        and everything.count(normal(entry.sentence)) == 1
        and everything.count(normal(entry.rest)) == 1
    ]
    fit.sort(key=lambda entry: hashlib.blake2b(entry.name.encode()).digest())
    return {entry.name: entry for entry in fit[:QUERIES]}


def typeset(text: str, owner: str) -> Iterator[Line]:
    """The lines of a docstring as it was written, but wrapped where too long; a doctest is code up to a blank line."""
    style = "prose"
    for line in text.translate(LATIN).encode("latin-1", "replace").decode("latin-1").splitlines():
        style = "prose" if not line.strip() else "code" if line.lstrip().startswith(">>>") else style
        indent = " " * (len(line) - len(line.lstrip()))
        wrapped = textwrap.wrap(line, WIDTH, subsequent_indent=indent, drop_whitespace=len(line) > WIDTH)
        yield from (Line(part, style, owner) for part in wrapped if part.strip()) if line.strip() else [Line()]


def lay_out(module: Module, queries: dict[str, Entry]) -> list[list[Line]]:
    """A module as pages of lines. No page starts with a blank line or ends with a heading."""
    lines = [Line(module.name, "title"), Line()]
    for entry in module.entries:
        lines += [] if entry.name == module.name else [Line(), Line(entry.name, "heading")]
        lines += typeset(entry.rest if entry.name in queries else entry.text, entry.name)
    pages: list[list[Line]] = [[]]
    for line in lines:
        if len(pages[-1]) >= (LINES - 2 if line.style == "heading" else LINES):
            pages.append([])
        if line.text or (pages[-1] and pages[-1][-1].text):
            pages[-1].append(line)
    return [page for page in pages if page]


def write_pdf(path: Path, title: str, pages: Sequence[Sequence[Line]]) -> str:
    """Write the pages, A4, equal bytes for equal lines; returns the text that the written file gives back."""
    with pymupdf.open() as document:
        for number, lines in enumerate(pages, start=1):
            shape = document.new_page(width=595, height=842).new_shape()
            shape.insert_text((LEFT, TOP - 28), f"{title}, page {number}", fontname="helv", fontsize=8)
            for row, line in enumerate(lines):
                font, size = FONTS[line.style]
                # PyMuPDF takes a text like "[<Color.RED: 1>]" for PDF operators; a space at the end stops that.
                text = f"{line.text} " if line.text.endswith(">]") else line.text
                shape.insert_text((LEFT, TOP + row * LEADING), text, fontname=font, fontsize=size)
            shape.commit()
        document.set_metadata({"title": title})
        path.write_bytes(document.tobytes(garbage=3, deflate=True, no_new_id=True))
    with pymupdf.open(path) as document:
        return "\n".join(normal(page.get_text()) for page in document)


def write_queries(folder: Path, queries: dict[str, Entry], relevant: dict[str, list[str]]) -> None:
    """queries.jsonl and qrels/test.tsv in BEIR's layout, sorted by query id; every relevant page has grade 1."""
    rows = [json.dumps({"_id": name, "text": queries[name].sentence}, ensure_ascii=False) for name in sorted(queries)]
    (folder / "queries.jsonl").write_text("".join(row + "\n" for row in rows), encoding="utf-8")
    judged = [f"{name}\t{page}\t1" for name in sorted(queries) for page in relevant[name]]
    (folder / "qrels").mkdir(exist_ok=True)
    (folder / "qrels" / "test.tsv").write_text(
        "query-id\tcorpus-id\tscore\n" + "\n".join(judged) + "\n", encoding="utf-8"
    )


def build(folder: Path, documents: int = DOCUMENTS) -> Summary:
    """Write docs/*.pdf, queries.jsonl and qrels/test.tsv below `folder`, of the `documents` modules with most words.

    Corpus-ids are `<module>.pdf#page=<n>`, pages counted from 1. A sentence that some page holds after all is dropped
    from the queries.
    """
    found = list(modules(Path(sysconfig.get_path("stdlib"))))
    found.sort(key=lambda module: (-sum(len(entry.text.split()) for entry in module.entries), module.name))
    chosen = found[:documents]
    queries = choose_queries(chosen)
    docs = folder / "docs"
    docs.mkdir(parents=True, exist_ok=True)
    relevant: dict[str, list[str]] = {name: [] for name in queries}
    texts, pages = [], 0
    for module in chosen:
        laid_out = lay_out(module, queries)
        texts.append(write_pdf(docs / f"{module.name}.pdf", module.name, laid_out))
        pages += len(laid_out)
        for number, lines in enumerate(laid_out, start=1):
            for name in {line.owner for line in lines} & relevant.keys():
                relevant[name].append(f"{module.name}.pdf#page={number}")
    written = "\n".join(texts)
    kept = {name: entry for name, entry in queries.items() if normal(entry.sentence) not in written}
    write_queries(folder, kept, relevant)
    return Summary(
        [f"{module.name}.pdf" for module in chosen], pages, len(kept), sum(len(relevant[name]) for name in kept)
    )


def refresh(folder: Path) -> str:
    """Build the corpus unless this code and Python made it already, as the manifest, written last, says; one line.

    Files of the corpus that was there before are removed, others never: a crash leaves no manifest, and so a rebuild.
    """
    started, manifest = time.monotonic(), folder / "manifest.json"
    code = hashlib.blake2b(Path(__file__).read_bytes(), digest_size=16).hexdigest()
    made_by = {"python": platform.python_version(), "pymupdf": pymupdf.VersionBind, "code": code}
    if manifest.exists():
        previous = json.loads(manifest.read_bytes())
        files = [folder / "docs" / name for name in previous["files"]]
        if previous["made_by"] == made_by and all(file.exists() for file in files):
            return f"{folder} is up to date: {previous['summary']}"
        manifest.unlink()
        for file in files:
            file.unlink(missing_ok=True)
    built = build(folder)
    summary = f"{len(built.files)} documents, {built.pages} pages, {built.queries} queries"
    record = {"made_by": made_by, "summary": summary, "files": built.files}
    storage.write_bytes(str(manifest), json.dumps(record, indent=1).encode())
    return f"{folder}: {summary}, {built.relevant} relevant pages, {time.monotonic() - started:.1f} seconds"


def main() -> None:
    """Parse the command line, refresh, print the summary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", default="demo", type=Path, help="where to write (default: demo)")
    print(refresh(parser.parse_args().folder))


if __name__ == "__main__":
    main()
