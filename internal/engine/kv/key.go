package kv

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"artesian/internal/faas"
)

// Limits of a key.
const (
	MaxName = 512 // bytes of UTF-8
	maxPart = 64  // bytes of account, region, kind
)

// Key names one entry. Nothing in it may be empty. Account and region are those of the owner; an entity that belongs to
// no region uses a word of its own for it, such as "global".
type Key struct {
	Scope faas.Scope
	Kind  string // what it is, for example "function"
	Name  string // any UTF-8 of 1 to 512 bytes
}

func (k Key) check() error {
	for _, part := range [...]struct {
		field, value string
		limit        int
	}{
		{"account", k.Scope.Account, maxPart}, {"region", k.Scope.Region, maxPart}, {"kind", k.Kind, maxPart}, {"name", k.Name, MaxName},
	} {
		if part.value == "" || len(part.value) > part.limit || !utf8.ValidString(part.value) {
			return faas.Errorf(faas.Invalid, "the %s must be UTF-8 text of 1 to %d bytes", part.field, part.limit)
		}
	}
	return nil
}

// subject returns the key as a JetStream subject: four tokens after the prefix, in which every byte that a token cannot
// hold is written as = and two hexadecimal digits.
func (k Key) subject() string {
	var b strings.Builder
	b.Grow(len(subjectPrefix) + len(k.Scope.Account) + len(k.Scope.Region) + len(k.Kind) + len(k.Name) + 8)
	b.WriteString(subjectPrefix)
	for i, part := range [...]string{k.Scope.Account, k.Scope.Region, k.Kind, k.Name} {
		if i > 0 {
			b.WriteByte('.')
		}
		escape(&b, part)
	}
	return b.String()
}

const hexDigits = "0123456789ABCDEF"

func escape(b *strings.Builder, s string) {
	for i := range len(s) {
		if c := s[i]; plain(c) {
			b.WriteByte(c)
		} else {
			b.WriteByte('=')
			b.WriteByte(hexDigits[c>>4])
			b.WriteByte(hexDigits[c&15])
		}
	}
}

func plain(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}

// parseSubject is the inverse of subject. It accepts exactly what subject produces from a valid key.
func parseSubject(s string) (Key, error) {
	rest, ok := strings.CutPrefix(s, subjectPrefix)
	parts := strings.Split(rest, ".")
	if !ok || len(parts) != 4 {
		return Key{}, fmt.Errorf("parse subject %q: not a key", s)
	}
	for i, part := range parts {
		if parts[i], ok = unescape(part); !ok {
			return Key{}, fmt.Errorf("parse subject %q: bad escape", s)
		}
	}
	k := Key{Scope: faas.Scope{Account: parts[0], Region: parts[1]}, Kind: parts[2], Name: parts[3]}
	if err := k.check(); err != nil {
		return Key{}, fmt.Errorf("parse subject %q: %w", s, err)
	}
	return k, nil
}

func unescape(s string) (string, bool) {
	if strings.IndexByte(s, '=') < 0 {
		for i := range len(s) {
			if !plain(s[i]) {
				return "", false
			}
		}
		return s, true
	}
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '=' {
			if i+2 >= len(s) {
				return "", false
			}
			hi, lo := strings.IndexByte(hexDigits, s[i+1]), strings.IndexByte(hexDigits, s[i+2])
			if hi < 0 || lo < 0 || plain(byte(hi<<4|lo)) {
				return "", false
			}
			c = byte(hi<<4 | lo)
			i += 2
		} else if !plain(c) {
			return "", false
		}
		b.WriteByte(c)
	}
	return b.String(), true
}
