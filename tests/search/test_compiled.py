"""The compiled kernels against torch's products: of integers to the bit, on every path that this CPU has."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lake_making import pack

from smart_jobs import codec
from smart_jobs.search import compiled, maxsim, products

KERNEL = compiled.kernel()
calm = settings(max_examples=80, deadline=None)
there = pytest.mark.skipif(KERNEL is None, reason="no C compiler, or a CPU without AVX-512 VNNI")
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def kernels(tmp_path_factory):
    """The kernel on each path."""
    library = compiled.built(tmp_path_factory.mktemp("library"))
    return [compiled.Kernel(library, path) for path in KERNEL.paths]


def by_torch(values, codes, factors, bounds, digits):
    """(n, m) as the torch path has them: digits multiplied, turned into float32, added, times factors, maxima."""
    parts, steps = products.split(values)
    columns = torch.zeros((codes.shape[1], digits * len(values)), dtype=torch.int8)
    columns[: values.shape[1]] = parts[:digits].reshape(-1, values.shape[1]).T
    space = products.Space.of(len(codes) * columns.shape[1], "int8")
    tile = products.Tile(torch.from_numpy(codes), torch.from_numpy(factors)[:, None])
    found = products.product(tile, products.Tokens(columns, steps, digits), space)
    return np.stack([found[low:high].amax(dim=0).numpy() for low, high in bounds]), steps.numpy()


def check(kernel, values, codes, factors, bounds, digits):
    wanted, steps = by_torch(values, codes, factors, bounds, digits)
    panel = kernel.panel(values, digits)
    found = kernel.best(panel, codes, factors, *bounds.T)
    np.testing.assert_array_equal(panel.steps, steps)
    np.testing.assert_array_equal(found, wanted)


def drawn(random, m, dim, wider, lengths, kind):
    """Query tokens, and documents with gaps between them, as `kind` of numbers."""
    gaps = random.integers(0, 2, len(lengths)) * random.integers(0, 40, len(lengths))
    ends = np.cumsum(lengths + gaps)
    shape = ends[-1], dim + wider
    match kind:
        case "any":
            values, codes = random.standard_normal((m, dim)), random.integers(-128, 128, shape)
        case "extreme":
            values, codes = random.choice([-1, 1], (m, dim)), random.choice([-128, -127, 127], shape)
        case _:  # digits of -128 and 0, elements of all sizes, rows of zeros
            values = random.standard_normal((m, dim)) * 10.0 ** random.integers(-6, 3, (m, dim))
            values[random.random(m) < 0.2] = 0
            codes = random.choice([-128, 0, 1], shape)
    factors = random.random(shape[0], np.float32) * (random.random(shape[0]) > 0.1)
    return values.astype(np.float32), codes.astype(np.int8), factors, np.stack([ends - lengths, ends], axis=1)


@there
@given(
    st.integers(1, 70),
    st.integers(1, 200),
    st.integers(0, 9),
    st.lists(st.one_of(st.integers(1, 5), st.integers(1, 100)), min_size=1, max_size=20),
    st.sampled_from([1, 3]),
    st.sampled_from(["any", "extreme", "spread"]),
    st.integers(0, 999),
)
@calm
def test_it_gives_the_bits_that_torch_gives(kernels, m, dim, wider, lengths, digits, kind, seed):
    made = drawn(np.random.default_rng(seed), m, dim, wider, np.array(lengths), kind)
    for kernel in kernels:
        check(kernel, *made, digits)


@there
@pytest.mark.parametrize("digits", [1, 3])
@pytest.mark.parametrize("dim", [2048, 2000])
def test_more_than_the_caches_hold(kernels, digits, dim):
    """Columns in several turns, documents in several chunks, one of them longer than a chunk."""
    made = drawn(np.random.default_rng(dim), 420 // digits, dim, 0, np.array([700, 2600, 1, 33]), "any")
    for kernel in kernels:
        check(kernel, *made, digits)


@there
def test_rows_may_begin_anywhere_in_memory(kernels):
    random = np.random.default_rng(0)
    values, codes, factors, bounds = drawn(random, 20, 67, 0, np.array([40, 3, 9]), "any")
    for shift in (1, 2, 63):
        moved = np.empty(codes.size + shift, np.int8)[shift:].reshape(codes.shape)
        moved[...] = codes
        for kernel in kernels:
            check(kernel, values, moved, factors, bounds, 3)


@there
@given(
    st.integers(1, 70),
    st.one_of(st.integers(1, 200), st.sampled_from([512, 2048])),
    st.lists(st.one_of(st.integers(1, 5), st.integers(1, 100)), min_size=1, max_size=20),
    st.booleans(),
    st.integers(0, 999),
)
@calm
def test_floats_are_multiplied_to_their_rounding_and_the_same_in_any_company(kernels, m, dim, lengths, signs, seed):
    random = np.random.default_rng(seed)
    values, _, _, bounds = drawn(random, m, dim, 0, np.array(lengths), "any")
    rows = random.standard_normal((bounds[-1, 1], dim), np.float32)
    if signs:  # every product below zero, which a padded row would beat
        values, rows = np.abs(values), -np.abs(rows)
    apart = np.setdiff1d(np.arange(len(rows)), np.concatenate([np.arange(*each) for each in bounds]))
    rows[apart] = np.nan  # not theirs
    [kernel, *_] = kernels
    found = kernel.best(kernel.panel(values, 0), rows, rows[:0, 0], *bounds.T)
    products = rows.astype(np.float64) @ values.T.astype(np.float64)
    wanted = np.stack([products[low:high].max(axis=0) for low, high in bounds])
    scale = np.linalg.norm(values, axis=1) * np.linalg.norm(rows[bounds[0, 0] : bounds[0, 1]], axis=1).max()
    np.testing.assert_allclose(found / scale, wanted / scale, atol=1e-6)
    one, [low, high] = random.integers(m), bounds[random.integers(len(bounds))]
    alone = kernel.best(kernel.panel(values[one : one + 1], 0), rows[low:high].copy(), rows[:0, 0], [0], [high - low])
    assert alone[0, 0] == found[np.flatnonzero(bounds[:, 0] == low)[0], one]


@there
@given(
    st.integers(1, 40),
    st.one_of(st.integers(1, 200), st.sampled_from([512, 2048])),
    st.lists(st.integers(1, 100), min_size=1, max_size=20),
    st.integers(0, 999),
)
@calm
def test_halves_count_as_rows_of_norm_1_whatever_their_size(kernels, m, dim, lengths, seed):
    random = np.random.default_rng(seed)
    values, _, _, bounds = drawn(random, m, dim, 0, np.array(lengths), "any")
    values = codec.unit(values)
    sizes = 10.0 ** random.choice([-37, -12, 0, 12, 37], (bounds[-1, 1], 1))
    rows = random.standard_normal((bounds[-1, 1], dim)) * sizes
    rows[random.random(len(rows)) < 0.1] = 0
    halves = torch.from_numpy(rows.astype(np.float32)).bfloat16().view(torch.int16).numpy().view(np.uint16)
    floats = products.floats(halves.view(np.uint8), "bf16")
    [kernel, *_] = kernels
    panel = kernel.panel(values, 0)
    found, wanted = (kernel.best(panel, each, rows[:0, 0], *bounds.T) for each in (halves, floats))
    np.testing.assert_allclose(found, wanted, atol=1e-6, rtol=0)
    one, [low, high] = random.integers(m), bounds[random.integers(len(bounds))]
    alone = kernel.best(kernel.panel(values[one : one + 1], 0), halves[low:high].copy(), rows[:0, 0], [0], [high - low])
    assert alone[0, 0] == found[np.flatnonzero(bounds[:, 0] == low)[0], one]


@there
@pytest.mark.parametrize("name", ["float32", "bf16"])
def test_late_scores_of_floats_are_the_torch_path_s_to_rounding(name, monkeypatch):
    wanted = np.array([[False] * 4 + [True], [False] * 5, [True] + [False] * 4])
    found, some = scores(name), scores(name, wanted)
    monkeypatch.setattr(compiled, "kernel", lambda: None)
    np.testing.assert_allclose(found, scores(name), atol=1e-6)
    np.testing.assert_array_equal(some[wanted], found[wanted])


@there
@pytest.mark.parametrize("digits", [0, 3])
@given(st.lists(st.integers(1, 50), min_size=1, max_size=30), st.integers(2, 5), st.integers(0, 999))
@calm
def test_threads_change_nothing(kernels, digits, lengths, threads, seed):
    values, codes, factors, bounds = drawn(np.random.default_rng(seed), 9, 40, 0, np.array(lengths), "any")
    codes = codes if digits else codes.astype(np.float32)
    before = torch.get_num_threads()
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(compiled, "ALONE", 1)
            patch.setattr(compiled, "ALONE_FLOATS", 1)
            for kernel in kernels:
                panel, found = kernel.panel(values, digits), []
                for number in (1, threads):
                    torch.set_num_threads(number)
                    found.append(kernel.best(panel, codes, factors, *bounds.T))
                np.testing.assert_array_equal(*found)
    finally:
        torch.set_num_threads(before)


@there
def test_a_forked_child_scores_too():
    """OpenMP's threads are its parent's, and waiting for them would never end."""
    program = """
import os, signal, warnings
import numpy as np, torch
from smart_jobs.search import compiled
warnings.simplefilter("ignore")
torch.set_num_threads(2)
kernel, rows = compiled.kernel(), np.ones((20_000, 256), np.float32)
asked = kernel.panel(rows[:32], 0), rows, rows[:0, 0], np.arange(0, 20_000, 100), np.arange(100, 20_001, 100)
wanted = kernel.best(*asked)
if child := os.fork():
    raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
signal.alarm(60)
os._exit(0 if (kernel.best(*asked) == wanted).all() else 1)
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    assert subprocess.run([sys.executable, "-c", program], env=environment, cwd=ROOT, timeout=200).returncode == 0


def scores(name, wanted=None, **options):
    """`late`, or `late_where`, of made-up queries and documents."""
    random = np.random.default_rng(0)
    queries, documents = (
        [codec.unit(random.standard_normal((n, 67)).astype(np.float32)) for n in lengths]
        for lengths in ([3, 40, 1], [30, 1, 300, 7, 64])
    )
    stacked, packed = maxsim.ragged(queries), pack(documents, name)
    if wanted is None:
        return maxsim.late(stacked, packed, **options)
    return maxsim.late_where(stacked, packed, wanted, **options)


@there
@pytest.mark.parametrize("name", codec.FACTORS)
@pytest.mark.parametrize("digits", [1, 3])
@pytest.mark.parametrize("tile", [1, 1 << 22])
def test_late_scores_are_the_torch_path_s_to_the_bit(name, digits, tile, monkeypatch):
    wanted = np.array([[False] * 4 + [True], [False] * 5, [True] + [False] * 4])
    monkeypatch.setattr(maxsim, "TILE_BYTES", tile)
    found, some = scores(name, digits=digits), scores(name, wanted, digits=digits)
    monkeypatch.setattr(compiled, "kernel", lambda: None)
    np.testing.assert_array_equal(found, scores(name, digits=digits))
    np.testing.assert_array_equal(some[wanted], found[wanted])


@pytest.mark.parametrize("name", codec.CODECS)
def test_without_a_compiler_the_scores_are_the_same(name, tmp_path, monkeypatch):
    wanted = scores(name)
    with fresh(monkeypatch, XDG_CACHE_HOME=str(tmp_path), CC=str(tmp_path / "none")):
        assert compiled.kernel() is None
        found = scores(name)
    np.testing.assert_allclose(found, wanted, atol=0 if name in codec.FACTORS else 1e-6, rtol=0)


@pytest.mark.parametrize("reason", ["the compiler fails", "no path", "another system"])
def test_what_cannot_be_is_no_error(reason, tmp_path, monkeypatch):
    with fresh(monkeypatch, XDG_CACHE_HOME=str(tmp_path / "cache")):
        match reason:
            case "the compiler fails":
                failing = tmp_path / "cc"
                failing.write_text("#!/bin/sh\nexit 1\n")
                failing.chmod(0o700)
                monkeypatch.setenv("CC", str(failing))
            case "no path":
                source = tmp_path / "none.c"
                source.write_text("long smart_jobs_panel_bytes() { return 0; }\nint smart_jobs_paths() { return 0; }\n")
                monkeypatch.setattr(compiled, "SOURCES", (source,))
            case _:
                monkeypatch.setattr(sys, "platform", "darwin")
        assert compiled.kernel() is None


@contextlib.contextmanager
def fresh(patch, **variables):
    """As a new process with these variables would find it."""
    for name, value in variables.items():
        patch.setenv(name, value)
    compiled.kernel.cache_clear()
    yield
    patch.undo()
    compiled.kernel.cache_clear()


@there
def test_it_is_compiled_once_for_this_user_alone(tmp_path, monkeypatch):
    folder = tmp_path / "smart-jobs"
    first = compiled.built(folder)
    made = first.stat().st_mtime_ns
    assert (compiled.built(folder), first.stat().st_mtime_ns) == (first, made)
    assert folder.stat().st_mode & 0o777 == 0o700
    monkeypatch.setattr(compiled, "FLAGS", (*compiled.FLAGS, "-g"))
    assert compiled.built(folder) != first


@there
@pytest.mark.parametrize("obstacle", ["a file", "a library that cannot be loaded", "read-only"])
def test_where_the_cache_cannot_be_used_it_is_compiled_aside(obstacle, tmp_path):
    folder = tmp_path / "smart-jobs"
    if obstacle == "a file":
        folder.touch()
    elif obstacle == "read-only":
        folder.mkdir(mode=0o500)
        if os.access(folder, os.W_OK):
            pytest.skip("root writes everywhere")
    else:
        compiled.built(folder).write_bytes(b"")
    assert compiled.loaded(folder).paths == KERNEL.paths


@there
def test_two_processes_may_compile_at_once(tmp_path):
    program = """
import numpy as np
from smart_jobs.search import compiled
kernel = compiled.kernel()
print(kernel.best(kernel.panel(np.ones((1, 8), "f4"), 3), np.ones((2, 8), "i1"), np.ones(2, "f4"), [0], [2]))
"""
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    running = [
        subprocess.Popen([sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE, cwd=ROOT)
        for _ in range(2)
    ]
    assert [process.communicate(timeout=200)[0].strip() for process in running] == [b"[[1016.]]"] * 2
    assert [path.suffix for path in (tmp_path / "smart-jobs").iterdir()] == [".so"]
