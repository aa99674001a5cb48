package engine

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"artesian/internal/faas"
)

// reserve is what CheckSpace keeps free: the server, once it has met a full disk, refuses writes until it is restarted,
// so writing stops before.
const reserve = 64 << 20

// freeSpace is what a file system has left for ordinary users.
type freeSpace struct {
	bytes  int64
	inodes int64 // -1 where the file system has no such limit
}

func statFree(dir string) (freeSpace, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return freeSpace{}, fmt.Errorf("stat file system: %w", err)
	}
	free := freeSpace{bytes: int64(st.Bavail) * st.Bsize, inodes: -1}
	if st.Files > 0 {
		free.inodes = int64(st.Ffree)
	}
	return free, nil
}

// CheckSpace reports whether need more bytes may be written now: Unavailable when the disk would be left with less than
// 64 MiB. It costs one system call. Call it before everything that grows the store.
func (e *Engine) CheckSpace(need int64) error {
	free, err := e.free(e.dir)
	if err != nil {
		return explain(err, e.dir)
	}
	if free.bytes-need < reserve || free.inodes >= 0 && free.inodes < 64 {
		return refuse("the disk that holds %s is full: %d MiB are free, and %d MiB must stay free; free some space and try again", e.dir,
			free.bytes>>20, reserve>>20)
	}
	return nil
}

// configTag is the metadata under which a stream remembers what it was configured with.
const configTag = "artesian-config"

// Stream opens a stream, or makes it when it was never there; an existing one gets cfg's limits. A stream whose messages
// are on disk but which the server could not recover is refused rather than made anew over them.
func (e *Engine) Stream(ctx context.Context, cfg jetstream.StreamConfig) (jetstream.Stream, error) {
	text, err := json.Marshal(cfg)
	if err != nil {
		return nil, fmt.Errorf("encode stream configuration: %w", err)
	}
	tag := fmt.Sprintf("%x", sha256.Sum256(text))
	cfg.Metadata = maps.Clone(cfg.Metadata)
	if cfg.Metadata == nil {
		cfg.Metadata = map[string]string{}
	}
	cfg.Metadata[configTag] = tag
	st, err := e.js.Stream(ctx, cfg.Name)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return e.makeStream(ctx, cfg)
	case err != nil:
		return nil, fmt.Errorf("find stream %s: %w", cfg.Name, err)
	case st.CachedInfo().Config.Metadata[configTag] == tag: // an update would be written and synced
		return st, nil
	}
	if st, err = e.js.UpdateStream(ctx, cfg); err != nil {
		return nil, fmt.Errorf("configure stream %s: %w", cfg.Name, err)
	}
	return st, nil
}

func (e *Engine) makeStream(ctx context.Context, cfg jetstream.StreamConfig) (jetstream.Stream, error) {
	streams := filepath.Join(e.dir, storeDir, "jetstream", "$G", "streams")
	dir := filepath.Join(streams, cfg.Name)
	if inUse(dir) {
		return nil, refuse("the stream in %s is damaged and could not be recovered; restore it from a backup", dir)
	}
	if err := os.RemoveAll(dir); err != nil { // what is left of a creation that was interrupted
		return nil, explain(err, e.dir)
	}
	if err := e.CheckSpace(0); err != nil {
		return nil, err
	}
	st, err := e.js.CreateStream(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("make stream %s: %w", cfg.Name, err)
	}
	// The server syncs its files, and the directories that they are in, but not those above.
	for d := dir; d != e.dir; d = filepath.Dir(d) {
		if err := SyncDir(d); err != nil {
			return nil, explain(err, e.dir)
		}
	}
	return st, nil
}

// inUse reports whether a stream's directory has ever held messages: a block that is not empty, or the index that the
// server writes later on. What cannot be looked at counts as used.
func inUse(dir string) bool {
	files, err := os.ReadDir(filepath.Join(dir, "msgs"))
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist)
	}
	for _, f := range files {
		st, err := f.Info()
		if err != nil || filepath.Ext(f.Name()) == ".blk" && st.Size() > 0 || f.Name() == "index.db" {
			return true
		}
	}
	return false
}

// writeID marks a message with a value of its own, so that a write whose answer was lost can be recognised.
const writeID = "Artesian-Write"

// Expect is the fence of one write: the header that holds it, and how to read back the message that would be ours.
type Expect struct {
	header   string
	seq      uint64
	readBack func(ctx context.Context) (*jetstream.RawStreamMsg, error)
}

// ExpectSubject demands that the last message of the subject in st has sequence seq, 0 for none.
func ExpectSubject(st jetstream.Stream, subject string, seq uint64) Expect {
	return Expect{jetstream.ExpectedLastSubjSeqHeader, seq, func(ctx context.Context) (*jetstream.RawStreamMsg, error) {
		return st.GetLastMsgForSubject(ctx, subject)
	}}
}

// ExpectLast demands that the last message of st has sequence seq, 0 for an unused stream.
func ExpectLast(st jetstream.Stream, seq uint64) Expect {
	return Expect{jetstream.ExpectedLastSeqHeader, seq, func(ctx context.Context) (*jetstream.RawStreamMsg, error) {
		return st.GetMsg(ctx, seq+1)
	}}
}

// Publish stores msg under the fence and returns its sequence; it is durable then. Conflict: the fence does not hold, and
// nothing was stored. TooLarge: over MaxPayload. Unavailable: it was not stored, or nobody can tell; a later read shows
// which. The answer of a write that timed out is looked up before that is said.
func (e *Engine) Publish(ctx context.Context, msg *nats.Msg, want Expect) (uint64, error) {
	id := faas.NewUUID()
	msg.Header.Set(writeID, id)
	msg.Header.Set(want.header, strconv.FormatUint(want.seq, 10))
	sent, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	ack, err := e.js.PublishMsg(sent, msg)
	if err == nil {
		return ack.Sequence, nil
	}
	var api *jetstream.APIError
	switch {
	case errors.As(err, &api) && wrongSequence(api):
		return 0, &faas.Error{Kind: faas.Conflict, Message: "it was changed meanwhile", Cause: err}
	case errors.Is(err, nats.ErrMaxPayload):
		return 0, faas.Errorf(faas.TooLarge, "it is over %d bytes", e.maxPayload)
	case errors.As(err, &api), errors.Is(err, jetstream.ErrNoStreamResponse), ctx.Err() != nil:
		return 0, unavailable(err)
	}
	return e.resolve(ctx, id, want, err)
}

// resolve looks for the message of a write that got no answer. Only finding it settles the matter: a write not there yet
// may still be on its way.
func (e *Engine) resolve(ctx context.Context, id string, want Expect, cause error) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	if raw, err := want.readBack(ctx); err == nil && raw.Header.Get(writeID) == id {
		return raw.Sequence, nil
	}
	return 0, unavailable(cause)
}

func wrongSequence(err *jetstream.APIError) bool {
	return err.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence ||
		err.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant
}

func unavailable(cause error) error {
	return &faas.Error{Kind: faas.Unavailable, Message: "the store did not confirm the write; try again", Cause: cause}
}
