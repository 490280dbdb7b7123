package server

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/google/uuid"

	"github.com/berthdev/berth/server/api"
	"github.com/berthdev/berth/server/auth"
	"github.com/berthdev/berth/server/store"
	"github.com/berthdev/berth/tailnet/proto"
	"github.com/berthdev/berth/tailnet/wire"
)

func TestUserAdministration(t *testing.T) {
	each(t, func(t *testing.T, d *deployment) {
		ctx, c := t.Context(), d.owner()
		u, err := c.CreateUser(ctx, api.CreateUserRequest{
			Email: "ann@example.com", Username: "ann", Name: "Ann B", Password: password, OrganizationIDs: []uuid.UUID{d.org.ID},
		})
		if err != nil || u.Status != api.UserDormant || u.LoginType != api.LoginPassword || len(u.Roles) != 0 {
			t.Fatalf("CreateUser = %+v, %v", u, err)
		}
		for what, req := range map[string]api.CreateUserRequest{
			"name":    {Email: "other@example.com", Username: "ANN", Password: password},
			"address": {Email: "Ann@example.com", Username: "other", Password: password},
		} {
			if _, err := c.CreateUser(ctx, req); api.StatusCode(err) != http.StatusConflict {
				t.Errorf("CreateUser with a taken %s = %v, want 409", what, err)
			}
		}
		ann := d.client()
		login, err := ann.Login(ctx, api.LoginRequest{Email: "ann@example.com", Password: password})
		if err != nil {
			t.Fatal(err)
		}
		ann.Token = login.SessionToken
		if me, err := ann.User(ctx, api.Me); err != nil || me.Username != "ann" {
			t.Errorf("User(me) of a new user = %+v, %v", me, err)
		}
		if list, err := c.Users(ctx, "status:active ann"); err != nil || list.Count != 1 || list.Users[0].ID != u.ID {
			t.Errorf("Users after a login = %+v, %v, want ann, active", list, err)
		}
		if u, err = ann.UpdateProfile(ctx, api.Me, api.UpdateProfileRequest{Username: "anna", Name: "Anna"}); err != nil || u.Username != "anna" || u.Name != "Anna" {
			t.Errorf("UpdateProfile = %+v, %v", u, err)
		}
		if u, err = c.UpdateRoles(ctx, "anna", []string{"member", "user-admin", "auditor", "auditor"}); err != nil || len(u.Roles) != 2 || u.Roles[0].Name != "auditor" {
			t.Errorf("UpdateRoles = %+v, %v, want auditor and user-admin", u.Roles, err)
		}

		d.workspace(ann, "ws")
		if err := c.DeleteUser(ctx, "anna"); api.StatusCode(err) != http.StatusConflict || !strings.Contains(err.Error(), "has workspaces") {
			t.Errorf("DeleteUser of one with workspaces = %v, want 409 that says so", err)
		}
		ws, err := ann.WorkspaceByName(ctx, api.Me, "ws")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ann.CreateBuild(ctx, ws.ID, api.CreateBuildRequest{Transition: api.TransitionDelete}); err != nil {
			t.Fatal(err)
		}
		if err := c.DeleteUser(ctx, "anna"); err != nil {
			t.Errorf("DeleteUser = %v", err)
		}
		if _, err := ann.User(ctx, api.Me); api.StatusCode(err) != http.StatusUnauthorized || !strings.Contains(err.Error(), "API key is invalid.") {
			t.Errorf("call of a deleted user = %v, want 401", err)
		}
		if _, err := c.User(ctx, "anna"); api.StatusCode(err) != http.StatusNotFound {
			t.Errorf("User after DeleteUser = %v, want 404", err)
		}
	})
}

func TestUserWithoutLogin(t *testing.T) {
	d := start(t, Config{})
	c := d.owner()
	if _, err := c.CreateUser(t.Context(), api.CreateUserRequest{Email: "ci@example.com", Username: "ci", LoginType: api.LoginNone, UserStatus: api.UserActive}); err != nil {
		t.Fatal(err)
	}
	if _, err := d.client().Login(t.Context(), api.LoginRequest{Email: "ci@example.com"}); api.StatusCode(err) != http.StatusUnauthorized {
		t.Errorf("Login without a password = %v, want 401", err)
	}
	if err := c.UpdatePassword(t.Context(), "ci", api.UpdatePasswordRequest{Password: password}); api.StatusCode(err) != http.StatusBadRequest {
		t.Errorf("UpdatePassword = %v, want 400", err)
	}
	key, err := c.CreateToken(t.Context(), "ci", api.CreateTokenRequest{})
	if err != nil {
		t.Fatal(err)
	}
	ci := d.client()
	ci.Token = key.Key
	if me, err := ci.User(t.Context(), api.Me); err != nil || me.Username != "ci" || me.Status != api.UserActive {
		t.Errorf("User(me) by a token = %+v, %v", me, err)
	}
}

func TestWhoMayManageUsers(t *testing.T) {
	d := start(t, Config{})
	ctx, owner := t.Context(), d.owner()
	member, admin, auditor := d.member("bob"), d.member("adm"), d.member("aud")
	for name, role := range map[string]string{"adm": auth.RoleUserAdmin, "aud": auth.RoleAuditor} {
		if _, err := owner.UpdateRoles(ctx, name, []string{role}); err != nil {
			t.Fatal(err)
		}
	}
	calls := map[string]func(c *api.Client, user string) error{
		"suspend":  func(c *api.Client, user string) error { _, err := c.SuspendUser(ctx, user); return err },
		"activate": func(c *api.Client, user string) error { _, err := c.ActivateUser(ctx, user); return err },
		"roles":    func(c *api.Client, user string) error { _, err := c.UpdateRoles(ctx, user, nil); return err },
		"profile": func(c *api.Client, user string) error {
			_, err := c.UpdateProfile(ctx, user, api.UpdateProfileRequest{Username: user})
			return err
		},
		"password": func(c *api.Client, user string) error {
			return c.UpdatePassword(ctx, user, api.UpdatePasswordRequest{Password: "another-Horse-battery-8"})
		},
		"delete": func(c *api.Client, user string) error { return c.DeleteUser(ctx, user) },
	}
	for _, tc := range []struct {
		who    string
		c      *api.Client
		user   string
		status int
	}{
		{"member", member, "ada", http.StatusNotFound},
		{"member", member, "aud", http.StatusNotFound},
		{"auditor", auditor, "bob", http.StatusForbidden},
		{"user admin", admin, "ada", http.StatusForbidden},
		{"user admin", admin, "aud", http.StatusForbidden},
		{"user admin", admin, "adm", 0}, // as any user
	} {
		for what, call := range calls {
			want := tc.status
			if want == 0 {
				want = map[string]int{"profile": 0, "password": http.StatusBadRequest, "delete": http.StatusForbidden}[what]
				if what == "suspend" || what == "activate" || what == "roles" {
					want = http.StatusForbidden
				}
			}
			if err := call(tc.c, tc.user); api.StatusCode(err) != want || want == 0 && err != nil {
				t.Errorf("%s of %s by a %s = %v, want %d", what, tc.user, tc.who, err, want)
			}
		}
	}
	if _, err := admin.UpdateRoles(ctx, "bob", []string{auth.RoleOwner}); api.StatusCode(err) != http.StatusForbidden {
		t.Errorf("a user admin makes an owner: %v, want 403", err)
	}
	if _, err := member.CreateUser(ctx, api.CreateUserRequest{Email: "x@example.com", Username: "x", Password: password}); api.StatusCode(err) != http.StatusForbidden {
		t.Errorf("CreateUser by a member = %v, want 403", err)
	}
	if _, err := admin.CreateUser(ctx, api.CreateUserRequest{Email: "x@example.com", Username: "x", Password: password}); err != nil {
		t.Errorf("CreateUser by a user admin = %v", err)
	}
	for _, what := range []string{"suspend", "activate", "profile", "password", "delete"} {
		if err := calls[what](admin, "x"); err != nil {
			t.Errorf("%s by a user admin = %v", what, err)
		}
	}
}

func TestUsersChangeTheirPassword(t *testing.T) {
	d := start(t, Config{})
	ctx, owner, bob := t.Context(), d.owner(), d.member("bob")
	const next = "another-Horse-battery-8"
	for name, c := range map[string]*api.Client{"a member": bob, "the owner of the site": owner} {
		for _, old := range []string{"", "wrong"} {
			if err := c.UpdatePassword(ctx, api.Me, api.UpdatePasswordRequest{OldPassword: old, Password: next}); api.StatusCode(err) != http.StatusBadRequest {
				t.Errorf("UpdatePassword of %s with the old one as %q = %v, want 400", name, old, err)
			}
		}
	}
	if err := bob.UpdatePassword(ctx, api.Me, api.UpdatePasswordRequest{OldPassword: password, Password: next}); err != nil {
		t.Fatal(err)
	}
	if _, err := bob.User(ctx, api.Me); api.StatusCode(err) != http.StatusUnauthorized {
		t.Errorf("the session of before = %v, want 401", err)
	}
	if _, err := d.client().Login(ctx, api.LoginRequest{Email: "bob@example.com", Password: next}); err != nil {
		t.Errorf("Login with the new password = %v", err)
	}
}

// tunneled is a client of a user with a tunnel to an agent, which knows of it.
func (d *deployment) tunneled(c *api.Client, agent uuid.UUID, at proto.DRPCTailnet_CoordinateClient) *wire.Conn {
	d.t.Helper()
	conn, err := c.Coordinate(d.t.Context(), agent, "")
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { conn.Close() })
	send(d.t, coordinateStream(d.t, conn), &proto.CoordinateRequest{
		UpdateSelf: &proto.CoordinateRequest_UpdateSelf{Node: node(d.t, clientAddress)},
		AddTunnel:  &proto.CoordinateRequest_Tunnel{Id: agent[:]},
	})
	if got := nextUpdate(d.t, at); got.Kind != proto.CoordinateResponse_PeerUpdate_NODE {
		d.t.Fatalf("agent learns %v, want the client's node", got)
	}
	return conn
}

func TestSuspensionEndsEverythingAtOnce(t *testing.T) {
	each(t, func(t *testing.T, d *deployment) {
		ctx, owner, bob := t.Context(), d.owner(), d.member("bob")
		ws := d.workspace(bob, "blue")
		id := ws.LatestBuild.Resources[0].Agents[0].ID
		agent := coordinateStream(t, d.connect(d.agentToken(bob, ws)).Conn)
		send(t, agent, update(agentNode(t, id)))
		conn := d.tunneled(bob, id, agent)
		watch, _, err := d.dial(bob, "/api/v2/workspaces/"+ws.ID.String()+"/watch-ws")
		if err != nil {
			t.Fatal(err)
		}
		defer watch.CloseNow()

		if u, err := owner.SuspendUser(ctx, "bob"); err != nil || u.Status != api.UserSuspended {
			t.Fatalf("SuspendUser = %+v, %v", u, err)
		}
		if got := nextUpdate(t, agent); got.Kind != proto.CoordinateResponse_PeerUpdate_DISCONNECTED {
			t.Errorf("agent learns %v, want the client disconnected", got)
		}
		<-conn.Closed()
		if websocket.CloseStatus(conn.Cause()) != websocket.StatusPolicyViolation {
			t.Errorf("the client's session ended with %v, want 1008", conn.Cause())
		}
		for err == nil {
			_, _, err = watch.Read(ctx)
		}
		if websocket.CloseStatus(err) != websocket.StatusPolicyViolation {
			t.Errorf("the stream ended with %v, want 1008", err)
		}
		want := `User is not active (status = "suspended"). Contact an admin`
		if _, err := bob.User(ctx, api.Me); api.StatusCode(err) != http.StatusUnauthorized || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("call of a suspended user = %v, want 401 with %q", err, want)
		}
		if _, err := bob.Coordinate(ctx, id, ""); api.StatusCode(err) != http.StatusUnauthorized {
			t.Errorf("Coordinate of a suspended user = %v, want 401", err)
		}
		if a := d.call("GET", "/api/v2/workspaceagents/me/gitsshkey", d.agentToken(owner, ws), ""); a.StatusCode != http.StatusUnauthorized {
			t.Errorf("git key of a suspended user = %d %s, want 401", a.StatusCode, a.body)
		}

		if u, err := owner.ActivateUser(ctx, "bob"); err != nil || u.Status != api.UserActive {
			t.Fatalf("ActivateUser = %+v, %v", u, err)
		}
		d.tunneled(bob, id, agent)
	})
}

// A request that was let in before its user was suspended opens nothing
// afterwards.
func TestSuspensionMeetsARequestOnItsWay(t *testing.T) {
	d := start(t, Config{})
	u, err := d.store.CreateUser(t.Context(), store.NewUser{Username: "bob", Email: "bob@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	allow := d.unlessBarred(u.ID, func(context.Context, uuid.UUID) error { return nil })
	if err := allow(t.Context(), uuid.New()); err != nil {
		t.Errorf("tunnel of a user who may = %v", err)
	}
	d.shutOut(u.ID)
	if err := allow(t.Context(), uuid.New()); err == nil {
		t.Error("a tunnel was opened by a user who was shut out")
	}
	if _, _, err := d.streams.begin(t.Context(), u.ID); err == nil {
		t.Error("a stream began of a user who was shut out")
	}
	d.streams.admit(u.ID)
	_, done, err := d.streams.begin(t.Context(), u.ID)
	if err != nil {
		t.Fatalf("stream of a user who was admitted: %v", err)
	}
	done()
}

// Who loses the role owner loses the tunnels to workspaces of others.
func TestTakingTheRoleEndsTunnels(t *testing.T) {
	d := start(t, Config{})
	ctx, owner, bob, eve := t.Context(), d.owner(), d.member("bob"), d.member("eve")
	if _, err := owner.UpdateRoles(ctx, "eve", []string{auth.RoleOwner}); err != nil {
		t.Fatal(err)
	}
	ws := d.workspace(bob, "blue")
	id := ws.LatestBuild.Resources[0].Agents[0].ID
	agent := coordinateStream(t, d.connect(d.agentToken(bob, ws)).Conn)
	send(t, agent, update(agentNode(t, id)))
	conn := d.tunneled(eve, id, agent)
	if _, err := owner.UpdateRoles(ctx, "eve", []string{auth.RoleAuditor}); err != nil {
		t.Fatal(err)
	}
	if got := nextUpdate(t, agent); got.Kind != proto.CoordinateResponse_PeerUpdate_DISCONNECTED {
		t.Errorf("agent learns %v, want the client disconnected", got)
	}
	<-conn.Closed()
	if _, err := eve.Coordinate(ctx, id, ""); api.StatusCode(err) != http.StatusNotFound {
		t.Errorf("Coordinate without the role = %v, want 404", err)
	}
	if me, err := eve.User(ctx, api.Me); err != nil || len(me.Roles) != 1 {
		t.Errorf("User(me) = %+v, %v, want an auditor", me, err)
	}
}
