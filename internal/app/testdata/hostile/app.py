"""Functions that misbehave, for TestHostile: the event's "do" says how. Without it they answer "fine"."""
import ctypes
import errno
import os
import signal
import socket
import sys
import time
import urllib.error
import urllib.request

CHANNEL = 3
PLATFORM = os.environ["AWS_ENDPOINT_URL"]


def handler(event, context):
    do = event.get("do")
    return globals()[do](event) if do else "fine"


def frame(kind, length, rest=b""):
    return kind + length.to_bytes(4, "big") + rest


def forever():
    while True:
        time.sleep(60)


# --- resources -----------------------------------------------------------------------------------------------------


def fork_bomb(event):
    while True:
        try:
            os.fork()
        except OSError:
            pass


def fill_tmp(event):
    block, written = bytes(1 << 20), 0
    with open("/tmp/fill", "wb", buffering=0) as f:
        try:
            while True:
                written += f.write(block)
        except OSError as e:
            return {"mb": written >> 20, "error": errno.errorcode[e.errno]}


def empty_tmp(event):
    os.unlink("/tmp/fill")
    return "fine"


def flood(event):
    block = (b"x" * 99 + b"\n") * 640
    def lines_per_second(fd, seconds):
        begin, lines = time.monotonic(), 0
        while time.monotonic() - begin < seconds:
            lines += os.write(fd, block) // 100
        return int(lines / (time.monotonic() - begin))
    return {"free": lines_per_second(os.open("/dev/null", os.O_WRONLY), 0.2), "log": lines_per_second(1, event["seconds"])}


def endless_line(event):
    block = b"x" * 65536
    for _ in range(event["mb"] * 16):
        rest = block
        while rest:
            rest = rest[os.write(1, rest):]
    return "fine"


def huge_record(event):
    head = 0xA55A0003.to_bytes(4, "big") + (2 << 30).to_bytes(4, "big") + bytes(8)
    os.write(1, head + b"not two gigabytes\n")
    return "fine"


def open_files(event):
    held = []
    try:
        while True:
            held.append(os.open("/dev/null", os.O_RDONLY))
    except OSError as e:
        event["held"] = len(held)
        return {"files": len(held), "error": errno.errorcode[e.errno]}  # and keeps them


def connect_all(event):
    """Opens connections to the platform from many processes, more than one process may have files."""
    host, port = PLATFORM.rsplit("/", 1)[1].split(":")
    for _ in range(event["processes"]):
        if os.fork() == 0:
            held = []
            try:
                while True:
                    s = socket.socket()
                    held.append(s)
                    s.settimeout(1)
                    s.connect((host, int(port)))
                    s.send(b"GET / HTTP/1.1\r\n")
            except OSError:
                pass
            forever()
    forever()


def spin(event):
    for _ in range(7):
        if os.fork() == 0:
            break
    while True:
        pass


def child_memory(event):
    pid = os.fork()
    if pid == 0:
        held = bytearray(400 << 20)
        forever()
    os.waitpid(pid, 0)
    return "fine"


# --- ends ----------------------------------------------------------------------------------------------------------


def stubborn(event):
    for s in range(1, 65):
        try:
            signal.signal(s, signal.SIG_IGN)
        except (OSError, ValueError):
            pass
    while True:
        time.sleep(1)


def daemonise(event):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for s in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
                signal.signal(s, signal.SIG_IGN)
            for fd in range(3):
                os.close(fd)
            while True:
                pass
        os._exit(0)
    forever()


def kill_all(event):
    for pid in (1, -1):
        try:
            os.kill(pid, signal.SIGKILL)
        except OSError:
            pass
    return "fine"


def crash(event):
    ctypes.string_at(0)


# --- the channel ---------------------------------------------------------------------------------------------------


def close_channel(event):
    os.close(CHANNEL)
    forever()


def garbage(event):
    os.write(CHANNEL, b"\xff" * 1000)
    forever()


def half_answer(event):
    os.write(CHANNEL, frame(b"A", 100, b"\0\0\0\1ha"))
    forever()


def huge_answer(event):
    os.write(CHANNEL, frame(b"A", 2 << 30, b"\0\0\0\1" + b"x" * 1000))
    forever()


def answer_twice(event):
    os.write(CHANNEL, frame(b"A", 4 + len(b'"first"'), (1).to_bytes(4, "big") + b'"first"'))
    return "second"


# --- the neighbourhood ---------------------------------------------------------------------------------------------


def attempt(f, *args):
    try:
        return f(*args)
    except urllib.error.HTTPError as e:
        return e.code
    except OSError as e:
        return errno.errorcode.get(e.errno, str(e))


def connect(host, port):
    socket.create_connection((host, port), 2).close()
    return "connected"


def connect_abstract(name):
    s = socket.socket(socket.AF_UNIX)
    s.connect("\0" + name)
    return "connected"


def read(path):
    with open(path, "rb") as f:
        f.read(1)
    return "read"


def look_around(event):
    post = urllib.request.Request(PLATFORM + "/2015-03-31/functions/neighbour/invocations", b"{}", method="POST")
    return {
        "files": {path: attempt(read, path) for path in event["files"]},
        "folders": {path: attempt(lambda: os.listdir(path) and "listed") for path in event["folders"]},
        "hosts": {host: attempt(connect, host, event["port"]) for host in event["hosts"]},
        "abstract": attempt(connect_abstract, event["abstract"]),
        "pids": sorted(int(p) for p in os.listdir("/proc") if p.isdigit()),
        "me": os.getpid(),
        "signal": [attempt(os.kill, pid, 0) for pid in event["pids"]],
        "health": attempt(lambda: urllib.request.urlopen(PLATFORM + "/_artesian/health").status),
        "unsigned": attempt(lambda: urllib.request.urlopen(post).status),
    }
