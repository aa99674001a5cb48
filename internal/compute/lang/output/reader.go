package output

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// gather is how long the background waits after something was printed, so that many small writes are read at once.
const gather = 3 * time.Millisecond

// Read buffers grow while a function prints much and shrink when it falls silent.
const (
	smallRead = 4 << 10
	largeRead = 64 << 10
)

// Reader takes over the output of one sandbox.
type Reader struct {
	file *os.File
	raw  syscall.RawConn
	now  func() time.Time
	done chan struct{}

	mu  sync.Mutex // guards what follows; held while emit blocks
	dec decoder
	buf []byte
	end bool // the pipe has ended
}

// New starts to read the pipe f, which it duplicates: f may be closed at any time. emit is called for every record, one
// at a time and in order; it may block. f must be in non-blocking mode, as the ends of os.Pipe are.
func New(f *os.File, now func() time.Time, emit func(at time.Time, message string)) (*Reader, error) {
	file, err := duplicate(f)
	if err != nil {
		return nil, fmt.Errorf("duplicate output pipe: %w", err)
	}
	raw, err := file.SyscallConn()
	if err == nil {
		err = file.SetReadDeadline(time.Time{}) // fails unless the poller knows the file
	}
	if err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("read output pipe: %w", err)
	}
	r := &Reader{file: file, raw: raw, now: now, done: make(chan struct{}), dec: decoder{emit: emit}, buf: make([]byte, smallRead)}
	go r.run()
	return r, nil
}

func duplicate(f *os.File) (*os.File, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	var fd uintptr
	var errno syscall.Errno
	err = raw.Control(func(old uintptr) {
		fd, _, errno = syscall.Syscall(syscall.SYS_FCNTL, old, syscall.F_DUPFD_CLOEXEC, 0)
	})
	if err == nil && errno != 0 {
		err = errno
	}
	if err != nil {
		return nil, err
	}
	return os.NewFile(fd, "output"), nil
}

// run reads until the pipe ends or Close is called.
func (r *Reader) run() {
	defer close(r.done)
	timer := time.NewTimer(gather)
	defer timer.Stop()
	for {
		first := true
		err := r.raw.Read(func(uintptr) bool {
			wait := first && !r.step()
			first = false
			return !wait
		})
		if err != nil || r.ended() {
			break
		}
		timer.Reset(gather)
		<-timer.C
		for r.step() {
		}
	}
	r.waiting()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dec.flush(r.now(), true)
}

// step reads once and reports whether there may be more, or an end to be seen.
func (r *Reader) step() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.end {
		return false
	}
	if r.read() > 0 {
		return true
	}
	if len(r.buf) > smallRead {
		r.buf = make([]byte, smallRead)
	}
	return r.end
}

func (r *Reader) ended() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.end
}

// waiting reads what the pipe holds at the moment, and no more: whoever goes on printing can't keep the caller.
func (r *Reader) waiting() {
	var held int32
	err := r.raw.Control(func(fd uintptr) { // the kernel only counts: the scheduler need not know
		_, _, _ = syscall.RawSyscall(syscall.SYS_IOCTL, fd, unix.TIOCINQ, uintptr(unsafe.Pointer(&held)))
	})
	if err != nil {
		return
	}
	for size := int(held); size > 0; {
		r.mu.Lock()
		n := r.read()
		r.mu.Unlock()
		if n == 0 {
			return
		}
		size -= n
	}
}

// read passes on one buffer's worth and returns its size. The caller holds the lock.
func (r *Reader) read() int {
	var n int
	var err error
	if c := r.raw.Control(func(fd uintptr) { n, err = retry(int(fd), r.buf) }); c != nil {
		err = c
	}
	if n > 0 {
		r.dec.write(r.buf[:n], r.now())
		if n == len(r.buf) && n < largeRead {
			r.buf = make([]byte, 2*len(r.buf))
		}
		return n
	}
	if !errors.Is(err, syscall.EAGAIN) {
		r.end = true
	}
	return 0
}

func retry(fd int, p []byte) (n int, err error) {
	for {
		n, err = syscall.Read(fd, p)
		if err != syscall.EINTR {
			return max(n, 0), err
		}
	}
}

// Drain takes over what is in the pipe now and passes on a line left open; what it emits precedes what the caller emits
// next. It reads in the calling goroutine.
func (r *Reader) Drain() {
	r.waiting()
	r.mu.Lock()
	r.dec.flush(r.now(), false)
	r.mu.Unlock()
}

// Close takes over the rest and ends the reader. Call it when the sandbox is gone.
func (r *Reader) Close() error {
	if err := r.file.SetReadDeadline(time.Unix(1, 0)); err != nil {
		return nil // closed before
	}
	<-r.done
	return r.file.Close()
}
