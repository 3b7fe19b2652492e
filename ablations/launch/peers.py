"""The other processes of a run of several: whether this one ended because one of them is gone.

How that shows depends on what it did just then. A collective in Gloo or NCCL fails, at once, when a connection breaks; a call
of JAX's coordination service fails as unavailable; and where nothing fails by itself, that service ends the process, at
once or when the other was silent for `distributed.lost_seconds`. Liveness alone, which is what that service watches, would
say it no sooner than after that time.
"""

import re
import signal
import traceback

GO_ON = "what was finished is kept; start all processes again, as many or others, to go on from the last checkpoint"

ANOTHER_LOST = f"another process of this run was lost; {GO_ON}"

UNAVAILABLE = 14  # of absl::StatusCode, which XLA's errors have

# Text, because there is no more: XLA hands on errors of Gloo and NCCL with the code UNKNOWN or INTERNAL, or as a
# ValueError where NumPy asks for the array. Gloo names the source file, of its transport where a connection broke;
# the words of NCCL are those of ncclRemoteError.
BROKEN_CONNECTION = re.compile(
    r"Gloo .* failed: \[\S*gloo/transport/|NCCL .*: remote process exited or there was a network error"
)

# Text again: the service ends a process with SIGABRT, as every failed check of XLA does. xla/pjrt/distributed/client.h
ENDED_BY_JAX = "Terminating process because the JAX distributed service detected fatal errors"


def was_lost(error: BaseException) -> bool:
    """Whether this error, or one that led to it, says that another process is gone."""
    import jax

    at = error
    while at is not None:
        if isinstance(at, jax.errors.JaxRuntimeError) and getattr(at, "error_code", None) == UNAVAILABLE:
            return True
        if BROKEN_CONNECTION.search(str(at)):
            return True
        at = at.__cause__ or at.__context__
    return False


def was_ended(code: int, said: str) -> bool:
    """Whether a process with this exit code, and these last words, was ended because another one is gone."""
    return code == -signal.SIGABRT and ENDED_BY_JAX in said


def summary(error: BaseException) -> str:
    """The line with which a traceback ends."""
    return traceback.format_exception_only(error)[0].splitlines()[0]


def reason(error: BaseException) -> str:
    """Why a process of several ended with this error, in a line."""
    return ANOTHER_LOST if was_lost(error) else summary(error)
