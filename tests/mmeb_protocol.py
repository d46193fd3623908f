"""MMEB-V2 read once more, slowly and by the book: the protocol's own sentences, one dataset at a time.

`read(root, profile, labels)` gives {task: {"queries": [...], "candidates": {name: item}}} of plain values. An item is
{"kind", "system", "text", "files"}: in the profile qwen `system` is what the system's turn says and `text` the user's;
in vlm2vec `text` is the whole prompt with its placeholders. `files` are relative to the root; a folder without frames
stands for itself. A query has its item's keys, "labels", "grades" (None: all alike) and "candidates" (None: the whole
pool).
"""

import glob
import hashlib
import json
import os
import re
import unicodedata

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

IMG, VID = "<|image_pad|>", "<|video_pad|>"
DEFAULT = "Represent the user's input."

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
MVBENCH = [
    "episodic_reasoning", "action_sequence", "action_prediction", "action_antonym", "fine_grained_action",
    "unexpected_action", "object_existence", "object_interaction", "object_shuffle", "moving_direction",
    "action_localization", "scene_transition", "action_count", "moving_count", "moving_attribute", "state_change",
    "fine_grained_pose", "character_order", "egocentric_navigation", "counterfactual_inference",
]  # fmt: skip
SAME = {
    "K700": "Recognize the category of the video content.",
    "SmthSmthV2": "What actions or object interactions are being performed by the person in the video?",
    "UCF101": "What activities or sports are being performed by the person in the video?",
    "HMDB51": "What actions or objects interactions are the person in the video doing?",
    "Breakfast": "Recognize the breakfast type that the person is cooking in the video. ",
}
RETRIEVAL = {
    "MSR-VTT": "Find a video that contains the following visual content",
    "MSVD": "Find the video snippet that corresponds to the given summary",
    "DiDeMo": "Find a video that includes the following described scenes",
    "YouCook2": "Find a video that demonstrates the following action while making a recipe",
    "VATEX": "Select a video that fits the description provided",
}
MOMENT = "Find the clip that corresponds to the described scene in the given video"
SEEKER = {
    "text": "Find the clip that corresponds to the given text",
    "image": "Select the video clip that aligns with the given text and image",
    "video": "Find the clip that corresponds to the given sentence and video segment",
}
QA = ("Given a video and a question, select the most accurate answer from the provided candidates. Return only the "
      "exact text of your chosen answer.")  # fmt: skip
VIDEO, CLIP = "Understand the content of the provided video.", "Understand the content of the provided video clip."
PAGE, FIND = (
    "Understand the content of the provided document image.",
    "Find a document image that matches the given query",
)


# Files


def table(path):
    if path.endswith(".parquet"):
        return pq.read_table(path).to_pylist()
    if path.endswith(".arrow"):
        with pa.ipc.open_stream(path) as stream:
            return stream.read_all().to_pylist()
    with open(path) as file:
        return json.load(file) if path.endswith(".json") else [json.loads(line) for line in file]


def annotation(root, area, repo, config, split, jsonl=None):
    """(file, place in it, row) of every row, wherever it lies."""
    name, sub = repo.split("/")[1], [config] if config else []
    places = [[area, name], [area], [repo], [area, "data", name]]
    patterns = [os.path.join(root, *p, *sub, *d, f"{split}-*.parquet") for p in places for d in ([], ["data"])]
    patterns += [os.path.join(root, *p, *sub, split, "*.parquet") for p in places]
    patterns += [os.path.join(root, area, name, "json", f"{config}.json")]
    patterns += [os.path.join(root, area, "data", f"{jsonl}.jsonl")] if jsonl else []
    patterns += [os.path.join(root, "annotation", repo, *sub, *d, "data-*.arrow") for d in ([], [split])]
    files = next(found for pattern in patterns if (found := sorted(glob.glob(pattern))))
    return [(file, place, row) for file in files for place, row in enumerate(table(file))]


def rows(*args):
    return [row for _, _, row in annotation(*args)]


def folder_of(root, *candidates):
    return next((path for path in candidates if os.path.isdir(os.path.join(root, path))), candidates[0])


def natural(name):
    return [int(part) if part.isdigit() else part.lower() for part in re.split(r"(\d+)", name)]


def load_frames(root, folder):
    absolute = os.path.join(root, folder)
    names = os.listdir(absolute) if os.path.isdir(absolute) else []
    names = sorted((n for n in names if n.lower().endswith((".jpg", ".jpeg", ".png"))), key=natural)
    return [f"{folder}/{name}" for name in names]


def process_video_frames(root, folder, k):
    frames = load_frames(root, folder)
    if k is not None and k <= len(frames):
        frames = [frames[i] for i in np.linspace(0, len(frames) - 1, k, dtype=int)]
    return frames or [folder]


# Items


def system(instruction):
    """2.6: stripped, `.` behind it unless its last character is punctuation; none: the default."""
    instruction = instruction.strip()
    if instruction and not unicodedata.category(instruction[-1]).startswith("P"):
        instruction += "."
    return instruction or DEFAULT


def qwen(instruction="", text="", kind="text", files=()):
    return {"kind": kind, "system": system(instruction), "text": text, "files": list(files)}


def vlm2vec(prompt, kind="text", files=()):
    return {"kind": kind, "system": None, "text": prompt, "files": list(files)}


def process_input_text(instruction, text="", token=""):
    """4, 2.4: token, space, instruction, and space and text where there is one."""
    prompt = instruction + (" " + text if text else "")
    return token + " " + prompt if token else prompt


def query(item, labels, candidates=None, grades=None):
    return {**item, "labels": labels, "candidates": candidates, "grades": grades}


def pooled(queries, offered, corpus=()):
    """2.1: queries in row order, then the corpus; the first of a name wins."""
    pool = {}
    for name, item in [pair for row in offered for pair in row] + list(corpus):
        pool.setdefault(name, item)
    return {"queries": queries, "candidates": pool}


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


# 2.4


def video_side(profile, instruction, text, frames, final=""):
    """A video with instruction and text; `final`: the mark that differs."""
    if profile == "qwen":
        return qwen(instruction + final.replace(":", "."), text, "video", frames)
    return vlm2vec(process_input_text(instruction + final, text, VID), "video", frames)


def video_candidate(profile, frames, target=VIDEO):
    return qwen(kind="video", files=frames) if profile == "qwen" else vlm2vec(f"{VID} {target}", "video", frames)


def text_candidate(profile, text):
    return qwen(text=text) if profile == "qwen" else vlm2vec(text)


def frames_of(profile):
    return 64 if profile == "qwen" else 8


def classification(root, profile, key, repo, jsonl, labels):
    place = folder_of(root, f"video-tasks/frames/video_cls/{key}", f"video-tasks/frames/{key}")
    queries, offered = [], []
    for row in rows(root, "video-tasks", repo, None, "test", jsonl):
        frames = process_video_frames(root, f"{place}/{row['video_id']}", frames_of(profile))
        queries.append(query(video_side(profile, SAME[key], "", frames), [row["pos_text"]]))
        offered.append([(row["pos_text"], text_candidate(profile, row["pos_text"]))])
    with open(labels) as file:
        names = yaml.safe_load(file)["labels"]
    return pooled(queries, offered, [(name, text_candidate(profile, name)) for name in names])


def ssv2(root, profile):
    place = folder_of(root, "video-tasks/frames/video_cls/SSv2", "video-tasks/frames/SSv2")
    queries, offered = [], []
    for row in rows(root, "video-tasks", "VLM2Vec/SmthSmthV2", None, "test", "ssv2")[:1000]:
        frames = process_video_frames(root, f"{place}/{row['video_id']}", frames_of(profile))
        asked = video_side(profile, SAME["SmthSmthV2"], "", frames)
        queries.append(query(asked, [row["pos_text"]], row["neg_text"]))
        offered.append([(text, text_candidate(profile, text)) for text in row["neg_text"]])
    return pooled(queries, offered)


def retrieval(root, profile, key):
    config, split = ("test_1k" if key == "MSR-VTT" else None), ("val" if key == "YouCook2" else "test")
    jsonl = {"MSR-VTT": "msr-vtt", "MSVD": "msvd", "DiDeMo": "didemo", "YouCook2": "youcook2-val", "VATEX": "vatex"}[
        key
    ]
    place = folder_of(root, f"video-tasks/frames/video_ret/data/ziyan/video_retrieval/{key}/frames",
                      f"video-tasks/frames/video_ret/{key}", f"video-tasks/frames/{key}")  # fmt: skip
    repo = "lmms-lab/YouCook2" if key == "YouCook2" else f"VLM2Vec/{key}"
    queries, offered = [], []
    for row in rows(root, "video-tasks", repo, config, split, jsonl):
        name, caption = {
            "MSR-VTT": lambda row: (row["video_id"], row["caption"]),
            "MSVD": lambda row: (row["video_id"], row["caption"][0]),
            "DiDeMo": lambda row: (os.path.splitext(os.path.basename(row["video"]))[0], row["caption"]),
            "YouCook2": lambda row: (row["id"], row["sentence"]),
            "VATEX": lambda row: (row["videoID"], row["enCap"][0]),
        }[key](row)
        asked = (qwen(RETRIEVAL[key] + ".", caption) if profile == "qwen"
                 else vlm2vec(process_input_text(RETRIEVAL[key] + ":", caption)))  # fmt: skip
        frames = process_video_frames(root, f"{place}/{name}", frames_of(profile))
        queries.append(query(asked, [name]))
        offered.append([(name, video_candidate(profile, frames))])
    return pooled(queries, offered)


def moment_retrieval(root, profile, key):
    """The names are absolute paths in the reference, here relative; its order is that of os.listdir, here natural."""
    place = folder_of(root, f"video-tasks/frames/video_mret/{key}",
                      f"video-tasks/frames/video_mret/{key.replace('-', '_')}",
                      f"video-tasks/frames/{key}")  # fmt: skip
    queries, offered = [], []
    for row in rows(root, "video-tasks", f"VLM2Vec/{key}", None, "test", key.lower().replace("-", "_")):
        video = f"{place}/{os.path.splitext(os.path.basename(row['video_path']))[0]}"
        here = sorted(os.listdir(os.path.join(root, video)), key=natural)
        clips = [f"{video}/{n}" for n in here if n != "query" and os.path.isdir(os.path.join(root, video, n))]
        labels = [clip for clip in clips if os.path.basename(clip).startswith("positive")]
        frames = process_video_frames(root, f"{video}/query", frames_of(profile))
        asked = video_side(profile, MOMENT, row["query"], frames, final=":")
        queries.append(query(asked, labels, clips))
        offered.append([(clip, video_candidate(profile, process_video_frames(root, clip, 8))) for clip in clips])
    return pooled(queries, offered)


def momentseeker(root, profile):
    place = folder_of(root, "video-tasks/frames/video_mret/MomentSeeker", "video-tasks/frames/MomentSeeker")
    queries, offered = [], []
    for row in rows(root, "video-tasks", "VLM2Vec/MomentSeeker", None, "test", "momentseeker_1k6"):
        given = row["input_frames"]
        if given.endswith(".mp4"):
            name = given.split(".mp4")[0].replace("/", "_")
            kind, token, files = "video", VID, process_video_frames(root, f"{place}/video_frames/{name}", None)
        elif given.endswith(".jpg"):
            kind, token, files = "image", IMG, [f"{place}/query_{given}"]
        else:
            kind, token, files = "text", "", []
        asked = (qwen(SEEKER[kind] + ".", row["query"], kind, files) if profile == "qwen"
                 else vlm2vec(process_input_text(SEEKER[kind] + ":", row["query"], token), kind, files))  # fmt: skip
        names = [[entry["output_path"].replace("/", "_").split(".mp4")[0] for entry in row[side]]
                 for side in ("positive_frames", "negative_frames")]  # fmt: skip
        clips = [[f"{place}/video_frames/{name}" for name in side] for side in names]
        queries.append(query(asked, clips[0], clips[0] + clips[1]))
        offered.append([(clip, video_candidate(profile, process_video_frames(root, clip, None), CLIP))
                        for clip in clips[0] + clips[1]])  # fmt: skip
    return pooled(queries, offered)


def qa_template(question, candidates, answer):
    text, options, index = f"{question}\nOptions:\n", [], -1
    for i, candidate in enumerate(candidates):
        options.append(f"({chr(ord('A') + i)}) {candidate}")
        text += options[-1] + "\n"
        if candidate == answer:
            index = i
    return text.rstrip(), options, f"({chr(ord('A') + index)}) {answer}"


def question(profile, text, frames):
    """VLM2Vec: token, space, prompt, space, question: two spaces, since the prompt ends with one."""
    return (
        qwen(QA, text, "video", frames)
        if profile == "qwen"
        else vlm2vec(f"{VID} {QA} Question:  {text}", "video", frames)
    )


def answering(root, profile, key):
    place = folder_of(root, f"video-tasks/frames/video_qa/{'egoschema' if key == 'EgoSchema' else key}",
                      f"video-tasks/frames/video_qa/{key}",
                      f"video-tasks/frames/{'egoschema' if key == 'EgoSchema' else key}")  # fmt: skip
    config = {"NExTQA": "MC", "EgoSchema": "Subset"}.get(key)
    if key == "MVBench":
        data = [({"subset": subset, **row}) for subset in MVBENCH
                for row in rows(root, "video-tasks", "VLM2Vec/MVBench", subset, "train", "mvbench")
                if row.get("subset", subset) == subset]  # fmt: skip
    else:
        data = rows(root, "video-tasks", f"VLM2Vec/{key}", config, "test", key.lower())
    queries, offered = [], []
    for row in data:
        text, video, names, texts, label = QUESTIONS[key](profile, row)
        frames = process_video_frames(root, f"{place}/{video}", frames_of(profile))
        queries.append(query(question(profile, text, frames), [label], names))
        offered.append([(name, text_candidate(profile, said)) for name, said in zip(names, texts, strict=True)])
    return pooled(queries, offered)


def cut(option):
    return option[option.find(". ") :].strip(". ")


def video_mme(profile, row):
    options = row["options"]
    texts = [o.strip(". ") if profile == "qwen" and ". " not in o else cut(o) for o in options]
    text = row["question"] + "\n" + "\n".join(options)
    return text, row["videoID"], options, texts, options["ABCD".index(row["answer"])]


def ego_schema(profile, row):
    options = row["option"]
    text = row["question"] + (" " if profile == "qwen" else "") + " ".join(options)
    return text, row["video_idx"], options, [cut(option) for option in options], options[int(row["answer"])]


def next_qa(profile, row):
    raw = [row[f"a{i}"] for i in range(5)]
    text, lettered, _ = qa_template(row["question"], raw, row["answer"])
    options = lettered if profile == "qwen" else raw
    return text, row["video"], options, options, options[row["answer"]]


def mv_bench(profile, row):
    text, options, label = qa_template(row["question"], row["candidates"], row["answer"])
    return text, f"{row['subset']}/{row['video']}", options, options, label


def activity_net(profile, row):
    return row["question"] + "? (A) yes; (B) no.", f"v_{row['video_name']}", ["yes", "no"], ["yes", "no"], row["answer"]


QUESTIONS = {"Video-MME": video_mme, "EgoSchema": ego_schema, "NExTQA": next_qa, "MVBench": mv_bench,
             "ActivityNetQA": activity_net}  # fmt: skip


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
