"""What a processor's file says of colours. The layout of patches is compared with the processors' in each family."""

import json

import numpy as np
import pytest
import torch
from seeing import clip

from smart_jobs.encode import patches
from smart_jobs.encode.patches import Patching
from smart_jobs.records import JobError

SAID = {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6]}


@pytest.mark.parametrize(
    ("name", "content"),
    [("preprocessor_config.json", SAID), ("processor_config.json", {"image_processor": SAID, "image_seq_length": 4})],
)
def test_colours_are_read_from_the_older_and_the_newer_file(tmp_path, name, content):
    (tmp_path / name).write_text(json.dumps(content))
    assert patches.statistics(tmp_path) == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))


@pytest.mark.parametrize("content", [None, {}, {"image_mean": [0.5] * 3}])
def test_a_folder_that_says_nothing_of_colours_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "preprocessor_config.json").write_text(json.dumps(content))
    with pytest.raises(JobError, match="with image_mean and image_std: not an image encoder"):
        patches.statistics(tmp_path)


def test_a_patch_lies_where_it_lay():
    """By a loop over tokens, the patches of each, colours, frames and rows."""
    patching = Patching(4, 2, 2, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
    video = clip(3, 16, 24).pixels
    frames = [video[0], video[1], video[2], video[2]]
    wanted = []
    for t in range(2):
        for row in range(2):
            for column in range(3):
                for inner in range(4):
                    top, left = 8 * row + 4 * (inner // 2), 8 * column + 4 * (inner % 2)
                    cut = np.stack([frame[top : top + 4, left : left + 4] for frame in frames[2 * t : 2 * t + 2]])
                    scaled = (cut / 255 - np.array(patching.mean)) / np.array(patching.std)
                    wanted.append(scaled.transpose(3, 0, 1, 2).reshape(-1))
    assert patching.grid(video.shape) == (2, 4, 6)
    assert patching.tokens(video.shape) == (2, 2, 3)
    np.testing.assert_allclose(patching.cut(torch.from_numpy(video)), wanted, atol=1e-5)
