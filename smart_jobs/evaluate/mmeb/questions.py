"""The rows of video question answering; how question and options are put is the profile's (`choices`)."""

from collections.abc import Iterator

from smart_jobs.evaluate.mmeb.rows import Choice, Parsed, Shown
from smart_jobs.evaluate.mmeb.source import Source
from smart_jobs.evaluate.tables import Row

LETTERS = "ABCD"
YES_OR_NO = ("yes", "no")


def videomme(source: Source) -> Parsed:
    """The answer is a letter."""

    def choice(row: Row) -> Choice:
        answer, options = row.text("answer"), row.texts("options")
        if len(answer) != 1 or not 0 <= LETTERS.find(answer) < len(options):
            raise row.wrong("answer", f"one of {', '.join(LETTERS[: len(options)])}")
        return Choice(Shown("video", row.text("videoID")), row.text("question"), options, LETTERS.index(answer))

    return Parsed(map(choice, source.rows(("videoID", "question", "options", "answer"))))


def egoschema(source: Source) -> Parsed:
    """The answer is a place, as a number or a string."""

    def choice(row: Row) -> Choice:
        options = row.texts("option")
        return Choice(Shown("video", row.text("video_idx")), row.text("question"), options, _place(row, len(options)))

    return Parsed(map(choice, source.rows(("video_idx", "question", "option", "answer"))))


def nextqa(source: Source) -> Parsed:
    """The answer is a place, and each option a column."""
    columns = [f"a{i}" for i in range(5)]

    def choice(row: Row) -> Choice:
        options = [row.text(column) for column in columns]
        return Choice(Shown("video", row.text("video")), row.text("question"), options, _place(row, len(options)))

    return Parsed(map(choice, source.rows(("video", "question", "answer", *columns))))


def mvbench(source: Source) -> Parsed:
    """Twenty sets one after another, each with its own folder of videos; the answer is what it says."""
    return Parsed(choice for subset in source.record.config for choice in _subset(source, subset))


def _subset(source: Source, subset: str) -> Iterator[Choice]:
    parts = source.annotations.parts
    shared = len(parts) > 1 and len(set(parts.values())) == 1
    for row in source.part(subset, ("subset", "video", "question", "candidates", "answer")):
        if not shared or row.text("subset") == subset:
            video = Shown("video", f"{subset}/{row.text('video')}")
            yield Choice(video, row.text("question"), row.texts("candidates"), row.text("answer"))


def activitynetqa(source: Source) -> Parsed:
    """The answer is yes or no."""

    def choice(row: Row) -> Choice:
        answer, video = row.text("answer"), f"v_{row.text('video_name')}"
        if answer not in YES_OR_NO:
            raise row.wrong("answer", "yes or no")
        return Choice(Shown("video", video), row.text("question"), YES_OR_NO, answer)

    return Parsed(map(choice, source.rows(("video_name", "question", "answer"))))


def _place(row: Row, options: int) -> int:
    if not 0 <= (place := row.whole("answer")) < options:
        raise row.wrong("answer", f"a place among {options} options")
    return place
