"""Options of glibc's malloc, so that a compiled step on a CPU need not get all its memory from the system each time.

A step of ResNet-20 at 32x32 maps 70,000 pages of 4 KiB, which takes a tenth of its time; or 350 huge pages, which the
system still fills with zeros; or none.
"""

import ctypes
import os
import sys

HUGE_PAGES = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}  # read when a process starts

# By their numbers in malloc.h. M_MMAP_MAX: large arrays come from the heap; M_TRIM_THRESHOLD: the heap never shrinks;
# M_ARENA_MAX: all threads share one heap.
KEEP = {-4: 0, -1: 2**31 - 1, -8: 1}


def use_huge_pages() -> None:
    """Restart this process, a command on Linux, with huge pages. Call it before slow imports."""
    is_command = (
        len(sys.argv) > 1 and sys.orig_argv[1 - len(sys.argv) :] == sys.argv[1:]
    )  # not a call from a Python program
    if is_command and sys.platform == "linux" and not HUGE_PAGES.keys() & os.environ.keys():
        os.environ |= HUGE_PAGES
        os.execv(sys.executable, sys.orig_argv)


def keep() -> None:
    """Keep the memory that this process frees, for its next step. Call it before JAX is imported, which starts threads."""
    if sys.platform == "linux" and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)):  # musl has none
        for option, value in KEEP.items():
            mallopt(option, value)
