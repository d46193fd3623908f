"""Results and help as text for a person."""

import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from smart_jobs import config


def usage(models: Mapping[str, type[BaseModel]]) -> str:
    """What `smart-jobs` alone prints."""
    lines = ["usage: smart-jobs VERB [key=value …] [--help] [--dry-run] [--json] [--version]", ""]
    lines += [f"  {name:<10}{_summary(model)}" for name, model in models.items()]
    return "\n".join([*lines, "", "`smart-jobs VERB --help` lists the verb's keys."])


def _summary(model: type[BaseModel]) -> str:
    return (model.__doc__ or "").strip().splitlines()[0]


def help_text(
    verb: str, model: type[BaseModel], keys: Sequence[tuple[str, Any]], groups: Mapping[str, Sequence[str]]
) -> str:
    """The verb's docstring and a line for each key: type, default, meaning."""
    lines = [textwrap.dedent(f"    {model.__doc__}").strip(), "", f"keys of {verb}:"]
    width = max(len(name) for name, _ in keys) + 2
    for name, field in keys:
        group = config.group_of(field.annotation) is not None
        kind = _group(name, groups) if group else _type(field.annotation)
        default = "" if group or field.default is PydanticUndefined else f" [{_value(field.default)}]"
        about = f"  {field.description}" if field.description else ""
        lines.append(f"  {name:<{width}}{kind}{default}{about}")
    return "\n".join([*lines, f"  {'conf':<{width}}a folder of YAML files that is searched first"])


def _group(name: str, groups: Mapping[str, Sequence[str]]) -> str:
    if name not in groups:
        return "group of keys"
    named = ", ".join(groups[name]) or "none"
    location = {
        "source": ", a path or a URI",
        "lake": ", a path or a URI",
        "encoder": ", a folder or hf://org/name@rev",
    }
    return f"named: {named}{location.get(name, '')}"


def _type(kind: Any) -> str:
    """A type as people say it: `a, b or null`."""
    parts = get_args(kind)
    if get_origin(kind) is Annotated:
        return _type(parts[0])
    if get_origin(kind) is Literal:
        return "|".join(parts)
    if get_origin(kind) is tuple:
        return f"list of {_type(parts[0])}"
    if get_origin(kind) is dict:
        return f"{_type(parts[0])}: {_type(parts[1])}"
    if parts:
        return " or ".join(_type(part) for part in parts)
    return "null" if kind is type(None) else str(kind.__name__)


def _value(value: Any) -> str:
    return "null" if value is None else str(value)


def plain(result: Mapping[str, Any]) -> str:
    """Keys and values, one a line."""
    return "\n".join(f"{key}: {_number(value)}" for key, value in result.items())


def _number(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_number(inner)}" for key, inner in value.items()) or "none"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else _value(value)


def ingest(result: Mapping[str, Any]) -> str:
    """The summary of an ingest."""
    if not result["encoded"] and not result["failures"]:
        return f"nothing new: {result['skipped']:,} of {result['assets']:,} assets were unchanged, nothing was encoded"
    size = sum(result["bytes"].values())
    lines = [
        f"{result['encoded']:,} segments encoded from {result['assets']:,} assets ({result['skipped']:,} unchanged), "
        f"{size / 1e6:,.1f} MB committed, {result['seconds']['total']:.1f} s"
    ]
    if result["failures"]:
        lines.append(f"{result['failures']:,} failures recorded: {_number(result['failed_by_reason'])}")
    return "\n".join(lines)


def index(result: Mapping[str, Any]) -> str:
    """The summary of an index that was built, changed or left as it is."""
    recall = result["recall_at_10"]
    changed = f", {result['added']:,} added, {result['removed']:,} removed" if result["action"] == "updated" else ""
    shares = ", ".join(f"{kind} {share:.3f}" for kind, share in result["stage_one"].items())
    passed_on = f"\nof the exact ten nearest, {result['candidates']:,} candidates hold: {shares}" if shares else ""
    return (
        f"index {result['index_id']} {result['action']}{changed}: "
        f"{result['factory']} over {result['vectors']:,} vectors, nprobe {result['nprobe']}, "
        f"recall@10 {'not measured' if recall is None else f'{recall:.3f}'} against exact search, "
        f"{result['bytes'] / 1e6:,.2f} MB, {result['seconds']:.1f} s{passed_on}\n{result['why']}"
    )


def search(result: Mapping[str, Any]) -> str:
    """Hits, best first; of a table of queries, what became of it."""
    if "hits" not in result:
        return _batch(result)
    if not result["hits"]:
        return "no hits"
    lines = []
    for hit in result["hits"]:
        if hit["pooled"] is None:
            scores = f"late {hit['late']:.3f}"
        else:
            scores = f"{hit['score']:.3f} = pooled {hit['pooled']:.3f}, late {hit['late']:.3f}"
        lines.append(f"{hit['rank']:>2}. {hit['title'] or hit['uri']}{part(hit)}  ({scores})")
        lines.append(f"    segment={hit['segment_id']}")
        if hit["text"]:
            lines.append(textwrap.indent(textwrap.fill(textwrap.shorten(hit["text"], 220), 100), "    "))
    return "\n".join(lines)


def _batch(result: Mapping[str, Any]) -> str:
    kept = f" ({result['kept']:,} were there)" if result["kept"] else ""
    lines = [f"{result['queries']:,} queries answered in {result['parts']:,} parts{kept}, in {result['out']}, "
             f"{result['seconds']['total']:.1f} s"]  # fmt: skip
    if result["failures"]:
        lines.append(f"{result['failures']:,} failures: {_number(result['failed_by_reason'])}")
    measured = result["recall"]
    if measured is not None:
        of = f"{measured['queries']:,} queries, {measured['segments']:,} segments that may be found"
        lines.append(f"of the exact ten nearest, stage one passes on {measured['recall']:.3f} ({of})")
    return "\n".join(lines)


def part(hit: Mapping[str, Any]) -> str:
    """Which part of the asset a hit is."""
    if hit["page"]:
        return f" page {hit['page']}"
    return f" {hit['start']:.1f}-{hit['end']:.1f} s" if hit.get("start") is not None else ""


def status(result: Mapping[str, Any]) -> str:
    """What a lake holds."""
    lines = [f"lake {result['lake']}"]
    for encoder in result["encoders"]:
        size = f"{sum(encoder['bytes'].values()) / 1e6:,.1f} MB, {encoder['codec']}"
        stale = f", {encoder['stale']:,} assets show an older version" if encoder["stale"] else ""
        lines.append(f"  {encoder['name']}-{encoder['digest']}: {encoder['segments']:,} segments, {size}{stale}")
        for made in encoder["indexes"]:
            behind = f", {made['versions_behind']} versions behind" if made["versions_behind"] else ""
            lines.append(f"    index {made['index_id']}: {made['factory']}, {made['vectors']:,} vectors{behind}")
            lines += [f"      {name}: nDCG@10 {of['two_stage']:.4f} in two stages, {of['exhaustive']:.4f} over all"
                      for name, of in made["judged"].items()]  # fmt: skip
    lines.append(f"  failures: {_number(result['failures'])}")
    if result["last_run"]:
        last = result["last_run"]
        lines.append(f"  last run: {last['run_id']} ({last['job']}), {last['ended']}")
    return "\n".join(lines)


WIDTH = 48
"""Characters of a cell; what is longer is cut."""


def sql(result: Mapping[str, Any]) -> str:
    """What an analysis says as a whole, a table, and how many rows there are beyond it. Numbers stand to the right."""
    whole = {name: value for name, value in result.items() if name not in ("columns", "rows", "count")}
    names, rows = result["columns"], result["rows"]
    cells = [[cell(row[name]) for name in names] for row in rows]
    widths = [max(len(line[at]) for line in [names, *cells]) for at in range(len(names))]
    right = [all(isinstance(row[name], int | float | None) for row in rows) and bool(rows) for name in names]
    lines = [aligned(line, widths, right) for line in [names, ["-" * width for width in widths], *cells]]
    more = result["count"] - len(rows)
    counted = f"{len(rows):,} of {result['count']:,} rows; limit= prints more" if more else f"rows: {len(rows):,}"
    return "\n".join([*([plain(whole)] if whole else []), *lines, counted])


def aligned(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    """A line of a table: its cells at these widths, those of a `right` column at its right."""
    pairs = zip(cells, widths, right, strict=True)
    return "  ".join(text.rjust(width) if to_right else text.ljust(width) for text, width, to_right in pairs).rstrip()


def cell(value: Any) -> str:
    """A value on one line; of a list its first three elements and its length."""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        rest = f", … {len(value)} in all" if len(value) > 3 else ""
        return f"[{', '.join(cell(item) for item in value[:3])}{rest}]"
    if isinstance(value, Mapping):
        return cell(", ".join(f"{key}={cell(item)}" for key, item in value.items()))
    text = " ".join(_value(value).split())
    return text if len(text) <= WIDTH else text[: WIDTH - 1] + "…"


def verify(result: Mapping[str, Any]) -> str:
    """Whether a lake is whole; a line for each finding, and how many of a kind are not listed."""
    lines = [
        f"{found['kind']}: {found['table']}: {found['what']}: expected {found['expected']}, found {found['found']}"
        for found in result["findings"]
    ]
    listed = Counter(found["kind"] for found in result["findings"])
    lines += [f"{kind}: {n - listed[kind]:,} more" for kind, n in result["counts"].items() if n > listed[kind]]
    orphans = result["orphans"]
    lines += [f"orphan: {uri}" for uri in orphans["listed"]]
    if orphans["files"] > len(orphans["listed"]):
        lines.append(f"orphan: {orphans['files'] - len(orphans['listed']):,} more")
    if orphans["files"] or result["unreferenced"] or result["copies"]:
        lines.append(
            f"`smart-jobs maintain` would sweep {orphans['files']:,} orphan files ({orphans['bytes'] / 1e6:,.1f} MB), "
            f"{result['unreferenced']:,} unreferenced states and {result['copies']:,} copies"
        )
    damaged = sum(result["counts"].values())
    verdict = "whole" if result["whole"] else f"not whole: {damaged:,} findings"
    lines.append(f"lake {result['lake']}: {verdict} ({_number(result['checked'])})")
    if result["repaired"]:
        lines.append("repaired: what was damaged is taken out; the next ingest encodes it again")
    elif damaged:
        lines.append("`smart-jobs verify repair=true` takes out what is damaged; the next ingest encodes it again")
    return "\n".join(lines)


def maintain(result: Mapping[str, Any]) -> str:
    """A line for each table, before and after, and what went."""
    lines = [f"{'':<60}{'files':>16}{'rows':>22}{'MB stored':>20}"]
    for name, found in result["tables"].items():
        before, after = (found[when] or {"files": 0, "rows": 0, "stored": 0} for when in ("before", "after"))
        pairs = [f"{before[key]:,} -> {after[key]:,}" for key in ("files", "rows")]
        stored = f"{before['stored'] / 1e6:,.1f} -> {after['stored'] / 1e6:,.1f}"
        lines.append(f"{name:<60}{pairs[0]:>16}{pairs[1]:>22}{stored:>20}")
    deleted = result["deleted"]
    lines.append(
        f"{result['swept']:,} unreferenced states swept, {deleted['files']:,} files deleted "
        f"({deleted['bytes'] / 1e6:,.1f} MB), {result['commits_trimmed']:,} log files trimmed"
    )
    return "\n".join(lines)


def forget(result: Mapping[str, Any]) -> str:
    """What went, and what is left to do."""
    return (
        f"{result['asset']}: {result['segments']:,} segments and {result['failures']:,} failures removed, "
        f"{result['indexes']:,} indexes written again, {result['evaluations']:,} evaluations marked as not repeatable\n"
        "the next `smart-jobs maintain` deletes the older files that still hold it, pinned ones too\n"
        "while its source still has it, the next ingest brings it back"
    )
