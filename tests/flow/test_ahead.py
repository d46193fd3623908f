"""One thing ahead of whoever asks: the same things, errors where they were, and never two."""

import threading

import pytest

from smart_jobs.flow.ahead import ahead


def counted(count, begun):
    for i in range(count):
        begun.append(i)
        yield i


def test_the_same_things_in_the_same_order_one_ahead():
    begun, second = [], threading.Event()

    def made():
        for i in counted(5, begun):
            if i:
                second.set()
            yield i

    things = ahead(made())
    assert begun == []
    assert next(things) == 0
    assert second.wait(10), "the second is not made before it is asked for"
    assert begun == [0, 1]
    assert list(things) == [1, 2, 3, 4]
    assert list(ahead(iter([]))) == []


def test_an_error_is_raised_where_its_thing_would_have_come():
    def made():
        yield "first"
        raise ValueError("the second")

    things = ahead(made())
    assert next(things) == "first"
    with pytest.raises(ValueError, match="the second"):
        next(things)


def test_one_that_is_closed_early_leaves_nothing_running():
    begun, before = [], threading.active_count()
    things = ahead(counted(100, begun))
    assert next(things) == 0
    things.close()
    assert threading.active_count() == before
    assert len(begun) == 2
