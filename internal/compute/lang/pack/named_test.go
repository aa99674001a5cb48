package pack

import (
	"strings"
	"testing"

	"artesian/internal/faas"
)

// TestNamed: a name that is no pack's is answered with all that may be named.
func TestNamed(t *testing.T) {
	s := &Store{all: []*Manifest{{Name: "boto3"}, {Name: "java-ric"}}}
	if m, err := s.Named("java-ric"); err != nil || m.Name != "java-ric" {
		t.Errorf("%v, %v", m, err)
	}
	_, err := s.Named("node")
	if faas.KindOf(err) != faas.NotFound || !strings.Contains(err.Error(), "nothing is named node: name the path of an interpreter, a version of Node.js (node@22.12.0) or a runtime pack: boto3, java-ric") {
		t.Error(err)
	}
}
