"""For tests of threads."""


class Stopped(BaseException):
    """Like KeyboardInterrupt, but pytest goes on."""
