//go:build linux

package powercut

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Style says how cruel the model disk is.
type Style struct {
	// Worst takes away everything that was not synced. Otherwise every piece is kept or not at random.
	Worst bool
	// Ordered persists unlinks of blocks from the front, as journalling file systems do. Otherwise in any order.
	Ordered bool
}

// Cut builds in to the disk that may be left of the directory from, whose writer is frozen. grave is the writer's.
func Cut(rng *rand.Rand, style Style, from, grave, to string, events []Event) error {
	c := cutter{rng: rng, style: style, grave: grave, sizes: map[uint64]int64{}, names: map[uint64]map[string]uint64{}}
	for _, e := range events {
		switch e.Kind {
		case DataSynced:
			c.sizes[e.Inode] = max(c.sizes[e.Inode], e.Size)
		case DirSynced:
			c.names[e.Inode] = e.Names
		}
	}
	return c.dir(from, to)
}

type cutter struct {
	rng   *rand.Rand
	style Style
	grave string
	sizes map[uint64]int64
	names map[uint64]map[string]uint64
}

func (c *cutter) chance() bool { return !c.style.Worst && c.rng.IntN(2) == 0 }

func (c *cutter) dir(from, to string) error {
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	now, err := readNames(from)
	if err != nil {
		return err
	}
	for name, ino := range c.choose(c.names[inode(info)], now) {
		path := filepath.Join(from, name)
		i, err := os.Lstat(path)
		if err != nil || inode(i) != ino {
			path = filepath.Join(c.grave, strconv.FormatUint(ino, 10))
			if i, err = os.Lstat(path); err != nil {
				continue // unlinked before any sync: its name cannot be on disk
			}
		}
		if i.IsDir() {
			err = c.dir(path, filepath.Join(to, name))
		} else {
			err = c.file(path, filepath.Join(to, name), ino)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// choose mixes the entries on disk with the present ones: each change since the last sync is there or not.
func (c *cutter) choose(old, now map[string]uint64) map[string]uint64 {
	left := map[string]uint64{}
	var unlinked []string
	for name, ino := range old {
		switch current, ok := now[name]; {
		case ok && current == ino:
			left[name] = ino
		case ok && c.chance():
			left[name] = current // the rename is there
		case ok:
			left[name] = ino
		case c.style.Ordered && strings.HasSuffix(name, ".blk"):
			unlinked = append(unlinked, name)
		case !c.chance():
			left[name] = ino // the unlink is not
		}
	}
	for name, ino := range now {
		if _, ok := old[name]; !ok && c.chance() {
			left[name] = ino
		}
	}
	slices.SortFunc(unlinked, func(a, b string) int { return blockNumber(a) - blockNumber(b) })
	if len(unlinked) > 0 && !c.style.Worst {
		unlinked = unlinked[c.rng.IntN(len(unlinked)+1):]
	}
	for _, name := range unlinked {
		left[name] = old[name]
	}
	return left
}

func blockNumber(name string) int {
	n, _ := strconv.Atoi(strings.TrimSuffix(name, ".blk"))
	return n
}

// file writes what may be left of a file: at least what was synced; of the rest a part, nothing, zeros or garbage.
func (c *cutter) file(from, to string, ino uint64) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	durable := int(min(c.sizes[ino], int64(len(content))))
	loose := len(content) - durable
	if loose > 0 {
		kept := c.rng.IntN(loose + 1)
		switch {
		case c.style.Worst:
			content = content[:durable]
		default:
			switch c.rng.IntN(5) {
			case 0:
				content = content[:durable]
			case 1:
				content = content[:durable+kept]
			case 2: // the size is on disk, the data is not
				content = append(content[:durable+kept:durable+kept], bytes.Repeat([]byte{0}, loose-kept)...)
			case 3: // nor what was there before
				content = content[:durable+kept]
				for range loose - kept {
					content = append(content, byte(c.rng.Uint32()))
				}
			}
		}
	}
	return os.WriteFile(to, content, 0o644)
}
