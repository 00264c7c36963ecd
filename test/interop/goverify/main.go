// Goverify checks a running log with the Go implementation of transparent logs, golang.org/x/mod/sumdb:
// what another language and other authors make of our checkpoint, tiles, entry bundles and proofs.
//
// Usage: goverify [-samples n] URL VKEY [WITNESS...]
//
// It reads the log as a stranger would. The checkpoint must open under VKEY (note.Open), and carry a
// cosignature of every WITNESS, a key of cosignature/v1 (cosignature.go). Its root must
// be that of the tiles (tlog.TileHashReader checks each tile against it before use) and that of the
// entries, hashed one by one from the bundles. Inclusion and consistency are then proven twice, once
// from the tiles and once as the log serves it at /v1/proofs/, at sizes around every power of two, and
// checked by tlog.CheckRecord and tlog.CheckTree.
//
// Standard output gets a JSON summary. The exit status is 0 if everything held, else 1.
package main

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"sort"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const (
	tileHeight = 8
	tileWidth  = 1 << tileHeight
	// No answer of a log is larger: a bundle holds 256 entries of at most 65,535 bytes.
	maxAnswer = tileWidth*(2+65535) + 1
)

type summary struct {
	OK                    bool   `json:"ok"`
	Error                 string `json:"error,omitempty"`
	Origin                string `json:"origin"`
	Size                  int64  `json:"size"`
	Root                  string `json:"root"`
	Cosignatures          int    `json:"cosignatures"`
	Tiles                 int    `json:"tiles"`
	Bundles               int    `json:"bundles"`
	Entries               int64  `json:"entries"`
	InclusionRecomputed   int    `json:"inclusion_recomputed"`
	InclusionServed       int    `json:"inclusion_served"`
	ConsistencyRecomputed int    `json:"consistency_recomputed"`
	ConsistencyServed     int    `json:"consistency_served"`
}

// A log that is being checked, with what is known of it so far.
type log struct {
	base    string
	client  http.Client
	tree    tlog.Tree
	reader  tlog.HashReader
	samples int64
	summary summary
}

// errStatus is an answer other than 200.
type errStatus int

func (e errStatus) Error() string { return "status " + strconv.Itoa(int(e)) }

func (l *log) get(path string) ([]byte, error) {
	answer, err := l.client.Get(l.base + path)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("GET %s: %w", path, errStatus(answer.StatusCode))
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	if err == nil && len(body) > maxAnswer {
		err = errors.New("answer too large")
	}
	if err != nil {
		return nil, fmt.Errorf("GET %s: %w", path, err)
	}
	return body, nil
}

// tileReader maps x/mod's tiles to the paths of tlog-tiles: it leaves the height out.
type tileReader struct{ *log }

func (tileReader) Height() int                     { return tileHeight }
func (tileReader) SaveTiles([]tlog.Tile, [][]byte) {}
func (r tileReader) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	data := make([][]byte, len(tiles))
	for i, tile := range tiles {
		path := "/tile/" + strings.TrimPrefix(tile.Path(), fmt.Sprintf("tile/%d/", tileHeight))
		body, err := r.get(path)
		if err != nil {
			return nil, err
		}
		data[i] = body
		r.summary.Tiles++
	}
	return data, nil
}

// checkpoint opens the log's newest checkpoint: origin, size and root on three lines.
func (l *log) checkpoint(vkey string, witnesses []string) error {
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return err
	}
	verifiers := []note.Verifier{verifier}
	for _, vkey := range witnesses {
		witness, err := newWitness(vkey)
		if err != nil {
			return err
		}
		verifiers = append(verifiers, witness)
	}
	message, err := l.get("/checkpoint")
	if err != nil {
		return err
	}
	opened, err := note.Open(message, note.VerifierList(verifiers...))
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	if err := checkCosigned(opened, verifiers); err != nil {
		return err
	}
	l.summary.Cosignatures = len(witnesses)
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[3] != "" {
		return fmt.Errorf("checkpoint has not three lines: %q", opened.Text)
	}
	if lines[0] != verifier.Name() {
		return fmt.Errorf("checkpoint of %q under the key of %q", lines[0], verifier.Name())
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || strconv.FormatInt(size, 10) != lines[1] || size < 1 {
		return fmt.Errorf("checkpoint size %q", lines[1])
	}
	root, err := tlog.ParseHash(lines[2])
	if err != nil {
		return fmt.Errorf("checkpoint root: %w", err)
	}
	l.tree = tlog.Tree{N: size, Hash: root}
	l.reader = tlog.TileHashReader(l.tree, tileReader{l})
	l.summary.Origin, l.summary.Size, l.summary.Root = lines[0], size, root.String()
	return nil
}

// entries reads one bundle: each entry behind its length in two bytes.
func (l *log) entries(n int64) ([][]byte, error) {
	width := l.tree.N - n*tileWidth
	if width > tileWidth {
		width = tileWidth
	}
	// A bundle has the number and the width of the tile above its entries.
	tile := tlog.Tile{H: tileHeight, L: 0, N: n, W: int(width)}
	path := "/tile/entries/" + strings.TrimPrefix(tile.Path(), fmt.Sprintf("tile/%d/0/", tileHeight))
	body, err := l.get(path)
	if err != nil {
		return nil, err
	}
	entries := make([][]byte, 0, width)
	for len(body) > 0 {
		if len(body) < 2 || len(body)-2 < int(binary.BigEndian.Uint16(body)) {
			return nil, fmt.Errorf("%s is cut off", path)
		}
		length := int(binary.BigEndian.Uint16(body))
		entries, body = append(entries, body[2:2+length]), body[2+length:]
	}
	if int64(len(entries)) != width {
		return nil, fmt.Errorf("%s has %d entries, not %d", path, len(entries), width)
	}
	l.summary.Bundles++
	return entries, nil
}

// checkEntries hashes every entry, compares it with the tiles, and builds the tree anew from entries alone.
func (l *log) checkEntries() error {
	var stored []tlog.Hash
	own := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		hashes := make([]tlog.Hash, len(indexes))
		for i, index := range indexes {
			hashes[i] = stored[index]
		}
		return hashes, nil
	})
	for n := int64(0); n*tileWidth < l.tree.N; n++ {
		entries, err := l.entries(n)
		if err != nil {
			return err
		}
		indexes := make([]int64, len(entries))
		for i := range entries {
			indexes[i] = tlog.StoredHashIndex(0, n*tileWidth+int64(i))
		}
		fromTiles, err := l.reader.ReadHashes(indexes)
		if err != nil {
			return err
		}
		for i, entry := range entries {
			index := n*tileWidth + int64(i)
			if tlog.RecordHash(entry) != fromTiles[i] {
				return fmt.Errorf("entry %d is not the leaf in the tile", index)
			}
			hashes, err := tlog.StoredHashes(index, entry, own)
			if err != nil {
				return err
			}
			stored = append(stored, hashes...)
			l.summary.Entries++
		}
	}
	root, err := tlog.TreeHash(l.tree.N, own)
	if err != nil {
		return err
	}
	if root != l.tree.Hash {
		return fmt.Errorf("the entries have root %v, the checkpoint says %v", root, l.tree.Hash)
	}
	return nil
}

// sizes are those around every power of two, where the shape of the tree changes.
func (l *log) sizes() []int64 {
	set := map[int64]bool{l.tree.N: true}
	for power := int64(1); power <= l.tree.N; power *= 2 {
		for _, size := range []int64{power - 1, power, power + 1} {
			if size >= 1 && size <= l.tree.N {
				set[size] = true
			}
		}
	}
	var sizes []int64
	for size := range set {
		sizes = append(sizes, size)
	}
	sort.Slice(sizes, func(i, j int) bool { return sizes[i] < sizes[j] })
	return sizes
}

// indices are at most about samples leaves of a tree, its first and last among them.
func (l *log) indices(size int64) []int64 {
	step := size/l.samples + 1
	var indices []int64
	for index := int64(0); index < size-1; index += step {
		indices = append(indices, index)
	}
	return append(indices, size-1)
}

func (l *log) json(path string, value interface{}) error {
	body, err := l.get(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, value); err != nil {
		return fmt.Errorf("GET %s: %w", path, err)
	}
	return nil
}

func (l *log) checkInclusion(index, size int64, root tlog.Hash) error {
	hashes, err := l.reader.ReadHashes([]int64{tlog.StoredHashIndex(0, index)})
	if err != nil {
		return err
	}
	leaf := hashes[0]
	proof, err := tlog.ProveRecord(size, index, l.reader)
	if err != nil {
		return err
	}
	if err := tlog.CheckRecord(proof, size, root, index, leaf); err != nil {
		return fmt.Errorf("recomputed inclusion of %d in %d: %w", index, size, err)
	}
	l.summary.InclusionRecomputed++

	var served struct {
		Index    int64            `json:"index"`
		Size     int64            `json:"size"`
		LeafHash tlog.Hash        `json:"leaf_hash"`
		Root     tlog.Hash        `json:"root"`
		Proof    tlog.RecordProof `json:"proof"`
	}
	path := fmt.Sprintf("/v1/proofs/inclusion?index=%d&size=%d", index, size)
	if err := l.json(path, &served); err != nil {
		return err
	}
	if served.Index != index || served.Size != size || served.LeafHash != leaf || served.Root != root {
		return fmt.Errorf("GET %s answers another question: %+v", path, served)
	}
	if err := tlog.CheckRecord(served.Proof, size, root, index, leaf); err != nil {
		return fmt.Errorf("GET %s: %w", path, err)
	}
	l.summary.InclusionServed++
	return nil
}

func (l *log) checkConsistency(from, to int64, fromRoot, toRoot tlog.Hash) error {
	proof, err := tlog.ProveTree(to, from, l.reader)
	if err != nil {
		return err
	}
	if err := tlog.CheckTree(proof, to, toRoot, from, fromRoot); err != nil {
		return fmt.Errorf("recomputed consistency from %d to %d: %w", from, to, err)
	}
	l.summary.ConsistencyRecomputed++

	var served struct {
		From     int64          `json:"from"`
		To       int64          `json:"to"`
		FromRoot tlog.Hash      `json:"from_root"`
		ToRoot   tlog.Hash      `json:"to_root"`
		Proof    tlog.TreeProof `json:"proof"`
	}
	path := fmt.Sprintf("/v1/proofs/consistency?from=%d&to=%d", from, to)
	if err := l.json(path, &served); err != nil {
		return err
	}
	if served.From != from || served.To != to || served.FromRoot != fromRoot || served.ToRoot != toRoot {
		return fmt.Errorf("GET %s answers another question: %+v", path, served)
	}
	if err := tlog.CheckTree(served.Proof, to, toRoot, from, fromRoot); err != nil {
		return fmt.Errorf("GET %s: %w", path, err)
	}
	l.summary.ConsistencyServed++
	return nil
}

// checkProofs proves leaves in trees, and trees in trees.
func (l *log) checkProofs() error {
	sizes := l.sizes()
	roots := map[int64]tlog.Hash{}
	for _, size := range sizes {
		root, err := tlog.TreeHash(size, l.reader)
		if err != nil {
			return err
		}
		roots[size] = root
		for _, index := range l.indices(size) {
			if err := l.checkInclusion(index, size, root); err != nil {
				return err
			}
		}
		for _, older := range sizes {
			if older > size {
				break
			}
			if err := l.checkConsistency(older, size, roots[older], root); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkBeyond asks for what is not published yet.
func (l *log) checkBeyond() error {
	const far = 1 << 40
	for _, path := range []string{
		fmt.Sprintf("/v1/proofs/inclusion?index=0&size=%d", far),
		fmt.Sprintf("/v1/proofs/consistency?from=1&to=%d", far),
		"/tile/0/x001/x000/x000/000",
	} {
		var status errStatus
		if _, err := l.get(path); !errors.As(err, &status) || status != http.StatusNotFound {
			return fmt.Errorf("GET %s beyond the tree: %v, not 404", path, err)
		}
	}
	return nil
}

func (l *log) check(vkey string, witnesses []string) error {
	if err := l.checkpoint(vkey, witnesses); err != nil {
		return err
	}
	for _, step := range []func() error{l.checkEntries, l.checkProofs, l.checkBeyond} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func main() {
	samples := flag.Int64("samples", 16, "about how many leaves to prove in a tree of each size")
	flag.Parse()
	if flag.NArg() < 2 || *samples < 1 {
		fmt.Fprintln(os.Stderr, "usage: goverify [-samples n] URL VKEY [WITNESS...]")
		os.Exit(2)
	}
	l := &log{
		base:    strings.TrimSuffix(flag.Arg(0), "/"),
		client:  http.Client{Timeout: 30 * time.Second},
		samples: *samples,
	}
	err := l.check(flag.Arg(1), flag.Args()[2:])
	l.summary.OK = err == nil
	if err != nil {
		l.summary.Error = err.Error()
	}
	out, _ := json.MarshalIndent(l.summary, "", "  ")
	fmt.Println(string(out))
	if err != nil {
		os.Exit(1)
	}
}
