// Command gen writes the typed Go of the AWS services from their models. Run it at the root of the repository:
//
//	go run ./internal/door/aws/wire/gen
//
// What is built of each service is said in the tables beside this file.
package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"artesian/internal/door/aws/wire/model"
)

const (
	models = "internal/door/aws/models"
	doors  = "internal/door/aws"
)

func main() {
	for _, s := range services() {
		if err := generate(s); err != nil {
			fmt.Fprintf(os.Stderr, "gen: %v\n", err)
			os.Exit(1)
		}
	}
}

func services() []model.Service { return []model.Service{lambda(), iam(), sts(), logs()} }

func generate(s model.Service) error {
	m, err := model.Load(filepath.Join(models, s.Path, "service-2.json.gz"))
	if err != nil {
		return err
	}
	built, err := model.Build(m, s)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(built.Skipped)) {
		fmt.Fprintf(os.Stderr, "gen: %s: pattern of %s is not checked (look-around): %s\n", s.Name, name, built.Skipped[name])
	}
	src, err := emit(built)
	if err != nil {
		return err
	}
	dir := filepath.Join(doors, s.Name, "api")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make package folder: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "zz_generated.go"), src, 0o644); err != nil {
		return fmt.Errorf("write package: %w", err)
	}
	return nil
}
