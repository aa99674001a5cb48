package direct_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"artesian/internal/compute/sandbox/direct"
)

// pair is both ends of a socket, or of something that is none.
func pair(t *testing.T, network string) (a, b net.Conn) {
	t.Helper()
	if network == "pipe" {
		return net.Pipe()
	}
	address := "127.0.0.1:0"
	if network == "unix" {
		address = t.TempDir() + "/s"
	}
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if a, err = net.Dial(network, l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if b, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = a.Close(), b.Close() })
	return a, b
}

// TestBytes sends more than a socket holds, in pieces of many sizes, to a reader of other sizes.
func TestBytes(t *testing.T) {
	for _, network := range []string{"tcp", "unix", "pipe"} {
		a, b := pair(t, network)
		from, to := direct.New(a), direct.New(b)
		sent := make([]byte, 8<<20)
		_, _ = rand.Read(sent)
		go func() {
			for at, n := 0, 1; at < len(sent); at, n = at+n, n*3%40_009+1 {
				n = min(n, len(sent)-at)
				if m, err := from.Write(sent[at : at+n]); m != n || err != nil {
					t.Errorf("%s: wrote %d of %d bytes: %v", network, m, n, err)
				}
			}
			_ = a.Close()
		}()
		got, err := io.ReadAll(to)
		if err != nil || !bytes.Equal(got, sent) {
			t.Errorf("%s: %d bytes of %d came: %v", network, len(got), len(sent), err)
		}
	}
}

// TestErrors: errors are those of package net.
func TestErrors(t *testing.T) {
	for _, network := range []string{"tcp", "unix", "pipe"} {
		a, b := pair(t, network)
		c := direct.New(a)
		_ = c.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
		if n, err := c.Read(make([]byte, 10)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: read %d bytes in time: %v", network, n, err)
		}
		_ = c.SetReadDeadline(time.Time{})
		read := make(chan error)
		go func() { _, err := c.Read(make([]byte, 10)); read <- err }()
		_ = c.Close()
		if err := <-read; !errors.Is(err, net.ErrClosed) && !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("%s: read of what was closed: %v", network, err)
		}
		if _, err := c.Write([]byte("a")); !errors.Is(err, net.ErrClosed) && !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("%s: write to what was closed: %v", network, err)
		}
		d := direct.New(b)
		if n, err := d.Read(make([]byte, 10)); n != 0 || !errors.Is(err, io.EOF) {
			t.Errorf("%s: read %d bytes at the end: %v", network, n, err)
		}
		var err error
		for i := 0; i < 100 && err == nil; i++ { // the first ones go out before the other side says that it is gone
			_, err = d.Write([]byte("a"))
		}
		if err == nil {
			t.Errorf("%s: nobody reads, and writes succeed", network)
		}
	}
}

// TestNothing: what is empty is neither a read nor a write.
func TestNothing(t *testing.T) {
	a, _ := pair(t, "tcp")
	c := direct.New(a)
	if n, err := c.Read(nil); n != 0 || err != nil {
		t.Error(n, err)
	}
	if n, err := c.Write(nil); n != 0 || err != nil {
		t.Error(n, err)
	}
}

func BenchmarkEcho(b *testing.B) {
	for name, wrap := range map[string]func(net.Conn) net.Conn{
		"net": func(c net.Conn) net.Conn { return c }, "direct": func(c net.Conn) net.Conn { return direct.New(c) },
	} {
		b.Run(name, func(b *testing.B) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			defer l.Close()
			go func() {
				c, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = io.Copy(struct{ io.Writer }{c}, struct{ io.Reader }{c})
			}()
			c, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			d, buf := wrap(c), make([]byte, 512)
			for b.Loop() {
				_, _ = d.Write(buf)
				_, _ = io.ReadFull(d, buf)
			}
		})
	}
}
