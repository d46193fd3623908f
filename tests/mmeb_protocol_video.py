"""Section 2.4 of the protocol: the video tasks in the second reading of MMEB-V2 (`mmeb_protocol`)."""

import os

import yaml
from mmeb_protocol_items import (
    IMG,
    VID,
    folder_of,
    natural,
    pooled,
    process_input_text,
    process_video_frames,
    query,
    qwen,
    rows,
    vlm2vec,
)

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
    jsonl = "youcook2-val" if key == "YouCook2" else key.lower()
    place = folder_of(root, f"video-tasks/frames/video_ret/data/ziyan/video_retrieval/{key}/frames",
                      f"video-tasks/frames/video_ret/{key}", f"video-tasks/frames/{key}",
                      f"video-tasks/frames/data/ziyan/video_retrieval/{key}/frames")  # fmt: skip
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
