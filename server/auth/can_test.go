package auth

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/berthdev/berth/server/store"
)

var (
	me    = uuid.MustParse("00000000-0000-4000-8000-000000000001")
	other = uuid.MustParse("00000000-0000-4000-8000-000000000002")
)

func actorWith(roles ...string) Actor {
	return Actor{UserID: me, Username: "me", Roles: roles, Scope: store.ScopeAll}
}

var allActions = []Action{Create, Read, Update, Delete, Start, Stop, SSH, ApplicationConnect, Use, Manage, State}

// TestCan writes down all rights: for each actor and object the actions that
// are allowed; all others must not be.
func TestCan(t *testing.T) {
	const (
		none  = ""
		read  = "read"
		mine  = "create read update delete start stop ssh application_connect use manage"
		all   = mine + " state"
		noSSH = "create read update delete start stop use manage state"
		edit  = "read update"
		use   = "read use"
	)
	objects := []struct {
		name string
		o    Object
	}{
		{"self", User(store.User{ID: me})},
		{"user", User(store.User{ID: other})},
		{"admin", User(store.User{ID: other, Roles: []string{RoleOwner}})},
		{"own key", APIKey(me)},
		{"key", APIKey(other)},
		{"own git key", GitSSHKey(me)},
		{"git key", GitSSHKey(other)},
		{"own workspace", Workspace(me)},
		{"workspace", Workspace(other)},
		{"template", Any(KindTemplate)},
		{"organization", Any(KindOrganization)},
		{"deployment", Any(KindDeployment)},
		{"debug", Any(KindDebug)},
		{"audit", Any(KindAuditLog)},
	}
	stayOut := actorWith(RoleOwner)
	stayOut.OwnersStayOut = true
	apps := actorWith(RoleOwner)
	apps.Scope = store.ScopeApplicationConnect
	odd := actorWith(RoleOwner)
	odd.Scope = "something_new"

	for _, c := range []struct {
		name  string
		actor Actor
		want  []string // one per object
	}{
		//                                           self  user  admin key  key'  git  git'  ws    ws'   templ org   depl  debug audit
		{"member", actorWith(), []string{edit, none, none, all, none, all, none, mine, none, use, read, none, none, none}},
		{"owner", actorWith(RoleOwner), []string{all, all, all, all, all, all, all, all, all, all, all, all, all, all}},
		{"owner, staying out", stayOut, []string{noSSH, noSSH, noSSH, all, noSSH, all, noSSH, all, noSSH, noSSH, noSSH, noSSH, noSSH, noSSH}},
		{"user admin", actorWith(RoleUserAdmin), []string{all, all, read, all, none, all, none, mine, none, use, read, none, none, none}},
		{"template admin", actorWith(RoleTemplateAdmin), []string{edit, read, read, all, none, all, none, mine, read, all, read, none, none, none}},
		{"auditor", actorWith(RoleAuditor), []string{edit, read, read, all, none, all, none, mine, none, use, read, read, none, read}},
		{"unknown role", actorWith("root"), []string{edit, none, none, all, none, all, none, mine, none, use, read, none, none, none}},
		{"owner, app key", apps, []string{none, none, none, none, none, none, none, "application_connect", "application_connect", none, none, none, none, none}},
		{"owner, unknown scope", odd, []string{none, none, none, none, none, none, none, none, none, none, none, none, none, none}},
		{"nobody", Actor{Scope: store.ScopeAll, Roles: []string{RoleOwner}}, []string{none, none, none, none, none, none, none, none, none, none, none, none, none, none}},
	} {
		for i, o := range objects {
			for _, do := range allActions {
				want := slices.Contains(strings.Fields(c.want[i]), string(do))
				if got := Can(c.actor, do, o.o); got != want {
					t.Errorf("Can(%s, %s, %s) = %v, want %v", c.name, do, o.name, got, want)
				}
			}
		}
	}
}

// An object without an owner is not everybody's.
func TestCanWithoutOwner(t *testing.T) {
	nobody := Actor{Scope: store.ScopeAll}
	for _, k := range []Kind{KindUser, KindAPIKey, KindGitSSHKey, KindWorkspace} {
		for _, a := range []Actor{nobody, actorWith()} {
			for _, do := range allActions {
				if Can(a, do, Any(k)) {
					t.Errorf("Can(%s, %s, any %s) = true", a.UserID, do, k)
				}
			}
		}
	}
}

func TestCanAssign(t *testing.T) {
	for _, c := range []struct {
		actor Actor
		roles []string
		want  bool
	}{
		{actorWith(RoleOwner), []string{RoleOwner, RoleAuditor}, true},
		{actorWith(RoleOwner), []string{"root"}, false},
		{actorWith(RoleOwner), []string{RoleMember}, false},
		{actorWith(RoleUserAdmin), nil, true},
		{actorWith(RoleUserAdmin), []string{RoleAuditor}, false},
		{actorWith(), []string{RoleOwner}, false},
		{Actor{Roles: []string{RoleOwner}, Scope: store.ScopeAll}, []string{RoleOwner}, false},
		{Actor{UserID: me, Roles: []string{RoleOwner}, Scope: store.ScopeApplicationConnect}, []string{RoleOwner}, false},
	} {
		if got := CanAssign(c.actor, c.roles); got != c.want {
			t.Errorf("CanAssign(%v, %v) = %v, want %v", c.actor.Roles, c.roles, got, c.want)
		}
	}
}

func ExampleCan() {
	ann := Actor{UserID: me, Scope: store.ScopeAll}
	fmt.Println(Can(ann, SSH, Workspace(me)), Can(ann, SSH, Workspace(other)))
	// Output: true false
}
