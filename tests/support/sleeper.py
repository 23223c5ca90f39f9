"""A worker that begins a rendition and never ends: arguments as `mediaproxy.storage.encode`'s."""

import sys
import time
from pathlib import Path

from mediaproxy.storage import encode
from mediaproxy.storage.encoders import draft_of

if __name__ == "__main__":
    encode._withdraw()
    draft_of(Path(sys.argv[2])).write_bytes(b"half of it")
    time.sleep(60)
