"""What every family gave for three segments with its tiny checkpoint: a change of a library that changes it is seen.

    python -m tests.goldens

writes tests/goldens/<family>.json again; look at the difference before committing it.
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent / "goldens"


def segments(family):
    """A query, an image and a video or a text beside an image, as far as the family takes them."""
    from seeing import clip, picture, segment

    query = segment("what is the total of 2022?", side="query", instruction="Find the page.")
    if family == "text":
        return [query, segment("the answer"), segment("")]
    side = {"colpali": 56, "clip": 32, "siglip": 32}.get(family)
    shown = picture(side or 64, side or 96) if family in ("qwen3_vl", "lamra") or side else picture(56, 84)
    last = {
        "qwen3_vl": segment("the user", [clip(3), picture(32, 64, 1)]),
        "vlm2vec": segment("the user", [clip(3, 56, 56)]),
        "gme": segment("the user", [shown]),
        "lamra": segment("the user", [shown]),
    }
    return [query, segment(visuals=[shown]), last.get(family, segment("the user"))]


def found(folder, family):
    """What the family's tiny checkpoint in `folder` makes of them now."""
    from seeing import loaded

    model = loaded(folder, family)
    content = []
    for asked, result in zip(segments(family), model.encode(segments(family)), strict=True):
        numbers = {"pooled": result.pooled[:6], "first": result.states[0, :6], "last": result.states[-1, :6]}
        prompt = model._model.prompt(asked)
        content.append(
            {
                "ids": prompt.ids.tolist(),
                "grids": [list(grid) for grid in prompt.grids],
                "states": len(result.states),
                **{name: [round(float(value), 5) for value in values] for name, values in numbers.items()},
            }
        )
    return content


def check(folder, family):
    """Raises AssertionError where a golden file says otherwise: ids and grids exactly, numbers to 2e-4."""
    wanted = json.loads((FOLDER / f"{family}.json").read_text())
    for now, then in zip(found(folder, family), wanted, strict=True):
        assert {key: now[key] for key in ("ids", "grids", "states")} == {
            key: then[key] for key in ("ids", "grids", "states")
        }
        for name in ("pooled", "first", "last"):
            np.testing.assert_allclose(now[name], then[name], atol=2e-4)


def main():
    sys.path.insert(0, str(Path(__file__).parent))
    import tiny_vl

    FOLDER.mkdir(exist_ok=True)
    for family in [*tiny_vl.BUILDERS, "lamra"]:
        with tempfile.TemporaryDirectory() as folder:
            content = found(tiny_vl.checkpoint(Path(folder) / family, family), family)
        lines = ",\n".join(json.dumps(item) for item in content)
        (FOLDER / f"{family}.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
