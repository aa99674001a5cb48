package gateway

import (
	"encoding/binary"
	"encoding/json"
	"encoding/xml"
	"net/http"
	"strings"

	"artesian/internal/door/gateway/admin"
)

// refuse answers a request that no service took, in the form in which its client reads errors: an SDK's message must not
// be that it could not parse the answer. service is the signing name, if there is one.
func refuse(w http.ResponseWriter, r *http.Request, service string, status int, code, message string) {
	h, id := w.Header(), w.Header().Get("X-Amzn-Requestid")
	h.Set("X-Amzn-Errortype", code)
	var body []byte
	switch {
	case r.Header.Get("Smithy-Protocol") == "rpc-v2-cbor":
		h.Set("Smithy-Protocol", "rpc-v2-cbor")
		h.Set("Content-Type", "application/cbor")
		body = cborText(cborText(cborText(cborText([]byte{0xa2}, "__type"), code), "message"), message)
	case r.Header.Get("X-Amz-Target") != "":
		h.Set("Content-Type", "application/x-amz-json-1.0")
		body, _ = json.Marshal(map[string]string{"__type": code, "message": message}) // two strings
	case service == "s3":
		h.Set("Content-Type", "application/xml")
		body = []byte("<Error>" + xmlError(code, message) + "<RequestId>" + id + "</RequestId></Error>")
	case service == "ec2":
		h.Set("Content-Type", "text/xml")
		body = []byte("<Response><Errors><Error>" + xmlError(code, message) + "</Error></Errors><RequestID>" + id + "</RequestID></Response>")
	case service == "route53" || service == "cloudfront" || IsForm(r):
		h.Set("Content-Type", "text/xml")
		body = []byte("<ErrorResponse><Error><Type>Sender</Type>" + xmlError(code, message) + "</Error><RequestId>" + id + "</RequestId></ErrorResponse>")
	default:
		writeJSON(w, status, admin.Error{Code: code, Message: message})
		return
	}
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may have left
}

func xmlError(code, message string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(message)) // a Builder takes everything
	return "<Code>" + code + "</Code><Message>" + b.String() + "</Message>"
}

// cborText appends a text string (RFC 8949, major type 3) of less than 64 KiB.
func cborText(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(append(b, 0x79), uint16(len(s))), s...)
}

// unknownService is the answer to a signature for a service that isn't there.
func unknownService(w http.ResponseWriter, r *http.Request, name string) {
	refuse(w, r, name, http.StatusNotImplemented, "UnknownService", "The service "+quote(name)+" is not built.")
}

// unsigned is the answer to a request without a signature.
func unsigned(w http.ResponseWriter, r *http.Request) {
	code := "MissingAuthenticationTokenException"
	if IsForm(r) {
		code = "MissingAuthenticationToken" // the same error, as the Query protocol calls it
	}
	refuse(w, r, "", http.StatusForbidden, code,
		"Missing Authentication Token: sign the request with AWS Signature Version 4; `artesian env` prints the credentials.")
}

// IsForm reports whether a request speaks the Query protocol.
func IsForm(r *http.Request) bool {
	return strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded")
}
