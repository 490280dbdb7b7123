//go:build linux

package agent

import (
	"context"
	"fmt"
	"net/http"

	"github.com/berthdev/berth/agent/proto"
	"github.com/berthdev/berth/connect/diagnose"
	"github.com/berthdev/berth/server/api"
	"github.com/berthdev/berth/tailnet/derpmap"
)

// Check goes through what an agent needs and tells each step, until one fails,
// which it reports. It disturbs no agent that runs with the same token.
func Check(ctx context.Context, c *api.Client, tell func(diagnose.Finding)) (failed bool) {
	server := &diagnose.Server{Client: c}
	token := func(ctx context.Context) diagnose.Finding { return checkToken(ctx, server) }
	return diagnose.Run(ctx, append(server.Steps(), token, server.Relay, server.UDP), tell)
}

// checkToken asks for the manifest as somebody who is not the agent: the agent
// that runs with this token goes on.
func checkToken(ctx context.Context, server *diagnose.Server) diagnose.Finding {
	f := diagnose.Finding{What: "token"}
	conn, err := server.Client.AgentObserverRPC(ctx)
	if err != nil {
		f.Err, f.Hint = refusal(err), tokenHint(err)
		return f
	}
	defer conn.Close()
	m, err := proto.NewDRPCAgentClient(conn).GetManifest(ctx, &proto.GetManifestRequest{})
	if err != nil {
		f.Err, f.Hint = err, "does the reverse proxy in front pass WebSockets on?"
		return f
	}
	f.Text = fmt.Sprintf("agent %s of workspace %s/%s", m.GetAgentName(), m.GetOwnerUsername(), m.GetWorkspaceName())
	server.Relays, f.Err = derpmap.FromProto(m.GetDerpMap()).Via(server.Client.URL)
	return f
}

func tokenHint(err error) string {
	switch api.StatusCode(err) {
	case http.StatusUnauthorized:
		return "coder external-workspaces agent-instructions <workspace> shows the token; is the workspace started?"
	case 0:
		return "does the reverse proxy in front pass WebSockets on, for as long as they last?"
	}
	return "the server refuses the agent: its log says why"
}
