"""Agreement of two embeddings against neighbours found one by one."""

import numpy as np
import pytest

from smart_jobs.evaluate import neighbours


def unit(rows, dim, seed):
    made = np.random.default_rng(seed).standard_normal((rows, dim)).astype(np.float32)
    return made / np.linalg.norm(made, axis=1, keepdims=True)


def nearest_by_hand(vectors, row, k):
    cosines = [(-float(vectors[row] @ vectors[other]), other) for other in range(len(vectors)) if other != row]
    return [other for _, other in sorted(cosines)[:k]]


@pytest.mark.parametrize("block", [1, 7, 1000])
@pytest.mark.parametrize("k", [1, 5, 39])
def test_overlap_is_that_of_brute_force(monkeypatch, block, k):
    monkeypatch.setattr(neighbours, "BLOCK", block)
    one = unit(40, 8, 0)
    other = one[:, :6] + 0.1 * unit(40, 6, 1)
    other /= np.linalg.norm(other, axis=1, keepdims=True)
    sample = np.array([0, 3, 17, 39])
    found = neighbours.overlap(one, other, sample, k)
    for at, row in enumerate(sample):
        left, right = nearest_by_hand(one, row, k), nearest_by_hand(other, row, k)
        assert found.share[at] == pytest.approx(len(set(left) & set(right)) / k)
        assert found.nearest[at].tolist() == [left[0], right[0]]
    assert k != 5 or 0 < found.share.mean() < 1


def test_an_embedding_agrees_with_itself_and_with_itself_turned():
    one = unit(30, 6, 0)
    turn, _ = np.linalg.qr(np.random.default_rng(2).standard_normal((6, 6)))
    for other in (one, (one @ turn).astype(np.float32)):
        assert neighbours.overlap(one, other, np.arange(30), 4).share.tolist() == [1.0] * 30


def test_of_equally_near_rows_the_first_counts_and_a_row_is_not_its_own_neighbour(monkeypatch):
    monkeypatch.setattr(neighbours, "BLOCK", 2)
    vectors = unit(1, 4, 0)[[0] * 6]
    found = neighbours.nearest_rows(vectors, np.array([0, 1, 5]), 3)
    assert found.tolist() == [[1, 2, 3], [0, 2, 3], [0, 1, 2]]


def test_cosines_do_not_ask_for_norms():
    one, other = unit(5, 4, 0), unit(5, 4, 1)
    wanted = [float(a.astype(np.float64) @ b) for a, b in zip(one, other, strict=True)]
    np.testing.assert_allclose(neighbours.cosines(3 * one, other / 7), wanted, atol=1e-6)
    assert neighbours.cosines(one, one) == pytest.approx([1.0] * 5)
    assert neighbours.cosines(np.zeros((1, 4), np.float32), one[:1]).tolist() == [0.0]
    assert len(neighbours.cosines(one[:0], other[:0])) == 0
