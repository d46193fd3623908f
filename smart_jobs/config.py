"""conf/ and the command line -> one frozen, strict model. Configs are values; code chooses the classes."""

import difflib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar, cast, get_args, get_origin

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import BaseModel, ValidationError

from smart_jobs import storage
from smart_jobs.records import UsageError
from smart_jobs.settings import Strict

DIGEST = re.compile(r"^(?P<name>.+)-(?P<digest>[0-9a-f]{12})$")
OVERRIDE = re.compile(r"^(?P<key>[A-Za-z_]\w*(\.\w+)*)=(?P<value>.*)$", re.DOTALL)

Job = TypeVar("Job", bound=Strict)

GROUPS = ("source", "encoder", "lake", "cluster", "index", "suite")
"""Keys that take the name of a YAML file in the folder of conf/ of the same name."""


def conf_folders(given: str | None = None) -> list[Path]:
    """The folders searched for YAML files, first match wins: `conf=DIR`, `./conf`, then what was installed."""
    package = Path(__file__).parent
    folders = [Path(given)] if given else []
    folders += [Path("conf"), package / "conf", package.parent / "conf"]
    return [folder for folder in folders if folder.is_dir()]


def _find(folders: Sequence[Path], *parts: str) -> Path | None:
    for folder in folders:
        path = folder.joinpath(*parts).with_suffix(".yaml")
        if path.is_file():
            return path
    return None


def _load(path: Path) -> dict[str, Any]:
    try:
        loaded = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    except (yaml.YAMLError, OmegaConfBaseException) as error:
        raise UsageError(f"{path}: not a readable YAML file: {' '.join(str(error).split())}") from error
    if not isinstance(loaded, dict):
        raise UsageError(f"{path}: expected keys and values, found a {type(loaded).__name__}")
    return {str(key): value for key, value in loaded.items()}


def choices(group: str, folders: Sequence[Path]) -> list[str]:
    """The names of the YAML files of a group."""
    return sorted({path.stem for folder in folders for path in (folder / group).glob("*.yaml")})


def _looks_like_path(value: str) -> bool:
    return storage.has_scheme(value) or value.startswith((".", "/", "~")) or any(c in value for c in "/*?[")


def _unnamed(group: str, value: str, folders: Sequence[Path]) -> dict[str, Any]:
    """A group's value that is no YAML's name: a path, a URI, or an encoder's full name."""
    pinned = DIGEST.match(value) if group == "encoder" else None
    if pinned:
        return {**_group("encoder", pinned["name"], folders), "digest": pinned["digest"]}
    location = _looks_like_path(value) or (group in ("source", "lake") and Path(value).is_absolute())
    if group not in ("source", "encoder", "lake") or not location:
        hint = f"; for a folder write ./{value}" if group in ("source", "lake", "encoder") else ""
        raise UsageError(
            f"{group}={value}: no such name; there are {', '.join(choices(group, folders)) or 'none'}{hint}"
        )
    if group == "source":
        return {"name": storage.absolute(value), "uri": [value]}
    if group == "lake":
        return {"uri": value}
    return _checkpoint(value)


def _checkpoint(value: str) -> dict[str, Any]:
    """An encoder given as `hf://org/name@revision` or as a checkpoint folder."""
    if value.startswith("hf://"):
        model, _, revision = value.removeprefix("hf://").partition("@")
        return {"name": model.split("/")[-1], "model": model, "revision": revision or None}
    if not Path(value).expanduser().is_dir():
        raise UsageError(f"encoder={value}: no such folder")
    return {"name": Path(value).expanduser().absolute().name, "model": storage.absolute(value)}


def _group(group: str, value: str, folders: Sequence[Path]) -> dict[str, Any]:
    path = _find(folders, group, value) if re.fullmatch(r"[\w.-]+", value) else None
    if path is None:
        return _unnamed(group, value, folders)
    loaded = _load(path)
    return {"name": value, **loaded} if group in ("source", "encoder") else loaded


def _field_type(model: type[BaseModel], key: str) -> Any:
    """The annotation of a dotted key, or None where there is no such key."""
    head, _, rest = key.partition(".")
    field = model.model_fields.get(head)
    if field is None or not rest:
        return field.annotation if field else None
    kind = field.annotation
    return _field_type(kind, rest) if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _value(kind: Any, text: str) -> Any:
    """`text` as the YAML value it is, or as it stands where a string is wanted (`where=a: b`, `query=no`)."""
    names = [arg for arg in get_args(kind) if arg is not type(None)]
    if kind is str or (get_origin(kind) is not tuple and str in names):
        return None if text == "null" and type(None) in get_args(kind) else text.replace("${", "\\${")
    if get_origin(kind) is tuple and not text.startswith("["):
        return [text]
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text


def _override(config: Any, model: type[Strict], key: str, text: str, folders: Sequence[Path]) -> None:
    if key in GROUPS and key in model.model_fields:
        OmegaConf.update(config, key, _group(key, text, folders), merge=False)
        return
    kind = _field_type(model, key)
    if kind is None:
        raise UsageError(f"{key}={text}: unknown key{_nearest(model, key)}")
    OmegaConf.update(config, key, _value(kind, text), merge=False)


def keys(model: type[BaseModel], prefix: str = "") -> list[tuple[str, Any]]:
    """Every dotted key of a job with its field, groups' own keys included, in the order of declaration."""
    found: list[tuple[str, Any]] = []
    for name, field in model.model_fields.items():
        found.append((prefix + name, field))
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            found += keys(kind, f"{prefix}{name}.")
    return found


def _nearest(model: type[BaseModel], key: str) -> str:
    names = [name for name, _ in keys(model)]
    near = (
        difflib.get_close_matches(key, names, n=1) or [n for n in names if n.split(".")[-1] == key.split(".")[-1]][:1]
    )
    return f"; did you mean {near[0]}?" if near else f"; keys are {', '.join(n for n in names if '.' not in n)}"


def load(model: type[Job], job: str, arguments: Sequence[str]) -> Job:
    """The config of `job`: conf/<job>.yaml, its defaults list, then `key=value` arguments in their order.

    Raises UsageError with one line per mistake, all of them at once.
    """
    pairs = [_split(argument) for argument in arguments]
    folders = conf_folders(next((value for key, value in pairs if key == "conf"), None))
    path = _find(folders, job)
    base = _load(path) if path else {}
    config = OmegaConf.create({})
    for entry in base.pop("defaults", []):
        for group, value in entry.items():
            OmegaConf.update(config, group, _group(group, value, folders), merge=False)
    config = cast("DictConfig", OmegaConf.merge(config, base))
    for key, value in sorted((p for p in pairs if p[0] != "conf"), key=lambda pair: pair[0] not in GROUPS):
        _override(config, model, key, value, folders)
    return _validate(model, config)


def _split(argument: str) -> tuple[str, str]:
    match = OVERRIDE.match(argument)
    if match is None:
        raise UsageError(f"{argument!r}: expected key=value")
    return match["key"], match["value"]


def _validate(model: type[Job], config: Any) -> Job:
    try:
        return model.model_validate(OmegaConf.to_container(config, resolve=True))
    except OmegaConfBaseException as error:
        raise UsageError(" ".join(str(error).split())) from error
    except ValidationError as error:
        raise UsageError("\n".join(_mistake(model, item) for item in error.errors())) from error


def _mistake(model: type[BaseModel], item: Any) -> str:
    key = ".".join(str(part) for part in item["loc"])
    if item["type"] == "missing":
        kind = _field_type(model, key)
        return f"{key}: missing; give {key}=…" if kind is not None else f"{key}: missing"
    if item["type"] == "extra_forbidden":
        return f"{key}: unknown key{_nearest(model, key)}"
    return f"{key}: {item['msg']} (got {item['input']!r})"
