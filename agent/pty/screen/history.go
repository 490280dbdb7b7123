package screen

// history is the scrollback: lines packed one after the other into blocks, the
// oldest of which go when there are too many lines or bytes.
type history struct {
	blocks []*block
	lines  int
	bytes  int
	spare  *block // the last one that went, to be used again
}

// block holds packed lines.
type block struct {
	buf  []byte
	ends []uint32 // where each line ends in buf
	gone int      // lines at the start that are not there any more
}

// blockSize is a compromise between what is lost at both ends of the history
// and how often a new block is needed.
const blockSize = 32 << 10

func (h *history) len() int { return h.lines }

// push packs l and drops what is too old.
func (h *history) push(s *Screen, l line) {
	h.room()
	b := h.blocks[len(h.blocks)-1]
	before := len(b.buf)
	b.buf = s.pack(b.buf, l)
	h.added(b, before)
}

// pushPacked adds a line that is packed already.
func (h *history) pushPacked(packed []byte) {
	h.room()
	b := h.blocks[len(h.blocks)-1]
	before := len(b.buf)
	b.buf = append(b.buf, packed...)
	h.added(b, before)
}

func (h *history) added(b *block, before int) {
	b.ends = append(b.ends, uint32(len(b.buf)))
	h.lines++
	h.bytes += len(b.buf) - before
	for h.lines > maxLines || h.bytes > maxHistory {
		h.dropOldest()
	}
}

// room makes the last block one that can take a line.
func (h *history) room() {
	if n := len(h.blocks); n > 0 && len(h.blocks[n-1].buf) < blockSize {
		return
	}
	b := h.spare
	if b == nil {
		b = &block{buf: make([]byte, 0, blockSize+blockSize/8)}
	}
	h.spare = nil
	h.blocks = append(h.blocks, b)
}

func (h *history) dropOldest() {
	b := h.blocks[0]
	h.bytes -= len(b.line(b.gone))
	b.gone++
	h.lines--
	if b.gone == len(b.ends) {
		h.blocks = append(h.blocks[:0], h.blocks[1:]...)
		if cap(b.buf) < 2*blockSize {
			h.spare = &block{buf: b.buf[:0], ends: b.ends[:0]}
		}
	}
}

func (b *block) line(i int) []byte {
	start := uint32(0)
	if i > 0 {
		start = b.ends[i-1]
	}
	return b.buf[start:b.ends[i]]
}

// pop takes the newest line back.
func (h *history) pop(s *Screen, cols int) line {
	b := h.blocks[len(h.blocks)-1]
	last := len(b.ends) - 1
	packed := b.line(last)
	l := s.unpack(packed, cols)
	h.lines--
	h.bytes -= len(packed)
	b.buf = b.buf[:len(b.buf)-len(packed)]
	b.ends = b.ends[:last]
	if len(b.ends) == b.gone {
		h.blocks = h.blocks[:len(h.blocks)-1]
	}
	return l
}

// all returns the packed lines, the oldest first. They stay valid until the
// history changes.
func (h *history) all() [][]byte {
	out := make([][]byte, 0, h.lines)
	for _, b := range h.blocks {
		for i := b.gone; i < len(b.ends); i++ {
			out = append(out, b.line(i))
		}
	}
	return out
}

func (h *history) clear() { *h = history{} }
