"""Find the pages nearest to a query.

python -m pipelines.search --help
"""

import sys

from smart_jobs.cli import main

if __name__ == "__main__":
    sys.exit(main(["search", *sys.argv[1:]]))
