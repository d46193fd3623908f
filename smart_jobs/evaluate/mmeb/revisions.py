"""Which commit of a hub's repository a folder holds, where the tool that fetched it wrote it down."""

import re

from smart_jobs import storage

COMMIT = re.compile(r"[0-9a-f]{40}")
FETCHED = ".cache/huggingface/download"
"""Where `hf download --local-dir` keeps a file for each file, whose first line is the commit."""


def of(folder: str) -> str | None:
    """The commit of a clone or of a download; None where nothing says it, or several do that differ."""
    head = _text(storage.join(folder, ".git", "HEAD"))
    if head.startswith("ref: "):
        name = head.removeprefix("ref: ")
        head = _text(storage.join(folder, ".git", name)) or _packed(folder, name)
    found = {head} if head else _fetched(folder)
    commit = found.pop() if len(found) == 1 else ""
    return commit if COMMIT.fullmatch(commit) else None


def _packed(folder: str, name: str) -> str:
    lines = _text(storage.join(folder, ".git", "packed-refs")).splitlines()
    return next((line.partition(" ")[0] for line in lines if line.endswith(f" {name}")), "")


def _fetched(folder: str) -> set[str]:
    files = storage.list_files(storage.join(folder, FETCHED))
    return {_text(uri).partition("\n")[0] for uri, _ in files if uri.endswith(".metadata")}


def _text(uri: str) -> str:
    return storage.read_bytes(uri).decode("utf-8", "replace").strip() if storage.info(uri).kind == "file" else ""
