"""What glibc's malloc is told, so that a compiled step on a CPU gets its memory without asking the system for all of it.

A step of ResNet-20 at 32x32 maps 70,000 pages of 4 KiB, a tenth of its time; or 350 huge ones, which are still zeroed; or none.
"""

import ctypes
import os
import sys

HUGE_PAGES = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}  # read when a process starts

# By their numbers in malloc.h: large arrays from the heap, M_MMAP_MAX; none of which goes back, M_TRIM_THRESHOLD; and one
# heap for all threads, M_ARENA_MAX.
KEEP = {-4: 0, -1: 2**31 - 1, -8: 1}


def use_huge_pages() -> None:
    """Start this process, a command on Linux, again with huge pages. Nothing that takes time to import comes before."""
    is_command = len(sys.argv) > 1 and sys.orig_argv[1 - len(sys.argv) :] == sys.argv[1:]  # not a call from Python
    if is_command and sys.platform == "linux" and not HUGE_PAGES.keys() & os.environ.keys():
        os.environ |= HUGE_PAGES
        os.execv(sys.executable, sys.orig_argv)


def keep() -> None:
    """From now on what this process frees stays with it, for its next step. Before JAX is imported: it starts threads."""
    if sys.platform == "linux" and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)):  # musl has none
        for option, value in KEEP.items():
            mallopt(option, value)
