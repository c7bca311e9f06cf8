"""Run a command and print its seconds, those of the processors, and its peak memory in KiB: for `pairs.ran`.

It is a small process of its own: the peak that Linux reports for a process begins with the memory of the one that
started it (fs/exec.c, exec_mmap, setmax_mm_hiwater_rss).
"""

from __future__ import annotations

import os
import resource
import sys
import time

started = time.perf_counter()
process = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, 2, 1)])
code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
wall = time.perf_counter() - started
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(code, wall, used.ru_utime + used.ru_stime, used.ru_maxrss)
