package engine_test

import (
	"os"
	"testing"
)

// The test binary starts itself again as the process that gets killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv(victimDir); dir != "" {
		os.Exit(victim(dir))
	}
	os.Exit(m.Run())
}
