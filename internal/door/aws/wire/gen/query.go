package main

import (
	"artesian/internal/door/aws/wire"
	"artesian/internal/door/aws/wire/model"
	"artesian/internal/faas"
)

// The codes that the awsQuery services share
// (https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html).
var queryCodes = wire.Codes{
	Syntax: "MalformedQueryString", Type: "MalformedInput", Validation: "ValidationError", Refused: "InvalidInput",
	TooLarge: "RequestEntityTooLarge", NotBuilt: "NotImplemented", UnknownOp: "InvalidAction",
}

func queryStatuses() map[faas.Kind]wire.Code {
	return map[faas.Kind]wire.Code{
		faas.Internal:        {Code: "InternalFailure", Status: 500},
		faas.Invalid:         {Code: "ValidationError", Status: 400},
		faas.NotFound:        {Code: "NoSuchEntity", Status: 404},
		faas.Conflict:        {Code: "EntityAlreadyExists", Status: 409},
		faas.Precondition:    {Code: "ValidationError", Status: 400},
		faas.Unauthenticated: {Code: "InvalidClientTokenId", Status: 403},
		faas.Denied:          {Code: "AccessDenied", Status: 403},
		faas.Throttled:       {Code: "Throttling", Status: 400},
		faas.TooLarge:        {Code: "RequestEntityTooLarge", Status: 413},
		faas.LimitExceeded:   {Code: "LimitExceeded", Status: 409},
		faas.Unsupported:     {Code: "InvalidInput", Status: 400},
		faas.Unavailable:     {Code: "ServiceUnavailable", Status: 503},
	}
}

func sts() model.Service {
	return model.Service{
		Name: "sts",
		Path: "sts/2011-06-15",
		Ops:  []string{"GetCallerIdentity", "AssumeRole", "GetSessionToken", "GetAccessKeyInfo"},
		// Members that are answered with an error when set. Names are those of the model, joined by dots.
		Refused: map[string][]string{
			"AssumeRole": {"PolicyArns", "Policy", "Tags", "TransitiveTagKeys", "SerialNumber", "TokenCode", "SourceIdentity",
				"ProvidedContexts", "MinimumSessionTokenSize"},
			"GetSessionToken": {"SerialNumber", "TokenCode", "MinimumSessionTokenSize"},
		},
		Codes:    queryCodes,
		Statuses: queryStatuses(),
	}
}

func iam() model.Service {
	return model.Service{
		Name: "iam",
		Path: "iam/2010-05-08",
		Ops: []string{
			"CreateRole", "GetRole", "ListRoles", "UpdateRole", "UpdateRoleDescription", "DeleteRole", "UpdateAssumeRolePolicy",
			"TagRole", "UntagRole", "ListRoleTags", "PutRolePolicy", "GetRolePolicy", "DeleteRolePolicy", "ListRolePolicies",
			"AttachRolePolicy", "DetachRolePolicy", "ListAttachedRolePolicies", "CreatePolicy", "GetPolicy", "GetPolicyVersion",
			"ListPolicies", "ListPolicyVersions", "CreatePolicyVersion", "DeletePolicyVersion", "SetDefaultPolicyVersion",
			"DeletePolicy", "ListEntitiesForPolicy", "TagPolicy", "UntagPolicy", "ListPolicyTags", "ListInstanceProfilesForRole",
			"GetUser",
		},
		// Members that are answered with an error when set. Names are those of the model, joined by dots.
		Refused: map[string][]string{
			"CreateRole": {"PermissionsBoundary"},
		},
		Codes:    queryCodes,
		Statuses: queryStatuses(),
	}
}
