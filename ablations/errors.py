"""What a user did wrong or can mend: one message, no traceback."""


class UserError(Exception):
    """The message says what is wrong and what to do; the command line prints it and exits with 2."""

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows: IPython asks an exception for this."""
        return [f"{type(self).__name__}: {self}"]
