package sshclient

import (
	"crypto/ecdh"
	"crypto/mlkem"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"slices"

	"golang.org/x/crypto/ssh"
)

// ourVersion is our version line.
const ourVersion = "SSH-2.0-Berth"

// The algorithms we speak, in our order of preference.
const (
	kexMLKEM   = ssh.KeyExchangeMLKEM768X25519
	kexX25519  = ssh.KeyExchangeCurve25519
	kexLibSSH  = "curve25519-sha256@libssh.org" // the same under its first name
	cipherFast = ssh.CipherAES128GCM
	cipherWide = ssh.CipherAES256GCM
)

var (
	kexes   = []string{kexMLKEM, kexX25519, kexLibSSH}
	ciphers = []string{cipherFast, cipherWide}

	// hostKeys are named for the guess only: no signature is checked.
	hostKeys = []string{
		ssh.KeyAlgoED25519, ssh.KeyAlgoRSASHA256, ssh.KeyAlgoRSASHA512,
		ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521, ssh.KeyAlgoRSA,
	}
	// macs have no effect with AES-GCM, but a list may not be empty everywhere.
	macs = []string{"hmac-sha2-256-etm@openssh.com", "hmac-sha2-256"}
)

// transport is both directions of a connection and what its keys are bound to.
type transport struct {
	in            reader
	out           writer
	serverVersion string
	sessionID     []byte // the hash of the first key exchange
}

// ourInit is the message that proposes algorithms. firstHostKey, if it is not
// empty, is put first in the list of host keys.
func ourInit(firstHostKey string, guess bool) []byte {
	m := kexInit{
		KexAlgos: kexes, ServerHostKeyAlgos: hostKeys,
		CiphersClientServer: ciphers, CiphersServerClient: ciphers,
		MACsClientServer: macs, MACsServerClient: macs,
		CompressionClientServer: []string{"none"}, CompressionServerClient: []string{"none"},
		FirstKexFollows: guess,
	}
	if firstHostKey != "" {
		m.ServerHostKeyAlgos = append([]string{firstHostKey}, hostKeys...)
	}
	rand.Read(m.Cookie[:]) // never fails
	return ssh.Marshal(m)
}

// handshake makes the first keys. Its last message, NEWKEYS, is queued: it goes
// out with what is sent next.
func (t *transport) handshake(firstHostKey string) error {
	guess, err := newExchange(kexMLKEM)
	if err != nil {
		return err
	}
	init := ourInit(firstHostKey, true)
	t.out.mu.Lock()
	defer t.out.mu.Unlock()
	t.out.buf = append(t.out.buf, ourVersion+"\r\n"...)
	t.out.queueLocked(init)
	t.out.queueLocked(guess.init())
	if err := t.out.flushLocked(); err != nil {
		return err
	}
	if t.serverVersion, err = t.in.version(); err != nil {
		return err
	}
	theirs, err := t.expect(msgKexInit)
	if err != nil {
		return err
	}
	return t.exchangeLocked(init, theirs, guess)
}

// rekey makes new keys, asked for by the server with its message theirs. No
// other packet is written meanwhile.
func (t *transport) rekey(theirs []byte) error {
	t.out.mu.Lock()
	defer t.out.mu.Unlock()
	init := ourInit("", false)
	t.out.queueLocked(init)
	if err := t.exchangeLocked(init, theirs, nil); err != nil {
		return err
	}
	return t.out.flushLocked()
}

// exchangeLocked agrees on keys after both sides sent their proposals. guess
// is the exchange whose first message was sent already, if any.
func (t *transport) exchangeLocked(init, theirs []byte, guess *exchange) error {
	chosen, err := agree(init, theirs)
	if err != nil {
		return err
	}
	x := guess
	if x == nil || !chosen.guessed {
		if x, err = newExchange(chosen.kex); err != nil {
			return err
		}
		t.out.queueLocked(x.init())
	}
	if err := t.out.flushLocked(); err != nil {
		return err
	}
	theirs = slices.Clone(theirs)
	raw, err := t.expect(msgKexECDHReply)
	if err != nil {
		return err
	}
	var reply kexECDHReply
	if err := ssh.Unmarshal(raw, &reply); err != nil {
		return fmt.Errorf("%w: %w", errPacket, err)
	}
	secret, err := x.secret(reply.Public)
	if err != nil {
		return err
	}
	h := sha256.New()
	for _, part := range [][]byte{[]byte(ourVersion), []byte(t.serverVersion), init, theirs, reply.HostKey, x.public, reply.Public} {
		writeString(h, part)
	}
	h.Write(secret)
	return t.switchLocked(chosen.cipher, secret, h.Sum(nil))
}

// switchLocked waits for NEWKEYS, queues ours and uses the new keys from then.
func (t *transport) switchLocked(ciphers [2]string, secret, hash []byte) error {
	if _, err := t.expect(msgNewKeys); err != nil {
		return err
	}
	if t.sessionID == nil {
		t.sessionID = hash
	}
	key := func(letter byte, size int) []byte { return deriveKey(secret, hash, t.sessionID, letter, size) }
	in, err := newGCM(key('D', keySize(ciphers[1])), key('B', 12))
	if err != nil {
		return err
	}
	out, err := newGCM(key('C', keySize(ciphers[0])), key('A', 12))
	if err != nil {
		return err
	}
	t.out.queueLocked([]byte{msgNewKeys})
	t.in.keys, t.out.keys = in, out
	return nil
}

// expect reads the next message of the key exchange, whose number must be
// want. The messages that may come at any time are skipped.
func (t *transport) expect(want byte) ([]byte, error) {
	for {
		p, err := t.in.packet()
		if err != nil {
			return nil, err
		}
		switch p[0] {
		case want:
			return p, nil
		case msgIgnore, msgDebug, msgUnimplemented:
		case msgDisconnect:
			return nil, disconnected(p)
		default:
			return nil, fmt.Errorf("%w: message %d while keys are exchanged", errPacket, p[0])
		}
	}
}

// agreement is what both sides can speak.
type agreement struct {
	kex     string
	cipher  [2]string // from client to server, from server to client
	guessed bool      // the message that followed our proposal counts
}

// agree picks algorithms: the first of ours that the server has too.
func agree(init, theirs []byte) (agreement, error) {
	var c, s kexInit
	if err := ssh.Unmarshal(init, &c); err != nil {
		return agreement{}, err
	}
	if err := ssh.Unmarshal(theirs, &s); err != nil {
		return agreement{}, fmt.Errorf("%w: %w", errPacket, err)
	}
	var a agreement
	var hostKey string
	for _, q := range []struct {
		into         *string
		what         string
		ours, theirs []string
	}{
		{&a.kex, "key exchange", c.KexAlgos, s.KexAlgos},
		{&hostKey, "host key", c.ServerHostKeyAlgos, s.ServerHostKeyAlgos},
		{&a.cipher[0], "cipher", c.CiphersClientServer, s.CiphersClientServer},
		{&a.cipher[1], "cipher", c.CiphersServerClient, s.CiphersServerClient},
	} {
		i := slices.IndexFunc(q.ours, func(name string) bool { return slices.Contains(q.theirs, name) })
		if i < 0 {
			return a, fmt.Errorf("no common %s with the SSH server", q.what)
		}
		*q.into = q.ours[i]
	}
	a.guessed = c.FirstKexFollows && c.KexAlgos[0] == s.KexAlgos[0] && c.ServerHostKeyAlgos[0] == s.ServerHostKeyAlgos[0]
	return a, nil
}

// exchange is our half of one key exchange.
type exchange struct {
	x25519 *ecdh.PrivateKey
	mlkem  *mlkem.DecapsulationKey768 // nil for X25519 alone
	public []byte                     // what the server gets
}

func newExchange(name string) (*exchange, error) {
	x := &exchange{}
	var err error
	if x.x25519, err = ecdh.X25519().GenerateKey(rand.Reader); err != nil {
		return nil, err
	}
	if name == kexMLKEM {
		if x.mlkem, err = mlkem.GenerateKey768(); err != nil {
			return nil, err
		}
		x.public = append(x.public, x.mlkem.EncapsulationKey().Bytes()...)
	}
	x.public = append(x.public, x.x25519.PublicKey().Bytes()...)
	return x, nil
}

func (x *exchange) init() []byte { return ssh.Marshal(kexECDHInit{x.public}) }

// secret returns the shared secret as it goes into hashes: an mpint for X25519
// (RFC 8731), a string for the hybrid (draft-ietf-sshm-mlkem-hybrid-kex).
func (x *exchange) secret(theirs []byte) ([]byte, error) {
	var inner []byte
	if x.mlkem != nil {
		if len(theirs) < mlkem.CiphertextSize768 {
			return nil, fmt.Errorf("%w: a public key of %d bytes", errPacket, len(theirs))
		}
		var err error
		if inner, err = x.mlkem.Decapsulate(theirs[:mlkem.CiphertextSize768]); err != nil {
			return nil, fmt.Errorf("%w: %w", errPacket, err)
		}
		theirs = theirs[mlkem.CiphertextSize768:]
	}
	public, err := ecdh.X25519().NewPublicKey(theirs)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errPacket, err)
	}
	point, err := x.x25519.ECDH(public)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errPacket, err)
	}
	if x.mlkem == nil {
		return mpint(point), nil
	}
	both := sha256.Sum256(append(inner, point...))
	return appendString(nil, both[:]), nil
}

// mpint encodes an unsigned number: without leading zeros, and with one where
// the first bit would make it negative.
func mpint(n []byte) []byte {
	for len(n) > 0 && n[0] == 0 {
		n = n[1:]
	}
	if len(n) > 0 && n[0]&0x80 != 0 {
		n = append([]byte{0}, n...)
	}
	return appendString(nil, n)
}

func appendString(b, s []byte) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(s))), s...)
}

func writeString(h hash.Hash, s []byte) { h.Write(appendString(nil, s)) }

// deriveKey is RFC 4253 §7.2.
func deriveKey(secret, hash, sessionID []byte, letter byte, size int) []byte {
	h := sha256.New()
	h.Write(secret)
	h.Write(hash)
	h.Write([]byte{letter})
	h.Write(sessionID)
	return h.Sum(nil)[:size] // no cipher of ours needs more than 32 bytes
}

func keySize(cipher string) int {
	if cipher == cipherWide {
		return 32
	}
	return 16
}
