"""Remove an asset from tables and indexes.

python -m pipelines.forget --help
"""

import sys

from smart_jobs.cli import main

if __name__ == "__main__":
    sys.exit(main(["forget", *sys.argv[1:]]))
