// Package model reads botocore's service models and turns them into wire.Spec tables. The generator writes those as Go; tests
// use them as they are.
package model

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"os"
)

// Model is a service-2.json, as far as it is of use here.
type Model struct {
	Metadata   Metadata             `json:"metadata"`
	Operations map[string]Operation `json:"operations"`
	Shapes     map[string]Shape     `json:"shapes"`
}

// Metadata identifies the service.
type Metadata struct {
	APIVersion   string `json:"apiVersion"`
	Protocol     string `json:"protocol"`
	JSONVersion  string `json:"jsonVersion"`
	TargetPrefix string `json:"targetPrefix"`
	Namespace    string `json:"xmlNamespace"`
}

// Operation is one operation of the model.
type Operation struct {
	Name string `json:"name"`
	HTTP struct {
		Method       string `json:"method"`
		RequestURI   string `json:"requestUri"`
		ResponseCode int    `json:"responseCode"`
	} `json:"http"`
	Input  *Ref  `json:"input"`
	Output *Ref  `json:"output"`
	Errors []Ref `json:"errors"`
}

// Ref refers to a shape; a member of a structure is one, too.
type Ref struct {
	Shape         string `json:"shape"`
	LocationName  string `json:"locationName"`
	Location      string `json:"location"`
	Timestamp     string `json:"timestampFormat"`
	ResultWrapper string `json:"resultWrapper"`
	Attribute     bool   `json:"xmlAttribute"`
	Flattened     bool   `json:"flattened"`
	JSONValue     bool   `json:"jsonvalue"`
	EventPayload  bool   `json:"eventpayload"`
	EventHeader   bool   `json:"eventheader"`

	Lenient bool `json:"-"` // without the constraints of the shape; Service.Lenient says so
}

// Shape is one type.
type Shape struct {
	Type        string         `json:"type"`
	Members     map[string]Ref `json:"members"`
	Required    []string       `json:"required"`
	Member      Ref            `json:"member"`
	Key         Ref            `json:"key"`
	Value       Ref            `json:"value"`
	Payload     string         `json:"payload"`
	Min         *float64       `json:"min"`
	Max         *float64       `json:"max"`
	Pattern     string         `json:"pattern"`
	Enum        []string       `json:"enum"`
	Timestamp   string         `json:"timestampFormat"`
	Flattened   bool           `json:"flattened"`
	Union       bool           `json:"union"`
	Document    bool           `json:"document"`
	Sensitive   bool           `json:"sensitive"`
	EventStream bool           `json:"eventstream"`
	Exception   bool           `json:"exception"`
	Fault       bool           `json:"fault"`
	Error       struct {
		Code       string `json:"code"`
		StatusCode int    `json:"httpStatusCode"`
	} `json:"error"`
}

// Load reads a compressed model.
func Load(path string) (*Model, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open model: %w", err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, fmt.Errorf("read model %s: %w", path, err)
	}
	m := &Model{}
	if err := json.NewDecoder(z).Decode(m); err != nil {
		return nil, fmt.Errorf("parse model %s: %w", path, err)
	}
	return m, nil
}
