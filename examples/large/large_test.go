package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"sluice/examples/internal/exampletest"
)

// TestTheStory does what the README tells to do.
func TestTheStory(t *testing.T) {
	s := exampletest.Raise(t)
	film := make([]byte, 40<<20)
	rng := rand.NewChaCha8([32]byte{1})
	_, _ = rng.Read(film) // it never fails
	send := func(name string) {
		s.Ask(http.StatusAccepted, http.MethodPut, s.Ingest+"/files/"+name, bytes.NewReader(film), "Content-Type", "application/octet-stream")
	}
	got := func(name string) string {
		return fmt.Sprintf("worker: %s has %d bytes, SHA-256 %x\n", name, len(film), sha256.Sum256(film))
	}
	send("film.bin")
	s.Await(got("film.bin"))

	s.Ask(http.StatusOK, http.MethodPost, s.Worker+"/close", http.NoBody)
	send("again.bin")
	s.Await("worker: the archive is closed, again.bin comes back")
	letter := s.After("✗ dead: sluice dlq show ")
	s.Sluice("store", "dlq", "list")
	copied := filepath.Join(t.TempDir(), "copy.bin")
	s.Sluice("", "dlq", "show", letter, "--data", copied)
	if data, err := os.ReadFile(copied); err != nil || !bytes.Equal(data, film) {
		t.Errorf("the letter's file has %d bytes (%v), and is not the one that was sent", len(data), err)
	}

	s.Ask(http.StatusOK, http.MethodPost, s.Worker+"/open", http.NoBody)
	s.Sluice("1 letter replayed", "dlq", "replay", "--all")
	s.Await(got("again.bin"))
	s.SluiceEventually("\nconserved: ", "audit")
}
