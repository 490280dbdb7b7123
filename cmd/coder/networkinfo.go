package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/berthdev/berth/connect"
	"github.com/berthdev/berth/tailnet"
)

// networkInfo is what editors show of a path. All fields are always present.
type networkInfo struct {
	P2P               bool               `json:"p2p"`
	Latency           float64            `json:"latency"` // ms
	PreferredDERP     string             `json:"preferred_derp"`
	DERPLatency       map[string]float64 `json:"derp_latency"` // ms
	UploadBytesSec    int64              `json:"upload_bytes_sec"`
	DownloadBytesSec  int64              `json:"download_bytes_sec"`
	UsingCoderConnect bool               `json:"using_coder_connect"`
}

// writeNetworkInfo writes <dir>/<id of the ssh process>.json at once and then
// every interval, until ctx ends, and removes it then.
func writeNetworkInfo(ctx context.Context, dir string, every time.Duration, conn *connect.Conn, bytes *countingConn, log *slog.Logger) {
	file := filepath.Join(dir, fmt.Sprintf("%d.json", os.Getppid()))
	defer os.Remove(file)
	if every <= 0 {
		every = 5 * time.Second
	}
	var last traffic
	for wait := time.Duration(0); ; wait = every {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
		now := traffic{time.Now(), bytes.in.Load(), bytes.out.Load()}
		info := describePath(ctx, conn, wait)
		info.UploadBytesSec, info.DownloadBytesSec = now.rate(last)
		last = now
		if err := writeJSON(file, info); err != nil {
			log.Debug("cannot write network information", "err", err)
		}
	}
}

// traffic is how much had gone through at a time.
type traffic struct {
	at      time.Time
	in, out int64
}

// rate returns bytes per second up and down since before.
func (t traffic) rate(before traffic) (up, down int64) {
	seconds := t.at.Sub(before.at).Seconds()
	if before.at.IsZero() || seconds <= 0 {
		return 0, 0
	}
	return int64(float64(t.out-before.out) / seconds), int64(float64(t.in-before.in) / seconds)
}

// describePath measures the path for at most patience; without any, it tells
// what is known.
func describePath(ctx context.Context, conn *connect.Conn, patience time.Duration) networkInfo {
	path := conn.Path()
	region := conn.RegionName(path.Region)
	info := networkInfo{P2P: path.Direct, PreferredDERP: region, DERPLatency: map[string]float64{region: 0}}
	if patience == 0 {
		return info
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	pong, err := conn.Ping(ctx)
	if err != nil {
		return info
	}
	info.add(pong, region)
	return info
}

func (i *networkInfo) add(pong tailnet.PingResult, region string) {
	i.P2P, i.Latency = pong.Direct, pong.Latency.Seconds()*1e3
	if !pong.Direct {
		i.DERPLatency[region] = i.Latency
	}
}

// writeJSON replaces a file at once.
func writeJSON(file string, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	temporary := file + ".tmp"
	defer os.Remove(temporary) // nothing left of it after the rename
	if err := os.WriteFile(temporary, raw, 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, file)
}
