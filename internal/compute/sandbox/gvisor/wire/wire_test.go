package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// pair is two ends of a connection.
func pair(t testing.TB) (a, b *net.UnixConn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]*net.UnixConn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "pair")
		c, err := net.FileConn(f)
		_ = f.Close()
		if err != nil {
			t.Fatal(err)
		}
		ends[i] = c.(*net.UnixConn)
		t.Cleanup(func() { _ = c.Close() })
	}
	return ends[0], ends[1]
}

// TestWire: an order arrives as it was sent, with its descriptors; what is too long does not go out.
func TestWire(t *testing.T) {
	a, b := pair(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = r.Close(), w.Close() })
	sent := Order{Kind: Run, Program: &Program{Argv: []string{"/p", "x\n"}, Env: []string{"A=1"}, Dir: "/", Channel: true, Beside: []Aside{{Argv: []string{"/q"}}}}}
	if err := Write(a, sent, int(w.Fd())); err != nil {
		t.Fatal(err)
	}
	var got Order
	files, err := Read(b, &got)
	if err != nil || len(files) != 1 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	if diff := cmp.Diff(sent, got); diff != "" {
		t.Error(diff)
	}
	if _, err := files[0].WriteString("through"); err != nil {
		t.Error(err)
	}
	Close(files)
	text := make([]byte, 7)
	if _, err := io.ReadFull(r, text); err != nil || string(text) != "through" {
		t.Errorf("%q: %v", text, err)
	}
	if err := Write(a, Order{Kind: strings.Repeat("x", maxMessage)}); err == nil {
		t.Error("a message over the limit went out")
	}
	_ = a.Close()
	if _, err := Read(b, &got); !errors.Is(err, io.EOF) {
		t.Errorf("from an end that is closed: %v", err)
	}
}

// FuzzRead: whatever a supervisor in a sandbox sends is news or an error, and what is news is what was sent.
func FuzzRead(f *testing.F) {
	frame := func(body string) []byte { return append([]byte{0, 0, 0, byte(len(body))}, body...) }
	f.Add(frame(`{"kind":"exited","status":256}`), byte(0))
	f.Add(frame(`{"kind":"failed","error":"no"}`), byte(3))
	f.Add(frame(`{"kind":1}`), byte(1))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, '{'}, byte(0))
	f.Add([]byte{0, 0}, byte(0))
	f.Add([]byte{0, 0, 0, 9, '{'}, byte(2))
	f.Fuzz(func(t *testing.T, sent []byte, descriptors byte) {
		if len(sent) == 0 || len(sent) > 64<<10 {
			return
		}
		a, b := pair(t)
		rights := make([]int, descriptors%(maxFiles+1))
		for i := range rights {
			rights[i] = 0
		}
		var control []byte
		if len(rights) > 0 {
			control = unix.UnixRights(rights...)
		}
		go func() {
			_, _, _ = a.WriteMsgUnix(sent, control, nil) // the reader may be done before
			_ = a.Close()
		}()
		if err := b.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		var news News
		files, err := Read(b, &news)
		defer Close(files)
		if len(files) > len(rights) || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("%d files of %d: %v", len(files), len(rights), err)
		}
		if err != nil {
			return
		}
		var want News
		if body, ok := bytes.CutPrefix(sent, sent[:min(4, len(sent))]); !ok || json.NewDecoder(bytes.NewReader(body)).Decode(&want) != nil || want != news {
			t.Errorf("read %+v of %q", news, sent)
		}
	})
}
