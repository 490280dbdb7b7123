package store_test

import (
	"testing"

	"github.com/google/uuid"

	"github.com/berthdev/berth/server/store"
	"github.com/berthdev/berth/server/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// must returns v, or ends the test.
func must[T any](v T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func newUser(t *testing.T, s *store.Store, name string) store.User {
	t.Helper()
	return must(s.CreateUser(t.Context(), store.NewUser{Username: name, Email: name + "@example.com"}))(t)
}

// byoBuild is a start that is done at once, as the server does for template byo.
func byoBuild(initiator uuid.UUID, tr store.Transition) store.NewBuild {
	b := store.NewBuild{
		TemplateVersionID: store.BYOTemplateVersionID, Transition: tr, InitiatorID: initiator,
		Done: &store.BuildResult{KeepAgents: true},
	}
	if tr == store.TransitionStart {
		b.Done.Resources = []store.NewResource{{Type: "byo_machine", Name: "machine", Agents: []store.NewAgent{{
			Token: store.NewSecret(uuid.NewString()),
			AgentSpec: store.AgentSpec{
				Name: "main", OperatingSystem: "linux", Architecture: "amd64", External: true,
				Environment: map[string]string{"A": `it's "1"`}, ConnectionTimeoutSeconds: 120,
			},
		}}}}
	}
	return b
}

func newWorkspace(t *testing.T, s *store.Store, owner store.User, name string) store.Workspace {
	t.Helper()
	return must(s.CreateWorkspace(t.Context(), store.NewWorkspace{OwnerID: owner.ID, TemplateID: store.BYOTemplateID, Name: name},
		byoBuild(owner.ID, store.TransitionStart)))(t)
}
