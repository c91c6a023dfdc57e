"""Process lifetime: ends a child process when its parent ends."""

import ctypes
import os
import signal
import sys
from typing import Final

_LIBC: Final = ctypes.CDLL(None)  # loaded on import, because little is safe between fork and exec
_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h


def end_with_parent(parent: int) -> None:
    """Have the kernel send SIGTERM to this process when the process `parent` ends, however it ends.

    Call it in the child, after the fork. It does nothing on systems other than Linux.
    """
    if sys.platform == "linux":
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it ended before the call, so the signal will not come
            os._exit(1)
