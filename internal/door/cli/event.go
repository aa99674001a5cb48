package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"artesian/internal/faas"
)

// event reads what -d names: JSON, a file or stdin. A byte order mark is taken off; what is empty or no JSON is refused.
func (c *invokeCmd) event(stdin io.Reader) ([]byte, error) {
	var b []byte
	var err error
	from := "the event (-d)"
	switch {
	case c.Payload == "-":
		from = "stdin"
		b, err = io.ReadAll(stdin)
	case strings.HasPrefix(c.Payload, "@"):
		from = c.Payload[1:]
		b, err = os.ReadFile(from)
	default:
		b = []byte(c.Payload)
	}
	if err != nil {
		return nil, fmt.Errorf("read the event: %w", err)
	}
	b = bytes.TrimPrefix(b, []byte("\ufeff"))
	if len(b) > faas.MaxRequestBytes {
		return nil, fmt.Errorf("the event has %d bytes; at most %d are allowed", len(b), faas.MaxRequestBytes)
	}
	if err := checkJSON(from, b); err != nil {
		return nil, &exitError{ExitUsage, err}
	}
	return b, nil
}

// checkJSON says where a text stops being JSON: the line and column, counted from 1 in bytes.
func checkJSON(from string, b []byte) error {
	if len(bytes.TrimSpace(b)) == 0 {
		return fmt.Errorf("%s is empty; an event without content is {}", from)
	}
	var v any
	err := json.Unmarshal(b, &v)
	if err == nil {
		return nil
	}
	var syntax *json.SyntaxError
	if !errors.As(err, &syntax) {
		return fmt.Errorf("%s is not JSON: %w", from, err)
	}
	before := b[:max(0, min(int(syntax.Offset)-1, len(b)))]
	line, column := bytes.Count(before, []byte("\n"))+1, len(before)-bytes.LastIndexByte(before, '\n')
	return fmt.Errorf("%s is not JSON: line %d, column %d: %w", from, line, column, err)
}

// mistaken notices that --data, the daemon's directory, was given what -d is for. It has become a path by now.
func (c *invokeCmd) mistaken() error {
	said := c.Data
	if here, err := os.Getwd(); err == nil {
		said = strings.TrimPrefix(said, here+string(filepath.Separator))
	}
	if said == "" || !strings.ContainsRune("{[\"@", rune(said[0])) {
		return nil
	}
	return &exitError{ExitUsage, fmt.Errorf("--data is the daemon's directory; the event goes with -d: artesian invoke %s -d %s", c.Name, shellQuote(said))}
}
