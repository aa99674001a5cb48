package engine_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"artesian/internal/engine"
	"artesian/internal/engine/blob"
	"artesian/internal/engine/journal"
	"artesian/internal/engine/kv"
	"artesian/internal/faas"
)

const (
	victimDir = "ARTESIAN_TEST_VICTIM"
	names     = 12 // keys that the victim works on: few, so that they are replaced and deleted often
)

// stores is everything that keeps data, on one engine.
type stores struct {
	eng  *engine.Engine
	kv   *kv.Store
	blob *blob.Store
	log  *journal.Journal
}

func openStores(ctx context.Context, dir string) (*stores, error) {
	e, err := engine.Open(ctx, engine.Config{Dir: dir})
	if err != nil {
		return nil, err
	}
	s := &stores{eng: e}
	if s.kv, err = kv.Open(ctx, e); err == nil {
		if s.blob, err = blob.New(e); err == nil {
			s.log, err = journal.Open(ctx, e, "kill", journal.Limits{})
		}
	}
	if err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return s, nil
}

func (s *stores) close() error {
	s.kv.Close()
	return s.eng.Close()
}

func killKey(n int) kv.Key {
	return kv.Key{Scope: faas.Scope{Account: faas.DefaultAccount, Region: faas.DefaultRegion}, Kind: "function", Name: fmt.Sprint("f ", n)}
}

// victim writes until it is killed. Before each write it prints what it tries, after it what was acknowledged:
//
//	try kv NAME VALUE      ok kv NAME VALUE      VALUE "-" is a delete
//	                       ok blob SHA SIZE
//	                       ok log SEQ VALUE
func victim(dir string) int {
	ctx := context.Background()
	s, err := openStores(ctx, dir)
	if err != nil {
		fmt.Println("fail open", err)
		return 1
	}
	fmt.Println("ready")
	errs := make(chan error)
	go func() { errs <- s.writeKV(ctx) }()
	go func() { errs <- s.writeBlobs(ctx) }()
	go func() { errs <- s.writeLog(ctx) }()
	fmt.Println("fail", <-errs)
	return 1
}

func (s *stores) writeKV(ctx context.Context) error {
	for {
		n := rand.IntN(names)
		key, value := killKey(n), fmt.Sprintf("%x:%s", rand.Uint64(), strings.Repeat("v", rand.IntN(3000)))
		have, exists := s.kv.Get(key)
		remove := exists && rand.IntN(3) == 0
		if remove {
			value = "-"
		}
		fmt.Println("try kv", n, value)
		var err error
		switch {
		case remove:
			err = s.kv.Delete(ctx, key, have.Rev)
		case exists:
			_, err = s.kv.Update(ctx, key, []byte(value), have.Rev)
		default:
			_, err = s.kv.Create(ctx, key, []byte(value))
		}
		if err != nil {
			return err
		}
		fmt.Println("ok kv", n, value)
	}
}

func (s *stores) writeBlobs(ctx context.Context) error {
	for {
		b := make([]byte, rand.IntN(300_000))
		for i := range b {
			b[i] = byte(rand.Uint32())
		}
		sha, size, err := s.blob.Put(ctx, bytes.NewReader(b), 1<<20)
		if err != nil {
			return err
		}
		fmt.Println("ok blob", sha, size)
	}
}

func (s *stores) writeLog(ctx context.Context) error {
	for {
		value := fmt.Sprintf("%x", rand.Uint64())
		recs := []journal.Record{{Kind: 1, Data: []byte(value)}, {Kind: 2, Data: []byte(value)}}
		write := s.log.Submit
		if rand.IntN(2) == 0 {
			write = func(ctx context.Context, recs ...journal.Record) (journal.Seq, error) {
				return s.log.Append(ctx, s.log.Last(), recs...)
			}
		}
		seq, err := write(ctx, recs...)
		if err != nil {
			return err
		}
		if rand.IntN(50) == 0 {
			if err := s.log.TrimBefore(ctx, seq); err != nil {
				return err
			}
		}
		fmt.Println("ok log", seq, value)
	}
}

// promises is what victims have acknowledged, and what they may have done besides.
type promises struct {
	kv    map[string]string
	tried map[string]string // the write under way when the victim died
	blobs map[string]string
	log   map[string]string
	count int
}

func (p *promises) note(line string) error {
	f := strings.Fields(line)
	switch {
	case len(f) == 4 && f[0] == "try":
		p.tried[f[2]] = f[3]
		return nil
	case len(f) == 4 && f[0] == "ok" && f[1] == "kv":
		p.kv[f[2]] = f[3]
		delete(p.tried, f[2])
	case len(f) == 4 && f[0] == "ok" && f[1] == "blob":
		p.blobs[f[2]] = f[3]
	case len(f) == 4 && f[0] == "ok" && f[1] == "log":
		p.log[f[2]] = f[3]
	case line == "ready":
		return nil
	default:
		return fmt.Errorf("victim says %q", line)
	}
	p.count++
	return nil
}

// TestKilledAtAnyMoment kills a writing process again and again: whatever it acknowledged is there and whole, and what it
// deleted stays deleted.
func TestKilledAtAnyMoment(t *testing.T) {
	rounds := 15
	if testing.Short() {
		rounds = 4
	}
	dir := t.TempDir()
	p := &promises{kv: map[string]string{}, tried: map[string]string{}, blobs: map[string]string{}, log: map[string]string{}}
	for round := range rounds {
		killOne(t, dir, p, 20+rand.IntN(400))
		p.check(t, dir)
		if t.Failed() {
			t.Fatalf("after round %d", round)
		}
	}
	t.Logf("%d acknowledged writes survived %d kills", p.count, rounds)
}

// killOne runs a victim until it has acknowledged about after writes, and a random moment longer.
func killOne(t *testing.T, dir string, p *promises, after int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), victimDir+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines, stop := bufio.NewReader(out), p.count+after
	for {
		line, err := lines.ReadString('\n')
		if err != nil { // the last line may be cut; then it was not acknowledged as far as anyone can tell
			break
		}
		if err := p.note(strings.TrimSuffix(line, "\n")); err != nil {
			t.Error(err)
			stop = p.count
		}
		if p.count >= stop {
			stop = 1 << 30
			time.AfterFunc(time.Duration(rand.IntN(3000))*time.Microsecond, func() { _ = cmd.Process.Kill() })
		}
	}
	_ = cmd.Wait()
}

func (p *promises) check(t *testing.T, dir string) {
	t.Helper()
	s, err := openStores(t.Context(), dir)
	if err != nil {
		t.Fatalf("open after the kill: %v", err)
	}
	defer s.close()
	for n := range names {
		p.checkKey(t, s, n)
	}
	for sha, size := range p.blobs {
		if err := readWhole(t.Context(), s.blob, sha, size); err != nil {
			t.Errorf("blob %s: %v", sha, err)
		}
	}
	found := map[string]string{}
	err = s.log.Replay(t.Context(), 0, func(seq journal.Seq, r journal.Record) error {
		id := fmt.Sprint(seq)
		if have, ok := found[id]; ok && have != string(r.Data) {
			t.Errorf("group %d is not whole", seq)
		}
		found[id] = string(r.Data)
		return nil
	})
	if err != nil {
		t.Errorf("replay: %v", err)
	}
	for seq, value := range p.log {
		if have, ok := found[seq]; ok && have != value {
			t.Errorf("group %s holds %s instead of %s", seq, have, value)
		} else if !ok && len(found) > 0 && !trimmed(seq, found) || len(found) == 0 {
			t.Errorf("group %s is lost", seq)
		}
	}
}

// trimmed reports whether seq is before everything found.
func trimmed(seq string, found map[string]string) bool {
	var n, f int
	fmt.Sscan(seq, &n)
	for have := range found {
		if fmt.Sscan(have, &f); f < n {
			return false
		}
	}
	return true
}

func (p *promises) checkKey(t *testing.T, s *stores, n int) {
	t.Helper()
	id, have := fmt.Sprint(n), "-"
	if e, ok := s.kv.Get(killKey(n)); ok {
		have = string(e.Value)
	}
	want, known := p.kv[id]
	if !known {
		want = "-"
	}
	if try, ok := p.tried[id]; ok && have == try {
		p.kv[id], want = have, have
	}
	delete(p.tried, id)
	if have != want {
		t.Errorf("key %d is %.20q instead of %.20q", n, have, want)
	}
}

func readWhole(ctx context.Context, s *blob.Store, sha, size string) error {
	r, n, err := s.Open(ctx, sha)
	if err != nil {
		return err
	}
	defer r.Close()
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		return err
	}
	if hex.EncodeToString(h.Sum(nil)) != sha || fmt.Sprint(n) != size {
		return errors.New("another content")
	}
	return nil
}
