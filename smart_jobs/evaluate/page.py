"""A report as one HTML page that stands by itself: no script, no font, no picture from elsewhere."""

import base64
from collections.abc import Sequence
from html import escape

from smart_jobs.evaluate import charts
from smart_jobs.evaluate.page_style import STYLE
from smart_jobs.evaluate.report import Estimate, Example, MeanPart, Report, Shown, TaskPart

TITLES = {"pooled": "pooled", "late": "late", "hybrid": "hybrid", "two_stage": "two-stage"}
TASK = ("task", "queries", "candidates")
NONE = "&ndash;"
LONGEST = 400
"""Characters of a text that are shown."""


def page(report: Report) -> str:
    """The whole page. Scores are shown in points, 100 times the fraction."""
    parts = [
        f"<h1>{escape(report.suite)} <small>{escape(report.encoder)}</small></h1>",
        _facts(report),
        "<h2>Means</h2>",
        _table(_heads(["mean of"], report), [_mean_row(part, report) for part in report.means]),
        _curves(report),
        "<h2>Tasks</h2>",
        _table(_heads(TASK, report), _task_rows(report)),
        "<h2>Failures</h2>",
        _failures(report.tasks),
        _worst(report.tasks),
    ]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(report.suite)} '
        f"{escape(report.run_id)}</title><meta name=viewport content='width=device-width'>"
        f"<style>{STYLE}</style></head><body>{''.join(parts)}</body></html>\n"
    )


def _facts(report: Report) -> str:
    rows = [("run", report.run_id), *report.facts]
    return f"<dl>{''.join(f'<dt>{escape(name)}</dt><dd>{escape(value)}</dd>' for name, value in rows)}</dl>"


def _heads(first: Sequence[str], report: Report) -> list[str]:
    return [*first, *(TITLES[name] for name in report.scorings), "hybrid - pooled", "", *report.peers]


def _table(heads: Sequence[str], rows: Sequence[str]) -> str:
    head = "".join(f"<th>{escape(text.replace('_', ' '))}</th>" for text in heads)
    return f"<div class=wide><table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"


def _mean_row(part: MeanPart, report: Report) -> str:
    whole = part.there == part.of
    said = str(part.of) if whole else f"{part.there} of {part.of}: no mean of all"
    name = f"{escape(part.name)} <small>({escape(said)})</small>"
    return f"<tr{'' if whole else ' class=partial'}><th>{name}</th>{_cells(part, report)}</tr>"


def _task_row(task: TaskPart, report: Report) -> str:
    name = escape(task.name)
    if task.examples:
        name = f'<a href="#{_anchor(task.name)}">{name}</a>'
    name += f" <small>{escape(task.primary)}</small>"
    if task.unlike_expected:
        name += f"<br><small class=warn>{escape(task.unlike_expected)}</small>"
    if task.failed:
        name += f"<br><small class=warn>{task.failed:,} not encoded</small>"
    return f"<tr><th>{name}</th><td>{task.queries:,}</td><td>{task.candidates:,}</td>{_cells(task, report)}</tr>"


def _cells(part: MeanPart | TaskPart, report: Report) -> str:
    best = max((score.value for score in part.scores.values() if score is not None), default=None)
    cells = [_score(part.scores.get(scoring), best) for scoring in report.scorings]
    gain = "" if part.gain is None else f"{100 * part.gain.value:+.2f}"
    cells += [f"<td>{gain}</td>", f"<td>{_interval(part.gain, _reach(report))}</td>"]
    cells += [f"<td class=peer>{_points(part.published.get(peer))}</td>" for peer in report.peers]
    return "".join(cells)


def _reach(report: Report) -> float:
    """How far the scale of gains goes on both sides: to the furthest end of any interval."""
    parts: list[MeanPart | TaskPart] = [*report.means, *report.tasks]
    gains = [part.gain for part in parts if part.gain is not None]
    ends = [abs(end) for gain in gains for end in (gain.low, gain.high) if end is not None]
    return max(ends, default=0.0) or 0.01


def _score(score: Estimate | None, best: float | None) -> str:
    if score is None:
        return f"<td>{NONE}</td>"
    said = (
        "no interval"
        if score.low is None or score.high is None
        else (f"95 %: {100 * score.low:.2f} to {100 * score.high:.2f}")
    )
    mark = " class=best" if score.value == best else ""
    return f'<td{mark} title="{said}">{_points(score.value)}</td>'


def _points(value: float | None) -> str:
    return NONE if value is None else f"{100 * value:.2f}"


def _interval(gain: Estimate | None, reach: float) -> str:
    if gain is None or gain.low is None or gain.high is None:
        return ""
    return charts.interval(gain.value, gain.low, gain.high, reach)


def _curves(report: Report) -> str:
    drawn = charts.lines(report.curves, "λ_late", "mean of the primary measures")
    return f"<h2>Weight of the late score</h2>{drawn}" if drawn else ""


def _grouped(tasks: Sequence[TaskPart]) -> dict[str, list[TaskPart]]:
    found: dict[str, list[TaskPart]] = {}
    for task in tasks:
        found.setdefault(task.category or "tasks", []).append(task)
    return found


def _task_rows(report: Report) -> list[str]:
    rows: list[str] = []
    for category, tasks in _grouped(report.tasks).items():
        rows.append(f"<tr class=group><th colspan={len(_heads(TASK, report))}>{escape(category)}</th></tr>")
        rows += [_task_row(task, report) for task in tasks]
    return rows


def _failures(tasks: Sequence[TaskPart]) -> str:
    rows = [f"<li>{escape(task.name)}: {escape(line)}</li>" for task in tasks for line in task.failures]
    rows += [f"<li>{escape(task.name)}: and {task.failed - len(task.failures):,} more</li>" for task in tasks
             if task.failed > len(task.failures)]  # fmt: skip
    return f"<ul>{''.join(rows)}</ul>" if rows else "<p>None: every query and candidate was encoded.</p>"


def _worst(tasks: Sequence[TaskPart]) -> str:
    shown = "".join(_examples(task) for task in tasks if task.examples)
    return f"<h2>Worst queries</h2>{shown}" if shown else ""


def _anchor(name: str) -> str:
    return "task-" + "".join(letter if letter.isalnum() else "-" for letter in name)


def _examples(task: TaskPart) -> str:
    heads = "".join(f"<th>{text}</th>" for text in (task.primary, "query", "ranked first", "right"))
    rows = "".join(_example(example) for example in task.examples)
    return (
        f'<details id="{_anchor(task.name)}"><summary>{escape(task.name)}</summary>'
        f"<table class=examples><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></details>"
    )


def _example(example: Example) -> str:
    place = "not found" if example.rank is None else f"rank {example.rank:,}"
    cells: list[tuple[Shown, str]] = [(example.query, ""), (example.first, "rank 1"), (example.right, place)]
    return f"<tr><td>{100 * example.value:.1f}</td>{''.join(_shown(item, note) for item, note in cells)}</tr>"


def _shown(item: Shown, note: str) -> str:
    said = [note, "" if item.score is None else f"score {item.score:.4f}"]
    picture = ""
    if item.picture is not None:
        data = base64.b64encode(item.picture).decode()
        picture = f'<img src="data:image/jpeg;base64,{data}" alt="{escape(item.name)}" loading=lazy>'
    text = item.text if len(item.text) <= LONGEST else f"{item.text[:LONGEST]}…"
    notes = " · ".join(filter(None, said))
    return f"<td>{picture}<p>{escape(text)}</p><small>{escape(item.name)}{'<br>' if notes else ''}{notes}</small></td>"
