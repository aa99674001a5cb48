package app

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"artesian/internal/compute/pool"
	"artesian/internal/faas"
)

const (
	habitsFile  = "habits"
	habitsKey   = "habits"
	habitsEvery = 5 * time.Minute // how much of what is learned a crash may lose
	mostHabits  = 256 << 20       // bytes of the largest file that is read
)

// habitsHead begins the file. What follows is a nonce, and sealed by AES-256-GCM with the head as associated data.
var habitsHead = []byte("artesian habits 1\n")

// habits keeps what the pool has learned of the functions in a file of its own. It is a projection: whatever is wrong with the file,
// the functions are learned anew.
type habits struct {
	path    string
	seal    cipher.AEAD
	written [sha256.Size]byte // of what the file holds, unsealed
}

// openHabits reads what was learned before, and writes what is from then on.
func (a *App) openHabits() error {
	key, err := a.engine.Secret(habitsKey)
	if err != nil {
		return err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return fmt.Errorf("make cipher of habits: %w", err)
	}
	h := &habits{path: filepath.Join(a.engine.Dir(), habitsFile)}
	if h.seal, err = cipher.NewGCM(block); err != nil {
		return fmt.Errorf("make cipher mode of habits: %w", err)
	}
	begin := time.Now()
	all, err := h.read()
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		a.cfg.Logger.Warn("what was learned of the functions' habits cannot be read; it is learned anew", "file", h.path, "error", err)
	default:
		a.pool.Remember(all)
		a.cfg.Logger.Debug("habits are remembered", "functions", len(all), "took", time.Since(begin))
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(habitsEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				a.writeHabits(h)
			case <-ctx.Done():
				a.writeHabits(h)
				return
			}
		}
	}()
	a.onStop(func(context.Context) error { cancel(); <-done; return nil })
	return nil
}

// recall has the pool look, off the path of the start, which of the functions of before it are due.
func (a *App) recall(context.Context) error {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, past := range a.pool.Pasts() {
			if ctx.Err() != nil {
				return
			}
			if rec, err := a.functions.Get(past.Function, past.Version); err == nil {
				a.pool.Recall(&rec.Version)
			} else if faas.KindOf(err) == faas.NotFound {
				a.pool.Forget(past.Function)
			}
		}
	}()
	a.onStop(func(context.Context) error { cancel(); <-done; return nil })
	return nil
}

func (a *App) writeHabits(h *habits) {
	if err := h.write(pool.EncodePasts(a.pool.Pasts()), a.engine.CheckSpace); err != nil {
		a.cfg.Logger.Warn("what was learned of the functions' habits cannot be written; a restart would go on from what was", "file", h.path, "error", err)
	}
}

func (h *habits) read() ([]pool.Past, error) {
	f, err := os.Open(h.path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	sealed, err := io.ReadAll(io.LimitReader(f, mostHabits+1))
	if err != nil {
		return nil, err
	}
	text, err := h.open(sealed)
	if err != nil {
		return nil, err
	}
	all, err := pool.DecodePasts(text)
	if err == nil {
		h.written = sha256.Sum256(text)
	}
	return all, err
}

func (h *habits) open(sealed []byte) ([]byte, error) {
	if len(sealed) > mostHabits {
		return nil, errors.New("too large")
	}
	rest, ok := bytes.CutPrefix(sealed, habitsHead)
	if !ok || len(rest) < h.seal.NonceSize() {
		return nil, errors.New("not a file of this version")
	}
	nonce, rest := rest[:h.seal.NonceSize()], rest[h.seal.NonceSize():]
	text, err := h.seal.Open(nil, nonce, rest, habitsHead)
	if err != nil {
		return nil, errors.New("damaged")
	}
	return text, nil
}

// write replaces the file, whole or not at all, unless it holds that already.
func (h *habits) write(text []byte, space func(int64) error) error {
	sum := sha256.Sum256(text)
	if sum == h.written {
		return nil
	}
	if err := space(int64(len(text))); err != nil {
		return err
	}
	nonce := make([]byte, h.seal.NonceSize())
	rand.Read(nonce)
	sealed := h.seal.Seal(append(bytes.Clone(habitsHead), nonce...), nonce, text, habitsHead)
	tmp := h.path + ".new" // one that a crash left is overwritten
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(sealed)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(tmp, h.path)
	}
	if err != nil {
		os.Remove(tmp)
		return err
	}
	h.written = sum
	return nil
}
