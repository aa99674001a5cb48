"""Layers through boto3: publish, read, list, filter, share, use, delete."""
import base64
import hashlib
import io
import json
import urllib.request
import zipfile

import boto3
from botocore.exceptions import ClientError

client = boto3.client("lambda")
ROLE = "arn:aws:iam::000000000000:role/test"


def zipped(**files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        for name, text in files.items():
            z.writestr(name.replace("__", "/") + ".py", text)
    return out.getvalue()


def fails(code, call, **args):
    try:
        call(**args)
    except ClientError as e:
        assert e.response["Error"]["Code"] == code, e
        return str(e)
    raise AssertionError("%s was not raised" % code)


content = zipped(python__lib="value = 'one'\n")
made = client.publish_layer_version(LayerName="boto", Description="first", Content={"ZipFile": content}, LicenseInfo="MIT",
                                    CompatibleRuntimes=["python3.11", "python3.12"], CompatibleArchitectures=["x86_64", "arm64"])
ARN = "arn:aws:lambda:us-east-1:000000000000:layer:boto"
assert made["LayerArn"] == ARN and made["LayerVersionArn"] == ARN + ":1" and made["Version"] == 1, made
assert made["Content"]["CodeSize"] == len(content), made
assert made["Content"]["CodeSha256"] == base64.b64encode(hashlib.sha256(content).digest()).decode(), made
assert made["CompatibleRuntimes"] == ["python3.11", "python3.12"] and made["LicenseInfo"] == "MIT" and made["Description"] == "first", made
assert urllib.request.urlopen(made["Content"]["Location"]).read() == content

got = client.get_layer_version(LayerName="boto", VersionNumber=1)
by_arn = client.get_layer_version_by_arn(Arn=ARN + ":1")
named = client.get_layer_version(LayerName=ARN, VersionNumber=1)
for other in (got, by_arn, named):
    for key in ("LayerArn", "LayerVersionArn", "Description", "CreatedDate", "Version", "CompatibleRuntimes", "CompatibleArchitectures", "LicenseInfo"):
        assert other[key] == made[key], (key, other)

second = client.publish_layer_version(LayerName="boto", Content={"ZipFile": zipped(python__lib="value = 'two'\n")}, CompatibleRuntimes=["nodejs22.x"])
assert second["Version"] == 2 and second["Description"] == "" and "LicenseInfo" not in second, second
client.publish_layer_version(LayerName="other", Content={"ZipFile": zipped(python__b="")})

# lists and filters
assert [(x["LayerName"], x["LatestMatchingVersion"]["Version"]) for x in client.list_layers()["Layers"]] == [("boto", 2), ("other", 1)]
assert [(x["LayerName"], x["LatestMatchingVersion"]["Version"]) for x in client.list_layers(CompatibleRuntime="python3.12")["Layers"]] == [("boto", 1)]
assert [x["LayerName"] for x in client.list_layers(CompatibleArchitecture="arm64")["Layers"]] == ["boto"]
assert client.list_layers(CompatibleRuntime="java21")["Layers"] == []
pages = list(client.get_paginator("list_layers").paginate(PaginationConfig={"PageSize": 1}))
assert [[x["LayerName"] for x in p["Layers"]] for p in pages] == [["boto"], ["other"]], pages
assert [x["Version"] for x in client.list_layer_versions(LayerName="boto")["LayerVersions"]] == [2, 1]
assert [x["Version"] for x in client.list_layer_versions(LayerName="boto", CompatibleRuntime="python3.11")["LayerVersions"]] == [1]
pages = list(client.get_paginator("list_layer_versions").paginate(LayerName="boto", PaginationConfig={"PageSize": 1}))
assert [[x["Version"] for x in p["LayerVersions"]] for p in pages] == [[2], [1]], pages
assert client.list_layer_versions(LayerName="nobody")["LayerVersions"] == []

# permissions
fails("ResourceNotFoundException", client.get_layer_version_policy, LayerName="boto", VersionNumber=1)
added = client.add_layer_version_permission(LayerName="boto", VersionNumber=1, StatementId="all", Action="lambda:GetLayerVersion", Principal="*")
assert json.loads(added["Statement"]) == {"Sid": "all", "Effect": "Allow", "Principal": "*", "Action": "lambda:GetLayerVersion", "Resource": ARN + ":1"}, added
client.add_layer_version_permission(LayerName="boto", VersionNumber=1, StatementId="one", Action="lambda:GetLayerVersion", Principal="123456789012",
                                    RevisionId=added["RevisionId"])
fails("PreconditionFailedException", client.add_layer_version_permission, LayerName="boto", VersionNumber=1, StatementId="two",
      Action="lambda:GetLayerVersion", Principal="*", RevisionId=added["RevisionId"])
fails("ResourceConflictException", client.add_layer_version_permission, LayerName="boto", VersionNumber=1, StatementId="one",
      Action="lambda:GetLayerVersion", Principal="*")
policy = client.get_layer_version_policy(LayerName="boto", VersionNumber=1)
document = json.loads(policy["Policy"])
assert document["Version"] == "2012-10-17" and document["Id"] == "default", document
assert [s["Sid"] for s in document["Statement"]] == ["all", "one"], document
assert document["Statement"][1]["Principal"] == {"AWS": "arn:aws:iam::123456789012:root"}, document
client.remove_layer_version_permission(LayerName="boto", VersionNumber=1, StatementId="all", RevisionId=policy["RevisionId"])
client.remove_layer_version_permission(LayerName="boto", VersionNumber=1, StatementId="one")
fails("ResourceNotFoundException", client.get_layer_version_policy, LayerName="boto", VersionNumber=1)

# use
code = zipped(app="import lib\ndef handler(e, c): return lib.value\n")
f = client.create_function(FunctionName="f", Runtime="python3.11", Handler="app.handler", Role=ROLE, Code={"ZipFile": code}, Layers=[ARN + ":1"])
assert f["Layers"] == [{"Arn": ARN + ":1", "CodeSize": len(content)}], f
assert json.load(client.invoke(FunctionName="f")["Payload"]) == "one"
f = client.update_function_configuration(FunctionName="f", Layers=[ARN + ":2"])
assert [x["Arn"] for x in f["Layers"]] == [ARN + ":2"], f
assert json.load(client.invoke(FunctionName="f")["Payload"]) == "two"
f = client.update_function_configuration(FunctionName="f", Description="the layers stay")
assert [x["Arn"] for x in f["Layers"]] == [ARN + ":2"], f
assert [x["Arn"] for x in client.list_functions()["Functions"][0]["Layers"]] == [ARN + ":2"]

# the end of a version
client.delete_layer_version(LayerName="boto", VersionNumber=2)
client.delete_layer_version(LayerName="boto", VersionNumber=2)  # as often as one likes
fails("ResourceNotFoundException", client.get_layer_version, LayerName="boto", VersionNumber=2)
assert json.load(client.invoke(FunctionName="f")["Payload"]) == "two"
third = client.publish_layer_version(LayerName="boto", Content={"ZipFile": content})
assert third["Version"] == 3, third
print("ok")
