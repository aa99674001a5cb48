// Package container is the isolation level `container`: every sandbox has user, mount, pid, ipc, uts, net and cgroup
// namespaces of its own, a root file system made of read-only mounts, a host user id that no other owner shares, no
// capability, a system call filter, and control groups that bound its memory, CPU and processes.
//
// See DESIGN.md beside this file.
package container

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"artesian/internal/compute/sandbox"
	"artesian/internal/compute/sandbox/cgroup"
	"artesian/internal/compute/sandbox/netstack"
)

// Config of a Maker.
type Config struct {
	Dir        string            // for images of /tmp; a start is refused when its disk has no room for another
	NodeMemory int64             // bytes that all sandboxes together may use; 0: no limit
	Net        *netstack.Network // how sandboxes reach the internet; nil: with the default policy
	Logger     *slog.Logger
}

// Maker starts containers. It implements sandbox.Maker.
type Maker struct {
	dir       string
	log       *slog.Logger
	standing  standing
	tree      *cgroup.Tree // nil: sandboxes are watched
	noTree    error        // why
	uids      *uids
	disks     *disks
	noDisks   error  // why /tmp is a plain directory
	layout    layout // what is the same in every plan
	net       *netstack.Network
	offline   error // why no sandbox can have the internet
	leaving   chan struct{}
	patrolled chan struct{} // closed when nobody watches any more; nil if nobody did

	tidying chan struct{} // has room for as many releases as may be under way at once

	starting sync.WaitGroup
	watching sync.WaitGroup

	mu       sync.Mutex
	closed   bool
	spawner  *spawner
	renewing chan struct{} // a spawner is being started; closed when that is over
	live     map[string]*instance
	zygotes  map[*zygote]bool
}

// mostTidying is how many sandboxes are taken down at once: each unmounts a file system, which keeps a thread.
const mostTidying = 2

// New checks what this machine offers. The error names what is missing.
func New(c Config) (*Maker, error) {
	if err := supported(); err != nil {
		return nil, fmt.Errorf("isolation level container: %w", err)
	}
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return nil, err
	}
	if c.Net == nil {
		if c.Net, err = netstack.New(netstack.Config{Logger: c.Logger}); err != nil {
			return nil, err
		}
	}
	m := &Maker{dir: dir, log: c.Logger, net: c.Net, live: map[string]*instance{}, tidying: make(chan struct{}, mostTidying), zygotes: map[*zygote]bool{}, leaving: make(chan struct{})}
	if err := m.open(c.NodeMemory); err != nil {
		if m.tree != nil {
			_ = m.tree.Close() // what an earlier daemon left in it stays for its Sweep
		}
		return nil, fmt.Errorf("isolation level container: %w", err)
	}
	return m, nil
}

func (m *Maker) open(nodeMemory int64) error {
	if err := os.MkdirAll(m.dir, 0o700); err != nil {
		return err
	}
	m.disks = newDisks(m.dir, m.log)
	m.noDisks = m.disks.available()
	tun, ipv6 := networkOffered()
	m.layout.wire, m.layout.ipv6 = !tun, ipv6
	var err error
	if m.standing, err = stand(m.dir); err != nil {
		return err
	}
	if m.tree, err = cgroup.Open(treeName(m.dir), nodeMemory); err != nil {
		if m.standing.root {
			return err
		}
		m.tree, m.noTree = nil, err
	}
	if m.spawner, err = m.firstSpawner(); err != nil {
		return err
	}
	if err := m.openUIDs(); err != nil {
		return err
	}
	if err := m.commonLayout(&m.layout); err != nil {
		return err
	}
	if m.layout.wire {
		m.offline = m.probeWire()
	}
	if m.tree == nil {
		m.patrolled = make(chan struct{})
		go m.patrol(nodeMemory)
	}
	if m.standing.root && m.noDisks == nil {
		m.watching.Go(func() { m.disks.room.watch(m.leaving) })
	}
	return nil
}

// startSpawner starts one that has what m.standing says.
func (m *Maker) startSpawner() (*spawner, error) {
	if m.standing.root {
		return startSpawner(m.dir)
	}
	return startRootless(m.dir, m.standing)
}

// firstSpawner falls back to our own id alone when others cannot be had in fact. Later ones do not: plans are made for what
// the first has.
func (m *Maker) firstSpawner() (*spawner, error) {
	s, err := m.startSpawner()
	if err == nil || !m.standing.ids.helped {
		return s, err
	}
	m.standing.ids, m.standing.why = ids{}, err.Error()
	if s, e := m.startSpawner(); e == nil {
		return s, nil
	}
	return nil, err
}

func (m *Maker) openUIDs() (err error) {
	if m.standing.root {
		m.uids, err = newUIDs(m.dir)
		return err
	}
	m.uids = m.standing.uids(m.dir)
	return nil
}

// commonLayout is what all plans have in common.
func (m *Maker) commonLayout(l *layout) (err error) {
	l.lone, l.shared = m.standing.lone(), !m.standing.root
	if l.lastCap, err = readInt(lastCapFile); err != nil {
		return err
	}
	if l.filter, err = functionFilter(); err != nil {
		return err
	}
	if l.entering, err = zygoteFilter(); err != nil {
		return err
	}
	if l.guard, err = guardFilter(m.tree == nil); err != nil {
		return err
	}
	if !m.standing.root {
		_, l.shares = readShares()
		l.hard, err = readHards()
	}
	return err
}

// treeName is the same for every daemon on a data directory, so that a new one finds what a killed one left.
func treeName(dir string) string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(dir))
	return fmt.Sprintf("artesian-%016x", h.Sum64())
}

// Oldest kernel with everything used here: cgroup.kill and CPU burst came with 5.14.
const (
	kernelMajor = 5
	kernelMinor = 14
)

// supported says why this machine cannot have containers.
func supported() error {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return err
	}
	release := unix.ByteSliceToString(u.Release[:])
	var major, minor int
	if _, err := fmt.Sscanf(release, "%d.%d", &major, &minor); err == nil && (major < kernelMajor || major == kernelMajor && minor < kernelMinor) {
		return fmt.Errorf("needs Linux %d.%d or newer; this is %s", kernelMajor, kernelMinor, release)
	}
	for _, ns := range []string{"user", "mnt", "pid", "ipc", "uts", "net", "cgroup"} {
		if _, err := os.Stat("/proc/self/ns/" + ns); err != nil {
			return fmt.Errorf("the kernel has no %s namespaces", ns)
		}
	}
	if n, err := readInt("/proc/sys/user/max_user_namespaces"); err == nil && n == 0 {
		return errors.New("user namespaces are switched off (sysctl user.max_user_namespaces is 0)")
	}
	return nil
}

// lastCapFile tells the kernel's highest capability.
const lastCapFile = "/proc/sys/kernel/cap_last_cap"

func readInt(file string) (int, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(b)))
}

// Level implements sandbox.Maker.
func (m *Maker) Level() sandbox.Level { return sandbox.Container }

// Sweep implements sandbox.Maker. Mounts, loop devices and unnamed files went with the processes that held them.
func (m *Maker) Sweep(ctx context.Context) error {
	if m.tree != nil {
		if err := m.tree.Sweep(ctx); err != nil {
			return fmt.Errorf("sweep sandboxes of an earlier daemon: %w", err)
		}
	}
	left, err := filepath.Glob(filepath.Join(m.dir, plainPrefix+"*"))
	if err != nil {
		return err
	}
	for _, dir := range left {
		err = errors.Join(err, os.RemoveAll(dir))
	}
	return err
}

// Close implements sandbox.Maker.
func (m *Maker) Close() error {
	m.mu.Lock()
	if !m.closed {
		close(m.leaving)
	}
	m.closed = true
	m.mu.Unlock()
	if m.patrolled != nil {
		<-m.patrolled
	}
	m.watching.Wait()
	m.starting.Wait()
	m.mu.Lock()
	var left []*instance
	for _, s := range m.live {
		left = append(left, s)
	}
	zygotes := slices.Collect(maps.Keys(m.zygotes))
	m.mu.Unlock()
	var errs []error
	for _, s := range left {
		errs = append(errs, s.Close())
	}
	for _, z := range zygotes {
		errs = append(errs, z.Close())
	}
	m.mu.Lock()
	last := m.spawner
	m.spawner = nil
	m.mu.Unlock()
	if last != nil {
		last.close()
		if m.tree != nil {
			errs = append(errs, m.tree.Close())
		}
	}
	return errors.Join(errs...)
}

// working returns a spawner that lives, a new one if the last has died: every sandbox of that one has died with it. Who
// comes while a new one is started waits for it.
func (m *Maker) working(ctx context.Context) (*spawner, error) {
	for {
		m.mu.Lock()
		closed, s, over := m.closed, m.spawner, m.renewing
		mine := !closed && over == nil && !s.alive()
		if mine {
			m.renewing = make(chan struct{})
		}
		m.mu.Unlock()
		switch {
		case closed:
			return nil, os.ErrClosed
		case mine:
			return m.renew(s)
		case over == nil:
			return s, nil
		}
		select {
		case <-over: // if it went wrong, the next to come tries
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// renew replaces a spawner that died. Close waits for the start on whose behalf it is done.
func (m *Maker) renew(dead *spawner) (*spawner, error) {
	m.log.Error("spawner died; starting another")
	dead.close()
	s, err := m.startSpawner()
	m.mu.Lock()
	defer m.mu.Unlock()
	if err == nil {
		m.spawner = s
	}
	close(m.renewing)
	m.renewing = nil
	return s, err
}

func (m *Maker) forget(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.live, id)
}
