"""A user's way with boto3 on a platform that has 120 functions, many-000 to many-119. Prints ok, or stops at what is wrong."""
import base64
import hashlib
import io
import json
import urllib.request
import zipfile

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, WaiterError

config = Config(retries={"total_max_attempts": 1})
client = boto3.client("lambda", config=config)
ROLE = "arn:aws:iam::000000000000:role/test"
ARN = "arn:aws:lambda:us-east-1:000000000000:function:"


def package(code):
    b = io.BytesIO()
    with zipfile.ZipFile(b, "w", zipfile.ZIP_DEFLATED) as z:
        z.writestr("app.py", code)
    return b.getvalue()


def sha(b):
    return base64.b64encode(hashlib.sha256(b).digest()).decode()


def refused(kind, call, **args):
    """The error of a call, which must be of the client's own class."""
    try:
        call(**args)
    except kind as e:
        return e.response
    raise AssertionError(f"{call.__name__} was accepted")


def invoke(name, event=None, **more):
    r = client.invoke(FunctionName=name, Payload=json.dumps(event), **more)
    return json.loads(r["Payload"].read()), r


first = package("def handler(e, c):\n  return [1, e, c.invoked_function_arn]\n")
second = package("def handler(e, c):\n  raise RuntimeError(e)\n")

# a function's life
made = client.create_function(FunctionName="life", Runtime="python3.11", Handler="app.handler", Role=ROLE, Code={"ZipFile": first}, Publish=True)
assert made["ResponseMetadata"]["HTTPStatusCode"] == 201 and made["Version"] == "1" and made["FunctionArn"] == ARN + "life:1", made
assert made["CodeSha256"] == sha(first) and made["CodeSize"] == len(first) and made["LastModified"].endswith("+0000"), made
for waiter in ("function_active_v2", "function_updated_v2", "function_active", "function_updated", "function_exists"):
    client.get_waiter(waiter).wait(FunctionName="life", WaiterConfig={"Delay": 1, "MaxAttempts": 3})
client.get_waiter("published_version_active").wait(FunctionName="life", Qualifier="1", WaiterConfig={"Delay": 1, "MaxAttempts": 3})
try:
    client.get_waiter("function_active_v2").wait(FunctionName="nobody", WaiterConfig={"Delay": 1, "MaxAttempts": 1})
    raise AssertionError("waited for nobody")
except WaiterError as e:
    assert "ResourceNotFoundException" in str(e), e
e = refused(client.exceptions.ResourceConflictException, client.create_function,
            FunctionName="life", Runtime="python3.11", Handler="app.handler", Role=ROLE, Code={"ZipFile": first})
assert e["ResponseMetadata"]["HTTPStatusCode"] == 409 and e["Error"]["Message"] == "Function already exist: life" and e["Type"] == "User", e

got = client.get_function(FunctionName="life")
assert got["Configuration"]["FunctionArn"] == ARN + "life" and got["Code"]["RepositoryType"] == "S3" and "Tags" not in got, got
assert urllib.request.urlopen(got["Code"]["Location"]).read() == first
old = client.get_function_configuration(FunctionName="life")
assert old["Version"] == "$LATEST" and old["State"] == "Active" and old["EphemeralStorage"] == {"Size": 512}, old
assert old["Architectures"] in (["x86_64"], ["arm64"]) and old["TracingConfig"] == {"Mode": "PassThrough"}, old
assert old["LoggingConfig"] == {"LogFormat": "Text", "LogGroup": "/aws/lambda/life"} and "Environment" not in old, old
assert client.get_function_configuration(FunctionName="life", Qualifier="$LATEST")["FunctionArn"] == ARN + "life:$LATEST"

# calls
answer, r = invoke("life", {"a": 1})
assert answer == [1, {"a": 1}, ARN + "life"] and r["StatusCode"] == 200 and r["ExecutedVersion"] == "$LATEST", (answer, r)
assert "FunctionError" not in r and "LogResult" not in r and len(r["ResponseMetadata"]["RequestId"]) == 36, r
answer, r = invoke("life", None, Qualifier="1", LogType="Tail")
assert answer == [1, None, ARN + "life:1"] and r["ExecutedVersion"] == "1" and b"START RequestId" in base64.b64decode(r["LogResult"]), (answer, r)
for name, qualifier in ((ARN + "life", ""), (ARN + "life:1", ":1"), (ARN + "life:$LATEST", ":$LATEST"), ("000000000000:function:life", ""), ("function:life:1", ":1")):
    assert invoke(name)[0][2] == ARN + "life" + qualifier, name
e = refused(client.exceptions.InvalidParameterValueException, client.invoke, FunctionName="life:1", Qualifier="2")
assert "derived qualifier" in e["Error"]["Message"], e
assert json.loads(client.invoke(FunctionName="life")["Payload"].read())[1] == {}
assert client.invoke(FunctionName="life", InvocationType="DryRun")["StatusCode"] == 204
refused(client.exceptions.ResourceNotFoundException, client.invoke, FunctionName="nobody")
refused(client.exceptions.InvalidRequestContentException, client.invoke, FunctionName="life", Payload=b"{")
context = base64.b64encode(b"nonsense").decode()
refused(client.exceptions.InvalidRequestContentException, client.invoke, FunctionName="life", ClientContext=context)

# updates
refused(client.exceptions.PreconditionFailedException, client.update_function_code, FunctionName="life", ZipFile=second, RevisionId="old")
assert client.update_function_code(FunctionName="life", ZipFile=second, DryRun=True)["CodeSha256"] == sha(second)
assert client.get_function_configuration(FunctionName="life")["RevisionId"] == old["RevisionId"]
new = client.update_function_code(FunctionName="life", ZipFile=second, RevisionId=old["RevisionId"])
assert new["CodeSha256"] == sha(second) and new["RevisionId"] != old["RevisionId"] and new["LastModified"] >= old["LastModified"], new
answer, r = invoke("life", "x")
assert r["FunctionError"] == "Unhandled" and answer["errorType"] == "RuntimeError" and answer["errorMessage"] == "x", (answer, r)
assert invoke("life:1")[0][0] == 1
new = client.update_function_configuration(FunctionName="life", Environment={"Variables": {"AB": "1"}}, MemorySize=192, EphemeralStorage={"Size": 600},
                                           LoggingConfig={"LogFormat": "JSON", "ApplicationLogLevel": "WARN", "LogGroup": "mine"})
assert new["Environment"] == {"Variables": {"AB": "1"}} and new["MemorySize"] == 192 and new["EphemeralStorage"] == {"Size": 600}, new
assert new["LoggingConfig"] == {"LogFormat": "JSON", "ApplicationLogLevel": "WARN", "SystemLogLevel": "INFO", "LogGroup": "mine"}, new
new = client.update_function_configuration(FunctionName="life", Description="only this", RevisionId=new["RevisionId"])
assert new["Description"] == "only this" and new["Environment"] == {"Variables": {"AB": "1"}} and new["Handler"] == "app.handler", new
new = client.update_function_configuration(FunctionName="life", Environment={"Variables": {}})
assert "Environment" not in new, new
refused(client.exceptions.ResourceNotFoundException, client.update_function_configuration, FunctionName="nobody", Timeout=5)
refused(client.exceptions.ResourceNotFoundException, client.update_function_code, FunctionName="nobody", ZipFile=first)

# versions
refused(client.exceptions.InvalidParameterValueException, client.publish_version, FunctionName="life", CodeSha256=sha(first))
refused(client.exceptions.PreconditionFailedException, client.publish_version, FunctionName="life", RevisionId="old")
two = client.publish_version(FunctionName="life", CodeSha256=sha(second), Description="two")
assert two["Version"] == "2" and two["Description"] == "two" and two["ResponseMetadata"]["HTTPStatusCode"] == 201, two
for i in range(3, 7):
    client.update_function_configuration(FunctionName="life", Timeout=10 + i)
    assert client.publish_version(FunctionName="life")["Version"] == str(i)
pages = client.get_paginator("list_versions_by_function").paginate(FunctionName="life", PaginationConfig={"PageSize": 2})
assert [[v["Version"] for v in p["Versions"]] for p in pages] == [["$LATEST", "1"], ["2", "3"], ["4", "5"], ["6"]]
client.delete_function(FunctionName="life", Qualifier="3")
assert [v["Version"] for v in client.list_versions_by_function(FunctionName="life")["Versions"]] == ["$LATEST", "1", "2", "4", "5", "6"]
refused(client.exceptions.ResourceNotFoundException, client.get_function, FunctionName="life:3")
page = client.list_versions_by_function(FunctionName="life", MaxItems=3)  # the page's last version is deleted before the next page
client.delete_function(FunctionName="life", Qualifier="2")
rest = client.list_versions_by_function(FunctionName="life", Marker=page["NextMarker"])
assert [[v["Version"] for v in p["Versions"]] for p in (page, rest)] == [["$LATEST", "1", "2"], ["4", "5", "6"]] and "NextMarker" not in rest, (page, rest)
refused(client.exceptions.InvalidParameterValueException, client.list_versions_by_function, FunctionName="life", Marker="x")
assert client.get_function(FunctionName="life", Qualifier="4")["Configuration"]["FunctionArn"] == ARN + "life:4"
refused(client.exceptions.InvalidParameterValueException, client.delete_function, FunctionName="life", Qualifier="$LATEST")

# lists
pages = list(client.get_paginator("list_functions").paginate())
assert [len(p["Functions"]) for p in pages] == [50, 50, 21], [len(p["Functions"]) for p in pages]
names = [f["FunctionName"] for p in pages for f in p["Functions"]]
assert pages[0]["Functions"][0]["CodeSha256"] and "State" not in pages[0]["Functions"][0], pages[0]["Functions"][0]  # get_function tells it
assert names == sorted(names) and len(set(names)) == 121, names
pages = list(client.get_paginator("list_functions").paginate(FunctionVersion="ALL", PaginationConfig={"PageSize": 33}))
versions = [f["FunctionArn"] for p in pages for f in p["Functions"]]
assert len(versions) == len(set(versions)) == 120 + 5 and ARN + "life:6" in versions and ARN + "life:$LATEST" in versions, len(versions)
assert client.get_account_settings()["AccountUsage"]["FunctionCount"] == 121

# tags
client.tag_resource(Resource=ARN + "life", Tags={"a": "1", "b": "ü"})
assert client.list_tags(Resource=ARN + "life")["Tags"] == {"a": "1", "b": "ü"} == client.get_function(FunctionName="life")["Tags"]
client.untag_resource(Resource=ARN + "life", TagKeys=["a", "none"])
assert client.list_tags(Resource=ARN + "life")["Tags"] == {"b": "ü"}
refused(client.exceptions.ResourceNotFoundException, client.tag_resource, Resource=ARN + "nobody", Tags={"a": "1"})
refused(client.exceptions.InvalidParameterValueException, client.tag_resource, Resource=ARN + "life", Tags={str(i): "" for i in range(50)})

# the end, and again: a name is free at once, and a version's number is never given twice
client.delete_function(FunctionName="life")
refused(client.exceptions.ResourceNotFoundException, client.delete_function, FunctionName="life")
refused(client.exceptions.ResourceNotFoundException, client.invoke, FunctionName="life:1")
again = client.create_function(FunctionName="life", Runtime="python3.11", Handler="app.handler", Role=ROLE, Code={"ZipFile": first}, Publish=True)
assert again["Version"] == "7", again["Version"]
refused(client.exceptions.ResourceNotFoundException, client.invoke, FunctionName="life:1")
assert [v["Version"] for v in client.list_versions_by_function(FunctionName="life")["Versions"]] == ["$LATEST", "7"]
client.delete_function(FunctionName="life")
assert len(client.list_functions(MaxItems=1)["Functions"]) == 1

# services that are not built say so in their own protocol
for service, operation in (("s3", "list_buckets"), ("sns", "list_topics"), ("sqs", "list_queues"), ("ec2", "describe_vpcs"), ("dynamodb", "list_tables"),
                           ("cloudwatch", "list_metrics"), ("apigatewayv2", "get_apis"), ("route53", "list_hosted_zones")):
    try:
        getattr(boto3.client(service, config=config), operation)()
        raise AssertionError(f"{service} is built?")
    except ClientError as e:
        error, status = e.response["Error"], e.response["ResponseMetadata"]["HTTPStatusCode"]
        assert status == 501 and error["Code"] == "UnknownService" and "is not built" in error["Message"], e.response
print("ok")
