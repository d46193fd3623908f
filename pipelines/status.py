"""Say what a lake holds.

python -m pipelines.status --help
"""

import sys

from smart_jobs.cli import main

if __name__ == "__main__":
    sys.exit(main(["status", *sys.argv[1:]]))
