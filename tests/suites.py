"""Small benchmarks: in BEIR's layout, with one right answer to each query, and as folders of Parquet files."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from mmeb_making import picture


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


QUERIES = [{"query-id": i, "query": f"question {i}", "language": "fr"} for i in (3, 1, 2)]
PAGES = [{"corpus-id": 10 + i, "image": {"bytes": picture(f"{i}.png"), "path": f"{i}.png"}} for i in range(4)]
QRELS = [(1, 11, 2), (1, 10, 1), (3, 12, 0), (3, 13, 1), (1, 11, 1)]


def write_pages(folder, corpus=PAGES, split="test", qrels=QRELS):
    """Four pages and three questions, of which two are judged; every part in two files."""
    judged = [{"query-id": q, "corpus-id": c, "score": s} for q, c, s in qrels]
    for part, rows in (("corpus", corpus), ("queries", QUERIES), ("qrels", judged)):
        (folder / part).mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(rows[:2]), folder / part / f"{split}-00000-of-00002.parquet")
        pq.write_table(pa.Table.from_pylist(rows[2:]), folder / part / f"{split}-00001-of-00002.parquet")
    return folder
