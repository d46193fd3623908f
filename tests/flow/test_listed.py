"""What an ingest takes for its assets."""

import pytest

from smart_jobs import sources
from smart_jobs.flow import ingest
from smart_jobs.keys import Source
from smart_jobs.lake import layout
from smart_jobs.records import JobError


def test_a_lake_inside_the_source_is_no_part_of_it(tmp_path):
    (tmp_path / "lake2").mkdir()
    for name in ("a.txt", "lake2/b.txt"):
        (tmp_path / name).write_text("text")
    layout.create_lake(str(tmp_path / "lake"))
    found = ingest.listed(Source(name="all", uri=(str(tmp_path),)), str(tmp_path / "lake"))
    assert [asset.uri for asset in found] == [str(tmp_path / "a.txt"), str(tmp_path / "lake2" / "b.txt")]


def test_a_store_that_cannot_be_listed_is_one_line_with_its_name(tmp_path, monkeypatch):
    def refuse(source):
        raise PermissionError("no\nway")

    monkeypatch.setattr(sources, "assets", refuse)
    with pytest.raises(JobError, match=r"^source s3: cannot be listed: no way$"):
        ingest.listed(Source(name="s3", uri=("s3://x",)), str(tmp_path))
