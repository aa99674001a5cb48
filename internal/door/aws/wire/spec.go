// Package wire serves AWS wire protocols from tables generated out of the public service models.
//
// A Spec describes one service: its shapes, operations and errors. A Server recognises an operation in an HTTP request, decodes the
// request into the operation's generated Go struct, checks the model's constraints, asks for authorisation, calls the
// implementation, and encodes what it returns. Protocols: restJson1, awsJson1.x, awsQuery.
package wire

// Protocol is how requests and responses are written.
type Protocol uint8

// The protocols.
const (
	RestJSON Protocol = iota
	AWSJSON
	Query
)

// Kind is what a shape is, and with it the Go type of its values.
type Kind uint8

// The kinds, with the Go type of a value. A scalar that is an optional member of a structure is a pointer to it.
const (
	Structure Kind = iota // struct; always a pointer as a member
	List                  // []T
	Map                   // map[string]T
	String                // string
	Boolean               // bool
	Integer               // int32
	Long                  // int64
	Float                 // float32
	Double                // float64
	Timestamp             // time.Time
	Blob                  // []byte
	Document              // any: nil, bool, json.Number, string, []any, map[string]any
)

// Loc is where in an HTTP message a member travels. All protocols but RestJSON use Body only.
type Loc uint8

// The locations.
const (
	Body       Loc = iota
	URI            // a label of the path
	QueryParam     // one parameter, or all others when the member is a map
	Header         // one header
	Headers        // all headers with a prefix, as a map
	StatusCode     // the status of the response
	Payload        // the whole body
)

// Of an event in a stream, Header is one header with a type and Payload all of the message behind the headers.

// TimeFormat is how a timestamp is written; Natural leaves it to protocol and location.
type TimeFormat uint8

// The formats.
const (
	Natural TimeFormat = iota
	UnixTime
	ISO8601
	HTTPDate
)

// Spec describes a service. Indices into Shapes stand for references, so that recursive shapes stay plain data.
type Spec struct {
	Name       string // signing name and prefix of its IAM actions
	Protocol   Protocol
	APIVersion string
	Target     string // X-Amz-Target prefix (AWSJSON)
	Content    string // Content-Type of responses
	Namespace  string // XML namespace of responses (Query)
	Codes      Codes
	Kinds      [12]Code // what each faas.Kind is answered with
	Shapes     []Shape
	Ops        []Op      // built operations; the methods given to New are in this order
	Unbuilt    []Unbuilt // the model's other operations
	Errors     []ErrorShape
}

// Codes are the error codes of requests that never reach an operation.
type Codes struct {
	Syntax     string // the body cannot be parsed
	Type       string // a member has the wrong type
	Validation string // a constraint of the model is not met
	Refused    string // a member that is not honoured
	TooLarge   string // the body exceeds its limit
	NotBuilt   string // the operation exists in the model only
	UnknownOp  string // there is no such operation
}

// Code is an error code with the HTTP status it travels under.
type Code struct {
	Code   string
	Status int
}

// Op is a built operation.
type Op struct {
	Name    string
	Action  string // IAM action without the service's prefix, when it differs from Name
	Method  string
	URI     string // template (RestJSON)
	Status  int    // of a successful response; 0 is 200
	Limit   int64  // of the request body in bytes; 0 is defaultLimit
	Content string // Content-Type of a payload, when it differs from the protocol's
	Input   int
	Output  int    // 0: none (shape 0 is never an output)
	Events  int    // the events of which the body is a stream, as the members of this structure; 0: none (RestJSON)
	Wrapper string // element around the result (Query)
	Refused []Refusal
}

// Refusal is a member of an input that is answered with an error when it is set.
type Refusal struct {
	Path  string // dotted, as a caller writes it
	Index []int  // the same as member indices
}

// Unbuilt is an operation that exists in the model only.
type Unbuilt struct {
	Name   string
	Method string
	URI    string
}

// ErrorShape is an error that the service may answer.
type ErrorShape struct {
	Code   string
	Status int
	Shape  int
	Fault  bool // the service's, not the caller's
}

// Shape is one type of the model.
type Shape struct {
	Kind      Kind
	Union     bool
	Flattened bool // list or map without a wrapping level (Query)
	Sensitive bool // its value is never repeated in a message
	HasMin    bool // Min applies: to a value, a length in characters or bytes, or a number of entries
	HasMax    bool
	Min, Max  float64
	Pattern   string // as in the model; matched against the whole value
	Enum      []string
	Time      TimeFormat
	Key       int    // map
	Elem      int    // list, map
	KeyName   string // map; empty is "key"
	ElemName  string // list: empty is "member"; map: empty is "value"
	Members   []Member
}

// Member is a field of a structure; its position is that of the Go struct's field.
type Member struct {
	Name      string
	Wire      string // name in messages; empty is Name
	Shape     int
	Loc       Loc
	Required  bool
	Attribute bool // XML attribute
}

func (m *Member) wire() string {
	if m.Wire != "" {
		return m.Wire
	}
	return m.Name
}
