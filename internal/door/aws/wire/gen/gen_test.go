package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"artesian/internal/door/aws/wire/model"
)

// source generates a service's package from the models in the repository.
func source(t *testing.T, s model.Service) []byte {
	t.Helper()
	m, err := model.Load(filepath.Join("..", "..", "models", s.Path, "service-2.json.gz"))
	if err != nil {
		t.Fatal(err)
	}
	built, err := model.Build(m, s)
	if err != nil {
		t.Fatal(err)
	}
	src, err := emit(built)
	if err != nil {
		t.Fatal(err)
	}
	return src
}

func TestGeneratedPackagesAreCurrent(t *testing.T) {
	for _, s := range services() {
		have, err := os.ReadFile(filepath.Join("..", "..", s.Name, "api", "zz_generated.go"))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(have, source(t, s)) {
			t.Errorf("package %s is not what the generator writes: run go run ./internal/door/aws/wire/gen", s.Name)
		}
	}
}

func TestTableMistakesAreFound(t *testing.T) {
	for name, spoil := range map[string]func(*model.Service){
		"operation NoSuch is not in the model":               func(s *model.Service) { s.Ops = append(s.Ops, "NoSuch") },
		"refused member Code.Zip of CreateFunction":          func(s *model.Service) { s.Refused = map[string][]string{"CreateFunction": {"Code.Zip"}} },
		"refused members of InvokeAsync, which is not built": func(s *model.Service) { s.Refused = map[string][]string{"InvokeAsync": {"FunctionName"}} },
		"error NoSuchException is not in the model":          func(s *model.Service) { s.Errors = []string{"NoSuchException"} },
		"constraint of member Runtime.NoSuch, which is not":  func(s *model.Service) { s.Lenient = []string{"Runtime.NoSuch"} },
		"constraint of shape NoSuch, which is not in use":    func(s *model.Service) { s.Most = map[string]float64{"NoSuch": 1} },
		"has no code":                            func(s *model.Service) { s.Statuses = nil },
		"settings of NoSuch, which is not built": func(s *model.Service) { s.Limits = map[string]int64{"NoSuch": 1} },
	} {
		s := lambda()
		spoil(&s)
		m, err := model.Load(filepath.Join("..", "..", "models", s.Path, "service-2.json.gz"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := model.Build(m, s); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
