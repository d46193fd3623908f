"""One task of a suite -> its segments in the lake -> scores -> rankings and measures."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from smart_jobs import progress
from smart_jobs.evaluate import scoring
from smart_jobs.evaluate.cuts import Pairs
from smart_jobs.evaluate.scoring import Matrices, Pool, Result
from smart_jobs.evaluate.tasks import Name, Task
from smart_jobs.evaluate.views import View
from smart_jobs.flow import candidates, suite_items
from smart_jobs.flow.candidates import Corpus
from smart_jobs.flow.score_parts import Scorer
from smart_jobs.flow.suite_items import Failures
from smart_jobs.index import build
from smart_jobs.lake import inventory
from smart_jobs.lake.inventory import Inventory, Located
from smart_jobs.lake.rows import Scanned
from smart_jobs.records import UsageError
from smart_jobs.search import ann, hybrid
from smart_jobs.search.hybrid import Weights
from smart_jobs.search.opened import Opened


@dataclass(frozen=True, slots=True)
class Ground:
    """What an evaluation scores from: `own` has the queries and the suite's candidates, `pages` a lake's, if they rank.

    `root` is the suite's folder.
    """

    root: str
    own: Inventory
    pages: Inventory | None

    @property
    def documents(self) -> Inventory:
        """What has the candidates."""
        return self.own if self.pages is None else self.pages


@dataclass(frozen=True, slots=True)
class Scored:
    """A task with the scores of all its pairs, under each view that was asked for."""

    task: Task
    pool: Pool
    found: Matrices
    failures: Failures
    seconds: float
    index: str | None
    """The folder of the lake's index, where that is what passed segments on."""


def scored(task: Task, ground: Ground, scorer: Scorer, views: Sequence[View], two_stage: int | None) -> Scored:
    """Score a task. With `two_stage` an index passes on that many segments; tasks that rank their own have none.

    Held are the task, its pooled and late scores, 4 bytes for each pair of query and segment, one for the pooled and
    one for each view, and for two stages the pooled vectors of all candidates. A task without an encoded query or
    candidate has no pairs: nothing is found.
    """
    start = time.monotonic()
    queries: dict[Name, str] = {query.name: query.item.asset("query", ground.root).id for query in task.queries}
    documents = {name: item.asset("document", ground.root).id for name, item in task.candidates.items()}
    corpus = _corpus(task, ground, documents)
    asked, located = _asked(task, ground.own, queries)
    rows = _rows(task, corpus.names)
    pool = Pool(corpus.names, corpus.group_of, corpus.columns, rows, asked, _pairs(corpus, rows, asked))
    found = scorer.score(located, corpus.located, pool.pairs, views)
    index = None
    if two_stage and rows is None and len(asked) and len(corpus.located.ids):
        passed, index = _passed(ground, corpus, located, two_stage)
        found = Matrices(found.pooled, found.late, passed)
    failures = suite_items.failures(ground.own, queries, documents)
    return Scored(task, pool, found, failures, time.monotonic() - start, index)


def _corpus(task: Task, ground: Ground, documents: Mapping[Name, str]) -> Corpus:
    """The task's own candidates, or the pages of the lake where it brings none."""
    if ground.pages is None:
        return candidates.of_assets(ground.own, list(documents), list(documents.values()))
    return candidates.of_lake(ground.pages, {name for query in task.queries for name in query.relevant})


def _asked(task: Task, own: Inventory, queries: Mapping[Name, str]) -> tuple[np.ndarray, Located]:
    """The numbers of the queries that have a segment, and the first segment of each."""
    ids = list(dict.fromkeys(queries.values()))
    at, owner = candidates.find(own, ids)
    first = own.rows["ordinal"].to_numpy()[at] == 0
    row_of = {ids[asset]: row for asset, row in zip(owner[first].tolist(), at[first].tolist(), strict=True)}
    rows = [(number, row_of[queries[query.name]]) for number, query in enumerate(task.queries)
            if queries[query.name] in row_of]  # fmt: skip
    numbers, places = np.array(rows, np.int64).reshape(-1, 2).T
    return numbers, own.located(places)


def _rows(task: Task, names: Sequence[Name]) -> list[np.ndarray] | None:
    """Each query's own candidates as numbers. Raises UsageError for one that the task has not."""
    if not task.local:
        return None
    numbers = {name: number for number, name in enumerate(names)}
    try:
        return [np.array([numbers[name] for name in query.candidates or ()], np.int64) for query in task.queries]
    except KeyError as error:
        raise UsageError(f"task {task.name}: a query ranks {error.args[0]!r}, which is no candidate of it") from error


def _pairs(corpus: Corpus, rows: Sequence[np.ndarray] | None, asked: np.ndarray) -> Pairs:
    if rows is None:
        return Pairs.all(len(asked), len(corpus.located.ids))
    order = np.argsort(corpus.group_of, kind="stable")
    groups = np.arange(int(corpus.columns.max(initial=-1)) + 2)
    starts = np.searchsorted(corpus.group_of[order], groups)
    return Pairs.some([_segments(corpus.columns[rows[query]], order, starts) for query in asked.tolist()])


def _segments(groups: np.ndarray, order: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """The places of the segments of some groups, sorted; group g has order[starts[g]:starts[g + 1]]."""
    parts = [order[starts[group] : starts[group + 1]] for group in np.unique(groups).tolist()]
    return np.sort(np.concatenate([np.empty(0, np.int64), *parts]))


def _passed(ground: Ground, corpus: Corpus, queries: Located, count: int) -> tuple[np.ndarray, str | None]:
    """(p,) bool: which pairs an index passes on, and its folder where it is the lake's and not one made for this."""
    ids, snapshot = corpus.located.ids, corpus.located.snapshot
    asked = inventory.vectors(queries.snapshot, queries.ids, queries.named())
    folder = None
    if ground.pages is not None:
        lake = Opened(snapshot, Scanned(snapshot))
        rows, folder = hybrid.stage_one(lake, asked, count, ids, filtered=False), lake.made[0]
    else:
        stored = inventory.vectors(snapshot, ids, corpus.located.named())
        plan = build.plan(len(ids), snapshot.tables.spec.dim)
        progress.say(f"evaluate: two-stage over {plan.factory}, nprobe {plan.nprobe}. {plan.why}")
        index = build.build(ids, stored, plan)
        rows, _ = ann.candidates(index, asked, min(count, len(ids)), plan.nprobe)
    return hybrid.candidate_mask(rows, ids).ravel(), folder


def results(found: Scored, weights: Weights, kind: str) -> list[Result]:
    """The rankings and measures of a scored task; `weights` and `kind` as in `scoring.results`."""
    return scoring.results(found.task, found.pool, found.found, weights, kind)
