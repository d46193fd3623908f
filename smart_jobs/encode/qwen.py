"""What the families on Qwen's vision-language models share: their tokens' names, prompts, passes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from smart_jobs import masks
from smart_jobs.encode import batched, prompts, visuals
from smart_jobs.encode.patches import Patching
from smart_jobs.encode.prompts import Piece, Prompt
from smart_jobs.encode.spec import EncoderSpec
from smart_jobs.encode.tokens import Tokenizer
from smart_jobs.records import Segment, Visual

IMAGE, VIDEO, END = "<|image_pad|>", "<|video_pad|>", "<|endoftext|>"
START: Piece = ("<|vision_start|>", masks.TEMPLATE)
STOP: Piece = ("<|vision_end|>", masks.TEMPLATE)
MARKS = (END, "<|im_start|>", "<|im_end|>", START[0], STOP[0])
"""What the reference's mask leaves out beside the tokenizer's own special tokens."""


@dataclass(frozen=True, slots=True)
class Backbone:
    """A checkpoint in use. `special` ids are no states; `end` is the id of `<|endoftext|>`, which pads too."""

    model: Any
    tokenizer: Tokenizer
    patching: Patching
    special: frozenset[int]
    end: int
    device: torch.device


def load(spec: EncoderSpec, folder: Path) -> Backbone:
    """The weights of `folder` in the spec's dtype. Raises JobError where the tokenizer lacks one of Qwen's tokens."""
    tokenizer = Tokenizer(spec, folder)
    model = batched.pretrained(folder, spec.dtype)
    marks = {tokenizer.id_of(mark) for mark in MARKS}
    special = (tokenizer.special_ids | marks) - {tokenizer.id_of(IMAGE), tokenizer.id_of(VIDEO)}
    patching = Patching.of(folder, model.config.vision_config)
    return Backbone(model, tokenizer, patching, frozenset(special), tokenizer.id_of(END), batched.device())


def ordered(segment: Segment) -> list[Visual]:
    """The segment's visuals as Qwen's templates want them: videos before images."""
    return sorted(segment.visuals, key=lambda visual: visual.kind != "video")


def prompt(backbone: Backbone, pieces: Sequence[Piece], shown: tuple[Visual, ...], *, grouped: bool = False) -> Prompt:
    """The prompt of the pieces. `grouped`: a video has a placeholder for each group of frames, not one for all."""
    grids = visuals.grids(shown, backbone.patching)
    counts = [
        count
        for visual, (t, h, w) in zip(shown, grids, strict=True)
        for count in ([h * w] * t if grouped and visual.kind == "video" else [t * h * w])
    ]
    made = prompts.build(backbone.tokenizer, pieces, counts, backbone.special)
    return replace(made, visuals=shown, grids=grids)


def chat(backbone: Backbone, instruction: str, user: Sequence[Piece]) -> list[Piece]:
    """The instruction as the system's turn, the user's, and the beginning of the assistant's."""
    return [
        ("<|im_start|>system\n", masks.TEMPLATE),
        (backbone.tokenizer.plain(instruction), masks.INSTRUCTION),
        ("<|im_end|>\n<|im_start|>user\n", masks.TEMPLATE),
        *user,
        ("<|im_end|>\n<|im_start|>assistant\n", masks.TEMPLATE),
    ]


def marked(visual: Visual) -> list[Piece]:
    """A visual's placeholder between the marks of vision."""
    return [START, (VIDEO, masks.VIDEO) if visual.kind == "video" else (IMAGE, masks.IMAGE), STOP]


def native(backbone: Backbone, batch: Sequence[Prompt]) -> tuple[torch.Tensor, torch.Tensor]:
    """A pass as the model does it itself: positions in three dimensions, DeepStack where it has it.

    States (b, t, d) behind the final norm, and (b, t) bool: what is no padding.
    """
    ids, kinds, attended = _inputs(backbone, batch)
    images, image_grids = visuals.patches(batch, "image", backbone.patching, backbone.device)
    videos, video_grids = visuals.patches(batch, "video", backbone.patching, backbone.device)
    output = backbone.model(
        input_ids=ids,
        attention_mask=attended.long(),
        pixel_values=images,
        image_grid_thw=image_grids,
        pixel_values_videos=videos,
        video_grid_thw=video_grids,
        mm_token_type_ids=(kinds == masks.IMAGE).int() + 2 * (kinds == masks.VIDEO).int(),
    )
    return output.last_hidden_state, attended


def sequential(backbone: Backbone, batch: Sequence[Prompt]) -> tuple[torch.Tensor, torch.Tensor]:
    """A pass from embeddings that visuals were put into: positions count tokens, and there is no DeepStack.

    Positions are given explicitly: from embeddings alone transformers would add what an earlier pass left behind.
    """
    ids, kinds, attended = _inputs(backbone, batch)
    embedded = backbone.model.get_input_embeddings()(ids)
    features = ("image", masks.IMAGE, "get_image_features"), ("video", masks.VIDEO, "get_video_features")
    for name, kind, method in features:
        pixels, grids = visuals.patches(batch, name, backbone.patching, backbone.device)
        if pixels is not None:
            found = torch.cat(getattr(backbone.model, method)(pixels, grids).pooler_output)
            embedded = embedded.masked_scatter((kinds == kind).unsqueeze(-1), found.to(embedded.dtype))
    positions = torch.arange(ids.shape[1], device=backbone.device).expand(ids.shape)
    output = backbone.model.language_model(
        inputs_embeds=embedded, attention_mask=attended.long(), position_ids=positions
    )
    return output.last_hidden_state, attended


def _inputs(backbone: Backbone, batch: Sequence[Prompt]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Ids and kinds (b, t), padded on the right, and what is no padding."""
    ids = batched.stack([row.ids for row in batch], backbone.end).to(backbone.device)
    kinds = batched.stack([row.kinds for row in batch], masks.SPECIAL).to(backbone.device)
    return ids, kinds, batched.attended(batch).to(backbone.device)
