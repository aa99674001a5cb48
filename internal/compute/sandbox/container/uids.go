package container

import (
	"bufio"
	"fmt"
	"hash/fnv"
	"os"
	"sync"
)

// Host ids for sandboxes are taken from a range that nobody else claims: above what systemd-nspawn, LXD and
// /etc/subuid hand out, below 2^31. Each data directory has a block of its own in it, by hash.
const (
	idBase   = 0x70000000
	idBlock  = 1 << 16 // two for each owner at once
	idBlocks = 1 << 12
)

// uids lends host ids to owners: two owners never share one at the same time, and nothing on disk depends on them.
type uids struct {
	base  int
	count int // owners

	mu   sync.Mutex
	next int   // the first that was never lent
	free []int // given back, oldest first
	lent map[string]*loan
}

type loan struct{ uid, users int }

// newUIDs chooses a block for a data directory among the ids that exist in this user namespace.
func newUIDs(dir string) (*uids, error) {
	h := fnv.New32a()
	_, _ = h.Write([]byte(dir))
	u := &uids{base: idBase + int(h.Sum32()%idBlocks)*idBlock, count: idBlock / 2, lent: map[string]*loan{}}
	for _, file := range []string{"/proc/self/uid_map", "/proc/self/gid_map"} {
		first, last, err := readMap(file)
		if err != nil {
			return nil, err
		}
		if u.base+idBlock-1 > last { // a container with few ids: take the upper half of its last range
			size := min((last-first+1)/2, idBlock)
			u.base, u.count = last+1-size, size/2
		}
	}
	if u.count < 1 {
		return nil, fmt.Errorf("this user namespace has no user ids to give to sandboxes (/proc/self/uid_map)")
	}
	return u, nil
}

// rootlessIDs is how many ids a data directory uses of those that its user has, if there are several times as many.
const rootlessIDs = 1 << 12

// uids are those of the user namespace around all sandboxes, where 0 is ourselves. Data directories of one user mostly
// have different ones. With none, every owner has 0.
func (s standing) uids(dir string) *uids {
	h := fnv.New32a()
	_, _ = h.Write([]byte(dir))
	u := &uids{base: 1, count: s.ids.count / 2, lent: map[string]*loan{}}
	if blocks := s.ids.count / rootlessIDs; blocks > 1 {
		u.base, u.count = 1+int(h.Sum32())%blocks*rootlessIDs, rootlessIDs/2
	}
	return u
}

// readMap returns the bounds of the last range of an id map.
func readMap(file string) (first, last int, err error) {
	f, err := os.Open(file)
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = f.Close() }()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var outside, size int
		if _, err := fmt.Sscan(lines.Text(), &first, &outside, &size); err != nil {
			return 0, 0, fmt.Errorf("read %s: %w", file, err)
		}
		last = first + size - 1
	}
	return first, last, nil
}

// take returns the first of an owner's two host ids; give gives it back.
func (u *uids) take(owner string) (int, error) {
	if u.count == 0 {
		return 0, nil
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if l := u.lent[owner]; l != nil {
		l.users++
		return l.uid, nil
	}
	var n int
	switch {
	case u.next < u.count: // a used one rests as long as possible
		n = u.next
		u.next++
	case len(u.free) > 0:
		n, u.free = u.free[0], u.free[1:]
	default:
		return 0, fmt.Errorf("all %d user ids for sandboxes are in use", u.count)
	}
	u.lent[owner] = &loan{uid: u.base + 2*n, users: 1}
	return u.base + 2*n, nil
}

func (u *uids) give(owner string) {
	if u.count == 0 {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	l := u.lent[owner]
	if l.users--; l.users == 0 {
		delete(u.lent, owner)
		u.free = append(u.free, (l.uid-u.base)/2)
	}
}
