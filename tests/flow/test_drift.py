"""An upgrade of the libraries must not mix old and new vectors: a few stored segments are encoded again first."""

import importlib.metadata

import numpy as np
import pytest

from smart_jobs import schema
from smart_jobs.decode import units
from smart_jobs.encode import checkpoint, encoder
from smart_jobs.flow import actors, drift
from smart_jobs.keys import Cut, Decode, Encoder, Source
from smart_jobs.lake import groups, known, layout, lease, libraries, table, writer
from smart_jobs.lake.commit import Committer
from smart_jobs.records import Embedding, JobError, Planned
from smart_jobs.sources import assets


@pytest.fixture
def stored(tmp_path, tiny_encoder):
    """A lake with a few texts in it, brought in without Ray: its tables, the assets, the decode policy, the model."""
    (tmp_path / "docs").mkdir()
    for i in range(5):
        (tmp_path / "docs" / f"{i}.txt").write_text(f"Text number {i}. " * (1 + 20 * (i == 3)))
    config = Encoder(name="tiny", model=str(tiny_encoder))
    spec, folder = checkpoint.resolve(config, Cut())
    tables = layout.create_encoder(layout.create_lake(str(tmp_path / "lake")), spec, "int8")
    policy = actors.policy(actors.Run("r", "", "", spec, config, 100, 512, 1, Decode()))
    model = encoder.load(spec, folder, 1, 512)
    found = list(assets(Source(name="docs", uri=(str(tmp_path / "docs"),))))
    with lease.hold(tables, "ingest", 0) as held:
        waiting = groups.roll_forward(tables, held)
        committer = Committer(tables, held, known.load(tables, waiting.rows, known.passing(())), waiting)
        for unit in units.units([Planned(asset) for asset in found], policy):
            segments = units.segments(unit)
            committer.add(writer.receipt(tables, unit, segments, model.encode(segments), held.run_id))
        committer.commit()
    return tables, found, policy, model


def upgrade(monkeypatch, **versions: str) -> None:
    now = libraries.installed() | versions
    monkeypatch.setattr(libraries, "installed", lambda: now)


def test_the_same_versions_are_no_change(stored):
    assert libraries.changes(stored[0]) == {}


def test_a_lake_without_a_finished_run_has_nothing_to_compare(tmp_path, stored):
    spec = stored[0].spec
    fresh = layout.create_encoder(layout.create_lake(str(tmp_path / "other")), spec, "int8")
    assert libraries.changes(fresh) == {}


def test_only_libraries_that_shape_vectors_count(stored, monkeypatch):
    upgrade(monkeypatch, torch="99.0", ray="99.0", deltalake="99.0")
    assert libraries.changes(stored[0]) == {"torch": (importlib.metadata.version("torch"), "99.0")}


def test_an_upgrade_that_changes_nothing_goes_on_and_says_so(stored, monkeypatch, capsys):
    tables, found, policy, model = stored
    upgrade(monkeypatch, torch="99.0")
    drift.check(tables, found, policy, model)
    compared = min(drift.COMPARED, table.open_table(tables.table_uri(schema.POOLED)).count())
    said = capsys.readouterr().err
    assert "-> 99.0" in said
    assert any(f"; {n} stored segments compared, all the same" in said for n in range(3, compared + 1))


def test_an_upgrade_that_changes_vectors_stops_the_run_with_what_to_do(stored, monkeypatch):
    tables, found, policy, model = stored
    upgrade(monkeypatch, transformers="99.0")

    class Other:
        spec = model.spec

        def encode(self, segments):
            noise = np.random.default_rng(0).standard_normal(model.spec.dim).astype(np.float32) / 50
            turned = [result.pooled + noise for result in model.encode(segments)]
            return [Embedding(row / np.linalg.norm(row), row[None]) for row in turned]

    with pytest.raises(JobError, match=r"another vector than stored .*transformers .* -> 99.0; install the former"):
        drift.check(tables, found, policy, Other())


def test_changed_content_is_not_compared(stored, monkeypatch, tmp_path, capsys):
    tables, _, policy, model = stored
    for path in (tmp_path / "docs").glob("*.txt"):
        path.write_text("All new.")
    found = list(assets(Source(name="docs", uri=(str(tmp_path / "docs"),))))
    upgrade(monkeypatch, torch="99.0")
    drift.check(tables, found, policy, model)
    assert "; 0 stored segments compared" in capsys.readouterr().err
