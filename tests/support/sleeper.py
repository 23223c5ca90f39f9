"""A worker that begins the first job and never ends it (see `mediaproxy.storage.jobs`)."""

import sys
import time

from mediaproxy.storage import disk, encode, jobs

if __name__ == "__main__":
    encode._withdraw()
    job = jobs.decode(sys.stdin.buffer.readline())
    disk.draft_of(job.target).write_bytes(b"half of it")
    time.sleep(60)
