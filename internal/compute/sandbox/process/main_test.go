package process

import (
	"os"
	"testing"

	"artesian/internal/compute/sandbox/sandboxtest"
)

func TestMain(m *testing.M) {
	status := m.Run()
	sandboxtest.Forget()
	os.Exit(status)
}
