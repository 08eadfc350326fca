// Checks one of our logs with Go's own transparency log code (golang.org/x/mod/sumdb): notes, tiles, entries, and proofs, both those that
// it makes from our tiles and those that we made. Its tile paths carry the height, which c2sp.org/tlog-tiles leaves out: that is all that is
// adapted here.
//
// Usage: main LOG_FOLDER CASES_JSON
package main

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type cases struct {
	Key         string   // the log's verifier key
	Checkpoints []string // older signed checkpoints, each with the proof below that the newest extends it
	Consistency [][]string
	Inclusion   []struct {
		Index int64
		Leaf  string
		Proof []string
	}
	Receipts []struct{ Text, Signature string }
}

type folder string

func (f folder) Height() int                     { return 8 }
func (f folder) SaveTiles([]tlog.Tile, [][]byte) {}
func (f folder) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var found [][]byte
	for _, tile := range tiles {
		data, err := f.read(tile)
		if err != nil {
			return nil, err
		}
		found = append(found, data)
	}
	return found, nil
}

func (f folder) read(tile tlog.Tile) ([]byte, error) {
	data, err := os.ReadFile(filepath.Join(string(f), path(tile)))
	if err == nil || tile.W == 256 {
		return data, err
	}
	full := tile
	full.W = 256
	data, err = os.ReadFile(filepath.Join(string(f), path(full)))
	if err == nil && tile.L >= 0 {
		data = data[:tile.W*tlog.HashSize]
	}
	return data, err
}

// path leaves the height out: tile/8/0/x001/067 is our tile/0/x001/067, and tile/8/data/... our tile/entries/...
func path(tile tlog.Tile) string {
	p := strings.TrimPrefix(tile.Path(), "tile/8/")
	return "tile/" + strings.Replace(p, "data/", "entries/", 1)
}

func must(err error, what string, args ...any) {
	if err != nil {
		fmt.Printf("%s: %v\n", fmt.Sprintf(what, args...), err)
		os.Exit(1)
	}
}

func fail(what string, args ...any) { must(fmt.Errorf("not so"), what, args...) }

func hash(text string) tlog.Hash {
	raw, err := base64.StdEncoding.DecodeString(text)
	must(err, "hash %q", text)
	if len(raw) != tlog.HashSize {
		fail("hash %q has 32 bytes", text)
	}
	return tlog.Hash(*(*[tlog.HashSize]byte)(raw))
}

func hashes(texts []string) []tlog.Hash {
	var found []tlog.Hash
	for _, text := range texts {
		found = append(found, hash(text))
	}
	return found
}

// checkpoint opens a note and reads the three lines of its text.
func checkpoint(raw []byte, verifier note.Verifier) tlog.Tree {
	opened, err := note.Open(raw, note.VerifierList(verifier))
	must(err, "the note of a checkpoint")
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[0] != verifier.Name() || lines[3] != "" {
		fail("a checkpoint has origin, size and root: %q", opened.Text)
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	must(err, "the size of a checkpoint")
	return tlog.Tree{N: size, Hash: hash(lines[2])}
}

func entries(f folder, size int64) [][]byte {
	var found [][]byte
	for n := int64(0); n*256 < size; n++ {
		width := int(size - n*256)
		if width > 256 {
			width = 256
		}
		data, err := f.read(tlog.Tile{H: 8, L: -1, N: n, W: width})
		must(err, "bundle %d", n)
		for i := 0; i < width; i++ {
			if len(data) < 2 || len(data) < 2+int(binary.BigEndian.Uint16(data)) {
				fail("bundle %d has %d whole entries", n, width)
			}
			end := 2 + int(binary.BigEndian.Uint16(data))
			found = append(found, data[2:end])
			data = data[end:]
		}
	}
	return found
}

func main() {
	f := folder(os.Args[1])
	raw, err := os.ReadFile(os.Args[2])
	must(err, "cases")
	var c cases
	must(json.Unmarshal(raw, &c), "cases")
	verifier, err := note.NewVerifier(c.Key)
	must(err, "verifier key")
	signed, err := os.ReadFile(filepath.Join(string(f), "checkpoint"))
	must(err, "checkpoint")
	tree := checkpoint(signed, verifier)
	reader := tlog.TileHashReader(tree, f)

	made := entries(f, tree.N)
	for i, entry := range made {
		leaf, err := reader.ReadHashes([]int64{tlog.StoredHashIndex(0, int64(i))})
		must(err, "leaf %d", i)
		if leaf[0] != tlog.RecordHash(entry) {
			fail("the hash of entry %d is that of its tile", i)
		}
		proof, err := tlog.ProveRecord(tree.N, int64(i), reader)
		must(err, "proof of record %d", i)
		must(tlog.CheckRecord(proof, tree.N, tree.Hash, int64(i), leaf[0]), "record %d", i)
	}
	for _, one := range c.Inclusion {
		if hash(one.Leaf) != tlog.RecordHash(made[one.Index]) {
			fail("leaf hash %d", one.Index)
		}
		must(tlog.CheckRecord(hashes(one.Proof), tree.N, tree.Hash, one.Index, hash(one.Leaf)), "our proof of record %d", one.Index)
		own, err := tlog.ProveRecord(tree.N, one.Index, reader)
		must(err, "proof of record %d", one.Index)
		for i, h := range own {
			if h != hash(one.Proof[i]) {
				fail("both proofs of record %d are the same", one.Index)
			}
		}
	}
	for i, text := range c.Checkpoints {
		old := checkpoint([]byte(text), verifier)
		if old.N == 0 {
			continue
		}
		must(tlog.CheckTree(hashes(c.Consistency[i]), tree.N, tree.Hash, old.N, old.Hash), "our proof that %d extends %d", tree.N, old.N)
		own, err := tlog.ProveTree(tree.N, old.N, reader)
		must(err, "proof from %d", old.N)
		must(tlog.CheckTree(own, tree.N, tree.Hash, old.N, old.Hash), "the proof that %d extends %d", tree.N, old.N)
		root, err := tlog.TreeHash(old.N, reader)
		must(err, "root of %d", old.N)
		if !bytes.Equal(root[:], old.Hash[:]) {
			fail("the root of %d", old.N)
		}
	}
	for i, receipt := range c.Receipts {
		signature, err := base64.StdEncoding.DecodeString(receipt.Signature)
		must(err, "receipt %d", i)
		if !verifier.Verify([]byte(receipt.Text), signature) {
			fail("the signature of receipt %d", i)
		}
	}
	fmt.Printf("%d records, %d of our proofs, %d trees, %d receipts\n", tree.N, len(c.Inclusion), len(c.Checkpoints), len(c.Receipts))
}
