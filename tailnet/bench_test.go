package tailnet

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime/debug"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/berthdev/berth/tailnet/proto"
)

// The benchmarks run both nodes and the relay in this process; each has its
// peer beside it: raw TCP over loopback.

func benchStream(b *testing.B, c net.Conn) {
	const block = 256 << 10
	buf := make([]byte, block)
	b.SetBytes(block)
	b.ResetTimer()
	for range b.N {
		if _, err := c.Write(buf); err != nil {
			b.Fatal(err)
		}
	}
	// All has arrived when the other side answers the end of the stream.
	c.(interface{ CloseWrite() error }).CloseWrite()
	if _, err := io.ReadFull(c, buf[:1]); err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)*block*8/b.Elapsed().Seconds()/1e9, "Gbit/s")
}

func sink(c net.Conn) {
	io.CopyBuffer(io.Discard, struct{ io.Reader }{c}, make([]byte, 256<<10))
	c.Write([]byte{1})
}

func BenchmarkStreamRawTCP(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	go func() {
		if c, err := l.Accept(); err == nil {
			sink(c)
			c.Close()
		}
	}()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	benchStream(b, c)
}

func benchNodes(b *testing.B, direct bool) {
	p := startPair(b, startRelay(b), func(cfg *Config) { cfg.BlockDirect = !direct })
	serve(b, p.b, 7, sink)
	awaitPath(b, p.a, p.addrB, direct)
	awaitPath(b, p.b, p.a.cfg.Addresses[0].Addr(), direct)
	benchStream(b, p.dial(b, 7))
	b.ReportMetric(float64(residentBytes(b))/1e6, "MB-resident")
	noDrops(b, p.a, p.b)
}

func BenchmarkStreamDirect(b *testing.B)  { benchNodes(b, true) }
func BenchmarkStreamRelayed(b *testing.B) { benchNodes(b, false) }

// residentBytes is the memory of this process, garbage given back.
func residentBytes(b *testing.B) int64 {
	debug.FreeOSMemory()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Fatal(err)
	}
	_, after, _ := bytes.Cut(status, []byte("VmRSS:"))
	kb, err := strconv.ParseInt(string(bytes.Fields(after)[0]), 10, 64)
	if err != nil {
		b.Fatal(err)
	}
	return kb << 10
}

func BenchmarkNodeUp(b *testing.B) {
	r := startRelay(b)
	for b.Loop() {
		records := make(chan *proto.Node, 16)
		n := startNode(b, r, uuid.New(), records, nil)
		<-records // it may be found
		b.StopTimer()
		n.Close()
		b.StartTimer()
	}
}

// BenchmarkFirstByte is what a client pays: a node, the relay, the handshake and
// a connection to a node that runs already.
func BenchmarkFirstByte(b *testing.B) {
	r := startRelay(b)
	ofAgent := make(chan *proto.Node, 16)
	idAgent := uuid.New()
	agent := startNode(b, r, idAgent, ofAgent, nil)
	serve(b, agent, 7, echo)
	recAgent := <-ofAgent
	go func() { // later ones say nothing new
		for range ofAgent {
		}
	}()
	b.Cleanup(func() { agent.Close(); close(ofAgent) })
	awaitEcho(b, agent)
	for b.Loop() {
		id, records := uuid.New(), make(chan *proto.Node, 16)
		client := startNode(b, r, id, records, nil)
		if err := errors.Join(agent.SetPeer(id, <-records), client.SetPeer(idAgent, recAgent)); err != nil {
			b.Fatal(err)
		}
		firstByte(b, client, AddressFor(idAgent))
		b.StopTimer()
		client.Close()
		agent.HangUp(id)
		b.StartTimer()
	}
}

func firstByte(b *testing.B, client *Node, agent netip.Addr) {
	ctx := timeout(b, 10*time.Second)
	if err := client.AwaitReachable(ctx, agent); err != nil {
		b.Fatal(err)
	}
	c, err := client.DialTCP(ctx, netip.AddrPortFrom(agent, 7))
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("x")); err != nil {
		b.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); err != nil {
		b.Fatal(err)
	}
}
