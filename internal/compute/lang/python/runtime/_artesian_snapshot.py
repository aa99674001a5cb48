"""What happens around a snapshot: the function's hooks, and what must not be the same in two processes that go on from one."""
import os
import sys

import _artesian_twin

WAKE = ord("W")


def hooks(when):
    """What the function has registered, through the library of the name that it has loaded."""
    library = sys.modules.get("snapshot_restore_py")
    return list(getattr(library, "get_" + when)()) if library else []


def suspend(boot):
    """Runs what is to run before a snapshot, says so, and returns when the process goes on from it."""
    for func, args, kwargs in reversed(hooks("before_snapshot")):
        func(*args, **kwargs)
    renew_sqlite = sqlite()
    boot.flush()
    boot.send(b"P")
    data = boot.receive_whole()
    if data is None:
        sys.exit(0)
    if data[0] != WAKE:
        raise RuntimeError("frame %d instead of what wakes this process" % data[0])
    adopt(bytes(data[5:]))
    refresh()
    renew_sqlite()
    boot.configure()
    for func, args, kwargs in hooks("after_restore"):
        func(*args, **kwargs)
    boot.flush()
    boot.send(b"R")


def adopt(payload):
    """Takes over the environment, as it is now: log stream, credentials. What the function has added or taken away stays so."""
    for variable in payload[1:].split(b"\0")[1:-1]:
        name, _, value = variable.partition(b"=")
        os.environb[name] = value


def refresh():
    """Random state, names and ids, in every module that has any of its own and was loaded."""
    loaded = sys.modules.get
    if loaded("random"):
        loaded("random").seed()
    if loaded("ssl"):
        loaded("ssl").RAND_add(os.urandom(64), 64.0)
    _artesian_twin.refresh_used()


def sqlite():
    """What has SQLite draw its random state anew, for randomblob() and random() in SQL: it does so by itself in a process with another number only."""
    try:
        import ctypes
        renew = ctypes.CDLL(sys.modules["_sqlite3"].__file__).sqlite3_randomness
    except (KeyError, ImportError, OSError, AttributeError):  # it was not loaded, or is a part of the interpreter that cannot be called
        return lambda: None
    renew.argtypes = ctypes.c_int, ctypes.c_void_p
    return lambda: renew(0, None)
