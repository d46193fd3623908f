"""Segments with pictures and clips, encoders of tiny checkpoints, and the comparison with a plain forward of one."""

import numpy as np
import tiny_vl
import torch

from smart_jobs import masks
from smart_jobs.encode import checkpoint, encoder
from smart_jobs.keys import Cut
from smart_jobs.records import Segment, Visual

PROMPT = "Represent the user's input."


def segment(text="", visuals=(), side="document", instruction=""):
    return Segment(1, "a", "u", "s", "v", "image", 0, 1, None, "", text, side, instruction, {}, visuals=tuple(visuals))


def picture(height=64, width=96, seed=0):
    """An image of noise over a gradient: no two patches are alike."""
    return Visual("image", _pixels(1, height, width, seed))


def clip(frames=4, height=64, width=64, seed=0, fps=1.5):
    """A video whose frames stand at odd seconds."""
    return Visual("video", _pixels(frames, height, width, seed), tuple(0.25 + i / fps for i in range(frames)))


def _pixels(frames, height, width, seed):
    noise = np.random.RandomState(seed).randint(0, 128, (frames, height, width, 3))
    slope = np.linspace(0, 127, width)[None, None, :, None]
    return np.ascontiguousarray(noise + slope).astype(np.uint8)


def loaded(folder, family, batch_tokens=4096, cut=None, changed=None, **given):
    """The tiny encoder, as `encoder.load` gives it; `changed` fields of its spec."""
    spec, found = checkpoint.resolve(tiny_vl.encoder(folder, family, **given), cut or Cut())
    return encoder.load(spec.model_copy(update=changed or {}), found, threads=1, batch_tokens=batch_tokens)


def special_ids(tokenizer):
    """As SMART's evaluators gather them: all special ids and five names, less the two pads."""
    names = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>"]
    ids = set(tokenizer.all_special_ids) | set(tokenizer.convert_tokens_to_ids(names))
    return ids - set(tokenizer.convert_tokens_to_ids(["<|image_pad|>", "<|video_pad|>"]))


def unit(vector):
    return vector / np.linalg.norm(vector)


def same(results, wanted, atol=1e-5):
    """Each result against (pooled of any length, kept states)."""
    assert len(results) == len(wanted)
    for result, (pooled, states) in zip(results, wanted, strict=True):
        np.testing.assert_allclose(result.pooled, unit(np.asarray(pooled)), atol=atol)
        np.testing.assert_allclose(result.states, np.asarray(states), atol=atol)


def kinds_of(prompt):
    """A prompt's kinds as a string, one letter a token: Special, tEmplate, iNstruction, Text, Image, Video, tiMe."""
    return "".join("SENTIVM"[kind] for kind in prompt.kinds)


def differ(results, others, least=1e-3):
    """No two of them are near each other: what is left out here would have shown."""
    for ours, theirs in zip(results, others, strict=True):
        assert np.abs(ours.pooled - theirs.pooled).max() > least


def kept(kinds, mask):
    return masks.keep(np.asarray(kinds), mask)


@torch.inference_mode()
def rows(tensor):
    return tensor[0].float().numpy()
