"""InvokeWithResponseStream by boto3. Prints ok, or stops at what is wrong."""
import json

import boto3
from botocore.config import Config

client = boto3.client("lambda", config=Config(retries={"total_max_attempts": 1}))


def stream(name, plan, **more):
    r = client.invoke_with_response_stream(FunctionName=name, Payload=json.dumps(plan), **more)
    assert r["StatusCode"] == 200 and r["ExecutedVersion"] == "$LATEST", r
    assert r["ResponseStreamContentType"] == "application/vnd.amazon.eventstream", r
    events = list(r["EventStream"])
    body = b"".join(e["PayloadChunk"]["Payload"] for e in events[:-1])
    return body, events[-1]["InvokeComplete"]


assert stream("stream", {"Pieces": ["a", "b", "ü"]}) == ("abü".encode(), {})
body, done = stream("stream", {"Pieces": ["part"], "Fail": "midway"}, LogType="Tail")
assert body == b"part" and done["ErrorCode"] == "Unhandled" and json.loads(done["ErrorDetails"])["errorMessage"] == "midway", done
assert done["LogResult"], done
body, done = stream("stream", {"Size": 30_000_000})
assert body == bytes(30_000_000) and done == {}, done
body, done = stream("whole", 0)
assert json.loads(body) == {"a": 1} and done == {}, (body, done)
try:
    stream("nobody", {})
    raise AssertionError("a function that isn't there")
except client.exceptions.ResourceNotFoundException as e:
    assert e.response["Error"]["Message"].startswith("Function not found: arn:aws:lambda:us-east-1:000000000000:function:nobody"), e
print("ok")
