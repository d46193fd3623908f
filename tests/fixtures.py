"""Where the fixture files are: beside the checkout, never inside it."""

import os
from pathlib import Path

import pytest

FIXTURES = Path(
    os.environ.get("SMART_JOBS_FIXTURES") or Path(__file__).resolve().parents[2] / "shared" / "fixtures",
)
"""The folder `shared/fixtures` beside the checkout, or what SMART_JOBS_FIXTURES names."""

needs_fixtures = pytest.mark.skipif(
    not FIXTURES.is_dir(),
    reason=f"no fixture files at {FIXTURES}; set SMART_JOBS_FIXTURES to the folder that has pdf/ and office/",
)
