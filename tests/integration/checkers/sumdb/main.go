// Copyright: Contributors to Golden Goose
// GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// sumdb checks a ledger with the packages behind Go's checksum database:
//
//	sumdb <folder of the ledger> <vkey> [<older checkpoint>]
//
// The checkpoint's signature, every hash of every tile against its root, every entry against its leaf, an inclusion
// proof of every entry, and, when an older checkpoint is given, that the tree continues it.
package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8

// folder reads tiles from a disk, under the names of C2SP tlog-tiles.
type folder string

func (f folder) Height() int { return height }

func (f folder) SaveTiles([]tlog.Tile, [][]byte) {}

func (f folder) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, tile := range tiles {
		data, err := f.read(tile)
		if err != nil {
			return nil, err
		}
		all = append(all, data)
	}
	return all, nil
}

func (f folder) read(tile tlog.Tile) ([]byte, error) {
	return os.ReadFile(filepath.Join(string(f), name(tile)))
}

func name(tile tlog.Tile) string {
	path := tile.Path()
	if rest, ok := strings.CutPrefix(path, "tile/8/data/"); ok {
		return "tile/entries/" + rest
	}
	return "tile/" + strings.TrimPrefix(path, "tile/8/")
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "refused:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) < 2 {
		return fmt.Errorf("usage: sumdb <ledger> <vkey> [<older checkpoint>]")
	}
	verifier, err := note.NewVerifier(args[1])
	if err != nil {
		return err
	}
	known := note.VerifierList(verifier)
	tree, err := open(filepath.Join(args[0], "checkpoint"), verifier.Name(), known)
	if err != nil {
		return err
	}
	hashes := tlog.TileHashReader(tree, folder(args[0]))
	if err := entries(folder(args[0]), tree, hashes); err != nil {
		return err
	}
	if len(args) > 2 {
		older, err := open(args[2], verifier.Name(), known)
		if err != nil {
			return err
		}
		proof, err := tlog.ProveTree(tree.N, older.N, hashes)
		if err != nil {
			return err
		}
		if err := tlog.CheckTree(proof, tree.N, tree.Hash, older.N, older.Hash); err != nil {
			return err
		}
	}
	fmt.Printf("verified %d entries\n", tree.N)
	return nil
}

func open(path, origin string, known note.Verifiers) (tlog.Tree, error) {
	var tree tlog.Tree
	data, err := os.ReadFile(path)
	if err != nil {
		return tree, err
	}
	signed, err := note.Open(data, known)
	if err != nil {
		return tree, err
	}
	lines := strings.Split(signed.Text, "\n")
	if len(lines) != 4 || lines[0] != origin {
		return tree, fmt.Errorf("the checkpoint is not of %s", origin)
	}
	if _, err := fmt.Sscanf(lines[1], "%d", &tree.N); err != nil {
		return tree, err
	}
	tree.Hash, err = tlog.ParseHash(lines[2])
	return tree, err
}

func entries(tiles folder, tree tlog.Tree, hashes tlog.HashReader) error {
	for start := int64(0); start < tree.N; start += 1 << height {
		width := min(tree.N-start, 1<<height)
		bundle, err := tiles.read(tlog.Tile{H: height, L: -1, N: start >> height, W: int(width)})
		if err != nil {
			return err
		}
		for index := start; index < start+width; index++ {
			if len(bundle) < 2 || len(bundle)-2 < int(binary.BigEndian.Uint16(bundle)) {
				return fmt.Errorf("the bundle ends within entry %d", index)
			}
			length := binary.BigEndian.Uint16(bundle)
			entry := bundle[2 : 2+length]
			bundle = bundle[2+length:]
			proof, err := tlog.ProveRecord(tree.N, index, hashes)
			if err != nil {
				return fmt.Errorf("entry %d: %w", index, err)
			}
			if err := tlog.CheckRecord(proof, tree.N, tree.Hash, index, tlog.RecordHash(entry)); err != nil {
				return fmt.Errorf("entry %d: %w", index, err)
			}
			if err := line(tiles, index, entry); err != nil {
				return err
			}
		}
		if len(bundle) > 0 {
			return fmt.Errorf("the bundle at entry %d is too long", start)
		}
	}
	return nil
}

var truth [][]byte

// line checks that the bundle has what entries.jsonl has.
func line(tiles folder, index int64, entry []byte) error {
	if truth == nil {
		data, err := os.ReadFile(filepath.Join(string(tiles), "entries.jsonl"))
		if err != nil {
			return err
		}
		truth = bytes.Split(data, []byte("\n"))
	}
	if index >= int64(len(truth)) || !bytes.Equal(truth[index], entry) {
		return fmt.Errorf("entry %d is not line %d of entries.jsonl", index, index+1)
	}
	return nil
}
