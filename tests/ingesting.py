"""An ingest in this process and without Ray: the stages' own code, one unit after the other."""

from lake_making import make_committer

from smart_jobs import config, settings, sources
from smart_jobs.decode import units
from smart_jobs.encode import checkpoint, encoder
from smart_jobs.flow import actors
from smart_jobs.lake import layout
from smart_jobs.lake.layout import EncoderTables
from smart_jobs.records import Planned


def ingest(*words: str) -> EncoderTables:
    """What `smart-jobs ingest` with these words brings into an empty lake."""
    job = config.load(settings.Ingest, "ingest", words)
    spec, folder = checkpoint.resolve(job.encoder, job)
    tables = layout.create_encoder(layout.create_lake(job.lake.uri), spec, job.codec)
    run = actors.Run("run-1", tables.lake.uri, tables.lake.id, spec, job.encoder, job.unit_tokens, job.batch_tokens)
    model = encoder.load(spec, folder, 1, job.batch_tokens)
    committer = make_committer(tables)
    for unit in units.units(map(Planned, sources.assets(job.source)), actors.policy(run)):
        committer.add(actors.receipt(unit, tables, lambda: model, run.run_id))
    committer.commit()
    return tables
