"""Every task of a fabricated MMEB-V2 against a second reading of it by the protocol's own words."""

from pathlib import Path

import mmeb_making
import mmeb_protocol
import mmeb_protocol_items
import pytest

from smart_jobs import storage
from smart_jobs.encode.qwen3_vl import INSTRUCTION, sentence
from smart_jobs.evaluate.mmeb import suite
from smart_jobs.keys import Suite

LABELS = Path(__file__).parents[3] / "conf" / "suite" / "mmeb_v2" / "labels"
PROFILES = ("qwen", "vlm2vec")
PLACEHOLDERS = {"image": mmeb_protocol_items.IMG, "video": mmeb_protocol_items.VID, "text": ""}


@pytest.fixture(
    scope="module",
    params=[("repository", 0), ("download", 1), ("arrow", 2), ("download", 3)],
    ids=lambda given: f"{given[0]}-{given[1]}",
)
def made(request, tmp_path_factory):
    root = tmp_path_factory.mktemp("mmeb")
    form, place = request.param
    return root, mmeb_making.make(root, form, place)


def opened(made, profile, *tasks):
    root, definition = made
    keys = Suite(name="mmeb_v2", path=str(root), definition=definition, profile=profile, tasks=tasks)
    return suite.opened(keys, "qwen3_vl")


def worded(item, profile, root):
    """An item as the protocol has it."""
    files = [file.uri.removeprefix(f"{root}/") for file in item.files]
    kinds = {file.media for file in item.files}
    assert len(kinds) <= 1
    kind = {"image": "image", "frame": "video"}[kinds.pop()] if kinds else "text"
    assert not item.title
    if profile == "qwen":
        return {"kind": kind, "system": sentence(item.instruction) or INSTRUCTION, "text": item.text, "files": files}
    before = PLACEHOLDERS[kind]
    before += "" if kind == "text" or (kind == "image" and item.instruction.startswith("\n")) else " "
    before += item.instruction
    text = f"{before} {item.text}" if item.text and before else before + item.text
    return {"kind": kind, "system": None, "text": text, "files": files}


@pytest.mark.parametrize("profile", PROFILES)
def test_all_78_tasks_agree_with_the_protocol(made, profile):
    found = opened(made, profile)
    wanted = mmeb_protocol.read(made[0], profile, LABELS)
    assert len(found.tasks()) == 78
    assert set(found.tasks()) == set(wanted)
    for key in found.tasks():
        task, by_the_book = found.load(key), wanted[key]
        assert list(task.candidates) == list(by_the_book["candidates"]), key
        assert [type(name) for name in task.candidates] == [type(name) for name in by_the_book["candidates"]]
        for name, item in task.candidates.items():
            assert worded(item, profile, found.root) == by_the_book["candidates"][name], (key, name)
        assert len(task.queries) == len(by_the_book["queries"]), key
        for number, (query, asked) in enumerate(zip(task.queries, by_the_book["queries"], strict=True)):
            assert query.name == str(number)
            assert {**asked, **worded(query.item, profile, found.root)} == asked, (key, number)
            assert (None if query.candidates is None else list(query.candidates)) == asked["candidates"], key
            _same_labels(query, asked)


def _same_labels(query, asked):
    if asked["labels"]:
        grades = asked["grades"] or [1] * len(asked["labels"])
        assert list(query.relevant) == list(dict.fromkeys(asked["labels"]))
        assert query.relevant == dict(zip(asked["labels"], grades, strict=True))
    else:  # the reference has None here, which no candidate is called
        [name] = query.relevant
        assert name not in query.candidates


STORED = (
    "OK-VQA",
    "NIGHTS",
    "HMDB51",
    "QVHighlight",
    "MomentSeeker",
    "MVBench",
    "VisRAG_ChartQA",
    mmeb_making.IN_PARQUET,
)


@pytest.mark.slow
def test_in_a_store_it_is_the_same(tmp_path, bucket):
    definition = mmeb_making.make(tmp_path, broken=False)
    local = suite.opened(Suite(name="mmeb_v2", path=str(tmp_path), definition=definition, tasks=STORED), "qwen3_vl")
    kept = [local.source(name) for name in STORED]
    folders = {Path(source.media.uri) for source in kept} | {Path(tmp_path, s.annotations.where) for s in kept}
    wanted = [path for path in tmp_path.rglob("*") if path.is_file() and folders & {*path.parents}]
    wanted = [path for path in wanted if "image-tasks" not in path.parts or set(path.parts) & {*STORED}]
    for path in wanted:
        storage.write_bytes(f"{bucket}/mmeb/{path.relative_to(tmp_path)}", path.read_bytes())
    keys = Suite(name="mmeb_v2", path=f"{bucket}/mmeb", definition=definition, tasks=STORED)
    stored = suite.opened(keys, "qwen3_vl")
    for name in STORED:
        here, there = local.load(name), stored.load(name)
        assert _plain(here, local.root) == _plain(there, stored.root)
        assert all(file.stamp for item in there.candidates.values() for file in item.files)


def _plain(task, root):
    """What of a task does not depend on where it lies."""

    def plain(item):
        return item.text, item.instruction, [(f.media, f.uri.removeprefix(root)) for f in item.files], item.size

    queries = [(query.name, plain(query.item), dict(query.relevant), query.candidates) for query in task.queries]
    return queries, [(name, plain(item)) for name, item in task.candidates.items()]
