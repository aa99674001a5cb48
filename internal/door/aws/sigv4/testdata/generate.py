"""Prints requests signed by botocore, as JSON lines: the golden input of TestBotocore.

    python3 generate.py > botocore.jsonl
"""
import datetime
import json
import sys
from urllib.parse import urlsplit

import botocore
import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

NOW = datetime.datetime(2026, 2, 3, 4, 5, 6)
KEY = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
botocore.auth.get_current_datetime = lambda *a, **k: NOW

PATHS = [
    "/", "/2015-03-31/functions/hello/invocations", "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Ax",
    "//a//b", "/a/./b", "/a/../b/", "/a/b/..", "/a%2Fb", "/a%2fb", "/%E1%88%B4/caf%C3%A9", "/sp%20ace+plus", "/~tilde-._", "/a:b@c,d;e=f",
    "/100%25", "/'(paren)*!$",
]
QUERIES = [
    "", "a=1&b=2", "b=2&a=1", "a=2&a=1", "k", "k=", "=v", "sp=a%20b", "plus=a%2Bb", "literal=a+b", "u=%E1%88%B4", "low=%c3%a9",
    "Param-3=Value3&Param=Value2", "a%2Fb=c%3Dd", "a=b=c", "x=%7Etilde~", "colon=a:b", "semi=a%3Bb", "a=1&&b=2", "Marker=x&MaxItems=10",
]
HEADERS = [
    {}, {"Content-Type": "application/json"}, {"X-Amz-Target": "Logs_20140328.GetLogEvents", "Content-Type": "application/x-amz-json-1.1"},
    {"My-Header": "  a   b  c  "}, {"My-Header": "\"quoted   text\""}, {"My-Header": "tab\t here"}, {"X-Amz-Client-Context": "e30="},
    {"My-Header": ""}, {"User-Agent": "left out", "X-Amzn-Trace-Id": "left out"}, {"X-Amz-Invocation-Type": "RequestResponse", "X-Amz-Log-Type": "Tail"},
]
BODIES = [("GET", b""), ("POST", b'{"a":1}'), ("POST", b"Action=GetCallerIdentity&Version=2011-06-15"), ("PUT", bytes(range(256))), ("DELETE", b"")]


def emit(name, signer, service, method, url, headers, body, expires=0):
    request = AWSRequest(method=method, url=url, headers=dict(headers), data=body)
    signer.add_auth(request)
    if expires:
        body = b""
    parts = urlsplit(request.url)
    target = (parts.path or "/") + ("?" + parts.query if parts.query else "")
    json.dump({"name": name, "service": service, "method": method, "target": target, "host": botocore.auth._host_from_url(request.url),
               "headers": [[k, v] for k, v in request.headers.items()], "body": body.hex(), "presigned": bool(expires)}, sys.stdout)
    print()


def main():
    host = "http://127.0.0.1:4566"
    cases = [(p, "", {}, BODIES[0]) for p in PATHS] + [("/p", q, {}, BODIES[0]) for q in QUERIES]
    cases += [("/p", "", h, BODIES[1]) for h in HEADERS] + [("/p", "q=1", {}, b) for b in BODIES]
    cases += [(p, q, HEADERS[1], BODIES[1]) for p, q in zip(PATHS, QUERIES)]
    for i, (path, query, headers, (method, body)) in enumerate(cases):
        url = host + path + ("?" + query if query else "")
        emit(f"header {i}", botocore.auth.SigV4Auth(KEY, "lambda", "us-east-1"), "lambda", method, url, headers, body)
        # Presigning folds a body into the query string, so these have none.
        emit(f"presigned {i}", botocore.auth.SigV4QueryAuth(KEY, "lambda", "us-east-1", expires=600), "lambda", method, url, headers, b"{}" if body else b"", 600)
        emit(f"s3 {i}", botocore.auth.S3SigV4Auth(KEY, "s3", "eu-central-1"), "s3", method, url, headers, body)
        emit(f"s3 presigned {i}", botocore.auth.S3SigV4QueryAuth(KEY, "s3", "eu-central-1", expires=600), "s3", method, url, headers, b"{}" if body else b"", 600)
    emit("default port", botocore.auth.SigV4Auth(KEY, "sts", "us-east-1"), "sts", "POST", "http://127.0.0.1:80/", {}, BODIES[2][1])


if __name__ == "__main__":
    main()
