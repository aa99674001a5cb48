package container

import (
	"context"
	"testing"
)

func BenchmarkDisk(b *testing.B) {
	d := &disks{dir: b.TempDir(), templates: map[int]*template{}}
	for b.Loop() {
		k, err := d.new(context.Background(), 512, 1000, 1000)
		if err != nil {
			b.Fatal(err)
		}
		k.close()
	}
	n := 0
	for _, e := range d.templates[512].extents {
		n += len(e.data)
	}
	b.Log(len(d.templates[512].extents), n)
}
