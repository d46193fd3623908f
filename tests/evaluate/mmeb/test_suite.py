"""Every task of a fabricated MMEB-V2 against a second reading of it by the protocol's own words."""

from pathlib import Path

import mmeb_making
import mmeb_protocol
import pytest

from smart_jobs.encode.qwen3_vl import INSTRUCTION, sentence
from smart_jobs.evaluate.mmeb import suite
from smart_jobs.keys import Suite

LABELS = Path(__file__).parents[3] / "conf" / "suite" / "mmeb_v2" / "labels"
PROFILES = ("qwen", "vlm2vec")
PLACEHOLDERS = {"image": mmeb_protocol.IMG, "video": mmeb_protocol.VID, "text": ""}


@pytest.fixture(scope="module", params=[("repository", 0), ("download", 1), ("arrow", 2)], ids=lambda given: given[0])
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
