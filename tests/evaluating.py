"""Evaluations in tests: made-up tasks, a job's config, and what every query finds by double loops in float64."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import scoring_making as making

from smart_jobs import config, schema, settings
from smart_jobs.encode import checkpoint, encoder
from smart_jobs.evaluate import metrics
from smart_jobs.evaluate.tasks import Item, Query, Task
from smart_jobs.lake import layout, table
from smart_jobs.records import Embedding, Segment, Side, Visual


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


SUBJECTS = ("rivers", "bridges", "engines", "gardens", "harbours", "silver", "winter", "music")


def texts(*subjects: str) -> dict[str | int, Item]:
    return {name: Item(f"A text about {name}, and {name} only.") for name in subjects}


POOL = {**texts(*SUBJECTS), "rivers again": texts("rivers")["rivers"], 7: Item("seven"), "nothing": Item(" ")}
EVERYTHING = Task(
    "everything",
    [
        Query("0", Item("about rivers"), {"rivers": 2.0, "harbours": 1.0, 7: 1.0}),
        Query("1", Item("where are bridges", instruction="Find the page."), {"bridges": 1.0, "gone": 1.0}),
        Query("2", Item("nobody knows"), {}),
        Query("3", Item("", title=""), {"music": 1.0}),
    ],
    POOL,
    expected={"queries": 4, "candidates": 11},
)
OWN = Task(
    "own",
    [
        Query("0", Item("about rivers"), {"winter": 1.0}, ("winter", "rivers", "silver", "rivers")),
        Query("1", Item("about silver"), {7: 1.0}, (7, "silver", "nothing")),
        Query("2", Item("about music"), {"music": 1.0}, ("music",)),
    ],
    POOL,
    category="QA",
    modality="text",
    primary="mrr@10",
    expected={"queries": 5},
)


def job(lake: Path, *words: str) -> settings.Evaluate:
    return config.load(settings.Evaluate, "evaluate", ["suite=beir", "suite.path=made", f"lake={lake}", *words])


def embeddings(made: settings.Evaluate, tasks: Sequence[Task]) -> dict[tuple[str, Item], Embedding]:
    """Every text alone through the model, blank ones too."""
    spec, folder = checkpoint.resolve(made.encoder, made)
    model = encoder.load(spec, folder, 1, 512)
    items = {("query", query.item) for task in tasks for query in task.queries}
    items |= {("document", item) for task in tasks for item in task.candidates.values()}
    return {(side, item): model.encode([segment(item, side)])[0] for side, item in items}


def segment(item: Item, side: Side, visuals: tuple[Visual, ...] = ()) -> Segment:
    """An item as its encoder gets it."""
    words = item.asset(side, "").words
    return Segment(1, "", "", "", "", "row", 0, 1, None, item.title, words, side, item.instruction, {}, visuals=visuals)


def by_hand(task: Task, found, scoring: str, mask=None, mask_query=None, codec="float32", weights=(1, 1)):
    """Of each query the (name, score) pairs, best first: by float32 scores, ties by the reference's hash."""
    ranked = {}
    for number, query in enumerate(task.queries):
        asked = found.get(("query", query.item))
        own = query.candidates if task.local else tuple(task.candidates)
        scores = []
        for name in own if asked else ():
            other = found.get(("document", task.candidates[name]))
            if other is None:
                continue
            pooled = making.pooled(asked, other)
            late = making.late(making.seen(asked, mask_query, "float32"), making.seen(other, mask, codec))
            score = {"pooled": pooled, "late": late, "hybrid": weights[0] * pooled + weights[1] * late}[scoring]
            scores.append((name, score))
        ties = dict(
            zip(task.candidates, metrics.tie_break(list(task.candidates), f"{task.name}:{number}"), strict=True)
        )
        ranked[query.name] = sorted(scores, key=lambda pair: (-round(pair[1], 6), ties[pair[0]]))
    return ranked


def ndcg(query: Query, names) -> float:
    gains = [query.relevant.get(name, 0) for name in names][:10]
    best = sorted(query.relevant.values(), reverse=True)[:10]
    return sum(g / math.log2(i + 2) for i, g in enumerate(gains)) / sum(
        g / math.log2(i + 2) for i, g in enumerate(best)
    )


def stored(lake: Path, run_id: str, kind: schema.Table) -> list[dict]:
    rows = table.dataset(table.open_table(layout.open_lake(str(lake)).table_uri(kind))).to_table().to_pylist()
    return [row for row in rows if row["run_id"] == run_id]


def assert_hits(rows, wanted, atol=1e-5):
    """The same candidates in the same order, but for those that are nearer to each other than rounding."""
    for row in rows:
        names, scores = zip(*wanted[row["query"]], strict=True) if wanted[row["query"]] else ((), ())
        np.testing.assert_allclose(row["scores"], scores, atol=atol)
        assert sorted(row["hits"]) == sorted(map(str, names))
        gaps = [a - b > 2 * atol for a, b in itertools.pairwise(scores)]
        for i, name in enumerate(names):
            if (i == 0 or gaps[i - 1]) and (i == len(names) - 1 or gaps[i]):
                assert row["hits"][i] == str(name)
