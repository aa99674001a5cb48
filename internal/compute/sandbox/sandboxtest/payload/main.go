// Command payload is what the conformance suite runs inside a sandbox. Its first argument names what to do.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

func main() {
	if len(os.Args) < 2 {
		fail(errors.New("what to do?"))
	}
	do, args := os.Args[1], os.Args[2:]
	f, ok := map[string]func([]string) error{
		"stem": stem, "exit": exit, "crash": crash, "say": say, "echo": echo, "count": count, "dial": dial, "tick": tick, "spin": spin, "tree": tree, "eat": eat,
		"eat-child": eatChild, "threads": threads, "files": files, "fill": fill, "read": read, "write": write, "wait": wait,
		"fds": fds, "orphan": orphan, "resolve": resolve, "link": link, "serve": serve, "once": once, "eat-shm": eatShm, "eat-shared": eatShared, "eat-frozen": eatFrozen,
	}[do]
	if !ok {
		fail(fmt.Errorf("%s is unknown", do))
	}
	if err := f(args); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Println("error:", err)
	os.Exit(1)
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		fail(err)
	}
	return n
}

func exit(args []string) error { os.Exit(number(args[0])); return nil }

func crash([]string) error {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	return stay()
}

// say prints what the process sees of itself.
func say(args []string) error {
	dir, err := os.Getwd()
	fmt.Printf("args=%s\ndir=%s\nenv=%s\n", strings.Join(args, ","), dir, strings.Join(os.Environ(), ","))
	fmt.Fprintln(os.Stderr, "to stderr")
	return err
}

// echo sends back what comes over the channel.
func echo([]string) error {
	c := os.NewFile(3, "channel")
	_, err := io.Copy(c, onlyReader{c})
	return err
}

// count answers each byte with how many there have been.
func count([]string) error {
	c := os.NewFile(3, "channel")
	var b [1]byte
	for n := 1; ; n++ {
		if _, err := c.Read(b[:]); err != nil {
			return err
		}
		if _, err := fmt.Fprintf(c, "%d\n", n); err != nil {
			return err
		}
	}
}

type onlyReader struct{ io.Reader }

// dial says what a server answers to "ping".
func dial(args []string) error {
	c, err := net.Dial("tcp", args[0])
	if err != nil {
		return err
	}
	fmt.Fprintln(c, "ping")
	answer, err := bufio.NewReader(c).ReadString('\n')
	fmt.Print(answer)
	return err
}

// tick writes to the channel without end.
func tick([]string) error {
	c := os.NewFile(3, "channel")
	for {
		if _, err := c.Write([]byte{'.'}); err != nil {
			return err
		}
		time.Sleep(time.Millisecond)
	}
}

func spin([]string) error {
	fmt.Println("spinning")
	for range runtime.NumCPU() {
		go burn()
	}
	return stay()
}

// burn takes a core for good.
func burn() {
	for n := 0; ; n++ {
	}
}

// tree starts descendants that try to get away: by a session of their own, and by losing their parent.
func tree(args []string) error {
	depth := number(args[0])
	if depth == 0 {
		signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
		fmt.Println("leaf")
		burn()
	}
	for range 2 {
		if err := start("tree", strconv.Itoa(depth-1)).err; err != nil {
			return err
		}
	}
	if depth%2 == 0 {
		return nil // its children are orphans now
	}
	return stay()
}

// orphan leaves a child behind and exits.
func orphan([]string) error {
	c := start("tree", "0")
	fmt.Println("gone")
	return c.err
}

type child struct {
	p   *os.Process
	err error
}

func start(args ...string) child {
	self, err := os.Executable()
	if err != nil {
		return child{err: err}
	}
	p, err := os.StartProcess(self, append([]string{self}, args...), &os.ProcAttr{
		Env: os.Environ(), Files: []*os.File{os.Stdin, os.Stdout, os.Stderr}, Sys: &syscall.SysProcAttr{Setsid: true}})
	return child{p, err}
}

// eat uses n MB of memory.
func eat(args []string) error {
	n := number(args[0])
	var held [][]byte
	for range n {
		b, err := syscall.Mmap(-1, 0, 1<<20, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANON)
		if err != nil {
			return err
		}
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
		held = append(held, b)
	}
	fmt.Println("ate", len(held))
	if len(args) > 1 {
		return stay()
	}
	return nil
}

// eatChild has a child use more than there is, and stays.
func eatChild(args []string) error {
	c := start(append([]string{"eat"}, args...)...)
	if c.err != nil {
		return c.err
	}
	_, err := c.p.Wait()
	fmt.Println("child is gone")
	if err != nil {
		return err
	}
	return stay()
}

// eatShm uses n MB of /dev/shm and m MB of its own, and stays.
func eatShm(args []string) error {
	if err := os.WriteFile("/dev/shm/eaten", make([]byte, number(args[0])<<20), 0o600); err != nil {
		return err
	}
	return eat([]string{args[1], "stay"})
}

// eatFrozen goes on after SIGSTOP, with a timer of its own, and uses n MB a second later.
func eatFrozen(args []string) error {
	event := [64]byte{8: byte(syscall.SIGCONT)} // a struct sigevent on a little-endian machine
	for n := int64(1); n <= 50; n++ {           // each once: a stop throws away what is pending, and with it a timer's next time
		var timer int32
		if _, _, errno := syscall.Syscall(syscall.SYS_TIMER_CREATE, 1, uintptr(unsafe.Pointer(&event)), uintptr(unsafe.Pointer(&timer))); errno != 0 {
			return errno
		}
		at := [4]int64{2: n / 10, 3: n % 10 * 1e8} // a struct itimerspec
		if _, _, errno := syscall.Syscall6(syscall.SYS_TIMER_SETTIME, uintptr(timer), 0, uintptr(unsafe.Pointer(&at)), 0, 0, 0); errno != 0 {
			return errno
		}
	}
	fmt.Println("ready")
	time.Sleep(time.Second)
	return eat([]string{args[0], "stay"})
}

// eatShared uses n MB, together with m children that only share them, and stays.
func eatShared(args []string) error {
	b, err := syscall.Mmap(-1, 0, number(args[0])<<20, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANON)
	if err != nil {
		return err
	}
	for i := 0; i < len(b); i += 4096 {
		b[i] = 1
	}
	for range number(args[1]) {
		pid, _, errno := syscall.RawSyscall(syscall.SYS_CLONE, uintptr(syscall.SIGCHLD), 0, 0)
		if errno != 0 {
			return errno
		}
		for pid == 0 { // a child without a Go scheduler can do no more
			syscall.RawSyscall6(syscall.SYS_PPOLL, 0, 0, 0, 0, 0, 0)
		}
	}
	fmt.Println("ate", args[0])
	return stay()
}

// threads starts processes until no more come.
func threads([]string) error {
	for n := 0; n < 10000; n++ {
		if c := start("wait"); c.err != nil {
			fmt.Println("refused", errors.Is(c.err, syscall.EAGAIN))
			return nil
		}
	}
	return errors.New("no limit met")
}

func wait([]string) error { return stay() }

// stay never returns.
func stay() error {
	for {
		time.Sleep(time.Hour)
	}
}

// files opens files until no more open.
func files([]string) error {
	for n := 0; n < 1<<20; n++ {
		if _, err := syscall.Open("/dev/null", syscall.O_RDONLY, 0); err != nil {
			fmt.Println("refused", n, errors.Is(err, syscall.EMFILE))
			return nil
		}
	}
	return errors.New("no limit met")
}

// fill writes n MB to /tmp.
func fill(args []string) error {
	n := number(args[0])
	f, err := os.Create(filepath.Join(os.TempDir(), "fill"))
	if err != nil {
		return err
	}
	block := make([]byte, 1<<20)
	for i := range block {
		block[i] = byte(i * 7)
	}
	for done := range n {
		if _, err := f.Write(block); err != nil {
			fmt.Println("refused", done, errors.Is(err, syscall.ENOSPC))
			return nil
		}
	}
	if err := f.Sync(); err != nil {
		return err
	}
	fmt.Println("filled", n)
	return nil
}

func read(args []string) error {
	b, err := os.ReadFile(args[0])
	fmt.Printf("%s", b)
	return err
}

func write(args []string) error { return os.WriteFile(args[0], []byte("x"), 0o600) }

// fds lists the open file descriptors, that of the listing itself apart.
func fds([]string) error {
	dir, err := syscall.Open("/proc/self/fd", syscall.O_RDONLY|syscall.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	buf := make([]byte, 8192)
	n, err := syscall.ReadDirent(dir, buf)
	if err != nil {
		return err
	}
	_, _, names := syscall.ParseDirent(buf[:n], -1, nil)
	for _, name := range names {
		target, err := os.Readlink("/proc/self/fd/" + name)
		if err == nil && name != strconv.Itoa(dir) && !ownRuntime(target) {
			fmt.Println(name)
		}
	}
	return nil
}

// ownRuntime reports files that the Go runtime of this program opens itself.
func ownRuntime(target string) bool {
	return strings.HasPrefix(target, "anon_inode:") || strings.HasPrefix(target, "/sys/fs/cgroup/")
}

// resolve says which addresses a name has.
func resolve(args []string) error {
	addresses, err := net.LookupHost(args[0])
	if err != nil {
		return err
	}
	fmt.Println(strings.Join(addresses, " "))
	return nil
}

// link fills /tmp with links to a directory outside, and with one in place of a directory.
func link(args []string) error {
	return errors.Join(os.Symlink(args[0], "/tmp/link"), os.MkdirAll("/tmp/a/b", 0o700), os.Symlink(args[0], "/tmp/a/b/link"),
		os.WriteFile("/tmp/a/file", nil, 0o600))
}

// serve sends every line back, on any number of connections.
func serve(args []string) error {
	l, err := net.Listen("tcp", args[0])
	if err != nil {
		return err
	}
	fmt.Println("serving")
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() { _, _ = io.Copy(c, c) }()
	}
}

// once serves one connection and exits with status 3 when that has ended.
func once(args []string) error {
	l, err := net.Listen("tcp", args[0])
	if err != nil {
		return err
	}
	c, err := l.Accept()
	if err != nil {
		return err
	}
	_, _ = io.Copy(c, c)
	os.Exit(3)
	return nil
}
