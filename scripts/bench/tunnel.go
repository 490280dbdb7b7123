//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/berthdev/berth/connect"
	"github.com/berthdev/berth/server/api"
)

// tunnel reaches the agent of a deployment's workspace from this process.
func (d *deployment) tunnel(ctx context.Context) (*connect.Conn, error) {
	return openTunnel(ctx, d.url, filepath.Join(d.dir, "config"))
}

func openTunnel(ctx context.Context, url, config string) (*connect.Conn, error) {
	u, err := api.ParseURL(url)
	if err != nil {
		return nil, err
	}
	token, err := os.ReadFile(filepath.Join(config, "session"))
	if err != nil {
		return nil, err
	}
	c := &api.Client{URL: u, Token: string(bytes.TrimSpace(token))}
	ws, err := c.WorkspaceByName(ctx, "me", "ws")
	if err != nil {
		return nil, err
	}
	conn := connect.Open(connect.Config{Client: c})
	if err := conn.Reach(ctx, ws.LatestBuild.Resources[0].Agents[0].ID); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// rawPart moves bytes through the tunnel and nothing else: up to, or down from,
// a port of the workspace.
//
//	raw url config-directory up|down port bytes
func rawPart(ctx context.Context, args []string) error {
	if len(args) != 5 {
		return errors.New("raw: want url, configuration, direction, port, bytes")
	}
	port, err := strconv.ParseUint(args[3], 10, 16)
	if err != nil {
		return err
	}
	size, err := strconv.ParseInt(args[4], 10, 64)
	if err != nil {
		return err
	}
	conn, err := openTunnel(ctx, args[0], args[1])
	if err != nil {
		return err
	}
	defer conn.Close()
	tcp, err := conn.DialTCP(ctx, uint16(port))
	if err != nil {
		return err
	}
	defer tcp.Close()
	if args[2] == "down" {
		n, err := copyLarge(io.Discard, io.LimitReader(tcp, size))
		if err == nil && n != size {
			err = fmt.Errorf("%d bytes came, want %d", n, size)
		}
		return err
	}
	if _, err := copyLarge(tcp, &zeros{left: size}); err != nil {
		return err
	}
	if err := tcp.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, tcp) // ends when the other side has taken all
	return err
}

func copyLarge(to io.Writer, from io.Reader) (int64, error) {
	return io.CopyBuffer(struct{ io.Writer }{to}, struct{ io.Reader }{from}, make([]byte, 256<<10))
}

// ports are listeners of this machine: one takes what comes, one sends, one
// sends back.
type ports struct {
	sink, source, echo net.Listener
}

func listenPorts() (*ports, error) {
	p := &ports{}
	for to, serve := range map[*net.Listener]func(net.Conn){
		&p.sink:   func(c net.Conn) { _, _ = copyLarge(io.Discard, c) },
		&p.source: func(c net.Conn) { _, _ = copyLarge(c, &zeros{left: 1 << 40}) },
		&p.echo:   func(c net.Conn) { _, _ = io.Copy(c, c) },
	} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		*to = ln
		go func() { // ends with the listener
			for {
				conn, err := ln.Accept()
				if err != nil {
					return
				}
				go func() {
					serve(conn)
					conn.Close()
				}()
			}
		}()
	}
	return p, nil
}

func (p *ports) Close() error {
	return errors.Join(p.sink.Close(), p.source.Close(), p.echo.Close())
}

// portOf is the number of a listener's port.
func portOf(ln net.Listener) string {
	addr := ln.Addr().String()
	return addr[strings.LastIndexByte(addr, ':')+1:]
}
