"""What a process does with memory: on Linux with glibc."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="glibc's malloc")


def test_a_command_trains_with_huge_pages_and_a_call_from_python_stays_in_its_process(tmp_path):
    """The variable is read by glibc when a process starts."""
    show = "import os; print(os.environ.get('GLIBC_TUNABLES'), os.getpid())"
    code = "import os, sys; from ablations.system import malloc; malloc.use_huge_pages(); " + show
    clean = {name: value for name, value in os.environ.items() if name != "GLIBC_TUNABLES"}

    def run(*arguments):
        process = subprocess.Popen(
            [sys.executable, "-c", *arguments], env=clean, stdout=subprocess.PIPE, text=True, cwd=tmp_path
        )
        tunables, pid = process.communicate(timeout=60)[0].split()
        assert int(pid) == process.pid, "signals must reach the same process"
        return tunables

    assert run(code, "train") == "glibc.malloc.hugetlb=1"
    assert run("import sys; sys.argv[1:] = ['train']; " + code) == "None"


AGAIN = """
import resource, sys
import numpy as np
from ablations.system import malloc

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.empty(2**24).fill(1)  # 128 MiB, which glibc would map anew each time
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

if sys.argv[1] == "kept":
    malloc.keep()
print(faults(), faults())
"""


def test_memory_that_is_kept_is_not_asked_for_again():
    def run(how):
        return map(int, subprocess.check_output([sys.executable, "-c", AGAIN, how], text=True).split())

    first, again = run("kept")
    assert first > 10 and again == 0
    first, again = run("mapped")
    assert first > 10 and again > 10
