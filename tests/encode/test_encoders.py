"""Every encoder that is shipped: its file loads, and its sizes give the tokens that it states."""

import json
import math
from pathlib import Path

import goldens
import numpy as np
import pytest
import tiny_vl
from seeing import loaded, picture, segment

from smart_jobs import config
from smart_jobs.encode import checkpoint, encoder
from smart_jobs.keys import Cut, Encoder
from smart_jobs.records import UsageError
from smart_jobs.settings import Search

FOLDER = Path(__file__).parents[2] / "conf" / "encoder"
NAMES = sorted(path.stem for path in FOLDER.glob("*.yaml"))
GIVEN = {"lamra", "vlm2vec-v2", "jina-embeddings-v4"}
"""Those whose checkpoint somebody has to make: no hub id serves."""
LETTER = (2200, 1700)


def load(name, *words):
    folder = [f"encoder.model=./{name}"] if name in GIVEN else []
    return config.load(Search, "search", ["query=a", f"encoder={name}", *folder, *words]).encoder


def smart_resize(height, width, factor, least, most):
    """Qwen's, as its authors publish it."""
    rounded_height, rounded_width = (max(factor, round(side / factor) * factor) for side in (height, width))
    if rounded_height * rounded_width > most:
        beta = math.sqrt(height * width / most)
        return tuple(max(factor, math.floor(side / beta / factor) * factor) for side in (height, width))
    if rounded_height * rounded_width < least:
        beta = math.sqrt(least / (height * width))
        return tuple(math.ceil(side * beta / factor) * factor for side in (height, width))
    return rounded_height, rounded_width


@pytest.mark.parametrize("name", NAMES)
def test_a_page_of_us_letter_takes_the_tokens_that_the_file_states(name):
    found = load(name)
    assert found.name == name
    assert found.licence or name == "minilm"
    if found.sampling is None:
        assert found.letter_tokens is None
        return
    assert found.sampling.page_dpi == 200
    height, width = LETTER
    for resize in found.sampling.image:
        if resize.how == "budget":
            height, width = smart_resize(height, width, resize.factor, resize.min_pixels, resize.max_pixels)
        else:
            height, width = resize.height, resize.width
    assert (height // resize.factor) * (width // resize.factor) == found.letter_tokens


def test_the_tokens_of_a_page_are_those_that_were_published():
    published = {"qwen3-vl-embedding-2b": 1776, "qwen3-vl-embedding-8b": 1776, "gme-qwen2-vl-2b": 1240,
                 "gme-qwen2-vl-7b": 1240, "lamra": 744, "vlm2vec-v2": 1240, "jina-embeddings-v4": 744,
                 "colpali": 1024, "clip": 256, "siglip": 729, "minilm": None, "qwen3-embedding-0.6b": None}  # fmt: skip
    assert {name: load(name).letter_tokens for name in NAMES} == published


def test_what_stands_before_texts_is_not_left_to_the_checkpoint():
    represent, helpful = "Represent the user's input.", "You are a helpful assistant."
    wanted = {"qwen3_vl": represent, "gme": helpful, "jina_v4": "Query: ", "colpali": "Question: "}
    for found in map(load, NAMES):
        if found.family in wanted:
            assert found.instruction == dict.fromkeys(("query", "document"), wanted[found.family])


def test_a_clip_of_the_most_frames_takes_what_the_reference_allows():
    video = load("qwen3-vl-embedding-2b").sampling.video
    share = min(video.max_pixels, video.total_pixels / video.max_frames * video.multiple)
    assert max(share, 1.05 * video.min_pixels) == 245_760
    assert 245_760 // 32**2 * video.max_frames // video.multiple == 7680


@pytest.mark.parametrize("name", sorted(GIVEN))
def test_a_checkpoint_that_no_hub_has_is_asked_for(name):
    with pytest.raises(UsageError, match=r"encoder\.model: missing; give encoder\.model=…"):
        config.load(Search, "search", ["query=a", f"encoder={name}"])


def test_a_revision_is_a_commit_or_left_open():
    for name in set(NAMES) - {"minilm"}:
        revision = load(name).revision
        assert revision is None or (len(revision) == 40 and int(revision, 16))


def test_every_family_has_an_encoder_and_a_class():
    families = {load(name).family for name in NAMES}
    assert families == set(encoder.CLASSES) == {*tiny_vl.BUILDERS, "lamra"}


def test_what_a_file_says_holds_for_a_checkpoint_given_instead(tmp_path):
    folder = tiny_vl.checkpoint(tmp_path / "tiny", "qwen3_vl")
    given = load("qwen3-vl-embedding-2b", f"encoder.model={folder}", "encoder.revision=null")
    with pytest.raises(UsageError, match=r"expected vectors of 2048, .* gives 32"):
        checkpoint.resolve(given, Cut())
    spec, _ = checkpoint.resolve(given.model_copy(update={"dim": None}), Cut())
    assert (spec.dim, spec.family, spec.max_length, spec.dtype) == (32, "qwen3_vl", 8192, "bfloat16")
    model = encoder.load(spec, folder, threads=1, batch_tokens=4096)
    [result] = model.encode([segment("total", [picture()])])
    assert result.states.shape[1] == 32


@pytest.mark.parametrize(("family", "pooling"), [("clip", "last"), ("qwen3_vl", "mean"), ("lamra", "last")])
def test_a_family_is_pooled_in_its_own_way_only(tmp_path, family, pooling):
    folder = tiny_vl.checkpoint(tmp_path / "tiny", family)
    with pytest.raises(UsageError, match=rf"encoder\.pooling={pooling}: tiny-{family} is of family {family}"):
        checkpoint.resolve(tiny_vl.encoder(folder, family, pooling=pooling), Cut())


def test_a_text_encoder_has_no_pooling_of_another_family(tiny_encoder):
    given = Encoder(name="tiny", model=str(tiny_encoder), pooling="before_emb")
    with pytest.raises(UsageError, match=r"encoder\.pooling=before_emb"):
        checkpoint.resolve(given, Cut())


def test_a_size_that_a_file_leaves_open_is_the_configs(tmp_path):
    folder = tiny_vl.checkpoint(tmp_path / "tiny", "siglip")
    written = json.loads((folder / "config.json").read_text())
    del written["text_config"]["hidden_size"]
    (folder / "config.json").write_text(json.dumps(written))
    assert checkpoint.resolve(tiny_vl.encoder(folder, "siglip", dim=32), Cut())[0].dim == 32
    with pytest.raises(UsageError, match=r"no hidden_size: give encoder\.dim"):
        checkpoint.resolve(tiny_vl.encoder(folder, "siglip"), Cut())


def test_a_tiny_checkpoint_by_its_name_in_conf(tmp_path):
    folder = tiny_vl.checkpoint(tmp_path / "tiny", "qwen3_vl")
    wanted = tiny_vl.encoder(folder, "qwen3_vl")
    conf = tiny_vl.conf(tmp_path / "conf", wanted)
    words = ["query=a", f"conf={conf}", f"encoder={wanted.name}", "lake=./lake"]
    assert config.load(Search, "search", words).encoder == wanted


@pytest.mark.parametrize("family", sorted(encoder.CLASSES))
def test_bf16_gives_the_same_directions(tmp_path, family):
    folder = tiny_vl.checkpoint(tmp_path / "tiny", family)
    items = goldens.segments(family)
    exact, coarse = (loaded(folder, family, dtype=dtype).encode(items) for dtype in ("float32", "bfloat16"))
    for one, other in zip(exact, coarse, strict=True):
        assert other.pooled.dtype == other.states.dtype == np.float32
        assert 0.99 < one.pooled @ other.pooled < 1 - 1e-7
