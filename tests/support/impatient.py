"""A worker that waits for the next job for a tenth of a second only."""

import sys

from mediaproxy.storage import encode

if __name__ == "__main__":
    encode.IDLE_S = 0.1  # type: ignore[misc]  # here it is another
    sys.exit(encode.main())
