"""Huge pages for large arrays, for which a process has to be asked before it starts.

A compiled step maps all its memory anew: 70,000 pages of 4 KiB for ResNet-20 at 32x32, a tenth of its time on a CPU.
"""

import os
import sys

ENVIRONMENT = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}  # read when a process starts


def use() -> None:
    """Start this process, a command on Linux, again with huge pages. Nothing that takes time to import comes before."""
    is_command = len(sys.argv) > 1 and sys.orig_argv[1 - len(sys.argv) :] == sys.argv[1:]  # not a call from Python
    if is_command and sys.platform == "linux" and not ENVIRONMENT.keys() & os.environ.keys():
        os.environ |= ENVIRONMENT
        os.execv(sys.executable, sys.orig_argv)
