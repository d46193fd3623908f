"""A question with options -> a pair: how the question is put, what the candidates are called and what they say."""

from collections.abc import Callable, Mapping, Sequence

from smart_jobs.evaluate.mmeb.definition import Parser
from smart_jobs.evaluate.mmeb.dialect import Options
from smart_jobs.evaluate.mmeb.rows import Choice, Pair, Said


def pair(parser: Parser, asked: Choice, options: Options) -> Pair:
    """The pair that one of the five video question parsers makes."""
    return PARSERS[parser](asked, options)


def _videomme(asked: Choice, options: Options) -> Pair:
    texts = [_cut(option, whole=options.unmarked_whole) for option in asked.options]
    return _pair(asked, "\n".join([asked.question, *asked.options]), asked.options, texts, _place(asked))


def _egoschema(asked: Choice, options: Options) -> Pair:
    texts = [_cut(option, whole=False) for option in asked.options]
    return _pair(asked, asked.question + options.before + " ".join(asked.options), asked.options, texts, _place(asked))


def _nextqa(asked: Choice, options: Options) -> Pair:
    names = _lettered(asked.options) if options.lettered else asked.options
    return _pair(asked, _listed(asked), names, names, names[int(asked.answer)])


def _mvbench(asked: Choice, _: Options) -> Pair:
    """The answer is told by what it says, the last that says so; one that no option says can never be found."""
    names = _lettered(asked.options)
    place = max((i for i, option in enumerate(asked.options) if option == asked.answer), default=-1)
    return _pair(asked, _listed(asked), names, names, f"({chr(ord('A') + place)}) {asked.answer}")


def _activitynetqa(asked: Choice, _: Options) -> Pair:
    text = f"{asked.question}? (A) yes; (B) no."
    return _pair(asked, text, asked.options, asked.options, str(asked.answer))


def _pair(asked: Choice, text: str, names: Sequence[str], texts: Sequence[str], right: str) -> Pair:
    candidates = [(name, Said(said)) for name, said in zip(names, texts, strict=True)]
    return Pair(Said(text, shown=asked.shown), candidates, {right: 1.0})


def _place(asked: Choice) -> str:
    return asked.options[int(asked.answer)]


def _listed(asked: Choice) -> str:
    return "\n".join([asked.question, "Options:", *_lettered(asked.options)]).rstrip()


def _lettered(options: Sequence[str]) -> list[str]:
    return [f"({chr(ord('A') + i)}) {option}" for i, option in enumerate(options)]


def _cut(option: str, *, whole: bool) -> str:
    """What is behind the first ". ", which ends the letter. Without it the reference keeps the last character only."""
    found = option.find(". ")
    return (option if whole and found < 0 else option[found:]).strip(". ")


PARSERS: Mapping[Parser, Callable[[Choice, Options], Pair]] = {
    "videomme": _videomme,
    "egoschema": _egoschema,
    "nextqa": _nextqa,
    "mvbench": _mvbench,
    "activitynetqa": _activitynetqa,
}
