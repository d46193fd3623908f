"""The kernels of the late score in C (maxsim_*.c): compiled where they first run, or None, and torch does the same.

Compiled once for each user, source, compiler and architecture, into a folder of their cache. What cannot be (no
compiler, no AVX-512, another system, nowhere to write) is no error: without them scores from integers are the same to
the bit, those from floats within their rounding.
"""

import ctypes
import functools
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
import uuid
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from smart_jobs import codec

SOURCES = tuple(Path(__file__).with_name(name) for name in ("maxsim_int8.c", "maxsim_float.c", "maxsim.h"))
FLAGS = ("-O3", "-std=gnu11", "-ffp-contract=off", "-fopenmp", "-fPIC", "-shared", f"-DNEAR={codec.NEAR}")
"""OpenMP: the threads are then torch's own, which after its products spin for a while on the cores that others want."""
COMPILERS, SECONDS = ("cc", "gcc", "clang"), 120
"""Tried in this order where CC names none, and how long one may take."""
VNNI, AMX = 1, 2
"""The paths, as maxsim_int8.c numbers them: the larger is the faster."""
COLUMNS = 16
"""Query tokens that are multiplied at once."""
ALONE, ALONE_FLOATS = 1 << 25, 1 << 22
"""Multiplications of integers, and of floats, that are not worth a second thread: some 20 to 50 µs."""
TURNS = 16
"""Parts that a thread takes, one after the other: with one each all wait for the one whose core was busy elsewhere."""


@dataclass(frozen=True, slots=True)
class Panel:
    """m query tokens of d dimensions, packed for a path, and `steps` (m,) float32: what their products are in steps of.

    In `digits` digits, and steps as products' are; or as floats, with digits 0 and steps of 1.
    """

    columns: np.ndarray
    steps: np.ndarray
    dim: int
    digits: int
    path: int


class Kernel:
    """The compiled functions, on the path that this CPU is fastest on, or another that it has."""

    def __init__(self, library: Path, path: int | None = None) -> None:
        """Load it. Raises OSError where that fails, ValueError where this CPU has no path, or not that one."""
        self._library = ctypes.CDLL(str(library))
        self._library.smart_jobs_panel_bytes.restype = ctypes.c_int64
        there = self._library.smart_jobs_paths()
        self.paths = [each for each in (VNNI, AMX) if there & each]
        self.path = path or max(self.paths, default=0)
        if self.path not in self.paths:
            raise ValueError(f"path {self.path}: this CPU has {self.paths}")
        self._process = os.getpid()

    def panel(self, values: np.ndarray, digits: int) -> Panel:
        """Query tokens (m, d) float32: in `digits` digits, 1 or 3, that `products.split` gives, or 0 for floats."""
        values = np.ascontiguousarray(values, np.float32)
        m, dim = values.shape
        if not digits:
            groups = -(-m // COLUMNS)
            columns = _aligned(4 * groups * dim * COLUMNS).view(np.float32).reshape(groups, dim, COLUMNS)
            padded = np.pad(values, ((0, groups * COLUMNS - m), (0, 0)))
            columns[...] = padded.reshape(groups, COLUMNS, dim).transpose(0, 2, 1)
            return Panel(columns, np.ones(m, np.float32), dim, 0, self.path)
        size = self._library.smart_jobs_panel_bytes(*map(ctypes.c_int64, (m, dim)), digits)
        columns, steps = _aligned(size), np.empty(m, np.float32)
        self._library.smart_jobs_pack(
            self.path, _at(values), ctypes.c_int64(m), ctypes.c_int64(dim), digits, _at(columns), _at(steps)
        )
        return Panel(columns, steps, dim, digits, self.path)

    def best(
        self, panel: Panel, codes: np.ndarray, factors: np.ndarray, starts: np.ndarray, ends: np.ndarray
    ) -> np.ndarray:
        """(n, m) float32: the best product of each document's tokens with each query token, in steps of the query.

        Document i is rows starts[i] ... ends[i], int64, at least one, of `codes` (rows, w) int8, w ≥ d, times `factors`
        (rows,) float32; or of `codes` (rows, d) and nothing else: float32, or the bits of bf16 as uint16, which count
        as rows of norm 1. On torch's number of threads, each with documents of its own, so that the result does not
        depend on it. Raises MemoryError.
        """
        codes, factors = np.ascontiguousarray(codes), np.ascontiguousarray(factors, np.float32)
        starts, ends = (np.ascontiguousarray(bounds, np.int64) for bounds in (starts, ends))
        m = len(panel.steps)
        best = np.empty((len(starts), -(-m // COLUMNS) * COLUMNS), np.float32)
        tokens = np.cumsum(ends - starts)
        work = int(tokens[-1]) * best.shape[1] * (panel.digits or 1) * panel.dim
        threads = min(torch.get_num_threads(), 1 + work // (ALONE if panel.digits else ALONE_FLOATS))
        if os.getpid() != self._process:
            threads = 1  # a forked child would wait for its parent's threads
        cuts = _cuts(tokens, TURNS * threads if threads > 1 else 1)
        parts = _at(cuts), ctypes.c_int64(len(cuts) - 1), threads
        rows, width, wide, dim = map(ctypes.c_int64, (*codes.shape, m, panel.dim))
        asked = _at(starts), _at(ends), _at(panel.columns), wide, dim
        if panel.digits:
            given = panel.path, _at(codes), rows, width, _at(factors)
            failed = self._library.smart_jobs_best_int8(*parts, *given, *asked, panel.digits, _at(best))
        else:
            half = int(codes.dtype == np.uint16)
            failed = self._library.smart_jobs_best_float(*parts, half, _at(codes), rows, *asked, _at(best))
        if failed:
            raise MemoryError("no memory for a block of document tokens")
        return best[:, :m]


def _at(array: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


def _aligned(size: int) -> np.ndarray:
    """Bytes at a multiple of 64."""
    space = np.empty(size + 64, np.uint8)
    begin = -space.ctypes.data % 64
    return space[begin : begin + size]


def _cuts(tokens: np.ndarray, parts: int) -> np.ndarray:
    """Where to cut documents, whose tokens sum up to `tokens` (n,), into at most `parts` of about as many tokens."""
    wanted = np.arange(1, parts) * int(tokens[-1]) // parts
    return np.unique([0, *np.searchsorted(tokens, wanted), len(tokens)])


@functools.cache
def kernel() -> Kernel | None:
    """The kernel, compiled on the first call ever; None where that cannot be."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return None
    try:
        return loaded(Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "smart-jobs")
    except (OSError, RuntimeError, ValueError, subprocess.SubprocessError):
        return None


def loaded(folder: Path) -> Kernel:
    """The kernel as it lies in `folder`, compiled where it does not; in a temporary folder where it cannot be there.

    Raises OSError where there is no compiler, SubprocessError where it fails, ValueError where the CPU has no path.
    """
    try:
        return Kernel(built(folder))
    except OSError:
        with tempfile.TemporaryDirectory(prefix="smart-jobs-") as other:
            return Kernel(built(Path(other)))  # it stays loaded when its file is gone


def built(folder: Path) -> Path:
    """The library in `folder`, which is made for this user alone; the name says what it was compiled from.

    Compiled aside and renamed: another process that does the same, or one that dies at it, does no harm.
    """
    compiler = shlex.split(os.environ.get("CC", "")) or [next(filter(shutil.which, COMPILERS), COMPILERS[0])]
    version = subprocess.run([*compiler, "--version"], capture_output=True, check=True, timeout=SECONDS).stdout
    made_of = repr(([source.read_bytes() for source in SOURCES], compiler, version, FLAGS)).encode()
    library = folder / f"maxsim-{hashlib.sha256(made_of).hexdigest()[:16]}.so"
    if not library.exists():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        aside = library.with_suffix(f".{uuid.uuid4().hex}")
        try:
            sources = [str(source) for source in SOURCES if source.suffix == ".c"]
            command = [*compiler, *FLAGS, "-o", str(aside), *sources]
            subprocess.run(command, capture_output=True, check=True, timeout=SECONDS)
            aside.replace(library)
        finally:
            aside.unlink(missing_ok=True)
    return library
