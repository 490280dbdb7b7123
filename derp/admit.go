package derp

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"go4.org/mem"
	"tailscale.com/derp"
	"tailscale.com/types/key"
)

const (
	// admitTimeout bounds Config.Admit: the 10 s that a new key may take to be
	// announced, and some.
	admitTimeout = 15 * time.Second
	// maxClientInfo bounds the first frame of a client, which is a key, a nonce
	// and a few fields of JSON.
	maxClientInfo = 16 << 10
	// maxConnsPerKey bounds the connections of one node, which needs one and,
	// while it redials, two.
	maxConnsPerKey = 8
)

var errRefused = errors.New("client refused")

func (g *gate) ask(node key.NodePublic, info derp.ClientInfo) error {
	if g.r.derp.HasMeshKey() && g.r.derp.MeshKey().Equal(info.MeshKey) { // in constant time
		return g.r.clients.join(node)
	}
	if g.r.cfg.Admit != nil {
		ctx, cancel := context.WithTimeout(g.ctx, admitTimeout)
		defer cancel()
		if err := g.r.cfg.Admit(ctx, node, g.from); err != nil {
			return fmt.Errorf("%w: %w", errRefused, err)
		}
	}
	return g.r.clients.join(node)
}

// readClientInfo returns the first frame of a client, header included.
func readClientInfo(br *bufio.Reader) ([]byte, error) {
	header := make([]byte, derp.FrameHeaderLen)
	if _, err := io.ReadFull(br, header); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(header[1:])
	if derp.FrameType(header[0]) != derp.FrameClientInfo || size < derp.KeyLen+derp.NonceLen || size > maxClientInfo {
		return nil, errors.New("first frame is not a client's")
	}
	frame := append(header, make([]byte, size)...)
	_, err := io.ReadFull(br, frame[derp.FrameHeaderLen:])
	return frame, err
}

// openClientInfo returns who sent a frame that readClientInfo returned. Only the
// holder of that key can have made it.
func openClientInfo(relay key.NodePrivate, frame []byte) (node key.NodePublic, info derp.ClientInfo, err error) {
	body := frame[derp.FrameHeaderLen:]
	node = publicKey(body)
	if node.IsZero() {
		return node, info, errors.New("client has no key")
	}
	msg, ok := relay.OpenFrom(node, body[derp.KeyLen:])
	if !ok {
		return node, info, errors.New("client does not hold its key")
	}
	if err := json.Unmarshal(msg, &info); err != nil {
		return node, info, fmt.Errorf("client info: %w", err)
	}
	return node, info, nil
}

func publicKey(b []byte) key.NodePublic {
	return key.NodePublicFromRaw32(mem.B(b[:derp.KeyLen]))
}
