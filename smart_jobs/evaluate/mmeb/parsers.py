"""Which parser reads which layout of annotations."""

from collections.abc import Callable, Mapping

from smart_jobs.evaluate.mmeb import images, moments, pages, questions, videos
from smart_jobs.evaluate.mmeb.definition import Parser
from smart_jobs.evaluate.mmeb.rows import Parsed
from smart_jobs.evaluate.mmeb.source import Source

PARSERS: Mapping[Parser, Callable[[Source], Parsed]] = {
    "image_cls": images.to_texts,
    "image_qa": images.to_texts,
    "image_i2t": images.to_texts,
    "image_t2i": images.from_text,
    "image_i2i_vg": images.from_image,
    "ssv2": videos.phrases,
    "video_classification": videos.classes,
    "msrvtt": videos.msrvtt,
    "msvd": videos.msvd,
    "didemo": videos.didemo,
    "youcook2": videos.youcook2,
    "vatex": videos.vatex,
    "moment_retrieval": moments.beside_video,
    "momentseeker": moments.momentseeker,
    "videomme": questions.videomme,
    "nextqa": questions.nextqa,
    "egoschema": questions.egoschema,
    "mvbench": questions.mvbench,
    "activitynetqa": questions.activitynetqa,
    "vidore": pages.vidore,
    "visrag": pages.visrag,
}
