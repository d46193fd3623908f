"""The generated part of docs/lake.md: every table of smart_jobs/schema.py. `make docs` writes it, a test compares it.

python docs/generate.py
"""

from pathlib import Path

import pyarrow as pa

from smart_jobs import schema
from smart_jobs.schema import Table

PAGE = Path(__file__).parent / "lake.md"
BEGIN = "<!-- made from smart_jobs/schema.py by `make docs` -->\n"
END = "<!-- end of what `make docs` makes -->\n"


def tables() -> str:
    """The tables in the order of commit, then the others, then what is in no lake, as Markdown."""
    others = [table for table in schema.LAKE_TABLES if table not in schema.COMMIT_ORDER]
    order = ", then ".join(table.name for table in schema.COMMIT_ORDER)
    begin = f"Schema version {schema.VERSION}. A commit that touches several tables goes in this order: {order}.\n"
    files = "## Files of a batch search\n\nIn the folder `out=` ([search.md](search.md)); no tables of the lake.\n"
    return "\n".join([begin, *map(section, [*schema.COMMIT_ORDER, *others]), files, *map(section, schema.SEARCH_FILES)])


def section(table: Table) -> str:
    """What a table is for, where it lies, its key, and a line for each column."""
    key = ", ".join(f"`{name}`" for name in table.key)
    head = [f"### {table.name}", "", table.about, ""]
    place = [f"{_place(table)}; key: {key}.", ""]
    columns = ["| column | type | null | meaning |", "|---|---|---|---|"]
    for field in table.columns:
        null = "yes" if field.nullable else ""
        columns.append(f"| `{field.name}` | {kind(field.type)} | {null} | {table.meanings[field.name]} |")
    return "\n".join([*head, *place, *columns, ""])


def _place(table: Table) -> str:
    if table in schema.SEARCH_FILES:
        return "In `part-*.parquet`" if table == schema.HITS else "In `failures-*.parquet`"
    folder = "encoders/<name>-<digest>/" if table in schema.ENCODER_TABLES else ""
    return f"At `<lake>/{folder}{table.name}`"


def kind(found: pa.DataType) -> str:
    """A type as people who read tables call it."""
    if pa.types.is_map(found):
        return f"map&lt;{kind(found.key_type)}, {kind(found.item_type)}&gt;"
    if pa.types.is_list(found):
        return f"list&lt;{kind(found.value_type)}&gt;"
    names = {"float": "float32", "double": "float64", "timestamp[us, tz=UTC]": "timestamp, UTC"}
    return names.get(str(found), str(found))


def page(text: str) -> str:
    """`text` with its generated part made anew."""
    before, rest = text.split(BEGIN)
    return before + BEGIN + "\n" + tables() + "\n" + END + rest.split(END)[1]


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
