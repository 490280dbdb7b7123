package sshclient

import "golang.org/x/crypto/ssh"

// Message numbers: RFC 4253 §12, RFC 4252 §6, RFC 4254 §9.
const (
	msgDisconnect      = 1
	msgIgnore          = 2
	msgUnimplemented   = 3
	msgDebug           = 4
	msgServiceRequest  = 5
	msgServiceAccept   = 6
	msgExtInfo         = 7
	msgKexInit         = 20
	msgNewKeys         = 21
	msgKexECDHInit     = 30
	msgKexECDHReply    = 31
	msgUserAuthRequest = 50
	msgUserAuthFailure = 51
	msgUserAuthSuccess = 52
	msgUserAuthBanner  = 53

	msgGlobalRequest       = 80
	msgRequestSuccess      = 81
	msgRequestFailure      = 82
	msgChannelOpen         = 90
	msgChannelOpenConfirm  = 91
	msgChannelOpenFailure  = 92
	msgChannelWindowAdjust = 93
	msgChannelData         = 94
	msgChannelExtended     = 95
	msgChannelEOF          = 96
	msgChannelClose        = 97
	msgChannelRequest      = 98
	msgChannelSuccess      = 99
	msgChannelFailure      = 100
)

// The messages with more than one field.

type disconnect struct {
	Reason   uint32 `sshtype:"1"`
	Message  string
	Language string
}

type serviceRequest struct {
	Service string `sshtype:"5"`
}

type kexInit struct {
	Cookie                  [16]byte `sshtype:"20"`
	KexAlgos                []string
	ServerHostKeyAlgos      []string
	CiphersClientServer     []string
	CiphersServerClient     []string
	MACsClientServer        []string
	MACsServerClient        []string
	CompressionClientServer []string
	CompressionServerClient []string
	LanguagesClientServer   []string
	LanguagesServerClient   []string
	FirstKexFollows         bool
	Reserved                uint32
}

type kexECDHInit struct {
	Public []byte `sshtype:"30"`
}

type kexECDHReply struct {
	HostKey   []byte `sshtype:"31"`
	Public    []byte
	Signature []byte
}

type userAuthRequest struct {
	User    string `sshtype:"50"`
	Service string
	Method  string
}

type globalRequest struct {
	Type      string `sshtype:"80"`
	WantReply bool
	Payload   []byte `ssh:"rest"`
}

type channelOpen struct {
	Type      string `sshtype:"90"`
	Sender    uint32
	Window    uint32
	MaxPacket uint32
	Payload   []byte `ssh:"rest"`
}

type channelOpenConfirm struct {
	Recipient uint32 `sshtype:"91"`
	Sender    uint32
	Window    uint32
	MaxPacket uint32
	Payload   []byte `ssh:"rest"`
}

type channelOpenFailure struct {
	Recipient uint32 `sshtype:"92"`
	Reason    uint32
	Message   string
	Language  string
}

type windowAdjust struct {
	Recipient uint32 `sshtype:"93"`
	Bytes     uint32
}

type channelRequest struct {
	Recipient uint32 `sshtype:"98"`
	Type      string
	WantReply bool
	Payload   []byte `ssh:"rest"`
}

type channelNotice struct{ Recipient uint32 }

// notice makes a message that only names the channel.
func notice(msg byte, recipient uint32) []byte {
	return append([]byte{msg}, ssh.Marshal(channelNotice{recipient})...)
}

// The payloads of channel requests, RFC 4254 §6.

type ptyRequest struct {
	Term          string
	Columns, Rows uint32
	Width, Height uint32 // in pixels, unknown
	Modes         string
}

type windowChange struct{ Columns, Rows, Width, Height uint32 }

type envRequest struct{ Name, Value string }

type textRequest struct{ Text string } // exec: the command; signal: its name

// x11Request is RFC 4254 §6.3.1.
type x11Request struct {
	Single           bool
	Protocol, Cookie string
	Screen           uint32
}

// tcpForward is the payload of tcpip-forward, RFC 4254 §7.1; forwardedTCP and
// forwardedUnix (OpenSSH PROTOCOL §2.4) come with the channels of forwards.
type tcpForward struct {
	Host string
	Port uint32
}

type forwardedTCP struct {
	Host       string
	Port       uint32
	Originator string
	OrigPort   uint32
}

type forwardedUnix struct{ Path, Reserved string }

type exitStatus struct{ Status uint32 }

type exitSignal struct {
	Signal     string
	CoreDumped bool
	Message    string
	Language   string
}
