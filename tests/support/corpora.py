"""Where the borrowed test data lies; it is read by path and never copied."""

import os
from pathlib import Path

CORPORA = Path(os.environ.get("MEDIAPROXY_CORPORA", "../shared/corpora"))
MISSING = f"no corpora at {CORPORA}: set MEDIAPROXY_CORPORA"
