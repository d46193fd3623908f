"""Text -> token ids, and long text -> passages that fit the encoder's window. Needs no torch."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import tokenizers

from smart_jobs.encode.spec import EncoderSpec
from smart_jobs.records import JobError

Split = Callable[[str, str, str], list[str]]
"""Cuts a text into passages, given its side and instruction."""


class Tokenizer:
    """A checkpoint's tokenizer, with the spec's maximum length."""

    def __init__(self, spec: EncoderSpec, folder: Path) -> None:
        """Reads tokenizer.json; a checkpoint that has only a vocabulary goes through transformers' converters."""
        self._tokens = _load(folder)
        self._tokens.no_padding()
        self._tokens.no_truncation()
        self._spec = spec
        self._added = self._tokens.num_special_tokens_to_add(is_pair=False)
        self.special_ids = _special_ids(self._tokens, folder)
        added = self._tokens.get_added_tokens_decoder()
        self._special_names = tuple(token.content for i, token in added.items() if i in self.special_ids)
        self.pad_id = self._pad_id(folder)

    def _pad_id(self, folder: Path) -> int:
        config = json.loads((folder / "config.json").read_text())
        return int(config.get("pad_token_id") or 0)

    def framed(self, text: str) -> tuple[np.ndarray, list[tuple[int, int]]]:
        """(t,) int64 ids with the special tokens around them, and the characters (start, end) of `text` of each.

        Cut to the maximum length before the special tokens are added.
        """
        self._tokens.enable_truncation(self._spec.max_length)
        try:
            encoding = self._tokens.encode(text)
        finally:
            self._tokens.no_truncation()
        return np.array(encoding.ids, np.int64), encoding.offsets

    def spans(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        """The ids of a text that spells out its special tokens, and the characters (start, end) of each."""
        return self._content(text)

    def plain(self, text: str, *others: str) -> str:
        """`text` with the names of special tokens, and `others`, taken apart: quoting one, it cannot end its turn."""
        for name in (*self._special_names, *others):
            text = text.replace(name, f"{name[0]} {name[1:]}")
        return text

    def id_of(self, token: str) -> int:
        """The id of a token by its name. Raises JobError where the vocabulary lacks it."""
        found = self._tokens.token_to_id(token)
        if found is None:
            raise JobError(f"encoder {self._spec.name}: the checkpoint's tokenizer has no token {token}")
        return int(found)

    def split(self, text: str, prompt: str = "") -> list[str]:
        """Passages of `text`, cut between words into as few as fit behind `prompt`, of nearly equal length.

        Their concatenation is `text` but for white space at the cuts. A single word longer than the window is cut
        inside. At least one passage comes back, `text` itself where it fits.
        """
        window = max(1, self._spec.max_length - self._added - len(self._content(prompt)[0]))
        ids, offsets = self._content(text)
        if len(ids) <= window:
            return [text]
        passages: list[str] = []
        start = 0
        while start < len(ids):
            left = len(ids) - start
            want = -(-left // -(-left // window))
            end = self._word_boundary(text, offsets, start, min(start + want, len(ids)), window)
            first = offsets[start][0] if passages else 0
            passage = self._passage(text, offsets, first, end)
            while end > start + 1 and len(self._content(passage)[0]) > window:  # a cut can change the tokens beside it
                end = self._word_boundary(text, offsets, start, end - 1, end - 1 - start)
                passage = self._passage(text, offsets, first, end)
            passages.append(passage)
            start = end
        return [passage for passage in passages if passage] or [text]

    @staticmethod
    def _passage(text: str, offsets: list[tuple[int, int]], first: int, end: int) -> str:
        """From the character `first` to where the token `end` begins, or to the end of `text`."""
        return text[first : offsets[end][0] if end < len(offsets) else len(text)].strip()

    def _content(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        encoding = self._tokens.encode(text, add_special_tokens=False)
        return encoding.ids, encoding.offsets

    @staticmethod
    def _word_boundary(text: str, offsets: list[tuple[int, int]], start: int, end: int, window: int) -> int:
        """The token nearest to `end` that begins a word, later if the window allows it, else earlier."""
        if end >= len(offsets):
            return end

        def begins_word(token: int) -> bool:
            at = offsets[token][0]
            return at == 0 or text[at - 1].isspace() or text[at : at + 1].isspace()  # some count the space in

        later = range(end, min(start + window, len(offsets) - 1) + 1)
        earlier = range(end - 1, start, -1)
        return next((token for candidates in (later, earlier) for token in candidates if begins_word(token)), end)


def splitter(spec: EncoderSpec, folder: Path) -> Split:
    """How this encoder's texts are cut into passages that fit its window behind their prompt."""
    tokenizer = Tokenizer(spec, folder)
    return lambda text, side, instruction: tokenizer.split(text, spec.prompt(side, instruction))


def _load(folder: Path) -> tokenizers.Tokenizer:
    if (folder / "tokenizer.json").is_file():
        return tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    from transformers import AutoTokenizer  # late: it brings torch along

    return cast("tokenizers.Tokenizer", AutoTokenizer.from_pretrained(folder).backend_tokenizer)


def _special_ids(tokens: tokenizers.Tokenizer, folder: Path) -> frozenset[int]:
    """The ids that the checkpoint declares special, as transformers' `all_special_ids`."""
    named = {token.content for token in tokens.get_added_tokens_decoder().values() if token.special}
    path = folder / "special_tokens_map.json"
    for value in (json.loads(path.read_text()) if path.is_file() else {}).values():
        for item in value if isinstance(value, list) else [value]:
            named.add(item["content"] if isinstance(item, dict) else item)
    return frozenset(i for i in map(tokens.token_to_id, named) if i is not None)
