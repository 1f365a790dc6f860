// Copyright: Contributors to Golden Goose
// GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// torchwood checks that an entry is in a ledger, offline, from its proof and the ledger's key:
//
//	torchwood <file with the entry> <file.tlog-proof> <vkey>
package main

import (
	"bytes"
	"fmt"
	"os"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "refused:", err)
		os.Exit(1)
	}
	fmt.Println("verified")
}

func run(args []string) error {
	if len(args) != 3 {
		return fmt.Errorf("usage: torchwood <entry> <proof> <vkey>")
	}
	entry, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	proof, err := os.ReadFile(args[1])
	if err != nil {
		return err
	}
	verifier, err := note.NewVerifier(args[2])
	if err != nil {
		return err
	}
	policy := torchwood.ThresholdPolicy(2, torchwood.OriginPolicy(verifier.Name()), torchwood.SingleVerifierPolicy(verifier))
	// The leaf is the line without its line feed.
	return torchwood.VerifyProof(policy, tlog.RecordHash(bytes.TrimSuffix(entry, []byte("\n"))), proof)
}
