package coordinator

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"storj.io/drpc/drpcerr"

	"github.com/berthdev/berth/tailnet/proto"
	"github.com/berthdev/berth/tailnet/wire"
)

// Service serves the tailnet service to the peer of one connection.
type Service struct {
	Coordinator *Coordinator
	Peer        Peer
	Maps        *Maps
	// Resume issues resume tokens; nil makes the call unimplemented, as it is
	// for agents, whose id is that of their token.
	Resume *ResumeTokens
	// Owner is the user whom resume tokens are bound to.
	Owner uuid.UUID
}

var _ proto.DRPCTailnetServer = (*Service)(nil)

// Coordinate serves Coordinator.Serve's end of the stream; a call of package
// wire lingers, so that peers of whom there is nothing to tell need no
// goroutine. What went wrong is told to the peer on the stream, so that no error
// is left for the transport.
func (s *Service) Coordinate(stream proto.DRPCTailnet_CoordinateStream) error {
	ctx := stream.Context()
	call := wire.CallOf(ctx)
	if call == nil {
		_ = s.Coordinator.Serve(ctx, s.Peer, stream) // logged
		return nil
	}
	conn, err := s.Coordinator.connect(ctx, s.Peer, stream, nil)
	if err != nil {
		return stream.Close()
	}
	call.Linger(func() bool { return conn.receive(ctx) })
	return nil
}

// StreamDERPMaps sends the current map at once, then each that differs.
func (s *Service) StreamDERPMaps(_ *proto.StreamDERPMapsRequest, stream proto.DRPCTailnet_StreamDERPMapsStream) error {
	ctx := stream.Context()
	call := wire.CallOf(ctx)
	if call == nil {
		return s.streamMaps(stream)
	}
	unfollow := s.Maps.follow(call.Wake)
	var sent *proto.DERPMap
	call.Linger(func() (more bool) {
		m, _ := s.Maps.watchWire()
		if ctx.Err() != nil || m != sent && stream.Send(m) != nil {
			unfollow()
			return false
		}
		sent = m
		return true
	})
	call.Wake() // for the first
	return nil
}

// streamMaps is StreamDERPMaps for other transports.
func (s *Service) streamMaps(stream proto.DRPCTailnet_StreamDERPMapsStream) error {
	for {
		m, changed := s.Maps.watchWire()
		if err := stream.Send(m); err != nil {
			return err
		}
		select {
		case <-changed:
		case <-stream.Context().Done():
			return stream.Context().Err()
		}
	}
}

// RefreshResumeToken returns a token that keeps the peer's id for a day.
func (s *Service) RefreshResumeToken(context.Context, *proto.RefreshResumeTokenRequest) (*proto.RefreshResumeTokenResponse, error) {
	if s.Resume == nil {
		return nil, unimplemented("resume tokens are for clients")
	}
	token, expires, err := s.Resume.Issue(s.Peer.ID, s.Owner, time.Now())
	if err != nil {
		return nil, err
	}
	return &proto.RefreshResumeTokenResponse{
		Token: token, RefreshIn: durationpb.New(resumeRefresh), ExpiresAt: timestamppb.New(expires),
	}, nil
}

// PostTelemetry counts the events and discards them.
func (s *Service) PostTelemetry(_ context.Context, req *proto.TelemetryRequest) (*proto.TelemetryResponse, error) {
	s.Coordinator.stats.telemetry.Add(uint64(len(req.Events)))
	return &proto.TelemetryResponse{}, nil
}

// WorkspaceUpdates is not served; clients other than Coder Desktop live
// without it.
func (s *Service) WorkspaceUpdates(*proto.WorkspaceUpdatesRequest, proto.DRPCTailnet_WorkspaceUpdatesStream) error {
	return unimplemented("workspace updates are not served")
}

func unimplemented(text string) error {
	return drpcerr.WithCode(errors.New(text), drpcerr.Unimplemented)
}
