"""SigLIP: an image or a text, each through its own tower.

Pooled is the model's own. States live in the same space. A text's tokens go through the head that its last token goes
through. An image is pooled by a head that attends to its patches with a learned query: the values it sums are linear in
the patches, so a patch's state is what the head gives where all its attention lies on that patch. Texts are padded to
the length that the model was trained at, and the padding is attended to, as it was there.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
import transformers

from smart_jobs.encode import batched, patches, prompts, squares, visuals
from smart_jobs.encode.prompts import Prompt
from smart_jobs.encode.spec import EncoderSpec
from smart_jobs.encode.tokens import Tokenizer
from smart_jobs.records import Segment


class SigLIP:
    """The model in evaluation mode."""

    def __init__(self, spec: EncoderSpec, folder: Path) -> None:
        """Load the weights of `folder` in the spec's dtype."""
        self.spec = spec
        self._tokenizer = Tokenizer(spec, folder)
        self._model = batched.pretrained(folder, spec.dtype, transformers.SiglipModel)
        self._statistics = patches.statistics(folder)
        vision = self._model.config.vision_config
        self._side = squares.side(spec, vision.image_size, vision.patch_size)
        self._end = self._tokenizer.id_of("</s>")

    def prompt(self, segment: Segment) -> Prompt:
        """The text or the image. Raises AssetError `unsupported` for a video, several images, or text beside one."""
        visuals.check(segment, self.spec.name, videos=False, images=1, mixed=False)
        if segment.visuals:
            return squares.prompt(segment, self._side)
        made = prompts.text(self._tokenizer, self.spec.prompt(segment.side, segment.instruction), segment.text)
        missing = self._model.config.text_config.max_position_embeddings - len(made.ids)
        return prompts.appended(made, self._end, missing)

    def forward(self, batch: Sequence[Prompt]) -> tuple[torch.Tensor, torch.Tensor]:
        """One pass of each tower."""
        return squares.towers(batch, self._images, self._texts)

    def _images(self, batch: Sequence[Prompt]) -> tuple[torch.Tensor, torch.Tensor]:
        pixels = squares.images(batch, self._statistics, self._model.device)
        output = self._model.vision_model(pixels)
        head = self._model.vision_model.head
        *_, weight = head.attention.in_proj_weight.chunk(3)
        *_, bias = head.attention.in_proj_bias.chunk(3)
        seen = head.attention.out_proj(torch.nn.functional.linear(output.last_hidden_state, weight, bias))
        return output.pooler_output, seen + head.mlp(head.layernorm(seen))

    def _texts(self, batch: Sequence[Prompt]) -> tuple[torch.Tensor, torch.Tensor]:
        ids = batched.stack([row.ids for row in batch], self._end)
        output = self._model.text_model(ids.to(self._model.device))
        return output.pooler_output, self._model.text_model.head(output.last_hidden_state)
