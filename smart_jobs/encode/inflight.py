"""Units that kill their workers: a marker counts the attempts, and from the third on finds the segment that does it."""

import json
from collections.abc import Sequence
from typing import Any

from smart_jobs import storage
from smart_jobs.encode.encoder import Encoder
from smart_jobs.records import AssetError, Embedding, JobError, Segment

ALONE_FROM = 3
"""The attempt from which on segments are encoded one at a time."""
UNEXPLAINED = 6
"""Deaths of one unit's workers that no segment explains; then the machine is at fault, not the unit."""


class InFlight:
    """The marker of a unit that this worker has in hand: a small file that outlives the worker.

    Ray gives the unit of a dead worker to a fresh one for ever. The marker is written before anything is done and
    deleted by `done`; it counts within one run, and losing it costs only attempts.
    """

    def __init__(self, uri: str, run_id: str) -> None:
        """Count an attempt at the unit whose marker is at `uri`; the segment an earlier one was trying killed it.

        Raises JobError after `UNEXPLAINED` deaths that no segment was there for: Ray would go on for ever.
        """
        before = _read(uri, run_id)
        self._uri, self._run_id = uri, run_id
        self.attempts = int(before.get("attempts", 0)) + 1
        self.killers: list[int] = before.get("killers", [])
        if before.get("trying") is not None:
            self.killers.append(before["trying"])
        if self.attempts - len(self.killers) > UNEXPLAINED:
            unit = uri.rpartition("/")[2].removesuffix(".json")
            raise JobError(f"{UNEXPLAINED} workers died with unit {unit} in hand, and no segment of it explains that; "
                           "see the memory of the nodes, and Ray's logs of the encode actors")  # fmt: skip
        self._write(trying=None)

    def encode(self, encoder: Encoder, segments: Sequence[Segment]) -> list[Embedding | AssetError]:
        """One result for each segment, in order; a segment that kills workers is `worker_died` and not tried again."""
        if self.attempts < ALONE_FROM:
            return encoder.encode(segments)
        results = [self._alone(encoder, segment) for segment in segments]
        self._write(trying=None)
        return results

    def done(self) -> None:
        """Take the marker away: what the unit produced is kept elsewhere now."""
        storage.delete(self._uri)

    def _alone(self, encoder: Encoder, segment: Segment) -> Embedding | AssetError:
        if segment.segment_id in self.killers:
            return AssetError("worker_died", f"encoding it alone ended its worker, after {ALONE_FROM - 1} with others",
                              "encode")  # fmt: skip
        self._write(trying=segment.segment_id)
        [result] = encoder.encode([segment])
        return result

    def _write(self, *, trying: int | None) -> None:
        content = {"run_id": self._run_id, "attempts": self.attempts, "killers": self.killers, "trying": trying}
        storage.write_bytes(self._uri, json.dumps(content).encode())


def _read(uri: str, run_id: str) -> dict[str, Any]:
    """What an earlier attempt of this run left; nothing of any other run."""
    if not storage.exists(uri):
        return {}
    found: dict[str, Any] = json.loads(storage.read_bytes(uri))
    return found if found["run_id"] == run_id else {}
