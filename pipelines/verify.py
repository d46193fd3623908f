"""Prove or disprove that a lake is whole.

python -m pipelines.verify --help
"""

import sys

from smart_jobs.cli import main

if __name__ == "__main__":
    sys.exit(main(["verify", *sys.argv[1:]]))
