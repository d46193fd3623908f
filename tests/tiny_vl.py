"""Tiny random checkpoints of every family that reads images: real classes and files, forwards in milliseconds.

The language models have two layers of 32, the vision towers two or three; patch sizes and token names are real. The
tokenizer is a byte-level BPE with Qwen's pre-tokenizer, a handful of merges, and the special tokens behind them.
"""

import json
import zlib
from pathlib import Path

import numpy as np
import torch
import transformers
import yaml
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from smart_jobs.keys import Encoder, Family
from smart_jobs.sampling import Frames, Resize, Sampling

QWEN = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>",
    "<|image_pad|>", "<|video_pad|>",
)  # fmt: skip
PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
MERGES = ["Ġ t", "h e", "Ġt he", "s e", "se c", "o n", "on d", "u s", "us e", "use r", "Ċ Ċ", "i n", "Ġ in"]
CLIP_MEAN, CLIP_STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
HALF = [0.5, 0.5, 0.5]
TEXT = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 16384,
}  # fmt: skip
ROPE = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [2, 1, 1]}


def write(folder: Path, **files: object) -> None:
    """Each value as <key>.json."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))


def fill(model: torch.nn.Module, seed: int) -> torch.nn.Module:
    """Weights that depend on their names alone: what a release draws first and how wide is none of a test's business.

    Drawn so that every part tells: a position, a bias or a norm that is forgotten changes the output.
    """
    with torch.no_grad():
        for name, value in model.state_dict().items():
            drawn = np.random.RandomState((zlib.crc32(name.encode()) + seed) % 2**32).standard_normal(
                tuple(value.shape)
            )
            scale = np.prod(value.shape[1:]) ** -0.5 if value.dim() > 1 else 0.1
            offset = 1.0 if "norm" in name and name.endswith("weight") else 0.0
            value.copy_(torch.from_numpy(np.asarray(offset + scale * drawn)))
    return model.eval()


def bytes_tokenizer(folder: Path, special: tuple[str, ...] = QWEN, ordinary: tuple[str, ...] = ()) -> Tokenizer:
    """Qwen's tokenizer in small; where the post-processor of Qwen's embedders is wanted, add it with `ending`."""
    symbols = sorted(pre_tokenizers.ByteLevel.alphabet()) + [merge.replace(" ", "") for merge in MERGES]
    pairs = [tuple(merge.split(" ")) for merge in MERGES]
    made = Tokenizer(models.BPE({symbol: i for i, symbol in enumerate(symbols)}, pairs))
    made.normalizer = normalizers.NFC()
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERN), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in special])
    made.add_tokens([AddedToken(name, special=False, normalized=False) for name in ordinary])
    made.post_processor = processors.ByteLevel(trim_offsets=False)
    folder.mkdir(parents=True, exist_ok=True)
    made.save(str(folder / "tokenizer.json"))
    config = {"tokenizer_class": "Qwen2Tokenizer", "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>",
              "unk_token": None, "bos_token": None, "model_max_length": 16384, "add_prefix_space": False,
              "additional_special_tokens": list(special)}  # fmt: skip
    write(folder, tokenizer_config=config)
    return made


def ending(folder: Path, made: Tokenizer, token: str = "<|endoftext|>") -> None:
    """Let the tokenizer end every text with `token`, as Qwen3-VL-Embedding's and Qwen3-Embedding's do."""
    template = processors.TemplateProcessing(
        f"$A {token}", f"$A {token} $B {token}", [(token, made.token_to_id(token))]
    )
    made.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), template])
    made.save(str(folder / "tokenizer.json"))


def _pixels(kind: str, patch: int, mean: list[float], std: list[float], **given: object) -> dict[str, object]:
    return {"image_processor_type": kind, "patch_size": patch, "temporal_patch_size": 2, "merge_size": 2,
            "image_mean": mean, "image_std": std, "size": {"shortest_edge": 3136, "longest_edge": 1003520},
            "do_rescale": True, "do_normalize": True, "rescale_factor": 1 / 255, **given}  # fmt: skip


def _ids(made: Tokenizer) -> dict[str, int]:
    names = {"image_token_id": "<|image_pad|>", "video_token_id": "<|video_pad|>",
             "vision_start_token_id": "<|vision_start|>", "vision_end_token_id": "<|vision_end|>"}  # fmt: skip
    return {key: made.token_to_id(name) for key, name in names.items()}


def qwen3_vl(folder: Path, *, emb: bool = False, seed: int = 0) -> Path:
    """Qwen3-VL-Embedding; with `emb` LamRA's Qwen3-VL-Instruct with its added token instead."""
    made = bytes_tokenizer(folder, ordinary=("<emb>",) if emb else ())
    if not emb:
        ending(folder, made)
    vision = {"depth": 3, "hidden_size": 32, "intermediate_size": 48, "num_heads": 2, "out_hidden_size": 32,
              "patch_size": 16, "spatial_merge_size": 2, "temporal_patch_size": 2, "num_position_embeddings": 64,
              "deepstack_visual_indexes": [0, 1]}  # fmt: skip
    text = {**TEXT, "vocab_size": made.get_vocab_size(), "rope_parameters": {**ROPE, "mrope_interleaved": True}}
    config = transformers.Qwen3VLConfig(text_config=text, vision_config=vision, **_ids(made))
    fill(transformers.Qwen3VLForConditionalGeneration(config), seed).save_pretrained(folder)
    images = _pixels("Qwen2VLImageProcessorFast", 16, HALF, HALF, processor_class="Qwen3VLProcessor")
    videos = {**images, "video_processor_type": "Qwen3VLVideoProcessor"}
    del videos["image_processor_type"]
    write(folder, preprocessor_config=images, video_preprocessor_config=videos)
    return folder


def qwen2_vl(folder: Path, *, seed: int = 0) -> Path:
    """Qwen2-VL, as GME and VLM2Vec-V2 are."""
    made = bytes_tokenizer(folder)
    vision = {"depth": 2, "embed_dim": 32, "hidden_size": 32, "num_heads": 2, "mlp_ratio": 2, "patch_size": 14,
              "spatial_merge_size": 2, "temporal_patch_size": 2}  # fmt: skip
    text = {**TEXT, "vocab_size": made.get_vocab_size(), "rope_parameters": ROPE}
    config = transformers.Qwen2VLConfig(text_config=text, vision_config=vision, **_ids(made))
    fill(transformers.Qwen2VLForConditionalGeneration(config), seed).save_pretrained(folder)
    images = _pixels("Qwen2VLImageProcessor", 14, CLIP_MEAN, CLIP_STD, processor_class="Qwen2VLProcessor")
    videos = {**images, "video_processor_type": "Qwen2VLVideoProcessor"}
    del videos["image_processor_type"]
    write(folder, preprocessor_config=images, video_preprocessor_config=videos)
    return folder


def jina_v4(folder: Path, *, seed: int = 0, projected: int = 16) -> Path:
    """Qwen2.5-VL and the projector beside it, under the names that jina-embeddings-v4 gives them."""
    from safetensors.torch import load_file, save_file

    made = bytes_tokenizer(folder)
    vision = {"depth": 2, "hidden_size": 32, "intermediate_size": 48, "num_heads": 2, "out_hidden_size": 32,
              "patch_size": 14, "spatial_merge_size": 2, "temporal_patch_size": 2, "window_size": 56,
              "fullatt_block_indexes": [1], "tokens_per_second": 2}  # fmt: skip
    text = {**TEXT, "vocab_size": made.get_vocab_size(), "rope_parameters": ROPE}
    config = transformers.Qwen2_5_VLConfig(text_config=text, vision_config=vision, **_ids(made))
    fill(transformers.Qwen2_5_VLForConditionalGeneration(config), seed).save_pretrained(folder)
    weights = load_file(folder / "model.safetensors")
    projector = fill(torch.nn.Linear(32, projected), seed)
    weights |= {f"multi_vector_projector.{name}": value for name, value in projector.state_dict().items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    written = json.loads((folder / "config.json").read_text())
    write(folder, config={**written, "multi_vector_projector_dim": projected})
    images = _pixels("Qwen2VLImageProcessor", 14, CLIP_MEAN, CLIP_STD, processor_class="Qwen2_5_VLProcessor")
    write(folder, preprocessor_config=images)
    return folder


GEMMA = ("<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "<image>")


def colpali(folder: Path, *, seed: int = 0) -> Path:
    """PaliGemma with ColPali's projection: images of 56 x 56 in patches of 14, 16 tokens each."""
    made = bytes_tokenizer(folder, special=GEMMA)
    names = {f"{name}_token": f"<{name}>" for name in ("pad", "eos", "bos", "unk", "mask")}
    write(folder, tokenizer_config={"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 16384,
                                    "extra_special_tokens": {"image_token": "<image>"}, **names})  # fmt: skip
    vision = {"model_type": "siglip_vision_model", "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
              "num_attention_heads": 2, "image_size": 56, "patch_size": 14, "projection_dim": 32,
              "vision_use_head": False}  # fmt: skip
    text = {**TEXT, "model_type": "gemma", "vocab_size": made.get_vocab_size() + 1200, "num_key_value_heads": 1}
    vlm = transformers.PaliGemmaConfig(vision_config=vision, text_config=text, projection_dim=32,
                                       image_token_id=made.token_to_id("<image>"))  # fmt: skip
    config = transformers.ColPaliConfig(vlm_config=vlm, embedding_dim=16)
    fill(transformers.ColPaliForRetrieval(config), seed).save_pretrained(folder)
    pixels = {"image_processor_type": "SiglipImageProcessor", "processor_class": "ColPaliProcessor", "image_mean": HALF,
              "image_std": HALF, "size": {"height": 56, "width": 56}, "resample": 3, "do_rescale": True,
              "rescale_factor": 1 / 255, "do_normalize": True, "image_seq_length": 16}  # fmt: skip
    write(folder, preprocessor_config=pixels)
    return folder


def clip(folder: Path, *, seed: int = 0) -> Path:
    """CLIP on images of 32 x 32 in patches of 8; every text ends in `<|endoftext|>`."""
    made = bytes_tokenizer(folder, special=("<|startoftext|>", "<|endoftext|>"))
    start, end = ((name, made.token_to_id(name)) for name in ("<|startoftext|>", "<|endoftext|>"))
    made.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    made.post_processor = processors.RobertaProcessing(end, start, trim_offsets=False, add_prefix_space=False)
    made.save(str(folder / "tokenizer.json"))
    names = {"bos_token": start[0], "eos_token": end[0], "pad_token": end[0], "unk_token": end[0]}
    write(folder, tokenizer_config={"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 77, **names})
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    text = {**sizes, "vocab_size": made.get_vocab_size(), "max_position_embeddings": 77, "eos_token_id": end[1],
            "bos_token_id": start[1], "pad_token_id": end[1], "projection_dim": 24}  # fmt: skip
    vision = {**sizes, "hidden_size": 40, "image_size": 32, "patch_size": 8, "projection_dim": 24}
    config = transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=24)
    fill(transformers.CLIPModel(config), seed).save_pretrained(folder)
    pixels = {"image_processor_type": "CLIPImageProcessor", "processor_class": "CLIPProcessor", "image_mean": CLIP_MEAN,
              "image_std": CLIP_STD, "size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32},
              "do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True}  # fmt: skip
    write(folder, preprocessor_config=pixels)
    return folder


def siglip(folder: Path, *, seed: int = 0) -> Path:
    """SigLIP on images of 32 x 32 in patches of 8; texts are padded to 64 tokens with `</s>`, which ends them too."""
    made = bytes_tokenizer(folder, special=("</s>",))
    ending(folder, made, "</s>")
    write(
        folder,
        tokenizer_config={
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": 64,
            "eos_token": "</s>",
            "pad_token": "</s>",
            "model_input_names": ["input_ids"],
        },
    )
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    text = {**sizes, "vocab_size": made.get_vocab_size(), "max_position_embeddings": 64, "projection_size": 32,
            "pad_token_id": made.token_to_id("</s>")}  # fmt: skip
    config = transformers.SiglipConfig(text_config=text, vision_config={**sizes, "image_size": 32, "patch_size": 8})
    fill(transformers.SiglipModel(config), seed).save_pretrained(folder)
    pixels = {"image_processor_type": "SiglipImageProcessor", "processor_class": "SiglipProcessor", "image_mean": HALF,
              "image_std": HALF, "size": {"height": 32, "width": 32}, "do_rescale": True, "rescale_factor": 1 / 255,
              "do_normalize": True}  # fmt: skip
    write(folder, preprocessor_config=pixels)
    return folder


def qwen3(folder: Path, *, seed: int = 0) -> Path:
    """A decoder-only text embedder as Qwen3-Embedding is: last token pooled, queries after an instruction."""
    made = bytes_tokenizer(folder)
    ending(folder, made)
    config = transformers.Qwen3Config(
        **TEXT, vocab_size=made.get_vocab_size(), pad_token_id=made.token_to_id("<|endoftext|>")
    )
    fill(transformers.Qwen3Model(config), seed).save_pretrained(folder)
    kinds = ["Transformer", "Pooling", "Normalize"]
    modules = [
        {"idx": i, "name": str(i), "path": "", "type": f"sentence_transformers.models.{k}"} for i, k in enumerate(kinds)
    ]
    prompts = {"query": "Instruct: Find the passage that answers\nQuery:", "document": ""}
    write(folder, modules=modules, config_sentence_transformers={"prompts": prompts, "default_prompt_name": None})
    write(folder / "1_Pooling", config={"word_embedding_dimension": 32, "pooling_mode_lasttoken": True})
    return folder


BUILDERS = {"qwen3_vl": qwen3_vl, "gme": qwen2_vl, "vlm2vec": qwen2_vl, "jina_v4": jina_v4, "colpali": colpali,
            "clip": clip, "siglip": siglip, "text": qwen3}  # fmt: skip
SQUARES = {"colpali": ("squash", 14, 56), "clip": ("crop", 8, 32), "siglip": ("squash", 8, 32)}


def checkpoint(folder: Path, family: Family, seed: int = 0) -> Path:
    """The family's tiny checkpoint in `folder`."""
    return qwen3_vl(folder, emb=True, seed=seed) if family == "lamra" else BUILDERS[family](folder, seed=seed)


def sampling(family: Family) -> Sampling | None:
    """Budgets of 4 to 16 tokens an image and 8 frames, so that a forward takes milliseconds."""
    if family == "text":
        return None
    if family in SQUARES:
        how, factor, side = SQUARES[family]
        return Sampling(image=(Resize(how=how, factor=factor, height=side, width=side),))
    side = 32 if family in ("qwen3_vl", "lamra") else 28
    image = Resize(factor=side, min_pixels=4 * side**2, max_pixels=16 * side**2)
    frames = Frames(max_frames=8, factor=side, min_pixels=side**2, max_pixels=4 * side**2, total_pixels=32 * side**2)
    as_image = Frames(min_frames=1, max_frames=1, multiple=1, factor=side, min_pixels=4 * side**2,
                      max_pixels=16 * side**2, as_images=True)  # fmt: skip
    videos = {"qwen3_vl": frames, "vlm2vec": frames, "gme": as_image}
    return Sampling(image=(image,), video=videos.get(family))


def encoder(folder: Path, family: Family, **given: object) -> Encoder:
    """The settings of the tiny checkpoint in `folder`."""
    return Encoder(name=f"tiny-{family}", family=family, model=str(folder), sampling=sampling(family), **given)


def conf(folder: Path, config: Encoder) -> Path:
    """`folder`, with the encoder as encoder/<name>.yaml: what `conf=FOLDER encoder=NAME` takes."""
    path = folder / "encoder" / f"{config.name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(config.model_dump(mode="json", exclude={"name"}, exclude_none=True)))
    return folder
