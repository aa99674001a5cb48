"""What Lambda says of a function's exception, in the answer and in the log."""
import sys
import time
import traceback


def describe():
    """Message, type and formatted frames of the exception being handled, from the function's first frame on."""
    kind, value, tb = sys.exc_info()
    frames = [(f.filename, f.lineno, f.name, f.line) for f in traceback.extract_tb(tb)]
    first = next((i for i, f in enumerate(frames) if "/bootstrap.py" not in f[0]), 0)
    return str(value), kind.__name__, traceback.format_list(frames[first:])


def text(document, dumps):
    """The log record of an error; dumps is None for the text form. That one indents by no-break spaces, which no log
    viewer strips."""
    if dumps:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        return dumps(dict({"timestamp": stamp, "level": "ERROR"}, **document))
    kind, message = document["errorType"], document["errorMessage"]
    head = "[ERROR]" + (" " + kind if kind else "")
    if message:
        head += (": " if kind else " ") + message
    lines = [head, "Traceback (most recent call last):"]
    for entry in document["stackTrace"]:
        for line in entry.splitlines() or [""]:
            bare = line.lstrip(" ")
            lines.append("\u00a0" * (len(line) - len(bare)) + bare)
    return "\n".join(lines)
