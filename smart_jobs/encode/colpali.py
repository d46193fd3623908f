"""ColPali: every token's state through a projection, as a unit vector; texts and images apart.

As its processor lays them out: an image's tokens come first, then "Describe the image."; a text stands after
"Question: ", whatever instruction a segment brings, and before ten padding tokens, which the model was trained to write
into. All tokens attend to all, and all are kept, special ones too. There is no pooled vector of its own: the states'
mean stands in.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
import transformers

from smart_jobs import masks
from smart_jobs.encode import batched, patches, prompts, squares, visuals
from smart_jobs.encode.prompts import Piece, Prompt
from smart_jobs.encode.spec import EncoderSpec
from smart_jobs.encode.tokens import Tokenizer
from smart_jobs.records import Segment

BEGIN, IMAGE, FILLER = "<bos>", "<image>", "<pad>"
ASKED, PREFIX, SUFFIX = "Describe the image.", "Question: ", FILLER * 10


class ColPali:
    """The model in evaluation mode."""

    def __init__(self, spec: EncoderSpec, folder: Path) -> None:
        """Load the weights of `folder` in the spec's dtype."""
        self.spec = spec
        self._tokenizer = Tokenizer(spec, folder)
        self._model = batched.pretrained(folder, spec.dtype, transformers.ColPaliForRetrieval)
        self._statistics = patches.statistics(folder)
        vision = self._model.config.vlm_config.vision_config
        self._side = squares.side(spec, vision.image_size, vision.patch_size)
        self._tail = len(self._tokenizer.spans(SUFFIX + "\n")[0])

    def prompt(self, segment: Segment) -> Prompt:
        """The text or the image. Raises AssetError `unsupported` for a video, several images, or text beside one."""
        visuals.check(segment, self.spec.name, videos=False, images=1, mixed=False)
        if segment.visuals:
            pieces: list[Piece] = [(IMAGE, masks.IMAGE), (BEGIN, masks.TEMPLATE), (ASKED, masks.INSTRUCTION)]
            made = prompts.build(self._tokenizer, [*pieces, ("\n", masks.TEMPLATE)], [self._side**2], ())
            return replace(made, visuals=segment.visuals, grids=((1, self._side, self._side),))
        before = self.spec.prompts.get(segment.side, PREFIX)
        plain = self._tokenizer.plain
        pieces = [(BEGIN, masks.TEMPLATE), (plain(before), masks.INSTRUCTION), (plain(segment.text), masks.TEXT)]
        made = prompts.build(self._tokenizer, [*pieces, (SUFFIX + "\n", masks.TEMPLATE)], [], ())
        return visuals.cut(made, self.spec.max_length, self._tail)

    def forward(self, batch: Sequence[Prompt]) -> tuple[None, torch.Tensor]:
        """One pass, padded on the right. States are unit vectors of the projection's size."""
        ids = batched.stack([row.ids for row in batch], self._tokenizer.id_of(FILLER)).to(self._model.device)
        attended = batched.attended(batch).to(self._model.device)
        states = self._model(
            input_ids=ids,
            attention_mask=attended.long(),
            pixel_values=squares.images(batch, self._statistics, self._model.device),
            token_type_ids=torch.zeros_like(ids),  # all of it a prefix: without them, attention would be causal
        ).embeddings
        return None, states
