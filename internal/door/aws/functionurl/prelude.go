package functionurl

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// integration is the content type of streams that begin with metadata: status, headers and cookies as a JSON document, and
// separator behind it (https://docs.aws.amazon.com/lambda/latest/dg/response-streaming.html).
const integration = "application/vnd.awslambda.http-integration-response"

var separator = make([]byte, 8)

// maxPrelude bounds the metadata before a stream: header fields take less.
const maxPrelude = 64 << 10

var errPrelude = errors.New("the metadata before the stream do not end")

// prelude collects the metadata that precede a stream.
type prelude struct{ buf []byte }

// write takes in a part of the stream. Once the metadata are complete it returns them and what of the body has come.
func (p *prelude) write(part []byte) (resp *response, body []byte, err error) {
	from := max(0, len(p.buf)-len(separator)+1)
	p.buf = append(p.buf, part...)
	at := bytes.Index(p.buf[from:], separator)
	if at < 0 {
		if len(p.buf) > maxPrelude {
			return nil, nil, errPrelude
		}
		return nil, nil, nil
	}
	at += from
	resp, err = parsePrelude(p.buf[:at])
	return resp, p.buf[at+len(separator):], err
}

func parsePrelude(doc []byte) (*response, error) {
	if len(doc) > maxPrelude {
		return nil, errPrelude
	}
	var h head
	if err := json.Unmarshal(doc, &h); err != nil {
		return nil, fmt.Errorf("the metadata before the stream: %w", err)
	}
	if absent(h.Status) {
		h.Status = json.RawMessage("200")
	}
	return h.response()
}

// hasPrelude reports whether a stream of this type begins with metadata.
func hasPrelude(contentType string) bool {
	kind, _, _ := strings.Cut(contentType, ";")
	return strings.EqualFold(strings.TrimSpace(kind), integration)
}
