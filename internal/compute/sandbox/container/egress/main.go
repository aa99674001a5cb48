// Command egress is what tests of the network run inside a sandbox. Each argument is one thing to do, a verb and what it
// needs separated by spaces; each prints one line with what it met.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const patience = 5 * time.Second

func main() {
	verbs := map[string]func([]string) (string, error){
		"tcp": tcp, "udp": udp, "echo": echo, "resolve": resolve, "get": get, "put": put, "latency": latency, "interfaces": interfaces,
		"hold": hold, "flood": flood, "datagrams": datagrams, "wait": wait, "halfclose": halfClose, "bindto": bindTo, "fragments": fragments,
	}
	for _, arg := range os.Args[1:] {
		f := strings.Fields(arg)
		out, err := verbs[f[0]](f[1:])
		if err != nil {
			out = outcome(err)
		}
		fmt.Printf("%s\t%s\n", arg, out)
	}
}

// outcome names an error.
func outcome(err error) string {
	var errno syscall.Errno
	var dns *net.DNSError
	switch {
	case errors.As(err, &errno):
		return unix.ErrnoName(errno)
	case errors.As(err, &dns) && dns.IsNotFound:
		return "no such name"
	case errors.As(err, &dns) && dns.IsTimeout, errors.Is(err, os.ErrDeadlineExceeded):
		return "timeout"
	}
	return err.Error()
}

func dial(network, address string) (net.Conn, error) {
	c, err := net.DialTimeout(network, address, patience)
	if err == nil {
		err = c.SetDeadline(time.Now().Add(patience))
	}
	return c, err
}

// tcp connects and reads what it is greeted with.
func tcp(a []string) (string, error) {
	c, err := dial("tcp", a[0])
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(c)
	return string(b), err
}

// udp sends a datagram of some size and tells how long the answer is.
func udp(a []string) (string, error) {
	c, err := dial("udp", a[0])
	if err != nil {
		return "", err
	}
	size := 4
	if len(a) > 1 {
		size, _ = strconv.Atoi(a[1])
	}
	if _, err := c.Write(make([]byte, size)); err != nil {
		return "", err
	}
	b := make([]byte, 65536)
	n, err := c.Read(b)
	return fmt.Sprintf("%d bytes", n), err
}

// echo sends bytes, ends its side and tells how many come back.
func echo(a []string) (string, error) {
	c, err := dial("tcp", a[0])
	if err != nil {
		return "", err
	}
	n, _ := strconv.Atoi(a[1])
	go func() {
		_, _ = io.CopyN(c, zero{}, int64(n))
		_ = c.(*net.TCPConn).CloseWrite()
	}()
	got, err := io.Copy(io.Discard, c)
	return fmt.Sprintf("%d bytes", got), err
}

type zero struct{}

func (zero) Read(b []byte) (int, error) { return len(b), nil }

func resolve(a []string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	addrs, err := net.DefaultResolver.LookupHost(ctx, a[0])
	slices.Sort(addrs)
	return strings.Join(addrs, " "), err
}

// get reads bytes and tells at how many Mbit/s.
func get(a []string) (string, error) {
	c, err := dial("tcp", a[0])
	if err != nil {
		return "", err
	}
	began := time.Now()
	n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{c}, make([]byte, 1<<18))
	return fmt.Sprintf("%.0f", float64(n)*8/1e6/time.Since(began).Seconds()), err
}

// put writes so many MB, waits for the other side's end and tells at how many Mbit/s.
func put(a []string) (string, error) {
	c, err := dial("tcp", a[0])
	if err != nil {
		return "", err
	}
	mb, _ := strconv.Atoi(a[1])
	b := make([]byte, 1<<18)
	began := time.Now()
	for range mb * 4 {
		if _, err := c.Write(b); err != nil {
			return "", err
		}
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		return "", err
	}
	_, err = io.Copy(io.Discard, c)
	return fmt.Sprintf("%.0f", float64(mb)*8*1.048576/time.Since(began).Seconds()), err
}

// latency connects n times, one after the other, and tells the median in µs.
func latency(a []string) (string, error) {
	n, _ := strconv.Atoi(a[1])
	var took []time.Duration
	for range n {
		began := time.Now()
		c, err := dial("tcp", a[0])
		if err != nil {
			return "", err
		}
		took = append(took, time.Since(began))
		_ = c.Close()
	}
	slices.Sort(took)
	return strconv.FormatInt(took[n/2].Microseconds(), 10), nil
}

func interfaces([]string) (string, error) {
	list, err := net.Interfaces()
	var names []string
	for _, i := range list {
		addrs, _ := i.Addrs()
		names = append(names, fmt.Sprint(i.Name, addrs))
	}
	return strings.Join(names, " "), err
}

// hold opens n connections and keeps them, without reading, until the process ends; it tells how many there are.
func hold(a []string) (string, error) {
	n, _ := strconv.Atoi(a[1])
	open := 0
	var last error
	for range n {
		c, err := net.DialTimeout("tcp", a[0], 2*time.Second)
		if err != nil {
			last = err
			continue
		}
		held = append(held, c)
		open++
	}
	if last != nil {
		return fmt.Sprintf("%d open, then %s", open, outcome(last)), nil
	}
	return fmt.Sprintf("%d open", open), nil
}

var held []net.Conn

// flood begins n connections at once without waiting for any.
func flood(a []string) (string, error) {
	n, _ := strconv.Atoi(a[1])
	addr, err := net.ResolveTCPAddr("tcp", a[0])
	if err != nil {
		return "", err
	}
	to := &unix.SockaddrInet4{Port: addr.Port, Addr: [4]byte(addr.IP.To4())}
	for range n {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			return "", err
		}
		_ = unix.Connect(fd, to)
		_ = unix.Close(fd) // its SYN is on the way
	}
	return "done", nil
}

// datagrams sends n datagrams, from a new port every so often.
func datagrams(a []string) (string, error) {
	n, _ := strconv.Atoi(a[1])
	var c net.Conn
	for i := range n {
		if i%20 == 0 {
			if c != nil {
				_ = c.Close()
			}
			var err error
			if c, err = net.Dial("udp", a[0]); err != nil {
				return "", err
			}
		}
		_, _ = c.Write([]byte("flood"))
	}
	return "done", nil
}

func wait([]string) (string, error) {
	fmt.Println("waiting")
	for {
		time.Sleep(time.Hour)
	}
}

// halfClose ends its side at once and reads on.
func halfClose(a []string) (string, error) {
	c, err := dial("tcp", a[0])
	if err != nil {
		return "", err
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		return "", err
	}
	b, err := io.ReadAll(c)
	return string(b), err
}

// bindTo sends a datagram from an address of the sender's choice: binding to it is refused, or the packet goes nowhere.
func bindTo(a []string) (string, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return "", err
	}
	for _, option := range []int{unix.IP_FREEBIND, unix.IP_TRANSPARENT} {
		if err := unix.SetsockoptInt(fd, unix.SOL_IP, option, 1); err != nil {
			fmt.Printf("option %d\t%s\n", option, outcome(err))
		}
	}
	from, to := net.ParseIP(a[0]).To4(), net.ParseIP(a[1]).To4()
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte(from)}); err != nil {
		return "", err
	}
	port, _ := strconv.Atoi(a[2])
	if err := unix.Sendto(fd, []byte("spoofed"), 0, &unix.SockaddrInet4{Port: port, Addr: [4]byte(to)}); err != nil {
		return "", err
	}
	return "sent", nil
}

// fragments sends a datagram that the kernel has to cut: over IPv6, of the greatest size that there is.
func fragments(a []string) (string, error) {
	c, err := dial("udp", a[0])
	if err == nil {
		err = c.SetDeadline(time.Now().Add(500 * time.Millisecond))
	}
	if err != nil {
		return "", err
	}
	if _, err := c.Write(make([]byte, 65527)); err != nil {
		return "", err
	}
	n, err := c.Read(make([]byte, 65536))
	return fmt.Sprintf("%d bytes", n), err
}
