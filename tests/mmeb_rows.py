"""Three or so rows for each of MMEB-V2's 78 tasks, with what its real data does to those who read it."""

import hashlib
from dataclasses import dataclass, field

ANSWERS = ["yes", "no", "two", "a river", "on the left", "it is red."]
LONG = "a very long name of a page that is longer than fifty characters and goes on "


@dataclass
class Fabricated:
    """Rows by part of the annotation, images by path, videos by folder with their number of frames (0: no frames)."""

    parts: dict[str, list[dict]]
    images: list[str] = field(default_factory=list)
    videos: dict[str, int] = field(default_factory=dict)


def rows_of(record):
    """What is made up for a task: `record` is its definition."""
    return MADE[record.parser](record)


def _image_query(record, number, text=""):
    said = record.stated["query"]
    token = "" if record.parser == "image_t2i" and record.key not in ("WebQA", "EDIS") else "<|image_1|>\n"
    return {"qry_inst": f"{token}{said}{['', chr(10), ' '][number % 3]}", "qry_text": text,
            "qry_img_path": f"{record.key}/Query_{number}.jpg"}  # fmt: skip


def _to_texts(record):
    rows = []
    for number in range(3):
        if record.parser == "image_cls":
            labels = ["Yes", "No"] if record.key == "HatefulMemes" else [f"{record.key} class {i}" for i in range(3)]
            labels.insert(0, labels.pop(number % len(labels)))
            text = f"A caption, number {number}." if record.key == "N24News" else ""
        else:
            labels = [ANSWERS[(number + i) % len(ANSWERS)] for i in range(3)]
            text = f"{record.key}: what is there?" + (" \nAnd why? \n" if number == 1 else "")
        if record.key == "OK-VQA" and number == 1:
            labels += ["", "yes", " "]
        if record.parser == "image_i2t":
            text = ""
        rows.append({**_image_query(record, number, text), "tgt_inst": "", "tgt_text": labels,
                     "tgt_img_path": [""] * len(labels)})  # fmt: skip
    return Fabricated({"": rows}, [row["qry_img_path"] for row in rows])


def _to_images(record):
    """Four images, of which each row has three: the right one first; the texts of the captioned tasks differ by row."""
    captioned = record.key in ("WebQA", "EDIS", "OVEN", "RefCOCO-Matching")
    quoted = record.key.startswith(("RefCOCO", "MSCOCO"))
    target = record.stated.get("target", "")
    rows = []
    for number in range(3):
        asked = {
            "VisDial": "Q: is it day?\nA: yes\nQ: and where?\nA: outside\n",
            "NIGHTS": "",
        }.get(record.key, f"{record.key} text {number}")
        paths = [f"{record.key}/sub/Image_{(number + i) % 4}.jpg" for i in range(3)]
        texts = [f"about image {(number + i) % 4} of row {number}" if captioned else "" for i in range(3)]
        if quoted and captioned:
            texts = [f'"{text}"' for text in texts]
        if record.key in ("WebQA", "EDIS"):
            texts[number] = [" ", "", "  \n"][number]  # in the first row it is the first: no image is captioned then
        if record.key == "RefCOCO-Matching" and number == 1:
            paths, texts = [*paths, paths[0], paths[0]], [*texts, texts[0], '"another object in it"']
        if record.key == "OVEN" and number == 2:
            texts[1] = ""
        asked = f'"{asked}"' if quoted else asked
        rows.append({**_image_query(record, number, asked), "tgt_inst": f"<|image_1|>\n{target}", "tgt_text": texts,
                     "tgt_img_path": paths})  # fmt: skip
    seen = {path for row in rows for path in row["tgt_img_path"]}
    own = [] if record.parser == "image_t2i" else [row["qry_img_path"] for row in rows]
    return Fabricated({"": rows}, own + sorted(seen))


COUNTS = (3, 65, 5)
"""Frames of the three videos of HMDB51: fewer than any profile takes, more than all, an odd number."""


def _classes(record):
    counts = COUNTS if record.key == "HMDB51" else (3, 9, 4)
    labels = [record.labels[-1], record.labels[2], record.labels[-1]]
    rows = [{"video_id": f"v_{i}.{record.key}", "pos_text": labels[i]} for i in range(3)]
    return Fabricated({"": rows}, videos={row["video_id"]: count for row, count in zip(rows, counts, strict=True)})


def _phrases(record):
    """Ids are numbers; the first is a string where the form allows it."""
    phrases = [f"pushing thing {i} over" for i in range(4)]
    rows = [{"video_id": 70 + i, "pos_text": phrases[i], "neg_text": phrases[i % 2 :]} for i in range(3)]
    return Fabricated({"": rows}, videos={str(row["video_id"]): 4 for row in rows})


def _captions(record):
    rows, folders = [], []
    for i in range(3):
        text, folder = f"{record.key}: somebody does thing {i}", f"{record.key}_{i}"
        rows.append(
            {
                "msrvtt": {"video_id": folder, "video": f"{folder}.mp4", "caption": text},
                "msvd": {"video_id": folder, "video": f"{folder}.avi", "caption": [text, "another caption"]},
                "didemo": {"video": f"test/{folder}.v2.mp4", "caption": text},
                "youcook2": {"id": folder, "video_path": f"x/{folder}.mp4", "sentence": text},
                "vatex": {"videoID": folder, "enCap": [text, "another caption"]},
            }[record.parser]
        )
        folders.append(f"{folder}.v2" if record.parser == "didemo" else folder)
    return Fabricated({"": rows}, videos={folders[0]: 3, folders[1]: 12, folders[2]: 8})


def _moments(record):
    """The third row is about the first one's video again; Charades-STA's second has no clip that is right."""
    rows = [{"query": f"{record.key}: thing {i} happens", "video_path": f"videos/{'aba'[i]}.1.mp4",
             "clips_dir_path": "x"} for i in range(3)]  # fmt: skip
    videos = {}
    for name in ("a.1", "b.1"):
        right = [] if (record.key, name) == ("Charades-STA", "b.1") else ["positive_clip"]
        videos |= {f"{name}/{clip}": 8 for clip in [*right, "negative_clip_0", "negative_clip_2", "negative_clip_10"]}
        videos[f"{name}/query"] = 9
    return Fabricated({"": rows}, videos=videos)


def _momentseeker(record):
    def clips(*names):
        return [{"output_path": f"movie/{name}.mp4", "start": 0.5} for name in names]

    inputs = ["", "films/asked.mp4", "images/set/still.jpg", ""]
    right = [clips("a"), clips("b", "c"), clips("c"), clips("a")]
    wrong = [clips("b", "x"), clips("a"), clips("x", "b"), clips("x")]
    rows = [
        {
            "query": f"find thing {i}",
            "input_frames": inputs[i],
            "positive_frames": right[i],
            "negative_frames": wrong[i],
        }
        for i in range(4)
    ]
    videos = {f"video_frames/movie_{name}": 3 for name in "abcx"} | {"video_frames/films_asked": 5}
    return Fabricated({"": rows}, ["query_images/set/still.jpg"], videos)


def _videomme(record):
    options = ["A. Berries.", "B. yes", "C. A. and B.", "no mark"]
    rows = [{"videoID": f"mme{i}", "question": f"What is eaten in {i}?", "options": options, "answer": "ADC"[i],
             "question_id": f"{i}", "domain": "d", "sub_category": "s"} for i in range(3)]  # fmt: skip
    return Fabricated({"": rows}, videos={row["videoID"]: 4 for row in rows})


def _nextqa(record):
    rows = [{"video": 4740931975 + i, "question": f"why {i}", "answer": i, "qid": i, "type": "TN",
             **{f"a{j}": ANSWERS[(i + j) % 6] for j in range(5)}} for i in range(3)]  # fmt: skip
    rows[2] |= {"a3": "river", "a4": "river"}
    return Fabricated({"": rows}, videos={str(row["video"]): 4 for row in rows})


def _egoschema(record):
    options = [f"{'ABCDE'[j]}. C does {ANSWERS[j]}." for j in range(4)] + ["unmarked"]
    rows = [{"video_idx": f"ego{i}", "question": f"What did C do in {i}?", "option": options, "answer": str(i + 2),
             "question_idx": str(i)} for i in range(3)]  # fmt: skip
    return Fabricated({"": rows}, videos={row["video_idx"]: 4 for row in rows})


def _mvbench(record):
    """One row a set; one answer is none of its candidates, one is two of them."""
    parts, videos = {}, {}
    for i, subset in enumerate(record.config):
        candidates = ANSWERS[: 3 + i % 3]
        if i == 2:
            candidates = ["two", "no", "two"]
        answer = "none of these" if i == 1 else candidates[0]
        parts[subset] = [{"video": f"clip.{i}.mp4", "question": f"which {i % 4}?", "candidates": candidates,
                          "answer": answer}]  # fmt: skip
        videos[f"{subset}/clip.{i}.mp4"] = 3
    return Fabricated(parts, videos=videos)


def _activitynetqa(record):
    rows = [{"video_name": f"anet{i}", "question": f"is it {i}", "answer": ["yes", "no", "yes"][i],
             "question_id": f"q{i}"} for i in range(3)]  # fmt: skip
    return Fabricated({"": rows}, videos={f"v_{row['video_name']}": 4 for row in rows})


def _pages(record):
    """Numbers with gaps, or names longer than a file's; pairs judged twice, and with nothing.

    The graded tasks have ten pages 30 … 39, whose order a set of them changes.
    """
    if record.parser == "visrag":
        ids = [f"{LONG}{i}.{suffix}" for i, suffix in enumerate(("png", "jpg", "jpeg"))] + ["short.png-2"]
        files = [f"{stem[:50]}_{hashlib.md5(name.encode()).hexdigest()[:8]}.{suffix}"
                 for name in ids for stem, _, suffix in [name.rpartition(".")]]  # fmt: skip
    else:
        ids = list(range(30, 40)) if record.graded else [3, 7, 1000 + len(record.key), 0]
        files = [f"{number}.png" for number in ids]
    judged = {0: [(ids[1], 2), (ids[0], 0), (ids[1], 3)], 1: [(ids[2], 1), (ids[3], 1), (ids[2], 1)], 2: [(ids[0], 1)]}
    if record.graded:
        judged[1] = [(number, 3 if number == 35 else 2) for number in ids]
    names = [f"q-{i}" if record.parser == "visrag" else 2 * i + 1 for i in range(3)]
    queries = [
        {"query-id": names[i], "query": f"{record.key}: which page says {i}?", "language": "french"} for i in range(3)
    ]
    qrels = [{"query-id": names[i], "corpus-id": page, "score": score} for i, pairs in judged.items()
             for page, score in pairs]  # fmt: skip
    corpus = [{"corpus-id": name, "image": file} for name, file in zip(ids, files, strict=True)]
    return Fabricated({"queries": queries, "corpus": corpus, "qrels": qrels}, files)


MADE = {
    **dict.fromkeys(("image_cls", "image_qa", "image_i2t"), _to_texts),
    **dict.fromkeys(("image_t2i", "image_i2i_vg"), _to_images),
    **dict.fromkeys(("msrvtt", "msvd", "didemo", "youcook2", "vatex"), _captions),
    **dict.fromkeys(("vidore", "visrag"), _pages),
    "video_classification": _classes,
    "ssv2": _phrases,
    "moment_retrieval": _moments,
    "momentseeker": _momentseeker,
    "videomme": _videomme,
    "nextqa": _nextqa,
    "egoschema": _egoschema,
    "mvbench": _mvbench,
    "activitynetqa": _activitynetqa,
}
