"""Build the index over an encoder's pooled vectors.

python -m pipelines.index --help
"""

import sys

from smart_jobs.cli import main

if __name__ == "__main__":
    sys.exit(main(["index", *sys.argv[1:]]))
