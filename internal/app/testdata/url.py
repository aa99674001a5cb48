"""Function URLs by boto3, on functions echo (with alias live) and other. Prints ok, or stops at what is wrong."""
import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

client = boto3.client("lambda", config=Config(retries={"total_max_attempts": 1}))
ARN = "arn:aws:lambda:us-east-1:000000000000:function:"
REGEX = "Member must satisfy regular expression pattern: ((?!^\\d+$)^[0-9a-zA-Z-_]+$)"


def refused(code, message, call, **args):
    try:
        call(**args)
    except ClientError as e:
        error = e.response["Error"]
        assert error["Code"] == code and message in error["Message"], (args, error)
        return
    raise AssertionError(f"{call.__name__} {args} was accepted")


def told(r):
    return {k: v for k, v in r.items() if k not in ("ResponseMetadata", "CreationTime", "LastModifiedTime")}


create, get, update = client.create_function_url_config, client.get_function_url_config, client.update_function_url_config
delete, listed = client.delete_function_url_config, client.list_function_url_configs

# bad input
for call in get, update, delete:
    refused("ResourceNotFoundException", "The resource you requested does not exist.", call, FunctionName="echo")
refused("ResourceNotFoundException", "Function does not exist", create, FunctionName="nobody", AuthType="NONE")
refused("ResourceNotFoundException", "Function does not exist", listed, FunctionName="nobody")
refused("ResourceNotFoundException", "Function not found: " + ARN + "echo:none", create, FunctionName="echo", Qualifier="none", AuthType="NONE")
for qualifier in "1", "$LATEST":
    refused("ValidationException", REGEX, create, FunctionName="echo", Qualifier=qualifier, AuthType="NONE")
    refused("ValidationException", REGEX, get, FunctionName="echo", Qualifier=qualifier)
refused("ValidationException", "authType", create, FunctionName="echo", AuthType="ANY")
refused("ValidationException", "invokeMode", create, FunctionName="echo", AuthType="NONE", InvokeMode="UNKNOWN")
refused("ValidationException", "axAge", create, FunctionName="echo", AuthType="NONE", Cors={"MaxAge": 86401})
refused("ValidationException", "llowMethods", create, FunctionName="echo", AuthType="NONE", Cors={"AllowMethods": ["OPTIONS"]})
for cors, message in (
    ({"AllowOrigins": ["*", "https://a.example"]}, "Cors.AllowOrigins contradicts itself"),
    ({"AllowMethods": ["GET", "*"]}, "Cors.AllowMethods contradicts itself"),
    ({"AllowOrigins": ["a.example"]}, "Cors.AllowOrigins: \"a.example\" is not allowed"),
    ({"AllowMethods": ["get"]}, "Cors.AllowMethods: \"get\" is not allowed"),
    ({"AllowHeaders": ["a b"]}, "Cors.AllowHeaders: \"a b\" is not allowed"),
):
    refused("InvalidParameterValueException", message, create, FunctionName="echo", AuthType="NONE", Cors=cors)
assert listed(FunctionName="echo")["FunctionUrlConfigs"] == []

# a URL's life
cors = {"AllowCredentials": True, "AllowHeaders": ["date", "keep-alive"], "AllowMethods": ["*"], "AllowOrigins": ["*"], "ExposeHeaders": ["date"], "MaxAge": 86400}
made = create(FunctionName="echo", AuthType="AWS_IAM", Cors=cors)
assert made["ResponseMetadata"]["HTTPStatusCode"] == 201, made
assert made["FunctionArn"] == ARN + "echo" and made["AuthType"] == "AWS_IAM" and made["InvokeMode"] == "BUFFERED" and made["Cors"] == cors, made
assert ".lambda-url.us-east-1.localhost:" in made["FunctionUrl"] and made["FunctionUrl"].endswith("/"), made
assert told(get(FunctionName="echo")) == told(made)
refused("ResourceConflictException", "Failed to create function url config for [functionArn = " + ARN + "echo]. Error message:  FunctionUrlConfig exists for this Lambda function",
        create, FunctionName="echo", AuthType="NONE")
changed = update(FunctionName=ARN + "echo", InvokeMode="RESPONSE_STREAM")
assert told(changed) == {**told(made), "InvokeMode": "RESPONSE_STREAM"} and changed["LastModifiedTime"] > made["CreationTime"], changed
assert told(update(FunctionName="echo")) == told(changed)
refused("InvalidParameterValueException", "contradicts itself", update, FunctionName="echo", Cors={"AllowHeaders": ["*", "a"]})
changed = update(FunctionName="echo", Cors={}, AuthType="NONE")
assert "Cors" not in changed and changed["AuthType"] == "NONE" and changed["FunctionUrl"] == made["FunctionUrl"], changed

# one for the alias
live = create(FunctionName="echo:live", AuthType="NONE")
assert live["FunctionArn"] == ARN + "echo:live" and live["FunctionUrl"] != made["FunctionUrl"], live
assert told(get(FunctionName="echo", Qualifier="live")) == told(live)
pages = list(client.get_paginator("list_function_url_configs").paginate(FunctionName="echo", PaginationConfig={"PageSize": 1}))
assert [[c["FunctionArn"] for c in p["FunctionUrlConfigs"]] for p in pages] == [[ARN + "echo"], [ARN + "echo:live"]], pages
refused("InvalidParameterValueException", "Marker", listed, FunctionName="echo", Marker="nonsense")
client.delete_alias(FunctionName="echo", Name="live")
refused("ResourceNotFoundException", "does not exist", get, FunctionName="echo", Qualifier="live")
assert delete(FunctionName="echo")["ResponseMetadata"]["HTTPStatusCode"] == 204
refused("ResourceNotFoundException", "does not exist", delete, FunctionName="echo")
assert create(FunctionName="echo", AuthType="NONE")["FunctionUrl"] != made["FunctionUrl"]
delete(FunctionName="echo")
print("ok")
