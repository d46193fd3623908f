"""Decode, encode and commit what is new in a source.

python -m pipelines.ingest --help
"""

import sys

from smart_jobs.cli import main

if __name__ == "__main__":
    sys.exit(main(["ingest", *sys.argv[1:]]))
