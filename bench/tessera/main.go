// Copyright: Contributors to Golden Goose
// SPDX-License-Identifier: GPL-3.0-or-later

// Adds durable entries to a log of Tessera's POSIX library and prints, as JSON, how long it took: what
// `make bench` compares the ledger with. Usage: tessera <folder> <entries> <bytes an entry> <entries a batch>
package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/storage/posix"
	"golang.org/x/mod/sumdb/note"
)

func number(argument string) int {
	value, err := strconv.Atoi(argument)
	if err != nil || value < 1 {
		log.Fatalf("%q is not a number from 1", argument)
	}
	return value
}

func main() {
	if len(os.Args) != 5 {
		log.Fatal("usage: tessera <folder> <entries> <bytes> <batch>")
	}
	folder, count, size, batch := os.Args[1], number(os.Args[2]), number(os.Args[3]), number(os.Args[4])
	ctx := context.Background()
	secret, _, err := note.GenerateKey(rand.Reader, "example.test/bench")
	if err != nil {
		log.Fatal(err)
	}
	signer, err := note.NewSigner(secret)
	if err != nil {
		log.Fatal(err)
	}
	driver, err := posix.New(ctx, posix.Config{Path: folder})
	if err != nil {
		log.Fatal(err)
	}
	options := tessera.NewAppendOptions().
		WithCheckpointSigner(signer).
		WithCheckpointInterval(time.Second).
		WithBatching(uint(batch), 10*time.Millisecond).
		WithPushback(uint(4 * batch))
	appender, shutdown, _, err := tessera.NewAppender(ctx, driver, options)
	if err != nil {
		log.Fatal(err)
	}
	entries := make([][]byte, count)
	for n := range entries {
		entries[n] = make([]byte, size)
		copy(entries[n], fmt.Sprintf("entry %d ", n))
	}
	start := time.Now()
	// As many at once as a batch has: each waits until its entry is durable.
	next := make(chan []byte)
	var workers sync.WaitGroup
	for range batch {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for data := range next {
				if _, err := appender.Add(ctx, tessera.NewEntry(data))(); err != nil {
					log.Fatal(err)
				}
			}
		}()
	}
	for _, data := range entries {
		next <- data
	}
	close(next)
	workers.Wait()
	seconds := time.Since(start).Seconds()
	if err := shutdown(ctx); err != nil {
		log.Fatal(err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(map[string]any{"seconds": seconds, "entries": count}); err != nil {
		log.Fatal(err)
	}
}
