"""conf/ and the command line -> one frozen, strict model. Configs are values; code chooses the classes."""

import difflib
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeGuard, TypeVar, cast, get_args, get_origin

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import BaseModel, ValidationError

from smart_jobs import storage
from smart_jobs.records import UsageError
from smart_jobs.strict import Strict

DIGEST = re.compile(r"^(?P<name>.+)-(?P<digest>[0-9a-f]{12})$")
OVERRIDE = re.compile(r"^(?P<key>[A-Za-z_]\w*(\.\w+)*)=(?P<value>.*)$", re.DOTALL)

Job = TypeVar("Job", bound=Strict)

GROUPS = ("source", "encoder", "lake", "cluster", "index", "suite")
"""Keys that take the name of a YAML file in the folder of conf/ of the same name."""


def conf_folders(given: str | None = None) -> list[Path]:
    """The folders searched for YAML files, first match wins: `conf=DIR`, `./conf`, then what was installed.

    Raises UsageError where `conf=DIR` names no folder.
    """
    package = Path(__file__).parent
    if given and not Path(given).is_dir():
        raise UsageError(f"conf={given}: no such folder")
    folders = [Path(given)] if given else []
    folders += [Path("conf"), package / "conf", package.parent / "conf"]
    return [folder for folder in folders if folder.is_dir()]


def _find(folders: Sequence[Path], *parts: str) -> Path | None:
    for folder in folders:
        path = folder.joinpath(*parts[:-1], f"{parts[-1]}.yaml")
        if path.is_file():
            return path
    return None


def folder_of(group: str, name: str, folders: Sequence[Path]) -> Path | None:
    """The folder `name` of a group, which has more of what its YAML is about; None where there is none."""
    return next((folder / group / name for folder in folders if (folder / group / name).is_dir()), None)


def read_yaml(path: Path) -> dict[str, Any]:
    """The keys and values of a YAML file, nothing resolved. Raises UsageError, in one line, for anything else."""
    try:
        loaded = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    except (yaml.YAMLError, OmegaConfBaseException, OSError, UnicodeDecodeError) as error:
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
    location = _looks_like_path(value) or (value != "" and os.path.exists(value))
    pinned = DIGEST.match(value) if group == "encoder" and not location else None
    if pinned:
        return {**_group("encoder", pinned["name"], folders), "digest": pinned["digest"]}
    if group not in ("source", "encoder", "lake") or not location:
        hint = f"; for a folder write ./{value}" if group in ("source", "lake", "encoder") else ""
        raise UsageError(
            f"{group}={value}: no such name; there are {', '.join(choices(group, folders)) or 'none'}{hint}"
        )
    if group == "source":
        return {"name": _literal(storage.absolute(value)), "uri": [_literal(value)]}
    if group == "lake":
        return {"uri": _literal(value)}
    return _checkpoint(value)


def _checkpoint(value: str) -> dict[str, Any]:
    """An encoder given as `hf://org/name@revision` or as a checkpoint folder."""
    if value.startswith("hf://"):
        model, _, revision = value.removeprefix("hf://").partition("@")
        return {"name": model.split("/")[-1], "model": model, "revision": revision or None}
    if not Path(value).expanduser().is_dir():
        raise UsageError(f"encoder={value}: no such folder; a hub id is written hf://org/name@revision")
    folder = storage.absolute(value)
    return {"name": _literal(Path(folder).name), "model": _literal(folder)}


def _group(group: str, value: str, folders: Sequence[Path]) -> dict[str, Any]:
    path = _find(folders, group, value) if re.fullmatch(r"[\w.-]+", value) else None
    if path is None:
        return _unnamed(group, value, folders)
    loaded = read_yaml(path)
    if group == "suite" and (beside := folder_of(group, value, folders)):
        return {"definition": _literal(storage.absolute(str(beside))), **loaded}
    return {"name": value, **loaded} if group in ("source", "encoder") else loaded


def _field_type(model: type[BaseModel], key: str) -> Any:
    """The annotation of a dotted key, or None where there is no such key."""
    head, _, rest = key.partition(".")
    field = next((field for name, field in model.model_fields.items() if (field.alias or name) == head), None)
    if field is None or not rest:
        return field.annotation if field else None
    kind = group_of(field.annotation)
    return _field_type(kind, rest) if kind is not None else None


def _is_model(kind: Any) -> TypeGuard[type[BaseModel]]:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def group_of(kind: Any) -> type[BaseModel] | None:
    """The model of a group of keys, whether it may be null or not; None for a plain key."""
    return next((part for part in (kind, *get_args(kind)) if _is_model(part) and get_origin(kind) is not tuple), None)


def _literal(text: str) -> str:
    """`text` so that OmegaConf resolves nothing in it: it gives `text` back as it stands."""
    return re.sub(r"(\\*)\$\{", r"\1\1\\${", text)


def _value(kind: Any, text: str) -> Any:
    """`text` as it stands, for pydantic to convert; as YAML of strings where a list or a group of keys is wanted."""
    if text == "null" and type(None) in get_args(kind):
        return None
    several = get_origin(kind) is tuple
    if several and not (text.startswith("[") and text.endswith("]")):
        return [_literal(text)]
    if not several and group_of(kind) is None and get_origin(kind) is not dict:
        return _literal(text)
    try:
        parsed = yaml.load(text, yaml.BaseLoader)
    except yaml.YAMLError:
        return _literal(text)
    return [_literal(item) if isinstance(item, str) else item for item in parsed] if several else parsed


def _override(config: Any, model: type[Strict], key: str, text: str, folders: Sequence[Path]) -> None:
    if key in GROUPS and group_of(_field_type(model, key)) is not None:
        OmegaConf.update(config, key, _group(key, text, folders), merge=False)
        return
    kind = _field_type(model, key)
    if kind is None:
        raise UsageError(f"{key}={text}: unknown key{_nearest(model, key)}")
    OmegaConf.update(config, key, _value(kind, text), merge=False)


def keys(model: type[BaseModel], prefix: str = "") -> list[tuple[str, Any]]:
    """Every dotted key of a job with its field, groups' own keys included: as declared, shared ones last."""
    found: list[tuple[str, Any]] = []
    for name, field in sorted(model.model_fields.items(), key=lambda item: item[0] not in model.__annotations__):
        known_as = prefix + (field.alias or name)
        found.append((known_as, field))
        kind = group_of(field.annotation)
        if kind is not None:
            found += keys(kind, f"{known_as}.")
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
    matches = {argument: OVERRIDE.match(argument) for argument in arguments}
    mistakes = {argument: f"{argument!r}: expected key=value" for argument, match in matches.items() if match is None}
    pairs = [(match["key"], match["value"]) for match in matches.values() if match is not None]
    folders = conf_folders(next((value for key, value in pairs if key == "conf"), None))
    config = _defaults(job, folders)
    for key, value in sorted((p for p in pairs if p[0] != "conf"), key=lambda pair: pair[0] not in GROUPS):
        try:
            _override(config, model, key, value, folders)
        except UsageError as error:
            mistakes[key] = str(error)
    return _validate(model, config, mistakes)


def _defaults(job: str, folders: Sequence[Path]) -> DictConfig:
    """conf/<job>.yaml on top of the groups that its defaults list names."""
    path = _find(folders, job)
    base = read_yaml(path) if path else {}
    config = OmegaConf.create({})
    for entry in base.pop("defaults", []):
        if entry == "_self_":
            continue
        if not isinstance(entry, dict) or not all(isinstance(value, str) for value in entry.values()):
            raise UsageError(f"{path}: defaults: expected `group: name`, found {entry!r}")
        for group, value in entry.items():
            OmegaConf.update(config, group, _group(group, value, folders), merge=False)
    return cast("DictConfig", OmegaConf.merge(config, base))


def _validate(model: type[Job], config: DictConfig, mistakes: dict[str, str]) -> Job:
    """The model, or one UsageError with `mistakes` (line by key) and those that validation finds in other keys."""
    found: list[str] = []
    try:
        job = model.model_validate(_named(cast("dict[str, Any]", OmegaConf.to_container(config, resolve=True))))
        if not mistakes:
            return job
    except OmegaConfBaseException as error:
        found = [" ".join(str(error).split())]
    except ValidationError as error:
        found = [_mistake(model, item) for item in error.errors() if item["loc"][0] not in mistakes]
    raise UsageError("\n".join([*mistakes.values(), *found]))


def _named(values: dict[str, Any]) -> dict[str, Any]:
    """A source that says only where it is gets the name that its first URI as `source=` would give it."""
    source = values.get("source")
    if isinstance(source, dict) and isinstance(source.get("uri"), list) and source["uri"]:
        source.setdefault("name", storage.absolute(str(source["uri"][0])))
    return values


def _mistake(model: type[BaseModel], item: Any) -> str:
    key = ".".join(str(part) for part in item["loc"])
    if item["type"] == "missing":
        kind = _field_type(model, key)
        return f"{key}: missing; give {key}=…" if kind is not None else f"{key}: missing"
    if item["type"] == "extra_forbidden":
        return f"{key}: unknown key{_nearest(model, key)}"
    return f"{key}: {item['msg']} (got {item['input']!r})"
