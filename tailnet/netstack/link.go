package netstack

import (
	"sync"

	"github.com/tailscale/wireguard-go/tun"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

const (
	// linkQueue is the number of packets (each up to 64 KiB before it is cut)
	// that wait for WireGuard; when it is full the stack waits.
	linkQueue = 64

	// gsoMax is the largest packet taken from the stack; its headers are
	// reckoned with 160 bytes there, so it is cut into exactly two for a relay.
	gsoMax = 2*(largestPacket-ipv6HeaderLen-tcpHeaderLen-timestampLen) + header.TCPTotalHeaderMaximumSize + 1

	// timestampLen is the size of the option that every segment carries.
	timestampLen = 12
)

// link is the network interface of the stack: stack.LinkEndpoint.
type link struct {
	queue  chan *stack.PacketBuffer
	inject chan []byte // packets that the stack did not make: TSMP
	events chan tun.Event
	done   chan struct{}
	once   sync.Once

	mu   sync.RWMutex
	disp stack.NetworkDispatcher
}

func newLink() *link {
	l := &link{
		queue:  make(chan *stack.PacketBuffer, linkQueue),
		inject: make(chan []byte, linkQueue),
		events: make(chan tun.Event, 1),
		done:   make(chan struct{}),
	}
	l.events <- tun.EventUp
	return l
}

func (l *link) close() {
	l.once.Do(func() {
		close(l.done)
		close(l.events)
	})
}

// WritePackets queues packets for WireGuard and waits while the queue is full.
func (l *link) WritePackets(pkts stack.PacketBufferList) (int, tcpip.Error) {
	for i, p := range pkts.AsSlice() {
		select {
		case l.queue <- p.IncRef():
		case <-l.done:
			p.DecRef()
			return i, &tcpip.ErrClosedForSend{}
		}
	}
	return pkts.Len(), nil
}

func (l *link) Attach(d stack.NetworkDispatcher) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.disp = d
}

func (l *link) dispatcher() stack.NetworkDispatcher {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.disp
}

func (l *link) IsAttached() bool                        { return l.dispatcher() != nil }
func (l *link) MTU() uint32                             { return DirectMTU }
func (l *link) SetMTU(uint32)                           {}
func (l *link) MaxHeaderLength() uint16                 { return 0 }
func (l *link) LinkAddress() tcpip.LinkAddress          { return "" }
func (l *link) SetLinkAddress(tcpip.LinkAddress)        {}
func (l *link) Wait()                                   {}
func (l *link) ARPHardwareType() header.ARPHardwareType { return header.ARPHardwareNone }
func (l *link) AddHeader(*stack.PacketBuffer)           {}
func (l *link) ParseHeader(*stack.PacketBuffer) bool    { return true }
func (l *link) Close()                                  {}
func (l *link) SetOnCloseAction(func())                 {}
func (l *link) GSOMaxSize() uint32                      { return gsoMax }
func (l *link) SupportedGSO() stack.SupportedGSO        { return stack.HostGSOSupported }
func (l *link) Capabilities() stack.LinkEndpointCapabilities {
	return stack.CapabilityRXChecksumOffload
}
