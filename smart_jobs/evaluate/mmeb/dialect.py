"""How an evaluator words what it shows to a model: what a profile has to say."""

from dataclasses import dataclass
from typing import Protocol

from smart_jobs.evaluate.mmeb.definition import Record
from smart_jobs.evaluate.mmeb.rows import Said
from smart_jobs.keys import Profile

LEGACY = "<|image_1|>"
"""What the annotations have where an image belongs."""


@dataclass(frozen=True, slots=True)
class Wording:
    """What an encoder puts into its prompt: the instruction, and the text behind it."""

    instruction: str
    text: str


@dataclass(frozen=True, slots=True)
class Options:
    """How questions with options differ.

    `before`: what stands between EgoSchema's question and its options. `lettered`: NExTQA's candidates are called
    "(A) …". `unmarked_whole`: an option of Video-MME without ". " is taken whole, else its last character.
    """

    before: str
    lettered: bool
    unmarked_whole: bool


class Dialect(Protocol):
    """A profile."""

    name: Profile
    options: Options

    def query(self, record: Record, said: Said) -> Wording:
        """The words of a query."""
        ...

    def candidate(self, record: Record, said: Said, *, captioned: bool) -> Wording:
        """The words of a candidate; `captioned`: the first of its row has a text."""
        ...
