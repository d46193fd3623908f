"""Intervals and tests against scipy's, against enumeration, and against what they promise on simulated data."""

import itertools
import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from smart_jobs.evaluate import intervals

GAINS = np.array([0.0, 1.0, 0.6309, 0.5, 0.4307, 0.3869])
"""What nDCG of one label takes as values."""


def hits(n, share, seed):
    return (np.random.default_rng(seed).random(n) < share).astype(float)


def test_resampling_is_what_a_loop_over_the_same_draws_gives():
    tasks = [np.random.default_rng(3).choice(GAINS, 40), hits(50, 0.8, 4), np.random.default_rng(3).random(10)]
    counted = intervals._counted(tasks)
    random, total = np.random.default_rng(intervals.SEED), np.zeros(intervals.RESAMPLES)
    for values, counts in counted:
        n, every = counts.sum(), np.repeat(values, counts)
        if n > intervals.DENSE * len(values):
            times = random.multinomial(n, counts / n, intervals.RESAMPLES)
            drawn = [[v for v, count in zip(values, row, strict=True) for _ in range(count)] for row in times]
        else:
            drawn = [[every[place] for place in row] for row in random.integers(n, size=(intervals.RESAMPLES, n))]
        total += [math.fsum(row) / len(row) / len(counted) for row in drawn]
    np.testing.assert_allclose(intervals.resampled(counted), total, rtol=1e-12)


def test_drawing_counts_and_drawing_queries_are_the_same_draw(monkeypatch):
    counted = intervals._counted([np.random.default_rng(1).choice(GAINS, 200)])
    spread = math.sqrt(counted[0][0].var() / 200)
    drawn = []
    for dense in (0, 200):
        monkeypatch.setattr(intervals, "DENSE", dense)
        drawn.append(intervals.resampled(counted))
    assert not np.array_equal(*drawn)
    assert scipy.stats.ks_2samp(*drawn).pvalue > 0.001
    assert drawn[0].mean() == pytest.approx(drawn[1].mean(), abs=5 * spread / 70)


def test_resamples_have_the_mean_and_the_spread_that_they_must_have():
    tasks = [np.random.default_rng(1).random(300), np.random.default_rng(2).choice(GAINS, 50)]
    drawn = intervals.resampled(intervals._counted(tasks))
    spread = math.sqrt(sum(values.var() / len(values) for values in tasks)) / 2
    assert drawn.mean() == pytest.approx(np.mean([values.mean() for values in tasks]), abs=5 * spread / 100)
    assert drawn.std() == pytest.approx(spread, rel=5 / math.sqrt(2 * len(drawn)))


def test_drawing_in_blocks_changes_nothing_but_the_memory(monkeypatch):
    tasks = [np.random.default_rng(1).random(70), hits(200, 0.5, 0)]
    whole = intervals.resampled(intervals._counted(tasks))
    monkeypatch.setattr(intervals, "CELLS", 70 * 999)
    np.testing.assert_allclose(intervals.resampled(intervals._counted(tasks)), whole, rtol=1e-12)


@pytest.mark.parametrize(
    "tasks",
    [
        [hits(60, 0.93, 0)],
        [np.random.default_rng(1).choice(GAINS, 80, p=[0.1, 0.6, 0.1, 0.1, 0.05, 0.05])],
        [np.random.default_rng(2).exponential(size=40)],
        [hits(52, 0.9, 3), np.random.default_rng(4).choice(GAINS, 100), hits(30, 0.4, 5)],
    ],
)
def test_the_ends_are_those_of_scipys_bca(tasks, monkeypatch):
    monkeypatch.setattr(intervals, "RESAMPLES", 100_000)  # so that noise hides no other method
    found = intervals.mean(tasks)
    theirs = scipy.stats.bootstrap(
        tasks,
        lambda *drawn, axis: np.mean([values.mean(axis=axis) for values in drawn], axis=0),
        vectorized=True, paired=False, method="BCa", n_resamples=100_000, random_state=1, batch=5000,
    )  # fmt: skip
    assert found.mean == pytest.approx(np.mean([values.mean() for values in tasks]))
    noise = 0.08 * theirs.standard_error
    step = 1 / len(tasks[0]) if len(tasks) == 1 and set(tasks[0]) <= {0, 1} else 0
    assert found.low == pytest.approx(theirs.confidence_interval.low, abs=noise + step)
    assert found.high == pytest.approx(theirs.confidence_interval.high, abs=noise + step)


@pytest.mark.parametrize("n", [52, 300])
def test_nineteen_of_twenty_intervals_hold_the_truth(n):
    random, shares = np.random.default_rng(n), np.array([0.2, 0.5, 0.1, 0.1, 0.05, 0.05])
    truth, held = float(GAINS @ shares), 0
    for _ in range(200):
        found = intervals.mean([random.choice(GAINS, n, p=shares)])
        held += found.low <= truth <= found.high
    assert 0.91 <= held / 200 <= 0.99


def test_nineteen_of_twenty_intervals_of_a_mean_over_tasks_hold_the_truth():
    random, shares, held = np.random.default_rng(0), np.linspace(0.3, 0.97, 6), 0
    for _ in range(200):
        found = intervals.mean([(random.random(60) < share).astype(float) for share in shares])
        held += found.low <= shares.mean() <= found.high
    assert 0.91 <= held / 200 <= 0.99


def test_no_difference_is_found_significant_in_one_of_twenty():
    random, found = np.random.default_rng(0), 0
    for _ in range(300):
        one, other = random.choice(GAINS, (2, 40))
        found += intervals.sign_flip([other - one]) <= 0.05
    assert 0.01 <= found / 300 <= 0.09


@given(st.lists(st.sampled_from([-1.0, -0.5, -0.1, 0.0, 0.1, 0.3, 1.0]), min_size=1, max_size=9))
def test_p_is_the_share_of_all_signs_that_are_as_far_off(values):
    sums = [
        sum(s * v for s, v in zip(signs, values, strict=True))
        for signs in itertools.product((-1, 1), repeat=len(values))
    ]
    expected = np.mean(np.abs(sums) >= abs(sum(values)) - 1e-9)
    assert intervals.sign_flip([np.array(values)]) == pytest.approx(expected, abs=1e-9)


@given(st.lists(st.lists(st.integers(-3, 3), min_size=1, max_size=4), min_size=2, max_size=3))
def test_p_over_tasks_flips_queries_and_weighs_tasks_equally(tasks):
    weighted = [value / len(values) for values in tasks for value in values]
    sums = np.array(list(itertools.product((-1, 1), repeat=len(weighted)))) @ weighted
    expected = np.mean(np.abs(sums) >= abs(sum(weighted)) - 1e-9)
    assert intervals.sign_flip([np.array(values) for values in tasks]) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("better", "worse", "equal"), [(1, 0, 5), (7, 2, 1), (3, 3, 0), (600, 520, 7000), (9000, 8500, 0)]
)
def test_p_of_hits_is_the_exact_sign_test(better, worse, equal):
    values = np.array([1.0] * better + [-1.0] * worse + [0.0] * equal)
    expected = scipy.stats.binomtest(better, better + worse).pvalue
    assert intervals.sign_flip([values]) == pytest.approx(expected, rel=1e-6)


def test_drawn_signs_are_as_good_as_enumerated_ones():
    values = np.random.default_rng(5).normal(0.25, 1, 18)
    signs = np.array(list(itertools.product((-1, 1), repeat=18)), np.int8)
    expected = np.mean(np.abs(signs @ values) >= abs(values.sum()) - 1e-9)
    noise = 5 * math.sqrt(expected * (1 - expected) / intervals.RESAMPLES)
    assert intervals.EXACT < 2**18
    assert intervals.sign_flip([values]) == pytest.approx(expected, abs=noise)
    assert intervals.sign_flip([np.linspace(1, 2, 400)]) == 1 / (1 + intervals.RESAMPLES), "never 0"


def test_one_query_tells_nothing():
    found = intervals.mean([np.array([0.5])])
    assert (found.mean, found.low, found.high) == (0.5, None, None)
    difference = intervals.difference([np.array([0.5])], [np.array([1.0])])
    assert (difference.interval.mean, difference.interval.low, difference.p) == (0.5, None, 1.0)
    assert intervals.mean([np.array([0.5]), np.array([0.5, 1.0])]).low is None


def test_all_equal_is_a_point():
    found = intervals.mean([np.ones(30), np.zeros(5)])
    assert (found.mean, found.low, found.high) == (0.5, 0.5, 0.5)
    difference = intervals.difference([np.full(6, 0.1)], [np.full(6, 0.3)])
    assert (difference.interval.low, difference.interval.high) == pytest.approx((0.2, 0.2))
    assert difference.p == pytest.approx(2 / 2**6)
    assert (difference.better, difference.worse, difference.equal) == (6, 0, 0)


def test_a_run_does_not_differ_from_itself():
    values = np.random.default_rng(0).random(50)
    found = intervals.difference([values], [values])
    assert found == intervals.Difference(intervals.Interval(0.0, 0.0, 0.0), 1.0, 0, 0, 50)


def test_the_order_of_queries_and_tasks_is_no_part_of_the_interval():
    random = np.random.default_rng(0)
    tasks = [random.random(30), random.choice(GAINS, 50), hits(20, 0.5, 1)]
    found = intervals.mean(tasks)
    again = intervals.mean([random.permutation(tasks[at]) for at in (2, 0, 1)])
    assert (again.low, again.high) == pytest.approx((found.low, found.high), abs=1e-12)
    assert intervals.mean(tasks) == found


def test_a_difference_turned_round_is_its_negative():
    random = np.random.default_rng(0)
    one, other = random.choice(GAINS, (2, 80))
    there, back = intervals.difference([one], [other]), intervals.difference([other], [one])
    assert (there.better, there.worse) == (back.worse, back.better)
    assert there.interval.mean == pytest.approx(-back.interval.mean)
    assert there.interval.low == pytest.approx(-back.interval.high, abs=0.01)
    assert there.p == back.p


@pytest.mark.parametrize("tasks", [[], [np.empty(0)], [np.ones(3), np.empty(0)]])
def test_nothing_to_average_over_is_refused(tasks):
    with pytest.raises(ValueError, match="no query"):
        intervals.mean(tasks)


def test_two_runs_have_to_have_the_same_queries():
    with pytest.raises(ValueError, match="broadcast"):
        intervals.difference([np.ones(3)], [np.ones(2)])
