"""The process from which Python functions are forked.

It loads what functions often import and the platform can vouch for, and then forks at the platform's request. A request,
over descriptor 3, is a length in four bytes (big endian), with which the descriptors come that are the program's first
registers, and a program in the form of package sandbox/container/stage0. Register 0 is the socket for reports, register 2
the sandbox's pid namespace. Nothing of a function's is ever read or run here: its code is not visible.
"""
import _artesian_errors  # noqa: F401
import _artesian_logging  # noqa: F401
import _sitebuiltins  # noqa: F401
import ctypes
import gc
import json
import os
import select
import signal
import socket
import struct
import sys
import time

from _artesian_twin import assignment, refresh

CHANNEL = 3
PID_NAMESPACE = 2  # a register
CALL, FORK = 0, 1  # kinds of a step
SPAWNED, FAILED = 0, 1  # kinds of a report
OP_CLONE, OP_ENTER = 0xFFFF0000, 0xFFFF0006
NONE = 0xFF  # no register
SYS_CLONE3 = 435
CLONE_NEWPID, CLONE_INTO_CGROUP = 0x20000000, 0x200000000
HEADER, OP, MESSAGE = struct.Struct("=IIQIIII"), struct.Struct("=BBBBI6q"), struct.Struct("=IIqqq")
CLONE_ARGS = struct.Struct("=11Q")

# Loaded before any function is known, in this order. What a plain start does not have, a function's import finds here.
STANDARD = """
    abc base64 binascii bisect calendar collections.abc concurrent.futures.thread contextlib copy csv dataclasses datetime
    decimal email.message email.parser email.utils enum functools getpass glob gzip hashlib heapq hmac html http.client
    http.cookiejar importlib.metadata inspect io itertools json locale logging math mimetypes numbers operator
    os.path pathlib pickle platform posixpath pprint queue random re secrets select shutil signal socket ssl stat string
    struct subprocess tempfile textwrap threading time traceback types typing unicodedata urllib.parse urllib.request uuid
    warnings weakref xml.etree.ElementTree zipfile zlib zoneinfo asyncio
""".split()
PACK = """
    boto3 boto3.session botocore.session botocore.client botocore.httpsession botocore.auth botocore.endpoint
    botocore.paginate botocore.waiter botocore.signers botocore.credentials boto3.resources.factory s3transfer
    boto3.s3.inject boto3.s3.transfer boto3.dynamodb.conditions dateutil.parser dateutil.tz
""".split()

libc = ctypes.PyDLL(None, use_errno=True)
syscall = libc.syscall
syscall.argtypes, syscall.restype = [ctypes.c_long] * 7, ctypes.c_long


def number(name):
    """The number of a system call that differs between architectures."""
    return {"x86_64": {"setns": 308, "rt_sigaction": 13}}.get(os.uname().machine, {"setns": 268, "rt_sigaction": 134})[name]


def call(nr, *args):
    """Makes a system call and returns its result, or minus the errno."""
    result = syscall(nr, *(args + (0,) * (6 - len(args))))
    return result if result != -1 else -ctypes.get_errno()


# --- what is loaded -----------------------------------------------------------------------------------------------


def open_files():
    files = []
    for name in os.listdir("/proc/self/fd"):
        try:
            os.fstat(int(name))
            files.append(int(name))
        except OSError:  # the listing's own
            pass
    return files


def harm():
    """What keeps this process from forking as if nothing had happened; nothing if nothing does."""
    threads = len(os.listdir("/proc/self/task"))
    if threads != 1:
        return "it leaves %d threads running" % (threads - 1)
    files = [f for f in open_files() if f > CHANNEL]
    if files:
        return "it leaves descriptors %s open" % files
    return trial()


def trial(seconds=5):
    """Forks once: the child must come out of it alive, and soon."""
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(w, b"1")
        os._exit(0)
    os.close(w)
    alive = bool(select.select([r], [], [], seconds)[0]) and os.read(r, 1) == b"1"
    os.close(r)
    if not alive:
        os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return None if alive else "a child forked from it does not live"


def load(names, without):
    """Imports modules but those of without. Returns the first that does harm, with the reason."""
    for name in names:
        if any(name == w or name.startswith(w + ".") for w in without):
            continue
        try:
            __import__(name)
        except ImportError:  # this version or this pack does not have it
            pass
        except BaseException as e:
            return name, "it raised %s" % type(e).__name__
        reason = harm()
        if reason:
            return name, reason
    return None


def preload(without, pack):
    """Loads what there is, and remembers what the pack's modules are, so that a function with its own gets those."""
    global own
    bad = load(STANDARD, without)
    if bad:
        return bad
    import warnings

    before, meta_path, filters = set(sys.modules), list(sys.meta_path), list(warnings.filters)
    bad = load(PACK, without)
    try:
        tops = {n[:-3] if n.endswith(".py") else n for n in os.listdir(pack)}
    except OSError:
        tops = set()
    names = [m for m in sys.modules if m not in before and m.split(".")[0] in tops]
    own = names, {m.split(".")[0] for m in names}, meta_path, filters
    return bad


own = [], set(), [], []  # the pack's modules that are loaded, and their packages; the finders and the filters of warnings before


def shadows(folder, names):
    """Whether an import would find one of the names in a folder."""
    try:
        entries = os.listdir(folder)
    except OSError:
        return False
    for entry in entries:
        name, dot, rest = entry.partition(".")
        if name in names and (rest in ("py", "pyc") or entry.endswith(".so") or not dot and any(
                os.path.exists("%s/%s/__init__.%s" % (folder, name, end)) for end in ("py", "pyc"))):
            return True
    return False


def unload_shadowed(folders):
    """Forgets the pack's modules if the function brings one of them itself: they belong together."""
    modules, tops, meta_path, filters = own
    if not tops or not any(shadows(f, tops) for f in folders):
        return
    import warnings

    for name in modules:
        sys.modules.pop(name, None)
    sys.meta_path[:] = meta_path
    warnings.filters[:] = filters
    getattr(warnings, "_filters_mutated", lambda: None)()
    logging = sys.modules["logging"]
    for name in [n for n in logging.root.manager.loggerDict if n.split(".")[0] in tops]:
        del logging.root.manager.loggerDict[name]


# --- forking --------------------------------------------------------------------------------------------------------


def report(socket_fd, kind, op, value):
    now = time.monotonic_ns()
    try:
        os.write(socket_fd, MESSAGE.pack(kind, op, value, now, now))
    except OSError:
        pass  # nobody waits for it any more


class Failed(Exception):
    """A step went wrong and has been reported."""


def carry_out(program, head, reg):
    """Carries out the steps of a program in this process, and in what it forks: that one returns, its parent ends."""
    ops, relocs = head[0], head[1]
    at = HEADER.size + ops * OP.size
    room = ctypes.create_string_buffer(bytes(program), len(program))
    base = ctypes.addressof(room)
    for (offset,) in struct.iter_unpack("=I", program[at:at + 4 * relocs]):
        word = ctypes.c_uint64.from_address(base + offset)
        word.value += base
    for i in range(ops):
        kind, dst, regs, allow, nr, *args = OP.unpack_from(room, HEADER.size + i * OP.size)
        if kind == FORK:
            fork(reg)
            continue
        if kind != CALL:
            report(reg[0], FAILED, i, 22)
            raise Failed()
        if regs:
            args = [reg[a] if regs >> j & 1 else a for j, a in enumerate(args)]
        result = call(nr, *args)
        if -4096 < result < 0 and -result != allow:
            report(reg[0], FAILED, i, -result)
            raise Failed()
        if dst != NONE:
            reg[dst] = result


def fork(reg):
    """Starts the main process, tells what its number inside is, and ends: the sandbox's first process has it then."""
    pid = os.fork()
    if pid:
        report(reg[0], SPAWNED, 0, pid)
        os._exit(0)


def born(program, reg, channel):
    """In the process that was cloned into the sandbox. Returns in the main process only."""
    try:
        carry_out(program, HEADER.unpack_from(program), reg)
        channel.detach()
    except Failed:
        os._exit(1)
    except BaseException:
        report(reg[0], FAILED, OP_CLONE, 5)
        os._exit(1)


def request(channel):
    """The next program and its registers; None when the platform has gone."""
    head, rights, _, _ = channel.recvmsg(4, socket.CMSG_SPACE(4 * 253), socket.MSG_CMSG_CLOEXEC)
    fds = []
    for level, kind, data in rights:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds += struct.unpack("=%di" % (len(data) // 4), data)
    while 0 < len(head) < 4:
        more = channel.recv(4 - len(head))
        head = head + more if more else b""
    size = int.from_bytes(head, "big")
    program = bytearray()
    while len(program) < size:
        more = channel.recv(size - len(program))
        if not more:
            return None
        program += more
    return (program, fds) if size else None


def serve(channel):
    """Forks as often as it is asked to. Returns in each child."""
    home = os.open("/proc/self/ns/pid", os.O_RDONLY)
    libc.prctl(4, 0, 0, 0, 0)  # PR_SET_DUMPABLE: no other zygote can look into this one
    setns = number("setns")
    while True:
        asked = request(channel)
        if asked is None:
            os._exit(0)
        program, fds = asked
        reg = fds + [-1] * (256 - len(fds))
        result = call(setns, reg[PID_NAMESPACE], CLONE_NEWPID)
        if result < 0:
            report(reg[0], FAILED, OP_ENTER, -result)
        else:
            result = clone(HEADER.unpack_from(program)[3], reg)
            if result == 0:
                born(program, reg, channel)
                return
            if call(setns, home, CLONE_NEWPID) < 0:
                os._exit(1)  # what it forked next would be another's; the platform starts a new one
            if result < 0:
                report(reg[0], FAILED, OP_CLONE, -result)
        for fd in fds:
            os.close(fd)


def clone(group, reg):
    """clone3, so that the child is born in its control group. It only enters the sandbox and forks there, so that it does not
    matter that the C library does not know of it."""
    into = group < NONE
    args = CLONE_ARGS.pack(CLONE_INTO_CGROUP if into else 0, 0, 0, 0, signal.SIGCHLD, 0, 0, 0, 0, 0, reg[group] if into else 0)
    room = ctypes.create_string_buffer(args, len(args))
    return call(SYS_CLONE3, ctypes.addressof(room), len(args))


def say(error, notes):
    document = json.dumps({"error": error, "notes": notes}).encode()
    os.write(CHANNEL, len(document).to_bytes(4, "big") + document)


REHEARSALS = 20  # until the interpreter has adapted its code to what it sees


def run(arguments, pack, before, after, rehearse=None):
    """Loads, forks for ever, and returns in each child. Arguments are what to leave out, as module=reason; before and after
    stand beside them on this process's command line. rehearse does what children will do."""
    without = dict(a.partition("=")[::2] for a in arguments)
    gc.disable()
    bad = preload(without, pack)
    if bad:  # what has happened cannot be undone: another attempt without it
        os.execv(sys.executable, [sys.executable] + before + arguments + ["%s=%s" % bad] + after)
    notes = ["%s: %s" % note for note in without.items()]
    reason = harm()
    if reason:
        say(reason, notes)
        os._exit(1)
    for _ in range(REHEARSALS if rehearse else 0):
        rehearse()
    ignore = ctypes.create_string_buffer(struct.pack("=QQQQ", 1, 0, 0, 0), 32)  # the kernel reaps; Python need not know
    call(number("rt_sigaction"), signal.SIGCHLD, ctypes.addressof(ignore), 0, 8)
    gc.collect()
    gc.freeze()
    say("", notes)
    serve(socket.socket(fileno=CHANNEL))
    gc.enable()


# --- becoming a function's process ----------------------------------------------------------------------------------


def waited_for():
    """Whether the assignment is there already."""
    return bool(select.select([CHANNEL], [], [], 0)[0])


def no_assignment():
    """The frame of an assignment that changes nothing."""
    variables = b"".join(name + b"=" + value + b"\0" for name, value in os.environb.items())
    return b"B\0\0\0\0\0" + os.fsencode(os.getcwd()) + b"\0" + variables


def become(data, folders):
    """Makes this process what one would be that was executed with what the assignment says. Folders are searched for modules
    before the platform's."""
    directory, _, variables = assignment(data)
    zone = os.environb.get(b"TZ")
    os.environb.clear()
    for variable in variables:
        name, equals, value = variable.partition(b"=")
        if name and equals:
            os.environb[name] = value
    if os.environb.get(b"TZ") != zone:
        time.tzset()
    os.chdir(directory)
    for path in list(sys.path_importer_cache):
        if path not in sys.path or path in folders or sys.path_importer_cache[path] is None:
            del sys.path_importer_cache[path]
    unload_shadowed(folders)
    refresh()
