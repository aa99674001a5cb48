"""What a process does that is a copy of another one, and what a child of a zygote does as well: becoming one of its own."""
import os
import sys
import time


def assignment(data):
    """The working directory, the arguments and the environment of an assignment's frame."""
    directory, *rest = bytes(data[6:]).split(b"\0")[:-1]
    return directory, rest[:data[5]], rest[data[5]:]


def refresh():
    """Makes new what must not be the same in two children and is not renewed by Python at a fork."""
    threading, logging = sys.modules.get("threading"), sys.modules.get("logging")
    set_id = getattr(threading and threading.main_thread(), "_set_native_id", None)
    if set_id:
        set_id()
    if logging:
        start = logging._startTime
        logging._startTime = time.time_ns() if isinstance(start, int) else time.time()


def refresh_used():
    """Makes new what a function may have used already, in the modules that its initialisation has loaded."""
    refresh()
    loaded = sys.modules.get
    if loaded("tempfile"):
        loaded("tempfile")._name_sequence = None
    if loaded("uuid"):
        uuid = loaded("uuid")  # without the C library's, which keeps its state to itself
        uuid._generate_time_safe = uuid._last_timestamp = None
        uuid._node = int.from_bytes(os.urandom(6), "big") | 1 << 40
    if loaded("multiprocessing.process"):
        process = loaded("multiprocessing.process")
        process.current_process().authkey = os.urandom(32)
    if loaded("sqlite3"):  # randomblob() and random() in SQL: its library seeds itself anew where it opens a file in a new process
        loaded("sqlite3").connect("/dev/null").close()
    mtrand = getattr(loaded("numpy.random"), "seed", None)
    if mtrand:
        mtrand()


def divide(channel, receive):
    """Forks, so that all renews itself that does at a fork, tells who the child is, and ends; returns in the child, once that knows
    which variables of its environment are others than its template's."""
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        os.write(channel, b"N\0\0\0\4" + pid.to_bytes(4, "big"))
        os._exit(0)
    os.setsid()
    data = receive()
    if data is None:
        os._exit(0)
    for variable in assignment(data)[2]:
        name, _, value = variable.partition(b"=")
        os.environb[name] = value
    refresh_used()
