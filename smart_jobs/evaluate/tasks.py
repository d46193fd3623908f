"""A benchmark as data: a suite's tasks, each with its queries, candidates, relevance and protocol."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

from smart_jobs.records import Asset, Attached, Side, text_digest

Name = str | int
"""What a task calls a candidate. Whole numbers stay numbers: a reference measure depends on how sets order them."""

SOURCE = "evaluation"


@dataclass(frozen=True, slots=True)
class Item:
    """What gets one embedding: its files, in the order in which a model gets them, and text, under an instruction.

    Consecutive files of medium `frame` are the frames of one video. The title goes before the text, which goes in as it
    stands, be it blank. No instruction: the encoder's own. `size` is what the files have in bytes.
    """

    text: str = ""
    title: str = ""
    instruction: str = ""
    files: tuple[Attached, ...] = ()
    size: int = 0

    def asset(self, side: Side, root: str) -> Asset:
        """It as an asset whose URI is the digest of its content, instruction and side: encoded once for all tasks.

        Files count by their names beneath `root`, the suite's folder: a benchmark that was moved is the same. What is
        in them is told by the asset's version once they are read, and equal content has equal versions.
        """
        size = len(self.text.encode()) + self.size
        made = Asset("", SOURCE, "", "row", size, title=self.title, text=self.text, side=side,
                     instruction=self.instruction, files=self.files, verbatim=True)  # fmt: skip
        said = text_digest(made.words, self.instruction, side)
        names = [part for file in self.files for part in (file.media, file.uri.removeprefix(root))]
        uri, stamp = said, said
        if self.files:
            uri = text_digest(said, *names)
            stamp = f"{said}+{text_digest(*names, *(file.stamp for file in self.files))}"
        return replace(made, uri=f"eval:{uri}", stamp=stamp)


@dataclass(frozen=True, slots=True)
class Query:
    """A question. `relevant` are candidates to grades above 0, in the source's order; none: nothing can be found.

    `candidates`: where a task ranks each query's own candidates, their names in order, with repetitions; else None.
    """

    name: str
    item: Item
    relevant: Mapping[Name, float]
    candidates: tuple[Name, ...] | None = None


@dataclass(frozen=True, slots=True)
class Task:
    """One dataset of a suite. `candidates` by name, in the order that the suite's protocol gives its pool.

    No candidates: they are the pages of a lake. `measures` says whose definitions hold, `primary` which measure counts;
    `graded` whether grades differ in meaning, or are all the same. `category` and `modality` are what means are made
    over. `expected` are the counts of queries and candidates (of the whole pool) that the suite's authors state.
    `published` are others' scores of the primary measure, fractions by name.
    """

    name: str
    queries: Sequence[Query]
    candidates: Mapping[Name, Item]
    measures: Literal["trec", "mmeb"] = "trec"
    primary: str = "ndcg@10"
    graded: bool = True
    category: str = ""
    modality: str = ""
    expected: Mapping[Literal["queries", "candidates"], int] = field(default_factory=dict)
    published: Mapping[str, float] = field(default_factory=dict)

    @property
    def local(self) -> bool:
        """Whether each query ranks its own candidates only."""
        return any(query.candidates is not None for query in self.queries)


class Suite(Protocol):
    """A benchmark on a disk or in a store."""

    @property
    def name(self) -> str:
        """What a config calls its kind."""
        ...

    @property
    def root(self) -> str:
        """Its folder; what names of files are beneath."""
        ...

    def tasks(self) -> Sequence[str]:
        """The names of its tasks, in its own order. Raises UsageError for one asked for that it has not."""
        ...

    def load(self, task: str) -> Task:
        """One task, read now. Raises UsageError, in one line, for what is missing or malformed."""
        ...
