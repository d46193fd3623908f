"""Show which tokens of a query met which of a segment.

python -m pipelines.explain --help
"""

import sys

from smart_jobs.cli import main

if __name__ == "__main__":
    sys.exit(main(["explain", *sys.argv[1:]]))
