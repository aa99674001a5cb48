package invoke

import (
	"testing"
	"time"

	"artesian/internal/faas"
)

func BenchmarkFollow(b *testing.B) {
	v := &faas.Version{ID: faas.VersionID{FunctionID: faas.FunctionID{Scope: faas.Scope{Account: faas.DefaultAccount, Region: faas.DefaultRegion}, Name: "f"}}}
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		follow("", v, now)
	}
}
