package container

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// disks makes file systems for /tmp: ext4 in a sparse file without a name, attached to a loop device that detaches itself,
// mounted nowhere in the daemon's own namespace. Whatever way the daemon ends, nothing of it is left.
type disks struct {
	dir  string // where templates and images are
	room *room

	attaching sync.Mutex // held from the question for a free loop device to its use: many at once would all find the same

	mu        sync.Mutex
	templates map[int]*template
	making    map[int]chan struct{} // sizes that are being formatted; closed when that is over
}

// template is an empty file system of one size. Only what is not zero is kept.
type template struct {
	size    int64
	extents []extent
	stake   stake // of each image
	used    time.Time
}

// mostTemplates are kept: functions may ask for thousands of sizes.
const mostTemplates = 64

type extent struct {
	at   int64
	data []byte
}

// disk is one mounted file system. mount is the detached mount to be attached; root is its top directory, held to shut
// it down. claim is its share of the disk that the image lies on; a plain directory has none.
type disk struct {
	mount  int
	root   int
	device string
	claim  *claim
}

const (
	mkfs         = "mkfs.ext4"
	loopControl  = "/dev/loop-control"
	shutdownFlag = 2 // EXT4_GOING_FLAGS_NOLOGFLUSH: drop what is not written
	// Bytes in a file system from which on they are dropped before it is unmounted.
	worthDropping = 32 << 20
	blockSize     = 4096
)

func newDisks(dir string, log *slog.Logger) *disks {
	return &disks{dir: dir, room: newRoom(dir, log), templates: map[int]*template{}}
}

// available says what is missing to make disks, or nil.
func (d *disks) available() error {
	if _, err := exec.LookPath(mkfs); err != nil {
		return fmt.Errorf("%s (package e2fsprogs) is not installed", mkfs)
	}
	f, err := os.OpenFile(loopControl, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("loop devices: %w", err)
	}
	return f.Close()
}

// new makes a file system of sizeMB whose top directory belongs to a user and group. On a shelf, it has no room to grow yet.
func (d *disks) new(ctx context.Context, sizeMB, uid, gid int, shelf bool) (*disk, error) {
	t, err := d.template(ctx, sizeMB)
	if err != nil {
		return nil, fmt.Errorf("prepare /tmp: %w", err)
	}
	s := t.stake
	s.shelf = shelf
	c, err := d.room.take(s)
	if err != nil {
		return nil, err
	}
	k, err := d.mount(t, c, uid, gid)
	if err != nil {
		c.give()
		return nil, err
	}
	return k, nil
}

// settle has the disk keep room for what is written to it from now on.
func (k *disk) settle() error {
	if k == nil || k.claim == nil {
		return nil
	}
	return k.claim.settle()
}

// freeze tells whether anybody can write to it for now.
func (k *disk) freeze(still bool) {
	if k != nil && k.claim != nil {
		k.claim.freeze(still)
	}
}

// mount makes an image and mounts it, as a disk that owns the claim.
func (d *disks) mount(t *template, c *claim, uid, gid int) (*disk, error) {
	k, image, err := d.mountNew(t)
	if err != nil {
		return nil, err
	}
	err = c.follow(image, k.root, tapOf(k.device))
	if err == nil {
		err = errors.Join(unix.Fchown(k.root, uid, gid), unix.Fchmod(k.root, 0o1777))
	}
	if err != nil {
		c.give()
		k.close()
		return nil, fmt.Errorf("own /tmp: %w", err)
	}
	k.claim = c
	return k, nil
}

func (d *disks) mountNew(t *template) (*disk, *os.File, error) {
	image, err := t.instance(d.dir)
	if err != nil {
		return nil, nil, fmt.Errorf("write image of /tmp: %w", err)
	}
	k, err := d.mountImage(image)
	if err != nil {
		return nil, nil, errors.Join(err, image.Close())
	}
	return k, image, nil
}

// gauge finds out how much files in such a file system may take, and whether that can be set.
func (d *disks) gauge(t *template) error {
	k, image, err := d.mountNew(t)
	if err != nil {
		return err
	}
	defer func() { k.release(); _ = image.Close() }()
	var fs unix.Statfs_t
	if err := unix.Fstatfs(k.root, &fs); err != nil {
		return err
	}
	tap := tapOf(k.device)
	kept, err := tap.get()
	t.stake = stake{full: int64(fs.Bavail) * blockSize, bound: err == nil && tap.set(kept) == nil && punches(d.dir)}
	if err == nil {
		t.stake.full = (int64(fs.Blocks) - kept) * blockSize
	}
	t.stake.fixed = t.size - t.stake.full
	return nil
}

// template returns the template of a size, made at its first use. Who comes while it is being made waits for that one.
func (d *disks) template(ctx context.Context, sizeMB int) (*template, error) {
	for {
		d.mu.Lock()
		t, made := d.templates[sizeMB], d.making[sizeMB]
		switch {
		case t != nil:
			t.used = time.Now()
		case made == nil:
			if d.making == nil {
				d.making = map[int]chan struct{}{}
			}
			d.making[sizeMB] = make(chan struct{})
		}
		d.mu.Unlock()
		switch {
		case t != nil:
			return t, nil
		case made == nil:
			return d.makeFirst(ctx, sizeMB)
		}
		select {
		case <-made: // if it went wrong, the next to come tries
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// makeFirst takes the template of a size from an earlier run, or makes it.
func (d *disks) makeFirst(ctx context.Context, sizeMB int) (*template, error) {
	path := d.path(sizeMB)
	t, err := readTemplate(path)
	if err != nil {
		t, err = d.makeTemplate(ctx, path, sizeMB)
	}
	if err == nil {
		err = d.gauge(t)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err == nil {
		t.used = time.Now()
		d.templates[sizeMB] = t
		d.thin()
	}
	close(d.making[sizeMB])
	delete(d.making, sizeMB)
	return t, err
}

func (d *disks) path(sizeMB int) string {
	return filepath.Join(d.dir, fmt.Sprintf("tmp-v2-%d.ext4", sizeMB))
}

// thin lets go of the templates that were used longest ago, where there are too many. The caller holds mu.
func (d *disks) thin() {
	for len(d.templates) > mostTemplates {
		oldest := -1
		for size, t := range d.templates {
			if oldest < 0 || t.used.Before(d.templates[oldest].used) {
				oldest = size
			}
		}
		delete(d.templates, oldest)
		_ = os.Remove(d.path(oldest))
	}
}

// makeTemplate formats path. The image is larger than the size asked for by what ext4 needs for itself, so that a function
// finds sizeMB to fill: 1/64 for inodes, 1/50 and at most 16 MB that it keeps in reserve, a little for bitmaps.
func (d *disks) makeTemplate(ctx context.Context, path string, sizeMB int) (*template, error) {
	part := path + ".part"
	defer func() { _ = os.Remove(part) }()
	asked := int64(sizeMB) << 20
	size := asked + asked/64 + min(asked/48, 17<<20) + 3<<20
	f, err := os.OpenFile(part, os.O_CREATE|os.O_TRUNC|os.O_RDWR|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	if err := f.Truncate(size &^ 4095); err != nil {
		return nil, err
	}
	out, err := exec.CommandContext(ctx, mkfs, "-q", "-F", "-b", "4096", "-m", "0", "-I", "256", "-i", "16384", "-O", "^has_journal,^resize_inode",
		"-E", "lazy_itable_init=1,nodiscard", part).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %s", mkfs, err, out)
	}
	k, err := d.mountImage(f)
	if err != nil {
		return nil, err
	}
	err = errors.Join(unix.Unlinkat(k.root, "lost+found", unix.AT_REMOVEDIR), unix.Syncfs(k.root))
	k.release()
	if err != nil {
		return nil, fmt.Errorf("empty %s: %w", part, err)
	}
	if err := errors.Join(f.Sync(), os.Rename(part, path)); err != nil {
		return nil, err
	}
	return readTemplate(path)
}

// readTemplate takes the parts of an image that hold data.
func readTemplate(path string) (*template, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	t := &template{size: info.Size()}
	for at := int64(0); ; {
		from, err := f.Seek(at, unix.SEEK_DATA)
		if errors.Is(err, syscall.ENXIO) {
			return t, nil
		}
		if err != nil {
			return nil, err
		}
		if at, err = f.Seek(from, unix.SEEK_HOLE); err != nil {
			return nil, err
		}
		data := make([]byte, at-from)
		if _, err := f.ReadAt(data, from); err != nil {
			return nil, err
		}
		t.extents = appendUsed(t.extents, from, data)
	}
}

// appendUsed adds the blocks of data that are not all zero.
func appendUsed(list []extent, at int64, data []byte) []extent {
	const block = 4096
	var zero [block]byte
	for len(data) > 0 {
		n := min(block, len(data))
		if string(data[:n]) != string(zero[:n]) {
			if last := len(list) - 1; last >= 0 && list[last].at+int64(len(list[last].data)) == at {
				list[last].data = append(list[last].data, data[:n]...)
			} else {
				list = append(list, extent{at, append([]byte(nil), data[:n]...)})
			}
		}
		at, data = at+int64(n), data[n:]
	}
	return list
}

// instance writes the template to a new file without a name.
func (t *template) instance(dir string) (*os.File, error) {
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("create unnamed file in %s: %w", dir, err)
	}
	f := os.NewFile(uintptr(fd), "tmp image")
	err = f.Truncate(t.size)
	for _, e := range t.extents {
		if err == nil {
			_, err = f.WriteAt(e.data, e.at)
		}
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// mountImage attaches image to a loop device and mounts it, detached.
func (d *disks) mountImage(image *os.File) (*disk, error) {
	loop, path, err := d.attachLoop(image)
	if err != nil {
		return nil, fmt.Errorf("attach loop device: %w", err)
	}
	defer func() { _ = unix.Close(loop) }() // the mount keeps it attached
	fd, err := mountExt4(path)
	if err != nil {
		return nil, fmt.Errorf("mount %s: %w", path, err)
	}
	root, err := unix.Openat(fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	return &disk{mount: fd, root: root, device: path}, nil
}

// attachLoop finds a free device; another process may take it between question and use.
func (d *disks) attachLoop(image *os.File) (fd int, path string, err error) {
	d.attaching.Lock()
	defer d.attaching.Unlock()
	control, err := unix.Open(loopControl, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, "", err
	}
	defer func() { _ = unix.Close(control) }()
	config := unix.LoopConfig{Fd: uint32(image.Fd()), Size: 4096}
	config.Info.Flags = unix.LO_FLAGS_AUTOCLEAR
	for range 64 {
		n, err := unix.IoctlRetInt(control, unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return -1, "", err
		}
		path = fmt.Sprintf("/dev/loop%d", n)
		fd, err = unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
		if err != nil {
			return -1, "", err
		}
		if err = unix.IoctlLoopConfigure(fd, &config); err == nil {
			return fd, path, nil
		}
		_ = unix.Close(fd)
		if !errors.Is(err, unix.EBUSY) {
			return -1, "", fmt.Errorf("configure %s: %w", path, err)
		}
	}
	return -1, "", fmt.Errorf("no device stays free: %w", unix.EBUSY)
}

// mountExt4 returns a mount that is attached nowhere.
func mountExt4(device string) (int, error) {
	fs, err := unix.Fsopen("ext4", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, err
	}
	defer func() { _ = unix.Close(fs) }()
	if err := unix.FsconfigSetString(fs, "source", device); err != nil {
		return -1, err
	}
	for _, flag := range []string{"discard", "nobarrier", "noinit_itable"} {
		if err := unix.FsconfigSetFlag(fs, flag); err != nil {
			return -1, fmt.Errorf("option %s: %w", flag, err)
		}
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return -1, err
	}
	return unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOATIME)
}

// attached forgets the mount, which a sandbox has now.
func (k *disk) attached() {
	_ = unix.Close(k.mount)
	k.mount = -1
}

// release gives the file system up; it is unmounted when the last process that sees it is gone.
func (k *disk) release() {
	if k.mount >= 0 {
		k.attached()
	}
	if k.claim != nil {
		k.claim.give()
		k.claim = nil
	}
	if k.root >= 0 {
		_ = unix.Close(k.root)
		k.root = -1
	}
}

// close also drops what is in it, if that is so much that to write it back at the unmount would cost. For little it would
// cost more: the kernel announces each shutdown on its console.
func (k *disk) close() {
	var st unix.Statfs_t
	if k.root >= 0 && unix.Fstatfs(k.root, &st) == nil && int64(st.Blocks-st.Bfree)*st.Bsize > worthDropping {
		flags := uint32(shutdownFlag)
		_ = ioctlShutdown(k.root, &flags) // without it the unmount is only slower
	}
	k.release()
}
