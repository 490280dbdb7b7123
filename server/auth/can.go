package auth

import (
	"slices"

	"github.com/google/uuid"

	"github.com/berthdev/berth/server/store"
)

// Site roles. Everybody is a member; it is never stored.
const (
	RoleOwner         = store.RoleOwner
	RoleUserAdmin     = "user-admin"
	RoleTemplateAdmin = "template-admin"
	RoleAuditor       = "auditor"
	RoleMember        = "member"
)

// Roles returns those that can be given to a user.
func Roles() []string { return []string{RoleOwner, RoleUserAdmin, RoleTemplateAdmin, RoleAuditor} }

// An Actor is who calls: a user, with what the key in hand leaves of their
// rights. The zero Actor may do nothing.
type Actor struct {
	UserID   uuid.UUID
	Username string
	Roles    []string // site roles, without member
	Scope    store.KeyScope

	// OwnersStayOut takes ssh and apps in other users' workspaces from the role
	// owner.
	OwnersStayOut bool
}

// Has reports whether the actor has a role; everybody is a member.
func (a Actor) Has(role string) bool { return role == RoleMember || slices.Contains(a.Roles, role) }

// Action is what somebody wants to do to an Object.
type Action string

const (
	Create Action = "create"
	Read   Action = "read"
	Update Action = "update"
	Delete Action = "delete"

	Start              Action = "start" // of workspaces, as the next three
	Stop               Action = "stop"
	SSH                Action = "ssh"
	ApplicationConnect Action = "application_connect"

	Use Action = "use" // of a template, for a workspace

	// Manage is what a user may not do to itself: suspend, activate, give or take
	// roles, set a password without the old one.
	Manage Action = "manage"

	// State is to read or replace what Terraform knows of a workspace. There are
	// secrets in it, of the template and of agents: owners of the site only.
	State Action = "state"
)

// Kind is a sort of Object.
type Kind string

const (
	KindUser         Kind = "user"
	KindAPIKey       Kind = "api_key"
	KindGitSSHKey    Kind = "git_ssh_key"
	KindWorkspace    Kind = "workspace" // with its builds and agents
	KindTemplate     Kind = "template"  // with its versions
	KindOrganization Kind = "organization"
	KindDeployment   Kind = "deployment" // options and statistics
	KindDebug        Kind = "debug"      // health and internals
	KindAuditLog     Kind = "audit_log"
)

// An Object is what an Action is done to.
type Object struct {
	Kind    Kind
	OwnerID uuid.UUID // of what has an owner; of a user, the user

	// Privileged is a user with site roles, whom only owners may change:
	// whoever can set a password can become its user.
	Privileged bool
}

// Workspace is a workspace of that user, or one to be.
func Workspace(owner uuid.UUID) Object { return Object{Kind: KindWorkspace, OwnerID: owner} }

// APIKey is a key of that user, or one to be.
func APIKey(owner uuid.UUID) Object { return Object{Kind: KindAPIKey, OwnerID: owner} }

// GitSSHKey is that of that user.
func GitSSHKey(owner uuid.UUID) Object { return Object{Kind: KindGitSSHKey, OwnerID: owner} }

// User is that user; the zero User stands for users in general and one to be.
func User(u store.User) Object {
	return Object{Kind: KindUser, OwnerID: u.ID, Privileged: len(u.Roles) > 0}
}

// Any is an object without an owner, or objects of a kind in general.
func Any(k Kind) Object { return Object{Kind: k} }

// Can reports whether the actor may do this to the object. It is the only
// place that decides. It does not know whether the object exists: answer 404
// for what may not be read.
func Can(a Actor, do Action, o Object) bool {
	if a.UserID == uuid.Nil || !scopeAllows(a.Scope, do, o) {
		return false
	}
	return a.owns(do, o) || slices.ContainsFunc(append([]string{RoleMember}, a.Roles...), func(role string) bool {
		return roleAllows(role, a.OwnersStayOut, do, o)
	})
}

func scopeAllows(s store.KeyScope, do Action, o Object) bool {
	switch s {
	case store.ScopeAll:
		return true
	case store.ScopeApplicationConnect:
		return o.Kind == KindWorkspace && do == ApplicationConnect
	}
	return false
}

// owns reports what a user may do to what is theirs.
func (a Actor) owns(do Action, o Object) bool {
	if o.OwnerID != a.UserID {
		return false
	}
	switch o.Kind {
	case KindWorkspace:
		return do != State
	case KindAPIKey, KindGitSSHKey:
		return true
	case KindUser:
		return do == Read || do == Update
	}
	return false
}

// roleAllows reports what a role may do to what is not its user's.
func roleAllows(role string, ownersStayOut bool, do Action, o Object) bool {
	switch role {
	case RoleOwner:
		return !ownersStayOut || (do != SSH && do != ApplicationConnect)
	case RoleUserAdmin:
		return o.Kind == KindUser && (do == Read || !o.Privileged)
	case RoleTemplateAdmin:
		return o.Kind == KindTemplate || do == Read && (o.Kind == KindUser || o.Kind == KindWorkspace)
	case RoleAuditor:
		return do == Read && (o.Kind == KindUser || o.Kind == KindTemplate || o.Kind == KindAuditLog || o.Kind == KindDeployment)
	case RoleMember:
		return do == Read && o.Kind == KindOrganization || o.Kind == KindTemplate && (do == Read || do == Use)
	}
	return false
}

// CanAssign reports whether the actor may give or take these site roles, of
// which each must be one of Roles.
func CanAssign(a Actor, roles []string) bool {
	for _, role := range roles {
		if !slices.Contains(Roles(), role) {
			return false
		}
	}
	return len(roles) == 0 || a.UserID != uuid.Nil && a.Scope == store.ScopeAll && a.Has(RoleOwner)
}
