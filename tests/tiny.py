"""A tiny random BERT checkpoint in sentence-transformers' layout: runs the real family code in milliseconds."""

import json
import string
from pathlib import Path

import tokenizers
import torch
import transformers
from tokenizers import models, normalizers, pre_tokenizers, processors

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def tokenizer() -> tokenizers.Tokenizer:
    """WordPiece over single characters and their continuations: every ASCII text has tokens, none is unknown."""
    characters = list(string.ascii_lowercase + string.digits + string.punctuation)
    vocabulary = SPECIAL + characters + ["##" + c for c in characters] + ["the", "of", "and", "##ing", "##ed", "a"]
    tokens = {token: i for i, token in enumerate(dict.fromkeys(vocabulary))}
    made = tokenizers.Tokenizer(models.WordPiece(tokens, unk_token="[UNK]", max_input_chars_per_word=100))
    made.add_special_tokens(SPECIAL)
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    pair = [("[CLS]", tokens["[CLS]"]), ("[SEP]", tokens["[SEP]"])]
    made.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1", pair)
    return made


def checkpoint(folder: Path, *, pooling: str = "mean", dim: int = 32, max_length: int = 64, seed: int = 0) -> Path:
    """Write it to `folder`; `pooling` is mean, cls or lasttoken."""
    folder.mkdir(parents=True, exist_ok=True)
    made = tokenizer()
    made.save(str(folder / "tokenizer.json"))
    torch.manual_seed(seed)
    config = transformers.BertConfig(
        vocab_size=made.get_vocab_size(),
        hidden_size=dim,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=128,
    )
    transformers.BertModel(config).eval().save_pretrained(folder)
    modes = {f"pooling_mode_{name}": name == pooling for name in ("mean_tokens", "cls_token", "lasttoken")}
    modes["pooling_mode_mean_tokens"] = pooling == "mean"
    modes["pooling_mode_cls_token"] = pooling == "cls"
    kinds = ["Transformer", "Pooling", "Normalize"]
    modules = [
        {"idx": i, "name": str(i), "path": "", "type": f"sentence_transformers.models.{k}"} for i, k in enumerate(kinds)
    ]
    files = {
        "modules.json": modules,
        "1_Pooling/config.json": {"word_embedding_dimension": dim, **modes},
        "sentence_bert_config.json": {"max_seq_length": max_length, "do_lower_case": False},
        "tokenizer_config.json": {"tokenizer_class": "BertTokenizer", "model_max_length": 128},
        "special_tokens_map.json": {
            f"{name}_token": f"[{name.upper()}]" for name in ("cls", "mask", "pad", "sep", "unk")
        },
    }  # fmt: skip
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(content))
    return folder
