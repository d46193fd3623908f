"""Which suite a config names."""

from collections.abc import Sequence

from smart_jobs import storage
from smart_jobs.evaluate import tasks
from smart_jobs.evaluate.beir import Beir
from smart_jobs.evaluate.completeness import Expected
from smart_jobs.evaluate.folders import Folders
from smart_jobs.evaluate.mmeb import suite
from smart_jobs.evaluate.pairs import Pairs
from smart_jobs.keys import Family, Suite


def opened(keys: Suite, family: Family) -> tasks.Suite:
    """The suite, for an encoder of this family. Raises UsageError for tasks that it cannot have."""
    root = storage.absolute(keys.path)
    if keys.name == "mmeb_v2":
        return suite.opened(keys, family)
    if keys.name == "folders":
        return Folders(root, keys.split, keys.tasks)
    if keys.name == "pairs":
        return Pairs(root, keys.tasks)
    return Beir(root, keys.split, keys.candidates == "lake", keys.tasks)


def promised(of: tasks.Suite) -> Sequence[Expected]:
    """Every task that the whole suite has, whichever are asked for; none where its authors state nothing."""
    return of.promised() if isinstance(of, suite.MMEB) else ()
