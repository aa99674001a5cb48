package artifact

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"testing"

	"artesian/internal/faas"
)

// item is one entry of a test's package.
type item struct {
	name string
	body string
	mode fs.FileMode
	edit func(*zip.FileHeader)
}

func pack(t testing.TB, items ...item) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	for _, it := range items {
		h := &zip.FileHeader{Name: it.name, Method: zip.Deflate}
		mode := it.mode
		if mode == 0 {
			mode = 0o644
		}
		h.SetMode(mode)
		if it.edit != nil {
			it.edit(h)
		}
		f, err := w.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(f, it.body); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func check(b []byte) (Info, error) {
	return Check(context.Background(), bytes.NewReader(b), int64(len(b)))
}

func symlink(name, target string) item {
	return item{name: name, body: target, mode: fs.ModeSymlink | 0o777}
}

func TestCheckAccepts(t *testing.T) {
	cases := map[string][]item{
		"plain":                {{name: "app.py", body: "x"}, {name: "lib/", mode: fs.ModeDir | 0o755}, {name: "lib/a.py", body: "yz"}},
		"dot prefix":           {{name: "./app.py", body: "xyz"}},
		"directory twice":      {{name: "a/", mode: fs.ModeDir}, {name: "a/", mode: fs.ModeDir}, {name: "a/f", body: "xyz"}},
		"directory after file": {{name: "a/f", body: "xyz"}, {name: "a/", mode: fs.ModeDir}},
		"stored":               {{name: "f", body: "xyz", edit: func(h *zip.FileHeader) { h.Method = zip.Store }}},
		"unicode":              {{name: "ключ/日本.txt", body: "xyz"}},
		"two dots in a name":   {{name: "a..b/..c", body: "xyz"}},
		"link up and down":     {{name: "lib/v1/a", body: "xyz"}, symlink("bin/a", "../lib/v1/a")},
		"link to nothing":      {{name: "f", body: "xyz"}, symlink("l", "not/there")},
		"link to a link":       {{name: "f", body: "xyz"}, symlink("d/l", "../m"), symlink("m", "f")},
		"link to the root":     {{name: "f", body: "xyz"}, symlink("d/l", "..")},
	}
	for name, items := range cases {
		t.Run(name, func(t *testing.T) {
			info, err := check(pack(t, items...))
			if err != nil {
				t.Fatal(err)
			}
			if info.Unpacked != 3 {
				t.Errorf("unpacked = %d bytes, want 3", info.Unpacked)
			}
		})
	}
}

func TestCheckRefuses(t *testing.T) {
	ok := item{name: "app.py", body: "x"}
	chain := []item{ok}
	for i := range 50 {
		chain = append(chain, symlink(fmt.Sprintf("l%02d", i), fmt.Sprintf("l%02d", i+1)))
	}
	cases := map[string]struct {
		zip  []byte
		want []string // all must be in the message
	}{
		"no zip":                   {[]byte("print('hello')"), []string{notAZip}},
		"empty upload":             {nil, []string{notAZip}},
		"truncated":                {pack(t, ok)[:40], []string{notAZip}},
		"no files":                 {pack(t, item{name: "d/", mode: fs.ModeDir}), []string{emptyZip}},
		"nothing":                  {pack(t), []string{emptyZip}},
		"up and out":               {pack(t, ok, item{name: "../evil"}), []string{notAZip, `"../evil"`, "outside"}},
		"up and out inside":        {pack(t, item{name: "a/../../evil"}), []string{`"a/../../evil"`}},
		"absolute":                 {pack(t, item{name: "/etc/passwd"}), []string{`"/etc/passwd"`, "absolute"}},
		"backslash":                {pack(t, item{name: `..\evil`}), []string{`"..\\evil"`, "backslash"}},
		"NUL":                      {pack(t, item{name: "a\x00b"}), []string{`"a\x00b"`, "control"}},
		"newline":                  {pack(t, item{name: "a\nb"}), []string{`"a\nb"`, "control"}},
		"not UTF-8":                {pack(t, item{name: "a\xffb"}), []string{"UTF-8"}},
		"long name":                {pack(t, item{name: strings.Repeat("a/", 600) + "b"}), []string{"1024"}},
		"long element":             {pack(t, item{name: strings.Repeat("a", 256)}), []string{"255"}},
		"device":                   {pack(t, item{name: "sda", mode: fs.ModeDevice | 0o600}), []string{`"sda"`, "device"}},
		"character device":         {pack(t, item{name: "null", mode: fs.ModeDevice | fs.ModeCharDevice}), []string{`"null"`, "device"}},
		"named pipe":               {pack(t, item{name: "p", mode: fs.ModeNamedPipe | 0o600}), []string{`"p"`, "named pipe"}},
		"socket":                   {pack(t, item{name: "s", mode: fs.ModeSocket | 0o600}), []string{`"s"`, "socket"}},
		"same name twice":          {pack(t, ok, ok), []string{`"app.py"`, "twice"}},
		"same name, other form":    {pack(t, ok, item{name: "./app.py"}), []string{`"./app.py"`, "twice"}},
		"file then directory":      {pack(t, ok, item{name: "app.py/", mode: fs.ModeDir}), []string{"twice"}},
		"under a file":             {pack(t, ok, item{name: "app.py/x"}), []string{`"app.py/x"`, "not a directory"}},
		"under a link":             {pack(t, symlink("l", "d"), item{name: "d/f"}, item{name: "l/x"}), []string{`"l/x"`, "not a directory"}},
		"file over a directory":    {pack(t, item{name: "d/f"}, item{name: "d"}), []string{`"d"`, "twice"}},
		"link out":                 {pack(t, ok, symlink("l", "../x")), []string{`"l"`, "outside"}},
		"link out of a directory":  {pack(t, ok, symlink("a/b/l", "../../../x")), []string{`"a/b/l"`, "outside"}},
		"link absolute":            {pack(t, ok, symlink("l", "/etc/shadow")), []string{`"l"`, "absolute"}},
		"link empty":               {pack(t, ok, symlink("l", "")), []string{`"l"`, "empty"}},
		"link too long":            {pack(t, ok, symlink("l", strings.Repeat("a", 1025))), []string{`"l"`, "1024"}},
		"link with NUL":            {pack(t, ok, symlink("l", "a\x00")), []string{`"l"`, "text"}},
		"link out by another link": {pack(t, ok, symlink("here", "."), symlink("d/l", "../here/../x")), []string{`"d/l"`, "outside"}},
		"link to itself":           {pack(t, ok, symlink("l", "l")), []string{`"l"`, "too many"}},
		"chain of links":           {pack(t, chain...), []string{`"l00"`, "too many"}},
		"encrypted":                {pack(t, item{name: "s", edit: func(h *zip.FileHeader) { h.Flags |= 1 }}), []string{`"s"`, "encrypted"}},
		"unknown compression":      {rewriteMethod(t, pack(t, ok)), []string{`"app.py"`, "compression"}},
		"damaged":                  {damage(t, pack(t, item{name: "f", body: "hello hello", edit: store})), []string{`"f"`, "damaged"}},
		"too many entries":         {pack(t, crowd()...), []string{notAZip, "65536"}},
		"implied directories":      {pack(t, deep()...), []string{notAZip, "65536"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := check(c.zip)
			var fe *faas.Error
			if !errors.As(err, &fe) || fe.Kind != faas.Invalid {
				t.Fatalf("error = %v, want Invalid", err)
			}
			for _, want := range c.want {
				if !strings.Contains(fe.Message, want) {
					t.Errorf("message %q lacks %q", fe.Message, want)
				}
			}
		})
	}
}

func store(h *zip.FileHeader) { h.Method = zip.Store }

func crowd() (items []item) {
	for i := range MaxEntries + 1 {
		items = append(items, item{name: fmt.Sprint(i), edit: store})
	}
	return items
}

func deep() (items []item) {
	for i := range 200 {
		items = append(items, item{name: fmt.Sprint(i) + strings.Repeat("/d", 400) + "/f", edit: store})
	}
	return items
}

// rewriteMethod sets the compression method in the central directory to bzip2's.
func rewriteMethod(t *testing.T, b []byte) []byte {
	t.Helper()
	at := bytes.Index(b, []byte("PK\x01\x02"))
	binary.LittleEndian.PutUint16(b[at+10:], 12)
	return b
}

func damage(t *testing.T, b []byte) []byte {
	t.Helper()
	at := bytes.Index(b, []byte("hello"))
	b[at] ^= 1
	return b
}

func TestCheckRefusesBombs(t *testing.T) {
	b := bomb(t, 300<<20)
	if _, err := check(b); faas.KindOf(err) != faas.Invalid || !strings.Contains(err.Error(), tooLarge) {
		t.Errorf("300 MB: error = %v, want %q", err, tooLarge)
	}
	at := bytes.Index(b, []byte("PK\x01\x02"))
	binary.LittleEndian.PutUint32(b[at+24:], 10)
	if _, err := check(b); faas.KindOf(err) != faas.Invalid {
		t.Errorf("300 MB that claim to be 10 bytes: error = %v, want Invalid", err)
	}
}

func TestCheckSumsOverEntries(t *testing.T) {
	mb := strings.Repeat("\x00", 1<<20)
	var items []item
	for i := range 251 {
		items = append(items, item{name: fmt.Sprint(i), body: mb})
	}
	if _, err := check(pack(t, items[:250]...)); err != nil {
		t.Errorf("250 MB: %v", err)
	}
	if _, err := check(pack(t, items...)); err == nil || !strings.Contains(err.Error(), tooLarge) {
		t.Errorf("251 MB: error = %v, want %q", err, tooLarge)
	}
}

// bomb returns a package with one entry of n zero bytes.
func bomb(t *testing.T, n int64) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	f, err := w.Create("zeros")
	if err != nil {
		t.Fatal(err)
	}
	zeros := make([]byte, 1<<20)
	for range n >> 20 {
		if _, err := f.Write(zeros); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func TestCheckStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	b := pack(t, item{name: "f"})
	if _, err := Check(ctx, bytes.NewReader(b), int64(len(b))); !errors.Is(err, context.Canceled) {
		t.Fatalf("error = %v, want context.Canceled", err)
	}
}
