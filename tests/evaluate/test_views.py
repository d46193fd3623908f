"""Which views of stored states there can be, and what is said of the others."""

from dataclasses import replace

import pytest
from lake_making import make_tables

from smart_jobs.evaluate import views
from smart_jobs.evaluate.views import View
from smart_jobs.records import JobError


@pytest.fixture
def tables(tmp_path):
    return make_tables(tmp_path, "int8")


def with_spec(tables, **changes):
    return replace(tables, spec=tables.spec.model_copy(update=changes))


def test_what_is_stored_anyway_is_no_view_of_its_own(tables):
    assert views.checked(View("reference", "reference", "int8"), tables) == views.AS_STORED
    assert views.checked(View("content", "text", "binary"), tables) == View("content", "text", "binary")
    mixed = with_spec(tables, mask_query="text")
    assert views.checked(View("text", "text"), mixed) == View("text", None)


@pytest.mark.parametrize(
    ("view", "changes", "message"),
    [
        (View(codec="bf16"), {}, r"^codec=bf16: the states of made-\w+ in .* are stored as int8, which is coarser; "),
        (
            View("reference"),
            {"mask": "content"},
            r"^mask=reference: made-\w+ stores the tokens of content, which lacks",
        ),
        (
            View("text"),
            {"mask": "content"},
            r"^mask=text: .* content, which lacks some of text's; encoder.mask=text is",
        ),
        (View(None, "content"), {"mask_query": "visual"}, "^mask_query=content: .* stores the tokens of visual"),
        (View("content"), {"pool_factor": 2}, r"^mask=content: .* merges documents' states \(pool_factor=2\)"),
    ],
)
def test_what_is_not_stored_is_refused_in_one_line(tables, view, changes, message):
    with pytest.raises(JobError, match=message) as raised:
        views.checked(view, with_spec(tables, **changes))
    assert "\n" not in str(raised.value)


def test_queries_of_merged_documents_can_be_masked(tables):
    view = View(None, "content")
    assert views.checked(view, with_spec(tables, pool_factor=2)) == view
