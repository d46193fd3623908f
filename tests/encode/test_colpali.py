"""ColPali against transformers' own class on the inputs of its own processor, one item at a time."""

import goldens
import pytest
import tiny_vl
import torch
import transformers
from seeing import clip, kinds_of, loaded, picture, same, segment

from smart_jobs.records import AssetError, JobError
from smart_jobs.sampling import Resize, Sampling

FAMILY = "colpali"
ITEMS = [
    segment("the total of 2022", side="query", instruction="Find the page."),
    segment(visuals=[picture(56, 56)]),
    segment("a text that is longer, side by side with others"),
    segment(visuals=[picture(56, 56, 1)]),
    segment(),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_vl.checkpoint(tmp_path_factory.mktemp("tiny") / FAMILY, FAMILY)


@pytest.fixture(scope="module")
def reference(folder):
    processor = transformers.ColPaliProcessor.from_pretrained(folder)
    return processor, transformers.ColPaliForRetrieval.from_pretrained(folder).eval()


def inputs(processor, item):
    if item.visuals:
        return processor.process_images([visual.pixels[0] for visual in item.visuals])
    return processor.process_queries([item.text])


@torch.inference_mode()
def alone(reference, item):
    processor, model = reference
    given = inputs(processor, item)
    given.pop("labels", None)
    states = model(**given).embeddings[0][given["attention_mask"][0].bool()]
    return states.mean(0), states


def test_ids_are_the_processors(folder, reference):
    model = loaded(folder, FAMILY)._model
    for item in ITEMS:
        assert model.prompt(item).ids.tolist() == inputs(reference[0], item)["input_ids"][0].tolist()


def test_a_mixed_batch_equals_each_item_alone(folder, reference):
    wanted = [alone(reference, item) for item in ITEMS]
    for budget in (10**6, 60, 1):
        same(loaded(folder, FAMILY, budget).encode(ITEMS), wanted)


def test_kinds_token_by_token(folder):
    model = loaded(folder, FAMILY)._model
    asked, before = (len(model._tokenizer.spans(words)[0]) for words in ("Describe the image.", "Question: "))
    assert kinds_of(model.prompt(segment(visuals=[picture(56, 56)]))) == f"{'I' * 16}E{'N' * asked}E"
    assert kinds_of(model.prompt(segment("ab"))) == f"E{'N' * before}TT{'E' * 10}E"


def test_a_long_text_keeps_what_is_written_into(folder):
    model = loaded(folder, FAMILY, max_length=40)._model
    ids = model.prompt(segment("word " * 50)).ids
    assert len(ids) == 40
    assert (ids == model._tokenizer.id_of("<pad>")).sum() == 10


def test_what_it_does_not_take_is_unsupported(folder):
    items = [segment("a", [picture(56, 56)]), segment(visuals=[clip()]), segment(visuals=[picture(56, 56)] * 2)]
    results = loaded(folder, FAMILY).encode(items)
    assert [isinstance(error, AssetError) and error.reason for error in results] == ["unsupported"] * 3


def test_images_of_another_size_are_refused_before_any_pass(folder):
    for image in (
        Resize(how="squash", factor=14, height=28, width=56),
        Resize(factor=28, min_pixels=1, max_pixels=9999),
    ):
        with pytest.raises(JobError, match="the model takes 56 a side"):
            loaded(folder, FAMILY, changed={"sampling": Sampling(image=(image,))})


def test_golden(folder):
    goldens.check(folder, FAMILY)
