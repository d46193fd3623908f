"""Scores in the files of MMEB-V2's maintainers: a task's scores, and a model's leaderboard entry."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from smart_jobs.evaluate.parity import MEASURES

TASKS: Mapping[str, tuple[str, ...]] = {
    "image": (
        "ImageNet-1K", "N24News", "HatefulMemes", "VOC2007", "SUN397", "Place365", "ImageNet-A", "ImageNet-R",
        "ObjectNet", "Country211", "OK-VQA", "A-OKVQA", "DocVQA", "InfographicsVQA", "ChartQA", "Visual7W", "ScienceQA",
        "VizWiz", "GQA", "TextVQA", "VisDial", "CIRR", "VisualNews_t2i", "VisualNews_i2t", "MSCOCO_t2i", "MSCOCO_i2t",
        "NIGHTS", "WebQA", "FashionIQ", "Wiki-SS-NQ", "OVEN", "EDIS", "MSCOCO", "RefCOCO", "RefCOCO-Matching",
        "Visual7W-Pointing",
    ),
    "video": (
        "K700", "SmthSmthV2", "HMDB51", "UCF101", "Breakfast", "MVBench", "Video-MME", "NExTQA", "EgoSchema",
        "ActivityNetQA", "DiDeMo", "MSR-VTT", "MSVD", "VATEX", "YouCook2", "QVHighlight", "Charades-STA",
        "MomentSeeker",
    ),
    "visdoc": (
        "ViDoRe_arxivqa", "ViDoRe_docvqa", "ViDoRe_infovqa", "ViDoRe_tabfquad", "ViDoRe_tatdqa", "ViDoRe_shiftproject",
        "ViDoRe_syntheticDocQA_artificial_intelligence", "ViDoRe_syntheticDocQA_energy",
        "ViDoRe_syntheticDocQA_government_reports", "ViDoRe_syntheticDocQA_healthcare_industry",
        "ViDoRe_esg_reports_human_labeled_v2", "ViDoRe_biomedical_lectures_v2_multilingual",
        "ViDoRe_economics_reports_v2_multilingual", "ViDoRe_esg_reports_v2_multilingual", "VisRAG_ArxivQA",
        "VisRAG_ChartQA", "VisRAG_MP-DocVQA", "VisRAG_SlideVQA", "VisRAG_InfoVQA", "VisRAG_PlotQA", "ViDoSeek-page",
        "ViDoSeek-doc", "MMLongBench-page", "MMLongBench-doc",
    ),
}  # fmt: skip
"""The 78 tasks by modality, in the order of the file."""

PRIMARY: Mapping[str, str] = {"image": "hit@1", "video": "hit@1", "visdoc": "ndcg_linear@5"}
"""The measure that the leaderboard shows and averages, by modality."""

FIXED = ("ViDoSeek-page", "MMLongBench-page")
"""Tasks that the entry names with `-fixed` behind: their annotations were corrected in November 2025."""

NO_FILE, NO_FOLDER = "FILE_N/A", "DIR_N/A"
"""What stands for a task without scores, and for every task of a modality that has none at all."""


@dataclass(frozen=True, slots=True)
class Model:
    """What an entry says of the model; None becomes null. `size` is in 10^9 parameters, `released` YYYY-MM-DD."""

    name: str
    backbone: str | None = None
    size: float | None = None
    dimension: int | None = None
    max_tokens: int | None = None
    released: str | None = None
    url: str | None = None


def scores(means: Mapping[str, float], queries: int) -> dict[str, float]:
    """The object of `<task>_score.json`: the 24 measures of the reference in its order, and the number of queries.

    `means` may have others too, corrected ones; they stay out. Raises KeyError where one of the 24 is missing.
    """
    return {**{name: float(means[name]) for name in MEASURES}, "num_pred": queries, "num_data": queries}


def as_text(content: Mapping[str, Any]) -> str:
    """A scores file or an entry as the maintainers' code writes it: four spaces, no line end at the end."""
    return json.dumps(content, indent=4)


def entry(model: Model, found: Mapping[str, Mapping[str, float]], generated: datetime) -> dict[str, Any]:
    """The leaderboard's object of a model: `found` has what `scores` gives by task. Its file is `<model name>.json`.

    It is that of the maintainers' experiments/report_score_v2.py over a folder with these score files. Raises
    ValueError where `found` has a task that the leaderboard has not.
    """
    unknown = sorted(found.keys() - {task for tasks in TASKS.values() for task in tasks})
    if unknown:
        raise ValueError(f"no tasks of MMEB-V2: {', '.join(unknown)}")
    return {"metadata": _metadata(model, generated), "metrics": {name: _modality(name, found) for name in TASKS}}


def _metadata(model: Model, generated: datetime) -> dict[str, Any]:
    return {
        "model_name": model.name,
        "model_backbone": model.backbone,
        "model_size": model.size,
        "embedding_dimension": model.dimension,
        "max_length_tokens": model.max_tokens,
        "model_release_date": model.released,
        "data_source": "Self-Reported",
        "url": model.url,
        "report_generated_date": generated.isoformat(),
    }


def _modality(name: str, found: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    missing = NO_FILE if any(task in found for task in TASKS[name]) else NO_FOLDER
    return {task + "-fixed" * (task in FIXED): dict(found[task]) if task in found else missing for task in TASKS[name]}
