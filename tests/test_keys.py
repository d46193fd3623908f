"""Grids and comma lists as the command line writes them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smart_jobs import config, settings
from smart_jobs.records import UsageError

WORDS = ("suite=beir", "suite.path=x", "encoder=minilm", "lake=./l")


def sweep(*words):
    return config.load(settings.Evaluate, "evaluate", [*WORDS, *words]).sweep


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("0:2:0.5", (0, 0.5, 1, 1.5, 2)),
        ("0:1:0.1", (0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1)),
        ("0:1:0.3", (0, 0.3, 0.6, 0.9)),
        ("1:1:5", (1,)),
        ("-1:0:0.5,3", (-1, -0.5, 0, 3)),
        ("0.5", (0.5,)),
        ("0,1,2", (0, 1, 2)),
        ("[0, 1:2:1]", (0, 1, 2)),
    ],
)
def test_a_grid_has_its_stop_where_a_step_hits_it(text, values):
    assert sweep(f"sweep.lambda_late={text}").lambda_late == values


@given(st.integers(-50, 50), st.integers(0, 60), st.sampled_from(["0.1", "0.05", "1", "0.25"]))
def test_a_grid_is_counted_in_decimals(start, steps, step):
    stop = start + steps * float(step)
    found = sweep(f"sweep.lambda_late={start}:{stop:.2f}:{step}").lambda_late
    assert found == tuple(round(start + i * float(step), 10) for i in range(steps + 1))


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("sweep.lambda_late=0:1", "expected numbers, or start:stop:step as in 0:2:0.1"),
        ("sweep.lambda_late=0:x:1", "expected numbers, or start:stop:step"),
        ("sweep.lambda_late=0:1:0", "expected numbers, or start:stop:step"),
        ("sweep.lambda_late=1:0:0.1", "expected start:stop:step upwards"),
        ("sweep.lambda_late=0:1:0.0001", "in at most 1,000 steps"),
        ("sweep.lambda_late=much", "valid number"),
        ("sweep.lambda_late=nan", "finite number"),
        ("sweep.mask=reference,odd", "'reference', 'content', 'visual' or 'text'"),
        ("sweep.codec=int3", "'float32', 'bf16', 'int8', 'int4' or 'binary'"),
        ("sweep.lamda_late=1", "did you mean sweep.lambda_late?"),
    ],
)
def test_what_is_no_grid_and_no_list_is_one_line(word, said):
    with pytest.raises(UsageError) as raised:
        sweep(word)
    assert said in str(raised.value)
    assert str(raised.value).startswith(word.partition("=")[0])
    assert "\n" not in str(raised.value)


def test_lists_are_written_with_commas_or_brackets():
    assert sweep("sweep.mask=reference,content").mask == ("reference", "content")
    assert sweep("sweep.codec=[int8, binary]").codec == ("int8", "binary")
    assert not sweep().wanted
    assert sweep("sweep.mask_query=text").wanted
