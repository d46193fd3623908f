"""Pages that are too much for their decoder, in a real ingest: they cost themselves, and may come in another night."""

from collections import Counter

import pytest
from comparing import rows, tables_of
from hard_pdfs import endless, greedy
from jobs import run, write_corpus

from smart_jobs import schema

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("cluster")]


@pytest.mark.slow
def test_hard_pages_cost_themselves_and_come_in_with_more_room(tmp_path, tiny_encoder):
    source, lake = write_corpus(tmp_path / "docs", files=2, lines=3), tmp_path / "lake"
    (source / "endless.pdf").write_bytes(endless())
    (source / "greedy.pdf").write_bytes(greedy(12))
    words = (f"source={source}", f"lake={lake}", f"encoder={tiny_encoder}", "decode.seconds=10")
    first = run("ingest", *words, "decode.memory=0.25")
    assert first["failed_by_reason"] == {"empty": 1, "out_of_memory": 1, "timeout": 1}
    assert pages(lake, source) == {"endless.pdf": [1, 3], "greedy.pdf": [1, 3]}
    failed = {row["uri"]: (row["ordinal"], row["of"]) for row in rows(tables_of(lake), schema.FAILURES)}
    assert failed[f"{source}/endless.pdf"] == failed[f"{source}/greedy.pdf"] == (1, 3)
    second = run("ingest", *words, "decode.memory=4")
    assert second["failed_by_reason"] == {"timeout": 1}
    assert pages(lake, source) == {"endless.pdf": [1, 3], "greedy.pdf": [1, 2, 3]}


def pages(lake, source) -> dict[str, list[int]]:
    """The pages of each PDF that are in pooled, where no segment may be twice."""
    found = rows(tables_of(lake), schema.POOLED)
    assert max(Counter((row["uri"], row["ordinal"]) for row in found).values()) == 1
    pdfs = sorted(row["uri"] for row in found if row["page"] is not None)
    return {
        uri.removeprefix(f"{source}/"): sorted({row["page"] for row in found if row["uri"] == uri})
        for uri in dict.fromkeys(pdfs)
    }
