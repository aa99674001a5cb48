package identity

import (
	"crypto/sha256"
	_ "embed" // the policies
	"encoding/base32"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// builtinJSON has the managed policies of AWS that serverless applications use, as AWS publishes them
// (https://docs.aws.amazon.com/aws-managed-policy/latest/reference/policy-list.html): one line each, made by
// testdata/builtin.py.
//
//go:embed builtin.json
var builtinJSON string

type builtinPolicy struct {
	Path     string          `json:"path"`
	Version  string          `json:"version"`
	Created  time.Time       `json:"created"`
	Updated  time.Time       `json:"updated"`
	Document json.RawMessage `json:"document"`
}

// Builtin returns AWS's own policies by ARN.
func (d *Directory) Builtin() map[string]*Policy { return d.builtin() }

// readBuiltin decodes the embedded policies; it runs once, when the first is asked for.
func readBuiltin() map[string]*Policy {
	var named map[string]builtinPolicy
	if err := json.Unmarshal([]byte(builtinJSON), &named); err != nil {
		panic(fmt.Sprintf("decode embedded policies: %v", err)) // a test reads them
	}
	all := make(map[string]*Policy, len(named))
	for name, b := range named {
		number, err := strconv.Atoi(strings.TrimPrefix(b.Version, "v"))
		if err != nil {
			panic(fmt.Sprintf("read version of embedded policy: %v", err))
		}
		p := &Policy{Account: awsOwned, Name: name, Path: b.Path, Created: b.Created, Updated: b.Updated, Default: number,
			Versions: []PolicyVersion{{Number: number, Document: string(b.Document), Created: b.Updated}}}
		p.ID = builtinID(p.ARN())
		all[p.ARN()] = p
	}
	return all
}

// builtinID is an id that a policy has on every machine; AWS publishes none.
func builtinID(arn string) string {
	sum := sha256.Sum256([]byte(arn))
	return prefixPolicy + base32.StdEncoding.EncodeToString(sum[:])[:17]
}
