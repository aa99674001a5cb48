"""Every operation of the logs door through boto3. Prints ok, or stops with what was wrong."""
import time
import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

logs = boto3.client("logs", config=Config(retries={"total_max_attempts": 1}))


def code(call, **args):
    try:
        call(**args)
    except ClientError as e:
        return e.response["Error"]["Code"]
    return None


# groups
for name in ("/aws/lambda/b", "/aws/lambda/a", "other"):
    logs.create_log_group(logGroupName=name, tags={"team": "x"})
groups = [g for page in logs.get_paginator("describe_log_groups").paginate(PaginationConfig={"PageSize": 1}) for g in page["logGroups"]]
assert [g["logGroupName"] for g in groups] == ["/aws/lambda/a", "/aws/lambda/b", "other"], groups
assert groups[2]["arn"] == "arn:aws:logs:us-east-1:000000000000:log-group:other:*", groups[2]
assert groups[2]["logGroupArn"] == "arn:aws:logs:us-east-1:000000000000:log-group:other", groups[2]
assert groups[2]["storedBytes"] == 0 and groups[2]["metricFilterCount"] == 0 and groups[2]["logGroupClass"] == "STANDARD"
assert abs(groups[2]["creationTime"] / 1000 - time.time()) < 60
assert len(logs.describe_log_groups(logGroupNamePrefix="/aws/")["logGroups"]) == 2
assert [g["logGroupName"] for g in logs.describe_log_groups(logGroupNamePattern="lambda/b")["logGroups"]] == ["/aws/lambda/b"]
assert logs.describe_log_groups(logGroupNamePattern="LAMBDA")["logGroups"] == []
assert len(logs.describe_log_groups(logGroupIdentifiers=["other", groups[0]["logGroupArn"]])["logGroups"]) == 2
assert logs.describe_log_groups(logGroupClass="INFREQUENT_ACCESS")["logGroups"] == []

# retention and tags
logs.put_retention_policy(logGroupName="other", retentionInDays=7)
assert logs.describe_log_groups(logGroupNamePrefix="other")["logGroups"][0]["retentionInDays"] == 7
logs.delete_retention_policy(logGroupName="other")
assert "retentionInDays" not in logs.describe_log_groups(logGroupNamePrefix="other")["logGroups"][0]
arn = groups[2]["logGroupArn"]
logs.tag_resource(resourceArn=arn, tags={"a": "1", "b": ""})
logs.untag_resource(resourceArn=arn, tagKeys=["team", "none"])
assert logs.list_tags_for_resource(resourceArn=arn)["tags"] == {"a": "1", "b": ""}
assert code(logs.tag_resource, resourceArn=arn, tags={str(i): "" for i in range(49)}) == "TooManyTagsException"

# streams
for name in ("s2", "s1", "t1"):
    logs.create_log_stream(logGroupName="other", logStreamName=name)
pages = logs.get_paginator("describe_log_streams").paginate(logGroupName="other", PaginationConfig={"PageSize": 2})
streams = [s for page in pages for s in page["logStreams"]]
assert [s["logStreamName"] for s in streams] == ["s1", "s2", "t1"], streams
assert streams[0]["arn"] == "arn:aws:logs:us-east-1:000000000000:log-group:other:log-stream:s1"
assert "lastEventTimestamp" not in streams[0] and streams[0]["storedBytes"] == 0
down = logs.describe_log_streams(logGroupIdentifier=arn, descending=True)["logStreams"]
assert [s["logStreamName"] for s in down] == ["t1", "s2", "s1"]
assert [s["logStreamName"] for s in logs.describe_log_streams(logGroupName="other", logStreamNamePrefix="s")["logStreams"]] == ["s1", "s2"]

# events
now = int(time.time() * 1000) - 10_000
for i in range(10):
    for name in ("s1", "s2"):
        r = logs.put_log_events(logGroupName="other", logStreamName=name, logEvents=[{"timestamp": now + i, "message": f"{name} {i} \u00e9\n"}])
        assert "rejectedLogEventsInfo" not in r and len(r["nextSequenceToken"]) == 56
latest = logs.describe_log_streams(logGroupName="other", orderBy="LastEventTime", descending=True, limit=2)["logStreams"]
assert [s["logStreamName"] for s in latest] == ["s2", "s1"], latest
assert latest[0]["firstEventTimestamp"] == now and latest[0]["lastEventTimestamp"] == now + 9
assert logs.describe_log_groups(logGroupNamePrefix="other")["logGroups"][0]["storedBytes"] > 200

for size in (3, 7, 100):
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName="other", PaginationConfig={"PageSize": size})
    events = [e for page in pages for e in page["events"]]
    assert len(events) == 20 and len({e["eventId"] for e in events}) == 20
    assert [e["message"] for e in events][:2] == ["s1 0 \u00e9\n", "s2 0 \u00e9\n"]
    assert [e["timestamp"] for e in events] == sorted(e["timestamp"] for e in events)
    assert all(abs(e["ingestionTime"] - now) < 120_000 for e in events)
part = logs.filter_log_events(logGroupIdentifier=arn, startTime=now + 3, endTime=now + 5, logStreamNames=["s2"])
assert [e["message"][:4] for e in part["events"]] == ["s2 3", "s2 4", "s2 5"] and part["searchedLogStreams"] == []
assert len(logs.filter_log_events(logGroupName="other", logStreamNamePrefix="s1", filterPattern="")["events"]) == 10

page = logs.get_log_events(logGroupName="other", logStreamName="s1", startTime=now + 3, endTime=now + 5)
assert [e["message"][:4] for e in page["events"]] == ["s1 3", "s1 4"], page["events"]
got, token, head = [], None, logs.get_log_events(logGroupName="other", logStreamName="s1", startFromHead=True, limit=4)
while head["nextForwardToken"] != token:
    got, token = got + head["events"], head["nextForwardToken"]
    head = logs.get_log_events(logGroupName="other", logStreamName="s1", limit=4, nextToken=token)
assert [e["message"][:4] for e in got] == [f"s1 {i}" for i in range(10)], got
assert head["events"] == []
tail, seen = logs.get_log_events(logGroupName="other", logStreamName="s1", limit=4), []
while True:
    seen = tail["events"] + seen
    back = logs.get_log_events(logGroupName="other", logStreamName="s1", limit=4, nextToken=tail["nextBackwardToken"])
    if back["nextBackwardToken"] == tail["nextBackwardToken"]:
        break
    tail = back
assert [e["message"][:4] for e in seen] == [f"s1 {i}" for i in range(10)], seen

# deletion
logs.delete_log_stream(logGroupName="other", logStreamName="s1")
assert code(logs.get_log_events, logGroupName="other", logStreamName="s1") == "ResourceNotFoundException"
assert len(logs.filter_log_events(logGroupName="other")["events"]) == 10
logs.create_log_stream(logGroupName="other", logStreamName="s1")
assert logs.get_log_events(logGroupName="other", logStreamName="s1")["events"] == []
logs.delete_log_group(logGroupName="other")
assert code(logs.filter_log_events, logGroupName="other") == "ResourceNotFoundException"
logs.create_log_group(logGroupName="other")
assert logs.filter_log_events(logGroupName="other")["events"] == []
assert logs.describe_log_streams(logGroupName="other")["logStreams"] == []
print("ok")
