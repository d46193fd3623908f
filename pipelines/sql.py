"""Ask a lake's tables in SQL, or run an analysis of its vectors.

python -m pipelines.sql --help
"""

import sys

from smart_jobs.cli import main

if __name__ == "__main__":
    sys.exit(main(["sql", *sys.argv[1:]]))
