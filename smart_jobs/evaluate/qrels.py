"""The rows of a qrels table -> which candidates are relevant to a query, and to which degree."""

from collections.abc import Iterable, Mapping
from typing import Any

from smart_jobs.evaluate.tables import Row
from smart_jobs.evaluate.tasks import Name

COLUMNS = ("query-id", "corpus-id", "score")


def grades(rows: Iterable[Row]) -> Mapping[Any, Mapping[Name, float]]:
    """Candidates to grades above 0 by query, in the order in which they appear first; of several the highest.

    Raises UsageError for a score that is no number.
    """
    found: dict[Any, dict[Name, float]] = {}
    for row in rows:
        grade = row.number("score")
        if grade > 0:
            judged = found.setdefault(row["query-id"], {})
            judged[row["corpus-id"]] = max(judged.get(row["corpus-id"], 0), grade)
    return found
