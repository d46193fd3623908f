"""A small benchmark in BEIR's layout, with one right answer to each query."""

import json
from pathlib import Path


def write_suite(folder: Path) -> Path:
    """Five queries over five documents, each about something of its own."""
    subjects = ["rivers", "bridges", "engines", "gardens", "harbours"]
    (folder / "qrels").mkdir(parents=True)
    for name, text in (("queries", "about {}"), ("corpus", "A text about {0}, and {0} only.")):
        lines = [json.dumps({"_id": subject, "text": text.format(subject)}) for subject in subjects]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    judged = "".join(f"{name}\t{name}\t1\n" for name in subjects)
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + judged)
    return folder
