package main

import (
	"artesian/internal/door/aws/wire"
	"artesian/internal/door/aws/wire/model"
	"artesian/internal/faas"
)

func logs() model.Service {
	return model.Service{
		Name: "logs",
		Path: "logs/2014-03-28",
		Ops: []string{
			"CreateLogGroup", "DeleteLogGroup", "DescribeLogGroups", "CreateLogStream", "DeleteLogStream", "DescribeLogStreams",
			"PutLogEvents", "GetLogEvents", "FilterLogEvents", "TestMetricFilter", "StartQuery", "GetQueryResults", "StopQuery", "DescribeQueries",
			"PutSubscriptionFilter", "DescribeSubscriptionFilters", "DeleteSubscriptionFilter", "PutRetentionPolicy", "DeleteRetentionPolicy",
			"TagResource", "UntagResource", "ListTagsForResource",
		},
		// A batch of 1 MiB may take several times that in JSON, and each of its 10,000 events brings its own braces.
		Limits: map[string]int64{"PutLogEvents": 8 << 20},
		// Members that are answered with an error when set. Names are those of the model, joined by dots.
		Refused: map[string][]string{
			"CreateLogGroup":        {"kmsKeyId", "deletionProtectionEnabled"},
			"DescribeLogGroups":     {"accountIdentifiers", "includeLinkedAccounts"},
			"PutSubscriptionFilter": {"roleArn", "fieldSelectionCriteria", "emitSystemFields"},
		},
		Errors: []string{"InvalidParameterException", "ResourceNotFoundException", "ResourceAlreadyExistsException",
			"LimitExceededException", "ServiceUnavailableException", "OperationAbortedException", "MalformedQueryException"},
		Codes: wire.Codes{
			Syntax: "SerializationException", Type: "SerializationException", Validation: "InvalidParameterException",
			Refused: "InvalidParameterException", TooLarge: "InvalidParameterException",
			NotBuilt: "NotImplementedException", UnknownOp: "UnknownOperationException",
		},
		Statuses: map[faas.Kind]wire.Code{
			faas.Internal:        {Code: "InternalFailure", Status: 500},
			faas.Invalid:         {Code: "InvalidParameterException", Status: 400},
			faas.NotFound:        {Code: "ResourceNotFoundException", Status: 400},
			faas.Conflict:        {Code: "ResourceAlreadyExistsException", Status: 400},
			faas.Precondition:    {Code: "OperationAbortedException", Status: 400},
			faas.Unauthenticated: {Code: "UnrecognizedClientException", Status: 400},
			faas.Denied:          {Code: "AccessDeniedException", Status: 400},
			faas.Throttled:       {Code: "ThrottlingException", Status: 400},
			faas.TooLarge:        {Code: "InvalidParameterException", Status: 400},
			faas.LimitExceeded:   {Code: "LimitExceededException", Status: 400},
			faas.Unsupported:     {Code: "InvalidParameterException", Status: 400},
			faas.Unavailable:     {Code: "ServiceUnavailableException", Status: 503},
		},
	}
}
