package container

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"artesian/internal/compute/sandbox/cgroup"
	"artesian/internal/compute/sandbox/container/stage0"
	"artesian/internal/compute/sandbox/watch"
)

// bounds hold a sandbox: a control group, or, where none may be had, who watches it.
type bounds interface {
	Limit(cgroup.Limits) error
	SetCPU(cores float64) error
	Freeze() error
	Thaw() error
	Kill() error
	Counters() (cgroup.Counters, error)
	OOMKills() (int64, error)
	WatchOOM() (*os.File, error)
	Remove(context.Context) error
}

// lookEvery is how often memory is looked at where nothing limits it. What a function may take between two looks is
// bounded by the machine only.
const lookEvery = 50 * time.Millisecond

// frozenLooks is how seldom a frozen sandbox is looked at, in looks: a process can have a timer of its own send it SIGCONT.
const frozenLooks = 10

// answerWithin is how long a first process may take to stop or continue the others.
const answerWithin = 5 * time.Second

// watched holds a sandbox without a control group. Its first process, asked by signals, stops the others and lets them go
// on; its pid namespace dies whole; its memory is looked at. A CPU quota there is none.
type watched struct {
	answers chan struct{} // closed when the first process is gone

	asking sync.Mutex // held over a question and the wait for the answer
	owed   bool       // an answer that nobody has waited for yet

	mu     sync.Mutex
	limit  int64
	first  *os.File
	inside *watch.Namespace
	frozen bool
	passed int // looks that passed over it while it was frozen
	over   bool
	peak   int64
	total  int64 // with /tmp
	last   cgroup.Counters
}

func newWatched(limit int64) *watched {
	return &watched{limit: limit, answers: make(chan struct{}, 1)}
}

// attach begins to watch a sandbox that runs.
func (w *watched) attach(first *os.File, firstFD, mainFD int) error {
	n, err := openInside(firstFD, mainFD)
	if err != nil {
		if ended(firstFD) { // and what it was seen by had gone before
			return nil
		}
		return fmt.Errorf("watch sandbox: %w", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.first, w.inside = first, n
	return nil
}

func openInside(firstFD, mainFD int) (*watch.Namespace, error) {
	first, err := pidOf(firstFD)
	if err != nil {
		return nil, err
	}
	main, err := pidOf(mainFD)
	if err != nil {
		return nil, err
	}
	return watch.Open(first, main)
}

// ended reports whether a process that seems to be ending has ended, within a second.
func ended(pidfd int) bool {
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, 1000)
		if !errors.Is(err, unix.EINTR) {
			return n > 0
		}
	}
}

// Limit implements bounds. Processes are limited by what executes them, see limits.
func (w *watched) Limit(l cgroup.Limits) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.limit = l.Memory
	return nil
}

// SetCPU implements bounds. There is no quota, as Report says.
func (w *watched) SetCPU(float64) error { return nil }

// Freeze implements bounds.
func (w *watched) Freeze() error {
	if err := w.ask(stage0.StopSignal, true); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.frozen = true
	return nil
}

// Thaw implements bounds. It does not wait until the processes run.
func (w *watched) Thaw() error {
	w.mu.Lock()
	w.frozen = false
	w.mu.Unlock()
	return w.ask(stage0.GoOnSignal, false)
}

// ask sends the first process a signal. Two signals that wait at once have no order: none is sent before the last is answered.
func (w *watched) ask(s unix.Signal, wait bool) error {
	w.asking.Lock()
	defer w.asking.Unlock()
	if err := w.settle(); err != nil {
		return err
	}
	w.mu.Lock()
	first := w.first
	w.mu.Unlock()
	if first == nil {
		return nil // it has ended
	}
	raw, err := first.SyscallConn()
	if err != nil {
		return nil
	}
	var sent error
	if err := raw.Control(func(fd uintptr) { sent = unix.PidfdSendSignal(int(fd), s, nil, 0) }); err != nil || errors.Is(sent, unix.ESRCH) {
		return nil
	}
	if sent != nil {
		return fmt.Errorf("ask first process: %w", sent)
	}
	w.owed = true
	if wait {
		return w.settle()
	}
	return nil
}

// settle waits for an answer that is owed.
func (w *watched) settle() error {
	if !w.owed {
		return nil
	}
	late := time.NewTimer(answerWithin)
	defer late.Stop()
	select {
	case <-w.answers:
	case <-late.C:
		return errors.New("the sandbox's first process does not answer")
	}
	w.owed = false
	return nil
}

// answered is told of every message of the first process, and at last that there are no more.
func (w *watched) answered(kind uint32) {
	if kind == stage0.Stopped || kind == stage0.GoneOn {
		select {
		case w.answers <- struct{}{}:
		default: // to a signal that the function itself has sent
		}
	}
}

// Kill implements bounds: who kills the first process kills all.
func (w *watched) Kill() error { return nil }

// Counters implements bounds.
func (w *watched) Counters() (cgroup.Counters, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.inside == nil {
		return w.last, nil
	}
	u, err := w.inside.Read()
	if err != nil {
		return w.last, nil // it is ending
	}
	w.peak = max(w.peak, u.Memory)
	w.last = cgroup.Counters{CPU: max(u.CPU, w.last.CPU), Memory: u.Memory, Peak: w.peak}
	return w.last, nil
}

// look returns what the sandbox uses, /tmp included, and whether it is over its limit now.
func (w *watched) look() (total int64, over bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.inside == nil || w.over {
		return w.total, false
	}
	if w.frozen {
		if w.passed++; w.passed < frozenLooks {
			return w.total, false
		}
		w.passed = 0
	}
	u, err := w.inside.Read()
	if err != nil {
		return 0, false
	}
	if u.Memory > w.limit {
		if u.Memory, err = w.inside.Exact(); err != nil {
			return 0, false
		}
	}
	w.peak = max(w.peak, u.Memory)
	w.last.CPU, w.last.Memory = max(u.CPU, w.last.CPU), u.Memory
	w.over = u.Memory > w.limit
	w.total = u.Memory + u.Tmp
	return w.total, w.over
}

// condemn notes that lack of memory is why it is killed.
func (w *watched) condemn() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
}

// OOMKills implements bounds.
func (w *watched) OOMKills() (int64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over {
		return 1, nil
	}
	return 0, nil
}

// WatchOOM implements bounds: the Maker looks at all.
func (w *watched) WatchOOM() (*os.File, error) { return nil, nil }

// Remove implements bounds.
func (w *watched) Remove(context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.inside != nil {
		w.inside.Close()
		w.inside = nil
	}
	w.first = nil
	return nil
}

// patrol looks at all sandboxes until the Maker is closed, and kills those over their limit; the largest, if all together
// are over the node's.
func (m *Maker) patrol(nodeMemory int64) {
	defer close(m.patrolled)
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-m.leaving:
			return
		}
		m.mu.Lock()
		all := make([]*instance, 0, len(m.live))
		for _, i := range m.live {
			all = append(all, i)
		}
		m.mu.Unlock()
		m.lookAt(all, nodeMemory)
	}
}

func (m *Maker) lookAt(all []*instance, nodeMemory int64) {
	var total, most int64
	var largest *instance
	for _, i := range all {
		w := i.watcher()
		if w == nil {
			continue
		}
		use, over := w.look()
		if over {
			m.log.Warn("sandbox uses more memory than it may; killed", "sandbox", i.id, "bytes", use)
			i.kill()
			continue
		}
		total += use
		if use > most {
			most, largest = use, i
		}
	}
	if nodeMemory > 0 && total > nodeMemory && largest != nil {
		m.log.Warn("all sandboxes use more memory than the node may; the largest is killed", "sandbox", largest.id, "bytes", total, "limit_bytes", nodeMemory)
		largest.watcher().condemn()
		largest.kill()
	}
}

// watcher is what watches a running sandbox; nil if a control group holds it, or it does not run yet.
func (i *instance) watcher() *watched {
	i.mu.RLock()
	defer i.mu.RUnlock()
	w, _ := i.group.(*watched)
	return w
}

// beginWatch starts to watch a sandbox whose program runs.
func (i *instance) beginWatch(w *watched) error {
	raw, err := i.first.SyscallConn()
	if err != nil {
		return err
	}
	var result error
	err = raw.Control(func(fd uintptr) { result = w.attach(i.first, int(fd), i.main) })
	return errors.Join(err, result)
}
