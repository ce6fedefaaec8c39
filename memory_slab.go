package emporix

import (
	"encoding/binary"
	"hash/maphash"
	"time"
)

// memorySlab keeps rows end to end in large blocks. Neither the blocks nor the
// index hold a pointer: with a million sessions, what the garbage collector has
// to walk through is what every call pays for.
//
// A row that is replaced or removed leaves a gap. A block with too many gaps is
// given up, and its rows are added anew.
type memorySlab struct {
	seed    maphash.Seed
	index   map[uint64]memoryLocation // by the hash of the key
	blocks  []memoryBlock
	unused  []int // numbers of blocks
	filling int   // the block that new rows are added to
	live    int   // bytes of all rows
}

func newMemorySlab(seed maphash.Seed) memorySlab {
	return memorySlab{seed: seed, index: map[uint64]memoryLocation{}, blocks: make([]memoryBlock, 1)}
}

type memoryBlock struct {
	bytes []byte
	live  int // how many of them are rows, and not gaps
}

// Blocks grow with what they hold: a few sessions must not cost megabytes.
const (
	smallBlock = 1 << 10
	largeBlock = 64 << 10
)

// memoryLocation says in which block a row begins, and where.
type memoryLocation struct{ block, offset uint32 }

// memoryRow is a row where it lies; it is read under the shard's lock. First
// its length (4 bytes), its end in unix nanoseconds (8; 0: a gap), generation
// (8) and the key's length (2), then key and data.
type memoryRow []byte

const (
	rowEnd        = 4
	rowGeneration = rowEnd + 8
	rowKeyLength  = rowGeneration + 8
	rowKey        = rowKeyLength + 2
)

func (r memoryRow) until() int64              { return int64(binary.LittleEndian.Uint64(r[rowEnd:])) } // #nosec G115 -- written from one
func (r memoryRow) generation() uint64        { return binary.LittleEndian.Uint64(r[rowGeneration:]) }
func (r memoryRow) keyEnd() int               { return rowKey + int(binary.LittleEndian.Uint16(r[rowKeyLength:])) }
func (r memoryRow) key() []byte               { return r[rowKey:r.keyEnd()] }
func (r memoryRow) data() []byte              { return r[r.keyEnd():] }
func (r memoryRow) endsBy(now time.Time) bool { return r.until() <= now.UnixNano() }

func (r memoryRow) write(key string, data []byte, generation uint64, until int64) {
	binary.LittleEndian.PutUint32(r, uint32(len(r)))         // #nosec G115 -- checked by save
	binary.LittleEndian.PutUint64(r[rowEnd:], uint64(until)) // #nosec G115 -- read back as it was
	binary.LittleEndian.PutUint64(r[rowGeneration:], generation)
	binary.LittleEndian.PutUint16(r[rowKeyLength:], uint16(len(key))) // #nosec G115 -- checked by save
	copy(r[rowKey:], key)
	copy(r[r.keyEnd():], data)
}

// row returns the row that begins at offset.
func (b memoryBlock) row(offset int) memoryRow {
	size := int(binary.LittleEndian.Uint32(b.bytes[offset:]))
	return b.bytes[offset : offset+size : offset+size]
}

func (s *memorySlab) at(location memoryLocation) memoryRow {
	return s.blocks[location.block].row(int(location.offset))
}

// find returns the row of key, expired or not.
func (s *memorySlab) find(hash uint64, key string) (memoryRow, bool) {
	location, found := s.index[hash]
	if !found {
		return nil, false
	}
	row := s.at(location)
	return row, string(row.key()) == key
}

// put writes the row of key. A row of the same size is written over.
func (s *memorySlab) put(hash uint64, key string, data []byte, generation uint64, until int64) {
	size := rowKey + len(key) + len(data)
	if location, found := s.index[hash]; found {
		if row := s.at(location); len(row) == size {
			row.write(key, data, generation, until)
			return
		}
		s.remove(hash)
	}
	s.allocate(hash, size).write(key, data, generation, until)
}

// remove leaves nothing of a row but its length.
func (s *memorySlab) remove(hash uint64) {
	location := s.index[hash]
	row := s.at(location)
	clear(row[rowEnd:])
	delete(s.index, hash)
	s.live -= len(row)
	s.blocks[location.block].live -= len(row)
	s.compact(int(location.block))
}

// allocate returns room for a new row.
func (s *memorySlab) allocate(hash uint64, size int) memoryRow {
	for !s.blocks[s.filling].fits(size) {
		full := s.filling
		s.addBlock(size)
		s.compact(full)
	}
	b := &s.blocks[s.filling]
	offset := len(b.bytes)
	b.bytes = b.bytes[:offset+size]
	b.live += size
	s.live += size
	s.index[hash] = memoryLocation{uint32(s.filling), uint32(offset)} // #nosec G115 -- blocks are short, and few
	return b.bytes[offset:]
}

func (b memoryBlock) fits(size int) bool { return len(b.bytes)+size <= cap(b.bytes) }

// addBlock makes a new block the one to be filled.
func (s *memorySlab) addBlock(size int) {
	if last := len(s.unused) - 1; last >= 0 {
		s.filling, s.unused = s.unused[last], s.unused[:last]
	} else {
		s.filling, s.blocks = len(s.blocks), append(s.blocks, memoryBlock{})
	}
	s.blocks[s.filling].bytes = make([]byte, 0, max(size, smallBlock, min(s.live, largeBlock)))
}

// compact gives a block up that is more than a quarter gaps.
func (s *memorySlab) compact(number int) {
	b := s.blocks[number]
	if number == s.filling || b.live >= len(b.bytes)*3/4 {
		return
	}
	s.live -= b.live
	for offset := 0; offset < len(b.bytes); {
		row := b.row(offset)
		offset += len(row)
		if row.until() != 0 {
			copy(s.allocate(maphash.Bytes(s.seed, row.key()), len(row)), row)
		}
	}
	clear(b.bytes)
	s.blocks[number] = memoryBlock{}
	s.unused = append(s.unused, number)
}
