"""As Qwen's evaluator words it: the query's instruction goes into the system's turn, a candidate has none."""

from smart_jobs.evaluate.mmeb.definition import Record
from smart_jobs.evaluate.mmeb.dialect import LEGACY, Options, Wording
from smart_jobs.evaluate.mmeb.rows import Said
from smart_jobs.keys import Profile


class Qwen:
    """The profile for Qwen3-VL-Embedding, and for every family but VLM2Vec.

    It is the encoder that strips instructions and ends them with a full stop.
    """

    name: Profile = "qwen"
    options = Options(before=" ", lettered=True, unmarked_whole=True)

    def query(self, record: Record, said: Said) -> Wording:
        """The text as it is."""
        if record.modality == "image":
            return Wording(said.instruction.replace(LEGACY, "").strip(), said.text)
        return Wording(record.instruction["qwen"][said.shown.kind if said.shown else "text"], said.text)

    def candidate(self, record: Record, said: Said, *, captioned: bool) -> Wording:
        """A caption beside an image: its own where there is one (image_t2i), or as the row's first has one."""
        if said.shown is None:
            return Wording("", said.text)
        if record.parser == "image_t2i":
            return Wording("", said.text.strip())
        return Wording("", said.text if captioned else "")
