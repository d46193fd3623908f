"""Small benchmarks: one in BEIR's layout, with one right answer to each query, and tasks that lie in memory."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from smart_jobs.evaluate.tasks import Task


def write_suite(folder: Path) -> Path:
    """Five queries over five documents, each about something of its own."""
    subjects = ["rivers", "bridges", "engines", "gardens", "harbours"]
    (folder / "qrels").mkdir(parents=True)
    for name, text in (("queries", "about {}"), ("corpus", "A text about {0}, and {0} only.")):
        lines = [json.dumps({"_id": subject, "text": text.format(subject)}) for subject in subjects]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    judged = "".join(f"{name}\t{name}\t1\n" for name in subjects)
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + judged)
    return folder


@dataclass(frozen=True)
class Made:
    """A suite of tasks that lie in memory; `loaded` notes each task that is read."""

    made: Mapping[str, Task]
    name: str = "made"
    root: str = ""
    loaded: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, *tasks: Task, root: str = "") -> "Made":
        """Of these."""
        return cls({task.name: task for task in tasks}, root=root)

    def tasks(self) -> Sequence[str]:
        """In their order."""
        return tuple(self.made)

    def load(self, task: str) -> Task:
        """As it was made."""
        self.loaded.append(task)
        return self.made[task]
