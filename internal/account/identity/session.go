package identity

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"time"

	"artesian/internal/faas"
)

// Temporary credentials are signed by us and kept nowhere. The token is an encrypted, authenticated envelope that says
// who the session is and until when; it opens only with the access key id it was issued with, and the secret follows
// from both by a key that only this platform has.
const (
	prefixSession = "ASIA"
	tokenVersion  = 1
	maxToken      = 2048 // characters; a role's path has at most 512 and its name 64
)

// Temporary are credentials that end by themselves.
type Temporary struct {
	AccessKeyID, SecretAccessKey, Token string
	Expires                             time.Time // whole seconds
	Owner                               Principal
}

// Sessions issues and verifies temporary credentials. It is safe for concurrent use and does no I/O.
type Sessions struct {
	dir     *Directory
	seal    cipher.AEAD
	secrets []byte
}

// NewSessions returns the sessions of a directory's roles and users under a key of 32 bytes, which must be the same at
// every start: with another key all sessions have ended.
func NewSessions(dir *Directory, key []byte) (*Sessions, error) {
	block, err := aes.NewCipher(derived(key, "session token"))
	if err != nil {
		return nil, fmt.Errorf("make cipher of session tokens: %w", err)
	}
	seal, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("make cipher of session tokens: %w", err)
	}
	return &Sessions{dir: dir, seal: seal, secrets: derived(key, "session secret")}, nil
}

func derived(key []byte, purpose string) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(purpose))
	return m.Sum(nil)
}

// Role issues credentials of a role, for a session name of the characters [\w+=,.@-].
func (s *Sessions) Role(r *Role, name string, life time.Duration) Temporary {
	return s.issue(r.Account, r.ARN(), r.ID, name, life)
}

// User issues credentials that stand for a user.
func (s *Sessions) User(u *User, life time.Duration) Temporary {
	return s.issue(u.Account, u.ARN(), u.ID, "", life)
}

func (s *Sessions) issue(account, arn, id, name string, life time.Duration) Temporary {
	t := Temporary{AccessKeyID: sessionKeyID(account), Expires: s.dir.now().Add(life).UTC().Truncate(time.Second)}
	claims := binary.BigEndian.AppendUint64(nil, uint64(t.Expires.Unix()))
	claims = append(claims, strings.Join([]string{arn, id, name}, "\n")...)
	envelope := make([]byte, 1+s.seal.NonceSize(), 1+s.seal.NonceSize()+len(claims)+s.seal.Overhead())
	envelope[0] = tokenVersion
	_, _ = rand.Read(envelope[1:]) // never returns an error
	envelope = s.seal.Seal(envelope, envelope[1:], claims, []byte(t.AccessKeyID))
	t.Token = base64.StdEncoding.EncodeToString(envelope)
	t.SecretAccessKey = s.secret(t.AccessKeyID, envelope)
	t.Owner = principal(account, arn, id, name)
	t.Owner.AccessKeyID = t.AccessKeyID
	return t
}

// secret is the secret access key of an envelope: 40 characters, as AWS's have.
func (s *Sessions) secret(keyID string, envelope []byte) string {
	m := hmac.New(sha256.New, s.secrets)
	m.Write([]byte(keyID))
	m.Write(envelope)
	return base64.StdEncoding.EncodeToString(m.Sum(nil)[:30])
}

// principal is who a session acts as.
func principal(account, arn, id, name string) Principal {
	if name == "" {
		return Principal{Account: account, ARN: arn, UserID: id}
	}
	return Principal{Account: account, ARN: "arn:aws:sts::" + account + ":assumed-role/" + lastPart(arn) + "/" + name, UserID: id + ":" + name, Role: arn}
}

func lastPart(arn string) string { return arn[strings.LastIndexByte(arn, '/')+1:] }

// Open returns the credentials that a token was issued with, expired or not. It reports false for a token that is not
// ours or belongs to another access key, and when the role or user is gone, or another of the same name has taken its
// place: its sessions have ended.
func (s *Sessions) Open(keyID, token string) (Temporary, bool) {
	if len(token) > maxToken || strings.ContainsAny(token, "\r\n") || !strings.HasPrefix(keyID, prefixSession) {
		return Temporary{}, false
	}
	envelope, err := base64.StdEncoding.Strict().DecodeString(token)
	head := 1 + s.seal.NonceSize()
	if err != nil || len(envelope) < head || envelope[0] != tokenVersion {
		return Temporary{}, false
	}
	claims, err := s.seal.Open(nil, envelope[1:head], envelope[head:], []byte(keyID))
	if err != nil || len(claims) < 8 {
		return Temporary{}, false
	}
	parts := strings.Split(string(claims[8:]), "\n")
	if len(parts) != 3 {
		return Temporary{}, false
	}
	arn, id, name := parts[0], parts[1], parts[2]
	account, ok := arnAccount(arn)
	if !ok || !s.dir.alive(account, arn, id) {
		return Temporary{}, false
	}
	t := Temporary{AccessKeyID: keyID, SecretAccessKey: s.secret(keyID, envelope), Token: token,
		Expires: time.Unix(int64(binary.BigEndian.Uint64(claims)), 0).UTC(), Owner: principal(account, arn, id, name)}
	t.Owner.AccessKeyID = keyID
	return t, true
}

// alive reports whether the role or user of an ARN is there and is the one of the id.
func (d *Directory) alive(account, arn, id string) bool {
	if strings.HasPrefix(id, prefixUser) {
		u, ok := d.users.get(account, lastPart(arn))
		return ok && u.value.ID == id
	}
	r, ok := d.roles.get(account, lastPart(arn))
	return ok && r.value.ID == id
}

// sessionKeyID makes an access key id that has its account in it, as AWS's have: bits 1 to 40 of what follows the prefix.
func sessionKeyID(account string) string {
	var b [10]byte
	_, _ = rand.Read(b[:]) // never returns an error
	n, _ := strconv.ParseUint(account, 10, 40)
	const mask = uint64(1)<<40 - 1
	head := binary.BigEndian.Uint64(b[:8])&^(mask<<23) | n<<23
	binary.BigEndian.PutUint64(b[:8], head)
	return prefixSession + base32.StdEncoding.EncodeToString(b[:])
}

// KeyAccount returns the account of an access key: of a temporary one, what its id says; of a user's, whose it is.
func (d *Directory) KeyAccount(keyID string) (string, error) {
	if rest, ok := strings.CutPrefix(keyID, prefixSession); ok {
		if b, err := base32.StdEncoding.DecodeString(rest); err == nil && len(b) == 10 {
			if account := fmt.Sprintf("%012d", binary.BigEndian.Uint64(b[:8])>>23&(1<<40-1)); faas.ValidAccount(account) {
				return account, nil
			}
		}
	} else if _, owner, ok := d.Secret(keyID); ok {
		return owner.Account, nil
	}
	return "", faas.Errorf(faas.Invalid, "The access key id %s is not one of this platform.", keyID)
}
