"""MMEB-V2 read once more, slowly and by the book: the protocol's own sentences, one dataset at a time.

`read(root, profile, labels)` gives {task: {"queries": [...], "candidates": {name: item}}} of plain values. An item is
{"kind", "system", "text", "files"}: in the profile qwen `system` is what the system's turn says and `text` the user's;
in vlm2vec `text` is the whole prompt with its placeholders. `files` are relative to the root; a folder without frames
stands for itself. A query has its item's keys, "labels", "grades" (None: all alike) and "candidates" (None: the whole
pool).
"""

import hashlib
import os

from mmeb_protocol_items import (
    IMG,
    annotation,
    folder_of,
    pooled,
    process_input_text,
    query,
    qwen,
    rows,
    vlm2vec,
)
from mmeb_protocol_video import (
    QUESTIONS,
    RETRIEVAL,
    answering,
    classification,
    moment_retrieval,
    momentseeker,
    retrieval,
    ssv2,
)

IMAGE = {
    "image_cls": "ImageNet-1K N24News HatefulMemes VOC2007 SUN397 Place365 ImageNet-A ImageNet-R ObjectNet Country211",
    "image_qa": "OK-VQA A-OKVQA DocVQA InfographicsVQA ChartQA Visual7W ScienceQA VizWiz GQA TextVQA",
    "image_i2t": "MSCOCO_i2t VisualNews_i2t",
    "image_t2i": "VisDial MSCOCO_t2i VisualNews_t2i WebQA EDIS Wiki-SS-NQ",
    "image_i2i_vg": "CIRR NIGHTS OVEN FashionIQ MSCOCO RefCOCO RefCOCO-Matching Visual7W-Pointing",
}
DOCUMENTS = {
    "ViDoRe_arxivqa": "vidore/arxivqa_test_subsampled_beir",
    "ViDoRe_docvqa": "vidore/docvqa_test_subsampled_beir",
    "ViDoRe_infovqa": "vidore/infovqa_test_subsampled_beir",
    "ViDoRe_tabfquad": "vidore/tabfquad_test_subsampled_beir",
    "ViDoRe_tatdqa": "vidore/tatdqa_test_beir",
    "ViDoRe_shiftproject": "vidore/shiftproject_test_beir",
    "ViDoRe_syntheticDocQA_artificial_intelligence": "vidore/syntheticDocQA_artificial_intelligence_test_beir",
    "ViDoRe_syntheticDocQA_energy": "vidore/syntheticDocQA_energy_test_beir",
    "ViDoRe_syntheticDocQA_government_reports": "vidore/syntheticDocQA_government_reports_test_beir",
    "ViDoRe_syntheticDocQA_healthcare_industry": "vidore/syntheticDocQA_healthcare_industry_test_beir",
    "ViDoRe_esg_reports_human_labeled_v2": "vidore/esg_reports_human_labeled_v2",
    "ViDoRe_biomedical_lectures_v2_multilingual": "vidore/biomedical_lectures_v2",
    "ViDoRe_economics_reports_v2_multilingual": "vidore/economics_reports_v2",
    "ViDoRe_esg_reports_v2_multilingual": "vidore/esg_reports_v2",
    **{f"VisRAG_{name}": f"openbmb/VisRAG-Ret-Test-{name}"
       for name in ("ArxivQA", "ChartQA", "MP-DocVQA", "SlideVQA", "InfoVQA", "PlotQA")},
    "ViDoSeek-page": "VLM2Vec/ViDoSeek-page-fixed",
    "ViDoSeek-doc": "VLM2Vec/ViDoSeek",
    "MMLongBench-doc": "VLM2Vec/MMLongBench-doc",
    "MMLongBench-page": "VLM2Vec/MMLongBench-page-fixed",
}  # fmt: skip
PAGE, FIND = (
    "Understand the content of the provided document image.",
    "Find a document image that matches the given query",
)


# 2.3


def image_task(root, profile, key, parser):
    base = folder_of(root, "image-tasks")
    queries, offered = [], []
    for row in rows(root, "image-tasks", "ziyjiang/MMEB_Test_Instruct", key, "test"):
        seen = [f"{base}/{row['qry_img_path']}"]
        to_text = parser in ("image_cls", "image_qa", "image_i2t")
        if profile == "qwen":
            instruction = row["qry_inst"].replace("<|image_1|>", "").strip()
            shown = ("text", []) if parser == "image_t2i" else ("image", seen)
            asked = qwen(instruction, row["qry_text"], *shown)
        elif parser == "image_t2i":
            text = row["qry_inst"].replace("<|image_1|>", IMG) + " " + row["qry_text"] + "\n"
            asked = vlm2vec(text + "\n" if key == "VisDial" else text)
        else:
            instruction = row["qry_inst"].replace("<|image_1|>", "")
            if parser in ("image_qa", "image_i2i_vg"):
                instruction = "\n" + instruction.strip()
            text = process_input_text(instruction, row["qry_text"], IMG).replace(" \n", "\n") + "\n"
            asked = vlm2vec(text, "image", seen)
        if to_text:
            names = row["tgt_text"]
            items = [qwen(text=t) if profile == "qwen" else vlm2vec(t) for t in row["tgt_text"]]
        else:
            pairs = list(zip(row["tgt_img_path"], row["tgt_text"], strict=True))
            names = [p if parser == "image_t2i" else p + ":" + t.strip('"') for p, t in pairs]
            items = [image_target(profile, parser, row, t, [f"{base}/{p}"]) for p, t in pairs]
        queries.append(query(asked, [names[0]], names))
        offered.append(list(zip(names, items, strict=True)))
    return pooled(queries, offered)


def image_target(profile, parser, row, text, files):
    first = row["tgt_text"][0].strip()
    if profile == "qwen":
        if parser == "image_t2i":
            return qwen(text=text.strip(), kind="image", files=files)
        return qwen(text=text if first else "", kind="image", files=files)
    target = row["tgt_inst"].replace("<|image_1|>", "")
    if first:
        return vlm2vec((IMG + " " + target + " " + text).replace(" \n", "\n") + "\n", "image", files)
    ending = "\n" if parser == "image_t2i" else ""
    return vlm2vec((IMG + " " + target).replace(" \n", "\n") + ending, "image", files)


# 2.5


def documents(root, profile, key):
    repo, split = DOCUMENTS[key], ("train" if key.startswith("VisRAG") else "test")
    name = key.removeprefix("ViDoRe_") if key.endswith(("_v2", "_multilingual")) else key
    place = folder_of(root, f"visdoc-tasks/images/{name}", f"visdoc-tasks/{name}")
    mapping = {}
    for row in rows(root, "visdoc-tasks", repo, "qrels", split):
        if row["score"] > 0:
            of_query = mapping.setdefault(row["query-id"], {})
            of_query[row["corpus-id"]] = max(of_query.get(row["corpus-id"], 0), row["score"])
    items = {}
    for file, place_in, row in annotation(root, "visdoc-tasks", repo, "corpus", split):
        path = f"{place}/{page_file(row['corpus-id'], split)}"
        if not os.path.exists(os.path.join(root, path)) and file.endswith(".parquet"):
            path = f"{os.path.relpath(file, root)}#image/{place_in}"
        items[row["corpus-id"]] = page(profile, path)
    queries, offered = [], []
    for row in rows(root, "visdoc-tasks", repo, "queries", split):
        asked = (qwen(FIND + ".", row["query"]) if profile == "qwen"
                 else vlm2vec(process_input_text(FIND + ":", row["query"])))  # fmt: skip
        found = mapping[row["query-id"]]
        queries.append(query(asked, list(found), None, list(found.values())))
        offered.append([(number, items[number]) for number in found])
    return pooled(queries, offered, items.items())


def page(profile, path):
    return qwen(kind="image", files=[path]) if profile == "qwen" else vlm2vec(f"{IMG} {PAGE}", "image", [path])


def page_file(name, split):
    if split == "test":
        return f"{name}.png"
    stem, ext = os.path.splitext(name)
    return f"{stem[:50]}_{hashlib.md5(name.encode('utf-8')).hexdigest()[:8]}{ext}"


def read(root, profile, labels):
    """All 78 tasks below `root`; `labels` is the folder of the class lists."""
    root = str(root)
    tasks = {key: image_task(root, profile, key, parser) for parser, keys in IMAGE.items() for key in keys.split()}
    for key, repo, jsonl, file in (("K700", "VLM2Vec/Kinetics-700", "k700", "kinetics_700"),
                                   ("HMDB51", "VLM2Vec/HMDB51", "hmdb51", "hmdb51"),
                                   ("UCF101", "VLM2Vec/UCF101", "ucf101", "ucf101"),
                                   ("Breakfast", "VLM2Vec/Breakfast", "breakfast", "breakfast")):  # fmt: skip
        tasks[key] = classification(root, profile, key, repo, jsonl, os.path.join(labels, f"{file}.yaml"))
    tasks["SmthSmthV2"] = ssv2(root, profile)
    tasks |= {key: retrieval(root, profile, key) for key in RETRIEVAL}
    tasks |= {key: moment_retrieval(root, profile, key) for key in ("QVHighlight", "Charades-STA")}
    tasks["MomentSeeker"] = momentseeker(root, profile)
    tasks |= {key: answering(root, profile, key) for key in QUESTIONS}
    return tasks | {key: documents(root, profile, key) for key in DOCUMENTS}
