"""CLIP: an image or a text, each through its own tower and projection.

Pooled is the model's own image or text embedding. States live in the same space: the final states of an image's patches
go through the norm and the projection that its class token goes through, the final states of a text's tokens through
the projection that its end token goes through. CLIP trains the pooled token alone, so these states were never aligned
with the other side: take their scores as an experiment.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
import transformers

from smart_jobs import masks
from smart_jobs.encode import batched, patches, prompts, squares, visuals
from smart_jobs.encode.prompts import Prompt
from smart_jobs.encode.spec import EncoderSpec
from smart_jobs.encode.tokens import Tokenizer
from smart_jobs.records import Segment


class CLIP:
    """The model in evaluation mode."""

    def __init__(self, spec: EncoderSpec, folder: Path) -> None:
        """Load the weights of `folder` in the spec's dtype."""
        self.spec = spec
        self._tokenizer = Tokenizer(spec, folder)
        self._model = batched.pretrained(folder, spec.dtype, transformers.CLIPModel)
        self._statistics = patches.statistics(folder)
        vision = self._model.config.vision_config
        self._side = squares.side(spec, vision.image_size, vision.patch_size)

    def prompt(self, segment: Segment) -> Prompt:
        """The text or the image. Raises AssetError `unsupported` for a video, several images, or text beside one."""
        visuals.check(segment, self.spec.name, videos=False, images=1, mixed=False)
        if segment.visuals:
            return squares.prompt(segment, self._side, first=(masks.SPECIAL,))
        before = self.spec.prompt(segment.side, segment.instruction)
        return prompts.text(self._tokenizer, before, segment.text)

    def forward(self, batch: Sequence[Prompt]) -> tuple[torch.Tensor, torch.Tensor]:
        """One pass of each tower."""
        return squares.towers(batch, self._images, self._texts)

    def _images(self, batch: Sequence[Prompt]) -> tuple[torch.Tensor, torch.Tensor]:
        output = self._model.get_image_features(squares.images(batch, self._statistics, self._model.device))
        final = self._model.vision_model.post_layernorm(output.last_hidden_state)
        return output.pooler_output, self._model.visual_projection(final)

    def _texts(self, batch: Sequence[Prompt]) -> tuple[torch.Tensor, torch.Tensor]:
        ids = batched.stack([row.ids for row in batch], self._model.config.text_config.eos_token_id)
        attended = batched.attended(batch).long()
        output = self._model.get_text_features(ids.to(self._model.device), attended.to(self._model.device))
        return output.pooler_output, self._model.text_projection(output.last_hidden_state)
