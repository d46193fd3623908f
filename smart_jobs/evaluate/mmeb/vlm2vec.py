"""As VLM2Vec's evaluator words it: everything in one text, with an instruction on both sides.

What it writes is the image's placeholder, a space, instruction, a space, text; then every space before a line end goes,
and a line end comes behind. `encode/vlm2vec.py` writes the placeholder, and leaves its space out before a line end; the
rest is put together here, so that the whole is the same string.
"""

from smart_jobs.evaluate.mmeb.definition import Record
from smart_jobs.evaluate.mmeb.dialect import LEGACY, Options, Wording
from smart_jobs.evaluate.mmeb.rows import Said
from smart_jobs.keys import Profile

IMAGE = "<|image_pad|>"
"""What stands for an image in a text of Qwen2-VL; WebQA's and EDIS's queries have it without one."""


class VLM2Vec:
    """The profile for VLM2Vec."""

    name: Profile = "vlm2vec"
    options = Options(before="", lettered=False, unmarked_whole=False)

    def query(self, record: Record, said: Said) -> Wording:
        """Text alone is left as it is but for a line end behind it, two in VisDial."""
        if record.modality != "image":
            return Wording(record.instruction["vlm2vec"][said.shown.kind if said.shown else "text"], said.text)
        if record.parser == "image_t2i":
            ends = "\n\n" if record.key == "VisDial" else "\n"
            return Wording(said.instruction.replace(LEGACY, IMAGE), said.text + ends)
        instruction = said.instruction.replace(LEGACY, "")
        if record.parser in ("image_qa", "image_i2i_vg"):
            instruction = f"\n{instruction.strip()}"
        return _beside_image(instruction, said.text, "\n")

    def candidate(self, record: Record, said: Said, *, captioned: bool) -> Wording:
        """Text alone is raw. A caption comes along where the row's first candidate has one, be it blank itself."""
        if said.shown is None:
            return Wording("", said.text)
        if record.modality != "image":
            return Wording(record.target, "")
        instruction = said.instruction.replace(LEGACY, "")
        if captioned:
            return _beside_image(instruction, said.text, "\n") if said.text else Wording(_tidy(instruction), "\n")
        return _beside_image(instruction, "", "" if record.parser == "image_i2i_vg" else "\n")


def _beside_image(instruction: str, text: str, end: str) -> Wording:
    """Both without spaces before line ends; where the space between them is one of those, all is one instruction."""
    if text.startswith("\n"):
        return Wording(_tidy(f"{instruction} {text}") + end, "")
    return Wording(_tidy(instruction), _tidy(text) + end) if text else Wording(_tidy(instruction) + end, "")


def _tidy(text: str) -> str:
    return text.replace(" \n", "\n")
