package embed

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

// registerFile, in the server's folder, lists the users who have had an account: at a start the server must know them before it reads its store.
const registerFile = "native-users.json"

// register is that list. Safe for concurrent use.
type register struct {
	path string

	mu     sync.Mutex
	tokens []string
}

// read begins with what the file says; one that is not there says nothing.
func (r *register) read(dir string) error {
	r.path = filepath.Join(dir, registerFile)
	text, err := os.ReadFile(r.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(text, &r.tokens)
	}
	if err != nil {
		return fmt.Errorf("reading the list of native users: %w", err)
	}
	r.tokens = slices.DeleteFunc(r.tokens, func(token string) bool { return token == "" || !validToken(token) })
	if len(r.tokens) > mostSpaces {
		return fmt.Errorf("the list of native users in %s is longer than %d", r.path, mostSpaces)
	}
	return nil
}

func (r *register) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.tokens)
}

// add enters a user. It is on disk when add returns nil.
func (r *register) add(token string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if token == "" || slices.Contains(r.tokens, token) {
		return nil
	}
	r.tokens = append(r.tokens, token)
	text, err := json.Marshal(r.tokens)
	if err != nil {
		return err
	}
	return replace(r.path, text)
}

// replace puts a text in the place of what a file said. It is on disk afterwards.
func replace(path string, text []byte) error {
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
