"""Set two evaluations against each other, task by task.

python -m pipelines.compare --help
"""

import sys

from smart_jobs.cli import main

if __name__ == "__main__":
    sys.exit(main(["compare", *sys.argv[1:]]))
