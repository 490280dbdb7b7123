package tailnet

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"net"
	"testing"
	"time"
)

// A bulk transfer: 8 bytes of length, the bytes of a stream made of the
// length as seed, and back 32 bytes of SHA-256.

type pattern struct{ *rand.ChaCha8 }

func newPattern(seed uint64) pattern {
	var s [32]byte
	binary.LittleEndian.PutUint64(s[:], seed)
	return pattern{rand.NewChaCha8(s)}
}

// bulkServer sends or receives bulk by the first byte.
func bulkServer(c net.Conn) {
	var head [9]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return
	}
	size := int64(binary.LittleEndian.Uint64(head[1:]))
	if head[0] == 'd' {
		io.CopyBuffer(struct{ io.Writer }{c}, io.LimitReader(newPattern(uint64(size)), size), make([]byte, 256<<10))
		return
	}
	h := sha256.New()
	io.CopyBuffer(h, io.LimitReader(struct{ io.Reader }{c}, size), make([]byte, 256<<10))
	c.Write(h.Sum(nil))
}

// bulk sends ('u') or receives ('d') size bytes over c and checks each of
// them. It returns the longest time in which nothing moved.
func bulk(c net.Conn, direction byte, size int64, moved func(int64)) (time.Duration, error) {
	head := binary.LittleEndian.AppendUint64([]byte{direction}, uint64(size))
	if _, err := c.Write(head); err != nil {
		return 0, err
	}
	h := sha256.New()
	p := &progress{moved: moved, last: time.Now()}
	var src io.Reader = newPattern(uint64(size))
	if direction == 'd' {
		if _, err := io.CopyBuffer(io.MultiWriter(h, p), io.LimitReader(struct{ io.Reader }{c}, size), make([]byte, 256<<10)); err != nil {
			return p.stall, err
		}
		return p.stall, p.check(h, size, wantSum(size))
	}
	w := io.MultiWriter(struct{ io.Writer }{c}, h, p)
	if _, err := io.CopyBuffer(w, io.LimitReader(src, size), make([]byte, 64<<10)); err != nil {
		return p.stall, err
	}
	sum := make([]byte, sha256.Size)
	if _, err := io.ReadFull(c, sum); err != nil {
		return p.stall, fmt.Errorf("read the checksum: %w", err)
	}
	return p.stall, p.check(h, size, sum)
}

func wantSum(size int64) []byte {
	h := sha256.New()
	io.CopyN(h, newPattern(uint64(size)), size)
	return h.Sum(nil)
}

type progress struct {
	moved func(int64)
	total int64
	last  time.Time
	stall time.Duration
}

func (p *progress) Write(b []byte) (int, error) {
	now := time.Now()
	p.stall = max(p.stall, now.Sub(p.last))
	p.last = now
	p.total += int64(len(b))
	if p.moved != nil {
		p.moved(p.total)
	}
	return len(b), nil
}

func (p *progress) check(h hash.Hash, size int64, want []byte) error {
	if p.total != size {
		return fmt.Errorf("moved %d bytes, want %d", p.total, size)
	}
	if got := h.Sum(nil); !bytes.Equal(got, want) {
		return fmt.Errorf("checksum %x, want %x", got, want)
	}
	return nil
}

func noDrops(t testing.TB, nodes ...*Node) {
	t.Helper()
	for i, n := range nodes {
		got := n.Counters()
		got.NoPeer = 0 // pings sent before the peer was known
		if got != (Counters{}) {
			t.Errorf("node %d: Counters() = %+v, want all zero", i, got)
		}
	}
}

func testBulk(t *testing.T, p *testPair, direct bool) {
	serve(t, p.b, 7, bulkServer)
	awaitPath(t, p.a, p.addrB, direct)
	awaitPath(t, p.b, p.a.cfg.Addresses[0].Addr(), direct)
	for _, direction := range []byte("ud") {
		start := time.Now()
		const size = 64 << 20
		stall, err := bulk(p.dial(t, 7), direction, size, nil)
		if err != nil {
			t.Fatalf("bulk %c = %v, want nil", direction, err)
		}
		took := time.Since(start)
		t.Logf("%c: %.2f Gbit/s, longest stall %v", direction, size*8/took.Seconds()/1e9, stall)
		if p := p.a.Path(p.addrB); p.Direct != direct {
			t.Errorf("path after bulk = %+v, want direct %v", p, direct)
		}
	}
	noDrops(t, p.a, p.b)
}

func TestBulkDirect(t *testing.T) {
	testBulk(t, startPair(t, startRelay(t), nil), true)
}

func TestBulkRelayed(t *testing.T) {
	p := startPair(t, startRelay(t), func(cfg *Config) { cfg.BlockDirect = true })
	testBulk(t, p, false)
}
