package insights

import (
	"encoding/base64"
	"encoding/json"
	"regexp"
	"strconv"
	"strings"

	"artesian/internal/observe/logs"
)

// row is an event on its way through a query, or a line of statistics: then event is nil.
type row struct {
	event *logs.Event
	group logs.GroupID
	set   map[string]any // what commands computed
	made  int            // bytes of texts that functions made

	parsed bool
	doc    any
	report map[string]any
}

func (r *row) put(name string, v any) {
	if r.set == nil {
		r.set = map[string]any{}
	}
	r.set[name] = v
}

// get is the value of a field: computed, of the event itself, or discovered in its message.
func (r *row) get(name string) any {
	if v, ok := r.set[name]; ok {
		return v
	}
	if r.event == nil {
		return nil
	}
	switch name {
	case "@message":
		return r.event.Message
	case "@timestamp":
		return stamp(r.event.Time.UnixMilli())
	case "@ingestionTime":
		return stamp(r.event.Ingested.UnixMilli())
	case "@logStream":
		return r.event.Stream
	case "@log":
		return r.group.Account + ":" + r.group.Name
	case "@ptr":
		return base64.StdEncoding.EncodeToString([]byte(r.group.Name + "\n" + r.event.ID))
	}
	r.discover()
	if strings.HasPrefix(name, "@") {
		return r.report[name]
	}
	return fromJSON(walk(r.doc, name))
}

// walk finds a.b.0 in a document; a name with a dot in it is found as well.
func walk(doc any, name string) any {
	switch at := doc.(type) {
	case map[string]any:
		if v, ok := at[name]; ok {
			return v
		}
		for i := 0; i < len(name); i++ {
			if v, ok := at[name[:i]]; ok && name[i] == '.' {
				if found := walk(v, name[i+1:]); found != nil {
					return found
				}
			}
		}
	case []any:
		head, rest, more := strings.Cut(name, ".")
		if n, err := strconv.Atoi(head); err == nil && n >= 0 && n < len(at) {
			if more {
				return walk(at[n], rest)
			}
			return at[n]
		}
	}
	return nil
}

// lambdaGroup begins the groups in which AWS discovers Lambda's fields.
const lambdaGroup = "/aws/lambda/"

// discover reads what the message has in it, once: a JSON document, for Lambda the first in the line, and the fields of
// Lambda's own lines.
func (r *row) discover() {
	if r.parsed {
		return
	}
	r.parsed = true
	message := r.event.Message
	isLambda := strings.HasPrefix(r.group.Name, lambdaGroup)
	if isLambda {
		r.report = lambdaFields(message)
	}
	i := strings.IndexByte(message, '{')
	if i < 0 || !isLambda && strings.TrimSpace(message[:i]) != "" {
		return
	}
	dec := json.NewDecoder(strings.NewReader(message[i:]))
	dec.UseNumber()
	var doc map[string]any
	if dec.Decode(&doc) == nil {
		r.doc = doc
	}
}

// forget drops what was discovered, which takes many times the room of the message; it is discovered again when asked for.
func (r *row) forget() { r.parsed, r.doc, r.report = false, nil, nil }

var (
	requestID = regexp.MustCompile(`(?:RequestId: |\t)([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})`)
	metric    = regexp.MustCompile(`\t(Duration|Billed Duration|Init Duration|Memory Size|Max Memory Used): ([0-9.]+) (?:ms|MB)`)
)

// lambdaFields are the fields of START, END and REPORT lines and the request id of others. Durations are in ms, sizes in
// bytes, a MB being 1,000,000 of them.
func lambdaFields(message string) map[string]any {
	m := requestID.FindStringSubmatch(message)
	if m == nil {
		return nil
	}
	out := map[string]any{"@requestId": m[1]}
	kind, _, _ := strings.Cut(message, " ")
	if kind != "START" && kind != "END" && kind != "REPORT" {
		return out
	}
	out["@type"] = kind
	for _, f := range metric.FindAllStringSubmatch(message, -1) {
		n, err := strconv.ParseFloat(f[2], 64)
		if err != nil {
			continue
		}
		switch f[1] {
		case "Duration":
			out["@duration"] = n
		case "Billed Duration":
			out["@billedDuration"] = n
		case "Init Duration":
			out["@initDuration"] = n
		case "Memory Size":
			out["@memorySize"] = n * 1e6
		case "Max Memory Used":
			out["@maxMemoryUsed"] = n * 1e6
		}
	}
	return out
}
