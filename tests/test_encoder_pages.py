"""docs/encoders.md says of every encoder what its YAML says."""

from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
YAMLS = sorted((ROOT / "conf" / "encoder").glob("*.yaml"))


@pytest.mark.parametrize("path", YAMLS, ids=lambda path: path.stem)
def test_the_table_has_every_encoder_with_its_size_and_licence(path):
    told = yaml.safe_load(path.read_text())
    [row] = [
        line
        for line in (ROOT / "docs" / "encoders.md").read_text().splitlines()
        if line.startswith(f"| `{path.stem}` ")
    ]
    cells = [cell.strip() for cell in row.replace("\\|", "¦").split("|")[1:-1]]
    assert told.get("model", "a folder") in cells[1] or cells[1].startswith("a folder")
    assert told.get("licence", cells[2]) == cells[2]
    assert told.get("dim", 384) == int(cells[4].replace(",", ""))
    tokens = told.get("letter_tokens")
    assert cells[5] == (f"{tokens:,} tokens" if tokens else "its text")
    video = (told.get("sampling") or {}).get("video", {"as_images": True})
    assert ("videos" in cells[3]) == (not video.get("as_images", False))
