"""What the second reading of MMEB-V2 (`mmeb_protocol`) reads and makes: annotations, frames, items, pools."""

import glob
import json
import os
import re
import unicodedata

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

IMG, VID = "<|image_pad|>", "<|video_pad|>"
DEFAULT = "Represent the user's input."


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
