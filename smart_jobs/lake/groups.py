"""The numbered group commits of one run: finish what an earlier run left, commit, forget what every table has."""

from collections.abc import Mapping, Sequence

from smart_jobs.lake import pending as log
from smart_jobs.lake import waiting
from smart_jobs.lake.layout import EncoderTables
from smart_jobs.lake.lease import DeposedError, Lease
from smart_jobs.lake.pending import Pending
from smart_jobs.lake.table import File
from smart_jobs.lake.waiting import Waiting


def roll_forward(tables: EncoderTables, lease: Lease) -> Waiting:
    """Fence out whoever held the lease before, then finish every commit that a killed run left pending.

    Returns the pooled rows that the last of them still holds back, since their assets are not all there yet. They pass
    on to an empty pending commit of this run: what an earlier one writes from now on is below it and never finished.
    """
    log.fence(tables, lease)
    left = log.listed(tables)
    if left and left[-1].epoch > lease.epoch:
        raise DeposedError(f"{tables.uri}: run {lease.run_id} was deposed by run {left[-1].run_id}")
    for item in left:
        if item.epoch == left[-1].epoch:
            log.apply(tables, item, lease)
    names = tuple(left[-1].waiting) if left else ()
    log.write(tables, Pending(lease.version(0), lease.run_id, {}, waiting=names))
    for item in left:
        log.remove(tables, item)
    waiting.sweep(tables, names)
    lease.reached("rolled forward")
    return Waiting(tables, names)


def unfinished(tables: EncoderTables) -> Waiting:
    """What a killed run held back, read without a lease: to plan by."""
    left = log.listed(tables)
    return Waiting(tables, tuple(left[-1].waiting) if left else ())


class Groups:
    """Commits of several tables, each all or nothing: the next run finishes what a killed one left, or it never was."""

    def __init__(self, tables: EncoderTables, lease: Lease, held_back: Waiting) -> None:
        """`held_back` is what `roll_forward` returned; its rows stay named by every commit until they are taken."""
        self._tables, self._lease, self._waiting = tables, lease, held_back
        self._n = 0
        self._last: Pending | None = next(iter(reversed(log.listed(tables))), None)

    def commit(
        self,
        adds: Mapping[str, Sequence[File]],
        removes: Mapping[str, Sequence[str]] | None = None,
        *,
        rewrites: bool = False,
    ) -> dict[str, int]:
        """Add files, all written, and remove others, by table name; the version of each table that took part.

        `rewrites` says that the tables hold the same rows afterwards. Only the encoder's own tables may lose files.
        """
        self._n += 1
        version = self._lease.version(self._n)
        names = self._waiting.save(version)
        self._lease.reached("files written")
        group = Pending(version, self._lease.run_id, adds, removes or {}, names, rewrites)
        log.write(self._tables, group)
        self._lease.reached("pending written")
        versions = log.apply(self._tables, group, self._lease)
        self._forget(group)
        return versions

    def _forget(self, group: Pending) -> None:
        """The newest pending file stays: it names the rows that wait. Applied again, it does nothing."""
        last, self._last = self._last, group
        if last is not None:
            log.remove(self._tables, last)
            if set(last.waiting) - set(group.waiting):
                waiting.sweep(self._tables, group.waiting)
        self._lease.reached("pending removed")
