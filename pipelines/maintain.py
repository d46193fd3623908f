"""Compact tables, sweep and delete what nothing needs.

python -m pipelines.maintain --help
"""

import sys

from smart_jobs.cli import main

if __name__ == "__main__":
    sys.exit(main(["maintain", *sys.argv[1:]]))
