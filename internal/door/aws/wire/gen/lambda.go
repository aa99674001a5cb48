package main

import (
	"math"

	"artesian/internal/door/aws/wire"
	"artesian/internal/door/aws/wire/model"
	"artesian/internal/faas"
)

func lambda() model.Service {
	// What Lambda answers that it allows: 50 MB (https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html) in
	// base64 and 256 KB around it.
	const zip = 70167211
	return model.Service{
		Name: "lambda",
		Path: "lambda/2015-03-31",
		Ops: []string{
			"CreateFunction", "GetFunction", "GetFunctionConfiguration", "ListFunctions", "UpdateFunctionCode",
			"UpdateFunctionConfiguration", "DeleteFunction", "Invoke", "PublishVersion", "ListVersionsByFunction",
			"InvokeWithResponseStream",
			"CreateFunctionUrlConfig", "GetFunctionUrlConfig", "UpdateFunctionUrlConfig", "DeleteFunctionUrlConfig", "ListFunctionUrlConfigs",
			"GetAccountSettings", "ListTags", "TagResource", "UntagResource",
			"PublishLayerVersion", "GetLayerVersion", "GetLayerVersionByArn", "DeleteLayerVersion", "ListLayers", "ListLayerVersions",
			"AddLayerVersionPermission", "RemoveLayerVersionPermission", "GetLayerVersionPolicy",
			"CreateAlias", "GetAlias", "UpdateAlias", "DeleteAlias", "ListAliases",
			"PutFunctionConcurrency", "GetFunctionConcurrency", "DeleteFunctionConcurrency",
			"AddPermission", "RemovePermission", "GetPolicy",
			"PutFunctionEventInvokeConfig", "UpdateFunctionEventInvokeConfig", "GetFunctionEventInvokeConfig",
			"DeleteFunctionEventInvokeConfig", "ListFunctionEventInvokeConfigs",
			"PutRuntimeManagementConfig", "GetRuntimeManagementConfig", "PutFunctionRecursionConfig", "GetFunctionRecursionConfig",
			"GetFunctionCodeSigningConfig", "DeleteFunctionCodeSigningConfig", "ListCodeSigningConfigs", "GetCodeSigningConfig",
			"ListFunctionsByCodeSigningConfig", "PutProvisionedConcurrencyConfig", "GetProvisionedConcurrencyConfig", "DeleteProvisionedConcurrencyConfig",
			"ListProvisionedConcurrencyConfigs", "ListEventSourceMappings",
		},
		Actions: map[string]string{"Invoke": "InvokeFunction", "InvokeWithResponseStream": "InvokeFunction", "GetLayerVersionByArn": "GetLayerVersion"},
		// A function's runtime is checked by the implementation: its answer names what is installed here.
		Lenient: []string{"CreateFunctionRequest.Runtime", "UpdateFunctionConfigurationRequest.Runtime"},
		// The model has the sizes of what AWS offers on request; its user guide has these. A timeout's bound is configured.
		Most: map[string]float64{"MemorySize": faas.MaxMemoryMB, "Timeout": math.MaxInt32, "EphemeralStorageSize": faas.MaxTmpMB},
		Limits: map[string]int64{"CreateFunction": zip, "UpdateFunctionCode": zip, "PublishLayerVersion": zip,
			"Invoke": faas.MaxRequestBytes, "InvokeWithResponseStream": faas.MaxRequestBytes},
		Content: map[string]string{"Invoke": "application/json"},
		// Members that are answered with an error when set. Names are those of the model, joined by dots.
		Refused: map[string][]string{
			"CreateFunction": {"AcceleratorConfig", "CapacityProviderConfig", "DurableConfig", "FileSystemConfigs", "ImageConfig",
				"KMSKeyArn", "RuntimeConfig", "VpcConfig",
				"CodeSigningConfigArn", "PublishTo", "Code.ImageUri", "Code.S3Bucket", "Code.S3Key", "Code.S3ObjectStorageMode",
				"Code.S3ObjectVersion", "Code.SourceKMSKeyArn"},
			"UpdateFunctionConfiguration": {"AcceleratorConfig", "CapacityProviderConfig", "DurableConfig", "FileSystemConfigs", "ImageConfig",
				"KMSKeyArn", "RuntimeConfig", "VpcConfig"},
			"UpdateFunctionCode":  {"ImageUri", "S3Bucket", "S3Key", "S3ObjectStorageMode", "S3ObjectVersion", "SourceKMSKeyArn", "PublishTo"},
			"PublishVersion":      {"PublishTo"},
			"Invoke":              {"DurableExecutionName"},
			"ListFunctions":       {"MasterRegion"},
			"PublishLayerVersion": {"Content.S3Bucket", "Content.S3Key", "Content.S3ObjectStorageMode", "Content.S3ObjectVersion"},
		},
		// What AWS leaves out of its answers although its model requires it.
		Optional: []string{"GetFunctionCodeSigningConfigResponse.CodeSigningConfigArn", "GetFunctionCodeSigningConfigResponse.FunctionName"},
		Errors: []string{"TooManyRequestsException", "ServiceException", "InvalidParameterValueException", "ResourceNotFoundException",
			"ResourceConflictException", "PreconditionFailedException", "CodeStorageExceededException", "RequestTooLargeException"},
		Codes: wire.Codes{
			Syntax: "InvalidRequestContentException", Type: "SerializationException", Validation: "ValidationException",
			Refused: "InvalidParameterValueException", TooLarge: "RequestEntityTooLargeException",
			NotBuilt: "NotImplementedException", UnknownOp: "UnknownOperationException",
		},
		Statuses: map[faas.Kind]wire.Code{
			faas.Internal:        {Code: "ServiceException", Status: 500},
			faas.Invalid:         {Code: "InvalidParameterValueException", Status: 400},
			faas.NotFound:        {Code: "ResourceNotFoundException", Status: 404},
			faas.Conflict:        {Code: "ResourceConflictException", Status: 409},
			faas.Precondition:    {Code: "PreconditionFailedException", Status: 412},
			faas.Unauthenticated: {Code: "UnrecognizedClientException", Status: 403},
			faas.Denied:          {Code: "AccessDeniedException", Status: 403},
			faas.Throttled:       {Code: "TooManyRequestsException", Status: 429},
			faas.TooLarge:        {Code: "RequestTooLargeException", Status: 413},
			faas.LimitExceeded:   {Code: "CodeStorageExceededException", Status: 400},
			faas.Unsupported:     {Code: "InvalidParameterValueException", Status: 400},
			faas.Unavailable:     {Code: "ServiceUnavailableException", Status: 503},
		},
	}
}
