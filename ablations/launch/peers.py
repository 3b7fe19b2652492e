"""The other processes of a run of several: whether this one ended because one of them is gone.

How that shows depends on what this process was doing. A collective in Gloo or NCCL fails at once when a connection
breaks. A call to JAX's coordination service fails as unavailable. If nothing fails, that service ends this process,
either at once or when the other has been silent for `distributed.lost_seconds`. Watching whether the others live,
as that service does, would take that long every time.
"""

import re
import signal
import traceback

GO_ON = "what was finished is kept; start all processes again, in any number, to go on from the last checkpoint"
ANOTHER_LOST = f"another process of this run was lost; {GO_ON}"

UNAVAILABLE = 14  # in absl::StatusCode, whose codes XLA's errors carry

# Only the text tells: XLA passes errors of Gloo and NCCL on with the code UNKNOWN or INTERNAL, or as a ValueError if
# NumPy asks for the array. Gloo names the source file, which is in its transport if a connection broke; the words of
# NCCL are those of ncclRemoteError.
BROKEN_CONNECTION = re.compile(
    r"Gloo .* failed: \[\S*gloo/transport/|NCCL .*: remote process exited or there was a network error"
)

# Text again: the service ends a process with SIGABRT, as any failed check of XLA does. xla/pjrt/distributed/client.h
ENDED_BY_JAX = "Terminating process because the JAX distributed service detected fatal errors"


def was_lost(error: BaseException) -> bool:
    """Whether this error, or one that caused it, means that another process is gone."""
    import jax

    cause = error
    while cause is not None:
        if isinstance(cause, jax.errors.JaxRuntimeError) and getattr(cause, "error_code", None) == UNAVAILABLE:
            return True
        if BROKEN_CONNECTION.search(str(cause)):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def was_ended(code: int, output: str) -> bool:
    """Whether a process with this exit code and this output was ended because another one is gone."""
    return code == -signal.SIGABRT and ENDED_BY_JAX in output


def summary(error: BaseException) -> str:
    """The last line of the error's traceback."""
    return traceback.format_exception_only(error)[0].splitlines()[0]


def reason(error: BaseException) -> str:
    """Why one of several processes ended with this error, in one line."""
    return ANOTHER_LOST if was_lost(error) else summary(error)
