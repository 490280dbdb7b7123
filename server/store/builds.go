package store

import (
	"context"
	"maps"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"
)

// Build is a row of builds: one start, stop or delete of a workspace.
type Build struct {
	ID                uuid.UUID `bun:",pk"`
	WorkspaceID       uuid.UUID
	TemplateVersionID uuid.UUID
	JobID             uuid.UUID
	InitiatorID       uuid.UUID
	Number            int64 // 1, 2, 3 of its workspace
	Transition        Transition
	Reason            string
	Parameters        map[string]string // by name
	Deadline          time.Time         `bun:",nullzero"` // when the workspace stops by itself; zero is never
	CreatedAt         time.Time
	UpdatedAt         time.Time

	Job       *Job             `bun:"rel:belongs-to,join:job_id=id"`
	Version   *TemplateVersion `bun:"rel:belongs-to,join:template_version_id=id"`
	Initiator *User            `bun:"rel:belongs-to,join:initiator_id=id"`
	Resources []*Resource      `bun:"rel:has-many,join:job_id=job_id"`
	Workspace *Workspace       `bun:"rel:belongs-to,join:workspace_id=id"` // only set in a Build of BuildByID and BuildByNumber, with its Owner
}

// Status is the one word for where the build is.
func (b *Build) Status() BuildStatus { return StatusOf(b.Transition, b.Job.Status) }

// NewBuild is what a build needs to know.
type NewBuild struct {
	TemplateVersionID uuid.UUID // zero takes that of the build before
	Transition        Transition
	Reason            string // empty means initiator
	InitiatorID       uuid.UUID
	State             []byte // nil takes that of the build before

	// Parameters by name; those that are missing are taken of the build before.
	Parameters map[string]string

	// Due refuses the build, as ErrNotFound, unless the deadline of the
	// workspace has passed by then: for who stops it for that reason, and may
	// be late. The zero time asks nothing.
	Due time.Time

	// Scheduled refuses the build, as ErrNotFound, unless the workspace is
	// stopped, is to start at that time by its schedule, and is of an active
	// user. The zero time asks nothing.
	Scheduled time.Time

	// Done finishes the build as CompleteBuild does, in the same transaction:
	// for templates without a provisioner. nil leaves it pending.
	Done *BuildResult
}

// CreateBuild adds the next build of a workspace. From then on the tokens of
// agents of earlier builds are dead. Errors: ErrNotFound for an unknown or
// deleted workspace, or a version that is not there; *ConflictError of build
// while another one is active.
func (s *Store) CreateBuild(ctx context.Context, workspace uuid.UUID, n NewBuild) (Build, error) {
	var b Build
	err := s.change(ctx, func(ctx context.Context, tx bun.Tx) error {
		w := Workspace{ID: workspace}
		// The update holds the row: builds of one workspace take turns.
		q := tx.NewUpdate().Model((*Workspace)(nil)).Set("updated_at = ?", now())
		if err := changeOne(ctx, q.Where("id = ? AND deleted_at IS NULL", workspace)); err != nil {
			return err
		}
		if err := tx.NewSelect().Model(&w).WherePK().Relation("LatestBuild.Job").Relation("Owner").Scan(ctx); err != nil {
			return err
		}
		if w.LatestBuild.Job.Status.Active() {
			return &ConflictError{Field: "build"}
		}
		if !n.inTime(w) {
			return ErrNotFound
		}
		if err := s.addBuild(ctx, tx, w, n); err != nil {
			return err
		}
		return latestBuild(ctx, tx, &b, w.ID)
	})
	return b, err
}

// inTime reports whether what Due and Scheduled ask for is so.
func (n NewBuild) inTime(w Workspace) bool {
	if d := w.LatestBuild.Deadline; !n.Due.IsZero() && (d.IsZero() || d.After(n.Due)) {
		return false
	}
	return n.Scheduled.IsZero() || w.Waits() && w.NextStartAt.Equal(n.Scheduled)
}

// addBuild inserts a build after w.LatestBuild, which is nil for the first one,
// and makes it the latest.
func (s *Store) addBuild(ctx context.Context, tx bun.Tx, w Workspace, n NewBuild) error {
	job := newJob(JobBuild, w.OrganizationID, n.InitiatorID)
	b := Build{
		ID: uuid.New(), WorkspaceID: w.ID, TemplateVersionID: n.TemplateVersionID, JobID: job.ID,
		InitiatorID: n.InitiatorID, Number: 1, Transition: n.Transition, Reason: n.Reason, Parameters: map[string]string{},
		CreatedAt: job.CreatedAt, UpdatedAt: job.CreatedAt,
	}
	if b.Reason == "" {
		b.Reason = "initiator"
	}
	if before := w.LatestBuild; before != nil {
		b.follow(before)
	}
	maps.Copy(b.Parameters, n.Parameters)
	if err := checkVersion(ctx, tx, b.TemplateVersionID, w.TemplateID); err != nil {
		return err
	}
	if _, err := tx.NewInsert().Model(&job).Exec(ctx); err != nil {
		return err
	}
	if _, err := tx.NewInsert().Model(&b).Exec(ctx); err != nil {
		return err
	}
	if err := setState(ctx, tx, b, w.LatestBuildID, n.State); err != nil {
		return err
	}
	q := tx.NewUpdate().Model((*Workspace)(nil)).Set("latest_build_id = ?", b.ID).Where("id = ?", w.ID)
	if err := changeOne(ctx, q); err != nil || n.Done == nil {
		return err
	}
	return s.completeBuild(ctx, tx, b, *n.Done)
}

func (b *Build) follow(before *Build) {
	b.Number = before.Number + 1
	maps.Copy(b.Parameters, before.Parameters)
	if b.TemplateVersionID == uuid.Nil {
		b.TemplateVersionID = before.TemplateVersionID
	}
}

func checkVersion(ctx context.Context, tx bun.Tx, version, template uuid.UUID) error {
	ok, err := tx.NewSelect().Model((*TemplateVersion)(nil)).Where("id = ? AND template_id = ?", version, template).Exists(ctx)
	if err == nil && !ok {
		return ErrNotFound
	}
	return err
}

func setState(ctx context.Context, tx bun.Tx, b Build, before uuid.UUID, state []byte) error {
	q := tx.NewUpdate().Model((*Build)(nil)).Where("id = ?", b.ID)
	if state != nil {
		return changeOne(ctx, q.Set("state = ?", state))
	}
	return changeOne(ctx, q.Set("state = (SELECT old.state FROM builds AS old WHERE old.id = ?)", before))
}

// BuildState returns the state that the provisioner left (nil: none), or
// ErrNotFound for an unknown build.
func (s *Store) BuildState(ctx context.Context, id uuid.UUID) ([]byte, error) {
	var state []byte
	err := s.read.NewSelect().Model((*Build)(nil)).Column("state").Where("id = ?", id).Scan(ctx, &state)
	return state, translate(err)
}

// SetBuildState replaces the state of a build that has ended; ErrNotFound for an
// unknown one, *ConflictError of build for one that is active.
func (s *Store) SetBuildState(ctx context.Context, id uuid.UUID, state []byte) error {
	return s.change(ctx, func(ctx context.Context, tx bun.Tx) error {
		// Builds of one workspace take turns: the next one begins with this state.
		turn := tx.NewUpdate().Model((*Workspace)(nil)).Set("id = id").Where("id = (SELECT workspace_id FROM builds WHERE id = ?)", id)
		if err := changeOne(ctx, turn); err != nil {
			return err
		}
		if err := changeOne(ctx, tx.NewUpdate().Model((*Build)(nil)).Set("state = ?, updated_at = ?", state, now()).Where("id = ?", id)); err != nil {
			return err
		}
		b := Build{ID: id}
		if err := tx.NewSelect().Model(&b).Relation("Job").WherePK().Scan(ctx); err != nil {
			return err
		}
		if b.Job.Status.Active() {
			return &ConflictError{Field: "build"}
		}
		return nil
	})
}

// BuildByID returns ErrNotFound when there is none.
func (s *Store) BuildByID(ctx context.Context, id uuid.UUID) (Build, error) {
	var b Build
	err := buildQuery(s.read, &b).Relation("Workspace").Relation("Workspace.Owner").Where("build.id = ?", id).Scan(ctx)
	return b, translate(err)
}

// BuildByNumber returns ErrNotFound when there is none.
func (s *Store) BuildByNumber(ctx context.Context, workspace uuid.UUID, number int64) (Build, error) {
	var b Build
	err := buildQuery(s.read, &b).Relation("Workspace").Relation("Workspace.Owner").
		Where("build.workspace_id = ? AND build.number = ?", workspace, number).Scan(ctx)
	return b, translate(err)
}

// BuildFilter selects builds of a workspace; zero fields select all.
type BuildFilter struct {
	Since time.Time // made at or after
	After uuid.UUID // only those that the list has after this one

	Limit  int // 0 and more than 1000 mean 1000
	Offset int
}

// Builds lists the builds of a workspace, newest first.
func (s *Store) Builds(ctx context.Context, workspace uuid.UUID, f BuildFilter) ([]Build, error) {
	list := []Build{}
	q := buildQuery(s.read, &list).Where("build.workspace_id = ?", workspace)
	if !f.Since.IsZero() {
		q.Where("build.created_at >= ?", at(f.Since))
	}
	if f.After != uuid.Nil {
		q.Where("build.number < (SELECT b.number FROM builds AS b WHERE b.id = ?)", f.After)
	}
	err := q.Order("build.number DESC").Limit(page(f.Limit)).Offset(int64(f.Offset)).Scan(ctx)
	return list, translate(err)
}

func latestBuild(ctx context.Context, tx bun.Tx, b *Build, workspace uuid.UUID) error {
	return buildQuery(tx, b).Where("build.id = (SELECT latest_build_id FROM workspaces WHERE id = ?)", workspace).Scan(ctx)
}

func buildQuery(db bun.IDB, model any) *bun.SelectQuery {
	return db.NewSelect().Model(model).
		Relation("Job").Relation("Version").Relation("Initiator").
		Relation("Resources", byName).Relation("Resources.Agents", byName)
}
