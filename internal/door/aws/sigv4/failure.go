package sigv4

import (
	"fmt"
	"strings"
	"time"

	"artesian/internal/faas"
)

// The codes and texts are those of AWS's common errors
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/signature-v4-troubleshooting.html and each service's CommonErrors page).
var (
	failMissing = &failure{faas.Unauthenticated, [2]string{"MissingAuthenticationTokenException", "MissingAuthenticationToken"},
		"Missing Authentication Token"}
	failUnknownKey = &failure{faas.Unauthenticated, [2]string{"UnrecognizedClientException", "InvalidClientTokenId"},
		"The security token included in the request is invalid."}
	failEnded = &failure{faas.Unauthenticated, [2]string{"ExpiredTokenException", "ExpiredToken"},
		"The security token included in the request is expired"}
	failMismatch = invalid("The request signature we calculated does not match the signature you provided. " +
		"Check your AWS Secret Access Key and signing method. Consult the service documentation for details.")
	failBodyHash = invalid("The provided 'x-amz-content-sha256' header does not match what was computed.")

	failUnsignedPayload = invalid("'UNSIGNED-PAYLOAD' is not supported by this service: 'x-amz-content-sha256' must be the hash of the body.")
	failStreaming       = invalid("A 'x-amz-content-sha256' of 'STREAMING-…' is not supported: send the body with its hash.")
	failTwoWays         = incomplete("Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter or the Authorization header should be specified.")
	failQueryParts      = incomplete("AWS query-string parameters must include 'X-Amz-Algorithm', 'X-Amz-Credential', 'X-Amz-Signature', " +
		"'X-Amz-SignedHeaders' and 'X-Amz-Date', each once. Re-examine the query-string parameters.")
	failExpires = incomplete("X-Amz-Expires must be a number of seconds from 1 to 604800.")
)

func invalid(format string, args ...any) *failure {
	return &failure{faas.Unauthenticated, [2]string{"InvalidSignatureException", "SignatureDoesNotMatch"}, fmt.Sprintf(format, args...)}
}

func incomplete(format string, args ...any) *failure {
	return &failure{faas.Invalid, [2]string{"IncompleteSignatureException", "IncompleteSignature"}, fmt.Sprintf(format, args...)}
}

// missingParts names the parts that an Authorization header lacks.
func missingParts(a *auth) *failure {
	var lacks []string
	for _, part := range [...]struct{ name, value string }{
		{"Credential", a.credential}, {"Signature", a.signature}, {"SignedHeaders", a.signedHeaders},
	} {
		if part.value == "" {
			lacks = append(lacks, "Authorization header requires '"+part.name+"' parameter.")
		}
	}
	if a.timestamp == "" {
		lacks = append(lacks, "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
	}
	return incomplete("%s", strings.Join(lacks, " "))
}

const basicISO = "20060102T150405Z"

func expired(at, now time.Time, allowed time.Duration) *failure {
	return invalid("Signature expired: %s is now earlier than %s (%s - %s.)",
		at.Format(basicISO), now.Add(-allowed).Format(basicISO), now.Format(basicISO), words(allowed))
}

func early(at, now time.Time) *failure {
	return invalid("Signature not yet current: %s is still later than %s (%s + %s.)",
		at.Format(basicISO), now.Add(MaxSkew).Format(basicISO), now.Format(basicISO), words(MaxSkew))
}

func words(d time.Duration) string {
	if d%time.Minute == 0 {
		return fmt.Sprintf("%d min", d/time.Minute)
	}
	return fmt.Sprintf("%d sec", d/time.Second)
}
