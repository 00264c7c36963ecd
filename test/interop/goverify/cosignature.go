package main

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
)

const (
	// Type of a key that makes timestamped Ed25519 signatures, C2SP tlog-cosignature. x/mod knows type 1 alone.
	algCosignature = 4
	// A clock of a witness may be ahead of ours by so much.
	maxSkew = 5 * time.Minute
)

// A witness verifies cosignatures of one key; it is a note.Verifier.
type witness struct {
	name string
	hash uint32
	key  ed25519.PublicKey
}

func (w witness) Name() string    { return w.name }
func (w witness) KeyHash() uint32 { return w.hash }

// Verify checks what is behind the key hash of a signature line: u64 seconds | Ed25519 signature over
//
//	cosignature/v1
//	time <seconds>
//	<text of the note>
func (w witness) Verify(text, signature []byte) bool {
	if len(signature) != 8+ed25519.SignatureSize {
		return false
	}
	seconds := binary.BigEndian.Uint64(signature)
	if seconds == 0 || seconds > uint64(time.Now().Add(maxSkew).Unix()) {
		return false
	}
	message := fmt.Sprintf("cosignature/v1\ntime %d\n%s", seconds, text)
	return ed25519.Verify(w.key, []byte(message), signature[8:])
}

// newWitness reads <name>+<hash>+<base64(4 | public key)>.
func newWitness(vkey string) (note.Verifier, error) {
	fields := strings.SplitN(vkey, "+", 3)
	if len(fields) != 3 || fields[0] == "" {
		return nil, errors.New("a witness's key has three fields")
	}
	hash, err := strconv.ParseUint(fields[1], 16, 32)
	if err != nil || len(fields[1]) != 8 {
		return nil, fmt.Errorf("key hash %q", fields[1])
	}
	key, err := base64.StdEncoding.DecodeString(fields[2])
	if err != nil || len(key) != 1+ed25519.PublicKeySize || key[0] != algCosignature {
		return nil, fmt.Errorf("the key of %s is none of cosignature/v1", fields[0])
	}
	sum := sha256.Sum256(append([]byte(fields[0]+"\n"), key...))
	if uint64(binary.BigEndian.Uint32(sum[:])) != hash {
		return nil, fmt.Errorf("key hash %q is not that of the key", fields[1])
	}
	return witness{fields[0], uint32(hash), key[1:]}, nil
}

// checkCosigned wants a signature of every verifier on the note.
func checkCosigned(opened *note.Note, verifiers []note.Verifier) error {
	for _, verifier := range verifiers {
		found := false
		for _, sig := range opened.Sigs {
			found = found || sig.Name == verifier.Name() && sig.Hash == verifier.KeyHash()
		}
		if !found {
			return fmt.Errorf("checkpoint: %s has not signed it", verifier.Name())
		}
	}
	return nil
}
