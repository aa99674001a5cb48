package lambda

// Why a call is turned away, in the words of Lambda's API.
const (
	ReasonReserved = "ReservedFunctionConcurrentInvocationLimitExceeded" // the function's own concurrency is used up
	ReasonShared   = "ConcurrentInvocationLimitExceeded"                 // the account's is
	CodeRecursive  = "RecursiveInvocationException"                      // it would be one more round of a loop
)
